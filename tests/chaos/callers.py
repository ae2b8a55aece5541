"""
People with phones at a real PBX, who call each other all the time and ask for no explanation.
"""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Coroutine, Mapping

from tests.asterisk.dialogs import IncomingCall
from tests.asterisk.patience import PATIENCE_SECONDS
from tests.asterisk.phone import Phone

#: Outside, where the public numbers are dialled.
PROVIDER = "provider"
_PUBLIC_NUMBERS = ("15550100001", "15550100400")
_GROUP = "400"
_OUTWARDS = "915550111222"
#: Nobody waits longer for anything: the PBX may be gone.
_LONGEST_SECONDS = PATIENCE_SECONDS / 2


class Callers:
    """
    The people at *phones*, of whom *rate* begin a call in a second.
    """

    def __init__(self, phones: Mapping[str, Phone], rate: float, dice: random.Random) -> None:
        self._phones = phones
        self._rate = rate
        self._dice = dice
        self._busy: set[asyncio.Task[None]] = set()
        #: How many calls were begun.
        self.begun = 0

    @contextlib.asynccontextmanager
    async def at_work(self) -> AsyncIterator[None]:
        """
        Call, and take calls; after it, wait until everybody is done.
        """
        listening = [asyncio.create_task(self._listen(phone)) for phone in self._phones.values()]
        calling = asyncio.create_task(self._keep_calling())
        try:
            yield
        finally:
            calling.cancel()
            await asyncio.gather(calling, *self._busy, return_exceptions=True)
            for task in listening:
                task.cancel()
            await asyncio.gather(*listening, return_exceptions=True)

    async def register(self) -> None:
        """
        Have all phones tell the PBX where they are; it has just started.
        """
        for phone in self._phones.values():
            async with asyncio.timeout(PATIENCE_SECONDS):
                while not await self._is_registered(phone):  # noqa: ASYNC110
                    await asyncio.sleep(0.1)

    async def _is_registered(self, phone: Phone) -> bool:
        try:
            async with asyncio.timeout(1.0):
                await phone._register(3600)
        except TimeoutError:
            return False
        return True

    async def _keep_calling(self) -> None:
        while True:
            await asyncio.sleep(self._dice.expovariate(self._rate))
            self.begun += 1
            self._busily(self._call(self._dice.choice(list(self._phones.values()))))

    async def _listen(self, phone: Phone) -> None:
        while True:
            call = await phone._received.get()
            self._busily(self._take(call))

    async def _call(self, phone: Phone) -> None:
        """
        Call somebody, talk for a while or lose patience, and hang up.
        """
        outside = phone.number == PROVIDER
        colleagues = [
            number[-3:] for number in self._phones if number not in (phone.number, PROVIDER)
        ]
        inside = (*colleagues, *colleagues, _GROUP, _OUTWARDS)
        call = phone.call(self._dice.choice(_PUBLIC_NUMBERS if outside else inside))
        try:
            async with asyncio.timeout(self._dice.uniform(1.0, 3.0)):
                await call._answered.wait()
        except TimeoutError:
            if not call._over.is_set():
                await call.cancel()
            return
        await asyncio.sleep(self._dice.uniform(0.3, 5.0))
        await call.hang_up()

    async def _take(self, call: IncomingCall) -> None:
        """
        Refuse, let it ring, or answer; and hang up at times.
        """
        if self._dice.random() < 0.15:
            call.refuse(self._dice.choice((486, 480, 603)))
            return
        call.ring()
        if self._dice.random() < 0.25:
            await call.until_over()
            return
        await asyncio.sleep(self._dice.uniform(0.1, 0.8))
        if call._over.is_set():
            return
        call.answer()
        if self._dice.random() < 0.3:
            await asyncio.sleep(self._dice.uniform(0.3, 3.0))
            await call.hang_up()

    def _busily(self, doing: Coroutine[None, None, None]) -> None:
        async def until_done() -> None:
            with contextlib.suppress(AssertionError, TimeoutError):
                async with asyncio.timeout(_LONGEST_SECONDS):
                    await doing

        task = asyncio.create_task(until_done())
        self._busy.add(task)
        task.add_done_callback(self._busy.discard)
