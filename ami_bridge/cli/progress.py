"""
How far a long command is: one line on standard error, if that is a terminal.
"""

import os
import sys
import time
from typing import TextIO

import click

from .columns import ending

#: What is done sooner needs no line.
_PATIENCE_SECONDS = 0.5
_INTERVAL_SECONDS = 0.1
_BAR_WIDTH = 30
#: Where a terminal does not tell its width.
_COLUMNS = 80
_ERASE = "\r\x1b[2K"


class ProgressLine:
    """
    The line; hide it before anything else is printed.
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr
        self._live = self._stream.isatty()
        self._due = time.monotonic() + _PATIENCE_SECONDS
        self._shown = False

    def show(self, what: str, position: int, total: int | None) -> None:
        """
        Say that *position* of *total* bytes of *what* are done; None is an unknown number.
        """
        if not self._live or (now := time.monotonic()) < self._due:
            return
        self._due = now + _INTERVAL_SECONDS
        self._shown = True
        click.echo(
            _ERASE + progress_line(what, position, total, self._columns()),
            file=self._stream,
            nl=False,
        )

    def hide(self) -> None:
        """
        Take the line away; it comes back when there is more to show.
        """
        if self._shown:
            self._shown = False
            click.echo(_ERASE, file=self._stream, nl=False)

    def _columns(self) -> int:
        try:
            return os.get_terminal_size(self._stream.fileno()).columns or _COLUMNS
        except OSError:
            return _COLUMNS


def progress_line(what: str, position: int, total: int | None, columns: int) -> str:
    """
    Write the line, which must not be wider than the terminal: only one line is erased.
    """
    done = f"{_megabytes(position)} MB"
    bar = ""
    if total:
        part = min(1.0, position / total)
        done = f"{part:4.0%} of {_megabytes(total)} MB"
        width = min(_BAR_WIDTH, (columns - len(done)) // 2)
        full = round(part * width)
        bar = click.style("█" * full, fg="cyan") + click.style("░" * (width - full), dim=True)
        columns -= width + 2
        bar += "  "
    room = columns - len(done) - len("   ")
    name = f"{ending(what, room)}  " if room > 0 else ""
    return f"{name}{bar}{done}"


def _megabytes(octets: int) -> str:
    return f"{octets / 1_000_000:.1f}"
