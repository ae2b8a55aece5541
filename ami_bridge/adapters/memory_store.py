"""
The store in this process's memory: for demonstrations, tests and whoever can afford a loss.

There is no thread, no file and no waiting. Stories that are over are dropped at once; of what
was delivered or given up the last is kept for a look.
"""

import heapq
import itertools
import logging
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import TracebackType
from typing import Self

import attrs

from ami_bridge.core.breaker import WELL, Health
from ami_bridge.core.deliveries import Delivery
from ami_bridge.core.retry import Abandoned, Attempt, Delivered, RetryAt, Verdict

from .looking import Found, Kept, Tally, Wanted
from .memory_lanes import Owed, Queue
from .memory_looking import GaveUp, find, kept_delivered, kept_given_up, kept_owed, tallies
from .memory_stories import StoriesInMemory
from .store import LONGEST_LEASE, SET_BACK, Changes, Claims, GivenUp, Outcome, Pause, in_turn

log = logging.getLogger(__name__)


class InMemoryStore(StoriesInMemory):
    """
    A `Store` that ends with the process; use it as a context manager.

    The last *most_delivered* deliveries are known again, and as many as *most_given_up* that
    were given up are kept.
    """

    def __init__(self, *, most_delivered: int = 10_000, most_given_up: int = 10_000) -> None:
        super().__init__()
        self._most_delivered, self._most_given_up = most_delivered, most_given_up
        #: By destination.
        self._queues: dict[str, Queue] = {}
        #: All that is owed, by the delivery's id.
        self._owed: dict[str, Owed] = {}
        self._seqs = itertools.count(1)
        #: The latest are the last.
        self._delivered: dict[str, tuple[Owed, Attempt | None]] = {}
        self._given_up: dict[str, GaveUp] = {}
        #: Somebody's until the end of a lease, or until that end is noticed.
        self._claimed: set[Owed] = set()
        #: No lease ends, and no time to live, before then.
        self._first_end = self._first_expiry = math.inf
        #: The latest moment that the store was told of.
        self._latest = 0.0
        self._pauses: dict[str, Pause] = {}
        self._health: dict[str, Health] = {}
        self._listeners: list[Callable[[], None]] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        pass

    @property
    def trouble(self) -> str:
        """
        Say that all is well.
        """
        return ""

    def subscribe(self, wake: Callable[[], None]) -> None:
        """
        Have *wake* called, in the event loop's thread, whenever there is more to claim.
        """
        self._listeners.append(wake)

    def _wake(self) -> None:
        for wake in self._listeners:
            wake()

    # -- deliveries --------------------------------------------------------------------

    async def keep(self, changes: Changes) -> None:
        """
        Keep *changes*; deliveries whose ids are known already are left as they are.
        """
        self._latest = max(self._latest, changes.time)
        for delivery in changes.deliveries:
            known = delivery.id
            if known in self._owed or known in self._delivered or known in self._given_up:
                continue
            self._owe(Owed(delivery, next(self._seqs), self._queue(delivery)))
        self.keep_stories(changes)
        if changes.deliveries:
            self._wake()

    def _queue(self, delivery: Delivery) -> Queue:
        found = self._queues.get(delivery.destination)
        if found is None:
            found = self._queues[delivery.destination] = Queue()
        return found

    def _owe(self, owed: Owed) -> None:
        """
        Let *owed* be the youngest of its lane, or be kept back by the pause of its rule.
        """
        delivery = owed.delivery
        self._owed[delivery.id] = owed
        owed.queue.count += 1
        self._first_expiry = min(self._first_expiry, delivery.expires)
        if delivery.rule_id in self._pauses:
            owed.paused = True
        else:
            owed.queue.append(owed)

    async def claim(
        self, now: float, concurrency: int, taken: Mapping[str, int], lease_seconds: float
    ) -> Claims:
        """
        Claim what is due at *now*, the longest due first, for *lease_seconds*.
        """
        if now < self._latest - SET_BACK:
            self._hasten(now)
        self._latest = now
        self._end_leases(now)
        until = now + lease_seconds
        batches: list[list[Delivery]] = []
        next_due: float | None = None
        for destination, queue in self._queues.items():
            if not queue.heap:
                continue
            room = concurrency - taken.get(destination, 0)
            if room <= 0:
                continue
            batch, due = queue.take(now, room, until)
            if due is not None and (next_due is None or due < next_due):
                next_due = due
            if batch:
                self._claimed.update(batch)
                batches.append([owed.delivery for owed in batch])
        if batches:
            self._first_end = min(self._first_end, until)
        in_order = batches[0] if len(batches) == 1 else in_turn(batches)
        return Claims(tuple(in_order), next_due)

    def _end_leases(self, now: float) -> None:
        """
        Let be claimed anew what was claimed for a time that is over.
        """
        if now < self._first_end:
            return
        over = [owed for owed in self._claimed if not now < owed.until <= now + LONGEST_LEASE]
        for owed in over:
            self._claimed.discard(owed)
            owed.claimed = False
            if owed.delivery.rule_id in self._pauses:
                self._keep_back(owed)
            elif owed.due is not None:
                owed.queue.retry(owed, owed.due)
        self._first_end = min((owed.until for owed in self._claimed), default=math.inf)

    def _hasten(self, now: float) -> None:
        """
        Let all that waits be due: by the clock that was set back, it would not be for long.
        """
        late = [owed for owed in self._owed.values() if owed.due is not None and owed.due > now]
        for owed in late:
            owed.queue.offer(owed, now)
        # Leases may be of that clock, too.
        self._first_end = -math.inf
        fields = {"seconds": round(self._latest - now), "deliveries": len(late)}
        log.warning("the clock was set back; what waits to be tried again is due now", extra=fields)

    async def settle(self, outcomes: Sequence[Outcome]) -> None:
        """
        Write down what came of claimed deliveries.
        """
        for outcome in outcomes:
            self._settle(outcome.delivery, outcome.attempt, outcome.verdict)
        self._wake()

    def _settle(self, delivery: Delivery, attempt: Attempt | None, verdict: Verdict) -> None:
        owed = self._owed.get(delivery.id)
        if owed is None or not owed.claimed or owed.delivery.attempts != delivery.attempts:
            return
        self._claimed.discard(owed)
        owed.claimed = False
        if isinstance(verdict, Delivered):
            self._remove(owed)
            self._remember(owed, attempt)
        else:
            if attempt is not None:
                owed.attempts += (attempt,)
            if isinstance(verdict, Abandoned):
                ended = delivery.expires if attempt is None else attempt.began + attempt.seconds
                self._give_up(owed, verdict.reason, ended)
            else:
                self._retry(owed, verdict)

    def _retry(self, owed: Owed, verdict: RetryAt) -> None:
        if owed.delivery.rule_id in self._pauses:
            self._keep_back(owed)
        else:
            owed.queue.retry(owed, verdict.when)

    def _keep_back(self, owed: Owed) -> None:
        if not owed.paused:
            owed.paused = True
            owed.queue.remove(owed)

    def _remove(self, owed: Owed) -> None:
        """
        Owe it no more.
        """
        del self._owed[owed.delivery.id]
        owed.queue.count -= 1
        if owed.paused:
            owed.paused = False
        else:
            owed.queue.remove(owed)

    def _remember(self, owed: Owed, attempt: Attempt | None) -> None:
        self._delivered[owed.delivery.id] = owed, attempt
        if len(self._delivered) > self._most_delivered:
            del self._delivered[next(iter(self._delivered))]

    def _give_up(self, owed: Owed, reason: str, now: float) -> None:
        self._remove(owed)
        self._given_up[owed.delivery.id] = GaveUp(owed, reason, now)
        if len(self._given_up) > self._most_given_up:
            del self._given_up[next(iter(self._given_up))]

    async def give_up_expired(self, now: float, limit: int) -> int:
        """
        Give up at most *limit* deliveries that are out of time and not claimed; say how many.
        """
        self._end_leases(now)
        if now < self._first_expiry:
            return 0
        late = (owed for owed in self._owed.values() if owed.delivery.expires <= now)
        expired = list(itertools.islice((owed for owed in late if not owed.claimed), limit))
        for owed in expired:
            self._give_up(owed, "its time to live ran out", now)
        if len(expired) < limit:
            ends = (owed.delivery.expires for owed in self._owed.values())
            self._first_expiry = min(ends, default=math.inf)
        if expired:
            self._wake()
        return len(expired)

    async def waiting(self) -> dict[str, int]:
        """
        Count what is neither delivered nor given up, by destination; paused rules' too.
        """
        return {name: queue.count for name, queue in self._queues.items() if queue.count}

    async def given_up(self, limit: int) -> list[GivenUp]:
        """
        Give the deliveries that were given up, the latest first.
        """
        latest = heapq.nlargest(
            limit, self._given_up.values(), key=lambda given_up: (given_up.time, given_up.owed.seq)
        )
        return [
            GivenUp(one.owed.delivery, one.reason, one.time, one.owed.attempts) for one in latest
        ]

    async def send_again(self, ids: Sequence[str], now: float, expires: float) -> int:
        """
        Owe given-up deliveries once more, with a new time to live; say how many there were.
        """
        count = 0
        for one in ids:
            given_up = self._given_up.pop(one, None)
            if given_up is None:
                continue
            delivery = attrs.evolve(given_up.owed.delivery, created=now, expires=expires)
            queue, attempts = self._queue(delivery), given_up.owed.attempts
            self._owe(Owed(delivery, next(self._seqs), queue, attempts=attempts))
            count += 1
        self._wake()
        return count

    async def hurry(self, ids: Sequence[str], now: float) -> int:
        """
        Let deliveries that wait for their next attempt be due at *now*; say how many.
        """
        found = [owed for one in set(ids) if (owed := self._owed.get(one)) and not owed.claimed]
        late = [owed for owed in found if owed.due is not None and owed.due > now]
        for owed in late:
            owed.queue.offer(owed, now)
        self._wake()
        return len(late)

    async def drop(self, ids: Sequence[str], reason: str, now: float) -> int:
        """
        Give up deliveries that are owed, for a *reason*; say how many there were.
        """
        self._end_leases(now)
        named = dict.fromkeys(ids)
        found = [owed for one in named if (owed := self._owed.get(one)) and not owed.claimed]
        for owed in found:
            self._give_up(owed, reason, now)
        self._wake()
        return len(found)

    # -- looking -----------------------------------------------------------------------

    async def find(self, wanted: Wanted, limit: int, before: int | None = None) -> Found:
        """
        Find at most *limit* wanted deliveries, the latest first.
        """
        return find(self._kept(), wanted, limit, before)

    async def look_up(self, one: str) -> Kept | None:
        """
        Give the delivery with the id *one*, with its attempts, if it is kept.
        """
        if found := self._owed.get(one):
            return kept_owed(found)
        if delivered := self._delivered.get(one):
            return kept_delivered(*delivered)
        gave_up = self._given_up.get(one)
        return None if gave_up is None else kept_given_up(gave_up)

    async def tallies(self) -> dict[str, Tally]:
        """
        Count what is owed and what was given up, by destination.
        """
        return tallies(self._owed.values(), self._given_up.values())

    def _kept(self) -> Iterator[tuple[int, Kept]]:
        yield from ((owed.seq, kept_owed(owed)) for owed in self._owed.values())
        yield from ((one[0].seq, kept_delivered(*one)) for one in self._delivered.values())
        yield from ((one.owed.seq, kept_given_up(one)) for one in self._given_up.values())

    # -- rules and destinations ---------------------------------------------------------

    async def pause(self, rule_id: str, reason: str, now: float) -> None:
        """
        Keep back the deliveries of a rule, present and future, until `resume`.
        """
        self._end_leases(now)
        self._pauses.setdefault(rule_id, Pause(rule_id, now, reason))
        for owed in self._owed.values():
            if owed.delivery.rule_id == rule_id and not owed.claimed:
                self._keep_back(owed)
        self._wake()

    async def resume(self, rule_ids: Sequence[str]) -> None:
        """
        End the pauses of *rule_ids*: their deliveries can be claimed again.
        """
        for rule_id in rule_ids:
            if self._pauses.pop(rule_id, None) is None:
                continue
            # The older before the younger: they were put in that order.
            for owed in self._owed.values():
                if owed.paused and owed.delivery.rule_id == rule_id:
                    owed.paused = False
                    owed.queue.put_back(owed)
        self._wake()

    async def paused(self) -> list[Pause]:
        """
        Give the rules that are paused.
        """
        return sorted(self._pauses.values(), key=lambda pause: pause.since)

    async def health(self) -> dict[str, Health]:
        """
        Give what is remembered of destinations; those that are well may be missing.
        """
        return dict(self._health)

    async def remember_health(self, destination: str, health: Health) -> None:
        """
        Remember how a destination is.
        """
        if health == WELL:
            self._health.pop(destination, None)
        else:
            self._health[destination] = health

    async def prune(self, delivered_before: float, given_up_before: float, limit: int) -> int:  # noqa: ARG002 - what was delivered is gone
        """
        Forget at most *limit* given-up deliveries that are older than wanted; say how many.
        """
        old = [name for name, one in self._given_up.items() if one.time < given_up_before][:limit]
        for name in old:
            del self._given_up[name]
        return len(old)
