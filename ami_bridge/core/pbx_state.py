"""
Which channels a PBX has, told by its AMI messages alone: what it would list if it was asked.

The simulator answers CoreShowChannels and Status from here. Rows have the headers that
Asterisk's have, as far as the messages tell: the options of a Dial, the applications that
dial nobody and variables are in none of them.
"""

from collections.abc import Iterator, Mapping

import attrs

from .ami_stream import AmiMessage

#: The headers of one row, in order.
Row = dict[str, str]

#: What every event tells of the channels that it is about.
_FACTS = (
    *("Channel", "ChannelState", "ChannelStateDesc", "CallerIDNum", "CallerIDName"),
    *("ConnectedLineNum", "ConnectedLineName", "Language", "AccountCode", "Context", "Exten"),
    *("Priority", "Uniqueid", "Linkedid"),
)
#: Whose facts these are, in front of their names.
_PREFIXES = ("", "Dest", "Target", "LocalOne", "LocalTwo")
#: Each header that tells a fact: whose, and which.
_PLACES = {prefix + fact: (prefix, fact) for prefix in _PREFIXES for fact in _FACTS}
#: How Asterisk before 12 spells some of them in a list.
_OLD_SPELLINGS = {
    "Exten": "Extension",
    "Uniqueid": "UniqueID",
    "CallerIDNum": "CallerIDnum",
    "CallerIDName": "CallerIDname",
}
_OUTGOING_LINE = "(Outgoing Line)"
_QUEUE = "Queue"
_MOST_GONE = 4096
_NO_NUMBERS = ("", "s")

#: Events that change what is listed.
NAMES_OF_CHANGES = frozenset(
    {
        *(b"Newchannel", b"Newstate", b"Newexten", b"NewCallerid", b"NewConnectedLine"),
        *(b"NewAccountCode", b"DialBegin", b"DialEnd", b"DialState", b"Dial", b"LocalBridge"),
        *(b"BridgeEnter", b"BridgeLeave", b"Bridge", b"Unlink", b"QueueCallerJoin", b"Join"),
        *(b"OriginateResponse", b"Pickup", b"Rename", b"Hangup", b"FullyBooted", b"Shutdown"),
    }
)


@attrs.define(eq=False)
class ListedChannel:
    """
    One channel that lives.
    """

    #: Values of `_FACTS`, as they were told last; without Linkedid before Asterisk 12.
    facts: Row
    #: When it was made, in seconds since the epoch.
    made_at: float
    #: The number that it dialled when it called the PBX.
    dnid: str = ""
    application: str = ""
    application_data: str = ""
    #: Id of the bridge that it is in; before Asterisk 12 the Uniqueid of who is there, too.
    bridge: str = ""


class PbxState:
    """
    The channels of one PBX.
    """

    def __init__(self) -> None:
        self._channels: dict[str, ListedChannel] = {}
        #: Who is in which bridge.
        self._bridges: dict[str, list[ListedChannel]] = {}
        #: Uniqueids of those that hung up lately: a straggler may still speak of them.
        self._gone: dict[str, None] = {}

    def __len__(self) -> int:
        return len(self._channels)

    def __contains__(self, uniqueid: str) -> bool:
        return uniqueid in self._channels

    def clear(self) -> None:
        """
        Forget all channels, as an Asterisk does that starts anew.
        """
        self._channels.clear()
        self._bridges.clear()

    def take(self, message: AmiMessage, now: float) -> None:
        """
        Take the next message, which is said at *now* (seconds since the epoch).
        """
        if message.name not in NAMES_OF_CHANGES:
            return
        name, headers = message.name.decode(), message.headers
        if name in ("FullyBooted", "Shutdown"):
            self.clear()
        elif name == "Hangup":
            self._hangs_up(headers.get("Uniqueid", ""))
        else:
            self._note_facts(headers, now)
            self._note_doings(name, headers)

    def may_happen(self, message: AmiMessage) -> bool:
        """
        Tell whether *message* speaks of channels that live, or of one that is made just now.

        What belongs to a call that ended with an earlier life of the PBX may not.
        """
        headers = message.headers
        if message.name == b"Newchannel":
            linkedid = headers.get("Linkedid", headers.get("Uniqueid"))
            calls = {channel.facts.get("Linkedid") for channel in self._channels.values()}
            return linkedid == headers.get("Uniqueid") or linkedid in calls
        spoken_of = [
            uniqueid
            for name, uniqueid in headers.items()
            if name.lower().endswith("uniqueid") and "bridge" not in name.lower()
        ]
        return all(uniqueid in self._channels for uniqueid in spoken_of if _is_id(uniqueid))

    def channel_rows(self, now: float) -> list[Row]:
        """
        Give the rows of CoreShowChannels at *now*.
        """
        return [
            self._old_row(channel, now) if "Linkedid" not in channel.facts else _row(channel, now)
            for channel in self._in_disorder()
        ]

    def status_rows(self, now: float, name: str = "") -> list[Row]:
        """
        Give the rows of Status at *now*: of all channels, or of the one called *name*.
        """
        return [
            _status_row(channel, now)
            for channel in self._in_disorder()
            if name in ("", channel.facts["Channel"])
        ]

    def last_words(self) -> Iterator[Row]:
        """
        Give the Hangup of every channel, as an Asterisk says them that is told to restart.
        """
        for channel in self._channels.values():
            yield {**channel.facts, "Cause": "0", "Cause-txt": "Unknown"}

    # -- what is told --------------------------------------------------------------------

    def _hangs_up(self, uniqueid: str) -> None:
        channel = self._channels.pop(uniqueid, None)
        if channel is not None:
            self._leaves(channel, channel.bridge)
        self._gone[uniqueid] = None
        if len(self._gone) > _MOST_GONE:
            del self._gone[next(iter(self._gone))]

    def _note_facts(self, headers: Mapping[str, str], now: float) -> None:
        told: dict[str, Row] = {}
        for name, value in headers.items():
            if place := _PLACES.get(name):
                prefix, fact = place
                told.setdefault(prefix, {})[fact] = value
        for prefix, facts in told.items():
            uniqueid = facts.get("Uniqueid", "")
            if "Channel" not in facts or not _is_id(uniqueid):
                continue
            channel = self._channels.get(uniqueid)
            if channel is None:
                # Also one whose Newchannel is not in the recording.
                if not facts.get("ChannelState") or uniqueid in self._gone:
                    continue
                self._channels[uniqueid] = channel = ListedChannel(facts, now)
                # A Local channel dials on in the dialplan and has called no number.
                calls = not prefix and not facts["Channel"].startswith("Local/")
                if calls and facts.get("Exten") not in _NO_NUMBERS:
                    channel.dnid = facts.get("Exten", "")
            channel.facts |= facts

    def _note_doings(self, name: str, headers: Mapping[str, str]) -> None:
        uniqueid = headers.get("Uniqueid") or headers.get("UniqueID", "")
        channel = self._channels.get(uniqueid)
        match name:
            case "BridgeEnter":
                self._enters(channel, headers)
            case "BridgeLeave":
                self._leaves(channel, headers.get("BridgeUniqueid", ""))
            case "DialBegin":
                self._dials(channel, headers, headers.get("DestUniqueid", ""))
            case "Dial" if headers.get("SubEvent", "Begin") == "Begin":
                self._dials(channel, headers, headers.get("DestUniqueID", ""))
            case "Pickup":
                self._picks_up(channel, self._channels.get(headers.get("TargetUniqueid", "")))
            case "Bridge" | "Unlink":
                linked = name == "Bridge" and headers.get("Bridgestate", "Link") == "Link"
                self._links(headers, linked=linked)
            case _:
                if channel is not None:
                    _note_own_doing(channel, name, headers)

    def _dials(self, source: ListedChannel | None, headers: Mapping[str, str], dest: str) -> None:
        dialled = self._channels.get(dest)
        kind = "AppDial2" if source is None else "AppDial"
        if source is not None and source.application == _QUEUE:
            kind = "AppQueue"
        elif source is not None:
            technology = headers.get("DestChannel", headers.get("Destination", "")).partition("/")[
                0
            ]
            string = headers.get("DialString", headers.get("Dialstring", ""))
            device = f"{technology}/{string}"
            several = source.application_data if source.application == "Dial" else ""
            if device not in several.split("&"):
                source.application_data = f"{several}&{device}" if several else device
            source.application = "Dial"
        if dialled is not None:
            dialled.application, dialled.application_data = kind, _OUTGOING_LINE
            dialled.dnid = ""

    def _picks_up(self, picker: ListedChannel | None, target: ListedChannel | None) -> None:
        """
        Put the picker in the place of the channel that rang: the Hangup of that shows its Exten.
        """
        if picker is not None and target is not None:
            picker.application = target.application
            picker.application_data = target.application_data

    def _enters(self, channel: ListedChannel | None, headers: Mapping[str, str]) -> None:
        """
        Note who is in a bridge; in one of two, both are of the older call from then on.
        """
        if channel is None:
            return
        self._leaves(channel, channel.bridge)
        channel.bridge = headers.get("BridgeUniqueid", "")
        together = self._bridges.setdefault(channel.bridge, [])
        together.append(channel)
        if headers.get("BridgeType") == "basic" and "Linkedid" in channel.facts:
            oldest = min((one.facts.get("Linkedid", "") for one in together), key=_age)
            for one in together:
                one.facts["Linkedid"] = oldest

    def _leaves(self, channel: ListedChannel | None, bridge: str) -> None:
        """
        Note who is in *bridge* no more, unless another one was entered since.
        """
        if channel is None or channel.bridge != bridge or bridge not in self._bridges:
            return
        channel.bridge = ""
        self._bridges[bridge].remove(channel)
        if not self._bridges[bridge]:
            del self._bridges[bridge]

    def _links(self, headers: Mapping[str, str], *, linked: bool) -> None:
        """
        Note what Asterisk before 12 says of a bridge: two channels, and no name of its own.
        """
        pair = (headers.get("Uniqueid1", ""), headers.get("Uniqueid2", ""))
        for one, other in (pair, pair[::-1]):
            if one in self._channels:
                self._channels[one].bridge = other if linked else ""

    # -- what is listed ------------------------------------------------------------------

    def _in_disorder(self) -> list[ListedChannel]:
        """
        Give all channels in an order that tells nothing, like that of Asterisk's hash table.
        """
        return [self._channels[key] for key in sorted(self._channels, key=lambda key: key[::-1])]

    def _old_row(self, channel: ListedChannel, now: float) -> Row:
        row = {
            _OLD_SPELLINGS.get(name, name): value
            for name, value in channel.facts.items()
            if name != "Language"
        }
        peer = self._channels.get(channel.bridge)
        return row | {
            "Application": channel.application,
            "ApplicationData": channel.application_data,
            "Duration": _clock(now - channel.made_at),
            "BridgedChannel": peer.facts["Channel"] if peer else "",
            "BridgedUniqueID": channel.bridge if peer else "",
        }


def _note_own_doing(channel: ListedChannel, name: str, headers: Mapping[str, str]) -> None:
    match name:
        case "QueueCallerJoin" | "Join":
            channel.application, channel.application_data = _QUEUE, headers.get("Queue", "")
        case "Newexten":
            channel.application = headers.get("Application", "")
            channel.application_data = headers.get("AppData", "")
        case "OriginateResponse":
            # It has left the dial behind and does what it was made for.
            channel.application = headers.get("Application") or "Dial"
            channel.application_data = headers.get("Data", "")
        case "Rename":
            channel.facts["Channel"] = headers.get("Newname", channel.facts["Channel"])
        case _:
            pass


def _row(channel: ListedChannel, now: float) -> Row:
    return {
        **channel.facts,
        "Application": channel.application,
        "ApplicationData": channel.application_data,
        "Duration": _clock(now - channel.made_at),
        "BridgeId": channel.bridge,
    }


def _status_row(channel: ListedChannel, now: float) -> Row:
    facts = channel.facts
    return {
        **facts,
        "Type": facts["Channel"].partition("/")[0],
        "DNID": channel.dnid,
        "EffectiveConnectedLineNum": facts.get("ConnectedLineNum", ""),
        "EffectiveConnectedLineName": facts.get("ConnectedLineName", ""),
        "TimeToHangup": "0",
        "BridgeID": channel.bridge,
        "Application": channel.application,
        "Data": channel.application_data,
        "Seconds": str(int(now - channel.made_at)),
    }


def _clock(seconds: float) -> str:
    minutes, second = divmod(max(0, int(seconds)), 60)
    hour, minute = divmod(minutes, 60)
    return f"{hour:02}:{minute:02}:{second:02}"


def _age(uniqueid: str) -> tuple[int, str]:
    # Asterisk counts, so that a longer Uniqueid is a later one.
    return len(uniqueid), uniqueid


def _is_id(uniqueid: str) -> bool:
    return bool(uniqueid) and not uniqueid.startswith("<")
