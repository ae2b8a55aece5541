"""
Stories: which AMI messages have to be read again for the calls that live now.

A bridge that starts again reads what Asterisk said of the calls that were up, and knows what
it knew. So messages are kept for as long as one of the channels lives that they have to do
with. A story is a set of channels that have to do with each other: by a message that names
both, or by a Linkedid. Stories that meet become one, and end together.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import attrs

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

_DECORATION = re.compile(r"<(?:MASQ|ZOMBIE)>\Z")
#: Uniqueids; and Linkedids and names, which tell of no channel by themselves. Some may be empty.
Named = tuple[tuple[str, ...], tuple[str, ...]]


@attrs.define(eq=False)
class Story:
    """
    Channels that have to do with each other, and the names under which it was kept.
    """

    name: str
    #: Also the names of the stories that became part of it.
    names: set[str]
    #: Uniqueids, Linkedids and names by which it is found.
    keys: set[str] = attrs.field(factory=set)
    #: Uniqueids of its channels; some may be gone.
    channels: set[str] = attrs.field(factory=set)


class Stories:
    """
    The stories of one PBX that are not over; *lives* tells whether a Uniqueid's channel lives.
    """

    def __init__(self, lives: Callable[[str], bool]) -> None:
        self._lives = lives
        self._by_key: dict[str, Story] = {}
        #: Stories that lost a channel since they were last looked at.
        self._shaken: dict[str, Story] = {}

    def __len__(self) -> int:
        return len({id(story) for story in self._by_key.values()})

    def note(self, ami_event: AmiEvent, name: str = "") -> str | None:
        """
        Note that *ami_event* was taken; return the name of the story that it belongs to.

        None means that nothing has to be kept of it: it is about no channel, or about one
        that is gone and in no story. *name* is that of the story that it was kept under, if
        it was.
        """
        channels, others = _NAMED_IN[type(ami_event)](ami_event)
        story = self._known(channels, others) if not name else None
        story = story or self._meet(channels, others, name)
        if story is None:
            return None
        if isinstance(ami_event, Hangup):
            self._shaken[story.name] = story
        return story.name

    def together(self, name: str) -> frozenset[str]:
        """
        Give the names of the stories that the one called *name* has become one with.
        """
        found = (story.names for story in self._by_key.values() if name in story.names)
        return frozenset(next(found, {name}))

    def take_ended(self, *, all_shaken: bool = False) -> list[str]:
        """
        Give the names of the stories that ended since the last time, and forget them.

        *all_shaken* says that any channel may be gone, not only those with a Hangup.
        """
        shaken = self._by_key if all_shaken else self._shaken
        ended: list[str] = []
        for story in list({id(story): story for story in shaken.values()}.values()):
            story.channels = {one for one in story.channels if self._lives(one)}
            if not story.channels:
                ended += sorted(story.names)
                for key in story.keys:
                    del self._by_key[key]
        self._shaken.clear()
        return ended

    def _known(self, channels: Iterable[str], others: Iterable[str]) -> Story | None:
        """
        Give the story that has them all already, as most events' does.
        """
        story: Story | None = None
        for key in (*channels, *others):
            if not key:
                continue
            found = self._by_key.get(key)
            if found is None or (story is not None and found is not story):
                return None
            story = found
        if story is None or not all(one in story.channels for one in channels if one):
            return None
        return story

    def _meet(self, channels: Iterable[str], others: Iterable[str], name: str) -> Story | None:
        channels = [one for one in channels if one]
        keys = {*channels, *others} - {""}
        known = {id(story): story for key in keys if (story := self._by_key.get(key))}
        met = sorted(known.values(), key=lambda story: story.name != name)
        if met:
            story = met[0]
        elif channels and any(self._lives(one) for one in channels):
            story = Story(name or channels[0], {name or channels[0]})
        else:
            return None
        for other in met[1:]:
            self._absorb(story, other)
        if name:
            story.names.add(name)
        story.keys |= keys
        story.channels.update(channels)
        for key in keys:
            self._by_key[key] = story
        return story

    def _absorb(self, story: Story, other: Story) -> None:
        story.names |= other.names
        story.channels |= other.channels
        story.keys |= other.keys
        for key in other.keys:
            self._by_key[key] = story
        if self._shaken.pop(other.name, None):
            self._shaken[story.name] = story


def named_in(ami_event: AmiEvent) -> frozenset[str]:
    """
    Give the Uniqueids and Linkedids that *ami_event* names.
    """
    channels, others = _NAMED_IN[type(ami_event)](ami_event)
    return frozenset((*channels, *others)) - {""}


def _of(channel: ChannelSnapshot) -> Named:
    return (channel.uniqueid,), (channel.linkedid or "",)


def _with_name(channel: ChannelSnapshot) -> Named:
    channels, others = _of(channel)
    return channels, (*others, channel.name)


def _both(one: ChannelSnapshot | None, other: ChannelSnapshot) -> Named:
    channels, others = _of(other)
    if one is None:
        return channels, others
    of_one = _of(one)
    return of_one[0] + channels, of_one[1] + others


def _in_transfer(said: AttendedTransfer) -> Named:
    channels, others = _both(said.transferee, said.transferrer)
    return (*channels, said.second_uniqueid, said.target_uniqueid), others


#: How to find what an event names.
_NAMED_IN: Mapping[type, Callable[[Any], Named]] = {
    Newchannel: lambda said: _with_name(said.channel),
    Newstate: lambda said: _of(said.channel),
    Hangup: lambda said: _of(said.channel),
    DialBegin: lambda said: _both(said.source, said.destination),
    DialEnd: lambda said: ((said.source_uniqueid, said.destination_uniqueid), ()),
    LocalBridge: lambda said: ((said.one_uniqueid, said.two_uniqueid), ()),
    Pickup: lambda said: ((said.picker_uniqueid, said.target_uniqueid), ()),
    BlindTransfer: lambda said: ((said.transferee_uniqueid,), ()),
    AttendedTransfer: _in_transfer,
    OriginateResponse: lambda said: ((said.uniqueid,), ()),
    # Before Asterisk 12 a masquerade swaps two channels by their names.
    Rename: lambda said: ((said.uniqueid,), (_DECORATION.sub("", said.name),)),
    QueueCallerJoin: lambda said: ((said.uniqueid,), ()),
    FullyBooted: lambda _: ((), ()),
}
