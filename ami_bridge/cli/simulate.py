"""
``ami-bridge simulate``: a local AMI server that plays recordings.
"""

import asyncio
import contextlib
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator

import click

from ami_bridge.adapters.recording import Recording
from ami_bridge.adapters.simulator import Chunks, Playing, Simulator
from ami_bridge.adapters.stored_bytes import STANDARD_INPUT
from ami_bridge.errors import RecordingError
from ami_bridge.signals import stop_on_signals

from . import event_loop
from .options import listening_on
from .replay import Speed


def playlist(
    files: tuple[str, ...], tell: Callable[[RecordingError], None] | None = None
) -> Callable[[], Chunks]:
    """
    Play *files* one after the other; the pauses between them are left out.

    What is readable of a damaged one is played, and *tell* hears of the damage.
    """

    def chunks() -> Iterator[tuple[float | None, bytes]]:
        clock = 0.0
        for file in files:
            first: float | None = None
            latest = clock
            try:
                for time, octets in Recording(file).wire():
                    if time is None:
                        yield None, octets
                        continue
                    first = time if first is None else first
                    latest = clock + time - first
                    yield latest, octets
            except RecordingError as error:
                if tell is not None:
                    tell(error)
            clock = latest

    return chunks


@click.command("simulate")
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@click.option("-p", "--port", type=click.IntRange(0, 65535), default=5038, show_default=True)
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--speed", type=Speed(), default="1", show_default=True, help="max, or a factor.")
@click.option("--loop", is_flag=True, help="Begin again at the end, with other unique ids.")
@click.option(
    "--play",
    type=click.Choice([playing.value for playing in Playing]),
    default=Playing.EACH.value,
    show_default=True,
    help="each: to each client from the beginning. live: once, as a PBX would, to whoever is "
    "there. hold: once, and the calls stand still while nobody is logged in.",
)
def command(
    files: tuple[str, ...], port: int, host: str, speed: float | None, loop: bool, play: str
) -> None:
    """
    Be an AMI server that plays recordings to the clients that log in, until Ctrl-C.

    FILE is as for `replay`. Any user and secret will do. CoreShowChannels and Status list the
    channels that are up at that moment of the recordings.
    """
    with contextlib.ExitStack() as kept:
        files = tuple(_read_again(file, kept) for file in files)
        for file in files:  # what cannot be read is told before anybody connects
            next(Recording(file).messages(None), None)
        chunks = playlist(files, lambda error: click.secho(str(error), err=True, fg="red"))
        simulator = Simulator(
            chunks, host=host, port=port, speed=speed, loop=loop, playing=Playing(play)
        )
        event_loop.run(_simulate(simulator))


def _read_again(file: str, kept: contextlib.ExitStack) -> str:
    """
    Give the name of what can be read as often as clients come: standard input is kept in a file.
    """
    if file != STANDARD_INPUT:
        return file
    copy = tempfile.NamedTemporaryFile(prefix="standard-input-")  # noqa: SIM115 - *kept* closes it
    kept.enter_context(copy)
    shutil.copyfileobj(sys.stdin.buffer, copy)
    copy.flush()
    return copy.name


async def _simulate(simulator: Simulator) -> None:
    stop = asyncio.Event()
    with stop_on_signals(stop):
        async with contextlib.AsyncExitStack() as opened:
            with listening_on(simulator.host, simulator.port):
                await opened.enter_async_context(simulator)
            address = f"{simulator.host}:{simulator.port}"
            click.echo(f"AMI at {address}; Ctrl-C ends it", err=True)
            await stop.wait()
