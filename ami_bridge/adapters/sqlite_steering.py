"""
What operators do to deliveries in SQLite, inside a transaction.
"""

import sqlite3
from collections.abc import Iterable, Sequence

from .sqlite_deliveries import GIVE_UP, advance, paused_rules

_NEXT_OF_LANE = """
SELECT seq FROM deliveries WHERE id = ? AND due > ? AND seq NOT IN (SELECT seq FROM claims)
"""
_OWED = """
SELECT seq, attempts, destination, leg FROM deliveries
WHERE id = ? AND settled IS NULL AND seq NOT IN (SELECT seq FROM claims)
"""


def send_again(
    connection: sqlite3.Connection, ids: Sequence[str], now: float, expires: float
) -> int:
    """
    Owe given-up deliveries once more, as the youngest of their lanes.
    """
    paused = paused_rules(connection)
    count = 0
    for one in ids:
        found = connection.execute(
            "SELECT seq, rule_id, destination, leg FROM deliveries "
            "WHERE id = ? AND state = 'given up'",
            (one,),
        ).fetchone()
        if found is None:
            continue
        seq, rule_id, destination, leg = found
        state = "paused" if rule_id in paused else "waiting"
        (last,) = connection.execute("SELECT max(seq) FROM deliveries").fetchone()
        connection.execute(
            "UPDATE deliveries SET seq = ?, state = ?, created = ?, expires = ?, "
            "settled = NULL, reason = NULL WHERE seq = ?",
            (last + 1, state, now, expires, seq),
        )
        connection.execute("UPDATE attempts SET delivery = ? WHERE delivery = ?", (last + 1, seq))
        advance(connection, [(destination, leg)])
        count += 1
    return count


def hurry(connection: sqlite3.Connection, ids: Iterable[str], now: float) -> int:
    """
    Let those of *ids* be due now that are the next of their lanes, and not claimed.
    """
    count = 0
    for one in ids:
        found = connection.execute(_NEXT_OF_LANE, (one, now)).fetchone()
        if found is not None:
            connection.execute("UPDATE deliveries SET due = ? WHERE seq = ?", (now, found[0]))
            count += 1
    return count


def drop(connection: sqlite3.Connection, ids: Iterable[str], reason: str, now: float) -> int:
    """
    Give up those of *ids* that are owed, and not claimed.
    """
    count = 0
    for one in ids:
        found = connection.execute(_OWED, (one,)).fetchone()
        if found is not None:
            seq, attempts, destination, leg = found
            connection.execute(GIVE_UP, (attempts, now, reason, seq))
            advance(connection, [(destination, leg)])
            count += 1
    return count
