"""
Now and then the channels that are known are compared with Asterisk's list: it changes nothing.
"""

from collections import defaultdict
from pathlib import Path

import pytest

from ami_bridge.adapters.recording import Recording
from ami_bridge.core.ami_events import AmiEvent
from ami_bridge.core.ami_fast_lane import read_message
from ami_bridge.core.ami_stream import AmiMessage
from ami_bridge.core.call_events import CallEvent, HangupDialect, parameters
from ami_bridge.core.channel_list import ListedChannels, join, read_channel_row
from ami_bridge.core.correlator import Anomaly, Correlator
from ami_bridge.core.pbx_state import PbxState
from ami_bridge.core.resync import resynchronise
from tests.replaying import SCENARIOS, scenario_name

Said = list[CallEvent | Anomaly]
Told = dict[str, list[tuple[str, dict[str, str]]]]

#: Streams that begin in mid call, of an Asterisk without lists of our kind, or very long ones.
STORIES = [
    folder
    for folder in SCENARIOS
    if folder.parent.name == "asterisk22"
    and not folder.name.startswith("ami-")
    and not folder.name.endswith("all-events")
]


def messages_of(folder: Path) -> list[tuple[AmiMessage, AmiEvent | None]]:
    """
    Read what is no answer to an action, each with its record if it matters.
    """
    return [
        (message, read_message(message))
        for message, _ in Recording(next(folder.glob("recording.ami*"))).messages(wanted=None)
        if message.name and message.name != b"FullyBooted"
        if b"\r\nActionID: " not in message.raw or message.name == b"OriginateResponse"
    ]


def by_leg(said: Said) -> Told:
    """
    Give what was said of each leg, in order.
    """
    told: Told = defaultdict(list)
    for one in said:
        if isinstance(one, CallEvent):
            told[one.leg].append((one.type.value, parameters(one, HangupDialect.SIMPLE)))
    return dict(told)


def compared(messages: list[tuple[AmiMessage, AmiEvent | None]], asked: int, answered: int) -> Said:
    """
    Take *messages*, of which those from *asked* to *answered* come while Asterisk lists.
    """
    correlator, state = Correlator(), PbxState()
    said: Said = []
    for message, ami_event in messages[:asked]:
        state.take(message, 0.0)
        if ami_event is not None:
            said += correlator.feed(ami_event, None)
    known = correlator.channels
    for message, _ in messages[asked:answered]:
        state.take(message, 0.0)
    held = tuple(event for _, event in messages[asked:answered] if event is not None)
    rows = [read_channel_row(row) for row in state.channel_rows(0.0)]
    statuses = [read_channel_row(row) for row in state.status_rows(0.0)]
    listed = ListedChannels(join(rows, statuses), known, held)
    said += resynchronise(correlator, listed, None, announce=True, steady=True).said
    for _, ami_event in messages[asked:]:
        if ami_event is not None:
            said += correlator.feed(ami_event, None)
    return said


@pytest.mark.parametrize("folder", STORIES, ids=scenario_name)
def test_a_comparison_at_any_moment_changes_nothing(folder: Path) -> None:
    """
    Wherever in a story Asterisk is asked, and whatever it says meanwhile, each leg is told alike.
    """
    messages = messages_of(folder)
    undisturbed = by_leg(compared(messages, 0, 0))
    that_matter = [place for place, (_, event) in enumerate(messages) if event is not None]

    for place in that_matter:
        for meanwhile in (0, 3, 12):
            answered = min(place + meanwhile, len(messages))
            assert by_leg(compared(messages, place, answered)) == undisturbed, (place, meanwhile)
