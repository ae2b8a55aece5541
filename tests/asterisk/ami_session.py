"""
The test's own session at Asterisk's manager interface: it gives orders and remembers everything.

It shares no code with the bridge under test, so that the two can be compared.
"""

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from .patience import in_time, until

AmiHeaders = dict[str, str]


class AmiSession:
    """
    A manager user that is logged in.
    """

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._action_ids = itertools.count(1)
        self._asked: dict[str, asyncio.Future[AmiHeaders]] = {}
        #: Everything that Asterisk said, byte for byte.
        self.recording = bytearray()
        #: The Linkedids that channels began with.
        self.linkedids: set[str] = set()
        #: The channels that exist: Uniqueid to name.
        self.channels: dict[str, str] = {}
        #: The phones that are in a bridge: Uniqueid to number.
        self.talking: dict[str, str] = {}
        #: The Uniqueids of phones that have put somebody on hold.
        self.holding: set[str] = set()
        #: The parking slots that are in use.
        self.parked: set[str] = set()
        #: What Asterisk thinks of devices, such as NOT_INUSE: by name, PJSIP/0003*001.
        self.device_states: dict[str, str] = {}

    async def ask(self, action: str, **headers: str) -> AmiHeaders:
        """
        Have Asterisk do *action*, and give its response.
        """
        action_id = f"test-{next(self._action_ids)}"
        response: asyncio.Future[AmiHeaders] = asyncio.get_running_loop().create_future()
        self._asked[action_id] = response
        lines = {"Action": action, "ActionID": action_id, **headers}
        text = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        self._writer.write(f"{text}\r\n".encode())
        said = await in_time(response, f"Asterisk responds to {action}")
        assert said["Response"] != "Error", f"{action} was refused: {said['Message']}"
        return said

    async def command(self, command: str) -> str:
        """
        Run *command* as on Asterisk's console, and give what it prints.
        """
        return (await self.ask("Command", Command=command)).get("Output", "")

    async def originate(self, channel: str, number: str, caller: str) -> None:
        """
        Have Asterisk call *channel* and, when it answers, dial *number* for it.
        """
        await self.ask(
            "Originate",
            Channel=channel,
            Context="phones",
            Exten=number,
            Priority="1",
            CallerID=caller,
            Async="true",
        )

    async def until_silent(self) -> None:
        """
        Wait until no channel exists.
        """
        await until(lambda: not self.channels, f"all channels end, of {self.channels}")

    async def until_talking(self, *phones: str) -> None:
        """
        Wait until the *phones* of these numbers are in bridges, and no others.
        """
        await until(
            lambda: sorted(self.talking.values()) == sorted(phones),
            f"{phones} talk, of {self.channels}",
        )

    async def until_on_hold(self) -> None:
        """
        Wait until somebody has been put on hold, as by the keys that begin a transfer.
        """
        await until(lambda: bool(self.holding), f"somebody is on hold, of {self.channels}")

    async def until_parked(self, slot: str) -> None:
        """
        Wait until somebody is parked in *slot*.
        """
        await until(lambda: slot in self.parked, f"somebody is parked in {slot}")

    async def until_device(self, device: str, state: str) -> None:
        """
        Wait until Asterisk thinks that *device* is in *state*: a queue does not call it before.
        """
        await until(lambda: self.device_states.get(device) == state, f"{device} is {state}")

    async def read(self) -> None:
        """
        Take in what Asterisk says, until it says no more.
        """
        while line := await self._reader.readline():
            message: AmiHeaders = {}
            while line.strip():
                self.recording += line
                name, _, value = line.decode().strip().partition(": ")
                message[name] = f"{message[name]}\n{value}" if name in message else value
                line = await self._reader.readline()
            self.recording += line
            self._take(message)

    def _take(self, message: AmiHeaders) -> None:
        match message.get("Event"):
            case None:
                self._asked.pop(message["ActionID"]).set_result(message)
            case "Newchannel":
                self.linkedids.add(message["Linkedid"])
                self.channels[message["Uniqueid"]] = message["Channel"]
            case "BridgeEnter" if not message["Channel"].startswith("Local/"):
                # PJSIP/0003*001-0000002a
                _, _, endpoint = message["Channel"].partition("/")
                self.talking[message["Uniqueid"]] = endpoint.rpartition("-")[0]
            case "BridgeLeave":
                self.talking.pop(message["Uniqueid"], None)
            case "ParkedCall":
                self.parked.add(message["ParkingSpace"])
            case "UnParkedCall" | "ParkedCallGiveUp":
                self.parked.discard(message["ParkingSpace"])
            case "Hold":
                self.holding.add(message["Uniqueid"])
            case "Hangup":
                self.channels.pop(message["Uniqueid"], None)
                self.holding.discard(message["Uniqueid"])
            case "DeviceStateChange":
                self.device_states[message["Device"]] = message["State"]
            case _:
                pass


@asynccontextmanager
async def ami_session(port: int, username: str, secret: str) -> AsyncIterator[AmiSession]:
    """
    Log in at *port* of this machine, and out again at the end.
    """
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    session = AmiSession(reader, writer)
    reading = asyncio.create_task(session.read(), name=f"AMI session of {username}")
    try:
        await session.ask("Login", Username=username, Secret=secret)
        yield session
    finally:
        writer.close()
        await in_time(reading, "the AMI session ends")
