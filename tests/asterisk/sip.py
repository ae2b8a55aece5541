"""
SIP messages as text: reading them, writing them, and the digest that proves a password.

Only what a test phone on the loopback needs (RFC 3261, RFC 2617); no sockets here.
"""

import hashlib
import re
import secrets
from urllib.parse import unquote

import attrs

#: The one-letter names of headers that Asterisk may be set to use.
_COMPACT = {
    "c": "content-type",
    "f": "from",
    "i": "call-id",
    "l": "content-length",
    "m": "contact",
    "t": "to",
    "v": "via",
}

#: Offers or accepts audio that nobody sends, to the port of the discard service.
SESSION_DESCRIPTION = (
    "v=0\r\n"
    "o=- 1 1 IN IP4 127.0.0.1\r\n"
    "s=-\r\n"
    "c=IN IP4 127.0.0.1\r\n"
    "t=0 0\r\n"
    "m=audio 9 RTP/AVP 0\r\n"
    "a=rtpmap:0 PCMU/8000\r\n"
)


@attrs.frozen
class SipMessage:
    """
    One request or response as it arrived.
    """

    start_line: str
    #: Names in lower case, values as they were, in order.
    headers: tuple[tuple[str, str], ...]
    body: str

    @classmethod
    def read(cls, datagram: bytes) -> "SipMessage":
        """
        Take *datagram* apart.
        """
        head, _, body = datagram.decode("utf-8").partition("\r\n\r\n")
        start_line, *lines = head.split("\r\n")
        headers = []
        for line in lines:
            name, _, value = line.partition(":")
            name = name.strip().lower()
            headers.append((_COMPACT.get(name, name), value.strip()))
        return cls(start_line, tuple(headers), body)

    @property
    def status(self) -> int | None:
        """
        Give a response's status; None for a request.
        """
        return int(self.start_line.split()[1]) if self.start_line.startswith("SIP/2.0") else None

    @property
    def method(self) -> str:
        """
        Give the method of a request, or of the request that a response answers.
        """
        return self.header("cseq").split()[1]

    @property
    def sequence(self) -> int:
        """
        Give the number in CSeq.
        """
        return int(self.header("cseq").split()[0])

    @property
    def call_id(self) -> str:
        """
        Give what all messages of a dialog share.
        """
        return self.header("call-id")

    @property
    def target(self) -> str:
        """
        Give the URI in Contact: where the other side wants its requests.
        """
        return uri(self.header("contact"))

    def header(self, name: str) -> str:
        """
        Give the first header called *name*, empty if there is none.
        """
        return next(iter(self.all(name)), "")

    def all(self, name: str) -> list[str]:
        """
        Give every header called *name*, in order.
        """
        return [value for key, value in self.headers if key == name]


def write(start_line: str, headers: list[tuple[str, str]], body: str = "") -> bytes:
    """
    Put a message together; its Content-Length is added.
    """
    payload = body.encode()
    lines = [start_line, *(f"{name}: {value}" for name, value in headers)]
    lines.append(f"Content-Length: {len(payload)}")
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + payload


def token() -> str:
    """
    Make a tag, branch or Call-ID that nobody else has.
    """
    return secrets.token_hex(8)


def tag(address: str) -> str:
    """
    Give the tag of a From or To header, empty if it has none.
    """
    found = re.search(r";\s*tag=([^;>\s]+)", address)
    return found.group(1) if found else ""


def untagged(address: str) -> str:
    """
    Give a From or To header without its tag.
    """
    return re.sub(r";\s*tag=[^;>\s]+", "", address)


def uri(address: str) -> str:
    """
    Give the URI of an address header, without name and parameters.
    """
    found = re.search(r"<([^>]+)>", address)
    return found.group(1) if found else address.partition(";")[0].strip()


def user(address: str) -> str:
    """
    Give the user part of an address header's URI.
    """
    return unquote(uri(address).removeprefix("sip:").partition("@")[0])


def prove(challenge: str, method: str, request_uri: str, username: str, secret: str) -> str:
    """
    Answer the digest *challenge* of a WWW-Authenticate header.
    """
    asked = {
        name: value.strip('"') for name, value in re.findall(r'(\w+)=("[^"]*"|[^,\s]+)', challenge)
    }
    who = _md5(f"{username}:{asked['realm']}:{secret}")
    what = _md5(f"{method}:{request_uri}")
    answer = {
        "username": username,
        "realm": asked["realm"],
        "nonce": asked["nonce"],
        "uri": request_uri,
    }
    unquoted = ""
    if "qop" in asked:
        answer["cnonce"] = token()
        answer["response"] = _md5(f"{who}:{asked['nonce']}:00000001:{answer['cnonce']}:auth:{what}")
        unquoted = ", qop=auth, nc=00000001"
    else:
        answer["response"] = _md5(f"{who}:{asked['nonce']}:{what}")
    if "opaque" in asked:
        answer["opaque"] = asked["opaque"]
    quoted = ", ".join(f'{name}="{value}"' for name, value in answer.items())
    return f"Digest {quoted}, algorithm=MD5{unquoted}"


def _md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
