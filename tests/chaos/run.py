"""
One run: the calls, the bridge, the receivers, faults one after the other, and the judgement.
"""

import asyncio
import contextlib
import random
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator
from pathlib import Path

import attrs

from ami_bridge.adapters.simulator import Playing, Simulator

from .bridge import PBX, REDIRECTED, RULES, Bridge
from .calls import calls_under_load, stories
from .disk import SmallDisk
from .faults import Scene, kinds, make_faults
from .hearing import IN_FLIGHT_SECONDS, Hearing
from .judge import Finding, Judge, LegFate, fates
from .receiver import Arrival, MoodyReceiver
from .traffic import Traffic

#: Calls under load that the library has, besides the stories.
_LOAD_CALLS = 150
#: The bridge is up and has logged in within this time, whatever befell it.
_UP_SECONDS = 30.0
#: After the last fault and the last call, everything is told within this time.
_SETTLE_SECONDS = 60.0
#: Nobody has anything to say any more if nothing came for so long.
_QUIET_SECONDS = 1.0
#: In a run that lasts longer, a receiver is away for a minute, too.
LONG_SECONDS = 300.0


@attrs.frozen
class Plan:
    """
    What is to be done.
    """

    faults: int
    seconds: float
    seed: int
    #: Calls that begin in a second.
    rate: float = 3.0
    playing: Playing = Playing.LIVE
    #: No call of the library lasts longer.
    longest_call: float = 30.0


@attrs.frozen
class Happened:
    """
    A fault that was made.
    """

    kind: str
    #: By the clock of the arrivals.
    time: float


@attrs.define
class Outcome:
    """
    What came of a run.
    """

    plan: Plan
    faults: list[Happened] = attrs.field(factory=list)
    findings: list[Finding] = attrs.field(factory=list)
    calls: int = 0
    #: Call events that must be told, by all rules together.
    owed: int = 0
    requests: int = 0
    given_up: int = 0
    seconds: float = 0.0
    #: What could not be done here.
    left_out: list[str] = attrs.field(factory=list)
    #: The bridge itself: ends that nobody asked for, and stops that did not end well.
    bad_ends: list[int] = attrs.field(factory=list)

    @property
    def faultless(self) -> bool:
        """
        Tell whether the bridge did everything that it must.
        """
        return not self.bad_ends and not any(
            finding.what in ("lost", "extra", "disordered", "changed") for finding in self.findings
        )


class Run:
    """
    One run of *plan*, with its files in *folder*.
    """

    def __init__(self, plan: Plan, folder: Path) -> None:
        self._dice = random.Random(plan.seed)  # noqa: S311 - a seed is what is wanted
        self._outcome = Outcome(plan)
        self._plan = plan
        self._folder = folder
        library = [
            call
            for call in (*stories(), *calls_under_load(_LOAD_CALLS, self._dice))
            if call.chunks[-1][0] <= plan.longest_call
        ]
        self._traffic = Traffic(library, plan.rate, random.Random(self._dice.random()))  # noqa: S311
        self._arrivals: list[Arrival] = []
        self._hearing = Hearing()

    async def run(self) -> Outcome:
        """
        Do it, and judge.
        """
        began = time.monotonic()
        async with self._scene() as scene:
            await self._make_faults(scene)
            await self._calm_down(scene)
            await scene.bridge.stop()
            exits = [code for code in scene.bridge.exits if code]
            self._outcome.bad_ends = scene.bridge.died + exits
        judge = self._judge()
        outcome = self._outcome
        outcome.findings = [self._blame(finding) for finding in judge.findings()]
        outcome.owed = judge.owed
        outcome.calls = len(self._traffic.played)
        outcome.requests = len(self._arrivals)
        outcome.given_up = sum(arrival.status == 302 for arrival in self._arrivals)
        outcome.seconds = time.monotonic() - began
        return outcome

    @contextlib.asynccontextmanager
    async def _scene(self) -> AsyncIterator[Scene]:
        async with contextlib.AsyncExitStack() as stack:
            disk = stack.enter_context(SmallDisk(self._folder / "disk"))
            if not disk.can_be_filled:
                self._outcome.left_out.append("disk full: mounting a small tmpfs needs root")
            receivers = {
                name: await stack.enter_async_context(MoodyReceiver(self._arrivals))
                for name in ("everything", "pop_up", "moved")
            }
            simulator = await stack.enter_async_context(
                Simulator(self._traffic.chunks, playing=self._plan.playing, tell=self._hearing.note)
            )
            bridge = Bridge(self._folder, disk.folder / "outbox.sqlite")
            ports = {name: receiver.port for name, receiver in receivers.items()}
            bridge.write_rules(ami=simulator.port, **ports)
            stack.push_async_callback(bridge.kill)
            await bridge.start()
            scene = Scene(
                dice=random.Random(self._dice.random()),  # noqa: S311
                bridge=bridge,
                receivers=receivers,
                simulator=simulator,
                hearing=self._hearing,
                traffic=self._traffic,
                disk=disk,
            )
            await _listening(scene)
            yield scene

    async def _make_faults(self, scene: Scene) -> None:
        plan, outcome = self._plan, self._outcome
        long = plan.seconds > LONG_SECONDS
        possible = kinds(disk=scene.disk.can_be_filled, long=long)
        await make_faults(
            scene,
            possible,
            plan.faults,
            plan.seconds,
            lambda kind: outcome.faults.append(Happened(kind, time.monotonic())),
        )

    async def _calm_down(self, scene: Scene) -> None:
        """
        Let all calls end, and everything be told.
        """
        await scene.bridge.start()
        await _listening(scene)
        self._traffic.end()
        async with asyncio.timeout(_SETTLE_SECONDS):
            await scene.simulator.finished.wait()
        until = time.monotonic() + _SETTLE_SECONDS
        # Judging takes its time, too, which the bridge may need on a small machine.
        pause = 0.2 + len(self._traffic.played) / 1000
        while time.monotonic() < until and self._judge().missing():  # noqa: ASYNC110
            await asyncio.sleep(pause)
        heard = -1
        while heard != len(self._arrivals):
            # Something may be told that must not.
            heard = len(self._arrivals)
            await asyncio.sleep(_QUIET_SECONDS)

    def _judge(self) -> Judge:
        gaps, spoilt = self._hearing.gaps(), self._hearing.spoilt
        legs: list[LegFate] = []
        understood: set[str] = set()
        for played in self._traffic.played:
            of_call = fates(played, PBX, gaps)
            if spoilt.intersection(played.positions):
                for leg in of_call:
                    leg.excuse()
            else:
                understood.update(f"{PBX}-{fresh.decode()}" for fresh in played.ids.values())
            legs += of_call
        return Judge(
            legs,
            RULES,
            self._arrivals,
            redirected=REDIRECTED,
            understood=frozenset(understood) if spoilt else None,
        )

    def _blame(self, finding: Finding) -> Finding:
        """
        Name the fault that came last before what was found, or took what was in flight.
        """
        if finding.what == "phantom":
            return attrs.evolve(finding, blamed="link garbled")
        when = finding.time
        if when is None:
            when = self._hearing.when(finding.position + 1) + IN_FLIGHT_SECONDS
        before = [happened for happened in self._outcome.faults if happened.time <= when]
        latest = max(before, key=lambda happened: happened.time, default=None)
        return attrs.evolve(finding, blamed=latest.kind if latest else "(before any fault)")


async def _listening(scene: Scene) -> None:
    async with asyncio.timeout(_UP_SECONDS):
        while not scene.simulator.clients:  # noqa: ASYNC110 - another process has to do it
            await asyncio.sleep(0.05)


def table(outcome: Outcome) -> list[str]:
    """
    Give the table in lines: a row for each kind of fault, and what was found because of it.
    """
    columns = (
        "lost",
        "extra",
        "disordered",
        "changed",
        "repeated",
        "told late",
        "unknowable",
        "phantom",
    )
    counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
    times = Counter(happened.kind for happened in outcome.faults)
    for finding in outcome.findings:
        counts[finding.blamed][finding.what] += 1
    lines = [f"{'fault':<28} {'times':>6} " + " ".join(f"{name:>10}" for name in columns)]
    for kind in [*sorted(times), *sorted(set(counts) - set(times))]:
        row = " ".join(f"{counts[kind][name]:>10}" for name in columns)
        lines.append(f"{kind:<28} {times[kind]:>6} {row}")
    total = Counter(finding.what for finding in outcome.findings)
    row = " ".join(f"{total[name]:>10}" for name in columns)
    lines.append(f"{'all':<28} {len(outcome.faults):>6} {row}")
    return lines
