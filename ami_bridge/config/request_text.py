"""
One ``[[requests]]`` of the rules as text, and its attributes put in, replaced and taken out.

Whatever is not changed stays as it was written: comments, spacing, quotes, order.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import tomlkit

from .toml_pieces import Kind, Piece

#: An attribute as rules.toml has it; None is one that is not there.
Value = str | bool | Sequence[str] | Mapping[str, str] | None
Attributes = Mapping[str, Value]

#: The attributes of a request, in the order in which they are written; tables are last.
ATTRIBUTES = (
    *("id", "extension", "event", "method", "url", "status", "notes", "format", "fields"),
    *("omit_empty", "hangup_status", "parameters", "headers", "auth"),
)
_INDENT = re.compile(r"[ \t]*")


def plain(value: Value) -> Any:
    """
    Give *value* as TOML's reader would; an empty table is none.
    """
    match value:
        case Mapping():
            return {str(name): str(text) for name, text in value.items()} or None
        case bool() | None:
            return value
        case str():
            return str(value)
        case _:
            return [str(text) for text in value]


def in_order(names: Iterable[str]) -> list[str]:
    """
    Give *names* of attributes in the order in which they are written.
    """
    known = {name: rank for rank, name in enumerate(ATTRIBUTES)}
    return sorted(names, key=lambda name: known.get(name, len(known)))


def written(attributes: Attributes) -> list[Piece]:
    """
    Write a request with *attributes*.
    """
    pieces = [Piece(Kind.ENTRY, "[[requests]]\n", ("requests",))]
    for name in in_order(attributes):
        pieces = changed(pieces, name, attributes[name])
    return pieces


def changed(pieces: Sequence[Piece], name: str, value: Value) -> list[Piece]:
    """
    Give the *pieces* of a request with the attribute *name* being *value*.
    """
    wanted = plain(value)
    request = _Request(pieces)
    if wanted is None:
        request.drop((name,), with_headers=True)
    elif isinstance(wanted, dict) and not request.has_pair((name,)):
        for keys in request.below((name,)):
            if keys[-1] not in wanted or len(keys) != 2:
                request.drop(keys)
        for key, text in wanted.items():
            request.put((name, key), text)
    else:
        request.put((name,), wanted)
    return request.pieces


class _Request:
    """
    The pieces of one request while they are changed.
    """

    def __init__(self, pieces: Sequence[Piece]) -> None:
        self.pieces = list(pieces)

    def _pairs(self) -> Iterator[tuple[int, tuple[str, ...]]]:
        """
        Give where the pairs are, and their keys from the request on.
        """
        table: tuple[str, ...] = ()
        for index, piece in enumerate(self.pieces):
            if piece.is_header:
                table = piece.keys[1:]
            elif piece.kind is Kind.PAIR:
                yield index, (*table, *piece.keys)

    def has_pair(self, keys: tuple[str, ...]) -> bool:
        """
        Tell whether *keys* have one value, be it an inline table.
        """
        return any(found == keys for _, found in self._pairs())

    def below(self, keys: tuple[str, ...]) -> list[tuple[str, ...]]:
        """
        Give the keys of all pairs that *keys* are the beginning of.
        """
        return [found for _, found in self._pairs() if found[: len(keys)] == keys]

    def drop(self, keys: tuple[str, ...], *, with_headers: bool = False) -> None:
        """
        Take out the pairs that *keys* are the beginning of, and if asked their tables' headers.
        """
        gone = {index for index, found in self._pairs() if found[: len(keys)] == keys}
        if with_headers:
            headers = (index for index, piece in enumerate(self.pieces) if piece.is_header)
            gone |= {
                index for index in headers if self.pieces[index].keys[1 : len(keys) + 1] == keys
            }
        self.pieces = [piece for index, piece in enumerate(self.pieces) if index not in gone]

    def put(self, keys: tuple[str, ...], value: Any) -> None:
        """
        Have *keys* be *value*: where they are already, or beside their like.
        """
        for index, found in self._pairs():
            if found == keys:
                self.pieces[index] = _replaced(self.pieces[index], value)
                return
        table = keys[:-1]
        for index, piece in enumerate(self.pieces):
            if piece.is_header and piece.keys[1:] == table:
                # The name of it all comes first.
                place = index if keys == ("id",) else self._last_pair_of(index)
                self._insert_behind(place, keys[-1:], value)
                return
        dotted = [index for index, found in self._pairs() if found[:-1] == table]
        if dotted:
            self._insert_behind(dotted[-1], keys, value)
            return
        self._end_line(len(self.pieces) - 1)
        header = f"[{tomlkit.key(['requests', *table]).as_string()}]\n"
        self.pieces.append(Piece(Kind.BLANK, "\n"))
        self.pieces.append(Piece(Kind.TABLE, header, ("requests", *table)))
        self.pieces.append(_pair(keys[-1:], value))

    def _last_pair_of(self, header: int) -> int:
        last = header
        for index in range(header + 1, len(self.pieces)):
            if self.pieces[index].is_header:
                break
            if self.pieces[index].kind is Kind.PAIR:
                last = index
        return last

    def _insert_behind(self, index: int, keys: tuple[str, ...], value: Any) -> None:
        self._end_line(index)
        indent = _INDENT.match(self.pieces[index].text)
        self.pieces.insert(index + 1, _pair(keys, value, "" if indent is None else indent[0]))

    def _end_line(self, index: int) -> None:
        piece = self.pieces[index]
        if not piece.text.endswith("\n"):
            self.pieces[index] = Piece(piece.kind, f"{piece.text}\n", piece.keys)


def _pair(keys: tuple[str, ...], value: Any, indent: str = "") -> Piece:
    line = f"{indent}{tomlkit.key(list(keys)).as_string()} = {_item(value).as_string()}\n"
    return Piece(Kind.PAIR, line, keys)


def _replaced(piece: Piece, value: Any) -> Piece:
    """
    Give *piece* with another value; what stands around it stays.
    """
    if piece.value == value:
        return piece
    document = tomlkit.parse(piece.text)
    table: Any = document
    for key in piece.keys[:-1]:
        table = table[key]
    table[piece.keys[-1]] = _item(value)
    return Piece(piece.kind, tomlkit.dumps(document), piece.keys)


def _item(value: Any) -> Any:
    if not isinstance(value, dict):
        return tomlkit.item(value)
    table = tomlkit.inline_table()
    table.update(value)
    return table
