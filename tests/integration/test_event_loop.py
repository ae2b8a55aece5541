"""
The event loop that commands run on.
"""

import asyncio
import importlib
import sys
from collections.abc import Iterator

import pytest
import uvloop

from ami_bridge.cli import event_loop


async def loop_at_work() -> type:
    """
    Give the class of the loop that runs this.
    """
    return type(asyncio.get_running_loop())


@pytest.fixture
def without_uvloop(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """
    Let commands look for a loop where uvloop is not installed.
    """
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "uvloop", None)
        importlib.reload(event_loop)
        yield
    importlib.reload(event_loop)


def test_commands_run_on_uvloop() -> None:
    """
    Where uvloop is installed, it carries the traffic.
    """
    assert event_loop.run(loop_at_work()) is uvloop.Loop


@pytest.mark.usefixtures("without_uvloop")
def test_commands_run_without_uvloop() -> None:
    """
    Where it is not, asyncio does.
    """
    assert issubclass(event_loop.run(loop_at_work()), asyncio.BaseEventLoop)
