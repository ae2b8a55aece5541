"""
The one thread that works on a SQLite file: many operations, one transaction, one fsync.

Everything that queued up while the last transaction was written goes into the next one (group
commit), so that a burst costs few waits for the disk and a single notification no more than
one. The event loop never waits for the disk. Trouble that may pass (a full disk, a file that
somebody else locks) is waited out, with everything in its order.
"""

import asyncio
import contextlib
import logging
import queue
import sqlite3
import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

import attrs

from ami_bridge.errors import StoreError

log = logging.getLogger(__name__)

_T = TypeVar("_T")
Operation = Callable[[sqlite3.Connection], _T]

#: Operations in one transaction at most: a bound for how long the first one waits.
_MOST_TOGETHER = 256
#: Seconds between two tries while nothing can be written, from the first to the last.
_FIRST_PAUSE, _LAST_PAUSE = 0.1, 5.0

#: What may pass by itself, or when somebody looks after the disk; the low byte is what counts.
_MAY_PASS = {
    sqlite3.SQLITE_BUSY: "another program locks it",
    sqlite3.SQLITE_LOCKED: "another program locks it",
    sqlite3.SQLITE_FULL: "the disk is full",
    sqlite3.SQLITE_IOERR: "the disk fails",
    sqlite3.SQLITE_READONLY: "it cannot be written to",
    sqlite3.SQLITE_CANTOPEN: "its folder cannot be written to",
    sqlite3.SQLITE_NOMEM: "there is no memory left",
}


def may_pass(error: sqlite3.Error) -> str:
    """
    Say in words what keeps SQLite from working, if that may pass; else give nothing.
    """
    return _MAY_PASS.get(getattr(error, "sqlite_errorcode", 0) & 0xFF, "")


def is_damage(error: sqlite3.Error) -> bool:
    """
    Tell whether the file is to blame: it is damaged, cut off, or no database at all.
    """
    if isinstance(error, sqlite3.ProgrammingError):
        return False
    # What is said without a code is said of the content: by a check, or by UTF-8.
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT)
    return code & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB) or (
        code == sqlite3.SQLITE_IOERR_SHORT_READ
    )


def _passing(error: Exception) -> str:
    if not isinstance(error, sqlite3.Error) or is_damage(error):
        return ""
    return may_pass(error)


@attrs.frozen(eq=False)
class _Task:
    operation: Operation[Any]
    done: asyncio.Future[Any]
    reads: bool


@attrs.define(eq=False)
class _Outcome:
    task: _Task
    result: Any = None
    error: BaseException | None = None


class SqliteWriter:
    """
    A thread with a connection of its own, which *connect* makes.
    """

    def __init__(self, connect: Callable[[], sqlite3.Connection], name: str) -> None:
        self._connect = connect
        self._name = name
        self._queue: queue.SimpleQueue[_Task | None] = queue.SimpleQueue()
        #: What is still to be written, in its order.
        self._writes: list[_Task] = []
        self._last = self._ended = False
        self._thread: threading.Thread | None = None
        self._gone: asyncio.Future[int] | None = None
        #: Why nothing can be written at the moment; empty while all is well.
        self.trouble = ""

    async def open(self) -> None:
        """
        Start the thread; raises what *connect* raises.
        """
        loop = asyncio.get_running_loop()
        opened: asyncio.Future[None] = loop.create_future()
        self._gone = loop.create_future()
        self._thread = threading.Thread(
            target=self._live, args=(loop, opened, self._gone), name=self._name, daemon=True
        )
        self._thread.start()
        await opened

    async def close(self) -> int:
        """
        Finish what is queued, or give up at once while it cannot be written.

        Give the number of operations that were not done.
        """
        if self._gone is None:
            return 0
        self._ended = True
        self._queue.put(None)
        return await self._gone

    async def do(self, operation: Operation[_T]) -> _T:
        """
        Perform *operation* in the thread, in a transaction; return what it returns.

        It is called again if its transaction could not be written.
        """
        return await self._put(operation, reads=False)

    async def read(self, operation: Operation[_T]) -> _T:
        """
        Perform *operation*, which changes nothing, in the thread; return what it returns.

        It waits for no disk, and works while nothing can be written, if the file can be read.
        """
        return await self._put(operation, reads=True)

    def _put(self, operation: Operation[_T], *, reads: bool) -> asyncio.Future[_T]:
        if self._ended:
            raise StoreError(self._name, "is closed")
        done: asyncio.Future[_T] = asyncio.get_running_loop().create_future()
        self._queue.put(_Task(operation, done, reads))
        return done

    # -- in the thread -----------------------------------------------------------------

    def _live(
        self,
        loop: asyncio.AbstractEventLoop,
        opened: asyncio.Future[None],
        gone: asyncio.Future[int],
    ) -> None:
        try:
            connection = self._connect()
        except BaseException as error:  # noqa: BLE001 - whoever opens it has to hear of it
            _call(loop, _fail, opened, error)
            _call(loop, _settle, gone, 0)
            return
        _call(loop, _settle, opened, None)
        try:
            self._work(loop, connection)
        finally:
            with contextlib.suppress(sqlite3.Error):
                connection.close()
            left = self._left()
            closed = StoreError(self._name, "was closed before this could be written")
            _call(loop, _deliver, [_Outcome(task, error=closed) for task in left])
            _call(loop, _settle, gone, len(left))

    def _left(self) -> list[_Task]:
        """
        Take what will not be written any more.
        """
        self._ended = True
        left, self._writes = self._writes, []
        with contextlib.suppress(queue.Empty):
            while True:
                task = self._queue.get_nowait()
                if task is not None:
                    left.append(task)
        return left

    def _work(self, loop: asyncio.AbstractEventLoop, connection: sqlite3.Connection) -> None:
        """
        Do what comes until the end, or until nothing can be written and it is closed.
        """
        while not self._last or self._writes:
            if not self._writes:
                self._take(loop, connection, None)
            if group := self._writes[:_MOST_TOGETHER]:
                outcomes = self._perform(loop, connection, group)
                if outcomes is None:
                    return
                del self._writes[: len(group)]
                _call(loop, _deliver, [self._judged(outcome) for outcome in outcomes])

    def _take(
        self, loop: asyncio.AbstractEventLoop, connection: sqlite3.Connection, wait: float | None
    ) -> None:
        """
        Take what has queued up, after at most *wait* seconds; what only reads is done at once.

        What cannot be read waits among what is written.
        """
        try:
            task = self._queue.get(timeout=wait)
            while task is not None:
                done = _alone(connection, task) if task.reads else None
                if done is not None:
                    _call(loop, _deliver, [self._judged(done)])
                else:
                    self._writes.append(task)
                task = self._queue.get_nowait()
        except queue.Empty:
            return
        self._last = True

    def _perform(
        self,
        loop: asyncio.AbstractEventLoop,
        connection: sqlite3.Connection,
        group: list[_Task],
    ) -> list[_Outcome] | None:
        """
        Do *group* in one transaction; None means that the store closes before it could be.
        """
        pause = _FIRST_PAUSE
        while True:
            try:
                outcomes = _together(connection, group)
            except sqlite3.Error as error:
                reason = _passing(error)
                if not reason:
                    return self._singly(loop, connection, group, error)
                if self._last:
                    return None
                self._note_trouble(reason, error)
                self._take(loop, connection, pause)
                pause = min(2 * pause, _LAST_PAUSE)
            except Exception as error:  # noqa: BLE001 - it belongs to whoever asked
                return self._singly(loop, connection, group, error)
            else:
                self._note_health()
                return outcomes

    def _singly(
        self,
        loop: asyncio.AbstractEventLoop,
        connection: sqlite3.Connection,
        group: list[_Task],
        error: Exception,
    ) -> list[_Outcome] | None:
        """
        Do each of *group* in a transaction of its own: one of them made it fail with *error*.
        """
        if len(group) == 1:
            return [_Outcome(group[0], error=error)]
        outcomes: list[_Outcome] = []
        for task in group:
            done = self._perform(loop, connection, [task])
            if done is None:
                return None
            outcomes += done
        return outcomes

    def _judged(self, outcome: _Outcome) -> _Outcome:
        """
        Say in a sentence where the file turned out to be damaged.
        """
        if isinstance(outcome.error, sqlite3.Error) and is_damage(outcome.error):
            reason = f"is damaged ({outcome.error}); the next start saves what can be read"
            outcome.error = StoreError(self._name, reason)
        return outcome

    def _note_trouble(self, reason: str, error: sqlite3.Error) -> None:
        if not self.trouble:
            self.trouble_since = time.monotonic()
            fields = {"file": self._name, "reason": reason, "error": str(error)}
            log.error("notifications cannot be kept; they wait in memory", extra=fields)
        self.trouble = reason

    def _note_health(self) -> None:
        if self.trouble:
            seconds = round(time.monotonic() - self.trouble_since, 1)
            self.trouble = ""
            log.info("notifications are kept again", extra={"after_seconds": seconds})


def _together(connection: sqlite3.Connection, group: list[_Task]) -> list[_Outcome]:
    try:
        connection.execute("BEGIN IMMEDIATE")
        outcomes = [_Outcome(task, task.operation(connection)) for task in group]
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            with contextlib.suppress(sqlite3.Error):
                connection.execute("ROLLBACK")
        raise
    return outcomes


def _alone(connection: sqlite3.Connection, task: _Task) -> _Outcome | None:
    """
    Do a *task* that reads; None means that it has to be tried again.
    """
    try:
        return _Outcome(task, task.operation(connection))
    except sqlite3.Error as error:
        return None if _passing(error) else _Outcome(task, error=error)
    except Exception as error:  # noqa: BLE001 - it belongs to whoever asked
        return _Outcome(task, error=error)


# -- in the event loop ---------------------------------------------------------------------


def _call(loop: asyncio.AbstractEventLoop, function: Callable[..., None], *values: Any) -> None:
    # A loop that is closed has nobody who waits.
    with contextlib.suppress(RuntimeError):
        loop.call_soon_threadsafe(function, *values)


def _deliver(outcomes: list[_Outcome]) -> None:
    for outcome in outcomes:
        if outcome.error is None:
            _settle(outcome.task.done, outcome.result)
        else:
            _fail(outcome.task.done, outcome.error)


def _settle(future: asyncio.Future[Any], result: Any) -> None:
    if not future.done():
        future.set_result(result)


def _fail(future: asyncio.Future[Any], error: BaseException) -> None:
    if not future.done():
        future.set_exception(error)
