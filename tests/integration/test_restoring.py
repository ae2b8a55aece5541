"""
A bridge that starts again, or makes its link anew, in the middle of something.
"""

import asyncio
import contextlib
import sqlite3
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import attrs
import pytest

from ami_bridge.adapters.ami import AmiLink
from ami_bridge.adapters.ami_protocol import Batch, Heard
from ami_bridge.adapters.memory_store import InMemoryStore
from ami_bridge.adapters.simulator import Simulator
from ami_bridge.adapters.store import Changes, Store, StoryEntry, together
from ami_bridge.adapters.stores import open_store
from ami_bridge.cli.simulate import playlist
from ami_bridge.core.ami_events import NAMES_THAT_MATTER
from ami_bridge.core.ami_fast_lane import read_message
from ami_bridge.core.ami_stream import BLANK_LINE, AmiStream
from ami_bridge.core.ami_writing import as_message
from ami_bridge.core.call_events import CallEvent, EventType
from ami_bridge.core.channel_list import ChannelRow
from ami_bridge.core.correlator import CorrelatorSettings
from ami_bridge.core.extensions import IdentityPattern, WhoIsWho, default_patterns
from ami_bridge.core.resync import Resynchronised, resynchronise
from ami_bridge.pbx import Pbx
from ami_bridge.settings import Config, PbxSettings, StoreSettings
from tests.pbx_model import PbxModel
from tests.replaying import FIXTURES
from tests.unit.stage import Tape

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


class ListedOnce(AmiLink):
    """
    A link by which one list of channels can be had.
    """

    def __init__(self, rows: Iterable[ChannelRow]) -> None:
        self._rows = list(rows)

    async def list_channels(self, deadline_seconds: float | None = None) -> list[ChannelRow]:  # noqa: ARG002
        """
        Give the list.
        """
        return self._rows

    async def list_statuses(self, deadline_seconds: float | None = None) -> list[ChannelRow]:  # noqa: ARG002
        """
        Give nothing more.
        """
        return []


async def lives(
    store: Store, config: Config, *happens: Batch | Config, rows: Iterable[ChannelRow] | None = None
) -> list[str]:
    """
    Let a bridge start, compare *rows* if they are given, hear or be told what *happens*, and die.

    Give what it told.
    """
    told: list[str] = []
    kept: list[Changes] = []

    def tell(call_event: CallEvent) -> None:
        told.append(f"{call_event.type} {call_event.extension}")

    pbx = Pbx(config, keep=kept.append, tell=tell, clock=lambda: 100.0)
    await pbx.restore(store)
    if rows is None:
        pbx._held = None
    else:
        await pbx._compare_once(ListedOnce(rows))
    for one in happens:
        if isinstance(one, Config):
            pbx.apply(one)
        else:
            pbx._hear(one)
    if kept:
        await store.keep(together(kept))
    return told


def understood(*patterns: IdentityPattern) -> Config:
    """
    Make rules that say who is an extension.
    """
    return Config((PbxSettings(correlator=CorrelatorSettings(WhoIsWho(patterns))),))


NINE, EIGHT = (understood(*default_patterns(tenant)) for tenant in ("0009", "0008"))
NOBODY = understood()


def heard_of(tape: Tape) -> Batch:
    """
    Give what has happened on *tape* since this was asked last.
    """
    return [Heard(ami_event, 100.0, as_message(ami_event)) for ami_event in tape.take()]


def a_call(caller: str, called: str) -> tuple[Batch, Batch]:
    """
    Play a call of two phones; give how it rings, and how it is answered and ends.
    """
    tape = Tape()
    tape.calls(caller, called[6:9], num=caller[6:9])
    tape.new(called, of=caller)
    tape.dials(caller, called)
    rings = heard_of(tape)
    tape.answers(called)
    tape.up(caller)
    tape.hangs_up(called, caller)
    return rings, heard_of(tape)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param(NINE, EIGHT, id="another tenant"),
        pytest.param(NINE, NOBODY, id="extensions no more"),
        pytest.param(NOBODY, NINE, id="extensions now"),
    ],
)
async def test_a_call_is_understood_as_when_it_began(before: Config, after: Config) -> None:
    """
    What a bridge with other rules began to tell is told to its end, and nothing else.
    """
    rings, ends = a_call("PJSIP/101-a", "PJSIP/102-b")
    async with InMemoryStore() as store:
        whole = await lives(store, before, rings, ends)

    async with InMemoryStore() as store:
        told = await lives(store, before, rings)
        told += await lives(store, after)
        told += await lives(store, after, ends)

    assert told == whole


async def test_rules_that_change_between_two_calls(tmp_path: Path) -> None:
    """
    Of two calls that were up, each is understood by the rules that it began with.
    """
    tape = Tape()
    batches = []
    for number in (101, 103):
        caller, called = f"PJSIP/{number}-a", f"PJSIP/{number + 1}-b"
        tape.calls(caller, str(number + 1), num=str(number))
        tape.new(called, of=caller)
        tape.dials(caller, called)
        batches.append(heard_of(tape))
    tape.hangs_up("PJSIP/102-b", "PJSIP/101-a", "PJSIP/104-b", "PJSIP/103-a")
    ends = heard_of(tape)
    async with open_store(StoreSettings(tmp_path / "store.sqlite")) as store:
        await lives(store, NINE, batches[0], EIGHT, batches[1])

        told = await lives(store, EIGHT, ends)

    assert told == ["Hangup 0009*102", "Hangup 0009*101", "Hangup 0008*104", "Hangup 0008*103"]


async def test_rules_that_change_while_a_bridge_reads_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """
    What is left to read is understood by the rules of then all the same.
    """
    monkeypatch.setattr("ami_bridge.pbx._TAKEN_AT_ONCE", 1)
    rings, _ = a_call("PJSIP/101-a", "PJSIP/102-b")
    async with InMemoryStore() as store:
        await lives(store, NINE, *([heard] for heard in rings))
        pbx = Pbx(NINE, keep=lambda _: None)
        restoring = asyncio.create_task(pbx.restore(store))
        await asyncio.sleep(0)
        pbx.apply(EIGHT)
        await restoring

    legs = pbx.pipeline.correlator.open_legs
    assert {leg.extension for leg in legs} == {"0009*101", "0009*102"}


async def test_settings_that_cannot_be_read(tmp_path: Path) -> None:
    """
    Calls whose settings are spoilt are understood by those of today.
    """
    rings, ends = a_call("PJSIP/101-a", "PJSIP/102-b")
    path = tmp_path / "store.sqlite"
    async with open_store(StoreSettings(path)) as store:
        await lives(store, NINE, rings)
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE settings SET text = '{'")
        connection.commit()

    async with open_store(StoreSettings(path)) as store:
        told = await lives(store, EIGHT, ends)

    assert set(told) >= {"Hangup 0008*101", "Hangup 0008*102"}


async def test_a_pbx_is_known_when_its_channels_are() -> None:
    """
    A bridge that never got in was never attached: calls that are up are followed in silence.
    """
    rings, ends = a_call("PJSIP/101-a", "PJSIP/102-b")
    model = PbxModel()
    for heard in rings:
        model.take(heard.ami_event)
    rows = tuple(model.rows())
    assert len(rows) == 2
    async with InMemoryStore() as store:
        await lives(store, NINE)

        assert await lives(store, NINE, ends, rows=rows) == []

    async with InMemoryStore() as store:
        await lives(store, NINE, rows=())

        assert "Dial-In 0009*102" in await lives(store, NINE, ends, rows=rows)
