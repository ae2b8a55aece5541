"""
The web application that is told about calls: it remembers every request and answers 200.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import attrs
from aiohttp import web


@attrs.frozen
class Request:
    """
    One request as the application's form parser reads it.
    """

    method: str
    path: str
    #: The URL's query and, of a POST, the body, each value under its name, in order.
    query: tuple[tuple[str, str], ...]
    form: tuple[tuple[str, str], ...]

    def value(self, name: str) -> str:
        """
        Give the parameter called *name*, empty if there is none.
        """
        return dict(self.query + self.form).get(name, "")


@attrs.define(eq=False)
class Receiver:
    """
    What arrived, in order.
    """

    port: int = 0
    requests: list[Request] = attrs.field(factory=list)

    async def take(self, request: web.BaseRequest) -> web.StreamResponse:
        """
        Remember *request* and be content.
        """
        form = [(name, str(value)) for name, value in (await request.post()).items()]
        self.requests.append(
            Request(request.method, request.path, tuple(request.query.items()), tuple(form))
        )
        return web.Response()


@asynccontextmanager
async def running_receiver() -> AsyncIterator[Receiver]:
    """
    Listen on a loopback port of its own.
    """
    receiver = Receiver()
    runner = web.ServerRunner(web.Server(receiver.take))
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        receiver.port = runner.addresses[0][1]
        yield receiver
    finally:
        await runner.cleanup()
