"""
A link with everything it told, for tests that wait for what must happen.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

from ami_bridge.adapters.ami import AmiLink, LinkStatus
from ami_bridge.adapters.ami_protocol import Batch
from ami_bridge.core.ami_events import AmiEvent, Newchannel
from ami_bridge.errors import AmiError
from ami_bridge.settings import AsteriskSettings

from .ami_server import SECRET, USERNAME, AmiServer


def settings_for(server: AmiServer, **changes: Any) -> AsteriskSettings:
    """
    Make settings for *server* whose waits are short.
    """
    values: dict[str, Any] = {
        "host": server.host,
        "port": server.port,
        "username": USERNAME,
        "secret": SECRET,
        "connect_timeout_seconds": 5.0,
        "keepalive_seconds": 5.0,
        "keepalive_deadline_seconds": 5.0,
        "reconnect_first_seconds": 1.0,
        "reconnect_last_seconds": 8.0,
        "refused_login_seconds": 60.0,
    }
    return AsteriskSettings(**(values | changes))


class Ears:
    """
    What a link told, in lists, and the pauses that it made, which take no time.
    """

    def __init__(self) -> None:
        self.batches: list[Batch] = []
        self.chunks: list[tuple[bytes, float]] = []
        self.logins: list[LinkStatus] = []
        self.losses: list[AmiError] = []
        self.pauses: list[float] = []

    @property
    def events(self) -> list[AmiEvent]:
        """
        Give the events of all batches.
        """
        return [event for batch in self.batches for event, *_ in batch]

    @property
    def names(self) -> list[str]:
        """
        Give the caller names of the channels that were made.
        """
        return [e.channel.caller_id_name for e in self.events if isinstance(e, Newchannel)]

    async def until(self, condition: Callable[[], object]) -> None:
        """
        Wait until *condition* holds.
        """
        async with asyncio.timeout(5):
            while not condition():  # noqa: ASYNC110 - conditions are about anything
                await asyncio.sleep(0.001)

    async def loss(self, number: int = 1) -> AmiError:
        """
        Wait for a loss, the first or a later one, and give it.
        """
        await self.until(lambda: len(self.losses) >= number)
        return self.losses[number - 1]

    def on_events(self, batch: Batch) -> None:
        self.batches.append(batch)

    def on_bytes(self, data: bytes, arrival: float) -> None:
        self.chunks.append((data, arrival))

    def on_login(self, status: LinkStatus) -> None:
        self.logins.append(status)

    def on_lost(self, error: AmiError) -> None:
        self.losses.append(error)

    async def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        await asyncio.sleep(0)


@contextlib.asynccontextmanager
async def linked(
    server: AmiServer, ears: Ears, *, settings: AsteriskSettings | None = None, **changes: Any
) -> AsyncIterator[AmiLink]:
    """
    Run a link to *server* that tells *ears*; *changes* are other arguments of `AmiLink`.
    """
    values: dict[str, Any] = {
        "on_events": ears.on_events,
        "on_bytes": ears.on_bytes,
        "on_login": ears.on_login,
        "on_lost": ears.on_lost,
        "sleep": ears.sleep,
        "dice": lambda: 1.0,
    }
    link = AmiLink(settings or settings_for(server), **(values | changes))
    life = asyncio.create_task(link.run())
    try:
        yield link
    finally:
        await link.close()
        await life
