"""
One client of the simulator: what it asks is answered as Asterisk's manager would.
"""

import asyncio
import contextlib
import hashlib
import time
from collections.abc import Callable, Iterable
from typing import Protocol

from ami_bridge.core.pbx_state import PbxState, Row

VERSION = "11.0.0"
_BANNER = f"Asterisk Call Manager/{VERSION}\r\n".encode()
_CHALLENGE = "271828182"
#: How long a refusal is held back, as Asterisk does it.
_REFUSAL_SECONDS = 1.0
_MOST_HEADERS = 1000
#: Rows of a list that are sent at once: events may come between them, as from Asterisk.
_ROWS_AT_ONCE = 10
#: Asterisk closes a connection whose reader leaves so much unread.
_MOST_UNREAD_BYTES = 4 * 1024 * 1024
_COMMANDS = {
    "Challenge": "Generate Challenge for MD5 Auth.  (Priv: <none>)",
    "Command": "Execute Asterisk CLI Command.  (Priv: command,all)",
    "CoreSettings": "Show PBX core settings (version etc).  (Priv: system,reporting,all)",
    "CoreShowChannels": "List currently active channels.  (Priv: system,reporting,all)",
    "CoreStatus": "Show PBX core status variables.  (Priv: system,reporting,all)",
    "Events": "Control Event Flow.  (Priv: <none>)",
    "ListCommands": "List available manager commands.  (Priv: <none>)",
    "Login": "Login Manager.  (Priv: <none>)",
    "Logoff": "Logoff Manager.  (Priv: <none>)",
    "Ping": "Keepalive command.  (Priv: <none>)",
    "Status": "List channel status.  (Priv: system,call,reporting,all)",
}

Action = dict[str, str]


class Pbx(Protocol):
    """
    What a session asks the PBX behind it.
    """

    #: User and secret that are let in; None lets in everybody.
    credentials: tuple[str, str] | None
    #: When it started, in seconds since the epoch.
    booted: float

    def enter(self, session: "ManagerSession") -> PbxState:
        """
        Take note that *session* has logged in; give the channels that it may ask for.
        """

    def listed(self, session: "ManagerSession") -> None:
        """
        Take note that *session* was told which channels there are.
        """


class ManagerSession:
    """
    The connection of one client to *pbx*; one that is not *patient* is closed for slow reading.
    """

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        pbx: Pbx,
        *,
        patient: bool,
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._pbx = pbx
        self._patient = patient
        self._wants_events = True
        self._state: PbxState | None = None
        #: What is not sent because the connection is stalled; None while it is not.
        self._withheld: list[bytes] | None = None
        #: What the next events are turned into on their way.
        self.spoil: Callable[[bytes], bytes] | None = None

    async def serve(self) -> None:
        """
        Answer actions until the client goes.
        """
        self._send(_BANNER)
        while action := await self._next_action():
            name = action.get("action", "").lower()
            if name == "login":
                if not self._may_log_in(action):
                    await asyncio.sleep(_REFUSAL_SECONDS)
                    self._answer(action, "Error", "Message: Authentication failed")
                    return
                self._log_in(action)
            elif self._state is None and name not in ("challenge", "logoff"):
                self._answer(action, "Error", "Message: Permission denied")
            else:
                await self._do(name, action, self._state or PbxState())
            if self._withheld is None:
                await self._writer.drain()
            if name == "logoff":
                return

    async def hear(self, octets: bytes) -> None:
        """
        Tell the client of events.
        """
        if not self._wants_events:
            return
        if self.spoil is not None:
            octets, self.spoil = self.spoil(octets), None
        self._send(octets)
        if self._withheld is not None:
            return
        if self._patient:
            with contextlib.suppress(ConnectionError):
                await self._writer.drain()
        elif self._writer.transport.get_write_buffer_size() > _MOST_UNREAD_BYTES:
            self.break_off()

    # -- what may befall a connection ------------------------------------------------------

    def break_off(self) -> None:
        """
        End the connection at once; what is on its way may be lost.
        """
        self._writer.transport.abort()

    def end(self) -> None:
        """
        End the connection once what is on its way has arrived.
        """
        self._writer.close()

    def stall(self) -> None:
        """
        Send nothing more until `flow`, but keep the connection open.
        """
        if self._withheld is None:
            self._withheld = []

    def flow(self) -> None:
        """
        Send what was withheld, and go on.
        """
        withheld, self._withheld = self._withheld, None
        for octets in withheld or ():
            self._send(octets)

    def _send(self, octets: bytes) -> None:
        if self._withheld is not None:
            self._withheld.append(octets)
        elif not self._writer.transport.is_closing():
            self._writer.write(octets)

    # -- actions ---------------------------------------------------------------------------

    async def _next_action(self) -> Action:
        """
        Read an action, with header names in lower case; nothing if the client is gone.

        As Asterisk does, take lines that end with LF alone: somebody may be typing.
        """
        headers: Action = {}
        while len(headers) < _MOST_HEADERS and (line := await self._reader.readline()):
            name, colon, value = line.decode("utf-8", "replace").partition(":")
            if colon:
                headers[name.strip().lower()] = value.strip()
            elif not line.strip() and headers:
                return headers
        return {}

    def _may_log_in(self, action: Action) -> bool:
        if self._pbx.credentials is None:
            return True
        user, secret = self._pbx.credentials
        key = hashlib.md5((_CHALLENGE + secret).encode(), usedforsecurity=False).hexdigest()
        shown = (action.get("username"), action.get("key") or action.get("secret"))
        return shown in ((user, secret), (user, key))

    def _log_in(self, action: Action) -> None:
        self._wants_events = _wants_events(action.get("events", "on"))
        self._answer(action, "Success", "Message: Authentication accepted")
        if self._wants_events:
            uptime = int(time.time() - self._pbx.booted)
            self._write(
                "Event: FullyBooted",
                "Privilege: system,all",
                f"Uptime: {uptime}",
                f"LastReload: {uptime}",
                "Status: Fully Booted",
            )
        if self._state is None:
            self._state = self._pbx.enter(self)

    async def _do(self, name: str, action: Action, state: PbxState) -> None:
        match name:
            case "coreshowchannels":
                await self._list_channels(action, state)
            case "status":
                await self._list_statuses(action, state)
            case "events":
                self._wants_events = _wants_events(action.get("eventmask", "on"))
                self._answer(action, "Success", f"Events: {'On' if self._wants_events else 'Off'}")
            case "command":
                self._run(action)
            case _:
                self._answer(action, *self._said_to(name, action, len(state)))

    def _said_to(self, name: str, action: Action, channels: int) -> tuple[str, ...]:
        """
        Give the response to an action that has no more to it, and its lines.
        """
        match name:
            case "ping":
                return "Success", "Ping: Pong", f"Timestamp: {time.time():.6f}"
            case "challenge":
                return "Success", f"Challenge: {_CHALLENGE}"
            case "logoff":
                return "Goodbye", "Message: Thanks for all the fish."
            case "listcommands":
                return "Success", *(f"{name}: {text}" for name, text in _COMMANDS.items())
            case "coresettings" | "corestatus":
                return "Success", *self._core(name, channels)
            case _:
                return "Error", f"Message: Invalid/unknown command: {action.get('action', '')}"

    def _core(self, name: str, channels: int) -> tuple[str, ...]:
        if name == "coresettings":
            return f"AMIversion: {VERSION}", "AsteriskVersion: 22.0.0 (ami-bridge simulate)"
        began = time.localtime(self._pbx.booted)
        return (
            time.strftime("CoreStartupDate: %Y-%m-%d", began),
            time.strftime("CoreStartupTime: %H:%M:%S", began),
            f"CoreCurrentCalls: {channels}",
        )

    def _run(self, action: Action) -> None:
        """
        Run the one command of the console that there is: what a manager user may do.
        """
        command = action.get("command", "")
        user = command.removeprefix("manager show user ")
        if user == command:
            told = [f"No such command '{command}' (type 'core show help {command}' for help)"]
        else:
            told = [f"{'username':>17}: {user}", f"{'read perm':>17}: all"]
        output = (f"Output: {line}" for line in told)
        self._answer(action, "Success", "Message: Command output follows", *output)

    async def _list_channels(self, action: Action, state: PbxState) -> None:
        rows = state.channel_rows(time.time())
        self._pbx.listed(self)
        self._answer(action, "Success", "EventList: start", "Message: Channels will follow")
        tag = _tag(action)
        await self._rows(["Event: CoreShowChannel", *tag, *_lines(row)] for row in rows)
        end = ("EventList: Complete", f"ListItems: {len(rows)}")
        self._write("Event: CoreShowChannelsComplete", *tag, *end)

    async def _list_statuses(self, action: Action, state: PbxState) -> None:
        name = action.get("channel", "")
        rows = state.status_rows(time.time(), name)
        if name and not rows:
            return self._answer(action, "Error", "Message: No such channel")
        self._answer(action, "Success", "EventList: start", "Message: Channel status will follow")
        tag = _tag(action)
        first = ("Event: Status", "Privilege: Call")
        await self._rows([*first, *_lines(row), *tag] for row in rows)
        end = ("EventList: Complete", f"ListItems: {len(rows)}", f"Items: {len(rows)}")
        return self._write("Event: StatusComplete", *tag, *end)

    async def _rows(self, rows: Iterable[list[str]]) -> None:
        for number, lines in enumerate(rows, start=1):
            self._write(*lines)
            if number % _ROWS_AT_ONCE == 0:
                await asyncio.sleep(0)

    def _answer(self, action: Action, response: str, *lines: str) -> None:
        self._write(f"Response: {response}", *_tag(action), *lines)

    def _write(self, *lines: str) -> None:
        self._send("\r\n".join([*lines, "", ""]).encode())


def _lines(row: Row) -> list[str]:
    return [f"{name}: {value}" for name, value in row.items()]


def _tag(action: Action) -> list[str]:
    return [f"ActionID: {action['actionid']}"] if "actionid" in action else []


def _wants_events(mask: str) -> bool:
    return mask.lower() not in ("off", "no", "false", "none", "0")
