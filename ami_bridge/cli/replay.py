"""
``ami-bridge replay``: what the bridge says of recorded calls.
"""

import asyncio
import concurrent.futures
import itertools
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import click

from ami_bridge.adapters.memory_store import InMemoryStore
from ami_bridge.adapters.recording import Recording
from ami_bridge.adapters.sender import Sender
from ami_bridge.adapters.store import Changes, GivenUp
from ami_bridge.adapters.stored_bytes import STANDARD_INPUT
from ami_bridge.core.ami_events import NAMES_THAT_MATTER
from ami_bridge.core.ami_fast_lane import read_message
from ami_bridge.core.ami_stream import AmiMessage
from ami_bridge.core.call_events import CallEvent
from ami_bridge.core.channel_list import NAMES_OF_LISTS, ChannelLists
from ami_bridge.core.deliveries import Delivery
from ami_bridge.errors import RecordingError
from ami_bridge.logs import log_to
from ami_bridge.pipeline import Pipeline
from ami_bridge.settings import Config

from . import event_loop
from .options import load_rules, one_pbx, pbx_option, rules_option
from .printers import JsonLines, Printer, Requests, Table
from .progress import ProgressLine

#: Messages that are read at once while requests are sent; from a pipe one by one.
_BATCH = 256
#: Deliveries that may wait before the replay waits for the receivers.
_MOST_WAITING = 2000
#: No recording goes on after a longer pause; nor could Python wait for any time.
_LONGEST_WAIT_SECONDS = 366 * 86_400.0
#: A replay that delivered not everything ends so: EX_UNAVAILABLE.
_UNDELIVERED = 69

_Read = TypeVar("_Read")

TimedMessage = tuple[AmiMessage, float | None]


class Speed(click.ParamType):  # type: ignore[type-arg]  # generic since click 8.4 only
    """
    How fast recorded time passes: ``max``, or a factor.
    """

    name = "speed"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float | None:
        """
        Give the factor; None stands for ``max``.
        """
        if value == "max":
            return None
        try:
            factor = float(value)
        except ValueError:
            factor = 0.0
        if not 0 < factor < float("inf"):
            self.fail(f"{value!r} is neither max nor a factor such as 1 or 10", param, ctx)
        return factor


@click.command("replay", short_help="Say what the bridge says of recorded calls.")
@click.argument(
    "files",
    nargs=-1,
    required=True,
    metavar="FILE...",
    type=click.Path(exists=True, dir_okay=False, allow_dash=True),
)
@rules_option
@pbx_option
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
    metavar="max|N",
    help="N times as fast as recorded (1: real time), or as fast as it goes.",
)
def command(
    files: tuple[str, ...],
    rules: Path | None,
    pbx: str | None,
    output: str,
    requests: bool,
    send: bool,
    speed: float | None,
) -> None:
    """
    Replay recordings of AMI streams and say what the bridge says of them.

    FILE is a recording (NAME.ami, with NAME.ts beside it), a log of a telnet session, or JSON of
    event headers, each also as .gz; - is standard input. Several files are one PBX's history,
    one after the other.

    \b
    ami-bridge replay calls.ami
    ami-bridge replay calls.ami --output jsonl | jq .event
    ami-bridge replay calls.ami --rules rules.toml --requests
    """
    config = one_pbx(load_rules(rules, secret_needed=False, credentials_needed=send), pbx)
    replay = Replay(files, config, output=output, requests=requests, speed=speed)
    if send:
        log_to(level="warning")
        undelivered = event_loop.run(replay.send())
    else:
        undelivered = 0
        replay.run()
    if replay.damage:
        raise replay.damage[0]
    if undelivered:
        raise click.exceptions.Exit(_UNDELIVERED)


class Replay:
    """
    One replay of *files*, from the first to the last.
    """

    def __init__(
        self,
        files: tuple[str, ...],
        config: Config,
        *,
        output: str,
        requests: bool,
        speed: float | None,
    ) -> None:
        self._files = files
        self._config = config
        self._pipeline = Pipeline(config)
        self._lists = ChannelLists(lambda: self._pipeline.correlator.channels)
        self._progress = ProgressLine()
        self._printer = self._make_printer(output, requests=requests)
        self._pace = Pace(speed)
        self._oddities: Counter[str] = Counter()
        #: Messages that were read, and call events that were said.
        self._read = self._said = 0
        #: What was damaged; all of it was told but the first, which ends the command.
        self.damage: list[RecordingError] = []

    def run(self) -> None:
        """
        Replay, and send nothing.
        """
        for message, arrived in self._messages():
            if (wait := self._pace.wait_for(arrived)) > 0:
                time.sleep(wait)
            self._take(message, arrived)
        self._finish()

    async def send(self) -> int:
        """
        Replay, and send what the rules ask for; give the number that was not delivered.
        """
        settings, rules = self._config.delivery, self._config.rules
        messages = self._messages()
        size = 1 if STANDARD_INPUT in self._files else _BATCH
        owed = 0
        changed = asyncio.Event()
        # In memory: a replay that is broken off is simply run again. All that fails is counted.
        async with (
            InMemoryStore(most_given_up=sys.maxsize) as store,
            Sender(store, settings, rules) as sender,
        ):
            store.subscribe(changed.set)
            sending = asyncio.create_task(sender.run(), name="sender")
            # Reading may wait for a pipe; the loop must not.
            while batch := await _aside(lambda: list(itertools.islice(messages, size))):
                for message, arrived in batch:
                    if (wait := self._pace.wait_for(arrived)) > 0:
                        await asyncio.sleep(wait)
                    if deliveries := self._take(message, arrived):
                        owed += len(deliveries)
                        await store.keep(Changes(time.time(), deliveries))
                while sum((await store.waiting()).values()) > _MOST_WAITING:
                    changed.clear()
                    await changed.wait()
            deliveries = self._finish()
            owed += len(deliveries)
            await store.keep(Changes(time.time(), deliveries))
            left = await sender.drain(settings.drain_seconds)
            sending.cancel()
            for destination, health in sender.unwell.items() if left else ():
                self._say(f"{destination}: {health.error}", "red")
            return _tell_of_deliveries(owed, await store.given_up(owed), left)

    def _make_printer(self, output: str, *, requests: bool) -> Printer:
        dialect = self._config.hangup_dialect
        if requests:
            return Requests(self._echo, _in_words(self._config), as_json=output == "jsonl")
        if output == "jsonl":
            return JsonLines(self._echo, dialect)
        return Table(self._echo, dialect, self._config.pbxs[0].name)

    def _echo(self, line: str) -> None:
        self._progress.hide()
        click.echo(line)

    def _messages(self) -> Iterator[TimedMessage]:
        """
        Read all files; damage is kept until everything readable was replayed.
        """
        for file in self._files:
            recording = Recording(file)
            try:
                for message, arrived in recording.messages(NAMES_THAT_MATTER | NAMES_OF_LISTS):
                    self._progress.show(recording.name, recording.position, recording.total)
                    yield message, arrived if message.timestamp is None else message.timestamp
            except RecordingError as error:
                if self.damage:
                    self._say(str(error), "red")
                self.damage.append(error)
            self._oddities += recording.oddities
            for remark in recording.remarks:
                self._say(f"{recording.name}: {remark}", "yellow")

    def _take(self, message: AmiMessage, now: float | None) -> list[Delivery]:
        """
        Replay one message; give the deliveries that follow.
        """
        self._read += 1
        deliveries = self._pass_time(now)
        pipeline = self._pipeline
        listed = self._lists.take(message)
        if listed is not None:
            said = pipeline.correlator.resynchronise(listed.living, listed.known_before, now)
            deliveries += self._show(pipeline.sift(said))
        elif message.name and message.name not in NAMES_OF_LISTS:
            try:
                ami_event = read_message(message)
            except ValueError as error:
                self._oddities[str(error)] += 1
            else:
                if ami_event is not None:
                    deliveries += self._show(pipeline.take(((ami_event, now),)))
        self._printer.rest(lambda: pipeline.correlator.channels)
        return deliveries

    def _pass_time(self, now: float | None) -> list[Delivery]:
        """
        Do what became due before *now*; None means whatever is due at all.
        """
        correlator = self._pipeline.correlator
        deliveries: list[Delivery] = []
        while (due := correlator.next_deadline()) is not None and (now is None or due <= now):
            deliveries += self._show(self._pipeline.sift(correlator.tick(due)))
        return deliveries

    def _show(self, call_events: list[CallEvent]) -> list[Delivery]:
        deliveries: list[Delivery] = []
        for call_event in call_events:
            self._said += 1
            owed = self._pipeline.owe([call_event], time.time())
            self._printer.show(call_event, owed)
            deliveries += owed
        return deliveries

    def _finish(self) -> list[Delivery]:
        """
        Print what is left, then what was odd; give the deliveries that follow.
        """
        deliveries = self._pass_time(None)
        self._progress.hide()
        self._printer.finish()
        if not self._said:
            self._say(self._why_nothing(), "yellow")
        for kind, count in (self._oddities + self._pipeline.anomalies).most_common():
            self._say(f"odd: {count} x {kind}")
        open_legs = self._pipeline.correlator.open_legs
        if open_legs:
            extensions = ", ".join(sorted({leg.extension for leg in open_legs})[:10])
            legs = f"{len(open_legs)} leg{'s' if len(open_legs) > 1 else ''}"
            self._say(f"{legs} still open at the end: {extensions}")
        return deliveries

    def _why_nothing(self) -> str:
        if not self._read:
            return "no call events: there is no event of a call in it"
        return "no call events; `ami-bridge check` says which endpoints are extensions by the rules"

    def _say(self, sentence: str, colour: str | None = None) -> None:
        self._progress.hide()
        click.secho(sentence, err=True, fg=colour, dim=colour is None)


def _in_words(config: Config) -> str:
    """
    Say which rules *config* is, for somebody who misses requests.
    """
    if config.source is None:
        return "there is no rules file here, and --rules names none"
    enabled = sum(rule.enabled for rule in config.rules)
    return f"{config.source} has {enabled or 'no'} enabled request{'s' if enabled != 1 else ''}"


async def _aside(read: Callable[[], _Read]) -> _Read:
    """
    Have *read* wait in a thread that does not keep the process from ending.

    `asyncio.to_thread` has one that does: who interrupts would have to wait for the pipe.
    """
    done: concurrent.futures.Future[_Read] = concurrent.futures.Future()

    def work() -> None:
        try:
            done.set_result(read())
        except BaseException as error:  # noqa: BLE001 - whoever awaits it is told
            done.set_exception(error)

    threading.Thread(target=work, name="reading", daemon=True).start()
    return await asyncio.wrap_future(done)


class Pace:
    """
    Lets recorded time pass *factor* times as fast as it did; None: as fast as it goes.
    """

    def __init__(self, factor: float | None) -> None:
        self._factor = factor
        self._first: float | None = None
        self._begun = 0.0

    def wait_for(self, recorded: float | None) -> float:
        """
        Say how many seconds there are until *recorded*.
        """
        if self._factor is None or recorded is None:
            return 0.0
        if self._first is None:
            self._first, self._begun = recorded, time.monotonic()
        wait = (recorded - self._first) / self._factor - (time.monotonic() - self._begun)
        return min(wait, _LONGEST_WAIT_SECONDS)


def _tell_of_deliveries(owed: int, given_up: list[GivenUp], left: int) -> int:
    missing = len(given_up) + left
    sentence = f"{owed - missing} of {owed} requests delivered"
    if given_up:
        sentence += f", {len(given_up)} given up (the last one: {given_up[0].reason})"
    if left:
        sentence += f", {left} still without success"
    click.secho(sentence, err=True, fg="red" if missing else "green")
    return missing
