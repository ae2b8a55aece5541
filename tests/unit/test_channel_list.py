"""
Rows of CoreShowChannels become a list, or nothing if they are not all there.
"""

import pytest

from ami_bridge.core.ami_events import ChannelSnapshot, ChannelState
from ami_bridge.core.ami_stream import AmiStream
from ami_bridge.core.channel_list import (
    ChannelLists,
    ChannelRow,
    ListedChannels,
    age,
    join,
    read_channel_row,
)

START = b"Response: Success\r\nEventList: start\r\nMessage: Channels will follow\r\n\r\n"
ROW = b"Event: CoreShowChannel\r\nChannel: PJSIP/1-00000001\r\nUniqueid: %s\r\n\r\n"
NAMELESS = b"Event: CoreShowChannel\r\nChannel: PJSIP/1-00000001\r\n\r\n"
END = b"Event: CoreShowChannelsComplete\r\nEventList: Complete\r\nListItems: %d\r\n\r\n"
OTHER = b"Event: Newchannel\r\nChannel: PJSIP/1-00000001\r\nUniqueid: 1.3\r\n\r\n"


def lists(stream: bytes, known: str = "1.1") -> list[ListedChannels]:
    """
    Read the lists in *stream*, *known* being known all the time.
    """
    following = ChannelLists(lambda: frozenset({known}))
    taken = [following.take(message) for message in AmiStream().feed(stream)]
    return [listed for listed in taken if listed is not None]


@pytest.mark.parametrize(
    ("stream", "living"),
    [
        pytest.param(START + END % 0, [set()], id="no channels"),
        pytest.param(START + ROW % b"1.2" + OTHER + END % 1, [{"1.2"}], id="events between rows"),
        pytest.param((START + ROW % b"1.2" + END % 1) * 2, [{"1.2"}, {"1.2"}], id="two lists"),
        pytest.param(ROW % b"1.2" + END % 1, [], id="begun before the recording"),
        pytest.param(START + ROW % b"1.2" + END % 2, [], id="a row lost"),
        pytest.param(START + NAMELESS + END % 1, [], id="a row without a channel"),
        pytest.param(START + ROW % b"1.2", [], id="cut off"),
        pytest.param(
            START + ROW % b"1.2" + START + END % 0, [set()], id="cut off, then asked again"
        ),
    ],
)
def test_only_a_whole_list_counts(stream: bytes, living: list[set[str]]) -> None:
    """
    A list tells who lives only from its beginning to its end, with every row.
    """
    assert [set(listed.living) for listed in lists(stream)] == living


def test_what_was_known_before_the_list_is_kept_with_it() -> None:
    """
    A channel that appears while the list is written is not among those that may be gone.
    """
    known = {"1.10", "1.9"}
    following = ChannelLists(lambda: frozenset(known))
    start, end = AmiStream().feed(START + END % 0)

    following.take(start)
    known.add("1.11")

    assert following.take(end) == ListedChannels((), frozenset({"1.9", "1.10"}))


def test_status_adds_the_number_dialled() -> None:
    """
    A row of CoreShowChannels with that of Status is the same channel and the number it dialled.
    """
    one, two, three = (
        ChannelRow(ChannelSnapshot("PJSIP/1-1", f"1.{number}"), "Dial") for number in (1, 2, 3)
    )
    statuses = [two._replace(dnid=""), one._replace(dnid="15551230001", application="Wait")]

    assert join([one, two, three], statuses) == (
        one._replace(dnid="15551230001"),
        two._replace(dnid=""),
        three,
    )


def test_channels_in_the_order_of_their_births() -> None:
    """
    Unique ids are compared as numbers, after the name of the system if there is one.
    """
    ids = ["1795000000.9", "pbx-1-1795000000.10", "1795000001.0", "strange", "stranger"]

    assert sorted(ids, key=age) == [*ids[3:], *ids[:3]]


def test_rows_of_either_action_and_any_age() -> None:
    """
    CoreShowChannels and Status spell the same facts differently, and old Asterisks all of them.
    """
    channel = {"Channel": "SIP/101-00000000", "Context": "internal", "ChannelState": "6"}
    modern = {**channel, "Uniqueid": "1.0", "Linkedid": "1.0", "Exten": "102", "CallerIDNum": "101"}
    old = {**channel, "UniqueID": "1.0", "Extension": "102", "CallerIDnum": "101"}
    snapshot = ChannelSnapshot(
        "SIP/101-00000000", "1.0", None, ChannelState.UP, "102", "internal", "101"
    )
    linked = snapshot._replace(linkedid="1.0")

    assert read_channel_row(
        {**modern, "Application": "Dial", "ApplicationData": "SIP/102", "BridgeId": "b-1"}
    ) == ChannelRow(linked, "Dial", "SIP/102", "b-1")
    assert read_channel_row(
        {**modern, "Application": "Dial", "Data": "SIP/102", "BridgeID": "b-1", "DNID": "0102"}
    ) == ChannelRow(linked, "Dial", "SIP/102", "b-1", "0102")
    assert read_channel_row({**old, "BridgedUniqueID": "1.1"}) == ChannelRow(
        snapshot, bridge="1.0/1.1"
    )
    assert (
        read_channel_row({**old, "UniqueID": "1.1", "BridgedUniqueid": "1.0"}).bridge == "1.0/1.1"
    )
