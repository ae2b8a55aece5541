"""
The bridge in numbers, and what is made of them.
"""

import json
import re
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from ami_bridge.control.attempt_meter import BOUNDS, MOST_DESTINATIONS, OTHERS, AttemptMeter
from ami_bridge.core.ami_events import DialEnd
from ami_bridge.core.call_events import EventType
from ami_bridge.core.retry import Attempt
from tests.integration.receivers import ScriptedReceiver

from .houses import GIVEN_UP, House, call_event, delivery, house, owe, settle
from .promtool import find_promtool

DOCS = Path(__file__).parents[2] / "docs"
ALERTS = DOCS / "operations" / "alerts.yml"
DASHBOARD = DOCS / "operations" / "grafana-dashboard.json"
Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


async def numbers(visited: House) -> Samples:
    """
    Give all samples, by name and labels.
    """
    text = (await visited.get("/metrics")).text
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def value(samples: Samples, name: str, **labels: str) -> float:
    """
    Give the sample *name* with *labels*.
    """
    return samples[f"ami_bridge_{name}", frozenset(labels.items())]


async def test_what_happens_is_counted(visited: House) -> None:
    """
    AMI events, legs, call events and deliveries are told in numbers.
    """
    visited.play("trunk-ext-answered", until=DialEnd)
    visited.say(call_event(), call_event(EventType.HANGUP))
    await owe(visited, delivery("one"), delivery("two"))
    await settle(visited, "one", GIVEN_UP)

    found = await numbers(visited)

    assert value(found, "ami_events_total", pbx="", event="DialBegin") == 1
    assert value(found, "legs_open", pbx="") == 1
    assert value(found, "call_events_total", event="Dial-In") == 1
    assert value(found, "call_events_total", event="Answer-In") == 0
    here = "http://127.0.0.1:9"
    assert value(found, "deliveries", destination=here, state="waiting") == 1
    assert value(found, "deliveries", destination=here, state="given_up") == 1
    assert 0 <= value(found, "outbox_oldest_seconds", destination=here) < 60
    assert value(found, "breaker_state", destination=here, state="closed") == 1
    assert value(found, "pbx_link", pbx="", state="connecting") == 1
    assert value(found, "pbx_reconnects_total", pbx="") == 0
    assert value(found, "requests", status="enabled") == 2
    assert value(found, "store_trouble") == 0
    assert value(found, "store_backlog") == 0
    assert value(found, "rules_refused") == 0
    assert found["process_resident_memory_bytes", frozenset()] > 1e6


async def test_attempts_are_measured(tmp_path: Path) -> None:
    """
    Each attempt of the sender is in the histogram, and counted by its answer.
    """
    async with ScriptedReceiver() as receiver, house(tmp_path, send=True) as visited:
        url = f"{receiver.url}/x"
        one = delivery("one", url=url)
        await owe(visited, one)
        await visited.until("/api/v1/deliveries/one", lambda it: it.content["state"] == "delivered")
        found = await numbers(visited)

    place = receiver.url
    assert value(found, "attempts_total", destination=place, answer="2xx") == 1
    assert value(found, "attempt_duration_seconds_count", destination=place) == 1
    assert value(found, "attempt_duration_seconds_bucket", destination=place, le="+Inf") == 1


def test_durations_are_sorted_into_buckets() -> None:
    """
    An attempt counts in the bucket of each bound that it does not exceed.
    """
    meter = AttemptMeter()
    for seconds in (0.0, BOUNDS[0], 0.3, 99.0):
        meter.note(delivery("x"), Attempt(1, 0.0, seconds, status=None))

    (durations,) = meter.durations.values()

    counts = dict(durations.buckets())
    assert (counts["0.025"], counts["0.25"], counts["0.5"], counts["30.0"]) == (2, 2, 3, 3)
    assert counts["+Inf"] == 4
    assert durations.seconds == pytest.approx(99.325)
    assert meter.outcomes == {("http://127.0.0.1:9", "none"): 4}


async def test_labels_are_bounded(visited: House) -> None:
    """
    However many destinations there are, a hundred have a label, and the others are one.
    """
    many = [delivery(f"d{n}", url=f"http://h{n}/") for n in range(MOST_DESTINATIONS + 7)]
    await owe(visited, *many)

    first, second = await numbers(visited), await numbers(visited)

    places = [labels for name, labels in first if name == "ami_bridge_outbox_oldest_seconds"]
    assert len(places) == MOST_DESTINATIONS + 1
    assert value(first, "deliveries", destination=OTHERS, state="waiting") == 7
    assert first.keys() == second.keys()


@pytest.mark.parametrize(("token", "status"), [(None, 401), ("tenant", 404), ("reader", 200)])
async def test_numbers_are_for_who_may_see_everything(
    visited: House, token: str | None, status: int
) -> None:
    """
    /metrics needs a token for everybody's calls.
    """
    assert (await visited.get("/metrics", token)).status == status


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        ("", "text/plain; version=0.0.4; charset=utf-8"),
        (
            "application/openmetrics-text; version=1.0.0",
            "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=underscores",
        ),
    ],
)
async def test_the_client_chooses_the_format(
    visited: House, accept: str, content_type: str
) -> None:
    """
    The classic format is the default, OpenMetrics is given to who asks for it.
    """
    found = await visited.ask("GET", "/metrics", headers={"Accept": accept})

    assert found.headers["Content-Type"] == content_type
    assert found.text.endswith("# EOF\n") is bool(accept)


async def families(visited: House) -> set[str]:
    """
    Name all families of the bridge's own, as they are asked for: with _total.
    """
    await owe(visited, delivery("one"))
    visited.bridge.attempt_meter.note(delivery("x"), Attempt(1, 0.0, 1.0, status=200))
    text = (await visited.get("/metrics")).text
    return set(re.findall(r"# TYPE (ami_bridge_\w+) ", text))


def named_in(path: Path) -> set[str]:
    """
    Name the metrics that a file speaks of, without the endings of histograms.
    """
    words = re.findall(r"ami_bridge_[a-z_]+", path.read_text(encoding="utf-8"))
    return {re.sub(r"_(bucket|sum|count)$", "", word) for word in words}


async def test_alerts_and_dashboard_ask_for_what_there_is(visited: House) -> None:
    """
    Each metric that the alerts and the dashboard name is one of the bridge's.
    """
    there = await families(visited)

    assert named_in(ALERTS) <= there
    assert named_in(DASHBOARD) <= there


async def test_every_metric_is_documented(visited: House) -> None:
    """
    The reference has each metric of the bridge, and no other.
    """
    assert named_in(DOCS / "reference" / "metrics.md") == await families(visited)


def test_the_dashboard_is_whole() -> None:
    """
    Panels of the dashboard have ids of their own, fit in its width and do not overlap.
    """
    panels = json.loads(DASHBOARD.read_text(encoding="utf-8"))["panels"]
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        cells = set(_cells(panel["gridPos"]))
        assert not cells & taken, panel["title"]
        assert max(x for x, _ in cells) < 24, panel["title"]
        taken |= cells
    ids = [panel["id"] for panel in panels]
    assert len(ids) == len(set(ids))


def _cells(place: dict[str, int]) -> Iterable[tuple[int, int]]:
    for x in range(place["x"], place["x"] + place["w"]):
        for y in range(place["y"], place["y"] + place["h"]):
            yield x, y


async def test_promtool_likes_the_metrics(visited: House) -> None:
    """
    Prometheus' linter has nothing to say against /metrics.
    """
    promtool = find_promtool()
    await families(visited)
    text = (await visited.get("/metrics")).text

    checked = _run(promtool, "check", "metrics", said=text)

    assert (checked.returncode, checked.stderr, checked.stdout) == (0, "", "")


def test_promtool_likes_the_alerts() -> None:
    """
    The alert rules are valid, and come when they should.
    """
    promtool = find_promtool()

    checked = _run(promtool, "check", "rules", "--lint-fatal", str(ALERTS))
    tried = _run(promtool, "test", "rules", str(Path(__file__).parent / "alerts_test.yml"))

    assert checked.returncode == 0, checked.stderr
    assert tried.returncode == 0, tried.stdout + tried.stderr


@pytest.mark.parametrize(
    "panel",
    [
        one
        for one in json.loads(DASHBOARD.read_text(encoding="utf-8"))["panels"]
        if "targets" in one
    ],
    ids=lambda panel: panel["title"].lower().replace(" ", "-"),
)
def test_promtool_understands_the_dashboard(panel: dict[str, Any], tmp_path: Path) -> None:
    """
    Each query of the dashboard is one that Prometheus can read.
    """
    promtool = find_promtool()
    queries = [one["expr"].replace("$__rate_interval", "5m") for one in panel["targets"]]
    rules = [{"record": f"query:{number}", "expr": one} for number, one in enumerate(queries)]
    file = tmp_path / "rules.yml"
    # YAML reads JSON.
    file.write_text(json.dumps({"groups": [{"name": "dashboard", "rules": rules}]}))

    checked = _run(promtool, "check", "rules", str(file))

    assert checked.returncode == 0, checked.stderr


def _run(promtool: Path, *arguments: str, said: str = "") -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        (promtool, *arguments), input=said, capture_output=True, text=True, timeout=60, check=False
    )
