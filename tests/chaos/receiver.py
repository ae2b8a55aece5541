"""
A receiver with moods: it writes down every request, and what it answered.
"""

import asyncio
import enum
import time
from types import TracebackType
from typing import Self
from urllib.parse import parse_qsl

import attrs
from aiohttp import web

#: Longer than a bridge waits for an answer.
_HANG_SECONDS = 60.0
_SLOW_SECONDS = 0.4


class Mood(enum.Enum):
    """
    How requests are met.
    """

    WELL = "well"
    FAILING = "answers 500"
    HANGING = "hangs"
    CLOSING = "closes in mid answer"
    SLOW = "slow"
    REDIRECTING = "redirects"
    AWAY = "away"


@attrs.define(eq=False)
class Arrival:
    """
    One request that came.
    """

    number: int
    time: float
    rule: str
    webhook_id: str
    parameters: dict[str, str] = attrs.field(repr=False)
    mood: Mood
    #: The status that was written; None until then.
    status: int | None = None

    @property
    def accepted(self) -> bool:
        """
        Tell whether it was answered with a success.
        """
        return self.status is not None and 200 <= self.status < 300


class MoodyReceiver:
    """
    One destination; a request's path is the id of its rule. Use it as a context manager.
    """

    def __init__(self, log: list[Arrival]) -> None:
        self.log = log
        self.mood = Mood.WELL
        self.port = 0
        self._runner: web.ServerRunner | None = None
        self._awake = asyncio.Event()

    async def __aenter__(self) -> Self:
        await self._open()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._close()

    async def be(self, mood: Mood) -> None:
        """
        Change the mood, from the next request on; one that hangs is let go.
        """
        before, self.mood = self.mood, mood
        self._awake.set()
        self._awake = asyncio.Event()
        if mood is Mood.AWAY:
            await self._close()
        elif before is Mood.AWAY:
            await self._open()

    async def _open(self) -> None:
        server = web.Server(self._answer, access_log=None)
        self._runner = web.ServerRunner(server, handle_signals=False, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port).start()
        self.port = self._runner.addresses[0][1]

    async def _close(self) -> None:
        self._awake.set()
        if self._runner is not None:
            server = self._runner.server
            await self._runner.cleanup()
            # Connections that were accepted while the server closed.
            await asyncio.sleep(0)
            if server is not None:
                await server.shutdown(0)
            self._runner = None

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        body = (await request.read()).decode()
        pairs = parse_qsl(f"{request.query_string}&{body}", keep_blank_values=True)
        arrival = Arrival(
            number=len(self.log),
            time=time.monotonic(),
            rule=request.path.strip("/"),
            webhook_id=request.headers.get("webhook-id", ""),
            parameters=dict(pairs),
            mood=self.mood,
        )
        self.log.append(arrival)
        return await self._meet(request, arrival)

    async def _meet(self, request: web.BaseRequest, arrival: Arrival) -> web.StreamResponse:
        match arrival.mood:
            case Mood.FAILING:
                return await self._say(request, arrival, 500)
            case Mood.REDIRECTING:
                return await self._say(request, arrival, 302, Location="/followed")
            case Mood.HANGING:
                await self._wait(_HANG_SECONDS)
                return _drop(request, b"")
            case Mood.CLOSING:
                # Every other time before the bridge can know that it was a success.
                if arrival.number % 2:
                    return _drop(request, b"HTTP/1.1 20")
                arrival.status = 200
                return _drop(request, b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nhalf")
            case Mood.SLOW:
                await self._wait(_SLOW_SECONDS)
            case Mood.WELL | Mood.AWAY:
                pass
        return await self._say(request, arrival, 200)

    async def _say(
        self, request: web.BaseRequest, arrival: Arrival, status: int, **headers: str
    ) -> web.StreamResponse:
        response = web.Response(status=status, headers=headers)
        await response.prepare(request)
        await response.write_eof()
        arrival.status = status
        return response

    async def _wait(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._awake.wait()
        except TimeoutError:
            pass


def _drop(request: web.BaseRequest, octets: bytes) -> web.StreamResponse:
    transport = request.transport
    if isinstance(transport, asyncio.Transport):
        transport.write(octets)
        transport.close()
    return web.Response()
