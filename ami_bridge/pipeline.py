"""
AMI events to call events to deliveries: what a live bridge and a replay share.

They differ only in the adapter that feeds it, and in what is done with the result.
"""

import collections
from collections.abc import Callable, Iterable, Iterator

from .adapters.store import StoryEntry
from .core.ami_events import NAMES_THAT_MATTER, AmiEvent
from .core.ami_fast_lane import read_message
from .core.ami_stream import AmiStream
from .core.call_events import CallEvent
from .core.correlator import Anomaly, Correlator, CorrelatorSettings
from .core.deliveries import Delivery, deliveries_for
from .core.kept_settings import from_text
from .settings import Config


class Pipeline:
    """
    One PBX's calls, and the rules by which they are told.
    """

    def __init__(self, config: Config) -> None:
        self.config = config
        self.correlator = Correlator(config.correlator)
        #: What the correlator did not expect, by kind.
        self.anomalies: collections.Counter[str] = collections.Counter()
        #: Told of each anomaly, where somebody wants to know at once.
        self.on_anomaly: Callable[[Anomaly], None] | None = None

    def apply(self, config: Config) -> None:
        """
        Use other rules from now on.
        """
        self.config = config
        self.correlator.apply(config.correlator)

    def take(self, events: Iterable[tuple[AmiEvent, float | None]]) -> list[CallEvent]:
        """
        Take AMI events, each with its time; return the call events that follow, in order.
        """
        feed = self.correlator.feed
        return [
            call_event
            for ami_event, time in events
            for call_event in self.sift(feed(ami_event, time))
        ]

    def take_again(self, entries: Iterable[StoryEntry]) -> Iterator[tuple[StoryEntry, AmiEvent]]:
        """
        Take what a store has kept of calls, one by one; what follows is in the store already.

        It is understood as it was then. The present rules hold when all has been taken.
        """
        text, settings = "", self.config.correlator
        for entry in entries:
            if entry.settings != text:
                text, settings = entry.settings, self._understood(entry.settings)
            # Each time: the rules may change meanwhile.
            self.correlator.apply(settings)
            for message in AmiStream(NAMES_THAT_MATTER).feed(entry.messages):
                ami_event = read_message(message)
                if ami_event is not None:
                    self.correlator.feed(ami_event, message.time_at(entry.time))
                    yield entry, ami_event
        self.correlator.apply(self.config.correlator)

    def _understood(self, settings: str) -> CorrelatorSettings:
        """
        Read *settings* that a store has kept; the present ones stand for what cannot be read.
        """
        try:
            return from_text(settings)
        except ValueError:
            return self.config.correlator

    def sift(self, said: Iterable[CallEvent | Anomaly]) -> list[CallEvent]:
        """
        Keep the call events of what the correlator *said*, and count its anomalies.
        """
        call_events: list[CallEvent] = []
        for one in said:
            if isinstance(one, CallEvent):
                call_events.append(one)
            else:
                self.anomalies[one.kind] += 1
                if self.on_anomaly is not None:
                    self.on_anomaly(one)
        return call_events

    def owe(self, call_events: Iterable[CallEvent], now: float) -> list[Delivery]:
        """
        Make the deliveries that the rules want of *call_events*, at *now*.
        """
        rules, terms = self.config.rules, self.config.delivery_terms
        return [
            delivery
            for call_event in call_events
            for delivery in deliveries_for(call_event, rules, terms, now)
        ]
