"""
Options that several commands have.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from ami_bridge.config import load_config
from ami_bridge.settings import Config

_F = Callable[..., Any]

#: Where the rules of an installed bridge are.
SYSTEM_RULES = Path("/etc/ami-bridge/rules.toml")


def rules_option(command: _F) -> _F:
    """
    Give *command* the option ``--rules``.
    """
    return click.option(
        "-r",
        "--rules",
        type=click.Path(dir_okay=False, path_type=Path),
        envvar="AMI_BRIDGE_RULES",
        show_envvar=True,
        help="The rules file. Default: rules.toml here, else /etc/ami-bridge/rules.toml, "
        "else the built-in defaults.",
    )(command)


def find_rules(given: Path | None) -> Path | None:
    """
    Find the rules file: the one that was *given*, or the first of the usual places.
    """
    if given is not None:
        return given
    here = Path("rules.toml")
    return next((path for path in (here, SYSTEM_RULES) if path.exists()), None)


def load_rules(given: Path | None, *, secret_needed: bool) -> Config:
    """
    Load the rules, and show what in them deserves a second look.
    """
    config = load_config(find_rules(given), os.environ, secret_needed=secret_needed)
    for problem in config.warnings:
        click.secho(f"{config.source}: {problem.path}: {problem.message}", err=True, fg="yellow")
    return config
