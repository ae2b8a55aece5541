"""
Channels that nobody saw begin: from the rows of a list to the AMI records that were missed.

A list shows what is, not what happened. Who was dialled is told by the application
``(Outgoing Line)``, who called the PBX by the number dialled (DNID), and by whom a channel was
dialled by its bridge, or while it rings by its Linkedid and by the arguments of the dialplan's
applications. Of what the list does not tell nothing is made up: a dial by nobody, an empty
number. docs/explanation/call-model.md, section 6, is the contract.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from .ami_events import (
    AmiEvent,
    ChannelState,
    DialBegin,
    DialEnd,
    DialStatus,
    LocalBridge,
    Newchannel,
    Newstate,
    OriginateResponse,
)
from .channel_list import ChannelRow, age
from .channels import Channel, Channels
from .extensions import endpoint_of

#: What a channel that was dialled shows in place of an application's argument.
_OUTGOING = "(Outgoing Line)"
#: Dialled by nobody's channel: by an Originate, a page, a feature.
_BY_NOBODY = "AppDial2"
#: The application that dials a channel which shows this one.
_DIALLED_BY = {"AppDial": "Dial", "AppQueue": "Queue"}
#: Waits for others to answer; its caller has been answered long since.
_QUEUE = "Queue"
#: Technologies whose callers always have a DNID: a channel without one was originated.
_TELL_DNID = frozenset({"PJSIP", "SIP", "IAX2"})


def adopt(rows: Iterable[ChannelRow], followed: Channels, *, announce: bool) -> list[AmiEvent]:
    """
    Give what Asterisk would have told of *rows* beyond what made *followed*, in order.

    With *announce* false channels that are new are shown as they are and not as they came to
    be, so that nobody is told of their calls.
    """
    known = {channel.uniqueid: channel for channel in followed}
    if not announce:
        new = [row for row in rows if row.uniqueid not in known]
        silent = [record for row in sorted(new, key=_age) for record in _as_it_is(row)]
        rows = [row for row in rows if row.uniqueid in known]
        return silent + _Adoption(rows, known).records()
    return _Adoption(rows, known).records()


def _age(row: ChannelRow) -> tuple[int, int, str]:
    return age(row.uniqueid)


def _as_it_is(row: ChannelRow) -> list[AmiEvent]:
    """
    Show a channel that is older than the first attach, and the number it called if it did.
    """
    now = Newstate(row.channel)
    if row.dnid and not _was_dialled(row):
        called = row.channel._replace(state=ChannelState.RING, exten=row.dnid)
        return [Newstate(called)] if row.channel.state is called.state else [Newstate(called), now]
    if row.channel.state is ChannelState.RING:
        # Where it is in the dialplan now is no number that it called.
        now = Newstate(row.channel._replace(exten=""))
    return [now]


def _was_dialled(row: ChannelRow) -> bool:
    return row.data == _OUTGOING


def _is_local(row: ChannelRow) -> bool:
    return row.channel.name.startswith("Local/")


def _may_lack_dnid(row: ChannelRow) -> bool:
    """
    Tell whether a channel without a DNID may have called the PBX all the same.
    """
    return row.dnid is None or row.channel.name.partition("/")[0] not in _TELL_DNID


def _is_up(row: ChannelRow) -> bool:
    return row.channel.state is ChannelState.UP


class _Part(NamedTuple):
    """
    The part of one channel in its call.
    """

    row: ChannelRow
    #: The number with which it called the PBX; None if it did not.
    called: str | None = None
    #: It was the destination of a dial.
    dialled: bool = False
    #: The dial is not known yet to whoever follows the channels.
    dial_missed: bool = False
    #: Who dialled it, where that can be seen.
    dialler: ChannelRow | None = None


class _Adoption:
    """
    One list, on its way to records: births and dials from the oldest on, then answers.
    """

    def __init__(self, rows: Iterable[ChannelRow], known: Mapping[str, Channel]) -> None:
        self._rows = sorted(rows, key=_age)
        self._known = known
        self._records: list[AmiEvent] = []
        self._by_uniqueid = {row.uniqueid: row for row in self._rows}
        self._by_name = {row.channel.name: row for row in self._rows}
        #: The channels that talk to each other, and those of one call, the oldest first.
        self._together: dict[str, list[ChannelRow]] = {}
        for row in self._rows:
            self._together.setdefault(f"bridge {row.bridge}", []).append(row)
            self._together.setdefault(f"call {row.channel.linkedid}", []).append(row)
        self._parts = {row.uniqueid: self._part(row) for row in self._rows}
        #: Whom each channel dialled.
        self._callees: dict[str, list[_Part]] = {}
        for part in self._parts.values():
            if part.dialler is not None:
                self._callees.setdefault(part.dialler.uniqueid, []).append(part)
        #: Channels that are up here and were seen to be, or have been told to be.
        self._up_told = {uniqueid for uniqueid, channel in known.items() if channel.up}

    def records(self) -> list[AmiEvent]:
        """
        Give the records; called once.
        """
        for row in self._rows:
            part = self._parts[row.uniqueid]
            if row.uniqueid in self._known:
                self._keep(part)
            else:
                self._bear(part)
            if part.dial_missed:
                self._dial(part)
            elif part.called is not None and not self._waits_for_answer(part):
                self._come_up(part)
        # A callee answers before whoever called it, and is the younger one.
        for row in reversed(self._rows):
            self._come_up(self._parts[row.uniqueid])
        return self._records

    # -- births ------------------------------------------------------------------------

    def _bear(self, part: _Part) -> None:
        """
        Show the birth of a channel.
        """
        snapshot = part.row.channel
        if part.called is not None:
            # A caller is the first of its call, whatever became of the call.
            first = None if snapshot.linkedid is None else snapshot.uniqueid
            born = snapshot._replace(state=ChannelState.RING, exten=part.called, linkedid=first)
        elif _is_local(part.row) and not part.dialled and snapshot.name.endswith("2"):
            born = snapshot._replace(state=ChannelState.RING)
        else:
            born = snapshot._replace(state=ChannelState.DOWN)
        if part.dialled and snapshot.linkedid == snapshot.uniqueid:
            # An originated phone shows the other party's number, not its own, and dials on
            # elsewhere than it was made.
            born = born._replace(caller_id_num="", caller_id_name="", exten="")
        self._records.append(Newchannel(born, legacy=snapshot.linkedid is None))
        if snapshot.name.endswith(";2"):
            other = self._by_name.get(f"{snapshot.name[:-1]}1")
            if other is not None:
                self._records.append(LocalBridge(other.uniqueid, snapshot.uniqueid))

    def _keep(self, part: _Part) -> None:
        """
        Show what became of a channel that is followed, its answer apart.
        """
        channel, snapshot = self._known[part.row.uniqueid], part.row.channel
        if part.called is not None and not channel.inbound:
            called = snapshot._replace(state=ChannelState.RING, exten=part.called)
            self._records.append(Newstate(called))
        elif snapshot.linkedid != channel.linkedid and (channel.up or not _is_up(part.row)):
            self._records.append(Newstate(snapshot))

    # -- parts -------------------------------------------------------------------------

    def _part(self, row: ChannelRow) -> _Part:
        channel = self._known.get(row.uniqueid)
        if channel is None:
            return self._part_of_new(row)
        if channel.dialled:
            source = channel.dialled_by.uniqueid if channel.dialled_by is not None else ""
            return _Part(row, dialled=True, dialler=self._by_uniqueid.get(source))
        if channel.seen_from_birth and not channel.up:
            if not channel.inbound and (row.application or row.dnid):
                return self._part_of_new(row)
            if channel.inbound and _was_dialled(row):
                # It called to pick up another call, and was given that call's role.
                return self._dialled(row)
        return _Part(row, called="" if channel.inbound else None)

    def _part_of_new(self, row: ChannelRow) -> _Part:
        snapshot = row.channel
        first = snapshot.linkedid in (None, snapshot.uniqueid)
        if _was_dialled(row):
            return self._dialled(row)
        if _is_local(row):
            # A half that is the first of its call and runs an application was originated.
            head = first and not snapshot.name.endswith("2")
            return _Part(row, dialled=head, dial_missed=head)
        if not row.application and snapshot.state is ChannelState.DOWN:
            # Just made: what becomes of it will be heard.
            return _Part(row)
        if row.dnid or snapshot.state is ChannelState.RING or (first and _may_lack_dnid(row)):
            return _Part(row, called=row.dnid or "")
        if first or row.application:
            # Originated, or dialled by somebody who is gone, and now it runs the dialplan itself.
            return _Part(row, dialled=True, dial_missed=True)
        return self._dialled(row)

    def _dialled(self, row: ChannelRow) -> _Part:
        return _Part(row, dialled=True, dial_missed=True, dialler=self._dialler(row))

    def _dialler(self, row: ChannelRow) -> ChannelRow | None:
        """
        Find who dialled the channel of *row*: the likeliest of the older ones, if any is likely.
        """
        if row.application == _BY_NOBODY:
            return None
        near = [*self._together[f"call {row.channel.linkedid}"]]
        if row.bridge:
            near += self._together[f"bridge {row.bridge}"]
        likely = [(_likelihood(one, row), _age(one), one) for one in near if _age(one) < _age(row)]
        best, _, dialler = max(likely, key=lambda each: each[:2], default=(0, None, None))
        return dialler if best else None

    # -- dials and answers ---------------------------------------------------------------

    def _dial(self, part: _Part) -> None:
        """
        Show the dial of a channel, after what must have been before it.
        """
        row, dialler = part.row, part.dialler
        destination = row.channel
        if dialler is not None:
            self._precede(dialler)
            self._records.append(DialBegin(dialler.channel, destination))
            return
        if destination.linkedid is None:
            if not _is_local(row):
                # An old Asterisk tells no dial by nobody: whoever rings was called.
                ringing = destination._replace(state=ChannelState.RINGING)
                self._records.append(Newstate(ringing))
            return
        if row.application != _BY_NOBODY and destination.linkedid != destination.uniqueid:
            # Whoever it talks to now is not who called it.
            destination = destination._replace(connected_line_num="", connected_line_name="")
        self._records.append(DialBegin(None, destination))

    def _precede(self, dialler: ChannelRow) -> None:
        """
        Show the answers without which *dialler* could not have dialled.
        """
        part = self._parts[dialler.uniqueid]
        if part.dialled:
            self._come_up(part)
        if _is_local(dialler) and dialler.channel.name.endswith("1"):
            half = self._by_name.get(f"{dialler.channel.name[:-1]}2")
            for reached in self._callees.get(half.uniqueid, ()) if half is not None else ():
                self._come_up(reached)

    def _waits_for_answer(self, part: _Part) -> bool:
        """
        Tell whether a caller was answered by whom it called, and not by the dialplan before.
        """
        if not _is_up(part.row) or part.row.application == _QUEUE:
            return False
        return any(_is_up(callee.row) for callee in self._callees.get(part.row.uniqueid, ()))

    def _come_up(self, part: _Part) -> None:
        """
        Show that a channel was answered, if it was and that is not known.
        """
        row, snapshot = part.row, part.row.channel
        if not _is_up(row) or row.uniqueid in self._up_told:
            return
        self._up_told.add(row.uniqueid)
        if part.called is not None:
            # With a connected line it would look like a pickup, of which nothing will be heard.
            snapshot = snapshot._replace(connected_line_num="", connected_line_name="")
        self._records.append(Newstate(snapshot))
        if part.dialled and self._took_the_call(part):
            source = "" if part.dialler is None else part.dialler.uniqueid
            self._records.append(DialEnd(source, row.uniqueid, DialStatus.ANSWER))
        if part.dialled and snapshot.linkedid == row.uniqueid and row.uniqueid not in self._known:
            num, name = snapshot.caller_id_num, snapshot.caller_id_name
            self._records.append(OriginateResponse(row.uniqueid, True, "", "", num, name))  # noqa: FBT003 - a record

    def _took_the_call(self, part: _Part) -> bool:
        """
        Tell whether the dial of a channel that is up was answered by it.

        Whoever is asked first whether the call is wanted is up, too, and talks to nobody; who
        dialled it comes up when it has agreed.
        Witness: fixtures/asterisk22/originate-not-confirmed, group-confirmed.
        """
        if part.dialler is None or part.row.bridge:
            return True
        known = self._known.get(part.dialler.uniqueid)
        return _is_up(part.dialler) and (known is None or not known.up)


def _likelihood(one: ChannelRow, row: ChannelRow) -> int:
    """
    Say how likely it is that *one* dialled the channel of *row*; 0 is not at all.
    """
    linkedid = row.channel.linkedid
    together = bool(row.bridge) and one.bridge == row.bridge
    same_call = linkedid is not None and one.channel.linkedid == linkedid
    named = _names(one, row)
    if _was_dialled(one):
        # Two that were dialled and talk: who brought them together is gone.
        return 1 if together else 0
    if not (together or same_call or (linkedid is None and named)):
        return 0
    kind = _DIALLED_BY.get(row.application) == one.application
    return 2 + 16 * together + 8 * named + 4 * same_call + 2 * kind


def _names(one: ChannelRow, row: ChannelRow) -> bool:
    """
    Tell whether the arguments of *one*'s application name the endpoint of *row*.
    """
    endpoint = endpoint_of(row.channel.name.partition(";")[0])
    technology, _, name = endpoint.partition("/")
    for dial_string in _dial_strings(one.data):
        dialled_technology, _, resource = dial_string.partition("/")
        # PJSIP/name, PJSIP/name/sip:contact, PJSIP/number@name, Local/exten@context/n
        if dialled_technology == technology and (
            resource.partition("/")[0] == name or resource.rpartition("@")[2] == name
        ):
            return True
    return False


def _dial_strings(data: str) -> Sequence[str]:
    return data.partition(",")[0].split("&")
