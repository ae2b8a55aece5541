"""
The bridge that runs: its PBXs, one store and one sender, from start to stop.

Each task has a name and an owner; if one dies, the house comes down and systemd starts it
again. A stop first ends the listening and then lets the sender finish within its time.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from pathlib import Path

from .adapters.sender import Sender
from .adapters.store import Changes, Store
from .adapters.stores import open_store
from .adapters.systemd import ServiceManager
from .core.call_events import CallEvent
from .errors import ConfigError
from .pbx import Pbx
from .settings import Config
from .signals import reload_on_hangup

log = logging.getLogger(__name__)

#: How often the rules file is looked at, in seconds.
LOOK_AT_RULES_SECONDS = 2.0
#: How often what is out of time is given up, and what is old deleted, in seconds.
TIDY_UP_SECONDS = 30.0
#: Rows that are tidied up at once, so that nothing else waits for long.
TIDY_UP_ROWS = 500
#: Reads of AMI bytes whose result waits for the store; more than this and it is told.
LONG_BACKLOG = 10_000
#: As many of them are kept at once.
MOST_TOGETHER = 1000
_DAY = 86_400.0

Loader = Callable[[], Config]


class Daemon:
    """
    One bridge. *load* reads the rules again, *tell* hears every call event as it is said.
    """

    def __init__(
        self,
        config: Config,
        *,
        load: Loader | None = None,
        tell: Callable[[CallEvent], None] | None = None,
        service_manager: ServiceManager | None = None,
    ) -> None:
        self._config = config
        self._load = load
        self._tell = tell
        self._service_manager = service_manager or ServiceManager({})
        #: What the PBXs have said and the store has not kept yet.
        self._unkept: asyncio.Queue[Changes] = asyncio.Queue()
        self._reload = asyncio.Event()
        self._pbxs: dict[str, tuple[Pbx, asyncio.Task[None]]] = {}

    async def run(self, stop: asyncio.Event) -> int:
        """
        Run until *stop* is set; give the number of notifications that were not delivered.
        """
        config = self._config
        async with (
            open_store(config.store) as store,
            Sender(store, config.delivery, config.rules) as sender,
            asyncio.TaskGroup() as house,
        ):
            hands = [
                house.create_task(self._fill_store(store), name="store"),
                house.create_task(sender.run(), name="sender"),
                house.create_task(self._tidy_up(store), name="housekeeping"),
                house.create_task(self._show_life(), name="watchdog"),
            ]
            for pbx in config.pbxs:
                await self._attend(pbx.name, store, house)
            ears = [
                house.create_task(self._watch_rules(), name="rules file"),
                house.create_task(self._reload_rules(store, sender, house), name="rules"),
            ]
            addresses = ", ".join(pbx.asterisk.address for pbx in config.pbxs)
            self._service_manager.ready(f"connecting to {addresses}")
            with reload_on_hangup(self.reload):
                await stop.wait()
            left = await self._finish(ears, sender)
            for task in hands:
                task.cancel()
        return left

    def reload(self) -> None:
        """
        Have the rules read again; what is wrong is told, and then the old rules stay in force.
        """
        self._reload.set()

    # -- the PBXs ----------------------------------------------------------------------

    async def _attend(self, name: str, store: Store, house: asyncio.TaskGroup) -> None:
        """
        Begin to listen to the PBX called *name*, where the last bridge stopped.
        """
        config = self._config.only(name)
        if config is None:
            raise LookupError(name)
        pbx = Pbx(
            config,
            keep=self._unkept.put_nowait,
            tell=self._tell,
            on_status=self._service_manager.status,
        )
        await pbx.restore(store)
        task = house.create_task(pbx.run(), name=f"pbx {name}")
        self._pbxs[name] = pbx, task

    async def _leave(self, name: str) -> None:
        pbx, task = self._pbxs.pop(name)
        task.cancel()
        await asyncio.wait({task})
        pbx.leave()

    # -- the rules ---------------------------------------------------------------------

    async def _reload_rules(self, store: Store, sender: Sender, house: asyncio.TaskGroup) -> None:
        while True:
            await self._reload.wait()
            self._reload.clear()
            config = self._read_rules()
            if config is None:
                continue
            if config.store != self._config.store:
                log.warning("another store is used after the next start only")
            self._config = config
            sender.apply(config.delivery, config.rules)
            await store.resume([pause.rule_id for pause in await store.paused()])
            names = [pbx.name for pbx in config.pbxs]
            for name in set(self._pbxs) - set(names):
                await self._leave(name)
            for name in names:
                one = config.only(name)
                if name not in self._pbxs:
                    await self._attend(name, store, house)
                elif one is not None:
                    self._pbxs[name][0].apply(one)
            log.info("rules loaded", extra={"requests": len(config.rules)})
            for problem in config.warnings:
                log.warning("rules", extra={"key": problem.path, "problem": problem.message})

    def _read_rules(self) -> Config | None:
        if self._load is None:
            return None
        try:
            return self._load()
        except ConfigError as error:
            log.error("rules refused, the old ones stay in force", extra={"problems": str(error)})  # noqa: TRY400 - the sentence says it all
            return None

    async def _watch_rules(self) -> None:
        """
        Load the rules again when their file changed.
        """
        source = self._config.source
        if source is None:
            return
        seen = _fingerprint(source)
        while True:
            await asyncio.sleep(LOOK_AT_RULES_SECONDS)
            found = _fingerprint(source)
            if found != seen and found is not None:
                self.reload()
            seen = found

    # -- the store ---------------------------------------------------------------------

    async def _fill_store(self, store: Store) -> None:
        """
        Have kept what the PBXs say, all that has come meanwhile at once.
        """
        told = False
        while True:
            waiting = [await self._unkept.get()]
            while len(waiting) < MOST_TOGETHER and not self._unkept.empty():
                waiting.append(self._unkept.get_nowait())
            # One after the other, and in the same transaction as far as the store can.
            await asyncio.gather(*(store.keep(changes) for changes in waiting))
            for _ in waiting:
                self._unkept.task_done()
            long = self._unkept.qsize() > LONG_BACKLOG
            if long and not told:
                log.warning("the store does not keep up", extra={"waiting": self._unkept.qsize()})
            told = long

    async def _tidy_up(self, store: Store) -> None:
        """
        Now and then give up what is out of time, and delete what is old.
        """
        while True:
            now, settings = time.time(), self._config.store
            given_up = 0
            while some := await store.give_up_expired(now, TIDY_UP_ROWS):
                given_up += some
            if given_up:
                reason = "their time to live ran out"
                fields = {"deliveries": given_up, "reason": reason}
                log.warning("deliveries given up", extra=fields)
            while await store.prune(
                now - settings.keep_delivered_days * _DAY,
                now - settings.keep_given_up_days * _DAY,
                TIDY_UP_ROWS,
            ):
                pass
            await asyncio.sleep(TIDY_UP_SECONDS)

    # -- the house ---------------------------------------------------------------------

    async def _finish(self, ears: list[asyncio.Task[None]], sender: Sender) -> int:
        log.info("stopping")
        self._service_manager.stopping()
        listening = [*ears, *(task for _, task in self._pbxs.values())]
        for task in listening:
            task.cancel()
        await asyncio.wait(listening)
        seconds = self._config.delivery.drain_seconds
        try:
            async with asyncio.timeout(seconds):
                await self._unkept.join()
        except TimeoutError:
            log.error("stopped before the store could keep what was said last")  # noqa: TRY400 - the sentence says it all
        left = await sender.drain(seconds)
        if left:
            log.warning("stopped before everything was delivered", extra={"left": left})
        return left

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
