"""
Sends what the store owes: one attempt at a time of each lane, many lanes at once.

Every destination has its own slots and its own circuit breaker, so that one that is slow or
dead delays nobody else. What an attempt means is judged by `core.retry`, what it says of its
destination by `core.breaker`; the clock and the dice are handed in.
"""

import asyncio
import contextlib
import itertools
import logging
import random
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from types import TracebackType
from typing import Self

import attrs

from ami_bridge.core.breaker import WELL, BreakerState, Health
from ami_bridge.core.deliveries import Delivery
from ami_bridge.core.meters import Meter
from ami_bridge.core.requests import without_query
from ami_bridge.core.retry import Abandoned, Attempt, Delivered, Verdict, judge
from ami_bridge.core.rules import Rule
from ami_bridge.core.signing import NO_CREDENTIALS, Credentials
from ami_bridge.settings import DeliverySettings

from .attempts import attempt as attempted
from .connecting import Connections
from .delivery_log import tell
from .store import Outcome, Store

_log = logging.getLogger(__name__)

#: How long a claim outlives the longest attempt, in seconds.
_LEASE_MARGIN = 30.0
#: The store is asked at least this often: the wall clock, by which it counts, may be set, and
#: others may put something into it.
_LONGEST_SLEEP = 30.0
#: Outcomes are gathered for no longer while others are being written down, in seconds.
_LONGEST_GATHERING = 1.0
#: How long a stop waits to learn how much is left, in seconds.
_LONGEST_COUNT = 5.0
#: Idle workers that are kept for the next deliveries.
_SPARE_WORKERS = 32


class Sender:
    """
    The way from the store to the receivers.

    Use it as a context manager, and let one task do `run` for as long as it is open.
    """

    def __init__(
        self,
        store: Store,
        settings: DeliverySettings | None = None,
        rules: Iterable[Rule] = (),
        *,
        clock: Callable[[], float] = time.time,
        dice: Callable[[], float] = random.random,
    ) -> None:
        self._store = store
        self._settings = settings or DeliverySettings()
        self._clock = clock
        self._dice = dice
        self._connections = Connections(self._settings)
        self._rules = {rule.id: rule for rule in rules}
        #: Those of before, of which something may still be owed.
        self._former: dict[str, Rule] = {}
        self._wake = asyncio.Event()
        self._passed = asyncio.Event()
        self._claimed: asyncio.Queue[Delivery] = asyncio.Queue()
        self._workers = 0
        #: Attempts under way, by destination.
        self._busy: Counter[str] = Counter()
        self._in_flight = 0
        #: What came of attempts and is not written down, and how many they are by destination.
        self._outcomes: list[Outcome] = []
        self._settling: Counter[str] = Counter()
        self._judged = asyncio.Event()
        #: Destinations whose last attempt failed.
        self._unwell: dict[str, Health] = {}
        #: Those whose breaker changed, which is not written down yet.
        self._changed: dict[str, Health] = {}
        self._asking = True
        #: A destination had all the attempts that it may have when the store was asked last.
        self._full = True
        #: Attempts made since the start.
        self.attempts = Meter()
        #: Deliveries that succeeded since the start, by destination.
        self.delivered: Counter[str] = Counter()
        #: Told of each attempt, the delivery's and what came of it.
        self.on_attempt: Callable[[Delivery, Attempt], None] | None = None
        #: When the store is asked next even if nothing changes.
        self._next_due: float | None = None
        store.subscribe(self._wake.set)

    async def __aenter__(self) -> Self:
        await self._connections.__aenter__()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._connections.__aexit__(exc_type, exc, traceback)

    @property
    def in_flight(self) -> int:
        """
        Count the attempts under way.
        """
        return self._in_flight

    @property
    def busy(self) -> Mapping[str, int]:
        """
        Count the attempts under way, by destination.
        """
        return self._busy

    @property
    def unwell(self) -> Mapping[str, Health]:
        """
        Give the destinations whose last attempt failed.
        """
        return self._unwell

    def health(self, destination: str) -> Health:
        """
        Say what the last attempts say about *destination*.
        """
        return self._unwell.get(destination, WELL)

    def probe(self, destination: str) -> None:
        """
        Have *destination* tried at once, if its breaker is open.
        """
        health = self._unwell.get(destination)
        if health is not None and health.open_until is not None:
            self._unwell[destination] = attrs.evolve(health, open_until=self._clock())
            self._wake.set()

    def apply(self, settings: DeliverySettings, rules: Iterable[Rule] = ()) -> None:
        """
        Use other settings, and the credentials of other rules, from the next attempt on.
        """
        self._connections.apply(settings)
        self._former |= self._rules
        self._rules = {rule.id: rule for rule in rules}
        self._settings = settings
        self._wake.set()

    async def run(self) -> None:
        """
        Send until cancelled; attempts under way are then cut off, and stay in the store.
        """
        self._unwell = await self._store.health()
        async with asyncio.TaskGroup() as workers:
            workers.create_task(self._settle_all(workers), name="settling")
            while True:
                self._wake.clear()
                self._asking = True
                now, concurrency = self._clock(), self._settings.concurrency
                taken = self._taken(now)
                claims = await self._store.claim(
                    now,
                    concurrency,
                    taken,
                    self._settings.total_timeout_seconds + _LEASE_MARGIN,
                )
                for delivery in claims.deliveries:
                    self._busy[delivery.destination] += 1
                    taken[delivery.destination] += 1
                    self._claimed.put_nowait(delivery)
                self._in_flight += len(claims.deliveries)
                while self._workers < self._in_flight:
                    self._workers += 1
                    workers.create_task(self._work(), name="delivery worker")
                self._full = any(count >= concurrency for count in taken.values())
                self._asking, self._next_due = False, self._earliest(claims.next_due, now)
                self._passed.set()
                await self._sleep(self._next_due)

    async def drain(self, timeout: float) -> int:  # noqa: ASYNC109 - it is part of the result
        """
        Wait until nothing is left that could be sent in *timeout* seconds.

        Give the number of deliveries that are left after that, such as those whose next
        attempt is later. `run` has to go on meanwhile.
        """
        deadline = self._clock() + timeout
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                while not self._rests_until(deadline):
                    self._passed.clear()
                    await self._passed.wait()
        try:
            async with asyncio.timeout(_LONGEST_COUNT):
                return sum((await self._store.waiting()).values())
        except TimeoutError:
            return self.in_flight

    # -- when to ask, and for how much -------------------------------------------------

    def _rests_until(self, deadline: float) -> bool:
        if self._wake.is_set() or self._asking or self._busy or self._settling:
            return False
        return self._next_due is None or self._next_due > deadline

    def _taken(self, now: float) -> Counter[str]:
        """
        Count the slots that are not free: those of attempts, and those that breakers hold.

        An attempt that is over holds none while its outcome is written down, unless there are
        more of these than slots: what is not written down is sent again after a crash.
        """
        taken = Counter(self._busy)
        concurrency, terms = self._settings.concurrency, self._settings.breaker_terms
        for destination, count in self._settling.items():
            if count > concurrency:
                taken[destination] += count - concurrency
        for destination, health in self._unwell.items():
            held = concurrency - health.allowance(now, concurrency, terms)
            if held:
                taken[destination] += held
        return taken

    def _earliest(self, due: float | None, now: float) -> float | None:
        probes = (health.open_until for health in self._unwell.values())
        moments = [moment for moment in probes if moment is not None and moment > now]
        return min(moments if due is None else [due, *moments], default=None)

    async def _sleep(self, next_due: float | None) -> None:
        if self._wake.is_set():
            return
        wait = _LONGEST_SLEEP
        if next_due is not None:
            wait = min(wait, max(0.0, next_due - self._clock()))
        alarm = asyncio.get_running_loop().call_later(wait, self._wake.set)
        try:
            await self._wake.wait()
        finally:
            alarm.cancel()

    # -- one delivery after another ----------------------------------------------------

    async def _work(self) -> None:
        while self._workers - self._in_flight <= _SPARE_WORKERS or not self._claimed.empty():
            delivery = await self._claimed.get()
            try:
                outcome = await self._attempt(delivery)
            finally:
                _less(self._busy, delivery.destination)
                self._in_flight -= 1
            self._settling[delivery.destination] += 1
            self._outcomes.append(outcome)
            self._judged.set()
            # What waits for the outcome is woken when that is settled.
            if self._full:
                self._wake.set()
        self._workers -= 1

    async def _settle_all(self, writing: asyncio.TaskGroup) -> None:
        """
        Have written down what came of attempts: all that ended while the last were written.

        A store that cannot write for long is handed the next ones all the same: claims end,
        and it has to know by then that theirs are over.
        """
        while True:
            await self._judged.wait()
            self._judged.clear()
            outcomes, self._outcomes = self._outcomes, []
            written = writing.create_task(self._settle(outcomes), name="outcomes")
            await asyncio.wait({written}, timeout=_LONGEST_GATHERING)

    async def _settle(self, outcomes: list[Outcome]) -> None:
        pauses = {
            outcome.delivery.rule_id: outcome.verdict.reason
            for outcome in outcomes
            if isinstance(outcome.verdict, Abandoned)
            and outcome.verdict.pauses_rule
            and self._is_address(outcome.delivery.rule_id, outcome.delivery.request.url)
        }
        if pauses:
            # The store is asked in this order: what stands behind them must not be sent meanwhile.
            paused = itertools.starmap(self._pause, pauses.items())
            await asyncio.gather(*paused, self._store.settle(outcomes))
        else:
            await self._store.settle(outcomes)
        for outcome in outcomes:
            destination = outcome.delivery.destination
            _less(self._settling, destination)
            if isinstance(outcome.verdict, Delivered):
                self.delivered[destination] += 1
            tell(outcome, self._clock())
        self._wake.set()
        while self._changed:
            await self._store.remember_health(*self._changed.popitem())

    async def _attempt(self, delivery: Delivery) -> Outcome:
        """
        Make one attempt of *delivery*, if there is time for it, and judge it.
        """
        attempt = None
        if self._clock() >= delivery.expires:
            verdict: Verdict = Abandoned("its time to live ran out")
        else:
            credentials = self._credentials_for(delivery)
            attempt = await attempted(delivery, self._connections, credentials, self._clock)
            verdict = judge(
                attempt,
                self._settings.retry_schedule,
                now=self._clock(),
                expires=delivery.expires,
                dice=self._dice(),
            )
            self.attempts.count(1, attempt.began)
            if self.on_attempt is not None:
                self.on_attempt(delivery, attempt)
            self._examine(delivery.destination, attempt)
        return Outcome(delivery, attempt, verdict)

    def _credentials_for(self, delivery: Delivery) -> Credentials:
        """
        Give those of its rule; or of what that has become, for ids may be derived from the rest.
        """
        rule = self._rules.get(delivery.rule_id)
        if rule is None:
            address = without_query(delivery.request.url)
            heirs = (one for one in self._rules.values() if without_query(one.url) == address)
            rule = next(heirs, self._former.get(delivery.rule_id))
        return NO_CREDENTIALS if rule is None else rule.credentials

    async def _pause(self, rule_id: str, reason: str) -> None:
        await self._store.pause(rule_id, reason, self._clock())
        fields = {"rule": rule_id, "reason": reason}
        _log.warning("rule paused until the rules are loaded again", extra=fields)

    def _is_address(self, rule_id: str, url: str) -> bool:
        """
        Tell whether *url* is still that of its rule, which may have been given another one.
        """
        rule = self._rules.get(rule_id)
        return rule is None or without_query(rule.url) == without_query(url)

    def _examine(self, destination: str, attempt: Attempt) -> None:
        """
        Note what *attempt* says of its destination; what changes its breaker will be kept.
        """
        before = self._unwell.get(destination)
        if attempt.reached:
            if before is None:
                return
            del self._unwell[destination]
            if before.open_until is None:
                return
            after = WELL
            _log.info("destination answers again", extra={"destination": destination})
        else:
            now = self._clock()
            before = before or WELL
            terms = self._settings.breaker_terms
            after = before.after_failure(attempt.outcome, now, terms)
            self._unwell[destination] = after
            if after.open_until == before.open_until:
                return
            fields = {"destination": destination, "reason": attempt.outcome}
            if before.state(now, terms) is BreakerState.CLOSED:
                _log.warning("destination keeps failing", extra=fields)
        self._changed[destination] = after


def _less(counter: Counter[str], key: str) -> None:
    counter[key] -= 1
    if not counter[key]:
        del counter[key]
