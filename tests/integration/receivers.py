"""
Receivers that behave as a test wants, on real sockets.
"""

import asyncio
import ipaddress
import ssl
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Self

import attrs
from aiohttp import web

from ami_bridge.core.destinations import Destinations

#: This machine, which requests go to only if the operator allows it.
HERE = Destinations(
    allow_networks=(ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("::1/128"))
)
#: What a receiver does with a request; it may return an answer, hang, or break off.
Behaviour = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


async def ok(_: web.BaseRequest) -> web.StreamResponse:
    """
    Answer 200.
    """
    return web.Response(text="OK")


def status(code: int, **headers: str) -> Behaviour:
    """
    Answer *code* with *headers*, in whose names _ stands for -.
    """

    async def answer(_: web.BaseRequest) -> web.StreamResponse:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return web.Response(status=code, headers=named, text=f"answer {code}")

    return answer


def after(seconds: float) -> Behaviour:
    """
    Answer 200, *seconds* later.
    """

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        await asyncio.sleep(seconds)
        return await ok(request)

    return answer


def breaks_off(said: bytes) -> Behaviour:
    """
    Write *said* to the socket and close it.
    """

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        transport = request.transport
        assert isinstance(transport, asyncio.Transport)
        transport.write(said)
        transport.close()
        return web.Response()

    return answer


async def endless(request: web.BaseRequest) -> web.StreamResponse:
    """
    Answer 200 with a body that never ends.
    """
    response = web.StreamResponse()
    await response.prepare(request)
    while True:
        await response.write(b"x" * 10_000)


async def until(condition: Callable[[], bool]) -> None:
    """
    Wait until *condition* holds, for 5 seconds at most.
    """
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 - the other side is not ours to signal
            await asyncio.sleep(0.001)


@attrs.frozen
class Heard:
    """
    One request as it arrived.
    """

    method: str
    raw_path: str
    headers: dict[str, str]
    body: bytes


@attrs.define(eq=False)
class ScriptedReceiver:
    """
    Does what is in `script`, one entry a request, and then what is in `always`.
    """

    script: list[Behaviour] = attrs.field(factory=list)
    always: Behaviour = ok
    tls: ssl.SSLContext | None = None
    heard: list[Heard] = attrs.field(factory=list)
    port: int = 0
    host: str = "127.0.0.1"
    in_flight: int = 0
    most_in_flight: int = 0
    connections: set[object] = attrs.field(factory=set)
    _runner: web.ServerRunner | None = None

    async def __aenter__(self) -> Self:
        server = web.Server(self._answer, access_log=None)
        self._runner = web.ServerRunner(server, handle_signals=False, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, self.host, self.port, ssl_context=self.tls).start()
        self.port = self._runner.addresses[0][1]
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._runner is not None
        await self._runner.cleanup()

    @property
    def url(self) -> str:
        """
        Give the URL of the root, without its slash.
        """
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'http' if self.tls is None else 'https'}://{host}:{self.port}"

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        self.connections.add(request.protocol)
        body = await request.read()
        self.heard.append(Heard(request.method, request.raw_path, dict(request.headers), body))
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            behaviour = self.script.pop(0) if self.script else self.always
            return await behaviour(request)
        finally:
            self.in_flight -= 1
