"""
JSON Schemas of the records that the API answers with, made from the records themselves.
"""

import enum
import inspect
import types
import typing
from collections.abc import Mapping
from typing import Any

import attrs

Schema = dict[str, Any]

_PLAIN: Mapping[object, Schema] = {
    str: {"type": "string"},
    int: {"type": "integer"},
    float: {"type": "number"},
    bool: {"type": "boolean"},
}


class Schemas:
    """
    Schemas by name; a record is described once, and named where it is used.

    *meanings* says of fields, by ``Record.field`` or by ``field`` alone, what they mean.
    """

    def __init__(self, meanings: Mapping[str, str]) -> None:
        self._meanings = meanings
        self.by_name: dict[str, Schema] = {}
        #: The meanings that were used.
        self.used: set[str] = set()

    def of(self, kind: object) -> Schema:
        """
        Describe *kind*: a record, or what a record's field may be.
        """
        if kind in _PLAIN:
            return dict(_PLAIN[kind])
        if isinstance(kind, type) and attrs.has(kind):
            return self._reference(kind)
        if isinstance(kind, type) and issubclass(kind, enum.Enum):
            return {"type": "string", "enum": [one.value for one in kind]}
        return self._composed(kind)

    def _composed(self, kind: object) -> Schema:
        origin, inner = typing.get_origin(kind), typing.get_args(kind)
        if origin is tuple:
            return {"type": "array", "items": self.of(inner[0])}
        if origin is Mapping:
            return {"type": "object", "additionalProperties": self.of(inner[1])}
        if origin in (types.UnionType, typing.Union):
            return _or_null([self.of(one) for one in inner if one is not types.NoneType])
        raise TypeError(f"there is no schema for {kind}")

    def _reference(self, record: type) -> Schema:
        name = record.__name__.removesuffix("View")
        if name not in self.by_name:
            self.by_name[name] = {}
            self.by_name[name].update(self._record(record, name))
        return {"$ref": f"#/components/schemas/{name}"}

    def _record(self, record: type, name: str) -> Schema:
        hints = typing.get_type_hints(record)
        names = [field.name for field in attrs.fields(record)]
        return {
            "type": "object",
            "description": inspect.cleandoc(record.__doc__ or "").partition("\n\n")[0],
            "properties": {field: self._field(name, field, hints[field]) for field in names},
            "required": names,
            "additionalProperties": False,
        }

    def _field(self, record: str, field: str, kind: object) -> Schema:
        schema = self.of(kind)
        for key in (f"{record}.{field}", field):
            if key in self._meanings:
                self.used.add(key)
                return {**schema, "description": self._meanings[key]}
        return schema


def _or_null(schemas: list[Schema]) -> Schema:
    """
    Describe what is null, or what the one of *schemas* says.
    """
    (schema,) = schemas
    if "enum" in schema:
        return {"type": [schema["type"], "null"], "enum": [*schema["enum"], None]}
    if "type" in schema:
        return {**schema, "type": [schema["type"], "null"]}
    return {"anyOf": [schema, {"type": "null"}]}
