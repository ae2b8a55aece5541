"""
What one test works with: its phones at a PBX, and what the receiver was told since it began.
"""

from collections.abc import Sequence

import attrs

from .ami_session import AmiSession
from .asterisk import SECRET, Asterisk
from .bridge import Bridge
from .patience import until
from .phone import Phone
from .receiver import Receiver, Request
from .told import Leg, calls

#: Calls a number that hangs up at once, after everything else, to mark the end of a story.
BELL = "0003*009"
_BELL_NUMBER = "499"

#: Where phones are that are not at 127.0.0.1: the PBX knows its provider by the address.
_HOSTS = {"provider": "127.0.0.2"}

#: The phones on the older SIP channel.
_OLDER = {"0003*051", "0003*052"}


@attrs.frozen
class Pbx:
    """
    One Asterisk and what is attached to it, for all tests of its version.
    """

    asterisk: Asterisk
    witness: AmiSession
    receiver: Receiver
    bridge: Bridge

    async def plug_in(self, number: str) -> Phone:
        """
        Register a phone of *number*.
        """
        asterisk = self.asterisk
        port = asterisk.chan_sip_port if number in _OLDER else asterisk.sip_port
        phone = Phone(number, SECRET, ("127.0.0.1", port))
        await phone.plug_in(_HOSTS.get(number, "127.0.0.1"))
        await self.witness.until_device(_device(number), "NOT_INUSE")
        return phone


@attrs.define(eq=False)
class Lab:
    """
    A PBX as one test sees it: what was before is not there.
    """

    pbx: Pbx
    _phones: list[Phone] = attrs.field(factory=list)
    _requests_before: int = attrs.field(init=False)
    _bytes_before: int = attrs.field(init=False)
    _calls_before: frozenset[str] = attrs.field(init=False)
    _log_before: int = attrs.field(init=False)
    _bridge_log_before: int = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._requests_before = len(self.pbx.receiver.requests)
        self._bytes_before = len(self.pbx.witness.recording)
        self._calls_before = frozenset(self.pbx.witness.linkedids)
        self._log_before = len(self.pbx.asterisk.log)
        self._bridge_log_before = len(self.pbx.bridge.log)

    async def phones(self, *numbers: str) -> Sequence[Phone]:
        """
        Plug in phones of *numbers*.
        """
        for number in numbers:
            self._phones.append(await self.pbx.plug_in(number))
        return self._phones[-len(numbers) :]

    async def clear(self) -> None:
        """
        Hang up what a failed test left behind, and unplug the phones.
        """
        if self.pbx.witness.channels:
            await self.pbx.witness.command("channel request hangup all")
            await self.pbx.witness.until_silent()
        for phone in self._phones:
            await phone.unplug()
        for phone in self._phones:
            await self.pbx.witness.until_device(_device(phone.number), "UNAVAILABLE")

    async def until_talking(self, *phones: str) -> None:
        """
        Wait until Asterisk is done with connecting *phones*, and has nobody else connected.
        """
        await self.pbx.witness.until_talking(*phones)

    async def told(self) -> list[list[Leg]]:
        """
        Wait until the PBX is silent and everything is told, and give it call by call.
        """
        await self.pbx.witness.until_silent()
        [bell] = await self.phones(BELL)
        await bell.call(_BELL_NUMBER).until_over()
        await until(self._bell_was_heard, "the call of the bell is told")
        await until(self._everybody_hung_up, "every leg is told to its Hangup")
        unknown = {request.value("CallID") for request in self.requests()}
        unknown -= self.pbx.witness.linkedids
        assert not unknown, f"no call was known to Asterisk by the CallIDs {unknown}"
        return calls(self.requests())

    def requests(self, method: str = "POST") -> list[Request]:
        """
        Give what was told of this test's calls, the bell's apart.
        """
        return [
            request
            for request in self.pbx.receiver.requests[self._requests_before :]
            if request.method == method
            and request.value("CallID") not in self._calls_before
            and request.value("Extension") != BELL
        ]

    def evidence(self) -> dict[str, str]:
        """
        Give what a failed test should be judged by.
        """
        recording = self.pbx.witness.recording[self._bytes_before :]
        requests = self.pbx.receiver.requests[self._requests_before :]
        return {
            "AMI events": recording.decode(errors="replace").replace("\r\n", "\n"),
            "requests": "\n".join(map(str, requests)),
            "bridge log": self.pbx.bridge.log[self._bridge_log_before :],
            f"Asterisk {self.pbx.asterisk.version} log": self.pbx.asterisk.log[self._log_before :],
        }

    def _bell_was_heard(self) -> bool:
        return any(
            request.value("Extension") == BELL and request.value("EventType") == "hangup"
            for request in self.pbx.receiver.requests[self._requests_before :]
        )

    def _everybody_hung_up(self) -> bool:
        return all(leg.over for legs in calls(self.requests()) for leg in legs)


def _device(number: str) -> str:
    """
    Give the name that Asterisk has for the device of *number*.
    """
    return f"{'SIP' if number in _OLDER else 'PJSIP'}/{number}"
