"""
What durability costs in time: the same pipeline with its store in a file, and in memory.

The busiest recording is played so slowly that 20, 100 or 300 call events come in a second.
Printed is the time from the arrival of the AMI event at the bridge to the arrival of the
request, as median and 99th percentile, and the ratio of the two 99th percentiles.

    python benchmarks/latency.py [RUNS]
"""

import asyncio
import statistics
import sys

from bench_bridge import CALL_EVENTS, RECORDED_SECONDS, bridge, quantile

from ami_bridge.cli import event_loop

RATES = (20, 100, 300)
SECONDS = 12.0
#: Requests at the beginning that are not counted: connections are made, code is warmed up.
WARM_UP = 40


async def one_run(rate: float, store: str) -> tuple[float, float]:
    """
    Give median and 99th percentile, in milliseconds, at *rate* call events a second.
    """
    speed = rate * RECORDED_SECONDS / CALL_EVENTS
    async with bridge(speed, store=store) as (ages, _):
        while len(ages) < WARM_UP:  # noqa: ASYNC110 - a protocol counts
            await asyncio.sleep(0.05)
        await asyncio.sleep(SECONDS)
        counted = ages[WARM_UP:]
    return quantile(counted, 0.5), quantile(counted, 0.99)


async def main(runs: int) -> None:
    """
    Measure in turns, and print the medians of the runs.
    """
    print(f"medians of {runs} runs of {SECONDS:g} s; milliseconds")
    print(
        f"{'events/s':>8}  {'p50 memory':>10} {'file':>6}   {'p99 memory':>10} {'file':>6}  ratio"
    )
    for rate in RATES:
        found: dict[str, list[tuple[float, float]]] = {":memory:": [], "outbox.sqlite": []}
        for _ in range(runs):
            for store, results in found.items():
                results.append(await one_run(rate, store))
        memory, file = (
            [statistics.median(values) for values in zip(*results, strict=True)]
            for results in found.values()
        )
        print(
            f"{rate:>8}  {memory[0]:>10.2f} {file[0]:>6.2f}   {memory[1]:>10.2f} {file[1]:>6.2f}  "
            f"{file[1] / memory[1]:>5.2f}",
            flush=True,
        )


if __name__ == "__main__":
    event_loop.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 5))
