"""
One table of the rules, read key by key, with a sentence for everything that is wrong.
"""

import difflib
import enum
import json
import re
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from ami_bridge.errors import Problem

_Choice = TypeVar("_Choice", bound=enum.StrEnum)

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
#: How much of a wrong value is shown.
_LONGEST_SHOWN = 60


def shown(value: object) -> str:
    """
    Show *value* as the operator wrote it, more or less.
    """
    if isinstance(value, dict):
        return "a table"
    if isinstance(value, list):
        return "a list"
    if not isinstance(value, str | bool | int | float):
        return "a date or time"
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}..."


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """
    Give the end of a sentence that refuses *word*: what is close to it, or all there is.
    """
    names = {name.lower(): name for name in known}
    close = difflib.get_close_matches(word.lower(), names, n=1)
    if close:
        return f"did you mean {shown(names[close[0]])}?"
    return f"expected one of {', '.join(names.values())}"


def joined(path: str, key: str) -> str:
    """
    Add *key* to the dotted *path*, quoted where TOML would have it quoted.
    """
    step = key if _BARE_KEY.fullmatch(key) else json.dumps(key, ensure_ascii=False)
    return f"{path}.{step}" if path else step


def _number(value: object, low: float, high: float) -> float | None:
    """
    Give *value* if it is a number from *low* to *high*.
    """
    if not isinstance(value, int | float) or isinstance(value, bool) or not low <= value <= high:
        return None
    return float(value)


class Section:
    """
    A table of the rules; a key that nobody asked for is a mistake.

    Each method reads one key. Where the key is missing or wrong it gives the default, and
    notes a problem for what is wrong, so that reading goes on and finds the next mistake.
    """

    def __init__(
        self,
        table: Mapping[str, Any],
        path: str,
        problems: list[Problem],
        warnings: list[Problem],
    ) -> None:
        self._table = table
        self.path = path
        self._problems = problems
        self._warnings = warnings
        self._asked: dict[str, None] = {}
        self._children: list[Section] = []

    def __contains__(self, key: str) -> bool:
        return key in self._table

    # -- what is wrong -------------------------------------------------------------

    def problem(self, key: str | None, message: str, index: int | None = None) -> None:
        """
        Note that the value of *key* (its *index*-th, in a list) cannot be used.

        None stands for the table itself.
        """
        path = self.path if key is None else joined(self.path, key)
        self._problems.append(Problem(path if index is None else f"{path}[{index}]", message))

    def warn(self, key: str, message: str) -> None:
        """
        Note that the value of *key* deserves a second look.
        """
        self._warnings.append(Problem(joined(self.path, key), message))

    def finish(self, top_level: Iterable[str] = ()) -> None:
        """
        Refuse what nobody asked for, here and below; *top_level* are the file's own keys.
        """
        top_level = top_level or self._asked
        for key in self._table:
            if key in self._asked:
                continue
            if self.path and key in top_level:
                where = "belongs at the top of the file, before the first [table]"
                self.problem(key, f"unknown key here; it {where}")
            else:
                self.problem(key, f"unknown key; {did_you_mean(key, self._asked)}")
        for child in self._children:
            child.finish(top_level)

    def _refuse(self, key: str, expected: str, value: object, index: int | None = None) -> None:
        self.problem(key, f"expected {expected}, got {shown(value)}", index)

    def _take(self, key: str) -> Any:
        self._asked[key] = None
        return self._table.get(key)

    # -- single values -------------------------------------------------------------

    def text(self, key: str, default: str = "") -> str:
        """
        Read one line of text.
        """
        value = self._take(key)
        if value is None:
            return default
        if not isinstance(value, str):
            self._refuse(key, "a string", value)
            return default
        if _CONTROL.search(value):
            self.problem(key, "line breaks and control characters are not allowed here")
            return default
        return value

    def required_text(self, key: str, what: str) -> str | None:
        """
        Read one line of text that has to be there; *what* says what it is for.
        """
        if self._table.get(key, "") == "":
            self._take(key)
            self.problem(key, f"is missing: {what}")
        return self.text(key) or None

    def secret(self, key: str) -> str | None:
        """
        Read text that no message may show.
        """
        value = self._take(key)
        if value is not None and not isinstance(value, str):
            self.problem(key, "expected a string")
            return None
        return value

    def notes(self, key: str) -> str:
        """
        Read text for people, which may have several lines.
        """
        value = self._take(key)
        if value is not None and not isinstance(value, str):
            self._refuse(key, "a string", value)
        return value if isinstance(value, str) else ""

    def flag(self, key: str, *, default: bool) -> bool:
        """
        Read true or false.
        """
        value = self._take(key)
        if value is None:
            return default
        if not isinstance(value, bool):
            self._refuse(key, "true or false", value)
            return default
        return value

    def integer(self, key: str, default: int, low: int, high: int) -> int:
        """
        Read a whole number from *low* to *high*.
        """
        value = self._take(key)
        if value is None:
            return default
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            self._refuse(key, f"an integer from {low} to {high}", value)
            return default
        return value

    def seconds(self, key: str, default: float, low: float, high: float) -> float:
        """
        Read a time in seconds, from *low* to *high*.
        """
        return self._time(key, default, low, high, "seconds")

    def days(self, key: str, default: float, low: float, high: float) -> float:
        """
        Read a time in days, from *low* to *high*.
        """
        return self._time(key, default, low, high, "days")

    def _time(self, key: str, default: float, low: float, high: float, unit: str) -> float:
        value = self._take(key)
        if value is None:
            return default
        found = _number(value, low, high)
        if found is None:
            self._refuse(key, f"{unit} from {low:g} to {high:g}", value)
            return default
        return found

    def choice(self, key: str, default: _Choice) -> _Choice:
        """
        Read one word of the enumeration that *default* is from, in any case.
        """
        return self.choice_or(key, type(default), default) or default

    def choice_or(
        self, key: str, words: type[_Choice], default: _Choice | None = None
    ) -> _Choice | None:
        """
        Read one of *words*, in any case.
        """
        value = self._take(key)
        if value is None:
            return default
        known = {word.value.lower(): word for word in words}
        if not isinstance(value, str):
            self._refuse(key, " or ".join(shown(word.value) for word in words), value)
        elif value.lower() in known:
            return known[value.lower()]
        else:
            suggestion = did_you_mean(value, [word.value for word in words])
            self.problem(key, f"unknown value {shown(value)}; {suggestion}")
        return default

    # -- several values ------------------------------------------------------------

    def texts(self, key: str, *, lone: bool = False) -> list[tuple[int | None, str]] | None:
        """
        Read a list of strings with their indices, or, where *lone* is true, a single one.

        None means that the key is missing or wrong; what is wrong in a list is left out.
        """
        value = self._take(key)
        if value is None:
            return None
        if lone and isinstance(value, str):
            return [(None, value)]
        if not isinstance(value, list):
            self._refuse(key, "a string or a list of strings" if lone else "a list", value)
            return None
        for index, entry in enumerate(value):
            if not isinstance(entry, str):
                self._refuse(key, "a string", entry, index)
        return [(index, entry) for index, entry in enumerate(value) if isinstance(entry, str)]

    def seconds_list(
        self, key: str, default: tuple[float, ...], low: float, high: float
    ) -> tuple[float, ...]:
        """
        Read a list of times in seconds, at least one.
        """
        value = self._take(key)
        if value is None:
            return default
        if not isinstance(value, list) or not value:
            self._refuse(key, "a list of seconds, at least one", value)
            return default
        found = []
        for index, entry in enumerate(value):
            number = _number(entry, low, high)
            if number is None:
                self._refuse(key, f"seconds from {low:g} to {high:g}", entry, index)
            else:
                found.append(number)
        return tuple(found)

    def strings(self, *, confidential: bool = False) -> dict[str, str]:
        """
        Read the whole table as names and strings; messages show no *confidential* ones.
        """
        for key in self._table:
            value = self._take(key)
            if not isinstance(value, str):
                seen = "" if confidential else f", got {shown(value)}"
                self.problem(key, f"expected a string{seen}")
        return {key: value for key, value in self._table.items() if isinstance(value, str)}

    # -- tables in this table ------------------------------------------------------

    def section(self, key: str) -> "Section":
        """
        Read the table *key*; one that is missing is empty.
        """
        value = self._take(key)
        if value is not None and not isinstance(value, dict):
            self._refuse(key, f"a table, [{joined(self.path, key)}]", value)
        return self._child(value if isinstance(value, dict) else {}, joined(self.path, key))

    def section_or_sections(self, key: str) -> list["Section"]:
        """
        Read the table *key*, or a list of tables of that name; give at least one.
        """
        value = self._table.get(key)
        if isinstance(value, list) and value and all(isinstance(entry, dict) for entry in value):
            return self.sections(key)
        if value is not None and not isinstance(value, dict):
            self._take(key)
            path = joined(self.path, key)
            self._refuse(key, f"a table, [{path}], or several, each beginning [[{path}]]", value)
            return [self._child({}, path)]
        return [self.section(key)]

    def sections(self, key: str) -> list["Section"]:
        """
        Read the list of tables *key*.
        """
        value = self._take(key)
        path = joined(self.path, key)
        if value is None:
            return []
        if not isinstance(value, list) or not all(isinstance(entry, dict) for entry in value):
            self._refuse(key, f"a list of tables, each beginning with [[{path}]]", value)
            return []
        return [self._child(entry, f"{path}[{index}]") for index, entry in enumerate(value)]

    def _child(self, table: Mapping[str, Any], path: str) -> "Section":
        child = Section(table, path, self._problems, self._warnings)
        self._children.append(child)
        return child
