"""
From the AMI byte to the HTTP request: simulate, run and a receiver, a process each.

The busiest recording is played at several times its own pace to a daemon whose rules want
every call event, with its store in memory and in a file. Printed are how many requests came,
how long after the last AMI event the last of them came, and the time from the arrival of the
AMI event at the bridge to the arrival of the request, as median and 99th percentile.

    python benchmarks/end_to_end.py [SPEED...]
"""

import sys

from bench_bridge import CALL_EVENTS, bridge, cpu_seconds, quantile, until_quiet

from ami_bridge.cli import event_loop


async def one_run(speed: float, store: str) -> None:
    """
    Play the recording at *speed* and print what came of it.
    """
    async with bridge(speed, store=store) as (ages, run):
        await until_quiet(ages)
        cpu = cpu_seconds(run.pid)
    print(
        f"{speed:>4g} x, {store:>13}: {len(ages):>6,} of {CALL_EVENTS:,} requests, "
        f"latency p50 {quantile(ages, 0.5):8.1f} ms, p99 {quantile(ages, 0.99):8.1f} ms, "
        f"last {ages[-1] * 1000:8.1f} ms; bridge {cpu:.1f} CPU s"
    )


async def main(speeds: list[float]) -> None:
    """
    Measure and print.
    """
    for speed in speeds:
        for store in (":memory:", "outbox.sqlite"):
            await one_run(speed, store)


if __name__ == "__main__":
    event_loop.run(main([float(word) for word in sys.argv[1:]] or [1, 5, 10]))
