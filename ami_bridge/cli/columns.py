"""
Text from outside in columns of a terminal.
"""

import unicodedata
from collections.abc import Iterator, Sequence

import click


def visible(text: str) -> str:
    """
    Put a mark in place of what a terminal would obey.
    """
    return "".join(
        letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text
    )


def padded(text: str, width: int) -> str:
    """
    Make *text* as wide as *width* columns of a terminal: Chinese letters take two.
    """
    text = visible(text)
    room = width
    for index, letter in enumerate(text):
        columns = _columns(letter)
        if columns > room or (columns == room and _columns(text[index + 1 : index + 2])):
            return f"{text[:index]}…" + " " * (room - 1)
        room -= columns
    return text + " " * room


def ending(text: str, width: int) -> str:
    """
    Give *text*, or as much of its end as fits into *width* columns.
    """
    text = visible(text)
    if _width(text) <= width:
        return text
    while text and _width(text) >= width:
        text = text[1:]
    return f"…{text}"


def table(headings: Sequence[str], rows: Sequence[Sequence[str]], widest: int) -> Iterator[str]:
    """
    Give the lines of a table whose columns are as wide as they have to be, but for the *widest*.

    The last column may be of any width.
    """
    widths = [
        min(widest, max(_width(row[column]) for row in (headings, *rows)))
        for column in range(len(headings) - 1)
    ]
    for number, row in enumerate((headings, *rows)):
        cells = [padded(text, width) for text, width in zip(row, widths, strict=False)]
        line = "  ".join([*cells, visible(row[-1])]).rstrip()
        yield line if number else click.style(line, dim=True)


def _width(text: str) -> int:
    return sum(map(_columns, visible(text)))


def _columns(letter: str) -> int:
    if not letter or unicodedata.combining(letter):
        return 0
    return 2 if unicodedata.east_asian_width(letter) in "WF" else 1
