"""
The tables of the store's SQLite file, and how older files become newer.

Every step of `_STEPS` brings a file from one version to the next; steps are never changed
once they were released. Times are seconds since the epoch. Nothing here needs SQLite in
particular: integer keys, unique ids and partial indices are what other databases have, too.
"""

import logging
import sqlite3
from pathlib import Path

from ami_bridge.errors import StoreError

log = logging.getLogger(__name__)

#: Tells our files from those of other programs: "AMIB".
APPLICATION_ID = 0x414D4942

_DELIVERIES = """
CREATE TABLE deliveries (
  seq INTEGER PRIMARY KEY,         -- in the order in which they were put
  id TEXT NOT NULL UNIQUE,
  rule_id TEXT NOT NULL,
  event TEXT NOT NULL,
  extension TEXT NOT NULL,
  call_id TEXT NOT NULL,
  leg TEXT NOT NULL,
  destination TEXT NOT NULL,
  method TEXT NOT NULL,
  url TEXT NOT NULL,
  headers TEXT NOT NULL,           -- a JSON object
  body BLOB,
  created REAL NOT NULL,
  expires REAL NOT NULL,
  attempts INTEGER NOT NULL DEFAULT 0,
  state TEXT NOT NULL,             -- waiting, paused, delivered, given up
  due REAL,                        -- of the first of a lane: when it can be claimed
  settled REAL,
  status INTEGER,                  -- of the attempt that succeeded
  seconds REAL,
  reason TEXT                      -- why it was given up
);
CREATE INDEX deliveries_lanes ON deliveries (destination, leg, seq) WHERE state = 'waiting';
CREATE INDEX deliveries_due ON deliveries (destination, due, seq) WHERE due IS NOT NULL;
CREATE INDEX deliveries_settled ON deliveries (state, settled) WHERE settled IS NOT NULL;
CREATE INDEX deliveries_expires ON deliveries (expires) WHERE settled IS NULL;
CREATE TABLE attempts (
  delivery INTEGER NOT NULL,       -- deliveries.seq
  number INTEGER NOT NULL,
  began REAL NOT NULL,
  seconds REAL NOT NULL,
  status INTEGER,
  error TEXT NOT NULL,
  retry_after TEXT,
  excerpt TEXT NOT NULL
);
CREATE INDEX attempts_delivery ON attempts (delivery);
CREATE TABLE stories (
  id INTEGER PRIMARY KEY,
  pbx TEXT NOT NULL,
  name TEXT NOT NULL,
  ended REAL,
  UNIQUE (pbx, name)
);
CREATE INDEX stories_open ON stories (pbx, id) WHERE ended IS NULL;
CREATE INDEX stories_ended ON stories (ended) WHERE ended IS NOT NULL;
CREATE TABLE entries (
  seq INTEGER PRIMARY KEY,
  story INTEGER NOT NULL,
  time REAL NOT NULL,
  messages BLOB NOT NULL
);
CREATE INDEX entries_story ON entries (story, seq);
CREATE TABLE attachments (
  pbx TEXT PRIMARY KEY,
  since REAL NOT NULL
);
"""

_HEALTH = """
CREATE TABLE pauses (
  rule_id TEXT PRIMARY KEY,
  since REAL NOT NULL,
  reason TEXT NOT NULL
);
CREATE TABLE destinations (
  name TEXT PRIMARY KEY,
  failures INTEGER NOT NULL,
  open_until REAL,
  error TEXT NOT NULL
);
CREATE INDEX deliveries_paused ON deliveries (rule_id, seq) WHERE state = 'paused';
"""

_SETTINGS = """
CREATE TABLE settings (            -- how calls were understood
  id INTEGER PRIMARY KEY,
  text TEXT NOT NULL UNIQUE
);
ALTER TABLE entries ADD COLUMN settings INTEGER;
CREATE INDEX entries_settings ON entries (settings);
"""

_STEPS = (_DELIVERIES, _HEALTH, _SETTINGS)
VERSION = len(_STEPS)


def prepare(connection: sqlite3.Connection, path: Path) -> None:
    """
    Bring the file behind *connection* to the present schema.

    Raises StoreError if it is another program's or a newer version's, and
    sqlite3.DatabaseError if it is damaged.
    """
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if tables and application != APPLICATION_ID:
        raise StoreError(path, "is a database of another program; name another file in [store]")
    if version > VERSION:
        raise StoreError(
            path,
            f"was written by a newer ami-bridge (schema {version}, this one knows {VERSION}); "
            "install that version again, or name another file in [store]",
        )
    if tables:
        (verdict,) = connection.execute("PRAGMA quick_check(1)").fetchone()
        if verdict != "ok":
            raise sqlite3.DatabaseError(verdict)
    for number in range(version, VERSION):
        connection.executescript(
            f"BEGIN IMMEDIATE; {_STEPS[number]}"
            f"PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {number + 1}; COMMIT;"
        )
        if version:
            log.info("store upgraded", extra={"file": str(path), "schema": number + 1})
