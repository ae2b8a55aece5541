"""
What is said of the legs: opening them, giving them their values, ending them.

`correlator` follows channels and dials and comes here when something happened that a
subscriber may have to hear. docs/explanation/call-model.md is the contract; comments name its
sections.
"""

import re
from collections.abc import Mapping

import attrs

from .ami_events import DialStatus
from .call_events import CallEvent, CallFlow
from .channels import Channel, Channels, Origination
from .dialled import dialled_number, number_in
from .extensions import PartyKind, WhoIsWho
from .legs import NO_CHANNEL, Leg, LegState, Step
from .tracing import Behind, Presented, trace


@attrs.frozen
class Anomaly:
    """
    Something that the correlator did not expect, and lived with.
    """

    kind: str
    uniqueid: str = ""


@attrs.frozen
class CorrelatorSettings:
    """
    What the rules say about calls on one PBX.
    """

    who_is_who: WhoIsWho = attrs.field(factory=WhoIsWho)
    #: The whole of a dialled number that is a feature code, not a call.
    feature_codes: tuple[re.Pattern[str], ...] = (re.compile(r"[*#].*"),)
    #: Extension in extended form to the public number at which it is reached.
    public_numbers: Mapping[str, str] = attrs.field(factory=dict)
    #: Caller numbers that stand for a withheld one.
    anonymous_numbers: frozenset[str] = frozenset()
    #: Treat the phone that an Originate rings as one that is called.
    originate_is_dial_in: bool = False
    #: Name of the PBX, where several share receivers: before each CallID, and in identities.
    pbx: str = ""


@attrs.frozen
class Cause:
    """
    Why a channel hung up: the Q.850 cause and Asterisk's text, as far as they were told.
    """

    code: int | None = None
    text: str = ""


_UNTOLD = Cause()


class Teller:
    """
    The legs of one PBX, and what there is to say of them.
    """

    def __init__(self, settings: CorrelatorSettings, channels: Channels) -> None:
        self.settings = settings
        self._channels = channels
        #: Open IN legs by extension.
        self._in_legs: dict[str, list[Leg]] = {}
        #: The time of what happens now.
        self.now: float | None = None
        self._said: list[CallEvent | Anomaly] = []

    def begin(self, now: float | None) -> list[CallEvent | Anomaly]:
        """
        Begin to collect what is said at *now*; the list returned fills as things happen.
        """
        self._said, self.now = [], now
        return self._said

    def wonder(self, kind: str, uniqueid: str) -> None:
        """
        Report something unexpected about the channel *uniqueid*.
        """
        self._said.append(Anomaly(kind, uniqueid))

    # -- calls made ----------------------------------------------------------------

    def calls_the_pbx(self, channel: Channel) -> None:
        """
        Open the OUT leg of an extension that dialled a number; nothing is said yet.
        """
        leg = self._open(channel, CallFlow.OUT)
        leg.called_number = channel.called_number
        codes = self.settings.feature_codes
        leg.feature = any(code.fullmatch(channel.called_number) for code in codes)
        channel.out_leg = leg

    def dials_out(self, leg: Leg, caller: Channel | None, dialled: Channel | None = None) -> None:
        """
        Say that *leg*'s extension makes a call, if that was not said.

        *dialled* is the first real channel that the call reached, None if there is none.
        """
        if leg.state is not LegState.PENDING or caller is None:
            return
        if leg.origination is None:
            leg.caller_id_num = self._number(caller.caller_id_num)
            leg.caller_id_name = caller.caller_id_name
        else:
            # The phone that clicked shows the other party's number (section 5, Click-to-call).
            leg.caller_id_num = caller.own_caller_id_num or leg.extension
            leg.caller_id_name = caller.own_caller_id_name
            dial_string = "" if dialled is None else dialled.dial_string
            leg.called_number = leg.origination.exten or number_in(dial_string)
        leg.caller_extension = leg.extension
        if dialled is not None and dialled.is_extension:
            leg.called_extension = dialled.party.extension
        leg.called_did = self._did(caller, None, leg.called_extension)
        self._take(leg, Step.DIAL)

    def comes_up(self, leg: Leg, channel: Channel) -> None:
        """
        Say that the call that *channel* makes was answered; a feature code's only if it dialled.
        """
        if not leg.feature:
            self.dials_out(leg, channel)
        self._take(leg, Step.ANSWER)

    # -- calls received ------------------------------------------------------------

    def reaches(self, channel: Channel, behind: Behind, presented: Presented) -> None:
        """
        Say that a dial made *channel*: an extension's phone rings, or the outside is called.
        """
        if behind.ringing is not None and not self.settings.originate_is_dial_in:
            if channel.is_extension:
                self.rings_for_originate(channel, behind.ringing)
            return
        leg, caller = behind.leg, behind.caller
        if leg is not None:
            self.dials_out(leg, caller, channel)
            if leg.feature and caller is not None and caller.up:
                # The feature's dialplan had answered before it dialled.
                self._take(leg, Step.ANSWER)
        if channel.is_extension:
            self._join_or_open(channel, self._call_received(channel, behind, presented))

    def _call_received(self, channel: Channel, behind: Behind, presented: Presented) -> Leg:
        caller, number, name = behind.caller, presented.number, presented.name
        leg = self._open(channel, CallFlow.IN, caller or channel.dialled_by)
        if behind.through_local and not number and caller is not None:
            number, name = caller.caller_id_num, caller.caller_id_name
        leg.caller_id_num, leg.caller_id_name = self._number(number), name
        leg.called_extension = channel.party.extension
        number_called = dialled_number(behind.number)
        leg.called_number = (
            (number_called if behind.keyed else "")
            or (caller.called_number if caller is not None else "")
            or (behind.leg.called_number if behind.leg is not None else "")
            or number_called
        )
        leg.caller_extension = caller.party.extension if caller is not None else ""
        leg.called_did = self._did(channel, caller, leg.extension)
        return leg

    def _join_or_open(self, channel: Channel, new: Leg) -> None:
        """
        Add *channel* to the leg that the same caller has ringing here, or begin *new*.
        """
        for leg in self._in_legs.get(new.extension, ()):
            same_caller = leg.caller is new.caller and leg.caller is not None
            if same_caller and any(phone.ringing for phone in leg.channels):
                new = leg
                break
        else:
            self._in_legs.setdefault(new.extension, []).append(new)
        new.channels.append(channel)
        channel.in_leg = new
        self._take(new, Step.DIAL)

    def ringing_at(self, leg: Leg) -> list[Channel]:
        """
        Find the channels that ring at the extension whose number the OUT *leg* dialled.
        """
        tenant = leg.extension.partition("*")[0]
        number = leg.called_number
        legs = self._in_legs.get(number) or self._in_legs.get(f"{tenant}*{number}", [])
        return [phone for leg in legs for phone in leg.channels if phone.ringing]

    def picks_up(self, picker: Channel, target: Channel) -> None:
        """
        Say that the extension of *picker* receives the call that rings at *target*.
        """
        rung = target.in_leg
        if rung is None:
            presented = Presented(target.connected_line_num, target.connected_line_name)
            behind = trace(self._channels, target, presented)
            rung = self._call_received(target, behind, presented)
        leg = attrs.evolve(
            rung,
            extension=picker.party.extension,
            called_extension=picker.party.extension,
            uniqueid=picker.uniqueid,
            state=LegState.PENDING,
            channels=[],
        )
        self._join_or_open(picker, leg)

    def is_answered(self, leg: Leg) -> None:
        """
        Say that an extension answered a call it received.
        """
        self._take(leg, Step.ANSWER)

    def picked_up(self, leg: Leg, channel: Channel) -> None:
        """
        Note that *channel*, which was dialled for the OUT *leg*, came up.

        It is who answered, unless the end of its dial says otherwise: whoever picked up may have
        been asked whether to take the call.
        """
        if channel.is_local:
            return
        if leg.answerer is None:
            leg.answerer = channel
        elif leg.answerer is not channel:
            leg.also_up.append(channel)

    def dial_failed(self, leg: Leg, channel: Channel, status: DialStatus | None) -> None:
        """
        Note that the dial of *channel* for the OUT *leg* ended without an answer.
        """
        if status is not None:
            leg.note_dial(channel, status)
        if channel.is_local and leg.answerer is not None and channel.far_end is leg.answerer:
            if status is None:
                # Who was asked behind it sent the caller on by a word that no subscriber knows.
                leg.answerer, leg.dial_answered = None, False
            # FollowMe asks all who pick up, and says of each that another did.
            # Witness: fixtures/asterisk22/followme-declined.
            leg.undecided = True
        elif leg.answerer is channel and not leg.dial_answered:
            leg.answerer = None

    def dial_answered(self, leg: Leg, channel: Channel) -> None:
        """
        Note that *channel* answered what was dialled for the OUT *leg*.
        """
        if not channel.is_local and not leg.dial_answered:
            leg.answerer, leg.dial_answered = channel, True
        if leg.origination is not None and channel.out_leg is not leg:
            self.dials_out(leg, leg.channels[0] if leg.channels else None)
            self._take(leg, Step.ANSWER)

    # -- calls that Asterisk was asked to make ---------------------------------------

    def rings_for_originate(self, channel: Channel, origination: Origination) -> None:
        """
        Follow the phone that an Originate rings; nothing is said yet (section 5, Click-to-call).

        A phone that has called is not rung: whoever says so has mistaken its channel.
        """
        if channel.out_leg is not None:
            return
        for leg in origination.legs:
            if leg.extension == channel.party.extension and leg.channels:
                leg.channels.append(channel)
                break
        else:
            leg = self._open(channel, CallFlow.OUT)
            leg.origination = origination
            origination.legs.append(leg)
        channel.out_leg = leg

    def receives(self, leg: Leg) -> None:
        """
        Turn an originated leg into a call received: its phone was answered, nobody dialled.
        """
        if leg.state is not LegState.PENDING or leg.origination is None:
            return
        leg.flow = CallFlow.IN
        leg.caller_id_num = self._number(leg.origination.caller_id_num)
        leg.caller_id_name = leg.origination.caller_id_name
        leg.called_extension = leg.extension
        leg.called_did = self.settings.public_numbers.get(leg.extension, "")
        self._take(leg, Step.DIAL)
        self._take(leg, Step.ANSWER)

    # -- ends ------------------------------------------------------------------------

    def loses(self, channel: Channel, cause: Cause) -> None:
        """
        Take *channel* out of its legs; a leg that has no other channel is over.
        """
        if channel.origination is not None:
            channel.origination.cause = cause.code
        if channel.dialled_for is not None:
            self._no_longer_answers(channel.dialled_for, channel.far_end)
            if channel.dialled_for.last_dialled is channel:
                channel.dialled_for.dial_cause = cause.code
        for leg in (channel.in_leg, channel.out_leg):
            if leg is None:
                continue
            leg.channels.remove(channel)
            if leg is channel.in_leg and channel.dial_status is not None:
                leg.dial_status = channel.dial_status
            if not leg.channels:
                self._end(leg, channel, cause)

    @staticmethod
    def _no_longer_answers(leg: Leg, asked: Channel | None) -> None:
        """
        Take *asked*, who is gone, for one who did not take the call, if another is still there.
        """
        if asked in leg.also_up:
            leg.also_up.remove(asked)
        elif leg.undecided and leg.answerer is asked and leg.also_up:
            leg.answerer = leg.also_up.pop(0)

    def _end(self, leg: Leg, channel: Channel, cause: Cause) -> None:
        if leg.state is LegState.PENDING:
            if leg.origination is not None:
                # Where the Hangup was not seen, it may have dialled unseen: nothing is known.
                if leg.picked_up and leg.origination.cause in NO_CHANNEL:
                    self.dials_out(leg, channel)
                elif leg.picked_up and cause.code is not None:
                    self.receives(leg)
            elif not leg.feature:
                self.dials_out(leg, channel)
        if leg.origination is not None and leg.answerer is not None:
            # The end of its dial was not seen, and nothing spoke against an answer.
            self._take(leg, Step.ANSWER)
        self._take(leg, Step.END, cause)
        in_legs = self._in_legs.get(leg.extension, [])
        if leg in in_legs:
            in_legs.remove(leg)
            if not in_legs:
                del self._in_legs[leg.extension]

    # -- values ------------------------------------------------------------------------

    def _open(self, channel: Channel, flow: CallFlow, caller: Channel | None = None) -> Leg:
        linkedid = channel.linkedid or (caller or channel).first_of_call().uniqueid
        pbx = self.settings.pbx
        leg = Leg(
            extension=channel.party.extension,
            flow=flow,
            call_id=f"{pbx}-{linkedid}" if pbx else linkedid,
            uniqueid=channel.uniqueid,
            pbx=pbx,
            caller=caller,
        )
        if flow is CallFlow.OUT:
            leg.channels.append(channel)
        return leg

    def _number(self, number: str) -> str:
        # Who was dialled in a subroutine of the dialplan has its exten (s) for a number.
        # Witness: fixtures/asterisk22/xfer-blind-in-subroutine.
        return "" if number in self.settings.anonymous_numbers else dialled_number(number)

    def _did(self, channel: Channel, caller: Channel | None, extension: str) -> str:
        """
        Give the public number that was called (section 2, CalledDID).
        """
        did = ""
        if caller is not None and caller.inbound and caller.party.kind is PartyKind.OUTSIDE:
            did = caller.called_number
        return did or channel.entrance.did or self.settings.public_numbers.get(extension, "")

    def _take(self, leg: Leg, step: Step, cause: Cause = _UNTOLD) -> None:
        call_event = leg.take(step, self.now, cause.code, cause.text)
        if call_event is not None:
            self._said.append(call_event)
