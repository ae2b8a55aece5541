"""
One HTTP attempt of a delivery: what is sent, and what the receiver makes of it.

Whatever happens is an `Attempt`, not an exception: only a mistake of this program raises.
"""

import asyncio
import time
from collections.abc import Callable

import aiohttp

from ami_bridge.core.deliveries import Delivery
from ami_bridge.core.retry import Attempt
from ami_bridge.core.signing import Credentials, authenticated

from .connecting import Connections, why_failed

#: How much of an answer's body is read before its connection is given up, in octets.
_LONGEST_BODY = 65_536
#: How much of it is kept for the operator to look at, in characters.
_LONGEST_EXCERPT = 200


async def attempt(
    delivery: Delivery,
    connections: Connections,
    credentials: Credentials,
    clock: Callable[[], float] = time.time,
) -> Attempt:
    """
    Send *delivery* with *credentials* and say what came of it.
    """
    began = clock()
    loop = asyncio.get_running_loop()
    started = loop.time()
    request = delivery.request
    headers = authenticated(
        delivery.id,
        request.body,
        request.headers,
        credentials,
        began,
    )
    status: int | None = None
    retry_after: str | None = None
    excerpt = error = ""
    try:
        async with connections.answer(request, headers) as response:
            status = response.status
            retry_after = response.headers.get("Retry-After")
            excerpt = await _excerpt(response)
    except TimeoutError:
        error = "no answer in time"
    except (aiohttp.ClientError, OSError, UnicodeError) as failure:
        error = why_failed(failure)
    return Attempt(
        number=delivery.attempts,
        began=began,
        seconds=loop.time() - started,
        status=status,
        # An answer whose body breaks off is an answer: its body is not looked at.
        error="" if status is not None else _readable(error),
        retry_after=None if retry_after is None else _readable(retry_after),
        excerpt=excerpt,
    )


async def _excerpt(response: aiohttp.ClientResponse) -> str:
    """
    Read the body to its end, so that the connection can be used again, or to the bound.
    """
    body = bytearray()
    while len(body) < _LONGEST_BODY:
        chunk = await response.content.read(_LONGEST_BODY - len(body))
        if not chunk:
            break
        body += chunk
    else:
        response.close()
    return body[: 4 * _LONGEST_EXCERPT].decode(errors="replace")[:_LONGEST_EXCERPT]


def _readable(header: str) -> str:
    """
    Replace what is no UTF-8 in a *header*, or in what is said of one: no store can keep it.
    """
    return header.encode(errors="surrogateescape").decode(errors="replace")
