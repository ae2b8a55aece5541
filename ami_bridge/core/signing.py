"""
Says who sends: HTTP authentication, and signatures as in Standard Webhooks 1.0.0.

What is signed is ``id.timestamp.body``: the delivery's id, the same on every retry; the time
of this attempt; and the octets of the body, none for a GET. Whoever holds one of the keys
can tell that a request is ours, whole and fresh. All of it is added to a request when it is
sent and is stored nowhere.
"""

import base64
import binascii
import hmac
from collections.abc import Mapping

import attrs

#: What secrets begin with, so that they are known for what they are.
SECRET_PREFIX = "whsec_"  # noqa: S105 - where a secret begins, not one
#: Bounds of a key, in octets.
SHORTEST_KEY, LONGEST_KEY = 24, 64


@attrs.frozen
class Credentials:
    """
    By what a receiver knows that a request is from us.
    """

    #: Value of the header Authorization; empty for none.
    authorization: str = attrs.field(default="", repr=False)
    #: Each one signs, so that a new one can be introduced while the old one is still in use.
    signing_keys: tuple[bytes, ...] = attrs.field(default=(), repr=False)


#: Those of a receiver that asks for none.
NO_CREDENTIALS = Credentials()


def signing_key(secret: str) -> bytes:
    """
    Give the key that *secret* spells; ValueError says what is wrong, and shows nothing of it.
    """
    prefix, text = secret[: len(SECRET_PREFIX)], secret[len(SECRET_PREFIX) :]
    if prefix != SECRET_PREFIX:
        raise ValueError(f"expected a signing secret, which begins with {SECRET_PREFIX}")
    try:
        # Some write base64 without its padding.
        key = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        # The cause would show some of the secret.
        raise ValueError(f"what follows {SECRET_PREFIX} is not base64") from None
    if not SHORTEST_KEY <= len(key) <= LONGEST_KEY:
        raise ValueError(
            f"a signing secret has {SHORTEST_KEY} to {LONGEST_KEY} octets; this one has {len(key)}"
        )
    return key


def authenticated(
    delivery_id: str,
    body: bytes | None,
    headers: Mapping[str, str],
    credentials: Credentials,
    now: float,
) -> dict[str, str]:
    """
    Give the headers to send at *now*: *headers*, the id, and what *credentials* add.
    """
    sent = {**headers, "webhook-id": delivery_id}
    if credentials.authorization:
        for name in [name for name in sent if name.lower() == "authorization"]:
            del sent[name]
        sent["Authorization"] = credentials.authorization
    if credentials.signing_keys:
        timestamp = str(int(now))
        signed = b"%s.%s.%s" % (delivery_id.encode(), timestamp.encode(), body or b"")
        sent["webhook-timestamp"] = timestamp
        sent["webhook-signature"] = " ".join(
            _signature(key, signed) for key in credentials.signing_keys
        )
    return sent


def _signature(key: bytes, signed: bytes) -> str:
    return f"v1,{base64.b64encode(hmac.digest(key, signed, 'sha256')).decode()}"
