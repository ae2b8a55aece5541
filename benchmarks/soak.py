"""
An hour of traffic: does anything grow that should not?

The busiest recording is played over and over, at half its pace, to a bridge that keeps what it
delivered for a few minutes. Printed each minute: requests, latency, the bridge's memory, and
the size of its store.

    python benchmarks/soak.py [MINUTES]
"""

import asyncio
import sys
from pathlib import Path

from bench_bridge import bridge, memory, quantile

SPEED = 0.5
MINUTE = 60.0


async def main(minutes: int) -> None:
    """
    Print a line a minute.
    """
    store: list[Path] = []

    async def note(path: Path) -> None:
        store.append(path)

    print(f"{'minute':>6} {'requests':>9} {'p50 ms':>7} {'p99 ms':>7} {'MB':>6} {'store MB':>9}")
    async with bridge(SPEED, prepare=note, loop_it=True) as (ages, run):
        total = 0
        for minute in range(1, minutes + 1):
            await asyncio.sleep(MINUTE)
            counted = list(ages)
            ages.clear()
            total += len(counted)
            size = sum(file.stat().st_size for file in store[0].parent.glob(f"{store[0].name}*"))
            print(
                f"{minute:>6} {total:>9,} {quantile(counted, 0.5):>7.2f} "
                f"{quantile(counted, 0.99):>7.2f} {memory(run.pid):>6.1f} {size / 1e6:>9.1f}",
                flush=True,
            )


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 60))
