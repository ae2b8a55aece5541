"""
Replays bytes through the pure core, without any adapter: for scenarios and properties.
"""

import gzip
from collections.abc import Iterable, Iterator
from pathlib import Path

from ami_bridge.core.ami_events import NAMES_THAT_MATTER, AmiEvent
from ami_bridge.core.ami_fast_lane import read_message
from ami_bridge.core.ami_stream import AmiStream
from ami_bridge.core.call_events import CallEvent, CallFlow, CallStatus, EventType
from ami_bridge.core.correlator import Correlator

FIXTURES = Path(__file__).parent.parent / "fixtures"
SCENARIOS = sorted(path.parent for path in FIXTURES.glob("asterisk*/*/expected.jsonl"))

_DIALS = {EventType.DIAL_IN, EventType.DIAL_OUT}
_ANSWERS = {EventType.ANSWER_IN, EventType.ANSWER_OUT}


def scenario_name(folder: Path) -> str:
    """
    Name a scenario in test output: version and story.
    """
    return f"{folder.parent.name}/{folder.name}"


def recorded_bytes(folder: Path) -> bytes:
    """
    Read a scenario's stream, compressed or not.
    """
    plain = folder / "recording.ami"
    if plain.exists():
        return plain.read_bytes()
    return gzip.decompress((folder / "recording.ami.gz").read_bytes())


def ami_events(chunks: Iterable[bytes]) -> Iterator[AmiEvent]:
    """
    Read the AMI events that matter out of *chunks*.
    """
    stream = AmiStream(NAMES_THAT_MATTER)
    for chunk in chunks:
        for message in stream.feed(chunk):
            if message.name and (ami_event := read_message(message)) is not None:
                yield ami_event


def call_events(
    events: Iterable[AmiEvent], correlator: Correlator | None = None
) -> list[CallEvent]:
    """
    Correlate *events*, which have no times.
    """
    correlator = correlator or Correlator()
    return [
        said
        for ami_event in events
        for said in correlator.feed(ami_event, None)
        if isinstance(said, CallEvent)
    ]


def by_leg(heard: Iterable[CallEvent]) -> dict[str, list[CallEvent]]:
    """
    Sort what was heard by leg, keeping the order.
    """
    legs: dict[str, list[CallEvent]] = {}
    for call_event in heard:
        legs.setdefault(call_event.leg, []).append(call_event)
    return legs


def assert_invariant(heard: Iterable[CallEvent], *, complete: bool = True) -> None:
    """
    Check section 3 of the call model: a Dial, at most one answer, exactly one Hangup, last.

    With *complete* false a leg may lack its Hangup, because the stream ended before it.
    """
    for leg, events in by_leg(heard).items():
        kinds = [event.type for event in events]
        assert kinds[0] in _DIALS, f"{leg} begins with {kinds[0]}"
        assert kinds.count(EventType.HANGUP) <= 1, f"{leg} hangs up twice"
        if complete:
            assert kinds[-1] is EventType.HANGUP, f"{leg} does not hang up"
        middle = kinds[1:-1] if kinds[-1] is EventType.HANGUP else kinds[1:]
        assert len(middle) <= 1, f"{leg} says {middle}"
        assert set(middle) <= _ANSWERS, f"{leg} says {middle}"
        flow = events[0].call_flow
        inward = EventType.DIAL_IN if flow is CallFlow.IN else EventType.DIAL_OUT
        assert kinds[0] is inward, f"{leg} flows {flow} and begins with {kinds[0]}"
        assert len({event.call_id for event in events}) == 1, f"{leg} changes its CallID"
        if kinds[-1] is EventType.HANGUP:
            answered = events[-1].call_status is CallStatus.ANSWER
            assert answered == bool(middle), f"{leg} ends {events[-1].call_status}"
