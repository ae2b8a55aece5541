"""
JSON Schemas of what is sent to the API, and of its answers that are no records.
"""

from collections.abc import Iterable, Mapping

from ami_bridge.core.call_events import EventType, HangupDialect
from ami_bridge.core.requests import DEFAULT_NAMES, Field
from ami_bridge.core.rules import BodyFormat, Method

from .schemas import Schema

TEXT: Schema = {"type": "string", "minLength": 1}
PATTERNS = (
    "`*` is everybody, `0003*` a tenant, `0003*001` an extension, and `0003*2*` or `0003*20?` "
    "those whose number fits"
)


def _event_or_list(words: Iterable[str]) -> Schema:
    one: Schema = {"type": "string", "enum": list(words)}
    return {"oneOf": [one, {"type": "array", "items": one, "minItems": 1}]}


_EXTENSIONS: Schema = {
    "oneOf": [TEXT, {"type": "array", "items": TEXT, "minItems": 1}],
    "description": f"Whose: {PATTERNS}.",
}
_MOMENT: Schema = {"type": "number", "minimum": 0, "maximum": 1e11}
FILTER: Mapping[str, tuple[str, Schema]] = {
    "destination": ("Scheme, host and port, as `https://crm.example.org:443`.", TEXT),
    "call_id": ("The CallID.", TEXT),
    "event": ("The call event.", {"type": "string", "enum": [one.value for one in EventType]}),
    "request_id": ("The call-event request.", TEXT),
    "since": ("Made at this moment or later.", _MOMENT),
    "until": ("Made before this moment.", _MOMENT),
}


SELECTION: Schema = {
    "type": "object",
    "description": "What all of them have in common; or `all`, for every one.",
    "properties": {
        "all": {"const": True},
        "extension": _EXTENSIONS,
        "limit": {"type": "integer", "minimum": 1, "maximum": 500},
        **{name: {**schema, "description": text} for name, (text, schema) in FILTER.items()},
    },
    "additionalProperties": False,
    "anyOf": [{"required": [name]} for name in ("all", "extension", *FILTER)],
}
_TABLE: Schema = {"type": "object", "additionalProperties": {"type": "string"}}
#: What a request may have besides its URL.
_OPTIONAL: Mapping[str, Schema] = {
    "id": {"type": "string", "pattern": "^[A-Za-z0-9._-]{1,255}$"},
    "extension": _EXTENSIONS,
    "event": _event_or_list([*(one.value for one in EventType), "Answer"]),
    "method": {"type": "string", "enum": [one.value for one in Method]},
    "status": {"type": "string", "enum": ["enabled", "disabled"]},
    "notes": {"type": "string"},
    "format": {"type": "string", "enum": [one.value for one in BodyFormat]},
    "fields": {
        "type": "array",
        "items": {"type": "string", "enum": [one.value for one in Field]},
        "uniqueItems": True,
    },
    "omit_empty": {"type": "boolean"},
    "hangup_status": {"type": "string", "enum": [one.value for one in HangupDialect]},
    "parameters": _TABLE,
    "headers": {**_TABLE, "description": "Values that let somebody in are never shown."},
    "auth": {
        "type": "object",
        "description": "By what the receiver knows the bridge; never shown.",
        "properties": {
            name: {"type": "string"} for name in ("user", "password", "bearer", "signing_secret")
        },
        "additionalProperties": False,
    },
}


def _or_null(schema: Schema) -> Schema:
    return {"anyOf": [schema, {"type": "null"}]}


ATTRIBUTES: Schema = {
    "type": "object",
    "description": "As in `[[requests]]` of rules.toml; null takes an attribute out.",
    "properties": {
        "url": {**TEXT, "description": "http:// or https://, where `[delivery]` allows it."},
        **{name: _or_null(schema) for name, schema in _OPTIONAL.items()},
    },
    "additionalProperties": False,
}
NEW_EVENT: Schema = {
    **ATTRIBUTES,
    "required": ["url"],
    "examples": [
        {
            "id": "helpdesk",
            "extension": "0003*",
            "event": ["Dial-In", "Hangup"],
            "method": "POST",
            "url": "https://helpdesk.example.org/calls",
            "auth": {"bearer": "its-own-token"},
        }
    ],
}
CALL_EVENT: Schema = {
    "type": "object",
    "description": "The data of one server-sent event.",
    "properties": {
        "event": {"type": "string", "enum": [one.value for one in EventType]},
        "extension": {"type": "string"},
        "time": {"type": ["number", "null"]},
        "parameters": {
            "type": "object",
            "properties": {name: {"type": "string"} for name in DEFAULT_NAMES},
            "required": list(DEFAULT_NAMES),
            "additionalProperties": False,
        },
        "identity": {"type": "string", "description": "The same after a restart, too."},
    },
    "required": ["event", "extension", "time", "parameters", "identity"],
    "additionalProperties": False,
}
_JUDGED: Schema = {
    "type": "object",
    "properties": {
        "rule_id": {"type": "string"},
        "why_not": {"type": "string", "description": "Why it is not told; empty if it is."},
        "delivery": {"type": "string", "description": "The delivery's id, were it made."},
    },
    "required": ["rule_id", "why_not", "delivery"],
    "additionalProperties": False,
}
STEP: Schema = {
    "type": "object",
    "description": "One AMI event of the call, and what followed from it.",
    "properties": {
        "time": {"type": ["number", "null"]},
        "event": {"type": "string", "description": "Name of the AMI event."},
        "headers": {"type": "object", "additionalProperties": {"type": "string"}},
        "summary": {"type": "string", "description": "What it tells, for people."},
        "said": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "event": {"type": "string", "enum": [one.value for one in EventType]},
                    "extension": {"type": "string"},
                    "call_id": {"type": "string"},
                    "call_status": {"type": "string"},
                    "rules": {"type": "array", "items": _JUDGED},
                },
                "required": ["event", "extension", "call_id", "call_status", "rules"],
                "additionalProperties": False,
            },
        },
        "anomalies": {"type": "array", "items": {"type": "string"}},
    },
    "required": ["time", "event", "headers", "summary", "said", "anomalies"],
    "additionalProperties": False,
}
ERROR: Schema = {
    "type": "object",
    "description": "Why a request is not done.",
    "properties": {
        "error": {
            "type": "object",
            "properties": {
                "code": {"type": "string", "description": "A word for programs."},
                "message": {"type": "string", "description": "A sentence for people."},
                "problems": {
                    "type": "array",
                    "description": "All that is wrong, by parameter or attribute.",
                    "items": {
                        "type": "object",
                        "properties": {"path": {"type": "string"}, "message": {"type": "string"}},
                        "required": ["path", "message"],
                        "additionalProperties": False,
                    },
                },
            },
            "required": ["code", "message"],
            "additionalProperties": False,
        }
    },
    "required": ["error"],
    "additionalProperties": False,
}
