"""
Stories in SQLite: what is done to them inside a transaction.
"""

import sqlite3

from .sqlite_rows_at_once import with_rows
from .store import Changes, StoryEntry

#: One that was over goes on, if there is more of it.
_BEGIN = """
INSERT INTO stories (pbx, name) VALUES {rows}
ON CONFLICT (pbx, name) DO UPDATE SET ended = NULL WHERE ended IS NOT NULL
"""
_ADD = """
INSERT INTO entries (story, time, messages, settings)
SELECT (SELECT id FROM stories WHERE pbx = column1 AND name = column2), column3, column4, column5
FROM (VALUES {rows})
"""
_END = """
UPDATE stories SET ended = column1 FROM (VALUES {rows})
WHERE id = (SELECT id FROM stories WHERE pbx = column2 AND name = column3) AND +ended IS NULL
"""
_SETTINGS_ID = "SELECT id FROM settings WHERE text = ?"
_ADD_SETTINGS = "INSERT INTO settings (text) VALUES (?) RETURNING id"
_ATTACH = "INSERT INTO attachments (pbx, since) VALUES (?, ?) ON CONFLICT DO NOTHING"
_OPEN = """
SELECT stories.name, entries.time, entries.messages, entries.settings FROM stories
JOIN entries ON entries.story = stories.id
WHERE stories.pbx = ? AND stories.ended IS NULL ORDER BY entries.seq
"""
_FORGET_SETTINGS = """
DELETE FROM settings
WHERE NOT EXISTS (SELECT 1 FROM entries WHERE entries.settings = settings.id)
"""


def keep(connection: sqlite3.Connection, changes: Changes) -> None:
    """
    Keep the entries of stories, and note which of them ended, and which PBXs are known.
    """
    entries = changes.entries
    with_rows(connection, _BEGIN, list({(entry.pbx, entry.story): 0 for entry in entries}))
    ids = {text: _settings_id(connection, text) for text in {entry.settings for entry in entries}}
    added = [(one.pbx, one.story, one.time, one.messages, ids[one.settings]) for one in entries]
    with_rows(connection, _ADD, added)
    with_rows(connection, _END, [(changes.time, pbx, name) for pbx, name in changes.ended])
    for pbx, is_attached in changes.attached.items():
        if is_attached:
            connection.execute(_ATTACH, (pbx, changes.time))
        else:
            connection.execute("DELETE FROM attachments WHERE pbx = ?", (pbx,))


def _settings_id(connection: sqlite3.Connection, text: str) -> int | None:
    if not text:
        return None
    row: tuple[int] | None = connection.execute(_SETTINGS_ID, (text,)).fetchone()
    if row is None:
        row = connection.execute(_ADD_SETTINGS, (text,)).fetchone()
    return row[0]


def open_entries(connection: sqlite3.Connection, pbx: str) -> list[StoryEntry]:
    """
    Read the entries of the stories of *pbx* that are not over, in the order they were kept.
    """
    # Many entries have the same settings, which may be long.
    texts: dict[int | None, str] = dict(connection.execute("SELECT id, text FROM settings"))
    return [
        StoryEntry(pbx, name, time, messages, texts.get(settings, ""))
        for name, time, messages, settings in connection.execute(_OPEN, (pbx,))
    ]


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
    if old:
        connection.execute(_FORGET_SETTINGS)
    return len(old)
