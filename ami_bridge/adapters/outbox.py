"""
Keeps the deliveries that are owed until each is delivered or given up.

`Outbox` is what every store of deliveries can do, whether it is in this process's memory
or in a database that several bridges and senders share. Order is the store's business: of
one leg and one destination, only the oldest delivery can be claimed. Whose attempt it is,
is the sender's, and what an attempt means is `core.retry`'s.
"""

import heapq
import logging
from collections import OrderedDict, deque
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import attrs

from ami_bridge.core.deliveries import Delivery
from ami_bridge.core.retry import Abandoned, Attempt, RetryAt, Verdict

__all__ = ["Claims", "Delivery", "GivenUp", "InMemoryOutbox", "Outbox"]

_log = logging.getLogger(__name__)


@attrs.frozen
class Claims:
    """
    What one call of `Outbox.claim` gave.
    """

    #: To be attempted now, and settled afterwards.
    deliveries: tuple[Delivery, ...]
    #: When to ask again even if nothing changes (seconds since the epoch), if ever.
    next_due: float | None


class Outbox(Protocol):
    """
    A store of deliveries.

    All times are handed in, as seconds since the epoch. A delivery that was claimed is the
    claimant's until it is settled, or until its lease ends; its `Delivery.attempts` is then
    the number of the attempt, and tells a claim from an earlier one of the same delivery.
    """

    async def put(self, deliveries: Sequence[Delivery]) -> None:
        """
        Take *deliveries*, all or none; ids that are known already are left as they are.

        After it returned they are kept, as durably as the store keeps anything.
        """

    async def claim(
        self, now: float, concurrency: int, busy: Mapping[str, int], lease_seconds: float
    ) -> Claims:
        """
        Claim what is due at *now*, the longest due first, for *lease_seconds*.

        No destination gets more than *concurrency* less the number it has in *busy*, and
        no leg more than its oldest delivery to that destination.
        """

    async def settle(self, delivery: Delivery, attempt: Attempt | None, verdict: Verdict) -> None:
        """
        Write down what came of a claimed *delivery*; *attempt* is None if there was none.

        A claim whose lease ended and that was given to somebody else settles nothing.
        """

    async def waiting(self) -> dict[str, int]:
        """
        Count what is neither delivered nor given up, by destination.
        """

    def subscribe(self, wake: Callable[[], None]) -> None:
        """
        Have *wake* called, in the event loop's thread, whenever there is more to claim.
        """


@attrs.frozen
class GivenUp:
    """
    A delivery that was given up, and why.
    """

    delivery: Delivery
    attempt: Attempt | None
    reason: str


@attrs.define(eq=False)
class _Entry:
    """
    One delivery that waits, or is claimed.
    """

    delivery: Delivery
    sequence: int
    #: When it can be claimed: for what is claimed, the end of its lease.
    due: float
    claimed: bool = False


@attrs.define(eq=False)
class _Lane:
    """
    What waits for one destination: all of it by age, and by leg.
    """

    #: By sequence, the oldest first.
    entries: OrderedDict[int, _Entry] = attrs.field(factory=OrderedDict)
    legs: dict[str, deque[_Entry]] = attrs.field(factory=dict)
    #: Oldest of each leg, by when it is due. What does not hold any more stays until its time:
    #: entries that are gone, or that are due at another.
    due: list[tuple[float, int]] = attrs.field(factory=list)

    def add(self, entry: _Entry) -> None:
        """
        Let *entry* wait behind the others of its leg.
        """
        self.entries[entry.sequence] = entry
        leg = self.legs.setdefault(entry.delivery.leg, deque())
        leg.append(entry)
        if len(leg) == 1:
            self.offer(entry, entry.due)

    def offer(self, entry: _Entry, due: float) -> None:
        """
        Let *entry*, the oldest of its leg, be taken from *due* on.
        """
        entry.due, entry.claimed = due, False
        heapq.heappush(self.due, (due, entry.sequence))

    def take(self, now: float, lease_seconds: float) -> _Entry | None:
        """
        Give the entry that has been due for longest, if one is due, for *lease_seconds*.
        """
        due = self.next_due()
        if due is None or due > now:
            return None
        _, sequence = heapq.heappop(self.due)
        entry = self.entries[sequence]
        self.offer(entry, now + lease_seconds)
        entry.claimed = True
        return entry

    def next_due(self) -> float | None:
        """
        Say when the next entry can be taken.
        """
        while self.due:
            due, sequence = self.due[0]
            entry = self.entries.get(sequence)
            if entry is not None and entry.due == due:
                return due
            heapq.heappop(self.due)
        return None

    def remove(self, entry: _Entry) -> None:
        """
        Forget *entry*; the next of its leg comes forward.
        """
        del self.entries[entry.sequence]
        leg = self.legs[entry.delivery.leg]
        was_oldest = leg[0] is entry
        leg.remove(entry)
        if not leg:
            del self.legs[entry.delivery.leg]
        elif was_oldest:
            self.offer(leg[0], leg[0].due)

    def oldest_unclaimed(self) -> _Entry | None:
        """
        Give the oldest entry that nobody is attempting.
        """
        return next((entry for entry in self.entries.values() if not entry.claimed), None)


class InMemoryOutbox:
    """
    Deliveries that live as long as the process: for tests, demonstrations and small setups.

    Not more than *limit* wait for one destination; beyond that its oldest is given up.
    The last *remembered* ids are known again, and as many that were given up are kept.
    """

    def __init__(self, *, limit: int = 50_000, remembered: int = 10_000) -> None:
        self._limit = limit
        self._remembered = remembered
        self._lanes: dict[str, _Lane] = {}
        self._entries: dict[str, _Entry] = {}
        self._settled: OrderedDict[str, None] = OrderedDict()
        self._sequence = 0
        self._wake: list[Callable[[], None]] = []
        #: What was given up, the latest last.
        self.given_up: deque[GivenUp] = deque(maxlen=remembered)

    async def put(self, deliveries: Sequence[Delivery]) -> None:
        """
        Take *deliveries*, as `Outbox.put` says.
        """
        for delivery in deliveries:
            if delivery.id in self._entries or delivery.id in self._settled:
                continue
            self._sequence += 1
            entry = _Entry(delivery, self._sequence, delivery.created)
            self._entries[delivery.id] = entry
            lane = self._lanes.setdefault(delivery.destination, _Lane())
            lane.add(entry)
            if len(lane.entries) > self._limit:
                self._make_room(lane)
        self._tell()

    async def claim(
        self, now: float, concurrency: int, busy: Mapping[str, int], lease_seconds: float
    ) -> Claims:
        """
        Claim what is due, as `Outbox.claim` says.
        """
        claimed = []
        dues = []
        for destination, lane in self._lanes.items():
            room = concurrency - busy.get(destination, 0)
            while room > 0 and (entry := lane.take(now, lease_seconds)):
                room -= 1
                number = entry.delivery.attempts + 1
                entry.delivery = attrs.evolve(entry.delivery, attempts=number)
                claimed.append(entry.delivery)
            if room > 0 and (due := lane.next_due()) is not None:
                dues.append(due)
        return Claims(tuple(claimed), min(dues, default=None))

    async def settle(self, delivery: Delivery, attempt: Attempt | None, verdict: Verdict) -> None:
        """
        Write down what came of *delivery*, as `Outbox.settle` says.
        """
        entry = self._entries.get(delivery.id)
        if entry is None or not entry.claimed or entry.delivery.attempts != delivery.attempts:
            return
        if isinstance(verdict, RetryAt):
            self._lanes[delivery.destination].offer(entry, verdict.when)
        else:
            self._end(entry)
            if isinstance(verdict, Abandoned):
                self.given_up.append(GivenUp(entry.delivery, attempt, verdict.reason))
        self._tell()

    async def waiting(self) -> dict[str, int]:
        """
        Count what waits, by destination.
        """
        return {destination: len(lane.entries) for destination, lane in self._lanes.items()}

    def subscribe(self, wake: Callable[[], None]) -> None:
        """
        Have *wake* called whenever there is more to claim.
        """
        self._wake.append(wake)

    def _tell(self) -> None:
        for wake in self._wake:
            wake()

    def _end(self, entry: _Entry) -> None:
        delivery = entry.delivery
        del self._entries[delivery.id]
        lane = self._lanes[delivery.destination]
        lane.remove(entry)
        if not lane.entries:
            del self._lanes[delivery.destination]
        self._settled[delivery.id] = None
        if len(self._settled) > self._remembered:
            self._settled.popitem(last=False)

    def _make_room(self, lane: _Lane) -> None:
        entry = lane.oldest_unclaimed()
        if entry is None:
            return
        reason = "too many deliveries wait for this destination"
        self._end(entry)
        self.given_up.append(GivenUp(entry.delivery, None, reason))
        _log.error(
            "delivery given up",
            extra={
                "delivery": entry.delivery.id,
                "rule": entry.delivery.rule_id,
                "destination": entry.delivery.destination,
                "reason": reason,
            },
        )
