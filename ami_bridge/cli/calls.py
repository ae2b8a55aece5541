"""
``ami-bridge calls``: the calls that are up now.
"""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from ami_bridge.core.moments import lasting

from .asking import bridge_options, find_socket, json_option, show, watch_option
from .columns import table

_WIDEST = 32


@click.command("calls")
@bridge_options
@watch_option
@json_option
def command(rules: Path | None, socket: Path | None, *, watch: bool, as_json: bool) -> None:
    """
    Show the calls that are up now: who with whom, for how long, and how far.

    One line for each extension's part in a call. The bridge needs a table [control] in its
    rules.

    \b
    ami-bridge calls --watch
    """
    show(
        find_socket(rules, socket),
        lambda client: client.get("/api/v1/calls"),
        _lines,
        as_json=as_json,
        watch=watch,
    )


def _lines(found: dict[str, Any]) -> Iterator[str]:
    calls = found["calls"]
    if not calls:
        yield "No calls."
        return
    now = time.time()
    headings = ("CallID", "extension", "", "with", "state", "for")
    rows = [
        (
            call["call_id"] if index == 0 else "",
            leg["extension"],
            "←" if leg["call_flow"] == "IN" else "→",
            other_party(leg),
            leg["state"],
            _for_how_long(leg, now),
        )
        for call in calls
        for index, leg in enumerate(call["legs"])
    ]
    yield from table(headings, rows, _WIDEST)


def other_party(leg: dict[str, Any]) -> str:
    """
    Say who is at the other end of *leg*.
    """
    if leg["call_flow"] == "IN":
        return f"{leg['caller_id_num']} {leg['caller_id_name']}".strip() or "unknown"
    return leg["called_number"] or leg["called_extension"] or "unknown"


def _for_how_long(leg: dict[str, Any], now: float) -> str:
    since = leg["answered_at"] or leg["dialled_at"]
    return "" if since is None else lasting(now - since)
