"""
What supervisors are told.
"""

from pathlib import Path

import pytest

from ami_bridge.adapters.simulator import Simulator
from ami_bridge.cli.simulate import playlist
from tests.integration.running import STORY

from .houses import House, daemon_with


@pytest.mark.parametrize("token", [None, "reader"])
async def test_the_process_lives(visited: House, token: str | None) -> None:
    """
    /healthz answers 200 to everybody, whatever the PBX does.
    """
    found = await visited.get("/healthz", token)

    assert (found.status, found.content) == (200, {"status": "alive"})


async def test_without_a_pbx_it_is_not_ready(visited: House) -> None:
    """
    /readyz answers 503 while a PBX is not logged in to.
    """
    found = await visited.get("/readyz", None)

    assert found.status == 503
    assert found.content == {"status": "not ready", "problems": ["a PBX is connecting"]}


async def test_with_a_store_in_trouble_it_is_not_ready(
    visited: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    /readyz says that the store is in trouble; why is told to those who may see everything.
    """
    monkeypatch.setattr(type(visited.bridge.store), "trouble", "the disk is full")

    found = [(await visited.get("/readyz", token)).content for token in (None, "tenant", "reader")]

    assert [answer["problems"][1] for answer in found] == [
        "the store cannot keep anything",
        "the store cannot keep anything",
        "the store cannot keep anything: the disk is full",
    ]


async def test_a_bridge_that_is_linked_is_ready(tmp_path: Path) -> None:
    """
    /readyz answers 200 once the PBX is logged in to, and 503 when it is gone.
    """
    chunks = playlist((str(STORY),))
    async with Simulator(chunks, speed=0) as pbx, daemon_with(tmp_path, pbx.port) as visited:
        await visited.until("/readyz", lambda found: found.status == 200)
        await pbx.__aexit__(None, None, None)
        found = await visited.until("/readyz", lambda found: found.status == 503)

    assert found.content["problems"][0].startswith("a PBX is lost: 127.0.0.1")
