"""
Moments as text and back.
"""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ami_bridge.core.moments import rfc3339, seconds_asked_for

NOW = 784_111_700.0  # 77 seconds before the example of RFC 9110


@pytest.mark.parametrize(
    ("epoch", "text"),
    [
        pytest.param(0, "1970-01-01T00:00:00.000Z", id="the epoch"),
        pytest.param(1795409272.695168, "2026-11-23T04:47:52.695Z", id="a Timestamp of AMI"),
        pytest.param(951782399.9996, "2000-02-29T00:00:00.000Z", id="rounded up to a leap day"),
        pytest.param(1709164800, "2024-02-29T00:00:00.000Z", id="a leap day"),
        pytest.param(4107542399, "2100-02-28T23:59:59.000Z", id="the day before no leap day"),
        pytest.param(4107542400, "2100-03-01T00:00:00.000Z", id="no leap day in 2100"),
        pytest.param(-1, "1969-12-31T23:59:59.000Z", id="before the epoch"),
    ],
)
def test_rfc3339(epoch: float, text: str) -> None:
    """
    A moment is written in UTC with milliseconds.
    """
    assert rfc3339(epoch) == text


@given(st.integers(min_value=-62_135_596_800_000, max_value=253_402_300_799_999))
def test_rfc3339_agrees_with_the_calendar(milliseconds: int) -> None:
    """
    Every moment of the years 1 to 9999 reads back as itself.
    """
    moment = datetime.fromisoformat(rfc3339(milliseconds / 1000))

    assert moment.tzinfo == UTC
    assert round(moment.timestamp() * 1000) == milliseconds


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        pytest.param("120", 120.0, id="seconds"),
        pytest.param(" 120 ", 120.0, id="seconds in spaces"),
        pytest.param("0", 0.0, id="at once"),
        pytest.param("Sun, 06 Nov 1994 08:49:37 GMT", 77.0, id="HTTP date"),
        pytest.param("Sunday, 06-Nov-94 08:49:37 GMT", 77.0, id="RFC 850 date"),
        pytest.param("Sun Nov  6 08:49:37 1994", 77.0, id="asctime date, in GMT all the same"),
        pytest.param("Sun, 06 Nov 1994 08:00:00 GMT", 0.0, id="a date that has passed"),
        pytest.param("-5", None, id="negative"),
        pytest.param("1.5", None, id="a fraction"),
        pytest.param("soon", None, id="a word"),
        pytest.param("", None, id="empty"),
        pytest.param("Sun, 99 Nov 99999 99:99:99 GMT", None, id="no date at all"),
        pytest.param("9" * 400, None, id="absurdly long"),
    ],
)
def test_retry_after(header: str, seconds: float | None) -> None:
    """
    Retry-After is read as seconds or as any of HTTP's three kinds of date, else ignored.
    """
    assert seconds_asked_for(header, NOW) == seconds


@given(st.text())
def test_retry_after_never_fails(header: str) -> None:
    """
    Whatever a receiver writes there, it is a number of seconds or nothing.
    """
    seconds = seconds_asked_for(header, NOW)

    assert seconds is None or seconds >= 0
