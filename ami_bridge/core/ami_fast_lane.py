"""
The busiest AMI events read in one pass, without taking all their headers apart.

Asterisk 13 and later write the facts of a channel in one fixed order, so one regular
expression finds them all. Whatever does not fit (another order, a missing header, older
spellings, bytes that are no UTF-8) is left to the patient reader in `ami_events`, which
gives the same records: this module only saves time.
"""

import re
from collections.abc import Callable, Sequence

from .ami_events import (
    STATES,
    STATUSES,
    AmiEvent,
    ChannelSnapshot,
    DialBegin,
    DialEnd,
    Hangup,
    Newchannel,
    Newstate,
    read_ami_event,
)
from .ami_headers import UNKNOWN
from .ami_stream import AmiMessage

# Possessive (`*+`): a value ends at its CR and nowhere else, so nothing is tried twice. No group
# is: before Python 3.11.5 one with a lookahead in it does not match (CPython issue 100061).
_VALUE = r"([^\r]*+)\r\n"
#: Others than these need a closer look.
_ID = r"([ -~]*+)\r\n"
_ANY = r"[^\r]*+\r\n"
#: A caller id, whose group takes no part where Asterisk does not know it.
_KNOWN = rf"(?:{UNKNOWN}|([^\r]*+))\r\n"
#: Lines before the channel: the event's name, its class, system name, time stamp.
_BEFORE = rf"(?:(?!(?:Dest)?Channel: ){_ANY})*"


def _channel_lines(prefix: str) -> str:
    return (
        rf"{prefix}Channel: {_VALUE}{prefix}ChannelState: {_VALUE}{prefix}ChannelStateDesc: {_ANY}"
        rf"{prefix}CallerIDNum: {_KNOWN}{prefix}CallerIDName: {_KNOWN}"
        rf"{prefix}ConnectedLineNum: {_KNOWN}{prefix}ConnectedLineName: {_KNOWN}"
        rf"(?:{prefix}Language: {_ANY})?{prefix}AccountCode: {_ANY}"
        rf"{prefix}Context: {_VALUE}{prefix}Exten: {_VALUE}{prefix}Priority: {_ANY}"
        rf"{prefix}Uniqueid: {_ID}{prefix}Linkedid: {_ID}"
    )


_CHANNEL = re.compile(_BEFORE + _channel_lines(""))
_HANGUP = re.compile(_BEFORE + _channel_lines("") + rf"Cause: (\d+)\r\nCause-txt: {_VALUE}")
_DIAL_BEGIN = re.compile(
    _BEFORE + rf"(?:{_channel_lines('')})?" + _channel_lines("Dest") + rf"(?:DialString: {_VALUE})?"
)
_DIAL_END = re.compile(
    _BEFORE
    + rf"(?:Channel: (?:(?!Uniqueid: ){_ANY})*Uniqueid: {_VALUE}Linkedid: {_ANY})?"
    + rf"DestChannel: (?:(?!DestUniqueid: ){_ANY})*DestUniqueid: {_VALUE}"
    + rf"(?:(?!Forward: |DialStatus: ){_ANY})*(?:Forward: {_VALUE})?DialStatus: {_VALUE}"
)
#: Groups that one channel's lines make.
_WIDTH = 10


def _snapshot(values: Sequence[str]) -> ChannelSnapshot:
    name, state, num, called, connected, connected_name, context, exten, uniqueid, linkedid = values
    return ChannelSnapshot(
        name,
        uniqueid,
        linkedid,
        STATES.get(state),
        exten,
        context,
        num,
        called,
        connected,
        connected_name,
    )


def _newchannel(text: str) -> Newchannel | None:
    found = _CHANNEL.match(text)
    return Newchannel(_snapshot(found.groups(""))) if found else None


def _newstate(text: str) -> Newstate | None:
    found = _CHANNEL.match(text)
    return Newstate(_snapshot(found.groups(""))) if found else None


def _hangup(text: str) -> Hangup | None:
    found = _HANGUP.match(text)
    if found is None:
        return None
    *channel, cause, cause_text = found.groups("")
    return Hangup(_snapshot(channel), int(cause), cause_text)


def _dial_begin(text: str) -> DialBegin | None:
    found = _DIAL_BEGIN.match(text)
    if found is None:
        return None
    values = found.groups("")
    source = _snapshot(values[:_WIDTH]) if values[0] else None
    return DialBegin(source, _snapshot(values[_WIDTH : 2 * _WIDTH]), values[2 * _WIDTH])


def _dial_end(text: str) -> DialEnd | None:
    found = _DIAL_END.match(text)
    if found is None:
        return None
    source, destination, forward, status = found.groups("")
    return DialEnd(source, destination, STATUSES.get(status), forward)


READERS: dict[bytes, Callable[[str], AmiEvent | None]] = {
    b"Newchannel": _newchannel,
    b"Newstate": _newstate,
    b"Hangup": _hangup,
    b"DialBegin": _dial_begin,
    b"DialEnd": _dial_end,
}


def read_message(message: AmiMessage) -> AmiEvent | None:
    """
    Read *message* into a record; None if it is not one of the events that matter.

    Raises ValueError, naming the header, if an event that matters lacks what it is about.
    """
    reader = READERS.get(message.name)
    if reader is not None and b"\0" not in message.raw:
        try:
            record = reader(message.raw.decode() + "\r\n")
        except UnicodeDecodeError:
            record = None
        if record is not None:
            return record
    return read_ami_event(message.headers)
