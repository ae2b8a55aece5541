"""
The description of the API is true: every route is in it, and every answer is as it says.
"""

import asyncio
import contextlib
import re
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable

from ami_bridge.control import (
    api,
    deliveries_api,
    events_api,
    explain_api,
    health,
    metrics,
    stream,
)
from ami_bridge.control.meanings import MEANINGS
from ami_bridge.control.openapi import document
from ami_bridge.control.schemas import Schemas
from ami_bridge.control.views import CallView, DeliveryInFull, EventView, SampleView, Status

from .houses import TOKENS, House, delivery, house, owe

with warnings.catch_warnings():
    # What it imports is not ours to mend.
    warnings.simplefilter("ignore")
    import jsonschema_rs
    import schemathesis
    from schemathesis import GenerationMode
    from schemathesis.checks import CHECKS, load_all_checks
    from schemathesis.core.result import Ok

PARTS = (api, deliveries_api, events_api, explain_api, health, metrics, stream)
METHODS = ("get", "post", "patch", "put", "delete")
#: Cases of each operation: more would find more, and take longer.
EXAMPLES = 10
#: A stream does not end, and a bridge without a PBX is never ready.
NOT_TRIED = ("/api/v1/stream", "/readyz")
#: What a schema can say is less than what the rules demand: the latter may refuse more.
NOT_PROMISED = {"positive_data_acceptance"}


def operations() -> Iterator[tuple[str, str]]:
    """
    Give method and path of all that the document describes.
    """
    for path, item in document()["paths"].items():
        for method in METHODS:
            if method in item:
                yield method.upper(), path


def test_every_route_is_described_and_there() -> None:
    """
    The document has exactly the routes that the application has.
    """
    routes = [route for part in PARTS for route in part.ROUTES if isinstance(route, web.RouteDef)]

    assert sorted(operations()) == sorted((route.method, route.path) for route in routes)


def test_every_path_parameter_is_described() -> None:
    """
    What stands in braces in a path is one of its parameters.
    """
    for path, item in document()["paths"].items():
        named = {one["name"] for one in item.get("parameters", []) if one["in"] == "path"}
        assert named == set(re.findall(r"\{(\w+)\}", path))


def test_every_reference_leads_somewhere() -> None:
    """
    Each $ref names a component that there is, and each component is named by one.
    """
    found = document()
    text = str(found)
    for target in re.findall(r"'\$ref': '#/components/(\w+/\w+)'", text):
        kind, name = target.split("/")
        assert name in found["components"][kind]
    for name in found["components"]["responses"]:
        assert f"#/components/responses/{name}" in text


def test_every_example_is_valid() -> None:
    """
    The examples of the document are what its schemas demand.
    """
    found = document()
    schemas = found["components"]["schemas"]
    examples = [(schema, one) for schema in schemas.values() for one in schema.get("examples", ())]
    for schema, example in examples:
        validator = jsonschema_rs.Draft202012Validator(
            {**schema, "components": found["components"]}
        )
        validator.validate(example)
    assert examples


def test_every_meaning_is_of_a_field() -> None:
    """
    No meaning is told of a field that there is not.
    """
    schemas = Schemas(MEANINGS)
    for record in (CallView, DeliveryInFull, EventView, SampleView, Status):
        schemas.of(record)
    names = {
        f"{name}.{field}" for name, one in schemas.by_name.items() for field in one["properties"]
    }

    assert {name for name in MEANINGS if "." in name} <= names | {"Delivery.attempts"} | {
        f"Delivery.{field}" for field in ("status", "seconds", "reason")
    }
    assert {name for name in MEANINGS if "." not in name} <= {
        name.partition(".")[2] for name in names
    }


async def test_the_description_is_served(visited: House) -> None:
    """
    Everybody can get the document, a token or not.
    """
    found = await visited.get("/api/v1/openapi.json", None)

    assert found.content == document()


@pytest.mark.parametrize("token", ["changer", "tenant-changer", None])
async def test_the_application_does_as_described(tmp_path: Path, token: str | None) -> None:
    """
    Whatever schemathesis asks for, the answer is one that the document knows, and never a 500.
    """
    async with house(tmp_path) as visited:
        await owe(visited, *(delivery(f"d{number}") for number in range(3)))
        await asyncio.to_thread(try_everything, visited.url, token)


def try_everything(url: str, token: str | None) -> None:
    """
    Let schemathesis try all operations at *url* as the holder of *token*.
    """
    load_all_checks()
    checks = [check for check in CHECKS.get_all() if check.__name__ not in NOT_PROMISED]
    # A wrong list that is empty leaves nothing in a query, and there is nothing to refuse.
    gentle = [check for check in checks if check.__name__ != "negative_data_rejection"]
    described = document()
    # All come with the same token: that others are refused is tested elsewhere.
    del described["security"], described["components"]["securitySchemes"]
    schema = schemathesis.openapi.from_dict(described)
    schema.config.update(base_url=url)
    headers = {} if token is None else {"Authorization": f"Bearer {TOKENS[token]}"}
    for found in schema.get_all_operations():
        assert isinstance(found, Ok), found
        operation = found.ok()
        if operation.path in NOT_TRIED:
            continue
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
            # Nobody gets far, whatever is asked for.
            judges = gentle if operation.method == "get" else checks
            _try(operation, mode, judges, headers, EXAMPLES if token else 2)


def _try(operation: Any, mode: Any, checks: Any, headers: dict[str, str], examples: int) -> None:
    ids = ["d1", "d2"] if "deliveries" in operation.path else ["helpdesk", "all"]

    @settings(
        max_examples=examples,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def try_one(case: Any) -> None:
        # Half of them are there.
        if "id" in case.path_parameters and len(str(case.path_parameters["id"])) % 2:
            case.path_parameters["id"] = ids[len(str(case.body)) % 2]
        case.call_and_validate(headers=headers, checks=checks, timeout=10)

    # Where nothing can be asked for, nothing can be asked for wrongly.
    with contextlib.suppress(Unsatisfiable):
        try_one()
