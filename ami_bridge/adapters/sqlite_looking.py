"""
Looking at a store's SQLite file: by a connection that only reads, in a thread of its own.

So nobody who looks delays what is written, however much there is to search.
"""

import asyncio
import contextlib
import sqlite3
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

from ami_bridge.core.retry import Attempt
from ami_bridge.core.rules import ExtensionPattern
from ami_bridge.errors import StoreError

from .looking import DeliveryState, Found, Kept, Tally, Wanted
from .sqlite_rows import COLUMNS, read_attempts, read_delivery
from .sqlite_writer import is_damage, may_pass
from .store import StoryEntry

_T = TypeVar("_T")

#: How long a reader waits for the file, in seconds: while it is opened or taken over.
_PATIENCE_SECONDS = 10.0
#: SQLite takes no deeper expressions than 1000, and each OR in a row makes one deeper.
_MOST_IN_A_ROW = 500
_KEPT = f"SELECT seq, state, due, settled, reason, status, seconds, {COLUMNS} FROM deliveries"  # noqa: S608 - our own names
#: The oldest is the first of its destination: what is sent again is put anew.
_WAITING = """
SELECT destination, count(*), min(seq) FROM deliveries WHERE state = 'waiting' GROUP BY destination
"""
_PAUSED = "SELECT destination, count(*) FROM deliveries WHERE state = 'paused' GROUP BY destination"
_GIVEN_UP = """
SELECT destination, count(*) FROM deliveries
WHERE state = 'given up' AND settled IS NOT NULL GROUP BY destination
"""
_STORIES = """
SELECT stories.name, entries.time, entries.messages FROM stories
JOIN entries ON entries.story = stories.id
WHERE stories.pbx = ? AND stories.name IN ({}) ORDER BY entries.seq LIMIT ?
"""
_NAMING = """
SELECT DISTINCT stories.name FROM stories JOIN entries ON entries.story = stories.id
WHERE stories.pbx = ? AND ({}) LIMIT ?
"""


async def look(path: Path, question: Callable[[sqlite3.Connection], _T]) -> _T:
    """
    Ask the file *path* a *question*. Raises StoreError if it cannot be read.
    """
    try:
        return await asyncio.to_thread(_ask, path, question)
    except sqlite3.Error as error:
        if is_damage(error):
            reason = f"is damaged ({error}); the next start saves what can be read"
            raise StoreError(path, reason) from error
        if may_pass(error):
            raise StoreError(path, f"cannot be read at the moment ({error})") from error
        raise


def _ask(path: Path, question: Callable[[sqlite3.Connection], _T]) -> _T:
    address = f"{path.absolute().as_uri()}?mode=ro"
    opened = sqlite3.connect(address, uri=True, isolation_level=None, timeout=_PATIENCE_SECONDS)
    with contextlib.closing(opened) as connection:
        return question(connection)


def find(connection: sqlite3.Connection, wanted: Wanted, limit: int, before: int | None) -> Found:
    """
    Find at most *limit* wanted deliveries, the latest first, older than the cursor *before*.
    """
    conditions, values = _conditions(wanted, before)
    states = tuple(DeliveryState) if wanted.states is None else wanted.states
    keys: list[int] = []
    for state in states:
        # Of what is rare all is sorted; what is not is read from its end.
        order = "seq" if state is DeliveryState.DELIVERED else "+seq"
        select = (
            f"SELECT seq FROM deliveries WHERE {' AND '.join([_is(state), *conditions])} "  # noqa: S608 - our own names
            f"ORDER BY {order} DESC LIMIT ?"
        )
        keys += (seq for (seq,) in connection.execute(select, (*values, limit + 1)))
    keys.sort(reverse=True)
    rows = (connection.execute(f"{_KEPT} WHERE seq = ?", (seq,)).fetchone() for seq in keys[:limit])
    # Some may have been deleted since.
    found = tuple(_kept(row) for row in rows if row is not None)
    return Found(found, keys[limit - 1] if len(keys) > limit else None)


def look_up(connection: sqlite3.Connection, one: str) -> Kept | None:
    """
    Read the delivery with the id *one*, and its attempts.
    """
    row = connection.execute(f"{_KEPT} WHERE id = ?", (one,)).fetchone()
    return None if row is None else _kept(row, read_attempts(connection, row[0]))


def tallies(connection: sqlite3.Connection) -> dict[str, Tally]:
    """
    Count by destination, from the indices, and never what was delivered.
    """
    counts: dict[str, dict[str, Any]] = {}
    for destination, count, oldest in connection.execute(_WAITING).fetchall():
        created = connection.execute(
            "SELECT created FROM deliveries WHERE seq = ?", (oldest,)
        ).fetchone()
        counts[destination] = {"waiting": count, "oldest_waiting": created and created[0]}
    for name, select in (("paused", _PAUSED), ("given_up", _GIVEN_UP)):
        for destination, count in connection.execute(select):
            counts.setdefault(destination, {})[name] = count
    return {destination: Tally(**facts) for destination, facts in counts.items()}


def entries(
    connection: sqlite3.Connection, pbx: str, stories: Collection[str], limit: int
) -> list[StoryEntry]:
    """
    Read the first *limit* entries of *stories*, in the order they were kept.
    """
    marks = ", ".join("?" * len(stories))
    rows = connection.execute(_STORIES.format(marks), (pbx, *stories, limit))
    return [StoryEntry(pbx, *row) for row in rows]


def stories_naming(
    connection: sqlite3.Connection, pbx: str, texts: Collection[str], limit: int
) -> list[str]:
    """
    Find the stories in whose messages one of *texts* occurs, by reading all of them.
    """
    anywhere = _any_of("instr(entries.messages, ?)", len(texts))
    wanted = [text.encode() for text in texts]
    return [name for (name,) in connection.execute(_NAMING.format(anywhere), (pbx, *wanted, limit))]


def _is(state: DeliveryState) -> str:
    # The partial indices are for these words.
    settled = " AND settled IS NOT NULL" if state is DeliveryState.GIVEN_UP else ""
    return f"state = '{state.value}'{settled}"


def _conditions(wanted: Wanted, before: int | None) -> tuple[list[str], list[object]]:
    asked: Sequence[tuple[str, object]] = (
        ("seq < ?", before),
        ("destination = ?", wanted.destination),
        ("call_id = ?", wanted.call_id),
        ("event = ?", wanted.event and wanted.event.value),
        ("rule_id = ?", wanted.rule_id),
        ("created >= ?", wanted.since),
        ("created < ?", wanted.until),
    )
    told = [(condition, value) for condition, value in asked if value is not None]
    conditions, values = [one for one, _ in told], [value for _, value in told]
    if wanted.legs is not None:
        conditions.append(f"leg IN ({', '.join('?' * len(wanted.legs))})")
        values += wanted.legs
    if wanted.extensions is not None:
        globs = [_glob(pattern) for pattern in wanted.extensions]
        conditions.append(_any_of("extension GLOB ?", len(globs)))
        values += globs
    return conditions, values


def _any_of(condition: str, count: int) -> str:
    """
    Write that one of *count* such conditions holds.
    """
    rows, rest = divmod(count, _MOST_IN_A_ROW)
    sizes = [_MOST_IN_A_ROW] * rows + [rest] * (rest > 0)
    together = [f"({' OR '.join([condition] * size)})" for size in sizes]
    return f"({' OR '.join(together) or 'false'})"


def _glob(pattern: ExtensionPattern) -> str:
    """
    Write *pattern* for SQLite, where a letter in brackets stands for itself.
    """
    return "".join(_glob_pieces(pattern))


def _glob_pieces(pattern: ExtensionPattern) -> Iterator[str]:
    tenant, separator, number = pattern.text.partition("*")
    if not tenant:
        yield "*"
        return
    yield from (f"[{letter}]" if letter in "*?[" else letter for letter in tenant + separator)
    yield from (f"[{letter}]" if letter == "[" else letter for letter in number or "*")


def _kept(row: Sequence[Any], tried: tuple[Attempt, ...] = ()) -> Kept:
    _, state, due, settled, reason, status, seconds, *delivery = row
    return Kept(
        read_delivery(delivery),
        DeliveryState(state),
        due,
        settled,
        reason or "",
        status,
        seconds,
        tried,
    )
