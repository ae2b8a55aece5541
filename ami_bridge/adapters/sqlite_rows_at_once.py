"""
One statement for many rows of values.

At each of its steps SQLite lets other threads go on, and waits until they let it go on; beside
a busy event loop this takes longer than to write a row. `executemany` takes a step a row.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import chain
from typing import Any

#: Rows in one step; what is left takes smaller steps. Each number makes a statement of its own,
#: all of which are kept prepared.
_TOGETHER = (64, 16, 4, 1)


def with_rows(
    connection: sqlite3.Connection, statement: str, rows: Sequence[tuple[object, ...]]
) -> int:
    """
    Execute *statement*, in which ``{rows}`` stands for ``(?, ...), ...``; count what it changed.

    All *rows* have the same length. The values of ``VALUES {rows}`` are ``column1`` and so on.
    """
    return sum(cursor.rowcount for cursor in _steps(connection, statement, rows))


def fetch_with_rows(
    connection: sqlite3.Connection, statement: str, rows: Sequence[tuple[object, ...]]
) -> Iterator[tuple[Any, ...]]:
    """
    Execute *statement* in the same way, and give all the rows that it returns.
    """
    for cursor in _steps(connection, statement, rows):
        yield from cursor


def _steps(
    connection: sqlite3.Connection, statement: str, rows: Sequence[tuple[object, ...]]
) -> Iterator[sqlite3.Cursor]:
    start = 0
    for count in _TOGETHER:
        while start + count <= len(rows):
            values = chain.from_iterable(rows[start : start + count])
            text = _text(statement, len(rows[start]), count)
            yield connection.execute(text, tuple(values))
            start += count


@lru_cache(maxsize=64)
def _text(statement: str, columns: int, rows: int) -> str:
    row = f"({', '.join('?' * columns)})"
    return statement.replace("{rows}", ", ".join([row] * rows))
