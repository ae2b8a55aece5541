"""
A PBX that left the rules while no bridge ran: which of its legs are told to be over.
"""

import pytest

from ami_bridge.adapters.memory_store import InMemoryStore
from ami_bridge.adapters.store import Changes, StoryEntry
from ami_bridge.core.ami_writing import as_message
from ami_bridge.core.call_events import EventType
from ami_bridge.core.correlator import CorrelatorSettings
from ami_bridge.core.extensions import WhoIsWho, default_patterns
from ami_bridge.core.kept_settings import as_text
from ami_bridge.core.rules import ExtensionPattern, Method, Rule
from ami_bridge.former_pbx import end_calls
from ami_bridge.pipeline import Pipeline
from ami_bridge.settings import AsteriskSettings, Config, PbxSettings
from tests.unit.stage import Tape

ANN, BEN, TRUNK = "PJSIP/101-a", "PJSIP/102-b", "PJSIP/trunk-d"


def config(pbx: str, tenant: str, *extensions: str) -> Config:
    """
    Make rules that want everything of *extensions*, with one PBX.
    """
    patterns = tuple(ExtensionPattern(extension) for extension in extensions)
    rule = Rule("all", "http://h/", patterns, frozenset(EventType), Method.GET)
    correlator = CorrelatorSettings(WhoIsWho(default_patterns(tenant)), pbx=pbx)
    return Config((PbxSettings(AsteriskSettings(name=pbx), correlator),), rules=(rule,))


@pytest.fixture
async def store() -> InMemoryStore:
    """
    Give a store with a call of the PBX `west` that rings, and one that has reached nobody.
    """
    tape = Tape()
    tape.calls(ANN, "102", num="101")
    tape.new(BEN, of=ANN)
    tape.dials(ANN, BEN)
    tape.calls("PJSIP/103-c", "104", num="103")
    west = Pipeline(config("west", "0002", "*"))
    call_events = west.take((event, 100.0) for event in tape.played)
    told, settings = b"".join(map(as_message, tape.played)), as_text(west.config.correlator)
    store = InMemoryStore()
    entries = [
        StoryEntry("west", "a", 100.0, told, settings),
        StoryEntry("west", "b", 100.0, b"", settings),
    ]
    deliveries = west.owe(call_events, 100.0)
    await store.keep(Changes(100.0, deliveries, entries, attached={"west": True}))
    return store


async def test_all_legs_end(store: InMemoryStore) -> None:
    """
    Each leg gets its Hangup; that of a call which reached nobody is told whole.
    """
    rules = config("east", "0002", "*").for_former("west")

    told, changes = await end_calls(rules, store, 200.0)

    assert sorted(f"{one.type} {one.extension}" for one in told) == [
        "Dial-Out 0002*103",
        "Hangup 0002*101",
        "Hangup 0002*102",
        "Hangup 0002*103",
    ]
    assert {one.call_id for one in told} == {"west-1795000000.1", "west-1795000000.3"}
    assert len(changes.deliveries) == 4
    await store.keep(changes)
    assert await store.pbxs_with_stories() == []
    assert not await store.attached("west")


async def test_legs_are_those_of_then(store: InMemoryStore) -> None:
    """
    Where the rules of today would take its extensions for another tenant's, that changes nothing.
    """
    rules = config("east", "0009", "*").for_former("west")

    told, _ = await end_calls(rules, store, 200.0)

    assert {one.extension for one in told} == {"0002*101", "0002*102", "0002*103"}


async def test_who_wants_nothing_more_is_told_nothing_more(store: InMemoryStore) -> None:
    """
    The rules of today say who hears of the end.
    """
    rules = config("east", "0002", "0002*102").for_former("west")

    _, changes = await end_calls(rules, store, 200.0)

    assert [delivery.extension for delivery in changes.deliveries] == ["0002*102"]
