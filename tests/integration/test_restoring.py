"""
A bridge that starts again, or makes its link anew, in the middle of something.
"""

import asyncio
import time
from typing import Any

import attrs
import pytest

from ami_bridge.adapters.ami_protocol import Heard
from ami_bridge.adapters.memory_store import InMemoryStore
from ami_bridge.adapters.simulator import Simulator
from ami_bridge.adapters.store import Changes, StoryEntry
from ami_bridge.cli.simulate import playlist
from ami_bridge.core.ami_events import NAMES_THAT_MATTER
from ami_bridge.core.ami_fast_lane import read_message
from ami_bridge.core.ami_stream import BLANK_LINE, AmiStream
from ami_bridge.core.call_events import CallEvent, EventType
from ami_bridge.core.resync import Resynchronised, resynchronise
from ami_bridge.pbx import Pbx
from ami_bridge.settings import Config, PbxSettings
from tests.replaying import FIXTURES

from .ami_clients import settings_for
from .receivers import until

STORY = FIXTURES / "asterisk22" / "ext-echo-service" / "recording.ami"


@pytest.mark.parametrize("ahead", [0.0, 200.0])
async def test_what_waited_for_its_time_is_told_then(ahead: float) -> None:
    """
    What may become a pickup is told as none when its time is over, though nothing else happens.

    It does not matter by how many seconds the PBX's clock is ahead.
    """
    lived, _, _ = STORY.read_bytes().partition(b"Event: SoftHangupRequest")
    # The phone shows the number of somebody it talks to, as if it had picked up a call.
    up = lived.replace(b"ConnectedLineNum: <unknown>", b"ConnectedLineNum: 201")
    heard: list[CallEvent] = []
    async with InMemoryStore() as store:
        await store.keep(Changes(0.0, entries=[StoryEntry("", "story", time.time() + ahead, up)]))
        pbx = Pbx(Config(), keep=lambda _: None, tell=heard.append)
        await pbx.restore(store)
        assert pbx.pipeline.correlator.next_deadline() is not None

        async with asyncio.timeout(5):
            await until(lambda: bool(heard))

    assert EventType.DIAL_OUT in [call_event.type for call_event in heard]


async def test_the_journal_is_in_the_order_of_what_was_heard() -> None:
    """
    Messages of stories that meet within one read are kept in the order in which they came.
    """
    story = FIXTURES / "asterisk22" / "pickup-directed" / "recording.ami"
    messages = [
        Heard(ami_event, 1.0, message.raw + BLANK_LINE)
        for message in AmiStream(NAMES_THAT_MATTER).feed(story.read_bytes())
        if (ami_event := read_message(message)) is not None
    ]
    kept: list[Changes] = []
    pbx = Pbx(Config(), keep=kept.append)
    pbx._held = None

    pbx._hear(messages)

    (changes,) = kept
    assert len({entry.story for entry in changes.entries}) > 1
    written = b"".join(entry.messages for entry in changes.entries)
    assert written == b"".join(heard.message for heard in messages if heard.message in written)


async def test_a_link_that_is_made_anew_may_have_missed_something(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """
    After a change of its settings the first list is compared as after a link that was lost.
    """
    steady: list[bool] = []

    def note(*args: Any, **facts: Any) -> Resynchronised:
        steady.append(facts["steady"])
        return resynchronise(*args, **facts)

    monkeypatch.setattr("ami_bridge.pbx.resynchronise", note)
    async with Simulator(playlist((str(STORY),)), speed=1) as simulator:
        settings = settings_for(simulator)
        pbx = Pbx(Config((PbxSettings(settings),)), keep=lambda _: None)
        running = asyncio.create_task(pbx.run())
        async with asyncio.timeout(10):
            await until(lambda: len(steady) == 1)
            changed = attrs.evolve(settings, keepalive_seconds=7.0)
            pbx.apply(Config((PbxSettings(changed),)))
            await until(lambda: len(steady) == 2)
        running.cancel()
        await asyncio.wait({running})

    assert steady == [False, False]
