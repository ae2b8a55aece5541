"""
The receiver behind `ami-bridge receive`, on a real socket.
"""

import asyncio
import time
from io import BytesIO
from typing import Any

import aiohttp
import pytest
from yarl import URL

from ami_bridge.adapters.memory_store import InMemoryStore
from ami_bridge.adapters.receiver import Received, Receiver
from ami_bridge.adapters.sender import Sender
from ami_bridge.core.call_events import HangupDialect
from ami_bridge.core.deliveries import DeliveryTerms, deliveries_for
from ami_bridge.core.requests import parameters_for
from ami_bridge.core.rules import BodyFormat, Method, Rule
from ami_bridge.settings import DeliverySettings
from tests.integration.receivers import HERE
from tests.integration.sending import owe
from tests.unit.test_requests import HANGUP


async def ask(receiver: Receiver, method: str, path: str, **how: Any) -> tuple[int, str]:
    """
    Send one request and give status and text of its answer.
    """
    url = URL(receiver.url.rstrip("/") + path, encoded=True)
    async with (
        aiohttp.ClientSession() as session,
        session.request(method, url, **how) as response,
    ):
        return response.status, await response.text()


FORM = {"Content-Type": "application/x-www-form-urlencoded; charset=UTF-8"}
JSON = {"Content-Type": "application/json"}
GZIP = {**FORM, "Content-Encoding": "gzip"}


@pytest.mark.parametrize(
    ("method", "path", "how", "parameters"),
    [
        pytest.param("GET", "/", {}, {}, id="bare"),
        pytest.param("GET", "/a/b.php?x=%2A+1&e=", {}, {"x": "* 1", "e": ""}, id="a query"),
        pytest.param(
            "POST", "/?q=1", {"data": b"x=%C3%A4&e=", "headers": FORM},
            {"q": "1", "x": "ä", "e": ""}, id="a form",
        ),
        pytest.param(
            "POST", "/", {"data": b'{"x": "\xc3\xa4", "n": 1.5, "z": null}', "headers": JSON},
            {"x": "ä", "n": "1.5", "z": "null"}, id="JSON",
        ),
    ],
)  # fmt: skip
async def test_parameters(
    method: str, path: str, how: dict[str, Any], parameters: dict[str, str]
) -> None:
    """
    The parameters are told, from the query as well as from the body, and 200 is answered.
    """
    heard: list[Received] = []
    async with Receiver(heard.append, clock=lambda: 5.0) as receiver:
        assert await ask(receiver, method, path, **how) == (200, "OK\n")

    (received,) = heard
    assert (received.time, received.method, received.status) == (5.0, method, 200)
    assert received.path == path.partition("?")[0]
    assert received.parameters == parameters
    assert received.problem == ""


@pytest.mark.parametrize(
    ("method", "how", "status", "problem"),
    [
        pytest.param("PUT", {}, 405, "expected GET or POST", id="another method"),
        pytest.param("POST", {"data": b"[1]", "headers": JSON}, 400, "no object", id="a list"),
        pytest.param("POST", {"data": b"{", "headers": JSON}, 400, "Expecting", id="no JSON"),
        pytest.param("POST", {"data": b"x=%ff", "headers": FORM}, 400, "utf-8", id="no UTF-8"),
        pytest.param("POST", {"data": b"\xff", "headers": FORM}, 400, "UTF-8", id="no text"),
        pytest.param("POST", {"data": b"\xff\xfe", "headers": JSON}, 400, "UTF-8", id="UTF-16"),
        pytest.param("POST", {"data": b"[" * 10**6, "headers": JSON}, 400, "deeply", id="deep"),
        pytest.param("POST", {"data": b"x", "headers": GZIP}, 400, "gzip", id="compressed"),
        pytest.param("POST", {"data": b"x"}, 400, "neither a form nor JSON", id="no type"),
        pytest.param(
            "POST", {"data": BytesIO(bytes(2**21)), "headers": FORM}, 413, "too long", id="long"
        ),
    ],
)
async def test_what_cannot_be_read(
    method: str, how: dict[str, Any], status: int, problem: str
) -> None:
    """
    A request that is none of ours is told and refused, with the reason.
    """
    heard: list[Received] = []
    async with Receiver(heard.append) as receiver:
        answer = await ask(receiver, method, "/", **how)

    assert answer[0] == heard[0].status == status
    assert problem in heard[0].problem
    assert problem in answer[1]


@pytest.mark.parametrize(
    ("octets", "reason"),
    [
        pytest.param(b"GET / HTTP/1.1\r\nContent-Length: x\r\n\r\n", "400", id="no HTTP"),
        pytest.param(
            b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nx", "lost", id="gone"
        ),
    ],
)
async def test_what_is_no_request(
    octets: bytes, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    """
    Bytes that are no HTTP, and a client that goes away, are told in one line.
    """
    async with Receiver(lambda _: None) as receiver:
        reader, writer = await asyncio.open_connection("127.0.0.1", receiver.port)
        writer.write(octets)
        writer.write_eof()
        await reader.read()
        writer.close()

    (record,) = caplog.records
    assert reason in record.getMessage()
    assert record.exc_info is None


@pytest.mark.parametrize(("dice", "status"), [(0.29, 500), (0.3, 200)])
async def test_fail_rate(dice: float, status: int) -> None:
    """
    With the given probability the answer is 500, and what failed is told as such.
    """
    heard: list[Received] = []
    async with Receiver(heard.append, fail_rate=0.3, dice=lambda: dice) as receiver:
        assert (await ask(receiver, "GET", "/"))[0] == status

    assert [received.status for received in heard] == [status]


async def test_delay() -> None:
    """
    Every answer is as late as asked for, and one does not wait for the other.
    """
    async with Receiver(lambda _: None, delay_seconds=0.2) as receiver:
        began = time.monotonic()
        await asyncio.gather(*(ask(receiver, "GET", "/") for _ in range(5)))

    assert 0.2 <= time.monotonic() - began < 0.8


async def test_port_that_is_taken() -> None:
    """
    A port that somebody else listens on is an error that names it, and leaves nothing open.
    """
    async with Receiver(lambda _: None) as first:
        assert first.url == f"http://127.0.0.1:{first.port}/"
        with pytest.raises(OSError, match=str(first.port)):
            await Receiver(lambda _: None, port=first.port).__aenter__()


@pytest.mark.parametrize(
    ("method", "body_format"),
    [
        pytest.param(Method.GET, BodyFormat.FORM, id="GET"),
        pytest.param(Method.POST, BodyFormat.FORM, id="POST form"),
        pytest.param(Method.POST, BodyFormat.JSON, id="POST JSON"),
    ],
)
async def test_what_a_rule_sends_is_what_arrives(method: Method, body_format: BodyFormat) -> None:
    """
    From a call event to the receiver and back: names, values and their order are the same.
    """
    heard: list[Received] = []
    settings = DeliverySettings(destinations=HERE)
    async with (
        Receiver(heard.append) as receiver,
        InMemoryStore() as store,
        Sender(store, settings) as sender,
    ):
        rule = Rule("r", f"{receiver.url}p.php", method=method, format=body_format)
        deliveries = deliveries_for(HANGUP, [rule], DeliveryTerms("ami-bridge/0"), time.time())
        await owe(store, *deliveries)
        task = asyncio.create_task(sender.run())
        assert await sender.drain(5) == 0
        task.cancel()

    sent = parameters_for(HANGUP, rule, HangupDialect.SIMPLE)
    assert list(heard[0].parameters.items()) == list(sent.items())
    assert heard[0].headers["User-Agent"] == "ami-bridge/0"
