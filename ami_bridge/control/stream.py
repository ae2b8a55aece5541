"""
Call events as they are said, as server-sent events.

An event's id is ``<start of the bridge, in milliseconds>-<number>``. Who comes back with the
last one gets what was said meanwhile; if that is not all, an event ``gap`` says so first.
"""

import asyncio
import contextlib
import json
import re
from collections.abc import Callable, Iterable, Iterator

import attrs
from aiohttp import web

from ami_bridge.core.call_events import CallEvent
from ami_bridge.core.json_lines import to_json_line
from ami_bridge.core.rules import ExtensionPattern

from .access import Visitor
from .answers import Refusal, bridge_of, known, written
from .bridge import Bridge
from .broadcast import Said
from .questions import Question

ROUTES = web.RouteTableDef()

#: How many may listen at once.
MOST_STREAMS = 100
#: After so much silence a comment is sent, so that nobody on the way takes it for dead.
KEEP_ALIVE_SECONDS = 15.0
#: Whoever takes nothing for so long is cut off.
WRITE_SECONDS = 30.0
#: How long a browser waits before it comes back, in milliseconds.
_COME_BACK_MS = 2000
#: As many of what was said meanwhile are written at once.
_AT_ONCE = 200
_ID = re.compile(r"([0-9]{1,15})-([0-9]{1,15})")


@attrs.define
class Listeners:
    """
    How many listen now.
    """

    count: int = 0

    @contextlib.contextmanager
    def one_more(self) -> Iterator[None]:
        """
        Count one while the context lasts; raises `Refusal` if there are too many.
        """
        if self.count >= MOST_STREAMS:
            raise Refusal(503, "too_many_streams", f"{MOST_STREAMS} streams are open already")
        self.count += 1
        try:
            yield
        finally:
            self.count -= 1


LISTENERS: web.AppKey[Listeners] = web.AppKey("listeners", Listeners)


@ROUTES.get("/api/v1/stream", allow_head=False)
async def stream(request: web.Request) -> web.StreamResponse:
    """
    Tell call events from now on, or from Last-Event-ID on, for as long as somebody listens.
    """
    visitor = known(request)
    question = Question.of_query(request)
    patterns = question.extensions()
    last_id = request.headers.get("Last-Event-ID") or question.text("last_event_id")
    question.text("last_event_id")
    question.finish()
    bridge = bridge_of(request)
    with request.app[LISTENERS].one_more(), bridge.broadcast.listen() as queue:
        telling = _Telling(bridge, _wanted(visitor, patterns))
        missed = telling.resumed(last_id)
        response = web.StreamResponse(headers={"X-Accel-Buffering": "no"})
        response.content_type = "text/event-stream"
        response.charset = "utf-8"
        await response.prepare(request)
        # Who hangs up, or takes nothing for too long, comes back if it wants to.
        with contextlib.suppress(ConnectionError, TimeoutError):
            for octets in missed:
                await _write(response, octets)
            await _go_on(response, queue, telling)
            return response
        if request.transport is not None:
            request.transport.abort()
    return response


async def _go_on(
    response: web.StreamResponse, queue: "asyncio.Queue[Said | None]", telling: "_Telling"
) -> None:
    while True:
        try:
            async with asyncio.timeout(KEEP_ALIVE_SECONDS):
                said = await queue.get()
        except TimeoutError:
            await _write(response, telling.sign_of_life())
            continue
        if said is None:
            return
        if octets := telling.spelled([said]):
            await _write(response, octets)


async def _write(response: web.StreamResponse, octets: bytes) -> None:
    async with asyncio.timeout(WRITE_SECONDS):
        await response.write(octets)


def _wanted(visitor: Visitor, patterns: Iterable[ExtensionPattern]) -> Callable[[CallEvent], bool]:
    """
    Give what tells whether an event is for *visitor*, who asks for *patterns*, if for any.
    """
    asked = tuple(patterns)

    def is_wanted(call_event: CallEvent) -> bool:
        extension = call_event.extension
        return visitor.scope.covers(extension) and (
            not asked or any(pattern.matches(extension) for pattern in asked)
        )

    return is_wanted


class _Telling:
    """
    What one listener is told, as octets.
    """

    def __init__(self, bridge: Bridge, is_wanted: Callable[[CallEvent], bool]) -> None:
        self._bridge = bridge
        self._is_wanted = is_wanted
        self._start = int(bridge.started * 1000)
        #: The last one that was looked at, whether it was wanted or not.
        self._last = bridge.broadcast.last

    def resumed(self, last_id: str | None) -> list[bytes]:
        """
        Spell what has been said since *last_id*, and where the listener is then; in pieces.
        """
        hello = f"retry: {_COME_BACK_MS}\n".encode()
        if not last_id:
            return [hello + self.sign_of_life()]
        found = _ID.fullmatch(last_id)
        number = int(found[2]) if found else 0
        if found is None or int(found[1]) != self._start or number > self._last:
            missed, _ = self._bridge.broadcast.since(0)
            gap = "the bridge was started anew since then"
        else:
            missed, complete = self._bridge.broadcast.since(number)
            gap = "" if complete else "more was said since then than is remembered"
        pieces = [missed[place : place + _AT_ONCE] for place in range(0, len(missed), _AT_ONCE)]
        return [hello + _gap(gap), *map(self.spelled, pieces), self.sign_of_life()]

    def spelled(self, said: Iterable[Said]) -> bytes:
        """
        Spell what is wanted of *said*.
        """
        pieces: list[str] = []
        dialect = self._bridge.config.hangup_dialect
        for one in said:
            self._last = max(self._last, one.number)
            call_event = one.call_event
            if self._is_wanted(call_event):
                line = to_json_line(call_event, dialect)
                identity = json.dumps(call_event.identity, ensure_ascii=False)
                data = f'{line[:-1]}, "identity": {identity}}}'
                pieces.append(f"id: {self._start}-{one.number}\ndata: {data}\n\n")
        # A caller's name may have what is no character.
        return "".join(pieces).encode(errors="replace")

    def sign_of_life(self) -> bytes:
        """
        Spell a comment, and the id that a listener who comes back has to have then.
        """
        return f":\nid: {self._start}-{self._last}\n\n".encode()


def _gap(reason: str) -> bytes:
    return b"event: gap\ndata: " + written({"reason": reason}) + b"\n\n" if reason else b""
