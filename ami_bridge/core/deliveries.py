"""
What is owed to the receivers: one delivery for each rule that wants a call event.
"""

from collections.abc import Iterable

import attrs

from .call_events import CallEvent, EventType, HangupDialect
from .requests import Request, destination_of, event_id, request_for
from .rules import Rule

_DIALS = (EventType.DIAL_IN, EventType.DIAL_OUT)


@attrs.frozen
class Delivery:
    """
    One call event for one URL.

    Deliveries of one leg to one destination are sent in the order in which they were made.
    """

    #: The EventID: the same for the same event and rule, wherever it is made.
    id: str
    rule_id: str
    event: EventType
    #: In extended form.
    extension: str
    call_id: str
    #: Identity of the leg.
    leg: str
    #: Scheme, host and port.
    destination: str
    request: Request
    #: Seconds since the epoch.
    created: float
    #: When it is not worth sending any more, in seconds since the epoch.
    expires: float
    #: How often it was claimed for an attempt, a present claim included.
    attempts: int = 0


@attrs.frozen
class DeliveryTerms:
    """
    What holds for all deliveries where a rule does not say otherwise.
    """

    user_agent: str
    dialect: HangupDialect = HangupDialect.SIMPLE
    dial_time_to_live: float = 900.0
    time_to_live: float = 86_400.0

    def lifetime(self, event: EventType) -> float:
        """
        Say for how many seconds *event* is worth sending.
        """
        return self.dial_time_to_live if event in _DIALS else self.time_to_live


def deliveries_for(
    call_event: CallEvent, rules: Iterable[Rule], terms: DeliveryTerms, now: float
) -> list[Delivery]:
    """
    Make the deliveries of *call_event* that *rules* want, at *now*.
    """
    lifetime = terms.lifetime(call_event.type)
    return [
        Delivery(
            id=event_id(call_event, rule),
            rule_id=rule.id,
            event=call_event.type,
            extension=call_event.extension,
            call_id=call_event.call_id,
            leg=call_event.leg,
            destination=destination_of(rule.url),
            request=request_for(call_event, rule, terms.dialect, terms.user_agent),
            created=now,
            expires=now + lifetime,
        )
        for rule in rules
        if rule.wants(call_event)
    ]
