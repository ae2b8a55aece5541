"""
``ami-bridge status``: how the running bridge is.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from ami_bridge.core.moments import lasting

from .asking import (
    bridge_options,
    clock,
    find_socket,
    json_option,
    show,
    watch_option,
)
from .columns import table, visible

_WIDEST = 48
_LINKS = {"connected": "green", "connecting": "yellow", "lost": "red", "refused": "red"}


@click.command("status")
@bridge_options
@watch_option
@json_option
def command(rules: Path | None, socket: Path | None, *, watch: bool, as_json: bool) -> None:
    """
    Say how the running bridge is: its PBXs, its destinations, what waits.

    The bridge needs a table [control] in its rules. Exit code 69 if no bridge answers.

    \b
    ami-bridge status --watch
    ami-bridge status --json | jq '.destinations[] | select(.waiting > 0)'
    """
    show(
        find_socket(rules, socket),
        lambda client: client.get("/api/v1/status"),
        _lines,
        as_json=as_json,
        watch=watch,
    )


def _lines(status: dict[str, Any]) -> Iterator[str]:
    now = status["now"]
    running = lasting(now - status["started"])
    requests = f"{status['requests']} requests, {status['requests_enabled']} enabled"
    name = click.style("ami-bridge", bold=True)
    yield f"{name} {status['version']}, up for {running}; {requests}"
    if status["rules_refused"]:
        yield click.style("The rules file is refused, older rules are in force:", fg="red")
        yield from (f"  {visible(line)}" for line in status["rules_refused"].splitlines())
    for pause in status["paused"]:
        since = f"since {clock(pause['since'])}: {visible(pause['reason'])}"
        yield click.style(f"Request {pause['id']} is paused {since}", fg="yellow")
    yield ""
    for pbx in status["pbxs"]:
        yield from _pbx(pbx, now)
    yield from _store(status["store"])
    rates = status["rates"]
    yield (
        f"Last minute: {rates['ami_events']} AMI events, {rates['call_events']} call events, "
        f"{rates['attempts']} attempts"
    )
    yield ""
    if status["destinations"]:
        yield from _destinations(status["destinations"], now)
    else:
        yield "No destination was told of anything yet."


def _pbx(pbx: dict[str, Any], now: float) -> Iterator[str]:
    state = click.style(pbx["state"], fg=_LINKS[pbx["state"]])
    title = " ".join(filter(None, ("PBX", pbx["name"], pbx["address"])))
    since = pbx["connected_since"]
    line = f"{title}: {state}"
    if since is not None:
        line += f" since {clock(since)}, for {lasting(now - since)}"
    if pbx["asterisk_version"]:
        line += f"; Asterisk {visible(pbx['asterisk_version'])}"
    yield line
    if pbx["error"]:
        yield f"  {visible(pbx['error'])}"
    if pbx["next_attempt"] is not None and pbx["next_attempt"] > now:
        yield f"  next attempt in {lasting(pbx['next_attempt'] - now)}"
    last = pbx["last_event"]
    heard = "none yet" if last is None else f"the last one {lasting(now - last)} ago"
    yield f"  channels: {pbx['channels']}, open legs: {pbx['open_legs']}"
    yield (
        f"  {pbx['ami_events']} AMI events, {heard}; {pbx['logins']} logins, "
        f"{pbx['resynchronisations']} resynchronisations"
    )


def _store(store: dict[str, Any]) -> Iterator[str]:
    where = store["path"] or "in memory alone"
    if store["trouble"]:
        yield f"Store {where}: {click.style(visible(store['trouble']), fg='red')}"
    else:
        yield f"Store {where}: well"
    if store["backlog"]:
        yield f"  {store['backlog']} reads of AMI wait to be kept"


def _destinations(destinations: list[dict[str, Any]], now: float) -> Iterator[str]:
    headings = ("destination", "waiting", "paused", "given up", "delivered", "oldest", "breaker")
    rows = [
        (
            one["destination"],
            str(one["waiting"]),
            str(one["paused"]),
            str(one["given_up"]),
            str(one["delivered"]),
            "" if one["oldest_waiting"] is None else lasting(now - one["oldest_waiting"]),
            _breaker(one, now),
        )
        for one in destinations
    ]
    yield from table(headings, rows, _WIDEST)


def _breaker(destination: dict[str, Any], now: float) -> str:
    words = str(destination["breaker"])
    if destination["open_until"] is not None and destination["open_until"] > now:
        words += f" for {lasting(destination['open_until'] - now)}"
    if destination["last_error"]:
        words += f": {destination['last_error']}"
    return words
