"""
Counts, and counts of the last minute.
"""

from ami_bridge.core.meters import Meter


def test_counts_everything() -> None:
    """
    The total counts since the beginning, and the last time is remembered.
    """
    meter = Meter()
    meter.count(2, 100.0)
    meter.count(3, 1000.5)

    assert (meter.total, meter.last) == (5, 1000.5)


def test_counts_the_last_minute() -> None:
    """
    What is of the sixty full seconds before now is counted, the running second is not.
    """
    meter = Meter()
    for second in range(200):
        meter.count(1, 1000.0 + second)
        meter.count(1, 1000.9 + second)

    assert meter.last_minute(1199.95) == 120
    assert meter.last_minute(1200.0) == 120
    assert meter.last_minute(1230.0) == 60
    assert meter.last_minute(1300.0) == 0


def test_survives_a_clock_that_is_set_back() -> None:
    """
    Seconds of a time that is not yet are forgotten, so that the count does not stay too high.
    """
    meter = Meter()
    meter.count(7, 90_000.0)
    meter.count(1, 1000.0)

    assert meter.last_minute(1001.0) == 1
