"""
Call-event requests as VoipNow's UnifiedAPI shows them.
"""

import pytest

from ami_bridge.core.call_events import EventType
from ami_bridge.core.phone_call_events import (
    TYPES,
    PhoneCallEvent,
    attributes_of,
    events_of,
    free_id,
    is_extended,
    is_id,
    is_of,
)
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


def ids_of(*rules: Rule) -> list[tuple[str, str, str]]:
    """
    Give type and id of the events of *rules*, and the rules' own ids.
    """
    shown = {rule.id: URL for rule in rules}
    return [(one.type, one.id, one.rule_id) for one in events_of(rules, "0003*210", shown)]


def of(rule_id: str, *events: EventType, extensions: tuple[ExtensionPattern, ...] = OWN) -> Rule:
    """
    Make a rule that tells of *events*.
    """
    return Rule(rule_id, URL, extensions, frozenset(events))


def test_the_type_in_an_id_is_not_shown() -> None:
    """
    What tells a rule of one event apart in the file is not shown.
    """
    others = of("crm", EventType.DIAL_IN, EventType.ANSWER_IN)

    assert ids_of(others, of("crm.2", EventType.HANGUP), of("crm.1-12", EventType.DIAL_OUT)) == [
        ("0", "crm", "crm"),
        ("3", "crm", "crm"),
        ("2", "crm", "crm.2"),
        ("1", "crm", "crm.1-12"),
    ]


@pytest.mark.parametrize(
    "rule",
    [
        of("crm.0", EventType.HANGUP),
        of("crm.0", EventType.HANGUP, EventType.DIAL_IN),
        of("crm.5", EventType.HANGUP),
        of(".2", EventType.HANGUP),
        of("crm2", EventType.HANGUP),
    ],
)
def test_what_only_looks_like_a_type_is_shown(rule: Rule) -> None:
    """
    An id that ends otherwise is shown as it is, and so is one of several events.
    """
    assert {event_id for _, event_id, _ in ids_of(rule)} == {rule.id}


@pytest.mark.parametrize("names", [("crm", "crm.2", "crm.2-2"), ("crm.2", "crm.2-2", "crm")])
def test_no_two_have_one_name(names: tuple[str, ...]) -> None:
    """
    Rules that would be shown alike, since somebody wrote them so, are told apart.
    """
    found = ids_of(*(of(name, EventType.HANGUP) for name in names))

    assert all(event_id == rule_id for _, event_id, rule_id in found)
    assert ("2", "crm", "crm") in found


@pytest.mark.parametrize(
    ("taken", "expected"),
    [
        ((), "crm"),
        (("crm",), "crm.2"),
        (("crm", "crm.2"), "crm.2-2"),
        (("crm", "crm.2", "crm.2-2"), "crm.2-3"),
    ],
)
def test_a_free_id(taken: tuple[str, ...], expected: str) -> None:
    """
    An id that others have gets the number of its type, and is shown without it.
    """
    found = free_id("crm", "2", taken)

    assert found == expected
    others = (of(name, EventType.DIAL_OUT) for name in taken)
    assert ("2", "crm", expected) in ids_of(of(found, EventType.HANGUP), *others)


def test_no_free_id() -> None:
    """
    An id that would be too long for the rules is none.
    """
    longest = "a" * 255

    assert free_id(longest, "2", ()) == longest
    assert free_id(longest, "2", {longest}) is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        *(("Nq3y", True), ("a" * 255, True), ("", False), ("a" * 256, False), ("a.b", False)),
        *(("\u00e4", False), ("a\n", False), ("\u0663", False)),
    ],
)
def test_new_ids(text: str, *, expected: bool) -> None:
    """
    A new id is 1 to 255 letters and digits of ASCII.
    """
    assert is_id(text) is expected


def test_attributes_of_a_rule() -> None:
    """
    The fields have other names and values in the rules; only those that are given are.
    """
    fields = {"method": "1", "status": "0", "note": "Ask Anna", "url": URL}

    assert attributes_of(fields) == {
        "method": "POST",
        "status": "disabled",
        "notes": "Ask Anna",
        "url": URL,
    }
    assert attributes_of({}) == {}


def test_news() -> None:
    """
    What is as it is shown is no news.
    """
    one = PhoneCallEvent("0", "crm", "1", "Ask Anna", URL, "1", "crm")

    assert one.news_in({"method": "1", "url": URL, "note": "Ask Bob"}) == {"note": "Ask Bob"}
