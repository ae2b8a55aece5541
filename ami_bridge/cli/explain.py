"""
``ami-bridge explain``: why a call event was said, or was not.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from ami_bridge.adapters.recording import Recording
from ami_bridge.core.ami_fast_lane import read_message
from ami_bridge.core.explaining import Explainer
from ami_bridge.errors import RecordingError
from ami_bridge.settings import Config

from .asking import ask, bridge_options, clock, find_socket, json_option
from .columns import visible
from .options import load_rules, one_pbx, pbx_option

_INDENT = " " * 14


@click.command("explain", short_help="Say why a call event was said, or was not.")
@click.argument("call_id", required=False, metavar="[CALLID]")
@click.option(
    "-f",
    "--from",
    "files",
    multiple=True,
    metavar="FILE",
    type=click.Path(exists=True, dir_okay=False, allow_dash=True),
    help="A recording to explain, instead of what the running bridge keeps. May be repeated.",
)
@bridge_options
@pbx_option
@json_option
def command(
    call_id: str | None,
    files: tuple[str, ...],
    rules: Path | None,
    socket: Path | None,
    pbx: str | None,
    *,
    as_json: bool,
) -> None:
    """
    Say what Asterisk said of a call, which call events followed, which requests of the rules
    were told of them and which were not, and why; and what came of the deliveries.

    CALLID is the parameter of that name in every notification. The running bridge keeps what
    Asterisk said for as long as it keeps deliveries. Of a recording (--from) CALLID may be left
    out: then all of its calls are explained.

    \b
    ami-bridge explain 1795407850.42
    ami-bridge explain --from calls.ami --rules rules.toml
    """
    damage: list[RecordingError] = []
    if files:
        config = one_pbx(load_rules(rules, secret_needed=False), pbx)
        found = _of_recordings(files, call_id, config, damage)
    elif call_id is None:
        raise click.UsageError("which call? Give its CallID, or a recording with --from FILE")
    else:
        found = ask(
            find_socket(rules, socket),
            lambda client: client.get("/api/v1/explain", {"call_id": call_id}),
        )
    if as_json:
        click.echo(json.dumps(found, ensure_ascii=False))
    else:
        for line in _lines(found):
            click.echo(line)
    if damage:
        raise damage[0]
    if not found["steps"]:
        raise click.exceptions.Exit(1)


def _of_recordings(
    files: tuple[str, ...], call_id: str | None, config: Config, damage: list[RecordingError]
) -> dict[str, Any]:
    explainer = Explainer(call_id, config.correlator, config.rules, read_message)
    for file in files:
        try:
            for message, time in Recording(file).messages():
                explainer.take(message, time)
        except RecordingError as error:
            damage.append(error)
    return {
        "call_id": call_id,
        "pbx": config.asterisk.name,
        "steps": [step.as_json() for step in explainer.steps()],
        "deliveries": [],
    }


def _lines(found: dict[str, Any]) -> Iterator[str]:
    if not found["steps"]:
        call = "any call" if found["call_id"] is None else f"a call {found['call_id']}"
        yield f"Nothing is known of {call}."
        return
    outcomes = {delivery["id"]: delivery for delivery in found["deliveries"]}
    for step in found["steps"]:
        yield _event(step)
        for anomaly in step["anomalies"]:
            yield _INDENT + click.style(f"odd: {anomaly}", fg="yellow")
        for said in step["said"]:
            what = f"{said['event']} of {said['extension']}, {said['call_status']}"
            yield f"{_INDENT}{click.style(f'→ {what}', fg='green', bold=True)}"
            if not said["rules"]:
                yield f"{_INDENT}  the rules have no requests"
            for rule in said["rules"]:
                yield f"{_INDENT}  {_verdict(rule, outcomes.get(rule['delivery']))}"


def _event(step: dict[str, Any]) -> str:
    event = click.style(f"{step['event']:<11}", fg="cyan")
    return f"{_moment(step['time'])}  {event}  {visible(step['summary'])}"


def _moment(time: float | None) -> str:
    """
    Write a time to the millisecond.
    """
    return " " * 12 if time is None else f"{clock(time)}.{int(time * 1000) % 1000:03}"


def _verdict(rule: dict[str, Any], delivery: dict[str, Any] | None) -> str:
    if rule["why_not"]:
        return click.style(f"· {rule['rule_id']}: no, it {rule['why_not']}", dim=True)
    if delivery is None:
        return f"✓ {rule['rule_id']}: would be told now, as {rule['delivery']}"
    outcome = delivery["state"]
    if delivery["status"] is not None:
        outcome += f", answer {delivery['status']}"
    if delivery["reason"]:
        outcome += f": {visible(delivery['reason'])}"
    return f"✓ {rule['rule_id']}: {outcome} ({delivery['id']})"
