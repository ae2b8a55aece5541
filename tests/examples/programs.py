"""
The example programs: how each is started, and how it remembers what it was told.
"""

import asyncio
import json
import os
import shutil
import socket
import sqlite3
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import attrs
import pytest

from ami_bridge.core.signing import SECRET_PREFIX

EXAMPLES = Path(__file__).parents[2] / "examples"
WAIT_SECONDS = 20.0
#: What the bridge signs with, and what it signed with before.
SECRET = f"{SECRET_PREFIX}MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
FORMER_SECRET = f"{SECRET_PREFIX}Zm9ybWVyLWtleS13aXRoLTI0LW9jdGV0cyE="

#: What a receiver has kept: by the notification's id.
Calls = Mapping[str, Mapping[str, str]]


@attrs.frozen
class Example:
    """
    One example receiver.
    """

    language: str
    #: The program that runs it; whatever is not found is looked for in $PATH.
    interpreter: str
    #: Its command line; ``{port}`` stands for the port.
    arguments: tuple[str, ...]
    #: Reads what was kept in a folder.
    kept: Callable[[Path], Calls]

    @property
    def program(self) -> str:
        """
        Find the interpreter; without it the test is skipped, or fails where it may not be.
        """
        program = shutil.which(self.interpreter)
        if program is None:
            reason = f"{self.interpreter} is not installed"
            if os.environ.get("AMI_BRIDGE_REQUIRE_EXAMPLES") == "1":
                pytest.fail(reason)
            pytest.skip(reason)
        return program


def _files(folder: Path) -> Calls:
    found = {file.stem: json.loads(file.read_text()) for file in folder.glob("calls/*.json")}
    assert len(found) == len(list(folder.glob("calls/*"))), "there are drafts left"
    return found


def _lines(folder: Path) -> Calls:
    lines = [json.loads(line) for line in (folder / "calls").read_text().splitlines() if line]
    found = {line["id"]: line["call"] for line in lines}
    assert len(found) == len(lines), "a repetition was kept"
    return found


def _rows(folder: Path) -> Calls:
    with closing(sqlite3.connect(folder / "calls")) as database:
        rows: list[tuple[str, str]] = database.execute("SELECT id, call FROM calls").fetchall()
    return {name: json.loads(call) for name, call in rows}


PHP = Example(
    "PHP",
    "php",
    ("-S", "127.0.0.1:{port}", str(EXAMPLES / "receivers/php/receiver.php")),
    _files,
)
NODE = Example("Node", "node", (str(EXAMPLES / "receivers/node/receiver.mjs"),), _lines)
PYTHON = Example("Python", sys.executable, (str(EXAMPLES / "receivers/python/receiver.py"),), _rows)
RECEIVERS = (PHP, NODE, PYTHON)


@asynccontextmanager
async def running(
    program: str, *arguments: str, folder: Path, **environment: Any
) -> AsyncIterator[str]:
    """
    Run an example in *folder*; give its URL once it listens.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = await asyncio.create_subprocess_exec(
        program,
        *(argument.format(port=port) for argument in arguments),
        cwd=folder,
        env={**os.environ, "PORT": str(port), **environment},
        stdout=asyncio.subprocess.DEVNULL,
    )
    try:
        async with asyncio.timeout(WAIT_SECONDS):
            await _until_it_listens(port, process)
        yield f"http://127.0.0.1:{port}"
    finally:
        if process.returncode is None:
            process.terminate()
        async with asyncio.timeout(WAIT_SECONDS):
            await process.wait()


@asynccontextmanager
async def receiving(example: Example, folder: Path, secret: str = SECRET) -> AsyncIterator[str]:
    """
    Run the receiver *example*, which keeps what it takes in *folder*.
    """
    kept = str(folder / "calls")
    async with running(
        example.program,
        *example.arguments,
        folder=folder,
        AMI_BRIDGE_SIGNING_SECRET=secret,
        CALLS_FILE=kept,
        CALLS_FOLDER=kept,
    ) as url:
        yield url


async def _until_it_listens(port: int, process: asyncio.subprocess.Process) -> None:
    while True:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except ConnectionRefusedError:
            assert process.returncode is None, "the example ended at once"
            await asyncio.sleep(0.02)
        else:
            writer.close()
            await writer.wait_closed()
            return
