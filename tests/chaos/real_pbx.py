"""
A real Asterisk that may be ill-treated, and what it wrote down of its calls itself (CEL).
"""

import asyncio
import contextlib
import shutil
import tempfile
import time
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from pathlib import Path

import attrs

from tests.asterisk.asterisk import Asterisk, stop
from tests.asterisk.patience import PATIENCE_SECONDS

_MANAGER_USER = """
[chaos]
secret = chaos
read = call,system
write = reporting
"""
_CEL = """
[general]
enable = yes
events = CHAN_START,ANSWER,CHAN_END
"""
_COLUMNS = ("eventtype", "eventtime", "CHANNEL(channame)", "CHANNEL(uniqueid)", "CHANNEL(linkedid)")
_CEL_CUSTOM = "[mappings]\ncalls.csv => " + "|".join(f"${{{name}}}" for name in _COLUMNS) + "\n"


@attrs.define(eq=False)
class ChannelLife:
    """
    One channel, by Asterisk's own record; times in seconds since the epoch.
    """

    name: str
    uniqueid: str
    linkedid: str
    began: float
    answered: float | None = None
    ended: float | None = None


@attrs.define(eq=False)
class RealPbx:
    """
    The Asterisk, and the process that it is.
    """

    asterisk: Asterisk
    _process: Process | None = None
    #: When it went down without a word.
    crashes: list[float] = attrs.field(factory=list)

    async def start(self) -> None:
        """
        Start it, and wait until it can be talked to.
        """
        self._process = await self.asterisk.start()
        await self.until_it_answers()

    async def crash(self) -> None:
        """
        Kill it.
        """
        assert self._process is not None
        self.crashes.append(time.time())
        self._process.kill()
        await self._process.wait()

    async def restart(self) -> None:
        """
        Have it restart in order.
        """
        self.crashes.append(time.time())
        await self.asterisk.console("core restart now")
        await self.until_it_answers()

    async def hang_up_everybody(self) -> None:
        """
        End all calls: a telephone may have given one up just when it was answered.
        """
        await self.asterisk.console("channel request hangup all")
        async with asyncio.timeout(PATIENCE_SECONDS):
            while any(life.ended is None for life in self.channels()):  # noqa: ASYNC110
                await asyncio.sleep(0.1)

    async def until_it_answers(self) -> None:
        """
        Wait until the manager interface says who it is.
        """
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not await self._answers():  # noqa: ASYNC110 - another process has to do it
                await asyncio.sleep(0.1)

    async def end(self) -> None:
        """
        End it for good.
        """
        if self._process is not None:
            await stop(self._process)

    async def _answers(self) -> bool:
        with contextlib.suppress(OSError):
            reader, writer = await asyncio.open_connection("127.0.0.1", self.asterisk.ami_port)
            try:
                return (await reader.readline()).startswith(b"Asterisk Call Manager")
            finally:
                writer.close()
        return False

    def channels(self) -> list[ChannelLife]:
        """
        Read what it wrote down; a channel whose end is missing ended when Asterisk went down.
        """
        lives: dict[str, ChannelLife] = {}
        text = (self.asterisk.place / "log/cel-custom/calls.csv").read_text(errors="replace")
        for line in text.splitlines():
            kind, moment, name, uniqueid, linkedid = line.split("|")
            if kind == "CHAN_START":
                lives[uniqueid] = ChannelLife(name, uniqueid, linkedid, float(moment))
            elif kind == "ANSWER" and lives[uniqueid].answered is None:
                lives[uniqueid].answered = float(moment)
            elif kind == "CHAN_END":
                lives[uniqueid].ended = float(moment)
        for life in lives.values():
            if life.ended is None:
                life.ended = min((at for at in self.crashes if at >= life.began), default=None)
        return list(lives.values())


@contextlib.asynccontextmanager
async def real_pbx(version: str, chroot: Path) -> AsyncIterator[RealPbx]:
    """
    Run an Asterisk of one's own in *chroot*, and leave no trace of it there.
    """
    place = Path(tempfile.mkdtemp(prefix="ami-bridge-", dir=chroot / "srv"))
    pbx = RealPbx(Asterisk(version, chroot, place))
    try:
        pbx.asterisk.configure()
        (place / "log/cel-custom").mkdir()
        _append(place / "etc/manager.conf", _MANAGER_USER)
        _append(place / "etc/modules.conf", "load = res_cdrel_custom.so\nload = cel_custom.so\n")
        _append(place / "etc/cel.conf", _CEL)
        _append(place / "etc/cel_custom.conf", _CEL_CUSTOM)
        try:
            await pbx.start()
            assert pbx._process is not None
            await pbx.asterisk.until_ready(pbx._process)
            yield pbx
        finally:
            await pbx.end()
    finally:
        shutil.rmtree(place)


def _append(path: Path, text: str) -> None:
    with path.open("a") as file:
        file.write(text)
