"""
The text of a TOML file, cut into pieces that can be moved, replaced and left out.

Put together again, the pieces are the text, byte for byte: what an edit does not touch, it
cannot spoil. The text has to be valid TOML.
"""

import enum
import re
import tomllib
from typing import Any

import attrs

#: What of a text may hide a line break or a bracket, and what separates.
_TOKEN = re.compile(
    r'"""(?:\\.|[^\\])*?"{3,5}'
    r"|'''.*?'{3,5}"
    r'|"(?:\\.|[^"\\\n])*"'
    r"|'[^'\n]*'"
    r"|\#[^\n]*"
    r"|[^\"'\#\[\]{}=\n]+"
    r"|.",
    re.DOTALL,
)


class Kind(enum.Enum):
    """
    What a piece is.
    """

    BLANK = enum.auto()
    COMMENT = enum.auto()
    #: ``[table]``
    TABLE = enum.auto()
    #: ``[[table]]``
    ENTRY = enum.auto()
    #: ``key = value``, which may have several lines.
    PAIR = enum.auto()


@attrs.frozen
class Piece:
    """
    One or more whole lines, with their line breaks.
    """

    kind: Kind
    text: str
    #: The keys of a header, or those to the left of a pair's ``=``.
    keys: tuple[str, ...] = ()

    @property
    def is_header(self) -> bool:
        """
        Tell whether a table begins here.
        """
        return self.kind in (Kind.TABLE, Kind.ENTRY)

    @property
    def says_something(self) -> bool:
        """
        Tell whether it is more than blank lines and comments.
        """
        return self.is_header or self.kind is Kind.PAIR

    @property
    def value(self) -> Any:
        """
        Give the value of a pair.
        """
        value: Any = tomllib.loads(self.text)
        for key in self.keys:
            value = value[key]
        return value


def cut(text: str) -> list[Piece]:
    """
    Cut *text* into pieces.
    """
    pieces = []
    start = 0
    while start < len(text):
        end, equals = _statement(text, start)
        pieces.append(_piece(text[start:end], text[start:equals]))
        start = end
    return pieces


def _statement(text: str, start: int) -> tuple[int, int]:
    """
    Find where the statement at *start* ends, and where its first ``=`` is.
    """
    depth = 0
    equals = None
    for token in _TOKEN.finditer(text, start):
        match token[0]:
            case "[" | "{":
                depth += 1
            case "]" | "}":
                depth -= 1
            case "=" if equals is None:
                equals = token.start()
            case "\n" if not depth:
                return token.end(), equals or start
    return len(text), equals or start


def _piece(text: str, left: str) -> Piece:
    begin = text.lstrip()
    if not begin:
        return Piece(Kind.BLANK, text)
    if begin.startswith("#"):
        return Piece(Kind.COMMENT, text)
    if begin.startswith("["):
        kind = Kind.ENTRY if begin.startswith("[[") else Kind.TABLE
        return Piece(kind, text, _keys(text))
    return Piece(Kind.PAIR, text, _keys(f"{left}= 0"))


def _keys(statement: str) -> tuple[str, ...]:
    """
    Give the keys that *statement* has from the outside to the inside.
    """
    found = []
    inner: Any = tomllib.loads(statement)
    while inner:
        inner = inner[0] if isinstance(inner, list) else inner
        if inner:
            ((key, inner),) = inner.items()
            found.append(key)
    return tuple(found)
