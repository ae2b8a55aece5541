"""
The dashboard: pages for people, made here and readable without JavaScript.

Every change is a form that repeats the session's CSRF token, and ends with a redirect. What
Asterisk, callers and receivers said is text, wherever it is shown.
"""

import functools
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import jinja2
from aiohttp import web

from ami_bridge import __version__
from ami_bridge.adapters.store import DeliveryState, Wanted
from ami_bridge.config.editing import RulesFile
from ami_bridge.config.report import describe_request
from ami_bridge.core.call_events import CallEvent, EventType
from ami_bridge.core.moments import lasting, rfc3339
from ami_bridge.core.rules import ExtensionPattern, Rule, why_never
from ami_bridge.errors import ConfigError

from .access import VISITOR, Visitor
from .answers import Refusal, bridge_of, changer, known, not_found, operator
from .asked_for import in_full, kept_of, rule_of
from .bridge import Bridge
from .shown import delivery_view, event_view, sample_view
from .views import CallView, SampleView

ROUTES = web.RouteTableDef()
ROUTES.static("/static", Path(__file__).parent / "static")

#: Deliveries on a page, and call events that are listed.
_PAGE, _LAST_SAID = 50, 40
#: No call leads to more notifications, if it is one that people make.
_MOST_OF_A_CALL = 1000
#: What a redirect may say was done; anything else in the address is not shown.
_DONE = {
    "retried": "It will be sent again.",
    "dropped": "It was given up.",
    "enabled": "The request is enabled.",
    "disabled": "The request is disabled.",
}

_Page = Callable[[web.Request], Awaitable[web.StreamResponse]]


# -- how a page is made ----------------------------------------------------------------


def _moment(seconds: float | None, form: str) -> str:
    return "" if seconds is None else time.strftime(form, time.localtime(seconds))


def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("ami_bridge.control"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "clock": lambda seconds: _moment(seconds, "%H:%M:%S"),
        "day_and_clock": lambda seconds: _moment(seconds, "%Y-%m-%d %H:%M:%S"),
        "lasting": lasting,
        "rfc3339": rfc3339,
        "segment": lambda text: quote(text, safe=""),
    }
    environment.globals |= {"version": __version__}
    return environment


_TEMPLATES = _environment()


def render(request: web.Request, name: str, code: int = 200, **facts: Any) -> web.Response:
    """
    Answer *request* with the template *name*, filled with *facts*.
    """
    visitor: Visitor | None = request.get(VISITOR)
    now = time.time()
    zone = time.localtime(now).tm_gmtoff
    text = _TEMPLATES.get_template(name).render(
        visitor=visitor, now=now, zone=zone, path=request.path, **facts
    )
    # A caller's name may have what is no character.
    body = text.encode(errors="replace")
    return web.Response(status=code, body=body, content_type="text/html", charset="utf-8")


def page(handler: _Page) -> _Page:
    """
    Make a page of *handler*: who is not known logs in first, and refusals are pages, too.
    """

    @functools.wraps(handler)
    async def answer(request: web.Request) -> web.StreamResponse:
        try:
            return await handler(request)
        except ConfigError as error:
            refusal = Refusal.of_rules(error)
        except Refusal as error:
            refusal = error
        if refusal.status == 401 and request.method == "GET":
            raise web.HTTPSeeOther(f"/login?{urlencode({'next': request.path_qs})}")
        return render(request, "problem.html", refusal.status, message=refusal.message)

    return answer


def _done(place: str, word: str) -> web.HTTPSeeOther:
    return web.HTTPSeeOther(f"{place}?{urlencode({'done': word})}")


def _message(request: web.Request) -> str:
    return _DONE.get(request.query.get("done", ""), "")


# -- the first page --------------------------------------------------------------------


@ROUTES.get("/")
@page
async def overview(request: web.Request) -> web.StreamResponse:
    """
    Show the calls that are up, what was said last, and how everything is.
    """
    visitor, bridge = known(request), bridge_of(request)
    return render(
        request,
        "overview.html",
        calls=_calls(bridge, visitor),
        said=_said(bridge, visitor),
        status=await bridge.status() if visitor.scope.everybody else None,
    )


@ROUTES.get("/fragments/calls")
@page
async def calls_fragment(request: web.Request) -> web.StreamResponse:
    """
    Give the part of the first page that changes with every call event.
    """
    visitor = known(request)
    return render(request, "_calls.html", calls=_calls(bridge_of(request), visitor))


@ROUTES.get("/fragments/health")
@page
async def health_fragment(request: web.Request) -> web.StreamResponse:
    """
    Give the part of the first page that shows how everything is.
    """
    visitor = known(request)
    if not visitor.scope.everybody:
        raise not_found()
    return render(request, "_health.html", status=await bridge_of(request).status())


def _calls(bridge: Bridge, visitor: Visitor) -> list[CallView]:
    return [call for call in (one.within(visitor.scope) for one in bridge.calls()) if call.legs]


def _said(bridge: Bridge, visitor: Visitor) -> list[CallEvent]:
    """
    Give the call events that were said last, the latest first.
    """
    remembered, _ = bridge.broadcast.since(bridge.broadcast.last - 10 * _LAST_SAID)
    found = [
        said.call_event for said in remembered if visitor.scope.covers(said.call_event.extension)
    ]
    return found[: -_LAST_SAID - 1 : -1]


# -- deliveries ------------------------------------------------------------------------


@ROUTES.get("/deliveries")
@page
async def deliveries(request: web.Request) -> web.StreamResponse:
    """
    List deliveries, the latest first; a form chooses among them.
    """
    visitor, bridge = known(request), bridge_of(request)
    asked = {name: request.query.get(name, "").strip() for name in _FILTERS}
    wanted, problem = _wanted(asked, visitor)
    cursor = request.query.get("cursor", "")
    before = int(cursor) if cursor.isascii() and cursor.isdigit() and len(cursor) < 19 else None
    found = None if wanted is None else await bridge.store.find(wanted, _PAGE, before)
    older = ""
    if found is not None and found.next is not None:
        chosen = {name: value for name, value in asked.items() if value}
        older = f"/deliveries?{urlencode({**chosen, 'cursor': found.next})}"
    return render(
        request,
        "deliveries.html",
        asked=asked,
        states=list(DeliveryState),
        events=list(EventType),
        deliveries=[] if found is None else [delivery_view(kept) for kept in found.deliveries],
        older=older,
        is_first=before is None,
        problem=problem,
    )


#: What the form asks for, by the names in the address.
_FILTERS = ("state", "event", "extension", "call_id", "destination", "request_id")


def _wanted(asked: dict[str, str], visitor: Visitor) -> tuple[Wanted | None, str]:
    """
    Read the form; None and a sentence if there can be nothing to see.
    """
    extension = asked["extension"]
    if extension and (reason := why_never(extension)):
        return None, f"No extension is like {extension}: {reason}."
    extensions: tuple[ExtensionPattern, ...] | None = None
    if extension or not visitor.scope.everybody:
        pattern = ExtensionPattern(extension or visitor.scope.text)
        extensions = visitor.scope.narrow([pattern])
    states = [state for state in DeliveryState if state == asked["state"]]
    events = [event for event in EventType if event == asked["event"]]
    if extensions == () or (asked["state"] and not states) or (asked["event"] and not events):
        return None, ""
    return Wanted(
        states=states or None,
        event=events[0] if events else None,
        extensions=extensions,
        call_id=asked["call_id"] or None,
        destination=asked["destination"] or None,
        rule_id=asked["request_id"] or None,
    ), ""


@ROUTES.get("/deliveries/{id}")
@page
async def delivery(request: web.Request) -> web.StreamResponse:
    """
    Show one delivery: its request, without what lets somebody in, and every attempt.
    """
    kept = await kept_of(request, known(request))
    return render(
        request,
        "delivery.html",
        delivery=in_full(bridge_of(request), kept),
        message=_message(request),
    )


@ROUTES.post("/deliveries/{id}/retry")
@page
async def retry(request: web.Request) -> web.StreamResponse:
    """
    Send a delivery again, or at once.
    """
    kept = await kept_of(request, changer(request))
    if not await bridge_of(request).retry([kept.delivery.id]):
        raise Refusal(409, "conflict", f"It is {kept.state.value}, or just being attempted.")
    raise _done(f"/deliveries/{quote(kept.delivery.id, safe='')}", "retried")


@ROUTES.post("/deliveries/{id}/drop")
@page
async def drop(request: web.Request) -> web.StreamResponse:
    """
    Give a delivery up.
    """
    visitor = changer(request)
    kept = await kept_of(request, visitor)
    bridge = bridge_of(request)
    reason = f"dropped by {visitor.name}"
    if not await bridge.store.drop([kept.delivery.id], reason, bridge.clock()):
        raise Refusal(409, "conflict", f"It is {kept.state.value}, or just being attempted.")
    raise _done(f"/deliveries/{quote(kept.delivery.id, safe='')}", "dropped")


# -- one call --------------------------------------------------------------------------


@ROUTES.get("/explain")
@page
async def explain(request: web.Request) -> web.StreamResponse:
    """
    Say why call events of a call were said, and who was told of them.
    """
    operator(request)
    bridge = bridge_of(request)
    call_id = request.query.get("call_id", "").strip()
    _, steps = await bridge.explain(call_id) if call_id else ("", [])
    found = await bridge.store.find(Wanted(call_id=call_id), _MOST_OF_A_CALL)
    return render(
        request,
        "explain.html",
        call_id=call_id,
        steps=steps,
        outcomes={kept.delivery.id: delivery_view(kept) for kept in found.deliveries},
    )


# -- requests --------------------------------------------------------------------------


@ROUTES.get("/requests")
@page
async def requests(request: web.Request) -> web.StreamResponse:
    """
    Show the call-event requests of the rules as they are understood.
    """
    known(request)
    return await _requests(request)


@ROUTES.post("/requests/{id}/enable")
@page
async def enable(request: web.Request) -> web.StreamResponse:
    """
    Let a request be told.
    """
    return await _change(request, RulesFile.enable, "enabled")


@ROUTES.post("/requests/{id}/disable")
@page
async def disable(request: web.Request) -> web.StreamResponse:
    """
    Let a request be told no more.
    """
    return await _change(request, RulesFile.disable, "disabled")


@ROUTES.post("/requests/{id}/test")
@page
async def try_out(request: web.Request) -> web.StreamResponse:
    """
    Send one sample notification, marked as such, and show the answer.
    """
    rule = rule_of(request, changer(request))
    sample = sample_view(await bridge_of(request).sample(rule.id))
    return await _requests(request, rule.id, sample)


async def _change(
    request: web.Request, change: Callable[[RulesFile, str], None], word: str
) -> web.StreamResponse:
    rule = rule_of(request, changer(request))
    await bridge_of(request).change_rules(lambda rules_file: change(rules_file, rule.id))
    raise _done("/requests", word)


async def _requests(
    request: web.Request, tried: str = "", sample: SampleView | None = None
) -> web.Response:
    bridge, visitor = bridge_of(request), known(request)
    paused = {pause.rule_id: pause for pause in await bridge.store.paused()}
    dialect = bridge.config.hangup_dialect
    seen: Sequence[Rule] = [rule for rule in bridge.config.rules if visitor.scope.covers_rule(rule)]
    return render(
        request,
        "requests.html",
        requests=[
            (event_view(rule), list(describe_request(rule, dialect))[1:], paused.get(rule.id))
            for rule in seen
        ],
        tried=tried,
        sample=sample,
        message=_message(request),
    )
