"""
A local AMI server that plays recordings: what ``ami-bridge simulate`` and the demo run.

Any AMI client can log in, plainly or by MD5 challenge. It hears the events of the recording,
and may ask which channels are up at that moment of it. What may befall a PBX and the link to
it can be made to happen: connections that break, stall or are garbled, and a restart.
"""

import asyncio
import contextlib
import enum
import time
from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import Self

import attrs

from ami_bridge.core.pbx_state import PbxState

from .manager_session import ManagerSession
from .performance import Chunks, Performance

__all__ = ["Chunks", "Happening", "Playing", "Simulator", "What"]

#: How long a client that left may take to read what is on its way.
_FLUSH_SECONDS = 1.0


class Playing(enum.StrEnum):
    """
    To whom a recording is played.
    """

    #: To each client from the beginning, when it logs in.
    EACH = "each"
    #: Once, from the first login on: who comes later has missed something, as with a PBX.
    LIVE = "live"
    #: Once, and the calls stand still while nobody is logged in.
    HOLD = "hold"


class What(enum.StrEnum):
    """
    What happened between the simulator and its clients.
    """

    LOGIN = "login"
    #: CoreShowChannels was answered.
    LISTED = "listed"
    #: More of the recording was said.
    SAID = "said"
    LEFT = "left"
    BOOTED = "booted"


@attrs.frozen
class Happening:
    """
    Something that happened, for who keeps a record of it.
    """

    what: What
    #: Chunks of the recording that have been said, this one included.
    position: int
    #: Which connection it is about, counted from 1; 0 where it is about none.
    session: int = 0


def _nobody_asked(_happening: Happening) -> None:
    """
    Take a happening that nobody keeps a record of.
    """


class Simulator:
    """
    The server; use it as a context manager. *chunks* opens the recording anew.

    *speed* is how many times faster than recorded it is played, 0 or None as fast as the
    client reads; *playing* says to whom. *credentials* are the user and secret that are let
    in; None lets in everybody. *tell* hears of logins, of what was said, and of ends.
    """

    def __init__(  # noqa: PLR0913 - a recording, an address and switches
        self,
        chunks: Callable[[], Chunks],
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        speed: float | None = 1.0,
        loop: bool = False,
        playing: Playing = Playing.EACH,
        credentials: tuple[str, str] | None = None,
        tell: Callable[[Happening], None] = _nobody_asked,
    ) -> None:
        self._chunks = chunks
        self._speed = speed
        self._loop = loop
        self._playing = playing
        self._tell = tell
        self._server: asyncio.Server | None = None
        self._sessions: dict[ManagerSession, int] = {}
        #: Performances and connections, and of these those that are still open.
        self._tasks: set[asyncio.Task[None]] = set()
        self._connections: set[asyncio.Task[None]] = set()
        self._shared: Performance | None = None
        #: What those who are logged in hear.
        self._heard: dict[ManagerSession, Performance] = {}
        #: Performances for one client alone.
        self._own: dict[ManagerSession, asyncio.Task[None]] = {}
        self._counted = 0
        #: User and secret that are let in; None lets in everybody.
        self.credentials = credentials
        #: When the PBX that is played began, in seconds since the epoch.
        self.booted = time.time()
        #: The address that it listens on.
        self.host = host
        #: The port that it listens on, once it does.
        self.port = port
        #: Set when a recording was played to its end for the first time.
        self.finished = asyncio.Event()

    async def __aenter__(self) -> Self:
        await self._open()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def clients(self) -> int:
        """
        Count the clients that are logged in.
        """
        return len(self._heard)

    @property
    def position(self) -> int:
        """
        Count the chunks of the recording that were said; not of one that is played to each.
        """
        return self._shared.position if self._shared is not None else 0

    # -- what may befall it -----------------------------------------------------------------

    def cut(self) -> None:
        """
        Break all connections off, as a network does.
        """
        for session in self._sessions:
            session.break_off()

    def stall(self) -> None:
        """
        Let nothing more arrive at the clients that are connected, until `flow`.
        """
        for session in self._sessions:
            session.stall()

    def flow(self) -> None:
        """
        Let what was withheld by `stall` arrive.
        """
        for session in self._sessions:
            session.flow()

    def garble(self, spoil: Callable[[bytes], bytes]) -> None:
        """
        Let the next events reach the clients as *spoil* makes them.
        """
        for session in self._sessions:
            session.spoil = spoil

    async def restart(self, away_seconds: float = 0.0, *, graceful: bool = False) -> None:
        """
        Restart the PBX: all channels are gone, and for a while nobody can connect.

        A *graceful* one says so, and the Hangup of every channel, as on ``core restart now``.
        """
        performances = set(self._heard.values()) | ({self._shared} if self._shared else set())
        self._close()
        for performance in performances:
            performance.stop_time()
            if graceful:
                await performance.say(_last_words(performance.state))
        for session in self._sessions:
            session.end() if graceful else session.break_off()
        if self._connections:
            await asyncio.wait(self._connections)
        await asyncio.sleep(away_seconds)
        self.booted = time.time()
        for performance in performances:
            performance.begin_anew()
        self._happens(What.BOOTED)
        await self._open()

    # -- what sessions ask ------------------------------------------------------------------

    def enter(self, session: ManagerSession) -> PbxState:
        """
        Let *session*, which has logged in, hear the recording; give the channels that it has.
        """
        performance = self._shared
        if performance is None:
            performance = Performance(
                self._chunks,
                self._speed,
                loop=self._loop,
                waits=self._playing is Playing.HOLD,
                said=self._said,
            )
            task = self._begin(performance.play(self.finished.set), "performance")
            if self._playing is Playing.EACH:
                self._own[session] = task
            else:
                self._shared = performance
        self._heard[session] = performance
        self._happens(What.LOGIN, session)
        performance.join(session)
        return performance.state

    def listed(self, session: ManagerSession) -> None:
        """
        Take note that *session* was told which channels there are.
        """
        self._happens(What.LISTED, session)

    def _leave(self, session: ManagerSession) -> None:
        self._happens(What.LEFT, session)
        if performance := self._heard.pop(session, None):
            performance.leave(session)
        if own := self._own.pop(session, None):
            own.cancel()
        del self._sessions[session]

    def _said(self, _position: int) -> None:
        self._happens(What.SAID)

    def _happens(self, what: What, session: ManagerSession | None = None) -> None:
        self._tell(Happening(what, self.position, self._sessions[session] if session else 0))

    # -- its door ---------------------------------------------------------------------------

    async def _open(self) -> None:
        self._server = await asyncio.start_server(self._welcome, self.host, self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    def _close(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None

    def _welcome(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = self._begin(self._serve(reader, writer), "client")
        self._connections.add(task)
        task.add_done_callback(self._connections.discard)
        # A task that is cancelled before its first step closes nothing.
        task.add_done_callback(lambda _task: writer.close())

    def _begin(self, work: Coroutine[None, None, None], name: str) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        session = ManagerSession(reader, writer, self, patient=self._playing is not Playing.LIVE)
        self._counted += 1
        self._sessions[session] = self._counted
        try:
            # A line without an end raises ValueError: that is no AMI client.
            with contextlib.suppress(ConnectionError, ValueError):
                await session.serve()
        finally:
            self._leave(session)
            writer.close()
            try:
                async with asyncio.timeout(_FLUSH_SECONDS):
                    await writer.wait_closed()
            except (ConnectionError, TimeoutError):
                writer.transport.abort()


def _last_words(state: PbxState) -> bytes:
    """
    Say what Asterisk says when it is told to restart: every Hangup, and why.
    """
    hangups = [{"Event": "Hangup", "Privilege": "call,all", **row} for row in state.last_words()]
    shutdown = {"Event": "Shutdown", "Privilege": "system,all", "Shutdown": "Cleanly"}
    lines = (
        [*(f"{name}: {value}" for name, value in message.items()), "", ""]
        for message in [*hangups, {**shutdown, "Restart": "True"}]
    )
    return "".join("\r\n".join(message) for message in lines).encode()
