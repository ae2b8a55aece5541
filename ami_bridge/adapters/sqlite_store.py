"""
The store in one SQLite file: nothing is lost when the bridge or its machine dies.

The file is written ahead (WAL), and every commit waits for the disk unless told otherwise.
All work is done by the one thread of `SqliteWriter`, many operations in a transaction.
"""

import asyncio
import logging
import sqlite3
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from ami_bridge.core.breaker import WELL, Health

from . import sqlite_claims as claims
from . import sqlite_deliveries as deliveries
from . import sqlite_looking as looking
from . import sqlite_steering as steering
from . import sqlite_stories as stories
from .looking import Found, Kept, Tally, Wanted
from .sqlite_file import open_file, take_possession
from .sqlite_looking import look
from .sqlite_writer import SqliteWriter
from .store import SET_BACK, Changes, Claims, GivenUp, Outcome, Pause, StoryEntry

log = logging.getLogger(__name__)


class SqliteStore:
    """
    A `Store` in the file *path*; use it as a context manager.

    The file belongs to one process: what one that died had claimed can be claimed as soon as the
    file is opened again.
    """

    def __init__(self, path: Path, synchronous: str = "full") -> None:
        self._path = path
        self._writer = SqliteWriter(partial(_open, path, synchronous), str(path))
        self._lock: IO[bytes] | None = None
        self._listeners: list[Callable[[], None]] = []
        #: The latest moment that the store was told of.
        self._latest = 0.0

    async def __aenter__(self) -> Self:
        self._lock = take_possession(self._path)
        try:
            await self._writer.open()
        except BaseException:
            self._leave()
            raise
        self._latest = await self._writer.read(deliveries.latest)
        if await self._writer.read(deliveries.any_to_pause):
            # What was being attempted when its rule was paused and the process died.
            await self._writer.do(deliveries.pause_all)
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if undone := await self._writer.close():
            fields = {"file": str(self._path), "operations": undone}
            log.error("the store was closed with something unwritten", extra=fields)
        self._leave()

    def _leave(self) -> None:
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    @property
    def trouble(self) -> str:
        """
        Say why nothing can be kept at the moment; empty while all is well.
        """
        return self._writer.trouble

    def subscribe(self, wake: Callable[[], None]) -> None:
        """
        Have *wake* called, in the event loop's thread, whenever there is more to claim.
        """
        self._listeners.append(wake)

    def _wake(self) -> None:
        for wake in self._listeners:
            wake()

    # -- deliveries --------------------------------------------------------------------

    async def keep(self, changes: Changes) -> None:
        """
        Keep *changes*, all or none; deliveries whose ids are known already are left as they are.
        """
        await self._writer.do(partial(_keep, changes))
        if changes.deliveries:
            self._wake()

    async def claim(
        self, now: float, concurrency: int, taken: Mapping[str, int], lease_seconds: float
    ) -> Claims:
        """
        Claim what is due at *now*, the longest due first, for *lease_seconds*.
        """
        if now < self._latest - SET_BACK:
            await self._hasten(now)
        self._latest = now
        free = {destination: concurrency - count for destination, count in taken.items()}
        until = now + lease_seconds
        while True:
            claimed = await self._writer.read(
                lambda connection: claims.claim(connection, now, free, concurrency, until)
            )
            if claimed is not None:
                return claimed
            await self._writer.do(partial(_end_leases, now))

    async def _hasten(self, now: float) -> None:
        """
        Let all that waits be due: by the clock that was set back, it would not be for long.
        """
        count = await self._writer.do(partial(_hasten, now))
        fields = {"seconds": round(self._latest - now), "deliveries": count}
        log.warning("the clock was set back; what waits to be tried again is due now", extra=fields)

    async def settle(self, outcomes: Sequence[Outcome]) -> None:
        """
        Write down what came of claimed deliveries.
        """
        # The claims are over at once, however long it takes to write that down.
        await asyncio.gather(
            self._writer.read(lambda connection: claims.judge(connection, outcomes)),
            self._writer.do(partial(_settle, outcomes)),
        )
        self._wake()

    async def give_up_expired(self, now: float, limit: int) -> int:
        """
        Give up at most *limit* deliveries that are out of time and not claimed; say how many.
        """

        def work(connection: sqlite3.Connection) -> int:
            _end_leases(now, connection)
            return deliveries.give_up_expired(connection, now, limit)

        count = await self._writer.do(work)
        if count:
            self._wake()
        return count

    async def waiting(self) -> dict[str, int]:
        """
        Count what is neither delivered nor given up, by destination; paused rules' too.
        """
        return await self._writer.read(deliveries.waiting)

    async def given_up(self, limit: int) -> list[GivenUp]:
        """
        Give the deliveries that were given up, the latest first.
        """
        return await self._writer.read(lambda connection: deliveries.given_up(connection, limit))

    async def send_again(self, ids: Sequence[str], now: float, expires: float) -> int:
        """
        Owe given-up deliveries once more, with a new time to live; say how many there were.
        """
        count = await self._writer.do(
            lambda connection: steering.send_again(connection, ids, now, expires)
        )
        self._wake()
        return count

    async def hurry(self, ids: Sequence[str], now: float) -> int:
        """
        Let deliveries that wait for their next attempt be due at *now*; say how many.
        """
        count = await self._writer.do(lambda connection: steering.hurry(connection, ids, now))
        self._wake()
        return count

    async def drop(self, ids: Sequence[str], reason: str, now: float) -> int:
        """
        Give up deliveries that are owed, for a *reason*; say how many there were.
        """

        def work(connection: sqlite3.Connection) -> int:
            _end_leases(now, connection)
            return steering.drop(connection, ids, reason, now)

        count = await self._writer.do(work)
        self._wake()
        return count

    # -- looking -----------------------------------------------------------------------

    async def find(self, wanted: Wanted, limit: int, before: int | None = None) -> Found:
        """
        Find at most *limit* wanted deliveries, the latest first.
        """
        return await look(self._path, lambda file: looking.find(file, wanted, limit, before))

    async def look_up(self, one: str) -> Kept | None:
        """
        Give the delivery with the id *one*, with its attempts, if it is kept.
        """
        return await look(self._path, lambda file: looking.look_up(file, one))

    async def tallies(self) -> dict[str, Tally]:
        """
        Count what is owed and what was given up, by destination.
        """
        return await look(self._path, looking.tallies)

    async def entries(self, pbx: str, stories: Collection[str], limit: int) -> list[StoryEntry]:
        """
        Give the first *limit* entries of *stories*, which may be over, as far as they are kept.
        """
        return await look(self._path, lambda file: looking.entries(file, pbx, stories, limit))

    async def stories_naming(self, pbx: str, texts: Collection[str], limit: int) -> list[str]:
        """
        Find stories in whose messages one of *texts* occurs; that may take its time.
        """
        return await look(self._path, lambda file: looking.stories_naming(file, pbx, texts, limit))

    # -- rules and destinations ---------------------------------------------------------

    async def pause(self, rule_id: str, reason: str, now: float) -> None:
        """
        Keep back the deliveries of a rule, present and future, until `resume`.
        """

        def work(connection: sqlite3.Connection) -> None:
            _end_leases(now, connection)
            connection.execute(
                "INSERT INTO pauses (rule_id, since, reason) VALUES (?, ?, ?) "
                "ON CONFLICT (rule_id) DO NOTHING",
                (rule_id, now, reason),
            )
            deliveries.pause(connection, rule_id)

        await self._writer.do(work)
        self._wake()

    async def resume(self, rule_ids: Sequence[str]) -> None:
        """
        End the pauses of *rule_ids*: their deliveries can be claimed again.
        """

        def work(connection: sqlite3.Connection) -> None:
            for rule_id in rule_ids:
                connection.execute("DELETE FROM pauses WHERE rule_id = ?", (rule_id,))
                deliveries.resume(connection, rule_id)

        await self._writer.do(work)
        self._wake()

    async def paused(self) -> list[Pause]:
        """
        Give the rules that are paused.
        """
        rows = await self._read("SELECT rule_id, since, reason FROM pauses ORDER BY since")
        return [Pause(*row) for row in rows]

    async def health(self) -> dict[str, Health]:
        """
        Give what is remembered of destinations; those that are well may be missing.
        """
        rows = await self._read("SELECT name, failures, open_until, error FROM destinations")
        return {name: Health(*facts) for name, *facts in rows}

    async def remember_health(self, destination: str, health: Health) -> None:
        """
        Remember how a destination is.
        """

        def work(connection: sqlite3.Connection) -> None:
            connection.execute("DELETE FROM destinations WHERE name = ?", (destination,))
            if health != WELL:
                connection.execute(
                    "INSERT INTO destinations (name, failures, open_until, error) "
                    "VALUES (?, ?, ?, ?)",
                    (destination, health.failures, health.open_until, health.error),
                )

        await self._writer.do(work)

    # -- stories -------------------------------------------------------------------------

    async def attached(self, pbx: str) -> bool:
        """
        Tell whether all channels of *pbx* were known at any time, and it was not left since.
        """
        return bool(await self._read("SELECT 1 FROM attachments WHERE pbx = ?", pbx))

    async def pbxs_with_stories(self) -> list[str]:
        """
        Name the PBXs that have stories which are not over.
        """
        rows = await self._read("SELECT DISTINCT pbx FROM stories WHERE ended IS NULL ORDER BY pbx")
        return [pbx for (pbx,) in rows]

    async def stories(self, pbx: str) -> list[StoryEntry]:
        """
        Give the entries of all stories of *pbx* that are not over, in the order they were kept.
        """
        return await self._writer.read(lambda connection: stories.open_entries(connection, pbx))

    async def prune(self, delivered_before: float, given_up_before: float, limit: int) -> int:
        """
        Delete at most *limit* rows that are older than wanted; say how many.
        """
        return await self._writer.do(partial(_prune, delivered_before, given_up_before, limit))

    async def _read(self, select: str, *values: object) -> list[tuple[Any, ...]]:
        return await self._writer.read(
            lambda connection: connection.execute(select, values).fetchall()
        )


def _open(path: Path, synchronous: str) -> sqlite3.Connection:
    connection = open_file(path, synchronous)
    claims.prepare(connection)
    return connection


def _keep(changes: Changes, connection: sqlite3.Connection) -> None:
    deliveries.put(connection, changes.deliveries)
    stories.keep(connection, changes)


def _settle(outcomes: Sequence[Outcome], connection: sqlite3.Connection) -> None:
    deliveries.settle(connection, claims.end(connection, outcomes))


def _end_leases(now: float, connection: sqlite3.Connection) -> None:
    """
    Let be claimed anew what was claimed for a time that is over.
    """
    deliveries.take_back(connection, claims.lapse(connection, now))


def _hasten(now: float, connection: sqlite3.Connection) -> int:
    return deliveries.hasten(connection, now)


def _prune(
    delivered_before: float, given_up_before: float, limit: int, connection: sqlite3.Connection
) -> int:
    count = deliveries.prune(connection, delivered_before, given_up_before, limit)
    return count + stories.prune(connection, delivered_before, limit - count)
