"""
The bridge's own API: the call-event requests of the rules.
"""

from pathlib import Path
from typing import Any

import pytest

from ami_bridge.adapters.receiver import Received, Receiver
from tests.unit.rules_files import load

from .houses import RULES, House, house

EVENTS = "/api/v1/events"
NEW = {"id": "new", "extension": "0003*001", "url": "https://crm.example.org/calls"}


@pytest.mark.parametrize(
    ("token", "seen"),
    [("reader", ["all", "helpdesk"]), ("tenant", ["helpdesk"]), ("desk", [])],
)
async def test_requests_within_the_scope_are_listed(
    visited: House, token: str, seen: list[str]
) -> None:
    """
    A list has the requests that tell of nobody beyond the visitor's scope.
    """
    found = (await visited.get(EVENTS, token)).content

    assert [event["id"] for event in found["events"]] == seen


async def test_a_request_is_shown_without_secrets(visited: House) -> None:
    """
    A request has VoipNow's attributes and ours, and nothing that lets anybody in.
    """
    found = await visited.get(f"{EVENTS}/helpdesk")

    assert found.content["event"] == ["Dial-In", "Hangup"]
    assert found.content["method"] == "POST"
    assert found.content["authorization"] == "Bearer"
    assert found.content["headers"] == {"X-Api-Key": "(not shown)"}
    assert "s3cret" not in found.text


async def test_a_request_is_added(visited: House) -> None:
    """
    A new request stands in the rules file, whose comments stay, and is in force at once.
    """
    found = await visited.ask("POST", EVENTS, content=NEW)

    assert found.status == 201
    assert found.headers["Location"] == f"{EVENTS}/new"
    assert (await visited.get(found.headers["Location"])).content == found.content
    text = visited.rules.read_text()
    assert text.startswith(RULES)
    assert 'id = "new"\nextension = "0003*001"\n' in text
    assert visited.reloads == 1


async def test_a_request_is_changed(visited: House) -> None:
    """
    Attributes that are given change, those that are null go, and all others stay.
    """
    content = {"status": "disabled", "notes": "Asked for.", "event": None}

    found = await visited.ask("PATCH", f"{EVENTS}/helpdesk", content=content)

    assert found.content["status"] == "disabled"
    assert found.content["notes"] == "Asked for."
    assert len(found.content["event"]) == 5
    assert found.content["authorization"] == "Bearer"


async def test_a_request_gets_another_id(visited: House) -> None:
    """
    A changed id is the one by which the request is found from then on.
    """
    found = await visited.ask("PATCH", f"{EVENTS}/all", content={"id": "everything"})

    assert found.content["id"] == "everything"
    assert (await visited.get(f"{EVENTS}/all")).status == 404


async def test_a_request_loses_its_id(visited: House) -> None:
    """
    A request without an id of its own has one that is derived from what it asks for.
    """
    found = await visited.ask("PATCH", f"{EVENTS}/all", content={"id": None})

    assert found.status == 200
    assert len(found.content["id"]) == 32
    assert (await visited.get(f"{EVENTS}/{found.content['id']}")).status == 200


async def test_a_request_is_removed(visited: House) -> None:
    """
    A removed request is gone from the file and from the API.
    """
    found = await visited.ask("DELETE", f"{EVENTS}/helpdesk")

    assert (found.status, found.text) == (204, "")
    assert (await visited.get(f"{EVENTS}/helpdesk")).status == 404
    assert "helpdesk" not in visited.rules.read_text()


@pytest.mark.parametrize(
    ("content", "paths"),
    [
        ({}, ["url"]),
        ({**NEW, "url": "ftp://x/"}, ["url"]),
        ({**NEW, "url": "http://169.254.169.254/latest"}, ["url"]),
        ({**NEW, "url": "http://localhost:8080/"}, ["url"]),
        ({**NEW, "url": "http://10.0.0.1/", "extension": "001"}, ["extension"]),
        ({**NEW, "url": "https://h/?token=***"}, ["url"]),
        ({**NEW, "methd": "POST"}, ["methd"]),
        ({**NEW, "event": "Ring", "method": "PUT"}, ["event", "method"]),
        ({**NEW, "id": "all"}, ["id"]),
        ({**NEW, "id": 7}, ["id"]),
        ({**NEW, "fields": "EventID"}, ["fields"]),
        ({**NEW, "omit_empty": "yes"}, ["omit_empty"]),
        ({**NEW, "headers": []}, ["headers"]),
        ({**NEW, "headers": {"X-Key": "(not shown)"}}, ["headers.X-Key"]),
        ({**NEW, "headers": {"X-Key": 1}}, ["headers.X-Key"]),
        ({**NEW, "auth": {"bearer_file": "/etc/shadow"}}, ["auth.bearer_file"]),
        ({**NEW, "auth": {"password_env": "HOME", "user": "u"}}, ["auth.password_env"]),
        ({**NEW, "notes": "\ud800"}, ["requests"]),
    ],
)
async def test_what_is_no_request_is_refused(
    visited: House, content: dict[str, Any], paths: list[str]
) -> None:
    """
    A request that is not valid, or leads where it may not, is refused with all its problems.
    """
    found = await visited.ask("POST", EVENTS, content=content)

    assert (found.status, found.error) == (422, "rules_invalid")
    assert found.paths == paths
    assert visited.rules.read_text() == RULES
    assert visited.reloads == 0


async def test_a_mistake_is_explained(visited: House) -> None:
    """
    A refusal says what was meant, as the rules' own checks do.
    """
    found = await visited.ask("POST", EVENTS, content={**NEW, "methd": "POST"})

    assert found.message == 'methd: is not known; did you mean "method"?'


@pytest.mark.parametrize("extension", [None, "*", "0004*", "0004*001", ["0003*1", "0004*1"]])
async def test_nobody_asks_for_others_calls(visited: House, extension: Any) -> None:
    """
    A tenant's token adds no request that would tell of another tenant's calls.
    """
    content = {**NEW, "extension": extension}

    found = await visited.ask("POST", EVENTS, token="tenant-changer", content=content)

    assert (found.status, found.paths) == (422, ["extension"])
    assert visited.rules.read_text() == RULES


async def test_nobody_widens_a_request(visited: House) -> None:
    """
    A tenant's token cannot change its own request into one for everybody.
    """
    found = await visited.ask(
        "PATCH", f"{EVENTS}/helpdesk", token="tenant-changer", content={"extension": "*"}
    )

    assert (found.status, found.paths) == (422, ["extension"])


@pytest.mark.parametrize(
    ("method", "path"), [("GET", ""), ("PATCH", ""), ("DELETE", ""), ("POST", "/test")]
)
async def test_others_requests_do_not_exist(visited: House, method: str, path: str) -> None:
    """
    A request beyond the scope is answered like one that is not there.
    """
    answers = [
        await visited.ask(method, f"{EVENTS}/{name}{path}", token="tenant-changer", content={})
        for name in ("all", "none")
    ]

    assert [answer.status for answer in answers] == [404, 404]
    assert answers[0].text.replace("request all", "request none") == answers[1].text


async def test_secrets_are_not_sent_elsewhere(visited: House) -> None:
    """
    A URL on another host is refused as long as the request carries what somebody else set.
    """
    content: dict[str, Any] = {"url": "https://attacker.example.org/"}
    path = f"{EVENTS}/helpdesk"

    refused = await visited.ask("PATCH", path, token="tenant-changer", content=content)
    content |= {"headers": None, "auth": None}
    taken = await visited.ask("PATCH", path, token="tenant-changer", content=content)

    assert (refused.status, refused.paths) == (422, ["headers", "auth"])
    assert (taken.status, taken.content["authorization"]) == (200, None)


async def test_secrets_stay_with_their_host(visited: House) -> None:
    """
    Another path on the same host needs nothing anew.
    """
    content = {"url": "http://127.0.0.1:9/other"}

    found = await visited.ask("PATCH", f"{EVENTS}/helpdesk", content=content)

    assert (found.status, found.content["authorization"]) == (200, "Bearer")


async def test_a_sample_is_sent(tmp_path: Path) -> None:
    """
    A test sends one marked notification and gives the request without secrets, and the answer.
    """
    heard: list[Received] = []
    async with Receiver(heard.append) as receiver:
        rules = RULES.replace("http://127.0.0.1:9", receiver.url.rstrip("/"))
        async with house(tmp_path, rules) as visited:
            path = f"{EVENTS}/helpdesk/test"
            found = await visited.ask("POST", path, content={"event": "Hangup"})

    assert found.content["delivered"] is True
    assert found.content["event"] == "Hangup"
    assert found.content["answer"]["status"] == 200
    assert found.content["request"]["headers"]["X-Ami-Bridge-Test"] == "1"
    assert "s3cret" not in found.text
    assert len(heard) == 1


@pytest.mark.parametrize("method", ["POST", "PATCH", "DELETE"])
async def test_rules_that_cannot_be_written_are_a_conflict(
    visited: House, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    """
    A rules file that cannot be written is told as a conflict, with the reason.
    """
    monkeypatch.setattr("ami_bridge.config.replacing.tempfile.mkstemp", _full)
    path = EVENTS if method == "POST" else f"{EVENTS}/helpdesk"

    found = await visited.ask(method, path, content=NEW if method == "POST" else {"notes": "x"})

    assert (found.status, found.error) == (409, "rules_not_written")
    assert "No space left" in found.message


def _full(**_: Any) -> Any:
    raise OSError(28, "No space left on device")


async def test_rules_that_lack_a_secret_are_not_written(visited: House) -> None:
    """
    While a secret of the rules is missing, no change is written that could not be used.
    """
    text = visited.rules.read_text() + '[[requests]]\nurl = "http://h/"\nauth.bearer_file = "gone"'
    visited.rules.write_text(text)

    found = await visited.ask("POST", EVENTS, content=NEW)

    assert found.status == 422
    assert visited.rules.read_text() == text


def test_the_rules_of_these_tests_are_right(tmp_path: Path) -> None:
    """
    The rules of these tests have all tokens and requests.
    """
    config = load(tmp_path, RULES, secret_needed=False)

    assert len(config.rules) == 2
