"""
Reads AMI events that other tools wrote as JSON: one array, or one object after the other.

Each object is an event's headers. Tools differ in the spelling of header names, wrap the
headers into an object of their own, write numbers as numbers and repeated headers as
arrays: all that is understood. A time, in whatever key tools use for it, is kept.
"""

import codecs
import itertools
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any

from ami_bridge.core.ami_events import NAMES_THAT_MATTER
from ami_bridge.core.ami_stream import MAXIMUM_MESSAGE_BYTES, AmiMessage
from ami_bridge.errors import RecordingError

_BETWEEN = re.compile(r"[\s,]*")
_NOT_IN_NAMES = re.compile(r"[^a-z0-9]")
_EVENT_NAMES = {name.decode().lower(): name for name in NAMES_THAT_MATTER}
_LINE_BREAKS = re.compile(r"[\r\n]+")
_CHANNEL_HEADERS = """
    Channel ChannelState ChannelStateDesc CallerIDNum CallerIDName ConnectedLineNum
    ConnectedLineName Language AccountCode Context Exten Priority Uniqueid Linkedid
"""
_OTHER_HEADERS = """
    Privilege Timestamp SystemName ActionID Cause Cause-txt TechCause DialStatus DialString Forward
    Uptime LastReload Status Response Reason Application AppData Extension SubEvent Destination
    Source SrcUniqueID Newname Oldname Queue Position Count BridgeUniqueid BridgeType
    BridgeTechnology BridgeCreator BridgeName BridgeNumChannels ToBridgeUniqueid
    FromBridgeUniqueid Channel1 Channel2 Uniqueid1 Uniqueid2 CallerID1 CallerID2 Bridgestate
    Bridgetype Shutdown Restart Result
"""
#: Whose channel it is, in front of a channel's headers.
_PREFIXES = (
    *("", "Dest", "Target", "LocalOne", "LocalTwo", "Transferer", "OrigTransferer"),
    *("SecondTransferer", "Transferee", "TransferTarget", "Parkee", "Parker", "Retriever"),
)
#: How Asterisk spells the names of headers that tools spell in other ways.
_HEADER_NAMES = {
    _NOT_IN_NAMES.sub("", name.lower()): name
    for name in [
        *(prefix + name for prefix in _PREFIXES for name in _CHANNEL_HEADERS.split()),
        *_OTHER_HEADERS.split(),
    ]
}
_TIME_KEYS = ("time", "timestamp", "ts", "received", "receivedat", "at")
#: More seconds since the epoch than any clock shows: the tool counted milliseconds.
_MILLISECONDS_FROM = 1e11


class FoldedHeaders(dict[str, str]):
    """
    Headers whose names are compared without regard to case and punctuation.
    """

    def __init__(self, headers: Mapping[str, Any]) -> None:
        super().__init__()
        #: The names as they were written.
        self.spellings: dict[str, str] = {}
        for name, value in headers.items():
            folded = _folded(name)
            self.setdefault(folded, _as_text(value))
            self.spellings.setdefault(folded, name)

    def __getitem__(self, name: str) -> str:
        return super().__getitem__(_folded(name))

    def __contains__(self, name: object) -> bool:
        return super().__contains__(_folded(str(name)))

    def get(self, name: str, default: Any = None) -> Any:
        """
        Give the value of *name*, or *default* where there is none.
        """
        return super().get(_folded(name), default)


def as_wire(message: AmiMessage) -> bytes:
    """
    Write *message*, which `JsonRecording` gave, as Asterisk would have sent it.
    """
    headers = message.headers
    spellings = headers.spellings if isinstance(headers, FoldedHeaders) else {}
    lines = [f"Event: {headers['Event']}"]
    for folded, value in headers.items():
        if folded != "event":
            name = _HEADER_NAMES.get(folded) or spellings.get(folded, folded)
            # No value on the wire has a line break, and nothing that follows one is a header.
            lines.append(f"{_LINE_BREAKS.sub(' ', name)}: {_LINE_BREAKS.sub(' ', value)}")
    return "\r\n".join([*lines, "", ""]).encode()


class JsonRecording:
    """
    One text of JSON, which came from *name*.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        # Numbers stay as they are written: as a float, the Uniqueid 1795407795.10 would end in 1.
        self._decoder = json.JSONDecoder(parse_float=str, parse_int=str, parse_constant=str)
        #: Values that are no event: responses, statistics, comments.
        self.others = 0
        self._events = 0
        self._depth = 0
        #: Where the text at hand begins, in bytes.
        self._offset = 0
        self._damage: RecordingError | None = None

    def messages(self, pieces: Iterable[bytes]) -> Iterator[tuple[AmiMessage, float | None]]:
        """
        Give the events and their times.

        Raise `RecordingError` after the last readable one if something was damaged.
        """
        try:
            for value in self._values(pieces):
                headers, time = _headers_and_time(value)
                if headers is None:
                    self.others += 1
                    continue
                self._events += 1
                yield _message(headers), time
        except RecordingError as damage:
            self._damage = self._damage or damage
        if self._damage is not None:
            raise self._damage
        if not self._events:
            raise RecordingError(self._name, 0, "no AMI event in it")

    def _values(self, pieces: Iterable[bytes]) -> Iterator[Any]:
        """
        Take one value after the other from the text, skipping lines that are no JSON.
        """
        reader = codecs.getincrementaldecoder("utf-8")(errors="surrogateescape")
        text, at = "", 0
        for piece in itertools.chain(pieces, [None]):
            self._offset += _size(text[:at])
            text = text[at:] + reader.decode(piece or b"", final=piece is None)
            at = self._next(text, 0)
            while at < len(text):
                try:
                    value, at = self._decoder.raw_decode(text, at)
                except (json.JSONDecodeError, RecursionError) as error:
                    position = getattr(error, "pos", at)
                    if piece is not None and _may_go_on(text, at, position):
                        break
                    self._damaged(text, position, getattr(error, "msg", "nested too deeply"))
                    at = text.find("\n", max(at, position)) + 1 or len(text)
                else:
                    yield value
                at = self._next(text, at)
        if self._depth > 0:
            self._damaged(text, at, "the array does not end")

    def _next(self, text: str, at: int) -> int:
        """
        Find where the next value begins: arrays are opened up, at whatever depth.
        """
        while True:
            at = _BETWEEN.match(text, at).end()  # type: ignore[union-attr] # it may be empty
            if not text.startswith(("[", "]", "\ufeff"), at):
                return at
            self._depth += {"[": 1, "]": -1}.get(text[at], 0)
            at += 1

    def _damaged(self, text: str, position: int, reason: str) -> None:
        if self._damage is None:
            offset = self._offset + _size(text[:position])
            self._damage = RecordingError(self._name, offset, f"not JSON ({reason})")


def _may_go_on(text: str, start: int, position: int) -> bool:
    """
    Tell whether the value at *start*, which is no JSON from *position* on, only lacks its end.
    """
    return "\n" not in text[position:].strip() and len(text) - start <= MAXIMUM_MESSAGE_BYTES


def _size(text: str) -> int:
    return len(text.encode(errors="surrogateescape"))


def _headers_and_time(value: Any) -> tuple[FoldedHeaders | None, float | None]:
    """
    Find the headers of an event in *value*, and the time that goes with them.
    """
    if not isinstance(value, dict):
        return None, None
    headers = FoldedHeaders(value)
    parts = (part for part in value.values() if isinstance(part, dict))
    inner = next((part for part in parts if "event" in map(_folded, part)), None)
    if inner is None:
        return (headers, _time_in(headers)) if headers.get("event") else (None, None)
    own = FoldedHeaders(inner)
    time = _time_in(own)
    return own, _time_in(headers) if time is None else time


def _time_in(headers: Mapping[str, str]) -> float | None:
    for key in _TIME_KEYS:
        if text := headers.get(key):
            return _seconds(text)
    return None


def _seconds(text: str) -> float | None:
    """
    Read a moment as seconds since the epoch, from a number or from ISO 8601.
    """
    try:
        seconds = float(text)
    except ValueError:
        try:
            return datetime.fromisoformat(text).timestamp()
        except ValueError:
            return None
    if not 0 < seconds < float("inf"):
        return None
    return seconds / 1000 if seconds >= _MILLISECONDS_FROM else seconds


def _message(headers: FoldedHeaders) -> AmiMessage:
    name = headers["Event"]
    octets = _EVENT_NAMES.get(name.lower(), name.encode())
    headers["event"] = octets.decode()
    return AmiMessage(b"", 0, octets, lambda _: {}, headers)


def _folded(name: str) -> str:
    return _NOT_IN_NAMES.sub("", name.lower())


def _as_text(value: Any) -> str:
    """
    Write a JSON value as the header's value that it was.
    """
    if isinstance(value, list):
        # A header that was repeated: the first one counts, as on the wire.
        value = value[0] if value else ""
    if value is None:
        return ""
    text = value if isinstance(value, str) else json.dumps(value)
    if text.isascii():
        return text
    try:
        octets = text.encode(errors="surrogateescape")
    except UnicodeEncodeError:  # half of a surrogate pair, escaped
        return text.encode(errors="replace").decode()
    try:
        return octets.decode()
    except UnicodeDecodeError:
        return octets.decode("latin-1")
