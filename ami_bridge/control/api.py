"""
The bridge's own API: how everything is, the calls that are up, and its description.
"""

import attrs
from aiohttp import web

from .answers import answer, bridge_of, known, operator
from .openapi import document
from .questions import Question, no_parameters
from .views import as_json

ROUTES = web.RouteTableDef()


@ROUTES.get("/api/v1/openapi.json")
async def description(request: web.Request) -> web.Response:
    """
    Describe the API, for everybody: it tells nothing of this bridge.
    """
    no_parameters(request)
    return answer(document())


@ROUTES.get("/api/v1/status")
async def status(request: web.Request) -> web.Response:
    """
    Say how everything is.
    """
    operator(request)
    no_parameters(request)
    return answer(await bridge_of(request).status())


@ROUTES.post("/api/v1/reload")
async def reload(request: web.Request) -> web.Response:
    """
    Read the rules file again and use it; what is wrong with it is refused, and nothing changes.
    """
    operator(request, changing=True)
    no_parameters(request)
    bridge = bridge_of(request)
    await bridge.reload()
    return answer({"requests": len(bridge.config.rules)})


@ROUTES.get("/api/v1/calls")
async def calls(request: web.Request) -> web.Response:
    """
    Give the calls that are up, with the legs that the visitor may see and asks for.
    """
    visitor = known(request)
    question = Question.of_query(request)
    patterns = question.extensions()
    question.finish()
    found = []
    for call in bridge_of(request).calls():
        legs = tuple(
            leg
            for leg in call.legs
            if visitor.scope.covers(leg.extension)
            and (not patterns or any(pattern.matches(leg.extension) for pattern in patterns))
        )
        if legs:
            found.append(as_json(attrs.evolve(call, legs=legs)))
    return answer({"calls": found})
