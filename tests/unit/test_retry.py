"""
What one attempt of a delivery means.
"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ami_bridge.core.retry import (
    Abandoned,
    Attempt,
    Delivered,
    RetryAt,
    RetrySchedule,
    Verdict,
    judge,
)

SCHEDULE = RetrySchedule((1, 2, 5, 10), retry_after_cap=60)
TOO_LATE = "and the time to live ends before another attempt"


def verdict(
    status: int | None,
    number: int = 1,
    retry_after: str | None = None,
    *,
    dice: float = 1.0,
    expires: float = 1000.0,
) -> Verdict:
    """
    Judge attempt *number*, which ended at 100.
    """
    attempt = Attempt(
        number, 99.0, 1.0, status, "" if status else "connection refused", retry_after
    )
    return judge(attempt, SCHEDULE, now=100.0, expires=expires, dice=dice)


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_success(status: int) -> None:
    """
    Any 2xx is a success.
    """
    assert verdict(status) == Delivered()


@pytest.mark.parametrize("status", [300, 301, 302, 304, 307, 308])
def test_redirects(status: int) -> None:
    """
    A redirect is not followed, and final.
    """
    assert verdict(status) == Abandoned(f"answer {status}: redirects are not followed")


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 413, 422, 499])
def test_final_failures(status: int) -> None:
    """
    An answer that says that the request is wrong is final.
    """
    assert verdict(status) == Abandoned(f"answer {status}")


def test_gone() -> None:
    """
    A receiver that wants nothing any more is final, and pauses the rule.
    """
    assert verdict(410) == Abandoned("answer 410", pauses_rule=True)


@pytest.mark.parametrize("status", [408, 425, 429, 500, 501, 502, 503, 504, 599])
def test_answers_that_are_tried_again(status: int) -> None:
    """
    An answer that says "not now" is tried again.
    """
    assert verdict(status) == RetryAt(101.0, f"answer {status}")


def test_no_answer() -> None:
    """
    Where no answer came, it is tried again, and the reason is kept.
    """
    assert verdict(None) == RetryAt(101.0, "connection refused")


@pytest.mark.parametrize(
    ("number", "dice", "when"),
    [
        pytest.param(1, 1.0, 101.0, id="the first bound"),
        pytest.param(2, 1.0, 102.0, id="the second bound"),
        pytest.param(4, 1.0, 110.0, id="the last bound"),
        pytest.param(9, 1.0, 110.0, id="the last bound repeats"),
        pytest.param(4, 0.25, 102.5, id="jitter is full: any part of the bound"),
        pytest.param(4, 0.0, 100.0, id="even none of it"),
    ],
)
def test_backoff(number: int, dice: float, when: float) -> None:
    """
    The wait is a random part of the schedule's bound for the attempt.
    """
    assert verdict(500, number, dice=dice) == RetryAt(when, "answer 500")


@pytest.mark.parametrize(
    ("retry_after", "dice", "when"),
    [
        pytest.param("30", 0.5, 130.0, id="seconds"),
        pytest.param("3600", 0.5, 160.0, id="capped"),
        pytest.param("Thu, 01 Jan 1970 00:02:00 GMT", 0.5, 120.0, id="a date"),
        pytest.param("0", 1.0, 101.0, id="it is a minimum, so backoff still counts"),
        pytest.param("soon", 1.0, 101.0, id="nonsense is ignored"),
    ],
)
def test_retry_after(retry_after: str, dice: float, when: float) -> None:
    """
    What a receiver asks for with Retry-After is waited at least, up to the cap.
    """
    assert verdict(503, 1, retry_after, dice=dice) == RetryAt(when, "answer 503")


@pytest.mark.parametrize(
    ("expires", "retry_after"),
    [
        pytest.param(101.0, None, id="the wait ends with the time to live"),
        pytest.param(100.5, None, id="or after it"),
        pytest.param(99.0, None, id="it is over"),
        pytest.param(150.0, "60", id="the receiver asks for more than is left"),
    ],
)
def test_time_to_live(expires: float, retry_after: str | None) -> None:
    """
    A delivery that would not be tried again in its time to live is given up at once.
    """
    assert verdict(500, 1, retry_after, expires=expires) == Abandoned(f"answer 500, {TOO_LATE}")


def test_success_is_success_however_late() -> None:
    """
    An answer 2xx counts also after the time to live.
    """
    assert verdict(200, expires=99.0) == Delivered()


@given(
    status=st.one_of(st.none(), st.integers(min_value=100, max_value=999)),
    number=st.integers(min_value=1, max_value=10**6),
    retry_after=st.one_of(st.none(), st.text(), st.integers(0, 10**6).map(str)),
    dice=st.floats(min_value=0, max_value=1),
    expires=st.floats(min_value=-1e9, max_value=1e9),
)
def test_every_delivery_ends(
    status: int | None, number: int, retry_after: str | None, dice: float, expires: float
) -> None:
    """
    No status and no number of attempts keeps a delivery alive beyond its time to live.
    """
    judged = verdict(status, number, retry_after, dice=dice, expires=expires)

    if isinstance(judged, RetryAt):
        assert 100.0 <= judged.when < expires
