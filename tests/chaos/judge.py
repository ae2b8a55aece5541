"""
The judgement: what the receivers wrote down, against what the calls must lead to.

An event *must* be told if the bridge heard what causes it, or if the list of channels that
closed the gap shows it: the leg lived then. It *may* be told in any case, if it happened. A
leg that was told of must end, once, whatever happened. Everything else is lost or extra.

Of a call whose bytes were spoilt on their way the bridge may have understood anything; what it
told of it must end all the same.
"""

import itertools
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence

import attrs

from ami_bridge.core.call_events import CallEvent, EventType, HangupDialect, parameters
from ami_bridge.core.requests import event_id
from ami_bridge.core.rules import Rule

from .hearing import Gap
from .receiver import Arrival
from .traffic import PlayedCall

_DIALS = (EventType.DIAL_IN, EventType.DIAL_OUT)
_ANSWERS = (EventType.ANSWER_IN, EventType.ANSWER_OUT)
#: What a leg is known by.
_LEG = ("CallID", "Extension", "CallFlow")
#: What is told of a call for which nobody rang.
_CUT_OFF = (EventType.DIAL_OUT, EventType.HANGUP)
_NEVER = 1 << 60
#: Where events stand in their leg.
_STEPS = {kind: 1 if kind in _ANSWERS else 0 if kind in _DIALS else 2 for kind in EventType}


@attrs.define(eq=False)
class LegFate:
    """
    One leg as it was played: when its events happened, and what may be expected.
    """

    name: str
    #: The dial, the answer if there was one, and the end, as the receivers should hear them.
    events: list[CallEvent]
    #: By kind of event: how much the PBX had said before the chunk that causes it.
    happened: dict[EventType, int]
    #: By kind of event: everything that led to it was heard, so that every value is known.
    clearly_heard: dict[EventType, bool]
    #: Kinds of events that the bridge must tell.
    must: set[EventType] = attrs.field(factory=set)
    #: Kinds that only a list of channels could show.
    late: set[EventType] = attrs.field(factory=set)

    def excuse(self) -> None:
        """
        Expect nothing but an end.
        """
        self.must.clear()
        self.late.update(self.happened)
        self.clearly_heard = dict.fromkeys(self.clearly_heard, False)


@attrs.frozen
class Finding:
    """
    Something to be counted: a fault of the bridge, or a fact for the table.
    """

    what: str
    detail: str
    #: How much the PBX had said when it happened.
    position: int = -1
    #: When a request showed it; None where none did.
    time: float | None = None
    #: The kind of fault that is to blame.
    blamed: str = ""


def fates(played: PlayedCall, pbx: str, gaps: Sequence[Gap]) -> list[LegFate]:
    """
    Say of each leg in *played*, on the PBX called *pbx*, what may be expected of it.
    """
    by_leg: dict[str, list[tuple[CallEvent, int]]] = defaultdict(list)
    for expected in played.call.expected:
        if expected.chunk < len(played.positions):
            position = played.positions[expected.chunk]
            if played.ended_at is None or position < played.ended_at:
                by_leg[expected.call_event.leg].append((expected.call_event, expected.chunk))
    begun = [_fate(played, pbx, gaps, events) for events in by_leg.values()]
    return begun + list(_cut_off(played, pbx, gaps, set(by_leg)))


def _cut_off(
    played: PlayedCall, pbx: str, gaps: Sequence[Gap], begun: set[str]
) -> Iterator[LegFate]:
    """
    Give the legs of extensions that had dialled, for whom nobody rang before the PBX went down.

    Each has made a call, which is over: a Dial-Out and a Hangup.
    """
    if played.ended_at is None:
        return
    for expected in played.call.expected:
        dial = expected.call_event
        uniqueid = dial.leg.split("/")[1]
        chunk = played.call.first_chunk_of(uniqueid)
        if dial.leg in begun or dial.type is not EventType.DIAL_OUT:
            continue
        position = played.positions[chunk] if chunk < len(played.positions) else _NEVER
        if position >= played.ended_at:
            continue
        events = [played.fresh_event(attrs.evolve(dial, type=kind), pbx) for kind in _CUT_OFF]
        happened = dict.fromkeys(_CUT_OFF, played.ended_at)
        clear = dict.fromkeys(_CUT_OFF, False)
        fate = LegFate(f"{played.call.name}: {events[0].leg}", events, happened, clear)
        rang = b"ChannelState: 4\r\n" in played.call.chunks[chunk][1]
        feature = dial.called_number.startswith(("*", "#"))
        if rang and not feature and not _gap(gaps, position):
            fate.must.update(_CUT_OFF)
        yield fate


def _fate(
    played: PlayedCall, pbx: str, gaps: Sequence[Gap], events: list[tuple[CallEvent, int]]
) -> LegFate:
    fresh = [played.fresh_event(call_event, pbx) for call_event, _ in events]
    happened = {event.type: played.positions[chunk] for event, chunk in events}
    clear = {
        event.type: not any(_gap(gaps, at) for at in played.positions[: chunk + 1])
        for event, chunk in events
    }
    if EventType.HANGUP not in happened and played.ended_at is not None:
        # The PBX went down: that is the end of every leg.
        happened[EventType.HANGUP] = played.ended_at
        clear[EventType.HANGUP] = False
        fresh.append(attrs.evolve(fresh[0], type=EventType.HANGUP))
    fate = LegFate(f"{played.call.name}: {fresh[0].leg}", fresh, happened, clear)
    for kind, position in happened.items():
        gap = _gap(gaps, position)
        if gap is not None:
            fate.late.add(kind)
        if kind is EventType.HANGUP:
            continue
        if gap is None or _lives(played, happened, gap.listed):
            fate.must.add(kind)
    if not fate.must & set(_DIALS):
        # It began and ended unheard; whoever hears an answer later has seen the list before.
        fate.must.clear()
    elif EventType.HANGUP in happened:
        fate.must.add(EventType.HANGUP)
    return fate


def _gap(gaps: Sequence[Gap], position: int) -> Gap | None:
    return next((gap for gap in gaps if gap.begin <= position < gap.end), None)


def _lives(played: PlayedCall, happened: dict[EventType, int], listed: int) -> bool:
    """
    Tell whether a list that was given when the PBX had said *listed* chunks shows the leg.
    """
    end = happened.get(EventType.HANGUP)
    if end is None:
        return True
    # A PBX that went down at that very moment may have been asked before it or after it.
    return end > listed if end == played.ended_at else end >= listed


class Judge:
    """
    Holds what *arrivals* say against the fates of all legs.

    Of the rule *redirected*, whose receiver may answer with a final failure, an event only has
    to arrive. *understood* are the CallIDs of calls that nothing was misunderstood of; None if
    nothing was misunderstood at all. Where something was, there may be calls that never were.
    """

    def __init__(
        self,
        legs: Iterable[LegFate],
        rules: Iterable[Rule],
        arrivals: Sequence[Arrival],
        *,
        redirected: str,
        understood: frozenset[str] | None = None,
    ) -> None:
        self._legs = list(legs)
        self._rules = list(rules)
        self._redirected = redirected
        self._understood = understood
        self._by_id: dict[str, list[Arrival]] = defaultdict(list)
        for arrival in arrivals:
            self._by_id[arrival.webhook_id].append(arrival)
        self._known: set[str] = set()

    @property
    def owed(self) -> int:
        """
        Count what must be told.
        """
        return sum(
            call_event.type in leg.must and rule.wants(call_event)
            for leg in self._legs
            for rule in self._rules
            for call_event in leg.events
        )

    def missing(self) -> int:
        """
        Count what must be told and was not told so far.
        """
        return sum(
            not self._is_told(rule, event_id(call_event, rule))
            for leg in self._legs
            for rule in self._rules
            for call_event in leg.events
            if call_event.type in leg.must and rule.wants(call_event)
        )

    def findings(self) -> list[Finding]:
        """
        Give everything that is to be counted.
        """
        found: list[Finding] = []
        for leg in self._legs:
            for rule in self._rules:
                found += self._judge_leg(leg, rule)
        found += self._strangers()
        return found

    def _is_told(self, rule: Rule, webhook_id: str) -> bool:
        arrivals = self._by_id.get(webhook_id, [])
        if rule.id == self._redirected:
            return any(arrival.status is not None for arrival in arrivals)
        return any(arrival.accepted for arrival in arrivals)

    def _was_answered(self, leg: LegFate) -> bool:
        """
        Tell whether anybody was told of an answer.
        """
        return any(
            event_id(event, rule) in self._by_id
            for event in leg.events
            for rule in self._rules
            if event.type in _ANSWERS
        )

    def _judge_leg(self, leg: LegFate, rule: Rule) -> list[Finding]:
        found: list[Finding] = []
        wanted = [event for event in leg.events if rule.wants(event)]
        ids = {event.type: event_id(event, rule) for event in wanted}
        self._known.update(ids.values())
        arrived = {kind: self._by_id.get(webhook_id, []) for kind, webhook_id in ids.items()}
        told_of = any(arrived.values())
        answered = self._was_answered(leg)
        must = set(leg.must)
        if told_of:
            # Whatever it was that the bridge told: there is a beginning, and an end.
            must |= {kind for kind in ids if kind in _DIALS or kind is EventType.HANGUP}

        def note(what: str, kind: EventType, more: str = "") -> None:
            detail = f"{rule.id} {kind.value} of {leg.name} {more}"
            found.append(Finding(what, detail.strip(), leg.happened[kind]))

        for kind, webhook_id in ids.items():
            told = self._is_told(rule, webhook_id)
            if kind in must and not told:
                more = "from the list" if kind in leg.late else "as heard"
                note("lost", kind, f"{more}, {len(arrived[kind])} attempts {leg.happened}")
            elif kind in leg.late:
                note("told late" if told else "unknowable", kind)
            found += _repeats(arrived[kind], rule, leg, kind)
        for detail, kind in _disorder(arrived, redirected=rule.id == self._redirected):
            note("disordered", kind, detail)
        for event in wanted:
            for detail in _changes(leg, event, arrived[event.type], answered=answered):
                note("changed", event.type, detail)
        return found

    def _strangers(self) -> list[Finding]:
        """
        Find what was told and never happened.
        """
        understood = self._understood
        found: list[Finding] = []
        phantoms: dict[tuple[str, ...], Counter[str]] = defaultdict(Counter)
        for webhook_id, arrivals in self._by_id.items():
            if webhook_id in self._known:
                continue
            arrival, told = arrivals[0], arrivals[0].parameters
            phantom = understood is not None and told.get("CallID") not in understood
            detail = f"{arrival.rule} {told.get('EventType')} {told}"
            found.append(Finding("phantom" if phantom else "extra", detail, time=arrival.time))
            if phantom:
                leg = (arrival.rule, *(told.get(name, "") for name in _LEG))
                phantoms[leg][told.get("EventType", "")] += 1
        for leg, counts in phantoms.items():
            # They must not go on for ever.
            if counts["dial-in"] + counts["dial-out"] > counts["hangup"]:
                found.append(Finding("lost", f"Hangup of the phantom {leg}"))
        return found


def _repeats(arrivals: list[Arrival], rule: Rule, leg: LegFate, kind: EventType) -> list[Finding]:
    """
    Find what came again after it had been accepted, and whether it was the same.
    """
    first = next((i for i, arrival in enumerate(arrivals) if arrival.accepted), len(arrivals))
    detail = f"{rule.id} {kind.value} of {leg.name}"
    found = [Finding("repeated", detail, time=again.time) for again in arrivals[first + 1 :]]
    for again in arrivals[1:]:
        if again.parameters != arrivals[0].parameters:
            values = dict(set(again.parameters.items()) - set(arrivals[0].parameters.items()))
            found.append(Finding("changed", f"{detail}: not {values} before", time=again.time))
    return found


def _disorder(
    arrived: dict[EventType, list[Arrival]], *, redirected: bool
) -> list[tuple[str, EventType]]:
    """
    Find attempts that were made before what precedes them in the leg was done with.
    """
    found = []
    ordered = sorted(arrived, key=_STEPS.__getitem__)
    for earlier, later in itertools.pairwise(ordered):
        if not arrived[later]:
            continue
        done = [
            arrival.number
            for arrival in arrived[earlier]
            if arrival.accepted or (redirected and arrival.status is not None)
        ]
        if not done and arrived[earlier]:
            found.append((f"before {earlier.value} was accepted", later))
        elif done and arrived[later][0].number < done[0]:
            found.append((f"before {earlier.value}", later))
    return found


def _changes(
    leg: LegFate, event: CallEvent, arrivals: list[Arrival], *, answered: bool
) -> Iterable[str]:
    """
    Find values that are not those of the golden events, or not those of what was told before.
    """
    if not arrivals:
        return
    wanted = parameters(event, HangupDialect.SIMPLE)
    if event.type is EventType.HANGUP and not leg.clearly_heard[event.type]:
        wanted["CallStatus"] = "ANSWER" if answered else "UNKNOWN"
    sure = ["CallID", "CallFlow", "CallStatus"]
    for name in wanted if leg.clearly_heard[event.type] else sure:
        if arrivals[0].parameters.get(name) != wanted[name]:
            yield f"{name}: {arrivals[0].parameters.get(name)!r}, not {wanted[name]!r}"
