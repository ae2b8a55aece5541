"""
One PBX as the bridge sees it: the link to it, its calls, and what follows from them.

What a read of AMI bytes led to goes to the store as one `Changes`: the deliveries that are
owed, and the messages by which a bridge that starts again knows what this one knows.
"""

import asyncio
import contextlib
import itertools
import logging
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping

from .adapters.ami import AmiLink, LinkStatus
from .adapters.ami_protocol import Batch
from .adapters.store import Changes, Store, StoryEntry
from .core.ami_events import AmiEvent
from .core.ami_writing import as_message
from .core.call_events import CallEvent
from .core.channel_list import ListedChannels, join
from .core.correlator import Anomaly
from .core.course import PICKUP_PATIENCE
from .core.kept_settings import as_text
from .core.meters import Meter
from .core.resync import resynchronise
from .core.stories import Stories
from .errors import AmiActionRefused, AmiError, AmiUnanswered
from .pipeline import Pipeline
from .settings import Config

log = logging.getLogger(__name__)

#: Messages of calls of before that are taken at once, so that nothing else waits for long.
_TAKEN_AT_ONCE = 500


class Pbx:
    """
    The PBX that *config* has alone.

    *keep* takes what has to be kept, in order, and does not wait; *tell* hears every call
    event as it is said; *on_status* hears in words how the link is.
    """

    def __init__(
        self,
        config: Config,
        *,
        keep: Callable[[Changes], None],
        tell: Callable[[CallEvent], None] | None = None,
        on_status: Callable[[str], None] | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.pipeline = Pipeline(config)
        self.pipeline.on_anomaly = self._wonder
        self._stories = Stories(self.pipeline.correlator.follows)
        #: How calls are understood, as it is kept beside what is said of them.
        self._settings = as_text(config.correlator)
        self._keep = keep
        self._tell = tell
        self._on_status = on_status
        self._clock = clock
        #: What the store has of its calls was read.
        self.restored = False
        #: Its channels were known before: a call that is not known began while nobody listened.
        self._attached = False
        #: What comes between a login and the list of channels waits for the list.
        self._held: Batch | None = []
        #: What was held back since the last login was taken.
        self._listed = False
        #: A list of channels was compared since then: nothing can have been missed.
        self._compared = False
        self._compare_now = asyncio.Event()
        #: AMI events taken and call events said, since the start.
        self.heard, self.said = Meter(), Meter()
        self.heard_by_kind: Counter[type] = Counter()
        #: Logins accepted, and lists of channels compared, since the start.
        self.logins = self.resynchronisations = 0
        self._link: AmiLink | None = None
        self._tick: asyncio.TimerHandle | None = None

    @property
    def name(self) -> str:
        """
        Give the name that its calls carry; it may be empty.
        """
        return self.pipeline.config.asterisk.name

    @property
    def link_status(self) -> LinkStatus | None:
        """
        Say how the link is; None before it was begun.
        """
        return self._link.status if self._link is not None else None

    # -- its life --------------------------------------------------------------------

    async def restore(self, store: Store) -> None:
        """
        Read again what Asterisk said of the calls that were up when the last bridge ended.
        """
        correlator = self.pipeline.correlator
        entries = await store.stories(self.name)
        for number, (entry, ami_event) in enumerate(self.pipeline.take_again(entries), 1):
            self._stories.note(ami_event, entry.story)
            if number % _TAKEN_AT_ONCE == 0:
                await asyncio.sleep(0)
        if entries:
            fields = {"pbx": self.name, "legs": len(correlator.open_legs)}
            log.info("calls of before are known again", extra=fields)
        self._attached = await store.attached(self.name)
        self._hand_on([], all_shaken=True)

    async def run(self, store: Store | None = None) -> None:
        """
        Listen to the PBX until cancelled; at first `restore` from *store*, if there is one.
        """
        if store is not None:
            await self.restore(store)
        self.restored = True
        try:
            async with asyncio.TaskGroup() as house:
                house.create_task(self._listen(), name=f"ami link {self.name}")
                house.create_task(self._compare_channels(), name=f"channel list {self.name}")
        finally:
            if self._tick is not None:
                self._tick.cancel()

    def apply(self, config: Config) -> None:
        """
        Use other rules from now on; a link whose settings changed is made anew.
        """
        before = self.pipeline.config
        self.pipeline.apply(config)
        self._settings = as_text(config.correlator)
        if config.asterisk != before.asterisk and self._link is not None:
            # `_listen` makes the next link, with the new settings.
            asyncio.get_running_loop().create_task(self._link.close(), name="old link")

    def leave(self) -> None:
        """
        End all calls: nobody will listen to this PBX any more.
        """
        correlator = self.pipeline.correlator
        gone = correlator.resynchronise((), correlator.channels, self._clock())
        self._attached = False
        attached = {self.name: False}
        self._hand_on(self.pipeline.sift(gone), all_shaken=True, attached=attached)

    # -- listening -------------------------------------------------------------------

    async def _listen(self) -> None:
        while True:
            self._link = AmiLink(
                self.pipeline.config.asterisk,
                on_events=self._hear,
                on_login=self._greet,
                on_lost=self._miss,
            )
            try:
                await self._link.run()
            finally:
                await self._link.close()
            self._hold()

    def _hear(self, batch: Batch) -> None:
        """
        Correlate what one read brought; only put what follows in line, and never wait.
        """
        if self._held is not None:
            self._held += batch
            return
        self._take(batch)

    def _take(self, batch: Batch) -> None:
        correlator, sift, note = self.pipeline.correlator, self.pipeline.sift, self._stories.note
        kinds = self.heard_by_kind
        call_events: list[CallEvent] = []
        noted: list[tuple[str, bytes]] = []
        for ami_event, moment, message in batch:
            kinds[type(ami_event)] += 1
            if said := correlator.feed(ami_event, moment):
                call_events += sift(said)
            if (story := note(ami_event)) is not None:
                noted.append((story, message))
        self.heard.count(len(batch), self._clock())
        self._hand_on(call_events, noted)

    def _hand_on(
        self,
        call_events: list[CallEvent],
        noted: Iterable[tuple[str, bytes]] = (),
        *,
        all_shaken: bool = False,
        attached: Mapping[str, bool] | None = None,
    ) -> None:
        """
        Tell *call_events*, and have kept what is owed for them and what was *noted*.
        """
        if self._tell is not None:
            for call_event in call_events:
                self._tell(call_event)
        now, pbx = self._clock(), self.name
        if call_events:
            self.said.count(len(call_events), now)
        # In the order in which they came: stories that meet name each other's channels.
        runs = itertools.groupby(noted, key=lambda one: one[0])
        changes = Changes(
            now,
            self.pipeline.owe(call_events, now),
            [
                StoryEntry(pbx, story, now, b"".join(told for _, told in run), self._settings)
                for story, run in runs
            ],
            [(pbx, story) for story in self._stories.take_ended(all_shaken=all_shaken)],
            attached or {},
        )
        if changes.deliveries or changes.entries or changes.ended or changes.attached:
            self._keep(changes)
        self._set_tick()

    def _set_tick(self) -> None:
        due = self.pipeline.correlator.next_deadline()
        if due is not None and self._tick is None:
            # The deadline is of the PBX's clock, which may differ from ours.
            loop = asyncio.get_running_loop()
            self._tick = loop.call_later(PICKUP_PATIENCE, self._on_tick, due)

    def _on_tick(self, due: float) -> None:
        self._tick = None
        said = self.pipeline.correlator.tick(due)
        self._hand_on(self.pipeline.sift(said))

    def _wonder(self, anomaly: Anomaly) -> None:
        fields = {"pbx": self.name, "kind": anomaly.kind, "uniqueid": anomaly.uniqueid}
        log.debug("anomaly", extra=fields)

    # -- losing and finding it ---------------------------------------------------------

    def _greet(self, status: LinkStatus) -> None:
        self.logins += 1
        self._compare_now.set()
        if self._on_status is not None:
            self._on_status(f"logged in to {status.address}")

    def _miss(self, error: AmiError) -> None:
        self._hold()
        if self._on_status is not None:
            self._on_status(str(error))

    def _hold(self) -> None:
        """
        Hold back what comes until the next list: nobody listens for a while.
        """
        if self._listed:
            self._release()
        # Else the next list shows what came of it, and which calls are new, which would not be
        # seen if some of what was said of them had been taken.
        self._held, self._listed, self._compared = [], False, False

    def _release(self) -> None:
        held, self._held, self._listed = self._held, None, True
        if held:
            self._take(held)

    async def _compare_channels(self) -> None:
        """
        After every login, and now and then, learn from Asterisk's list what was missed.
        """
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self.pipeline.config.asterisk.resynchronise_seconds):
                    await self._compare_now.wait()
            self._compare_now.clear()
            link = self._link
            if link is not None and link.status.connected_since is not None:
                await self._compare_once(link)

    async def _compare_once(self, link: AmiLink) -> None:
        correlator = self.pipeline.correlator
        steady = self._compared
        if self._held is None:
            self._held = []
        known = correlator.channels
        try:
            rows = await link.list_channels()
            statuses = await link.list_statuses()
        except AmiActionRefused as error:
            log.warning(
                "channels cannot be compared", extra={"pbx": self.name, "reason": str(error)}
            )
            self._release()
            return
        except AmiUnanswered as error:
            # The link lives: what is held must not wait for ever.
            log.warning("channels are not listed", extra={"pbx": self.name, "reason": str(error)})
            self._release()
            self._compare_now.set()
            return
        except AmiError:
            return  # the link tells, and after the next login there is another try
        held = tuple(heard.ami_event for heard in self._held or ())
        listed = ListedChannels(join(rows, statuses), known, held)
        found = resynchronise(
            correlator, listed, self._clock(), announce=self._attached, steady=steady
        )
        attached = {} if self._attached else {self.name: True}
        self._attached = self._compared = True
        self.resynchronisations += 1
        noted = self._note_all(found.records)
        self._hand_on(self.pipeline.sift(found.said), noted, all_shaken=True, attached=attached)
        self._release()

    def _note_all(self, ami_events: Iterable[AmiEvent]) -> list[tuple[str, bytes]]:
        named = [(self._stories.note(ami_event), ami_event) for ami_event in ami_events]
        return [(story, as_message(ami_event)) for story, ami_event in named if story is not None]
