"""
Bytes of an AMI connection to messages: framing, tolerance and the first sieve.

A message is a block of ``Name: value`` lines that a blank line ends. On a busy PBX most
events are of no use to a bridge, so a message is judged by its event's name while it is
still bytes and only the ones that matter are decoded. Nothing that a PBX, a dialplan or
a broken link may send raises here: oddities are counted in `AmiStream.oddities`.
"""

import collections
import re
from collections.abc import Callable, Container, Iterator

import attrs

#: An unfinished message longer than this is thrown away. Asterisk's own are below 10 kB;
#: a channel with hundreds of variables shown in every event stays below 100 kB.
MAXIMUM_MESSAGE_BYTES = 1024 * 1024

#: A header Timestamp further than this from the time of arrival shows a wrong clock, not a
#: late event: Asterisk cuts off a reader that lags by more than some ten seconds.
TRUSTED_CLOCK_SECONDS = 300.0

_LINE_END = b"\r\n"
#: What ends a message.
BLANK_LINE = _LINE_END * 2
_EVENT = b"Event: "
_HIDDEN_EVENT = _LINE_END + _EVENT
#: A slash and the version follow; a proxy writes its own name before the slash.
_BANNER = b"Asterisk Call Manager"
_TIMESTAMP_HEADER = b"\nTimestamp: "
_TIMESTAMP = re.compile(_TIMESTAMP_HEADER + rb"(\d+(?:\.\d+)?)(?!\S)")


@attrs.define(eq=False)
class AmiMessage:
    """
    One message: its bytes, and its headers when somebody asks for them.
    """

    #: The message as it was on the wire, for who needs repeated headers or `Output` lines.
    raw: bytes = attrs.field(repr=False)
    #: Offset in the stream of the byte after the blank line that ended the message.
    end: int
    #: The event's name as bytes; empty for a response.
    name: bytes
    _read_headers: Callable[[bytes], dict[str, str]] = attrs.field(repr=False)
    _headers: dict[str, str] | None = attrs.field(default=None, repr=False)

    @property
    def headers(self) -> dict[str, str]:
        """
        Give the headers by name, the first of each.
        """
        if self._headers is None:
            self._headers = self._read_headers(self.raw)
        return self._headers

    @property
    def timestamp(self) -> float | None:
        """
        Give the time that Asterisk wrote into the event (``timestampevents=yes``), if it did.
        """
        found = _TIMESTAMP.search(self.raw) if _TIMESTAMP_HEADER in self.raw else None
        return float(found.group(1)) if found else None

    def time_at(self, arrival: float) -> float:
        """
        Give the time that Asterisk wrote into the event, or its *arrival* if that is no help.
        """
        written = self.timestamp
        if written is None or abs(written - arrival) > TRUSTED_CLOCK_SECONDS:
            return arrival
        return written


class AmiStream:
    """
    One AMI connection's bytes, as they come.

    *wanted* holds the names of the events to decode (as bytes); None decodes every event.
    Responses are always decoded.
    """

    def __init__(self, wanted: Container[bytes] | None = None) -> None:
        #: As *wanted*; it may be changed between two feeds.
        self.wanted = wanted
        self._tail = bytearray()
        self._skipping = False
        #: Bytes fed so far.
        self.position = 0
        #: Messages seen, the sieved ones included.
        self.messages = 0
        #: What was odd, and how often.
        self.oddities: collections.Counter[str] = collections.Counter()
        #: The version in the banner, such as ``11.0.0``; None until it was seen.
        self.version: str | None = None

    @property
    def unfinished(self) -> int:
        """
        Count the bytes of the message that has not ended yet.
        """
        return len(self._tail)

    def feed(self, chunk: bytes) -> list[AmiMessage]:
        """
        Take the next bytes; return the messages that they complete, oldest first.
        """
        start = self.position - len(self._tail)
        self.position += len(chunk)
        gap = len(BLANK_LINE)
        if self._tail:
            if BLANK_LINE not in self._tail[-gap:] + chunk:
                # A long message in many pieces is searched for its end once.
                return self._wait_for_more(chunk)
            chunk = b"".join((self._tail, chunk))
        blocks = chunk.split(BLANK_LINE)
        self._tail[:] = blocks.pop()
        if self._skipping and blocks:
            start += len(blocks.pop(0)) + gap
            self._skipping = False
        messages: list[AmiMessage] = []
        wanted = self.wanted
        for block in blocks:
            start += len(block) + gap
            if block.startswith(_EVENT) and _HIDDEN_EVENT not in block:
                self.messages += 1
                name_end = block.find(_LINE_END)
                name = block[7:] if name_end < 0 else block[7:name_end]
                if wanted is None or name in wanted:
                    messages.append(AmiMessage(block, start, name, self._decode))
            else:
                messages.extend(self._untidy(block, start))
        if len(self._tail) > MAXIMUM_MESSAGE_BYTES:
            self._discard_tail()
        return messages

    def _wait_for_more(self, chunk: bytes) -> list[AmiMessage]:
        self._tail += chunk
        if len(self._tail) > MAXIMUM_MESSAGE_BYTES:
            self._discard_tail()
        return []

    def finish(self) -> list[AmiMessage]:
        """
        Take what is left as the last message: for logs that end without a blank line.

        Only a block that ends with a whole line counts; a line cut in its middle would
        give a value that nobody sent.
        """
        if not self._tail.endswith(_LINE_END):
            return []
        return self.feed(_LINE_END)

    def _discard_tail(self) -> None:
        if not self._skipping:
            self.oddities["message without an end"] += 1
        self._skipping = True
        # The blank line may be split over two chunks.
        del self._tail[: -len(BLANK_LINE) + 1]

    def _untidy(self, block: bytes, end: int) -> Iterator[AmiMessage]:
        """
        Read a block that is no single plain event: banner, response, or a lost blank line.
        """
        for piece in self._pieces(block.strip(b"\r\n")):
            self.messages += 1
            name = b""
            if piece.startswith(_EVENT):
                name = piece[7:].split(_LINE_END, 1)[0]
                if self.wanted is not None and name not in self.wanted:
                    continue
            elif not piece.lower().startswith((b"response:", b"event:")):
                # What somebody typed into a telnet session stands in its log, too.
                if not piece.lower().startswith(b"action:"):
                    self.oddities["block that is no message"] += 1
                continue
            yield AmiMessage(piece, end, name, self._decode)

    def _pieces(self, block: bytes) -> Iterator[bytes]:
        greeting = block.find(_BANNER)
        if greeting >= 0 and not block.startswith(_EVENT):
            # A telnet client has said something before.
            banner, _, block = block[greeting:].partition(_LINE_END)
            self.version = banner.partition(b"/")[2].decode("ascii", "replace").strip()
        if block.startswith(_EVENT + b"UserEvent") or _HIDDEN_EVENT not in block:
            # A dialplan may put a header "Event" into its UserEvent: that is no message.
            if block:
                yield block
            return
        self.oddities["message without a blank line"] += 1
        first, *others = block.split(_HIDDEN_EVENT)
        if first:
            yield first
        for other in others:
            yield _EVENT + other

    def _decode(self, block: bytes) -> dict[str, str]:
        """
        Split *block* into headers; whatever is odd in it is counted and survived.
        """
        try:
            lines = block.decode().split("\r\n")
            headers = dict([line.split(": ", 1) for line in lines])
        except ValueError:  # a line without a colon, or bytes that are no UTF-8
            return self._decode_odd(block)
        if len(headers) != len(lines) or b"\0" in block:
            return self._decode_odd(block)
        return headers

    def _decode_odd(self, block: bytes) -> dict[str, str]:
        headers: dict[str, str] = {}
        if b"\0" in block:
            self.oddities["NUL byte"] += 1
            block = block.replace(b"\0", b"")
        for line in block.split(_LINE_END):
            name, colon, value = self._text(line).partition(":")
            if not colon:
                self.oddities["line without a colon"] += 1
            elif name in headers:
                self.oddities["repeated header"] += 1
            else:
                headers[name.strip()] = value.removeprefix(" ")
        return headers

    def _text(self, line: bytes) -> str:
        try:
            return line.decode()
        except UnicodeDecodeError:
            # Old phones send names in Latin-1; no byte is lost by reading them so.
            self.oddities["invalid UTF-8"] += 1
            return line.decode("latin-1")
