"""
Call events as a subscriber hears them, and the only writer of VoipNow's names.

The five events, their parameters and the words of CallStatus follow the Call Events
service of VoipNow; docs/explanation/call-model.md settles what its documentation leaves open.
"""

import enum

import attrs


class EventType(enum.StrEnum):
    """
    What happened to an extension; the value is the event's name in rules and output.
    """

    DIAL_IN = "Dial-In"
    DIAL_OUT = "Dial-Out"
    ANSWER_IN = "Answer-In"
    ANSWER_OUT = "Answer-Out"
    HANGUP = "Hangup"


class CallFlow(enum.StrEnum):
    """
    The direction of a leg, seen from its extension.
    """

    IN = "IN"
    OUT = "OUT"


class CallStatus(enum.StrEnum):
    """
    The words of the parameter CallStatus.

    A Hangup says ANSWER or UNKNOWN; in the detailed dialect of later VoipNow versions
    it says ANSWER or why there was no answer.
    """

    CALLING = "CALLING"
    ANSWER = "ANSWER"
    UNKNOWN = "UNKNOWN"
    BUSY = "BUSY"
    NOANSWER = "NOANSWER"
    CANCEL = "CANCEL"
    CONGESTION = "CONGESTION"
    CHANUNAVAIL = "CHANUNAVAIL"


class HangupDialect(enum.StrEnum):
    """
    How a Hangup words its CallStatus: as VoipNow 3 did, or as its later versions do.
    """

    SIMPLE = "simple"
    DETAILED = "detailed"


@attrs.frozen
class CallEvent:
    """
    One thing to tell about one extension's part in one call.
    """

    type: EventType
    #: Whose event it is, in extended form (``0003*001``).
    extension: str
    #: Seconds since the epoch of the AMI event that caused it; None where no time is known.
    time: float | None
    #: The leg's identity: a pure function of what Asterisk said, the same for all its events.
    leg: str
    call_id: str
    call_flow: CallFlow
    #: CALLING, ANSWER, or for a Hangup the detailed word (ANSWER, BUSY, NOANSWER, ...).
    call_status: CallStatus
    caller_id_num: str = ""
    caller_id_name: str = ""
    caller_extension: str = ""
    called_did: str = ""
    called_extension: str = ""
    called_number: str = ""
    #: Q.850 cause and Asterisk's text for it; only in a Hangup.
    hangup_cause: int | None = None
    hangup_cause_text: str = ""
    #: Seconds from the Dial event to the answer, or to the end if there was none.
    ring_seconds: float | None = None
    #: Seconds from the answer to the end; 0 if there was no answer; only in a Hangup.
    talk_seconds: float | None = None

    @property
    def identity(self) -> str:
        """
        Name this event for ever: the same for two bridges, and after a restart.
        """
        return f"{self.leg}/{self.type}"


def call_status(call_event: CallEvent, dialect: HangupDialect) -> CallStatus:
    """
    Word the CallStatus of *call_event* in *dialect*.
    """
    if (
        call_event.type is EventType.HANGUP
        and dialect is HangupDialect.SIMPLE
        and call_event.call_status is not CallStatus.ANSWER
    ):
        return CallStatus.UNKNOWN
    return call_event.call_status


def parameters(call_event: CallEvent, dialect: HangupDialect) -> dict[str, str]:
    """
    Spell the nine default parameters of *call_event*; what is not known is empty.
    """
    return {
        "CallID": call_event.call_id,
        "CallerIDNum": call_event.caller_id_num,
        "CallerIDName": call_event.caller_id_name,
        "CalledDID": call_event.called_did,
        "CalledExtension": call_event.called_extension,
        "CallStatus": call_status(call_event, dialect).value,
        "CallFlow": call_event.call_flow.value,
        "CallerExtension": call_event.caller_extension,
        "CalledNumber": call_event.called_number,
    }
