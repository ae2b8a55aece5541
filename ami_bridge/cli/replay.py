"""
``ami-bridge replay``: what the bridge would say of recorded calls.
"""

import asyncio
import contextlib
import json
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click

from ami_bridge.adapters.outbox import InMemoryOutbox
from ami_bridge.adapters.recording import TimedEvent, read_events
from ami_bridge.adapters.sender import Sender
from ami_bridge.core.call_events import CallEvent, HangupDialect, parameters
from ami_bridge.core.deliveries import Delivery
from ami_bridge.errors import RecordingError
from ami_bridge.logs import log_to
from ami_bridge.pipeline import Pipeline

from .call_table import CallTable
from .options import load_rules, rules_option

#: Files smaller than this are replayed before a progress bar could be read.
_LONG_BYTES = 4 * 1024 * 1024


class Speed(click.ParamType):  # type: ignore[type-arg]  # generic since click 8.4 only
    """
    How fast recorded time passes: ``max``, or a factor.
    """

    name = "speed"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """
        Give the factor; 0 stands for ``max``.
        """
        if value == "max":
            return 0.0
        try:
            factor = float(value)
        except ValueError:
            factor = -1.0
        if factor <= 0:
            self.fail(f"{value!r} is neither max nor a factor such as 1 or 10", param, ctx)
        return factor


def json_line(call_event: CallEvent, dialect: HangupDialect = HangupDialect.SIMPLE) -> str:
    """
    Write *call_event* as ``--output jsonl`` prints it, a public interface: see docs/payload.md.
    """
    return json.dumps(
        {
            "event": call_event.type.value,
            "extension": call_event.extension,
            "time": call_event.time,
            "parameters": parameters(call_event, dialect),
        },
        ensure_ascii=False,
    )


@click.command("replay")
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@rules_option
@click.option(
    "-o",
    "--output",
    type=click.Choice(["table", "jsonl"]),
    default="table",
    show_default=True,
    help="A table for eyes, grouped by call, or one JSON object a line.",
)
@click.option("--requests", is_flag=True, help="Print the HTTP requests that the rules would send.")
@click.option("--send", is_flag=True, help="Really send them. Without it nothing is sent.")
@click.option(
    "--speed",
    type=Speed(),
    default="max",
    show_default=True,
    help="max, or how many times faster than recorded.",
)
def command(
    files: tuple[str, ...],
    rules: Path | None,
    output: str,
    requests: bool,  # noqa: FBT001
    send: bool,  # noqa: FBT001
    speed: float,
) -> None:
    """
    Replay recordings of AMI streams and say what the bridge says of them.

    FILE is a recording (NAME.ami, with NAME.ts beside it), a log of a telnet session, JSON of
    event headers, each also as .gz, or - for standard input. Several files are one PBX's history,
    one after the other.
    """
    config = load_rules(rules, secret_needed=False)
    pipeline = Pipeline(config)
    damage: list[RecordingError] = []
    events = _paced(_all_events(files, damage), speed)
    calls = _Calls(pipeline, _printer(pipeline, output, requests=requests))
    if send:
        log_to(level="warning")
        asyncio.run(_send(calls, events))
    else:
        for ami_event in events:
            calls.take(ami_event)
    calls.finish()
    if damage:
        raise damage[0]


class _Calls:
    """
    The pipeline of a replay, with what is printed of it.
    """

    def __init__(self, pipeline: Pipeline, printer: "_Printer") -> None:
        self.pipeline = pipeline
        self._printer = printer

    def take(self, timed: TimedEvent) -> list[Delivery]:
        """
        Replay one AMI event; give the deliveries that follow.
        """
        call_events = self.pipeline.take((timed,))
        if not call_events:
            return []
        deliveries = self.pipeline.owe(call_events, time.time())
        self._printer.show(call_events, deliveries)
        return deliveries

    def finish(self) -> None:
        """
        Print what is left, and what was odd.
        """
        pipeline = self.pipeline
        while (due := pipeline.correlator.next_deadline()) is not None:
            left = pipeline.sift(pipeline.correlator.tick(due))
            self._printer.show(left, pipeline.owe(left, time.time()))
        self._printer.finish()
        for kind, count in pipeline.anomalies.most_common():
            click.secho(f"odd: {count} x {kind}", err=True, dim=True)
        open_legs = len(pipeline.correlator.open_legs)
        if open_legs:
            click.secho(f"{open_legs} legs are still open at the end", err=True, dim=True)


class _Printer:
    """
    Prints call events line by line, each as *line* gives it.
    """

    def __init__(self, line: Callable[[CallEvent], str]) -> None:
        self._line = line

    def show(self, call_events: list[CallEvent], _deliveries: list[Delivery]) -> None:
        """
        Print what was just said.
        """
        for call_event in call_events:
            click.echo(self._line(call_event))

    def finish(self) -> None:
        """
        Print what was held back.
        """


class _TablePrinter(_Printer):
    def __init__(self, dialect: HangupDialect) -> None:
        self._table = CallTable(dialect)

    def show(self, call_events: list[CallEvent], _deliveries: list[Delivery]) -> None:
        for call_event in call_events:
            for line in self._table.add(call_event):
                click.echo(line)

    def finish(self) -> None:
        for line in self._table.rest():
            click.echo(line)


class _RequestPrinter(_Printer):
    def __init__(self) -> None:
        pass

    def show(self, _call_events: list[CallEvent], deliveries: list[Delivery]) -> None:
        for delivery in deliveries:
            request = delivery.request
            click.echo(f"{click.style(request.method.value, fg='cyan')} {request.url}")
            for name, value in request.headers.items():
                click.secho(f"{name}: {value}", dim=True)
            if request.body is not None:
                click.echo(f"\n{request.body.decode()}")
            click.echo()


def _printer(pipeline: Pipeline, output: str, *, requests: bool) -> _Printer:
    dialect = pipeline.config.hangup_dialect
    if requests:
        return _RequestPrinter()
    if output == "jsonl":
        return _Printer(lambda call_event: json_line(call_event, dialect))
    return _TablePrinter(dialect)


def _all_events(files: tuple[str, ...], damage: list[RecordingError]) -> Iterator[TimedEvent]:
    """
    Read all files; what is damaged is kept for the end, when everything readable was shown.
    """
    for file in files:
        with contextlib.ExitStack() as stack:
            try:
                yield from read_events(file, _progress(file, stack))
            except RecordingError as error:
                damage.append(error)


def _progress(file: str, stack: contextlib.ExitStack) -> Callable[[int], None] | None:
    if file == "-" or not sys.stderr.isatty():
        return None
    size = Path(file).stat().st_size
    if size < _LONG_BYTES:
        return None
    bar = stack.enter_context(click.progressbar(length=size, label=file, file=sys.stderr))
    return lambda read: bar.update(read - bar.pos)


def _paced(events: Iterator[TimedEvent], speed: float) -> Iterator[TimedEvent]:
    """
    Hold events back until their time, *speed* times faster than recorded; 0 holds nothing.
    """
    begun = time.monotonic()
    first: float | None = None
    for ami_event, at in events:
        if speed and at is not None:
            first = at if first is None else first
            wait = (at - first) / speed - (time.monotonic() - begun)
            if wait > 0:
                time.sleep(wait)
        yield ami_event, at


async def _send(calls: _Calls, events: Iterator[TimedEvent]) -> None:
    """
    Replay and send; reading and waiting happen off the loop, so that sending goes on.
    """
    settings = calls.pipeline.config.delivery
    outbox = InMemoryOutbox()
    async with Sender(outbox, settings) as sender:
        sending = asyncio.create_task(sender.run(), name="sender")
        while (timed := await asyncio.to_thread(next, events, None)) is not None:
            if deliveries := calls.take(timed):
                await outbox.put(deliveries)
        left = await sender.drain(settings.time_to_live_seconds)
        sending.cancel()
    if left:
        click.secho(f"{left} requests were not delivered", err=True, fg="red")
