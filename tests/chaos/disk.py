"""
A small disk of its own for the bridge's store, which can be filled.
"""

import contextlib
import os
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Self

#: Room for a run's database and its write-ahead log, in bytes.
SIZE = 256 * 1024 * 1024


class SmallDisk:
    """
    A file system in memory at *folder*; where that is not allowed it is the folder alone.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        #: It is a disk of its own, which can be filled.
        self.can_be_filled = False

    def __enter__(self) -> Self:
        self.folder.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(self.folder)]
        with contextlib.suppress(OSError):
            done = subprocess.run(command, check=False, capture_output=True)
            self.can_be_filled = done.returncode == 0
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self.can_be_filled:
            subprocess.run(["umount", "--lazy", str(self.folder)], check=False)

    def fill(self) -> None:
        """
        Leave not one byte free.
        """
        with (
            (self.folder / "filler").open("wb", buffering=0) as filler,
            contextlib.suppress(OSError),
        ):
            free = os.statvfs(self.folder)
            os.posix_fallocate(filler.fileno(), 0, free.f_bavail * free.f_bsize)
            while True:
                filler.seek(0, os.SEEK_END)
                filler.write(b"\0" * 4096)

    def empty(self) -> None:
        """
        Give the room back.
        """
        (self.folder / "filler").unlink(missing_ok=True)
