"""
The cable between a bridge and the manager interface: it can be cut, mended and held.
"""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

#: So little may be under way that a reader who stops is noticed after some hundred events.
_BUFFER_BYTES = 4096


class _End(asyncio.Protocol):
    """
    One end of one connection; what it hears the other end says.
    """

    def __init__(self) -> None:
        self.other: _End | None = None
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """
        Begin.
        """
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        """
        Hand *data* on.
        """
        if self.other is not None and self.other.transport is not None:
            self.other.transport.write(data)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's
        """
        Close the other end when all that was said has arrived there.
        """
        if self.other is not None and self.other.transport is not None:
            self.other.transport.close()


class Wire:
    """
    A loopback port behind which the manager interface is, as long as the wire is whole.
    """

    def __init__(self, ami_port: int) -> None:
        self.port = 0
        self._ami_port = ami_port
        self._server: asyncio.Server | None = None
        self._ends: list[_End] = []

    async def mend(self) -> None:
        """
        Let connections be made, at the port of before if there was one.
        """
        self._server = await asyncio.get_running_loop().create_server(
            lambda: _Answering(self), "127.0.0.1", self.port
        )
        self.port = self._server.sockets[0].getsockname()[1]

    def cut(self) -> None:
        """
        Break all connections, and refuse new ones.
        """
        if self._server is not None:
            self._server.close()
            self._server = None
        for end in self._ends:
            if end.transport is not None:
                end.transport.abort()
        self._ends.clear()

    def hold(self) -> None:
        """
        Hand nothing on any more in the connections that there are; new ones work.
        """
        for end in self._ends:
            if end.transport is not None and not end.transport.is_closing():
                end.transport.pause_reading()

    def release(self) -> None:
        """
        Hand on what was held.
        """
        for end in self._ends:
            if end.transport is not None and not end.transport.is_closing():
                end.transport.resume_reading()

    async def lay(self, near: _End) -> None:
        """
        Connect *near*, an end that was reached from outside, with the manager interface.
        """
        loop = asyncio.get_running_loop()
        far = near.other
        assert far is not None
        manager = socket.socket()
        manager.setblocking(False)
        manager.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER_BYTES)
        try:
            await loop.sock_connect(manager, ("127.0.0.1", self._ami_port))
            await loop.create_connection(lambda: far, sock=manager)
        except OSError:
            manager.close()
            if near.transport is not None:
                near.transport.abort()
            return
        self._ends += (near, far)
        if near.transport is not None:
            near.transport.resume_reading()


class _Answering(_End):
    """
    The end that the bridge reaches.
    """

    def __init__(self, wire: Wire) -> None:
        super().__init__()
        self.other = _End()
        self.other.other = self
        self._wire = wire
        self._laying: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """
        Wait with reading until the manager interface is reached.
        """
        super().connection_made(transport)
        assert self.transport is not None
        self.transport.pause_reading()
        self._laying = asyncio.create_task(self._wire.lay(self), name="wire")


@asynccontextmanager
async def running_wire(ami_port: int) -> AsyncIterator[Wire]:
    """
    Lay a wire to the manager interface at *ami_port*.
    """
    wire = Wire(ami_port)
    await wire.mend()
    try:
        yield wire
    finally:
        wire.cut()
