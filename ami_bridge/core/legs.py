"""
The life of a leg: one extension's part in one call, in one direction.

A leg is PENDING while there is a channel but nothing to say yet: a phone that has just
dialled and for which nobody rings so far, or one that rings because somebody clicked on
a number. Its Dial event makes it CALLING, its answer ANSWERED, and the end of its last
channel ENDED. A leg that is ENDED from PENDING was never heard of.

The table is the whole truth about what a subscriber hears: a Dial, then at most one
answer, then exactly one Hangup. A pair that is absent changes nothing and says nothing:
the same answer comes twice, once as the channel's state and once as the end of the dial.
"""

import enum
from typing import TYPE_CHECKING

import attrs

from .ami_events import DialStatus
from .call_events import CallEvent, CallFlow, CallStatus, EventType

if TYPE_CHECKING:
    from .channels import Channel, Origination


class LegState(enum.StrEnum):
    """
    How far a leg has come.
    """

    PENDING = "pending"
    CALLING = "calling"
    ANSWERED = "answered"
    ENDED = "ended"


class Step(enum.StrEnum):
    """
    What may happen to a leg.
    """

    DIAL = "dial"
    ANSWER = "answer"
    END = "end"


#: Where a leg goes, and what is said on the way. `say` picks Dial-In or Dial-Out, and
#: Answer-In or Answer-Out, by the leg's flow.
TRANSITIONS: dict[tuple[LegState, Step], tuple[LegState, Step | None]] = {
    (LegState.PENDING, Step.DIAL): (LegState.CALLING, Step.DIAL),
    (LegState.PENDING, Step.END): (LegState.ENDED, None),
    (LegState.CALLING, Step.ANSWER): (LegState.ANSWERED, Step.ANSWER),
    (LegState.CALLING, Step.END): (LegState.ENDED, Step.END),
    (LegState.ANSWERED, Step.END): (LegState.ENDED, Step.END),
}

_EVENT_TYPES = {
    (Step.DIAL, CallFlow.IN): EventType.DIAL_IN,
    (Step.DIAL, CallFlow.OUT): EventType.DIAL_OUT,
    (Step.ANSWER, CallFlow.IN): EventType.ANSWER_IN,
    (Step.ANSWER, CallFlow.OUT): EventType.ANSWER_OUT,
    (Step.END, CallFlow.IN): EventType.HANGUP,
    (Step.END, CallFlow.OUT): EventType.HANGUP,
}

# Q.850 causes, where Asterisk's own word for the dial does not tell or is missing.
_REFUSED = frozenset({17, 21})
#: Whoever was to be called has no phone.
NO_CHANNEL = frozenset({3, 20})
_CAUSE_WORDS = {
    0: CallStatus.NOANSWER,
    1: CallStatus.CHANUNAVAIL,
    3: CallStatus.CHANUNAVAIL,
    18: CallStatus.NOANSWER,
    19: CallStatus.NOANSWER,
    20: CallStatus.CHANUNAVAIL,
    34: CallStatus.CONGESTION,
    38: CallStatus.CONGESTION,
    42: CallStatus.CONGESTION,
}


@attrs.define(eq=False)
class Leg:
    """
    One extension's part in one call; its later events repeat the values of its first.
    """

    extension: str
    flow: CallFlow
    call_id: str
    #: Uniqueid of the leg's first channel, with which it keeps its identity.
    uniqueid: str
    #: The PBX that the channel lives on; part of the identity, may be empty.
    pbx: str = ""
    state: LegState = LegState.PENDING
    #: The live channels of the leg.
    channels: "list[Channel]" = attrs.field(factory=list)
    #: Who calls, for an IN leg: two phones that this caller rings are one leg.
    caller: "Channel | None" = None
    #: The Originate that rang this leg, if one did.
    origination: "Origination | None" = None
    #: An originated phone was answered by its user; it may not have called anybody yet.
    picked_up: bool = False
    #: The number dialled is a feature code: no call unless the PBX dials somebody for it.
    feature: bool = False
    #: Who picked up what was dialled for an OUT leg, as far as that is known.
    answerer: "Channel | None" = None
    #: That was the end of the dial: nobody else answers it any more.
    dial_answered: bool = False
    #: But its dial ended once more, without an answer: who takes the call is still asked.
    undecided: bool = False
    #: Who picked up after that one.
    also_up: "list[Channel]" = attrs.field(factory=list)
    #: How the last dial for this leg ended (of this leg, for an IN leg).
    dial_status: DialStatus | None = None
    #: The channel that was dialled last for an OUT leg, and its hangup cause.
    last_dialled: "Channel | None" = None
    dial_cause: int | None = None
    caller_id_num: str = ""
    caller_id_name: str = ""
    caller_extension: str = ""
    called_did: str = ""
    called_extension: str = ""
    called_number: str = ""
    dialled_at: float | None = None
    answered_at: float | None = None

    @property
    def identity(self) -> str:
        """
        Name the leg by what Asterisk said alone, the same for every bridge that listens.
        """
        return f"{self.pbx}/{self.uniqueid}/{self.extension}/{self.flow.value}"

    def note_dial(self, channel: "Channel", status: DialStatus | None = None) -> None:
        """
        Note that the last dial for this OUT leg is that of *channel*, and how it ended.
        """
        if self.last_dialled is not channel:
            self.last_dialled, self.dial_cause = channel, None
        self.dial_status = status

    def take(
        self, step: Step, now: float | None, cause: int | None = None, cause_text: str = ""
    ) -> CallEvent | None:
        """
        Take *step* at *now*; return what is to be said of it, if anything.

        *cause* and *cause_text* are the hangup cause of the leg's last channel.
        """
        transition = TRANSITIONS.get((self.state, step))
        if transition is None:
            return None
        answered = self.state is LegState.ANSWERED
        self.state, said = transition
        if said is None:
            return None
        if said is Step.DIAL:
            self.dialled_at = now
            return self._event(said, now, CallStatus.CALLING)
        if said is Step.ANSWER:
            self.answered_at = now
            return self._event(said, now, CallStatus.ANSWER)
        status = CallStatus.ANSWER if answered else self._refusal(cause)
        return self._event(said, now, status, cause, cause_text)

    def _refusal(self, cause: int | None) -> CallStatus:
        """
        Say why there was no answer, in the words of VoipNow's detailed dialect.
        """
        dialled_nobody = self.flow is CallFlow.OUT and self.last_dialled is None
        if self.last_dialled is not None:
            if self.dial_cause in _REFUSED and cause in NO_CHANNEL:
                # Who is refused has that cause, too: a dial after it made no channel.
                return CallStatus.CHANUNAVAIL
            # Its own cause may be left from a dial before the last.
            cause = self.dial_cause
        if cause in _REFUSED:
            return CallStatus.BUSY
        if self.dial_status is not None and self.dial_status is not DialStatus.ANSWER:
            return CallStatus(self.dial_status.value)
        if dialled_nobody:
            return _CAUSE_WORDS.get(cause or -1, CallStatus.CHANUNAVAIL)
        return _CAUSE_WORDS.get(-1 if cause is None else cause, CallStatus.CANCEL)

    def _called(self, status: CallStatus) -> str:
        """
        Give the extension that is called, for an OUT leg from the answer on the one that answered.
        """
        answerer = self.answerer if status is CallStatus.ANSWER else None
        return (answerer and answerer.party.extension) or self.called_extension

    def _event(
        self,
        step: Step,
        now: float | None,
        status: CallStatus,
        cause: int | None = None,
        cause_text: str = "",
    ) -> CallEvent:
        rung_until = now if self.answered_at is None else self.answered_at
        talk = None
        if step is Step.END:
            answered = status is CallStatus.ANSWER
            talk = _elapsed(self.answered_at, now) if answered else 0.0
        return CallEvent(
            type=_EVENT_TYPES[step, self.flow],
            extension=self.extension,
            time=now,
            leg=self.identity,
            call_id=self.call_id,
            call_flow=self.flow,
            call_status=status,
            caller_id_num=self.caller_id_num,
            caller_id_name=self.caller_id_name,
            caller_extension=self.caller_extension,
            called_did=self.called_did,
            called_extension=self._called(status),
            called_number=self.called_number,
            hangup_cause=cause,
            hangup_cause_text=cause_text,
            ring_seconds=None if step is Step.DIAL else _elapsed(self.dialled_at, rung_until),
            talk_seconds=talk,
        )


def _elapsed(since: float | None, until: float | None) -> float | None:
    return None if since is None or until is None else max(0.0, until - since)
