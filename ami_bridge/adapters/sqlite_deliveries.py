"""
Deliveries in SQLite: what is done to them inside a transaction.

A delivery is *waiting* until it is *delivered* or *given up*; one of a paused rule is
*paused*. Of the waiting ones of a lane (leg and destination) only the oldest has a time when
it is due, also while somebody younger is still being attempted.
"""

import sqlite3
from collections.abc import Iterable, Sequence

from ami_bridge.core.deliveries import Delivery
from ami_bridge.core.retry import Abandoned, Delivered, RetryAt

from .sqlite_claims import Lapsed, Settled
from .sqlite_rows import COLUMNS, attempt_values, read_attempts, read_delivery, values_of
from .sqlite_rows_at_once import with_rows
from .store import GivenUp, Outcome

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
_DELIVERED = """
UPDATE deliveries
SET state = 'delivered', due = NULL,
  attempts = column2, settled = column3, status = column4, seconds = column5
FROM (VALUES {rows}) WHERE seq = column1
"""
#: The same behind some that were delivered.
_ADVANCE_BEHIND = """
UPDATE deliveries SET due = created
WHERE due IS NULL AND seq IN (
  SELECT (
    SELECT min(next.seq) FROM deliveries AS next
    WHERE next.state = 'waiting' AND next.destination = done.destination AND next.leg = done.leg
  ) FROM (VALUES {rows}) CROSS JOIN deliveries AS done
  WHERE done.seq = column1
)
"""
GIVE_UP = """
UPDATE deliveries SET state = 'given up', due = NULL, attempts = ?, settled = ?, reason = ?
WHERE seq = ?
"""
_RETRY = "UPDATE deliveries SET due = ?, attempts = ? WHERE seq = ?"
_EXPIRED = """
SELECT seq, destination, leg, attempts FROM deliveries
WHERE settled IS NULL AND expires <= ? AND seq NOT IN (SELECT seq FROM claims) LIMIT ?
"""
_OF_RULE = """
SELECT seq, destination, leg FROM deliveries
WHERE settled IS NULL AND state = 'waiting' AND rule_id = ?
  AND seq NOT IN (SELECT seq FROM claims)
"""
_TO_PAUSE = """
SELECT rule_id FROM pauses WHERE EXISTS (
  SELECT 1 FROM deliveries WHERE state = 'waiting' AND deliveries.rule_id = pauses.rule_id
)
"""
_PAUSE = "UPDATE deliveries SET state = 'paused', due = NULL WHERE seq = ?"
_PAUSE_IF_PAUSED = """
UPDATE deliveries SET state = 'paused', due = NULL
WHERE seq = ? AND rule_id IN (SELECT rule_id FROM pauses)
"""
_NOT_DUE = """
UPDATE deliveries SET due = NULL
WHERE state = 'waiting' AND destination = ? AND leg = ? AND due IS NOT NULL AND EXISTS (
  SELECT 1 FROM deliveries AS older
  WHERE older.state = 'waiting' AND older.destination = deliveries.destination
    AND older.leg = deliveries.leg AND older.seq < deliveries.seq
)
"""
_COUNT = "UPDATE deliveries SET attempts = ? WHERE seq = ?"
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


def put(connection: sqlite3.Connection, deliveries: Sequence[Delivery]) -> None:
    """
    Owe *deliveries*; those whose ids are known are left as they are.
    """
    paused = paused_rules(connection)
    with_rows(connection, _PUT, [values_of(delivery, paused) for delivery in deliveries])
    with_rows(connection, _FIRST, [(delivery.id,) for delivery in deliveries])


def paused_rules(connection: sqlite3.Connection) -> frozenset[str]:
    """
    Give the ids of the rules that are paused.
    """
    return frozenset(rule_id for (rule_id,) in connection.execute("SELECT rule_id FROM pauses"))


def advance(connection: sqlite3.Connection, lanes: Iterable[tuple[str, str]]) -> None:
    """
    Let the oldest that is owed of each lane, a destination and a leg, be claimed.
    """
    with_rows(connection, _ADVANCE, list(lanes))


def settle(connection: sqlite3.Connection, settled: Iterable[Settled]) -> None:
    """
    Write down what came of attempts.
    """
    delivered = []
    for each in settled:
        match each.outcome.verdict:
            case Delivered():
                delivered.append(each)
            case verdict:
                _settle_failed(connection, each, verdict)
    with_rows(connection, _DELIVERED, [_delivered_values(*each) for each in delivered])
    with_rows(connection, _ADVANCE_BEHIND, [(each.seq,) for each in delivered])


def _delivered_values(seq: int, outcome: Outcome) -> tuple[object, ...]:
    delivery, attempt = outcome.delivery, outcome.attempt
    if attempt is None:
        return seq, delivery.attempts, delivery.created, None, 0.0
    ended = attempt.began + attempt.seconds
    return seq, delivery.attempts, ended, attempt.status, attempt.seconds


def _settle_failed(
    connection: sqlite3.Connection, settled: Settled, verdict: RetryAt | Abandoned
) -> None:
    seq, outcome = settled
    delivery, attempt = outcome.delivery, outcome.attempt
    match verdict:
        case RetryAt(when):
            connection.execute(_RETRY, (when, delivery.attempts, seq))
            _put_back(connection, seq, delivery.destination, delivery.leg)
        case Abandoned(reason):
            ended = delivery.expires if attempt is None else attempt.began + attempt.seconds
            connection.execute(GIVE_UP, (delivery.attempts, ended, reason, seq))
            advance(connection, [(delivery.destination, delivery.leg)])
    if attempt is not None:
        connection.execute(_ATTEMPT, (seq, *attempt_values(attempt)))


def _put_back(connection: sqlite3.Connection, seq: int, destination: str, leg: str) -> None:
    """
    Put what is attempted no more back into its lane: somebody older, or a pause, may have come.
    """
    connection.execute(_PAUSE_IF_PAUSED, (seq,))
    connection.execute(_YIELD, (seq, destination, leg))
    advance(connection, [(destination, leg)])


def take_back(connection: sqlite3.Connection, lapsed: Iterable[Lapsed]) -> None:
    """
    Put back what was claimed until a lease ended.

    Its attempt counts, although nobody told of it.
    """
    for seq, destination, leg, number in lapsed:
        connection.execute(_COUNT, (number, seq))
        _put_back(connection, seq, destination, leg)


def give_up_expired(connection: sqlite3.Connection, now: float, limit: int) -> int:
    """
    Give up what is out of time and not claimed; whatever stands behind it can be claimed then.
    """
    rows = connection.execute(_EXPIRED, (now, limit)).fetchall()
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


def pause(connection: sqlite3.Connection, rule_id: str) -> None:
    """
    Take a rule's deliveries out of their lanes; what is claimed goes when it is settled.
    """
    free = connection.execute(_OF_RULE, (rule_id,)).fetchall()
    connection.executemany(_PAUSE, [(seq,) for seq, _, _ in free])
    advance(connection, {(destination, leg) for _, destination, leg in free})


def any_to_pause(connection: sqlite3.Connection) -> bool:
    """
    Tell whether something of a paused rule is in a lane.
    """
    return bool(connection.execute(f"SELECT EXISTS ({_TO_PAUSE})").fetchone()[0])


def pause_all(connection: sqlite3.Connection) -> None:
    """
    Take what paused rules owe out of its lanes.
    """
    for (rule_id,) in connection.execute(_TO_PAUSE).fetchall():
        pause(connection, rule_id)


def resume(connection: sqlite3.Connection, rule_id: str) -> None:
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
    # What was the oldest until now may be so no more.
    connection.executemany(_NOT_DUE, lanes)
    advance(connection, lanes)
