"""
What a recording says again when it is played: its events, in whole messages.

A recording holds one manager session as its client saw it: the greeting, the answer to the
login, answers to what else the client asked, and events. Only the events concern another
client. Nothing here reads files or sockets.
"""

import re

from ami_bridge.core.ami_stream import MAXIMUM_MESSAGE_BYTES, AmiStream

_END = b"\r\n\r\n"
_GREETING = b"Asterisk Call Manager"
_ANSWER = b"Response: "
_ACTION_ID = b"\r\nActionID: "
#: The one event that carries the ActionID of another session and is meant for all.
_FOR_ALL = b"Event: OriginateResponse\r\n"
_BOOTED = b"Event: FullyBooted\r\n"
#: Unique and linked ids, old spellings and system names in front included.
_ID = re.compile(rb"(?i)((?:unique|linked)id[12]?: (?:[^\r\n]*-)?)(\d{9,10})(?=\.\d+\r\n)")
#: Further apart than any recording is long.
_ID_SHIFT_SECONDS = 1_000_000

_UNIQUEID = re.compile(rb"\r\nUniqueid: ([^\r]+)")
_ROW_HEADERS = (
    "Channel",
    "ChannelState",
    "ChannelStateDesc",
    "CallerIDNum",
    "CallerIDName",
    "ConnectedLineNum",
    "ConnectedLineName",
    "Language",
    "AccountCode",
    "Context",
    "Exten",
    "Priority",
    "Uniqueid",
    "Linkedid",
)


class Tape:
    """
    The events of one recording, taken from its chunks as they are fed.

    *passes* counts the recordings played before: their channels must not come back, so the
    ids of each one are moved to a time of their own. The first is played unchanged.
    """

    def __init__(self, passes: int = 0) -> None:
        self._shift = passes * _ID_SHIFT_SECONDS
        self._tail = b""
        self._line_feeds_only: bool | None = None
        self._at_start = True
        self._in_preamble = True

    def feed(self, chunk: bytes) -> bytes:
        """
        Take the next chunk; return the events that it completes.
        """
        data = self._tail + self._with_crlf(chunk)
        end = data.rfind(_END)
        if end < 0 and len(data) <= MAXIMUM_MESSAGE_BYTES:
            self._tail = data
            return b""
        end = len(data) if end < 0 else end + len(_END)
        self._tail = data[end:]
        return self._events(data[:end])

    def finish(self) -> bytes:
        """
        Return the last event, if only its blank line is missing: logs often end so.
        """
        whole = self._tail.endswith(b"\r\n")
        return self.feed(b"\n" if self._line_feeds_only else b"\r\n") if whole else b""

    def _with_crlf(self, chunk: bytes) -> bytes:
        if self._line_feeds_only is None and b"\n" in chunk:
            self._line_feeds_only = b"\r\n" not in self._tail[-1:] + chunk
        return chunk.replace(b"\n", b"\r\n") if self._line_feeds_only else chunk

    def _events(self, data: bytes) -> bytes:
        if self._at_start:
            self._at_start = False
            if data.startswith(_GREETING):
                data = data.partition(b"\r\n")[2]
        if self._in_preamble or _ANSWER in data or _ACTION_ID in data:
            blocks = [block for block in data.split(_END)[:-1] if self._is_for_all(block)]
            data = b"".join(block + _END for block in blocks)
        if self._shift:
            data = _ID.sub(self._shifted, data)
        return data

    def _is_for_all(self, block: bytes) -> bool:
        block = block.lstrip(b"\r\n")
        if block.startswith(_ANSWER):
            return False
        if self._in_preamble:
            # FullyBooted follows each login: whoever plays the tape says it himself.
            self._in_preamble = False
            if block.startswith(_BOOTED):
                return False
        return _ACTION_ID not in block or block.startswith(_FOR_ALL)

    def _shifted(self, found: re.Match[bytes]) -> bytes:
        return found[1] + b"%d" % (int(found[2]) + self._shift)


class LivingChannels:
    """
    The channels that exist at this point of what was played.
    """

    def __init__(self) -> None:
        self._stream = AmiStream(frozenset({b"Newchannel", b"Newstate", b"Hangup"}))
        self._last_words: dict[bytes, dict[str, str] | bytes] = {}

    def __len__(self) -> int:
        return len(self._last_words)

    def feed(self, data: bytes) -> None:
        """
        Take what was played.
        """
        for message in self._stream.feed(data):
            found = _UNIQUEID.search(message.raw)
            if found is None:
                continue
            if message.name == b"Hangup":
                self._last_words.pop(found[1], None)
            else:
                self._last_words[found[1]] = message.raw

    def clear(self) -> None:
        """
        Forget the channels of a recording that ended in mid call.
        """
        self._last_words.clear()
