"""
What the commands have in common that ask the running bridge.
"""

import asyncio
import contextlib
import json
import sys
import time
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar

import click

from ami_bridge.config import load_config
from ami_bridge.control.client import ControlClient, socket_of
from ami_bridge.errors import BridgeUnreachable

from .options import find_rules, rules_option

_F = Callable[..., Any]
_Result = TypeVar("_Result")

#: How often a watched display is made anew, in seconds.
_WATCH_SECONDS = 1.0
#: Back to the first column of the first line, and what is below it goes.
_REDRAW = "\x1b[H\x1b[J"


def bridge_options(command: _F) -> _F:
    """
    Give *command* the options that say which bridge is meant: ``--rules`` and ``--socket``.
    """
    command = click.option(
        "--socket",
        type=click.Path(path_type=Path),
        envvar="AMI_BRIDGE_SOCKET",
        show_envvar=True,
        help="The bridge's control socket. Default: what the rules say, else "
        "/run/ami-bridge/control.sock.",
    )(command)
    return rules_option(command)


def watch_option(command: _F) -> _F:
    """
    Give *command* the option ``--watch``.
    """
    return click.option(
        "-w", "--watch", is_flag=True, help="Show it anew every second, until Ctrl-C."
    )(command)


def json_option(command: _F) -> _F:
    """
    Give *command* the option ``--json``, as *as_json*.
    """
    return click.option("--json", "as_json", is_flag=True, help="As JSON, for programs.")(command)


def find_socket(rules: Path | None, socket: Path | None) -> Path:
    """
    Find the socket of the bridge that the options mean.
    """
    if socket is not None:
        return socket
    # What in the rules deserves a second look is for `check` to say, not for every question.
    return socket_of(load_config(find_rules(rules), secret_needed=False, credentials_needed=False))


def ask(path: Path, question: Callable[[ControlClient], Awaitable[_Result]]) -> _Result:
    """
    Ask the bridge at the socket *path* one *question*.
    """

    async def asked() -> _Result:
        async with ControlClient(path) as client:
            return await question(client)

    return asyncio.run(asked())


def show(
    path: Path,
    question: Callable[[ControlClient], Awaitable[Any]],
    lines: Callable[[Any], Iterable[str]],
    *,
    as_json: bool,
    watch: bool,
) -> None:
    """
    Show what the bridge answers: as *lines* for eyes or as JSON, once or for as long as watched.
    """
    if not watch:
        _print(ask(path, question), lines, as_json=as_json)
        return
    on_screen = sys.stdout.isatty() and not as_json
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_watch(path, question, lines, as_json=as_json, on_screen=on_screen))


async def _watch(
    path: Path,
    question: Callable[[ControlClient], Awaitable[Any]],
    lines: Callable[[Any], Iterable[str]],
    *,
    as_json: bool,
    on_screen: bool,
) -> None:
    async with ControlClient(path) as client:
        while True:
            try:
                found = await question(client)
            except BridgeUnreachable as error:
                # It may be on its way up again.
                click.echo(f"{_REDRAW if on_screen else ''}{error}", err=not on_screen)
            else:
                click.echo(_REDRAW, nl=False) if on_screen else None
                _print(found, lines, as_json=as_json)
            sys.stdout.flush()
            await asyncio.sleep(_WATCH_SECONDS)


def _print(found: Any, lines: Callable[[Any], Iterable[str]], *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(found, ensure_ascii=False))
        return
    for line in lines(found):
        click.echo(line)


def clock(moment: float | None) -> str:
    """
    Write a *moment* in local time: with its day, if that is not today.
    """
    if moment is None:
        return ""
    when = time.localtime(moment)
    today = when[:3] == time.localtime()[:3]
    return time.strftime("%H:%M:%S" if today else "%Y-%m-%d %H:%M:%S", when)
