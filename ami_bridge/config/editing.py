"""
Edits the call-event requests in rules.toml; everything else in it stays as it is written.

An edit is tried on the text in memory and judged by the very reader of the rules; only what
that one takes is kept, and `RulesFile.write` puts it in the file's place.
"""

import copy
import os
import secrets
import string
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Self

import attrs
import tomlkit.exceptions

from ami_bridge.core.rules import Rule
from ami_bridge.errors import ConfigError, Problem
from ami_bridge.settings import Config

from . import read_rules
from .replacing import replace_file
from .request_text import ATTRIBUTES, Attributes, changed, in_order, plain, written
from .requests import Status
from .toml_pieces import Kind, Piece, cut
from .toml_text import BYTE_ORDER_MARK, decode, parse, read_octets

__all__ = ["ATTRIBUTES", "Attributes", "RulesFile", "generated_id"]

#: What a request's derived id is made of.
_IDENTIFYING = frozenset({"extension", "event", "method", "url"})
_BY_HAND = "cannot be edited in the form that the file has; edit it by hand"


def generated_id() -> str:
    """
    Make an id that no other request has: 30 letters and digits.
    """
    return "".join(secrets.choice(string.ascii_letters + string.digits) for _ in range(30))


@attrs.frozen
class _Content:
    """
    Rules that are valid: as text without a byte order mark, as read, as understood.
    """

    text: str
    tables: Mapping[str, Any]
    config: Config


class RulesFile:
    """
    A rules file that is being edited; at any moment its rules are valid.

    Attributes are named, and have the values, as in rules.toml. None takes an attribute out;
    a table, such as headers, takes the place of the one before. Requests are named by their
    ids; an edit raises LookupError for an id that is not there, and `ConfigError` with all
    problems if the rules would not be valid. It has changed nothing then.
    """

    def __init__(
        self, path: Path, octets: bytes | None, environ: Mapping[str, str], *, secrets_needed: bool
    ) -> None:
        self.path = path
        self._octets = octets
        self._environ = environ
        self._secrets_needed = secrets_needed
        text = decode(octets or b"", path)
        self._mark = BYTE_ORDER_MARK if text.startswith(BYTE_ORDER_MARK) else ""
        self._windows = "\r\n" in text and text.count("\n") == text.count("\r\n")
        self._content = self._read(text.removeprefix(self._mark))

    @classmethod
    def read(
        cls,
        path: Path,
        environ: Mapping[str, str] = os.environ,
        *,
        create: bool = False,
        secrets_needed: bool = False,
    ) -> Self:
        """
        Read the file *path*, which may be missing if it is to be created.

        Unless *secrets_needed*, secrets of the rules that cannot be read are no problem.
        """
        octets = None if create and not path.exists() else read_octets(path)
        return cls(path, octets, environ, secrets_needed=secrets_needed)

    # -- looking at it -----------------------------------------------------------------

    @property
    def config(self) -> Config:
        """
        Give the rules, edits included.
        """
        return self._content.config

    @property
    def ids(self) -> list[str]:
        """
        Name all requests in their order.
        """
        return [rule.id for rule in self.config.rules]

    @property
    def text(self) -> str:
        """
        Give the text, edits included.
        """
        return self._mark + self._content.text

    @property
    def is_changed(self) -> bool:
        """
        Tell whether there is something to write.
        """
        return self.text.encode() != self._octets

    def rule(self, request_id: str) -> Rule:
        """
        Give the request *request_id* as it is understood.
        """
        return self.config.rules[self._index(request_id)]

    def attributes(self, request_id: str) -> dict[str, Any]:
        """
        Give the attributes of the request *request_id* that are written down.
        """
        found: dict[str, Any] = self._content.tables["requests"][self._index(request_id)]
        return copy.deepcopy(found)

    # -- editing it --------------------------------------------------------------------

    def add(self, attributes: Attributes) -> str:
        """
        Add a request with *attributes* behind the others; give its id.
        """
        pieces = cut(self._content.text)
        spans = self._spans(pieces)
        tables = copy.deepcopy(dict(self._content.tables))
        present = {name: plain(value) for name, value in attributes.items()}
        entry = {name: value for name, value in present.items() if value is not None}
        tables["requests"] = [*tables.get("requests", []), entry]
        place = spans[-1].stop if spans else len(pieces)
        before, after = pieces[:place], pieces[place:]
        if before and not before[-1].text.endswith("\n"):
            before[-1] = attrs.evolve(before[-1], text=f"{before[-1].text}\n")
        # A blank line keeps it from comments that are about something else.
        gap = [Piece(Kind.BLANK, "\n")] if before and before[-1].kind is not Kind.BLANK else []
        end = [Piece(Kind.BLANK, "\n")] if after and after[0].kind is not Kind.BLANK else []
        self._take([*before, *gap, *written(attributes), *end, *after], tables)
        return self.ids[-1]

    def change(self, request_id: str, attributes: Attributes) -> None:
        """
        Change *attributes* of the request *request_id*; all others stay.

        An id that was derived from what is changed is written down, so that it stays.
        """
        index = self._index(request_id)
        tables = copy.deepcopy(dict(self._content.tables))
        entry = tables["requests"][index]
        attributes = dict(attributes)
        for name, value in attributes.items():
            entry[name] = plain(value)
            if entry[name] is None:
                del entry[name]
        if "id" not in entry and "id" not in attributes and _IDENTIFYING & attributes.keys():
            attributes |= self._kept_id(request_id, tables, entry)
            entry |= {name: attributes[name] for name in ("id",) if name in attributes}
        pieces = cut(self._content.text)
        span = self._spans(pieces)[index]
        request = pieces[span.start : span.stop]
        for name in in_order(attributes):
            try:
                request = changed(request, name, attributes[name])
            except (tomlkit.exceptions.TOMLKitError, TypeError, ValueError) as error:
                raise self._refusal(_BY_HAND) from error
        self._take([*pieces[: span.start], *request, *pieces[span.stop :]], tables)

    def enable(self, request_id: str) -> None:
        """
        Have the request *request_id* made.
        """
        self._set_status(request_id, Status.ENABLED)

    def disable(self, request_id: str) -> None:
        """
        Have the request *request_id* not made.
        """
        self._set_status(request_id, Status.DISABLED)

    def remove(self, request_id: str) -> None:
        """
        Take the request *request_id* out, with the comments that stand directly at it.
        """
        index = self._index(request_id)
        tables = copy.deepcopy(dict(self._content.tables))
        del tables["requests"][index]
        if not tables["requests"]:
            del tables["requests"]
        pieces = cut(self._content.text)
        span = self._spans(pieces)[index]
        before, after = pieces[: span.start], pieces[span.stop :]
        while before and before[-1].kind is Kind.COMMENT:
            before.pop()
        while after and after[0].kind is Kind.BLANK:
            after.pop(0)
        while not after and before and before[-1].kind is Kind.BLANK:
            before.pop()
        self._take([*before, *after], tables)

    def validate(self) -> Config:
        """
        Judge the rules once more, with what their secrets and certificates are by now.

        Every edit is judged when it is made; give the rules, or raise `ConfigError`.
        """
        return self._understand(self._content.tables)

    def write(self) -> None:
        """
        Put the text in the file's place, if it is another one; raise `RulesFileError`.

        Who reads the file meanwhile sees all of the old text or all of the new one.
        """
        if self.is_changed:
            octets = self.text.encode()
            replace_file(self.path, self._octets, octets)
            self._octets = octets

    # -- how it is done ----------------------------------------------------------------

    def _index(self, request_id: str) -> int:
        if request_id not in self.ids:
            raise LookupError(request_id)
        return self.ids.index(request_id)

    def _set_status(self, request_id: str, status: Status) -> None:
        if self.rule(request_id).enabled is not (status is Status.ENABLED):
            self.change(request_id, {"status": status})

    def _kept_id(
        self, request_id: str, tables: Mapping[str, Any], entry: Mapping[str, Any]
    ) -> dict[str, str]:
        """
        Give the attribute id, if *entry* would have another one than *request_id* without it.
        """
        # Alone: two requests may well have the same derived id until one of them is given one.
        try:
            (rule,) = self._understand({**tables, "requests": [entry]}).rules
        except ConfigError:
            # It is told with all others that there may be.
            return {}
        return {} if rule.id == request_id else {"id": request_id}

    def _spans(self, pieces: list[Piece]) -> list[range]:
        """
        Find the pieces of each request, with the comments right behind it.
        """
        spans = []
        for start, piece in enumerate(pieces):
            if piece.kind is Kind.ENTRY and piece.keys == ("requests",):
                spans.append(range(start, _end_of_request(pieces, start)))
        if len(spans) != len(self._content.tables.get("requests", [])):
            form = "only requests that begin with [[requests]] can be edited; edit it by hand"
            raise self._refusal(f"is a list in brackets: {form}")
        return spans

    def _take(self, pieces: Iterable[Piece], tables: Mapping[str, Any]) -> None:
        """
        Make *pieces* the text, if it says what *tables* do and can be used.
        """
        text = self._with_line_ends("".join(piece.text for piece in pieces))
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise self._refusal("has characters that UTF-8 does not know") from error
        # What is wrong with what is asked for comes before what is wrong with the form.
        self._understand(tables)
        try:
            same = parse(text, self.path) == tables
        except ConfigError:
            same = False
        if not same:
            raise self._refusal(_BY_HAND)
        self._content = self._read(text)

    def _with_line_ends(self, text: str) -> str:
        """
        End the lines of *text* as the file did, where it did so everywhere.
        """
        return text.replace("\r\n", "\n").replace("\n", "\r\n") if self._windows else text

    def _read(self, text: str) -> _Content:
        tables = parse(text, self.path)
        return _Content(text, tables, self._understand(tables))

    def _understand(self, tables: Mapping[str, Any]) -> Config:
        return read_rules(
            tables,
            self.path,
            self._environ,
            secret_needed=self._secrets_needed,
            credentials_needed=self._secrets_needed,
        )

    def _refusal(self, message: str) -> ConfigError:
        return ConfigError(self.path, [Problem("requests", message)])


def _end_of_request(pieces: list[Piece], start: int) -> int:
    """
    Give where the request at *start* ends: behind its last line, and comments that touch it.
    """
    end = start + 1
    for index in range(start + 1, len(pieces)):
        piece = pieces[index]
        if piece.is_header and not (piece.keys[0] == "requests" and piece.kind is Kind.TABLE):
            break
        if piece.says_something:
            end = index + 1
    comments = end
    while comments < len(pieces) and pieces[comments].kind is Kind.COMMENT:
        comments += 1
    # What stands directly over the next table is about that one.
    return end if comments < len(pieces) and pieces[comments].is_header else comments
