"""
A call event and a rule become one HTTP request: method, URL, headers, body.

Everything here is a function of its arguments, so that the same call event gives the same
request, EventID included, whenever and wherever it is asked for.
"""

import enum
import hashlib
import json
from collections.abc import Callable, Mapping
from functools import lru_cache
from urllib.parse import quote, urlsplit
from uuid import UUID

import attrs

from .call_events import CallEvent, CallFlow, CallStatus, EventType, HangupDialect, parameters
from .moments import rfc3339
from .rules import BodyFormat, Method, Rule

#: The namespace of EventIDs. Never to be changed: receivers tell repeats by them.
EVENT_IDS = UUID("f29f0db3-01bf-4ea7-9b08-03f443730a19")
_SHA_OF_NAMESPACE = hashlib.sha1(EVENT_IDS.bytes, usedforsecurity=False)


class Field(enum.StrEnum):
    """
    The additional fields of the bridge, sent only where a rule asks for them.
    """

    EVENT_TYPE = "EventType"
    EVENT_ID = "EventID"
    TIMESTAMP = "Timestamp"
    EXTENSION = "Extension"
    HANGUP_CAUSE = "HangupCause"
    HANGUP_CAUSE_TEXT = "HangupCauseText"
    RING_SECONDS = "RingSeconds"
    TALK_SECONDS = "TalkSeconds"
    DIAL_STATUS = "DialStatus"


#: The names that go with every request, in their order.
DEFAULT_NAMES = tuple(
    parameters(
        CallEvent(EventType.HANGUP, "", None, "", "", CallFlow.IN, CallStatus.UNKNOWN),
        HangupDialect.SIMPLE,
    )
)
#: What a template may name.
TEMPLATE_NAMES = frozenset({*DEFAULT_NAMES, *Field})
#: Fields that are numbers in a JSON body, and null where an event has none.
_NUMBERS = {Field.HANGUP_CAUSE: int, Field.RING_SECONDS: float, Field.TALK_SECONDS: float}

_JSON = json.JSONEncoder(ensure_ascii=False)
#: The words of EventType.
_KINDS = {
    EventType.DIAL_IN: "dial-in",
    EventType.DIAL_OUT: "dial-out",
    EventType.ANSWER_IN: "answer",
    EventType.ANSWER_OUT: "answer",
    EventType.HANGUP: "hangup",
}


@attrs.frozen
class Request:
    """
    One HTTP request, ready to be sent; header names are unique whatever their case.
    """

    method: Method
    url: str
    headers: Mapping[str, str] = attrs.field(factory=dict, repr=False)
    body: bytes | None = None


def request_for(
    call_event: CallEvent, rule: Rule, dialect: HangupDialect, user_agent: str
) -> Request:
    """
    Write the request by which *rule* wants to be told of *call_event*.

    *dialect* and *user_agent* hold where the rule itself does not say otherwise.
    """
    values = parameters_for(call_event, rule, dialect)
    if rule.method is Method.GET:
        url = with_query(rule.url, form_encoded(values))
        return Request(rule.method, url, _with_own(_headers(user_agent), rule))
    if rule.format is BodyFormat.JSON:
        content_type = "application/json"
        body = _JSON.encode(_typed(values, rule))
    else:
        content_type = "application/x-www-form-urlencoded"
        body = form_encoded(values)
    # What is no character (half of a surrogate pair) must not stop a notification.
    octets = body.encode(errors="replace")
    headers = _with_own(_headers(user_agent, content_type), rule)
    return Request(rule.method, without_fragment(rule.url), headers, octets)


def parameters_for(call_event: CallEvent, rule: Rule, dialect: HangupDialect) -> dict[str, str]:
    """
    Give what *rule* wants to be told of *call_event*: names and values, in order.
    """
    values = parameters(call_event, rule.hangup_dialect or dialect)
    if rule.fields:
        values |= {name: _SPELLINGS[Field(name)](call_event, rule) for name in rule.fields}
    if rule.parameters:
        known = values | fields(call_event, rule)
        values |= {name: own.render(known) for name, own in rule.parameters.items()}
    if rule.omit_empty:
        return {name: value for name, value in values.items() if value}
    return values


def fields(call_event: CallEvent, rule: Rule) -> dict[str, str]:
    """
    Spell the additional fields of *call_event*; what is not known is empty.
    """
    return {name: spell(call_event, rule) for name, spell in _SPELLINGS.items()}


def event_id(call_event: CallEvent, rule: Rule) -> str:
    """
    Name what *rule* is told of *call_event*: the same on every retry and in every bridge.
    """
    # No rule's id contains a space, so that no two pairs are written alike.
    sha = _SHA_OF_NAMESPACE.copy()
    sha.update(f"{rule.id} {call_event.identity}".encode())
    return _version_5(sha.hexdigest())


def _version_5(digest: str) -> str:
    """
    Write the UUID that RFC 9562 makes of a SHA-1, as `uuid.uuid5` does in four times the time.
    """
    variant = "89ab"[int(digest[16], 16) % 4]
    clock = f"{variant}{digest[17:20]}"
    return f"{digest[:8]}-{digest[8:12]}-5{digest[13:16]}-{clock}-{digest[20:32]}"


@lru_cache(maxsize=1024)
def destination_of(url: str) -> str:
    """
    Give scheme, host and port of *url*: what is slow or dead as a whole.
    """
    parts = urlsplit(url)
    host = parts.hostname or ""
    port = parts.port or (443 if parts.scheme == "https" else 80)
    return f"{parts.scheme}://{f'[{host}]' if ':' in host else host}:{port}"


def form_encoded(values: Mapping[str, str]) -> str:
    """
    Write *values* as a form, in the one way that every form parser reads back alike.

    Only letters, digits and ``-._~`` stay as they are: a ``+`` would be read as a space,
    and a space is ``%20``, which also parsers that know nothing of ``+`` understand.
    """
    return "&".join(f"{_quoted(name)}={_quoted(value)}" for name, value in values.items())


def without_fragment(url: str) -> str:
    """
    Cut off the part of *url* that never leaves a client.
    """
    return url.partition("#")[0]


def without_query(url: str) -> str:
    """
    Give the part of *url* that says where it leads, without query and fragment.
    """
    return without_fragment(url).partition("?")[0]


def with_query(url: str, addition: str) -> str:
    """
    Add *addition* to the query of *url*, which stays as it is, byte for byte.
    """
    url = without_fragment(url)
    if not addition:
        return url
    if "?" not in url:
        return f"{url}?{addition}"
    return f"{url}{addition}" if url.endswith(("?", "&")) else f"{url}&{addition}"


def _quoted(text: str) -> str:
    return quote(text, safe="", errors="replace")


def _seconds(seconds: float | None) -> str:
    return "" if seconds is None else f"{seconds:.3f}"


def _typed(values: Mapping[str, str], rule: Rule) -> Mapping[str, str | float | None]:
    """
    Make numbers of the fields that are numbers in JSON, and null of those that are empty.
    """
    numbers = [name for name in rule.fields if name in _NUMBERS and name in values]
    if not numbers:
        return values
    typed = {
        name: _NUMBERS[Field(name)](values[name]) if values[name] else None for name in numbers
    }
    return {**values, **typed}


@lru_cache(maxsize=16)
def _headers(user_agent: str, content_type: str | None = None) -> Mapping[str, str]:
    """
    Give the headers of all requests of a kind: one mapping, which nobody changes.
    """
    headers = {"User-Agent": user_agent}
    return headers if content_type is None else headers | {"Content-Type": content_type}


def _with_own(headers: Mapping[str, str], rule: Rule) -> Mapping[str, str]:
    """
    Add the rule's own headers, which replace those of the same name in any case.
    """
    if not rule.headers:
        return headers
    own = {name.lower() for name in rule.headers}
    return {name: headers[name] for name in headers if name.lower() not in own} | dict(rule.headers)


def _hangup_cause(call_event: CallEvent) -> str:
    return "" if call_event.hangup_cause is None else str(call_event.hangup_cause)


def _dial_status(call_event: CallEvent) -> str:
    dialled = call_event.type in (EventType.DIAL_IN, EventType.DIAL_OUT)
    return "" if dialled else call_event.call_status.value


_SPELLINGS: Mapping[Field, Callable[[CallEvent, Rule], str]] = {
    Field.EVENT_TYPE: lambda call_event, _: _KINDS[call_event.type],
    Field.EVENT_ID: event_id,
    Field.TIMESTAMP: lambda call_event, _: (
        "" if call_event.time is None else rfc3339(call_event.time)
    ),
    Field.EXTENSION: lambda call_event, _: call_event.extension,
    Field.HANGUP_CAUSE: lambda call_event, _: _hangup_cause(call_event),
    Field.HANGUP_CAUSE_TEXT: lambda call_event, _: call_event.hangup_cause_text,
    Field.RING_SECONDS: lambda call_event, _: _seconds(call_event.ring_seconds),
    Field.TALK_SECONDS: lambda call_event, _: _seconds(call_event.talk_seconds),
    Field.DIAL_STATUS: lambda call_event, _: _dial_status(call_event),
}
