"""
Moments as text and back, computed from the numbers alone: the core has no clock.
"""

import re
from email.utils import mktime_tz, parsedate_tz
from functools import lru_cache

_DAY = 86_400
#: Days from 1 March of the year 0 to 1 January 1970 in the Gregorian calendar.
_DAYS_TO_EPOCH = 719_468
_DAYS_IN_400_YEARS = 146_097


def rfc3339(epoch_seconds: float) -> str:
    """
    Write a moment as RFC 3339 does, in UTC with milliseconds: ``2026-11-23T06:54:01.250Z``.
    """
    seconds, milliseconds = divmod(round(epoch_seconds * 1000), 1000)
    return f"{_to_the_second(seconds)}.{milliseconds:03}Z"


def lasting(seconds: float) -> str:
    """
    Write how long something lasts, in two units at most: ``45 s``, ``1:05 min``, ``3 h 12 min``.
    """
    minutes, rest = divmod(max(0, round(seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{days} d {hours} h"
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes}:{rest:02} min" if minutes else f"{rest} s"


#: A busy PBX says much in one second.
@lru_cache(maxsize=64)
def _to_the_second(epoch_seconds: int) -> str:
    days, of_day = divmod(epoch_seconds, _DAY)
    year, month, day = _date(days)
    hours, of_hour = divmod(of_day, 3600)
    minutes, seconds = divmod(of_hour, 60)
    return f"{year:04}-{month:02}-{day:02}T{hours:02}:{minutes:02}:{seconds:02}"


def _date(days_since_epoch: int) -> tuple[int, int, int]:
    """
    Give year, month and day; counting years from March puts the leap day at their end.
    """
    era, day_of_era = divmod(days_since_epoch + _DAYS_TO_EPOCH, _DAYS_IN_400_YEARS)
    leap_days = day_of_era // 1460 - day_of_era // 36_524 + day_of_era // 146_096
    year_of_era = (day_of_era - leap_days) // 365
    day_of_year = day_of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
    months_since_march = (5 * day_of_year + 2) // 153
    day = day_of_year - (153 * months_since_march + 2) // 5 + 1
    month = (months_since_march + 2) % 12 + 1
    return era * 400 + year_of_era + (month <= 2), month, day


def seconds_asked_for(retry_after: str, now: float) -> float | None:
    """
    Read the header Retry-After, seconds or an HTTP date, as seconds from *now*.

    None means that the header is neither; a date that has passed is 0.
    """
    text = retry_after.strip()
    if re.fullmatch(r"[0-9]{1,9}", text):
        return float(text)
    try:
        moment = parsedate_tz(text)
        if moment is None:
            return None
        # An HTTP date is always in GMT, also in the old form that does not say so.
        return max(0.0, mktime_tz((*moment[:9], moment[9] or 0)) - now)
    except (ValueError, OverflowError, IndexError, TypeError):
        return None
