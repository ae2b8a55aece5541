"""
AMI records written as messages, and read again.
"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ami_bridge.core.ami_events import (
    AmiEvent,
    AttendedTransfer,
    BlindTransfer,
    ChannelSnapshot,
    ChannelState,
    DialBegin,
    DialEnd,
    DialStatus,
    FullyBooted,
    Hangup,
    LocalBridge,
    Newchannel,
    Newstate,
    OriginateResponse,
    Pickup,
    QueueCallerJoin,
    Rename,
    read_ami_event,
)
from ami_bridge.core.ami_fast_lane import read_message
from ami_bridge.core.ami_stream import AmiStream
from ami_bridge.core.ami_writing import as_message

#: Whatever a phone's user may have put into their name.
texts = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12).filter(
    lambda text: text != "<unknown>" and "\r\n" not in text
)
words = texts.filter(bool)
ids = st.from_regex(r"[!-~]{1,12}", fullmatch=True)
snapshots = st.builds(
    ChannelSnapshot,
    name=words,
    uniqueid=ids,
    linkedid=st.none() | st.just("") | ids,
    state=st.none() | st.sampled_from(ChannelState),
    exten=texts,
    context=texts,
    caller_id_num=texts,
    caller_id_name=texts,
    connected_line_num=texts,
    connected_line_name=texts,
)
statuses = st.none() | st.sampled_from(DialStatus)


def _newchannel(channel: ChannelSnapshot, *, legacy: bool) -> Newchannel:
    # An old Asterisk knows no Linkedid.
    return Newchannel(channel._replace(linkedid=None) if legacy else channel, legacy)


records: st.SearchStrategy[AmiEvent] = st.one_of(
    st.builds(_newchannel, snapshots, legacy=st.booleans()),
    st.builds(Newstate, snapshots),
    st.builds(DialBegin, st.none() | snapshots, snapshots, texts),
    st.builds(DialEnd, texts, words, statuses, texts),
    st.builds(DialEnd, ids, st.just(""), statuses, st.just("")),
    st.builds(Hangup, snapshots, st.none() | st.integers(0, 127), texts),
    st.builds(LocalBridge, words, words),
    st.builds(Pickup, words, texts, words, texts),
    st.builds(BlindTransfer, texts, words),
    st.builds(AttendedTransfer, snapshots, st.none(), st.just(""), st.just("")),
    st.builds(AttendedTransfer, snapshots, snapshots, texts, texts),
    st.builds(OriginateResponse, texts, st.booleans(), texts, texts, texts, texts),
    st.builds(Rename, ids, words),
    st.builds(QueueCallerJoin, words),
    st.builds(FullyBooted, st.none() | st.integers(0, 10**9)),
)


@given(st.lists(records, max_size=4))
def test_what_is_written_is_read_again(written: list[AmiEvent]) -> None:
    """
    A stream of written records is read as the same records, by the fast reader and the patient.
    """
    messages = AmiStream().feed(b"".join(map(as_message, written)))

    assert [read_message(message) for message in messages] == written
    assert [read_ami_event(message.headers) for message in messages] == written


def test_a_channel_is_written_as_asterisk_does() -> None:
    """
    A message has Asterisk's headers in Asterisk's order, and its word for what is unknown.
    """
    channel = ChannelSnapshot(
        "PJSIP/0003*001-00000001", "1.2", "1.1", ChannelState.RING, "002", "phones", "0003*001"
    )

    assert as_message(Newstate(channel)).decode().split("\r\n") == [
        "Event: Newstate",
        "Channel: PJSIP/0003*001-00000001",
        "ChannelState: 4",
        "ChannelStateDesc: Ring",
        "CallerIDNum: 0003*001",
        "CallerIDName: <unknown>",
        "ConnectedLineNum: <unknown>",
        "ConnectedLineName: <unknown>",
        "AccountCode: ",
        "Context: phones",
        "Exten: 002",
        "Priority: 1",
        "Uniqueid: 1.2",
        "Linkedid: 1.1",
        "",
        "",
    ]


def test_the_end_of_a_line_in_a_value_is_an_error() -> None:
    """
    No value can end its line and begin another header.
    """
    with pytest.raises(ValueError, match="Uniqueid contains the end of a line"):
        as_message(QueueCallerJoin("1.2\r\nEvent: Hangup"))
