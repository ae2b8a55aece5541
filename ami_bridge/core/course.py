"""
The course of a call: what becomes of a channel that calls, is dialled, comes up and goes.

`correlator` says what each AMI event means for a channel; here the channel's part in the call
changes, and `telling` is told of what a subscriber may have to hear.
"""

from typing import NamedTuple

from .channels import Channel, Channels, Origination
from .dialled import dialled_number, number_in, rung_by_queue
from .extensions import PartyKind
from .legs import LegState
from .telling import Cause, Teller
from .tracing import Presented, find_party, trace

#: How long a Dial-Out waits for the Pickup that its channel's answer looks like, in seconds.
#: Asterisk says both within a millisecond.
PICKUP_PATIENCE = 1.0


class _MaybePickup(NamedTuple):
    """
    A channel that came up as if it picked up a call, until more is known.
    """

    #: When it is none; None if nobody tells the time.
    until: float | None
    #: What rang then at the extension that it called; it may be gone by now.
    rung: list[Channel]


class Course:
    """
    The course of all calls of one PBX.
    """

    def __init__(self, channels: Channels, teller: Teller) -> None:
        self._channels = channels
        self._teller = teller
        #: Channels whose Dial-Out waits for a Pickup.
        self._maybe_picking_up: dict[Channel, _MaybePickup] = {}

    # -- calls made and received ---------------------------------------------------------

    def calls_the_pbx(self, channel: Channel) -> None:
        """
        Note that *channel* reached Ring: it dialled a number (section 5, Inbound).
        """
        outside = channel.party.kind is PartyKind.OUTSIDE
        if channel.dialled or channel.inbound or not (channel.seen_from_birth or outside):
            return
        channel.called_number = dialled_number(channel.exten)
        if channel.is_local:
            return
        channel.inbound = True
        if outside:
            channel.entrance.did = channel.entrance.did or channel.called_number
        elif channel.is_extension:
            self._teller.calls_the_pbx(channel)

    def dials(self, source: Channel, exten: str, dial_string: str) -> None:
        """
        Note that *source* dials what *dial_string* spells, at *exten* in the dialplan.
        """
        self.is_no_pickup(source)
        source.dials = True
        if source.legacy:
            self._adopt_originated(source)
        if source.origination is not None and not source.origination.exten:
            # Where it was made it runs an application, and no dialplan: Dial has a number,
            # Queue has none. Witness: fixtures/asterisk22/originate-local-app-dial-local.
            at = "" if exten == source.exten else dialled_number(exten)
            source.origination.exten = at or number_in(dial_string)

    def reaches(self, channel: Channel, presented: Presented) -> None:
        """
        Find out for whom *channel* is dialled, and say so.
        """
        behind = trace(self._channels, channel, presented)
        channel.dialled_for = behind.leg
        if behind.leg is not None:
            behind.leg.note_dial(channel)
        if not channel.is_local:
            self._teller.reaches(channel, behind, presented)

    def comes_up(self, channel: Channel) -> None:
        """
        Note that *channel* is up: it was answered, or it answered, or picked up another's call.
        """
        if channel.up:
            return
        channel.up = True
        leg = channel.out_leg
        if leg is not None and leg.origination is None:
            silent = leg.state is LegState.PENDING and not leg.feature and not channel.dials
            rung = self._teller.ringing_at(leg) if silent else []
            if silent and (channel.connected_line_num or rung):
                # Nobody was dialled, yet somebody is at the other end, or the phone that was
                # called rings for somebody else: this looks like a call being picked up.
                # Witness: fixtures/asterisk22/pickup-directed, pickup-by-replaces.
                now = self._teller.now
                until = None if now is None else now + PICKUP_PATIENCE
                self._maybe_picking_up[channel] = _MaybePickup(until, rung)
                return
            self._teller.comes_up(leg, channel)
        if channel.legacy:
            self.answers(channel)
        else:
            self._is_picked_up(channel)

    def _is_picked_up(self, channel: Channel) -> None:
        """
        Tell the legs that *channel* came up: its own, and the one it was dialled for.
        """
        if channel.in_leg is not None:
            self._teller.is_answered(channel.in_leg)
        elif channel.out_leg is not None and channel.out_leg.origination is not None:
            channel.out_leg.picked_up = True
            if channel.out_leg.origination.plays:
                self._teller.receives(channel.out_leg)
        source = channel.dialled_by
        while source is not None and source.is_local and not channel.is_local:
            source.reached = channel
            source = source.other_half.dialled_by if source.other_half else None
        if source is not None:
            source.queued = False
        if channel.dialled_for is not None:
            self._teller.picked_up(channel.dialled_for, channel)

    def answers(self, channel: Channel) -> None:
        """
        Tell the legs that the dial of *channel* was answered, if one was seen.
        """
        self._is_picked_up(channel)
        if channel.answer_told or not channel.dialled:
            return
        channel.answer_told = True
        if channel.dialled_for is not None:
            self._teller.dial_answered(channel.dialled_for, channel)

    def sends_on(self, channel: Channel, number: str) -> None:
        """
        Note for whom *number* is called: for who called *channel*, whose phone sends the call on.

        Where nobody is seen to dial (Page) it looks as if it was originated.
        Witness: fixtures/asterisk22/page-member-redirects.
        """
        for one in self._channels:
            originated = one.origination is not None and not one.origination.legs
            if originated and one.is_local and one.exten == number:
                one.origination, one.forwarded_by = None, channel
                return

    def gone(self, channel: Channel, cause: Cause) -> None:
        """
        Forget *channel*, which hung up.
        """
        self.is_no_pickup(channel)
        self._channels.remove(channel)
        self._teller.loses(channel, cause)
        if channel.ringing and rung_by_queue(channel.dial_string) and cause.code is not None:
            self._is_replaced(channel)

    # -- pickups ----------------------------------------------------------------------

    def next_deadline(self) -> float | None:
        """
        Say when `stop_waiting` is due, if it is.
        """
        deadlines = (maybe.until for maybe in self._maybe_picking_up.values())
        return min((until for until in deadlines if until is not None), default=None)

    def stop_waiting(self) -> None:
        """
        Tell of the calls of those who looked like picking up, and have had their time.
        """
        now = self._teller.now
        for channel, maybe in list(self._maybe_picking_up.items()):
            if maybe.until is not None and now is not None and now >= maybe.until:
                self.is_no_pickup(channel)

    def is_no_pickup(self, channel: Channel) -> None:
        """
        Tell of *channel*'s call, if it only looked like picking up another's.
        """
        if channel in self._maybe_picking_up:
            del self._maybe_picking_up[channel]
            if channel.out_leg is not None:
                self._teller.comes_up(channel.out_leg, channel)

    def takes_over(self, picker: Channel, source: Channel | None) -> None:
        """
        Say who took a call that *source* makes and that rang elsewhere.

        The end of its dial tells so before the Pickup does, or without one: a phone may take
        a call by an INVITE with Replaces.
        """
        rung = [*self._channels]
        if picker in self._maybe_picking_up:
            rung += self._maybe_picking_up[picker].rung
        for target in rung:
            if source is None or target.dialled_by is not source:
                continue
            if picker.out_leg is None or picker.out_leg.state is LegState.PENDING:
                self.picks_up(picker, target)
            elif target.dialled_for is not None:
                self._teller.dial_answered(target.dialled_for, picker)
            return

    def _is_replaced(self, rung: Channel) -> None:
        """
        Say who took the place of *rung*, which is gone though its dial has not ended.

        A queue tells no more of a call that is taken by an INVITE with Replaces; of Dial's there
        will be the end of the dial. Witness: fixtures/asterisk22/queue-pickup-by-replaces.
        """
        for picker, maybe in self._maybe_picking_up.items():
            if rung in maybe.rung:
                return self.picks_up(picker, rung)
        return None

    def picks_up(self, picker: Channel, target: Channel) -> None:
        """
        Put *picker* in the place of *target*, which rings.
        """
        self._maybe_picking_up.pop(picker, None)
        if picker.out_leg is not None and picker.out_leg.state is LegState.PENDING:
            picker.out_leg = None
        # A feature code, which is not what it calls if it dials later.
        picker.called_number = ""
        picker.dialled = True
        picker.dialled_by = target.dialled_by
        picker.dialled_for = target.dialled_for
        if picker.is_extension:
            self._teller.picks_up(picker, target)
        self.answers(picker)

    # -- what Asterisk before 12 does not tell -------------------------------------------

    def rings_undialled(self, channel: Channel) -> None:
        """
        Make sense of a phone that rings though nobody was seen to dial it (section 5, Legacy).

        Before Asterisk 12 neither a queue nor an Originate tells of its dials. A queue's
        member shows its caller's number as connected line.
        """
        if channel.is_local:
            return
        presented = Presented(channel.connected_line_num, channel.connected_line_name)
        caller = find_party(self._channels, channel, presented)
        channel.dialled = True
        channel.dialled_by = caller
        if caller is None:
            channel.origination = Origination(channel)
        else:
            presented = Presented(caller.caller_id_num, caller.caller_id_name)
        self.reaches(channel, presented)

    def _adopt_originated(self, source: Channel) -> None:
        """
        Recognise, by its dialling, a channel that an Originate made.
        """
        unexplained = not source.inbound and not source.dialled and source.seen_from_birth
        if unexplained and not source.is_local and source.origination is None:
            source.dialled = True
            source.origination = Origination(source)
            if source.is_extension:
                self._teller.rings_for_originate(source, source.origination)
