"""
A PBX that left the rules while no bridge ran: which of its legs are told to be over.
"""

import attrs
import pytest

from ami_bridge.adapters.memory_store import InMemoryStore
from ami_bridge.adapters.store import Changes, StoryEntry
from ami_bridge.core.ami_events import AmiEvent
from ami_bridge.core.ami_writing import as_message
from ami_bridge.core.call_events import EventType
from ami_bridge.core.correlator import CorrelatorSettings
from ami_bridge.core.extensions import WhoIsWho, default_patterns
from ami_bridge.core.rules import ExtensionPattern, Method, Rule
from ami_bridge.former_pbx import end_calls
from ami_bridge.pipeline import Pipeline
from ami_bridge.settings import AsteriskSettings, Config, PbxSettings
from tests.unit.stage import Stage

ANN, BEN, TRUNK = "PJSIP/101-a", "PJSIP/102-b", "PJSIP/trunk-d"


class Tape(Stage):
    """
    A stage whose AMI events are kept.
    """

    def __init__(self) -> None:
        super().__init__()
        self.played: list[AmiEvent] = []

    def play(self, event: AmiEvent) -> None:
        """
        Let one AMI event happen, and keep it.
        """
        self.played.append(event)
        super().play(event)


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
    told = b"".join(map(as_message, tape.played))
    store = InMemoryStore()
    entries = [StoryEntry("west", "a", 100.0, told), StoryEntry("west", "b", 100.0, b"")]
    await store.keep(Changes(100.0, west.owe(call_events, 100.0), entries))
    return store


async def test_legs_that_were_told_of_end(store: InMemoryStore) -> None:
    """
    Each leg that receivers heard of gets its Hangup; of a call that reached nobody nothing is told.
    """
    rules = config("east", "0002", "*").for_former("west")

    told, changes = await end_calls(rules, store, 200.0)

    assert sorted(f"{one.type} {one.extension}" for one in told) == [
        "Hangup 0002*101",
        "Hangup 0002*102",
    ]
    assert {one.call_id for one in told} == {"west-1795000000.1"}
    assert len(changes.deliveries) == 2
    await store.keep(changes)
    assert await store.pbxs_with_stories() == []


async def test_another_tenants_legs_do_not_end(store: InMemoryStore) -> None:
    """
    Where the rules take the PBX's extensions for another tenant's, that one is told nothing.
    """
    rules = config("east", "0009", "*").for_former("west")

    told, changes = await end_calls(rules, store, 200.0)
    await store.keep(changes)

    assert told == []
    assert changes.deliveries == []
    assert await store.pbxs_with_stories() == []


async def test_who_wants_nothing_more_is_told_nothing_more(store: InMemoryStore) -> None:
    """
    The rules of today say who hears of the end.
    """
    rules = config("east", "0002", "0002*102").for_former("west")

    _, changes = await end_calls(rules, store, 200.0)

    assert [delivery.extension for delivery in changes.deliveries] == ["0002*102"]


async def test_many_legs_are_looked_up_in_turns(
    store: InMemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    However little the store is asked for at once, no leg is missed.
    """
    monkeypatch.setattr("ami_bridge.former_pbx._LEGS", 1)
    monkeypatch.setattr("ami_bridge.former_pbx._DELIVERIES", 1)
    rules = config("east", "0002", "*").for_former("west")
    twice = attrs.evolve(rules, rules=(*rules.rules, attrs.evolve(rules.rules[0], id="again")))

    told, changes = await end_calls(twice, store, 200.0)

    assert len(told) == 2
    assert len(changes.deliveries) == 4
