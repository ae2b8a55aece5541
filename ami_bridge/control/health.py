"""
Whether the bridge lives, and whether it can do its work: for supervisors, without a token.
"""

from collections.abc import Iterator

from aiohttp import web

from .access import VISITOR
from .answers import answer, bridge_of
from .bridge import Bridge
from .questions import no_parameters
from .views import LinkState

ROUTES = web.RouteTableDef()


@ROUTES.get("/healthz")
async def alive(request: web.Request) -> web.Response:
    """
    Answer 200: the process lives, and its event loop turns.
    """
    no_parameters(request)
    return answer({"status": "alive"})


@ROUTES.get("/readyz")
async def ready(request: web.Request) -> web.Response:
    """
    Answer 200 if every PBX is logged in to and the store can keep things, else 503 and why.

    Names and reasons are told to those who may see everything.
    """
    no_parameters(request)
    visitor = request.get(VISITOR)
    in_full = visitor is not None and visitor.scope.everybody
    problems = list(dict.fromkeys(_problems(bridge_of(request), in_full=in_full)))
    if problems:
        return answer({"status": "not ready", "problems": problems}, 503)
    return answer({"status": "ready"})


def _problems(bridge: Bridge, *, in_full: bool) -> Iterator[str]:
    links = {pbx.name: pbx for pbx in bridge.pbxs()}
    for name in [pbx.name for pbx in bridge.config.pbxs]:
        link = links.get(name)
        state = LinkState.CONNECTING if link is None else link.state
        if state is not LinkState.CONNECTED:
            reason = f": {link.error}" if in_full and link is not None and link.error else ""
            yield f"{f'PBX {name}' if in_full and name else 'a PBX'} is {state.value}{reason}"
    if trouble := bridge.store.trouble:
        yield f"the store cannot keep anything{f': {trouble}' if in_full else ''}"
