"""
The bridge that runs: one PBX, its pipeline, an outbox and a sender, from start to stop.

Each task has a name and an owner; if one dies, the house comes down and systemd starts it
again. A stop first ends the listening and then lets the sender finish within its time.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from .adapters.ami import AmiLink, LinkStatus
from .adapters.ami_protocol import Batch
from .adapters.outbox import InMemoryOutbox, Outbox
from .adapters.sender import Sender
from .adapters.systemd import ServiceManager
from .core.call_events import CallEvent
from .core.correlator import Anomaly
from .errors import AmiActionRefused, AmiError, ConfigError
from .pipeline import Pipeline
from .settings import Config
from .signals import reload_on_hangup

if TYPE_CHECKING:
    from .core.deliveries import Delivery

log = logging.getLogger(__name__)

#: How often the rules file is looked at, in seconds.
LOOK_AT_RULES_SECONDS = 2.0
#: Notifications that wait for the outbox; more than this and the backlog is told.
LONG_BACKLOG = 10_000

Loader = Callable[[], Config]


class Daemon:
    """
    One bridge. *load* reads the rules again, *tell* hears every call event as it is said.
    """

    def __init__(
        self,
        config: Config,
        *,
        outbox: Outbox | None = None,
        load: Loader | None = None,
        tell: Callable[[CallEvent], None] | None = None,
        service_manager: ServiceManager | None = None,
    ) -> None:
        self.pipeline = Pipeline(config)
        self.pipeline.on_anomaly = self._wonder
        self._outbox: Outbox = outbox if outbox is not None else InMemoryOutbox()
        self._load = load
        self._tell = tell
        self._service_manager = service_manager or ServiceManager({})
        self._owed: asyncio.Queue[list[Delivery]] = asyncio.Queue()
        self._logged_in = asyncio.Event()
        self._link: AmiLink | None = None
        self._sender: Sender | None = None
        self._tick: asyncio.TimerHandle | None = None

    @property
    def link_status(self) -> LinkStatus | None:
        """
        Say how the link to the PBX is; None before it was begun.
        """
        return self._link.status if self._link is not None else None

    async def run(self, stop: asyncio.Event) -> int:
        """
        Run until *stop* is set; give the number of notifications that were not delivered.
        """
        config = self.pipeline.config
        async with Sender(self._outbox, config.delivery) as sender:
            self._sender = sender
            with reload_on_hangup(self.reload):
                async with asyncio.TaskGroup() as house:
                    ears = [
                        house.create_task(self._listen(), name="ami link"),
                        house.create_task(self._compare_channels(), name="channel list"),
                        house.create_task(self._watch_rules(), name="rules file"),
                    ]
                    hands = [
                        house.create_task(self._fill_outbox(), name="outbox"),
                        house.create_task(sender.run(), name="sender"),
                        house.create_task(self._show_life(), name="watchdog"),
                    ]
                    self._service_manager.ready(f"connecting to {config.asterisk.address}")
                    await stop.wait()
                    left = await self._finish(ears, sender)
                    for task in hands:
                        task.cancel()
        return left

    def reload(self) -> None:
        """
        Read the rules again; what is wrong is told, and then the old rules stay in force.
        """
        if self._load is None:
            return
        try:
            config = self._load()
        except ConfigError as error:
            log.error("rules refused, the old ones stay in force", extra={"problems": str(error)})  # noqa: TRY400 - the sentence says it all
            return
        before = self.pipeline.config
        self.pipeline.apply(config)
        if self._sender is not None:
            self._sender.apply(config.delivery)
        log.info("rules loaded", extra={"requests": len(config.rules)})
        for problem in config.warnings:
            log.warning("rules", extra={"key": problem.path, "problem": problem.message})
        if config.asterisk != before.asterisk and self._link is not None:
            # `_listen` makes the next link, with the new settings.
            asyncio.get_running_loop().create_task(self._link.close(), name="old link")

    # -- ears ------------------------------------------------------------------------

    async def _listen(self) -> None:
        while True:
            self._link = AmiLink(
                self.pipeline.config.asterisk,
                on_events=self._hear,
                on_login=self._greet,
                on_lost=self._miss,
            )
            await self._link.run()

    def _hear(self, batch: Batch) -> None:
        """
        Correlate what one read brought; only put what follows in line, and never wait.
        """
        self._say(self.pipeline.take(batch))
        self._set_tick()

    def _say(self, call_events: list[CallEvent]) -> None:
        if not call_events:
            return
        if self._tell is not None:
            for call_event in call_events:
                self._tell(call_event)
        deliveries = self.pipeline.owe(call_events, time.time())
        if deliveries:
            self._owed.put_nowait(deliveries)

    def _set_tick(self) -> None:
        due = self.pipeline.correlator.next_deadline()
        if due is not None and self._tick is None:
            loop = asyncio.get_running_loop()
            self._tick = loop.call_later(max(0.0, due - time.time()), self._on_tick)

    def _on_tick(self) -> None:
        self._tick = None
        said = self.pipeline.correlator.tick(time.time())
        self._say(self.pipeline.sift(said))
        self._set_tick()

    def _greet(self, status: LinkStatus) -> None:
        self._logged_in.set()
        self._service_manager.status(f"logged in to {status.address}")

    def _miss(self, error: AmiError) -> None:
        self._service_manager.status(str(error))

    def _wonder(self, anomaly: Anomaly) -> None:
        log.debug("anomaly", extra={"kind": anomaly.kind, "uniqueid": anomaly.uniqueid})

    async def _compare_channels(self) -> None:
        """
        After every login, and now and then, end the legs whose channels are gone.
        """
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self.pipeline.config.asterisk.resynchronise_seconds):
                    await self._logged_in.wait()
            self._logged_in.clear()
            if self._link is not None and self._link.status.connected_since is not None:
                await self._compare_once(self._link)

    async def _compare_once(self, link: AmiLink) -> None:
        correlator = self.pipeline.correlator
        known = correlator.channels
        try:
            rows = await link.list_channels()
        except AmiActionRefused as error:
            log.warning("channels cannot be compared", extra={"reason": str(error)})
            return
        except AmiError:
            return  # the link tells, and after the next login there is another try
        living = {row.uniqueid for row in rows}
        self._say(self.pipeline.sift(correlator.resynchronise(living, known, time.time())))

    # -- hands -----------------------------------------------------------------------

    async def _fill_outbox(self) -> None:
        told = False
        while True:
            deliveries = await self._owed.get()
            await self._outbox.put(deliveries)
            self._owed.task_done()
            long = self._owed.qsize() > LONG_BACKLOG
            if long and not told:
                log.warning("the outbox does not keep up", extra={"waiting": self._owed.qsize()})
            told = long

    async def _finish(self, ears: list[asyncio.Task[None]], sender: Sender) -> int:
        log.info("stopping")
        self._service_manager.stopping()
        for task in ears:
            task.cancel()
        await asyncio.wait(ears)
        if self._link is not None:
            await self._link.close()
        if self._tick is not None:
            self._tick.cancel()
        await self._owed.join()
        left = await sender.drain(self.pipeline.config.delivery.drain_seconds)
        if left:
            log.warning("stopped before everything was delivered", extra={"left": left})
        return left

    # -- the house ---------------------------------------------------------------------

    async def _watch_rules(self) -> None:
        """
        Load the rules again when their file changed.
        """
        source = self.pipeline.config.source
        if source is None or self._load is None:
            return
        seen = _fingerprint(source)
        while True:
            await asyncio.sleep(LOOK_AT_RULES_SECONDS)
            found = _fingerprint(source)
            if found != seen and found is not None:
                self.reload()
            seen = found

    async def _show_life(self) -> None:
        seconds = self._service_manager.watchdog_seconds
        if seconds is None:
            return
        while True:
            self._service_manager.alive()
            await asyncio.sleep(seconds / 3)


def _fingerprint(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
