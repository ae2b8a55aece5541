"""
A local AMI server that plays recordings: what ``ami-bridge simulate`` and the demo run.

Any AMI client can log in, plainly or by MD5 challenge. What is played are the recording's
own events; answers to actions that were recorded are left out, and the client's own actions
are answered politely. CoreShowChannels lists the channels that are up at that moment of the
recording.
"""

import asyncio
import contextlib
import hashlib
import logging
import re
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator
from types import TracebackType
from typing import Self

from ami_bridge.core.ami_log import AmiLog
from ami_bridge.core.ami_stream import AmiMessage, AmiStream
from ami_bridge.errors import RecordingError

log = logging.getLogger(__name__)

#: The reads of a recording: when each came, in seconds, if that is known, and its bytes.
Chunks = Iterable[tuple[float | None, bytes]]

_VERSION = "11.0.0"
_BANNER = f"Asterisk Call Manager/{_VERSION}\r\n".encode()
_UNIQUEID = re.compile(rb"\b(1\d{9})\.(\d+)\b")
#: How far the unique ids of a repeated recording are shifted, in seconds.
_SHIFT_SECONDS = 1_000_000
_CHALLENGE = "271828182"
#: How long a refusal is held back, as Asterisk does it.
_REFUSAL_SECONDS = 1.0
#: How long a client that left may take to read what is on its way.
_FLUSH_SECONDS = 1.0
_MOST_HEADERS = 1000
#: What is due is sent in pieces of this size.
_BATCH_BYTES = 64 * 1024


class Simulator:
    """
    The server; use it as a context manager. *chunks* opens the recording anew.

    *speed* is how many times faster than recorded it is played, 0 or None as fast as the
    client reads. It is played to each client from the beginning. *credentials* are the user
    and secret that are let in; None lets in everybody.
    """

    def __init__(  # noqa: PLR0913 - a recording, an address and three switches
        self,
        chunks: Callable[[], Chunks],
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        speed: float | None = 1.0,
        loop: bool = False,
        credentials: tuple[str, str] | None = None,
    ) -> None:
        self._chunks = chunks
        self._host = host
        self._speed = speed
        self._loop = loop
        self._credentials = credentials
        self._began = time.time()
        self._server: asyncio.Server | None = None
        self._clients: set[asyncio.Task[None]] = set()
        #: The port that it listens on, once it does.
        self.port = port
        #: Set when a recording was played to its end for the first time.
        self.finished = asyncio.Event()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._welcome, self._host, self.port)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._server is not None:
            self._server.close()
        for client in self._clients:
            client.cancel()
        await asyncio.gather(*self._clients, return_exceptions=True)

    def _welcome(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(self._serve(reader, writer), name="client")
        self._clients.add(task)
        task.add_done_callback(self._clients.discard)
        # A task that is cancelled before its first step closes nothing.
        task.add_done_callback(lambda _task: writer.close())

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        client = _Client(reader, writer, self._credentials, self._began)
        try:
            # A line without an end raises ValueError: that is no AMI client.
            with contextlib.suppress(ConnectionError, ValueError):
                await client.serve(self._play)
        finally:
            writer.close()
            try:
                async with asyncio.timeout(_FLUSH_SECONDS):
                    await writer.wait_closed()
            except (ConnectionError, TimeoutError):
                writer.transport.abort()

    async def _play(self, client: "_Client") -> None:
        round_number = 0
        while True:
            events = _Events()
            for pause, octets in self._batches():
                # Also without a pause this lets actions be answered between two events.
                await asyncio.sleep(pause)
                await client.say(_shifted(events.feed(octets), round_number))
            await client.say(_shifted(events.finish(), round_number))
            self.finished.set()
            round_number += 1
            if not self._loop or not events.seen:
                return
            client.forget_channels()

    def _batches(self) -> Iterator[tuple[float, bytes]]:
        """
        Give what is due together, and how long to wait before it, in seconds.
        """
        loop = asyncio.get_running_loop()
        began, first = loop.time(), None
        batch: list[bytes] = []
        batch_due, pause, size = 0.0, 0.0, 0
        for when, octets in _readable(self._chunks()):
            due = 0.0
            if self._speed and when is not None:
                first = when if first is None else first
                due = began + (when - first) / self._speed
            if batch and (due > max(batch_due, loop.time()) or size >= _BATCH_BYTES):
                yield pause, b"".join(batch)
                batch, size = [], 0
            if not batch:
                batch_due, pause = due, max(0.0, due - loop.time())
            batch.append(octets)
            size += len(octets)
        if batch:
            yield pause, b"".join(batch)


class _Client:
    """
    One client and what it has been told.
    """

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        credentials: tuple[str, str] | None,
        booted: float,
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._credentials = credentials
        #: When the PBX that is played began, in seconds since the epoch.
        self._booted = booted
        self._wants_events = True
        self._stream = AmiStream({b"Newchannel", b"Newstate", b"Hangup"})
        self._channels: dict[str, dict[str, str]] = {}

    async def serve(self, play: Callable[["_Client"], Awaitable[None]]) -> None:
        """
        Answer actions until the client goes; *play* begins with its login.
        """
        self._writer.write(_BANNER)
        playing: asyncio.Future[None] | None = None
        try:
            while action := await self._next_action():
                name = action.get("action", "").lower()
                if name == "login":
                    if not self._may_log_in(action):
                        await asyncio.sleep(_REFUSAL_SECONDS)
                        self._answer(action, "Error", "Message: Authentication failed")
                        return
                    self._log_in(action)
                    playing = playing or asyncio.ensure_future(play(self))
                elif playing is None and name not in ("challenge", "logoff"):
                    self._answer(action, "Error", "Message: Permission denied")
                else:
                    self._do(name, action)
                await self._writer.drain()
                if name == "logoff":
                    return
        finally:
            if playing is not None:
                playing.cancel()
                with contextlib.suppress(asyncio.CancelledError, ConnectionError):
                    await playing

    async def say(self, octets: bytes) -> None:
        """
        Tell the client of events.
        """
        if not octets:
            return
        for message in self._stream.feed(octets):
            uniqueid = message.headers.get("Uniqueid", "")
            if message.name == b"Hangup":
                self._channels.pop(uniqueid, None)
            else:
                self._channels[uniqueid] = message.headers
        if self._wants_events:
            self._writer.write(octets)
            await self._writer.drain()

    def forget_channels(self) -> None:
        """
        Drop the channels of a recording that ended in mid call.
        """
        self._channels.clear()

    async def _next_action(self) -> dict[str, str]:
        """
        Read an action, with header names in lower case; nothing if the client is gone.

        As Asterisk does, take lines that end with LF alone: somebody may be typing.
        """
        headers: dict[str, str] = {}
        while len(headers) < _MOST_HEADERS and (line := await self._reader.readline()):
            name, colon, value = line.decode("utf-8", "replace").partition(":")
            if colon:
                headers[name.strip().lower()] = value.strip()
            elif not line.strip() and headers:
                return headers
        return {}

    # -- actions -------------------------------------------------------------------------

    def _may_log_in(self, action: dict[str, str]) -> bool:
        if self._credentials is None:
            return True
        user, secret = self._credentials
        key = hashlib.md5((_CHALLENGE + secret).encode(), usedforsecurity=False).hexdigest()
        shown = (action.get("username"), action.get("key") or action.get("secret"))
        return shown in ((user, secret), (user, key))

    def _log_in(self, action: dict[str, str]) -> None:
        self._wants_events = _wants_events(action.get("events", "on"))
        self._answer(action, "Success", "Message: Authentication accepted")
        if self._wants_events:
            uptime = int(time.time() - self._booted)
            self._write(
                "Event: FullyBooted",
                "Privilege: system,all",
                f"Uptime: {uptime}",
                f"LastReload: {uptime}",
                "Status: Fully Booted",
            )

    def _do(self, name: str, action: dict[str, str]) -> None:
        match name:
            case "ping":
                self._answer(action, "Success", "Ping: Pong", f"Timestamp: {time.time():.6f}")
            case "challenge":
                self._answer(action, "Success", f"Challenge: {_CHALLENGE}")
            case "logoff":
                self._answer(action, "Goodbye", "Message: Thanks for all the fish.")
            case "events":
                self._wants_events = _wants_events(action.get("eventmask", "on"))
                self._answer(action, "Success", f"Events: {'On' if self._wants_events else 'Off'}")
            case "coresettings":
                version = "AsteriskVersion: 22.0.0 (ami-bridge simulate)"
                self._answer(action, "Success", f"AMIversion: {_VERSION}", version)
            case "corestatus":
                began = time.localtime(self._booted)
                self._answer(
                    action,
                    "Success",
                    time.strftime("CoreStartupDate: %Y-%m-%d", began),
                    time.strftime("CoreStartupTime: %H:%M:%S", began),
                    f"CoreCurrentCalls: {len(self._channels)}",
                )
            case "coreshowchannels":
                self._list_channels(action)
            case _:
                reason = f"Message: Invalid/unknown command: {action.get('action', '')}"
                self._answer(action, "Error", reason)

    def _list_channels(self, action: dict[str, str]) -> None:
        self._answer(action, "Success", "EventList: start", "Message: Channels will follow")
        tag = _tag(action)
        for headers in self._channels.values():
            row = [
                f"{name}: {value}"
                for name, value in headers.items()
                if name not in ("Event", "Privilege")
            ]
            self._write("Event: CoreShowChannel", *tag, *row)
        items = f"ListItems: {len(self._channels)}"
        self._write("Event: CoreShowChannelsComplete", *tag, "EventList: Complete", items)

    def _answer(self, action: dict[str, str], response: str, *lines: str) -> None:
        self._write(f"Response: {response}", *_tag(action), *lines)

    def _write(self, *lines: str) -> None:
        self._writer.write("\r\n".join([*lines, "", ""]).encode())


def _tag(action: dict[str, str]) -> list[str]:
    return [f"ActionID: {action['actionid']}"] if "actionid" in action else []


def _wants_events(mask: str) -> bool:
    return mask.lower() not in ("off", "no", "false", "none", "0")


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

    def feed(self, octets: bytes) -> bytes:
        """
        Take what was recorded; give the events that it completes as they were on the wire.
        """
        return self._among(self._messages.feed(octets))

    def finish(self) -> bytes:
        """
        Give the last event, if only its blank line is missing: logs often end so.
        """
        return self._among(self._messages.finish(as_received=False))

    def _among(self, messages: Iterable[AmiMessage]) -> bytes:
        blocks = [message.raw for message in messages if self._is_for_all(message)]
        if not blocks:
            return b""
        self.seen = True
        return b"\r\n\r\n".join([*blocks, b""])

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


def _shifted(octets: bytes, round_number: int) -> bytes:
    """
    Make a repeated recording one of other calls.
    """
    if not round_number:
        return octets
    shift = round_number * _SHIFT_SECONDS
    return _UNIQUEID.sub(lambda found: b"%d.%b" % (int(found[1]) + shift, found[2]), octets)
