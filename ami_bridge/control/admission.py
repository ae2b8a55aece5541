"""
What may be changed in the rules through the APIs: less than by who edits the file.

Who has a token is trusted with the calls of its scope, and not with this machine: no file,
variable or credential can be named as a secret, nothing is sent where ``[delivery]`` does not
allow it, and a secret that somebody else set is not sent anywhere else.
"""

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from ami_bridge.config.editing import ATTRIBUTES, RulesFile
from ami_bridge.config.section import did_you_mean, shown
from ami_bridge.core.masking import NOT_SHOWN, is_confidential
from ami_bridge.core.requests import destination_of
from ami_bridge.core.rules import Rule
from ami_bridge.errors import Problem

from .access import Visitor
from .answers import Refusal

#: What `auth` may say: the secrets themselves.
_AUTH = ("user", "password", "bearer", "signing_secret")
_TABLES = ("parameters", "headers", "auth")
_BLOT = "***"


def check_attributes(attributes: Mapping[str, Any]) -> None:
    """
    Refuse *attributes*, which somebody sent, if they cannot be written as they are meant.
    """
    if problems := list(_problems(attributes)):
        raise Refusal.for_problems(422, "rules_invalid", problems)


def add(visitor: Visitor, rules_file: RulesFile, attributes: Mapping[str, Any]) -> str:
    """
    Add a request with *attributes*, as *visitor* asks for; give its id.
    """
    request_id = rules_file.add(attributes)
    _check(visitor, rules_file, request_id)
    return request_id


def change(
    visitor: Visitor, rules_file: RulesFile, request_id: str, attributes: Mapping[str, Any]
) -> str:
    """
    Change *attributes* of the request *request_id*, as *visitor* asks for; give its id.

    Raises LookupError if there is no such request, or not for *visitor*.
    """
    before = visible(visitor, rules_file, request_id)
    place = rules_file.ids.index(request_id)
    rules_file.change(request_id, attributes)
    after = rules_file.ids[place]
    if "url" in attributes:
        _check_secrets(before, rules_file.rule(after), attributes)
    _check(visitor, rules_file, after, sent="url" in attributes)
    return after


def remove(visitor: Visitor, rules_file: RulesFile, request_id: str) -> None:
    """
    Take out the request *request_id*, as *visitor* asks for; raises LookupError as `change`.
    """
    visible(visitor, rules_file, request_id)
    rules_file.remove(request_id)


def visible(visitor: Visitor, rules_file: RulesFile, request_id: str) -> Rule:
    """
    Give the request *request_id*; raises LookupError if *visitor* may see none of this id.
    """
    rule = rules_file.rule(request_id)
    if not visitor.scope.covers_rule(rule):
        raise LookupError(request_id)
    return rule


def _check(visitor: Visitor, rules_file: RulesFile, request_id: str, *, sent: bool = True) -> None:
    """
    Refuse the request *request_id* if it tells of others' calls, or leads where it may not.
    """
    rule = rules_file.rule(request_id)
    problems = []
    if not visitor.scope.covers_rule(rule):
        problems.append(
            Problem("extension", f"is beyond this token, which is for {visitor.scope.text}")
        )
    host = urlsplit(rule.url).hostname or ""
    reason = rules_file.config.delivery.destinations.why_not_by_name(host) if sent else None
    if reason:
        problems.append(Problem("url", reason))
    if problems:
        raise Refusal.for_problems(422, "rules_invalid", problems)


def _check_secrets(before: Rule, after: Rule, attributes: Mapping[str, Any]) -> None:
    """
    Refuse to send to another host what lets somebody in at the one before.
    """
    if destination_of(before.url) == destination_of(after.url):
        return
    credentials = after.credentials
    carried = {
        "parameters": any(map(is_confidential, after.parameters)),
        "headers": bool(after.headers),
        "auth": bool(credentials.authorization or credentials.signing_keys),
    }
    problems = [
        Problem(name, "is to be given anew, or as null, where the URL leads to another host")
        for name, is_carried in carried.items()
        if is_carried and name not in attributes
    ]
    if problems:
        raise Refusal.for_problems(422, "rules_invalid", problems)


def _problems(attributes: Mapping[str, Any]) -> Iterator[Problem]:
    for name, value in attributes.items():
        if name not in ATTRIBUTES:
            yield Problem(name, f"is not known; {did_you_mean(name, ATTRIBUTES)}")
        elif value is None:
            continue
        elif name in _TABLES:
            yield from _table_problems(name, value)
        elif not _fits(name, value):
            yield Problem(name, f"has the wrong type: {shown(value)}")
        elif name == "url" and _has_blots(value):
            yield Problem(name, f"{_BLOT} stands for a value that is not shown")


def _fits(name: str, value: object) -> bool:
    if name == "omit_empty":
        return isinstance(value, bool)
    if isinstance(value, list):
        return name in ("extension", "event", "fields") and all(
            isinstance(one, str) for one in value
        )
    return isinstance(value, str) and name != "fields"


def _has_blots(url: str) -> bool:
    try:
        pairs = parse_qsl(urlsplit(url).query, keep_blank_values=True)
    except ValueError:
        return False
    return any(value == _BLOT and is_confidential(name) for name, value in pairs)


def _table_problems(table: str, value: object) -> Iterator[Problem]:
    if not isinstance(value, dict):
        yield Problem(table, f"expected an object, got {shown(value)}")
        return
    for name, text in value.items():
        path = f"{table}.{name}"
        if table == "auth" and name not in _AUTH:
            yield Problem(path, f"cannot be set here; expected one of {', '.join(_AUTH)}")
        elif not isinstance(text, str):
            yield Problem(path, f"expected a text, got {shown(text)}")
        elif text in (NOT_SHOWN, _BLOT):
            yield Problem(path, f"{text} stands for a value that is not shown")
