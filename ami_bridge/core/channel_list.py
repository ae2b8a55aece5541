"""
The list of channels that Asterisk gives on CoreShowChannels, put together from its rows.

Whoever lost the connection for a while learns from it which calls ended meanwhile, and
which began.
"""

import re
from collections.abc import Callable, Iterable
from typing import NamedTuple

import attrs

from .ami_events import AmiEvent, ChannelSnapshot, read_channel
from .ami_headers import Headers
from .ami_stream import AmiMessage

_UNIQUEID = re.compile(r"([0-9]{1,12})\.([0-9]{1,12})")
_ROW = b"CoreShowChannel"
_COMPLETE = b"CoreShowChannelsComplete"

#: Names of the events that make up a list.
NAMES_OF_LISTS = frozenset({_ROW, _COMPLETE})
#: Headers of a row in Status, or before Asterisk 12, and what CoreShowChannels calls them since.
_SPELLINGS = {
    "UniqueID": "Uniqueid",
    "Extension": "Exten",
    "CallerIDnum": "CallerIDNum",
    "CallerIDname": "CallerIDName",
    "BridgedUniqueID": "BridgedUniqueid",
    "Data": "ApplicationData",
    "BridgeID": "BridgeId",
}


class ChannelRow(NamedTuple):
    """
    A channel as a list shows it: one row of CoreShowChannels or of Status.
    """

    channel: ChannelSnapshot
    #: The application that it runs, as in the dialplan; a dialled channel has a name in its place.
    application: str = ""
    #: The application's argument; ``(Outgoing Line)`` of a channel that was dialled.
    data: str = ""
    #: Channels with the same one talk to each other; empty while it talks to nobody.
    bridge: str = ""
    #: The number that it dialled when it called the PBX; None where the list does not tell.
    dnid: str | None = None

    @property
    def uniqueid(self) -> str:
        """
        Give the Uniqueid of the channel.
        """
        return self.channel.uniqueid


def read_channel_row(headers: Headers) -> ChannelRow:
    """
    Read one row of the list that CoreShowChannels (or Status) gives.

    Raises ValueError if the row does not name its channel.
    """
    modern = {_SPELLINGS.get(name, name): value for name, value in headers.items()}
    channel = read_channel(modern)
    bridge, other = modern.get("BridgeId", ""), modern.get("BridgedUniqueid", "")
    if other and not bridge:
        # Before Asterisk 12 a bridge has no name of its own, and two ends.
        bridge = "/".join(sorted((channel.uniqueid, other)))
    return ChannelRow(
        channel,
        modern.get("Application", ""),
        modern.get("ApplicationData", ""),
        bridge,
        modern.get("DNID"),
    )


@attrs.frozen
class ListedChannels:
    """
    One complete list.
    """

    rows: tuple[ChannelRow, ...]
    #: Uniqueids that were known before Asterisk began the list.
    known_before: frozenset[str]
    #: What Asterisk told since the login, or since it was asked, and nobody has followed yet.
    held: tuple[AmiEvent, ...] = ()

    @property
    def living(self) -> frozenset[str]:
        """
        Give the Uniqueids of the channels that exist.
        """
        return frozenset(row.uniqueid for row in self.rows)


def join(rows: Iterable[ChannelRow], statuses: Iterable[ChannelRow]) -> tuple[ChannelRow, ...]:
    """
    Give the *rows* of CoreShowChannels with the numbers dialled, which only Status tells.
    """
    numbers = {status.uniqueid: status.dnid for status in statuses}
    return tuple(row._replace(dnid=numbers.get(row.uniqueid, row.dnid)) for row in rows)


def age(uniqueid: str) -> tuple[int, int, str]:
    """
    Give the place of a channel in the order of births, by which to sort.

    A Uniqueid is ``[system-]second.number``, and the number counts from Asterisk's start.
    """
    if found := _UNIQUEID.fullmatch(uniqueid.rpartition("-")[2]):
        return int(found[1]), int(found[2]), uniqueid
    return 0, len(uniqueid), uniqueid


class ChannelLists:
    """
    Follows a stream in which somebody may ask for the list of channels.

    *known* tells the Uniqueids that are known at the moment.
    """

    def __init__(self, known: Callable[[], frozenset[str]]) -> None:
        self._known = known
        self._known_before: frozenset[str] | None = None
        self._rows: list[ChannelRow] = []

    def take(self, message: AmiMessage) -> ListedChannels | None:
        """
        Take the next message; return the list that it completes, if it completes one.
        """
        if not message.name:
            if message.headers.get("EventList", "").lower() == "start":
                self._known_before, self._rows = self._known(), []
        elif message.name == _ROW:
            try:
                self._rows.append(read_channel_row(message.headers))
            except ValueError:
                self._known_before = None  # of a list with a gap nothing follows
        elif message.name == _COMPLETE:
            return self._complete(message.headers.get("ListItems", ""))
        return None

    def _complete(self, items: str) -> ListedChannels | None:
        known_before, self._known_before = self._known_before, None
        rows, self._rows = tuple(self._rows), []
        if known_before is None or items != str(len(rows)):
            return None
        return ListedChannels(rows, known_before)
