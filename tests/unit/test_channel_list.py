"""
Rows of CoreShowChannels become a list, or nothing if they are not all there.
"""

import pytest

from ami_bridge.core.ami_stream import AmiStream
from ami_bridge.core.channel_list import ChannelLists, ListedChannels

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

    assert following.take(end) == ListedChannels(frozenset(), ("1.9", "1.10"))
