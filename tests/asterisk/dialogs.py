"""
One call as a phone has it: what the person at the phone can do, and wait for.
"""

import asyncio
from typing import Protocol
from urllib.parse import quote

from . import sip
from .patience import in_time
from .sip import SipMessage

Headers = list[tuple[str, str]]

#: How long a key is held down.
_KEY_MILLISECONDS = 160

#: The reasons of the statuses that the phones of the tests give.
_REASONS = {
    100: "Trying",
    180: "Ringing",
    200: "OK",
    480: "Temporarily Unavailable",
    486: "Busy Here",
    487: "Request Terminated",
    603: "Decline",
}


class Line(Protocol):
    """
    What a call needs of the phone that has it.
    """

    #: The phone's name at the PBX, and its secret.
    number: str
    secret: str
    #: Where the phone is and where the PBX is, as ``host:port``.
    address: str
    server: str

    def send(self, message: bytes) -> None:
        """
        Send *message* to the PBX.
        """

    async def ask(self, message: bytes) -> SipMessage:
        """
        Send the request *message* and give its final response.
        """


class Call:
    """
    A dialog with the PBX, from whichever side it began.
    """

    def __init__(self, line: Line, call_id: str, local: str, remote: str) -> None:
        self.call_id = call_id
        #: Both ends, as they stand in From and To of this side's requests, with their tags.
        self.local = local
        self.remote = remote
        self._line = line
        #: Where requests go: the URI that was called, then the other side's Contact.
        self._target = sip.uri(remote)
        self._sequence = 0
        self._ringing = asyncio.Event()
        self._answered = asyncio.Event()
        self._over = asyncio.Event()
        self._transferred = asyncio.Event()

    async def until_ringing(self) -> None:
        """
        Wait until the phone that is called rings.
        """
        await in_time(self._ringing.wait(), f"{self} rings")

    async def until_answered(self) -> None:
        """
        Wait until somebody answers.
        """
        await in_time(self._answered.wait(), f"{self} is answered")

    async def until_over(self) -> None:
        """
        Wait until the call has ended, whoever ended it.
        """
        await in_time(self._over.wait(), f"{self} ends")

    async def hang_up(self) -> None:
        """
        End a call that was answered, unless it has ended meanwhile.
        """
        if not self._over.is_set():
            await self._ask("BYE")
            self._over.set()

    async def press(self, digit: str) -> None:
        """
        Press a key in mid call, for as long as a person does: Asterisk ignores faster ones.
        """
        await asyncio.sleep(_KEY_MILLISECONDS / 1000)
        await self._ask(
            "INFO",
            [("Content-Type", "application/dtmf-relay")],
            f"Signal={digit}\r\nDuration={_KEY_MILLISECONDS}\r\n",
        )

    async def transfer(self, number: str) -> None:
        """
        Have the other party transferred to *number*; hanging up is left to the person.
        """
        await self._refer(f"sip:{number}@{self._line.server}")

    async def transfer_to(self, consultation: "Call") -> None:
        """
        Join the other party with that of *consultation*, and hang up both calls.
        """
        replaces = (
            f"{consultation.call_id}"
            f";to-tag={sip.tag(consultation.remote)};from-tag={sip.tag(consultation.local)}"
        )
        await self._refer(f"{sip.uri(consultation.remote)}?Replaces={quote(replaces, safe='')}")
        await in_time(self._transferred.wait(), f"{self} is transferred")
        await self.hang_up()
        await consultation.until_over()

    def asked(self, request: SipMessage) -> None:
        """
        Answer *request*, which the PBX sent within the call.
        """
        self.respond(request, 200, sip.SESSION_DESCRIPTION if request.method == "INVITE" else "")
        if request.method == "BYE":
            self._over.set()
        if request.method == "NOTIFY" and request.body.startswith("SIP/2.0 200"):
            self._transferred.set()

    def respond(self, request: SipMessage, status: int, body: str = "") -> None:
        """
        Answer *request* with *status*.
        """
        headers = [("Via", via) for via in request.all("via")]
        headers += [
            ("From", request.header("from")),
            ("To", request.header("to") if sip.tag(request.header("to")) else self.local),
            ("Call-ID", request.call_id),
            ("CSeq", request.header("cseq")),
            ("Contact", f"<sip:{self._line.number}@{self._line.address}>"),
        ]
        if body:
            headers.append(("Content-Type", "application/sdp"))
        self._line.send(sip.write(f"SIP/2.0 {status} {_REASONS[status]}", headers, body))

    async def _refer(self, to: str) -> None:
        response = await self._ask("REFER", [("Refer-To", f"<{to}>")])
        assert response.status == 202, f"{self}: REFER was answered {response.start_line}"

    async def _ask(self, method: str, extra: Headers | None = None, body: str = "") -> SipMessage:
        self._sequence += 1
        request = self._request(method, sip.token(), extra or [], body)
        return await in_time(self._line.ask(request), f"{self}: {method} is answered")

    def _request(self, method: str, branch: str, extra: Headers, body: str = "") -> bytes:
        headers = [
            ("Via", f"SIP/2.0/UDP {self._line.address};branch=z9hG4bK{branch}"),
            ("Max-Forwards", "70"),
            ("From", self.local),
            ("To", self.remote),
            ("Call-ID", self.call_id),
            ("CSeq", f"{self._sequence} {method}"),
            ("Contact", f"<sip:{self._line.number}@{self._line.address}>"),
            *extra,
        ]
        return sip.write(f"{method} {self._target} SIP/2.0", headers, body)


class OutgoingCall(Call):
    """
    A call that the phone makes.
    """

    def __init__(self, line: Line, number: str, caller: str) -> None:
        local = f"{caller};tag={sip.token()}"
        super().__init__(line, sip.token(), local, f"<sip:{number}@{line.server}>")
        self.number = number
        self._branch = ""
        self._proof: Headers = []

    def __str__(self) -> str:
        return f"the call of {self._line.number} to {self.number}"

    def invite(self) -> None:
        """
        Begin the call.
        """
        self._sequence += 1
        self._branch = sip.token()
        extra = [*self._proof, ("Content-Type", "application/sdp")]
        self._line.send(self._request("INVITE", self._branch, extra, sip.SESSION_DESCRIPTION))

    async def cancel(self) -> None:
        """
        Give up a call that was not answered.
        """
        self._line.send(self._request("CANCEL", self._branch, []))
        await self.until_over()

    def heard(self, response: SipMessage) -> None:
        """
        Take what the PBX says to the INVITE.
        """
        status = response.status or 0
        if status == 100 or response.sequence != self._sequence:
            return
        self.remote, called = response.header("to"), self.remote
        if status < 200:
            self._ringing.set()
            return
        if status < 300:
            self._target = response.target
            self._line.send(self._request("ACK", sip.token(), []))
            self._answered.set()
            return
        self._line.send(self._request("ACK", self._branch, []))
        if status == 401 and not self._proof:
            self.remote = called
            challenge = response.header("www-authenticate")
            line = self._line
            proof = sip.prove(challenge, "INVITE", self._target, line.number, line.secret)
            self._proof = [("Authorization", proof)]
            self.invite()
        else:
            self._over.set()


class IncomingCall(Call):
    """
    A call that the phone receives.
    """

    def __init__(self, line: Line, invite: SipMessage) -> None:
        local = f"{sip.untagged(invite.header('to'))};tag={sip.token()}"
        super().__init__(line, invite.call_id, local, invite.header("from"))
        self._invite = invite
        self._target = invite.target

    def __str__(self) -> str:
        return f"the call that {self._line.number} received"

    @property
    def shown_number(self) -> str:
        """
        Give the caller's number as the phone shows it.
        """
        return sip.user(self._invite.header("from"))

    def ring(self) -> None:
        """
        Begin to ring.
        """
        self.respond(self._invite, 180)
        self._ringing.set()

    def answer(self) -> None:
        """
        Take the call.
        """
        self.respond(self._invite, 200, sip.SESSION_DESCRIPTION)
        self._answered.set()

    def refuse(self, status: int) -> None:
        """
        Turn the call down: 486 is busy, 603 declined, 480 not available.
        """
        self.respond(self._invite, status)
        self._over.set()

    def asked(self, request: SipMessage) -> None:
        """
        Answer *request*; a CANCEL ends the call that it cancels.
        """
        if request.method == "INVITE" and request.sequence == self._invite.sequence:
            # The PBX repeats itself, because this machine was slow to say 100 Trying.
            return
        super().asked(request)
        if request.method == "CANCEL" and not self._answered.is_set():
            self.refuse(487)
