"""
Reads recordings of AMI connections, whatever form they have: see `Recording`.

Damage never hides what is readable: everything before it, and where the form allows what
comes after it, is given first; then `RecordingError` names the first damaged byte.
"""

import itertools
from collections import Counter
from collections.abc import Container, Iterator
from pathlib import Path
from typing import BinaryIO

from ami_bridge.core.ami_events import NAMES_THAT_MATTER, AmiEvent
from ami_bridge.core.ami_fast_lane import read_message
from ami_bridge.core.ami_log import AmiLog
from ami_bridge.core.ami_stream import AmiMessage
from ami_bridge.errors import RecordingError

from .json_recording import JsonRecording, as_wire
from .sidecar import find_sidecar, read_arrivals
from .stored_bytes import STANDARD_INPUT, StoredBytes

Source = Path | str | BinaryIO
TimedEvent = tuple[AmiEvent, float | None]
#: One read from the connection: when it came, if that is known, and what came.
Chunk = tuple[float | None, bytes]


class Recording:
    """
    One recording; its form is told by its content, not by its name.

    - the bytes as they came (``NAME.ami``), with their arrival times beside them
      (``NAME.ts``, see `sidecar`) or without,
    - a log of ``telnet`` or the like (see `core.ami_log`),
    - JSON, an array or one object after the other (see `json_recording`),
    - each of these compressed with gzip; from a file, from an open stream, or from standard
      input (``-``), which has no sidecar.

    A recording is read once, from its beginning to its end.
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        self._stored = StoredBytes(source)
        self._sidecar: Path | None = None
        if isinstance(source, Path | str) and str(source) != STANDARD_INPUT:
            self._sidecar = find_sidecar(Path(source))
        #: The sidecar knows every byte: what is there is what came.
        self._as_received = False
        #: What was odd, and how often: nothing that stops a replay.
        self.oddities: Counter[str] = Counter()
        #: What somebody should know who trusts the replay, as sentences without a full stop.
        self.remarks: list[str] = []

    @property
    def name(self) -> str:
        """
        Give the name for messages.
        """
        return self._stored.name

    @property
    def position(self) -> int:
        """
        Count the bytes read so far, as they are stored.
        """
        return self._stored.position

    @property
    def total(self) -> int | None:
        """
        Give the size of the file as it is stored; None before it is open, and for streams.
        """
        return self._stored.total

    def chunks(self) -> Iterator[Chunk]:
        """
        Give what was read from the connection, read by read, with the time of each.

        Without a sidecar the times are None and the reads those of the file.
        """
        pieces = self._stored.pieces()
        if self._sidecar is None:
            yield from ((None, piece) for piece in pieces)
        else:
            yield from self._timed(pieces, self._sidecar)

    def messages(
        self, wanted: Container[bytes] | None = NAMES_THAT_MATTER
    ) -> Iterator[tuple[AmiMessage, float | None]]:
        """
        Give the messages (events that are *wanted*, responses) and when each was complete.
        """
        chunks, is_json = _is_json(self.chunks())
        if is_json:
            yield from self._json(chunks)
        else:
            yield from self._log(chunks, wanted)

    def wire(self) -> Iterator[Chunk]:
        """
        Give what stands for the bytes on the wire: as `chunks`, and JSON written as AMI.
        """
        chunks, is_json = _is_json(self.chunks())
        if is_json:
            yield from ((time, as_wire(message)) for message, time in self._json(chunks))
        else:
            yield from chunks

    def events(self) -> Iterator[TimedEvent]:
        """
        Give the AMI events that matter and their times; a time stamp in the event wins.
        """
        for message, arrived in self.messages():
            if not message.name:
                continue
            try:
                ami_event = read_message(message)
            except ValueError as error:
                self.oddities[str(error)] += 1
                continue
            if ami_event is not None:
                stamp = message.timestamp
                yield ami_event, arrived if stamp is None else stamp

    def _json(self, chunks: Iterator[Chunk]) -> Iterator[tuple[AmiMessage, float | None]]:
        reader = JsonRecording(self.name)
        try:
            yield from reader.messages(octets for _, octets in chunks)
        finally:
            if reader.others:
                self.oddities["JSON value that is no event"] += reader.others

    def _log(
        self, chunks: Iterator[Chunk], wanted: Container[bytes] | None
    ) -> Iterator[tuple[AmiMessage, float | None]]:
        log = AmiLog(wanted)
        self.oddities = log.oddities
        damage: RecordingError | None = None
        time: float | None = None
        try:
            for time, octets in chunks:
                for message in log.feed(octets):
                    yield message, time
        except RecordingError as error:
            damage = error
        if damage is None or log.damage is not None:
            damage = self._damage_in(log) or damage
        for message in log.finish(as_received=self._as_received):
            yield message, time
        damage = damage or self._damage_in(log)
        if log.cut_at is not None:
            cut = f"ends in the middle of the message that begins at byte {log.cut_at}"
            if self._as_received:
                self.remarks.append(f"{cut}: Asterisk closed the connection there")
            else:
                damage = damage or RecordingError(self.name, log.position, cut)
        if damage is not None:
            raise damage

    def _damage_in(self, log: AmiLog) -> RecordingError | None:
        if log.damage is None:
            return None
        counted = ", counted in the decompressed data" if self._stored.compressed else ""
        return RecordingError(self.name, log.damage.offset, f"{log.damage.kind}{counted}")

    def _timed(self, pieces: Iterator[bytes], sidecar: Path) -> Iterator[Chunk]:
        """
        Cut the content as *sidecar* says; what it does not cover has no time.
        """
        buffer = bytearray()
        damage: RecordingError | None = None
        try:
            yield from self._cut(pieces, sidecar, buffer)
        except RecordingError as error:
            damage = error
        untimed = 0
        try:
            for piece in filter(None, itertools.chain([bytes(buffer)], pieces)):
                untimed += len(piece)
                yield None, piece
        except RecordingError as error:
            damage = damage or error
        if damage is not None:
            raise damage
        self._as_received = not untimed
        if untimed:
            self.remarks.append(f"{sidecar.name} has no times for its last {untimed} bytes")

    def _cut(
        self, pieces: Iterator[bytes], sidecar: Path, buffer: bytearray
    ) -> Iterator[tuple[float, bytes]]:
        """
        Give one read after the other; what is left of the pieces stays in *buffer*.
        """
        for arrival in read_arrivals(sidecar):
            while len(buffer) < arrival.length and (piece := next(pieces, b"")):
                buffer += piece
            octets = bytes(buffer[: arrival.length])
            del buffer[: arrival.length]
            yield arrival.time, octets
            if len(octets) < arrival.length:
                reason = f"it ends here, but {sidecar.name} goes on"
                raise RecordingError(self.name, arrival.offset + len(octets), reason)


def _is_json(chunks: Iterator[Chunk]) -> tuple[Iterator[Chunk], bool]:
    """
    Look at the beginning of *chunks*; give all of them, and whether they are JSON.
    """
    first: list[Chunk] = []
    for chunk in chunks:
        first.append(chunk)
        if chunk[1].strip():
            break
    beginning = first[-1][1].removeprefix(b"\xef\xbb\xbf").lstrip() if first else b""
    return itertools.chain(first, chunks), beginning.startswith((b"{", b"["))


def read_recording(source: Source) -> Iterator[Chunk]:
    """
    Give the bytes of the recording *source* read by read, each with its time if it has one.

    Raise `RecordingError` after the last readable one if the recording is damaged.
    """
    return Recording(source).chunks()


def read_events(source: Source) -> Iterator[TimedEvent]:
    """
    Give the AMI events that matter in the recording *source*, each with its time.

    The time is the event's own time stamp or, without one, that of the read which completed
    it. Raise `RecordingError` after the last readable event if the recording is damaged.
    """
    return Recording(source).events()
