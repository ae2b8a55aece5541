"""
A call event becomes one delivery for each rule that wants it.
"""

import attrs
import pytest

from ami_bridge.core.call_events import EventType
from ami_bridge.core.deliveries import DeliveryTerms, deliveries_for
from ami_bridge.core.requests import event_id
from ami_bridge.core.rules import ExtensionPattern, Rule
from tests.unit.test_requests import DIAL_IN, RULE, simple


def test_deliveries() -> None:
    """
    Each rule that wants the event gets a delivery of its own, ready to be sent.
    """
    terms = DeliveryTerms("ami-bridge/0", dial_time_to_live=60, time_to_live=600)
    other = Rule("other", "https://b/", (ExtensionPattern("0004*"),))
    second = Rule("second", "https://c.example/x", events=frozenset({EventType.DIAL_IN}))

    first, last = deliveries_for(DIAL_IN, [RULE, other, second], terms, now=100.0)

    assert (first.rule_id, last.rule_id) == ("crm", "second")
    assert (first.destination, last.destination) == (
        "http://crm.example:80",
        "https://c.example:443",
    )
    assert first.id == event_id(DIAL_IN, RULE)
    assert first.leg == last.leg == DIAL_IN.leg
    assert first.request == simple(DIAL_IN, RULE)
    assert (first.created, first.expires, first.attempts) == (100.0, 160.0, 0)


@pytest.mark.parametrize(
    ("event", "expires"),
    [
        (EventType.DIAL_IN, 160.0),
        (EventType.DIAL_OUT, 160.0),
        (EventType.ANSWER_IN, 700.0),
        (EventType.ANSWER_OUT, 700.0),
        (EventType.HANGUP, 700.0),
    ],
)
def test_time_to_live_by_kind(event: EventType, expires: float) -> None:
    """
    The Dial events have a time to live of their own.
    """
    terms = DeliveryTerms("ami-bridge/0", dial_time_to_live=60, time_to_live=600)

    (delivery,) = deliveries_for(attrs.evolve(DIAL_IN, type=event), [RULE], terms, now=100.0)

    assert delivery.expires == expires


def test_deliveries_show_no_secrets() -> None:
    """
    The headers of a delivery's request are not in its representation.
    """
    rule = attrs.evolve(RULE, headers={"Authorization": "Bearer s3cret"})

    (delivery,) = deliveries_for(DIAL_IN, [rule], DeliveryTerms("ami-bridge/0"), now=0.0)

    assert delivery.request.headers["Authorization"] == "Bearer s3cret"
    assert "s3cret" not in repr(delivery)
