"""
Writes recordings: the bytes exactly as they came, and beside them when they came.
"""

import contextlib
import gzip
import os
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import IO, Self, cast

from .sidecar import sidecar_of

#: Compressed data leaves the process this often, in seconds: each time costs compression.
_FLUSH_SECONDS = 1.0
#: What is recorded is personal data: nobody but the owner may read it.
_MODE = 0o600


class RecordingWriter:
    """
    A recording that is being made at *path*, compressed if its name ends in ``.gz``.

    Use it as a context manager; entering raises FileExistsError rather than overwrite a file
    unasked. Each read is out of this process when `write` returns, or a second later where
    it is compressed, so that a crash loses next to nothing.
    """

    def __init__(self, path: Path, *, overwrite: bool = False) -> None:
        self.path = path
        #: Bytes written so far.
        self.position = 0
        self._overwrite = overwrite
        self._octets: IO[bytes] | None = None
        self._files = contextlib.ExitStack()
        self._compressed = path.suffix == ".gz"
        self._flushed_at: float | None = None

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as files:
            octets = files.enter_context(self._open(self.path))
            self._times = files.enter_context(self._open(sidecar_of(self.path)))
            self._beneath = octets
            self._octets = octets
            if self._compressed:
                packed = gzip.GzipFile(filename="", mode="wb", fileobj=octets)
                self._octets = cast("IO[bytes]", files.enter_context(packed))
            self._files = files.pop_all()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._octets = None
        with self._naming_the_file():
            self._files.close()

    def write(self, octets: bytes, arrival: float) -> None:
        """
        Append one read, which came at *arrival* (seconds since the epoch).
        """
        with self._naming_the_file():
            self._append(octets, arrival, str(len(octets)))
        self.position += len(octets)

    def end(self, time: float, how: str = "EOF") -> None:
        """
        Note *how* the connection ended: ``EOF``, ``RESET`` and why, ...
        """
        with self._naming_the_file():
            self._append(b"", time, " ".join(how.split()))

    @contextlib.contextmanager
    def _naming_the_file(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            error.filename = error.filename or str(self.path)
            raise

    def _append(self, octets: bytes, time: float, last_word: str) -> None:
        if self._octets is None:
            raise RuntimeError("a RecordingWriter has to be entered before it writes")
        self._octets.write(octets)
        self._times.write(f"{time:.6f} {self.position} {last_word}\n".encode())
        due = self._flushed_at is None or time >= self._flushed_at + _FLUSH_SECONDS
        if due or not self._compressed:
            self._flushed_at = time
            # The bytes first: times without bytes are damage, bytes without times are none.
            self._octets.flush()
            self._beneath.flush()
            self._times.flush()

    def _open(self, path: Path) -> IO[bytes]:
        flags = os.O_WRONLY | os.O_CREAT | (os.O_TRUNC if self._overwrite else os.O_EXCL)
        return os.fdopen(os.open(path, flags, _MODE), "wb")
