"""
Who attempts what at the moment, and what can be claimed.

The store's file belongs to one process, so claims are in a temporary table, in memory: what a
process that died had claimed can be claimed as soon as the file is opened again. They change in
the same transactions as deliveries do, so that nobody sees the one without the other.
"""

import sqlite3
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from ami_bridge.core.deliveries import Delivery

from .sqlite_rows import COLUMNS, read_delivery
from .sqlite_rows_at_once import fetch_with_rows, with_rows
from .store import LONGEST_LEASE, Claims, Outcome, in_turn

#: No wait is longer, in seconds: what is due later was dated by a clock that has been set back
#: since, and is due now.
LONGEST_WAIT = 90_000.0

#: Nobody but its claimant may attempt anything of a lane.
_CLAIMS = """
CREATE TEMP TABLE claims (
  destination TEXT NOT NULL,
  leg TEXT NOT NULL,
  seq INTEGER NOT NULL,            -- of the delivery
  id TEXT NOT NULL,
  number INTEGER NOT NULL,         -- of the attempt
  until REAL,                      -- when the lease ends; NULL when it is known what came of it
  PRIMARY KEY (destination, leg)
) WITHOUT ROWID
"""
#: One look at the index for each destination, however many rows it has.
_DESTINATIONS = """
WITH RECURSIVE found (name) AS (
  SELECT min(destination) FROM deliveries WHERE due IS NOT NULL
  UNION ALL
  SELECT (SELECT min(destination) FROM deliveries WHERE due IS NOT NULL AND destination > name)
  FROM found WHERE name IS NOT NULL
)
SELECT name FROM found WHERE name IS NOT NULL
"""
#: Each with the number of its next attempt.
_DUE = f"""
SELECT seq, {COLUMNS} + 1 FROM deliveries
WHERE due IS NOT NULL AND destination = ? AND due {{when}} ? AND NOT EXISTS (
  SELECT 1 FROM claims
  WHERE claims.destination = deliveries.destination AND claims.leg = deliveries.leg
)
ORDER BY due, seq LIMIT ?
"""  # noqa: S608 - our own names
_NEXT_DUE = """
SELECT min(due) FROM deliveries WHERE due IS NOT NULL AND destination = ? AND due > ?
"""
_CLAIM = "INSERT INTO claims (destination, leg, seq, id, number, until) VALUES {rows}"
#: By the primary key, as "IN (VALUES ...)" would not be.
_THESE = "(destination, leg, id, number) IN (SELECT * FROM (VALUES {rows}))"
_JUDGE = f"UPDATE claims SET until = NULL WHERE {_THESE}"  # noqa: S608 - our own names
_END = f"DELETE FROM claims WHERE {_THESE} RETURNING id, seq"  # noqa: S608 - our own names
_IS_LATE = "until <= ? OR until > ?"


class Lapsed(NamedTuple):
    """
    A claim whose lease ended before it was known what came of it.
    """

    seq: int
    destination: str
    leg: str
    #: Of the attempt.
    number: int


class Settled(NamedTuple):
    """
    What came of a claim, and the key of the delivery's row.
    """

    seq: int
    outcome: Outcome


def prepare(connection: sqlite3.Connection) -> None:
    """
    Begin without claims.
    """
    connection.execute("PRAGMA temp_store = MEMORY")
    connection.execute(_CLAIMS)


def claim(
    connection: sqlite3.Connection,
    now: float,
    free: Mapping[str, int],
    most: int,
    until: float,
) -> Claims | None:
    """
    Claim what is due at *now*, for each destination; None if some lease ended before.

    *free* holds how many of a destination are wanted, *most* how many of all others.
    """
    if _any_late(connection, now):
        return None
    lanes: list[list[tuple[int, Delivery]]] = []
    soonest: list[float] = []
    for (destination,) in connection.execute(_DESTINATIONS).fetchall():
        wanted = free.get(destination, most)
        if wanted <= 0:
            continue
        found = _due(connection, "<=", destination, now, wanted)
        if len(found) < wanted:
            found += _due(connection, ">", destination, now + LONGEST_WAIT, wanted - len(found))
        lanes.append(found)
        if len(found) < wanted:
            (due,) = connection.execute(_NEXT_DUE, (destination, now)).fetchone()
            if due is not None:
                soonest.append(due)
    # Files of before may have two of one lane due.
    claimed = {(one.destination, one.leg): (seq, one) for seq, one in in_turn(lanes)}.values()
    with_rows(
        connection,
        _CLAIM,
        [(one.destination, one.leg, seq, one.id, one.attempts, until) for seq, one in claimed],
    )
    return Claims(tuple(delivery for _, delivery in claimed), min(soonest, default=None))


def _due(
    connection: sqlite3.Connection, when: str, destination: str, moment: float, limit: int
) -> list[tuple[int, Delivery]]:
    rows = connection.execute(_DUE.format(when=when), (destination, moment, limit))
    return [(seq, read_delivery(row)) for seq, *row in rows]


def _any_late(connection: sqlite3.Connection, now: float) -> bool:
    select = f"SELECT EXISTS (SELECT 1 FROM claims WHERE {_IS_LATE})"  # noqa: S608 - our own names
    return bool(connection.execute(select, (now, now + LONGEST_LEASE)).fetchone()[0])


def lapse(connection: sqlite3.Connection, now: float) -> list[Lapsed]:
    """
    End the claims whose lease is over at *now*.
    """
    delete = f"DELETE FROM claims WHERE {_IS_LATE} RETURNING seq, destination, leg, number"  # noqa: S608 - our own names
    return [Lapsed(*row) for row in connection.execute(delete, (now, now + LONGEST_LEASE))]


def judge(connection: sqlite3.Connection, outcomes: Sequence[Outcome]) -> None:
    """
    Let no lease end of which *outcomes* are known, however long these cannot be written down.
    """
    with_rows(connection, _JUDGE, _names(outcomes))


def end(connection: sqlite3.Connection, outcomes: Sequence[Outcome]) -> list[Settled]:
    """
    End the claims that *outcomes* are of; leave out those that ended before.
    """
    ended: dict[str, int] = dict(fetch_with_rows(connection, _END, _names(outcomes)))
    return [
        Settled(ended.pop(outcome.delivery.id), outcome)
        for outcome in outcomes
        if outcome.delivery.id in ended
    ]


def _names(outcomes: Sequence[Outcome]) -> list[tuple[object, ...]]:
    deliveries = (outcome.delivery for outcome in outcomes)
    return [(one.destination, one.leg, one.id, one.attempts) for one in deliveries]
