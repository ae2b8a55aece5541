"""
Which of the things that the PBX said a bridge can have heard, by what happened to their link.

The rule, which excuses nothing else: what the PBX said reached the bridge if it was said on a
connection that went on for `IN_FLIGHT_SECONDS` after it, unstalled and ungarbled, and on which
the bridge had asked for the channels there are. What it said at other times is in a *gap*. A
gap ends with the login of the next such connection, and what it hid is shown by the list of
channels that the bridge asked for then, as far as the channels still live.
"""

import bisect
import time
from collections.abc import Callable

import attrs

from ami_bridge.adapters.simulator import Happening, What

#: What was said so shortly before a connection ended may have been on its way, or in the
#: memory of a bridge that was killed.
IN_FLIGHT_SECONDS = 0.5
_NEVER = 1 << 60


@attrs.define
class Connection:
    """
    One login, and what is known of it.
    """

    number: int
    #: Chunks that the PBX had said by its login.
    login: int
    #: For each answered list, when that was and how much had been said.
    lists: list[tuple[float, int]] = attrs.field(factory=list)
    #: Chunks from here on may not have reached the bridge.
    sure_until: int = _NEVER
    #: When something began because of which less is sure, and how much had been said then.
    doubt: tuple[float, int] | None = None
    #: When the doubt was over; None while it is not.
    doubt_over: float | None = None
    open: bool = True


@attrs.frozen
class Gap:
    """
    Chunks that the bridge may not have heard.
    """

    begin: int
    end: int
    #: How much had been said when the list of channels was given that closes the gap.
    listed: int


class Hearing:
    """
    Follows a simulator; give `note` as its *tell*.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._connections: dict[int, Connection] = {}
        #: When so many chunks had been said.
        self._said: list[tuple[float, int]] = [(0.0, 0)]
        #: Chunks that may have been understood as something else.
        self.spoilt: set[int] = set()
        #: How many times that something is said will be spoilt.
        self._spoiling = 0
        #: The store could keep nothing since then.
        self._disk_full_since: float | None = None
        self._disk_full_until = 0.0

    def note(self, happening: Happening) -> None:
        """
        Take note of what happened between the PBX and its clients.
        """
        now = self._clock()
        connection = self._connections.get(happening.session)
        match happening.what:
            case What.LOGIN:
                new = Connection(happening.session, happening.position)
                self._connections[happening.session] = new
            case What.SAID:
                self._said.append((now, happening.position))
                if self._spoiling:
                    self._spoiling -= 1
                    self.spoilt.update(range(self._said[-2][1], happening.position))
            case What.LISTED if connection is not None:
                connection.lists.append((now, happening.position))
            case What.LEFT if connection is not None:
                self._end(connection, now)
            case _:
                pass

    # -- what was done to them ---------------------------------------------------------------

    def stalled(self, position: int) -> None:
        """
        Take note that nothing arrives any more on the connections that there are.
        """
        self._doubt(position)

    def flows(self) -> None:
        """
        Take note that what was withheld arrives.
        """
        for connection in self._open():
            connection.doubt_over = self._clock()

    def garbled(self, position: int) -> None:
        """
        Take note that what is said from now on may not be understood.
        """
        self._doubt(position)
        # Where the end of a message is spoilt, the next one suffers, too.
        self._spoiling = 2

    def disk_full(self) -> None:
        """
        Take note that what is heard from now on can only be kept in memory.
        """
        self._disk_full_since = self._clock()
        self._disk_full_until = _NEVER

    def disk_free(self, patience: float) -> None:
        """
        Take note that it can be kept again, and will have been after *patience* seconds.
        """
        self._disk_full_until = self._clock() + patience

    def when(self, position: int) -> float:
        """
        Say when the PBX had said *position* chunks, by the clock.
        """
        index = bisect.bisect_left(self._said, position, key=lambda said: said[1])
        return self._said[min(index, len(self._said) - 1)][0]

    # -- what follows ------------------------------------------------------------------------

    def gaps(self) -> list[Gap]:
        """
        Give all gaps, oldest first; the last one has no end if nobody listens.
        """
        gaps: list[Gap] = []
        begin = 0
        for connection in self._connections.values():
            if not connection.lists or connection.sure_until <= connection.login:
                continue
            if connection.login > begin:
                gaps.append(Gap(begin, connection.login, connection.lists[0][1]))
            begin = connection.sure_until
        if begin < _NEVER:
            gaps.append(Gap(begin, _NEVER, _NEVER))
        return gaps

    def _doubt(self, position: int) -> None:
        for connection in self._open():
            connection.doubt, connection.doubt_over = (self._clock(), position), None

    def _open(self) -> list[Connection]:
        return [connection for connection in self._connections.values() if connection.open]

    def _end(self, connection: Connection, now: float) -> None:
        connection.open = False
        since = now - IN_FLIGHT_SECONDS
        if connection.doubt is not None:
            began, position = connection.doubt
            if connection.doubt_over is None or connection.doubt_over > since:
                connection.sure_until = position
                since = min(since, began - IN_FLIGHT_SECONDS)
        if self._disk_full_since is not None and since < self._disk_full_until:
            since = min(since, self._disk_full_since - IN_FLIGHT_SECONDS)
        said = max((position for when, position in self._said if when <= since), default=0)
        connection.sure_until = min(connection.sure_until, said)
        connection.lists = [(when, at) for when, at in connection.lists if when <= since]
