"""
How far a long command is: one line on standard error, if that is a terminal.
"""

import sys
import time
from typing import TextIO

import click

#: What is done sooner needs no line.
_PATIENCE_SECONDS = 0.5
_INTERVAL_SECONDS = 0.1
_BAR_WIDTH = 30
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
        line = f"{what}  {_megabytes(position)} MB"
        if total:
            part = min(1.0, position / total)
            full = round(part * _BAR_WIDTH)
            bar = click.style("█" * full, fg="cyan") + click.style(
                "░" * (_BAR_WIDTH - full), dim=True
            )
            line = f"{what}  {bar} {part:4.0%} of {_megabytes(total)} MB"
        click.echo(_ERASE + line, file=self._stream, nl=False)

    def hide(self) -> None:
        """
        Take the line away; it comes back when there is more to show.
        """
        if self._shown:
            self._shown = False
            click.echo(_ERASE, file=self._stream, nl=False)


def _megabytes(octets: int) -> str:
    return f"{octets / 1_000_000:.1f}"
