"""
The bridge in numbers, for Prometheus.

Everything but the attempts is read from the bridge when somebody asks. Labels are bounded:
PBXs and requests are those of the rules, names of events and of anomalies those of this
program, and of destinations only the first hundred have a label of their own.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TypeVar

import attrs
from aiohttp import web
from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from ami_bridge.core.breaker import BreakerState
from ami_bridge.core.call_events import EventType

from .answers import bridge_of, operator
from .bridge import Bridge
from .questions import no_parameters
from .stream import LISTENERS
from .views import DestinationView, LinkState, PbxView, Status

ROUTES = web.RouteTableDef()

_Words = TypeVar("_Words", bound=tuple[str, ...])
_STATES = ("waiting", "paused", "given_up")


@ROUTES.get("/metrics")
async def metrics(request: web.Request) -> web.Response:
    """
    Give all numbers, in the format that the client prefers.
    """
    operator(request)
    no_parameters(request)
    bridge = bridge_of(request)
    status = await bridge.status()
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Numbers(bridge, status, request.app[LISTENERS].count))
    ProcessCollector(registry=registry)
    encode, content_type = choose_encoder(request.headers.get("Accept", ""))
    response = web.Response(body=encode(registry))
    response.headers["Content-Type"] = content_type
    return response


@attrs.frozen
class _Numbers(Collector):
    """
    What the bridge says of itself at one moment.
    """

    bridge: Bridge
    status: Status
    streams: int

    def collect(self) -> Iterable[Metric]:
        """
        Give all families.
        """
        yield from self._of_itself()
        yield from _of_pbxs(self.status.pbxs)
        yield _counter(
            "ami_bridge_ami_events",
            "AMI events taken, by name.",
            ("pbx", "event"),
            self.bridge.ami_events(),
        )
        yield _counter(
            "ami_bridge_anomalies",
            "What Asterisk said and the bridge did not expect, by kind.",
            ("pbx", "kind"),
            self.bridge.anomalies(),
        )
        counts = self.bridge.broadcast.counts
        yield _counter(
            "ami_bridge_call_events",
            "Call events said.",
            ("event",),
            {(event.value,): counts[event] for event in EventType},
        )
        yield from self._of_attempts()
        yield from self._of_destinations()

    def _of_itself(self) -> Iterator[Metric]:
        status = self.status
        yield InfoMetricFamily("ami_bridge", "The program.", {"version": status.version})
        yield _gauge("ami_bridge_start_time_seconds", "When it was started.", status.started)
        requests = GaugeMetricFamily(
            "ami_bridge_requests", "Call-event requests of the rules.", labels=["status"]
        )
        requests.add_metric(["enabled"], status.requests_enabled)
        requests.add_metric(["disabled"], status.requests - status.requests_enabled)
        yield requests
        yield _gauge(
            "ami_bridge_requests_paused",
            "Requests that are kept back since their receivers answered 410.",
            len(status.paused),
        )
        yield _gauge(
            "ami_bridge_rules_refused",
            "1 while the rules file is refused and older rules are in force.",
            bool(status.rules_refused),
        )
        yield _gauge(
            "ami_bridge_store_trouble",
            "1 while the store can keep nothing.",
            bool(status.store.trouble),
        )
        yield _gauge(
            "ami_bridge_store_backlog",
            "Reads of AMI whose result waits for the store.",
            status.store.backlog,
        )
        yield _gauge("ami_bridge_streams", "Streams that are listened to.", self.streams)

    def _of_attempts(self) -> Iterator[Metric]:
        meter = self.bridge.attempt_meter
        yield _counter(
            "ami_bridge_attempts",
            "Attempts to deliver, by the class of the answer's status.",
            ("destination", "answer"),
            meter.outcomes,
        )
        histogram = HistogramMetricFamily(
            "ami_bridge_attempt_duration_seconds",
            "How long attempts took.",
            labels=["destination"],
        )
        for label, durations in meter.durations.items():
            histogram.add_metric([label], durations.buckets(), durations.seconds)
        yield histogram

    def _of_destinations(self) -> Iterator[Metric]:
        by_label: dict[str, list[DestinationView]] = {}
        for view in self.status.destinations:
            label = self.bridge.attempt_meter.label(view.destination)
            by_label.setdefault(label, []).append(view)
        deliveries = GaugeMetricFamily(
            "ami_bridge_deliveries",
            "Deliveries that the store has.",
            labels=["destination", "state"],
        )
        oldest = GaugeMetricFamily(
            "ami_bridge_outbox_oldest_seconds",
            "Age of the oldest delivery that is owed; 0 if none is.",
            labels=["destination"],
        )
        breakers = GaugeMetricFamily(
            "ami_bridge_breaker_state",
            "How many destinations have their breaker in this state.",
            labels=["destination", "state"],
        )
        in_flight = GaugeMetricFamily(
            "ami_bridge_attempts_in_flight", "Attempts under way.", labels=["destination"]
        )
        for label, views in by_label.items():
            for state in _STATES:
                deliveries.add_metric([label, state], sum(getattr(view, state) for view in views))
            began = [one for view in views if (one := view.oldest_waiting) is not None]
            oldest.add_metric([label], max(0.0, self.status.now - min(began)) if began else 0.0)
            for breaker in BreakerState:
                number = sum(view.breaker is breaker for view in views)
                breakers.add_metric([label, breaker.value], number)
            in_flight.add_metric([label], sum(view.in_flight for view in views))
        yield from (deliveries, oldest, breakers, in_flight)


def _of_pbxs(pbxs: Iterable[PbxView]) -> Iterator[Metric]:
    pbxs = tuple(pbxs)
    links = GaugeMetricFamily(
        "ami_bridge_pbx_link", "1 for the state in which the link is.", labels=["pbx", "state"]
    )
    for pbx in pbxs:
        for state in LinkState:
            links.add_metric([pbx.name, state.value], float(pbx.state is state))
    yield links
    channels = GaugeMetricFamily("ami_bridge_channels", "Channels that are up.", labels=["pbx"])
    legs = GaugeMetricFamily(
        "ami_bridge_legs_open", "Extensions' parts in calls that are up.", labels=["pbx"]
    )
    last = GaugeMetricFamily(
        "ami_bridge_pbx_last_event_timestamp_seconds",
        "When the last AMI event came.",
        labels=["pbx"],
    )
    for pbx in pbxs:
        channels.add_metric([pbx.name], pbx.channels)
        legs.add_metric([pbx.name], pbx.open_legs)
        if pbx.last_event is not None:
            last.add_metric([pbx.name], pbx.last_event)
    yield from (channels, legs, last)
    yield _counter(
        "ami_bridge_pbx_reconnects",
        "Logins accepted after the first.",
        ("pbx",),
        {(pbx.name,): max(0, pbx.logins - 1) for pbx in pbxs},
    )
    yield _counter(
        "ami_bridge_pbx_resynchronisations",
        "Comparisons with Asterisk's list of channels.",
        ("pbx",),
        {(pbx.name,): pbx.resynchronisations for pbx in pbxs},
    )


def _gauge(name: str, help_text: str, value: float) -> Metric:
    return GaugeMetricFamily(name, help_text, value=float(value))


def _counter(
    name: str, help_text: str, labels: Sequence[str], values: Mapping[_Words, int]
) -> Metric:
    family = CounterMetricFamily(name, help_text, labels=labels)
    for words, value in values.items():
        family.add_metric(words, value)
    return family
