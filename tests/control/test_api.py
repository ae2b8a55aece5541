"""
The bridge's own API: what it tells, and to whom.
"""

from typing import Any

import pytest

from ami_bridge.adapters.store import Outcome
from ami_bridge.core.ami_events import DialEnd
from ami_bridge.core.retry import RetryAt

from .houses import DELIVERED, GIVEN_UP, House, delivery, owe, settle

MATCHING = {"destination": "http://127.0.0.1:9"}


async def test_status_says_how_everything_is(visited: House) -> None:
    """
    The status has the PBX, the destinations with what they are owed, the store and the requests.
    """
    await owe(visited, delivery("one"), delivery("two"))
    await settle(visited, "one", GIVEN_UP)

    found = (await visited.get("/api/v1/status")).content

    assert found["pbxs"][0]["state"] == "connecting"
    assert found["destinations"][0]["destination"] == "http://127.0.0.1:9"
    assert (found["destinations"][0]["waiting"], found["destinations"][0]["given_up"]) == (1, 1)
    assert found["store"] == {"path": None, "trouble": "", "backlog": 0}
    assert (found["requests"], found["requests_enabled"]) == (2, 2)


async def test_status_does_not_exist_for_a_tenant(visited: House) -> None:
    """
    Whoever may see one tenant alone finds no status: it is about everybody.
    """
    assert (await visited.get("/api/v1/status", "tenant")).status == 404


@pytest.mark.parametrize(
    ("token", "query", "seen"),
    [
        ("reader", {}, ["0003*001"]),
        ("desk", {}, ["0003*001"]),
        ("reader", {"extension": "0003*0*"}, ["0003*001"]),
        ("reader", {"extension": "0003*9*"}, []),
    ],
)
async def test_calls_have_the_legs_that_may_be_seen(
    visited: House, token: str, query: dict[str, str], seen: list[str]
) -> None:
    """
    A call has the legs of the visitor's scope that are asked for; without any it is not there.
    """
    visited.play("trunk-ext-answered", until=DialEnd)

    calls = (await visited.get("/api/v1/calls", token, **query)).content["calls"]

    assert [leg["extension"] for call in calls for leg in call["legs"]] == seen


async def test_calls_of_others_do_not_exist(visited: House) -> None:
    """
    A call without a leg of the visitor's scope is left out.
    """
    visited.rules.write_text(visited.rules.read_text().replace("0003*001", "0004*001"))
    await visited.bridge.reload()
    visited.play("trunk-ext-answered", until=DialEnd)

    assert (await visited.get("/api/v1/calls", "desk")).content == {"calls": []}


async def test_deliveries_are_listed_page_by_page(visited: House) -> None:
    """
    A list has the latest first, and a cursor for the next page until there is none.
    """
    await owe(visited, *(delivery(f"d{number}") for number in range(5)))

    first = (await visited.get("/api/v1/deliveries", limit="3")).content
    rest = (await visited.get("/api/v1/deliveries", limit="3", cursor=first["next"])).content

    assert [one["id"] for one in first["deliveries"]] == ["d4", "d3", "d2"]
    assert [one["id"] for one in rest["deliveries"]] == ["d1", "d0"]
    assert rest["next"] is None


@pytest.mark.parametrize(
    ("query", "seen"),
    [
        ({"state": "given_up"}, {"lost"}),
        ({"state": "delivered"}, {"done"}),
        ([("state", "waiting"), ("state", "given up")], {"lost", "owed"}),
        ({"call_id": "call-owed"}, {"owed"}),
        ({"extension": "0003*2*"}, {"lost", "done"}),
        ({"extension": "0009*"}, set()),
        ({"request_id": "helpdesk", "event": "dial-in"}, {"lost", "done", "owed"}),
        ({"event": "Hangup"}, set()),
        ({"since": "99999999999"}, set()),
        ({"until": "1"}, set()),
        ({"destination": "http://127.0.0.1:9"}, {"lost", "done", "owed"}),
    ],
)
async def test_deliveries_are_found(visited: House, query: Any, seen: set[str]) -> None:
    """
    Deliveries are found by state, call, extension, request, event, time and destination.
    """
    await owe(visited, delivery("lost"), delivery("done"))
    await settle(visited, "lost", GIVEN_UP)
    await owe(visited, delivery("owed", extension="0003*101"))
    await _deliver(visited, "done")

    found = await visited.ask("GET", "/api/v1/deliveries", token="reader", query=query)

    assert {one["id"] for one in found.content["deliveries"]} == seen


async def _deliver(visited: House, name: str) -> None:
    """
    Deliver *name*, which somebody has claimed and left.
    """
    kept = await visited.bridge.store.look_up(name)
    assert kept is not None
    await visited.bridge.store.settle([Outcome(kept.delivery, None, DELIVERED)])


@pytest.mark.parametrize(
    ("token", "extension", "seen"),
    [
        ("tenant", None, {"a", "b"}),
        ("tenant", "*", {"a", "b"}),
        ("tenant", "0004*", set()),
        ("tenant", "0003*2*", {"b"}),
        ("desk", None, {"a"}),
        ("desk", "0003*", {"a"}),
        ("desk", "0003*00?", {"a"}),
    ],
)
async def test_a_list_leaves_out_what_is_beyond_the_scope(
    visited: House, token: str, extension: str | None, seen: set[str]
) -> None:
    """
    Whatever is asked for, a token's list has the deliveries of its scope alone.
    """
    await owe(
        visited,
        delivery("a", extension="0003*001"),
        delivery("b", extension="0003*201"),
        delivery("c", extension="0004*001"),
    )
    query = {} if extension is None else {"extension": extension}

    found = (await visited.get("/api/v1/deliveries", token, **query)).content

    assert {one["id"] for one in found["deliveries"]} == seen


async def test_one_delivery_has_its_request_without_secrets(visited: House) -> None:
    """
    A delivery shows its request as it would be sent, and each attempt; no secret is in it.
    """
    await owe(visited, delivery("one"))
    await settle(visited, "one", GIVEN_UP, status=404)

    found = await visited.get("/api/v1/deliveries/one")

    assert found.content["request"]["headers"]["Authorization"] == "(not shown)"
    assert found.content["request"]["body"] == "CallerIDNum=1&password=***"
    assert found.content["tried"][0]["status"] == 404
    assert found.content["tried"][0]["excerpt"] == "not *** again"
    assert "s3cret" not in found.text


@pytest.mark.parametrize("path", ["", "/retry", "/drop"])
async def test_others_deliveries_do_not_exist(visited: House, path: str) -> None:
    """
    A delivery of another tenant is answered like one that is not there.
    """
    await owe(visited, delivery("one", extension="0004*001"))
    method = "POST" if path else "GET"

    answers = [
        await visited.ask(method, f"/api/v1/deliveries/{name}{path}", token="tenant-changer")
        for name in ("one", "two")
    ]

    assert [answer.status for answer in answers] == [404, 404]
    assert answers[0].text.replace("one", "two") == answers[1].text


async def test_a_delivery_is_retried(visited: House) -> None:
    """
    A retry of what was given up owes it once more.
    """
    await owe(visited, delivery("one"))
    await settle(visited, "one", GIVEN_UP)

    found = await visited.ask("POST", "/api/v1/deliveries/one/retry")

    assert (found.status, found.content["state"]) == (200, "waiting")


async def test_a_delivery_that_waits_is_attempted_at_once(visited: House) -> None:
    """
    A retry of what waits for its next attempt does not wait any more.
    """
    await owe(visited, delivery("one"))
    await settle(visited, "one", RetryAt(visited.bridge.clock() + 600, "answer 500"))

    found = await visited.ask("POST", "/api/v1/deliveries/one/retry")

    assert found.content["due"] <= visited.bridge.clock()


async def test_a_delivery_is_dropped(visited: House) -> None:
    """
    A drop gives up what is owed, and the reason names who did so.
    """
    await owe(visited, delivery("one"))

    found = await visited.ask("POST", "/api/v1/deliveries/one/drop")

    assert found.content["state"] == "given up"
    assert found.content["reason"] == "dropped by changer"


async def test_what_is_over_is_not_dropped(visited: House) -> None:
    """
    Dropping what was given up is a conflict, and changes nothing.
    """
    await owe(visited, delivery("one"))
    await settle(visited, "one", GIVEN_UP)

    found = await visited.ask("POST", "/api/v1/deliveries/one/drop")

    assert (found.status, found.error) == (409, "conflict")
    assert "it is given up" in found.message


async def test_many_are_steered_a_part_at_a_time(visited: House) -> None:
    """
    All that match are dropped, as many as the limit by one request, until no more are left.
    """
    await owe(visited, *(delivery(f"d{number}") for number in range(5)))
    path, content = "/api/v1/deliveries/drop", {**MATCHING, "limit": 3}

    answers = [(await visited.ask("POST", path, content=content)).content for _ in range(2)]

    assert answers == [{"changed": 3, "more": True}, {"changed": 2, "more": False}]


async def test_many_are_retried_within_the_scope(visited: House) -> None:
    """
    A tenant's token retries its own deliveries, whatever it asks for.
    """
    await owe(visited, delivery("mine"), delivery("theirs", extension="0004*001"))
    await visited.bridge.store.drop(["mine", "theirs"], "a test", visited.bridge.clock())

    found = await visited.ask(
        "POST", "/api/v1/deliveries/retry", token="tenant-changer", content={"all": True}
    )

    assert found.content == {"changed": 1, "more": False}
    kept = await visited.bridge.store.look_up("theirs")
    assert kept is not None
    assert kept.state == "given up"


@pytest.mark.parametrize(
    ("content", "paths"),
    [
        ({}, ["all"]),
        ({"limit": 5}, ["all"]),
        ({"all": False}, ["all"]),
        ({"all": "yes", "call_id": "1"}, ["all"]),
        ({"destination": None}, ["destination"]),
        ({"extension": []}, ["extension"]),
        ({"nothing": None}, ["nothing"]),
    ],
)
async def test_everything_has_to_be_said(
    visited: House, content: dict[str, Any], paths: list[str]
) -> None:
    """
    Unless it is plain which ones are meant, or that all are, nothing is dropped.
    """
    await owe(visited, delivery("one"))

    found = await visited.ask("POST", "/api/v1/deliveries/drop", content=content)

    assert (found.status, found.paths) == (400, paths)
    kept = await visited.bridge.store.look_up("one")
    assert kept is not None
    assert kept.state == "waiting"


@pytest.mark.parametrize(
    ("path", "query", "paths"),
    [
        ("/api/v1/calls", {"extention": "*"}, ["extention"]),
        ("/api/v1/status", {"x": "1"}, ["x"]),
        ("/api/v1/deliveries", {"state": "lost", "since": "nan", "limit": "0"}, None),
        ("/api/v1/deliveries", {"extension": "201"}, ["extension"]),
        ("/api/v1/deliveries", {"cursor": "x"}, ["cursor"]),
        ("/api/v1/deliveries", {"cursor": "9" * 30}, ["cursor"]),
        ("/api/v1/deliveries", {"call_id": ""}, ["call_id"]),
        ("/api/v1/deliveries", [("call_id", "1"), ("call_id", "2")], ["call_id"]),
        ("/api/v1/deliveries", {"event": "Ring"}, ["event"]),
        ("/healthz", {"x": "1"}, ["x"]),
    ],
)
async def test_what_is_not_understood_is_refused(
    visited: House, path: str, query: Any, paths: list[str] | None
) -> None:
    """
    A parameter that is not known or wrong is refused, and all of them are named.
    """
    found = await visited.ask("GET", path, token="reader", query=query)

    assert (found.status, found.error) == (400, "bad_request")
    assert found.paths == (paths or ["state", "since", "limit"])


async def test_a_wrong_parameter_is_explained(visited: House) -> None:
    """
    A misspelt parameter is answered with the one that was meant.
    """
    found = await visited.get("/api/v1/deliveries", extention="*")

    assert found.message == 'extention: is not known; did you mean "extension"?'


@pytest.mark.parametrize(
    ("data", "content_type", "status"),
    [
        (b"{", "application/json", 400),
        (b"[]", "application/json", 400),
        (b"\xff", "application/json", 400),
        (b'{"since": NaN}', "application/json", 400),
        (b"[" * 100_000, "application/json", 400),
        (b'{"call_id": "\\ud800"}', "application/json", 400),
        (b'{"call_id": {}}', "application/json", 400),
        (b"all=true", "application/x-www-form-urlencoded", 415),
        (b"{" + b" " * 2_000_000, "application/json", 413),
    ],
)
async def test_a_body_that_is_none_is_refused(
    visited: House, data: bytes, content_type: str, status: int
) -> None:
    """
    A body that is no JSON object of what can be asked for is refused, and nothing breaks.
    """
    found = await visited.ask(
        "POST", "/api/v1/deliveries/drop", data=data, headers={"Content-Type": content_type}
    )

    assert found.status == status
