"""
Stories in SQLite: what is done to them inside a transaction.
"""

import sqlite3

from .sqlite_rows_at_once import with_rows
from .store import Changes

#: One that was over goes on, if there is more of it.
_BEGIN = """
INSERT INTO stories (pbx, name) VALUES {rows}
ON CONFLICT (pbx, name) DO UPDATE SET ended = NULL WHERE ended IS NOT NULL
"""
_ADD = """
INSERT INTO entries (story, time, messages)
SELECT (SELECT id FROM stories WHERE pbx = column1 AND name = column2), column3, column4
FROM (VALUES {rows})
"""
_END = """
UPDATE stories SET ended = column1 FROM (VALUES {rows})
WHERE id = (SELECT id FROM stories WHERE pbx = column2 AND name = column3) AND +ended IS NULL
"""


def keep(connection: sqlite3.Connection, changes: Changes) -> None:
    """
    Keep the entries of stories, and note which of them ended.
    """
    entries = changes.entries
    with_rows(connection, _BEGIN, list({(entry.pbx, entry.story): 0 for entry in entries}))
    added = [(entry.pbx, entry.story, entry.time, entry.messages) for entry in entries]
    with_rows(connection, _ADD, added)
    with_rows(connection, _END, [(changes.time, pbx, name) for pbx, name in changes.ended])


def prune(connection: sqlite3.Connection, ended_before: float, limit: int) -> int:
    """
    Delete at most *limit* entries of stories that ended so long ago; say how many.
    """
    # Piece by piece: a long story must not delay what waits behind this.
    old = connection.execute(
        "SELECT seq, story FROM entries "
        "WHERE story IN (SELECT id FROM stories WHERE ended < ?) LIMIT ?",
        (ended_before, limit),
    ).fetchall()
    connection.executemany("DELETE FROM entries WHERE seq = ?", [(seq,) for seq, _ in old])
    connection.executemany(
        "DELETE FROM stories WHERE id = ? AND NOT EXISTS "
        "(SELECT 1 FROM entries WHERE story = stories.id)",
        {(story,) for _, story in old},
    )
    return len(old)
