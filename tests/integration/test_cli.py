"""
Commands that need no daemon: check, record, receive's neighbours, and the door they share.
"""

import asyncio
import contextlib
import gzip
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from ami_bridge import __version__
from ami_bridge.adapters.manager_session import Action, ManagerSession
from ami_bridge.adapters.receiver import Received
from ami_bridge.adapters.simulator import Simulator
from ami_bridge.cli import cli, main
from ami_bridge.cli.receive import show
from ami_bridge.cli.simulate import playlist
from tests.integration.terminal import on_terminal
from tests.replaying import FIXTURES

PROJECT = Path(__file__).parents[2]
STORY = FIXTURES / "asterisk22" / "trunk-ext-answered" / "recording.ami"


def ami_bridge(*arguments: str, cwd: Path = PROJECT) -> subprocess.CompletedProcess[str]:
    """
    Run the command as a user does.
    """
    return subprocess.run(
        [sys.executable, "-m", "ami_bridge", *arguments],
        capture_output=True,
        text=True,
        cwd=cwd,
        env={"PYTHONPATH": str(PROJECT), "PATH": "/usr/bin:/bin"},
        timeout=60,
        check=False,
    )


def rules_for(tmp_path: Path, port: int, more: str = "") -> Path:
    """
    Write rules for a PBX on *port*.
    """
    rules = tmp_path / "rules.toml"
    (tmp_path / "secret").write_text("s3cret")
    rules.write_text(f'[asterisk]\nport = {port}\nsecret_file = "secret"\n{more}')
    return rules


def test_version_is_told() -> None:
    """
    --version names program and version.
    """
    assert ami_bridge("--version").stdout.strip() == f"ami-bridge, version {__version__}"


@pytest.mark.parametrize(
    "name", ["run", "check", "events", "replay", "record", "simulate", "receive", "demo"]
)
def test_every_command_explains_itself(name: str) -> None:
    """
    The help of each command says what it does and has no option without an explanation.
    """
    told = CliRunner().invoke(cli, [name, "--help"])

    assert told.exit_code == 0
    assert len(told.output.split()) > 20


@pytest.mark.parametrize(
    ("name", "hint"), [("repla", 'did you mean "replay"?'), ("xyz", "expected one of run, ")]
)
def test_an_unknown_command(name: str, hint: str) -> None:
    """
    Who mistypes a command is told which one may be meant.
    """
    told = CliRunner().invoke(cli, [name])

    assert told.exit_code == 2
    assert hint in told.stderr


def test_help_lists_commands_and_exit_codes() -> None:
    """
    The help of the whole teaches: each command, each exit code.
    """
    told = CliRunner().invoke(cli, ["--help"]).output

    assert all(name in told for name in ("run", "check", "replay", "simulate", "demo"))
    assert all(code in told for code in ("65", "69", "77", "78"))


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_a_standard_stream_may_be_closed(closed: str) -> None:
    """
    A command that nobody gave a standard stream does its work without.
    """
    told = subprocess.run(
        ["sh", "-c", f'"$0" -m ami_bridge replay - {closed}', sys.executable],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        cwd=PROJECT,
        timeout=60,
        check=False,
    )

    assert told.returncode == 0
    assert "Traceback" not in told.stderr


@pytest.mark.parametrize(
    ("arguments", "code"), [(("check", "-r", "gone.toml"), 78), (("replay", "gone.ami"), 2)]
)
def test_the_exit_code_is_right_without_a_sentence(arguments: tuple[str, ...], code: int) -> None:
    """
    Where the error cannot be printed its exit code stays the same.
    """
    with Path("/dev/full").open("w") as full:
        told = subprocess.run(
            [sys.executable, "-m", "ami_bridge", *arguments],
            stdout=subprocess.DEVNULL,
            stderr=full,
            cwd=PROJECT,
            timeout=60,
            check=False,
        )

    assert told.returncode == code


@pytest.mark.parametrize("error", [KeyboardInterrupt, click.Abort])
def test_an_interruption_is_no_traceback(
    monkeypatch: pytest.MonkeyPatch, error: type[BaseException]
) -> None:
    """
    Ctrl-C has its exit code, also a second one while the first is answered.
    """

    def fail(**_: object) -> None:
        raise error

    before = signal.getsignal(signal.SIGINT)
    monkeypatch.setattr(cli, "main", fail)
    try:
        with pytest.raises(SystemExit) as ended:
            main()
    finally:
        signal.signal(signal.SIGINT, before)

    assert ended.value.code == 130


def test_an_error_of_our_own_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """
    What nobody expected has an exit code of its own and says where it was, without a traceback.
    """

    def fail(**_: object) -> None:
        raise ExceptionGroup("tasks", [ZeroDivisionError("no reason")])

    monkeypatch.setattr(cli, "main", fail)
    with pytest.raises(SystemExit) as ended:
        main()

    assert ended.value.code == 70
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert "please report it: ZeroDivisionError: no reason" in told


def test_check_says_how_the_rules_are_understood(tmp_path: Path) -> None:
    """
    check prints the rules in words and ends with 0; the secret is not shown.
    """
    rules = rules_for(tmp_path, 5038, '[[requests]]\nurl = "https://crm.example.org/x"\n')

    told = ami_bridge("check", "--rules", str(rules))

    assert told.returncode == 0
    assert "https://crm.example.org/x" in told.stdout
    assert "s3cret" not in told.stdout + told.stderr


def test_check_names_every_mistake(tmp_path: Path) -> None:
    """
    All mistakes at once, each with its path, and exit code 78.
    """
    rules = rules_for(tmp_path, 0, '[[requests]]\nurl = "ftp://x"\nevent = "Dialin"\n')

    told = ami_bridge("check", "--rules", str(rules))

    assert told.returncode == 78
    for path in ("asterisk.port", "requests[0].url", "requests[0].event"):
        assert path in told.stderr
    assert 'did you mean "Dial-In"' in told.stderr


def test_rules_that_lead_nowhere_are_a_mistake(tmp_path: Path) -> None:
    """
    A link to rules that are gone does not mean that there are no rules.
    """
    (tmp_path / "rules.toml").symlink_to("gone.toml")

    told = ami_bridge("check", cwd=tmp_path)

    assert told.returncode == 78
    assert "cannot be read: No such file or directory" in told.stderr


def test_a_pbx_that_is_not_there(tmp_path: Path) -> None:
    """
    check --connect says what it could not reach, with exit code 69.
    """
    rules = rules_for(tmp_path, 1)

    told = ami_bridge("check", "--connect", "--rules", str(rules))

    assert told.returncode == 69
    assert "127.0.0.1:1" in told.stderr


async def test_check_asks_the_pbx(tmp_path: Path) -> None:
    """
    check --connect says which Asterisk that is and what the manager user may do.
    """
    async with Simulator(lambda: (), speed=0) as pbx:
        rules = rules_for(tmp_path, pbx.port)
        told = await asyncio.to_thread(ami_bridge, "check", "--connect", "--rules", str(rules))

    assert told.returncode == 0, told.stderr
    assert "manager interface 11.0.0" in told.stdout
    for privilege in ("read = system", "read = call", "write = reporting"):
        assert privilege in told.stdout


async def test_check_says_what_the_manager_user_lacks(tmp_path: Path) -> None:
    """
    A user who may not list channels gets the lines for manager.conf, and exit code 77.
    """

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"Asterisk Call Manager/11.0.0\r\n")
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                action = (await reader.readuntil(b"\r\n\r\n")).decode()
                number = next(line for line in action.splitlines() if "ActionID" in line)
                granted = any(f"Action: {name}\r" in action for name in ("Challenge", "Login"))
                answer = "Success\r\nChallenge: 1" if granted else "Error"
                writer.write(f"Response: {answer}\r\n{number}\r\n\r\n".encode())
        writer.close()

    server = await asyncio.start_server(refuse, "127.0.0.1", 0)
    async with server:
        rules = rules_for(tmp_path, server.sockets[0].getsockname()[1])
        told = await asyncio.to_thread(ami_bridge, "check", "--connect", "--rules", str(rules))

    assert told.returncode == 77, told.stderr
    assert "NO   write = reporting" in told.stdout
    assert "read = call,system" in told.stdout
    assert "eventfilter = Event: " in told.stdout


@pytest.mark.parametrize(
    ("refusal", "told"),
    [
        pytest.param("Permission denied", "PJSIP: not told to this user", id="kept back"),
        pytest.param("No endpoints found", "none: Asterisk has no endpoints", id="none"),
    ],
)
async def test_check_says_why_there_are_no_endpoints(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refusal: str, told: str
) -> None:
    """
    A user who may only report is told nothing of PJSIP, which is not the same as no endpoints.
    """
    answer = ManagerSession._said_to

    def limit(session: ManagerSession, name: str, action: Action, channels: int) -> tuple[str, ...]:
        if name == "pjsipshowendpoints":
            return "Error", f"Message: {refusal}"
        if name == "iaxpeerlist":
            return ("Success",)
        return answer(session, name, action, channels)

    monkeypatch.setattr(ManagerSession, "_said_to", limit)
    async with Simulator(lambda: (), speed=0) as pbx:
        rules = rules_for(tmp_path, pbx.port)
        shown = await asyncio.to_thread(ami_bridge, "check", "--connect", "--rules", str(rules))

    assert shown.returncode == 0, shown.stderr
    assert shown.stdout.partition("Endpoints\n")[2].strip().startswith(told)


async def test_a_recording_replays_as_it_was_heard(tmp_path: Path) -> None:
    """
    What record wrote, replay reads: the same call events as of the PBX's own stream.
    """
    taken = tmp_path / "taken.ami"
    async with Simulator(playlist((str(STORY),)), speed=0) as pbx:
        rules = rules_for(tmp_path, pbx.port)
        told = await asyncio.to_thread(
            ami_bridge, "record", "-o", str(taken), "--duration", "2", "--rules", str(rules)
        )
    assert told.returncode == 0, told.stderr
    assert taken.read_bytes().startswith(b"Asterisk Call Manager/")
    assert taken.with_suffix(".ts").exists()

    heard = ami_bridge("replay", "-o", "jsonl", str(taken), cwd=tmp_path)
    assert [line.split('"')[3] for line in heard.stdout.splitlines()] == [
        "Dial-In",
        "Answer-In",
        "Hangup",
    ]


async def test_an_anonymised_recording_names_nobody(tmp_path: Path) -> None:
    """
    record --anonymise leaves no number and no name of the call in the file.
    """
    taken = tmp_path / "taken.ami"
    async with Simulator(playlist((str(STORY),)), speed=0) as pbx:
        rules = rules_for(tmp_path, pbx.port)
        told = await asyncio.to_thread(
            ami_bridge,
            *("record", "-o", str(taken), "--duration", "2", "--anonymise"),
            *("--rules", str(rules)),
        )
    assert told.returncode == 0, told.stderr

    recorded = taken.read_bytes()
    assert b"Event: Hangup" in recorded
    for secret in (b"14155550100", b"15551230001", b"ACME", b"Alice"):
        assert secret not in recorded


async def test_a_full_disk_ends_a_recording(tmp_path: Path) -> None:
    """
    record stops when it cannot write any more, and says why, with exit code 74.
    """
    full = tmp_path / "taken.ami"
    full.symlink_to("/dev/full")
    async with Simulator(playlist((str(STORY),)), speed=0) as pbx:
        rules = rules_for(tmp_path, pbx.port)
        told = await asyncio.to_thread(
            ami_bridge, "record", "-o", str(full), "--overwrite", "--rules", str(rules)
        )

    assert told.returncode == 74
    assert told.stderr.splitlines()[-1] == f"{full}: No space left on device"


def test_where_nobody_logs_in_there_is_no_recording(tmp_path: Path) -> None:
    """
    A PBX that is away leaves no empty files, and the recording that is there as it is.
    """
    taken = tmp_path / "taken.ami"
    rules = rules_for(tmp_path, 1)
    told = ami_bridge("record", "-o", str(taken), "--rules", str(rules))

    assert told.returncode == 69
    assert {path.name for path in tmp_path.iterdir()} == {"rules.toml", "secret"}

    taken.write_text("precious")
    told = ami_bridge("record", "-o", str(taken), "--overwrite", "--rules", str(rules))

    assert told.returncode == 69
    assert taken.read_text() == "precious"


def test_ctrl_c_does_not_wait_for_a_pbx_that_is_silent(tmp_path: Path) -> None:
    """
    Who interrupts record before it has logged in does not wait for its time-out.
    """
    with socket.create_server(("127.0.0.1", 0)) as silent:
        rules = rules_for(tmp_path, silent.getsockname()[1])
        arguments = ("record", "-o", str(tmp_path / "taken.ami"), "--rules", str(rules))
        with subprocess.Popen([sys.executable, "-m", "ami_bridge", *arguments], cwd=PROJECT) as one:
            silent.settimeout(20)
            connection, _ = silent.accept()
            with connection:
                one.send_signal(signal.SIGINT)
                assert one.wait(5) == 130

    assert not (tmp_path / "taken.ami").exists()


@pytest.mark.parametrize("name", ["-", "taken.ts", "taken", "taken.gz"])
def test_a_recording_is_two_files(tmp_path: Path, name: str) -> None:
    """
    A name that leaves no place for the times of arrival is refused.
    """
    told = ami_bridge("record", "-o", name, "--rules", str(rules_for(tmp_path, 1)), cwd=tmp_path)

    assert told.returncode == 2
    assert "--output" in told.stderr
    assert {path.name for path in tmp_path.iterdir()} == {"rules.toml", "secret"}


def test_a_recording_is_not_overwritten(tmp_path: Path) -> None:
    """
    record refuses to replace a file unless told to.
    """
    taken = tmp_path / "taken.ami"
    taken.write_text("precious")

    told = ami_bridge("record", "-o", str(taken), "--rules", str(rules_for(tmp_path, 1)))

    assert told.returncode == 1
    assert "--overwrite" in told.stderr
    assert taken.read_text() == "precious"


def test_demo_ends_by_itself_and_delivers_everything() -> None:
    """
    The demo turns its calls into requests and sums up that none is missing.
    """
    told = ami_bridge("demo")

    assert told.returncode == 0, told.stderr
    assert "5 calls, 23 call events, 23 requests received, 0 left" in told.stdout


@pytest.mark.parametrize("command", [("receive", "-p"), ("simulate", str(STORY), "-p")])
def test_a_port_that_is_taken_is_named(command: tuple[str, ...]) -> None:
    """
    A server that cannot listen says where it cannot, and which option helps.
    """
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        told = ami_bridge(*command, str(port))

    assert told.returncode == 74
    assert told.stderr.startswith(f"127.0.0.1:{port}: Address already in use; --port")


def test_a_host_that_nobody_knows_is_named() -> None:
    """
    A name that is not resolved stands in the message.
    """
    told = ami_bridge("receive", "--host", "nosuch.invalid", "-p", "0")

    assert told.returncode == 74
    assert told.stderr.startswith("nosuch.invalid: ")


@pytest.mark.parametrize("number", ["nan", "inf"])
def test_what_is_no_number_is_refused(number: str) -> None:
    """
    A time without an end, or none at all, is a wrong command line.
    """
    assert CliRunner().invoke(cli, ["receive", "--delay", number]).exit_code == 2


def test_the_demo_fits_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    On a terminal of the usual width no line is broken.
    """
    monkeypatch.setenv("PYTHONPATH", str(PROJECT))
    monkeypatch.setenv("COLUMNS", "80")

    lines = click.unstyle(on_terminal("demo")).splitlines()

    assert "event      extension caller                request" in lines
    assert max(map(len, lines)) <= 80


def test_simulate_plays_standard_input_to_each_client(tmp_path: Path) -> None:
    """
    What came by a pipe is there for the second client, too.
    """
    with subprocess.Popen(
        [sys.executable, "-m", "ami_bridge", "simulate", "-", "-p", "0", "--speed", "max"],
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=PROJECT,
    ) as pbx:
        assert pbx.stdin is not None
        assert pbx.stderr is not None
        pbx.stdin.write(STORY.read_bytes())
        pbx.stdin.close()
        port = int(pbx.stderr.readline().partition(b"127.0.0.1:")[2].partition(b";")[0])
        rules = rules_for(tmp_path, port)
        for name in ("one.ami", "two.ami"):
            arguments = ("-o", str(tmp_path / name), "--rules", str(rules), "--duration", "1")
            assert ami_bridge("record", *arguments).returncode == 0
            assert b"Event: Hangup" in (tmp_path / name).read_bytes()
        pbx.terminate()
        assert pbx.wait(10) == 0


def test_simulate_refuses_what_is_no_recording() -> None:
    """
    A file of which nothing can be played is told before anybody connects.
    """
    told = ami_bridge("simulate", str(PROJECT / "README.md"), "-p", "0")

    assert told.returncode == 65
    assert "README.md: damaged at byte 0: no AMI message in it" in told.stderr


def test_simulate_tells_of_damage(tmp_path: Path) -> None:
    """
    What is readable of a damaged recording is played, and the damage is told.
    """
    cut = tmp_path / "cut.ami.gz"
    cut.write_bytes(gzip.compress(STORY.read_bytes())[:-100])
    told: list[str] = []

    played = list(playlist((str(cut),), lambda error: told.append(str(error)))())

    assert b"Event: Newchannel" in b"".join(octets for _, octets in played)
    assert told == [
        f"{cut}: damaged at byte {cut.stat().st_size}: the compressed data breaks off here"
    ]


def test_receive_ends_with_its_reader() -> None:
    """
    When nobody reads the output any more, the next request ends `receive`.
    """
    with socket.create_server(("127.0.0.1", 0)) as found:
        port = found.getsockname()[1]
    with subprocess.Popen(
        [sys.executable, "-m", "ami_bridge", "receive", "-p", str(port)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=PROJECT,
    ) as receiver:
        assert receiver.stdout is not None
        assert receiver.stderr is not None
        receiver.stderr.readline()
        receiver.stdout.close()
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/?x=1", timeout=5) as answer:
            assert answer.status == 200

        assert receiver.wait(5) == 141
        assert "Traceback" not in receiver.stderr.read()


def test_what_arrives_steers_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    """
    What a terminal would obey is shown as a mark.
    """
    parameters = {"CallerIDName": "\x1b[2JAlice\ud800", "\x9b1m": ""}
    show(Received(0.0, "GET", "/\x07", parameters, {}, 200))

    shown = capsys.readouterr().out
    assert "Alice" in shown
    assert not {"\x1b", "\x07", "\x9b", "\ud800"} & set(click.unstyle(shown))
