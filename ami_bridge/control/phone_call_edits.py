"""
Edits of the rules that are asked for as PhoneCallEvents, VoipNow's resource.

They look at the rules as they are when it is their turn, and say nothing of what they did
where they refuse.
"""

from collections.abc import Iterable, Iterator, Mapping

import attrs

from ami_bridge.config.editing import RulesFile
from ami_bridge.core.masking import masked_url
from ami_bridge.core.phone_call_events import (
    TYPES,
    PhoneCallEvent,
    attributes_of,
    events_of,
    free_id,
)
from ami_bridge.core.rules import Rule

from . import admission
from .access import Visitor
from .answers import Refusal


def phone_call_events(rules: Iterable[Rule], extension: str) -> Iterator[PhoneCallEvent]:
    """
    Give the PhoneCallEvents of *extension*, without secrets.
    """
    rules = tuple(rules)
    return events_of(rules, extension, {rule.id: masked_url(rule.url) for rule in rules})


def find(rules: Iterable[Rule], extension: str, number: str, event_id: str) -> PhoneCallEvent:
    """
    Give the PhoneCallEvent of that type *number* and id; raises LookupError if there is none.

    The id in the file is understood, too: a rule ``crm.2`` of several events is shown as it is
    until Hangup is the only one left, and an address that somebody knows goes on to lead there.
    """
    for one in phone_call_events(rules, extension):
        # None is shown with an id that another one of its type has in the file.
        if one.type == number and event_id in (one.id, one.rule_id):
            return attrs.evolve(one, id=event_id)
    raise LookupError(event_id)


def add(
    visitor: Visitor,
    rules_file: RulesFile,
    extension: str,
    one: tuple[str, str],
    fields: Mapping[str, str],
) -> None:
    """
    Add the PhoneCallEvent *one*, a type and an id, with *fields*.
    """
    number, event_id = one
    own = phone_call_events(rules_file.config.rules, extension)
    if one in ((other.type, other.id) for other in own):
        raise Refusal(400, "pce_id_invalid", f"there is an event {event_id} of type {number}")
    attributes = {
        "id": _free_id(rules_file, number, event_id),
        "extension": extension,
        "event": TYPES[number].value,
        "url": "",
        **attributes_of(fields),
    }
    admission.check_attributes(attributes)
    admission.add(visitor, rules_file, attributes)


def change(
    visitor: Visitor,
    rules_file: RulesFile,
    extension: str,
    one: tuple[str, str],
    fields: Mapping[str, str],
) -> None:
    """
    Change *fields* of the PhoneCallEvent *one*, a type and an id.

    A rule that tells of other events, too, goes on with those as it was; this event gets a
    rule of its own. Raises LookupError if there is no such PhoneCallEvent.
    """
    number, event_id = one
    found = find(rules_file.config.rules, extension, number, event_id)
    # A secret that comes back as it is shown stays what it is.
    attributes = attributes_of(found.news_in(fields))
    if not attributes:
        return
    admission.check_attributes(attributes)
    rule_id = found.rule_id
    others = admission.visible(visitor, rules_file, rule_id).events - {found.event}
    if others:
        rule_id = _free_id(rules_file, number, event_id)
        copied = rules_file.attributes(found.rule_id)
        rules_file.add({**copied, "id": rule_id, "event": found.event.value})
        _narrow(visitor, rules_file, found.rule_id, [event.value for event in others])
    admission.change(visitor, rules_file, rule_id, attributes)


def remove(visitor: Visitor, rules_file: RulesFile, gone: Iterable[PhoneCallEvent]) -> None:
    """
    Take out *gone*; a rule that tells of other events, too, goes on with those.
    """
    for one in gone:
        rule = admission.visible(visitor, rules_file, one.rule_id)
        if others := rule.events - {one.event}:
            _narrow(visitor, rules_file, one.rule_id, [event.value for event in others])
        else:
            admission.remove(visitor, rules_file, one.rule_id)


def _narrow(visitor: Visitor, rules_file: RulesFile, rule_id: str, events: list[str]) -> None:
    in_order = [event.value for event in TYPES.values() if event.value in events]
    admission.change(visitor, rules_file, rule_id, {"event": in_order})


def _free_id(rules_file: RulesFile, number: str, event_id: str) -> str:
    found = free_id(event_id, number, set(rules_file.ids))
    if found is None:
        raise Refusal(
            400, "pce_id_invalid", "this id is taken, and too long to be told apart from another"
        )
    return found
