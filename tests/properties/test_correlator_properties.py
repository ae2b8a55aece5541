"""
What holds for every recording, however it is cut, joined late, interleaved or repeated.
"""

import itertools
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from ami_bridge.core.ami_events import AmiEvent
from ami_bridge.core.correlator import Anomaly, Correlator
from tests.replaying import (
    SCENARIOS,
    ami_events,
    assert_invariant,
    by_leg,
    call_events,
    recorded_bytes,
    scenario_name,
)

if TYPE_CHECKING:
    from ami_bridge.core.call_events import CallEvent

STREAMS = {scenario_name(folder): recorded_bytes(folder) for folder in SCENARIOS}
#: Recordings that end in mid call are no good where the end matters.
WHOLE = {
    name: data for name, data in STREAMS.items() if "midcall" not in name and "logoff" not in name
}
names = st.sampled_from(sorted(STREAMS))
whole_names = st.sampled_from(sorted(WHOLE))


#: Where a phone is in two such calls, nothing but the number tells for which it dials or rings.
BY_NUMBER_ALONE = re.compile("xfer-attended-then-dtmf|xfer-recall")


def another_pbx_at_another_time(data: bytes) -> bytes:
    """
    Shift a recording's unique ids and channel numbers, as if it were of other calls.
    """
    data = re.sub(rb"\b179(\d{7})\.(\d+)", rb"189\1.\2", data)
    return re.sub(rb"-0000([0-9a-f]{4})(?=[;<\r])", rb"-00ff\1", data)


@settings(max_examples=40, deadline=None)
@given(name=names, cuts=st.lists(st.integers(1, 200_000), max_size=40))
def test_chunks_do_not_matter(name: str, cuts: list[int]) -> None:
    """
    Any split of the bytes, even inside a letter, yields the same call events.
    """
    data = STREAMS[name]
    borders = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    pieces = [data[a:b] for a, b in itertools.pairwise(borders)]

    assert call_events(ami_events(pieces)) == call_events(ami_events([data]))


@pytest.mark.parametrize("folder", SCENARIOS[::5], ids=scenario_name)
def test_bytes_one_by_one(folder: Path) -> None:
    """
    A stream that comes byte by byte yields the same call events.
    """
    data = recorded_bytes(folder)[:60_000]
    singles = [data[i : i + 1] for i in range(len(data))]

    assert call_events(ami_events(singles)) == call_events(ami_events([data]))


@settings(max_examples=100, deadline=None)
@given(name=names, share=st.floats(0, 1))
def test_joining_late_is_harmless(name: str, share: float) -> None:
    """
    Any suffix is survived, and no Answer or Hangup is told of a call whose Dial was not.
    """
    events = list(ami_events([STREAMS[name]]))

    heard = call_events(events[int(share * len(events)) :])

    assert_invariant(heard, complete=False)


@settings(max_examples=60, deadline=None)
@given(one=whole_names, two=whole_names, data=st.data())
def test_interleaved_calls_do_not_disturb_each_other(
    one: str, two: str, data: st.DataObject
) -> None:
    """
    Two recordings mixed yield each call's own sequence, undisturbed and in order.
    """
    assume(not (BY_NUMBER_ALONE.search(one) and BY_NUMBER_ALONE.search(two)))
    first = list(ami_events([WHOLE[one]]))
    second = list(ami_events([another_pbx_at_another_time(WHOLE[two])]))
    order = data.draw(st.permutations([0] * len(first) + [1] * len(second)))
    queues = [iter(first), iter(second)]

    mixed = by_leg(call_events(next(queues[which]) for which in order))

    assert mixed == {**by_leg(call_events(first)), **by_leg(call_events(second))}


@settings(max_examples=60, deadline=None)
@given(name=names, data=st.data())
def test_repeated_events_change_nothing(name: str, data: st.DataObject) -> None:
    """
    An AMI event that comes twice in a row changes nothing but the count of anomalies.
    """
    events = list(ami_events([STREAMS[name]]))
    repeated = data.draw(st.sets(st.integers(0, max(0, len(events) - 1)), max_size=10))
    doubled = [event for i, event in enumerate(events) for _ in range(2 if i in repeated else 1)]

    assert call_events(doubled) == call_events(events)


@settings(max_examples=100, deadline=None)
@given(name=whole_names, data=st.data())
def test_spoilt_recordings_keep_the_invariant(name: str, data: st.DataObject) -> None:
    """
    With events lost and swapped no leg breaks its invariant, and a later listing ends all.
    """
    events = list(ami_events([WHOLE[name]]))
    spoilt = spoil(events, data)
    correlator = Correlator()

    heard = call_events(spoilt, correlator)
    heard += [
        said
        for said in correlator.resynchronise((), correlator.channels, None)
        if not isinstance(said, Anomaly)
    ]

    assert_invariant(heard)
    assert correlator.channels == frozenset()
    assert correlator.open_legs == []


def spoil(events: list[AmiEvent], data: st.DataObject) -> list[AmiEvent]:
    """
    Lose some events and move some others.
    """
    if not events:
        return []
    places = st.integers(0, len(events) - 1)
    lost = data.draw(st.sets(places, max_size=6))
    kept = [event for i, event in enumerate(events) if i not in lost]
    for _ in range(data.draw(st.integers(0, 4))):
        if kept:
            moved = kept.pop(data.draw(st.integers(0, len(kept) - 1)))
            kept.insert(data.draw(st.integers(0, len(kept))), moved)
    return kept


@pytest.mark.parametrize("folder", SCENARIOS, ids=scenario_name)
def test_identities_are_unique(folder: Path) -> None:
    """
    No two call events of a recording share their identity.
    """
    heard: list[CallEvent] = call_events(ami_events([recorded_bytes(folder)]))

    identities = [call_event.identity for call_event in heard]
    assert len(identities) == len(set(identities))
