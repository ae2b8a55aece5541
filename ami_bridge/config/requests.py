"""
Reads ``[[requests]]``: the call-event requests, VoipNow's attributes and ours.
"""

import enum
import json
import re
from urllib.parse import parse_qsl, urlsplit
from uuid import UUID, uuid5

from ami_bridge.core.call_events import EventType, HangupDialect
from ami_bridge.core.destinations import Destinations
from ami_bridge.core.requests import DEFAULT_NAMES, TEMPLATE_NAMES, Field
from ami_bridge.core.rules import EVERYONE, BodyFormat, ExtensionPattern, Method, Rule, why_never
from ami_bridge.core.templates import Template, TemplateError

from .authentication import read_credentials
from .secrets import SecretPlaces
from .section import Section, did_you_mean, shown
from .urls import Target, UnusableUrl, read_url

#: The namespace of ids that the bridge derives. Never to be changed: EventIDs contain them.
_DERIVED_IDS = UUID("fb56a019-0256-45da-a656-7f38dd16baa9")

_ID = re.compile(r"[A-Za-z0-9._-]{1,255}")
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_HEADER_VALUE = re.compile(r"[\t\x20-\x7e]*")
#: Headers that the sender writes.
_RESERVED_HEADERS = frozenset(
    {"connection", "content-length", "expect", "keep-alive", "te", "trailer"}
    | {"transfer-encoding", "upgrade", "webhook-id", "webhook-signature", "webhook-timestamp"}
)

#: What may stand in `event`, in lower case.
_EVENTS = {event.value.lower(): frozenset({event}) for event in EventType} | {
    "answer": frozenset({EventType.ANSWER_IN, EventType.ANSWER_OUT})
}
_EVENT_WORDS = (*(event.value for event in EventType), "Answer")


class Status(enum.StrEnum):
    """
    Whether a request is made.
    """

    ENABLED = "enabled"
    DISABLED = "disabled"


def read_requests(
    rules: Section, default_tenant: str, secrets: SecretPlaces, destinations: Destinations
) -> tuple[Rule, ...]:
    """
    Read all call-event requests; each has an id of its own.
    """
    found: dict[str, str] = {}
    requests = []
    for section in rules.sections("requests"):
        rule = _read_request(section, default_tenant, secrets, destinations)
        if rule is None:
            continue
        if rule.id not in found:
            found[rule.id] = section.path
            requests.append(rule)
        elif "id" in section:
            section.problem("id", f"{shown(rule.id)} is the id of {found[rule.id]} already")
        else:
            section.problem(None, f"asks for the same as {found[rule.id]}; give one of them an id")
    return tuple(requests)


def _read_request(
    section: Section, default_tenant: str, secrets: SecretPlaces, destinations: Destinations
) -> Rule | None:
    extensions = _read_extensions(section, default_tenant)
    events = _read_events(section)
    method = section.choice("method", Method.GET)
    body_format = section.choice_or("format", BodyFormat)
    target = _read_target(section, destinations)
    fields = _read_fields(section)
    parameters = _read_parameters(section.section("parameters"), fields)
    if method is Method.GET and body_format is BodyFormat.JSON:
        section.problem("format", 'a GET has no body; it needs method = "POST"')
    if method is Method.GET and target is not None:
        _check_query(section, target.url, (*DEFAULT_NAMES, *fields, *parameters))
    rule_id = _read_id(section)
    status = section.choice("status", Status.ENABLED)
    notes = section.notes("notes")
    headers, authorization = _read_headers(section.section("headers"), target)
    credentials = read_credentials(section.section("auth"), secrets, method, authorization)
    omit_empty = section.flag("omit_empty", default=False)
    dialect = section.choice_or("hangup_status", HangupDialect)
    if target is None:
        return None
    return Rule(
        id=rule_id or _derived_id(extensions, events, method, target.url),
        url=target.url,
        extensions=extensions,
        events=events,
        method=method,
        enabled=status is Status.ENABLED,
        notes=notes,
        format=body_format or BodyFormat.FORM,
        parameters=parameters,
        fields=fields,
        headers=headers,
        credentials=credentials,
        omit_empty=omit_empty,
        hangup_dialect=dialect,
    )


def _derived_id(
    extensions: tuple[ExtensionPattern, ...],
    events: frozenset[EventType],
    method: Method,
    url: str,
) -> str:
    """
    Name a request by what it asks for, so that its place in the file does not matter.
    """
    asked = [sorted(pattern.text for pattern in extensions), sorted(events), method, url]
    return uuid5(_DERIVED_IDS, json.dumps(asked)).hex


def _read_id(section: Section) -> str:
    text = section.text("id")
    if text and not _ID.fullmatch(text):
        section.problem("id", f"expected 1 to 255 letters, digits or ._-, got {shown(text)}")
        return ""
    return text


def _read_extensions(section: Section, default_tenant: str) -> tuple[ExtensionPattern, ...]:
    texts = section.texts("extension", lone=True)
    if texts is None:
        return (ExtensionPattern(EVERYONE),)
    if not texts:
        section.problem("extension", 'the list is empty; "*" means every extension')
    for index, text in texts:
        reason = why_never(text)
        if reason is not None:
            hint = f"{default_tenant}*{text}"
            if "*" not in text and not why_never(hint):
                reason += f"; did you mean {shown(hint)}?"
            section.problem("extension", f"{shown(text)} matches no extension: {reason}", index)
    return tuple(ExtensionPattern(text) for _, text in texts)


def _read_events(section: Section) -> frozenset[EventType]:
    texts = section.texts("event", lone=True)
    if texts is None:
        return frozenset(EventType)
    if not texts:
        section.problem("event", "the list is empty; without the key, all events are meant")
    events: frozenset[EventType] = frozenset()
    for index, text in texts:
        if text.lower() in _EVENTS:
            events |= _EVENTS[text.lower()]
        else:
            suggestion = did_you_mean(text, _EVENT_WORDS)
            section.problem("event", f"unknown call event {shown(text)}; {suggestion}", index)
    return events


def _read_target(section: Section, destinations: Destinations) -> Target | None:
    text = section.required_text("url", "where the request goes, http:// or https://")
    if text is None:
        return None
    try:
        target = read_url(text)
    except UnusableUrl as error:
        section.problem("url", str(error))
        return None
    if target.authorization:
        section.warn("url", "contains a password; [requests.auth] keeps it out of the rules file")
    if "#" in target.url:
        section.warn("url", "what stands behind # is for browsers and is not sent; write # as %23")
    if re.search("%(?![0-9A-Fa-f]{2})", target.url):
        section.warn("url", "has a % that two hexadecimal digits do not follow; write % as %25")
    if reason := destinations.why_not_by_name(urlsplit(target.url).hostname or ""):
        section.warn("url", reason)
    return target


def _check_query(section: Section, url: str, names: tuple[str, ...]) -> None:
    for name, _ in parse_qsl(urlsplit(url).query, keep_blank_values=True):
        if name in names:
            section.problem("url", f"its query has {name} already, which would be sent twice")


def _read_fields(section: Section) -> tuple[str, ...]:
    known = {field.value.lower(): field.value for field in Field}
    found: dict[str, None] = {}
    for index, text in section.texts("fields") or ():
        name = known.get(text.lower())
        if name is None:
            suggestion = did_you_mean(text, known.values())
            section.problem("fields", f"unknown field {shown(text)}; {suggestion}", index)
        elif name in found:
            section.problem("fields", f"{name} stands there twice", index)
        else:
            found[name] = None
    return tuple(found)


def _read_parameters(section: Section, fields: tuple[str, ...]) -> dict[str, Template]:
    parameters = {}
    for name, text in section.strings().items():
        if name in DEFAULT_NAMES:
            section.problem(name, "is sent anyway; a parameter of your own needs another name")
        elif name in fields:
            section.problem(name, "is one of this request's fields; it cannot be sent twice")
        elif not name:
            section.problem(name, "a parameter needs a name")
        try:
            parameters[name] = Template.parse(text, TEMPLATE_NAMES)
        except TemplateError as error:
            known = sorted(TEMPLATE_NAMES)
            hint = "" if error.name is None else f"; {did_you_mean(error.name, known)}"
            section.problem(name, f"{error.reason}{hint}")
    return parameters


def _read_headers(section: Section, target: Target | None) -> tuple[dict[str, str], str]:
    """
    Read the table of headers; Authorization, also from the URL's user, is told apart.
    """
    authorization = "" if target is None else target.authorization
    headers: dict[str, str] = {}
    seen = {"authorization"} if authorization else set()
    for name, value in section.strings(confidential=True).items():
        if not _HEADER_NAME.fullmatch(name):
            section.problem(name, "is no name of a header")
        elif name.lower() in _RESERVED_HEADERS:
            section.problem(name, "is written by the bridge itself")
        elif name.lower() in seen:
            of_url = authorization and name.lower() == "authorization"
            where = "; the URL's user and password make one, too" if of_url else ""
            section.problem(name, f"is there twice: capitals make no difference{where}")
        elif not _HEADER_VALUE.fullmatch(value):
            section.problem(name, "line breaks, control characters and non-ASCII are not allowed")
        elif name.lower() == "authorization":
            section.warn(name, "stands in the rules file; [requests.auth] keeps it out of sight")
            authorization = value.strip()
        else:
            headers[name] = value.strip()
        seen.add(name.lower())
    return headers, authorization
