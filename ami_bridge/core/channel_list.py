"""
The list of channels that Asterisk gives on CoreShowChannels, put together from its rows.

Whoever lost the connection for a while learns from it which calls ended meanwhile.
"""

from collections.abc import Callable

import attrs

from .ami_events import read_channel_row
from .ami_stream import AmiMessage

_ROW = b"CoreShowChannel"
_COMPLETE = b"CoreShowChannelsComplete"

#: Names of the events that make up a list.
NAMES_OF_LISTS = frozenset({_ROW, _COMPLETE})


@attrs.frozen
class ListedChannels:
    """
    One complete list.
    """

    #: Uniqueids of the channels that exist.
    living: frozenset[str]
    #: Uniqueids that were known before Asterisk began the list, the oldest first.
    known_before: tuple[str, ...]


class ChannelLists:
    """
    Follows a stream in which somebody may ask for the list of channels.

    *known* tells the Uniqueids that are known at the moment.
    """

    def __init__(self, known: Callable[[], frozenset[str]]) -> None:
        self._known = known
        self._known_before: frozenset[str] | None = None
        self._living: list[str] = []

    def take(self, message: AmiMessage) -> ListedChannels | None:
        """
        Take the next message; return the list that it completes, if it completes one.
        """
        if not message.name:
            if message.headers.get("EventList", "").lower() == "start":
                self._known_before, self._living = self._known(), []
        elif message.name == _ROW:
            try:
                self._living.append(read_channel_row(message.headers).uniqueid)
            except ValueError:
                self._known_before = None  # of a list with a gap nothing follows
        elif message.name == _COMPLETE:
            return self._complete(message.headers.get("ListItems", ""))
        return None

    def _complete(self, items: str) -> ListedChannels | None:
        known_before, self._known_before = self._known_before, None
        living, self._living = frozenset(self._living), []
        if known_before is None or items != str(len(living)):
            return None
        # Asterisk counts, so that a longer Uniqueid is a later one.
        oldest_first = sorted(known_before, key=lambda uniqueid: (len(uniqueid), uniqueid))
        return ListedChannels(living, tuple(oldest_first))
