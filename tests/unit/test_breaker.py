"""
When a destination is worth trying.
"""

from ami_bridge.core.breaker import WELL, BreakerState, BreakerTerms, Health

TERMS = BreakerTerms(failures=3, waits=(5.0, 10.0))


def failing(times: int, now: float = 0.0, health: Health = WELL) -> Health:
    """
    Let *times* attempts fail at *now*.
    """
    for _ in range(times):
        health = health.after_failure("refused", now, TERMS)
    return health


def test_closed_below_the_threshold() -> None:
    """
    Some failures are no reason to stop; the last one's error is remembered.
    """
    health = failing(2)

    assert health.state(0, TERMS) is BreakerState.CLOSED
    assert health.allowance(0, 8, TERMS) == 8
    assert health.error == "refused"


def test_opens_at_the_threshold() -> None:
    """
    After the third failure nothing is let through for five seconds.
    """
    health = failing(3)

    assert health.state(4.9, TERMS) is BreakerState.OPEN
    assert health.allowance(4.9, 8, TERMS) == 0


def test_half_open_lets_one_through() -> None:
    """
    After its time an open breaker lets a single attempt probe.
    """
    health = failing(3)

    assert health.state(5, TERMS) is BreakerState.HALF_OPEN
    assert health.allowance(5, 8, TERMS) == 1


def test_attempts_under_way_open_it_no_further() -> None:
    """
    Eight attempts that fail together open the breaker once, for its first time.
    """
    assert failing(8).open_until == 5.0


def test_failing_probes_open_it_for_longer() -> None:
    """
    Each failing probe opens it for the next wait; the last wait repeats.
    """
    health = failing(3)
    health = failing(1, 5, health)
    assert health.open_until == 15.0
    health = failing(1, 15, health)
    assert health.open_until == 25.0


def test_a_clock_set_back_does_not_keep_it_open() -> None:
    """
    A breaker that would stay open for longer than any does lets a probe through.
    """
    health = failing(3, now=86_400.0)

    assert health.state(86_399.0, TERMS) is BreakerState.OPEN
    assert health.state(0.0, TERMS) is BreakerState.HALF_OPEN
