"""
Call events as they are said, for whoever listens: the last ones are remembered.
"""

import asyncio
import collections
from collections.abc import Iterator
from contextlib import contextmanager

import attrs

from ami_bridge.core.call_events import CallEvent, EventType

#: How many call events are remembered for those who come back.
_REMEMBERED = 10_000
#: A listener that is so many behind has to come back and is told what it missed then.
_LONGEST_QUEUE = 10_000


@attrs.frozen
class Said:
    """
    One call event, and its number since the start of the bridge.
    """

    number: int
    call_event: CallEvent


class Broadcast:
    """
    What the bridge has said since its start.
    """

    def __init__(self, remembered: int = _REMEMBERED) -> None:
        self._said: collections.deque[Said] = collections.deque(maxlen=remembered)
        self._listeners: set[asyncio.Queue[Said | None]] = set()
        #: Number of the last one; 0 before the first.
        self.last = 0
        self.counts: collections.Counter[EventType] = collections.Counter()

    def tell(self, call_event: CallEvent) -> None:
        """
        Say *call_event* to all who listen.
        """
        self.last += 1
        self.counts[call_event.type] += 1
        said = Said(self.last, call_event)
        self._said.append(said)
        for queue in tuple(self._listeners):
            if queue.qsize() >= _LONGEST_QUEUE:
                self._listeners.discard(queue)
                queue.put_nowait(None)
            else:
                queue.put_nowait(said)

    def since(self, number: int) -> tuple[list[Said], bool]:
        """
        Give what was said after *number*, and whether that is all of it.
        """
        found = [said for said in self._said if said.number > number]
        return found, number + 1 >= (self._said[0].number if self._said else self.last + 1)

    @contextmanager
    def listen(self) -> Iterator[asyncio.Queue[Said | None]]:
        """
        Give a queue of what is said from now on; None ends it, for who is too far behind.
        """
        queue: asyncio.Queue[Said | None] = asyncio.Queue()
        self._listeners.add(queue)
        try:
            yield queue
        finally:
            self._listeners.discard(queue)

    def close(self) -> None:
        """
        Let everybody stop listening.
        """
        for queue in self._listeners:
            queue.put_nowait(None)
        self._listeners.clear()
