"""
Call-event requests as VoipNow's UnifiedAPI shows them: PhoneCallEvents.

A PhoneCallEvent is one event of one extension. All its values are strings; the numbers are
those of the vendor's public documentation (PhoneCallEvents Resource, UnifiedAPI).
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import attrs

from .call_events import EventType
from .rules import Method, Rule, why_never

#: Of `type`.
TYPES: Mapping[str, EventType] = {
    "0": EventType.DIAL_IN,
    "1": EventType.DIAL_OUT,
    "2": EventType.HANGUP,
    "3": EventType.ANSWER_IN,
    "4": EventType.ANSWER_OUT,
}
#: Of `method`, and of `status`: whether the request is made.
METHODS: Mapping[str, Method] = {"0": Method.GET, "1": Method.POST}
STATUSES: Mapping[str, bool] = {"0": False, "1": True}

_NUMBERS = {event: number for number, event in TYPES.items()}


@attrs.frozen
class PhoneCallEvent:
    """
    One event of one extension, and the request that tells of it.
    """

    type: str
    id: str
    method: str
    note: str
    #: As it is sent, without values that look like secrets.
    url: str
    status: str

    @property
    def event(self) -> EventType:
        """
        Give the event in the bridge's own words.
        """
        return TYPES[self.type]

    def as_json(self, collection: str, modified: str) -> dict[str, Any]:
        """
        Give what JSON has of it, in the vendor's order; *collection* is the list's address.
        """
        return {
            "type": self.type,
            "id": self.id,
            "method": self.method,
            "note": self.note,
            "url": self.url,
            "status": self.status,
            "modified": modified,
            "links": {"self": f"{collection}/{self.type}/{self.id}"},
        }


def is_extended(extension: str) -> bool:
    """
    Tell whether *extension* is one extended number, such as ``0003*210``, and no pattern.
    """
    number = extension.partition("*")[2]
    return why_never(extension) is None and bool(number) and not set("*?") & set(number)


def is_of(rule: Rule, extension: str) -> bool:
    """
    Tell whether *rule* is about *extension* alone, and not about it among others.
    """
    return [pattern.text for pattern in rule.extensions] == [extension]


def events_of(
    rules: Iterable[Rule], extension: str, shown: Mapping[str, str]
) -> Iterator[PhoneCallEvent]:
    """
    Give the PhoneCallEvents of *extension*: one for each event of each rule that is its own.

    *shown* are the rules' URLs as they may be shown, by the rules' ids.
    """
    for rule in rules:
        if is_of(rule, extension):
            for event in sorted(rule.events, key=_NUMBERS.__getitem__):
                yield PhoneCallEvent(
                    type=_NUMBERS[event],
                    id=rule.id,
                    method="1" if rule.method is Method.POST else "0",
                    note=rule.notes,
                    url=shown[rule.id],
                    status="1" if rule.enabled else "0",
                )
