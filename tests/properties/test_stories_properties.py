"""
A bridge that starts again from the stories that were kept knows what the last one knew.
"""

from collections import defaultdict
from collections.abc import Iterable

from hypothesis import given, settings
from hypothesis import strategies as st

from ami_bridge.core.ami_events import NAMES_THAT_MATTER, AmiEvent
from ami_bridge.core.ami_fast_lane import read_message
from ami_bridge.core.ami_stream import BLANK_LINE, AmiStream
from ami_bridge.core.call_events import CallEvent
from ami_bridge.core.correlator import Correlator
from ami_bridge.core.stories import Stories
from tests.replaying import SCENARIOS, recorded_bytes, scenario_name

Read = list[tuple[AmiEvent, bytes]]


def read(data: bytes) -> Read:
    """
    Read what matters out of *data*, with the bytes of each message.
    """
    return [
        (ami_event, message.raw + BLANK_LINE)
        for message in AmiStream(NAMES_THAT_MATTER).feed(data)
        if message.name and (ami_event := read_message(message)) is not None
    ]


STREAMS = {
    name: messages
    for folder in SCENARIOS
    if "load" not in (name := scenario_name(folder)) and (messages := read(recorded_bytes(folder)))
}


class Bridge:
    """
    As much of a bridge as it takes to keep its stories, and to start again from them.
    """

    def __init__(self) -> None:
        self.correlator = Correlator()
        self.stories = Stories(self.correlator.follows)
        #: Messages by the name of the story under which they were kept, in order.
        self.kept: dict[str, list[bytes]] = defaultdict(list)
        self.sequence: list[tuple[str, bytes]] = []

    def hear(self, messages: Read) -> list[CallEvent]:
        """
        Take *messages*; return the call events that follow.
        """
        said: list[CallEvent] = []
        for ami_event, message in messages:
            said += only_call_events(self.correlator.feed(ami_event, None))
            if (story := self.stories.note(ami_event)) is not None:
                self.sequence.append((story, message))
            ended = set(self.stories.take_ended())
            self.sequence = [one for one in self.sequence if one[0] not in ended]
        return said

    def start_again(self) -> "Bridge":
        """
        Make a bridge from what was kept alone.
        """
        another = Bridge()
        for story, message in self.sequence:
            ((ami_event, _),) = read(message)
            another.correlator.feed(ami_event, None)
            another.stories.note(ami_event, story)
        another.sequence = list(self.sequence)
        return another


def only_call_events(said: Iterable[object]) -> list[CallEvent]:
    """
    Leave out the anomalies of what a correlator *said*.
    """
    return [one for one in said if isinstance(one, CallEvent)]


@settings(max_examples=150, deadline=None)
@given(
    name=st.sampled_from(sorted(STREAMS)),
    shares=st.lists(st.floats(0, 1), min_size=1, max_size=3).map(sorted),
)
def test_starting_again_changes_nothing(name: str, shares: list[float]) -> None:
    """
    Ended and started again at any messages, a bridge says what one that went on would say.
    """
    messages = STREAMS[name]
    undisturbed = Bridge().hear(messages)

    bridge, heard, done = Bridge(), [], 0
    for share in shares:
        cut = int(share * len(messages))
        heard += bridge.hear(messages[done:cut])
        bridge, done = bridge.start_again(), cut
    heard += bridge.hear(messages[done:])

    assert heard == undisturbed


@settings(max_examples=60, deadline=None)
@given(name=st.sampled_from(sorted(STREAMS)), share=st.floats(0, 1))
def test_nothing_is_kept_of_calls_that_are_over(name: str, share: float) -> None:
    """
    What is kept is about channels that live; when the last one is gone, nothing is left.
    """
    messages = STREAMS[name]
    bridge = Bridge()
    bridge.hear(messages[: int(share * len(messages))])

    if not bridge.correlator.channels:
        assert bridge.sequence == []
        assert len(bridge.stories) == 0


def test_stories_of_two_calls_end_apart() -> None:
    """
    Of two calls, one of them still up, only what is about the living one stays.
    """
    living = STREAMS["asterisk22/confbridge"]
    bridge = Bridge()
    bridge.hear(living[: len(living) // 2])
    kept = list(bridge.sequence)
    assert kept

    bridge.hear(STREAMS["asterisk22/ext-ext-busy"])

    assert bridge.sequence == kept
    assert len(bridge.stories) == len({story for story, _ in kept})
