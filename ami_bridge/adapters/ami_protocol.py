"""
Bytes from Asterisk to events and answers: the protocol that panoramisk is given.

panoramisk's own protocol decodes every read by itself, hands out events one by one and
lets an exception of theirs close the connection. `AmiProtocol` takes its place through
the key ``protocol_factory`` of panoramisk's Manager. It leaves the matching of actions and
answers to panoramisk and reads the rest with `AmiStream`: what a bridge does not need is
never decoded, and nothing that arrives can harm the connection.
"""

import asyncio
import collections
import logging
import math
import time
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import attrs
from panoramisk.actions import Action
from panoramisk.ami_protocol import AMIProtocol
from panoramisk.message import Message

from ami_bridge.core.ami_events import NAMES_THAT_MATTER, AmiEvent
from ami_bridge.core.ami_fast_lane import read_message
from ami_bridge.core.ami_stream import BLANK_LINE, AmiMessage, AmiStream

log = logging.getLogger(__name__)


class Heard(NamedTuple):
    """
    One event that matters.
    """

    ami_event: AmiEvent
    #: Seconds since the epoch.
    time: float
    #: The message as it was on the wire, with its blank line.
    message: bytes


#: Events of one read.
Batch = list[Heard]
OnEvents = Callable[[Batch], None]
#: The bytes of one read and when they came, in seconds since the epoch.
OnBytes = Callable[[bytes, float], None]

#: One kind of oddity is logged once in this time.
LOG_EVERY_SECONDS = 60.0
#: A first line this long is no greeting. Asterisk's has some 30 bytes.
MAXIMUM_GREETING_BYTES = 256

_SHUTDOWN = b"Shutdown"
_WANTED = NAMES_THAT_MATTER | {_SHUTDOWN}
_ACTION_ID = b"\r\nActionID: "
#: Ends the output in answers to Command before Asterisk 14.
_END_OF_OUTPUT = "--END COMMAND--"


@attrs.define(eq=False)
class Oddities:
    """
    What was odd, by kind: all of it counted, each kind logged at most once a minute.
    """

    counts: collections.Counter[str] = attrs.field(factory=collections.Counter)
    #: Seconds of a clock that never goes back.
    clock: Callable[[], float] = time.monotonic
    _logged: dict[str, float] = attrs.field(factory=dict, init=False)

    def note(self, kind: str, count: int = 1, *, error: BaseException | None = None) -> None:
        """
        Count *kind*, and log it if that was not done a short while ago.

        An *error* is a mistake of this program, told with its traceback.
        """
        self.counts[kind] += count
        now = self.clock()
        if now - self._logged.get(kind, -math.inf) < LOG_EVERY_SECONDS:
            return
        self._logged[kind] = now
        fields = {"kind": kind, "count": self.counts[kind]}
        if error is None:
            log.warning("odd input from Asterisk", extra=fields)
        else:
            log.error("input from Asterisk could not be used", extra=fields, exc_info=error)

    def absorb(self, counts: collections.Counter[str]) -> None:
        """
        Take over what another counter has, which is empty afterwards.
        """
        for kind, count in counts.items():
            self.note(kind, count)
        counts.clear()

    def guard(self, callback: Callable[..., None], *values: object) -> None:
        """
        Call *callback*; whatever it raises is noted and goes no further.
        """
        try:
            callback(*values)
        except Exception as error:  # noqa: BLE001 - asyncio would close the connection
            self.note("callback that failed", error=error)


class AmiProtocol(AMIProtocol):  # type: ignore[misc]  # panoramisk has no types
    """
    One connection to Asterisk.

    *on_events* is called once for each read that completed events which matter, with all
    of them in order; *on_bytes* with every read as it came. What they raise is counted and
    logged, no more. Neither may wait for anything: Asterisk cuts off a slow reader.
    """

    def __init__(
        self,
        on_events: OnEvents,
        on_bytes: OnBytes | None = None,
        *,
        oddities: Oddities | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._on_events = on_events
        self._on_bytes = on_bytes
        self._oddities = oddities or Oddities()
        self._clock = clock
        self._stream = AmiStream(_WANTED)
        self._first_bytes = b""
        self._reason = ""

    # -- what asyncio calls --------------------------------------------------------

    def connection_made(self, transport: asyncio.Transport) -> None:
        """
        Begin to listen.
        """
        super().connection_made(transport)
        self._loop = asyncio.get_running_loop()
        #: The first line that came, without its end.
        self.greeting: asyncio.Future[str] = self._loop.create_future()
        #: Done when the connection is gone, with the reason in words.
        self.lost: asyncio.Future[str] = self._loop.create_future()
        #: When something came last, by the clock of the loop.
        self.heard_at = self._loop.time()

    def data_received(self, data: bytes) -> None:
        """
        Read *data*, and tell of the events that it completes.
        """
        if self.closed:
            return
        arrival = self._clock()
        self.heard_at = self._loop.time()
        if self._on_bytes is not None:
            self._oddities.guard(self._on_bytes, data, arrival)
        if self.version is None:
            self._read_greeting(data)
        # Rows of lists have any name: while an answer is due, every message is looked at.
        self._stream.wanted = None if self.responses else _WANTED
        if batch := self._read(self._stream.feed(data), arrival):
            self._oddities.guard(self._on_events, batch)
        if self._stream.oddities:
            self._oddities.absorb(self._stream.oddities)

    def connection_lost(self, exc: BaseException | None) -> None:
        """
        Fail what is still unanswered, and say why in `lost`.

        panoramisk's Manager is not told: it would connect again, and nothing could stop it.
        """
        self.closed = True
        if self.lost.done():
            return
        reason = self._reason or self._why(exc)
        self.lost.set_result(reason)
        unanswered = {id(action): action for action in self.responses.values()}
        self.responses.clear()
        for action in unanswered.values():
            if not action.future.done():
                action.future.set_exception(ConnectionError(reason))

    # -- what the session calls ----------------------------------------------------

    def send(
        self,
        data: Action | dict[str, str],
        as_list: bool | None = None,  # noqa: FBT001 - panoramisk calls it so
    ) -> asyncio.Future[Any]:
        """
        Send an action; return the future of its answer, which fails if the connection does.

        Raises ValueError if a value contains a line break, which would begin a header.
        Nothing of the action is ever logged: Login contains the secret.
        """
        action = data if isinstance(data, Action) else Action(data, as_list=as_list)
        future: asyncio.Future[Any] = action.future
        action.as_list = as_list
        for name, value in action.items():
            if any(letter in str(value) for letter in "\r\n"):
                raise ValueError(f"the value of {name} contains a line break")
        if self.closed:
            future.set_exception(ConnectionError(self._reason or "not connected"))
            return future
        self.responses[action.id] = action
        # A secret from the environment may hold bytes that are no UTF-8.
        self.transport.write(str(action).encode("utf-8", "surrogateescape"))
        return future

    def forget(self, action: Action) -> None:
        """
        Wait no longer for the answer to *action*.
        """
        self.responses.pop(action.id, None)

    def close(self) -> None:
        """
        End the connection at once, without waiting for a peer that may be gone.
        """
        self.hang_up("closed by the bridge")

    def hang_up(self, reason: str) -> None:
        """
        End the connection at once for *reason*; `lost` follows in the next turn of the loop.
        """
        if not self.closed:
            self.closed = True
            self._reason = reason
            self.transport.abort()

    # -- reading -------------------------------------------------------------------

    def _read(self, messages: Iterable[AmiMessage], arrival: float) -> Batch:
        batch: Batch = []
        for message in messages:
            name = message.name
            try:
                if not name or (self.responses and _ACTION_ID in message.raw):
                    self._answered(message)
                if name in NAMES_THAT_MATTER:
                    ami_event = read_message(message)
                    if ami_event is not None:
                        moment = message.time_at(arrival)
                        batch.append(Heard(ami_event, moment, message.raw + BLANK_LINE))
                elif name == _SHUTDOWN:
                    self._shutting_down(message)
            except ValueError as error:
                self._oddities.note(str(error))
            except Exception as error:  # noqa: BLE001 - a task's edge: asyncio would close
                self._oddities.note("message that could not be read", error=error)
        return batch

    def _answered(self, message: AmiMessage) -> None:
        """
        Give *message* to the action that it answers.
        """
        headers = _answer_headers(message.raw)
        if headers.get("ActionID") in self.responses:
            self.handle_message(Message(headers))
        elif not message.name:
            self._oddities.note("answer that nobody waits for")

    def _read_greeting(self, data: bytes) -> None:
        self._first_bytes += data[:MAXIMUM_GREETING_BYTES]
        line, end, _ = self._first_bytes.partition(b"\n")
        if end or len(self._first_bytes) >= MAXIMUM_GREETING_BYTES:
            text = line.decode("ascii", "replace").strip()
            self.version = text.partition("/")[2]
            if not self.greeting.done():
                self.greeting.set_result(text)

    def _shutting_down(self, message: AmiMessage) -> None:
        restart = message.headers.get("Restart", "").lower() == "true"
        # Hangups may still follow; the end comes from Asterisk.
        self._reason = "Asterisk restarts" if restart else "Asterisk shuts down"

    def _why(self, exc: BaseException | None) -> str:
        if exc is not None:
            return str(getattr(exc, "strerror", None) or exc or type(exc).__name__)
        if self._stream.messages and self._stream.unfinished:
            return (
                "Asterisk closed the connection in the middle of a message, "
                "as it does when a reader is too slow (writetimeout in manager.conf)"
            )
        return "Asterisk closed the connection"


def _answer_headers(raw: bytes) -> dict[str, str]:
    """
    Read the headers of an answer; values of a repeated one are joined by line feeds.

    What old Asterisks print without a header, as an answer to Command, is ``Output``.
    """
    headers: dict[str, str] = {}
    for line in raw.decode("utf-8", "replace").split("\r\n"):
        name, colon, value = line.partition(":")
        if not colon or "\n" in line:
            name, value = "Output", line.removesuffix(_END_OF_OUTPUT)
        else:
            value = value.removeprefix(" ")
        if name not in headers:
            headers[name] = value
        elif name != "ActionID":
            headers[name] += f"\n{value}"
    return headers
