"""
Reads rules.toml into a frozen `Config`, or names every mistake in it at once.

`load_config` is the door; behind it, one module reads one part of the file, and after it
no dictionary from the file exists any more.
"""

import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ami_bridge.core.call_events import HangupDialect
from ami_bridge.errors import ConfigError, Problem
from ami_bridge.settings import Config, PbxSettings, StoreSettings

from .calls import read_calls
from .connection import read_asterisks
from .delivery import read_delivery
from .requests import read_requests
from .secrets import SecretPlaces
from .section import Section
from .store import default_path, read_store

__all__ = ["load_config", "read_rules"]

#: Where the message of a TOML error ends and its place begins.
_PLACE = re.compile(r" \(at (?P<place>line \d+, column \d+|end of document)\)\Z")


def load_config(
    path: Path | None,
    environ: Mapping[str, str] = os.environ,
    *,
    secret_needed: bool = True,
    credentials_needed: bool = True,
) -> Config:
    """
    Read the rules in the file *path*, or give the built-in defaults for None.

    Raise `ConfigError` with all problems found. Where the PBX's secret is not needed, as
    for a replay, one that cannot be read is a warning and not a problem; so it is with what
    receivers know the bridge by, where nothing is sent.
    """
    if path is None:
        return Config(store=StoreSettings(default_path(environ)))
    return read_rules(
        _parse(path),
        path,
        environ,
        secret_needed=secret_needed,
        credentials_needed=credentials_needed,
    )


def read_rules(
    table: Mapping[str, Any],
    path: Path,
    environ: Mapping[str, str],
    *,
    secret_needed: bool = True,
    credentials_needed: bool = True,
) -> Config:
    """
    Read the rules in *table*, which was found in the file *path*.
    """
    problems: list[Problem] = []
    warnings: list[Problem] = []
    rules = Section(table, "", problems, warnings)
    dialect = rules.choice("hangup_status", HangupDialect.SIMPLE)
    asterisks = read_asterisks(rules, path.parent, environ, secret_needed=secret_needed)
    calls = read_calls(rules)
    delivery = read_delivery(rules, path.parent)
    store = read_store(rules, path.parent, environ)
    secrets = SecretPlaces(path.parent, environ, needed=credentials_needed)
    requests = read_requests(rules, calls.default_tenant, secrets, delivery.destinations)
    rules.finish()
    if problems:
        raise ConfigError(path, problems)
    pbxs = tuple(
        PbxSettings(asterisk, calls.of(asterisk.name, asterisk.default_tenant))
        for asterisk in asterisks
    )
    return Config(pbxs, dialect, delivery, store, requests, path, tuple(warnings))


def _parse(path: Path) -> dict[str, Any]:
    try:
        octets = path.read_bytes()
    except OSError as error:
        raise ConfigError(path, [Problem("", f"cannot be read: {error.strerror}")]) from error
    try:
        # Windows' editors like to begin a file with a byte order mark.
        text = octets.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = octets.count(b"\n", 0, error.start) + 1
        problem = Problem(f"line {line}", "not UTF-8 text, as TOML has to be")
        raise ConfigError(path, [problem]) from error
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(path, [_syntax_problem(str(error), text)]) from error


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
