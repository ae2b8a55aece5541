"""
The sender against receivers on real sockets, well-behaved and otherwise.
"""

import random
import socket
import time

import aiohttp
import attrs
import pytest
from aiohttp import web
from aioresponses import aioresponses

from ami_bridge.adapters.attempts import attempt as attempted
from ami_bridge.adapters.connecting import Connections
from ami_bridge.core.requests import Request
from ami_bridge.core.rules import Method, Rule
from ami_bridge.core.signing import NO_CREDENTIALS, Credentials
from tests.integration.receivers import (
    Behaviour,
    ScriptedReceiver,
    after,
    breaks_off,
    endless,
    ok,
    status,
    until,
)
from tests.integration.sending import HASTY, delivery, owe, paths, sending


async def test_get_arrives_byte_for_byte() -> None:
    """
    The URL's query arrives as it was written, and the headers with it.
    """
    query = "/p/../q?a=%2b*+;b|c&CalledExtension=0003%2A001"
    async with ScriptedReceiver() as receiver, sending() as (store, sender):
        request = Request(Method.GET, receiver.url + query, {"User-Agent": "ami-bridge/9"})
        await owe(store, attrs.evolve(delivery("x", receiver.url), request=request))
        assert await sender.drain(5) == 0

    (heard,) = receiver.heard
    assert (heard.method, heard.raw_path, heard.body) == ("GET", query, b"")
    assert heard.headers["User-Agent"] == "ami-bridge/9"
    assert "Content-Type" not in heard.headers


async def test_post() -> None:
    """
    A body arrives as it is, with its type and length.
    """
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    async with ScriptedReceiver() as receiver, sending() as (store, sender):
        request = Request(Method.POST, f"{receiver.url}/p?q", form, b"a=1&b=%2A")
        await owe(store, attrs.evolve(delivery("x", receiver.url), request=request))
        assert await sender.drain(5) == 0

    (heard,) = receiver.heard
    assert (heard.method, heard.raw_path, heard.body) == ("POST", "/p?q", b"a=1&b=%2A")
    assert heard.headers["Content-Type"] == form["Content-Type"]
    assert heard.headers["Content-Length"] == "9"


@pytest.mark.parametrize(
    "behaviour",
    [
        pytest.param(status(500), id="500"),
        pytest.param(status(503, Retry_After="0"), id="503 with Retry-After"),
        pytest.param(status(429), id="429"),
        pytest.param(after(60), id="it hangs"),
        pytest.param(breaks_off(b""), id="it closes without an answer"),
        pytest.param(breaks_off(b"HTTP/1.1 20"), id="it closes in the status line"),
        pytest.param(breaks_off(b"HTTP/1.1 200 OK\r\nX: "), id="it closes in the headers"),
        pytest.param(breaks_off(b"\x00\x01 no HTTP\r\n\r\n"), id="it talks nonsense"),
        pytest.param(breaks_off(b"\xff\xff\r\n\r\n"), id="it talks no UTF-8"),
        pytest.param(
            breaks_off(b"HTTP/1.1 503 \xff\r\nRetry-After: \xff\r\nContent-Length: 0\r\n\r\n"),
            id="its headers are no UTF-8",
        ),
    ],
)
async def test_tried_again(behaviour: Behaviour) -> None:
    """
    What may be better next time is tried again until it is.
    """
    settings = attrs.evolve(HASTY, total_timeout_seconds=0.3)
    async with (
        ScriptedReceiver([behaviour, behaviour]) as receiver,
        sending(settings) as (
            store,
            sender,
        ),
    ):
        await owe(store, delivery("x", receiver.url))
        assert await sender.drain(10) == 0

    assert paths(receiver) == ["x", "x", "x"]
    assert not store.abandoned


async def test_broken_body_of_a_success() -> None:
    """
    An answer 200 counts although its body breaks off: the receiver has the request.
    """
    half = breaks_off(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
    async with ScriptedReceiver([half]) as receiver, sending() as (store, sender):
        await owe(store, delivery("x", receiver.url))
        assert await sender.drain(5) == 0

    assert paths(receiver) == ["x"]


async def test_endless_body() -> None:
    """
    A body is read to a bound, and its connection is not used again.
    """
    async with ScriptedReceiver([endless]) as receiver, sending() as (store, sender):
        await owe(store, delivery("x", receiver.url), delivery("y", receiver.url))
        assert await sender.drain(5) == 0

    assert paths(receiver) == ["x", "y"]
    assert len(receiver.connections) == 2


async def test_redirects_are_not_followed() -> None:
    """
    A redirect is a final failure; where it points to is not asked.
    """
    async with ScriptedReceiver() as target:
        moved = status(302, Location=f"{target.url}/there")
        async with ScriptedReceiver([moved]) as receiver, sending() as (store, sender):
            await owe(store, delivery("x", receiver.url))
            assert await sender.drain(5) == 0

    assert (paths(receiver), paths(target)) == (["x"], [])
    (given_up,) = store.abandoned
    assert given_up.reason == "answer 302: redirects are not followed"


async def test_what_follows_a_failure_is_sent() -> None:
    """
    After a delivery that was given up its leg goes on; the answer is kept for the operator.
    """
    async with ScriptedReceiver([status(404)]) as receiver, sending() as (store, sender):
        await owe(store, delivery("dial", receiver.url), delivery("hangup", receiver.url))
        assert await sender.drain(5) == 0

    assert paths(receiver) == ["dial", "hangup"]
    (given_up,) = store.abandoned
    (attempt,) = given_up.attempts
    assert (attempt.status, attempt.excerpt) == (404, "answer 404")


async def test_order_within_a_leg_under_retries() -> None:
    """
    However often the first is tried, the second is not sent before it.
    """
    failures = [status(500)] * 4
    async with ScriptedReceiver(list(failures)) as receiver, sending() as (store, sender):
        await owe(store, *[delivery(name, receiver.url) for name in ("dial", "answer", "hangup")])
        assert await sender.drain(10) == 0

    assert paths(receiver) == ["dial"] * 5 + ["answer", "hangup"]


async def test_many_legs_in_parallel() -> None:
    """
    200 legs with a third of all answers 500: each arrives in its order, none is lost.
    """
    dice = random.Random(7)  # noqa: S311 - a known seed
    heard: list[str] = []

    async def moody(request: web.BaseRequest) -> web.StreamResponse:
        if dice.random() < 0.33:
            return await status(500)(request)
        heard.append(request.raw_path.strip("/"))
        return await ok(request)

    events = ("1dial", "2answer", "3hangup")
    async with ScriptedReceiver(always=moody) as receiver, sending() as (store, sender):
        for event in events:
            await owe(
                store,
                *[delivery(f"{leg}-{event}", receiver.url, leg=str(leg)) for leg in range(200)],
            )
        assert await sender.drain(60) == 0

    by_leg: dict[str, list[str]] = {}
    for name in heard:
        leg, event = name.split("-")
        by_leg.setdefault(leg, []).append(event)
    assert len(by_leg) == 200
    assert set(map(tuple, by_leg.values())) == {events}
    assert receiver.most_in_flight <= HASTY.concurrency
    assert len(receiver.connections) <= HASTY.concurrency


@pytest.mark.parametrize("behaviour", [pytest.param(after(60), id="hangs"), status(500)])
async def test_one_destination_delays_no_other(behaviour: Behaviour) -> None:
    """
    While one destination hangs or fails, with its slots full, another is served at once.
    """
    settings = attrs.evolve(HASTY, concurrency=4)
    async with (
        ScriptedReceiver(always=behaviour) as slow,
        ScriptedReceiver() as fast,
        sending(settings) as (store, _),
    ):
        await owe(store, *[delivery(f"s{n}", slow.url, leg=str(n)) for n in range(50)])
        await until(lambda: len(slow.heard) >= 4)
        began = time.monotonic()
        await owe(store, *[delivery(f"f{n}", fast.url, leg=str(n)) for n in range(50)])
        await until(lambda: len(fast.heard) >= 50)

        assert time.monotonic() - began < 3
        assert slow.most_in_flight <= 4


async def test_connections_are_kept() -> None:
    """
    One connection serves a leg's deliveries, one after the other.
    """
    async with ScriptedReceiver() as receiver, sending() as (store, sender):
        await owe(store, *[delivery(str(n), receiver.url) for n in range(20)])
        assert await sender.drain(5) == 0

    assert len(receiver.connections) == 1


async def test_refused_connection() -> None:
    """
    A receiver that is not there yet is tried again until it is.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    async with sending() as (store, sender):
        await owe(store, delivery("x", f"http://127.0.0.1:{port}"))
        await until(lambda: sender.health(f"http://127.0.0.1:{port}").failures > 0)
        async with ScriptedReceiver(port=port) as receiver:
            assert await sender.drain(5) == 0

    assert paths(receiver) == ["x"]


async def test_no_proxy_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Proxies in the environment are not asked.
    """
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    async with ScriptedReceiver() as receiver, sending() as (store, sender):
        await owe(store, delivery("x", receiver.url))
        assert await sender.drain(5) == 0

    assert paths(receiver) == ["x"]


async def test_cookies_are_not_kept() -> None:
    """
    What a receiver wants remembered is not remembered.
    """
    cookie = status(200, Set_Cookie="a=b")
    async with ScriptedReceiver(always=cookie) as receiver, sending() as (store, sender):
        await owe(store, delivery("x", receiver.url), delivery("y", receiver.url))
        assert await sender.drain(5) == 0

    assert all("Cookie" not in heard.headers for heard in receiver.heard)


@pytest.mark.parametrize(
    "failure",
    [
        aiohttp.ServerDisconnectedError(),
        aiohttp.ClientPayloadError("torn"),
        aiohttp.ClientOSError(104, "Connection reset by peer"),
        aiohttp.InvalidURL("http://h"),
        TimeoutError(),
        UnicodeError("label too long"),
    ],
    ids=lambda failure: type(failure).__name__,
)
async def test_failures_without_an_answer(failure: Exception) -> None:
    """
    Every way of getting no answer is an attempt that failed, with a reason, and no crash.
    """
    with aioresponses() as network:
        network.get("http://h/x", exception=failure)
        async with Connections(HASTY) as connections:
            attempt = await attempted(delivery("x", "http://h"), connections, NO_CREDENTIALS)

    assert attempt.status is None
    assert attempt.error == (str(failure) or "no answer in time")


async def test_retry_after_is_waited_for() -> None:
    """
    The next attempt is as late as the receiver asks for.
    """
    async with (
        ScriptedReceiver([status(503, Retry_After="30")]) as receiver,
        sending(clock=lambda: 100.0) as (store, sender),
    ):
        one = attrs.evolve(delivery("x", receiver.url), created=100.0, expires=1000.0)
        await owe(store, one)
        assert await sender.drain(5) == 1
        claims = await store.claim(100.0, 1, {}, 60.0)

    assert (claims.deliveries, claims.next_due) == ((), 130.0)


@pytest.mark.parametrize("mended", [False, True])
async def test_gone_is_said_of_an_address(*, mended: bool) -> None:
    """
    A rule that was given another URL is not paused because the old one is gone.
    """
    async with ScriptedReceiver(always=status(410)) as receiver:
        path = "elsewhere" if mended else "x"
        rules = [Rule("rule", f"{receiver.url}/{path}?q=1")]
        async with sending(rules=rules) as (store, sender):
            await owe(store, delivery("x", receiver.url))
            assert await sender.drain(5) == 0
            paused = [pause.rule_id for pause in await store.paused()]

    assert paused == ([] if mended else ["rule"])


@pytest.mark.parametrize(
    ("rule_id", "path", "known"),
    [
        pytest.param("rule", "elsewhere", "new", id="of the same id"),
        pytest.param("edited", "x?q=1", "new", id="of the same address"),
        pytest.param("another", "elsewhere", "old", id="of a rule that is gone"),
    ],
)
async def test_credentials_of_what_is_owed(rule_id: str, path: str, known: str) -> None:
    """
    After a change of the rules a delivery has those of what became of its rule, or its own.
    """
    async with ScriptedReceiver([status(503)]) as receiver:
        rule = Rule("rule", f"{receiver.url}/x", credentials=Credentials("old"))
        patient = attrs.evolve(HASTY, retry_seconds=(1000.0,))
        async with sending(patient, rules=[rule]) as (store, sender):
            await owe(store, delivery("x", receiver.url, lifetime=10_000))
            assert await sender.drain(5) == 1
            others = [Rule(rule_id, f"{receiver.url}/{path}", credentials=Credentials("new"))]
            sender.apply(HASTY, others)
            sender.apply(HASTY, others)
            await store.hurry(["x"], time.time())
            assert await sender.drain(5) == 0

    told = [heard.headers["Authorization"] for heard in receiver.heard]
    assert told == ["old", known]


async def test_expired_delivery_is_not_sent() -> None:
    """
    What waited longer than its time to live is given up unsent; its leg goes on.
    """
    async with ScriptedReceiver() as receiver, sending() as (store, sender):
        late = delivery("dial", receiver.url, lifetime=0.0)
        await owe(store, late, delivery("hangup", receiver.url))
        assert await sender.drain(5) == 0

    assert paths(receiver) == ["hangup"]
    (given_up,) = store.abandoned
    assert (given_up.reason, given_up.attempts) == ("its time to live ran out", ())
