"""
A scripted AMI server on a real socket: each connection plays the next script.

A script is a coroutine function that gets the `Peer`, the server's end of the connection.
What a script raises besides the end of the connection fails the test, when the server
closes.
"""

import asyncio
import contextlib
import hashlib
import ssl
from collections.abc import Awaitable, Callable, Iterable
from types import TracebackType
from typing import Self

BANNER = b"Asterisk Call Manager/11.0.0\r\n"
USERNAME = "ami-bridge"
SECRET = "pA55-of-the-manager"
CHALLENGE = "840415273"


def message(*lines: str) -> bytes:
    """
    Write header lines as a message.
    """
    return "\r\n".join([*lines, "", ""]).encode()


def channel_event(event: str, *more: str, number: int = 1, name: str = "Alice Adams") -> bytes:
    """
    Write an *event* of the channel with this *number*, whose caller has this *name*.
    """
    return message(
        f"Event: {event}",
        "Privilege: call,all",
        f"Channel: PJSIP/0003*001-{number:08x}",
        "ChannelState: 4",
        "ChannelStateDesc: Ring",
        "CallerIDNum: 0003*001",
        f"CallerIDName: {name}",
        "ConnectedLineNum: <unknown>",
        "ConnectedLineName: <unknown>",
        "Language: en",
        "AccountCode: ",
        "Context: internal",
        "Exten: 0003*002",
        "Priority: 1",
        f"Uniqueid: 1795408646.{number}",
        f"Linkedid: 1795408646.{number}",
        *more,
    )


class Peer:
    """
    The server's end of one connection.
    """

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self.writer = writer
        #: Every action that arrived, by header.
        self.actions: list[dict[str, str]] = []

    async def say(self, data: bytes) -> None:
        """
        Send *data* at once.
        """
        self.writer.write(data)
        await self.writer.drain()

    async def say_in_pieces(self, pieces: Iterable[bytes]) -> None:
        """
        Send *pieces* so that each arrives in a read of its own.
        """
        for piece in (b"", *pieces):
            await self.say(piece)
            # Both ends share a loop: a few turns of it let the other end read.
            for _ in range(4):
                await asyncio.sleep(0)

    async def action(self) -> dict[str, str]:
        """
        Wait for the next action.
        """
        text = (await self._reader.readuntil(b"\r\n\r\n")).decode("utf-8", "surrogateescape")
        action = dict(line.split(": ", 1) for line in text.split("\r\n") if line)
        self.actions.append(action)
        return action

    async def answer(self, action: dict[str, str], *lines: str, response: str = "Success") -> None:
        """
        Answer *action* with *response* and further header *lines*.
        """
        head = [f"Response: {response}", f"ActionID: {action['ActionID']}", *lines, "", ""]
        await self.say("\r\n".join(head).encode())

    async def greet(self) -> None:
        """
        Say what Asterisk says first.
        """
        await self.say(BANNER)

    async def let_in(self) -> dict[str, str]:
        """
        Greet, challenge if that is asked for, and accept the login, which is returned.
        """
        await self.greet()
        login = await self.challenge()
        await self.answer(login, "Message: Authentication accepted")
        return login

    async def challenge(self) -> dict[str, str]:
        """
        Answer Challenge, if one comes, and return Login unanswered.
        """
        action = await self.action()
        if action["Action"] == "Challenge":
            await self.answer(action, f"Challenge: {CHALLENGE}")
            action = await self.action()
        return action

    async def serve(self) -> None:
        """
        Answer what comes, politely and without facts, until the other end is gone.
        """
        while True:
            action = await self.action()
            if action["Action"] == "CoreShowChannels":
                await self.answer(action, "EventList: start", "Message: Channels will follow")
                row_id = f"ActionID: {action['ActionID']}\r\n".encode()
                end = b"EventList: Complete\r\nListItems: 0\r\n\r\n"
                await self.say(b"Event: CoreShowChannelsComplete\r\n" + row_id + end)
            elif action["Action"] == "CoreSettings":
                await self.answer(action, "AMIversion: 11.0.0", "AsteriskVersion: 22.10.1")
            else:
                await self.answer(action, "Ping: Pong")

    async def stay(self) -> None:
        """
        Keep the connection open and read, but never say a word again.
        """
        while True:
            await self.action()

    def hang_up(self) -> None:
        """
        Close the connection in good order.
        """
        self.writer.close()


Script = Callable[[Peer], Awaitable[None]]


async def welcome(peer: Peer) -> None:
    """
    Let the other end in and answer what it asks.
    """
    await peer.let_in()
    await peer.serve()


class AmiServer:
    """
    Plays *scripts*, one a connection and the last one again and again; a context manager.
    """

    def __init__(
        self,
        *scripts: Script,
        tls: ssl.SSLContext | None = None,
        host: str = "127.0.0.1",
    ) -> None:
        self._scripts = scripts or (welcome,)
        self._tls = tls
        self.host = host
        self.port = 0
        #: One for each connection that was made.
        self.peers: list[Peer] = []
        self._failures: list[BaseException] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self._changed = asyncio.Condition()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(
            self._connected, self.host, self.port, ssl=self._tls
        )
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.stop()
        if exc is None and self._failures:
            raise self._failures[0]

    async def stop(self) -> None:
        """
        Close the port and every connection.
        """
        assert self._server is not None
        self._server.close()
        # A connection that was just accepted becomes a peer in the next turns of the loop.
        for _ in range(3):
            await asyncio.sleep(0)
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        await self._server.wait_closed()

    async def connections(self, count: int) -> None:
        """
        Wait until *count* connections were made.
        """
        async with asyncio.timeout(5), self._changed:
            await self._changed.wait_for(lambda: len(self.peers) >= count)

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._play(Peer(reader, writer)))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        # A task that is cancelled before its first step closes nothing.
        task.add_done_callback(lambda _task: writer.close())

    async def _play(self, peer: Peer) -> None:
        self.peers.append(peer)
        async with self._changed:
            self._changed.notify_all()
        script = self._scripts[min(len(self.peers), len(self._scripts)) - 1]
        try:
            await script(peer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        except Exception as error:  # noqa: BLE001 - told when the server closes
            self._failures.append(error)
        finally:
            peer.writer.close()
            with contextlib.suppress(ConnectionError, ssl.SSLError, TimeoutError):
                await peer.writer.wait_closed()


def key_of(secret: str) -> str:
    """
    Give what a client that knows *secret* answers to the challenge.
    """
    return hashlib.md5((CHALLENGE + secret).encode(), usedforsecurity=False).hexdigest()
