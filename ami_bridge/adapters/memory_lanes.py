"""
What is owed to one destination, in this process's memory.

Of the waiting deliveries of a lane only the oldest has a time when it is due, and stands in
the destination's heap by that time. What does not hold any more is left in the heap until its
time comes: a delivery that is under way, or that is due at another time.
"""

import heapq
from bisect import insort
from operator import attrgetter
from typing import Any

import attrs

from ami_bridge.core.deliveries import Delivery
from ami_bridge.core.retry import Attempt

_ALL_BUT_ATTEMPTS = attrgetter(
    *(field.name for field in attrs.fields(Delivery) if field.name != "attempts")
)
_by_age = attrgetter("seq")


@attrs.define(eq=False)
class Owed:
    """
    A delivery that is owed, or was given up.
    """

    delivery: Delivery
    #: The youngest has the highest.
    seq: int
    queue: "Queue"
    #: None if another of its lane comes first.
    due: float | None = None
    #: Somebody is attempting it.
    claimed: bool = False
    #: When the last lease ends, or ended.
    until: float = 0.0
    #: Kept back by the pause of its rule.
    paused: bool = False
    #: Those that failed.
    attempts: tuple[Attempt, ...] = ()

    def take(self, until: float) -> None:
        """
        Let it be somebody's attempt until then.
        """
        before = self.delivery
        # A third of what attrs.evolve takes, and this is done for every attempt.
        facts: Any = (*_ALL_BUT_ATTEMPTS(before), before.attempts + 1)
        self.delivery = Delivery(*facts)
        self.claimed = True
        self.until = until


@attrs.define(eq=False)
class Queue:
    """
    All that is owed to one destination.
    """

    #: Paused ones, too.
    count: int = 0
    #: What waits, by leg, the oldest first. Paused ones are not among them.
    lanes: dict[str, list[Owed]] = attrs.field(factory=dict)
    #: What is due and not under way; the ages decide where times are the same.
    heap: list[tuple[float, int, Owed]] = attrs.field(factory=list)

    def append(self, owed: Owed) -> None:
        """
        Let *owed* be the youngest of its lane.
        """
        delivery = owed.delivery
        lane = self.lanes.get(delivery.leg)
        if lane is None:
            self.lanes[delivery.leg] = [owed]
            self.offer(owed, delivery.created)
        else:
            lane.append(owed)

    def offer(self, owed: Owed, due: float) -> None:
        """
        Let *owed* be claimed from *due* on.
        """
        owed.due = due
        heapq.heappush(self.heap, (due, owed.seq, owed))

    def remove(self, owed: Owed) -> None:
        """
        Take *owed* out of its lane; the next comes forward.
        """
        owed.due = None
        leg = owed.delivery.leg
        lane = self.lanes[leg]
        if len(lane) == 1:
            del self.lanes[leg]
        else:
            lane.remove(owed)
            self.advance(lane)

    def retry(self, owed: Owed, when: float) -> None:
        """
        Let *owed* be claimed again from *when* on, unless an older one came back meanwhile.
        """
        lane = self.lanes[owed.delivery.leg]
        if lane[0] is owed:
            self.offer(owed, when)
        else:
            owed.due = None
            self.advance(lane)

    def advance(self, lane: list[Owed]) -> None:
        """
        Let the oldest of a *lane* be claimed, unless somebody is attempting another one of it.
        """
        oldest = lane[0]
        if oldest.due is None and not any(other.claimed for other in lane):
            self.offer(oldest, oldest.delivery.created)

    def put_back(self, owed: Owed) -> None:
        """
        Let *owed*, which was paused, take its old place.

        What was the oldest until now is so no more, unless somebody is attempting it.
        """
        lane = self.lanes.setdefault(owed.delivery.leg, [])
        insort(lane, owed, key=_by_age)
        for other in lane[1:]:
            other.due = other.delivery.created if other.claimed else None
        self.advance(lane)

    def take(self, now: float, room: int, until: float) -> tuple[list[Owed], float | None]:
        """
        Claim at most *room* of what is due; and say when more of it will be, if there is room.
        """
        taken: list[Owed] = []
        heap = self.heap
        while heap and len(taken) < room:
            due, _, owed = heap[0]
            if owed.due == due and not owed.claimed:
                if due > now:
                    return taken, due
                owed.take(until)
                taken.append(owed)
            heapq.heappop(heap)
        return taken, None
