"""
The commands that ask the running bridge: status, calls, deliveries, explain.
"""

import asyncio
import csv
import io
import json
import pty
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from ami_bridge.adapters.recording import Recording
from ami_bridge.adapters.store import Changes, StoryEntry
from ami_bridge.cli import cli
from ami_bridge.core.ami_events import Hangup
from ami_bridge.errors import BridgeRefused, BridgeUnreachable
from tests.control.houses import DELIVERED, GIVEN_UP, House, delivery, house, owe, settle
from tests.replaying import FIXTURES

PROJECT = Path(__file__).parents[2]
ANSWERED = FIXTURES / "asterisk22" / "trunk-ext-answered"


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[House]:
    """
    Give a running bridge.
    """
    async with house(tmp_path) as found:
        yield found


async def run(running: House, *arguments: str) -> Result:
    """
    Run a command that asks the *running* bridge; it has an event loop of its own.
    """
    options = ["--rules", str(running.rules)]
    return await asyncio.to_thread(CliRunner().invoke, cli, [*arguments, *options])


async def printed(running: House, *arguments: str) -> str:
    """
    Give what a command prints that has to work.
    """
    result = await run(running, *arguments)
    assert result.exit_code == 0, result.output
    return result.stdout


# -- status and calls ------------------------------------------------------------------


async def test_status_for_eyes(running: House) -> None:
    """
    The status names the PBX, the store, and each destination with what it is owed.
    """
    await owe(running, delivery("one"), delivery("two"))
    await settle(running, "one", GIVEN_UP, 404)

    lines = (await printed(running, "status")).splitlines()

    assert "2 requests, 2 enabled" in lines[0]
    assert "PBX 127.0.0.1:5038: connecting" in lines
    assert "Store in memory alone: well" in lines
    [destination] = [line for line in lines if line.startswith("http://127.0.0.1:9")]
    assert destination.split()[1:5] == ["1", "0", "1", "0"]


async def test_status_for_programs(running: House) -> None:
    """
    As JSON the status is what the API answers.
    """
    found = json.loads(await printed(running, "status", "--json"))

    assert found["requests"] == 2
    assert found["pbxs"][0]["state"] == "connecting"


async def test_calls_that_are_up(running: House) -> None:
    """
    A call shows its extension, who is at the other end, and how far it is.
    """
    assert await printed(running, "calls") == "No calls.\n"
    running.play("trunk-ext-answered", Hangup)

    lines = (await printed(running, "calls")).splitlines()

    assert len(lines) == 2
    words = lines[1].split()
    assert words[:3] == ["1795407850.42", "0003*001", "←"]
    assert "14155550100 ACME Corp" in lines[1]
    assert "answered" in words


async def test_nobody_answers(tmp_path: Path) -> None:
    """
    Without a bridge a sentence says where one was looked for, and the exit code that none is.
    """
    arguments = ["status", "--socket", str(tmp_path / "none.sock")]
    result = await asyncio.to_thread(CliRunner().invoke, cli, arguments)

    assert isinstance(result.exception, BridgeUnreachable)
    assert result.exception.exit_code == 69
    assert f"no bridge answers at {tmp_path}/none.sock" in str(result.exception)


async def test_something_else_answers(tmp_path: Path) -> None:
    """
    What answers and is no bridge is told apart from one that refuses.
    """

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\nnope")
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    path = tmp_path / "other.sock"
    async with await asyncio.start_unix_server(answer, path):
        arguments = ["status", "--socket", str(path)]
        result = await asyncio.to_thread(CliRunner().invoke, cli, arguments)

    assert isinstance(result.exception, BridgeUnreachable)
    assert "HTTP 404" in str(result.exception)


async def test_watching_on_a_terminal(running: House) -> None:
    """
    Watched on a terminal, the status is drawn again in place, until Ctrl-C ends it quietly.
    """
    primary, secondary = pty.openpty()
    with (
        open(primary, "rb", buffering=0) as screen,  # noqa: ASYNC230, PTH123 - a terminal
        open(secondary, "wb", buffering=0) as terminal,  # noqa: ASYNC230, PTH123
    ):
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "ami_bridge", "calls", "--watch"),
            *("--rules", str(running.rules)),
            stdout=terminal,
            stderr=subprocess.PIPE,
            cwd=PROJECT,
        )
        seen = b""
        async with asyncio.timeout(20):
            while seen.count(b"\x1b[H\x1b[J") < 2 or not seen.rstrip().endswith(b"No calls."):
                seen += await asyncio.to_thread(screen.read, 1000)
        process.send_signal(2)
        _, complaints = await process.communicate()

    assert process.returncode == 0
    assert complaints == b""


# -- deliveries ------------------------------------------------------------------------


async def test_list_of_deliveries(running: House) -> None:
    """
    Deliveries are listed with what has become of them; options choose among them.
    """
    assert await printed(running, "deliveries", "list") == "No deliveries.\n"
    await owe(running, delivery("one"), delivery("two"), delivery("three", "0004*001"))
    await settle(running, "one", DELIVERED, 204)

    everything = await printed(running, "deliveries", "list")
    delivered = await printed(running, "deliveries", "list", "--state", "delivered")
    of_tenant = await printed(running, "deliveries", "list", "--extension", "0004*", "--json")

    assert [line.split()[0] for line in everything.splitlines()] == ["id", "three", "two", "one"]
    assert "answer 204 after" in delivered
    assert "two" not in delivered
    assert [one["id"] for one in json.loads(of_tenant)] == ["three"]


async def test_time_of_deliveries(running: House) -> None:
    """
    Times are given as so long ago or as a date; anything else is refused with examples.
    """
    await owe(running, delivery("one"))

    assert "one" in await printed(running, "deliveries", "list", "--since", "1h")
    assert "one" not in await printed(running, "deliveries", "list", "--until", "1h")
    assert "one" in await printed(running, "deliveries", "list", "--since", "2020-02-29T12:00")
    refused = await run(running, "deliveries", "list", "--since", "yesterday")
    assert refused.exit_code == 2
    assert "2026-11-23T09:30" in refused.output


async def test_pages_of_deliveries(running: House) -> None:
    """
    More deliveries than the bridge tells at once are asked for page by page.
    """
    await owe(running, *(delivery(f"{number:04}") for number in range(1201)))

    found = json.loads(await printed(running, "deliveries", "list", "--limit", "1100", "--json"))
    exported = await printed(running, "deliveries", "export")

    assert [one["id"] for one in found] == [f"{number:04}" for number in range(1200, 100, -1)]
    assert len(exported.splitlines()) == 1202


async def test_one_delivery(running: House) -> None:
    """
    One delivery shows its request without secrets, and each attempt that failed.
    """
    await owe(running, delivery("one"))
    await settle(running, "one", GIVEN_UP, 404)

    shown = await printed(running, "deliveries", "show", "one")

    assert "given up" in shown
    assert "answer 404" in shown
    assert "0.250 s" in shown
    assert "s3cret" not in shown


async def test_a_delivery_that_is_not_there(running: House) -> None:
    """
    What the bridge refuses is said in its own words.
    """
    result = await run(running, "deliveries", "show", "nobody")

    assert isinstance(result.exception, BridgeRefused)
    assert "nobody" in str(result.exception)
    assert result.exception.exit_code == 1


async def test_sending_again(running: House) -> None:
    """
    What was given up is owed again: one by its id, or all that match.
    """
    for name in ("one", "two", "three"):
        await owe(running, delivery(name))
        await settle(running, name, GIVEN_UP, 404)

    said = await printed(running, "deliveries", "retry", "one")
    again = await printed(running, "deliveries", "retry", "--request", "helpdesk")

    assert said == "1 to be sent again\n"
    assert again == "2 to be sent again\n"
    assert (
        json.loads(await printed(running, "deliveries", "list", "--state", "given up", "--json"))
        == []
    )


async def test_dropping(running: House) -> None:
    """
    What is owed is given up at the operator's word.
    """
    await owe(running, delivery("one"), delivery("two"), delivery("three", "0004*001"))

    assert await printed(running, "deliveries", "drop", "one") == "1 given up\n"
    assert await printed(running, "deliveries", "drop", "--extension", "0003*") == "1 given up\n"
    assert await printed(running, "deliveries", "drop", "--all") == "1 given up\n"
    [kept, *_] = (json.loads(await printed(running, "deliveries", "list", "--json")),)
    assert {one["reason"] for one in kept} == {"dropped by operator"}


@pytest.mark.parametrize("arguments", [[], ["one", "--all"], ["one", "--extension", "0003*"]])
async def test_which_ones_are_meant(running: House, arguments: list[str]) -> None:
    """
    Nothing is dropped or sent again unless it is clear which deliveries are meant.
    """
    result = await run(running, "deliveries", "drop", *arguments)

    assert result.exit_code == 2


async def test_export(running: House, tmp_path: Path) -> None:
    """
    Deliveries are written as CSV, where no text is taken for a formula, and as lines of JSON.
    """
    await owe(running, delivery("=one"), delivery("two"))

    as_csv = await printed(running, "deliveries", "export")
    target = tmp_path / "all.jsonl"
    await printed(running, "deliveries", "export", "--format", "jsonl", "-o", str(target))

    rows = list(csv.DictReader(io.StringIO(as_csv)))
    lines = [json.loads(line) for line in target.read_text(encoding="utf-8").splitlines()]
    assert [row["id"] for row in rows] == ["two", "'=one"]
    assert [line["id"] for line in lines] == ["two", "=one"]
    assert list(rows[0]) == list(lines[0])


# -- explain ---------------------------------------------------------------------------


async def test_explaining_a_call(running: House) -> None:
    """
    A call is explained by what Asterisk said of it, with each rule and what came of it.
    """
    told = [
        StoryEntry("", "1795407850.42", time or 0.0, message.raw + b"\r\n\r\n")
        for message, time in Recording(next(ANSWERED.glob("recording.ami*"))).messages()
    ]
    await running.bridge.store.keep(Changes(time.time(), entries=told))

    shown = await printed(running, "explain", "1795407850.42")

    assert "→ Dial-In of 0003*001, CALLING" in shown
    assert "✓ all: would be told now" in shown
    assert "· helpdesk: no, it asks for 0003*2* only" in shown
    assert shown.index("Newchannel") < shown.index("DialBegin") < shown.index("Hangup of")


async def test_explaining_a_recording() -> None:
    """
    A recording is explained without a bridge, all of its calls or one.
    """
    file = str(next(ANSWERED.glob("recording.ami*")))
    rules = ["--rules", str(PROJECT / "rules.toml")]

    everything = CliRunner().invoke(cli, ["explain", "--from", file, *rules])
    one = CliRunner().invoke(cli, ["explain", "1795407850.42", "--from", file, "--json", *rules])

    assert everything.exit_code == one.exit_code == 0
    assert "→ Hangup of 0003*001, ANSWER" in everything.stdout
    assert len(json.loads(one.stdout)["steps"]) == everything.stdout.count("[1795407850.")


async def test_nothing_to_explain(running: House) -> None:
    """
    A call that nobody knows is said to be unknown, with the exit code for it.
    """
    result = await run(running, "explain", "1.1")

    assert result.exit_code == 1
    assert "Nothing is known of a call 1.1." in result.stdout
    assert CliRunner().invoke(cli, ["explain"]).exit_code == 2
