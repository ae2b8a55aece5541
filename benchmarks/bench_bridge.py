"""
What the benchmarks of the whole bridge share: a recording played to `ami-bridge run`, and a sink.
"""

import asyncio
import contextlib
import os
import socket
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import datetime
from pathlib import Path
from typing import cast

#: The busiest recording of call events: 52 seconds, 120 calls a second.
RECORDING = Path(__file__).parent.parent / "fixtures/load/calls-120-per-second/recording.ami.gz"
CALL_EVENTS = 24_777
RECORDED_SECONDS = 52.0
_PAUSE_SECONDS = 10.0
_RULES = """
[asterisk]
port = {ami}
username = "bench"
secret_file = "secret"
[store]
path = "{store}"
keep_delivered_days = 0.003
[delivery]
allow_networks = ["127.0.0.0/8"]
concurrency = {concurrency}
connect_timeout_seconds = 2
[[requests]]
method = "POST"
format = "json"
url = "http://127.0.0.1:{sink}/"
fields = ["Timestamp"]
"""


class Sink(asyncio.Protocol):
    """
    The least HTTP server that there can be: it answers 204 to every POST, and notes its age.
    """

    #: Seconds between the AMI event and the request, for each request in its order.
    ages: list[float]

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """
        Begin to read.
        """
        self._transport = cast("asyncio.Transport", transport)
        self._buffer = b""

    def data_received(self, data: bytes) -> None:
        """
        Take whole requests.
        """
        self._buffer += data
        while True:
            head, end, rest = self._buffer.partition(b"\r\n\r\n")
            length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
            if not end or not length or len(rest) < int(length):
                return
            body, self._buffer = rest[: int(length)], rest[int(length) :]
            # The bridge writes it last; a whole reader of JSON would take the bridge's time.
            said = body.rpartition(b'"Timestamp": "')[2].partition(b'"')[0].decode()
            self.ages.append(time.time() - datetime.fromisoformat(said).timestamp())
            self._transport.write(b"HTTP/1.1 204 No Content\r\n\r\n")


def free_port() -> int:
    """
    Find a port that nobody uses.
    """
    with socket.socket() as door:
        door.bind(("127.0.0.1", 0))
        port: int = door.getsockname()[1]
        return port


def cpu_seconds(pid: int) -> float:
    """
    Give the CPU time that a process used so far.
    """
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory(pid: int) -> float:
    """
    Give the resident memory of a process in MB.
    """
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def quantile(seconds: list[float], share: float) -> float:
    """
    Give the value below which *share* of *seconds* lie, in milliseconds.
    """
    ordered = sorted(seconds)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] * 1000


@contextlib.asynccontextmanager
async def bridge(
    speed: float,
    *,
    store: str = "outbox.sqlite",
    concurrency: int = 32,
    prepare: Callable[[Path], Awaitable[None]] | None = None,
    loop_it: bool = False,
) -> AsyncIterator[tuple[list[float], asyncio.subprocess.Process]]:
    """
    Play the recording to a bridge; give the ages of what comes, and the bridge.

    A *speed* of 0 is as fast as it is read. *prepare* may fill the store before. With
    *loop_it* the recording begins again at its end, as other calls.
    """
    loop = asyncio.get_running_loop()
    ages: list[float] = []
    Sink.ages = ages
    server = await loop.create_server(Sink, "127.0.0.1", 0)
    ami, sink = free_port(), server.sockets[0].getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "secret").write_text("s")
        rules = Path(folder) / "rules.toml"
        rules.write_text(_RULES.format(ami=ami, sink=sink, store=store, concurrency=concurrency))
        if prepare is not None:
            await prepare(Path(folder) / store)
        played = ("--port", ami, "--speed", speed or "max", *(["--loop"] if loop_it else []))
        simulate = await _start("simulate", RECORDING, *played)
        run = await _start("run", "--rules", rules, "--log-level", "error")
        try:
            yield ages, run
        finally:
            for process in (run, simulate):
                process.kill()
                await process.wait()
            server.close()


async def _start(*words: object) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "ami_bridge",
        *map(str, words),
        stderr=asyncio.subprocess.DEVNULL,
    )


async def until_quiet(ages: list[float], wanted: int = CALL_EVENTS) -> None:
    """
    Wait until *wanted* requests came, or none for a while.
    """
    loop = asyncio.get_running_loop()
    seen, quiet_since = 0, loop.time()
    while len(ages) < wanted:
        await asyncio.sleep(0.05)
        if len(ages) != seen:
            seen, quiet_since = len(ages), loop.time()
        elif loop.time() - quiet_since > _PAUSE_SECONDS:
            return
