"""
100,000 notifications wait for a host that is dead: who notices?

The store is filled with them, then the bridge is started beside 100 live call events a second.
Printed, with and without them: the time from the start of the process to its first request,
the latency of the live ones as median and 99th percentile, the bridge's memory, and the CPU
time that it takes for a second.

    python benchmarks/dead_host.py [RUNS]
"""

import asyncio
import statistics
import sys
import time
from pathlib import Path

import attrs
from bench_bridge import CALL_EVENTS, RECORDED_SECONDS, bridge, cpu_seconds, memory, quantile

from ami_bridge.adapters.sqlite_store import SqliteStore
from ami_bridge.adapters.store import Changes
from ami_bridge.cli import event_loop
from ami_bridge.core.call_events import EventType
from ami_bridge.core.deliveries import Delivery
from ami_bridge.core.requests import Request
from ami_bridge.core.rules import Method

WAITING = 100_000
RATE = 100
SECONDS = 15.0
#: Nobody listens there.
DEAD = "http://127.0.0.1:9"


async def fill(path: Path) -> None:
    """
    Write a store with what waits for the dead host.
    """
    now = time.time()
    one = Delivery(
        id="",
        rule_id="dead",
        event=EventType.HANGUP,
        extension="0001*201",
        call_id="1",
        leg="",
        destination=DEAD,
        request=Request(Method.POST, DEAD, {"User-Agent": "bench"}, b"x" * 250),
        created=now,
        expires=now + 86_400,
    )
    async with SqliteStore(path) as store:
        for start in range(0, WAITING, 1000):
            names = map(str, range(start, start + 1000))
            await store.keep(Changes(now, [attrs.evolve(one, id=name, leg=name) for name in names]))


async def one_run(*, dead: bool) -> tuple[float, ...]:
    """
    Give start (s), p50, p99 (ms), memory (MB) and CPU (ms/s).
    """
    speed = RATE * RECORDED_SECONDS / CALL_EVENTS
    began = time.perf_counter()

    async def prepare(path: Path) -> None:
        nonlocal began
        if dead:
            await fill(path)
        began = time.perf_counter()

    async with bridge(speed, prepare=prepare) as (ages, run):
        while not ages:  # noqa: ASYNC110 - a protocol counts
            await asyncio.sleep(0.01)
        started = time.perf_counter() - began
        before = cpu_seconds(run.pid)
        await asyncio.sleep(SECONDS)
        used = (cpu_seconds(run.pid) - before) / SECONDS * 1000
        return started, quantile(ages, 0.5), quantile(ages, 0.99), memory(run.pid), used


async def main(runs: int) -> None:
    """
    Measure in turns, and print the medians of the runs.
    """
    print(f"medians of {runs} runs of {SECONDS:g} s at {RATE} call events a second")
    print(f"{'':>24} {'start s':>8} {'p50 ms':>8} {'p99 ms':>8} {'MB':>6} {'CPU ms/s':>9}")
    rows: dict[bool, list[tuple[float, ...]]] = {False: [], True: []}
    for _ in range(runs):
        for dead, found in rows.items():
            found.append(await one_run(dead=dead))
    for dead, found in rows.items():
        values = [statistics.median(column) for column in zip(*found, strict=True)]
        name = f"{WAITING:,} for a dead host" if dead else "nothing else waits"
        print(
            f"{name:>24} {values[0]:>8.2f} {values[1]:>8.2f} {values[2]:>8.2f} "
            f"{values[3]:>6.0f} {values[4]:>9.0f}"
        )


if __name__ == "__main__":
    event_loop.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 5))
