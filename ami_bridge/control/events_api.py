"""
The bridge's own API: the call-event requests of the rules.
"""

from collections.abc import Callable
from urllib.parse import quote

from aiohttp import web

from ami_bridge.config.editing import RulesFile
from ami_bridge.core.call_events import EventType
from ami_bridge.settings import Config

from . import admission
from .answers import answer, bridge_of, changer, known, not_found
from .asked_for import rule_of
from .questions import Question, body_of, no_parameters
from .shown import event_view, sample_view
from .views import as_json

ROUTES = web.RouteTableDef()


@ROUTES.get("/api/v1/events")
async def list_events(request: web.Request) -> web.Response:
    """
    Give the call-event requests that tell of nothing beyond the visitor's scope.
    """
    visitor = known(request)
    no_parameters(request)
    rules = bridge_of(request).config.rules
    found = [as_json(event_view(rule)) for rule in rules if visitor.scope.covers_rule(rule)]
    return answer({"events": found})


@ROUTES.get("/api/v1/events/{id}")
async def show_event(request: web.Request) -> web.Response:
    """
    Give one call-event request.
    """
    visitor = known(request)
    no_parameters(request)
    return answer(event_view(rule_of(request, visitor)))


@ROUTES.post("/api/v1/events")
async def add_event(request: web.Request) -> web.Response:
    """
    Add a call-event request behind the others.
    """
    visitor = changer(request)
    no_parameters(request)
    attributes = await body_of(request)
    admission.check_attributes(attributes)
    made: list[str] = []

    def edit(rules_file: RulesFile) -> None:
        made.append(admission.add(visitor, rules_file, attributes))

    config = await bridge_of(request).change_rules(edit)
    rule = next(rule for rule in config.rules if rule.id == made[-1])
    response = answer(event_view(rule), 201)
    response.headers["Location"] = f"/api/v1/events/{quote(rule.id, safe='')}"
    return response


@ROUTES.patch("/api/v1/events/{id}")
async def change_event(request: web.Request) -> web.Response:
    """
    Change the attributes that are given; null takes one out, all others stay.
    """
    visitor = changer(request)
    no_parameters(request)
    request_id = rule_of(request, visitor).id
    attributes = await body_of(request)
    admission.check_attributes(attributes)
    made: list[str] = []

    def edit(rules_file: RulesFile) -> None:
        made.append(admission.change(visitor, rules_file, request_id, attributes))

    config = await _changed(request, edit)
    return answer(event_view(next(rule for rule in config.rules if rule.id == made[-1])))


@ROUTES.delete("/api/v1/events/{id}")
async def remove_event(request: web.Request) -> web.Response:
    """
    Take a call-event request out of the rules; what is owed already is still delivered.
    """
    visitor = changer(request)
    no_parameters(request)
    request_id = rule_of(request, visitor).id
    await _changed(request, lambda rules: admission.remove(visitor, rules, request_id))
    return web.Response(status=204)


@ROUTES.post("/api/v1/events/{id}/test")
async def try_event(request: web.Request) -> web.Response:
    """
    Send one sample notification, marked as such, and give the request and its answer.
    """
    visitor = changer(request)
    no_parameters(request)
    rule = rule_of(request, visitor)
    question = Question.of_body(await body_of(request))
    event = question.choice("event", EventType)
    question.finish()
    try:
        return answer(sample_view(await bridge_of(request).sample(rule.id, event)))
    except LookupError:
        raise not_found() from None


async def _changed(request: web.Request, edit: Callable[[RulesFile], None]) -> Config:
    try:
        return await bridge_of(request).change_rules(edit)
    except LookupError:
        # Somebody edited the file, and took it out.
        raise not_found() from None
