"""
``ami-bridge events``: the requests of a rules file, looked at, edited and tried out.
"""

import asyncio
import json
import os
import pty
import subprocess
import sys
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from aiohttp import web
from click.testing import CliRunner, Result
from standardwebhooks import Webhook

from ami_bridge.adapters.connecting import Connections
from ami_bridge.cli import cli
from ami_bridge.config import load_config
from ami_bridge.core.call_events import EventType
from ami_bridge.errors import ConfigError, RulesFileError
from ami_bridge.sampling import send_sample
from tests.integration.receivers import ScriptedReceiver, status

PROJECT = Path(__file__).parents[2]
SIGNING_SECRET = "whsec_" + "czNjcmV0" * 4
RULES = """\
# Where the CRM is told.
[[requests]]
id = "crm"
extension = "0003*2*"   # sales
url = "https://crm.example.org/pbx.php?token=s3cret"
event = ["Dial-In", "Hangup"]

[[requests]]
id = "wall"
status = "disabled"
notes = "Ask the\\nhelpdesk."
url = "https://wall.example.org/"
"""


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    """
    Give a rules file with two requests.
    """
    path = tmp_path / "rules.toml"
    path.write_text(RULES, encoding="utf-8")
    return path


@pytest.fixture
def controlled(rules: Path) -> Path:
    """
    Give a rules file by which the running bridge can be reached.
    """
    rules.write_text(f'[control]\nsocket = "control.sock"\n{RULES}', encoding="utf-8")
    return rules


def events(rules: Path, name: str, *arguments: str, answer: str = "") -> Result:
    """
    Run ``ami-bridge events`` with *name* and *arguments* on the file *rules*.
    """
    command = ["events", name, "--rules", str(rules), *arguments]
    return CliRunner().invoke(cli, command, input=answer)


async def tried(rules: Path, *arguments: str) -> Result:
    """
    Run ``ami-bridge events test``, while this loop goes on.
    """
    return await asyncio.to_thread(events, rules, "test", *arguments)


# -- looking -----------------------------------------------------------------------------


def test_list_is_a_table(rules: Path) -> None:
    """
    Each request is one line with its attributes, and what is secret in its URL is not shown.
    """
    told = events(rules, "list")

    heading, crm, wall = told.output.splitlines()
    assert heading.split() == ["ID", "Extension", "Event", "Method", "URL", "Status", "Notes"]
    assert crm.split()[:4] == ["crm", "0003*2*", "Dial-In,", "Hangup"]
    assert "https://crm.example.org/pbx.php?token=***  enabled" in crm
    assert " ".join(wall.split()) == (
        "wall * all GET https://wall.example.org/ disabled Ask the helpdesk."
    )


def test_list_for_programs(rules: Path) -> None:
    """
    With --json there are all attributes, defaults included, under the names of rules.toml.
    """
    crm, wall = json.loads(events(rules, "list", "--json").output)

    assert crm["event"] == ["Dial-In", "Hangup"]
    assert crm["url"] == "https://crm.example.org/pbx.php?token=***"
    assert (wall["status"], wall["method"], wall["format"]) == ("disabled", "GET", "form")
    assert json.loads(events(rules, "show", "--json", "wall").output) == wall


def test_no_requests(tmp_path: Path) -> None:
    """
    An empty list is said to be one, and is one for programs.
    """
    rules = tmp_path / "rules.toml"
    rules.touch()

    assert "events add" in events(rules, "list").stderr
    assert json.loads(events(rules, "list", "--json").output) == []


def test_show_tells_all_but_secrets(rules: Path) -> None:
    """
    show prints what is written and what it means, and no value that lets somebody in.
    """
    with rules.open("a", encoding="utf-8") as file:
        file.write(
            'method = "POST"\nparameters.api_key = "hush1"\nparameters.a = "b"\n'
            'headers.X-Token = "hush2"\nauth.bearer = "hush3"\n'
            f'auth.signing_secret = "{SIGNING_SECRET}"\n'
        )

    told = events(rules, "show", "wall")

    assert told.exit_code == 0
    assert '  notes = "Ask the\\nhelpdesk."' in told.output
    assert '  parameters.a = "b"' in told.output
    assert "  wall - DISABLED" in told.output
    assert "authorization by a bearer token" in told.output
    assert not any(secret in told.output for secret in ("hush", SIGNING_SECRET))


@pytest.mark.parametrize("name", ["show", "enable", "disable", "remove", "test"])
def test_unknown_ids_get_a_suggestion(rules: Path, name: str) -> None:
    """
    An id that is not there is named, with what may have been meant, and nothing changes.
    """
    told = events(rules, name, "crn")

    assert told.exit_code == 2
    assert 'did you mean "crm"?' in told.stderr
    assert rules.read_text(encoding="utf-8") == RULES


def test_without_a_rules_file(tmp_path: Path) -> None:
    """
    Without a file there is nothing to edit, and it is said how to make one.
    """
    told = events(tmp_path / "rules.toml", "enable", "crm")

    assert told.exit_code == 2
    assert "events add --create" in told.stderr


# -- editing -----------------------------------------------------------------------------


def test_add_writes_every_option(rules: Path) -> None:
    """
    What is asked for stands in the file behind the others, and the id is printed.
    """
    (rules.parent / "token").write_text("t0ken", encoding="utf-8")

    told = events(
        rules,
        "add",
        *("--id", "new", "--url", "https://new.example.org/", "--method", "post"),
        *("--extension", "0003*001", "--extension", "0003*3*", "--event", "answer"),
        *("--status", "disabled", "--notes", "Neu", "--format", "json", "--field", "EventID"),
        *("--parameter", "title={CallerIDName} = who", "--header", "X-Source: a: b"),
        *("--omit-empty", "--hangup-status", "detailed", "--bearer-file", "token"),
    )

    assert (told.exit_code, told.stdout) == (0, "new\n")
    written = rules.read_text(encoding="utf-8")
    assert written.startswith(RULES)
    rule = load_config(rules, {}).rules[2]
    assert [pattern.text for pattern in rule.extensions] == ["0003*001", "0003*3*"]
    assert rule.events == {EventType.ANSWER_IN, EventType.ANSWER_OUT}
    assert (rule.enabled, rule.notes, rule.omit_empty) == (False, "Neu", True)
    assert rule.parameters["title"].text == "{CallerIDName} = who"
    assert rule.headers == {"X-Source": "a: b"}
    assert rule.credentials.authorization == "Bearer t0ken"


def test_add_without_an_id(rules: Path) -> None:
    """
    The id that is printed is the derived one, and what deserves a second look is said.
    """
    told = events(rules, "add", "--url", "http://127.0.0.1/")

    assert told.stdout.strip() == load_config(rules, {}).rules[2].id
    assert "requests[2].url: 127.0.0.1 is a loopback address" in told.stderr


def test_add_can_make_the_file(tmp_path: Path) -> None:
    """
    Only when asked to, add makes a rules file; the next one is put into it.
    """
    rules = tmp_path / "rules.toml"

    assert events(rules, "add", "--url", "https://a.example/").exit_code == 2
    assert not rules.exists()
    for host in ("a", "b"):
        assert events(rules, "add", "--create", "--url", f"https://{host}.example/").exit_code == 0
    assert len(load_config(rules, {}).rules) == 2


def test_what_would_not_be_valid_is_not_written(rules: Path) -> None:
    """
    The rules' reader names every mistake, and the file is as it was.
    """
    told = events(rules, "add", "--url", "ftp://x", "--event", "Dialin", "--id", "crm")

    assert isinstance(told.exception, ConfigError)
    assert {problem.path for problem in told.exception.problems} == {
        "requests[2].url",
        "requests[2].event",
    }
    assert rules.read_text(encoding="utf-8") == RULES


@pytest.mark.parametrize(
    ("option", "value"), [("--header", "X-A"), ("--header", ":x"), ("--parameter", "a:b")]
)
def test_what_is_no_assignment(rules: Path, option: str, value: str) -> None:
    """
    A header or parameter without its name or value is refused with the form that it has.
    """
    told = events(rules, "add", "--url", "https://a.example/", option, value)

    assert told.exit_code == 2
    assert f"'{value}' is not NAME" in told.stderr


def test_enable_and_disable(rules: Path) -> None:
    """
    The word in the file changes, and nothing else; several are edited at once.
    """
    assert events(rules, "enable", "wall", "crm").output == "wall enabled\ncrm enabled\n"
    assert rules.read_text(encoding="utf-8") == RULES.replace('"disabled"', '"enabled"')

    assert events(rules, "disable", "wall").exit_code == 0
    assert rules.read_text(encoding="utf-8") == RULES


def test_several_are_edited_together_or_not_at_all(rules: Path) -> None:
    """
    If one of the ids is wrong, the others are not edited either.
    """
    assert events(rules, "enable", "wall", "nobody").exit_code == 2
    assert rules.read_text(encoding="utf-8") == RULES


def test_remove(rules: Path) -> None:
    """
    The request goes, with its comment; a script is not asked.
    """
    assert events(rules, "remove", "crm").exit_code == 0
    assert rules.read_text(encoding="utf-8") == RULES[RULES.index('[[requests]]\nid = "wall"') :]


@pytest.mark.parametrize(("answer", "code", "left"), [(b"n\n", 130, 2), (b"y\n", 0, 1)])
def test_remove_asks_on_a_terminal(rules: Path, answer: bytes, code: int, left: int) -> None:
    """
    On a terminal the request is shown first, and only a yes removes it.
    """
    ours, theirs = pty.openpty()
    os.write(ours, answer)
    told = subprocess.run(
        [sys.executable, "-m", "ami_bridge", "events", "remove", "-r", str(rules), "crm"],
        stdin=theirs,
        capture_output=True,
        timeout=60,
        check=False,
        env={"PYTHONPATH": str(PROJECT), "PATH": "/usr/bin:/bin"},
    )
    os.close(theirs)
    os.close(ours)

    assert told.returncode == code, told.stderr
    assert b"crm.example.org" in told.stderr
    assert len(load_config(rules, {}).rules) == left


def test_yes_asks_nothing(rules: Path) -> None:
    """
    With --yes the request is removed without a question.
    """
    assert events(rules, "remove", "--yes", "crm").output == "crm removed\n"


def test_a_file_that_cannot_be_written(rules: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    A full disk is said, with exit code 74, and the file is as it was.
    """

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    told = events(rules, "disable", "crm")

    assert isinstance(told.exception, RulesFileError)
    assert told.exception.exit_code == 74
    assert rules.read_text(encoding="utf-8") == RULES


@pytest.mark.parametrize(
    ("code", "said"),
    [(200, ""), (409, "The running bridge has not loaded the rules: not now\n")],
)
async def test_a_running_bridge_is_told(controlled: Path, code: int, said: str) -> None:
    """
    After an edit the bridge at the rules' socket is asked to load them; a refusal is said.
    """
    told: list[str] = []

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        told.append(f"{request.method} {request.path}")
        assert load_config(controlled, {}).rules[1].enabled
        return web.json_response({"error": {"message": "not now"}}, status=code)

    runner = web.ServerRunner(web.Server(answer, access_log=None))
    await runner.setup()
    await web.UnixSite(runner, controlled.parent / "control.sock").start()
    try:
        done = await asyncio.to_thread(events, controlled, "enable", "wall")
        again = await asyncio.to_thread(events, controlled, "enable", "wall")
    finally:
        await runner.cleanup()

    assert (done.exit_code, done.stdout, done.stderr) == (0, "wall enabled\n", said)
    assert again.exit_code == 0
    assert told == ["POST /api/v1/reload"]


def test_no_bridge_runs(controlled: Path) -> None:
    """
    Without a bridge at the socket the edit is made all the same.
    """
    done = events(controlled, "enable", "wall")

    assert (done.exit_code, done.output) == (0, "wall enabled\n")


# -- trying out --------------------------------------------------------------------------


def rules_to(receiver: ScriptedReceiver, folder: Path, lines: str = "") -> Path:
    """
    Write rules whose one request goes to *receiver*.
    """
    path = folder / "rules.toml"
    path.write_text(
        'delivery.allow_hosts = ["127.0.0.1"]\n'
        f'[[requests]]\nid = "here"\nurl = "{receiver.url}/x?key=s3cret"\n{lines}\n',
        encoding="utf-8",
    )
    return path


async def test_a_sample_is_told_as_one(tmp_path: Path) -> None:
    """
    The receiver gets one request that is plainly a test; request and answer are shown.
    """
    async with ScriptedReceiver() as receiver:
        rules = rules_to(receiver, tmp_path, 'extension = "0003*2*"\nstatus = "disabled"')
        told = await tried(rules, "here")

    assert told.exit_code == 0, told.output
    (heard,) = receiver.heard
    values = {name: value for name, (value,) in parse_qs(urlsplit(heard.raw_path).query).items()}
    assert heard.headers["X-Ami-Bridge-Test"] == "1"
    assert values["CallID"].startswith("ami-bridge-test-")
    assert values["CallerIDName"] == "ami-bridge test"
    assert (values["CalledExtension"], values["CallStatus"]) == ("0003*201", "CALLING")
    assert values["key"] == "s3cret"
    assert f"GET {receiver.url}/x?key=***&CallID={values['CallID']}" in told.output
    assert "X-Ami-Bridge-Test: 1" in told.output
    assert "answer 200 after " in told.output
    assert told.output.endswith("  OK\n")


async def test_a_sample_has_the_credentials(tmp_path: Path) -> None:
    """
    Authentication and signature are as always, and neither they nor an echo of them is shown.
    """
    async with ScriptedReceiver() as receiver:
        rules = rules_to(
            receiver,
            tmp_path,
            'method = "POST"\nformat = "json"\n[requests.auth]\nbearer = "t0ken-t0ken"\n'
            f'signing_secret = "{SIGNING_SECRET}"',
        )
        told = await tried(rules, "here", "--event", "hangup")

    (heard,) = receiver.heard
    Webhook(SIGNING_SECRET).verify(heard.body, heard.headers)
    assert json.loads(heard.body)["CallStatus"] == "ANSWER"
    assert heard.headers["Authorization"] == "Bearer t0ken-t0ken"
    assert '"CallStatus": "ANSWER"' in told.output
    assert "t0ken" not in told.output
    assert heard.headers["webhook-signature"] not in told.output
    assert f"webhook-id: {heard.headers['webhook-id']}" in told.output


@pytest.mark.parametrize("code", [302, 404, 410, 500])
async def test_a_sample_that_is_not_taken(tmp_path: Path, code: int) -> None:
    """
    Any other answer is shown, sent once only, and ends with exit code 1.
    """
    async with ScriptedReceiver(always=status(code, Location="/")) as receiver:
        told = await tried(rules_to(receiver, tmp_path), "here")

    assert told.exit_code == 1
    assert f"answer {code} after" in told.output
    assert f"  answer {code}\n" in told.output
    assert len(receiver.heard) == 1


async def test_a_sample_goes_only_where_requests_may(tmp_path: Path) -> None:
    """
    The safety rules of destinations hold for samples.
    """
    async with ScriptedReceiver() as receiver:
        rules = rules_to(receiver, tmp_path)
        text = rules.read_text(encoding="utf-8")
        rules.write_text(text.partition("\n")[2], encoding="utf-8")
        told = await tried(rules, "here")

    assert told.exit_code == 1
    assert "no answer after" in told.output
    assert "is a loopback address and not contacted" in told.output
    assert not receiver.heard


async def test_an_answer_cannot_speak_to_the_terminal(tmp_path: Path) -> None:
    """
    Control characters of an answer are shown as a mark, and a secret that it repeats as stars.
    """

    async def rude(_: web.BaseRequest) -> web.StreamResponse:
        return web.Response(text="\x1b[2J you sent s3cret")

    async with ScriptedReceiver(always=rude) as receiver:
        told = await tried(rules_to(receiver, tmp_path), "here")

    assert "\N{REPLACEMENT CHARACTER}[2J you sent ***" in told.output


async def test_a_sample_needs_its_own_secrets(tmp_path: Path) -> None:
    """
    Without its own credentials nothing is sent; those of another request do not matter.
    """
    other = '[[requests]]\nid = "other"\nurl = "https://o.example/"\nauth.bearer_file = "missing"\n'
    async with ScriptedReceiver() as receiver:
        rules = rules_to(receiver, tmp_path, other)
        assert (await tried(rules, "here")).exit_code == 0
        refused = await tried(rules, "other")

    assert isinstance(refused.exception, ConfigError)
    assert [problem.path for problem in refused.exception.problems] == [
        "requests[1].auth.bearer_file"
    ]


async def test_an_event_that_is_not_asked_for(tmp_path: Path) -> None:
    """
    A sample of another event than the request asks for is sent, and that is said.
    """
    async with ScriptedReceiver() as receiver:
        rules = rules_to(receiver, tmp_path, 'event = "Hangup"')
        told = await tried(rules, "here", "--event", "Dial-Out")

    assert told.exit_code == 0
    assert "here does not ask for Dial-Out" in told.stderr
    assert "CallFlow=OUT" in receiver.heard[0].raw_path


async def test_samples_over_connections_that_are_open(tmp_path: Path) -> None:
    """
    A bridge that runs can send a sample over its own connections; a rule's header gives way.
    """
    async with ScriptedReceiver() as receiver:
        rules = rules_to(receiver, tmp_path, 'headers.x-ami-bridge-test = "no"')
        config = load_config(rules, {})
        async with Connections(config.delivery) as connections:
            first, second = [
                await send_sample(config.rules[0], config, connections=connections)
                for _ in range(2)
            ]

    assert first.delivered
    assert second.delivered
    assert first.call_event.call_id != second.call_event.call_id
    assert len(receiver.connections) == 1
    assert {heard.headers["X-Ami-Bridge-Test"] for heard in receiver.heard} == {"1"}
