"""
How long a test waits for what must happen, and what it says when it did not.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

#: Calls on the loopback take milliseconds; this is for a machine that is busy with other work.
PATIENCE_SECONDS = 10.0

#: How often a condition is looked at that nobody announces.
_GLANCE_SECONDS = 0.005

Awaited = TypeVar("Awaited")


async def in_time(happening: Awaitable[Awaited], awaited: str) -> Awaited:
    """
    Wait for *happening*; fail the test, naming what was *awaited*, when patience ends.
    """
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            return await happening
    except TimeoutError:
        message = f"waited {PATIENCE_SECONDS:g} s in vain: {awaited}"
        raise AssertionError(message) from None


async def until(condition: Callable[[], bool], awaited: str) -> None:
    """
    Wait until *condition* holds; fail the test, naming what was *awaited*, when patience ends.
    """

    async def watch() -> None:
        while not condition():  # noqa: ASYNC110 - what others do sets no Event here
            await asyncio.sleep(_GLANCE_SECONDS)

    await in_time(watch(), awaited)
