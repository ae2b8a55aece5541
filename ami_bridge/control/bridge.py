"""
What the HTTP application may ask of the running bridge, and do to it.

The daemon implements it; tests may do so with less.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from ami_bridge.adapters.store import Store
from ami_bridge.config.editing import RulesFile
from ami_bridge.core.call_events import EventType
from ami_bridge.core.explaining import Step
from ami_bridge.sampling import Sample
from ami_bridge.settings import Config

from .attempt_meter import AttemptMeter
from .broadcast import Broadcast
from .views import CallView, PbxView, Status


class Bridge(Protocol):
    """
    A bridge that runs.
    """

    @property
    def config(self) -> Config:
        """
        Give the rules that are in force.
        """

    @property
    def store(self) -> Store:
        """
        Give the store, to look at deliveries and to steer them.
        """

    @property
    def broadcast(self) -> Broadcast:
        """
        Give what is said.
        """

    @property
    def attempt_meter(self) -> AttemptMeter:
        """
        Give what is counted of attempts.
        """

    @property
    def started(self) -> float:
        """
        Say when it was started, in seconds since the epoch.
        """

    @property
    def clock(self) -> Callable[[], float]:
        """
        Give what tells the time, in seconds since the epoch.
        """

    def pbxs(self) -> Sequence[PbxView]:
        """
        Say how the links to the PBXs are.
        """

    async def status(self) -> Status:
        """
        Say how everything is.
        """

    def calls(self) -> list[CallView]:
        """
        Give the calls that are up, the latest first.
        """

    def ami_events(self) -> Mapping[tuple[str, str], int]:
        """
        Count the AMI events taken since the start, by PBX and name.
        """

    def anomalies(self) -> Mapping[tuple[str, str], int]:
        """
        Count what the correlator did not expect, by PBX and kind.
        """

    async def explain(self, call_id: str) -> tuple[str, list[Step]]:
        """
        Say what Asterisk said of the call *call_id*, and what followed; and on which PBX.

        There are no steps if nothing is kept of it.
        """

    async def retry(self, ids: Sequence[str]) -> int:
        """
        Owe given-up deliveries once more, with the time to live that their events have.

        Those that wait for another attempt are attempted at once. Say how many there were.
        """

    async def change_rules(self, change: Callable[[RulesFile], None]) -> Config:
        """
        Have *change* edit the rules file, and use it at once; give the new rules.

        Raises `ConfigError` if the result is no valid rules file, or there is no file, or it
        cannot be written; nothing has changed then.
        """

    async def reload(self) -> None:
        """
        Read the rules file again; raises `ConfigError`, and the old rules stay in force.
        """

    async def sample(self, rule_id: str, event: EventType | None = None) -> Sample:
        """
        Send one sample notification as the rule *rule_id* asks.

        Raises LookupError if there is no such rule.
        """
