"""
One playing of a recording: its events at their times, and the channels that there are by then.

What is played are the recording's own events; answers to actions that were recorded are left
out, and so is what belongs to another client's login.
"""

import asyncio
import contextlib
import logging
import re
import time
from collections.abc import Callable, Iterable
from typing import Protocol

from ami_bridge.core.ami_log import AmiLog
from ami_bridge.core.ami_stream import BLANK_LINE, AmiMessage, AmiStream
from ami_bridge.core.pbx_state import PbxState
from ami_bridge.errors import RecordingError

log = logging.getLogger(__name__)

#: The reads of a recording: when each came, in seconds, if that is known, and its bytes.
Chunks = Iterable[tuple[float | None, bytes]]

_UNIQUEID = re.compile(rb"\b(1\d{9})\.(\d+)\b")
#: How far the unique ids of a repeated recording are shifted, in seconds.
_SHIFT_SECONDS = 1_000_000
#: What is due is sent in pieces of this size.
_BATCH_BYTES = 64 * 1024
#: What is due within this time, in seconds, is due now: no event loop's clock is finer.
_TICK_SECONDS = 0.001


class Listener(Protocol):
    """
    Somebody who hears a performance.
    """

    async def hear(self, octets: bytes) -> None:
        """
        Take events as they are on the wire.
        """


class Performance:
    """
    The recording that *chunks* opens, played *speed* times as fast as it was recorded.

    With *speed* 0 or None it is played as fast as its listeners read. *loop* begins it again,
    with other calls; *waits* lets time stand still while there are no listeners. *said* is
    told how many chunks have been said each time when there are more.
    """

    def __init__(
        self,
        chunks: Callable[[], Chunks],
        speed: float | None,
        *,
        loop: bool = False,
        waits: bool = False,
        said: Callable[[int], None] = lambda _position: None,
    ) -> None:
        self._chunks = chunks
        self._loop = loop
        self._said = said
        self._clock = _PlayClock(speed)
        self._waits = waits
        self._away = False
        #: Who hears it now.
        self._listeners: list[Listener] = []
        #: The channels that there are.
        self.state = PbxState()
        #: Chunks of the recording whose time has come so far.
        self.position = 0
        #: How often it began anew: what belongs to an earlier life is left out.
        self._lives = 0
        self._update()

    def join(self, listener: Listener) -> None:
        """
        Let *listener* hear what is said from now on.
        """
        self._listeners.append(listener)
        self._update()

    def leave(self, listener: Listener) -> None:
        """
        Let *listener* hear no more.
        """
        with contextlib.suppress(ValueError):
            self._listeners.remove(listener)
        self._update()

    def stop_time(self) -> None:
        """
        Let time stand still until `begin_anew`: the PBX is down.
        """
        self._away = True
        self._update()

    def begin_anew(self) -> None:
        """
        Go on as a PBX that has just started: no channel is left of before.
        """
        self.state.clear()
        self._lives += 1
        self._away = False
        self._update()

    async def say(self, octets: bytes) -> None:
        """
        Tell all listeners of events, which may be none of the recording.
        """
        if octets:
            await asyncio.gather(*(listener.hear(octets) for listener in list(self._listeners)))

    async def play(self, over: Callable[[], None]) -> None:
        """
        Play to the end, and call *over* when it is reached; a loop goes on after it.
        """
        round_number = 0
        while True:
            events = _Events()
            await self._play_once(events, round_number)
            over()
            round_number += 1
            if not self._loop or not events.seen:
                return
            self.state.clear()

    async def _play_once(self, events: "_Events", round_number: int) -> None:
        self._clock.rewind()
        batch: list[tuple[int, bytes]] = []
        size = 0
        for when, octets in _readable(self._chunks()):
            life = self._lives
            due = self._clock.is_due(when)
            if batch and (size >= _BATCH_BYTES or not due):
                await self._perform(events, batch, round_number)
                batch, size = [], 0
            if not due:
                await self._clock.until(when)
            batch.append((life, octets))
            size += len(octets)
        await self._perform(events, batch, round_number)
        await self._tell(events.finish(), round_number)

    async def _perform(
        self, events: "_Events", batch: list[tuple[int, bytes]], round_number: int
    ) -> None:
        # Also where nothing is waited for this lets actions be answered between two events.
        await asyncio.sleep(0)
        while not self._clock.running.is_set():
            await self._clock.running.wait()
        self.position += len(batch)
        self._said(self.position)
        # What was about to be said when the PBX went down is not said any more.
        due = [octets for life, octets in batch if life == self._lives]
        await self._tell(events.feed(b"".join(due)), round_number)

    async def _tell(self, messages: list[AmiMessage], round_number: int) -> None:
        if round_number:
            messages = _of_other_calls(messages, round_number)
        now = time.time()
        said: list[bytes] = []
        for message in messages:
            if not self._lives or self.state.may_happen(message):
                self.state.take(message, now)
                said.append(message.raw + BLANK_LINE)
        await self.say(b"".join(said))

    def _update(self) -> None:
        self._clock.let(run=not self._away and bool(self._listeners or not self._waits))


class _PlayClock:
    """
    Recorded time, *speed* times as fast, which can stand still.
    """

    def __init__(self, speed: float | None) -> None:
        self._speed = speed
        #: Set while time passes.
        self.running = asyncio.Event()
        self._stopping = asyncio.Event()
        self._stopped_at: float | None = None
        self.rewind()

    def rewind(self) -> None:
        """
        Begin a recording: its first chunk is due at once.
        """
        self._first: float | None = None
        #: When the first chunk was due, by the clock of the loop; later by all standing still.
        self._began = 0.0

    def let(self, *, run: bool) -> None:
        """
        Let time pass, or stand still.
        """
        now = asyncio.get_running_loop().time()
        if run and not self.running.is_set():
            if self._stopped_at is not None:
                self._began += now - self._stopped_at
            self._stopped_at = None
            self.running.set()
            self._stopping.clear()
        elif not run and not self._stopping.is_set():
            self._stopped_at = now
            self.running.clear()
            self._stopping.set()

    def is_due(self, when: float | None) -> bool:
        """
        Tell whether the recorded moment *when* has come; it does not while time stands still.
        """
        return self.running.is_set() and self._wait_for(when) <= _TICK_SECONDS

    async def until(self, when: float | None) -> None:
        """
        Wait until the recorded moment *when* has come.
        """
        while self._speed and when is not None:
            await self.running.wait()
            wait = self._wait_for(when)
            if wait <= _TICK_SECONDS:
                return
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await self._stopping.wait()

    def _wait_for(self, when: float | None) -> float:
        if not self._speed or when is None:
            return 0.0
        now = asyncio.get_running_loop().time()
        if self._first is None:
            self._first, self._began = when, now
        return self._began + (when - self._first) / self._speed - now


def _readable(chunks: Chunks) -> Chunks:
    """
    Give *chunks* up to the first damage.
    """
    try:
        yield from chunks
    except RecordingError as error:
        log.warning("recording is damaged", extra={"reason": str(error)})


class _Events:
    """
    What of a recording every client would have been told, and not only the recorded one.
    """

    def __init__(self) -> None:
        self._messages = AmiLog()
        self._after_login = False
        #: There were events.
        self.seen = False

    def feed(self, octets: bytes) -> list[AmiMessage]:
        """
        Take what was recorded; give the events that it completes.
        """
        return self._among(self._messages.feed(octets))

    def finish(self) -> list[AmiMessage]:
        """
        Give the last event, if only its blank line is missing: logs often end so.
        """
        return self._among(self._messages.finish(as_received=False))

    def _among(self, messages: Iterable[AmiMessage]) -> list[AmiMessage]:
        found = [message for message in messages if self._is_for_all(message)]
        self.seen = self.seen or bool(found)
        return found

    def _is_for_all(self, message: AmiMessage) -> bool:
        after_login, self._after_login = self._after_login, False
        if not message.name:
            self._after_login = message.headers.get("Message") == "Authentication accepted"
            return False
        if after_login and message.name == b"FullyBooted":
            # It is part of a login, and each client has its own.
            return False
        # OriginateResponse shows the ActionID of whoever ordered the call.
        return message.name == b"OriginateResponse" or b"\r\nActionID: " not in message.raw


def _of_other_calls(messages: Iterable[AmiMessage], round_number: int) -> list[AmiMessage]:
    """
    Make *messages* of a repeated recording those of other calls.
    """
    shift = round_number * _SHIFT_SECONDS
    octets = b"".join(message.raw + BLANK_LINE for message in messages)
    return AmiStream().feed(
        _UNIQUEID.sub(lambda found: b"%d.%b" % (int(found[1]) + shift, found[2]), octets)
    )
