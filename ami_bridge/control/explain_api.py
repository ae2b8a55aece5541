"""
The bridge's own API: why a call event was said, or was not.
"""

from aiohttp import web

from ami_bridge.adapters.store import Wanted

from .answers import answer, bridge_of, operator
from .questions import Question
from .shown import delivery_view
from .views import as_json

ROUTES = web.RouteTableDef()

#: No call leads to more notifications, if it is one that people make.
_MOST_DELIVERIES = 1000


@ROUTES.get("/api/v1/explain")
async def explain(request: web.Request) -> web.Response:
    """
    Give what Asterisk said of a call, what followed, and what came of its notifications.
    """
    operator(request)
    question = Question.of_query(request)
    call_id = question.text("call_id")
    if call_id is None:
        question.problem("call_id", "is missing: which call is to be explained")
    question.finish()
    bridge = bridge_of(request)
    pbx, steps = await bridge.explain(call_id or "")
    found = await bridge.store.find(Wanted(call_id=call_id), _MOST_DELIVERIES)
    return answer(
        {
            "call_id": call_id,
            "pbx": pbx,
            "steps": [step.as_json() for step in steps],
            "deliveries": [as_json(delivery_view(kept)) for kept in found.deliveries],
        }
    )
