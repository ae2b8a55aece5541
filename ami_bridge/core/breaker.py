"""
Judges a destination by its attempts: whether it is worth being tried at all now.

A circuit breaker: after several failures in a row it opens, and for a while nothing is sent.
Then one attempt at a time probes (half-open); a success closes the breaker, a failure opens
it for longer. So what waits for a dead host costs nearly nothing, however much it is.
"""

import enum

import attrs


class BreakerState(enum.StrEnum):
    """
    What the breaker of a destination lets through.
    """

    CLOSED = "closed"
    HALF_OPEN = "half-open"
    OPEN = "open"


@attrs.frozen
class BreakerTerms:
    """
    When breakers open, and for how long.
    """

    #: Failures in a row that open it.
    failures: int = 5
    #: How long it stays open the first, second, ... time, in seconds; the last one repeats.
    waits: tuple[float, ...] = (5.0, 10.0, 20.0, 30.0)


@attrs.frozen
class Health:
    """
    What the last attempts say about a destination.
    """

    #: How many failed since the last success, those of an open breaker not counted.
    failures: int = 0
    #: Nothing is sent before then, in seconds since the epoch; None while closed.
    open_until: float | None = None
    #: Why the last attempt failed; empty after a success.
    error: str = ""

    def state(self, now: float, terms: BreakerTerms) -> BreakerState:
        """
        Say what the breaker lets through at *now*.

        One that seems to stay open for longer than any does was opened before the clock was
        set back: a probe will tell.
        """
        if self.open_until is None:
            return BreakerState.CLOSED
        left = self.open_until - now
        return BreakerState.OPEN if 0 < left <= max(terms.waits) else BreakerState.HALF_OPEN

    def allowance(self, now: float, concurrency: int, terms: BreakerTerms) -> int:
        """
        Give the number of attempts, at most *concurrency*, that may be under way at once.
        """
        match self.state(now, terms):
            case BreakerState.CLOSED:
                return concurrency
            case BreakerState.HALF_OPEN:
                return 1
            case BreakerState.OPEN:
                return 0

    def after_failure(self, error: str, now: float, terms: BreakerTerms) -> "Health":
        """
        Give the health after an attempt that ended at *now* with *error*.

        Attempts that were under way when the breaker opened open it no further.
        """
        if self.state(now, terms) is BreakerState.OPEN:
            return attrs.evolve(self, error=error)
        failures = self.failures + 1
        if failures < terms.failures:
            return Health(failures, None, error)
        times_opened = failures - terms.failures
        wait = terms.waits[min(times_opened, len(terms.waits) - 1)]
        return Health(failures, now + wait, error)


#: A destination that was not tried yet, or that the last attempt reached.
WELL = Health()
