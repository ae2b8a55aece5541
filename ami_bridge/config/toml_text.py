"""
Rules as text: read from their file, and parsed.
"""

import codecs
import re
import tomllib
from pathlib import Path
from typing import Any

from ami_bridge.errors import ConfigError, Problem

#: Windows' editors like to begin a file with it.
BYTE_ORDER_MARK = codecs.BOM_UTF8.decode()
#: Where the message of a TOML error ends and its place begins.
_PLACE = re.compile(r" \(at (?P<place>line \d+, column \d+|end of document)\)\Z")


def read_octets(path: Path) -> bytes:
    """
    Read the file *path*.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigError(path, [Problem("", f"cannot be read: {error.strerror}")]) from error


def decode(octets: bytes, source: Path) -> str:
    """
    Make text of the *octets* of the file *source*; a byte order mark stays where it is.
    """
    try:
        return octets.decode()
    except UnicodeDecodeError as error:
        line = octets.count(b"\n", 0, error.start) + 1
        problem = Problem(f"line {line}", "not UTF-8 text, as TOML has to be")
        raise ConfigError(source, [problem]) from error


def parse(text: str, source: Path) -> dict[str, Any]:
    """
    Parse the *text* of the file *source*.
    """
    text = text.removeprefix(BYTE_ORDER_MARK)
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(source, [_syntax_problem(str(error), text)]) from error
    except RecursionError as error:
        raise ConfigError(source, [Problem("", "not TOML: nested too deeply")]) from error


def _syntax_problem(message: str, text: str) -> Problem:
    place = _PLACE.search(message)
    reason = _PLACE.sub("", message)
    if "'\\'" in reason or "escape" in reason.lower():
        reason += "; write regular expressions in single quotes"
    if place is None:
        return Problem("", f"not TOML: {reason}")
    # Where the file ends in the middle of something, TOML's reader names no line.
    line, column = text.count("\n") + 1, len(text) - text.rfind("\n")
    where = place["place"].replace("end of document", f"line {line}, column {column}")
    return Problem(where, f"not TOML: {reason}")
