"""
One running Asterisk, with the configuration of this folder and a place of its own in its chroot.
"""

import asyncio
import shutil
import socket
import string
import tempfile
from asyncio.subprocess import DEVNULL, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import attrs

from .patience import PATIENCE_SECONDS, until

#: The secret of every manager user and phone. Nobody reaches them from outside this machine.
SECRET = "only-for-tests"

_TEMPLATES = Path(__file__).parent / "config"


@attrs.frozen
class Asterisk:
    """
    An Asterisk with a place of its own and ports of its own, all on the loopback.
    """

    version: str
    chroot: Path
    #: Its configuration, state and log; a folder in the chroot.
    place: Path
    ami_port: int = attrs.field(factory=lambda: _free_port(socket.SOCK_STREAM))
    sip_port: int = attrs.field(factory=lambda: _free_port(socket.SOCK_DGRAM))
    #: The port of the older SIP channel, which Asterisk 22 does not have.
    chan_sip_port: int = attrs.field(factory=lambda: _free_port(socket.SOCK_DGRAM))

    @property
    def log(self) -> str:
        """
        Give what Asterisk logged so far.
        """
        log_file = self.place / "log/messages.log"
        return log_file.read_text(errors="replace") if log_file.exists() else ""

    def configure(self) -> None:
        """
        Write the configuration.
        """
        module = next(self.chroot.glob("usr/lib/**/asterisk/modules/app_dial.so"))
        facts = {
            "place": self._inside(self.place),
            "modules": self._inside(module.parent),
            "ami_port": self.ami_port,
            "sip_port": self.sip_port,
            "chan_sip_port": self.chan_sip_port,
            "secret": SECRET,
        }
        for folder in ("etc", "run", "log", "spool", "var"):
            (self.place / folder).mkdir()
        for template in _TEMPLATES.glob("*.conf"):
            # Safe, for the dialplan is full of variables that Asterisk substitutes: ${EXTEN}.
            text = string.Template(template.read_text()).safe_substitute(facts)
            (self.place / "etc" / template.name).write_text(text)

    async def start(self) -> Process:
        """
        Start Asterisk; it is ready a moment later.
        """
        configuration = f"{self._inside(self.place)}/etc/asterisk.conf"
        return await asyncio.create_subprocess_exec(
            *("chroot", self.chroot, "asterisk", "-f", "-C", configuration),
            stdin=DEVNULL,
            stdout=DEVNULL,
            stderr=DEVNULL,
        )

    async def console(self, command: str) -> None:
        """
        Run *command* on the console, outside of any manager session.
        """
        configuration = f"{self._inside(self.place)}/etc/asterisk.conf"
        process = await asyncio.create_subprocess_exec(
            *("chroot", self.chroot, "asterisk", "-C", configuration, "-rx", command),
            stdin=DEVNULL,
            stdout=DEVNULL,
            stderr=DEVNULL,
        )
        await process.wait()

    async def until_ready(self, process: Process) -> None:
        """
        Wait until Asterisk, running as *process*, can be talked to.
        """
        await until(
            lambda: "Asterisk Ready." in self.log or process.returncode is not None,
            f"Asterisk {self.version} is ready",
        )
        assert process.returncode is None, f"Asterisk {self.version} ended:\n{self.log}"

    def _inside(self, path: Path) -> str:
        """
        Give *path* as it is seen from inside the chroot.
        """
        return f"/{path.relative_to(self.chroot)}"


@asynccontextmanager
async def running_asterisk(version: str, chroot: Path) -> AsyncIterator[Asterisk]:
    """
    Run the Asterisk in *chroot*, and leave no trace of it there.
    """
    place = Path(tempfile.mkdtemp(prefix="ami-bridge-", dir=chroot / "srv"))
    asterisk = Asterisk(version, chroot, place)
    try:
        asterisk.configure()
        process = await asterisk.start()
        try:
            await asterisk.until_ready(process)
            yield asterisk
        finally:
            await stop(process)
    finally:
        shutil.rmtree(place)


async def stop(process: Process) -> int:
    """
    Ask *process* to end, insist when patience does, and give its exit status.
    """
    if process.returncode is not None:
        return process.returncode
    process.terminate()
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            return await process.wait()
    except TimeoutError:
        process.kill()
        return await process.wait()


def _free_port(kind: socket.SocketKind) -> int:
    """
    Give a loopback port that nobody uses now.
    """
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
