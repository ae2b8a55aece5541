"""
The description of the API, as an OpenAPI 3.1 document.

What it says of answers is made from the records themselves; tests compare its paths with the
routes, and let schemathesis try all of it.
"""

import copy
import functools
from collections.abc import Iterable, Mapping
from typing import Any

from ami_bridge.adapters.store import DeliveryState

from .bodies import (
    ATTRIBUTES,
    CALL_EVENT,
    ERROR,
    FILTER,
    NEW_EVENT,
    PATTERNS,
    SELECTION,
    STEP,
    TEXT,
)
from .meanings import MEANINGS
from .schemas import Schema, Schemas
from .views import CallView, DeliveryInFull, DeliveryView, EventView, SampleView, Status

_JSON = "application/json"
_ID: Schema = {"name": "id", "in": "path", "required": True, "schema": TEXT}
_ABOUT = """\
Looks at a running ami-bridge, and steers it.

A bearer token, one of `[[control.tokens]]` in the rules, says whose calls there are: what is
outside its scope does not exist for it. Over the bridge's Unix socket no token is needed.
Times are seconds since the epoch. A parameter that is not known is refused."""


def _query(name: str, meaning: str, schema: Schema) -> Schema:
    return {"name": name, "in": "query", "description": meaning, "schema": schema}


_EXTENSION_QUERY = _query(
    "extension",
    f"Whose: {PATTERNS}. May be there several times.",
    {"type": "array", "items": TEXT},
)
_REFUSALS = {
    400: "There is something in it that is not known, or not as it has to be.",
    401: "A bearer token is needed.",
    403: "This token may only read.",
    404: "It is not there, or not for this token.",
    409: "It cannot be done as things are now.",
    413: "The body is too long.",
    415: "The body has to be application/json.",
    422: "The rules would not be valid then, or not for this token.",
    503: "Not now.",
}
_READING = (400, 401)
_CHANGING = (400, 401, 403)
_SENDING = (*_CHANGING, 413, 415)


def document() -> dict[str, Any]:
    """
    Give the document.
    """
    return copy.deepcopy(_document())


@functools.cache
def _document() -> dict[str, Any]:
    schemas = Schemas(MEANINGS)
    paths = _Paths(schemas)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "ami-bridge",
            "version": "1",
            "description": _ABOUT,
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "/"}],
        "security": [{"token": []}],
        "paths": {**paths.of_health(), **paths.of_bridge(), **paths.of_deliveries()}
        | paths.of_events(),
        "components": {
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            "responses": {
                f"Refused{status}": {
                    "description": meaning,
                    "content": {_JSON: {"schema": {"$ref": "#/components/schemas/Error"}}},
                }
                for status, meaning in _REFUSALS.items()
            },
            "schemas": {
                "Error": ERROR,
                "CallEvent": CALL_EVENT,
                "NewEvent": NEW_EVENT,
                "Attributes": ATTRIBUTES,
                "Selection": SELECTION,
                "Step": STEP,
                **schemas.by_name,
            },
        },
    }


class _Paths:
    """
    The operations, by path and method.
    """

    def __init__(self, schemas: Schemas) -> None:
        self._schemas = schemas

    def of_health(self) -> dict[str, Any]:
        """
        Describe what supervisors ask for.
        """
        said = _object(status={"type": "string"})
        unready = _object(
            status={"type": "string"}, problems={"type": "array", "items": {"type": "string"}}
        )
        ready = {"200": _answer("It can do its work.", said), "503": _answer("Why not.", unready)}
        alive = {"200": _answer("The process lives.", said)}
        numbers = {
            "200": {
                "description": "All numbers.",
                "content": {"text/plain": {"schema": {"type": "string"}}},
            }
        }
        return {
            "/healthz": {"get": _operation("Whether the process lives", alive, (400,), open_=True)},
            "/readyz": {"get": _operation("Whether it can do its work", ready, (400,), open_=True)},
            "/metrics": {"get": _operation("The bridge in numbers", numbers, (*_READING, 404))},
        }

    def of_bridge(self) -> dict[str, Any]:
        """
        Describe how the bridge and its calls are, and the stream.
        """
        calls = _object(calls={"type": "array", "items": self._schemas.of(CallView)})
        described = {"200": _answer("An OpenAPI document.", {"type": "object"})}
        status = {"200": _answer("All of it.", self._schemas.of(Status))}
        listed = {"200": _answer("The latest first.", calls)}
        return {
            "/api/v1/openapi.json": {
                "get": _operation("This description", described, (400,), open_=True)
            },
            "/api/v1/status": {
                "get": _operation("How everything is", status, (*_READING, 404)),
            },
            "/api/v1/calls": {
                "get": _operation(
                    "The calls that are up", listed, _READING, parameters=[_EXTENSION_QUERY]
                )
            },
            "/api/v1/reload": {
                "post": _operation(
                    "Read the rules file again",
                    {"200": _answer("It is in force.", _object(requests={"type": "integer"}))},
                    (*_CHANGING, 404, 409, 422),
                )
            },
            "/api/v1/explain": {"get": self._explanation()},
            "/api/v1/stream": {"get": _stream()},
        }

    def _explanation(self) -> Schema:
        found = _object(
            call_id={"type": "string"},
            pbx={"type": "string"},
            steps={"type": "array", "items": {"$ref": "#/components/schemas/Step"}},
            deliveries={"type": "array", "items": self._schemas.of(DeliveryView)},
        )
        return _operation(
            "Why a call event was said, or was not",
            {"200": _answer("What Asterisk said, and what followed.", found)},
            (*_READING, 404),
            parameters=[{**_query("call_id", "The CallID.", TEXT), "required": True}],
        )

    def of_deliveries(self) -> dict[str, Any]:
        """
        Describe looking at notifications, and steering them.
        """
        states = {"type": "string", "enum": [one.value for one in DeliveryState]}
        page = _object(
            deliveries={"type": "array", "items": self._schemas.of(DeliveryView)},
            next={"type": ["string", "null"], "description": "The cursor of the next page."},
        )
        query = [
            _query("state", "May be there several times.", {"type": "array", "items": states}),
            _EXTENSION_QUERY,
            *(_query(name, meaning, schema) for name, (meaning, schema) in FILTER.items()),
            _query("limit", "As many at most.", {"type": "integer", "minimum": 1, "maximum": 1000}),
            _query("cursor", "`next` of the page before.", TEXT),
        ]
        listed = {"200": _answer("A page of them, the latest first.", page)}
        one = {"200": _answer("As it is now.", self._schemas.of(DeliveryInFull))}
        changed = _object(
            changed={"type": "integer", "description": "As many were changed."},
            more={"type": "boolean", "description": "There are more: ask again."},
        )
        many = {"200": _answer("A part of them is done.", changed)}
        found: dict[str, Any] = {
            "/api/v1/deliveries": {
                "get": _operation("Notifications", listed, _READING, parameters=query)
            },
            "/api/v1/deliveries/{id}": {
                "parameters": [_ID],
                "get": _operation("One notification", one, (*_READING, 404)),
            },
        }
        for word, does in (("retry", "Owe once more"), ("drop", "Give up")):
            found[f"/api/v1/deliveries/{{id}}/{word}"] = {
                "parameters": [_ID],
                "post": _operation(f"{does} one", one, (*_CHANGING, 404, 409)),
            }
            found[f"/api/v1/deliveries/{word}"] = {
                "post": _operation(f"{does} all that match", many, _SENDING, body="Selection")
            }
        return found

    def of_events(self) -> dict[str, Any]:
        """
        Describe the call-event requests.
        """
        event = self._schemas.of(EventView)
        listed = _object(events={"type": "array", "items": event})
        one = {"200": _answer("As it is understood.", event)}
        place = {"Location": {"schema": {"type": "string"}, "description": "Where it is."}}
        made = {"201": {**_answer("It is in the rules.", event), "headers": place}}
        tried = {"200": _answer("What was sent, and the answer.", self._schemas.of(SampleView))}
        which: Schema = _object(event=FILTER["event"][1])
        sample = {**which, "required": []}
        return {
            "/api/v1/events": {
                "get": _operation(
                    "Call-event requests", {"200": _answer("All of them.", listed)}, _READING
                ),
                "post": _operation("Add one", made, (*_SENDING, 409, 422), body="NewEvent"),
            },
            "/api/v1/events/{id}": {
                "parameters": [_ID],
                "get": _operation("One call-event request", one, (*_READING, 404)),
                "patch": _operation(
                    "Change attributes of one",
                    one,
                    (*_SENDING, 404, 409, 422),
                    body="Attributes",
                ),
                "delete": _operation(
                    "Take one out",
                    {"204": {"description": "It is gone."}},
                    (*_CHANGING, 404, 409, 422),
                ),
            },
            "/api/v1/events/{id}/test": {
                "parameters": [_ID],
                "post": _operation("Send a sample", tried, (*_SENDING, 404), body=sample),
            },
        }


def _stream() -> Schema:
    events = {
        "description": (
            "Server-sent events without end: a `CallEvent` each, and an event `gap` where "
            "something may have been missed."
        ),
        "content": {"text/event-stream": {"schema": {"type": "string"}}},
    }
    last = "Where to go on; for who cannot send the header Last-Event-ID."
    header = {"name": "Last-Event-ID", "in": "header", "schema": {"type": "string"}}
    parameters = [_EXTENSION_QUERY, _query("last_event_id", last, TEXT), header]
    return _operation(
        "Call events as they are said", {"200": events}, (*_READING, 503), parameters=parameters
    )


def _object(**properties: Schema) -> Schema:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _answer(meaning: str, schema: Schema) -> Schema:
    return {"description": meaning, "content": {_JSON: {"schema": schema}}}


def _operation(  # noqa: PLR0913 - an operation has as many parts
    summary: str,
    answers: Mapping[str, Schema],
    refusals: Iterable[int],
    *,
    parameters: Iterable[Schema] = (),
    body: str | Schema | None = None,
    open_: bool = False,
) -> Schema:
    """
    Describe one operation; *refusals* are the statuses with which it may be refused.
    """
    operation: Schema = {"summary": summary}
    if found := list(parameters):
        operation["parameters"] = found
    if body is not None:
        schema = {"$ref": f"#/components/schemas/{body}"} if isinstance(body, str) else body
        operation["requestBody"] = {
            "required": isinstance(body, str),
            "content": {_JSON: {"schema": schema}},
        }
    operation["responses"] = {
        **answers,
        **{str(one): {"$ref": f"#/components/responses/Refused{one}"} for one in refusals},
    }
    if open_:
        operation["security"] = []
    return operation
