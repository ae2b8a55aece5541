"""
What is added to a request at the time of an attempt: the id, authentication, signatures.
"""

import base64
import re
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook, WebhookVerificationError

from ami_bridge.core.signing import NO_CREDENTIALS, Credentials, authenticated, signing_key

OLD, NEW = "whsec_" + "b2xk" * 8, "whsec_" + "bmV3" * 8
ID = "d2bc8d59-dcb8-50b6-b9c7-a73180bff80e"


def signed(body: bytes | None, *secrets: str, now: float | None = None) -> dict[str, str]:
    """
    Give the headers of a request with *body* that is signed by *secrets*.
    """
    keys = tuple(signing_key(secret) for secret in secrets)
    moment = time.time() if now is None else now
    return authenticated(ID, body, {"User-Agent": "x"}, Credentials(signing_keys=keys), moment)


def verify(secret: str, body: bytes, headers: dict[str, str]) -> None:
    """
    Verify as the published library does it; raises if it is not ours.
    """
    Webhook(secret).verify(body, headers, json_parse=False)


# -- signatures ------------------------------------------------------------------------


def test_the_example_of_the_specification() -> None:
    """
    The signature that the library's authors publish for a known request is made here, too.
    """
    keys = (signing_key("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"),)
    body = b'{"test": 2432232314}'

    headers = authenticated(
        "msg_p5jXN8AQM9LWM0D4loKWxJek", body, {}, Credentials("", keys), 1614265330.9
    )

    assert headers == {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }


@given(st.text(), st.binary(min_size=24, max_size=64))
def test_the_published_library_agrees(text: str, key: bytes) -> None:
    """
    What is signed here, whatever the body and the key, is verified by standardwebhooks.
    """
    body = text.encode(errors="replace")
    secret = "whsec_" + base64.b64encode(key).decode()

    verify(secret, body, signed(body, secret))


def test_a_get_signs_an_empty_body() -> None:
    """
    A request without a body is signed as one whose body is empty.
    """
    headers = signed(None, OLD)

    verify(OLD, b"", headers)
    assert headers == signed(b"", OLD, now=float(headers["webhook-timestamp"]))


@pytest.mark.parametrize("secret", [OLD, NEW])
def test_several_secrets(secret: str) -> None:
    """
    While a secret is changed, receivers with the old one and with the new one both verify.
    """
    headers = signed(b"body", NEW, OLD)

    assert len(headers["webhook-signature"].split(" ")) == 2
    verify(secret, b"body", headers)


@pytest.mark.parametrize("what", ["body", "id", "time", "key"])
def test_what_was_tampered_with_does_not_verify(what: str) -> None:
    """
    Body, id and time are part of what is signed.
    """
    headers = signed(b"body", OLD)
    if what == "id":
        headers["webhook-id"] = ID.replace("d", "e")
    if what == "time":
        headers["webhook-timestamp"] = str(int(headers["webhook-timestamp"]) - 1)

    with pytest.raises(WebhookVerificationError):
        verify(NEW if what == "key" else OLD, b"Body" if what == "body" else b"body", headers)


def test_each_attempt_has_its_time() -> None:
    """
    The id stays the same over attempts; the time, and so the signature, does not.
    """
    first, second = signed(b"x", OLD, now=1000.0), signed(b"x", OLD, now=1001.9)

    assert first["webhook-id"] == second["webhook-id"] == ID
    assert (first["webhook-timestamp"], second["webhook-timestamp"]) == ("1000", "1001")
    assert first["webhook-signature"] != second["webhook-signature"]


# -- secrets ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("secret", "key"),
    [
        pytest.param("whsec_" + base64.b64encode(b"k" * 24).decode(), b"k" * 24, id="shortest"),
        pytest.param("whsec_" + base64.b64encode(b"k" * 64).decode(), b"k" * 64, id="longest"),
        pytest.param("whsec_" + "a2tr" * 8 + "aw", b"k" * 25, id="without padding"),
    ],
)
def test_signing_keys(secret: str, key: bytes) -> None:
    """
    A secret spells its key in base64, of 24 to 64 octets.
    """
    assert signing_key(secret) == key


@pytest.mark.parametrize(
    ("secret", "reason"),
    [
        pytest.param("Z2VoZWlt" * 4, "begins with whsec_", id="no prefix"),
        pytest.param("whsk_" + "Z2VoZWlt" * 4, "begins with whsec_", id="another kind of key"),
        pytest.param("whsec_geheim geheim", "not base64", id="a space"),
        pytest.param("whsec_geheim-_geheim", "not base64", id="the other alphabet"),
        pytest.param("whsec_geheim=geheim", "not base64", id="padding inside"),
        pytest.param("whsec_geheimä", "not base64", id="not ASCII"),
        pytest.param("whsec_geheimgeh", "not base64", id="one letter too many"),
        pytest.param("whsec_" + "Z2VoZWlt" * 3, "24 to 64 octets; this one has 18", id="short"),
        pytest.param("whsec_" + "Z2VoZWlt" * 11, "24 to 64 octets; this one has 66", id="long"),
        pytest.param("whsec_", "this one has 0", id="empty"),
    ],
)
def test_secrets_that_spell_no_key(secret: str, reason: str) -> None:
    """
    A secret that is none is refused, and neither the reason nor its cause shows it.
    """
    with pytest.raises(ValueError, match=reason) as refusal:
        signing_key(secret)

    assert "geheim" not in str(refusal.value).lower()
    assert "Z2Vo" not in str(refusal.value)
    assert refusal.value.__cause__ is None


def test_credentials_show_nothing() -> None:
    """
    The representation of credentials tells none of them.
    """
    assert repr(Credentials("Bearer geheim", (b"geheim",))) == "Credentials()"


# -- headers ---------------------------------------------------------------------------


def test_without_credentials() -> None:
    """
    Every request has its id, and nothing else is added to what was stored.
    """
    stored = {"User-Agent": "x", "X-Source": "pbx"}

    sent = authenticated(ID, b"body", stored, NO_CREDENTIALS, 1000.0)

    assert sent == {"User-Agent": "x", "X-Source": "pbx", "webhook-id": ID}
    assert "webhook-id" not in stored


def test_authorization_replaces_what_was_stored() -> None:
    """
    There is one Authorization, that of the credentials, whatever the case of another one.
    """
    sent = authenticated(ID, None, {"authorization": "old", "X": "y"}, Credentials("Basic eA=="), 0)

    assert sent == {"X": "y", "webhook-id": ID, "Authorization": "Basic eA=="}


# -- what the documentation says -------------------------------------------------------


def test_the_example_of_the_documentation() -> None:
    """
    The lines in docs/reference/payload.md by which a receiver verifies requests do verify them.
    """
    docs = Path(__file__).parents[2] / "docs"
    page = (docs / "reference" / "payload.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    told: dict[str, Any] = {}
    exec(code, told)  # noqa: S102 - it is our own page

    assert told["is_ours"](OLD, signed(b"body", NEW, OLD), b"body")
    assert not told["is_ours"](OLD, signed(b"body", NEW, OLD), b"another body")
    assert not told["is_ours"](OLD, signed(b"body", OLD, now=time.time() - 400), b"body")
