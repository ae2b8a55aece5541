"""
The application, and the doors through which it is reached: a Unix socket, and HTTP.
"""

import contextlib
import errno
import logging
import socket
import stat
from pathlib import Path
from types import TracebackType
from typing import Self

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from ami_bridge.adapters.http_log import http_log
from ami_bridge.errors import ConfigError
from ami_bridge.settings import ControlSettings

from . import (
    api,
    deliveries_api,
    events_api,
    explain_api,
    health,
    logins,
    metrics,
    pages,
    stream,
    uapi,
)
from .access import ACCESS, VISITOR, Access, is_forged
from .answers import BRIDGE, Refusal
from .bridge import Bridge
from .logins import FAILED_LOGINS, FailedLogins
from .stream import LISTENERS, Listeners

log = logging.getLogger(__name__)

#: No change that is asked for needs more, in octets.
_LONGEST_BODY = 1 << 20
#: How long a stop waits for requests under way, in seconds.
_SHUTDOWN_SECONDS = 1.0
#: Only what comes from here is run or shown, and nobody else frames it.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}

_PARTS = (
    *(health, metrics, api, deliveries_api, events_api, explain_api, stream),
    *(uapi, logins, pages),
)


def application(bridge: Bridge) -> web.Application:
    """
    Build the application that looks at *bridge* and steers it.
    """
    access = Access(lambda: bridge.config.control.tokens if bridge.config.control else ())
    app = web.Application(middlewares=[_refuse, _recognise(access)], client_max_size=_LONGEST_BODY)
    app[BRIDGE] = bridge
    app[ACCESS] = access
    app.on_response_prepare.append(_protect)
    app[LISTENERS] = Listeners()
    app[FAILED_LOGINS] = FailedLogins()
    for part in _PARTS:
        app.add_routes(part.ROUTES)
    return app


async def _protect(_request: web.Request, response: web.StreamResponse) -> None:
    for name, value in _HEADERS.items():
        response.headers.setdefault(name, value)
    # Which versions answer is nobody's business.
    response.headers["Server"] = "ami-bridge"


def _recognise(access: Access) -> Middleware:
    @web.middleware
    async def recognise(request: web.Request, handler: Handler) -> web.StreamResponse:
        visitor = access.visitor(request)
        if visitor is not None:
            request[VISITOR] = visitor
            if await is_forged(request, visitor):
                raise Refusal(403, "forged", "the session's CSRF token is missing or another one")
        response = await handler(request)
        if visitor is not None and request.method not in ("GET", "HEAD"):
            fields = {"visitor": visitor.name, "method": request.method, "path": request.path}
            log.info("asked to change something", extra=fields | {"status": response.status})
        return response

    return recognise


@web.middleware
async def _refuse(request: web.Request, handler: Handler) -> web.StreamResponse:
    """
    Answer what is refused in one form, and never with a traceback.
    """
    try:
        return await handler(request)
    except Refusal as refusal:
        return refusal.as_response()
    except ConfigError as error:
        return Refusal.of_rules(error).as_response()
    except web.HTTPException as error:
        if error.status < 400:
            raise
        return Refusal.of_http(error).as_response()
    except (web.RequestPayloadError, ConnectionError):
        return Refusal(400, "bad_request", "the body cannot be read").as_response()
    except Exception:
        log.exception("a request failed", extra={"method": request.method, "path": request.path})
        return Refusal(
            500, "internal", "an error of ami-bridge itself; its log has more"
        ).as_response()


class ControlServer:
    """
    The doors of one application; use it as a context manager.

    Each door is opened for itself: that one cannot be closes no other.
    """

    def __init__(self, bridge: Bridge, settings: ControlSettings) -> None:
        self._bridge = bridge
        self._settings = settings
        self._runner: web.AppRunner | None = None
        #: The socket's file as we made it: another bridge may have put its own there since.
        self._made: tuple[int, int] | None = None
        #: Host and port where HTTP is listened to, if anywhere.
        self.address: tuple[str, int] | None = None

    async def __aenter__(self) -> Self:
        if self._settings != ControlSettings():
            self._runner = web.AppRunner(
                application(self._bridge),
                handle_signals=False,
                access_log=None,
                logger=http_log(f"{__name__}.http"),
                shutdown_timeout=_SHUTDOWN_SECONDS,
            )
            await self._runner.setup()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._runner is not None:
            # Streams end, so that nobody has to be cut off.
            self._bridge.broadcast.close()
            await self._runner.cleanup()
            self._runner = None
        path = self._settings.socket
        if path is not None and self._made is not None and _identity(path) == self._made:
            with contextlib.suppress(OSError):
                path.unlink()

    async def open(self) -> list[str]:
        """
        Open the doors that are closed; say of each that cannot be opened why.
        """
        problems = []
        for door in (self._open_socket, self._open_port):
            try:
                await door()
            except OSError as error:
                problems.append(": ".join(filter(None, (error.filename, _reason(error)))))
        return problems

    async def _open_socket(self) -> None:
        path = self._settings.socket
        if self._runner is not None and path is not None and self._made is None:
            door = _unix_socket(path)
            await web.SockSite(self._runner, door).start()
            self._made = _identity(path)

    async def _open_port(self) -> None:
        host = self._settings.host
        if self._runner is not None and host is not None and self.address is None:
            site = web.TCPSite(self._runner, host, self._settings.port)
            try:
                await site.start()
            except OSError:
                await site.stop()
                raise
            self.address = self._runner.addresses[-1][:2]


def _reason(error: OSError) -> str:
    return error.strerror or str(error)


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = path.lstat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _unix_socket(path: Path) -> socket.socket:
    """
    Bind a socket that only this user may open, where no living process has one.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if _is_taken(path):
        raise FileExistsError(errno.EEXIST, "another bridge listens here", str(path))
    with contextlib.suppress(FileNotFoundError):
        path.unlink()
    door = socket.socket(socket.AF_UNIX)
    try:
        door.bind(str(path))
        # Nobody can come in before it is listened to, which is later.
        path.chmod(0o600)
    except BaseException:
        door.close()
        raise
    return door


def _is_taken(path: Path) -> bool:
    """
    Tell whether somebody listens at *path*; a file that is no socket is nothing to take.
    """
    try:
        if not stat.S_ISSOCK(path.lstat().st_mode):
            raise FileExistsError(errno.EEXIST, "there is a file that is no socket", str(path))
        with socket.socket(socket.AF_UNIX) as knock:
            # One who is too busy to answer is there.
            knock.settimeout(0)
            knock.connect(str(path))
    except (FileNotFoundError, ConnectionRefusedError):
        return False
    except BlockingIOError:
        return True
    return True
