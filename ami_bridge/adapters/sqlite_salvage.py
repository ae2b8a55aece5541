"""
What is done with a damaged SQLite file: it is kept, and what can be read of it goes on.

A new file is made beside it and gets every readable row of what is still owed, of what was
given up, and of the calls that are up. Only when it is whole does it take the damaged one's
place. So nothing is lost if this is broken off, too: it is begun anew at the next start.
"""

import contextlib
import sqlite3
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import attrs

from .sqlite_deliveries import advance_all
from .sqlite_rows import is_sound
from .sqlite_writer import is_damage

_Row = Mapping[str, Any]


@attrs.frozen
class _Table:
    """
    What is worth saving of a table.
    """

    name: str
    key: str
    wanted: str = "1"
    #: Tells whether the program can use a row; a damaged page may read as nonsense.
    sound: Callable[[_Row], bool] = lambda _: True


_TABLES = (
    _Table("deliveries", "seq", "state IS NOT 'delivered'", is_sound),
    _Table("attempts", "rowid"),
    _Table("stories", "id", "ended IS NULL"),
    _Table("settings", "id"),
    _Table("entries", "seq"),
    _Table("attachments", "rowid"),
    _Table("pauses", "rowid"),
    _Table("destinations", "rowid"),
)
#: What stays of a table when the rows that it belongs to are lost.
_ORPHANS = (
    "DELETE FROM attempts WHERE delivery NOT IN (SELECT seq FROM deliveries)",
    "DELETE FROM entries WHERE story NOT IN (SELECT id FROM stories)",
    "UPDATE entries SET settings = NULL WHERE settings NOT IN (SELECT id FROM settings)",
)
#: Lies outside of all keys.
_FAR = 2**62
#: Where a table's end cannot be read, rows are looked for in so many keys more.
_BEYOND = 4096
#: So many times a piece of a table may turn out unreadable.
_MOST_FAILURES = 20_000


def finish_replacing(path: Path) -> None:
    """
    End what was broken off between moving a damaged file aside and replacing it.
    """
    if not path.exists() and replacement(path).exists():
        _rename_all(path, _aside(path, _moved_before(path)))
        replacement(path).rename(path)


def replacement(path: Path) -> Path:
    """
    Name the file that takes the place of the damaged *path*.
    """
    return path.with_name(f"{path.name}.new")


def remove(path: Path) -> None:
    """
    Delete a database, and what SQLite keeps beside it.
    """
    for suffix in ("", "-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


def put_aside(path: Path) -> Path:
    """
    Put the replacement of *path* in its place; give the name that *path* has now.
    """
    aside = _aside(path, _moved_before(path) + 1)
    _rename_all(path, aside)
    replacement(path).rename(path)
    return aside


def salvage(path: Path, connection: sqlite3.Connection) -> dict[str, int]:
    """
    Copy what can be read of the damaged file *path* to *connection*; count rows by table.
    """
    uri = f"{path.absolute().as_uri()}?mode=rw"
    connection.execute("BEGIN IMMEDIATE")
    with contextlib.closing(sqlite3.connect(uri, uri=True)) as damaged:
        # SQLite reads nothing of a file that is shorter than it says, unless told so.
        damaged.execute("PRAGMA writable_schema = ON")
        damaged.execute("PRAGMA cell_size_check = ON")
        for table in _TABLES:
            _copy(damaged, connection, table)
    for delete in _ORPHANS:
        connection.execute(delete)
    advance_all(connection)
    connection.execute("COMMIT")
    return {
        table.name: connection.execute(f"SELECT count(*) FROM {table.name}").fetchone()[0]  # noqa: S608 - our own names
        for table in _TABLES
    }


def _copy(damaged: sqlite3.Connection, connection: sqlite3.Connection, table: _Table) -> None:
    columns = _columns(connection, table)
    with contextlib.suppress(sqlite3.Error):
        # One that an older version wrote has fewer.
        columns = [name for name in _columns(damaged, table) if name in columns]
    marks = ", ".join("?" * len(columns))
    insert = f"INSERT OR IGNORE INTO {table.name} ({', '.join(columns)}) VALUES ({marks})"  # noqa: S608 - our own names
    for row in _readable(damaged, table, columns):
        if table.sound(dict(zip(columns, row, strict=True))):
            connection.execute(insert, row)


def _columns(connection: sqlite3.Connection, table: _Table) -> list[str]:
    return [row[1] for row in connection.execute(f"PRAGMA table_info({table.name})")]


def _readable(
    damaged: sqlite3.Connection, table: _Table, columns: list[str]
) -> Iterator[tuple[Any, ...]]:
    """
    Read a table from both ends of each piece, and cut what cannot be read into halves.
    """
    key = table.key
    # Not by an index: what it says may be damaged while the table is not.
    select = (
        f"SELECT {key}, {', '.join(columns)} FROM {table.name} NOT INDEXED "  # noqa: S608 - our own names
        f"WHERE {key} > ? AND {key} < ? AND {table.wanted} ORDER BY {key}"
    )
    pieces = deque([(-_FAR, _FAR)])
    failures = 0
    while pieces and failures < _MOST_FAILURES:
        low, high = pieces.popleft()
        try:
            for number, *row in damaged.execute(select, (low, high)):
                low = number
                yield tuple(row)
            continue
        except sqlite3.Error as error:
            if not _in_part(error):
                return
            failures += 1
        try:
            for number, *row in damaged.execute(f"{select} DESC", (low, high)):
                high = number
                yield tuple(row)
        except sqlite3.Error:
            low = max(low, 0)
            high = min(high, low + _BEYOND) if high == _FAR else high
            middle = (low + high) // 2
            if high - low > 2:
                pieces += [(low, middle + 1), (middle, high)]


def _in_part(error: sqlite3.Error) -> bool:
    """
    Tell whether more of the file may be readable: it is a database, and has the table.
    """
    return is_damage(error) and getattr(error, "sqlite_errorcode", 0) != sqlite3.SQLITE_NOTADB


def _aside(path: Path, number: int) -> Path:
    return path.with_name(f"{path.name}.corrupt-{number}")


def _moved_before(path: Path) -> int:
    """
    Count the damaged files that were moved aside before.
    """
    number = 0
    while _aside(path, number + 1).exists():
        number += 1
    return number


def _rename_all(path: Path, aside: Path) -> None:
    # The log goes after its database: no file is ever taken for whole without its log.
    for suffix in ("", "-wal", "-shm"):
        with contextlib.suppress(FileNotFoundError):
            path.with_name(path.name + suffix).rename(aside.with_name(aside.name + suffix))
