"""
A sender at work, for tests of what it does.
"""

import asyncio
import contextlib
import random
import time
from collections.abc import AsyncIterator, Callable

from ami_bridge.adapters.outbox import InMemoryOutbox
from ami_bridge.adapters.sender import Sender
from ami_bridge.core.call_events import EventType
from ami_bridge.core.deliveries import Delivery
from ami_bridge.core.requests import Request, destination_of
from ami_bridge.core.rules import Method
from ami_bridge.settings import DeliverySettings
from tests.integration.receivers import ScriptedReceiver

HASTY = DeliverySettings(retry_seconds=(0.01,), total_timeout_seconds=5.0)


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


@contextlib.asynccontextmanager
async def sending(
    settings: DeliverySettings = HASTY,
    outbox: InMemoryOutbox | None = None,
    clock: Callable[[], float] = time.time,
) -> AsyncIterator[tuple[InMemoryOutbox, Sender]]:
    """
    Let a sender run for as long as the context lasts.
    """
    outbox = outbox or InMemoryOutbox()
    async with Sender(outbox, settings, clock=clock, dice=random.Random(1).random) as sender:  # noqa: S311 - a known seed
        task = asyncio.create_task(sender.run())
        try:
            yield outbox, sender
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task


def paths(receiver: ScriptedReceiver) -> list[str]:
    """
    Give what *receiver* heard, by name.
    """
    return [heard.raw_path.strip("/") for heard in receiver.heard]
