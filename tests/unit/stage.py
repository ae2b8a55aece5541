"""
A stage on which tests play calls in AMI events, for stories that no recording tells.
"""

from ami_bridge.core.ami_events import (
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
from ami_bridge.core.correlator import Anomaly, Correlator, CorrelatorSettings


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

    @property
    def heard(self) -> list[str]:
        """
        Give what was said, a line each: ``Dial-In 0003*001``.
        """
        return [f"{event.type} {event.extension}" for event in self.events]

    def play(self, event: object) -> None:
        """
        Let one AMI event happen.
        """
        for said in self.correlator.feed(event, self.now):  # type: ignore[arg-type]
            self.note(said)

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

    def dial_ends(self, name: str, status: DialStatus = DialStatus.ANSWER) -> None:
        """
        Let the dial of *name* end.
        """
        self.play(DialEnd("", self[name].uniqueid, status))

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
