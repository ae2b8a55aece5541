"""
What Asterisk has told so far: channels, who dialled whom, and who is behind a dial.

Channels are found by Uniqueid. Their Linkedid is an attribute that calls may change
when they merge; nothing is keyed by it but the number on which a call came in.
"""

import re
from collections.abc import Iterator

import attrs

from .ami_events import ChannelSnapshot, ChannelState, DialStatus
from .extensions import Party, PartyKind, WhoIsWho
from .legs import Leg

_SECONDS = re.compile(r"[0-9]{1,12}")
#: How many ended channels are remembered, so that a late event does not revive one.
REMEMBERED_DEAD = 1000


@attrs.define(eq=False)
class Origination:
    """
    A call that Asterisk was asked to make (AMI or ARI Originate, call file).

    Its *head* is the channel that was dialled without anybody dialling; when it was
    answered, it runs an application or dials on in the dialplan. A Local head stands
    for whatever its other half dials.
    """

    head: "Channel"
    #: Legs of the extensions it rings; nothing is said of them until it dials on.
    legs: list[Leg] = attrs.field(factory=list)
    #: The number its dialplan part begins with, as OriginateResponse tells it.
    exten: str = ""
    #: It runs an application that calls nobody: the extension receives a call.
    plays: bool = False
    #: Why its head hung up.
    cause: int | None = None
    caller_id_num: str = ""
    caller_id_name: str = ""

    def party(self) -> Leg | None:
        """
        Find the leg that the originated call reached: the answered one, or the only one.
        """
        alive = [leg for leg in self.legs if leg.channels]
        answered = [leg for leg in alive if leg.picked_up]
        return answered[0] if answered else alive[0] if len(alive) == 1 else None


@attrs.define(eq=False)
class Entrance:
    """
    Where a call came in: shared by the channels that were made with one Linkedid.
    """

    linkedid: str
    did: str = ""
    channels: int = 0


@attrs.define(eq=False)
class Channel:
    """
    One channel of the PBX, alive, and its part in dials.
    """

    name: str
    uniqueid: str
    linkedid: str | None
    party: Party
    entrance: Entrance
    #: Its Newchannel was seen, so that nothing of its life was missed.
    seen_from_birth: bool
    exten: str
    caller_id_num: str
    caller_id_name: str
    connected_line_num: str
    connected_line_name: str
    #: The caller id it was made with: an extension's own.
    own_caller_id_num: str = ""
    own_caller_id_name: str = ""
    #: An Asterisk made it that does not tell of all dials (before 12).
    legacy: bool = False
    #: It called the PBX: it reached Ring and was never anybody's destination.
    inbound: bool = False
    #: The number it dialled: its Exten when it reached Ring.
    called_number: str = ""
    up: bool = False
    #: It was the destination of a dial.
    dialled: bool = False
    #: What was dialled to reach it, as its technology spells it.
    dial_string: str = ""
    #: Who dialled it, where that was told.
    dialled_by: "Channel | None" = None
    #: Where the dialplan of who dialled it was; empty in a subroutine, whose exten is no number.
    dialled_from: str = ""
    #: The phone that sends its call on to this channel, where nobody dials either (Page).
    forwarded_by: "Channel | None" = None
    dial_status: DialStatus | None = None
    #: Its answer has been told to the leg of whoever dialled it.
    answer_told: bool = False
    #: It has dialled somebody.
    dials: bool = False
    #: The number to which it was handed on by a blind transfer.
    transferred_to: str = ""
    #: Whom it handed on by an attended transfer; it may be rung again for that party.
    transferee: "Channel | None" = None
    #: It waits in a queue of an Asterisk that does not tell of the queue's dials.
    queued: bool = False
    origination: Origination | None = None
    #: The other half of a Local channel.
    other_half: "Channel | None" = None
    #: The real channel that answered what this Local half dialled.
    reached: "Channel | None" = None
    in_leg: Leg | None = None
    out_leg: Leg | None = None
    #: The OUT leg, of whoever is behind the dial, that this channel's answer answers.
    dialled_for: Leg | None = None

    @property
    def is_extension(self) -> bool:
        """
        Tell whether an extension's phone is at the other end.
        """
        return self.party.kind is PartyKind.EXTENSION

    @property
    def is_local(self) -> bool:
        """
        Tell whether this is one half of a Local channel.
        """
        return self.party.kind is PartyKind.LOCAL

    @property
    def runs_dialplan(self) -> bool:
        """
        Tell whether this is the half of a Local channel (``;2``) that calls on.
        """
        return self.name.endswith("2")

    @property
    def far_end(self) -> "Channel | None":
        """
        Give the real channel that this one leads to: itself, or what a Local channel reached.
        """
        if not self.is_local:
            return self
        return self.other_half.reached if self.other_half is not None else None

    @property
    def sent_to(self) -> str:
        """
        Give the number to which a transfer or an Originate sent it, which it did not dial.
        """
        originated_to = "" if self.origination is None else self.origination.exten
        return self.transferred_to or originated_to

    @property
    def made_at(self) -> int | None:
        """
        Give the second of its creation, which Asterisk writes into every Uniqueid.
        """
        seconds = self.uniqueid.rpartition("-")[2].partition(".")[0]
        return int(seconds) if _SECONDS.fullmatch(seconds) else None

    @property
    def ringing(self) -> bool:
        """
        Tell whether the dial of this channel has not ended.
        """
        return self.dialled and self.dial_status is None

    def first_of_call(self) -> "Channel":
        """
        Walk back to the channel that began the call, where no Linkedid tells (before 12).
        """
        channel = self
        visited: set[int] = set()
        while id(channel) not in visited:
            visited.add(id(channel))
            if channel.dialled_by is not None:
                channel = channel.dialled_by
            elif channel.is_local and channel.runs_dialplan and channel.other_half is not None:
                channel = channel.other_half
        return channel

    def learn(self, snapshot: ChannelSnapshot) -> None:
        """
        Take over what a later event says of this channel.
        """
        if snapshot.linkedid:
            self.linkedid = snapshot.linkedid
        self.caller_id_num = snapshot.caller_id_num
        self.caller_id_name = snapshot.caller_id_name
        self.connected_line_num = snapshot.connected_line_num
        self.connected_line_name = snapshot.connected_line_name


class Channels:
    """
    The channels that live now.
    """

    def __init__(self, who_is_who: WhoIsWho) -> None:
        self.who_is_who = who_is_who
        self._by_uniqueid: dict[str, Channel] = {}
        self._by_name: dict[str, Channel] = {}
        self._entrances: dict[str, Entrance] = {}
        #: Uniqueids of the last channels that ended, oldest first.
        self._gone: dict[str, None] = {}

    def __len__(self) -> int:
        return len(self._by_uniqueid)

    def __iter__(self) -> Iterator[Channel]:
        return iter(list(self._by_uniqueid.values()))

    def __contains__(self, uniqueid: str) -> bool:
        return uniqueid in self._by_uniqueid

    def get(self, uniqueid: str, name: str = "") -> Channel | None:
        """
        Find a channel by its Uniqueid, or by its name where that is all there is.
        """
        return self._by_uniqueid.get(uniqueid) or self._by_name.get(name)

    def is_gone(self, uniqueid: str) -> bool:
        """
        Tell whether the channel had its Hangup a short while ago: what still comes is late.
        """
        return uniqueid in self._gone

    def follow(self, snapshot: ChannelSnapshot) -> Channel | None:
        """
        Find the channel of *snapshot* and learn from it, or begin to follow it, if it lives.
        """
        channel = self._by_uniqueid.get(snapshot.uniqueid)
        if channel is not None:
            if snapshot.state is not None:
                channel.learn(snapshot)
            return channel
        if snapshot.uniqueid in self._gone:
            return None
        return self.add(snapshot, seen_from_birth=False)

    def add(self, snapshot: ChannelSnapshot, *, seen_from_birth: bool) -> Channel:
        """
        Begin to follow a channel.
        """
        linkedid = snapshot.linkedid
        entrance = self._enter(linkedid or snapshot.uniqueid)
        channel = Channel(
            name=snapshot.name,
            uniqueid=snapshot.uniqueid,
            linkedid=linkedid,
            party=self.who_is_who.identify(snapshot.name, snapshot.context),
            entrance=entrance,
            seen_from_birth=seen_from_birth,
            exten=snapshot.exten,
            caller_id_num=snapshot.caller_id_num,
            caller_id_name=snapshot.caller_id_name,
            connected_line_num=snapshot.connected_line_num,
            connected_line_name=snapshot.connected_line_name,
            up=not seen_from_birth and snapshot.state is ChannelState.UP,
        )
        if seen_from_birth:
            channel.own_caller_id_num = snapshot.caller_id_num
            channel.own_caller_id_name = snapshot.caller_id_name
        self._by_uniqueid[channel.uniqueid] = channel
        self._by_name[channel.name] = channel
        if channel.is_local:
            self._pair(channel)
        return channel

    def _enter(self, linkedid: str) -> Entrance:
        entrance = self._entrances.get(linkedid)
        if entrance is None:
            entrance = self._entrances[linkedid] = Entrance(linkedid)
        entrance.channels += 1
        return entrance

    def _pair(self, channel: Channel) -> None:
        half = "1" if channel.runs_dialplan else "2"
        other = self._by_name.get(channel.name[:-1] + half)
        if other is not None:
            channel.other_half, other.other_half = other, channel

    def remove(self, channel: Channel) -> None:
        """
        Forget a channel that is gone.
        """
        self._by_uniqueid.pop(channel.uniqueid, None)
        if self._by_name.get(channel.name) is channel:
            del self._by_name[channel.name]
        self._gone[channel.uniqueid] = None
        if len(self._gone) > REMEMBERED_DEAD:
            del self._gone[next(iter(self._gone))]
        channel.entrance.channels -= 1
        if not channel.entrance.channels:
            del self._entrances[channel.entrance.linkedid]

    def hand_on(self, transferrer: Channel | None, successor: Channel | None) -> None:
        """
        Put *successor* in the place of *transferrer* for whom that one called, or was called by.
        """
        if transferrer is None or successor is None:
            return
        for one in self._by_uniqueid.values():
            if one.dialled_by is transferrer and one is not successor:
                one.dialled_by = successor
            if one.reached is transferrer and one is not successor and not successor.is_local:
                one.reached = successor

    def rename(self, uniqueid: str, name: str) -> None:
        """
        Follow a masquerade: the channel object is the one with the name, not the Uniqueid.

        Asterisk before 12 swaps two channels by three renames: the clone's to a name
        that ends in ``<MASQ>``, the original's to the clone's, and the clone's to the
        original's with ``<ZOMBIE>``. A leg goes with its phone's name, and ends with the
        Hangup of the zombie.
        """
        if name.endswith("<MASQ>"):
            return
        base = name.removesuffix("<ZOMBIE>")
        named = self._by_name.get(base)
        renamed = self._by_uniqueid.get(uniqueid)
        if named is None:
            if renamed is not None:
                self._by_name.pop(renamed.name, None)
                renamed.name = base
                self._by_name[base] = renamed
            return
        if named.uniqueid == uniqueid:
            return
        # The two swap their places at once, lest one be lost if the other's rename is not heard.
        if renamed is None:
            self._by_uniqueid.pop(named.uniqueid, None)
        else:
            renamed.uniqueid = named.uniqueid
            self._by_uniqueid[renamed.uniqueid] = renamed
        named.uniqueid = uniqueid
        self._by_uniqueid[uniqueid] = named
