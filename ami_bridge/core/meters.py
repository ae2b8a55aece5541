"""
Counts what happens, in all and in the last minute.
"""

import collections

_MINUTE = 60


class Meter:
    """
    A count, and how much of it is of the last sixty full seconds.
    """

    def __init__(self) -> None:
        self.total = 0
        #: When the last was counted, in seconds since the epoch; None before the first.
        self.last: float | None = None
        #: Seconds in which something was counted, and how much.
        self._seconds: collections.deque[tuple[int, int]] = collections.deque()

    def count(self, number: int, now: float) -> None:
        """
        Count *number* more at *now*, in seconds since the epoch.
        """
        self.total += number
        self.last = now
        second = int(now)
        if self._seconds and self._seconds[-1][0] == second:
            number += self._seconds.pop()[1]
        self._seconds.append((second, number))
        self._forget(second)

    def last_minute(self, now: float) -> int:
        """
        Give what was counted in the sixty full seconds before *now*.
        """
        this = int(now)
        self._forget(this)
        return sum(number for second, number in self._seconds if this - _MINUTE <= second < this)

    def _forget(self, this: int) -> None:
        # A clock that was set back leaves seconds that never come: they go, too.
        while self._seconds and not this - _MINUTE <= self._seconds[0][0] <= this:
            self._seconds.popleft()
