"""
The link to one PBX for as long as the bridge lives: it connects, and connects again.

`AmiSession` knows one connection, `AmiLink` makes one after another. A refused login is
tried again slowly, so that nobody's fail2ban wakes up; everything else after a random time
below a bound that doubles with each failure, so that many bridges do not fall upon a PBX
that comes back.
"""

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import NoReturn

import attrs

from ami_bridge.core.channel_list import ChannelRow
from ami_bridge.errors import AmiError, AmiLoginRefused, AmiLost, AmiUnanswered
from ami_bridge.settings import AsteriskSettings

from .ami_protocol import Oddities, OnBytes, OnEvents
from .ami_session import AmiSession, Headers, PbxIdentity

log = logging.getLogger(__name__)

#: Doubling further than this changes nothing and would overflow one day.
_MOST_DOUBLINGS = 30


@attrs.frozen
class LinkStatus:
    """
    How the link is, for people.
    """

    #: Host and port.
    address: str
    #: When the login was accepted, in seconds since the epoch; None while not logged in.
    connected_since: float | None = None
    #: Who is connected; versions of the last connection while there is none.
    identity: PbxIdentity = attrs.field(factory=PbxIdentity)
    #: Why there is no connection; None while there is one, or before the first attempt ended.
    error: AmiError | None = None
    #: When the next attempt begins, in seconds since the epoch, if one is waited for.
    next_attempt: float | None = None


def _no_login(_status: LinkStatus) -> None:
    """
    Take a login that nobody waits for.
    """


def _no_loss(_error: AmiError) -> None:
    """
    Take a loss that nobody waits for.
    """


@attrs.define(eq=False)
class AmiLink:
    """
    The connection to one PBX; `run` keeps it up until it is cancelled or `close` is called.

    All callbacks are plain functions, called in the event loop; what they raise is counted,
    logged and goes no further. *on_events* and *on_bytes* are as in `AmiProtocol`.
    *on_login* is called after every accepted login: what was missed is now to be found out
    with `list_channels`. *on_lost* is called after every attempt or connection that ended,
    with `AmiLoginRefused` where the operator must act. *dice* gives numbers from 0 to 1.
    """

    settings: AsteriskSettings
    on_events: OnEvents = attrs.field(kw_only=True)
    on_login: Callable[[LinkStatus], None] = attrs.field(default=_no_login, kw_only=True)
    on_lost: Callable[[AmiError], None] = attrs.field(default=_no_loss, kw_only=True)
    on_bytes: OnBytes | None = attrs.field(default=None, kw_only=True)
    dice: Callable[[], float] = attrs.field(default=random.random, kw_only=True)
    sleep: Callable[[float], Awaitable[None]] = attrs.field(default=asyncio.sleep, kw_only=True)
    clock: Callable[[], float] = attrs.field(default=time.time, kw_only=True)
    #: What was odd on all connections so far.
    oddities: Oddities = attrs.field(factory=Oddities, init=False)
    status: LinkStatus = attrs.field(init=False)
    _session: AmiSession | None = attrs.field(default=None, init=False)
    _life: asyncio.Task[NoReturn] | None = attrs.field(default=None, init=False)
    _closed: bool = attrs.field(default=False, init=False)

    @status.default
    def _not_yet_connected(self) -> LinkStatus:
        return LinkStatus(self.settings.address)

    async def run(self) -> None:
        """
        Keep the link up; return only after `close`.
        """
        if self._closed:
            return
        self._life = asyncio.create_task(self._live(), name="ami link")
        try:
            await self._life
        except asyncio.CancelledError:
            if not self._closed or self._is_cancelled():
                raise

    async def close(self) -> None:
        """
        End the link for good: no connection is made and no action is sent after this.
        """
        self._closed = True
        if self._life is not None:
            self._life.cancel()
            await asyncio.wait({self._life})

    async def ask(
        self, action: Mapping[str, str | Sequence[str]], deadline_seconds: float | None = None
    ) -> list[Headers]:
        """
        Ask as `AmiSession.ask` does; raises `AmiLost` at once while not logged in.
        """
        return await self._logged_in.ask(action, deadline_seconds)

    async def list_channels(self, deadline_seconds: float | None = None) -> list[ChannelRow]:
        """
        Ask as `AmiSession.list_channels` does; raises `AmiLost` at once while not logged in.
        """
        return await self._logged_in.list_channels(deadline_seconds)

    async def list_statuses(self, deadline_seconds: float | None = None) -> list[ChannelRow]:
        """
        Ask as `AmiSession.list_statuses` does; raises `AmiLost` at once while not logged in.
        """
        return await self._logged_in.list_statuses(deadline_seconds)

    # -- one connection after another ----------------------------------------------

    @property
    def _logged_in(self) -> AmiSession:
        if self._session is None:
            raise AmiLost(self.settings.address, "not connected")
        return self._session

    @staticmethod
    def _is_cancelled() -> bool:
        task = asyncio.current_task()
        return task is not None and task.cancelling() > 0

    async def _live(self) -> NoReturn:
        settings = self.settings
        failures = 0
        while True:
            session = AmiSession(
                settings,
                on_events=self.on_events,
                on_bytes=self.on_bytes,
                oddities=self.oddities,
                clock=self.clock,
            )
            try:
                async with session:
                    failures = 0
                    await self._stay(session)
            except AmiError as error:
                if isinstance(error, AmiLoginRefused):
                    pause = settings.refused_login_seconds
                else:
                    pause = self._bound(failures) * self.dice()
                    failures += 1
                self._lost(error, pause)
            await self.sleep(pause)

    def _bound(self, failures: int) -> float:
        first, last = self.settings.reconnect_first_seconds, self.settings.reconnect_last_seconds
        return min(last, first * 2.0 ** min(failures, _MOST_DOUBLINGS))

    async def _stay(self, session: AmiSession) -> NoReturn:
        self._session = session
        try:
            self._tell_login(session)
            await self._identify(session)
            await session.listen()
        finally:
            self._session = None

    def _tell_login(self, session: AmiSession) -> None:
        identity = PbxIdentity(ami_version=session.ami_version)
        self.status = LinkStatus(self.settings.address, session.connected_since, identity)
        log.info(
            "logged in to Asterisk",
            extra={"address": self.status.address, "ami_version": identity.ami_version},
        )
        self.oddities.guard(self.on_login, self.status)

    async def _identify(self, session: AmiSession) -> None:
        try:
            identity = await session.identify()
        except AmiUnanswered:
            # Some proxies leave out what they do not know; the events are what counts.
            return
        self.status = attrs.evolve(self.status, identity=identity)

    def _lost(self, error: AmiError, pause: float) -> None:
        self.status = LinkStatus(
            self.settings.address,
            identity=self.status.identity,
            error=error,
            next_attempt=self.clock() + pause,
        )
        log.warning(
            "login refused by Asterisk"
            if isinstance(error, AmiLoginRefused)
            else "no connection to Asterisk",
            extra={"reason": str(error), "retry_seconds": round(pause, 3)},
        )
        self.oddities.guard(self.on_lost, error)
