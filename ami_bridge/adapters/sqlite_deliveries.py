"""
Deliveries in SQLite: what is done to them inside a transaction.

A delivery is *waiting* until it is *delivered* or *given up*; one of a paused rule is
*paused*. Of the waiting ones of a lane (leg and destination) only the oldest has a time when
it is due. Who attempts what is not written down: the file belongs to one process, and after
its end all that it attempted may be attempted again.
"""

import json
import sqlite3
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

from ami_bridge.core.deliveries import Delivery
from ami_bridge.core.retry import Abandoned, Attempt, Delivered, RetryAt, Verdict

from .sqlite_rows import COLUMNS, attempt_values, read_attempts, read_delivery, values_of
from .sqlite_rows_at_once import with_rows
from .store import GivenUp

#: No wait is longer, in seconds: what is due later was dated by a clock that has been set back
#: since, and is due now.
LONGEST_WAIT = 90_000.0

_PUT = f"""
INSERT INTO deliveries ({COLUMNS}, state) VALUES {{rows}} ON CONFLICT (id) DO NOTHING
"""  # noqa: S608 - our own names
#: Lets those be claimed, of some that were put, that are the only ones of their lanes.
_FIRST = """
UPDATE deliveries SET due = created
WHERE due IS NULL AND state = 'waiting' AND id IN (VALUES {rows}) AND NOT EXISTS (
  SELECT 1 FROM deliveries AS older
  WHERE older.state = 'waiting' AND older.destination = deliveries.destination
    AND older.leg = deliveries.leg AND older.seq < deliveries.seq
)
"""
#: Lets the oldest that is owed of each lane be claimed.
_ADVANCE = """
UPDATE deliveries SET due = created
WHERE due IS NULL AND seq IN (
  SELECT (
    SELECT min(seq) FROM deliveries
    WHERE state = 'waiting' AND destination = column1 AND leg = column2
  ) FROM (VALUES {rows})
)
"""
_ADVANCE_ALL = """
UPDATE deliveries SET due = created
WHERE due IS NULL AND state = 'waiting' AND seq IN (
  SELECT min(seq) FROM deliveries WHERE state = 'waiting' GROUP BY destination, leg
)
"""
_WAITING = (
    "SELECT destination, count(*) FROM deliveries WHERE state = 'waiting' GROUP BY destination",
    "SELECT destination, count(*) FROM deliveries WHERE state = 'paused' GROUP BY destination",
)
_LATEST = """
SELECT max(
  coalesce((SELECT created FROM deliveries ORDER BY seq DESC LIMIT 1), 0),
  coalesce((SELECT max(settled) FROM deliveries WHERE state = 'delivered' AND settled > 0), 0),
  coalesce((SELECT max(settled) FROM deliveries WHERE state = 'given up' AND settled > 0), 0)
)
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
_DUE = f"""
SELECT seq, {COLUMNS} FROM deliveries
WHERE due IS NOT NULL AND destination = ? AND due <= ?
  AND seq NOT IN (SELECT value FROM json_each(?))
ORDER BY due, seq LIMIT ?
"""  # noqa: S608 - our own names
_TOO_FAR = f"""
SELECT seq, {COLUMNS} FROM deliveries
WHERE due IS NOT NULL AND destination = ? AND due > ?
  AND seq NOT IN (SELECT value FROM json_each(?))
ORDER BY due, seq LIMIT ?
"""  # noqa: S608 - our own names
_NEXT_DUE = """
SELECT min(due) FROM deliveries WHERE due IS NOT NULL AND destination = ? AND due > ?
"""
_DELIVERED = """
UPDATE deliveries
SET state = 'delivered', due = NULL,
  attempts = column2, settled = column3, status = column4, seconds = column5
FROM (VALUES {rows}) WHERE seq = column1 AND +settled IS NULL
"""
#: The same where somebody was delivered, if it was not given up meanwhile.
_ADVANCE_BEHIND = """
UPDATE deliveries SET due = created
WHERE due IS NULL AND seq IN (
  SELECT (
    SELECT min(next.seq) FROM deliveries AS next
    WHERE next.state = 'waiting' AND next.destination = done.destination AND next.leg = done.leg
  ) FROM (VALUES {rows}) CROSS JOIN deliveries AS done
  WHERE done.seq = column1 AND done.state = 'delivered'
)
"""
GIVE_UP = """
UPDATE deliveries SET state = 'given up', due = NULL, attempts = ?, settled = ?, reason = ?
WHERE seq = ? AND settled IS NULL
"""
_RETRY = "UPDATE deliveries SET due = ?, attempts = ? WHERE seq = ? AND settled IS NULL"
_KEEP_BACK = """
UPDATE deliveries SET state = 'paused', due = NULL, attempts = ?
WHERE seq = ? AND settled IS NULL
"""
_PAUSE = """
UPDATE deliveries SET state = 'paused', due = NULL WHERE seq = ? AND settled IS NULL
"""
_COUNT = "UPDATE deliveries SET attempts = ? WHERE seq = ? AND settled IS NULL"
#: After a pause somebody older may have come back into the lane.
_YIELD = """
UPDATE deliveries SET due = NULL
WHERE seq = ? AND EXISTS (
  SELECT 1 FROM deliveries AS older
  WHERE older.state = 'waiting' AND older.destination = ? AND older.leg = ?
    AND older.seq < deliveries.seq
)
"""
_ATTEMPT = """
INSERT INTO attempts (delivery, number, began, seconds, status, error, retry_after, excerpt)
VALUES (?, ?, ?, ?, ?, ?, ?, ?)
"""


class Due(NamedTuple):
    """
    A delivery that can be attempted now, and the key of its row.
    """

    seq: int
    delivery: Delivery


def put(
    connection: sqlite3.Connection, deliveries: Sequence[Delivery], paused: Collection[str]
) -> None:
    """
    Owe *deliveries*; those whose ids are known are left as they are.
    """
    with_rows(connection, _PUT, [values_of(delivery, paused) for delivery in deliveries])
    with_rows(connection, _FIRST, [(delivery.id,) for delivery in deliveries])


def advance(connection: sqlite3.Connection, lanes: Iterable[tuple[str, str]]) -> None:
    """
    Let the oldest that is owed of each lane, a destination and a leg, be claimed.
    """
    with_rows(connection, _ADVANCE, list(lanes))


def find_due(
    connection: sqlite3.Connection,
    now: float,
    free: Mapping[str, int],
    most: int,
    claimed: Collection[int],
) -> tuple[list[list[Due]], float | None]:
    """
    Find what is due at *now* and not *claimed*, for each destination; and the next time.

    *free* holds how many of a destination are wanted, *most* how many of all others.
    """
    lanes: list[list[Due]] = []
    soonest: list[float] = []
    but = json.dumps(list(claimed))
    for (destination,) in connection.execute(_DESTINATIONS).fetchall():
        wanted = free.get(destination, most)
        if wanted <= 0:
            continue
        found = connection.execute(_DUE, (destination, now, but, wanted)).fetchall()
        if len(found) < wanted:
            far = (destination, now + LONGEST_WAIT, but, wanted - len(found))
            found += connection.execute(_TOO_FAR, far)
        lanes.append([Due(seq, read_delivery(row)) for seq, *row in found])
        if len(found) < wanted:
            (due,) = connection.execute(_NEXT_DUE, (destination, now)).fetchone()
            if due is not None:
                soonest.append(due)
    return lanes, min(soonest, default=None)


def settle(
    connection: sqlite3.Connection,
    settled: Iterable[tuple[Due, Attempt | None, Verdict]],
    paused: Collection[str],
) -> None:
    """
    Write down what came of attempts; each `Due` holds the number of the attempt.
    """
    delivered = []
    for due, attempt, verdict in settled:
        if isinstance(verdict, Delivered):
            delivered.append((due, attempt))
        else:
            _settle_failed(connection, due, attempt, verdict, paused)
    with_rows(connection, _DELIVERED, [_delivered_values(*one) for one in delivered])
    with_rows(connection, _ADVANCE_BEHIND, [(due.seq,) for due, _ in delivered])


def _delivered_values(due: Due, attempt: Attempt | None) -> tuple[object, ...]:
    seq, delivery = due
    if attempt is None:
        return seq, delivery.attempts, delivery.created, None, 0.0
    ended = attempt.began + attempt.seconds
    return seq, delivery.attempts, ended, attempt.status, attempt.seconds


def _settle_failed(
    connection: sqlite3.Connection,
    due: Due,
    attempt: Attempt | None,
    verdict: RetryAt | Abandoned,
    paused: Collection[str],
) -> None:
    seq, delivery = due
    lane = delivery.destination, delivery.leg
    moves_on = True
    match verdict:
        case RetryAt(when, _) if delivery.rule_id not in paused:
            done = connection.execute(_RETRY, (when, delivery.attempts, seq))
            moves_on = connection.execute(_YIELD, (seq, *lane)).rowcount > 0
        case RetryAt():
            done = connection.execute(_KEEP_BACK, (delivery.attempts, seq))
        case Abandoned(reason):
            ended = delivery.expires if attempt is None else attempt.began + attempt.seconds
            done = connection.execute(GIVE_UP, (delivery.attempts, ended, reason, seq))
    if not done.rowcount:
        return  # it was given up meanwhile
    if attempt is not None:
        connection.execute(_ATTEMPT, (seq, *attempt_values(attempt)))
    if moves_on:
        advance(connection, [lane])


def take_back(connection: sqlite3.Connection, late: Iterable[Due], paused: Collection[str]) -> None:
    """
    Put back what was claimed until a lease ended: somebody older, or a pause, may have come.

    Its attempt counts, although nobody told of it.
    """
    for seq, delivery in late:
        connection.execute(_COUNT, (delivery.attempts, seq))
        lane = delivery.destination, delivery.leg
        if delivery.rule_id in paused:
            connection.execute(_PAUSE, (seq,))
        else:
            connection.execute(_YIELD, (seq, *lane))
        advance(connection, [lane])


def give_up_expired(
    connection: sqlite3.Connection, now: float, limit: int, claimed: Collection[int]
) -> int:
    """
    Give up what is out of time; whatever stands behind it can be claimed then.
    """
    rows = connection.execute(
        "SELECT seq, destination, leg, attempts FROM deliveries "
        "WHERE settled IS NULL AND expires <= ? LIMIT ?",
        (now, limit + len(claimed)),
    ).fetchall()
    rows = [row for row in rows if row[0] not in claimed][:limit]
    reason = "its time to live ran out"
    connection.executemany(GIVE_UP, [(number, now, reason, seq) for seq, _, _, number in rows])
    advance(connection, {(destination, leg) for _, destination, leg, _ in rows})
    return len(rows)


def waiting(connection: sqlite3.Connection) -> dict[str, int]:
    """
    Count what is owed by destination, from the indices alone.
    """
    counts: dict[str, int] = {}
    for select in _WAITING:
        for destination, count in connection.execute(select):
            counts[destination] = counts.get(destination, 0) + count
    return counts


def latest(connection: sqlite3.Connection) -> float:
    """
    Give the latest time at which something was put or settled; 0 if nothing was.
    """
    return float(connection.execute(_LATEST).fetchone()[0])


def hasten(connection: sqlite3.Connection, now: float) -> int:
    """
    Let what is due later than *now* be due now: the clock that said when was wrong.
    """
    return connection.execute("UPDATE deliveries SET due = ? WHERE due > ?", (now, now)).rowcount


def advance_all(connection: sqlite3.Connection) -> None:
    """
    Let the oldest of every lane be claimed, in a file where some were lost.
    """
    connection.execute(_ADVANCE_ALL)


def given_up(connection: sqlite3.Connection, limit: int) -> list[GivenUp]:
    """
    Read what was given up, the latest first.
    """
    rows = connection.execute(
        f"SELECT seq, reason, settled, {COLUMNS} FROM deliveries "  # noqa: S608 - our own names
        "WHERE state = 'given up' AND settled IS NOT NULL ORDER BY settled DESC, seq DESC LIMIT ?",
        (limit,),
    ).fetchall()
    return [
        GivenUp(read_delivery(row), reason, settled, read_attempts(connection, seq))
        for seq, reason, settled, *row in rows
    ]


def prune(
    connection: sqlite3.Connection, delivered_before: float, given_up_before: float, limit: int
) -> int:
    """
    Delete at most *limit* deliveries that were settled so long ago; say how many.
    """
    old = connection.execute(
        "SELECT seq FROM deliveries WHERE state = 'delivered' AND settled < ? "
        "UNION ALL SELECT seq FROM deliveries WHERE state = 'given up' AND settled < ? LIMIT ?",
        (delivered_before, given_up_before, limit),
    ).fetchall()
    connection.executemany("DELETE FROM attempts WHERE delivery = ?", old)
    connection.executemany("DELETE FROM deliveries WHERE seq = ?", old)
    return len(old)


def pause(connection: sqlite3.Connection, rule_id: str, claimed: Collection[int]) -> None:
    """
    Take a rule's deliveries out of their lanes; what is *claimed* goes when it is settled.
    """
    rows = connection.execute(
        "SELECT seq, destination, leg FROM deliveries "
        "WHERE settled IS NULL AND state = 'waiting' AND rule_id = ?",
        (rule_id,),
    ).fetchall()
    free = [row for row in rows if row[0] not in claimed]
    connection.executemany(_PAUSE, [(seq,) for seq, _, _ in free])
    advance(connection, {(destination, leg) for _, destination, leg in free})


def resume(connection: sqlite3.Connection, rule_id: str, claimed: Collection[int]) -> None:
    """
    Put a rule's deliveries back into their lanes, at their old places.
    """
    lanes = connection.execute(
        "SELECT DISTINCT destination, leg FROM deliveries WHERE state = 'paused' AND rule_id = ?",
        (rule_id,),
    ).fetchall()
    connection.execute(
        "UPDATE deliveries SET state = 'waiting' WHERE state = 'paused' AND rule_id = ?",
        (rule_id,),
    )
    for lane in lanes:
        # What was the oldest until now may be so no more, unless it is being attempted.
        heads = connection.execute(
            "SELECT seq FROM deliveries "
            "WHERE state = 'waiting' AND destination = ? AND leg = ? AND due IS NOT NULL",
            lane,
        ).fetchall()
        free = [(seq,) for (seq,) in heads if seq not in claimed]
        connection.executemany("UPDATE deliveries SET due = NULL WHERE seq = ?", free)
        if len(free) == len(heads):
            advance(connection, [lane])
