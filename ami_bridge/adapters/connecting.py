"""
Makes connections to receivers, and none to where requests may not go.

The guard is the function that makes sockets: it alone sees every address just before it is
connected to, whatever the URL spells and whatever DNS said before. It has to know for which
host the address is, because some hosts may have any address. The resolver tells it, by the
address itself (`AddressOf`): thus the two stay together through caches, retries and races of
several addresses. An address without a host stood in the URL, and is judged as such; so is
one whose host got lost, should that ever happen.
"""

import asyncio
import contextlib
import errno
import functools
import re
import socket
import ssl
import threading
import urllib.request
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Self

import aiohttp
import attrs
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from ami_bridge.core.destinations import Destinations
from ami_bridge.core.requests import Request
from ami_bridge.settings import DeliverySettings

_NUMERIC = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV


class AddressOf(str):
    """
    An IP address that knows which host it was found for.
    """

    __slots__ = ("host",)
    host: str

    @classmethod
    def made(cls, address: str, host: str) -> Self:
        """
        Write *host* on *address*.
        """
        found = cls(address)
        found.host = host
        return found


class Resolver(AbstractResolver):
    """
    Asks the system for addresses, each host in a thread of its own.

    asyncio's pool has a handful of threads for everything: with it, a few hosts whose name
    servers do not answer would keep all other hosts, and files, waiting. aiohttp asks for a
    host once at a time, so that there are never more threads than destinations.
    """

    def __init__(self, destinations: Destinations) -> None:
        self._destinations = destinations

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """
        Give the addresses of *host*; a host that is never contacted is not even asked for.
        """
        if reason := self._destinations.why_not_host(host):
            raise _refusal(reason)
        return [
            ResolveResult(
                hostname=host,
                host=AddressOf.made(_address(place), host),
                port=port,
                family=found,
                proto=proto,
                flags=_NUMERIC,
            )
            for found, _, proto, _, place in await _looked_up(host, port, family)
        ]

    async def close(self) -> None:
        """
        Do nothing: a lookup that is under way ends by itself.
        """


def connector(settings: DeliverySettings) -> aiohttp.TCPConnector:
    """
    Make the connections that *settings* allow: guarded, and with certificates verified.
    """
    return aiohttp.TCPConnector(
        # The sender bounds connections by destination; a common bound would let one
        # destination wait for another.
        limit=0,
        ssl=trust(settings),
        resolver=Resolver(settings.destinations),
        socket_factory=functools.partial(_guarded_socket, settings.destinations),
    )


def session(settings: DeliverySettings) -> aiohttp.ClientSession:
    """
    Make a session that adds nothing of its own to requests: no cookies, nothing of the environment.
    """
    return aiohttp.ClientSession(
        connector=connector(settings),
        cookie_jar=aiohttp.DummyCookieJar(),
        headers={"Accept-Encoding": "identity"},
        auto_decompress=False,
        # It would have proxies looked up for each request, and passwords in ~/.netrc too.
        trust_env=False,
    )


def trust(settings: DeliverySettings) -> ssl.SSLContext | bool:
    """
    Give what certificates are judged by; True stands for the system's.
    """
    if settings.ca_file is None:
        return True
    context = ssl.create_default_context()
    context.load_verify_locations(settings.ca_file)
    return context


def why_failed(failure: BaseException) -> str:
    """
    Say in words for the operator why an attempt got no answer.
    """
    if isinstance(failure, OSError) and failure.errno == errno.EACCES and failure.strerror:
        # A refusal is a whole sentence, which needs nothing around it.
        words = failure.strerror.removeprefix("Multiple exceptions: ")
        return re.sub(rf"\[Errno {errno.EACCES}\] ", "", words)
    return str(failure) or type(failure).__name__


@attrs.define(eq=False)
class _Line:
    """
    A session, made with certain settings, and how many requests use it.
    """

    session: aiohttp.ClientSession
    timeout: aiohttp.ClientTimeout
    proxy_of: Callable[[URL], URL | None]
    users: int = 0


class Connections:
    """
    The connections to all receivers, kept open from one request to the next.

    Use it as a context manager. With other settings the next requests get other connections:
    the old ones may lead to where nobody is allowed to go any more. They are closed when
    what they are in use for is over.
    """

    def __init__(self, settings: DeliverySettings) -> None:
        self._settings = settings
        self._line: _Line | None = None
        self._closing: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._line = _opened(self._settings)
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._line is not None:
            line, self._line = self._line, None
            await line.session.close()
        await asyncio.gather(*self._closing)

    def apply(self, settings: DeliverySettings) -> None:
        """
        Use other settings from the next request on.
        """
        # The file of certificates may have changed under the same name.
        same = settings == self._settings and settings.ca_file is None
        self._settings = settings
        if self._line is not None and not same:
            old, self._line = self._line, _opened(settings)
            self._close_unused(old)

    def answer(self, request: Request, headers: Mapping[str, str]) -> "_Answer":
        """
        Send *request* with *headers* in place of its own; enter the result for the answer.

        No redirect is followed. Entering raises TimeoutError, aiohttp.ClientError, OSError or
        UnicodeError; `why_failed` has words for them.
        """
        if self._line is None:
            raise RuntimeError("Connections have to be entered before they are used")
        return _Answer(self, self._line, request, headers)

    def leave(self, line: "_Line") -> None:
        """
        Note that a request over *line* is over.
        """
        line.users -= 1
        if line is not self._line:
            self._close_unused(line)

    def _close_unused(self, line: _Line) -> None:
        if line.users:
            return
        task = asyncio.get_running_loop().create_task(line.session.close(), name="old connections")
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)


class _Answer:
    """
    One request, and the beginning of its answer for as long as it is entered.
    """

    __slots__ = ("_connections", "_headers", "_line", "_request", "_response")

    def __init__(
        self, connections: Connections, line: _Line, request: Request, headers: Mapping[str, str]
    ) -> None:
        self._connections = connections
        self._line = line
        self._request = request
        self._headers = headers
        self._response: aiohttp.ClientResponse | None = None

    async def __aenter__(self) -> aiohttp.ClientResponse:
        line, request = self._line, self._request
        # Encoded already: yarl would write some of it otherwise.
        url = URL(request.url, encoded=True)
        line.users += 1
        try:
            self._response = await line.session.request(
                request.method.value,
                url,
                data=request.body,
                headers=self._headers,
                allow_redirects=False,
                proxy=line.proxy_of(url),
                timeout=line.timeout,
            )
        except BaseException:
            self._connections.leave(line)
            raise
        return self._response

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._response is not None:
            self._response.release()
            await self._response.wait_for_close()
        self._connections.leave(self._line)


def _opened(settings: DeliverySettings) -> _Line:
    proxy_of = _no_proxy
    if settings.use_proxy_from_environment:
        proxies = urllib.request.getproxies_environment()
        proxy_of = functools.partial(_proxy_from, proxies, settings.destinations)
    timeout = aiohttp.ClientTimeout(
        total=settings.total_timeout_seconds, connect=settings.connect_timeout_seconds
    )
    return _Line(session(settings), timeout, proxy_of)


def _no_proxy(_: URL) -> URL | None:
    return None


def _proxy_from(proxies: Mapping[str, str], destinations: Destinations, url: URL) -> URL | None:
    """
    Give the proxy that the environment names for *url*.

    The sockets lead to the proxy then. What the proxy connects to cannot be seen; what can be
    told from the URL is.
    """
    host = url.raw_host or ""
    if urllib.request.proxy_bypass(f"{host}:{url.port}", dict(proxies)):
        return None
    named = proxies.get(url.scheme) or proxies.get("all")
    if not named:
        return None
    if reason := destinations.why_not_by_name(host):
        raise _refusal(reason)
    proxy = URL(named if "://" in named else f"http://{named}")
    if proxy.scheme not in ("http", "https"):
        reason = f"the environment's proxy for {url.scheme} is none for HTTP, but {proxy.scheme}"
        raise OSError(errno.EPROTONOSUPPORT, reason)
    return proxy


def _refusal(reason: str) -> OSError:
    # With an errno, without which aiohttp would not show the reason.
    return PermissionError(errno.EACCES, reason)


def _guarded_socket(destinations: Destinations, info: aiohttp.AddrInfoType) -> socket.socket:
    family, kind, proto, _, place = info
    address = str(place[0])
    host = place[0].host if isinstance(place[0], AddressOf) else address
    if reason := destinations.why_not(address, host):
        raise _refusal(reason)
    return socket.socket(family, kind, proto)


async def _looked_up(host: str, port: int, family: socket.AddressFamily) -> list[Any]:
    loop = asyncio.get_running_loop()
    found: asyncio.Future[list[Any]] = loop.create_future()
    kind = socket.SOCK_STREAM

    def settle(report: Callable[[Any], None], outcome: object) -> None:
        if not found.done():
            report(outcome)

    def ask() -> None:
        report: Callable[[Any], None] = found.set_result
        outcome: object
        try:
            outcome = socket.getaddrinfo(host, port, family, kind, flags=socket.AI_ADDRCONFIG)
        except (OSError, UnicodeError) as error:
            report, outcome = found.set_exception, error
        # After the end of the loop nobody waits for it any more.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(settle, report, outcome)

    try:
        # A daemon, so that a name server that does not answer holds up no stop.
        threading.Thread(target=ask, name=f"address of {host}", daemon=True).start()
    except RuntimeError as error:
        raise OSError(errno.EAGAIN, f"no thread to look up {host} in: {error}") from error
    return await found


def _address(place: tuple[Any, ...]) -> str:
    """
    Write the address of *place*, with the interface if it is link-local.
    """
    scope = place[3] if len(place) > 3 else 0
    return f"{place[0]}%{scope}" if scope else str(place[0])
