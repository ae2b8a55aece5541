"""
The store's file: whose it is, how it is opened, and what happens to one that is damaged.
"""

import contextlib
import fcntl
import logging
import os
import sqlite3
from pathlib import Path
from typing import IO

from ami_bridge.errors import StoreError

from .sqlite_salvage import finish_replacing, put_aside, remove, replacement, salvage
from .sqlite_schema import prepare
from .sqlite_writer import is_damage, may_pass

log = logging.getLogger(__name__)

#: How long SQLite itself waits for another program's lock, in seconds.
_BUSY_SECONDS = 0.25
#: The write-ahead log is copied into the file when it has so many pages (of 4 KiB).
_CHECKPOINT_PAGES = 4000
#: It is cut back to this size then, in bytes.
_LONGEST_LOG = 32 * 1024 * 1024
#: Who called whom is personal data: nobody but the owner may read it.
_MODE = 0o600


def take_possession(path: Path) -> IO[bytes]:
    """
    See to it that no other bridge works with *path*: both would send everything.

    It is ours until what this returns is closed. Raises StoreError.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = path.with_name(f"{path.name}.lock").open("wb")
    except OSError as error:
        raise _unusable(path, error.strerror or str(error)) from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        reason = "another ami-bridge works with it; each needs a file of its own in [store]"
        raise StoreError(path, reason) from None
    return lock


def open_file(path: Path, synchronous: str) -> sqlite3.Connection:
    """
    Open *path*, or a new file in place of one that is damaged. Raises StoreError.
    """
    try:
        finish_replacing(path)
        try:
            return _opened(path, synchronous)
        except sqlite3.DatabaseError as error:
            if not is_damage(error):
                raise
            _replace(path, error)
        return _opened(path, synchronous)
    except sqlite3.Error as error:
        raise _unusable(path, may_pass(error) or str(error)) from error
    except OSError as error:
        raise _unusable(path, error.strerror or str(error)) from error


def _opened(path: Path, synchronous: str) -> sqlite3.Connection:
    with contextlib.suppress(FileExistsError):
        # SQLite would let everybody read what it makes; files beside it get this one's mode.
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _MODE))
    connection = sqlite3.connect(path, isolation_level=None, timeout=_BUSY_SECONDS)
    try:
        prepare(connection, path)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute(f"PRAGMA synchronous = {synchronous}")
        connection.execute(f"PRAGMA wal_autocheckpoint = {_CHECKPOINT_PAGES}")
        connection.execute(f"PRAGMA journal_size_limit = {_LONGEST_LOG}")
    except BaseException:
        connection.close()
        raise
    return connection


def _replace(path: Path, damage: sqlite3.DatabaseError) -> None:
    """
    Put a new file in the place of *path*, with all that can be read of it.
    """
    fields = {"file": str(path), "damage": str(damage)}
    log.error("the store is damaged; a new one takes what can be read of it", extra=fields)
    remove(replacement(path))
    with contextlib.closing(_opened(replacement(path), "full")) as connection:
        saved = salvage(path, connection)
    aside = put_aside(path)
    log.error("saved from the damaged store", extra={"moved_to": str(aside), **saved})


def _unusable(path: Path, reason: str) -> StoreError:
    return StoreError(
        path, f"cannot be opened: {reason}; see to its folder, or name another file in [store]"
    )
