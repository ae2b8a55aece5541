"""
The bridge that runs: its PBXs, one store and one sender, from start to stop.

Each task has a name and an owner; if one dies, the house comes down and systemd starts it
again. A stop first ends the listening and then lets the sender finish within its time.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from pathlib import Path

from .adapters.sender import Sender
from .adapters.store import Changes, Store, together
from .adapters.stores import open_store
from .adapters.systemd import ServiceManager
from .core.call_events import CallEvent
from .errors import ConfigError
from .former_pbx import end_calls
from .pbx import Pbx
from .running import RunningBridge
from .settings import Config
from .signals import reload_on_hangup

log = logging.getLogger(__name__)

#: How often the rules file is looked at, in seconds.
LOOK_AT_RULES_SECONDS = 2.0
#: How often what is out of time is given up, and what is old deleted, in seconds.
TIDY_UP_SECONDS = 30.0
#: How long after a failure the HTTP application is opened again, in seconds.
OPEN_AGAIN_SECONDS = 10.0
#: Rows that are tidied up at once, so that nothing else waits for long.
TIDY_UP_ROWS = 500
#: Reads of AMI bytes whose result waits for the store; more than this and it is told.
LONG_BACKLOG = 10_000
#: As many of them are kept at once.
MOST_TOGETHER = 250
#: How long a stop, or new rules, wait at least for a store that is well, in seconds.
KEEP_SECONDS = 1.0
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
        #: Why the rules file as it is now is not in force; empty if it is.
        self._refused = ""
        self._pbxs: dict[str, tuple[Pbx, asyncio.Task[None]]] = {}
        #: Names of PBXs that were left, and whose calls have been ended.
        self._left: set[str] = set()
        #: The rules are changed by one at a time.
        self._changing = asyncio.Lock()
        #: The HTTP application is to be opened anew.
        self._reopen = asyncio.Event()
        self._bridge: RunningBridge | None = None

    async def run(self, stop: asyncio.Event) -> int:
        """
        Run until *stop* is set; give the number of notifications that were not delivered.
        """
        with reload_on_hangup(self.reload):
            return await self._live(stop)

    async def _live(self, stop: asyncio.Event) -> int:
        config = self._config
        async with (
            open_store(config.store) as store,
            Sender(store, config.delivery, config.rules) as sender,
            asyncio.TaskGroup() as house,
        ):
            self._bridge = bridge = RunningBridge(
                store,
                sender,
                pbxs_now=lambda: [pbx for pbx, _ in self._pbxs.values()],
                config_now=lambda: self._config,
                backlog=self._unkept.qsize,
                refused=lambda: self._refused,
                use_rules=lambda: self._use_rules(store, sender, house),
            )
            hands = [
                house.create_task(self._fill_store(store), name="store"),
                house.create_task(sender.run(), name="sender"),
                house.create_task(self._tidy_up(store), name="housekeeping"),
                house.create_task(self._show_life(), name="watchdog"),
                house.create_task(self._receive_visitors(bridge), name="control"),
            ]
            for pbx in config.pbxs:
                self._attend(pbx.name, store, house)
            ears = [
                house.create_task(self._end_former(store, config), name="former PBXs"),
                house.create_task(self._watch_rules(), name="rules file"),
                house.create_task(self._reload_rules(bridge), name="rules"),
            ]
            addresses = ", ".join(pbx.asterisk.address for pbx in config.pbxs)
            self._service_manager.ready(f"connecting to {addresses}")
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

    def _attend(self, name: str, store: Store, house: asyncio.TaskGroup) -> None:
        """
        Begin to listen to the PBX called *name*, where the last bridge stopped.
        """
        config = self._config.only(name)
        if config is None:
            raise LookupError(name)
        pbx = Pbx(
            config,
            keep=self._unkept.put_nowait,
            tell=self._tell_all,
            on_status=self._service_manager.status,
        )
        # What the store has of one that was left may not have been ended in it yet.
        before = None if name in self._left else store
        task = house.create_task(pbx.run(before), name=f"pbx {name}")
        self._pbxs[name] = pbx, task

    async def _end_former(self, store: Store, config: Config) -> None:
        """
        End the calls of PBXs that *config*, with which the bridge starts, does not name.
        """
        named = {pbx.name for pbx in config.pbxs}
        for name in await store.pbxs_with_stories():
            if name in named:
                continue
            told, changes = await end_calls(config.for_former(name), store, time.time())
            for call_event in told:
                self._tell_all(call_event)
            self._unkept.put_nowait(changes)
            self._left.add(name)

    async def _leave(self, name: str) -> None:
        pbx, task = self._pbxs.pop(name)
        task.cancel()
        await asyncio.wait({task})
        if pbx.restored:
            pbx.leave()
            self._left.add(name)

    # -- the rules ---------------------------------------------------------------------

    async def _reload_rules(self, bridge: RunningBridge) -> None:
        while True:
            await self._reload.wait()
            self._reload.clear()
            try:
                await bridge.reload()
            except ConfigError as error:
                fields = {"problems": str(error)}
                log.error("rules refused, the old ones stay in force", extra=fields)  # noqa: TRY400 - the sentence says it all

    async def _use_rules(self, store: Store, sender: Sender, house: asyncio.TaskGroup) -> None:
        """
        Read the rules again and use them; raises `ConfigError`, and then nothing has changed.
        """
        if self._load is None:
            return
        async with self._changing:
            try:
                config = self._load()
            except ConfigError as error:
                self._refused = str(error)
                raise
            self._refused = ""
            if config.store != self._config.store:
                log.warning("another store is used after the next start only")
            if config.control != self._config.control:
                self._reopen.set()
            self._config = config
            sender.apply(config.delivery, config.rules)
            names = [pbx.name for pbx in config.pbxs]
            for name in set(self._pbxs) - set(names):
                await self._leave(name)
            for name in names:
                one = config.only(name)
                if name not in self._pbxs:
                    self._attend(name, store, house)
                elif one is not None:
                    self._pbxs[name][0].apply(one)
            # A store in trouble ends them when it can.
            pauses = house.create_task(_end_pauses(store), name="pauses")
            await asyncio.wait({pauses}, timeout=KEEP_SECONDS)
            log.info("rules loaded", extra={"requests": len(config.rules)})
            for problem in config.warnings:
                log.warning("rules", extra={"key": problem.path, "problem": problem.message})

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

    # -- visitors ----------------------------------------------------------------------

    def _tell_all(self, call_event: CallEvent) -> None:
        if self._bridge is not None and self._config.control is not None:
            self._bridge.broadcast.tell(call_event)
        if self._tell is not None:
            self._tell(call_event)

    async def _receive_visitors(self, bridge: RunningBridge) -> None:
        """
        Keep the doors of the HTTP application open, as the rules say.

        A door that cannot be opened keeps nobody from being notified: it is tried again.
        """
        while True:
            self._reopen.clear()
            settings = self._config.control
            if settings is None:
                await self._reopen.wait()
                continue
            # A bridge without visitors does without what pages and metrics are made with.
            from .control.app import ControlServer  # noqa: PLC0415

            async with ControlServer(bridge, settings) as server:
                told: list[str] = []
                while not self._reopen.is_set():
                    closed = await server.open()
                    if closed and closed != told:
                        fields = {"reason": "; ".join(closed)}
                        log.error("cannot be looked at or steered", extra=fields)
                    told = closed
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(OPEN_AGAIN_SECONDS if closed else None):
                            await self._reopen.wait()

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
            await store.keep(together(waiting))
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
            async with asyncio.timeout(max(seconds, KEEP_SECONDS)):
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


async def _end_pauses(store: Store) -> None:
    await store.resume([pause.rule_id for pause in await store.paused()])


def _fingerprint(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
