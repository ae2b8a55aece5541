"""
``ami-bridge simulate``: a local AMI server that plays recordings.
"""

import asyncio
import contextlib
import itertools
from collections.abc import Callable, Iterator

import click

from ami_bridge.adapters.recording import Recording
from ami_bridge.adapters.simulator import Chunks, Playing, Simulator
from ami_bridge.errors import RecordingError
from ami_bridge.signals import stop_on_signals

from .options import listening_on
from .replay import Speed


def playlist(files: tuple[str, ...]) -> Callable[[], Chunks]:
    """
    Play *files* one after the other; the pauses between them are left out.
    """

    def chunks() -> Iterator[tuple[float | None, bytes]]:
        clock = 0.0
        for file in files:
            first: float | None = None
            latest = clock
            with contextlib.suppress(RecordingError):  # what is readable is played
                for time, octets in Recording(file).wire():
                    if time is None:
                        yield None, octets
                        continue
                    first = time if first is None else first
                    latest = clock + time - first
                    yield latest, octets
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
    simulator = Simulator(
        playlist(files), host=host, port=port, speed=speed, loop=loop, playing=Playing(play)
    )
    asyncio.run(_simulate(files, simulator))


async def _simulate(files: tuple[str, ...], simulator: Simulator) -> None:
    for file in files:  # a file that cannot be read is told before anybody connects
        with contextlib.suppress(RecordingError):
            list(itertools.islice(Recording(file).chunks(), 1))
    stop = asyncio.Event()
    with stop_on_signals(stop):
        async with contextlib.AsyncExitStack() as opened:
            with listening_on(simulator.host, simulator.port):
                await opened.enter_async_context(simulator)
            address = f"{simulator.host}:{simulator.port}"
            click.echo(f"AMI at {address}; Ctrl-C ends it", err=True)
            await stop.wait()
