"""
The receivers in examples/receivers, told by the bridge's own sender over real sockets.
"""

import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING

import aiohttp
import attrs
import pytest

from ami_bridge.adapters.store import Changes
from ami_bridge.core.requests import Request
from ami_bridge.core.rules import Method, Rule
from ami_bridge.core.signing import Credentials, authenticated, signing_key
from tests.integration.sending import Kept, delivery, sending

from .programs import FORMER_SECRET, RECEIVERS, SECRET, Example, receiving

if TYPE_CHECKING:
    from ami_bridge.core.deliveries import Delivery

FORM = Request(
    Method.POST,
    "",
    {"Content-Type": "application/x-www-form-urlencoded"},
    b"CallID=1795407783.2&CallerIDName=D%C3%B6rte%20%22%3Cb%3E&CalledExtension=0003%2A001&CalledDID=",
)
JSON = Request(
    Method.POST,
    "",
    {"Content-Type": "application/json"},
    '{"CallID": "1795407783.2", "CallerIDName": "Dörte \\"<b>", "CalledExtension": "0003*001", '
    '"CalledDID": ""}'.encode(),
)
CALL = {
    "CallID": "1795407783.2",
    "CallerIDName": 'Dörte "<b>',
    "CalledExtension": "0003*001",
    "CalledDID": "",
}


@pytest.fixture(params=RECEIVERS, ids=[example.language for example in RECEIVERS])
def example(request: pytest.FixtureRequest) -> Example:
    """
    Give one receiver after the other.
    """
    found: Example = request.param
    return found


@pytest.fixture
async def url(example: Example, tmp_path: Path) -> AsyncIterator[str]:
    """
    Run the receiver.
    """
    async with receiving(example, tmp_path) as url:
        yield url


def credentials(*secrets: str) -> Credentials:
    """
    Sign with *secrets*.
    """
    return Credentials(signing_keys=tuple(signing_key(secret) for secret in secrets))


async def send(
    url: str, *requests: Request, secrets: tuple[str, ...] = (SECRET,), late: float = 0.0
) -> Kept:
    """
    Have the sender send *requests*, named n-0, n-1, ...; its clock is *late* seconds behind.
    """
    owed: list[Delivery] = []
    now = time.time() - late
    for number, request in enumerate(requests):
        sent = attrs.evolve(request, url=f"{url}/calls")
        owed.append(
            attrs.evolve(
                delivery(f"n-{number}", url, leg=str(number)),
                request=sent,
                created=now,
                expires=now + 60,
            )
        )
    rule = Rule("rule", url, credentials=credentials(*secrets))
    async with sending(clock=lambda: time.time() - late, rules=(rule,)) as (store, sender):
        await store.keep(Changes(now, owed))
        assert await sender.drain(10) == 0
    return store


async def test_what_is_signed_is_kept(example: Example, url: str, tmp_path: Path) -> None:
    """
    A form and a JSON body with a good signature are kept, their letters as they were.
    """
    store = await send(url, FORM, JSON)

    assert not store.abandoned
    assert example.kept(tmp_path) == {"n-0": CALL, "n-1": CALL}


async def test_another_secret_is_refused(example: Example, url: str, tmp_path: Path) -> None:
    """
    What is signed with another secret is answered 401, and not kept.
    """
    store = await send(url, FORM, JSON, secrets=(FORMER_SECRET,))

    assert [given_up.reason for given_up in store.abandoned] == ["answer 401"] * 2
    assert not example.kept(tmp_path)


@pytest.mark.parametrize("late", [400, -400], ids=["too old", "from the future"])
async def test_another_time_is_refused(
    example: Example, url: str, tmp_path: Path, late: float
) -> None:
    """
    A good signature of another time is answered 401, for it may be a copy.
    """
    store = await send(url, FORM, late=late)

    assert [given_up.reason for given_up in store.abandoned] == ["answer 401"]
    assert not example.kept(tmp_path)


async def test_a_secret_can_be_changed(example: Example, url: str, tmp_path: Path) -> None:
    """
    Of several signatures one that fits is enough, in whatever place it is.
    """
    store = await send(url, FORM, secrets=(FORMER_SECRET, SECRET))

    assert not store.abandoned
    assert example.kept(tmp_path) == {"n-0": CALL}


async def test_several_secrets_are_known(example: Example, tmp_path: Path) -> None:
    """
    A receiver that is given two secrets takes what is signed with either.
    """
    async with receiving(example, tmp_path, f"{FORMER_SECRET} {SECRET}") as url:
        store = await send(url, FORM, secrets=(SECRET,))

    assert not store.abandoned
    assert example.kept(tmp_path) == {"n-0": CALL}


async def test_a_repetition_is_kept_once(example: Example, tmp_path: Path) -> None:
    """
    The same webhook-id again is answered like the first, also by a receiver started anew.
    """
    for _ in range(2):
        async with receiving(example, tmp_path) as url:
            for _ in range(2):
                store = await send(url, FORM)
                assert not store.abandoned

    assert example.kept(tmp_path) == {"n-0": CALL}


@pytest.mark.parametrize("spoilt", ["the body", "the id", "the time", "no signature", "a version"])
async def test_what_is_spoilt_is_refused(
    example: Example, url: str, tmp_path: Path, spoilt: str
) -> None:
    """
    A request that differs in anything from what was signed is answered 401.
    """
    headers = authenticated("n-0", FORM.body, FORM.headers, credentials(SECRET), time.time())
    body = FORM.body or b""
    match spoilt:
        case "the body":
            body = body.replace(b"001", b"002")
        case "the id":
            headers["webhook-id"] = "n-1"
        case "the time":
            headers["webhook-timestamp"] = str(int(headers["webhook-timestamp"]) - 1)
        case "no signature":
            del headers["webhook-signature"]
        case _:
            headers["webhook-signature"] = headers["webhook-signature"].replace("v1,", "v2,")

    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{url}/calls", data=body, headers=headers) as response,
    ):
        assert response.status == 401
    assert not example.kept(tmp_path)
