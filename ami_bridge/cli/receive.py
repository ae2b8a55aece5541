"""
``ami-bridge receive``: a local receiver that shows what arrives.
"""

import asyncio
import time

import click

from ami_bridge.adapters.receiver import Received, Receiver
from ami_bridge.core.destinations import Destinations
from ami_bridge.signals import stop_on_signals

_ANY = ("0.0.0.0", "::")  # noqa: S104 - it is asked for, or not


@click.command("receive")
@click.option("-p", "--port", type=click.IntRange(0, 65535), default=8080, show_default=True)
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option(
    "--fail-rate",
    type=click.FloatRange(0, 1),
    default=0.0,
    metavar="P",
    help="Answer 500 with this probability, to see retries.",
)
@click.option(
    "--delay",
    type=click.FloatRange(min=0),
    default=0.0,
    metavar="S",
    help="Wait so many seconds before answering.",
)
def command(port: int, host: str, fail_rate: float, delay: float) -> None:
    """
    Receive call-event requests on any path, by GET or POST, and show them.
    """
    asyncio.run(_receive(host, port, fail_rate, delay))


async def _receive(host: str, port: int, fail_rate: float, delay: float) -> None:
    stop = asyncio.Event()
    receiver = Receiver(show, host=host, port=port, fail_rate=fail_rate, delay_seconds=delay)
    with stop_on_signals(stop):
        async with receiver:
            click.echo(f"listening on {receiver.url}; Ctrl-C ends it", err=True)
            reason = Destinations().why_not_by_name(host)
            # Where any address of this machine will do, it is not said which one to allow.
            if reason is not None and host not in _ANY:
                line = reason.rpartition(": ")[2]
                click.secho(f"rules that send here need, in [delivery]: {line}", err=True, dim=True)
            await stop.wait()


def show(received: Received) -> None:
    """
    Print one request: when, how it was answered, and its parameters.
    """
    clock = time.strftime("%H:%M:%S", time.localtime(received.time))
    good = received.status < 300
    status = click.style(str(received.status), fg="green" if good else "red")
    click.echo(f"{clock} {status} {received.method} {received.path}")
    if received.problem:
        click.secho(f"    {received.problem}", fg="red")
    width = max((len(name) for name in received.parameters), default=0)
    for name, value in received.parameters.items():
        label = click.style(f"{name:<{width}}", dim=True)
        click.echo(f"    {label}  {value}")
