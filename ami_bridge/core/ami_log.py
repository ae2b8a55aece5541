"""
What somebody kept of an AMI connection: messages, and what is damaged in them.

A recording holds the bytes as they came from Asterisk. A log of ``telnet`` or a terminal
holds the same with other line endings, telnet's own lines, what the user typed, and often
neither beginning nor end. Both are read here, in any mixture, one after the other.

What is damage, and what only looks like it:

- A block in the middle that is no message, or binary rubbish where a header's name should
  be, is damage: something was overwritten or is missing. The block is dropped.
- What stands before the first message is the place where somebody began to record, if it is
  text, and damage if it is binary.
- A last message that does not end is what a closed connection leaves behind, or what is left
  of a file that was cut: `AmiLog.cut_at` says where it begins, and whoever knows how the
  stream ended has to judge. A log may lack the last blank line; its last message counts if
  its last line is whole.
- A stream without a single message is damaged from its first byte, unless it is empty.

What a PBX may well send (odd values, NUL bytes in them, lines without a colon, invalid
UTF-8) is no damage; `AmiStream` counts it.
"""

import collections
import re
from collections.abc import Container, Iterator

import attrs

from .ami_stream import MAXIMUM_MESSAGE_BYTES, AmiMessage, AmiStream

_CRLF = b"\r\n"
_BLANK_LINE = _CRLF * 2
_LONE_LF = re.compile(rb"(?<!\r)\n")
_LINE_ENDS = re.compile(rb"(?:\r?\n)+")
# A message's first line tells how its lines end. Within CRLF, LF LF is no end (old versions
# give a command's output so), unless a message follows: then the log has both.
_END_OF_CRLF_MESSAGE = re.compile(rb"\n\r+\n|\n\n(?=Event: |Response: |Action: |Asterisk Call )")
_BLANK_CRLF = re.compile(rb"\n\r+\n")
_END_OF_LF_MESSAGE = re.compile(rb"\n\r*\n")
_BLANK = re.compile(rb"[\r\n]*")
_BANNER = re.compile(rb"Asterisk Call Manager/[0-9.]+\r*(?:\n|\Z)")
_MESSAGE = (b"Event: ", b"Response: ")
_FIRST_WORDS = (*_MESSAGE, b"Asterisk Call Manager/")
_TYPED = re.compile(rb"action:", re.IGNORECASE)
#: What telnet, nc and the user's terminal say themselves.
_FOREIGN_LINE = re.compile(
    rb"^(?:Trying |Connected to |Connection (?:closed|to )|Escape character|telnet> |\^\]|\^C"
    rb"|Ncat: |Script (?:started|done))[^\n]*\n?",
    re.MULTILINE,
)
_CONTROLS = bytes(code for code in (*range(0x20), 0x7F) if code not in b"\t\n\r\x1b")
_CONTROL = re.compile(b"[" + re.escape(_CONTROLS) + b"]")
#: What a tidy run of messages does not contain.
_SPECIAL = (b"Asterisk Call Manager/", b"Response: Follows")
_END_OF_OUTPUT = b"--END COMMAND--"


@attrs.frozen
class Damage:
    """
    Something that was written over, or is missing.
    """

    offset: int
    kind: str


class AmiLog:
    """
    One recorded stream or log; *wanted* are the names of the events to read (None: all).
    """

    def __init__(self, wanted: Container[bytes] | None = None) -> None:
        self._stream = AmiStream(wanted)
        self._tail = b""
        #: Where the tail is known to hold no end of a message.
        self._searched = 0
        self._skipping = False
        self._in_output = False
        #: A banner or a message has been seen.
        self._begun = False
        #: Anything has been seen that is not blank.
        self._any_text = False
        #: Bytes fed so far.
        self.position = 0
        #: The first damage; None as long as there is none.
        self.damage: Damage | None = None
        #: Offset of the last message, if the stream breaks off in it; known after `finish`.
        self.cut_at: int | None = None

    @property
    def oddities(self) -> collections.Counter[str]:
        """
        Count what was odd, damage included.
        """
        return self._stream.oddities

    def feed(self, chunk: bytes) -> list[AmiMessage]:
        """
        Take the next bytes; return the messages that they complete, oldest first.
        """
        data = self._tail + chunk if self._tail else chunk
        base = self.position - len(self._tail)
        self.position += len(chunk)
        messages: list[AmiMessage] = []
        start, searched = self._feed_tidy(data, messages), self._searched
        mixed = b"\n\n" in data
        while True:
            if not self._skipping:
                start = _BLANK.match(data, start).end()  # type: ignore[union-attr] # it may be empty
            found = _end_of_message(data, start, max(start, searched), mixed=mixed)
            if found is None:
                break
            if self._skipping:
                self._skipping = False
            else:
                messages.extend(self._block(data[start : found.start() + 1], base + start))
            start = found.end()
        self._tail = data[start:]
        self._searched = max(0, len(self._tail) - len(b"\n\nAsterisk Call "))
        if len(self._tail) > MAXIMUM_MESSAGE_BYTES:
            self._discard_tail()
        return messages

    def _feed_tidy(self, data: bytes, messages: list[AmiMessage]) -> int:
        """
        Read the whole messages at the beginning of *data*, if all is as Asterisk sends it.

        Add them to *messages*; return where the rest begins. This only saves time.
        """
        blank_line = b"\n\n" if b"\r" not in data else _BLANK_LINE
        end = data.rfind(blank_line) + len(blank_line)
        if end < len(blank_line) or self._skipping or not _is_tidy(data):
            return 0
        blocks = data[:end].split(blank_line)
        blocks.pop()
        if not all(block.startswith(_MESSAGE) for block in blocks):
            return 0
        self._begun, self._in_output = True, False
        tidy = data[:end] if blank_line is _BLANK_LINE else data[:end].replace(b"\n", _CRLF)
        messages += self._stream.feed(tidy)
        return end

    def finish(self, *, as_received: bool = False) -> list[AmiMessage]:
        """
        Say that there is no more; return the last message, if what is left is one.

        *as_received* means that these are the very bytes that came: then there is none
        without a blank line.
        """
        offset = self.position - len(self._tail)
        left, self._tail = _FOREIGN_LINE.sub(b"", self._tail), b""
        messages: list[AmiMessage] = []
        if left.strip() and not self._skipping:
            self._any_text = True
            messages = self._last(left, offset, as_received=as_received)
        if self._any_text and not self._begun and self.damage is None:
            self._damaged(0, "no AMI message in it")
        return messages

    def _discard_tail(self) -> None:
        if not self._skipping:
            self._damaged(self.position - len(self._tail), "message without an end")
        self._skipping = True
        self._tail = self._tail[-len(_CRLF) :]
        self._searched = 0

    def _damaged(self, offset: int, kind: str) -> None:
        self.oddities[kind] += 1
        if self.damage is None:
            self.damage = Damage(offset, kind)

    def _block(self, block: bytes, offset: int) -> Iterator[AmiMessage]:
        """
        Read *block*, the lines between two blank lines.
        """
        self._any_text = True
        banner = _BANNER.search(block) if b"Asterisk Call Manager/" in block else None
        if banner is not None:
            # What stands before it was not finished when the connection broke.
            self._preface(block[: banner.start()], offset)
            self._begun = True
            offset += banner.end()
            block = block[banner.end() :]
        if block.startswith(_MESSAGE):
            yield from self._message(block, offset)
        elif block:
            yield from self._untidy(block, offset)

    def _preface(self, lines: bytes, offset: int) -> None:
        lines = _FOREIGN_LINE.sub(b"", lines)
        if lines.strip() and self._begun:
            self.oddities["message cut off by a new connection"] += 1
        elif _CONTROL.search(lines):
            self._damaged(offset, "block that is no message")

    def _message(self, block: bytes, offset: int) -> list[AmiMessage]:
        self._begun = True
        self._in_output = block.startswith(b"Response: Follows") and _END_OF_OUTPUT not in block
        if not block.isascii() or _CONTROL.search(block):
            spoilt = _spoilt_at(block)
            if spoilt is not None:
                self._damaged(offset + spoilt, "rubbish in a message")
                return []
        # What went through a terminal, as in `script`, has CR CR LF.
        block = block.replace(b"\r\r\n", _CRLF)
        if _LONE_LF.search(block):
            block = _LINE_ENDS.sub(_CRLF, block)
        return self._stream.feed(block + _CRLF)

    def _untidy(self, block: bytes, offset: int) -> Iterator[AmiMessage]:
        """
        Read a block that does not begin with a message.
        """
        if self._in_output:
            self._in_output = _END_OF_OUTPUT not in block
            return
        text = _FOREIGN_LINE.sub(b"", block).strip()
        if text.startswith(_MESSAGE):
            yield from self._message(text + b"\n", offset)
        elif _TYPED.match(text):
            self._begun = True
        elif text:
            if self._begun or _CONTROL.search(text):
                self._damaged(offset, "block that is no message")
            else:
                self.oddities["text before the first message"] += 1

    def _last(self, left: bytes, offset: int, *, as_received: bool) -> list[AmiMessage]:
        """
        Judge what stands behind the last blank line.
        """
        banner = _BANNER.match(left)
        if banner is not None:
            self._begun = True
            left, offset = left[banner.end() :], offset + banner.end()
        if left.startswith(_MESSAGE) and left.endswith(b"\n") and not as_received:
            return list(self._block(left, offset))
        if left.startswith(_MESSAGE) or any(first.startswith(left) for first in _FIRST_WORDS):
            self._begun = True
            self.cut_at = offset if left else None
            return []
        return list(self._untidy(left, offset))


def _end_of_message(
    data: bytes, start: int, searched: int, *, mixed: bool
) -> re.Match[bytes] | None:
    """
    Find the blank line after the message that begins at *start*; none is before *searched*.
    """
    line_end = data.find(b"\n", start)
    if line_end < 0:
        return None
    pattern = _END_OF_LF_MESSAGE
    if data[max(0, line_end - 1) : line_end] == b"\r":
        pattern = _END_OF_CRLF_MESSAGE if mixed else _BLANK_CRLF
    return pattern.search(data, max(line_end, searched))


def _is_tidy(octets: bytes) -> bool:
    """
    Tell whether *octets* are such that their messages need no second look.
    """
    return (
        octets.isascii()
        and (b"\r" not in octets or octets.count(b"\n") == octets.count(_CRLF))
        and len(octets.translate(None, _CONTROLS)) == len(octets)
        and not any(text in octets for text in _SPECIAL)
    )


def _spoilt_at(block: bytes) -> int | None:
    """
    Find the first line of *block* that no PBX has sent: with rubbish before its colon.
    """
    offset = 0
    for line in block.splitlines(keepends=True):
        name = line.partition(b":")[0]
        if _CONTROL.search(name) or not _is_text(name):
            return offset
        offset += len(line)
    return None


def _is_text(octets: bytes) -> bool:
    try:
        octets.decode()
    except UnicodeDecodeError:
        return False
    return True
