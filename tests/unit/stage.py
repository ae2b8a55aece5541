"""
A stage on which tests play calls in AMI events, for stories that no recording tells.
"""

from ami_bridge.core.ami_events import (
    AmiEvent,
    AttendedTransfer,
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
)
from ami_bridge.core.call_events import CallEvent
from ami_bridge.core.channel_list import ListedChannels
from ami_bridge.core.correlator import Anomaly, Correlator, CorrelatorSettings
from ami_bridge.core.resync import resynchronise
from tests.pbx_model import PbxModel


class Stage:
    """
    A PBX in miniature: its methods are what happens, `heard` is what a subscriber is told.

    Channels are named by their endpoint and a letter, ``PJSIP/0003*001-a``; a channel's
    Uniqueid is ``1795000000.N`` in the order of creation.
    """

    def __init__(self, settings: CorrelatorSettings | None = None, *, legacy: bool = False) -> None:
        self.correlator = Correlator(settings)
        self.legacy = legacy
        self.now: float | None = None
        self.events: list[CallEvent] = []
        self.anomalies: list[str] = []
        self._channels: dict[str, ChannelSnapshot] = {}
        self._pbx = PbxModel()
        self._away = False
        #: What happened while the bridge was logged in and had no list yet; None at other times.
        self._held: list[AmiEvent] | None = None

    @property
    def heard(self) -> list[str]:
        """
        Give what was said, a line each: ``Dial-In 0003*001``.
        """
        return [f"{event.type} {event.extension}" for event in self.events]

    def play(self, event: AmiEvent) -> None:
        """
        Let one AMI event happen, whether the bridge hears it or not.
        """
        self._pbx.take(event)
        if self._held is not None:
            self._held.append(event)
        elif not self._away:
            for said in self.correlator.feed(event, self.now):
                self.note(said)

    def goes_away(self) -> None:
        """
        Let the bridge lose its connection: it hears nothing from now on.
        """
        self._away = True

    def logs_in(self) -> None:
        """
        Let the bridge hear again, and keep what it hears for later.
        """
        self._held = []

    def lists(self, *, announce: bool = True) -> list[AmiEvent]:
        """
        Let Asterisk list its channels and the bridge compare them, then apply what it kept.
        """
        rows, known = tuple(self._pbx.rows()), self.correlator.channels
        held, self._held, self._away = self._held or [], None, False
        listed = ListedChannels(rows, known, tuple(held))
        found = resynchronise(self.correlator, listed, self.now, announce=announce)
        for said in found.said:
            self.note(said)
        for event in held:
            for said in self.correlator.feed(event, self.now):
                self.note(said)
        return found.records

    def comes_back(self, *, announce: bool = True) -> list[AmiEvent]:
        """
        Let the bridge log in again, and compare; give the records that it was told.
        """
        self.logs_in()
        return self.lists(announce=announce)

    def restarts(self) -> None:
        """
        Let Asterisk end and begin anew, with no word of it.
        """
        self._pbx = PbxModel()

    def talk(self, *names: str) -> None:
        """
        Connect channels with each other.
        """
        self._pbx.talk(f"bridge of {names[0]}", *(self[name].uniqueid for name in names))

    def note(self, said: CallEvent | Anomaly) -> None:
        """
        Keep what the correlator said.
        """
        if isinstance(said, CallEvent):
            self.events.append(said)
        else:
            self.anomalies.append(said.kind)

    def new(
        self,
        name: str,
        exten: str = "",
        *,
        of: str | None = None,
        num: str = "",
        caller: str = "",
        state: ChannelState = ChannelState.DOWN,
    ) -> None:
        """
        Make a channel, in the call of the channel *of* or in one of its own.
        """
        uniqueid = f"1795000000.{len(self._channels) + 1}"
        linkedid = None if self.legacy else (self[of].linkedid if of else uniqueid)
        snapshot = ChannelSnapshot(name, uniqueid, linkedid, state, exten, "from-test", num, caller)
        self._channels[name] = snapshot
        self.play(Newchannel(snapshot, legacy=self.legacy))

    def calls(self, name: str, exten: str, *, num: str = "", caller: str = "") -> None:
        """
        Let a phone or trunk call the PBX: it dials *exten*.
        """
        self.new(name, exten, num=num, caller=caller, state=ChannelState.RING)

    def dials(self, source: str | None, name: str, *, exten: str = "", conn: str = "") -> None:
        """
        Let *source* (None: nobody that is named) dial the channel *name*.
        """
        behind = None
        if source is not None:
            behind = self._with(source, exten=exten or self[source].exten)
        self.play(DialBegin(behind, self._with(name, connected_line_num=conn)))

    def rings(self, name: str, *, conn: str = "") -> None:
        """
        Let a phone ring.
        """
        self.play(Newstate(self._with(name, state=ChannelState.RINGING, connected_line_num=conn)))

    def up(self, name: str, *, conn: str = "") -> None:
        """
        Let a channel be answered.
        """
        self.play(Newstate(self._with(name, state=ChannelState.UP, connected_line_num=conn)))

    def answers(self, name: str) -> None:
        """
        Let a channel be answered, and its dial end so.
        """
        self.up(name)
        self.dial_ends(name)

    def dial_ends(
        self, name: str, status: DialStatus | None = DialStatus.ANSWER, *, source: str = ""
    ) -> None:
        """
        Let the dial of *name* end; None is a word that no subscriber knows.
        """
        self.play(DialEnd(self[source].uniqueid if source else "", self[name].uniqueid, status))

    def hangs_up(self, *names: str, cause: int = 16) -> None:
        """
        Let channels go, in this order.
        """
        for name in names:
            self.play(Hangup(self[name], cause, ""))

    def picks_up(self, picker: str, target: str) -> None:
        """
        Let *picker* take the call that rings at *target*.
        """
        self.play(Pickup(picker, self[picker].uniqueid, target, self[target].uniqueid))

    def hands_on(self, transferrer: str, transferee: str) -> None:
        """
        Let *transferrer* hand on *transferee* to whom it has consulted.
        """
        self.play(AttendedTransfer(self[transferrer], self[transferee]))

    def originated(self, name: str, *, application: str = "", exten: str = "") -> None:
        """
        Let Asterisk say that an Originate was answered.
        """
        uniqueid = self[name].uniqueid
        self.play(OriginateResponse(uniqueid, True, application, exten, "", ""))

    def queues(self, name: str) -> None:
        """
        Let a caller wait in a queue.
        """
        self.play(QueueCallerJoin(self[name].uniqueid))

    def __getitem__(self, name: str) -> ChannelSnapshot:
        return self._channels[name]

    def _with(self, name: str, **changes: object) -> ChannelSnapshot:
        self._channels[name] = self[name]._replace(**changes)  # type: ignore[arg-type]
        return self._channels[name]


class Tape(Stage):
    """
    A stage whose AMI events are kept.
    """

    def __init__(self) -> None:
        super().__init__()
        self.played: list[AmiEvent] = []

    def play(self, event: AmiEvent) -> None:
        """
        Let one AMI event happen, and keep it.
        """
        self.played.append(event)
        super().play(event)

    def take(self) -> list[AmiEvent]:
        """
        Give what was kept since this was asked last.
        """
        taken, self.played = self.played, []
        return taken
