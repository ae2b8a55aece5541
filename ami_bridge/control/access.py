"""
Who asks, and what exists for them.

A visitor comes over the Unix socket, whose permissions say who may; with a bearer token; or
with a browser's session that began with a token. What is outside a visitor's scope does not
exist for them, and whoever may only read changes nothing.
"""

import hashlib
import hmac
import secrets
import socket
import time
from collections.abc import Callable, Iterable

import attrs
from aiohttp import web

from ami_bridge.core.scopes import Scope
from ami_bridge.settings import Token

#: The cookie of a browser's session.
COOKIE = "ami-bridge-session"
#: How long a session lasts, in seconds: a working day.
SESSION_SECONDS = 12 * 3600.0
#: How many sessions there are at most; the oldest ends for a new one.
_MOST_SESSIONS = 1000
#: Where a form or a script says the session's CSRF token.
CSRF_FIELD, CSRF_HEADER = "csrf", "X-CSRF-Token"
_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


@attrs.frozen
class Visitor:
    """
    Who asks.
    """

    name: str
    scope: Scope
    may_change: bool
    #: What each change has to repeat, for a browser's session; empty for others.
    csrf: str = attrs.field(default="", repr=False)


#: Whoever may open the Unix socket.
OPERATOR = Visitor("operator", Scope(), may_change=True)

#: Who asks; missing for nobody we know.
VISITOR: web.RequestKey[Visitor] = web.RequestKey("visitor", Visitor)


@attrs.frozen
class _Session:
    token: Token
    csrf: str
    ends: float


class Access:
    """
    The tokens of the rules, and the sessions that began with them.
    """

    def __init__(
        self,
        tokens: Callable[[], Iterable[Token]],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._tokens = tokens
        self._clock = clock
        self._sessions: dict[str, _Session] = {}

    def token(self, secret: str) -> Token | None:
        """
        Find the token that *secret* is, in a time that tells nothing of the others.
        """
        digest = _digest(secret)
        found = None
        for token in self._tokens():
            if hmac.compare_digest(_digest(token.secret), digest):
                found = token
        return found

    def begin_session(self, token: Token) -> str:
        """
        Begin a session of *token*; give what its cookie holds.
        """
        now = self._clock()
        for old in [key for key, session in self._sessions.items() if session.ends <= now]:
            del self._sessions[old]
        while len(self._sessions) >= _MOST_SESSIONS:
            del self._sessions[next(iter(self._sessions))]
        key = secrets.token_urlsafe(32)
        self._sessions[key] = _Session(token, secrets.token_urlsafe(32), now + SESSION_SECONDS)
        return key

    def end_session(self, key: str) -> None:
        """
        End the session that the cookie *key* is of, if it is one.
        """
        self._sessions.pop(key, None)

    def visitor(self, request: web.Request) -> Visitor | None:
        """
        Say who asks with *request*; None for nobody we know.
        """
        transport = request.transport
        place = None if transport is None else transport.get_extra_info("socket")
        if place is not None and place.family == socket.AF_UNIX:
            return OPERATOR
        scheme, _, secret = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            token = self.token(secret.strip())
            return None if token is None else _visitor(token)
        return self._of_session(request.cookies.get(COOKIE, ""))

    def _of_session(self, key: str) -> Visitor | None:
        session = self._sessions.get(key)
        # A token that the rules name no more, or allow less, lets nobody in as before.
        if session is None or session.ends <= self._clock() or session.token not in self._tokens():
            return None
        return _visitor(session.token, session.csrf)


ACCESS: web.AppKey[Access] = web.AppKey("access", Access)


async def is_forged(request: web.Request, visitor: Visitor) -> bool:
    """
    Tell whether *request* may have been made by another site in the name of *visitor*.
    """
    if not visitor.csrf or request.method in _SAFE_METHODS:
        return False
    given = request.headers.get(CSRF_HEADER)
    if given is None and request.content_type in (
        "application/x-www-form-urlencoded",
        "multipart/form-data",
    ):
        field = (await request.post()).get(CSRF_FIELD)
        given = field if isinstance(field, str) else None
    return given is None or not hmac.compare_digest(given.encode(), visitor.csrf.encode())


def _visitor(token: Token, csrf: str = "") -> Visitor:
    return Visitor(token.name, token.scope, token.may_change, csrf)


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()
