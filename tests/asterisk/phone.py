"""
A SIP phone without a user interface: the test is the person who uses it.

It speaks to one PBX over UDP, registers with a secret, makes and takes calls (`dialogs`) and
sends no audio. Nothing it does depends on a clock: it rings until it is told to do something else.
"""

import asyncio

from . import sip
from .dialogs import Call, IncomingCall, OutgoingCall
from .patience import in_time
from .sip import SipMessage

#: Long enough for any test.
_REGISTRATION_SECONDS = 3600


class Phone(asyncio.DatagramProtocol):
    """
    One phone: `number` at the PBX that listens at *server*.
    """

    def __init__(self, number: str, secret: str, server: tuple[str, int]) -> None:
        self.number = number
        self.secret = secret
        self.server = f"{server[0]}:{server[1]}"
        self.address = ""
        self._server = server
        self._calls: dict[str, Call] = {}
        self._received: asyncio.Queue[IncomingCall] = asyncio.Queue()
        #: Who waits for the final response to a request, by its Call-ID and CSeq.
        self._asking: dict[tuple[str, str], asyncio.Future[SipMessage]] = {}

    async def plug_in(self, host: str) -> None:
        """
        Open a socket on *host* and register at the PBX from there.
        """
        loop = asyncio.get_running_loop()
        self._transport, _ = await loop.create_datagram_endpoint(lambda: self, local_addr=(host, 0))
        host, port = self._transport.get_extra_info("sockname")
        self.address = f"{host}:{port}"
        await self._register(_REGISTRATION_SECONDS)

    async def unplug(self) -> None:
        """
        Take leave of the PBX and close the socket.
        """
        try:
            await self._register(0)
        finally:
            self._transport.close()

    def call(self, number: str, shown: str = "", name: str = "") -> OutgoingCall:
        """
        Dial *number*; a provider says the number that is *shown* and the *name* of its caller.
        """
        caller = f'"{name}" <sip:{shown or self.number}@{self.server}>'
        call = OutgoingCall(self, number, caller)
        self._calls[call.call_id] = call
        call.invite()
        return call

    async def until_called(self) -> IncomingCall:
        """
        Wait for the next call, and do not ring yet.
        """
        return await in_time(self._received.get(), f"{self.number} is called")

    async def until_rung(self) -> IncomingCall:
        """
        Wait for the next call, and ring.
        """
        call = await self.until_called()
        call.ring()
        return call

    def send(self, message: bytes) -> None:
        """
        Send *message* to the PBX.
        """
        self._transport.sendto(message, self._server)

    async def ask(self, message: bytes) -> SipMessage:
        """
        Send the request *message* and give its final response.
        """
        request = SipMessage.read(message)
        response: asyncio.Future[SipMessage] = asyncio.get_running_loop().create_future()
        self._asking[request.call_id, request.header("cseq")] = response
        self.send(message)
        return await response

    def datagram_received(self, data: bytes, _: tuple[str, int]) -> None:
        """
        Take what the PBX says.
        """
        message = SipMessage.read(data)
        call = self._calls.get(message.call_id)
        if message.status is not None:
            self._responded(message, call)
        elif call is not None and message.method != "ACK":
            call.asked(message)
        elif message.method == "INVITE":
            self._rung(message)

    def _responded(self, response: SipMessage, call: Call | None) -> None:
        asking = self._asking.get((response.call_id, response.header("cseq")))
        if asking is not None:
            if not asking.done() and (response.status or 0) >= 200:
                asking.set_result(response)
        elif isinstance(call, OutgoingCall) and response.method == "INVITE":
            call.heard(response)

    def _rung(self, invite: SipMessage) -> None:
        call = IncomingCall(self, invite)
        self._calls[call.call_id] = call
        # Keeps the PBX from repeating the INVITE while the test makes up its mind.
        call.respond(invite, 100)
        self._received.put_nowait(call)

    async def _register(self, seconds: int) -> None:
        """
        Tell the PBX to call this phone for so many *seconds*; none at all with 0.
        """
        registrar = f"sip:{self.server}"
        itself = f"<sip:{self.number}@{self.server}>"
        call_id = sip.token()
        proof: list[tuple[str, str]] = []
        for sequence in (1, 2):
            headers = [
                ("Via", f"SIP/2.0/UDP {self.address};branch=z9hG4bK{sip.token()}"),
                ("Max-Forwards", "70"),
                ("From", f"{itself};tag={sip.token()}"),
                ("To", itself),
                ("Call-ID", call_id),
                ("CSeq", f"{sequence} REGISTER"),
                ("Contact", f"<sip:{self.number}@{self.address}>;expires={seconds}"),
                *proof,
            ]
            request = sip.write(f"REGISTER {registrar} SIP/2.0", headers)
            response = await in_time(self.ask(request), f"{self.number} registers")
            if response.status == 200:
                return
            challenge = response.header("www-authenticate")
            answer = sip.prove(challenge, "REGISTER", registrar, self.number, self.secret)
            proof = [("Authorization", answer)]
        message = f"{self.number} could not register: {response.start_line}"
        raise AssertionError(message)
