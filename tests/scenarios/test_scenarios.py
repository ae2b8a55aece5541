"""
Every recording yields exactly the call events that were written beside it.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from ami_bridge.adapters.recording import read_events
from ami_bridge.core.call_events import CallEvent, HangupDialect, parameters
from ami_bridge.core.correlator import Anomaly, Correlator
from tests.replaying import FIXTURES, SCENARIOS, assert_invariant, by_leg, scenario_name
from tests.scenarios.load_expectation import LegEvent, LegId, expected_legs

#: Streams that end while calls are up: a leg may lack its Hangup there.
CUT_SHORT = {"ami-drop-midcall", "ami-logoff-second-session"}
LOADS = sorted((FIXTURES / "load").iterdir())


def recording_in(folder: Path) -> Path:
    """
    Find the stream of a scenario.
    """
    plain = folder / "recording.ami"
    return plain if plain.exists() else folder / "recording.ami.gz"


def replay(path: Path) -> tuple[list[CallEvent], list[Anomaly], Correlator]:
    """
    Replay a recording with its recorded times.
    """
    correlator = Correlator()
    heard: list[CallEvent] = []
    odd: list[Anomaly] = []
    for ami_event, time in read_events(path):
        for said in correlator.feed(ami_event, time):
            if isinstance(said, CallEvent):
                heard.append(said)
            else:
                odd.append(said)
    return heard, odd, correlator


def told(call_event: CallEvent) -> dict[str, Any]:
    """
    Put a call event into the form of the golden files.
    """
    return {
        "event": call_event.type.value,
        "extension": call_event.extension,
        "time": call_event.time,
        "parameters": parameters(call_event, HangupDialect.SIMPLE),
    }


@pytest.mark.parametrize("folder", SCENARIOS, ids=scenario_name)
def test_recording_yields_its_golden_events(folder: Path) -> None:
    """
    The stream yields the events of expected.jsonl, in order, and every leg its invariant.
    """
    lines = (folder / "expected.jsonl").read_text(encoding="utf-8").splitlines()
    expected = [json.loads(line) for line in lines]

    heard, _, _ = replay(recording_in(folder))

    assert [told(call_event) for call_event in heard] == expected
    assert_invariant(heard, complete=folder.name not in CUT_SHORT)


@pytest.mark.parametrize("folder", SCENARIOS, ids=scenario_name)
def test_nothing_is_left_when_all_channels_are_gone(folder: Path) -> None:
    """
    After the last Hangup of a recording the correlator is empty.
    """
    _, _, correlator = replay(recording_in(folder))

    if folder.name not in CUT_SHORT:
        assert correlator.channels == frozenset()
        assert correlator.open_legs == []


@pytest.mark.parametrize("folder", SCENARIOS, ids=scenario_name)
def test_story_is_told(folder: Path) -> None:
    """
    Each recording says in words who did what, and which section of the call model decides.
    """
    assert "call model" in (folder / "story.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("folder", LOADS, ids=lambda folder: folder.name)
def test_load_recording_tells_every_leg_its_story(folder: Path) -> None:
    """
    Thousands of calls at once yield, leg by leg, what the rows of each call alone imply.
    """
    path = folder / "recording.ami.gz"

    heard, odd, correlator = replay(path)

    assert_invariant(heard)
    assert odd == []
    assert correlator.channels == frozenset()
    legs = {
        LegId(events[0].call_id, events[0].extension, events[0].call_flow.value): [
            LegEvent(
                event.type.value,
                parameters(event, HangupDialect.SIMPLE)["CallStatus"],
                event.caller_id_num,
                event.called_number,
                event.called_extension,
                event.called_did,
            )
            for event in events
        ]
        for events in by_leg(heard).values()
    }
    assert legs == expected_legs(path)
