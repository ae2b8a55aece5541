"""
VoipNow's UnifiedAPI for call events, as programs use it that were written for VoipNow.
"""

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from ami_bridge.config import load_config
from ami_bridge.core.call_events import EventType

from .houses import RULES, Answer, House, house

MINE = """
[[requests]]
id = "popup"
extension = "0003*210"
event = "Dial-In"
url = "http://127.0.0.1:9/popup?token=s3cret"
notes = "For Anna"

# Several events at once.
[[requests]]
id = "several"
extension = "0003*210"
event = ["Hangup", "Answer"]
method = "POST"
url = "http://127.0.0.1:9/log"
status = "disabled"
headers = {"X-Api-Key" = "s3cret"}
auth.user = "anna"
auth.password = "s3cret-of-anna"
[requests.parameters]
Desk = "{CalledExtension} at the front"
"""
BASE = "/uapi/extensions/@me/0003*210/phoneCallEvents"
NEW = {"type": "0", "method": "1", "url": "http://127.0.0.1:9/new", "status": "1", "note": "new"}


@pytest.fixture
async def visited(tmp_path: Path) -> AsyncIterator[House]:
    """
    Give a bridge in whose rules an extension has requests of its own.
    """
    async with house(tmp_path, RULES + MINE) as found:
        yield found


async def listed(visited: House, path: str = BASE, **query: str) -> list[tuple[str, str]]:
    """
    Give type and id of what is listed at *path*.
    """
    found = await visited.get(path, **query)
    assert found.status == 200, found.text
    return [(one["type"], one["id"]) for one in found.content["entry"]]


def rules_of(visited: House) -> dict[str, Any]:
    """
    Give the requests that the rules file has now, by their ids.
    """
    config = load_config(visited.rules, {}, secret_needed=False)
    return {rule.id: rule for rule in config.rules}


# -- looking ---------------------------------------------------------------------------


async def test_list(visited: House) -> None:
    """
    The events of an extension are listed with all values as strings; secrets are masked.
    """
    found = await visited.get(BASE)

    assert found.content["totalResults"] == "4"
    assert found.content["itemsPerPage"] == "20"
    first = found.content["entry"][0]
    modified = first.pop("modified")
    assert datetime.fromisoformat(modified).timestamp() == int(visited.rules.stat().st_mtime)
    assert first == {
        "type": "0",
        "id": "popup",
        "method": "0",
        "note": "For Anna",
        "url": "http://127.0.0.1:9/popup?token=***",
        "status": "1",
        "links": {"self": f"{visited.url}{BASE}/0/popup"},
    }
    assert await listed(visited) == [
        *(("0", "popup"), ("2", "several"), ("3", "several"), ("4", "several"))
    ]


@pytest.mark.parametrize("user", ["@me", "@viewer", "@owner", "1234"])
async def test_whose_list(visited: House, user: str) -> None:
    """
    The bridge has no users: whoever is named, the token decides; the star may be encoded.
    """
    assert len(await listed(visited, f"/uapi/extensions/{user}/0003%2A210/phoneCallEvents/")) == 4


async def test_links_behind_a_proxy(tmp_path: Path) -> None:
    """
    A link says https where the rules say that a proxy speaks it.
    """
    rules = RULES.replace("[control]", "[control]\nbehind_https = true") + MINE
    async with house(tmp_path, rules) as visited:
        headers = {"Host": "pbx.example.org"}
        found = await visited.ask("GET", f"{BASE}/0/popup", headers=headers)

    assert found.content["links"]["self"] == f"https://pbx.example.org{BASE}/0/popup"


async def test_list_of_a_type(visited: House) -> None:
    """
    The list can be of one type.
    """
    assert await listed(visited, f"{BASE}/3") == [("3", "several")]
    assert await listed(visited, f"{BASE}/3/") == [("3", "several")]
    assert (await visited.get(f"{BASE}/5")).error == "pce_type_invalid"


async def test_one(visited: House) -> None:
    """
    An event is found by type and id, as its link says.
    """
    found = await visited.get(f"{BASE}/2/several")

    assert (found.content["type"], found.content["status"]) == ("2", "0")
    link = found.content["links"]["self"].removeprefix(visited.url)
    assert (await visited.get(link)).content == found.content
    assert (await visited.get(f"{link}/")).content == found.content
    assert (await visited.get(f"{BASE}/1/several")).status == 404


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        pytest.param({"count": "1"}, ["0"], id="count"),
        pytest.param({"count": "2", "startIndex": "2"}, ["3", "4"], id="start"),
        pytest.param({"startIndex": "5000"}, [], id="beyond"),
        pytest.param({"filterBy": "id", "filterValue": "popup"}, ["0"], id="by id"),
        pytest.param({"filterBy": "note", "filterValue": "Anna"}, ["0"], id="by part of a note"),
        pytest.param({"filterBy": "url", "filterValue": "/log"}, ["2", "3", "4"], id="by url"),
        pytest.param({"filterBy": "status", "filterValue": "1"}, ["0"], id="by status"),
        pytest.param({"filterBy": "method", "filterValue": "2"}, [], id="by no method"),
        pytest.param({"sortOrder": "ascending", "count": "1"}, ["2"], id="sorted by url"),
        pytest.param({"sortOrder": "desc", "count": "1"}, ["0"], id="backwards"),
    ],
)
async def test_choosing(visited: House, query: dict[str, str], expected: list[str]) -> None:
    """
    A list is chosen by a field, sorted by URL, and cut into pages.
    """
    assert [number for number, _ in await listed(visited, **query)] == expected


async def test_fields(visited: House) -> None:
    """
    Only the fields that are asked for are told.
    """
    found = await visited.get(BASE, fields="id,status", count="1")

    assert found.content["entry"] == [{"id": "popup", "status": "1"}]


@pytest.mark.parametrize(
    "query",
    [
        {"count": "x"},
        {"count": "-1"},
        {"startIndex": "5001"},
        {"filterBy": "colour"},
        {"fields": "id,colour"},
        {"sortOrder": "sideways"},
    ],
)
async def test_odd_questions(visited: House, query: dict[str, str]) -> None:
    """
    What cannot be meant is refused with a sentence.
    """
    found = await visited.get(BASE, **query)

    assert found.status == 400
    assert found.message


# -- changing --------------------------------------------------------------------------


async def test_adding(visited: House) -> None:
    """
    An event that is added is in the rules at once, under an id of thirty letters and digits.
    """
    found = await visited.ask("POST", f"{BASE}/", content=NEW)

    assert found.status == 200
    event_id = found.content["id"]
    assert len(event_id) == 30
    assert event_id.isalnum()
    rule = rules_of(visited)[event_id]
    assert [pattern.text for pattern in rule.extensions] == ["0003*210"]
    assert (rule.events, rule.method, rule.enabled) == ({EventType.DIAL_IN}, "POST", True)
    assert (rule.url, rule.notes) == ("http://127.0.0.1:9/new", "new")
    assert ("0", event_id) in await listed(visited)
    assert "# Several events at once." in visited.rules.read_text(encoding="utf-8")


async def test_adding_under_an_id(visited: House) -> None:
    """
    An id may be given, if the type has none such; numbers instead of strings are understood.
    """
    odd = {"type": 2, "method": 0, "status": 0, "note": 7, "surprise": [1]}
    content = NEW | odd | {"id": "Nq3y"}

    assert (await visited.ask("POST", BASE, content=content)).content == {"id": "Nq3y"}
    again = await visited.ask("POST", BASE, content=content)

    assert (again.status, again.error) == (400, "pce_id_invalid")
    rule = rules_of(visited)["Nq3y"]
    assert (rule.method, rule.enabled, rule.notes) == ("GET", False, "7")


async def test_adding_the_least(visited: House) -> None:
    """
    Type and URL are enough: it is a GET, and enabled; null is as if it were not given.
    """
    content = {"type": "4", "url": "http://127.0.0.1:9/", "note": None, "method": None, "id": ""}

    found = await visited.ask("POST", BASE, content=content)

    rule = rules_of(visited)[found.content["id"]]
    assert (rule.method, rule.enabled, rule.notes) == ("GET", True, "")


async def test_the_same_id_for_many(visited: House) -> None:
    """
    As with VoipNow, an id is of an extension and a type: others may have it, and nobody notices.
    """
    other = "/uapi/extensions/@me/0003*211/phoneCallEvents"
    for path, number in ((BASE, "1"), (BASE, "2"), (other, "1"), (other, "2")):
        # Another request, of everybody, has this id.
        content = NEW | {"type": number, "id": "all"}
        assert (await visited.ask("POST", path, content=content)).content == {"id": "all"}

    assert [one for one in await listed(visited) if one[1] == "all"] == [("1", "all"), ("2", "all")]
    assert await listed(visited, other) == [("1", "all"), ("2", "all")]
    assert {"all.1", "all.2", "all.1-2", "all.2-2"} <= set(rules_of(visited))
    await visited.ask("PUT", f"{other}/2/all", content={"note": "mine"})
    await visited.ask("DELETE", f"{other}/1/all")
    assert await listed(visited, other) == [("2", "all")]
    assert rules_of(visited)["all.2-2"].notes == "mine"
    assert rules_of(visited)["all"].notes == ""


async def test_two_at_once(visited: House) -> None:
    """
    Of two who add an event under one id at the same time, one is refused.
    """
    content = NEW | {"id": "Nq3y"}

    found = await asyncio.gather(
        *(visited.ask("POST", BASE, content=content) for _ in range(2)),
    )

    assert sorted(one.status for one in found) == [200, 400]
    assert "pce_id_invalid" in {one.error for one in found if one.status == 400}


async def test_an_id_too_long(visited: House) -> None:
    """
    An id that is taken, and leaves no room to be told apart, is refused.
    """
    content = NEW | {"id": "a" * 255}
    assert (await visited.ask("POST", BASE, content=content)).status == 200

    found = await visited.ask("POST", BASE, content=content | {"type": "1"})

    assert (found.status, found.error) == (400, "pce_id_invalid")


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"type": "5"}, "pcet_type_invalid"),
        ({"type": None}, "pcet_type_invalid"),
        ({"method": "2"}, "pce_method_invalid"),
        ({"status": "yes"}, "pce_status_invalid"),
        ({"id": "a-b"}, "pce_id_invalid"),
        ({"id": "a" * 256}, "pce_id_invalid"),
        ({"url": "ftp://example.org/"}, "pce_url_invalid"),
        ({"url": ""}, "pce_url_invalid"),
        ({"url": 7}, "pce_url_invalid"),
        ({"url": "http://169.254.169.254/latest/meta-data"}, "pce_url_invalid"),
        ({"url": "http://10.0.0.1/"}, "pce_url_invalid"),
        ({"url": "http://[::1]/"}, "pce_url_invalid"),
        ({"url": None}, "pce_url_invalid"),
        ({"url": "http://127.0.0.1:9/?token=***"}, "pce_url_invalid"),
        ({"url": ["http://127.0.0.1:9/"]}, "pce_url_invalid"),
        ({"url": "http://127.0.0.1:9/?CallID=1", "method": "0"}, "pce_url_invalid"),
        ({"note": [7]}, "pce_invalid"),
        ({"note": "\ud800"}, "pce_invalid"),
        ({"id": True}, "pce_id_invalid"),
        ({"method": True}, "pce_method_invalid"),
    ],
)
async def test_what_is_not_added(visited: House, changed: dict[str, Any], code: str) -> None:
    """
    What VoipNow would refuse is refused in its words, and so is a place that is not allowed.
    """
    before = visited.rules.read_bytes()

    found = await visited.ask("POST", BASE, content=NEW | changed)

    assert (found.status, found.error) == (400, code)
    assert visited.rules.read_bytes() == before


async def test_changing(visited: House) -> None:
    """
    What is given is changed, and everything else stays.
    """
    found = await visited.ask("PUT", f"{BASE}/0/popup", content={"method": "1", "note": "New"})

    assert (found.status, found.content) == (200, {"id": "popup"})
    rule = rules_of(visited)["popup"]
    assert (rule.method, rule.notes) == ("POST", "New")
    assert rule.url == "http://127.0.0.1:9/popup?token=s3cret"


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"method": "x"}, "pce_method_invalid"),
        ({"url": "http://192.168.0.1/"}, "pce_url_invalid"),
        ({"url": "http://127.0.0.1:9/other?token=***"}, "pce_url_invalid"),
        ({"type": "1"}, "pce_type_invalid"),
        ({"id": "other"}, "pce_id_invalid"),
    ],
)
async def test_what_is_not_changed(visited: House, changed: dict[str, Any], code: str) -> None:
    """
    A change that cannot be is refused, and so is a masked secret that goes elsewhere.
    """
    found = await visited.ask("PUT", f"{BASE}/0/popup", content=changed)

    assert (found.status, found.error) == (400, code)


async def test_what_was_got_is_put(visited: House) -> None:
    """
    What was got can be put back with a change; secrets that were not shown stay.
    """
    content = (await visited.get(f"{BASE}/0/popup")).content | {"status": "0"}

    assert (await visited.ask("PUT", f"{BASE}/0/popup/", content=content)).status == 200

    rule = rules_of(visited)["popup"]
    assert (rule.enabled, rule.url) == (False, "http://127.0.0.1:9/popup?token=s3cret")


async def test_putting_back_the_same(visited: House) -> None:
    """
    What changes nothing leaves the rules as they are, also those of several events.
    """
    before = visited.rules.read_bytes()
    content = (await visited.get(f"{BASE}/2/several")).content

    assert (await visited.ask("PUT", f"{BASE}/2/several", content=content)).status == 200
    assert (await visited.ask("PUT", f"{BASE}/2/several", content={})).status == 200

    assert visited.rules.read_bytes() == before


async def test_changing_one_of_several(visited: House) -> None:
    """
    One of several events gets a rule of its own, with all that the rule had; names stay.
    """
    before = (await visited.get(f"{BASE}/3/several")).content
    content = {"status": "1", "url": "http://127.0.0.1:9/other"}

    found = await visited.ask("PUT", f"{BASE}/2/several", content=content)

    assert (found.status, found.content) == (200, {"id": "several"})
    rules = rules_of(visited)
    old, new = rules["several"], rules["several.2"]
    assert (old.events, old.enabled) == ({EventType.ANSWER_IN, EventType.ANSWER_OUT}, False)
    assert (new.events, new.enabled, new.url) == (
        {EventType.HANGUP},
        True,
        "http://127.0.0.1:9/other",
    )
    for rule in (old, new):
        assert (rule.method, rule.headers) == ("POST", {"X-Api-Key": "s3cret"})
        assert rule.credentials == old.credentials
        assert rule.parameters.keys() == {"Desk"}
    after = (await visited.get(f"{BASE}/3/several")).content
    assert (after["url"], after["status"]) == (before["url"], before["status"])
    assert (await visited.get(f"{BASE}/2/several")).content["status"] == "1"
    assert "# Several events at once." in visited.rules.read_text(encoding="utf-8")


async def test_a_split_sends_secrets_nowhere_else(visited: House) -> None:
    """
    One of several events takes no secrets of others to another host.
    """
    before = visited.rules.read_bytes()

    found = await visited.ask("PUT", f"{BASE}/2/several", content={"url": "https://h.example/"})

    assert (found.status, found.error) == (400, "pce_invalid")
    assert visited.rules.read_bytes() == before


async def test_removing_one(visited: House) -> None:
    """
    An event is removed with its request, or out of a request that tells of others, too.
    """
    assert (await visited.ask("DELETE", f"{BASE}/0/popup")).content == {"id": "popup"}
    assert (await visited.ask("DELETE", f"{BASE}/3/several/")).content == {"id": "several"}

    assert await listed(visited) == [("2", "several"), ("4", "several")]
    assert (await visited.ask("DELETE", f"{BASE}/3/several")).status == 404


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
async def test_an_address_stays(tmp_path: Path, method: str) -> None:
    """
    An id that looks as if it had a type is understood also when what is left is shown without.
    """
    rules = f"{RULES}{MINE}".replace('id = "several"', 'id = "several.2"')
    async with house(tmp_path, rules) as visited:
        assert ("2", "several.2") in await listed(visited)
        for number in "34":
            await visited.ask("DELETE", f"{BASE}/{number}/several.2")
        assert await listed(visited) == [("0", "popup"), ("2", "several")]

        content = (await visited.get(f"{BASE}/2/several.2")).content | {"note": "New"}
        found = await visited.ask(method, f"{BASE}/2/several.2", content=content)

        assert found.status == 200
        notes = [rule.notes for rule in rules_of(visited).values() if rule.id == "several.2"]
        assert notes == (["New"] if method == "PUT" else [])


async def test_removing_a_type(visited: House) -> None:
    """
    All events of a type are removed where no id is named, and are told.
    """
    found = await visited.ask("DELETE", f"{BASE}/2")

    assert (found.status, found.content) == (200, [{"type": "2", "id": "several"}])
    assert (await visited.ask("DELETE", f"{BASE}/2/")).status == 204

    assert await listed(visited) == [("0", "popup"), ("3", "several"), ("4", "several")]


async def test_removing_all(visited: House) -> None:
    """
    All events of the extension are removed where no type is named; others' requests stay.
    """
    found = await visited.ask("DELETE", f"{BASE}/")

    assert (found.status, len(found.content)) == (200, 4)
    assert await listed(visited) == []
    assert set(rules_of(visited)) == {"all", "helpdesk"}


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
@pytest.mark.parametrize("event_id", ["all", "helpdesk"])
async def test_what_is_not_its_own(visited: House, method: str, event_id: str) -> None:
    """
    Requests for many extensions apply to this one, too, and cannot be changed here.
    """
    found = await visited.ask(method, f"{BASE}/0/{event_id}", content={"status": "0"})

    assert (found.status, found.error) == (404, "not_found")


async def test_rules_that_cannot_be_written(
    visited: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    A rules file that cannot be written is told as a conflict, with the reason.
    """

    def full(**_: Any) -> Any:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("ami_bridge.config.replacing.tempfile.mkstemp", full)

    found = await visited.ask("POST", BASE, content=NEW)

    assert (found.status, found.error) == (409, "rules_not_written")


# -- whose they are --------------------------------------------------------------------


@pytest.mark.parametrize("extension", ["210", "0003*", "*", "0003*2*", "0003*20?", "@self"])
async def test_no_extension(visited: House, extension: str) -> None:
    """
    An extension is one extended number.
    """
    path = f"/uapi/extensions/@me/{quote(extension, safe='')}/phoneCallEvents"

    assert (await visited.get(path)).error == "extension_invalid"


@pytest.mark.parametrize(
    ("token", "status"), [(None, 401), ("wrong", 401), ("tenant", 403), ("tenant-changer", 200)]
)
async def test_who_may_change(visited: House, token: str | None, status: int) -> None:
    """
    Who has no token is not let in, and who may only read changes nothing.
    """
    assert (await visited.ask("POST", BASE, token=token, content=NEW)).status == status


async def test_what_is_out_of_scope(visited: House) -> None:
    """
    For a token of another extension these are not there.
    """
    for method, path in (("GET", BASE), ("GET", f"{BASE}/0/popup"), ("DELETE", BASE)):
        found: Answer = await visited.ask(method, path, token="desk")
        assert found.status == (404 if method == "GET" else 403)
    other = "/uapi/extensions/@me/0004*001/phoneCallEvents"
    found = await visited.ask("POST", other, token="tenant-changer", content=NEW)
    assert found.status == 404
