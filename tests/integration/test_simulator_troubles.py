"""
What may befall the simulator's clients: breaks, stalls, garbled bytes, a PBX that restarts.
"""

import asyncio
import contextlib
import itertools

import pytest

from ami_bridge.adapters.ami_session import AmiSession
from ami_bridge.adapters.simulator import Happening, Playing, Simulator, What
from ami_bridge.core.ami_events import FullyBooted, Hangup, Newchannel
from ami_bridge.errors import AmiLost

from .ami_clients import Telnet, of, settings_for
from .ami_ears import Ears
from .ami_server import channel_event

UP = [channel_event("Newchannel", number=number) for number in range(1, 4)]
HANGUPS = [channel_event("Hangup", "Cause: 16", number=number) for number in range(1, 4)]


def uniqueids(ears: Ears) -> list[str]:
    """
    Give the last part of the Uniqueid of each channel that was made.
    """
    made = [event for event in ears.events if isinstance(event, Newchannel)]
    return [event.channel.uniqueid.partition(".")[2] for event in made]


async def test_calls_stand_still_while_nobody_listens() -> None:
    """
    With hold, a second client hears what comes after what the first one heard, and no gap.
    """
    pieces = of(*UP, *HANGUPS, seconds=0.1)
    ears = Ears()
    async with Simulator(pieces, playing=Playing.HOLD) as simulator:
        async with AmiSession(settings_for(simulator), on_events=ears.on_events):
            await ears.until(lambda: len(ears.names) >= 2)
        while simulator.clients:  # noqa: ASYNC110 - it notices by and by
            await asyncio.sleep(0.001)
        heard = simulator.position
        async with AmiSession(settings_for(simulator), on_events=ears.on_events) as session:
            channels = await session.list_channels()
            await ears.until(lambda: len(ears.events) >= 8)

    assert 2 <= heard < 6
    up = range(max(1, heard - 2), min(heard, 3) + 1)
    assert [row.uniqueid for row in channels] == [f"1795408646.{number}" for number in up]
    assert uniqueids(ears) == ["1", "2", "3"]


async def test_calls_go_on_while_nobody_listens() -> None:
    """
    Played live, what is said while nobody listens is missed, and the channels are there.
    """
    ears = Ears()
    pieces = of(*UP, b"", seconds=0.2)
    async with Simulator(pieces, playing=Playing.LIVE, speed=10) as simulator:
        async with AmiSession(settings_for(simulator), on_events=ears.on_events):
            await ears.until(lambda: len(ears.names) >= 1)
        async with asyncio.timeout(5):
            await simulator.finished.wait()
        async with AmiSession(settings_for(simulator), on_events=ears.on_events) as session:
            channels = await session.list_channels()

    assert uniqueids(ears) == ["1"]
    assert len(channels) == 3


async def test_slow_reader_of_a_live_pbx_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    A client that reads too slowly loses its connection, as with Asterisk, and stops nobody.
    """
    monkeypatch.setattr("ami_bridge.adapters.manager_session._MOST_UNREAD_BYTES", 100_000)
    pieces = of(*[UP[0] * 200] * 200)
    async with (
        Simulator(pieces, playing=Playing.LIVE, speed=0) as simulator,
        Telnet(simulator.port) as client,
    ):
        await client.log_in()
        async with asyncio.timeout(5):
            await simulator.finished.wait()
        with contextlib.suppress(ConnectionError):
            # What is read is cut off: an answer never comes.
            while not client.reader.at_eof():
                await client.reader.read(1 << 20)

        assert simulator.clients == 0


async def test_cut() -> None:
    """
    A connection that is cut is lost at once, and the next one is welcome.
    """
    async with Simulator(of(*UP), playing=Playing.HOLD, speed=0) as simulator:
        async with AmiSession(settings_for(simulator)) as session:
            listening = asyncio.create_task(session.listen())
            simulator.cut()
            with pytest.raises(AmiLost):
                await listening
        async with AmiSession(settings_for(simulator)) as session:
            assert len(await session.list_channels()) == 3


async def test_stalled_connection() -> None:
    """
    A stalled connection stays open and silent; what was withheld comes when it flows again.
    """
    ears = Ears()

    def stall(happening: Happening) -> None:
        # What is said reaches the clients afterwards.
        if happening.what is What.SAID and happening.position == 2:
            simulator.stall()

    async with (
        Simulator(of(*UP, seconds=0.02), playing=Playing.HOLD, tell=stall) as simulator,
        AmiSession(settings_for(simulator), on_events=ears.on_events) as session,
    ):
        await ears.until(lambda: len(ears.names) >= 1)
        asking = asyncio.create_task(session.ask({"Action": "Ping"}))
        async with asyncio.timeout(5):
            await simulator.finished.wait()
        silent = len(ears.names)
        simulator.flow()
        [pong] = await asking
        await ears.until(lambda: len(ears.names) >= 3)

    assert silent == 1
    assert pong["Ping"] == "Pong"


async def test_garbled_events() -> None:
    """
    What is garbled reaches the client so, and only that.
    """
    ears = Ears()

    def garble(happening: Happening) -> None:
        if happening.what is What.SAID and happening.position == 2:
            simulator.garble(lambda octets: octets.replace(b"Newchannel", b"Oldchannel"))

    async with (
        Simulator(of(*UP, seconds=0.05), playing=Playing.HOLD, tell=garble) as simulator,
        AmiSession(settings_for(simulator), on_events=ears.on_events),
    ):
        async with asyncio.timeout(5):
            await simulator.finished.wait()
        await ears.until(lambda: len(ears.names) >= 2)

    assert uniqueids(ears) == ["1", "3"]


@pytest.mark.parametrize("graceful", [True, False], ids=["core restart", "crash"])
async def test_restart(*, graceful: bool) -> None:
    """
    A PBX that restarts has no channels, a later start, and says nothing of its earlier calls.
    """
    new = channel_event("Newchannel", number=9)
    pieces = of(*UP, *HANGUPS, new, seconds=0.1)
    ears = Ears()
    async with Simulator(pieces, playing=Playing.HOLD) as simulator:
        simulator.booted -= 100
        async with AmiSession(settings_for(simulator), on_events=ears.on_events) as session:
            await ears.until(lambda: len(ears.names) >= 2)
            listening = asyncio.create_task(session.listen())
            await simulator.restart(graceful=graceful)
            with pytest.raises(AmiLost) as lost:
                await listening
        async with AmiSession(settings_for(simulator), on_events=ears.on_events) as session:
            channels = await session.list_channels()
            await ears.until(lambda: "9" in uniqueids(ears))

    assert channels == []
    # What was about to be said is not said any more.
    assert uniqueids(ears) == ["1", "2", "9"]
    hung_up = [event.channel.uniqueid[-1] for event in ears.events if isinstance(event, Hangup)]
    assert hung_up == (["1", "2"] if graceful else [])
    boots = [event.uptime for event in ears.events if isinstance(event, FullyBooted)]
    assert boots == [100, 0]
    assert ("Asterisk restarts" in str(lost.value)) is graceful


async def test_nobody_reaches_a_pbx_that_is_away() -> None:
    """
    While the PBX is down, connections are refused.
    """
    async with Simulator(of(*UP), playing=Playing.HOLD) as simulator:
        restarting = asyncio.create_task(simulator.restart(0.2))
        await asyncio.sleep(0)
        with pytest.raises(AmiLost, match="refused"):
            async with AmiSession(settings_for(simulator)):
                pass
        await restarting
        async with AmiSession(settings_for(simulator)):
            pass


async def test_record_of_what_happened() -> None:
    """
    Who keeps a record is told of logins, lists, ends and starts, and how much was said by then.
    """
    heard: list[Happening] = []
    pieces = of(*UP, seconds=0.05)
    async with Simulator(pieces, playing=Playing.HOLD, tell=heard.append) as simulator:
        async with AmiSession(settings_for(simulator)) as session:
            async with asyncio.timeout(5):
                await simulator.finished.wait()
            await session.list_channels()
        await simulator.restart()

    grouped = [what for what, _ in itertools.groupby(happening.what for happening in heard)]
    assert grouped == [What.LOGIN, What.SAID, What.LISTED, What.LEFT, What.BOOTED]
    assert [happening.position for happening in heard if happening.what is What.SAID] == [1, 2, 3]
    assert {happening.session for happening in heard if happening.what is not What.SAID} <= {0, 1}
