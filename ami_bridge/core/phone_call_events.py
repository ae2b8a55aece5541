"""
Call-event requests as VoipNow's UnifiedAPI shows them: PhoneCallEvents.

A PhoneCallEvent is one event of one extension. All its values are strings; the numbers are
those of the vendor's public documentation (PhoneCallEvents Resource, UnifiedAPI).

Extension, type and id together name it, so that a rule of several events is several of them
with one id. The rules name a rule by its id alone: a rule of one event, whose id is taken by
another rule, has the number of its type behind it, ``popup.2`` or ``popup.2-2``, and is
shown as ``popup``.
"""

import re
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
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
#: What ids there may be, in rules.toml and in VoipNow.
_LONGEST_ID = 255
_ID = re.compile(rf"[0-9A-Za-z]{{1,{_LONGEST_ID}}}")
#: An id in the rules that has the number of a type behind it.
_ID_AND_TYPE = re.compile(r"(?P<id>.+)\.(?P<type>[0-4])(?:-[0-9]+)?")


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
    #: The id that the rules know it by.
    rule_id: str

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

    def news_in(self, fields: Mapping[str, str]) -> dict[str, str]:
        """
        Give those of *fields* that are not as they are shown.
        """
        return {name: text for name, text in fields.items() if getattr(self, name) != text}


def attributes_of(fields: Mapping[str, str]) -> dict[str, str]:
    """
    Give `method`, `url`, `status` and `note`, those that are there, as the rules have them.
    """
    found = {}
    for name, text in fields.items():
        match name:
            case "method":
                found["method"] = METHODS[text].value
            case "status":
                found["status"] = "enabled" if STATUSES[text] else "disabled"
            case "note":
                found["notes"] = text
            case _:
                found[name] = text
    return found


def is_extended(extension: str) -> bool:
    """
    Tell whether *extension* is one extended number, such as ``0003*210``, and no pattern.
    """
    number = extension.partition("*")[2]
    return why_never(extension) is None and bool(number) and not set("*?") & set(number)


def is_id(text: str) -> bool:
    """
    Tell whether *text* can be the id of a new PhoneCallEvent.
    """
    return _ID.fullmatch(text) is not None


def free_id(event_id: str, number: str, taken: Container[str]) -> str | None:
    """
    Give the id for a rule that is shown as *event_id* and type *number*; *taken* are others'.

    None means that what would tell it apart makes it too long.
    """
    found, count = event_id, 1
    while found in taken:
        found = f"{event_id}.{number}" if count == 1 else f"{event_id}.{number}-{count}"
        count += 1
    return found if len(found) <= _LONGEST_ID else None


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
    own = [rule for rule in rules if is_of(rule, extension)]
    ids = _shown_ids(own)
    for rule in own:
        for event in sorted(rule.events, key=_NUMBERS.__getitem__):
            yield PhoneCallEvent(
                type=_NUMBERS[event],
                id=ids[rule.id],
                method="1" if rule.method is Method.POST else "0",
                note=rule.notes,
                url=shown[rule.id],
                status="1" if rule.enabled else "0",
                rule_id=rule.id,
            )


def _shown_ids(own: Sequence[Rule]) -> dict[str, str]:
    """
    Give the ids that the rules *own* of one extension are shown with, by theirs.
    """
    taken = {(rule.id, event) for rule in own for event in rule.events}
    found = {}
    for rule in own:
        found[rule.id] = rule.id
        parts = _ID_AND_TYPE.fullmatch(rule.id)
        if parts is not None and rule.events == {TYPES[parts["type"]]}:
            key = (parts["id"], TYPES[parts["type"]])
            if key not in taken:
                taken.add(key)
                found[rule.id] = parts["id"]
    return found
