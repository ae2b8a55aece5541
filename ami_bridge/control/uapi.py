"""
VoipNow's UnifiedAPI for call events, so that programs written for it manage ours.

The resource, its fields and its errors follow the vendor's public documentation (Create,
Update, List and Delete PhoneCallEvents); docs/reference/voipnow-api.md says where that is
silent and what the bridge does then.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import quote

from aiohttp import web

from ami_bridge.config.editing import RulesFile, generated_id
from ami_bridge.core.masking import masked_url
from ami_bridge.core.moments import rfc3339
from ami_bridge.core.phone_call_events import (
    METHODS,
    STATUSES,
    TYPES,
    PhoneCallEvent,
    events_of,
    is_extended,
)
from ami_bridge.errors import ConfigError, RulesFileError
from ami_bridge.settings import Config

from . import admission
from .access import Visitor
from .answers import Refusal, answer, bridge_of, changer, known, not_found
from .questions import body_of

ROUTES = web.RouteTableDef()

_BASE = "/uapi/extensions/{user}/{extension}/phoneCallEvents"
#: A list's length, unless asked otherwise; where it may begin at most, as the vendor says.
_COUNT, _MOST = 20, 1000
_LATEST_START = 5000
#: Fields that a list can be chosen by; of these two a part is enough.
_FILTERS = ("id", "method", "modified", "note", "status", "type", "url")
_BY_PART = ("note", "url")
_FIELDS = ("type", "id", "method", "note", "url", "status", "modified", "links")
_ORDERS = {"asc": False, "ascending": False, "desc": True, "descending": True}


# -- looking ---------------------------------------------------------------------------


@ROUTES.get(_BASE)
@ROUTES.get(_BASE + "/")
@ROUTES.get(_BASE + "/{type}")
async def list_events(request: web.Request) -> web.Response:
    """
    List the PhoneCallEvents of an extension, or those of one type.
    """
    extension = _extension(request, known(request))
    kind = _type(request, "pce_type_invalid") if "type" in request.match_info else None
    found = [
        one.as_json(_collection(request, extension), _modified(bridge_of(request).config))
        for one in _events(bridge_of(request).config, extension)
        if kind is None or one.type == kind
    ]
    return _page(request, _chosen(request, found))


@ROUTES.get(_BASE + "/{type}/{id}")
async def show_event(request: web.Request) -> web.Response:
    """
    Give one PhoneCallEvent.
    """
    extension = _extension(request, known(request))
    one = _find(request, extension)
    config = bridge_of(request).config
    return answer(one.as_json(_collection(request, extension), _modified(config)))


def _chosen(request: web.Request, found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """
    Keep what the query asks for, in the order that it asks for.
    """
    name, value = request.query.get("filterBy"), request.query.get("filterValue", "")
    if name is not None:
        if name not in _FILTERS:
            raise _bad("filter_by_invalid", f"filterBy is one of {', '.join(_FILTERS)}")
        found = [
            one for one in found if (value in one[name] if name in _BY_PART else value == one[name])
        ]
    order = request.query.get("sortOrder")
    if order is not None:
        if order.lower() not in _ORDERS:
            raise _bad("sort_order_invalid", "sortOrder is ascending or descending; it is by url")
        found = sorted(found, key=lambda one: str(one["url"]), reverse=_ORDERS[order.lower()])
    return found


def _page(request: web.Request, found: list[dict[str, Any]]) -> web.Response:
    start = _whole(request, "startIndex", 0, _LATEST_START)
    count = _whole(request, "count", _COUNT, _MOST)
    fields = [name for name in request.query.get("fields", "").split(",") if name]
    if unknown := [name for name in fields if name not in _FIELDS]:
        raise _bad(
            "fields_invalid", f"unknown {', '.join(unknown)}; there are {', '.join(_FIELDS)}"
        )
    entry = [
        {name: one[name] for name in _FIELDS if not fields or name in fields}
        for one in found[start : start + count]
    ]
    return answer(
        {
            "totalResults": str(len(found)),
            "startIndex": str(start),
            "itemsPerPage": str(count),
            "entry": entry,
        }
    )


# -- changing --------------------------------------------------------------------------


@ROUTES.post(_BASE)
@ROUTES.post(_BASE + "/")
async def add_event(request: web.Request) -> web.Response:
    """
    Add a PhoneCallEvent; the answer has its id.
    """
    visitor = changer(request)
    extension = _extension(request, visitor)
    body = await body_of(request)
    number = str(body.get("type", ""))
    if number not in TYPES:
        raise _bad("pcet_type_invalid", _one_of("type", TYPES))
    event_id = str(body.get("id") or generated_id())
    if not _is_id(event_id):
        raise _bad("pce_id_invalid", "id is 1 to 255 letters and digits")
    if any(rule.id == event_id for rule in bridge_of(request).config.rules):
        raise _bad("pce_id_invalid", f"{event_id} is the id of another request")
    attributes = {
        "id": event_id,
        "extension": extension,
        "event": TYPES[number].value,
        "url": "",
        **_attributes(body),
    }
    await _change(request, lambda rules: admission.add(visitor, rules, attributes))
    return answer({"id": event_id})


@ROUTES.put(_BASE + "/{type}/{id}")
async def change_event(request: web.Request) -> web.Response:
    """
    Change a PhoneCallEvent: what is not given stays.
    """
    visitor = changer(request)
    one = _find(request, _extension(request, visitor))
    attributes = _attributes(await body_of(request))
    if attributes and len(_events_of_request(request, one.id)) > 1:
        raise Refusal(
            409,
            "pce_shared",
            f"{one.id} tells of several events at once; change it by /api/v1/events or by hand",
        )
    if attributes:
        await _change(request, lambda rules: admission.change(visitor, rules, one.id, attributes))
    return answer({"id": one.id})


@ROUTES.delete(_BASE)
@ROUTES.delete(_BASE + "/")
@ROUTES.delete(_BASE + "/{type}")
async def remove_events(request: web.Request) -> web.Response:
    """
    Take out all PhoneCallEvents of an extension, or those of one type.
    """
    visitor = changer(request)
    extension = _extension(request, visitor)
    kind = _type(request, "pce_type_invalid") if "type" in request.match_info else None
    gone = [
        one
        for one in _events(bridge_of(request).config, extension)
        if kind is None or one.type == kind
    ]
    return await _remove(request, visitor, gone)


@ROUTES.delete(_BASE + "/{type}/{id}")
async def remove_event(request: web.Request) -> web.Response:
    """
    Take out one PhoneCallEvent; a request that tells of other events, too, goes on with those.
    """
    visitor = changer(request)
    one = _find(request, _extension(request, visitor))
    return await _remove(request, visitor, [one])


async def _remove(
    request: web.Request, visitor: Visitor, gone: list[PhoneCallEvent]
) -> web.Response:
    def edit(rules: RulesFile) -> None:
        for event_id in dict.fromkeys(one.id for one in gone):
            rule = admission.visible(visitor, rules, event_id)
            left = rule.events - {one.event for one in gone if one.id == event_id}
            if left:
                events = sorted(event.value for event in left)
                admission.change(visitor, rules, event_id, {"id": event_id, "event": events})
            else:
                admission.remove(visitor, rules, event_id)

    if gone:
        await _change(request, edit)
    return web.Response(status=204)


async def _change(request: web.Request, edit: Callable[[RulesFile], object]) -> None:
    """
    Edit the rules; what the bridge's own API would call unprocessable, VoipNow calls bad.
    """
    try:
        await bridge_of(request).change_rules(lambda rules: _done(edit(rules)))
    except LookupError:
        raise not_found() from None
    except RulesFileError:
        raise
    except ConfigError as error:
        raise _worded(Refusal.of_rules(error)) from error
    except Refusal as refusal:
        raise _worded(refusal) from refusal


def _done(_result: object) -> None:
    pass


def _worded(refusal: Refusal) -> Refusal:
    if refusal.status != 422:
        return refusal
    of_url = any(problem.path.endswith("url") for problem in refusal.problems)
    return _bad("pce_url_invalid" if of_url else "pce_invalid", refusal.message)


# -- what is asked for -----------------------------------------------------------------


def _extension(request: web.Request, visitor: Visitor) -> str:
    extension = request.match_info["extension"]
    if not is_extended(extension):
        raise _bad("extension_invalid", f"{extension} is no extended number such as 0003*210")
    if not visitor.scope.covers(extension):
        raise not_found()
    return extension


def _type(request: web.Request, code: str) -> str:
    number = request.match_info["type"]
    if number not in TYPES:
        raise _bad(code, _one_of("type", TYPES))
    return number


def _find(request: web.Request, extension: str) -> PhoneCallEvent:
    number, event_id = _type(request, "pce_type_invalid"), request.match_info["id"]
    for one in _events(bridge_of(request).config, extension):
        if (one.type, one.id) == (number, event_id):
            return one
    raise not_found(f"there is no event {event_id} of type {number}")


def _events(config: Config, extension: str) -> Iterator[PhoneCallEvent]:
    shown = {rule.id: masked_url(rule.url) for rule in config.rules}
    return events_of(config.rules, extension, shown)


def _events_of_request(request: web.Request, event_id: str) -> frozenset[Any]:
    rules = bridge_of(request).config.rules
    return next((rule.events for rule in rules if rule.id == event_id), frozenset())


def _attributes(body: Mapping[str, Any]) -> dict[str, Any]:
    """
    Read method, url, status and note; what else there is in *body* is passed over.
    """
    attributes: dict[str, Any] = {}
    if "method" in body:
        if str(body["method"]) not in METHODS:
            raise _bad("pce_method_invalid", _one_of("method", METHODS))
        attributes["method"] = METHODS[str(body["method"])].value
    if "status" in body:
        if str(body["status"]) not in STATUSES:
            raise _bad("pce_status_invalid", _one_of("status", STATUSES))
        attributes["status"] = "enabled" if STATUSES[str(body["status"])] else "disabled"
    for name, ours, code in (("url", "url", "pce_url_invalid"), ("note", "notes", "pce_invalid")):
        if name in body:
            if not isinstance(body[name], str):
                raise _bad(code, f"{name} is a text")
            attributes[ours] = body[name]
    try:
        admission.check_attributes(attributes)
    except Refusal as refusal:
        raise _worded(refusal) from None
    return attributes


def _is_id(text: str) -> bool:
    return text.isascii() and text.isalnum() and len(text) <= 255


def _whole(request: web.Request, name: str, default: int, most: int) -> int:
    text = request.query.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdigit() and len(text) < 9 and int(text) <= most):
        raise _bad(f"{name.lower()}_invalid", f"{name} is a number from 0 to {most}")
    return int(text)


def _modified(config: Config) -> str:
    """
    Say when the rules file was changed: of each rule the bridge does not know.
    """
    try:
        return "" if config.source is None else rfc3339(config.source.stat().st_mtime)
    except OSError:
        return ""


def _collection(request: web.Request, extension: str) -> str:
    user = quote(request.match_info["user"], safe="@")
    return f"/uapi/extensions/{user}/{quote(extension, safe='*')}/phoneCallEvents"


def _one_of(name: str, words: Mapping[str, object]) -> str:
    return f"{name} is one of {', '.join(words)}"


def _bad(code: str, message: str) -> Refusal:
    return Refusal(400, code, message)
