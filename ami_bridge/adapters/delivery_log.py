"""
What is logged of deliveries: one line when one is finished, none while it goes on.
"""

import logging

from ami_bridge.core.retry import Abandoned, Delivered, RetryAt

from .store import Outcome

_log = logging.getLogger(__name__)
_LEVELS = {Delivered: logging.INFO, Abandoned: logging.WARNING, RetryAt: logging.DEBUG}


def tell(outcome: Outcome, now: float) -> None:
    """
    Log *outcome*, which is known *now*, in seconds since the epoch.
    """
    delivery, attempt, verdict = outcome.delivery, outcome.attempt, outcome.verdict
    if not _log.isEnabledFor(_LEVELS[type(verdict)]):
        return
    fields = {
        "delivery": delivery.id,
        "rule": delivery.rule_id,
        "event": delivery.event.value,
        "leg": delivery.leg,
        "destination": delivery.destination,
        "attempts": delivery.attempts,
        "status": None if attempt is None else attempt.status,
        "seconds": round(now - delivery.created, 3),
    }
    match verdict:
        case Delivered():
            _log.info("delivery done", extra=fields)
        case Abandoned(reason):
            _log.warning("delivery given up", extra=fields | {"reason": reason})
        case RetryAt(when, reason):
            later = {"retry_in": round(when - now, 3), "reason": reason}
            _log.debug("delivery failed", extra=fields | later)
