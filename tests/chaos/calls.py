"""
Recorded calls, each with the call events that it must lead to, and by which of its bytes.

The events of a story are those of its golden file; those of a call out of a recording under
load are what its rows alone imply. The correlator adds to them what neither tells: the
identity of the leg. It says nothing else here: where it differs, no call is made.
"""

import json
import random
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path

import attrs

from ami_bridge.adapters.recording import Recording
from ami_bridge.core.ami_fast_lane import read_message
from ami_bridge.core.ami_stream import AmiMessage
from ami_bridge.core.call_events import CallEvent, HangupDialect, parameters
from ami_bridge.core.correlator import Correlator
from tests.replaying import FIXTURES
from tests.scenarios.load_expectation import legs

LOAD = FIXTURES / "load" / "calls-120-per-second" / "recording.ami.gz"
#: Calls under load last a second or two: too short to meet a fault. They are stretched.
SLOWEST = 5.0
#: Stories that end in mid call, or whose recording has other Uniqueids; and those that look like
#: others after a gap (docs/explanation/call-model.md, section 6, "What no list tells").
LEFT_OUT = frozenset(
    {
        *("originate-not-confirmed", "pickup-by-replaces", "pickup-local-member"),
        *("queue-pickup-by-replaces", "originate-local-n-xfer-attended-then-blind"),
        *("originate-local-queue-application", "originate-local-n-xfer-blind"),
        "park-retrieve-then-consult",
        *("ext-two-contacts", "xfer-attended-then-dtmf", "xfer-recall", "xfer-recall-then-target"),
        *("ami-drop-midcall", "ami-drop-midcall-after", "ami-logoff-second-session"),
        "variant-timestamps-systemname-cel",
    }
)
#: Headers that tell which call a message is about.
_CALLS = ("Linkedid", "DestLinkedid")


@attrs.frozen
class Expected:
    """
    One call event, and the number of the chunk that causes it.
    """

    call_event: CallEvent
    chunk: int


@attrs.frozen
class RecordedCall:
    """
    One call, or a story of several.
    """

    name: str
    #: What Asterisk said together, each with its seconds since the beginning.
    chunks: tuple[tuple[float, bytes], ...]
    expected: tuple[Expected, ...]

    def first_chunk_of(self, uniqueid: str) -> int:
        """
        Find the first chunk that speaks of the channel *uniqueid*.
        """
        line = f"niqueid: {uniqueid}\r\n".encode()
        return next(i for i, (_, octets) in enumerate(self.chunks) if line in octets)


class NotAsWrittenError(Exception):
    """
    A recording does not yield the events that are written beside it.
    """


def stories() -> Iterator[RecordedCall]:
    """
    Read the stories of Asterisk 22.
    """
    for folder in sorted((FIXTURES / "asterisk22").iterdir()):
        if folder.name in LEFT_OUT:
            continue
        call = _call(folder.name, _messages(next(folder.glob("recording.ami*"))))
        golden = (folder / "expected.jsonl").read_text(encoding="utf-8").splitlines()
        told = [_as_golden(expected.call_event) for expected in call.expected]
        written = [
            {name: value for name, value in json.loads(line).items() if name != "time"}
            for line in golden
        ]
        if told != written:
            raise NotAsWrittenError(folder.name)
        if call.chunks:
            yield call


def calls_under_load(count: int, dice: random.Random) -> list[RecordedCall]:
    """
    Choose *count* of the calls of the recording under load.
    """
    messages: defaultdict[str, list[tuple[AmiMessage, float]]] = defaultdict(list)
    over: dict[str, int] = defaultdict(int)
    for message, time in _messages(LOAD):
        call_id = next((message.headers[name] for name in _CALLS if name in message.headers), None)
        if call_id is None:
            continue
        messages[call_id].append((message, time))
        over[call_id] += message.name == b"Hangup"
        # Calls of which both ends are seen; a few more than needed, so that there is a choice.
        if sum(hangups == 2 for hangups in over.values()) >= 2 * count:
            break
    complete = [call_id for call_id, hangups in over.items() if hangups == 2]
    return [
        _call_under_load(call_id, messages[call_id], dice.uniform(1.0, SLOWEST))
        for call_id in dice.sample(complete, min(count, len(complete)))
    ]


def _call_under_load(
    call_id: str, messages: list[tuple[AmiMessage, float]], slower: float
) -> RecordedCall:
    call = _call(f"load {call_id}", messages)
    rows = [message.headers for message, _ in messages]
    wanted = [
        row
        for row in rows
        if row["Event"] in {"Newchannel", "DialBegin", "Hangup"}
        or (row["Event"] == "Newstate" and row["ChannelStateDesc"] == "Up")
    ]
    implied = {
        (leg.extension, leg.call_flow, event.event, event.call_status)
        for leg, events in legs(call_id, wanted)
        for event in events
    }
    told = {
        (
            event.extension,
            event.call_flow.value,
            event.type.value,
            parameters(event, HangupDialect.SIMPLE)["CallStatus"],
        )
        for event in (expected.call_event for expected in call.expected)
    }
    if implied != told:
        raise NotAsWrittenError(call.name)
    chunks = tuple((offset * slower, octets) for offset, octets in call.chunks)
    return attrs.evolve(call, chunks=chunks)


def _messages(path: Path) -> Iterator[tuple[AmiMessage, float]]:
    """
    Read what every client would have been told.
    """
    for message, time in Recording(path).messages(wanted=None):
        for_one = b"\r\nActionID: " in message.raw and message.name != b"OriginateResponse"
        if message.name and message.name != b"FullyBooted" and not for_one and time is not None:
            yield message, time


def _call(name: str, messages: Iterable[tuple[AmiMessage, float]]) -> RecordedCall:
    chunks: list[tuple[float, bytes]] = []
    expected: list[Expected] = []
    correlator = Correlator()
    first = None
    for message, time in messages:
        first = time if first is None else first
        octets = message.raw + b"\r\n\r\n"
        if chunks and chunks[-1][0] == time - first:
            chunks[-1] = (time - first, chunks[-1][1] + octets)
        else:
            chunks.append((time - first, octets))
        ami_event = read_message(message)
        if ami_event is not None:
            expected += [
                Expected(said, len(chunks) - 1)
                for said in correlator.feed(ami_event, time)
                if isinstance(said, CallEvent)
            ]
    return RecordedCall(name, tuple(chunks), tuple(expected))


def _as_golden(call_event: CallEvent) -> dict[str, object]:
    return {
        "event": call_event.type.value,
        "extension": call_event.extension,
        "parameters": parameters(call_event, HangupDialect.SIMPLE),
    }
