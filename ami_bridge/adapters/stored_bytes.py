"""
Reads the bytes of a file or of standard input in pieces, decompressed if they are gzip.

Whether they are compressed is told by their beginning, not by the file's name. A damaged
compressed file gives everything up to the damage, and its offset.
"""

import sys
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, cast

from ami_bridge.errors import RecordingError

#: How much is read at once, in bytes.
PIECE = 65_536
#: What stands for standard input.
STANDARD_INPUT = "-"

_GZIP = b"\x1f\x8b"
#: zlib's word for "gzip, and nothing else".
_GZIP_WINDOW = 16 + zlib.MAX_WBITS


class StoredBytes:
    """
    The bytes behind *source*: a path, ``-`` for standard input, or an open binary stream.
    """

    def __init__(self, source: Path | str | BinaryIO) -> None:
        self._source = source
        if not isinstance(source, Path | str):
            self.name = str(getattr(source, "name", "stream"))
        else:
            self.name = "standard input" if str(source) == STANDARD_INPUT else str(source)
        #: Bytes read so far, as they are stored.
        self.position = 0
        #: Size of the file as it is stored; None where that is not known.
        self.total: int | None = None
        #: The bytes turned out to be compressed.
        self.compressed = False

    def pieces(self) -> Iterator[bytes]:
        """
        Give the content piece by piece.

        Raise `RecordingError` after the last readable piece if compressed data is damaged.
        """
        if not isinstance(self._source, Path | str):
            yield from self._read(self._source)
        elif str(self._source) == STANDARD_INPUT:
            # Unbuffered: a thread that waits in a buffer's lock would not let Python end.
            buffered = sys.stdin.buffer
            yield from self._read(cast("BinaryIO", getattr(buffered, "raw", buffered)))
        else:
            with Path(self._source).open("rb", buffering=0) as stored:
                self.total = Path(self._source).stat().st_size
                yield from self._read(stored)

    def _read(self, stream: BinaryIO) -> Iterator[bytes]:
        stored = self._stored(stream)
        first = next(stored, b"")
        while 0 < len(first) < len(_GZIP) and (more := next(stored, b"")):
            first += more
        self.compressed = first.startswith(_GZIP)
        if self.compressed:
            yield from self._decompressed(first, stored)
        else:
            yield from filter(None, [first])
            yield from stored

    def _stored(self, stream: BinaryIO) -> Iterator[bytes]:
        # A pipe is read as it fills; read() would wait for a whole piece.
        read = getattr(stream, "read1", stream.read)
        while piece := read(PIECE):
            self.position += len(piece)
            yield piece

    def _decompressed(self, first: bytes, stored: Iterator[bytes]) -> Iterator[bytes]:
        """
        Decompress gzip, several files of it if they follow each other.
        """
        member = zlib.decompressobj(_GZIP_WINDOW)
        piece = first
        while piece or (piece := next(stored, b"")):
            if member.eof:
                piece = piece.lstrip(b"\0")  # padding
                if not piece:
                    continue
                member = zlib.decompressobj(_GZIP_WINDOW)
            before = member.copy()
            try:
                content = member.decompress(piece, PIECE)
            except zlib.error:
                offset = self.position - len(piece)
                yield from self._up_to_damage(before, piece, offset)
            if content:
                yield content
            piece = member.unconsumed_tail or member.unused_data
        if not member.eof:
            yield from filter(None, [member.flush()])
            raise RecordingError(self.name, self.position, "the compressed data breaks off here")

    def _up_to_damage(
        self, member: "zlib._Decompress", piece: bytes, offset: int
    ) -> Iterator[bytes]:
        """
        Decompress *piece*, which begins at *offset*, byte by byte, and raise where it fails.
        """
        for index in range(len(piece)):
            try:
                content = member.decompress(piece[index : index + 1])
            except zlib.error as error:
                reason = f"the compressed data is damaged ({error})"
                raise RecordingError(self.name, offset + index, reason) from error
            if content:
                yield content
