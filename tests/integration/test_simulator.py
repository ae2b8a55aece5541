"""
What the simulator plays to a client: the events of recordings, at their times.
"""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from panoramisk import Manager

from ami_bridge.adapters.ami_session import AmiSession
from ami_bridge.adapters.recording import read_recording
from ami_bridge.adapters.simulator import Chunks, Simulator
from ami_bridge.core.ami_events import FullyBooted
from ami_bridge.errors import RecordingError
from tests.replaying import FIXTURES, ami_events, recorded_bytes

from .ami_clients import Telnet, of, settings_for
from .ami_ears import Ears
from .ami_server import channel_event, message

LOGIN = message("Response: Success", "ActionID: rec-1", "Message: Authentication accepted")
BOOTED = message("Event: FullyBooted", "Uptime: 1184", "Status: Fully Booted")
BANNER = b"Asterisk Call Manager/5.0.4\r\n"
HANGUP = channel_event("Hangup", "Cause: 16", "Cause-txt: Normal Clearing")


async def test_events_of_a_recording_reach_a_client() -> None:
    """
    A client hears the events of a recording, all of them, in order, letters split or not.
    """
    name = channel_event("Newchannel", name="Jürgen Größe")
    middle = name.index("ü".encode()) + 1
    pieces = of(BANNER + LOGIN + BOOTED + name[:middle], name[middle:] + HANGUP)
    ears = Ears()
    async with Simulator(pieces, speed=0) as simulator:
        async with AmiSession(settings_for(simulator), on_events=ears.on_events):
            await ears.until(lambda: len(ears.events) >= 3)

        assert simulator.finished.is_set()
    assert [type(event).__name__ for event in ears.events] == [
        "FullyBooted",
        "Newchannel",
        "Hangup",
    ]
    assert ears.names == ["Jürgen Größe"]


@pytest.mark.parametrize(
    "path",
    sorted(FIXTURES.glob("asterisk*/*/recording.ami*"))[::17],
    ids=lambda path: path.parent.name,
)
async def test_every_event_of_a_real_recording(path: Path) -> None:
    """
    What a client hears of a real recording is what the recording holds, read directly.
    """
    data = recorded_bytes(path.parent)
    expected = [event for event in ami_events([data]) if not isinstance(event, FullyBooted)]
    ears = Ears()

    async with (
        Simulator(lambda: read_recording(path), speed=0) as simulator,
        AmiSession(settings_for(simulator), on_events=ears.on_events),
    ):
        await ears.until(lambda: len(ears.events) >= len(expected) + 1)

    heard = [event for event in ears.events if not isinstance(event, FullyBooted)]
    assert heard == expected


async def test_stock_panoramisk_as_client() -> None:
    """
    A client that is not ours, panoramisk as it is, logs in, asks and hears.
    """
    heard: list[str] = []
    over = asyncio.Event()

    def hear(_manager: object, event: Any) -> None:
        heard.append(event.event)
        if event.event == "Hangup":
            over.set()

    pieces = of(BANNER + LOGIN + BOOTED, channel_event("Newchannel"), HANGUP)
    async with Simulator(pieces, speed=0) as simulator:
        manager = Manager(
            loop=asyncio.get_running_loop(),
            port=simulator.port,
            username="somebody",
            secret="something",
            # It connects again after its own close: later than this test lasts.
            reconnect_timeout=3600,
        )
        manager.register_event("*", hear)
        await manager.connect()
        async with asyncio.timeout(5):
            await over.wait()
            pong = await manager.send_action({"Action": "Ping"})
            rows = await manager.send_action({"Action": "CoreShowChannels"})
        manager.close()

    assert heard == ["FullyBooted", "Newchannel", "Hangup"]
    assert pong.ping == "Pong"
    assert [row.event for row in rows] == ["", "CoreShowChannelsComplete"]


async def test_recorded_answers_are_not_played() -> None:
    """
    Answers that the recorded client got, and rows of its lists, are nobody else's business.
    """
    tag = "ActionID: rec-2"
    own = (
        message("Response: Success", tag, "EventList: start")
        + channel_event("CoreShowChannel", tag)
        + message("Event: CoreShowChannelsComplete", tag, "ListItems: 1")
    )
    others = message("Event: OriginateResponse", "ActionID: 77", "Response: Success")
    pieces = of(LOGIN + BOOTED + own + others)
    async with Simulator(pieces, speed=0) as simulator, Telnet(simulator.port) as client:
        await client.log_in()

        assert (await client.message())[0] == "Event: OriginateResponse"


async def test_a_later_boot_is_played() -> None:
    """
    FullyBooted right after a recorded login is left out, one in mid recording is not.
    """
    pieces = of(LOGIN + BOOTED, channel_event("Newchannel"), BOOTED)
    async with Simulator(pieces, speed=0) as simulator, Telnet(simulator.port) as client:
        await client.log_in()

        assert (await client.message())[0] == "Event: Newchannel"
        assert (await client.message())[:2] == ["Event: FullyBooted", "Uptime: 1184"]


async def test_log_with_line_feeds_and_no_end() -> None:
    """
    A log with LF and without its last blank line is played as Asterisk would have said it.
    """
    log = (BANNER + LOGIN + channel_event("Newchannel") + HANGUP).replace(b"\r\n", b"\n")[:-1]
    ears = Ears()
    async with (
        Simulator(lambda: [(None, log)]) as simulator,
        AmiSession(settings_for(simulator), on_events=ears.on_events),
    ):
        await ears.until(lambda: len(ears.events) >= 3)

    assert [type(event).__name__ for event in ears.events][1:] == ["Newchannel", "Hangup"]


async def test_channels_of_the_moment() -> None:
    """
    CoreShowChannels lists those channels that are up at this point of the recording.
    """
    up = channel_event("Newchannel", number=1) + channel_event("Newchannel", number=2)
    ears = Ears()
    async with (
        Simulator(of(up, HANGUP, seconds=0.2)) as simulator,
        AmiSession(settings_for(simulator), on_events=ears.on_events) as session,
    ):
        await ears.until(lambda: len(ears.names) >= 2)
        both = await session.list_channels()
        await ears.until(lambda: len(ears.events) >= 4)
        rest = await session.list_channels()

    assert [row.uniqueid for row in both] == ["1795408646.1", "1795408646.2"]
    assert [row.uniqueid for row in rest] == ["1795408646.2"]


async def test_recorded_times_scaled_by_speed() -> None:
    """
    Ten times the speed takes a tenth of the recorded time.
    """
    loop = asyncio.get_running_loop()
    ears = Ears()
    pieces = of(channel_event("Newchannel"), HANGUP, seconds=1.5)
    async with (
        Simulator(pieces, speed=10) as simulator,
        AmiSession(settings_for(simulator), on_events=ears.on_events),
    ):
        await ears.until(lambda: len(ears.events) >= 2)
        began = loop.time()
        await ears.until(lambda: len(ears.events) >= 3)

    assert 0.1 < loop.time() - began < 1.0


async def test_played_to_each_client_from_the_beginning() -> None:
    """
    A client that comes later hears the whole recording too.
    """
    async with Simulator(of(channel_event("Newchannel")), speed=0) as simulator:
        for _ in range(2):
            async with Telnet(simulator.port) as client:
                await client.log_in()

                assert (await client.message())[0] == "Event: Newchannel"


async def test_loop_plays_other_calls() -> None:
    """
    Each round of a loop has unique ids of its own and leaves no channel of the last behind.
    """
    ears = Ears()
    async with (
        Simulator(of(channel_event("Newchannel"), seconds=0.0), loop=True, speed=0) as simulator,
        AmiSession(settings_for(simulator), on_events=ears.on_events) as session,
    ):
        await ears.until(lambda: len(ears.names) >= 5)
        rows = await session.list_channels()

    made: list[Any] = ears.events[1:]
    ids = [event.channel.uniqueid for event in made]
    assert ids[:2] == ["1795408646.1", "1796408646.1"]
    assert len(set(ids)) == len(ids)
    assert all(event.channel.uniqueid == event.channel.linkedid for event in made)
    assert len(rows) <= 1


async def test_loop_of_nothing_ends() -> None:
    """
    A recording without events does not spin when it is looped.
    """
    pieces = of(BANNER + LOGIN)
    async with (
        Simulator(pieces, loop=True, speed=0) as simulator,
        Telnet(simulator.port) as client,
    ):
        await client.log_in()
        async with asyncio.timeout(5):
            await simulator.finished.wait()

        assert (await client.ask("Action: Ping"))[1] == "Ping: Pong"


async def test_damaged_recording(caplog: pytest.LogCaptureFixture) -> None:
    """
    Of a damaged recording what is readable is played, and the damage is told.
    """

    def damaged() -> Chunks:
        yield 1.0, channel_event("Newchannel")
        raise RecordingError("a.ami", 705, "it ends here")

    caplog.set_level("WARNING", "ami_bridge")
    async with Simulator(damaged, speed=0) as simulator, Telnet(simulator.port) as client:
        await client.log_in()

        assert (await client.message())[0] == "Event: Newchannel"
        async with asyncio.timeout(5):
            await simulator.finished.wait()
    assert "byte 705" in str([vars(record) for record in caplog.records])


async def test_client_that_leaves_in_mid_recording() -> None:
    """
    A client that goes away while it is played to troubles nobody.
    """
    data = channel_event("Newchannel") * 10_000
    async with Simulator(of(*[data] * 20), speed=0) as simulator:
        async with Telnet(simulator.port) as client:
            await client.log_in()
        async with Telnet(simulator.port) as client:
            await client.log_in()

            assert (await client.message())[0] == "Event: Newchannel"
            assert not simulator.finished.is_set()
            client.writer.transport.abort()


async def test_closing_with_a_client_connected(caplog: pytest.LogCaptureFixture) -> None:
    """
    A simulator that ends sends what is on its way, closes its clients and complains of nothing.
    """
    async with Simulator(of(channel_event("Newchannel")), speed=0) as simulator:
        client = Telnet(simulator.port)
        await client.__aenter__()
        await client.log_in()
        async with asyncio.timeout(5):
            await simulator.finished.wait()
    async with asyncio.timeout(5):
        rest = await client.reader.read(-1)
    await client.__aexit__()

    assert rest == channel_event("Newchannel")
    assert caplog.records == []


async def test_one_read_for_what_is_due_together() -> None:
    """
    Recorded reads that are due at once are sent as one, and later ones are not held up by it.
    """
    pieces = [channel_event("Newchannel", number=number) for number in range(100)]
    chunks = [(1.0 + number // 50, piece) for number, piece in enumerate(pieces)]
    ears = Ears()
    async with (
        Simulator(lambda: chunks, speed=5) as simulator,
        AmiSession(settings_for(simulator), on_events=ears.on_events),
    ):
        await ears.until(lambda: len(ears.names) >= 100)

    # The login and two moments; TCP may cut each of them in two.
    assert len(ears.batches) <= 6
