"""
``ami-bridge receive``: a local receiver that shows what arrives.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable

import attrs
import click

from ami_bridge.adapters.receiver import Received, Receiver
from ami_bridge.core.destinations import Destinations
from ami_bridge.signals import stop_on_signals

from . import event_loop
from .columns import visible
from .options import NumberRange, listening_on

_ANY = ("0.0.0.0", "::")  # noqa: S104 - it is asked for, or not


@click.command("receive")
@click.option("-p", "--port", type=click.IntRange(0, 65535), default=8080, show_default=True)
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option(
    "--fail-rate",
    type=NumberRange(0, 1),
    default=0.0,
    metavar="P",
    help="Answer 500 with this probability, to see retries.",
)
@click.option(
    "--delay",
    type=NumberRange(min=0),
    default=0.0,
    metavar="S",
    help="Wait so many seconds before answering.",
)
def command(port: int, host: str, fail_rate: float, delay: float) -> None:
    """
    Receive call-event requests on any path, by GET or POST, and show them.
    """
    event_loop.run(_receive(host, port, fail_rate, delay))


async def _receive(host: str, port: int, fail_rate: float, delay: float) -> None:
    stop = asyncio.Event()
    screen = Screen(show, stop)
    receiver = Receiver(screen.tell, host=host, port=port, fail_rate=fail_rate, delay_seconds=delay)
    with stop_on_signals(stop):
        async with contextlib.AsyncExitStack() as opened:
            with listening_on(host, port):
                await opened.enter_async_context(receiver)
            click.echo(f"listening on {receiver.url}; Ctrl-C ends it", err=True)
            reason = Destinations().why_not_by_name(host)
            # Where any address of this machine will do, it is not said which one to allow.
            if reason is not None and host not in _ANY:
                line = reason.rpartition(": ")[2]
                click.secho(f"rules that send here need, in [delivery]: {line}", err=True, dim=True)
            await stop.wait()
    screen.check()


@attrs.define(eq=False)
class Screen:
    """
    Where requests are shown by *show*; once it cannot be written to, *stop* is set.
    """

    show: Callable[[Received], None]
    stop: asyncio.Event
    _failure: OSError | None = attrs.field(default=None, init=False)

    def tell(self, received: Received) -> None:
        """
        Show *received*, as long as that can be done.
        """
        if self._failure is None:
            try:
                self.show(received)
            except OSError as error:
                self._failure = error
                self.stop.set()

    def check(self) -> None:
        """
        Raise the OSError that ended the showing, if one did.
        """
        if self._failure is not None:
            raise self._failure


def show(received: Received) -> None:
    """
    Print one request: when, how it was answered, and its parameters.
    """
    clock = time.strftime("%H:%M:%S", time.localtime(received.time))
    good = received.status < 300
    status = click.style(str(received.status), fg="green" if good else "red")
    click.echo(f"{clock} {status} {received.method} {visible(received.path)}")
    if received.problem:
        click.secho(f"    {visible(received.problem)}", fg="red")
    width = max((len(name) for name in received.parameters), default=0)
    for name, value in received.parameters.items():
        label = click.style(f"{visible(name):<{width}}", dim=True)
        click.echo(f"    {label}  {visible(value)}")
