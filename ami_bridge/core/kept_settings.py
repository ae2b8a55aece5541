"""
How calls are understood, as text that is kept beside what Asterisk said of them.

A bridge that starts again with other rules reads what was said by the rules of then: what was
told of a call decides what is still to be told of it.
"""

import enum
import json
import re
from collections.abc import Mapping
from typing import Any

import attrs

from .extensions import IdentityPattern, PartyKind, WhoIsWho
from .telling import CorrelatorSettings


def as_text(settings: CorrelatorSettings) -> str:
    """
    Write *settings* as a JSON object, which `from_text` reads.
    """
    facts = attrs.asdict(
        settings, filter=lambda field, _: field.init, value_serializer=lambda *one: _plain(one[2])
    )
    return json.dumps(facts, ensure_ascii=False)


def from_text(text: str) -> CorrelatorSettings:
    """
    Read what `as_text` wrote; raises ValueError if it is anything else.
    """
    try:
        facts = json.loads(text)
        who_is_who = facts.pop("who_is_who")
        patterns = tuple(_identity_pattern(**one) for one in who_is_who["patterns"])
        codes = tuple(_pattern(one) for one in facts.pop("feature_codes"))
        anonymous = frozenset(facts.pop("anonymous_numbers"))
        return CorrelatorSettings(
            WhoIsWho(patterns, who_is_who["table"]), codes, anonymous_numbers=anonymous, **facts
        )
    except (LookupError, TypeError, AttributeError, ValueError, re.error) as error:
        message = f"not the settings of a correlator: {error!r}"
        raise ValueError(message) from error


def _plain(value: Any) -> Any:
    match value:
        case re.Pattern():
            return {"text": value.pattern, "flags": value.flags}
        case frozenset():
            return sorted(value)
        case enum.Enum():
            return value.value
        case Mapping():
            return dict(value)
        case _:
            return value


def _pattern(facts: Mapping[str, Any]) -> re.Pattern[str]:
    return re.compile(facts["text"], facts["flags"])


def _identity_pattern(
    pattern: Mapping[str, Any], kind: str, technologies: list[str], contexts: list[str], tenant: str
) -> IdentityPattern:
    return IdentityPattern(
        _pattern(pattern), PartyKind(kind), frozenset(technologies), frozenset(contexts), tenant
    )
