"""
Arrival times of a recording: the file beside it, one line per read from the connection.

A line is ``<seconds since the epoch> <offset> <length>``; what was read then begins at
that offset of the recording. A last line with a word instead of the length (``EOF``,
``RESET``) says when and how the connection ended.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from ami_bridge.errors import RecordingError

from .stored_bytes import StoredBytes

#: Ends of the names of files that have a sidecar.
RECORDINGS = (".ami", ".ami.gz")

_LINE = re.compile(rb"([0-9]+(?:\.[0-9]+)?) ([0-9]+) (?:([0-9]+)|([A-Za-z].*))")
#: A longer read is none; asyncio's are up to 256 KiB.
_LONGEST_READ = 16 * 1024 * 1024
#: A longer line is none; theirs are below 50 bytes.
_LONGEST_LINE = 1000


class Arrival(NamedTuple):
    """
    One read: when, and which bytes of the recording.
    """

    time: float
    offset: int
    length: int
    #: Where the line stands in the sidecar, in bytes.
    line_at: int


def sidecar_of(recording: Path) -> Path:
    """
    Name the sidecar of *recording*: ``NAME.ts`` beside ``NAME.ami`` or ``NAME.ami.gz``.
    """
    plain = recording.with_suffix("") if recording.suffix == ".gz" else recording
    return plain.with_suffix(".ts")


def find_sidecar(recording: Path) -> Path | None:
    """
    Find the sidecar of *recording*, compressed or not; only recordings (``.ami``) have one.
    """
    if not recording.name.endswith(RECORDINGS):
        return None
    plain = sidecar_of(recording)
    compressed = plain.with_name(f"{plain.name}.gz")
    return next((path for path in (plain, compressed) if path.is_file()), None)


def read_arrivals(sidecar: Path) -> Iterator[Arrival]:
    """
    Give the reads that *sidecar* tells of.

    Raise `RecordingError` at a line that does not go on where the one before ended. A last
    line that breaks off is left out: the program that wrote it was killed.
    """
    expected = 0
    for line_at, line, whole in _lines(sidecar):
        found = _LINE.fullmatch(line)
        if found is None:
            if whole:
                raise RecordingError(sidecar, line_at, "not a line '<time> <offset> <length>'")
            return
        time, offset, size = found.group(1, 2, 3)
        if int(offset) != expected:
            reason = f"offset {int(offset)} does not follow; expected {expected}"
            raise RecordingError(sidecar, line_at, reason)
        if size is None or not whole:
            continue
        length = int(size)
        if length > _LONGEST_READ:
            raise RecordingError(sidecar, line_at, f"no read has {length} bytes")
        yield Arrival(float(time), expected, length, line_at)
        expected += length


def _lines(sidecar: Path) -> Iterator[tuple[int, bytes, bool]]:
    """
    Give each line with its offset, and whether it has an end.
    """
    tail, at = b"", 0
    for piece in StoredBytes(sidecar).pieces():
        *lines, tail = (tail + piece).split(b"\n")
        for line in lines:
            if line.strip():
                yield at, line.rstrip(b"\r"), True
            at += len(line) + 1
        if len(tail) > _LONGEST_LINE:
            yield at, tail, True
    if tail.strip():
        yield at, tail, False
