"""
A PBX that does not answer when it is asked for its channels, and goes on telling of them.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from ami_bridge.adapters.manager_session import Action, ManagerSession
from ami_bridge.adapters.simulator import Simulator
from ami_bridge.cli.simulate import playlist
from ami_bridge.core.call_events import CallEvent, EventType
from ami_bridge.core.pbx_state import PbxState
from ami_bridge.pbx import Pbx
from ami_bridge.settings import Config, PbxSettings
from tests.replaying import FIXTURES

from .ami_clients import settings_for

STORY = FIXTURES / "asterisk22" / "trunk-ext-answered" / "recording.ami"
WHOLE = [EventType.DIAL_IN, EventType.ANSWER_IN, EventType.HANGUP]


@asynccontextmanager
async def listening(simulator: Simulator, heard: list[CallEvent]) -> AsyncIterator[None]:
    """
    Attend to *simulator*, whose lists are waited for a short while only.
    """
    settings = settings_for(simulator, keepalive_deadline_seconds=0.2)
    config = Config((PbxSettings(settings),))
    pbx = Pbx(config, keep=lambda _changes: None, tell=heard.append)
    running = asyncio.create_task(pbx.run())
    try:
        yield
    finally:
        running.cancel()
        await asyncio.wait({running})


@pytest.mark.parametrize("unanswered", [1, 1000], ids=["once", "always"])
async def test_events_do_not_wait_for_a_list_that_does_not_come(
    monkeypatch: pytest.MonkeyPatch, unanswered: int
) -> None:
    """
    A list that does not come in time is asked for again, and what was held back is told.
    """
    asked = 0
    answer = ManagerSession._list_channels

    async def refuse(session: ManagerSession, action: Action, state: PbxState) -> None:
        nonlocal asked
        asked += 1
        if asked > unanswered:
            await answer(session, action, state)

    monkeypatch.setattr(ManagerSession, "_list_channels", refuse)
    heard: list[CallEvent] = []
    async with (
        Simulator(playlist((str(STORY),)), speed=0) as simulator,
        listening(simulator, heard),
        asyncio.timeout(10),
    ):
        while len(heard) < 3 or asked < 2:  # noqa: ASYNC110 - it is told of nothing else
            await asyncio.sleep(0.01)

    assert [call_event.type for call_event in heard] == WHOLE
