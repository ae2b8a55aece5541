"""
Reads what a request asks for: its query, or the JSON of its body.

As with the rules, everything that is wrong is told at once, and nothing is passed over.
"""

import enum
import json
import math
from collections.abc import Container, Iterable, Mapping
from typing import Any, TypeVar

from aiohttp import web

from ami_bridge.config.section import did_you_mean, shown
from ami_bridge.core.rules import ExtensionPattern, why_never
from ami_bridge.errors import Problem

from .answers import Refusal

_Choice = TypeVar("_Choice", bound=enum.StrEnum)
#: Later than any moment that there can be, in seconds since the epoch.
_END_OF_TIME = 1e11
#: As many digits fit into the integers of every database.
_LONGEST_CURSOR = 18


async def body_of(request: web.Request) -> dict[str, Any]:
    """
    Read the JSON object that is the body of *request*; an empty body is an empty one.
    """
    octets = await request.read()
    if not octets:
        return {}
    if request.content_type != "application/json":
        raise Refusal(415, "unsupported_media_type", "expected a body of type application/json")
    try:
        found = json.loads(octets.decode(), parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise Refusal(400, "bad_request", f"the body is not JSON: {error}") from error
    if not isinstance(found, dict):
        raise Refusal(400, "bad_request", "the body is JSON, but not an object")
    return found


def no_parameters(request: web.Request) -> None:
    """
    Refuse a query where there is nothing to ask.
    """
    Question.of_query(request).finish()


class Question:
    """
    Names and values that are read one by one; raises `Refusal` in the end if any is wrong.
    """

    def __init__(self, given: Iterable[tuple[str, str]]) -> None:
        self._given: dict[str, list[str]] = {}
        self._known: dict[str, None] = {}
        self.problems: list[Problem] = []
        for name, value in given:
            self._given.setdefault(name, []).append(value)

    @classmethod
    def of_query(cls, request: web.Request) -> "Question":
        """
        Read the query of *request*.
        """
        return cls(request.query.items())

    @classmethod
    def of_body(cls, body: Mapping[str, Any], numbers: Container[str] = ()) -> "Question":
        """
        Read *body* as if it were a query: a list is a parameter that is there several times.

        Those called *numbers* are numbers, all others are texts.
        """
        pairs: list[tuple[str, str]] = []
        wrong: list[Problem] = []
        for name, value in body.items():
            values = value if isinstance(value, list) else [value]
            # Nothing is not the same as anything.
            if not values:
                wrong.append(Problem(name, "is an empty list"))
            for one in values:
                is_number = isinstance(one, int | float) and not isinstance(one, bool)
                if is_number if name in numbers else isinstance(one, str):
                    pairs.append((name, str(one)))
                else:
                    word = "a number" if name in numbers else "a text"
                    wrong.append(Problem(name, f"expected {word}, got {_shown(one)}"))
        question = cls(pairs)
        question.problems += wrong
        return question

    def texts(self, name: str) -> list[str]:
        """
        Give all values of *name*.
        """
        self._known[name] = None
        values = self._given.get(name, [])
        for value in values:
            if not value:
                self.problem(name, "is empty")
            elif not _is_text(value):
                self.problem(name, "has characters that UTF-8 does not know")
        return values

    def text(self, name: str) -> str | None:
        """
        Give the value of *name*, if there is one.
        """
        values = self.texts(name)
        if len(values) > 1:
            self.problem(name, "can be there only once")
        return values[0] if values else None

    def number(self, name: str) -> float | None:
        """
        Give the moment *name*, in seconds since the epoch, if there is one.
        """
        text = self.text(name)
        if text is None:
            return None
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not 0 <= value <= _END_OF_TIME:
            self.problem(name, f"expected seconds since the epoch, got {shown(text)}")
            return None
        return value

    def whole(self, name: str, default: int, highest: int) -> int:
        """
        Give the number *name*, from 1 to *highest*.
        """
        text = self.text(name)
        if text is None:
            return default
        if not (text.isascii() and text.isdigit() and len(text) < 10 and 1 <= int(text) <= highest):
            self.problem(name, f"expected a number from 1 to {highest}, got {shown(text)}")
            return default
        return int(text)

    def cursor(self, name: str) -> int | None:
        """
        Give where the next page begins, as the page before has told.
        """
        text = self.text(name)
        if text is None:
            return None
        if not (text.isascii() and text.isdigit() and len(text) <= _LONGEST_CURSOR):
            self.problem(name, f"expected what the page before calls next, got {shown(text)}")
            return None
        return int(text)

    def choices(self, name: str, kind: type[_Choice]) -> tuple[_Choice, ...]:
        """
        Give the values of *name*, which are words of *kind*.
        """
        words = {one.value.lower(): one for one in kind}
        found: dict[_Choice, None] = {}
        for text in self.texts(name):
            # A space is a nuisance in a URL.
            word = text.lower().replace("_", " ")
            if word in words:
                found[words[word]] = None
            elif text:
                suggestion = did_you_mean(text, [one.value for one in kind])
                self.problem(name, f"unknown word {shown(text)}; {suggestion}")
        return tuple(found)

    def choice(self, name: str, kind: type[_Choice]) -> _Choice | None:
        """
        Give the value of *name*, which is a word of *kind*, if there is one.
        """
        found = self.choices(name, kind)
        if len(found) > 1:
            self.problem(name, "can be there only once")
        return found[0] if found else None

    def extensions(self, name: str = "extension") -> tuple[ExtensionPattern, ...]:
        """
        Give the values of *name*, which say which extensions are meant.
        """
        texts = [text for text in self.texts(name) if text]
        for text in texts:
            if reason := why_never(text):
                self.problem(name, f"{shown(text)} matches no extension: {reason}")
        return tuple(map(ExtensionPattern, texts))

    def problem(self, name: str, message: str) -> None:
        """
        Note that the value of *name* is wrong.
        """
        self.problems.append(Problem(name, message))

    def finish(self) -> None:
        """
        Refuse the request if anything is wrong with it, or there is more than was read.
        """
        for name in self._given.keys() - self._known.keys():
            if not self._known:
                self.problem(name, "is not known; nothing can be asked for here")
            else:
                self.problem(name, f"is not known; {did_you_mean(name, self._known)}")
        if self.problems:
            raise Refusal.for_problems(400, "bad_request", self.problems)


def _shown(value: object) -> str:
    return "null" if value is None else shown(value)


def _refuse_constant(word: str) -> float:
    raise ValueError(f"{word} is no JSON")


def _is_text(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True
