"""
Recordings of AMI streams: written byte for byte, read from whatever other tools left.

A recording is ``NAME.ami``, the bytes exactly as Asterisk sent them, and beside it
``NAME.ts``, one line for each read: the time of its arrival (seconds since the epoch), its
offset and its length. Both may be compressed (``.gz``). Without the second file there are
no times, unless the events carry Asterisk's own Timestamp.

Also read are logs of a telnet session (any line ends, what was typed is passed over) and
JSON, an array or one object after the other, of event headers; see `json_recording`.

What is damaged is replayed as far as it is readable; then `RecordingError` names the first
place. A last message that ends in the middle of a line is damage; one that only lacks its
blank line is not.
"""

import contextlib
import gzip
import sys
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import IO, BinaryIO, Self, cast

import attrs

from ami_bridge.core.ami_events import NAMES_THAT_MATTER, AmiEvent
from ami_bridge.core.ami_fast_lane import read_message
from ami_bridge.core.ami_stream import AmiMessage, AmiStream
from ami_bridge.errors import RecordingError

from .json_recording import looks_like_json, read_json_events

CHUNK_BYTES = 65_536
_GZIP_MAGIC = b"\x1f\x8b"

TimedEvent = tuple[AmiEvent, float | None]
#: Told how many bytes of the file itself were read so far.
Progress = Callable[[int], None]


@attrs.define(eq=False)
class Damage:
    """
    The first place of a recording that could not be read.
    """

    offset: int | None = None
    reason: str = ""

    def found(self, offset: int, reason: str) -> None:
        """
        Note a damaged place, if it is the first.
        """
        if self.offset is None:
            self.offset, self.reason = offset, reason

    def raise_for(self, path: Path | str) -> None:
        """
        Raise RecordingError if anything was damaged.
        """
        if self.offset is not None:
            raise RecordingError(path, self.offset, self.reason)


def read_events(path: Path | str, progress: Progress | None = None) -> Iterator[TimedEvent]:
    """
    Read the AMI events of a recording, each with its time; ``-`` is standard input.

    The time is Asterisk's own Timestamp, or when the read came that completed the event,
    or None. Raises RecordingError, after everything readable, if the file is damaged, and
    OSError if it cannot be opened.
    """
    damage = Damage()
    with _opened(path, progress) as stream:
        head = stream.peek()
        if looks_like_json(head):
            yield from read_json_events(_whole_reads(stream, damage), damage.found)
        else:
            yield from _ami_events(_timed(path, stream, damage), head, damage)
    damage.raise_for(path)


def read_chunks(path: Path | str) -> Iterator[tuple[float | None, bytes]]:
    """
    Read the bytes of a recorded stream as they came, each read with its time, or None.

    Raises as `read_events` does.
    """
    damage = Damage()
    with _opened(path, None) as stream:
        yield from _timed(path, stream, damage)
    damage.raise_for(path)


def sidecar_of(path: Path) -> Path:
    """
    Name the file of arrival times beside *path*.
    """
    bare = path.with_suffix("") if path.suffix == ".gz" else path
    return bare.with_suffix(".ts")


class _Unpacked:
    """
    The bytes of a file, unpacked if they are compressed, with a look ahead.
    """

    def __init__(self, file: BinaryIO, progress: Progress | None) -> None:
        self._file = file
        self._progress = progress
        self._ahead = file.read(CHUNK_BYTES)
        self._gzip = zlib.decompressobj(31) if self._ahead.startswith(_GZIP_MAGIC) else None
        self._plain = b""
        self._packed_read = len(self._ahead)

    def peek(self) -> bytes:
        """
        Look at the first bytes without taking them.
        """
        with contextlib.suppress(zlib.error):
            self._fill(1)
        return self._plain

    def read(self, size: int) -> bytes:
        """
        Take at most *size* bytes; none are left when there are none.

        Raises EOFError or zlib.error where compressed bytes are cut off or damaged; what
        was unpacked before has been taken then.
        """
        failure: Exception | None = None
        try:
            self._fill(size)
        except (EOFError, zlib.error) as error:
            failure = error
        taken, self._plain = self._plain[:size], self._plain[size:]
        if failure is not None and not taken:
            raise failure
        return taken

    def _fill(self, size: int) -> None:
        while len(self._plain) < size:
            packed, self._ahead = self._ahead or self._file.read(CHUNK_BYTES), b""
            self._packed_read += len(packed)
            if self._progress is not None:
                self._progress(self._packed_read)
            if self._gzip is None:
                if not packed:
                    return
                self._plain += packed
                continue
            if not packed:
                if not self._gzip.eof:
                    raise EOFError("the compressed file is cut off")
                return
            self._plain += self._gzip.decompress(packed)
            if self._gzip.eof and self._gzip.unused_data:
                # Files that were joined together are one file.
                self._ahead = self._gzip.unused_data
                self._gzip = zlib.decompressobj(31)


@contextlib.contextmanager
def _opened(path: Path | str, progress: Progress | None) -> Iterator[_Unpacked]:
    if str(path) == "-":
        yield _Unpacked(sys.stdin.buffer, progress)
        return
    with Path(path).open("rb") as file:
        yield _Unpacked(cast("BinaryIO", file), progress)


def _whole_reads(stream: _Unpacked, damage: Damage) -> Iterator[bytes]:
    position = 0
    while True:
        try:
            chunk = stream.read(CHUNK_BYTES)
        except (EOFError, zlib.error) as error:
            damage.found(position, str(error))
            return
        if not chunk:
            return
        position += len(chunk)
        yield chunk


def _timed(
    path: Path | str, stream: _Unpacked, damage: Damage
) -> Iterator[tuple[float | None, bytes]]:
    position = 0
    for time, offset, length in _arrivals(path, damage):
        try:
            chunk = stream.read(length)
        except (EOFError, zlib.error) as error:
            damage.found(position, str(error))
            return
        if offset != position or len(chunk) != length:
            damage.found(position, "the file of arrival times does not fit the recording")
            if chunk:
                yield None, chunk
            break
        position += length
        yield time, chunk
    for chunk in _whole_reads(stream, damage):
        yield None, chunk


def _arrivals(path: Path | str, damage: Damage) -> Iterator[tuple[float, int, int]]:
    if str(path) == "-":
        return
    plain = sidecar_of(Path(path))
    packed = plain.with_name(plain.name + ".gz")
    if plain.exists():
        text = plain.read_text(encoding="ascii", errors="replace")
    elif packed.exists():
        text = gzip.decompress(packed.read_bytes()).decode("ascii", "replace")
    else:
        return
    for line in text.splitlines():
        words = line.split()
        if len(words) > 1 and words[2:3] in (["EOF"], ["RESET"]):
            return  # how the connection ended
        try:
            time, offset, length = words
            arrival = float(time), int(offset), int(length)
        except ValueError:
            damage.found(0, f"the file of arrival times has a line {line!r}")
            return
        yield arrival


def _ami_events(
    chunks: Iterator[tuple[float | None, bytes]], head: bytes, damage: Damage
) -> Iterator[TimedEvent]:
    """
    Read the events of a byte stream, whatever ends its lines.
    """
    lines_end_in_lf = _has_bare_line_feeds(head)
    stream = AmiStream(NAMES_THAT_MATTER, b"\n" if lines_end_in_lf else b"\r\n")
    time: float | None = None
    for time, chunk in chunks:
        octets = chunk.replace(b"\r", b"") if lines_end_in_lf else chunk
        yield from _read(stream.feed(octets), time)
    yield from _read(stream.finish(), time)
    if stream.garbage_at is not None:
        damage.found(stream.garbage_at, "what stands here is no AMI message")
    if stream.unfinished:
        damage.found(stream.position - stream.unfinished, "the last message is cut off")


def _has_bare_line_feeds(head: bytes) -> bool:
    return head.count(b"\n") > head.count(b"\r\n")


def _read(messages: list[AmiMessage], time: float | None) -> Iterator[TimedEvent]:
    for message in messages:
        if not message.name:
            continue
        with contextlib.suppress(ValueError):  # an event without what it is about
            ami_event = read_message(message)
            if ami_event is not None:
                yield ami_event, message.timestamp or time


class RecordingWriter:
    """
    Writes a recording: give it every read as it comes. Use it as a context manager.

    Each read is on its way to the disk when `write` returns, so that a crash loses little.
    Raises FileExistsError rather than overwrite a recording.
    """

    def __init__(self, path: Path, *, overwrite: bool = False) -> None:
        self.path = path
        self._mode = "wb" if overwrite else "xb"
        self._bytes: IO[bytes] | None = None
        self._times: IO[bytes] | None = None
        #: Bytes written so far.
        self.position = 0

    def __enter__(self) -> Self:
        times = sidecar_of(self.path)
        if self.path.suffix == ".gz":
            self._bytes = cast("IO[bytes]", gzip.open(self.path, self._mode))
        else:
            self._bytes = self.path.open(self._mode)
        self._times = times.open(self._mode)
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for file in (self._bytes, self._times):
            if file is not None:
                file.close()

    def write(self, octets: bytes, arrival: float) -> None:
        """
        Append one read, which came at *arrival* (seconds since the epoch).
        """
        if self._bytes is None or self._times is None:
            raise RuntimeError("a RecordingWriter has to be entered before it writes")
        self._bytes.write(octets)
        self._bytes.flush()
        self._times.write(f"{arrival:.6f} {self.position} {len(octets)}\n".encode())
        self._times.flush()
        self.position += len(octets)
