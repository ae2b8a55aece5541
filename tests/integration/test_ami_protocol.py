"""
What comes over the socket, and what is left of it: nothing that a PBX sends ends the link.
"""

import asyncio
import logging
import tracemalloc

import pytest

from ami_bridge.adapters.ami_protocol import LOG_EVERY_SECONDS, Batch, Oddities
from ami_bridge.core.ami_events import FullyBooted, Hangup
from ami_bridge.core.ami_stream import MAXIMUM_MESSAGE_BYTES

from .ami_ears import Ears, linked, settings_for
from .ami_server import AmiServer, Peer, Script, channel_event, message

HANGUP = channel_event("Hangup", "Cause: 16", "Cause-txt: Normal Clearing")


def says(*pieces: bytes) -> Script:
    """
    Make a script that lets the other end in and says *pieces*, each for a read of its own.
    """

    async def script(peer: Peer) -> None:
        await peer.let_in()
        await peer.say_in_pieces(pieces)
        await peer.serve()

    return script


async def hears(*pieces: bytes) -> tuple[Ears, dict[str, int]]:
    """
    Let a link hear *pieces* and then a Hangup; give what it told and what it found odd.
    """
    ears = Ears()
    async with AmiServer(says(*pieces, HANGUP)) as server, linked(server, ears) as link:
        await ears.until(lambda: any(isinstance(event, Hangup) for event in ears.events))

        assert not ears.losses
        return ears, dict(link.oddities.counts)


async def test_letter_split_over_two_reads() -> None:
    """
    A letter whose bytes come in two reads stays whole.
    """
    event = channel_event("Newchannel", name="Jürgen Größe")
    middle = event.index("ü".encode()) + 1

    ears, _ = await hears(event[:middle], event[middle:])

    assert ears.names == ["Jürgen Größe"]
    assert any(chunk.endswith("ü".encode()[:1]) for chunk, _ in ears.chunks)


async def test_bytes_one_by_one() -> None:
    """
    Events that come byte by byte are the same events.
    """
    event = channel_event("Newchannel", name="株式会社")

    ears, _ = await hears(*(event[i : i + 1] for i in range(len(event))))

    assert ears.names == ["株式会社"]


async def test_events_of_one_read_are_one_batch() -> None:
    """
    All events that one read completes come in one call, in order, with the read's time.
    """
    read = channel_event("Newchannel", number=1) + channel_event("Newstate", number=1)

    ears, _ = await hears(read)

    [arrival] = [when for chunk, when in ears.chunks if chunk == read]
    assert [(type(event).__name__, when) for event, when, _ in ears.batches[0]] == [
        ("Newchannel", arrival),
        ("Newstate", arrival),
    ]


@pytest.mark.parametrize(
    ("offset", "trusted"),
    [
        pytest.param(-2.5, True, id="late"),
        pytest.param(+1.0, True, id="the PBX's clock is a little ahead"),
        pytest.param(-86_400.0, False, id="a clock that is a day behind"),
        pytest.param(+1e9, False, id="a clock far in the future"),
    ],
)
async def test_time_of_an_event(offset: float, *, trusted: bool) -> None:
    """
    An event's time is what Asterisk wrote into it, unless that shows a wrong clock.
    """
    now = 1_795_408_646.25
    ears = Ears()
    event = channel_event("Newchannel", f"Timestamp: {now + offset:.6f}")
    async with (
        AmiServer(says(event)) as server,
        linked(server, ears, clock=lambda: now),
    ):
        await ears.until(lambda: ears.batches)

    [[(_, when, message)]] = ears.batches
    assert message == event
    assert when == (now + offset if trusted else now)


async def test_bytes_are_handed_on_as_received() -> None:
    """
    The tap gets every byte of the connection, the odd ones included, in order.
    """
    odd = b"\r\n\r\n\x00\xff nothing\r\n\r\n"

    ears, _ = await hears(odd)

    stream = b"".join(chunk for chunk, _ in ears.chunks)
    assert stream.startswith(b"Asterisk Call Manager/11.0.0\r\nResponse: Success\r\n")
    assert odd + HANGUP in stream


@pytest.mark.parametrize(
    ("odd", "kind"),
    [
        pytest.param(
            channel_event("Newchannel", name="Bj\0örn"), "NUL byte", id="NUL byte in a name"
        ),
        pytest.param(
            channel_event("Newchannel", name="J?rg").replace(b"?", b"\xf6"),
            "invalid UTF-8",
            id="Latin-1 name",
        ),
        pytest.param(b"\0\xff\xfe\r\n\r\n", "block that is no message", id="no text at all"),
        pytest.param(
            channel_event("Rename", "Newname: a", "Newname: b"), "repeated header", id="duplicate"
        ),
        pytest.param(
            channel_event("Rename", "Newname: a", "no colon here"),
            "line without a colon",
            id="header without a colon",
        ),
        pytest.param(
            channel_event("Newchannel").removesuffix(b"\r\n"),
            "message without a blank line",
            id="message without a blank line",
        ),
        pytest.param(
            message("Event: Bridge", "Event: Newexten", "Channel: x"),
            "message without a blank line",
            id="two Event headers",
        ),
        pytest.param(
            message("Event: Hangup", "Cause: 16"),
            "event Hangup without a header Channel",
            id="event without what it is about",
        ),
        pytest.param(
            message("Response: Success", "ActionID: 1", "ActionID: 2"),
            "answer that nobody waits for",
            id="two ActionIDs",
        ),
        pytest.param(message("Response: Error"), "answer that nobody waits for", id="no ActionID"),
    ],
)
async def test_odd_message_is_counted_and_survived(odd: bytes, kind: str) -> None:
    """
    An odd message is counted by its kind, and the one behind it is read as ever.
    """
    _, oddities = await hears(odd)

    assert oddities == {kind: 1}


@pytest.mark.parametrize(
    "event",
    [
        pytest.param(message("Event: UserEvent", "UserEvent: x", "Event: Hangup"), id="Event"),
        pytest.param(message("Event: UserEvent", "ActionID: 1", "ActionID: 2"), id="ActionID"),
        pytest.param(message("Event: TestEvent", "State: x") + b"\r\n", id="extra blank line"),
        pytest.param(message("Event: VarSet", "Value: a: b: c", "Empty: "), id="colons in values"),
        pytest.param(b"\r\n\r\n\r\n", id="blank lines"),
    ],
)
async def test_what_is_unusual_yet_right(event: bytes) -> None:
    """
    What dialplans and test builds of Asterisk send is neither odd nor taken for more.
    """
    ears, oddities = await hears(event)

    assert oddities == {}
    assert [type(heard) for heard in ears.events] == [Hangup]


async def test_names_in_latin_1_are_kept() -> None:
    """
    No letter of a name is lost because an old phone sent it in Latin-1.
    """
    ears, _ = await hears(channel_event("Newchannel", name="J?rg").replace(b"?", b"\xf6"))

    assert ears.names == ["Jörg"]


async def test_endless_message_keeps_memory_bounded() -> None:
    """
    Ten megabytes without a blank line take little memory, and what follows is read.
    """
    tracemalloc.start()

    async def script(peer: Peer) -> None:
        await peer.let_in()
        await peer.say(channel_event("Newchannel", name="before"))
        for _ in range(160):
            await peer.say(b"A: no end in sight\r\n" * 3277)
        await peer.say(b"\r\n" + channel_event("Newchannel", name="after"))
        await peer.serve()

    ears = Ears()
    try:
        async with AmiServer(script) as server, linked(server, ears, on_bytes=None) as link:
            await ears.until(lambda: ears.names == ["before"])
            tracemalloc.reset_peak()
            before, _ = tracemalloc.get_traced_memory()
            await ears.until(lambda: ears.names == ["before", "after"])
            _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert dict(link.oddities.counts) == {"message without an end": 1}
    # The unfinished message, the same joined with a read, and buffers of both sockets.
    assert peak - before < 4 * MAXIMUM_MESSAGE_BYTES


async def test_callback_that_raises(caplog: pytest.LogCaptureFixture) -> None:
    """
    A callback that raises is logged with its traceback and counted; events go on.
    """
    ears = Ears()

    def clumsy(batch: Batch) -> None:
        ears.on_events(batch)
        if len(ears.batches) < 3:
            raise RuntimeError("slipped")

    pieces = [channel_event("Newchannel", number=n) for n in range(3)]
    async with (
        AmiServer(says(*pieces)) as server,
        linked(server, ears, on_events=clumsy) as link,
    ):
        await ears.until(lambda: len(ears.events) >= 3)

        assert not ears.losses
    assert link.oddities.counts["callback that failed"] == 2
    [record] = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert record.exc_info is not None
    assert isinstance(record.exc_info[1], RuntimeError)


async def test_tap_that_raises() -> None:
    """
    A recorder whose disk is full costs no event.
    """
    ears = Ears()

    def full(_data: bytes, _arrival: float) -> None:
        raise OSError(28, "No space left on device")

    event = channel_event("Newchannel")
    async with AmiServer(says(event)) as server, linked(server, ears, on_bytes=full) as link:
        await ears.until(lambda: ears.names)

    assert link.oddities.counts["callback that failed"] > 0


async def test_event_that_breaks_the_reader(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    An event at which our own reader stumbles costs that event and nothing else.
    """

    def stumble(_message: object) -> None:
        monkeypatch.undo()
        raise ZeroDivisionError

    monkeypatch.setattr("ami_bridge.adapters.ami_protocol.read_message", stumble)

    ears, oddities = await hears(channel_event("Newchannel") + channel_event("Newstate"))

    assert oddities == {"message that could not be read": 1}
    assert [type(event).__name__ for event in ears.events] == ["Newstate", "Hangup"]


async def test_events_beside_the_login_answer() -> None:
    """
    Events that come in one read with the answer to Login are heard.
    """

    async def script(peer: Peer) -> None:
        await peer.greet()
        login = await peer.challenge()
        answer = message("Response: Success", f"ActionID: {login['ActionID']}")
        await peer.say(answer + message("Event: FullyBooted", "Uptime: 77"))
        await peer.serve()

    ears = Ears()
    async with AmiServer(script) as server, linked(server, ears):
        await ears.until(lambda: ears.events and ears.logins)

    assert ears.events == [FullyBooted(77)]


async def test_nothing_is_heard_after_hanging_up() -> None:
    """
    What comes after the link was closed is not told any more.
    """
    ears = Ears()
    event = channel_event("Newchannel")
    async with AmiServer(says(event)) as server:
        async with linked(server, ears):
            await ears.until(lambda: ears.names)
        heard = len(ears.chunks)
        await asyncio.sleep(0)

    assert len(ears.chunks) == heard


def test_oddities_are_logged_once_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    """
    Each kind of oddity is logged once a minute with its count, however many there are.
    """
    now = 100.0
    oddities = Oddities(clock=lambda: now)

    for _ in range(1000):
        oddities.note("NUL byte")
    oddities.note("invalid UTF-8")
    now += LOG_EVERY_SECONDS
    oddities.note("NUL byte")

    logged = [(vars(record)["kind"], vars(record)["count"]) for record in caplog.records]
    assert logged == [("NUL byte", 1), ("invalid UTF-8", 1), ("NUL byte", 1001)]


async def test_banner_in_pieces() -> None:
    """
    The version in the banner is known however the banner is split.
    """

    async def script(peer: Peer) -> None:
        await peer.say_in_pieces([b"Aster", b"isk Call Manager/1", b"1.0", b".0\r", b"\n"])
        login = await peer.challenge()
        await peer.answer(login)
        await peer.serve()

    ears = Ears()
    async with AmiServer(script) as server, linked(server, ears, settings=settings_for(server)):
        await ears.until(lambda: ears.logins)

    assert len(ears.chunks) > 5
    assert ears.logins[0].identity.ami_version == "11.0.0"
