"""
Call-event requests as VoipNow's UnifiedAPI shows them.
"""

import pytest

from ami_bridge.core.call_events import EventType
from ami_bridge.core.phone_call_events import TYPES, events_of, is_extended, is_of
from ami_bridge.core.rules import ExtensionPattern, Method, Rule

URL = "https://crm.example.org/"
OWN = (ExtensionPattern("0003*210"),)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0003*210", True),
        ("a*b", True),
        ("0003*", False),
        ("*", False),
        ("210", False),
        ("0003*2*", False),
        ("0003*20?", False),
        ("*210", False),
        ("", False),
        ("0003*2 10", False),
    ],
)
def test_extended_numbers(text: str, *, expected: bool) -> None:
    """
    An extension is one extended number, and no pattern of several.
    """
    assert is_extended(text) is expected


def test_one_resource_for_each_event() -> None:
    """
    A request of several events is several resources with one id, in the order of their types.
    """
    events = frozenset({EventType.ANSWER_OUT, EventType.DIAL_IN, EventType.HANGUP})
    rule = Rule("crm", URL, OWN, events, Method.POST, enabled=False, notes="Ask Anna")

    found = list(events_of([rule], "0003*210", {"crm": URL}))

    assert [(one.type, one.id, one.event) for one in found] == [
        ("0", "crm", EventType.DIAL_IN),
        ("2", "crm", EventType.HANGUP),
        ("4", "crm", EventType.ANSWER_OUT),
    ]
    assert found[0].as_json("/list", "now") == {
        "type": "0",
        "id": "crm",
        "method": "1",
        "note": "Ask Anna",
        "url": URL,
        "status": "0",
        "modified": "now",
        "links": {"self": "/list/0/crm"},
    }


@pytest.mark.parametrize(
    "patterns", [("*",), ("0003*",), ("0003*2*",), ("0003*211",), ("0003*210", "0003*211")]
)
def test_what_is_not_its_own(patterns: tuple[str, ...]) -> None:
    """
    A request that tells of an extension among others is not that extension's.
    """
    rule = Rule("crm", URL, tuple(map(ExtensionPattern, patterns)))

    assert not is_of(rule, "0003*210")
    assert list(events_of([rule], "0003*210", {"crm": URL})) == []


def test_every_event_has_a_number() -> None:
    """
    No event is left out, and none has two numbers.
    """
    assert sorted(TYPES.values()) == sorted(EventType)
