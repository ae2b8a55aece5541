"""
Reads rules.toml into a frozen `Config`, or names every mistake in it at once.

`load_config` is the door; behind it, one module reads one part of the file, and after it
no dictionary from the file exists any more.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ami_bridge.core.call_events import HangupDialect
from ami_bridge.errors import ConfigError, Problem
from ami_bridge.settings import Config, PbxSettings, StoreSettings

from .calls import read_calls
from .connection import read_asterisks
from .control import read_control
from .delivery import read_delivery
from .requests import read_requests
from .secrets import SecretPlaces
from .section import Section
from .store import default_path, read_store
from .toml_text import decode, parse, read_octets

__all__ = ["load_config", "read_rules"]


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
        parse(decode(read_octets(path), path), path),
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
    control = read_control(rules, secrets, path.parent, environ)
    rules.finish()
    if problems:
        raise ConfigError(path, problems)
    pbxs = tuple(
        PbxSettings(asterisk, calls.of(asterisk.name, asterisk.default_tenant))
        for asterisk in asterisks
    )
    return Config(pbxs, dialect, delivery, store, control, requests, path, tuple(warnings))
