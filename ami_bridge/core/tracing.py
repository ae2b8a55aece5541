"""
Who is behind a dial: the walk from a dialled channel back to the first real caller.

A dial may pass through any number of Local channels: what ``Local/x;2`` dials was dialled
for whoever dialled ``Local/x;1``. The walk ends at a real channel, at a call that
Asterisk was asked to make, or at a pair of Local halves that a feature made for a party
of a call that is already up (the consultation of an attended transfer by DTMF).
"""

from collections import Counter

import attrs

from .channels import Channel, Channels, Origination
from .extensions import PartyKind
from .legs import Leg


@attrs.frozen
class Presented:
    """
    The caller id that a dial shows.
    """

    number: str
    name: str


@attrs.frozen
class Behind:
    """
    Who has a channel dialled.
    """

    #: The first real channel; None if it is gone, unknown or still to be called.
    caller: Channel | None = None
    #: The OUT leg that the dial belongs to, if an extension makes the call. Who consults in the
    #: middle of a call makes none.
    leg: Leg | None = None
    #: The dial is the first half of an originated call: the phone that clicked rings.
    ringing: Origination | None = None
    #: The number that is called, for a caller who did not dial one.
    number: str = ""
    #: The caller keyed that number in the middle of a call.
    keyed: bool = False
    #: The dial passed through a Local channel.
    through_local: bool = False


def trace(channels: Channels, dialled: Channel, presented: Presented) -> Behind:
    """
    Walk back from *dialled* to whoever has it dialled.

    What is *presented* by the dial names the party for whom a feature dials.
    """
    hop, called = dialled, ""
    transferred = through_local = False
    visited: set[int] = set()
    while id(hop) not in visited:
        visited.add(id(hop))
        source = hop.dialled_by
        if source is None and hop.forwarded_by is not None:
            hop = hop.forwarded_by
            presented = Presented(hop.connected_line_num, hop.connected_line_name)
            through_local = True
            continue
        if source is None and hop.origination is not None and hop.up:
            # It has been answered: whoever its other half calls now is called for whom it dialled.
            # Witness: fixtures/asterisk22/originate-queue-answers-first.
            return Behind(hop.reached, number=called, through_local=True)
        if source is None:
            return _undialled(channels, hop, presented, through_local)
        # Who was transferred on the way is called from there, whoever called them before.
        called = called if transferred else hop.dialled_from or source.sent_to
        transferred = transferred or source.transferred_to != ""
        if not source.is_local:
            return _real(source, called, through_local)
        through_local = True
        if source.origination is not None:
            return _dials_on(source.origination, called)
        if not source.runs_dialplan:
            # A ;1 that dials itself was transferred on: the party is at its other end.
            return Behind(source.far_end, number=called, through_local=True)
        if source.other_half is None:
            break
        hop = source.other_half
    return Behind(number=called, through_local=through_local)


def _real(source: Channel, called: str, through_local: bool) -> Behind:  # noqa: FBT001
    if source.party.kind is PartyKind.NOBODY:
        return Behind(number=called, through_local=through_local)
    return Behind(source, source.out_leg, number=called, through_local=through_local)


def _dials_on(origination: Origination, called: str) -> Behind:
    """
    The originated channel was answered and now dials: for the party it reached.
    """
    leg = origination.party()
    if leg is not None:
        return Behind(leg.channels[0], leg, number=called, through_local=True)
    return Behind(origination.head.far_end, number=called, through_local=True)


def _undialled(
    channels: Channels,
    hop: Channel,
    presented: Presented,
    through_local: bool,  # noqa: FBT001
) -> Behind:
    """
    Nobody was seen to dial *hop*: an Originate, or a feature for somebody in a call.
    """
    if hop.origination is not None:
        return Behind(ringing=hop.origination, through_local=through_local)
    own = not hop.linkedid or hop.linkedid == hop.uniqueid
    find = _find_transferee if own and hop.linkedid else find_party
    party = find(channels, hop, presented)
    if own and party is None:
        hop.origination = Origination(
            hop, caller_id_num=hop.connected_line_num, caller_id_name=hop.connected_line_name
        )
        return Behind(ringing=hop.origination, through_local=through_local)
    if party is None:
        return Behind(through_local=True)
    consults = not hop.dialled and party.up
    return Behind(
        party,
        None if consults else party.out_leg,
        number=hop.exten if hop.is_local else "",
        # Once that was answered, what is dialled next was keyed by nobody.
        keyed=consults and hop.far_end is None,
        through_local=True,
    )


def _find_transferee(channels: Channels, dialled: Channel, presented: Presented) -> Channel | None:
    """
    Find whom *dialled* is called for, if the target of an attended transfer did not answer.

    Asterisk keeps the transferrer's channel until somebody talks to the transferee. It rings
    the transferrer's phone, then the target again: calls of their own by nobody, which show
    the transferee's number. Witness: fixtures/asterisk22/xfer-recall, xfer-recall-then-target.
    """
    for one in channels:
        handed_on = one.transferee
        if handed_on is None or handed_on.caller_id_num != presented.number:
            continue
        if handed_on.uniqueid in channels and (dialled.is_local or dialled.party == one.party):
            return handed_on
    return None


def find_party(channels: Channels, dialled: Channel, presented: Presented) -> Channel | None:
    """
    Find the party of *dialled*'s call whom *presented* names, else the call's first channel.

    Where there are no linked ids the call is not known: then only a caller who waits in
    a queue, or called the PBX, and has that number will do, or for a Local channel who
    talks and has that name, too: they consult.
    """
    number, both = presented.number, (presented.number, presented.name)
    if dialled.linkedid is None:
        same = [one for one in channels if one.caller_id_num == number]
        callers = [one for one in same if one.inbound]
        waiting = [one for one in callers if one.queued]
        consulting = [one for one in same if dialled.is_local and _talks_as(one, both)]
        found = next(iter(waiting or callers or consulting), None)
        return found if number else _only_one_queued(channels)
    parties = [
        one
        for one in channels
        if one is not dialled and one.party.kind in (PartyKind.EXTENSION, PartyKind.OUTSIDE)
    ]
    named = [
        one
        for one in parties
        if number and number in (one.caller_id_num, one.party.extension, one.party.number)
    ]
    # The phone that clicked may show the number of whom it called, but hardly the name, too.
    # Witness: fixtures/asterisk22/originate-xfer-attended-dtmf-by-callee.
    named.sort(key=lambda one: (one.caller_id_num, one.caller_id_name) != both)
    for one in named:
        if one.linkedid == dialled.linkedid:
            return one
    # Calls that merge change their Linkedid, and nothing that is read here tells of it. Who is
    # in a merged call seems to be the last of its own.
    first = next((one for one in parties if one.uniqueid == dialled.linkedid), None)
    in_call = Counter(one.linkedid for one in parties)
    talking = [one for one in named if one.up and one.is_extension]
    merged = [one for one in talking if _has_talked(one) and in_call[one.linkedid] == 1]
    return next(iter(merged or talking), first) if first is not None else None


def _talks_as(one: Channel, caller_id: tuple[str, str]) -> bool:
    return one.is_extension and one.up and (one.caller_id_num, one.caller_id_name) == caller_id


def _has_talked(party: Channel) -> bool:
    """
    Tell whether *party* called or was called: others are in the dialplan, whose page or
    conference may call.
    """
    return party.dials or party.in_leg is not None


def _only_one_queued(channels: Channels) -> Channel | None:
    queued = [one for one in channels if one.queued]
    return queued[0] if len(queued) == 1 else None
