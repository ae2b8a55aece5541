"""
``ami-bridge run``: the daemon.
"""

import asyncio
import gc
import logging
from pathlib import Path

import click

from ami_bridge.adapters.systemd import ServiceManager
from ami_bridge.config import load_config
from ami_bridge.daemon import Daemon
from ami_bridge.errors import AmiBridgeError
from ami_bridge.logs import log_to
from ami_bridge.settings import Config
from ami_bridge.signals import stop_on_signals

from . import event_loop
from .options import find_rules, rules_option

log = logging.getLogger(__name__)

#: So many more objects than before, and garbage is searched for.
_OBJECTS_BETWEEN_SEARCHES = 10_000


@click.command("run")
@rules_option
@click.option(
    "--log-format",
    type=click.Choice(["auto", "text", "json"]),
    default="auto",
    help="auto: text on a terminal, JSON lines elsewhere.",
)
@click.option(
    "--log-level",
    type=click.Choice(["debug", "info", "warning", "error"]),
    default="info",
    help="debug also shows numbers of callers.",
)
def command(rules: Path | None, log_format: str, log_level: str) -> None:
    """
    Attach to the PBX and notify, until SIGTERM or SIGINT.

    The first signal lets what is owed be delivered (delivery.drain_seconds), a second one ends
    at once. SIGHUP, or a change of the file, loads the rules again; rules with a mistake are
    refused and the old ones stay in force.
    """
    path = find_rules(rules)
    config = load_config(path)
    log_to(level=log_level, form=log_format)
    for problem in config.warnings:
        log.warning("rules", extra={"key": problem.path, "problem": problem.message})
    enabled = sum(rule.enabled for rule in config.rules)
    fields = {"rules": str(config.source or "none, the defaults hold"), "requests": enabled}
    if enabled:
        log.info("starting", extra=fields)
    else:
        log.warning("nobody will be told of anything: no request is enabled", extra=fields)
    _search_less_garbage()
    event_loop.run(_run(config, path))


def _search_less_garbage() -> None:
    """
    Let Python look through what is alive for cycles less often.

    It would do so for every 700 objects more, and with a long backlog that takes a fifth of the
    time. What is loaded by now stays, and is not looked through at all.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_OBJECTS_BETWEEN_SEARCHES)


async def _run(config: Config, path: Path | None) -> None:
    daemon = Daemon(config, load=lambda: load_config(path), service_manager=ServiceManager())
    stop = asyncio.Event()
    with stop_on_signals(stop):
        try:
            await daemon.run(stop)
        except ExceptionGroup as group:
            known, unknown = group.split(AmiBridgeError)
            if known is None or unknown is not None:
                raise
            raise _first(known) from group


def _first(error: Exception) -> Exception:
    """
    Give the first error in a group of groups.
    """
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    return error
