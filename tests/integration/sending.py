"""
A sender at work, for tests of what it does.
"""

import asyncio
import contextlib
import random
import time
from collections.abc import AsyncIterator, Callable, Iterable

from ami_bridge.adapters.memory_store import InMemoryStore
from ami_bridge.adapters.sender import Sender
from ami_bridge.adapters.store import Changes, GivenUp, Store
from ami_bridge.core.breaker import BreakerTerms
from ami_bridge.core.call_events import EventType
from ami_bridge.core.deliveries import Delivery
from ami_bridge.core.requests import Request, destination_of
from ami_bridge.core.rules import Method, Rule
from ami_bridge.settings import DeliverySettings
from tests.integration.receivers import HERE, ScriptedReceiver

HASTY = DeliverySettings(
    retry_seconds=(0.01,),
    total_timeout_seconds=5.0,
    destinations=HERE,
    breaker_terms=BreakerTerms(failures=1000),
)


def delivery(name: str, url: str, leg: str = "leg", lifetime: float = 60.0) -> Delivery:
    """
    Make a GET called *name* to the path of that name.
    """
    now = time.time()
    return Delivery(
        id=name,
        rule_id="rule",
        event=EventType.DIAL_IN,
        extension="0001*201",
        call_id="1",
        leg=leg,
        destination=destination_of(url),
        request=Request(Method.GET, f"{url}/{name}"),
        created=now,
        expires=now + lifetime,
    )


class Kept(InMemoryStore):
    """
    A store in memory, that can be looked at after its end.
    """

    #: What was given up, the latest first.
    abandoned: list[GivenUp]
    #: How many were still owed.
    left: int


@contextlib.asynccontextmanager
async def sending(
    settings: DeliverySettings = HASTY,
    store: Kept | None = None,
    clock: Callable[[], float] = time.time,
    rules: Iterable[Rule] = (),
) -> AsyncIterator[tuple[Kept, Sender]]:
    """
    Let a sender run for as long as the context lasts, on *store* or one in memory.
    """
    dice = random.Random(1).random  # noqa: S311 - a known seed
    async with (
        store or Kept() as kept,
        Sender(kept, settings, rules, clock=clock, dice=dice) as sender,
    ):
        task = asyncio.create_task(sender.run())
        try:
            yield kept, sender
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
            kept.abandoned = await kept.given_up(1000)
            kept.left = sum((await kept.waiting()).values())


async def owe(store: Store, *deliveries: Delivery) -> None:
    """
    Have *deliveries* kept.
    """
    await store.keep(Changes(time.time(), deliveries))


def paths(receiver: ScriptedReceiver) -> list[str]:
    """
    Give what *receiver* heard, by name.
    """
    return [heard.raw_path.strip("/") for heard in receiver.heard]
