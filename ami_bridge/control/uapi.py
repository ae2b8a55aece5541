"""
VoipNow's UnifiedAPI for call events, so that programs written for it manage ours.

The resource, its fields and its errors follow the vendor's public documentation (Create,
Update, List and Delete PhoneCallEvents, wiki.4psa.com); docs/reference/voipnow-api.md says
where that is silent and what the bridge does then.
"""

from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote

from aiohttp import web

from ami_bridge.config.editing import RulesFile, generated_id
from ami_bridge.core.moments import rfc3339
from ami_bridge.core.phone_call_events import METHODS, STATUSES, TYPES, is_extended, is_id
from ami_bridge.errors import ConfigError, RulesFileError
from ami_bridge.settings import Config

from . import phone_call_edits
from .access import Visitor
from .answers import Refusal, answer, bridge_of, changer, known, not_found
from .phone_call_edits import find, phone_call_events
from .questions import body_of

ROUTES = web.RouteTableDef()

# The vendor's own programs end every address with a slash, its documentation none.
_BASE = "/uapi/extensions/{user}/{extension}/phoneCallEvents"
_ALL, _TYPE, _ONE = (_BASE + more + "{end:/?}" for more in ("", "/{type}", "/{type}/{id}"))
#: A list's length, unless asked otherwise; where it may begin at most, as the vendor says.
_COUNT, _MOST = 20, 1000
_LATEST_START = 5000
#: Fields that a list can be chosen by; of these two a part is enough.
_FILTERS = ("id", "method", "modified", "note", "status", "type", "url")
_BY_PART = ("note", "url")
_FIELDS = ("type", "id", "method", "note", "url", "status", "modified", "links")
_ORDERS = {"asc": False, "ascending": False, "desc": True, "descending": True}


# -- looking ---------------------------------------------------------------------------


@ROUTES.get(_ALL)
@ROUTES.get(_TYPE)
async def list_events(request: web.Request) -> web.Response:
    """
    List the PhoneCallEvents of an extension, or those of one type.
    """
    extension = _extension(request, known(request))
    kind = _type(request) if "type" in request.match_info else None
    config = bridge_of(request).config
    collection, modified = _collection(request, extension), _modified(config)
    found = [
        one.as_json(collection, modified)
        for one in phone_call_events(config.rules, extension)
        if kind is None or one.type == kind
    ]
    return _page(request, _chosen(request, found))


@ROUTES.get(_ONE)
async def show_event(request: web.Request) -> web.Response:
    """
    Give one PhoneCallEvent.
    """
    extension = _extension(request, known(request))
    number, event_id = _key(request)
    config = bridge_of(request).config
    try:
        one = find(config.rules, extension, number, event_id)
    except LookupError:
        raise _no_event(request) from None
    return answer(one.as_json(_collection(request, extension), _modified(config)))


def _chosen(request: web.Request, found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """
    Keep what the query asks for, in the order that it asks for.
    """
    name, value = request.query.get("filterBy"), request.query.get("filterValue", "")
    if name is not None:
        if name not in _FILTERS:
            raise _bad("filter_by_invalid", _one_of("filterBy", _FILTERS))
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
    names = ",".join(request.query.getall("fields", [])).split(",")
    fields = [name.strip() for name in names if name.strip()]
    if not set(fields) <= set(_FIELDS):
        raise _bad("fields_invalid", _one_of("each of fields", _FIELDS))
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


@ROUTES.post(_ALL)
async def add_event(request: web.Request) -> web.Response:
    """
    Add a PhoneCallEvent; the answer has its id.
    """
    visitor = changer(request)
    extension = _extension(request, visitor)
    body = await _body_of(request)
    number = body.get("type", "")
    if number not in TYPES:
        raise _bad("pcet_type_invalid", _one_of("type", TYPES))
    event_id = body.get("id") or generated_id()
    if not is_id(event_id):
        raise _bad("pce_id_invalid", "id is 1 to 255 letters and digits")
    fields = _fields(body)

    def edit(rules_file: RulesFile) -> None:
        phone_call_edits.add(visitor, rules_file, extension, (number, event_id), fields)

    await _edit(request, edit)
    return answer({"id": event_id})


@ROUTES.put(_ONE)
async def change_event(request: web.Request) -> web.Response:
    """
    Change a PhoneCallEvent: what is not given stays.
    """
    visitor = changer(request)
    extension = _extension(request, visitor)
    one = number, event_id = _key(request)
    body = await _body_of(request)
    if body.get("type", number) != number:
        raise _bad("pce_type_invalid", "the type cannot be changed; add another event")
    if body.get("id", event_id) != event_id:
        raise _bad("pce_id_invalid", "the id cannot be changed; add another event")
    fields = _fields(body)

    def edit(rules_file: RulesFile) -> None:
        phone_call_edits.change(visitor, rules_file, extension, one, fields)

    await _edit(request, edit)
    return answer({"id": event_id})


@ROUTES.delete(_ALL)
@ROUTES.delete(_TYPE)
async def remove_events(request: web.Request) -> web.Response:
    """
    Take out all PhoneCallEvents of an extension, or those of one type; say which.
    """
    visitor = changer(request)
    extension = _extension(request, visitor)
    kind = _type(request) if "type" in request.match_info else None
    gone: list[dict[str, str]] = []

    def edit(rules_file: RulesFile) -> None:
        found = [
            one
            for one in phone_call_events(rules_file.config.rules, extension)
            if kind is None or one.type == kind
        ]
        phone_call_edits.remove(visitor, rules_file, found)
        gone.extend({"type": one.type, "id": one.id} for one in found)

    await _edit(request, edit)
    return answer(gone) if gone else web.Response(status=204)


@ROUTES.delete(_ONE)
async def remove_event(request: web.Request) -> web.Response:
    """
    Take out one PhoneCallEvent; a rule that tells of other events, too, goes on with those.
    """
    visitor = changer(request)
    extension = _extension(request, visitor)
    number, event_id = _key(request)

    def edit(rules_file: RulesFile) -> None:
        one = find(rules_file.config.rules, extension, number, event_id)
        phone_call_edits.remove(visitor, rules_file, [one])

    await _edit(request, edit)
    return answer({"id": event_id})


async def _edit(request: web.Request, edit: Callable[[RulesFile], None]) -> None:
    """
    Edit the rules; what the bridge's own API would call unprocessable, VoipNow calls bad.
    """
    try:
        await bridge_of(request).change_rules(edit)
    except LookupError:
        raise _no_event(request) from None
    except RulesFileError:
        raise
    except ConfigError as error:
        raise _worded(Refusal.of_rules(error)) from error
    except Refusal as refusal:
        raise _worded(refusal) from refusal


def _worded(refusal: Refusal) -> Refusal:
    if refusal.status != 422:
        return refusal
    of_url = any(problem.path == "url" for problem in refusal.problems)
    return _bad("pce_url_invalid" if of_url else "pce_invalid", refusal.message)


# -- what is asked for -----------------------------------------------------------------


def _extension(request: web.Request, visitor: Visitor) -> str:
    extension = request.match_info["extension"]
    if not is_extended(extension):
        raise _bad("extension_invalid", f"{extension} is no extended number such as 0003*210")
    if not visitor.scope.covers(extension):
        raise not_found()
    return extension


def _type(request: web.Request) -> str:
    number = request.match_info["type"]
    if number not in TYPES:
        raise _bad("pce_type_invalid", _one_of("type", TYPES))
    return number


def _key(request: web.Request) -> tuple[str, str]:
    """
    Give the type and the id that the address names.
    """
    return _type(request), request.match_info["id"]


async def _body_of(request: web.Request) -> dict[str, str]:
    """
    Read the values of the body, all of which are texts; null is a value that is not given.

    What is neither text nor number becomes a text that no field may have but a note, which
    is refused here.
    """
    body = {name: value for name, value in (await body_of(request)).items() if value is not None}
    for name in ("note", "url"):
        if name in body and not _is_word(body[name]):
            raise _bad("pce_invalid" if name == "note" else "pce_url_invalid", f"{name} is a text")
    return {name: str(value) if _is_word(value) else "?" for name, value in body.items()}


def _is_word(value: object) -> bool:
    return isinstance(value, str | int) and not isinstance(value, bool)


def _fields(body: Mapping[str, str]) -> dict[str, str]:
    """
    Give method, note, status and url; what else there is in *body* is passed over.
    """
    for name, words in (("method", METHODS), ("status", STATUSES)):
        if name in body and body[name] not in words:
            raise _bad(f"pce_{name}_invalid", _one_of(name, words))
    return {name: body[name] for name in ("method", "note", "status", "url") if name in body}


def _whole(request: web.Request, name: str, default: int, most: int) -> int:
    text = request.query.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdigit() and len(text) < 9 and int(text) <= most):
        raise _bad(f"{name.lower()}_invalid", f"{name} is a number from 0 to {most}")
    return int(text)


# -- what is said ----------------------------------------------------------------------


def _modified(config: Config) -> str:
    """
    Say when the rules file was changed, in the vendor's form: of a rule it is not known.
    """
    try:
        moment = 0.0 if config.source is None else config.source.stat().st_mtime
    except OSError:
        return ""
    return rfc3339(int(moment)).replace(".000Z", "+00:00") if moment else ""


def _collection(request: web.Request, extension: str) -> str:
    """
    Give the address of the list, as the visitor sees it.
    """
    control = bridge_of(request).config.control
    is_secure = request.secure or (control is not None and control.behind_https)
    user = quote(request.match_info["user"], safe="@")
    place = f"/uapi/extensions/{user}/{quote(extension, safe='*')}/phoneCallEvents"
    host = request.headers.get("Host")
    return f"http{'s' if is_secure else ''}://{host}{place}" if host else place


def _no_event(request: web.Request) -> Refusal:
    number, event_id = _key(request)
    return not_found(f"there is no event {event_id} of type {number}")


def _one_of(name: str, words: Mapping[str, object] | tuple[str, ...]) -> str:
    return f"{name} is one of {', '.join(words)}"


def _bad(code: str, message: str) -> Refusal:
    return Refusal(400, code, message)
