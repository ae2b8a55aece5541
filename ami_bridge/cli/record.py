"""
``ami-bridge record``: the AMI stream as it comes, for replaying it later.
"""

import asyncio
import contextlib
import secrets
import time
from pathlib import Path

import attrs
import click

from ami_bridge.adapters.ami_session import AmiSession
from ami_bridge.adapters.recorder import RecordingWriter
from ami_bridge.adapters.sidecar import RECORDINGS, sidecar_of
from ami_bridge.core.anonymise import Anonymiser
from ami_bridge.errors import AmiLost
from ami_bridge.logs import log_to
from ami_bridge.settings import AsteriskSettings
from ami_bridge.signals import stop_on_signals

from . import event_loop
from .options import NumberRange, load_rules, one_pbx, pbx_option, rules_option


@click.command("record")
@click.option(
    "-o",
    "--output",
    required=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help="Where to; NAME.ami, or NAME.ami.gz. The times of arrival go to NAME.ts.",
)
@rules_option
@pbx_option
@click.option(
    "--duration", type=NumberRange(min=0, min_open=True), metavar="S", help="End after S s."
)
@click.option("--all-events", is_flag=True, help="Record every event class, not only the needed.")
@click.option("--anonymise", is_flag=True, help="Replace numbers, names and addresses.")
@click.option("--overwrite", is_flag=True, help="Replace a recording that exists.")
def command(
    output: Path,
    rules: Path | None,
    pbx: str | None,
    duration: float | None,
    all_events: bool,
    anonymise: bool,
    overwrite: bool,
) -> None:
    """
    Record what the PBX says, byte for byte, until Ctrl-C.

    With --anonymise the same number becomes the same pseudonym everywhere, lengths and * are
    kept, and a replay tells the same calls: such a recording can be shared.
    """
    config = one_pbx(load_rules(rules, secret_needed=True), pbx)
    settings = config.pbxs[0].asterisk
    if all_events:
        settings = attrs.evolve(settings, events="on")
    if not output.name.endswith(RECORDINGS):
        reason = f"{output} is neither NAME.ami nor NAME.ami.gz: replay would not find its times"
        raise click.BadParameter(reason, param_hint="--output")
    taken = [str(path) for path in (output, sidecar_of(output)) if path.exists()]
    if taken and not overwrite:
        raise click.ClickException(f"{taken[0]} exists; --overwrite replaces it")
    log_to(level="warning")
    writer = RecordingWriter(output, overwrite=overwrite)
    _Recorder(writer, anonymise=anonymise).record(settings, duration)


class _Recorder:
    """
    Takes what comes from the PBX to the file.
    """

    def __init__(self, writer: RecordingWriter, *, anonymise: bool) -> None:
        self._writer = writer
        # The key is forgotten with the process: nobody can undo the pseudonyms.
        self._anonymiser = Anonymiser(secrets.token_bytes(32)) if anonymise else None
        self._stop = asyncio.Event()
        self._failure: OSError | None = None
        #: What came before the login was accepted; None since there is a file.
        self._held: list[tuple[bytes, float]] | None = []

    def record(self, settings: AsteriskSettings, duration: float | None) -> None:
        """
        Record for *duration* seconds, or until a signal or the end of the connection.
        """
        with contextlib.ExitStack() as files:
            lost = event_loop.run(self._record(settings, duration, files))
            if self._failure is not None:
                raise self._failure
            if self._anonymiser is not None and (rest := self._anonymiser.finish()):
                self._writer.write(rest, time.time())
        click.echo(f"{self._writer.position} bytes in {self._writer.path}", err=True)
        if lost is not None:
            raise lost

    def _take(self, octets: bytes, arrival: float) -> None:
        """
        Write what came; a disk that is full ends the recording, which has no gap then.
        """
        if self._held is not None:
            self._held.append((octets, arrival))
            return
        if self._failure is not None:
            return
        try:
            self._write(octets, arrival)
        except OSError as error:
            self._failure = error
            self._stop.set()

    def _write(self, octets: bytes, arrival: float) -> None:
        if self._anonymiser is not None:
            octets = self._anonymiser.feed(octets)
        if octets:
            self._writer.write(octets, arrival)

    async def _record(
        self, settings: AsteriskSettings, duration: float | None, files: contextlib.ExitStack
    ) -> AmiLost | None:
        """
        Record into a file that *files* closes; where nobody logs in, there is no file.
        """
        stop = self._stop
        # A signal before the login ends the command: there is nothing to be finished yet.
        async with AmiSession(settings, on_bytes=self._take) as session:
            with stop_on_signals(stop):
                files.enter_context(self._writer)
                held, self._held = self._held or [], None
                for octets, arrival in held:
                    self._take(octets, arrival)
                click.echo(f"recording {settings.address}; Ctrl-C ends it", err=True)
                listening = asyncio.create_task(session.listen(), name="listen")
                stopping = asyncio.create_task(stop.wait(), name="stop")
                await asyncio.wait(
                    {listening, stopping}, timeout=duration, return_when=asyncio.FIRST_COMPLETED
                )
                stopping.cancel()
                listening.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    try:
                        await listening
                    except AmiLost as error:
                        return error
        return None
