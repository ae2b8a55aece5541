"""
Options that several commands have.
"""

import contextlib
import math
import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click

from ami_bridge.config import load_config
from ami_bridge.config.section import did_you_mean
from ami_bridge.settings import Config

_F = Callable[..., Any]

#: Where the rules of an installed bridge are.
SYSTEM_RULES = Path("/etc/ami-bridge/rules.toml")


class NumberRange(click.FloatRange):
    """
    A number in a range: `nan` and `inf` are none.
    """

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """
        Give *value* as a number.
        """
        number: float = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value!r} is not a number of any use here", param, ctx)
        return number


@contextlib.contextmanager
def listening_on(host: str, port: int) -> Iterator[None]:
    """
    Have an OSError of the block, which begins to listen, name the address and what to do.
    """
    try:
        yield
    except socket.gaierror as error:
        reason = f"{error.strerror}; --host is a name or an address of this machine"
        raise OSError(error.errno, reason, host) from error
    except OSError as error:
        # asyncio repeats the address in the error's own text.
        reason = os.strerror(error.errno) if error.errno else str(error)
        reason += "; --port names another port, and 0 one that is free"
        raise OSError(error.errno, reason, f"{host}:{port}") from error


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


def pbx_option(command: _F) -> _F:
    """
    Give *command* the option ``--pbx``.
    """
    return click.option(
        "--pbx",
        metavar="NAME",
        help="Which one, where the rules have several PBXs. Default: the first.",
    )(command)


def one_pbx(config: Config, name: str | None) -> Config:
    """
    Give *config* with the PBX called *name* alone; None stands for the first.
    """
    names = [pbx.name for pbx in config.pbxs]
    found = config.only(names[0] if name is None else name)
    if found is None:
        suggestion = did_you_mean(name or "", names) if any(names) else "it has no name"
        raise click.BadParameter(
            f"no PBX called {name!r} in the rules; {suggestion}", param_hint="--pbx"
        )
    return found


def find_rules(given: Path | None) -> Path | None:
    """
    Find the rules file: the one that was *given*, or the first of the usual places.
    """
    if given is not None:
        return given
    here = Path("rules.toml")
    return next((path for path in (here, SYSTEM_RULES) if _is_there(path)), None)


def _is_there(path: Path) -> bool:
    """
    Tell whether *path* names something, although it may not be readable or lead nowhere.

    Such rules are a mistake to be told; without them others would hold.
    """
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True
    return True


def load_rules(
    given: Path | None, *, secret_needed: bool, credentials_needed: bool = False
) -> Config:
    """
    Load the rules, and show what in them deserves a second look.

    That is all that is said of secrets that cannot be read and are not needed.
    """
    config = load_config(
        find_rules(given),
        os.environ,
        secret_needed=secret_needed,
        credentials_needed=credentials_needed,
    )
    for problem in config.warnings:
        click.secho(f"{config.source}: {problem.path}: {problem.message}", err=True, fg="yellow")
    return config
