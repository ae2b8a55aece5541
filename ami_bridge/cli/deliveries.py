"""
``ami-bridge deliveries``: what was sent, what waits and what was given up.
"""

import csv
import json
import re
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from ami_bridge.adapters.store import DeliveryState
from ami_bridge.control.client import ControlClient
from ami_bridge.core.call_events import EventType
from ami_bridge.core.moments import lasting

from .asking import ask, bridge_options, clock, find_socket, json_option
from .columns import table, visible

_F = Callable[..., Any]
Filters = dict[str, Any]

_API = "/api/v1/deliveries"
_WIDEST = 40
#: Deliveries that are asked for at once.
_PAGE = 500
_AGO = re.compile(r"(?P<number>\d+(?:\.\d+)?)\s*(?P<unit>[smhd])")
_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
_COLOURS = {"delivered": "green", "given up": "red", "waiting": "yellow", "paused": "yellow"}
#: Columns of an export, in this order; they are names of the API.
_COLUMNS = (
    *("id", "request_id", "event", "extension", "call_id", "destination", "method", "url"),
    *("state", "created", "expires", "due", "settled", "attempts", "status", "seconds", "reason"),
)


class Moment(click.ParamType):  # type: ignore[type-arg]  # generic since click 8.4 only
    """
    A moment: so long ago (``2h``), or a date and time.
    """

    name = "moment"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """
        Give it in seconds since the epoch.
        """
        if isinstance(value, float):
            return value
        if found := _AGO.fullmatch(str(value).strip()):
            return time.time() - float(found["number"]) * _UNITS[found["unit"]]
        try:
            # One without an offset is meant in local time.
            return datetime.fromisoformat(str(value)).timestamp()
        except (ValueError, OverflowError):
            self.fail(
                f"{value!r} is neither a time ago such as 30m, 2h or 1d, nor a date and time such "
                "as 2026-11-23T09:30",
                param,
                ctx,
            )


_state_option = click.option(
    "--state",
    multiple=True,
    type=click.Choice([state.value for state in DeliveryState], case_sensitive=False),
    help="May be repeated.",
)


def _filters(command: _F) -> _F:
    """
    Give *command* the options that say which deliveries are meant.
    """
    for option in (
        click.option("--until", type=Moment(), help="Made before: 30m, 2h, 1d ago, or a date."),
        click.option("--since", type=Moment(), help="Made at or after: as --until."),
        click.option("--request", "request_id", metavar="ID", help="Of this call-event request."),
        click.option(
            "--event",
            type=click.Choice([event.value for event in EventType], case_sensitive=False),
            help="Of this call event.",
        ),
        click.option("--call", "call_id", metavar="CALLID", help="Of this call."),
        click.option(
            "--extension", multiple=True, metavar="PATTERN", help="As in the rules: 0003*001, 0003*"
        ),
        click.option("--destination", metavar="URL", help="Scheme, host and port."),
    ):
        command = option(command)
    return command


def _asked(options: dict[str, Any]) -> Filters:
    return {name: value for name, value in options.items() if value not in (None, ())}


@click.group("deliveries")
def command() -> None:
    """
    Look at notifications: what was sent, what waits, what was given up. Send again, or drop.

    The bridge has to run, with a table [control] in its rules.

    \b
    ami-bridge deliveries list --state 'given up' --since 2h
    ami-bridge deliveries show ID
    ami-bridge deliveries retry --destination https://crm.example.org:443
    """


@command.command("list", short_help="List deliveries, the latest first.")
@_state_option
@_filters
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True, help="At most.")
@bridge_options
@json_option
def list_deliveries(
    rules: Path | None, socket: Path | None, limit: int, *, as_json: bool, **options: Any
) -> None:
    """
    List deliveries, the latest first.
    """

    async def question(client: ControlClient) -> list[dict[str, Any]]:
        return [one async for one in _all(client, _asked(options), limit)]

    found = ask(find_socket(rules, socket), question)
    if as_json:
        click.echo(json.dumps(found, ensure_ascii=False))
        return
    for line in _listed(found):
        click.echo(line)


@command.command("show", short_help="Show one delivery with all its attempts.")
@click.argument("delivery_id", metavar="ID")
@bridge_options
@json_option
def show_delivery(
    delivery_id: str, rules: Path | None, socket: Path | None, *, as_json: bool
) -> None:
    """
    Show one delivery: its request, with secrets masked, and every attempt.
    """
    found = ask(find_socket(rules, socket), lambda client: client.get(f"{_API}/{delivery_id}"))
    if as_json:
        click.echo(json.dumps(found, ensure_ascii=False))
        return
    for line in _in_full(found):
        click.echo(line)


@command.command("retry", short_help="Send again what was given up.")
@click.argument("ids", nargs=-1, metavar="[ID]...")
@_filters
@click.option("--all", "everything", is_flag=True, help="All that were given up.")
@bridge_options
def retry(
    ids: tuple[str, ...],
    rules: Path | None,
    socket: Path | None,
    *,
    everything: bool,
    **options: Any,
) -> None:
    """
    Owe given-up deliveries once more: those named, or all that match the options.

    One that is named and waits for its next attempt is attempted at once.
    """
    count = _steer("retry", ids, _asked(options), find_socket(rules, socket), everything=everything)
    click.echo(f"{count} to be sent again")


@command.command("drop", short_help="Give up what waits.")
@click.argument("ids", nargs=-1, metavar="[ID]...")
@_filters
@click.option("--all", "everything", is_flag=True, help="All that are owed.")
@bridge_options
def drop(
    ids: tuple[str, ...],
    rules: Path | None,
    socket: Path | None,
    *,
    everything: bool,
    **options: Any,
) -> None:
    """
    Give up deliveries that are owed: those named, or all that match the options.

    They stay in the list, and can be sent again.
    """
    count = _steer("drop", ids, _asked(options), find_socket(rules, socket), everything=everything)
    click.echo(f"{count} given up")


@command.command("export", short_help="Write deliveries as CSV or lines of JSON.")
@_state_option
@_filters
@click.option("--format", "form", type=click.Choice(["csv", "jsonl"]), default="csv")
@click.option("-o", "--output", type=click.File("w", encoding="utf-8", lazy=False), default="-")
@bridge_options
def export(rules: Path | None, socket: Path | None, form: str, output: Any, **options: Any) -> None:
    """
    Write all deliveries that match, the latest first, as CSV or as lines of JSON.

    Times are seconds since the epoch.
    """

    async def question(client: ControlClient) -> int:
        count = 0
        async for one in _all(client, _asked(options), None):
            write(one)
            count += 1
        return count

    write = _writer(form, output)
    count = ask(find_socket(rules, socket), question)
    if output is not sys.stdout:
        click.echo(f"{count} written", err=True)


async def _all(
    client: ControlClient, filters: Filters, limit: int | None
) -> AsyncIterator[dict[str, Any]]:
    """
    Give the deliveries that match, page by page, at most *limit*.
    """
    left = limit
    cursor: str | None = None
    while left is None or left > 0:
        page = _PAGE if left is None else min(_PAGE, left)
        asked = filters | {"limit": page} | ({} if cursor is None else {"cursor": cursor})
        found = await client.get(_API, asked)
        for one in found["deliveries"]:
            yield one
        cursor = found["next"]
        left = None if left is None else left - len(found["deliveries"])
        if cursor is None:
            return


def _steer(
    what: str, ids: tuple[str, ...], filters: Filters, path: Path, *, everything: bool
) -> int:
    """
    Have *what* done to the deliveries with *ids*, or to all that match; give their number.
    """
    if ids and (filters or everything):
        raise click.UsageError("name deliveries, or say by options which ones; not both")
    if not ids and not filters and not everything:
        raise click.UsageError("which ones? Name them, say it by options, or say --all")

    async def question(client: ControlClient) -> int:
        for one in ids:
            await client.post(f"{_API}/{one}/{what}")
        count, more = len(ids), not ids
        while more:
            done = await client.post(f"{_API}/{what}", filters or {"all": True})
            count += done["changed"]
            # What is under way stays, and must not be asked for over and over.
            more = done["more"] and done["changed"] > 0
        return count

    return ask(path, question)


def _listed(found: list[dict[str, Any]]) -> Iterator[str]:
    if not found:
        yield "No deliveries."
        return
    headings = ("id", "time", "event", "extension", "CallID", "state", "tries", "destination", "")
    rows = [
        (
            one["id"],
            clock(one["created"]),
            one["event"],
            one["extension"],
            one["call_id"],
            one["state"],
            str(one["attempts"]),
            one["destination"],
            _outcome(one),
        )
        for one in found
    ]
    yield from table(headings, rows, _WIDEST)


def _outcome(one: dict[str, Any]) -> str:
    if one["status"] is not None:
        return f"answer {one['status']} after {one['settled'] - one['created']:.3f} s"
    if one["reason"]:
        return str(one["reason"])
    if one["due"] is not None and one["due"] > time.time():
        return f"next attempt in {lasting(one['due'] - time.time())}"
    return ""


def _in_full(one: dict[str, Any]) -> Iterator[str]:
    state = click.style(one["state"], fg=_COLOURS[one["state"]], bold=True)
    yield f"{click.style(one['id'], bold=True)}  {state}  {visible(_outcome(one))}".rstrip()
    yield f"{one['event']} of {one['extension']}, call {visible(one['call_id'])}"
    yield f"for request {one['request_id']}, made {clock(one['created'])}"
    if one["settled"] is None:
        yield f"given up at {clock(one['expires'])} if it is not delivered by then"
    yield ""
    request = one["request"]
    yield f"{click.style(request['method'], fg='cyan')} {visible(request['url'])}"
    for name, value in request["headers"].items():
        yield click.style(visible(f"{name}: {value}"), dim=True)
    if request["body"] is not None:
        yield ""
        yield visible(request["body"])
    yield ""
    if not one["tried"]:
        yield "No attempt failed."
    for attempt in one["tried"]:
        outcome = attempt["error"] or f"answer {attempt['status']}"
        yield (
            f"attempt {attempt['number']}  {clock(attempt['began'])}  "
            f"{attempt['seconds']:.3f} s  {visible(outcome)}  {visible(attempt['excerpt'])}"
        ).rstrip()


def _writer(form: str, output: Any) -> Callable[[dict[str, Any]], object]:
    if form == "jsonl":
        return lambda one: output.write(json.dumps(one, ensure_ascii=False) + "\n")
    rows = csv.DictWriter(output, _COLUMNS, lineterminator="\n")
    rows.writeheader()
    return lambda one: rows.writerow({name: _cell(one[name]) for name in _COLUMNS})


def _cell(value: object) -> object:
    """
    Keep spreadsheets from taking text for a formula.
    """
    if isinstance(value, str) and value[:1] in "=+-@\t\r" and value:
        return f"'{value}"
    return value
