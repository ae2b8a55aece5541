"""
Sends what the outbox holds: one attempt at a time of each leg, many legs at once.

Every destination has its own slots, so that one that is slow or dead delays nobody else.
What an attempt means is judged by `core.retry`; the clock and the dice are handed in.
"""

import asyncio
import contextlib
import logging
import random
import ssl
import time
from collections import Counter
from collections.abc import Callable
from types import TracebackType
from typing import Self

import aiohttp
from yarl import URL

from ami_bridge.core.deliveries import Delivery
from ami_bridge.core.retry import Abandoned, Attempt, Delivered, RetryAt, Verdict, judge
from ami_bridge.settings import DeliverySettings

from .outbox import Outbox

_log = logging.getLogger(__name__)

#: How much of an answer's body is read before its connection is given up, in octets.
_LONGEST_BODY = 65_536
#: How much of it is kept for the operator to look at, in characters.
_LONGEST_EXCERPT = 200
#: How long a claim outlives the longest attempt, in seconds.
_LEASE_MARGIN = 30.0
#: The outbox is asked at least this often: the wall clock, by which it counts, may be set.
_LONGEST_SLEEP = 30.0
#: After so many failures in a row a destination is worth a warning.
_FAILURES_TOLD = 3


class Sender:
    """
    The way from the outbox to the receivers.

    Use it as a context manager, and let one task do `run` for as long as it is open.
    """

    def __init__(
        self,
        outbox: Outbox,
        settings: DeliverySettings | None = None,
        *,
        clock: Callable[[], float] = time.time,
        dice: Callable[[], float] = random.random,
    ) -> None:
        self._outbox = outbox
        self._settings = settings or DeliverySettings()
        self._clock = clock
        self._dice = dice
        self._wake = asyncio.Event()
        self._passed = asyncio.Event()
        self._busy: Counter[str] = Counter()
        #: By destination, how many attempts failed since the last success.
        self._failures: Counter[str] = Counter()
        self._asking = True
        #: When the outbox is asked next even if nothing changes.
        self._next_due: float | None = None
        self._session: aiohttp.ClientSession | None = None
        self._tls: ssl.SSLContext | bool = True
        outbox.subscribe(self._wake.set)

    async def __aenter__(self) -> Self:
        self._tls = _trust(self._settings)
        self._session = aiohttp.ClientSession(
            # The sender bounds connections by destination; a common bound would let one
            # destination wait for another.
            connector=aiohttp.TCPConnector(limit=0),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"Accept-Encoding": "identity"},
            auto_decompress=False,
            trust_env=False,
        )
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._session is not None:
            await self._session.close()

    @property
    def in_flight(self) -> int:
        """
        Count the attempts under way.
        """
        return self._busy.total()

    def apply(self, settings: DeliverySettings) -> None:
        """
        Use other settings from the next attempt on.
        """
        self._tls = _trust(settings)
        self._settings = settings
        self._wake.set()

    async def run(self) -> None:
        """
        Send until cancelled; attempts under way are then cut off, and stay in the outbox.
        """
        async with asyncio.TaskGroup() as attempts:
            while True:
                self._wake.clear()
                self._asking = True
                settings = self._settings
                claims = await self._outbox.claim(
                    self._clock(),
                    settings.concurrency,
                    dict(self._busy),
                    settings.total_timeout_seconds + _LEASE_MARGIN,
                )
                for delivery in claims.deliveries:
                    self._busy[delivery.destination] += 1
                    attempts.create_task(self._deliver(delivery), name=f"delivery {delivery.id}")
                self._asking, self._next_due = False, claims.next_due
                self._passed.set()
                await self._sleep(claims.next_due)

    async def drain(self, timeout: float) -> int:  # noqa: ASYNC109 - it is part of the result
        """
        Wait until nothing is left that could be sent in *timeout* seconds.

        Give the number of deliveries that are left after that, such as those whose next
        attempt is later. `run` has to go on meanwhile.
        """
        deadline = self._clock() + timeout
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                while not self._rests_until(deadline):
                    self._passed.clear()
                    await self._passed.wait()
        return sum((await self._outbox.waiting()).values())

    def _rests_until(self, deadline: float) -> bool:
        if self._wake.is_set() or self._asking or self.in_flight:
            return False
        return self._next_due is None or self._next_due > deadline

    async def _sleep(self, next_due: float | None) -> None:
        wait = _LONGEST_SLEEP
        if next_due is not None:
            wait = min(wait, max(0.0, next_due - self._clock()))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(wait):
                await self._wake.wait()

    async def _deliver(self, delivery: Delivery) -> None:
        """
        Make one attempt of *delivery* and settle it.
        """
        try:
            attempt = None
            if self._clock() >= delivery.expires:
                verdict: Verdict = Abandoned("its time to live ran out")
            else:
                attempt = await self._attempt(delivery)
                verdict = judge(
                    attempt,
                    self._settings.retry_schedule,
                    now=self._clock(),
                    expires=delivery.expires,
                    dice=self._dice(),
                )
            await self._outbox.settle(delivery, attempt, verdict)
            self._tell(delivery, attempt, verdict)
        finally:
            self._busy[delivery.destination] -= 1
            if not self._busy[delivery.destination]:
                del self._busy[delivery.destination]
            self._wake.set()

    async def _attempt(self, delivery: Delivery) -> Attempt:
        began = self._clock()
        loop = asyncio.get_running_loop()
        started = loop.time()
        status: int | None = None
        retry_after: str | None = None
        excerpt = error = ""
        try:
            async with self._open(delivery) as response:
                status = response.status
                retry_after = response.headers.get("Retry-After")
                excerpt = await _excerpt(response)
        except TimeoutError:
            error = "no answer in time"
        except (aiohttp.ClientError, OSError, UnicodeError) as failure:
            error = str(failure) or type(failure).__name__
        return Attempt(
            number=delivery.attempts,
            began=began,
            seconds=loop.time() - started,
            status=status,
            # An answer whose body breaks off is an answer: its body is not looked at.
            error="" if status is not None else error,
            retry_after=retry_after,
            excerpt=excerpt,
        )

    def _open(self, delivery: Delivery) -> "aiohttp.client._RequestContextManager":
        if self._session is None:
            raise RuntimeError("a Sender has to be entered before it runs")
        request = delivery.request
        return self._session.request(
            request.method.value,
            # Encoded already: yarl would write some of it otherwise.
            URL(request.url, encoded=True),
            data=request.body,
            headers=request.headers,
            allow_redirects=False,
            ssl=self._tls,
            timeout=aiohttp.ClientTimeout(
                total=self._settings.total_timeout_seconds,
                connect=self._settings.connect_timeout_seconds,
            ),
        )

    def _tell(self, delivery: Delivery, attempt: Attempt | None, verdict: Verdict) -> None:
        """
        Log what came of *delivery*: one line when it is finished, none while it goes on.
        """
        self._tell_of_destination(delivery.destination, attempt, verdict)
        fields = {
            "delivery": delivery.id,
            "rule": delivery.rule_id,
            "event": delivery.event.value,
            "leg": delivery.leg,
            "destination": delivery.destination,
            "attempts": delivery.attempts,
            "status": None if attempt is None else attempt.status,
            "seconds": round(self._clock() - delivery.created, 3),
        }
        match verdict:
            case Delivered():
                _log.info("delivery done", extra=fields)
            case Abandoned(reason):
                _log.warning("delivery given up", extra=fields | {"reason": reason})
            case RetryAt(when, reason):
                later = {"retry_in": round(when - self._clock(), 3), "reason": reason}
                _log.debug("delivery failed", extra=fields | later)

    def _tell_of_destination(
        self, destination: str, attempt: Attempt | None, verdict: Verdict
    ) -> None:
        if attempt is None:
            return
        if isinstance(verdict, Delivered):
            if self._failures.pop(destination, 0) >= _FAILURES_TOLD:
                _log.info("destination answers again", extra={"destination": destination})
            return
        self._failures[destination] += 1
        if self._failures[destination] == _FAILURES_TOLD:
            fields = {"destination": destination, "reason": attempt.outcome}
            _log.warning("destination keeps failing", extra=fields)


def _trust(settings: DeliverySettings) -> ssl.SSLContext | bool:
    """
    Give what certificates are judged by; True stands for the system's.
    """
    if settings.ca_file is None:
        return True
    context = ssl.create_default_context()
    context.load_verify_locations(settings.ca_file)
    return context


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
