"""
``ami-bridge demo``: recorded calls become requests, on this machine alone.
"""

import asyncio
import shutil
import statistics
import time
from collections import Counter
from importlib import resources
from urllib.parse import urlsplit

import click

from ami_bridge.adapters.receiver import Received, Receiver
from ami_bridge.adapters.simulator import Simulator
from ami_bridge.core.call_events import CallEvent, EventType
from ami_bridge.core.destinations import Destinations
from ami_bridge.core.rules import Method, Rule
from ami_bridge.daemon import Daemon
from ami_bridge.logs import log_to
from ami_bridge.settings import AsteriskSettings, Config, DeliverySettings, PbxSettings
from ami_bridge.signals import stop_on_signals

from . import event_loop
from .receive import Screen
from .simulate import playlist

#: The recordings, in this order, with what happens in them.
STORIES = {
    "trunk-ext-answered": "a customer calls, extension 001 answers",
    "ringgroup-answered-elsewhere": "a ring group of three, one of them answers",
    "queue-ringall-one-answers": "a queue rings two agents, one of them answers",
    "ext-two-contacts": "an extension with two phones is one extension",
    "ext-trunk-busy": "extension 001 calls out, the number is busy",
}
_SPEED = 4.0
#: The demo ends when nothing has come for so long after the last recording, in seconds.
_QUIET_SECONDS = 1.0
#: So wide is a line with everything.
_WIDE_COLUMNS = 108
_COLOURS = {
    EventType.DIAL_IN: "cyan",
    EventType.DIAL_OUT: "blue",
    EventType.ANSWER_IN: "green",
    EventType.ANSWER_OUT: "green",
    EventType.HANGUP: "bright_black",
}


@click.command("demo")
def command() -> None:
    """
    Play recorded calls to a bridge and show the requests that arrive; it ends by itself.

    An AMI server with the recordings, the bridge and a receiver of its requests run on loopback
    ports that they find themselves. Nothing is installed, changed or sent elsewhere.
    """
    log_to(level="warning")
    event_loop.run(Demo().run())


class Demo:
    """
    One run of the demo, and what it has seen.
    """

    def __init__(self) -> None:
        self._said: dict[tuple[str, str, str], CallEvent] = {}
        self._calls: set[str] = set()
        self._counts: Counter[str] = Counter()
        self._latencies: list[float] = []

    async def run(self) -> None:
        """
        Play all stories, then sum up.
        """
        folder = resources.files("ami_bridge") / "demo_calls"
        chunks = playlist(tuple(str(folder / f"{story}.ami.gz") for story in STORIES))
        stop = asyncio.Event()
        screen = Screen(self._receive, stop)
        with stop_on_signals(stop):
            async with (
                Receiver(screen.tell) as receiver,
                Simulator(chunks, speed=_SPEED) as simulator,
            ):
                self._introduce(simulator.port, receiver.url)
                daemon = Daemon(_config(simulator.port, receiver.url), tell=self._hear)
                bridge = asyncio.create_task(daemon.run(stop), name="bridge")
                await self._wait_for_the_end(simulator, stop)
                stop.set()
                left = await bridge
        screen.check()
        self._sum_up(left)

    def _introduce(self, port: int, url: str) -> None:
        click.secho("Recorded calls of a real Asterisk 22, four times as fast:", bold=True)
        for title in STORIES.values():
            click.echo(f"  · {title}")
        click.secho(f"AMI at 127.0.0.1:{port}, requests to {url}\n", dim=True)
        heading = _line(8 * " ", f"{'event':<10}", "extension", "caller", "dialled", "request")
        click.secho(heading, dim=True)

    async def _wait_for_the_end(self, simulator: Simulator, stop: asyncio.Event) -> None:
        over = asyncio.create_task(simulator.finished.wait(), name="recordings")
        interrupted = asyncio.create_task(stop.wait(), name="interrupted")
        await asyncio.wait({over, interrupted}, return_when=asyncio.FIRST_COMPLETED)
        while not stop.is_set() and self._counts["received"] < self._counts["said"]:
            before = self._counts["received"]
            await asyncio.wait({interrupted}, timeout=_QUIET_SECONDS)
            if self._counts["received"] == before:
                break
        over.cancel()
        interrupted.cancel()

    def _hear(self, call_event: CallEvent) -> None:
        self._counts["said"] += 1
        self._calls.add(call_event.call_id)
        self._said[call_event.call_id, call_event.extension, call_event.type] = call_event

    def _receive(self, received: Received) -> None:
        parameters = received.parameters
        self._counts["received"] += 1
        told = (parameters["CallID"], parameters["Extension"], parameters["Kind"])
        call_event = self._said[told]
        if call_event.time is not None:
            self._latencies.append(received.time - call_event.time)
        event = click.style(f"{call_event.type.value:<10}", fg=_COLOURS[call_event.type])
        caller = f"{parameters['CallerIDNum']} {parameters['CallerIDName']}"
        status = parameters["CallStatus"]
        good = {"ANSWER": "green", "CALLING": "white"}.get(status, "red")
        clock = time.strftime("%H:%M:%S", time.localtime(received.time))
        request = (
            f"{click.style(f'{status:<7}', fg=good)} "
            f"{received.method} {received.path} → {received.status}"
        )
        extension, dialled = call_event.extension, parameters["CalledNumber"]
        click.echo(_line(click.style(clock, dim=True), event, extension, caller, dialled, request))

    def _sum_up(self, left: int) -> None:
        received = self._counts["received"]
        click.echo()
        click.secho(
            f"{len(self._calls)} calls, {self._counts['said']} call events, "
            f"{received} requests received, {left} left",
            bold=True,
            fg="green" if received == self._counts["said"] and not left else "red",
        )
        if self._latencies:
            milliseconds = statistics.median(self._latencies) * 1000
            click.echo(f"from the AMI event to the request: {milliseconds:.1f} ms (median)")
        click.echo("Next: rules.toml says where your requests go; then ami-bridge check --connect.")


def _line(clock: str, event: str, extension: str, caller: str, dialled: str, request: str) -> str:
    """
    Put the cells of a line together, without two of them where the terminal is narrow.
    """
    columns, _ = shutil.get_terminal_size(fallback=(_WIDE_COLUMNS, 0))
    if columns < _WIDE_COLUMNS:
        return f"{event} {extension:<8} {caller:<21} {request}"
    return f"{clock}  {event}  {extension:<9}  {caller:<24}  {dialled:<13}  {request}"


def _config(port: int, url: str) -> Config:
    rules = tuple(
        Rule(
            id=f"demo-{kind.value.lower()}",
            url=f"{url}crm/{kind.value.lower()}?Kind={kind.value}",
            events=frozenset({kind}),
            method=Method.POST,
            fields=("Extension",),
        )
        for kind in EventType
    )
    asterisk = AsteriskSettings(port=port, username="demo", secret="demo")  # noqa: S106
    # The receiver is on this machine, where requests go only if they are told to.
    here = Destinations(allow_hosts=(urlsplit(url).hostname or "",))
    return Config(
        (PbxSettings(asterisk),), delivery=DeliverySettings(destinations=here), rules=rules
    )
