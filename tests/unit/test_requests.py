"""
Call events and rules become HTTP requests, and form parsers read back what was sent.
"""

import json
import uuid
from urllib.parse import urlsplit

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ami_bridge.core.call_events import (
    CallEvent,
    CallFlow,
    CallStatus,
    EventType,
    HangupDialect,
)
from ami_bridge.core.requests import (
    DEFAULT_NAMES,
    EVENT_IDS,
    TEMPLATE_NAMES,
    Field,
    Request,
    event_id,
    parameters_for,
    request_for,
)
from ami_bridge.core.rules import BodyFormat, Method, Rule
from ami_bridge.core.templates import Template

DIAL_IN = CallEvent(
    type=EventType.DIAL_IN,
    extension="0003*001",
    time=1795409272.695168,
    leg="/1795409272.7/0003*001/IN",
    call_id="1795409272.6",
    call_flow=CallFlow.IN,
    call_status=CallStatus.CALLING,
    caller_id_num="+4930123456",
    caller_id_name="Анна & Söhne",
    called_did="15550100001",
    called_extension="0003*001",
    called_number="15550100001",
)
HANGUP = attrs.evolve(
    DIAL_IN,
    type=EventType.HANGUP,
    call_status=CallStatus.BUSY,
    hangup_cause=17,
    hangup_cause_text="User busy",
    ring_seconds=2.0041,
    talk_seconds=0.0,
)
RULE = Rule("crm", "http://crm.example/pbx.php")


def own(**texts: str) -> dict[str, Template]:
    """
    Make own parameters of *texts*.
    """
    return {name: Template.parse(text, TEMPLATE_NAMES) for name, text in texts.items()}


def simple(call_event: CallEvent, rule: Rule) -> Request:
    """
    Write a request where nothing but the rule says how.
    """
    return request_for(call_event, rule, HangupDialect.SIMPLE, "ami-bridge/0")


# -- what is sent ----------------------------------------------------------------------


def test_get() -> None:
    """
    A GET carries the nine default parameters in its query, in order, the empty one too.
    """
    request = simple(DIAL_IN, RULE)

    assert request.method is Method.GET
    assert request.body is None
    assert request.headers == {"User-Agent": "ami-bridge/0"}
    assert request.url == (
        "http://crm.example/pbx.php?CallID=1795409272.6&CallerIDNum=%2B4930123456"
        "&CallerIDName=%D0%90%D0%BD%D0%BD%D0%B0%20%26%20S%C3%B6hne&CalledDID=15550100001"
        "&CalledExtension=0003%2A001&CallStatus=CALLING&CallFlow=IN&CallerExtension="
        "&CalledNumber=15550100001"
    )


def test_post() -> None:
    """
    A POST carries the same as a form in its body, and leaves the URL as it is.
    """
    rule = attrs.evolve(RULE, method=Method.POST, url="http://crm.example/pbx.php?a=*+b#top")

    request = simple(DIAL_IN, rule)

    assert request.url == "http://crm.example/pbx.php?a=*+b"
    assert request.headers["Content-Type"] == "application/x-www-form-urlencoded"
    assert request.body is not None
    assert request.body.decode() == urlsplit(simple(DIAL_IN, RULE).url).query


def test_json() -> None:
    """
    A JSON body is one object of strings, in UTF-8; the fields that are numbers are numbers.
    """
    fields = ("EventID", "HangupCause", "RingSeconds", "TalkSeconds")
    rule = attrs.evolve(RULE, method=Method.POST, format=BodyFormat.JSON, fields=fields)

    request = simple(HANGUP, rule)

    assert request.headers["Content-Type"] == "application/json"
    assert request.body is not None
    assert "Анна" in request.body.decode()
    body = json.loads(request.body)
    assert list(body) == [*DEFAULT_NAMES, *fields]
    assert body["CallerIDNum"] == "+4930123456"
    assert body["CallerExtension"] == ""
    assert (body["HangupCause"], body["RingSeconds"], body["TalkSeconds"]) == (17, 2.004, 0)


def test_json_without_numbers() -> None:
    """
    A number that an event does not have is null.
    """
    rule = attrs.evolve(
        RULE, method=Method.POST, format=BodyFormat.JSON, fields=("HangupCause", "RingSeconds")
    )

    body = json.loads(simple(DIAL_IN, rule).body or b"")

    assert (body["HangupCause"], body["RingSeconds"]) == (None, None)


def test_order() -> None:
    """
    First the default parameters, then the fields in the rule's order, then its own.
    """
    rule = attrs.evolve(
        RULE, fields=("Extension", "EventType"), parameters=own(z="1", a="{CallerIDName}")
    )

    values = parameters_for(DIAL_IN, rule, HangupDialect.SIMPLE)

    assert list(values) == [*DEFAULT_NAMES, "Extension", "EventType", "z", "a"]
    assert (values["z"], values["a"]) == ("1", "Анна & Söhne")


@pytest.mark.parametrize(
    ("call_event", "expected"),
    [
        pytest.param(
            DIAL_IN,
            {
                "EventType": "dial-in",
                "Timestamp": "2026-11-23T04:47:52.695Z",
                "Extension": "0003*001",
                "HangupCause": "",
                "HangupCauseText": "",
                "RingSeconds": "",
                "TalkSeconds": "",
                "DialStatus": "",
            },
            id="Dial-In",
        ),
        pytest.param(
            attrs.evolve(DIAL_IN, type=EventType.DIAL_OUT, time=None),
            {"EventType": "dial-out", "Timestamp": "", "DialStatus": ""},
            id="Dial-Out without a time",
        ),
        pytest.param(
            attrs.evolve(
                DIAL_IN, type=EventType.ANSWER_IN, call_status=CallStatus.ANSWER, ring_seconds=3
            ),
            {"EventType": "answer", "RingSeconds": "3.000", "DialStatus": "ANSWER"},
            id="Answer-In",
        ),
        pytest.param(
            attrs.evolve(DIAL_IN, type=EventType.ANSWER_OUT, call_status=CallStatus.ANSWER),
            {"EventType": "answer"},
            id="Answer-Out",
        ),
        pytest.param(
            HANGUP,
            {
                "EventType": "hangup",
                "HangupCause": "17",
                "HangupCauseText": "User busy",
                "RingSeconds": "2.004",
                "TalkSeconds": "0.000",
                "DialStatus": "BUSY",
            },
            id="Hangup",
        ),
    ],
)
def test_fields(call_event: CallEvent, expected: dict[str, str]) -> None:
    """
    The additional fields are spelled as documented; what an event does not have is empty.
    """
    rule = attrs.evolve(RULE, fields=tuple(Field))

    values = parameters_for(call_event, rule, HangupDialect.SIMPLE)

    assert {name: values[name] for name in expected} == expected


@pytest.mark.parametrize(
    ("for_all", "for_rule", "said"),
    [
        pytest.param(HangupDialect.SIMPLE, None, "UNKNOWN", id="simple for all"),
        pytest.param(HangupDialect.DETAILED, None, "BUSY", id="detailed for all"),
        pytest.param(HangupDialect.SIMPLE, HangupDialect.DETAILED, "BUSY", id="the rule decides"),
        pytest.param(HangupDialect.DETAILED, HangupDialect.SIMPLE, "UNKNOWN", id="either way"),
    ],
)
def test_hangup_dialect(for_all: HangupDialect, for_rule: HangupDialect | None, said: str) -> None:
    """
    A rule's hangup_status counts before that of all rules, in its templates as well.
    """
    rule = attrs.evolve(RULE, hangup_dialect=for_rule, parameters=own(mine="{CallStatus}"))

    values = parameters_for(HANGUP, rule, for_all)

    assert values["CallStatus"] == values["mine"] == said


def test_omit_empty() -> None:
    """
    With omit_empty nothing without a value is sent: defaults, fields and own parameters.
    """
    rule = attrs.evolve(
        RULE, omit_empty=True, fields=("HangupCause", "Extension"), parameters=own(x="", y="1")
    )

    values = parameters_for(DIAL_IN, rule, HangupDialect.SIMPLE)

    assert set(DEFAULT_NAMES) - set(values) == {"CallerExtension"}
    assert {"HangupCause", "x"}.isdisjoint(values)
    assert (values["Extension"], values["y"]) == ("0003*001", "1")


def test_headers() -> None:
    """
    A rule's headers are added, and replace the bridge's of the same name in any case.
    """
    rule = attrs.evolve(
        RULE, method=Method.POST, headers={"user-agent": "mine", "Authorization": "Bearer s3cret"}
    )

    request = simple(DIAL_IN, rule)

    assert request.headers == {
        "Content-Type": "application/x-www-form-urlencoded",
        "user-agent": "mine",
        "Authorization": "Bearer s3cret",
    }
    assert "s3cret" not in repr(request)
    assert "s3cret" not in repr(rule)


# -- ids -------------------------------------------------------------------------------


def test_event_id_is_for_ever() -> None:
    """
    The EventID is a pure function of event and rule: this value may never change.
    """
    assert event_id(DIAL_IN, RULE) == "d2bc8d59-dcb8-50b6-b9c7-a73180bff80e"


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_event_ids_are_uuids(leg: str) -> None:
    """
    An EventID is the UUID, version 5, of the rule's id and the event's identity.
    """
    call_event = attrs.evolve(DIAL_IN, leg=leg)
    name = f"{RULE.id} {call_event.identity}"
    assert event_id(call_event, RULE) == str(uuid.uuid5(EVENT_IDS, name))


@pytest.mark.parametrize(
    ("call_event", "rule", "same"),
    [
        pytest.param(
            attrs.evolve(DIAL_IN, time=None, caller_id_name="", ring_seconds=1),
            attrs.evolve(RULE, url="https://elsewhere.example/", notes="moved"),
            True,
            id="what is said of the event, and where, does not matter",
        ),
        pytest.param(HANGUP, RULE, False, id="another event of the leg"),
        pytest.param(attrs.evolve(DIAL_IN, leg="/2.1/0003*001/IN"), RULE, False, id="another leg"),
        pytest.param(DIAL_IN, attrs.evolve(RULE, id="crm2"), False, id="another rule"),
    ],
)
def test_event_ids_differ(call_event: CallEvent, rule: Rule, same: bool) -> None:
    """
    Two EventIDs are the same exactly if leg, kind of event and rule are.
    """
    assert (event_id(call_event, rule) == event_id(DIAL_IN, RULE)) is same


# -- text that is none -------------------------------------------------------------------


def test_halves_of_characters_are_replaced() -> None:
    """
    A value that is no text in UTF-8 is sent all the same, in a form and in JSON.
    """
    broken = attrs.evolve(DIAL_IN, caller_id_name="A\ud83d")
    as_json = attrs.evolve(RULE, method=Method.POST, format=BodyFormat.JSON)

    assert "CallerIDName=A%3F&" in simple(broken, RULE).url
    assert json.loads(simple(broken, as_json).body or b"")["CallerIDName"] == "A?"
