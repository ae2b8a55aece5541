"""
The program under test, as an operator runs it: a process, a rules file, a manager user.
"""

import asyncio
import sys
from asyncio.subprocess import DEVNULL, STDOUT, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import attrs

from .ami_session import AmiSession
from .asterisk import SECRET, Asterisk, stop
from .patience import in_time
from .receiver import Receiver

_PROJECT = Path(__file__).parents[2]

#: Everything that happens, as POST; and one colleague's answers and hangups as GET.
_RULES = """
[asterisk]
host = "127.0.0.1"
port = {ami_port}
username = "bridge"
secret_file = "secret"
{settings}
[delivery]
allow_networks = ["127.0.0.0/8"]

[store]
path = "outbox.sqlite"

[[requests]]
id = "everything"
extension = "*"
method = "POST"
url = "http://127.0.0.1:{receiver_port}/call-events"
fields = ["EventType", "Extension", "Timestamp"]

[[requests]]
id = "crm"
extension = "0003*002"
event = ["Answer-In", "Hangup"]
method = "GET"
url = "http://127.0.0.1:{receiver_port}/crm.php?source=pbx"
"""


@attrs.frozen
class Bridge:
    """
    A bridge that is logged in.
    """

    log_file: Path

    @property
    def log(self) -> str:
        """
        Give what the bridge logged so far.
        """
        return self.log_file.read_text(errors="replace")

    @property
    def logins(self) -> int:
        """
        Count how often the bridge has logged in.
        """
        return self.log.count("logged in to Asterisk")


@asynccontextmanager
async def running_bridge(
    folder: Path,
    asterisk: Asterisk,
    witness: AmiSession,
    receiver: Receiver,
    *,
    port: int | None = None,
    settings: str = "",
) -> AsyncIterator[Bridge]:
    """
    Run the bridge with its files in *folder*; it must end well when it is asked to.

    It reaches Asterisk at *port* if that is given; *settings* are further lines of its connection.
    """
    bridge = Bridge(folder / "bridge.log")
    rules = folder / "rules.toml"
    rules.write_text(
        _RULES.format(
            ami_port=port or asterisk.ami_port, receiver_port=receiver.port, settings=settings
        )
    )
    secret = folder / "secret"
    secret.touch(0o600)
    secret.write_text(SECRET)
    with bridge.log_file.open("w") as log:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "ami_bridge", "run", "--rules", rules),
            cwd=_PROJECT,
            stdin=DEVNULL,
            stdout=log,
            stderr=STDOUT,
        )
    try:
        await _until_logged_in(process, witness, bridge)
        yield bridge
    finally:
        status = await stop(process)
    assert status == 0, f"the bridge ended with {status}:\n{bridge.log}"


async def _until_logged_in(process: Process, witness: AmiSession, bridge: Bridge) -> None:
    """
    Wait until Asterisk counts the bridge among its manager sessions.
    """

    async def watch() -> None:
        while "bridge" not in await witness.command("manager show connected"):
            assert process.returncode is None, f"the bridge ended with {process.returncode}"
            await asyncio.sleep(0.05)

    try:
        await in_time(watch(), "the bridge logs in")
    except AssertionError as error:
        error.add_note(bridge.log)
        raise
