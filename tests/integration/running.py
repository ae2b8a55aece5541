"""
The daemon as a process, its rules, and what its receiver hears: for tests of `run`.
"""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from ami_bridge.adapters.receiver import Received
from tests.replaying import FIXTURES

PROJECT = Path(__file__).parents[2]
STORY = FIXTURES / "asterisk22" / "trunk-ext-answered" / "recording.ami"
WAIT_SECONDS = 20.0

RULES = """
[asterisk]
port = {port}
username = "ami-bridge"
secret_file = "secret"

[delivery]
allow_networks = ["127.0.0.0/8"]

[store]
path = "outbox.sqlite"

[[requests]]
id = "all"
method = "POST"
url = "{url}{path}"
fields = ["EventType", "Extension"]
"""


class Ears:
    """
    A receiver that remembers, and can be waited for.
    """

    def __init__(self) -> None:
        self.heard: list[Received] = []
        self._more = asyncio.Event()

    def take(self, received: Received) -> None:
        """
        Remember a request.
        """
        self.heard.append(received)
        self._more.set()

    async def wait_for(self, count: int) -> list[str]:
        """
        Wait until *count* requests have come; say of each which event it tells.
        """
        async with asyncio.timeout(WAIT_SECONDS):
            while len(self.heard) < count:
                self._more.clear()
                await self._more.wait()
        return [received.parameters["EventType"] for received in self.heard]


class Bridge:
    """
    A running ``ami-bridge run``.
    """

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.log: list[str] = []

    async def wait_for_log(self, sentence: str) -> str:
        """
        Wait until the log has a line with *sentence*; return that line.
        """
        assert self.process.stderr is not None
        async with asyncio.timeout(WAIT_SECONDS):
            async for line in self.process.stderr:
                self.log.append(line.decode())
                if sentence in self.log[-1]:
                    return self.log[-1]
        pytest.fail(f"no line with {sentence!r} in the log:\n{''.join(self.log)}")

    async def ends_with(self) -> int:
        """
        Wait for the end of the process; return its exit code.
        """
        async with asyncio.timeout(WAIT_SECONDS):
            await self.process.communicate()
        assert self.process.returncode is not None
        return self.process.returncode


@asynccontextmanager
async def bridge_with(
    rules: Path, *, within: Sequence[str] = (), **environment: str
) -> AsyncIterator[Bridge]:
    """
    Run the daemon with *rules*, by the command *within*; it is killed if it outlives this.
    """
    process = await asyncio.create_subprocess_exec(
        *within,
        *(sys.executable, "-m", "ami_bridge", "run", "--rules", str(rules)),
        *("--log-level", "debug"),
        cwd=PROJECT,
        env={**os.environ, **environment},
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield Bridge(process)
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()


def write_rules_in(folder: Path, port: int, url: str, path: str = "calls", more: str = "") -> Path:
    """
    Write a rules file into *folder*, with its secret beside it.
    """
    (folder / "secret").write_text("s3cret\n")
    file = folder / "rules.toml"
    file.write_text(RULES.format(port=port, url=url, path=path) + more)
    return file
