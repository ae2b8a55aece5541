"""
AMI events per CPU second through parsing and correlating, against stock panoramisk 1.4.

Both take the same bytes in reads of 64 KiB by their protocol's `data_received`: panoramisk
parses and dispatches to one ``*`` callback that counts; ours parses, sieves and correlates.
The runs alternate, so that both meet the same machine.

    python benchmarks/correlate.py [RUNS]
"""

import asyncio
import gc
import gzip
import logging
import statistics
import sys
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from unittest.mock import Mock

from panoramisk import Manager
from panoramisk.ami_protocol import AMIProtocol

from ami_bridge.adapters.ami_protocol import AmiProtocol, Batch
from ami_bridge.pipeline import Pipeline
from ami_bridge.settings import Config

LOADS = Path(__file__).parent.parent / "fixtures" / "load"
READ = 65_536


def chunks_of(folder: Path) -> list[bytes]:
    """
    Cut a recorded stream into reads.
    """
    data = gzip.decompress((folder / "recording.ami.gz").read_bytes())
    return [data[i : i + READ] for i in range(0, len(data), READ)]


def stock(loop: asyncio.AbstractEventLoop) -> tuple[Callable[[bytes], None], list[int]]:
    """
    Give panoramisk's own way for bytes, and a count of the events that arrived.
    """
    manager = Manager(loop=loop)
    count = [0]

    def hear(_manager: object, _event: object) -> None:
        count[0] += 1

    manager.register_event("*", hear)
    protocol = AMIProtocol()
    protocol.connection_made(None)
    protocol.factory, protocol.encoding = manager, "utf8"
    protocol.queue, protocol.responses = deque(), {}
    return protocol.data_received, count


def ours() -> tuple[Callable[[bytes], None], list[int]]:
    """
    Give our way for bytes, and a count of the call events that followed.
    """
    pipeline = Pipeline(Config())
    count = [0]

    def hear(batch: Batch) -> None:
        count[0] += len(pipeline.take((heard.ami_event, heard.time) for heard in batch))

    protocol = AmiProtocol(hear)
    protocol.connection_made(Mock())
    return protocol.data_received, count


def seconds(take: Callable[[bytes], None], chunks: list[bytes]) -> float:
    """
    Measure the CPU seconds of one run.
    """
    gc.collect()
    begun = time.process_time()
    for chunk in chunks:
        take(chunk)
    return time.process_time() - begun


async def main(runs: int) -> None:
    """
    Measure and print.
    """
    loop = asyncio.get_running_loop()
    print(f"median of {runs} runs; events are those of the recording, whether needed or not")
    logging.disable()
    totals = [0.0, 0.0]
    for folder in sorted(LOADS.iterdir()):
        chunks = chunks_of(folder)
        baseline, measured = [], []
        for _ in range(runs):
            take, events = stock(loop)
            baseline.append(seconds(take, chunks))
            take, call_events = ours()
            measured.append(seconds(take, chunks))
        base, own = statistics.median(baseline), statistics.median(measured)
        totals = [totals[0] + base, totals[1] + own]
        print(
            f"{folder.name}: {events[0]} events, {call_events[0]} call events\n"
            f"  stock panoramisk, no correlation  {events[0] / base:>9,.0f} events/CPU s\n"
            f"  ami-bridge, parse and correlate   {events[0] / own:>9,.0f} events/CPU s\n"
            f"  ratio {base / own:.2f}  "
            f"(of single runs: {min(b / o for b, o in zip(baseline, measured, strict=True)):.2f}"
            f" to {max(b / o for b, o in zip(baseline, measured, strict=True)):.2f})"
        )
    print(f"both together: ratio {totals[0] / totals[1]:.2f}")


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 7))
