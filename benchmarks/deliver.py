"""
Durable notifications a second, from AMI bytes to settled rows, against two bare baselines.

* bridge: `run` with a store that waits for the disk; the recording comes as fast as it is
  read; it counts until every call event was answered with 204.
* client: aiohttp alone posts the same bodies to the same sink, as many at once.
* store: SQLite alone takes the same rows, a hundred in a transaction, and waits for the disk.

    python benchmarks/deliver.py [RUNS]
"""

import asyncio
import gzip
import sqlite3
import statistics
import sys
import tempfile
import time
from pathlib import Path

import aiohttp
import attrs
from bench_bridge import RECORDING, Sink, bridge, until_quiet

from ami_bridge.core.ami_events import NAMES_THAT_MATTER
from ami_bridge.core.ami_fast_lane import read_message
from ami_bridge.core.ami_stream import AmiStream
from ami_bridge.core.deliveries import Delivery
from ami_bridge.core.rules import BodyFormat, Method, Rule
from ami_bridge.pipeline import Pipeline
from ami_bridge.settings import Config

CONCURRENCY = 32
GROUP = 100


def deliveries(url: str) -> list[Delivery]:
    """
    Make the deliveries of the recording's call events.
    """
    rule = Rule("bench", url, method=Method.POST, format=BodyFormat.JSON, fields=("Timestamp",))
    pipeline = Pipeline(attrs.evolve(Config(), rules=(rule,)))
    now = time.time()
    events = [
        (ami_event, now)
        for message in AmiStream(NAMES_THAT_MATTER).feed(gzip.decompress(RECORDING.read_bytes()))
        if message.name in NAMES_THAT_MATTER and (ami_event := read_message(message)) is not None
    ]
    return pipeline.owe(pipeline.take(events), now)


async def with_bridge() -> float:
    """
    Give the rate of the whole bridge.
    """
    async with bridge(0, concurrency=CONCURRENCY) as (ages, _):
        while not ages:  # noqa: ASYNC110 - a protocol counts
            await asyncio.sleep(0.001)
        began = time.perf_counter()
        await until_quiet(ages)
        return len(ages) / (time.perf_counter() - began)


async def with_client() -> float:
    """
    Give the rate of aiohttp's client alone, in a process of its own as the bridge is.
    """
    Sink.ages = []
    server = await asyncio.get_running_loop().create_server(Sink, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    child = await asyncio.create_subprocess_exec(
        sys.executable, __file__, "--client", url, stdout=asyncio.subprocess.PIPE
    )
    printed, _ = await child.communicate()
    server.close()
    return float(printed)


async def post_all(url: str) -> float:
    """
    Post all bodies to *url* with a bare client.
    """
    owed = deliveries(url)
    left = iter(owed)
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(
        connector=connector, cookie_jar=aiohttp.DummyCookieJar()
    ) as session:

        async def post() -> None:
            for delivery in left:
                request = delivery.request
                async with session.post(url, data=request.body, headers=request.headers) as answer:
                    await answer.read()

        began = time.perf_counter()
        await asyncio.gather(*(post() for _ in range(CONCURRENCY)))
        return len(owed) / (time.perf_counter() - began)


def with_store(owed: list[Delivery]) -> float:
    """
    Give the rate of SQLite alone.
    """
    rows = [(one.id, one.leg, one.destination, one.request.body) for one in owed]
    with tempfile.TemporaryDirectory() as folder:
        connection = sqlite3.connect(Path(folder) / "rows.sqlite", isolation_level=None)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("CREATE TABLE r (seq INTEGER PRIMARY KEY, id TEXT UNIQUE, l, d, b)")
        began = time.perf_counter()
        for start in range(0, len(rows), GROUP):
            connection.execute("BEGIN")
            connection.executemany(
                "INSERT INTO r (id, l, d, b) VALUES (?, ?, ?, ?)", rows[start : start + GROUP]
            )
            connection.execute("COMMIT")
        seconds = time.perf_counter() - began
        connection.close()
    return len(rows) / seconds


async def main(runs: int) -> None:
    """
    Measure in turns, and print medians and ratios.
    """
    rates: dict[str, list[float]] = {"bridge": [], "client": [], "store": []}
    owed = deliveries("http://127.0.0.1:1/")
    for _ in range(runs):
        rates["client"].append(await with_client())
        rates["bridge"].append(await with_bridge())
        rates["store"].append(await asyncio.to_thread(with_store, owed))
    medians = {name: statistics.median(found) for name, found in rates.items()}
    for name, rate in medians.items():
        print(
            f"{name:<7} {rate:>9,.0f}/s  (from {min(rates[name]):,.0f} to {max(rates[name]):,.0f})"
        )
    for name in ("client", "store"):
        print(f"bridge / {name}: {medians['bridge'] / medians[name]:.2f}")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--client"]:
        print(asyncio.run(post_all(sys.argv[2])))
    else:
        asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 5))
