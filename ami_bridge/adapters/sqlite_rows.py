"""
Deliveries and attempts as rows of SQLite, and back.
"""

import json
import sqlite3
from collections.abc import Collection, Mapping, Sequence
from functools import lru_cache
from typing import Any

from ami_bridge.core.call_events import EventType
from ami_bridge.core.deliveries import Delivery
from ami_bridge.core.requests import Request
from ami_bridge.core.retry import Attempt
from ami_bridge.core.rules import Method

#: What a delivery can be.
_STATES = frozenset({"waiting", "paused", "given up", "delivered"})
#: Of a delivery, as `values_of` writes and `read_delivery` reads them.
COLUMNS = (
    "id, rule_id, event, extension, call_id, leg, destination, method, url, headers, body, "
    "created, expires, attempts"
)


def values_of(delivery: Delivery, paused: Collection[str]) -> tuple[object, ...]:
    """
    Give the columns of a new row, and its state.
    """
    request = delivery.request
    return (
        delivery.id,
        delivery.rule_id,
        delivery.event.value,
        delivery.extension,
        delivery.call_id,
        delivery.leg,
        delivery.destination,
        request.method.value,
        request.url,
        _written(tuple(request.headers.items())),
        request.body,
        delivery.created,
        delivery.expires,
        delivery.attempts,
        "paused" if delivery.rule_id in paused else "waiting",
    )


def is_sound(row: Mapping[str, Any]) -> bool:
    """
    Tell whether a row of a damaged file is a delivery.
    """
    try:
        delivery = read_delivery([row[name] for name in COLUMNS.split(", ")])
    except (ValueError, TypeError, AttributeError):
        return False
    times = delivery.created, delivery.expires, row["settled"] or 0.0
    return row["state"] in _STATES and all(isinstance(time, float) for time in times)


def read_delivery(row: Sequence[Any]) -> Delivery:
    """
    Make a delivery of its columns.
    """
    name, rule_id, event, extension, call_id, leg, destination, *request = row[:11]
    method, url, headers, body = request
    return Delivery(
        name,
        rule_id,
        EventType(event),
        extension,
        call_id,
        leg,
        destination,
        Request(Method(method), url, _read(headers), body),
        *row[11:],
    )


#: The requests of a rule have the same headers all day.
@lru_cache(maxsize=256)
def _written(headers: tuple[tuple[str, str], ...]) -> str:
    return json.dumps(dict(headers))


@lru_cache(maxsize=256)
def _read(headers: str) -> Mapping[str, str]:
    found: dict[str, str] = json.loads(headers)
    return found


def attempt_values(attempt: Attempt) -> tuple[object, ...]:
    """
    Give the columns of an attempt, but for its delivery.
    """
    return (
        attempt.number,
        attempt.began,
        attempt.seconds,
        attempt.status,
        attempt.error,
        attempt.retry_after,
        attempt.excerpt,
    )


def read_attempts(connection: sqlite3.Connection, seq: int) -> tuple[Attempt, ...]:
    """
    Read the attempts of the delivery *seq* that failed.
    """
    rows = connection.execute(
        "SELECT number, began, seconds, status, error, retry_after, excerpt FROM attempts "
        "WHERE delivery = ? ORDER BY number",
        (seq,),
    )
    return tuple(Attempt(*row) for row in rows)
