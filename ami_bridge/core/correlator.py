"""
AMI events in, call events out: the heart of the bridge.

The correlator follows channels and dials, and from them the legs: which extension takes
part in which call. It neither waits nor asks for the time: `feed` gets the time of each
event, and `next_deadline` says when `tick` is due. What it cannot make sense of it
returns as an `Anomaly`; it does not raise on anything that a PBX may send.

docs/explanation/call-model.md is the contract; comments name its sections.
"""

from collections.abc import Callable, Collection, Iterable
from typing import Any

from . import ami_events as ami
from .ami_events import AmiEvent, ChannelState, DialStatus
from .call_events import CallEvent
from .channels import Channels
from .course import Course
from .dialled import dialled_number
from .legs import Leg, LegState
from .telling import Anomaly, Cause, CorrelatorSettings, Teller
from .tracing import Presented

__all__ = ["Anomaly", "Correlator", "CorrelatorSettings"]

#: Dialplan applications that call somebody, or may: an Originate that runs one of them
#: has not yet shown that it only plays something to the extension.
_MAY_DIAL = frozenset(
    {"dial", "retrydial", "queue", "followme", "page", "macro", "gosub", "agi", "eagi"}
    | {"stasis", "goto", "originate", "exec"}
)

#: The context in which Asterisk calls back who parked, at an exten made of the channel's name.
_PARKING = "park-dial"


class Correlator:
    """
    The calls of one PBX.
    """

    def __init__(self, settings: CorrelatorSettings | None = None) -> None:
        settings = settings or CorrelatorSettings()
        self._channels = Channels(settings.who_is_who)
        self._teller = Teller(settings, self._channels)
        self._course = Course(self._channels, self._teller)
        #: Seconds that Asterisk was up for when it last told.
        self.uptime: int | None = None
        self._handlers: dict[type, Callable[[Any], None]] = {
            ami.Newchannel: self._newchannel,
            ami.Newstate: self._newstate,
            ami.DialBegin: self._dial_begin,
            ami.DialEnd: self._dial_end,
            ami.Hangup: self._hangup,
            ami.LocalBridge: self._local_bridge,
            ami.Pickup: self._pickup,
            ami.BlindTransfer: self._blind_transfer,
            ami.AttendedTransfer: self._attended_transfer,
            ami.OriginateResponse: self._originate_response,
            ami.Rename: self._rename,
            ami.QueueCallerJoin: self._queue_caller_join,
            ami.FullyBooted: self._fully_booted,
        }

    # -- the face ------------------------------------------------------------------

    @property
    def channels(self) -> frozenset[str]:
        """
        Give the Uniqueids of the channels that are followed now.
        """
        return frozenset(channel.uniqueid for channel in self._channels)

    @property
    def followed(self) -> Channels:
        """
        Give the channels themselves, to look at.
        """
        return self._channels

    def follows(self, uniqueid: str) -> bool:
        """
        Tell whether the channel with *uniqueid* is followed now.
        """
        return uniqueid in self._channels

    @property
    def open_legs(self) -> list[Leg]:
        """
        Give the legs that have had their Dial event and not their Hangup.
        """
        legs = {
            id(leg): leg
            for channel in self._channels
            for leg in (channel.in_leg, channel.out_leg)
            if leg is not None and leg.state in (LegState.CALLING, LegState.ANSWERED)
        }
        return list(legs.values())

    def apply(self, settings: CorrelatorSettings) -> None:
        """
        Use other rules from now on; channels that live keep who they are.
        """
        self._teller.settings = settings
        self._channels.who_is_who = settings.who_is_who

    def feed(self, ami_event: AmiEvent, now: float | None) -> list[CallEvent | Anomaly]:
        """
        Take the next AMI event, which came at *now* (seconds since the epoch, or None).

        Return what follows from it, in the order in which it happened.
        """
        said = self._teller.begin(now)
        self._course.stop_waiting()
        self._handlers[type(ami_event)](ami_event)
        return said

    def next_deadline(self) -> float | None:
        """
        Say when `tick` is due, if it is.
        """
        return self._course.next_deadline()

    def tick(self, now: float | None) -> list[CallEvent | Anomaly]:
        """
        Do what was waiting for its time.
        """
        said = self._teller.begin(now)
        self._course.stop_waiting()
        return said

    def resynchronise(
        self, living: Collection[str], known_before: Iterable[str], now: float | None
    ) -> list[CallEvent | Anomaly]:
        """
        End what is gone: channels of *known_before* that are not among the *living*.

        *living* are the Uniqueids that Asterisk lists; *known_before* those that were
        followed when it was asked, so that a channel made meanwhile is left alone.
        """
        said = self._teller.begin(now)
        known = frozenset(known_before)
        for channel in self._channels:
            if channel.uniqueid in known and channel.uniqueid not in living:
                self._teller.wonder("channel whose Hangup was not seen", channel.uniqueid)
                self._course.gone(channel, Cause())
        return said

    # -- AMI events ----------------------------------------------------------------

    def _newchannel(self, event: ami.Newchannel) -> None:
        snapshot = event.channel
        if snapshot.uniqueid in self._channels or self._channels.is_gone(snapshot.uniqueid):
            return self._teller.wonder("repeated Newchannel", snapshot.uniqueid)
        channel = self._channels.add(snapshot, seen_from_birth=True)
        channel.legacy = event.legacy
        if snapshot.state is ChannelState.RING:
            self._course.calls_the_pbx(channel)
        return None

    def _newstate(self, event: ami.Newstate) -> None:
        snapshot = event.channel
        channel = self._channels.follow(snapshot)
        if channel is None:
            return self._teller.wonder("Newstate of a channel that is gone", snapshot.uniqueid)
        if snapshot.state is not ChannelState.UP:
            self._course.is_no_pickup(channel)
        if snapshot.state is ChannelState.RING:
            channel.exten = snapshot.exten or channel.exten
            self._course.calls_the_pbx(channel)
        elif snapshot.state is ChannelState.UP:
            self._course.comes_up(channel)
        elif snapshot.state is ChannelState.RINGING and channel.legacy and not channel.dialled:
            self._course.rings_undialled(channel)
        return None

    def _dial_begin(self, event: ami.DialBegin) -> None:
        channel = self._channels.follow(event.destination)
        if channel is None or channel.dialled:
            return self._teller.wonder("repeated or late DialBegin", event.destination.uniqueid)
        channel.dialled, channel.dial_string = True, event.dial_string
        presented = Presented(channel.connected_line_num, channel.connected_line_name)
        if event.source is not None:
            source = self._channels.follow(event.source)
            if source is not None:
                self._course.dials(source, event.source.exten, event.dial_string)
            if event.source.context != _PARKING:
                channel.dialled_from = dialled_number(event.source.exten)
            elif source is not None:
                # It was sent to the parking lot, which is not who is called back now.
                source.transferred_to = ""
            channel.dialled_by = source
            presented = Presented(event.source.caller_id_num, event.source.caller_id_name)
        self._course.reaches(channel, presented)
        return None

    def _dial_end(self, event: ami.DialEnd) -> None:
        channel = self._channels.get(event.destination_uniqueid)
        if channel is None:
            source = self._channels.get(event.source_uniqueid)
            if source is not None and source.out_leg is not None and event.status is not None:
                source.out_leg.dial_status = event.status
            return
        if channel.dial_status is None:
            channel.dial_status = event.status
        if event.forward and channel.dialled_by is None and channel.origination is None:
            self._course.sends_on(channel, event.forward)
        if event.status is DialStatus.ANSWER and channel.inbound and not channel.dialled:
            self._course.takes_over(channel, self._channels.get(event.source_uniqueid))
        elif event.status is DialStatus.ANSWER:
            self._course.answers(channel)
        elif channel.dialled_for is not None:
            self._teller.dial_failed(channel.dialled_for, channel, event.status)

    def _hangup(self, event: ami.Hangup) -> None:
        channel = self._channels.get(event.channel.uniqueid)
        if channel is None:
            return self._teller.wonder("Hangup of an unknown channel", event.channel.uniqueid)
        return self._course.gone(channel, Cause(event.cause, event.cause_text))

    def _local_bridge(self, event: ami.LocalBridge) -> None:
        one = self._channels.get(event.one_uniqueid)
        two = self._channels.get(event.two_uniqueid)
        if one is not None and two is not None:
            one.other_half, two.other_half = two, one

    def _pickup(self, event: ami.Pickup) -> None:
        """
        Say who picked up whose call (section 5, Pickup).
        """
        picker = self._channels.get(event.picker_uniqueid, event.picker_name)
        target = self._channels.get(event.target_uniqueid, event.target_name)
        if picker is None or target is None:
            return self._teller.wonder("Pickup of an unknown channel", event.picker_uniqueid)
        # The end of the dial may have told it, also before the first attach.
        if picker.in_leg is None and (picker.seen_from_birth or not picker.up):
            self._course.picks_up(picker, target)
        return None

    def _blind_transfer(self, event: ami.BlindTransfer) -> None:
        if transferee := self._channels.get(event.transferee_uniqueid):
            transferee.transferred_to = event.exten

    def _attended_transfer(self, event: ami.AttendedTransfer) -> None:
        transferrer = self._channels.get(event.transferrer.uniqueid)
        if transferrer is None or event.transferee is None:
            return
        transferrer.transferee = self._channels.follow(event.transferee)
        # Whom the transferrer talked to have others at their other end now, if they call on.
        # Witness: fixtures/asterisk22/xfer-attended-forwarded-then-blind.
        second = self._channels.get(event.second_uniqueid)
        self._channels.hand_on(second, transferrer.transferee)
        self._channels.hand_on(transferrer, self._channels.get(event.target_uniqueid))

    def _originate_response(self, event: ami.OriginateResponse) -> None:
        channel = self._channels.get(event.uniqueid)
        if channel is None or channel.origination is None or not event.success:
            return
        origination = channel.origination
        origination.exten = dialled_number(event.exten)
        origination.caller_id_num = event.caller_id_num
        origination.caller_id_name = event.caller_id_name
        application = event.application.lower()
        origination.plays = bool(application) and application not in _MAY_DIAL
        for leg in origination.legs:
            if origination.plays and leg.picked_up:
                self._teller.receives(leg)

    def _rename(self, event: ami.Rename) -> None:
        self._channels.rename(event.uniqueid, event.name)

    def _queue_caller_join(self, event: ami.QueueCallerJoin) -> None:
        if channel := self._channels.get(event.uniqueid):
            channel.queued = True

    def _fully_booted(self, event: ami.FullyBooted) -> None:
        """
        Notice a PBX that started anew: what was up before it booted is gone (section 6).

        Two signs must agree, an uptime that went back and a channel older than the boot,
        so that a clock that differs from the PBX's ends no call; what is missed here is
        found by the list of channels.
        """
        before, self.uptime = self.uptime, event.uptime
        now = self._teller.now
        if event.uptime is None or before is None or event.uptime >= before or now is None:
            return
        booted = now - event.uptime
        for channel in self._channels:
            if channel.made_at is not None and channel.made_at < booted:
                self._course.gone(channel, Cause())
