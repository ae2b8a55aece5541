"""
What a PBX would list at any point of a story that is told in AMI records.

It knows only what the records tell: the applications are concluded from who dials whom.

`core.pbx_state`, from which the simulator answers, is part of what is tested, and what it got
wrong would be taken for right by tests of reconnecting that relied on it. So they have this
model of their own; both are held against the lists of real Asterisks.
"""

import attrs

from ami_bridge.core.ami_events import (
    AmiEvent,
    ChannelSnapshot,
    ChannelState,
    DialBegin,
    DialEnd,
    DialStatus,
    Hangup,
    Newchannel,
    Newstate,
    OriginateResponse,
    Pickup,
    QueueCallerJoin,
    Rename,
    read_channel,
)
from ami_bridge.core.ami_fast_lane import read_message
from ami_bridge.core.ami_stream import AmiMessage
from ami_bridge.core.channel_list import ChannelRow
from ami_bridge.core.extensions import endpoint_of

_OUTGOING = "(Outgoing Line)"


@attrs.define(eq=False)
class Line:
    """
    One channel of the PBX.
    """

    snapshot: ChannelSnapshot
    application: str = ""
    data: str = ""
    bridge: str = ""
    dnid: str = ""
    queued: bool = False
    #: Endpoints that it dials, by Uniqueid, from the first dial on until all have ended.
    dials: dict[str, str] = attrs.field(factory=dict)
    dialling: set[str] = attrs.field(factory=set)


class PbxModel:
    """
    The channels of a PBX.
    """

    def __init__(self) -> None:
        self._lines: dict[str, Line] = {}

    def rows(self) -> list[ChannelRow]:
        """
        Give what CoreShowChannels and Status would say now.
        """
        return [
            ChannelRow(
                line.snapshot,
                line.application,
                line.data,
                line.bridge,
                None if line.snapshot.linkedid is None else line.dnid,
            )
            for line in self._lines.values()
        ]

    def take_message(self, message: AmiMessage) -> AmiEvent | None:
        """
        Take a message of any kind; return the record, if it is one that matters.
        """
        headers = message.headers
        line = self._lines.get(headers.get("Uniqueid", ""))
        match message.name:
            case b"BridgeEnter" if line is not None:
                line.bridge = headers["BridgeUniqueid"]
                line.snapshot = read_channel(headers)
            case b"BridgeLeave" if line is not None:
                line.bridge = ""
            case b"QueueCallerLeave" if line is not None:
                line.queued = False
            case _:
                pass
        record = read_message(message) if message.name else None
        if record is not None:
            self.take(record)
        return record

    def take(self, record: AmiEvent) -> None:
        """
        Take what happened.
        """
        match record:
            case Newchannel(snapshot):
                self._lines[snapshot.uniqueid] = Line(snapshot)
                self._called(snapshot)
            case Newstate(snapshot) if snapshot.uniqueid in self._lines:
                self._lines[snapshot.uniqueid].snapshot = snapshot
                self._called(snapshot)
                if snapshot.state is ChannelState.UP:
                    self._answered(self._lines[snapshot.uniqueid])
            case DialBegin(source, destination):
                self._dialled(source, destination)
            case DialEnd(source_uniqueid, destination_uniqueid, status):
                self._dial_ended(source_uniqueid, destination_uniqueid, status)
            case Hangup(snapshot):
                self._lines.pop(snapshot.uniqueid, None)
            case _:
                self._take_rare(record)

    def talk(self, bridge: str, *uniqueids: str) -> None:
        """
        Connect channels, in the place of BridgeEnter.
        """
        for uniqueid in uniqueids:
            self._lines[uniqueid].bridge = bridge

    def _take_rare(self, record: AmiEvent) -> None:
        match record:
            case Pickup() if record.picker_uniqueid in self._lines:
                picker = self._lines[record.picker_uniqueid]
                picker.application, picker.data = "AppDial", _OUTGOING
            case OriginateResponse() if record.uniqueid in self._lines and record.application:
                line = self._lines[record.uniqueid]
                line.application, line.data = record.application, ""
            case QueueCallerJoin(uniqueid) if uniqueid in self._lines:
                line = self._lines[uniqueid]
                line.queued, line.application, line.data = True, "Queue", "support"
            case Rename(uniqueid, name) if uniqueid in self._lines:
                line = self._lines[uniqueid]
                line.snapshot = line.snapshot._replace(name=name)
            case _:
                pass

    def _called(self, snapshot: ChannelSnapshot) -> None:
        line = self._lines[snapshot.uniqueid]
        calls = snapshot.state is ChannelState.RING and line.data != _OUTGOING
        if calls and not line.dnid and not snapshot.name.startswith("Local/"):
            line.dnid = snapshot.exten
            # It runs some application or other, all the time.
            line.application = line.application or "Answer"

    def _answered(self, line: Line) -> None:
        if line.application == "AppDial2":
            # It runs the dialplan now, or the application that it was called for.
            line.application, line.data = "Answer", ""

    def _dialled(self, source: ChannelSnapshot | None, destination: ChannelSnapshot) -> None:
        callee = self._lines.setdefault(destination.uniqueid, Line(destination))
        callee.snapshot, callee.data = self._learn(callee, destination), _OUTGOING
        caller = None if source is None else self._lines.get(source.uniqueid)
        if source is None or caller is None:
            callee.application = "AppDial2"
            return
        caller.snapshot = self._learn(caller, source)
        if caller.queued:
            callee.application = "AppQueue"
            return
        callee.application = "AppDial"
        if not caller.dialling:
            caller.dials.clear()
        caller.dialling.add(destination.uniqueid)
        caller.dials[destination.uniqueid] = endpoint_of(destination.name.partition(";")[0])
        caller.application = "Dial"
        caller.data = f"{'&'.join(caller.dials.values())},30,tT"

    @staticmethod
    def _learn(line: Line, snapshot: ChannelSnapshot) -> ChannelSnapshot:
        return line.snapshot if snapshot.state is None else snapshot

    def _dial_ended(self, source: str, destination: str, status: DialStatus | None) -> None:
        if source in self._lines:
            self._lines[source].dialling.discard(destination)
        if status is DialStatus.ANSWER and destination in self._lines:
            self._answered(self._lines[destination])
