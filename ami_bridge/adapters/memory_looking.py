"""
Looking at a store in this process's memory.
"""

from collections.abc import Iterable

import attrs

from ami_bridge.core.retry import Attempt

from .looking import DeliveryState, Found, Kept, Tally, Wanted
from .memory_lanes import Owed


@attrs.frozen
class GaveUp:
    """
    What was given up, as it was owed, and why.
    """

    owed: Owed
    reason: str
    time: float


def kept_owed(owed: Owed) -> Kept:
    """
    Show what is owed.
    """
    state = DeliveryState.PAUSED if owed.paused else DeliveryState.WAITING
    return Kept(owed.delivery, state, due=owed.due, tried=owed.attempts)


def kept_delivered(owed: Owed, attempt: Attempt | None) -> Kept:
    """
    Show what was delivered, by *attempt*.
    """
    return Kept(
        owed.delivery,
        DeliveryState.DELIVERED,
        settled=owed.delivery.created if attempt is None else attempt.began + attempt.seconds,
        status=None if attempt is None else attempt.status,
        seconds=None if attempt is None else attempt.seconds,
        tried=owed.attempts,
    )


def kept_given_up(gave_up: GaveUp) -> Kept:
    """
    Show what was given up.
    """
    return Kept(
        gave_up.owed.delivery,
        DeliveryState.GIVEN_UP,
        settled=gave_up.time,
        reason=gave_up.reason,
        tried=gave_up.owed.attempts,
    )


def find(kept: Iterable[tuple[int, Kept]], wanted: Wanted, limit: int, before: int | None) -> Found:
    """
    Find at most *limit* wanted ones of *kept*, each with its place among all.
    """
    found = sorted(
        (
            (seq, one)
            for seq, one in kept
            if (before is None or seq < before) and wanted.matches(one.state, one.delivery)
        ),
        key=lambda placed: placed[0],
        reverse=True,
    )
    page = [attrs.evolve(one, tried=()) for _, one in found[:limit]]
    return Found(tuple(page), found[limit - 1][0] if len(found) > limit else None)


def tallies(owed: Iterable[Owed], given_up: Iterable[GaveUp]) -> dict[str, Tally]:
    """
    Count by destination.
    """
    counts: dict[str, Tally] = {}
    for one in owed:
        name = one.delivery.destination
        tally = counts.get(name, Tally())
        if one.paused:
            counts[name] = attrs.evolve(tally, paused=tally.paused + 1)
            continue
        # What is sent again is put anew: the first has waited longest.
        oldest = one.delivery.created if tally.oldest_waiting is None else tally.oldest_waiting
        counts[name] = attrs.evolve(tally, waiting=tally.waiting + 1, oldest_waiting=oldest)
    for gone in given_up:
        name = gone.owed.delivery.destination
        tally = counts.get(name, Tally())
        counts[name] = attrs.evolve(tally, given_up=tally.given_up + 1)
    return counts
