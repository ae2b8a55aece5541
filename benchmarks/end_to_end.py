"""
From the AMI byte to the HTTP request: simulate, run and a receiver, a process each.

The busiest recording is played at several times its own pace to a daemon whose rules want
every call event. Printed are how many requests came, how long after the last AMI event the
last of them came, and the time from the arrival of the AMI event at the bridge to the
arrival of the request, as median and 99th percentile.

    python benchmarks/end_to_end.py [SPEED...]
"""

import asyncio
import json
import os
import socket
import statistics
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path

FOLDER = Path(__file__).parent.parent / "fixtures" / "load" / "calls-120-per-second"
CALL_EVENTS = 24_777
PAUSE_SECONDS = 2.0
LONGEST_SECONDS = 120.0
RULES = """
[asterisk]
port = {port}
username = "bench"
secret_file = "secret"
[delivery]
concurrency = 32
[[requests]]
method = "POST"
format = "json"
url = "http://127.0.0.1:{receiver}/"
fields = ["Timestamp"]
"""


class Sink(asyncio.Protocol):
    """
    The least HTTP server that there can be: it answers 204 to every request.
    """

    seconds: list[float]

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """
        Begin to read.
        """
        self._transport = transport
        self._buffer = b""

    def data_received(self, data: bytes) -> None:
        """
        Take whole requests, and note how old each one is.
        """
        self._buffer += data
        while True:
            head, end, rest = self._buffer.partition(b"\r\n\r\n")
            length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
            if not end or not length or len(rest) < int(length):
                return
            body, self._buffer = rest[: int(length)], rest[int(length) :]
            said = datetime.fromisoformat(json.loads(body)["Timestamp"]).timestamp()
            self.seconds.append(time.time() - said)
            assert isinstance(self._transport, asyncio.Transport)
            self._transport.write(b"HTTP/1.1 204 No Content\r\n\r\n")


def free_port() -> int:
    """
    Find a port that nobody uses.
    """
    with socket.socket() as door:
        door.bind(("127.0.0.1", 0))
        port: int = door.getsockname()[1]
        return port


async def one_run(speed: float) -> None:
    """
    Play the recording at *speed* and print what came of it.
    """
    seconds: list[float] = []
    Sink.seconds = seconds
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Sink, "127.0.0.1", 0)
    receiver = server.sockets[0].getsockname()[1]
    ami = free_port()
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "secret").write_text("s")
        rules = Path(folder) / "rules.toml"
        rules.write_text(RULES.format(port=ami, receiver=receiver))
        command = [sys.executable, "-m", "ami_bridge"]
        recording = str(FOLDER / "recording.ami.gz")
        simulate = await asyncio.create_subprocess_exec(
            *command,
            "simulate",
            recording,
            "--port",
            str(ami),
            "--speed",
            str(speed),
            stderr=asyncio.subprocess.DEVNULL,
        )
        run = await asyncio.create_subprocess_exec(
            *command,
            "run",
            "--rules",
            str(rules),
            "--log-level",
            "warning",
            stderr=asyncio.subprocess.DEVNULL,
        )
        begun = loop.time()
        seen, quiet_since = 0, loop.time()
        while len(seconds) < CALL_EVENTS and loop.time() - begun < LONGEST_SECONDS:
            await asyncio.sleep(0.1)
            if len(seconds) != seen:
                seen, quiet_since = len(seconds), loop.time()
            elif seen and loop.time() - quiet_since > PAUSE_SECONDS * 5:
                break
        cpu = _cpu_seconds(run.pid)
        for process in (run, simulate):
            process.terminate()
            await process.wait()
    server.close()
    ordered = sorted(seconds)
    print(
        f"{speed:>4g} x: {len(seconds):>6,} of {CALL_EVENTS:,} requests, "
        f"latency p50 {statistics.median(ordered) * 1000:8.1f} ms, "
        f"p99 {ordered[int(len(ordered) * 0.99)] * 1000:8.1f} ms, "
        f"last {seconds[-1] * 1000:8.1f} ms; bridge {cpu:.1f} CPU s"
    )


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def main(speeds: list[float]) -> None:
    """
    Measure and print.
    """
    for speed in speeds:
        await one_run(speed)


if __name__ == "__main__":
    asyncio.run(main([float(word) for word in sys.argv[1:]] or [1, 5, 10]))
