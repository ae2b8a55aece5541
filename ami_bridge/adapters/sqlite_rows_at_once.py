"""
One statement for many rows of values.

At each of its steps SQLite lets other threads go on, and waits until they let it go on; beside
a busy event loop this takes longer than to write a row. `executemany` takes a step a row.
"""

import sqlite3
from collections.abc import Sequence
from functools import lru_cache
from itertools import chain

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
    changed = start = 0
    for count in _TOGETHER:
        while start + count <= len(rows):
            values = chain.from_iterable(rows[start : start + count])
            text = _text(statement, len(rows[start]), count)
            changed += connection.execute(text, tuple(values)).rowcount
            start += count
    return changed


@lru_cache(maxsize=64)
def _text(statement: str, columns: int, rows: int) -> str:
    row = f"({', '.join('?' * columns)})"
    return statement.replace("{rows}", ", ".join([row] * rows))
