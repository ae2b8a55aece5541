"""
Says why a call event was said, or was not: what Asterisk said, what followed, who was told.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import attrs

from .ami_events import AmiEvent
from .ami_stream import AmiMessage
from .call_events import CallEvent
from .correlator import Correlator, CorrelatorSettings
from .requests import event_id
from .rules import Rule
from .stories import Stories, named_in

#: Headers that tell a person what happened, in this order; DialBegin has a second channel.
_TELLING = (
    *("Channel", "Uniqueid", "Linkedid", "ChannelStateDesc", "Context", "Exten"),
    *("CallerIDNum", "CallerIDName", "DestChannel", "DestUniqueid", "DestLinkedid", "DialStatus"),
    *("LocalOneChannel", "LocalOneUniqueid", "LocalTwoChannel", "LocalTwoUniqueid"),
    *("TargetChannel", "TargetUniqueid", "SubEvent", "Source", "Destination", "Newname"),
    *("OrigTransfererChannel", "OrigTransfererUniqueid", "TransfereeChannel", "TransfereeUniqueid"),
    *("Application", "Response", "Result", "Queue", "Cause", "Cause-txt"),
)

#: Headers that name a channel, the first of those that are there; and its Uniqueid.
_FIRST_CHANNELS = ("Channel", "LocalOneChannel", "Source", "OrigTransfererChannel")
_FIRST_UNIQUEIDS = ("Uniqueid", "LocalOneUniqueid", "OrigTransfererUniqueid")
#: Headers that name the other one of two channels.
_SECOND_CHANNELS = (
    *("DestChannel", "Destination", "LocalTwoChannel", "TargetChannel", "TransfereeChannel"),
    "Newname",
)
#: Headers that are told with their names.
_NAMED = ("Exten", "Application", "Response", "Result", "Queue", "SubEvent")


@attrs.frozen
class Judged:
    """
    What a rule makes of a call event.
    """

    rule_id: str
    #: Why the rule is not told; empty if it is.
    why_not: str
    #: Id of the delivery, whether it was made or not.
    delivery: str


@attrs.frozen
class Consequence:
    """
    A call event, and what each rule makes of it.
    """

    call_event: CallEvent
    rules: tuple[Judged, ...]


@attrs.frozen
class Step:
    """
    One AMI event of the call, and what followed from it.
    """

    #: Seconds since the epoch; None where no time is known.
    time: float | None
    #: Name of the AMI event.
    event: str
    #: Those of its headers that tell what happened.
    headers: Mapping[str, str]
    said: tuple[Consequence, ...] = ()
    #: What was not expected, by kind.
    anomalies: tuple[str, ...] = ()

    @property
    def summary(self) -> str:
        """
        Say what the AMI event tells, as short as it can be told.
        """
        headers = self.headers
        one, other, uniqueid = (
            next((headers[name] for name in names if name in headers), "")
            for names in (_FIRST_CHANNELS, _SECOND_CHANNELS, _FIRST_UNIQUEIDS)
        )
        caller = " ".join(filter(None, (headers.get("CallerIDNum"), headers.get("CallerIDName"))))
        parts = [f"{one} → {other}" if other else one]
        parts += [headers[name] for name in ("ChannelStateDesc", "DialStatus") if name in headers]
        if caller:
            parts.append(f"caller id {caller}")
        parts += [f"{name} {headers[name]}" for name in _NAMED if name in headers]
        if "Cause" in headers:
            parts.append(f"cause {headers['Cause']} {headers.get('Cause-txt', '')}".rstrip())
        parts.append(f"[{uniqueid}]")
        return ", ".join(filter(None, parts))

    def as_json(self) -> dict[str, Any]:
        """
        Give what JSON has of it.
        """
        return {
            "time": self.time,
            "event": self.event,
            "headers": dict(self.headers),
            "summary": self.summary,
            "said": [
                {
                    "event": one.call_event.type.value,
                    "extension": one.call_event.extension,
                    "call_id": one.call_event.call_id,
                    "call_status": one.call_event.call_status.value,
                    "rules": [attrs.asdict(rule) for rule in one.rules],
                }
                for one in self.said
            ],
            "anomalies": list(self.anomalies),
        }


class Explainer:
    """
    Follows all calls of one PBX, and remembers those that have to do with *call_id*.

    None stands for all of them, which are remembered then, however many they are.
    """

    def __init__(
        self,
        call_id: str | None,
        settings: CorrelatorSettings,
        rules: Iterable[Rule],
        read: Callable[[AmiMessage], AmiEvent | None],
    ) -> None:
        self._call_id = call_id
        # Asterisk knows nothing of the PBX's name in front of it.
        prefix = f"{settings.pbx}-" if settings.pbx else ""
        self._linkedid = None if call_id is None else call_id.removeprefix(prefix)
        self._rules = tuple(rules)
        self._read = read
        self._correlator = Correlator(settings)
        self._stories = Stories(self._correlator.follows)
        #: Steps by story, of stories that may still turn out to be the call's.
        self._steps: dict[str, list[tuple[int, Step]]] = {}
        self._concerned: set[str] = set()
        self._count = 0

    def take(self, message: AmiMessage, time: float | None) -> None:
        """
        Take the next AMI message, which came at *time*.
        """
        ami_event = self._read(message)
        if ami_event is None:
            return
        said = self._correlator.feed(ami_event, time)
        story = self._stories.note(ami_event)
        if story is None:
            return
        call_events = [one for one in said if isinstance(one, CallEvent)]
        step = Step(
            time,
            message.headers.get("Event", ""),
            {name: message.headers[name] for name in _TELLING if message.headers.get(name)},
            tuple(Consequence(one, self._judge(one)) for one in call_events),
            tuple(one.kind for one in said if not isinstance(one, CallEvent)),
        )
        self._count += 1
        self._steps.setdefault(story, []).append((self._count, step))
        if (
            self._call_id is None
            or self._linkedid in named_in(ami_event)
            or any(one.call_id == self._call_id for one in call_events)
        ):
            self._concerned.add(story)
        self._forget(self._stories.take_ended())

    def steps(self) -> list[Step]:
        """
        Give the steps of the call, and of the calls that met it, in their order.
        """
        for story in list(self._concerned):
            self._concerned.update(self._stories.together(story))
        found = [one for story in self._concerned for one in self._steps.get(story, ())]
        return [step for _, step in sorted(found, key=lambda one: one[0])]

    def _judge(self, call_event: CallEvent) -> tuple[Judged, ...]:
        return tuple(
            Judged(rule.id, rule.why_not(call_event), event_id(call_event, rule))
            for rule in self._rules
        )

    def _forget(self, ended: list[str]) -> None:
        # What ended at one moment are the names of one story.
        if self._concerned.isdisjoint(ended):
            for story in ended:
                self._steps.pop(story, None)
        else:
            self._concerned.update(ended)
