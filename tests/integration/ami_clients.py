"""
Clients of the simulator, and recordings for it to play.
"""

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any, Self

from ami_bridge.adapters.simulator import Chunks, Simulator
from ami_bridge.settings import AsteriskSettings


def of(*pieces: bytes, seconds: float = 0.0) -> Callable[[], Chunks]:
    """
    Make a recording of *pieces*, each *seconds* after the one before.
    """
    return lambda: [(1_795_000_000.0 + i * seconds, piece) for i, piece in enumerate(pieces)]


class Telnet:
    """
    A client that types what it is told.
    """

    def __init__(self, port: int) -> None:
        self._port = port

    async def __aenter__(self) -> Self:
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self._port)
        return self

    async def __aexit__(self, *_: object) -> None:
        self.writer.close()
        with contextlib.suppress(ConnectionError):
            await self.writer.wait_closed()

    async def ask(self, *lines: str, end: str = "\r\n") -> list[str]:
        """
        Send an action and give the lines of the next message.
        """
        self.writer.write(end.join([*lines, "", ""]).encode())
        return await self.message()

    async def message(self) -> list[str]:
        """
        Give the lines of the next message.
        """
        async with asyncio.timeout(5):
            text = await self.reader.readuntil(b"\r\n\r\n")
        lines = text.decode().split("\r\n")[:-2]
        return [line for line in lines if not line.startswith("Asterisk Call Manager/")]

    async def log_in(self, events: str = "on") -> None:
        """
        Log in as anybody, and take the FullyBooted that follows.
        """
        answer = await self.ask("Action: Login", "Username: a", "Secret: b", f"Events: {events}")
        assert answer == ["Response: Success", "Message: Authentication accepted"]
        if events != "off":
            assert "Event: FullyBooted" in await self.message()


def settings_for(simulator: Simulator, **changes: Any) -> AsteriskSettings:
    """
    Make settings for a session with *simulator*.
    """
    values: dict[str, Any] = {"port": simulator.port, "username": "a", "secret": "b"}
    return AsteriskSettings(**(values | changes))
