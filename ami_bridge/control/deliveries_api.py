"""
The bridge's own API: notifications, what was tried, and steering them.
"""

from collections.abc import Awaitable, Callable, Sequence

from aiohttp import web

from ami_bridge.adapters.store import DeliveryState, Wanted
from ami_bridge.core.call_events import EventType
from ami_bridge.core.rules import ExtensionPattern

from .access import Visitor
from .answers import Refusal, answer, bridge_of, changer, known
from .asked_for import in_full, kept_of
from .bridge import Bridge
from .questions import Question, body_of, no_parameters
from .shown import delivery_view
from .views import as_json

ROUTES = web.RouteTableDef()

#: How many deliveries a list has, unless asked otherwise, and at most.
_PAGE, _LONGEST_PAGE = 100, 1000
#: As many are retried or dropped by one request.
MOST_AT_ONCE = 500

#: What of a selection is no text.
_NUMBERS = frozenset({"since", "until", "limit"})
_OWED = (DeliveryState.WAITING, DeliveryState.PAUSED)


@ROUTES.get("/api/v1/deliveries")
async def list_deliveries(request: web.Request) -> web.Response:
    """
    Give deliveries that match, the latest first, a page at a time.
    """
    visitor = known(request)
    question = Question.of_query(request)
    states = question.choices("state", DeliveryState)
    wanted = _wanted(question, visitor, states or tuple(DeliveryState))
    limit = question.whole("limit", _PAGE, _LONGEST_PAGE)
    before = question.cursor("cursor")
    question.finish()
    if wanted is None:
        return answer({"deliveries": [], "next": None})
    found = await bridge_of(request).store.find(wanted, limit, before)
    return answer(
        {
            "deliveries": [as_json(delivery_view(kept)) for kept in found.deliveries],
            "next": None if found.next is None else str(found.next),
        }
    )


@ROUTES.get("/api/v1/deliveries/{id}")
async def show_delivery(request: web.Request) -> web.Response:
    """
    Give one delivery with its request, as it would be sent now, and every attempt.
    """
    visitor = known(request)
    no_parameters(request)
    return answer(in_full(bridge_of(request), await kept_of(request, visitor)))


@ROUTES.post("/api/v1/deliveries/{id}/retry")
async def retry_delivery(request: web.Request) -> web.Response:
    """
    Owe one given-up delivery once more, or attempt one that waits at once.
    """
    states = (DeliveryState.GIVEN_UP, DeliveryState.WAITING)
    return await _steer_one(request, states, _retry)


@ROUTES.post("/api/v1/deliveries/{id}/drop")
async def drop_delivery(request: web.Request) -> web.Response:
    """
    Give up one delivery that is still owed.
    """
    return await _steer_one(request, _OWED, _drop)


@ROUTES.post("/api/v1/deliveries/retry")
async def retry_deliveries(request: web.Request) -> web.Response:
    """
    Owe once more what was given up and matches, a part of it at a time.
    """
    return await _steer(request, (DeliveryState.GIVEN_UP,), _retry)


@ROUTES.post("/api/v1/deliveries/drop")
async def drop_deliveries(request: web.Request) -> web.Response:
    """
    Give up what is still owed and matches, a part of it at a time.
    """
    return await _steer(request, _OWED, _drop)


_Lever = Callable[[Bridge, Visitor, Sequence[str]], Awaitable[int]]


async def _retry(bridge: Bridge, _visitor: Visitor, ids: Sequence[str]) -> int:
    return await bridge.retry(ids)


async def _drop(bridge: Bridge, visitor: Visitor, ids: Sequence[str]) -> int:
    return await bridge.store.drop(ids, f"dropped by {visitor.name}", bridge.clock())


async def _steer_one(
    request: web.Request, states: tuple[DeliveryState, ...], lever: _Lever
) -> web.Response:
    visitor, bridge = changer(request), bridge_of(request)
    no_parameters(request)
    kept = await kept_of(request, visitor)
    if kept.state not in states or not await lever(bridge, visitor, [kept.delivery.id]):
        words = " or ".join(state.value for state in states)
        state = f"it is {kept.state.value}"
        raise Refusal(409, "conflict", f"only what is {words}, and not under way, can; {state}")
    return answer(in_full(bridge, await kept_of(request, visitor)))


async def _steer(
    request: web.Request, states: tuple[DeliveryState, ...], lever: _Lever
) -> web.Response:
    visitor, bridge = changer(request), bridge_of(request)
    no_parameters(request)
    body = await body_of(request)
    # By mistake, nobody shall mean all of them.
    named = body.pop("all", None) is True if "all" in body else bool(body.keys() - {"limit"})
    question = Question.of_body(body, _NUMBERS)
    if not named:
        question.problem("all", "say which ones are meant, or that all are: true")
    wanted = _wanted(question, visitor, states)
    limit = question.whole("limit", MOST_AT_ONCE, MOST_AT_ONCE)
    question.finish()
    if wanted is None:
        return answer({"changed": 0, "more": False})
    found = await bridge.store.find(wanted, limit, None)
    ids = [kept.delivery.id for kept in found.deliveries]
    changed = await lever(bridge, visitor, ids) if ids else 0
    return answer({"changed": changed, "more": found.next is not None})


def _wanted(
    question: Question, visitor: Visitor, states: tuple[DeliveryState, ...]
) -> Wanted | None:
    """
    Read which deliveries are asked for; None if the visitor may see none of them.
    """
    asked = question.extensions()
    extensions = asked or None
    if not visitor.scope.everybody:
        extensions = visitor.scope.narrow(asked or [ExtensionPattern(visitor.scope.text)])
    wanted = Wanted(
        states=states,
        destination=question.text("destination"),
        extensions=extensions,
        call_id=question.text("call_id"),
        event=question.choice("event", EventType),
        rule_id=question.text("request_id"),
        since=question.number("since"),
        until=question.number("until"),
    )
    return None if extensions == () else wanted
