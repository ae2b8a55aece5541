"""
Commands on rules with several PBXs: each one is checked, and one can be chosen.
"""

import asyncio
import json
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from ami_bridge.adapters.simulator import Simulator
from ami_bridge.cli import cli
from ami_bridge.errors import AmiLost
from tests.replaying import FIXTURES

STORY = FIXTURES / "asterisk22" / "trunk-ext-answered" / "recording.ami"


@pytest.fixture
def two_pbxs(tmp_path: Path) -> Path:
    """
    Give rules with two PBXs that nobody runs.
    """
    return rules_for(tmp_path, 1, 2)


def rules_for(folder: Path, *ports: int) -> Path:
    """
    Write rules with a PBX on each of *ports*, called pbx1, pbx2 and so on.
    """
    file = folder / "rules.toml"
    tables = [
        f"[[asterisk]]\nname = 'pbx{number}'\nport = {port}\n"
        for number, port in enumerate(ports, start=1)
    ]
    file.write_text("".join(tables), encoding="utf-8")
    return file


async def test_check_asks_every_pbx(tmp_path: Path) -> None:
    """
    check --connect tells of each PBX, and of one that cannot be reached among the others.
    """
    async with Simulator(lambda: (), speed=0) as third:
        rules = rules_for(tmp_path, 1, third.port)
        told = await asyncio.to_thread(
            CliRunner().invoke, cli, ["check", "--connect", "--rules", str(rules)]
        )

    assert "Asterisk pbx1: 127.0.0.1:1: Connection refused" in told.stdout
    assert f"Asterisk pbx2 at 127.0.0.1:{third.port}\n" in told.stdout
    assert "write = reporting" in told.stdout
    assert isinstance(told.exception, AmiLost)


@pytest.mark.parametrize(
    ("arguments", "prefix"),
    [pytest.param([], "pbx1-", id="the first"), pytest.param(["--pbx", "pbx2"], "pbx2-", id="one")],
)
def test_replay_is_of_one_pbx(two_pbxs: Path, arguments: list[str], prefix: str) -> None:
    """
    A recording is of the first PBX, or of the one that --pbx names: its CallIDs say so.
    """
    told = CliRunner().invoke(
        cli, ["replay", str(STORY), "-o", "jsonl", "--rules", str(two_pbxs), *arguments]
    )

    assert told.exit_code == 0
    ids = {json.loads(line)["parameters"]["CallID"] for line in told.stdout.splitlines()}
    assert {call_id[: len(prefix)] for call_id in ids} == {prefix}


@pytest.mark.parametrize("command", [["replay", str(STORY)], ["record", "-o", "taken.ami"]])
def test_a_pbx_that_is_not_in_the_rules(two_pbxs: Path, command: list[str]) -> None:
    """
    A name that the rules do not know is refused, with the one that was probably meant.
    """
    told = CliRunner().invoke(cli, [*command, "--rules", str(two_pbxs), "--pbx", "pbx3"])

    assert told.exit_code == 2
    assert "no PBX called 'pbx3' in the rules; did you mean \"pbx2\"?" in told.stderr.replace(
        "\n", " "
    )


async def test_record_takes_the_pbx_that_is_named(tmp_path: Path) -> None:
    """
    record --pbx records that PBX.
    """
    taken = tmp_path / "taken.ami"
    async with Simulator(lambda: (), speed=0) as second:
        rules = rules_for(tmp_path, 1, second.port)
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "ami_bridge", "record", "-o", str(taken)),
            *("--duration", "0.3", "--pbx", "pbx2", "--rules", str(rules)),
            stderr=asyncio.subprocess.PIPE,
        )
        async with asyncio.timeout(20):
            _, told = await process.communicate()

    assert f"recording 127.0.0.1:{second.port}" in told.decode()
    assert b"Authentication accepted" in taken.read_bytes()
