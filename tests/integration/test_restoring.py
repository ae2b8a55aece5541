"""
A bridge that starts again while something it had heard was waiting for its time.
"""

import asyncio
import time

from ami_bridge.adapters.memory_store import InMemoryStore
from ami_bridge.adapters.store import Changes, StoryEntry
from ami_bridge.core.call_events import CallEvent, EventType
from ami_bridge.core.correlator import PICKUP_PATIENCE
from ami_bridge.pbx import Pbx
from ami_bridge.settings import Config
from tests.replaying import FIXTURES

from .receivers import until

STORY = FIXTURES / "asterisk22" / "ext-echo-service" / "recording.ami"


async def test_what_waited_for_its_time_is_told_then() -> None:
    """
    What may become a pickup is told as none when its time is over, though nothing else happens.
    """
    lived, _, _ = STORY.read_bytes().partition(b"Event: SoftHangupRequest")
    # The phone shows the number of somebody it talks to, as if it had picked up a call.
    up = lived.replace(b"ConnectedLineNum: <unknown>", b"ConnectedLineNum: 201")
    heard: list[CallEvent] = []
    async with InMemoryStore() as store:
        almost_over = time.time() - PICKUP_PATIENCE + 0.05
        await store.keep(Changes(0.0, entries=[StoryEntry("", "story", almost_over, up)]))
        pbx = Pbx(Config(), keep=lambda _: None, tell=heard.append)
        await pbx.restore(store)
        assert pbx.pipeline.correlator.next_deadline() is not None

        async with asyncio.timeout(5):
            await until(lambda: bool(heard))

    assert EventType.DIAL_OUT in [call_event.type for call_event in heard]
