"""
``ami-bridge replay``: what it prints, what it sends, and how it ends.
"""

import asyncio
import gzip
import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from ami_bridge.adapters.receiver import Received, Receiver
from ami_bridge.cli import cli
from ami_bridge.cli.progress import progress_line
from ami_bridge.cli.replay import Pace
from ami_bridge.core.anonymise import anonymise
from tests.integration.terminal import on_terminal
from tests.integration.test_cli import PROJECT, ami_bridge
from tests.replaying import FIXTURES, SCENARIOS, scenario_name

ASTERISK22 = FIXTURES / "asterisk22"
STORY = ASTERISK22 / "trunk-ext-answered" / "recording.ami"
EXPECTED = (STORY.parent / "expected.jsonl").read_text(encoding="utf-8")
BUSY = ASTERISK22 / "ext-ext-busy" / "recording.ami"
LOAD = FIXTURES / "load" / "calls-120-per-second" / "recording.ami.gz"
LOST = ASTERISK22 / "ami-drop-midcall" / "recording.ami"
FOUND = ASTERISK22 / "ami-drop-midcall-after" / "recording.ami"


def replay(*arguments: object, **settings: Any) -> Result:
    """
    Run the command in this process.
    """
    return CliRunner().invoke(cli, ["replay", *map(str, arguments)], **settings)


def rules_in(folder: Path, url: str, more: str = "", delivery: str = "") -> Path:
    """
    Write rules with one request to *url*, which may be on this machine.
    """
    rules = folder / "rules.toml"
    rules.write_text(
        f'[delivery]\nallow_networks = ["127.0.0.0/8"]\n{delivery}\n'
        f'[[requests]]\nurl = "{url}"\n{more}',
        encoding="utf-8",
    )
    return rules


def events(told: str) -> list[tuple[str, str]]:
    """
    Give event and extension of each line of JSON.
    """
    lines = [json.loads(line) for line in told.splitlines()]
    return [(line["event"], line["extension"]) for line in lines]


@pytest.mark.parametrize("folder", SCENARIOS, ids=scenario_name)
def test_lines_of_json_are_the_golden_file(folder: Path) -> None:
    """
    The output for machines is the recording's golden file, byte for byte.
    """
    told = replay(next(folder.glob("recording.ami*")), "--output", "jsonl")

    assert told.exit_code == 0
    assert told.stdout == (folder / "expected.jsonl").read_text(encoding="utf-8")


def test_table_is_for_eyes() -> None:
    """
    The table has one block for the call and one row for its leg.
    """
    told = replay(STORY)

    rows = told.stdout.splitlines()
    assert told.exit_code == 0
    assert "14155550100 ACME Corp → 15551230001" in rows[2]
    assert rows[3].startswith("  0003*001  IN  ← 14155550100 ACME Corp")
    assert "ANSWER   talked" in rows[3]
    assert told.stderr == ""


def test_table_is_coloured_on_a_terminal_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Colours are for terminals, and NO_COLOR turns them off.
    """
    monkeypatch.setenv("PYTHONPATH", str(PROJECT))
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    coloured = on_terminal("replay", str(STORY))
    monkeypatch.setenv("NO_COLOR", "1")
    plain = on_terminal("replay", str(STORY))

    assert "\x1b[32mANSWER" in coloured
    assert "\x1b[" not in plain
    assert "ANSWER" in plain
    assert "\x1b[" not in ami_bridge("replay", str(STORY)).stdout


def test_long_input_shows_progress(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """
    A bar says how much of a long file is done, and is gone where a line of output stands.
    """
    monkeypatch.setenv("PYTHONPATH", str(PROJECT))
    path = tmp_path / "long.ami.gz"
    path.write_bytes(LOAD.read_bytes()[:1_000_000])

    seen = on_terminal("replay", str(path), "-o", "jsonl")

    assert "% of 1.0 MB" in seen
    *lines, damage = [line.rpartition("\x1b[2K")[2].strip() for line in seen.split("\n") if line]
    assert all(json.loads(line)["event"] for line in lines if line.startswith("{"))
    assert "damaged at byte 1000000" in damage


def test_every_letter_can_be_written(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Where the locale has no arrows and no Cyrillic letters, pipes get them as UTF-8.
    """
    monkeypatch.setenv("PYTHONIOENCODING", "latin-1")
    monkeypatch.setenv("PYTHONPATH", str(PROJECT))
    told = subprocess.run(
        [sys.executable, "-m", "ami_bridge", "replay", str(STORY)],
        capture_output=True,
        timeout=60,
        check=True,
    )

    assert "\u2192" in told.stdout.decode()
    assert "? 15551230001" in click.unstyle(on_terminal("replay", str(STORY)))


@pytest.mark.parametrize("columns", [20, 40, 80, 200])
def test_progress_fits_on_a_line(columns: int) -> None:
    """
    The line of progress is narrower than the terminal: of a longer one some would stay.
    """
    for total in (None, 12_345_678):
        line = click.unstyle(
            progress_line("/a/long/way/to/\u4e2d\x1b/long.ami.gz", 5_000_000, total, columns)
        )
        assert len(line) < columns
        assert "5.0 MB" in line or "41%" in line


@pytest.mark.parametrize("how", [(), ("-o", "jsonl"), ("--requests",)])
def test_nothing_is_said_in_words(how: tuple[str, ...]) -> None:
    """
    Where there is no call event, that is said, and not that the rules ask for none.
    """
    nothing = replay("-", *how, input=b"")
    nobody = replay("-", *how, input=b"Event: Hangup\r\nChannel: X/1\r\nUniqueid: 1.1\r\n\r\n")

    assert nothing.exit_code == nobody.exit_code == 0
    assert nothing.stdout == nobody.stdout == ""
    assert nothing.stderr == "no call events: there is no event of a call in it\n"
    assert nobody.stderr.startswith("no call events; `ami-bridge check` says")


@contextmanager
def replaying_a_pipe(*how: str) -> Iterator[tuple[subprocess.Popen[bytes], bytes]]:
    """
    Replay what comes through a pipe that stays open; give the command and its first line.
    """
    with subprocess.Popen(
        [sys.executable, "-m", "ami_bridge", "replay", "-", "-o", "jsonl", *how],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=PROJECT,
    ) as command:
        assert command.stdin is not None
        assert command.stdout is not None
        command.stdin.write(STORY.read_bytes())
        command.stdin.flush()
        yield command, command.stdout.readline()


@pytest.mark.parametrize("how", [(), ("--send",)])
def test_a_signal_ends_the_waiting_for_a_pipe(how: tuple[str, ...]) -> None:
    """
    Ctrl-C ends a replay that waits for more, also one that sends.
    """
    with replaying_a_pipe(*how) as (command, _):
        assert command.stderr is not None
        command.send_signal(signal.SIGINT)

        assert command.wait(10) == 130
        assert b"Traceback" not in command.stderr.read()


def test_standard_input_and_compression() -> None:
    """
    ``-`` is standard input, compressed or not.
    """
    stream = STORY.read_bytes()
    expected = events(EXPECTED)

    assert events(replay("-", "-o", "jsonl", input=stream).stdout) == expected
    assert events(replay("-", "-o", "jsonl", input=gzip.compress(stream)).stdout) == expected


def test_call_is_shown_while_a_pipe_stays_open() -> None:
    """
    Behind a pipe that goes on, what has happened is printed at once.
    """
    with replaying_a_pipe() as (_, line):
        assert events(line.decode()) == events(EXPECTED)[:1]


def test_several_files_are_one_history() -> None:
    """
    A leg that was open when the connection was lost ends as the next file's channel list says.
    """
    alone = events(replay(LOST, "-o", "jsonl").stdout)
    both = events(replay(LOST, FOUND, "-o", "jsonl").stdout)

    assert both[: len(alone)] == alone
    assert both[len(alone) : len(alone) + 2] == [("Hangup", "0003*001"), ("Hangup", "0003*002")]


def test_open_legs_and_oddities_are_said() -> None:
    """
    What was odd, and who still spoke at the end, stands on standard error.
    """
    odd = b"Event: Hangup\r\nCause: 16\r\n\r\n"
    told = replay("-", "-o", "jsonl", input=odd + LOST.read_bytes())

    assert "odd: 1 x event Hangup without a header Channel" in told.stderr
    assert "3 legs still open at the end: 0003*001, 0003*002, 0003*003" in told.stderr


DAMAGED = [
    pytest.param(STORY.read_bytes()[:4000], "calls.ami", "byte 4000: ends in the middle", id="cut"),
    pytest.param(
        gzip.compress(STORY.read_bytes())[:-9], "calls.ami.gz", "the compressed data", id="gzip"
    ),
    pytest.param(b"{}\n{oops\n", "calls.json", "byte 4: not JSON", id="JSON"),
    pytest.param(
        STORY.read_bytes() + b"rubbish\r\n\r\n" + BUSY.read_bytes(),
        "calls.ami",
        f"byte {STORY.stat().st_size}: block that is no message",
        id="rubbish",
    ),
]


@pytest.mark.parametrize(("octets", "name", "reason"), DAMAGED)
def test_damaged_file_is_replayed_as_far_as_it_is_readable(
    octets: bytes, name: str, reason: str, tmp_path: Path
) -> None:
    """
    Exit code 65, the damaged byte, and before it every call event that was readable.
    """
    path = tmp_path / name
    path.write_bytes(octets)

    told = ami_bridge("replay", str(path), "-o", "jsonl")

    assert told.returncode == 65
    assert str(path) in told.stderr
    assert reason in told.stderr
    if name.endswith("ami"):
        expected = events(EXPECTED)
        count = min(len(expected), len(told.stdout.splitlines()))
        assert count > 0
        assert events(told.stdout)[:count] == expected[:count]


def test_files_after_a_damaged_one_are_replayed(tmp_path: Path) -> None:
    """
    Damage of one file ends the command only after the last file; each damage is told.
    """
    for name in ("a.ami", "b.ami"):
        (tmp_path / name).write_bytes(b"\0")

    told = ami_bridge(
        "replay", str(tmp_path / "a.ami"), str(tmp_path / "b.ami"), str(STORY), "-o", "jsonl"
    )

    assert told.returncode == 65
    assert told.stdout == EXPECTED
    assert "a.ami" in told.stderr
    assert "b.ami" in told.stderr


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["no-such-file"], "'no-such-file' does not exist"),
        ([], "Missing argument 'FILE...'"),
        ([str(STORY), "--speed", "fast"], "'fast' is neither max nor a factor"),
        ([str(STORY), "--speed", "-1"], "'-1' is neither max nor a factor"),
        ([str(STORY), "--output", "xml"], "'xml' is not one of"),
    ],
)
def test_wrong_command_line_is_explained(arguments: list[str], sentence: str) -> None:
    """
    Exit code 2, and a sentence that says what is wrong.
    """
    told = replay(*arguments)

    assert told.exit_code == 2
    assert sentence in told.stderr


def test_reader_that_has_seen_enough_ends_it_quietly() -> None:
    """
    A pipe that is closed early ends the command like any other: killed by SIGPIPE, unheard.
    """
    with subprocess.Popen(
        [sys.executable, "-m", "ami_bridge", "replay", str(LOAD), "-o", "jsonl"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=PROJECT,
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr is not None
        assert process.stderr.read() == b""
    assert process.returncode == 141


def test_requests_are_printed_and_not_sent(tmp_path: Path) -> None:
    """
    --requests shows method, URL, headers and body; what lets somebody in is not shown.
    """
    more = (
        'event = "Hangup"\nmethod = "POST"\n[requests.headers]\nAuthorization = "Bearer s3cret"\n'
    )
    rules = rules_in(tmp_path, "http://127.0.0.1:9/hook?a=b", more)

    text = replay(STORY, "--rules", rules, "--requests").stdout
    line = json.loads(replay(STORY, "--rules", rules, "--requests", "-o", "jsonl").stdout)

    assert "POST http://127.0.0.1:9/hook?a=b\n" in text
    assert "Content-Type: application/x-www-form-urlencoded\n" in text
    assert "CallerIDName=ACME%20Corp&" in text
    assert "s3cret" not in text + json.dumps(line)
    assert line["event"] == "Hangup"
    assert line["method"] == "POST"
    assert line["body"].startswith("CallID=")


def test_rules_that_want_nothing_are_told(tmp_path: Path) -> None:
    """
    Where no request asks for an event, that is said instead of nothing.
    """
    rules = rules_in(tmp_path, "http://127.0.0.1:9/", 'extension = "0009*"\n')

    told = replay(STORY, "--rules", rules, "--requests")

    assert told.stdout == ""
    sentence = f"The rules ask for none of these events: {rules} has 1 enabled request."
    assert told.stderr.splitlines()[-1] == sentence


async def test_send_delivers_every_request(tmp_path: Path) -> None:
    """
    --send sends what --requests would print, and says so.
    """
    received: list[Received] = []
    async with Receiver(received.append) as receiver:
        rules = rules_in(tmp_path, receiver.url, 'fields = ["Extension", "EventType"]\n')
        told = await asyncio.to_thread(
            ami_bridge, "replay", str(STORY), "--rules", str(rules), "--send", "-o", "jsonl"
        )

    assert told.returncode == 0, told.stderr
    assert told.stdout == EXPECTED
    assert [one.parameters["EventType"] for one in received] == ["dial-in", "answer", "hangup"]
    assert "3 of 3 requests delivered" in told.stderr


async def test_send_says_what_was_not_delivered(tmp_path: Path) -> None:
    """
    A receiver that refuses leaves an exit code, its reason and the number of requests.
    """
    async with Receiver(lambda _: None, fail_rate=1.0) as receiver:
        rules = rules_in(tmp_path, receiver.url, delivery="drain_seconds = 0.1")
        told = await asyncio.to_thread(
            ami_bridge, "replay", str(STORY), "--rules", str(rules), "--send"
        )

    assert told.returncode == 69
    assert "0 of 3 requests delivered, 3 still without success" in told.stderr
    assert f"{receiver.url.rstrip('/')}: answer 500\n" in told.stderr


def test_nothing_is_sent_unless_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Without --send no sender is made, whatever the rules ask for.
    """
    monkeypatch.setattr("ami_bridge.cli.replay.Sender", None)
    rules = rules_in(tmp_path, "http://127.0.0.1:9/")

    assert replay(STORY, "--rules", rules).exit_code == 0
    assert replay(STORY, "--rules", rules, "--requests").exit_code == 0


def test_speed_keeps_the_recorded_pace() -> None:
    """
    With a speed, a call lasts so many times shorter than it did; with max it lasts nothing.
    """
    lines = [json.loads(line) for line in EXPECTED.splitlines()]
    lasted = lines[-1]["time"] - lines[0]["time"]

    begun = time.monotonic()
    told = replay(STORY, "-o", "jsonl", "--speed", "10")

    assert told.stdout == EXPECTED
    assert time.monotonic() - begun >= lasted / 10


def test_pace_waits_for_recorded_times_alone() -> None:
    """
    An event without a time, or one from before, does not wait.
    """
    pace = Pace(2.0)

    assert pace.wait_for(None) == 0.0
    assert pace.wait_for(1000.0) <= 0.0
    assert 4.9 < pace.wait_for(1010.0) <= 5.0
    assert pace.wait_for(990.0) < 0.0
    assert pace.wait_for(1e300) < 1e9  # as long as Python can wait
    assert Pace(None).wait_for(1010.0) == 0.0


def test_anonymised_recording_replays_alike(tmp_path: Path) -> None:
    """
    An anonymised recording fits its times, and its calls are the same up to pseudonyms.
    """
    path = tmp_path / "calls.ami"
    path.write_bytes(anonymise(STORY.read_bytes(), b"a key"))
    (tmp_path / "calls.ts").write_bytes(STORY.with_suffix(".ts").read_bytes())

    told = replay(path, "-o", "jsonl")

    lines = [json.loads(line) for line in told.stdout.splitlines()]
    expected = [json.loads(line) for line in EXPECTED.splitlines()]
    assert [(line["event"], line["time"]) for line in lines] == [
        (line["event"], line["time"]) for line in expected
    ]
    assert "14155550100" not in told.stdout
    assert "ACME" not in told.stdout
