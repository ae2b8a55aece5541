"""
AMI headers to frozen records: the only reader of Asterisk's header names.

Two generations of Asterisk spell the same facts differently. Asterisk 12 and later say
DialBegin and DialEnd and give every channel in full; Asterisk 1.8 to 11 say Dial with a
SubEvent and know no Linkedid. The correlator sees one vocabulary, this one. What an
event does not tell is an empty string or None, and Asterisk's ``<unknown>`` ends here.

The records are named tuples: a busy PBX makes thousands of them a second, and these are
the immutable records that cost least.
"""

import enum
from collections.abc import Callable
from typing import NamedTuple

from .ami_headers import UNKNOWN, Headers, Missing, is_id, known, needed, needed_id, number


class ChannelState(enum.IntEnum):
    """
    AST_STATE_* of Asterisk's channel.h.
    """

    DOWN = 0
    RESERVED = 1
    OFFHOOK = 2
    DIALING = 3
    RING = 4
    RINGING = 5
    UP = 6
    BUSY = 7
    DIALING_OFFHOOK = 8
    PRERING = 9


class DialStatus(enum.StrEnum):
    """
    How one dial ended; the words of the dialplan's DIALSTATUS that a bridge needs.
    """

    ANSWER = "ANSWER"
    BUSY = "BUSY"
    CANCEL = "CANCEL"
    CHANUNAVAIL = "CHANUNAVAIL"
    CONGESTION = "CONGESTION"
    NOANSWER = "NOANSWER"


class ChannelSnapshot(NamedTuple):
    """
    What one event says of one channel.
    """

    name: str
    uniqueid: str
    #: None where this Asterisk does not know linked ids (before 12).
    linkedid: str | None = None
    state: ChannelState | None = None
    exten: str = ""
    context: str = ""
    caller_id_num: str = ""
    caller_id_name: str = ""
    connected_line_num: str = ""
    connected_line_name: str = ""


class Newchannel(NamedTuple):
    """
    A channel was made.
    """

    channel: ChannelSnapshot
    #: An Asterisk that tells of dials in the old way, or not at all (queues).
    legacy: bool = False


class Newstate(NamedTuple):
    """
    A channel's state changed.
    """

    channel: ChannelSnapshot


class DialBegin(NamedTuple):
    """
    *destination* is being called by *source*; None means that no channel was named.
    """

    source: ChannelSnapshot | None
    destination: ChannelSnapshot
    #: What is called, in the technology's own spelling: ``0003*002``, ``15551234567@trunk``.
    dial_string: str = ""


class DialEnd(NamedTuple):
    """
    The dial of one destination ended, or (legacy, no destination) all dials of a source.
    """

    source_uniqueid: str
    destination_uniqueid: str
    status: DialStatus | None
    #: The number to which the destination sends the call instead; Asterisk calls it by a Local.
    forward: str = ""


class Hangup(NamedTuple):
    """
    A channel is gone.
    """

    channel: ChannelSnapshot
    cause: int | None
    cause_text: str


class LocalBridge(NamedTuple):
    """
    Two halves of one Local channel were joined.
    """

    one_uniqueid: str
    two_uniqueid: str


class Pickup(NamedTuple):
    """
    The channel *picker* answered in place of the ringing channel *target*.

    Before Asterisk 12 only the names are told.
    """

    picker_name: str
    picker_uniqueid: str
    target_name: str
    target_uniqueid: str


class BlindTransfer(NamedTuple):
    """
    A channel was handed on to a number; no Uniqueid where it was not one channel, or failed.
    """

    transferee_uniqueid: str
    exten: str


class AttendedTransfer(NamedTuple):
    """
    *transferrer* handed on whom it talked to; *transferee* is None where it was not one channel.
    """

    transferrer: ChannelSnapshot
    transferee: ChannelSnapshot | None
    #: The transferrer's channel in the consultation, and whom it talked to there, if to one.
    second_uniqueid: str = ""
    target_uniqueid: str = ""


class OriginateResponse(NamedTuple):
    """
    How an asynchronous Originate ended: what the channel does now, if it was answered.
    """

    uniqueid: str
    success: bool
    application: str
    exten: str
    caller_id_num: str
    caller_id_name: str


class Rename(NamedTuple):
    """
    The channel with *uniqueid* has another name: half of a masquerade (before Asterisk 12).
    """

    uniqueid: str
    name: str


class QueueCallerJoin(NamedTuple):
    """
    A channel waits in a queue.
    """

    uniqueid: str


class FullyBooted(NamedTuple):
    """
    Asterisk is ready; *uptime* is in seconds, None where it is not told.
    """

    uptime: int | None


AmiEvent = (
    Newchannel
    | Newstate
    | DialBegin
    | DialEnd
    | Hangup
    | LocalBridge
    | Pickup
    | BlindTransfer
    | AttendedTransfer
    | OriginateResponse
    | Rename
    | QueueCallerJoin
    | FullyBooted
)

STATES = {str(state.value): state for state in ChannelState}
STATUSES = {status.value: status for status in DialStatus}


def read_ami_event(headers: Headers) -> AmiEvent | None:
    """
    Read *headers* into a record; None if the event is not one of those that matter.

    Raises ValueError, naming the header, if an event that matters lacks what it is about.
    """
    reader = _READERS.get(headers.get("Event", ""))
    if reader is None:
        return None
    try:
        return reader(headers)
    except Missing as missing:
        name = headers["Event"]
        raise ValueError(f"event {name} without a header {missing.args[0]}") from None


def read_channel(headers: Headers) -> ChannelSnapshot:
    """
    Read what *headers* say of one channel.

    Raises ValueError if they do not name it.
    """
    try:
        return _channel(headers)
    except Missing as missing:
        raise ValueError(f"channel row without a header {missing.args[0]}") from None


def _channel(headers: Headers, prefix: str = "") -> ChannelSnapshot:
    get = headers.get
    try:
        name = headers[prefix + "Channel"]
        uniqueid = headers[prefix + "Uniqueid"]
    except KeyError as error:
        raise Missing(error.args[0]) from None
    if uniqueid and not is_id(uniqueid):
        raise Missing(prefix + "Uniqueid")
    linkedid = get(prefix + "Linkedid")
    if linkedid and not is_id(linkedid):
        # The channel is as good without: its later events tell it again.
        linkedid = ""
    num, called = get(prefix + "CallerIDNum", ""), get(prefix + "CallerIDName", "")
    connected = get(prefix + "ConnectedLineNum", "")
    connected_name = get(prefix + "ConnectedLineName", "")
    return ChannelSnapshot(
        name,
        uniqueid,
        linkedid,
        STATES.get(get(prefix + "ChannelState", "")),
        get(prefix + "Exten", ""),
        get(prefix + "Context", ""),
        "" if num == UNKNOWN else num,
        "" if called == UNKNOWN else called,
        "" if connected == UNKNOWN else connected,
        "" if connected_name == UNKNOWN else connected_name,
    )


def _newchannel(headers: Headers) -> Newchannel:
    # Priority came to Newchannel with Asterisk 12, Linkedid a little later.
    legacy = "Linkedid" not in headers and "Priority" not in headers
    return Newchannel(_channel(headers), legacy)


def _newstate(headers: Headers) -> Newstate:
    return Newstate(_channel(headers))


def _dial_begin(headers: Headers) -> DialBegin:
    source = _channel(headers) if headers.get("Uniqueid") else None
    return DialBegin(source, _channel(headers, "Dest"), headers.get("DialString", ""))


def _dial_end(headers: Headers) -> DialEnd:
    return DialEnd(
        headers.get("Uniqueid", ""),
        needed(headers, "DestUniqueid"),
        STATUSES.get(headers.get("DialStatus", "")),
        headers.get("Forward", ""),
    )


def _legacy_dial(headers: Headers) -> DialBegin | DialEnd:
    """
    Read Dial of Asterisk 1.8 to 11: its End names the source alone and comes after the talk.
    """
    uniqueid = needed_id(headers, "UniqueID", "SrcUniqueID", "Uniqueid")
    if headers.get("SubEvent", "Begin") == "End":
        return DialEnd(uniqueid, "", STATUSES.get(headers.get("DialStatus", "")))
    source = ChannelSnapshot(
        name=needed(headers, "Channel", "Source"),
        uniqueid=uniqueid,
        caller_id_num=known(headers, "CallerIDNum"),
        caller_id_name=known(headers, "CallerIDName"),
    )
    destination = ChannelSnapshot(
        name=needed(headers, "Destination"),
        uniqueid=needed_id(headers, "DestUniqueID", "DestUniqueid"),
    )
    return DialBegin(source, destination)


def _hangup(headers: Headers) -> Hangup:
    return Hangup(_channel(headers), number(headers, "Cause"), headers.get("Cause-txt", ""))


def _local_bridge(headers: Headers) -> LocalBridge:
    return LocalBridge(
        needed(headers, "LocalOneUniqueid", "Uniqueid1"),
        needed(headers, "LocalTwoUniqueid", "Uniqueid2"),
    )


def _pickup(headers: Headers) -> Pickup:
    return Pickup(
        needed(headers, "Channel"),
        headers.get("Uniqueid", ""),
        needed(headers, "TargetChannel"),
        headers.get("TargetUniqueid", ""),
    )


def _blind_transfer(headers: Headers) -> BlindTransfer:
    return BlindTransfer(headers.get("TransfereeUniqueid", ""), needed(headers, "Extension"))


def _attended_transfer(headers: Headers) -> AttendedTransfer:
    succeeded = headers.get("Result") == "Success" and headers.get("TransfereeUniqueid")
    if not succeeded:
        return AttendedTransfer(_channel(headers, "OrigTransferer"), None)
    return AttendedTransfer(
        _channel(headers, "OrigTransferer"),
        _channel(headers, "Transferee"),
        headers.get("SecondTransfererUniqueid", ""),
        headers.get("TransferTargetUniqueid", ""),
    )


def _originate_response(headers: Headers) -> OriginateResponse:
    return OriginateResponse(
        known(headers, "Uniqueid"),
        headers.get("Response") == "Success",
        headers.get("Application", ""),
        headers.get("Exten", ""),
        known(headers, "CallerIDNum"),
        known(headers, "CallerIDName"),
    )


def _rename(headers: Headers) -> Rename:
    return Rename(needed_id(headers, "Uniqueid"), needed(headers, "Newname"))


def _queue_caller_join(headers: Headers) -> QueueCallerJoin:
    return QueueCallerJoin(needed(headers, "Uniqueid"))


def _fully_booted(headers: Headers) -> FullyBooted:
    return FullyBooted(number(headers, "Uptime"))


_READERS: dict[str, Callable[[Headers], AmiEvent]] = {
    "Newchannel": _newchannel,
    "Newstate": _newstate,
    "DialBegin": _dial_begin,
    "DialEnd": _dial_end,
    "Dial": _legacy_dial,
    "Hangup": _hangup,
    "LocalBridge": _local_bridge,
    "Pickup": _pickup,
    "BlindTransfer": _blind_transfer,
    "AttendedTransfer": _attended_transfer,
    "OriginateResponse": _originate_response,
    "Rename": _rename,
    "QueueCallerJoin": _queue_caller_join,
    "Join": _queue_caller_join,
    "FullyBooted": _fully_booted,
}

#: Names of the events that matter, as they stand on the wire: all others need not be parsed.
NAMES_THAT_MATTER = frozenset(name.encode() for name in _READERS)
