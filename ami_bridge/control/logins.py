"""
Logging in to the dashboard: with a token, for a browser's session.
"""

import time
from collections.abc import Callable
from urllib.parse import urlsplit

from aiohttp import web

from .access import ACCESS, COOKIE, SESSION_SECONDS, VISITOR
from .answers import bridge_of
from .pages import page, render

ROUTES = web.RouteTableDef()

#: As many wrong tokens are heard from one address in a minute.
_MOST_FAILURES = 5
_MINUTE = 60.0
#: As many addresses are remembered.
_MOST_ADDRESSES = 10_000


class FailedLogins:
    """
    Who has tried wrong tokens lately.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._failures: dict[str, list[float]] = {}

    def is_patient(self, address: str) -> bool:
        """
        Tell whether another try from *address* is heard.
        """
        since = self._clock() - _MINUTE
        recent = [when for when in self._failures.get(address, ()) if when > since]
        return len(recent) < _MOST_FAILURES

    def note(self, address: str) -> None:
        """
        Note a wrong token from *address*.
        """
        since = self._clock() - _MINUTE
        recent = [when for when in self._failures.pop(address, ()) if when > since]
        self._failures[address] = [*recent, self._clock()]
        if len(self._failures) > _MOST_ADDRESSES:
            del self._failures[next(iter(self._failures))]


FAILED_LOGINS: web.AppKey[FailedLogins] = web.AppKey("failed_logins", FailedLogins)


@ROUTES.get("/login")
@page
async def ask(request: web.Request) -> web.StreamResponse:
    """
    Ask for a token, unless there is a session already.
    """
    place = _place(request.query.get("next", ""))
    if VISITOR in request:
        raise web.HTTPSeeOther(place)
    return render(request, "login.html", next=place, problem="")


@ROUTES.post("/login")
@page
async def log_in(request: web.Request) -> web.StreamResponse:
    """
    Begin a session, if the token is one of the rules.
    """
    form = await request.post()
    given, place = str(form.get("token", "")), _place(str(form.get("next", "")))
    address, failed = _address(request), request.app[FAILED_LOGINS]
    if not failed.is_patient(address):
        problem = "Too many wrong tokens came from your address. Wait a minute."
        return render(request, "login.html", 429, next=place, problem=problem)
    access = request.app[ACCESS]
    token = access.token(given.strip())
    if token is None:
        failed.note(address)
        problem = "No token of the rules is like that."
        return render(request, "login.html", 403, next=place, problem=problem)
    response = web.HTTPSeeOther(place)
    response.set_cookie(
        COOKIE,
        access.begin_session(token),
        max_age=int(SESSION_SECONDS),
        httponly=True,
        samesite="Strict",
        secure=_is_secure(request),
    )
    raise response


@ROUTES.post("/logout")
@page
async def log_out(request: web.Request) -> web.StreamResponse:
    """
    End the session.
    """
    request.app[ACCESS].end_session(request.cookies.get(COOKIE, ""))
    response = web.HTTPSeeOther("/login")
    response.del_cookie(COOKIE, httponly=True, samesite="Strict", secure=_is_secure(request))
    raise response


def _place(text: str) -> str:
    """
    Give the page *text* if it is one of ours, else the first.
    """
    parts = urlsplit(text)
    ours = text.startswith("/") and not text.startswith("//") and "\\" not in text
    return text if ours and not parts.netloc and text.isprintable() else "/"


def _is_secure(request: web.Request) -> bool:
    control = bridge_of(request).config.control
    return request.secure or (control is not None and control.behind_https)


def _address(request: web.Request) -> str:
    """
    Give where the visitor is: behind a proxy, what it says.
    """
    control = bridge_of(request).config.control
    if control is not None and control.behind_https:
        told = request.headers.get("X-Forwarded-For", "").rpartition(",")[2].strip()
        if told:
            return told
    return request.remote or ""
