"""
Reads by what a receiver knows that a request is from us: ``[requests.auth]`` and others.

A URL may name a user, and a header Authorization may be written down; both are credentials
like those in the table, and end where those do.
"""

import base64
import re

from ami_bridge.core.rules import Method
from ami_bridge.core.signing import Credentials, signing_key

from .secrets import SecretPlaces
from .section import Section

#: What a bearer token is made of.
_TOKEN = re.compile(r"[\x21-\x7e]+")


def read_credentials(
    section: Section, secrets: SecretPlaces, method: Method, authorization: str
) -> Credentials:
    """
    Read the table *section*; *authorization* was found in the URL or among the headers.
    """
    basic = _read_basic(section, secrets)
    bearer = _read_bearer(section, secrets)
    if basic and bearer:
        section.problem("user", "basic authentication and a bearer token exclude each other")
    elif authorization and (basic or bearer):
        section.problem(None, "the URL's user or the header Authorization says it already")
    return Credentials(
        basic or bearer or authorization, _read_signing_keys(section, secrets, method)
    )


def basic_authorization(user: str, password: str) -> str:
    """
    Write *user* and *password* as the header Authorization has them.
    """
    return f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"


def _read_basic(section: Section, secrets: SecretPlaces) -> str:
    user = section.text("user")
    password = secrets.fetch(section, "password")
    named = secrets.named(section, "password")
    if named and not user:
        section.problem("user", "is missing: whose password it is")
    elif user and not named:
        section.problem("password_file", "is missing: where the user's password is")
    elif ":" in user:
        section.problem("user", "a user's name contains no colon")
    return "" if password is None or not user else basic_authorization(user, password.value)


def _read_bearer(section: Section, secrets: SecretPlaces) -> str:
    token = secrets.fetch(section, "bearer")
    if token is None:
        return ""
    if not _TOKEN.fullmatch(token.value):
        section.problem(token.key, "a bearer token is visible ASCII characters without spaces")
        return ""
    return f"Bearer {token.value}"


def _read_signing_keys(
    section: Section, secrets: SecretPlaces, method: Method
) -> tuple[bytes, ...]:
    found = secrets.fetch(section, "signing_secret", lines=True)
    if found is None:
        return ()
    if method is Method.GET:
        section.warn(found.key, 'the parameters of a GET are not signed; those of a "POST" are')
    keys: dict[bytes, None] = {}
    words = found.value.split()
    for place, secret in enumerate(words, start=1):
        which = "" if len(words) == 1 else f"secret {place} of {len(words)}: "
        try:
            keys[signing_key(secret)] = None
        except ValueError as error:
            section.problem(found.key, f"{which}{error}")
    return tuple(keys)
