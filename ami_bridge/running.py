"""
The running bridge as the HTTP application sees it: how it is, and the levers to steer it.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence

import attrs

from . import __version__
from .adapters.sender import Sender
from .adapters.store import DeliveryState, Store, StoryEntry, Tally
from .config.editing import RulesFile
from .control.attempt_meter import AttemptMeter
from .control.broadcast import Broadcast
from .control.views import (
    CallView,
    DestinationView,
    LegView,
    LinkState,
    PausedRule,
    PbxView,
    Rates,
    Status,
    StoreView,
)
from .core.ami_events import NAMES_THAT_MATTER
from .core.ami_fast_lane import read_message
from .core.ami_stream import AmiStream
from .core.call_events import EventType
from .core.explaining import Explainer, Step
from .core.legs import Leg
from .core.stories import named_in
from .errors import AmiLoginRefused, RulesFileError
from .pbx import Pbx
from .sampling import Sample, send_sample
from .settings import Config

#: Of one call no more is looked at: reads of AMI bytes, stories, and channels.
MOST_ENTRIES, MOST_STORIES, MOST_IDS = 10_000, 500, 200
_NOTHING = Tally()


@attrs.define(eq=False)
class RunningBridge:
    """
    One bridge that runs.

    Of its callbacks *use_rules* reads the rules again, or raises `ConfigError` and leaves the
    old ones in force; the others give what is so now.
    """

    store: Store
    sender: Sender
    pbxs_now: Callable[[], Collection[Pbx]] = attrs.field(kw_only=True)
    config_now: Callable[[], Config] = attrs.field(kw_only=True)
    backlog: Callable[[], int] = attrs.field(kw_only=True)
    #: Why the rules file as it is now is not in force; empty if it is.
    refused: Callable[[], str] = attrs.field(kw_only=True)
    use_rules: Callable[[], Awaitable[None]] = attrs.field(kw_only=True)
    clock: Callable[[], float] = attrs.field(default=time.time, kw_only=True)
    broadcast: Broadcast = attrs.field(factory=Broadcast, init=False)
    attempt_meter: AttemptMeter = attrs.field(factory=AttemptMeter, init=False)
    started: float = attrs.field(init=False)
    _one_at_a_time: asyncio.Lock = attrs.field(factory=asyncio.Lock, init=False)

    @started.default
    def _now(self) -> float:
        return self.clock()

    def __attrs_post_init__(self) -> None:
        self.sender.on_attempt = self.attempt_meter.note

    @property
    def config(self) -> Config:
        """
        Give the rules that are in force.
        """
        return self.config_now()

    # -- looking -----------------------------------------------------------------------

    async def status(self) -> Status:
        """
        Say how everything is.
        """
        now = self.clock()
        config, pbxs = self.config, self.pbxs_now()
        paused = await self.store.paused()
        path = None if config.store.path is None else str(config.store.path)
        return Status(
            version=__version__,
            started=self.started,
            now=now,
            pbxs=tuple(self.pbxs()),
            destinations=await self._destinations(now),
            store=StoreView(path, self.store.trouble, self.backlog()),
            requests=len(config.rules),
            requests_enabled=sum(rule.enabled for rule in config.rules),
            paused=tuple(PausedRule(one.rule_id, one.since, one.reason) for one in paused),
            rates=Rates(
                sum(pbx.heard.last_minute(now) for pbx in pbxs),
                sum(pbx.said.last_minute(now) for pbx in pbxs),
                self.sender.attempts.last_minute(now),
            ),
            rules_refused=self.refused(),
        )

    def pbxs(self) -> list[PbxView]:
        """
        Say how the links to the PBXs are.
        """
        return [_pbx_view(pbx) for pbx in self.pbxs_now()]

    def calls(self) -> list[CallView]:
        """
        Give the calls that are up, the latest first.
        """
        found: list[CallView] = []
        for pbx in self.pbxs_now():
            legs: dict[str, list[Leg]] = {}
            for leg in pbx.pipeline.correlator.open_legs:
                legs.setdefault(leg.call_id, []).append(leg)
            found += [_call_view(call_id, pbx.name, some) for call_id, some in legs.items()]
        return sorted(found, key=lambda call: call.began or 0.0, reverse=True)

    def ami_events(self) -> Mapping[tuple[str, str], int]:
        """
        Count the AMI events taken since the start, by PBX and name.
        """
        counts: Counter[tuple[str, str]] = Counter()
        for pbx in self.pbxs_now():
            for kind, count in pbx.heard_by_kind.items():
                counts[pbx.name, kind.__name__] += count
        return counts

    def anomalies(self) -> Mapping[tuple[str, str], int]:
        """
        Count what the correlator did not expect, by PBX and kind.
        """
        return {
            (pbx.name, kind): count
            for pbx in self.pbxs_now()
            for kind, count in pbx.pipeline.anomalies.items()
        }

    async def _destinations(self, now: float) -> tuple[DestinationView, ...]:
        tallies = await self.store.tallies()
        settings = self.config.delivery
        busy = self.sender.busy
        found = []
        for name in sorted({*tallies, *busy, *self.sender.unwell, *self.sender.delivered}):
            tally, health = tallies.get(name, _NOTHING), self.sender.health(name)
            found.append(
                DestinationView(
                    destination=name,
                    waiting=tally.waiting,
                    paused=tally.paused,
                    delivered=self.sender.delivered[name],
                    given_up=tally.given_up,
                    in_flight=busy.get(name, 0),
                    breaker=health.state(now, settings.breaker_terms),
                    open_until=health.open_until,
                    oldest_waiting=tally.oldest_waiting,
                    last_error=health.error,
                )
            )
        return tuple(found)

    async def explain(self, call_id: str) -> tuple[str, list[Step]]:
        """
        Say what Asterisk said of the call *call_id*, and what followed; and on which PBX.

        There are no steps if nothing is kept of it.
        """
        pbxs = sorted(self.pbxs_now(), key=lambda pbx: not call_id.startswith(f"{pbx.name}-"))
        for pbx in pbxs:
            entries = await self._told_of(pbx.name, call_id)
            settings = pbx.pipeline.config.correlator
            explainer = Explainer(call_id, settings, self.config.rules, read_message)
            for entry in entries:
                for message in AmiStream(NAMES_THAT_MATTER).feed(entry.messages):
                    explainer.take(message, message.time_at(entry.time))
            if steps := explainer.steps():
                return pbx.name, steps
        return "", []

    async def _told_of(self, pbx: str, call_id: str) -> list[StoryEntry]:
        """
        Read what was kept of a call, and of all calls that met it.
        """
        ids = {call_id.removeprefix(f"{pbx}-") if pbx else call_id}
        entries: list[StoryEntry] = []
        asked: set[str] = set()
        while len(asked) < MOST_IDS and (new := ids - asked):
            new = set(sorted(new)[: MOST_IDS - len(asked)])
            asked |= new
            stories = await self.store.stories_naming(pbx, new, MOST_STORIES)
            found = {entry.story for entry in entries} | set(stories)
            entries = await self.store.entries(pbx, found, MOST_ENTRIES)
            ids |= _channels_in(entries)
        return entries

    # -- steering ----------------------------------------------------------------------

    async def retry(self, ids: Sequence[str]) -> int:
        """
        Owe given-up deliveries once more, and have those that wait attempted at once.
        """
        now, terms = self.clock(), self.config.delivery_terms
        waiting: list[str] = []
        by_lifetime: dict[float, list[str]] = {}
        for one in ids:
            kept = await self.store.look_up(one)
            if kept is None:
                continue
            # Who asks for it knows that the receiver is there again.
            self.sender.probe(kept.delivery.destination)
            if kept.state is DeliveryState.WAITING:
                waiting.append(one)
            elif kept.state is DeliveryState.GIVEN_UP:
                # With the time to live that their events have.
                by_lifetime.setdefault(terms.lifetime(kept.delivery.event), []).append(one)
        count = await self.store.hurry(waiting, now) if waiting else 0
        for lifetime, some in by_lifetime.items():
            count += await self.store.send_again(some, now, now + lifetime)
        return count

    async def reload(self) -> None:
        """
        Read the rules file again and use it.
        """
        await self.use_rules()

    async def change_rules(self, change: Callable[[RulesFile], None]) -> Config:
        """
        Have *change* edit the rules file, and use it at once; give the new rules.
        """
        source = self.config.source
        if source is None:
            raise RulesFileError("no rules file", "start the bridge with one to change it")
        async with self._one_at_a_time:
            # What cannot be used is not written, either: secrets have to be there.
            rules_file = RulesFile.read(source, secrets_needed=True)
            change(rules_file)
            rules_file.validate()
            await asyncio.to_thread(rules_file.write)
            await self.use_rules()
        return self.config

    async def sample(self, rule_id: str, event: EventType | None = None) -> Sample:
        """
        Send one sample notification as the rule *rule_id* asks; LookupError if there is none.
        """
        config = self.config
        rule = next((rule for rule in config.rules if rule.id == rule_id), None)
        if rule is None:
            raise LookupError(rule_id)
        return await send_sample(rule, config, event)


def _channels_in(entries: Iterable[StoryEntry]) -> set[str]:
    """
    Give the Uniqueids and Linkedids that *entries* name.
    """
    ami_events = (
        read_message(message)
        for entry in entries
        for message in AmiStream(NAMES_THAT_MATTER).feed(entry.messages)
    )
    found = {name for ami_event in ami_events if ami_event for name in named_in(ami_event)}
    # Names of channels are no help: they come again.
    return {name for name in found if "/" not in name}


def _pbx_view(pbx: Pbx) -> PbxView:
    status = pbx.link_status
    correlator = pbx.pipeline.correlator
    state, error = LinkState.CONNECTING, ""
    if status is not None and status.connected_since is not None:
        state = LinkState.CONNECTED
    elif status is not None and status.error is not None:
        refused = isinstance(status.error, AmiLoginRefused)
        state = LinkState.REFUSED if refused else LinkState.LOST
        error = str(status.error)
    return PbxView(
        name=pbx.name,
        address=pbx.pipeline.config.asterisk.address,
        state=state,
        connected_since=None if status is None else status.connected_since,
        error=error,
        next_attempt=None if status is None else status.next_attempt,
        asterisk_version=None if status is None else status.identity.asterisk_version,
        channels=len(correlator.followed),
        open_legs=len(correlator.open_legs),
        ami_events=pbx.heard.total,
        logins=pbx.logins,
        resynchronisations=pbx.resynchronisations,
        last_event=pbx.heard.last,
    )


def _call_view(call_id: str, pbx: str, legs: Sequence[Leg]) -> CallView:
    views = sorted(
        (
            LegView(
                extension=leg.extension,
                call_flow=leg.flow,
                state=leg.state,
                caller_id_num=leg.caller_id_num,
                caller_id_name=leg.caller_id_name,
                caller_extension=leg.caller_extension,
                called_did=leg.called_did,
                called_extension=leg.called_extension,
                called_number=leg.called_number,
                dialled_at=leg.dialled_at,
                answered_at=leg.answered_at,
            )
            for leg in legs
        ),
        key=lambda view: view.dialled_at or 0.0,
    )
    began = min((view.dialled_at for view in views if view.dialled_at is not None), default=None)
    return CallView(call_id, pbx, began, tuple(views))
