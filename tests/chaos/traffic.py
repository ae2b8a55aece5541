"""
Recorded calls, begun again and again at random moments, each time as calls of their own.
"""

import heapq
import itertools
import random
import re
import time
import uuid
from collections.abc import Iterator, Sequence

import attrs

from ami_bridge.core.call_events import CallEvent

from .calls import RecordedCall

#: Uniqueids, the numbers at the end of channels' names, and ids of bridges.
_IDS = re.compile(
    rb"\b1\d{9}\.\d+\b"
    rb"|(?<=-)[0-9a-f]{8}(?=[;\r])"
    rb"|\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b"
)
_UNIQUEID = re.compile(r"\b1\d{9}\.\d+\b")


@attrs.define(eq=False)
class PlayedCall:
    """
    One playing of a recorded call.
    """

    call: RecordedCall
    #: Ids of the recording, and those of this playing.
    ids: dict[bytes, bytes] = attrs.field(factory=dict)
    #: For each chunk that was played, its place among all that the PBX said.
    positions: list[int] = attrs.field(factory=list)
    #: The PBX went down in the middle of it, when it had said so much.
    ended_at: int | None = None

    def fresh(self, text: str) -> str:
        """
        Put the Uniqueids of this playing into *text*.
        """
        return _UNIQUEID.sub(lambda found: self.ids[found[0].encode()].decode(), text)

    def fresh_event(self, call_event: CallEvent, pbx: str) -> CallEvent:
        """
        Make *call_event* one of this playing, on the PBX called *pbx*.
        """
        return attrs.evolve(
            call_event,
            leg=f"{pbx}{self.fresh(call_event.leg)}",
            call_id=f"{pbx}-{self.fresh(call_event.call_id)}",
        )

    @property
    def over(self) -> bool:
        """
        Tell whether nothing more will be said of it.
        """
        return self.ended_at is not None or len(self.positions) == len(self.call.chunks)


class Traffic:
    """
    Calls out of *library*, *rate* of which begin in a second, until `end`.
    """

    def __init__(self, library: Sequence[RecordedCall], rate: float, dice: random.Random) -> None:
        self._library = library
        self._rate = rate
        self._dice = dice
        self._ending = False
        self._channels = itertools.count(1)
        self._serial = itertools.count()
        #: Chunks that are due, the next one first.
        self._due: list[tuple[float, int, PlayedCall]] = []
        #: All calls that were begun.
        self.played: list[PlayedCall] = []
        #: Chunks given so far.
        self.position = 0

    def end(self) -> None:
        """
        Begin no more calls.
        """
        self._ending = True

    def pbx_went_down(self, position: int) -> None:
        """
        End all calls, as a PBX does that had said *position* chunks.
        """
        self._due.clear()
        for played in self.played:
            if not played.over or (played.positions and played.positions[-1] >= position):
                played.ended_at = position

    def chunks(self) -> Iterator[tuple[float, bytes]]:
        """
        Give what the PBX says, and when, in seconds.
        """
        clock = 0.0
        next_begin = self._dice.expovariate(self._rate)
        while True:
            if not self._ending and (not self._due or next_begin <= self._due[0][0]):
                clock = next_begin
                next_begin += self._dice.expovariate(self._rate)
                played = PlayedCall(self._dice.choice(self._library))
                self.played.append(played)
                heapq.heappush(self._due, (clock, next(self._serial), played))
            elif self._due:
                clock, _, played = heapq.heappop(self._due)
                yield clock, self._chunk(played, clock)
            else:
                return

    def _chunk(self, played: PlayedCall, clock: float) -> bytes:
        """
        Take the next chunk of *played*, and put the one after it in line.
        """
        chunks = played.call.chunks
        offset, octets = chunks[len(played.positions)]
        played.positions.append(self.position)
        self.position += 1
        if not played.over:
            wait = chunks[len(played.positions)][0] - offset
            heapq.heappush(self._due, (clock + wait, next(self._serial), played))
        return _IDS.sub(lambda found: self._fresh_id(found[0], played.ids), octets)

    def _fresh_id(self, old: bytes, ids: dict[bytes, bytes]) -> bytes:
        if old not in ids:
            if b"." in old:
                ids[old] = b"%d.%d" % (int(time.time()), next(self._channels))
            elif b"-" in old:
                ids[old] = str(uuid.UUID(int=self._dice.getrandbits(128), version=4)).encode()
            else:
                ids[old] = b"%08x" % next(self._channels)
        return ids[old]
