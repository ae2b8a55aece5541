"""
Requests to anywhere, for tests of where they get.
"""

import aiohttp
import attrs

from ami_bridge.adapters.connecting import Connections, why_failed
from ami_bridge.core.requests import Request
from ami_bridge.core.rules import Method
from ami_bridge.settings import DeliverySettings
from tests.integration.receivers import HERE

#: Only public addresses.
NOWHERE = DeliverySettings(total_timeout_seconds=5.0)
#: This machine, too.
ALLOWED = attrs.evolve(NOWHERE, destinations=HERE)


async def ask(connections: Connections, url: str) -> int | str:
    """
    Make a GET to *url*; give the status of the answer, or why there is none.
    """
    try:
        async with connections.answer(Request(Method.GET, url), {}) as response:
            await response.read()
            return response.status
    except (TimeoutError, aiohttp.ClientError, OSError, UnicodeError) as failure:
        return why_failed(failure)


async def ask_once(settings: DeliverySettings, url: str) -> int | str:
    """
    Make a GET to *url* on a connection of its own.
    """
    async with Connections(settings) as connections:
        return await ask(connections, url)
