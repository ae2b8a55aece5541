"""
VoipNow's UnifiedAPI for call events, whatever it is asked.
"""

import asyncio
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ami_bridge.config import load_config

from .houses import RULES, House, house

MINE = """
# Of one extension.
[[requests]]
id = "popup"
extension = "0003*210"
event = "Dial-In"
url = "http://127.0.0.1:9/popup?token=s3cret"

[[requests]]
extension = "0003*210"
url = "http://127.0.0.1:9/every"

[[requests]]
id = "several"
extension = "0003*210"
event = ["Hangup", "Answer"]
method = "POST"
url = "http://127.0.0.1:9/several"
headers = {"X-Api-Key" = "s3cret"}
[requests.auth]
bearer = "s3cret-bearer"
"""
RELAXED = settings(
    max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)

Key = tuple[str, str, str]
Model = dict[Key, dict[str, str]]

EXTENSIONS = st.sampled_from(["0003*210", "0003*211"])
TYPES = st.sampled_from("01234")
IDS = st.sampled_from(["popup", "several", "all", "helpdesk", "x"])
FIELDS = st.fixed_dictionaries(
    {},
    optional={
        "method": st.sampled_from("01"),
        "status": st.sampled_from("01"),
        "note": st.text(st.characters(codec="utf-8"), max_size=8),
        "url": st.sampled_from(["http://127.0.0.1:9/a", "http://127.0.0.1:9/b?token=***"]),
    },
)
STEPS = st.one_of(
    st.tuples(st.just("POST"), EXTENSIONS, TYPES, IDS, FIELDS),
    st.tuples(st.just("PUT"), EXTENSIONS, TYPES, IDS, FIELDS),
    st.tuples(st.just("DELETE"), EXTENSIONS, st.none() | TYPES, st.none() | IDS, st.none()),
)


async def listed(visited: House) -> Model:
    """
    Give all that is listed of the extensions.
    """
    found = {}
    for extension in ("0003*210", "0003*211"):
        answer = await visited.get(path(extension), count="1000")
        for one in answer.content["entry"]:
            key = (extension, one.pop("type"), one.pop("id"))
            assert key not in found
            del one["modified"], one["links"]
            found[key] = one
    return found


def path(*parts: str | None) -> str:
    """
    Give the address that *parts*, an extension, a type and an id, are the end of.
    """
    extension, *more = (quote(part, safe="") for part in parts if part)
    return "/".join((f"/uapi/extensions/@me/{extension}/phoneCallEvents", *more))


def expected(model: Model, step: tuple[Any, ...]) -> tuple[int, Model]:
    """
    Give what VoipNow would answer to *step*, and have then.
    """
    method, *key, fields = step
    if method == "DELETE":
        return removed(model, *key)
    extension, number, event_id = key
    is_known = (extension, number, event_id) in model
    if method == "PUT" and not is_known:
        return 404, model
    cannot_be_added = method == "POST" and (is_known or "url" not in fields)
    if cannot_be_added or "***" in fields.get("url", ""):
        return 400, model
    before = model.get((extension, number, event_id), {"method": "0", "status": "1", "note": ""})
    return 200, {**model, (extension, number, event_id): {**before, **fields}}


def removed(
    model: Model, extension: str, number: str | None, event_id: str | None
) -> tuple[int, Model]:
    """
    Give what VoipNow would answer if these are to be removed, and have then.
    """
    # An id without a type names no event.
    wanted = tuple(part for part in (extension, number, number and event_id) if part)
    left = {key: fields for key, fields in model.items() if key[: len(wanted)] != wanted}
    if len(left) < len(model):
        return 200, left
    return (404 if len(wanted) == 3 else 204), left


@given(st.lists(STEPS, max_size=8))
@RELAXED
def test_events_are_as_with_voipnow(tmp_path: Path, steps: list[tuple[Any, ...]]) -> None:
    """
    Whatever is added, changed and removed, each event is as if it were alone.
    """

    async def ask() -> None:
        async with house(tmp_path, RULES + MINE) as visited:
            model = await listed(visited)
            assert len(model) == 9
            for step in steps:
                method, extension, number, event_id, fields = step
                at = path(extension, number, event_id if number else None)
                content = fields
                if method == "POST":
                    at, content = path(extension), {**fields, "type": number, "id": event_id}
                status, model = expected(model, step)
                found = await visited.ask(method, at, content=content)
                assert found.status == status, (step, found.text)
                assert await listed(visited) == model
            assert visited.rules.read_text(encoding="utf-8").startswith(RULES)

    asyncio.run(ask())


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=4,
)
WORDS = st.sampled_from(["type", "id", "method", "url", "status", "note", "modified", "auth"])
TAKEN = st.sampled_from(["0", "1", "2", "new", "http://127.0.0.1:9/", "http://10.0.0.1/"])
BODIES = st.dictionaries(WORDS, ANYTHING | TAKEN, max_size=7)
PARTS = st.one_of(
    *(EXTENSIONS, TYPES, IDS, st.text(min_size=1, max_size=6)),
    st.text("*", min_size=1, max_size=3),
    st.builds("a*{}".format, st.text(max_size=4)),
)
QUERIES = st.dictionaries(
    st.sampled_from(["count", "startIndex", "filterBy", "filterValue", "fields", "sortOrder"]),
    st.sampled_from(["id", "url", "1", "asc", "-1", "id,url", ","]) | st.text(max_size=4),
)


TOKENS = st.sampled_from(["changer", "tenant-changer", "reader", "desk", None])
JSON = st.just({"Content-Type": "application/json"})


@given(
    st.sampled_from(["GET", "POST", "PUT", "DELETE", "PATCH", "HEAD"]),
    st.tuples(EXTENSIONS | PARTS) | st.tuples(EXTENSIONS | PARTS, TYPES | PARTS, IDS | PARTS),
    st.fixed_dictionaries({"token": TOKENS, "query": QUERIES, "content": BODIES})
    | st.fixed_dictionaries({"token": TOKENS, "data": st.binary(max_size=8), "headers": JSON}),
)
@RELAXED
def test_nothing_is_an_error_of_ours(
    tmp_path: Path, method: str, parts: tuple[str, ...], sent: dict[str, Any]
) -> None:
    """
    Whatever is asked, it is answered; the rules stay valid, and nothing leads anywhere else.
    """

    async def ask() -> None:
        async with house(tmp_path, RULES + MINE) as visited:
            found = await visited.ask(method, path(*parts), **sent)
            assert found.status < 500, found.text
            if found.status >= 400 and method != "HEAD":
                assert found.error
                assert found.message
            text = visited.rules.read_text(encoding="utf-8")
            assert text.startswith(RULES)
            if sent["token"] not in ("changer", "tenant-changer"):
                assert text == RULES + MINE
            rules = load_config(visited.rules, {}, secret_needed=False).rules
            assert {urlsplit(rule.url).hostname for rule in rules} == {"127.0.0.1"}

    asyncio.run(ask())
