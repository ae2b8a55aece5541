"""
Call events as server-sent events.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import attrs
import pytest

from ami_bridge.control import broadcast, stream
from ami_bridge.core.call_events import EventType

from .houses import TOKENS, House, call_event

STREAM = "/api/v1/stream"


@attrs.define
class Ear:
    """
    One who listens, and where they are.
    """

    response: aiohttp.ClientResponse
    last_id: str = ""

    async def next(self) -> tuple[str, Any]:
        """
        Give the next event: its name, and its data.
        """
        name, data = "message", None
        async with asyncio.timeout(5):
            async for line in self.response.content:
                field, _, value = line.decode().rstrip("\n").partition(": ")
                if field == "id":
                    self.last_id = value
                elif field == "event":
                    name = value
                elif field == "data":
                    data = json.loads(value)
                elif not field and data is not None:
                    return name, data
        return "end", None

    async def names(self, count: int) -> list[str]:
        """
        Give the callers' names in the next *count* events; a gap is one.
        """
        found = [await self.next() for _ in range(count)]
        return [
            "gap" if name == "gap" else data["parameters"]["CallerIDName"] for name, data in found
        ]

    async def settled(self) -> None:
        """
        Wait until it is said where the listener is.
        """
        async with asyncio.timeout(5):
            async for line in self.response.content:
                if line.startswith(b"id: "):
                    self.last_id = line.decode()[4:].strip()
                    return


@attrs.define
class Ears:
    """
    Makes listeners, and lets them go in the end.
    """

    house: House
    made: list[aiohttp.ClientResponse] = attrs.field(factory=list)

    async def listen(self, token: str = "reader", last_id: str = "", query: Any = None) -> Ear:
        """
        Begin to listen as the holder of *token*.
        """
        headers = {"Authorization": f"Bearer {TOKENS[token]}"}
        if last_id:
            headers["Last-Event-ID"] = last_id
        response = await self.house.session.get(
            f"{self.house.url}{STREAM}", headers=headers, params=query
        )
        self.made.append(response)
        assert response.status == 200, await response.text()
        return Ear(response)


@pytest.fixture
async def ears(visited: House) -> AsyncIterator[Ears]:
    """
    Give a way to listen.
    """
    found = Ears(visited)
    yield found
    for response in found.made:
        response.close()


async def test_what_is_said_is_heard(visited: House, ears: Ears) -> None:
    """
    A listener hears a call event as jsonl output has it, with its identity.
    """
    ear = await ears.listen()
    await ear.settled()
    visited.say(call_event())

    name, data = await ear.next()

    assert ear.response.content_type == "text/event-stream"
    assert name == "message"
    assert list(data) == ["event", "extension", "time", "parameters", "identity"]
    assert (data["event"], data["extension"]) == ("Dial-In", "0003*201")
    assert data["parameters"]["CallerIDName"] == "Alice Adams"
    assert data["identity"] == call_event().identity
    assert ear.last_id == f"{int(visited.bridge.started * 1000)}-1"


async def test_a_hostile_name_stays_within_its_event(visited: House, ears: Ears) -> None:
    """
    Line ends and halves of characters in a caller's name do not break the stream.
    """
    ear = await ears.listen()
    await ear.settled()
    visited.say(call_event(name="\n\nevent: gap\ndata: {}\n\n\r\u2028\ud800"), call_event(name="B"))

    assert await ear.names(2) == ["\n\nevent: gap\ndata: {}\n\n\r\u2028?", "B"]


@pytest.mark.parametrize(
    ("token", "query", "heard"),
    [
        ("reader", None, ["one", "two", "other"]),
        ("reader", {"extension": "0003*2*"}, ["two"]),
        ("reader", [("extension", "0003*001"), ("extension", "0004*")], ["one", "other"]),
        ("tenant", None, ["one", "two"]),
        ("tenant", {"extension": "*"}, ["one", "two"]),
        ("desk", None, ["one"]),
    ],
)
async def test_only_what_is_wanted_is_heard(
    visited: House, ears: Ears, token: str, query: Any, heard: list[str]
) -> None:
    """
    A listener hears the extensions that are asked for, and none beyond its scope.
    """
    ear = await ears.listen(token, query=query)
    await ear.settled()
    visited.say(
        call_event(extension="0003*001", name="one"),
        call_event(extension="0003*201", name="two"),
        call_event(extension="0004*001", name="other"),
    )
    last = call_event(extension="0003*001" if "one" in heard else "0003*201", name="last")
    visited.say(last)

    assert await ear.names(len(heard) + 1) == [*heard, "last"]


async def test_who_comes_back_misses_nothing(visited: House, ears: Ears) -> None:
    """
    With the last id a listener hears what was said meanwhile, and then what is said.
    """
    ear = await ears.listen()
    await ear.settled()
    visited.say(call_event(name="1"))
    await ear.next()
    ear.response.close()
    visited.say(call_event(name="2"), call_event(name="3"))

    again = await ears.listen(last_id=ear.last_id)
    visited.say(call_event(name="4"))

    assert await again.names(3) == ["2", "3", "4"]


async def test_who_heard_nothing_yet_misses_nothing_either(visited: House, ears: Ears) -> None:
    """
    A listener is told where it is at once, so that it can come back from there.
    """
    visited.say(call_event(name="before"))
    ear = await ears.listen()
    await ear.settled()
    ear.response.close()
    visited.say(call_event(name="meanwhile"))

    again = await ears.listen(query={"last_event_id": ear.last_id})

    assert await again.names(1) == ["meanwhile"]


@pytest.mark.parametrize("last_id", ["1-1", "nonsense", "{start}-99"])
async def test_a_gap_is_told(visited: House, ears: Ears, last_id: str) -> None:
    """
    The id of another start of the bridge, or of none, gets a gap and all that is remembered.
    """
    visited.say(call_event(name="1"), call_event(name="2"))
    last_id = last_id.format(start=int(visited.bridge.started * 1000))

    ear = await ears.listen(last_id=last_id)

    assert await ear.next() == ("gap", {"reason": "the bridge was started anew since then"})
    assert await ear.names(2) == ["1", "2"]


async def test_too_old_is_told(visited: House, ears: Ears) -> None:
    """
    Who comes back after more was said than is remembered is told so, and gets what is left.
    """
    short = broadcast.Broadcast(remembered=2)
    visited.bridge.broadcast = short
    visited.say(*(call_event(name=str(number)) for number in range(1, 5)))
    start = int(visited.bridge.started * 1000)

    late = await ears.listen(last_id=f"{start}-1")
    in_time = await ears.listen(last_id=f"{start}-2")

    assert await late.names(3) == ["gap", "3", "4"]
    assert await in_time.names(2) == ["3", "4"]


async def test_silence_is_broken(
    visited: House, ears: Ears, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    After a while without call events a comment says that the stream lives, and where it is.
    """
    monkeypatch.setattr(stream, "KEEP_ALIVE_SECONDS", 0.01)
    ear = await ears.listen("desk")
    await ear.settled()
    visited.say(call_event(extension="0004*001"))

    while not ear.last_id.endswith("-1"):
        await ear.settled()


async def test_who_is_too_far_behind_is_cut_off(
    visited: House, ears: Ears, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    A listener that takes nothing is let go, and gets the rest when it comes back.
    """
    monkeypatch.setattr(broadcast, "_LONGEST_QUEUE", 10)
    ear = await ears.listen()
    await ear.settled()
    visited.say(*(call_event(name=str(number)) for number in range(12)))

    assert await ear.names(10) == [str(number) for number in range(10)]
    assert await ear.next() == ("end", None)
    again = await ears.listen(last_id=ear.last_id)
    assert await again.names(2) == ["10", "11"]


async def test_who_reads_nothing_is_cut_off(
    visited: House, ears: Ears, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    A connection into which nothing can be written for a while is closed, and its place is free.
    """
    monkeypatch.setattr(stream, "WRITE_SECONDS", 0.05)
    ear = await ears.listen()
    await ear.settled()
    name = "x" * 100_000
    listeners = visited.bridge.broadcast._listeners
    async with asyncio.timeout(10):
        while listeners:
            visited.say(call_event(name=name))
            await asyncio.sleep(0.001)

    # What is on its way is heard, and then nothing more.
    with pytest.raises((aiohttp.ClientError, ConnectionError)):
        await ear.response.read()


async def test_there_are_only_so_many(
    visited: House, ears: Ears, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    One listener too many is answered 503, and there is room again when another one leaves.
    """
    monkeypatch.setattr(stream, "MOST_STREAMS", 1)
    ear = await ears.listen()
    await ear.settled()

    refused = await visited.get(STREAM)
    assert (refused.status, refused.error) == (503, "too_many_streams")

    ear.response.close()
    async with asyncio.timeout(5):
        while visited.bridge.broadcast._listeners:
            visited.say(call_event())
            await asyncio.sleep(0.001)
    await (await ears.listen()).settled()


async def test_the_end_of_the_bridge_ends_streams(visited: House, ears: Ears) -> None:
    """
    When the doors are closed, streams end.
    """
    ear = await ears.listen()
    await ear.settled()
    visited.bridge.broadcast.close()

    assert await ear.next() == ("end", None)


@pytest.mark.parametrize(
    ("token", "query", "status"),
    [(None, {}, 401), ("reader", {"extension": "201"}, 400), ("reader", {"since": "1"}, 400)],
)
async def test_a_wrong_question_is_refused(
    visited: House, token: str | None, query: dict[str, str], status: int
) -> None:
    """
    Nobody listens without a token, or to what cannot be.
    """
    assert (await visited.get(STREAM, token, **query)).status == status


def test_counts_are_by_event() -> None:
    """
    What is said is counted by event.
    """
    said = broadcast.Broadcast()
    for kind in (EventType.DIAL_IN, EventType.DIAL_IN, EventType.HANGUP):
        said.tell(call_event(kind))

    assert said.counts == {EventType.DIAL_IN: 2, EventType.HANGUP: 1}
