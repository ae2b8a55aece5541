"""
Logging: text for a person at a terminal, one JSON object a line for a machine.

A message is a constant sentence; what varies are fields, given as ``extra``.
"""

import json
import logging
import os
import sys
import time
from typing import TextIO

import click

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_COLOURS = {
    logging.DEBUG: "bright_black",
    logging.WARNING: "yellow",
    logging.ERROR: "red",
    logging.CRITICAL: "red",
}


def fields_of(record: logging.LogRecord) -> dict[str, object]:
    """
    Give what was passed to the log call as ``extra``.
    """
    return {name: value for name, value in vars(record).items() if name not in _STANDARD}


class TextFormatter(logging.Formatter):
    """
    One line for the eye: time, level, sentence, fields.
    """

    def __init__(self, *, colour: bool) -> None:
        super().__init__()
        self._colour = colour

    def format(self, record: logging.LogRecord) -> str:
        """
        Write *record* as text.
        """
        clock = time.strftime("%H:%M:%S", time.localtime(record.created))
        fields = " ".join(f"{name}={value}" for name, value in fields_of(record).items())
        line = f"{clock} {record.levelname:<7} {record.getMessage()}"
        if self._colour and (colour := _COLOURS.get(record.levelno)):
            line = click.style(line, fg=colour)
        if fields:
            line += "  " + (click.style(fields, dim=True) if self._colour else fields)
        if record.exc_info:
            line += "\n" + self.formatException(record.exc_info)
        return line


class JsonFormatter(logging.Formatter):
    """
    One JSON object a line: ``time`` (seconds since the epoch), ``level``, ``logger``, ``message``.
    """

    def format(self, record: logging.LogRecord) -> str:
        """
        Write *record* as JSON.
        """
        line: dict[str, object] = {
            "time": round(record.created, 3),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **fields_of(record),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False, default=str)


def log_to(stream: TextIO | None = None, *, level: str = "INFO", form: str = "auto") -> None:
    """
    Send all logs to *stream* (default: standard error) from *level* on.

    *form* is ``text``, ``json``, or ``auto``: text if the stream is a terminal, else JSON.
    """
    stream = stream or sys.stderr
    terminal = stream.isatty()
    handler = logging.StreamHandler(stream)
    if form == "json" or (form == "auto" and not terminal):
        handler.setFormatter(JsonFormatter())
    else:
        handler.setFormatter(TextFormatter(colour=terminal and "NO_COLOR" not in os.environ))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
