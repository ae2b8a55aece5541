"""
Judges one attempt of a delivery: done, to be tried again, or given up.

The sender reports what happened, this module says what it means, the outbox writes the
verdict down. docs/explanation/call-model.md, section 7, is the contract.
"""

import attrs

from .moments import seconds_asked_for

#: Answers below 500 that say "not now": request timeout, too early, too many requests.
_NOT_NOW = frozenset({408, 425, 429})
_GONE = 410


@attrs.frozen
class Attempt:
    """
    One HTTP try of a delivery, and what came of it.
    """

    #: 1 for the first.
    number: int
    #: Seconds since the epoch.
    began: float
    #: How long it took.
    seconds: float
    #: None when no answer came: refused, timed out, reset, nonsense.
    status: int | None = None
    #: Why no answer came.
    error: str = ""
    #: The answer's header Retry-After.
    retry_after: str | None = None
    #: The beginning of the answer's body.
    excerpt: str = ""

    @property
    def reached(self) -> bool:
        """
        Tell whether the receiver is at work: it answered, and not that it cannot just now.
        """
        return self.status is not None and self.status < 500 and self.status not in _NOT_NOW

    @property
    def outcome(self) -> str:
        """
        Say in a few words what came of it.
        """
        return self.error if self.status is None else f"answer {self.status}"


@attrs.frozen
class Delivered:
    """
    The receiver has it.
    """


@attrs.frozen
class RetryAt:
    """
    To be tried again, not before *when* (seconds since the epoch).
    """

    when: float
    reason: str


@attrs.frozen
class Abandoned:
    """
    Given up; what follows in its leg goes on.
    """

    reason: str
    #: The receiver wants nothing of the rule any more.
    pauses_rule: bool = False


Verdict = Delivered | RetryAt | Abandoned


@attrs.frozen
class RetrySchedule:
    """
    How long a failed attempt is waited after.
    """

    #: Upper bounds of the waits after the first, second, ... attempt, in seconds; the
    #: last one repeats.
    waits: tuple[float, ...]
    #: The longest wait that a receiver may ask for with Retry-After, in seconds.
    retry_after_cap: float = 3600.0

    def bound(self, attempt: int) -> float:
        """
        Give the upper bound of the wait after attempt number *attempt*.
        """
        return self.waits[min(attempt, len(self.waits)) - 1]


def judge(
    attempt: Attempt, schedule: RetrySchedule, *, now: float, expires: float, dice: float
) -> Verdict:
    """
    Judge *attempt*, which ended at *now*, of a delivery that *expires* then.

    *dice* is a number from 0 to 1 (full jitter): a wait is that part of its bound, so
    that deliveries which failed together do not come back together. What a receiver asks
    for with Retry-After is a minimum. There is no limit to the attempts but the time to live.
    """
    status = attempt.status
    if status is not None:
        if 200 <= status < 300:
            return Delivered()
        if 300 <= status < 400:
            return Abandoned(f"answer {status}: redirects are not followed")
        if status == _GONE:
            return Abandoned(attempt.outcome, pauses_rule=True)
        if attempt.reached:
            return Abandoned(attempt.outcome)
    wait = dice * schedule.bound(attempt.number)
    if attempt.retry_after is not None:
        asked = seconds_asked_for(attempt.retry_after, now)
        wait = max(wait, min(asked or 0.0, schedule.retry_after_cap))
    if now + wait >= expires:
        return Abandoned(f"{attempt.outcome}, and the time to live ends before another attempt")
    return RetryAt(now + wait, attempt.outcome)
