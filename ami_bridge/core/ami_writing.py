"""
Records back to AMI messages: the bytes from which `ami_events` reads the same record.

What a bridge concludes about a time in which it did not listen is written down in the words
that Asterisk would have used, so that it can be kept, and read again, like what was heard.
"""

from collections.abc import Callable, Iterable
from typing import Any

from .ami_events import (
    AmiEvent,
    AttendedTransfer,
    BlindTransfer,
    ChannelSnapshot,
    DialBegin,
    DialEnd,
    FullyBooted,
    Hangup,
    LocalBridge,
    Newchannel,
    Newstate,
    OriginateResponse,
    Pickup,
    QueueCallerJoin,
    Rename,
)
from .ami_headers import UNKNOWN

Lines = Iterable[tuple[str, str]]

_LINE_END = "\r\n"


def as_message(record: AmiEvent) -> bytes:
    """
    Write *record* as Asterisk would: lines that end in CRLF, and a blank one.

    Raises ValueError if a value contains the end of a line, as none can that was read from AMI.
    """
    name, lines = _WRITERS[type(record)](record)
    text = [f"Event: {name}", *(f"{header}: {value}" for header, value in lines)]
    for line in text:
        if _LINE_END in line:
            raise ValueError(f"the header {line.partition(':')[0]} contains the end of a line")
    return _LINE_END.join([*text, "", ""]).encode()


def _channel(channel: ChannelSnapshot, prefix: str = "", *, priority: bool = True) -> Lines:
    """
    Write a channel in the order in which Asterisk does, which is the one that is read fast.
    """
    state = channel.state
    yield f"{prefix}Channel", channel.name
    yield f"{prefix}ChannelState", "" if state is None else str(state.value)
    yield f"{prefix}ChannelStateDesc", "" if state is None else state.name.title()
    yield f"{prefix}CallerIDNum", channel.caller_id_num or UNKNOWN
    yield f"{prefix}CallerIDName", channel.caller_id_name or UNKNOWN
    yield f"{prefix}ConnectedLineNum", channel.connected_line_num or UNKNOWN
    yield f"{prefix}ConnectedLineName", channel.connected_line_name or UNKNOWN
    yield f"{prefix}AccountCode", ""
    yield f"{prefix}Context", channel.context
    yield f"{prefix}Exten", channel.exten
    if priority:
        yield f"{prefix}Priority", "1"
    yield f"{prefix}Uniqueid", channel.uniqueid
    if channel.linkedid is not None:
        yield f"{prefix}Linkedid", channel.linkedid


def _newchannel(record: Newchannel) -> tuple[str, Lines]:
    # An old Asterisk is known by the absence of Priority.
    return "Newchannel", _channel(record.channel, priority=not record.legacy)


def _newstate(record: Newstate) -> tuple[str, Lines]:
    return "Newstate", _channel(record.channel)


def _dial_begin(record: DialBegin) -> tuple[str, Lines]:
    source = () if record.source is None else _channel(record.source)
    string = [("DialString", record.dial_string)] if record.dial_string else []
    return "DialBegin", (*source, *_channel(record.destination, "Dest"), *string)


def _dial_end(record: DialEnd) -> tuple[str, Lines]:
    status = [] if record.status is None else [("DialStatus", record.status.value)]
    if not record.destination_uniqueid:
        return "Dial", [("SubEvent", "End"), ("UniqueID", record.source_uniqueid), *status]
    source = [("Uniqueid", record.source_uniqueid)] if record.source_uniqueid else []
    forward = [("Forward", record.forward)] if record.forward else []
    return "DialEnd", [*source, ("DestUniqueid", record.destination_uniqueid), *forward, *status]


def _hangup(record: Hangup) -> tuple[str, Lines]:
    cause = [] if record.cause is None else [("Cause", str(record.cause))]
    return "Hangup", (*_channel(record.channel), *cause, ("Cause-txt", record.cause_text))


def _local_bridge(record: LocalBridge) -> tuple[str, Lines]:
    halves = (record.one_uniqueid, record.two_uniqueid)
    return "LocalBridge", zip(("LocalOneUniqueid", "LocalTwoUniqueid"), halves, strict=True)


def _pickup(record: Pickup) -> tuple[str, Lines]:
    return "Pickup", [
        ("Channel", record.picker_name),
        ("Uniqueid", record.picker_uniqueid),
        ("TargetChannel", record.target_name),
        ("TargetUniqueid", record.target_uniqueid),
    ]


def _blind_transfer(record: BlindTransfer) -> tuple[str, Lines]:
    return "BlindTransfer", [
        ("TransfereeUniqueid", record.transferee_uniqueid),
        ("Extension", record.exten),
    ]


def _attended_transfer(record: AttendedTransfer) -> tuple[str, Lines]:
    transferrer = _channel(record.transferrer, "OrigTransferer")
    if record.transferee is None:
        return "AttendedTransfer", (("Result", "Fail"), *transferrer)
    return "AttendedTransfer", (
        ("Result", "Success"),
        *transferrer,
        ("SecondTransfererUniqueid", record.second_uniqueid),
        *_channel(record.transferee, "Transferee"),
        ("TransferTargetUniqueid", record.target_uniqueid),
    )


def _originate_response(record: OriginateResponse) -> tuple[str, Lines]:
    return "OriginateResponse", [
        ("Response", "Success" if record.success else "Failure"),
        ("Application", record.application),
        ("Exten", record.exten),
        ("Uniqueid", record.uniqueid or UNKNOWN),
        ("CallerIDNum", record.caller_id_num or UNKNOWN),
        ("CallerIDName", record.caller_id_name or UNKNOWN),
    ]


def _rename(record: Rename) -> tuple[str, Lines]:
    return "Rename", [("Newname", record.name), ("Uniqueid", record.uniqueid)]


def _queue_caller_join(record: QueueCallerJoin) -> tuple[str, Lines]:
    return "QueueCallerJoin", [("Uniqueid", record.uniqueid)]


def _fully_booted(record: FullyBooted) -> tuple[str, Lines]:
    uptime = [] if record.uptime is None else [("Uptime", str(record.uptime))]
    return "FullyBooted", uptime


_WRITERS: dict[type, Callable[[Any], tuple[str, Lines]]] = {
    Newchannel: _newchannel,
    Newstate: _newstate,
    DialBegin: _dial_begin,
    DialEnd: _dial_end,
    Hangup: _hangup,
    LocalBridge: _local_bridge,
    Pickup: _pickup,
    BlindTransfer: _blind_transfer,
    AttendedTransfer: _attended_transfer,
    OriginateResponse: _originate_response,
    Rename: _rename,
    QueueCallerJoin: _queue_caller_join,
    FullyBooted: _fully_booted,
}
