"""
A receiver of call-event requests, as `ami-bridge receive` runs it: it shows what arrives.
"""

import asyncio
import json
import random
import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Self
from urllib.parse import parse_qsl

import attrs
from aiohttp import web

from .http_log import http_log

log = http_log(__name__)

_JSON = "application/json"
_FORM = "application/x-www-form-urlencoded"


@attrs.frozen
class Received:
    """
    One request that arrived.
    """

    #: Seconds since the epoch.
    time: float
    method: str
    #: Without the query.
    path: str
    #: From the query, then from the body; the last one counts where a name is repeated.
    parameters: Mapping[str, str]
    headers: Mapping[str, str] = attrs.field(repr=False)
    #: What it was answered with.
    status: int
    #: Why it could not be read, if it could not.
    problem: str = ""


@attrs.define(eq=False)
class Receiver:
    """
    An HTTP server that takes any GET or POST on any path; use it as a context manager.
    """

    #: Called with every request, before it is answered.
    tell: Callable[[Received], None]
    host: str = attrs.field(default="127.0.0.1", kw_only=True)
    #: 0 stands for any free port; once the server listens, the port that it is.
    port: int = attrs.field(default=0, kw_only=True)
    #: The probability of an answer 500 instead of 200.
    fail_rate: float = attrs.field(default=0.0, kw_only=True)
    #: How long an answer is waited for.
    delay_seconds: float = attrs.field(default=0.0, kw_only=True)
    dice: Callable[[], float] = attrs.field(default=random.random, kw_only=True)
    clock: Callable[[], float] = attrs.field(default=time.time, kw_only=True)
    _runner: web.ServerRunner | None = attrs.field(default=None, init=False)

    async def __aenter__(self) -> Self:
        # The bridge compresses nothing; what somebody else has compressed is refused.
        server = web.Server(self._answer, access_log=None, logger=log, auto_decompress=False)
        runner = web.ServerRunner(server, handle_signals=False, shutdown_timeout=1.0)
        await runner.setup()
        try:
            await web.TCPSite(runner, self.host, self.port).start()
        except OSError:
            await runner.cleanup()
            raise
        self.port = runner.addresses[0][1]
        self._runner = runner
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    @property
    def url(self) -> str:
        """
        Give the URL of the root.
        """
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}/"

    async def _answer(self, request: web.BaseRequest) -> web.Response:
        arrived = self.clock()
        parameters = dict(parse_qsl(request.query_string, keep_blank_values=True))
        status, problem = 200, ""
        if request.method not in ("GET", "POST"):
            status, problem = 405, "expected GET or POST"
        else:
            try:
                parameters |= _read_body(request, await request.read())
            except web.HTTPRequestEntityTooLarge:
                status, problem = 413, "the body is too long"
            except ValueError as error:
                status, problem = 400, str(error)
        if status == 200 and self.dice() < self.fail_rate:
            status = 500
        self.tell(
            Received(
                time=arrived,
                method=request.method,
                path=request.path,
                parameters=parameters,
                headers=request.headers,
                status=status,
                problem=problem,
            )
        )
        await asyncio.sleep(self.delay_seconds)
        return web.Response(status=status, text=f"{problem or 'OK'}\n" if status != 500 else "\n")


def _read_body(request: web.BaseRequest, body: bytes) -> dict[str, str]:
    """
    Read the parameters in the *body* of *request*, or raise `ValueError`.
    """
    content_type = request.content_type
    if not body:
        return {}
    if encoding := request.headers.get("Content-Encoding"):
        raise ValueError(f"the body is compressed ({encoding}), which is not read here")
    if content_type not in (_JSON, _FORM):
        raise ValueError(f"the body is {content_type}, neither a form nor JSON")
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        raise ValueError(f"the body is not UTF-8: {error.reason} at byte {error.start}") from error
    if content_type == _JSON:
        try:
            found = json.loads(text)
        except RecursionError:
            raise ValueError("the JSON body is nested too deeply") from None
        if not isinstance(found, dict):
            raise ValueError("the JSON body is no object")
        return {
            name: value if isinstance(value, str) else json.dumps(value)
            for name, value in found.items()
        }
    return dict(parse_qsl(text, keep_blank_values=True, errors="strict"))
