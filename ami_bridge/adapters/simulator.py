"""
A local AMI server that plays recordings: what ``ami-bridge simulate`` and the demo run.

Any AMI client can log in, with any user and secret, plainly or by MD5 challenge. What is
played are the recording's own events; answers to actions that were recorded are left out,
and the client's own actions are answered politely. CoreShowChannels lists the channels
that are up at that moment of the recording.
"""

import asyncio
import contextlib
import re
from collections.abc import Callable, Iterable, Iterator
from types import TracebackType
from typing import Self

from ami_bridge.core.ami_stream import AmiMessage, AmiStream

#: The reads of a recording: when each came, in seconds, if that is known, and its bytes.
Chunks = Iterable[tuple[float | None, bytes]]

_BANNER = b"Asterisk Call Manager/11.0.0\r\n"
_UNIQUEID = re.compile(rb"\b(1\d{9})\.(\d+)\b")
#: How far the unique ids of a repeated recording are shifted, in seconds.
_SHIFT_SECONDS = 1_000_000
_CHALLENGE = "271828182"


class Simulator:
    """
    The server; use it as a context manager. *chunks* opens the recording anew.

    *speed* is how many times faster than recorded it is played, 0 as fast as the client
    reads. It is played to each client from the beginning.
    """

    def __init__(
        self,
        chunks: Callable[[], Chunks],
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        speed: float = 1.0,
        loop: bool = False,
    ) -> None:
        self._chunks = chunks
        self._host = host
        self._speed = speed
        self._loop = loop
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

    async def _welcome(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._clients.add(task)
            task.add_done_callback(self._clients.discard)
        try:
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
                await _Client(reader, writer).serve(self._play)
        finally:
            writer.close()

    async def _play(self, client: "_Client") -> None:
        round_number = 0
        while True:
            began = asyncio.get_running_loop().time()
            first: float | None = None
            for time, octets in _playable(self._chunks()):
                if self._speed and time is not None:
                    first = time if first is None else first
                    due = began + (time - first) / self._speed
                    await asyncio.sleep(max(0.0, due - asyncio.get_running_loop().time()))
                await client.say(_shifted(octets, round_number))
            self.finished.set()
            round_number += 1
            if not self._loop:
                return


class _Client:
    """
    One client and what it has been told.
    """

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._stream = AmiStream({b"Newchannel", b"Hangup"})
        self._channels: dict[str, dict[str, str]] = {}

    async def serve(self, play: Callable[["_Client"], "asyncio._CoroutineLike[None]"]) -> None:
        """
        Answer actions until the client goes; *play* begins with its login.
        """
        self._writer.write(_BANNER)
        playing: asyncio.Task[None] | None = None
        try:
            while True:
                block = await self._reader.readuntil(b"\r\n\r\n")
                action = dict(_headers(block))
                name = action.get("action", "").lower()
                self._answer(name, action)
                await self._writer.drain()
                if name == "login" and playing is None:
                    playing = asyncio.get_running_loop().create_task(play(self), name="playing")
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
        for message in self._stream.feed(octets):
            uniqueid = message.headers.get("Uniqueid", "")
            if message.name == b"Newchannel":
                self._channels[uniqueid] = message.headers
            else:
                self._channels.pop(uniqueid, None)
        self._writer.write(octets)
        await self._writer.drain()

    def _answer(self, name: str, action: dict[str, str]) -> None:
        number = f"ActionID: {action['actionid']}\r\n" if "actionid" in action else ""
        more = {
            "login": "Message: Authentication accepted\r\n",
            "challenge": f"Challenge: {_CHALLENGE}\r\n",
            "ping": "Ping: Pong\r\n",
            "logoff": "Message: Thanks for all the fish.\r\n",
            "coreshowchannels": "EventList: start\r\nMessage: Channels will follow\r\n",
        }.get(name, "")
        response = "Goodbye" if name == "logoff" else "Success"
        self._writer.write(f"Response: {response}\r\n{number}{more}\r\n".encode())
        if name == "coreshowchannels":
            self._list_channels(number)

    def _list_channels(self, number: str) -> None:
        for headers in self._channels.values():
            row = "".join(
                f"{name}: {value}\r\n"
                for name, value in headers.items()
                if name not in ("Event", "Privilege")
            )
            self._writer.write(f"Event: CoreShowChannel\r\n{number}{row}\r\n".encode())
        self._writer.write(
            f"Event: CoreShowChannelsComplete\r\n{number}EventList: Complete\r\n"
            f"ListItems: {len(self._channels)}\r\n\r\n".encode()
        )


def _headers(block: bytes) -> Iterator[tuple[str, str]]:
    for line in block.decode("utf-8", "replace").splitlines():
        name, colon, value = line.partition(":")
        if colon:
            yield name.strip().lower(), value.strip()


def _playable(chunks: Chunks) -> Iterator[tuple[float | None, bytes]]:
    """
    Give the events of a recording as bytes, cut where a message ends.
    """
    stream = AmiStream()
    for time, chunk in chunks:
        octets = b"".join(
            message.raw + b"\r\n\r\n" for message in stream.feed(chunk) if _is_news(message)
        )
        if octets:
            yield time, octets


def _is_news(message: AmiMessage) -> bool:
    """
    Tell an event from an answer, and from a row of a list that somebody asked for.
    """
    if not message.name:
        return False
    return message.name == b"OriginateResponse" or b"\r\nActionID: " not in message.raw


def _shifted(octets: bytes, round_number: int) -> bytes:
    """
    Make a repeated recording one of other calls.
    """
    if not round_number:
        return octets
    shift = round_number * _SHIFT_SECONDS
    return _UNIQUEID.sub(lambda found: b"%d.%b" % (int(found[1]) + shift, found[2]), octets)
