"""
Reads ``[control]``: how the running bridge can be looked at and steered.
"""

import enum
import ipaddress
import re
from collections.abc import Mapping
from pathlib import Path

from ami_bridge.core.scopes import Scope
from ami_bridge.settings import ControlSettings, Token

from .secrets import SecretPlaces
from .section import Section, shown

_SOCKET_NAME = "control.sock"
#: Where the socket of an installed bridge is.
SYSTEM_SOCKET = Path("/run/ami-bridge") / _SOCKET_NAME
_LISTEN = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+\]|[^:\[\]\s]+):(?P<port>[0-9]{1,5})")
#: A token that is shorter could be guessed.
_SHORTEST_TOKEN = 16
_TOKEN = re.compile(r"[\x21-\x7e]+")
_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")


class _May(enum.StrEnum):
    READ = "read"
    CHANGE = "change"


def read_control(
    rules: Section, secrets: SecretPlaces, folder: Path, environ: Mapping[str, str]
) -> ControlSettings | None:
    """
    Read the section; None if there is none, and then nothing listens.
    """
    present = "control" in rules
    section = rules.section("control")
    if not present:
        return None
    path = section.text("socket")
    host, port = _listen(section)
    behind_https = section.flag("behind_https", default=False)
    if host is not None and not behind_https and not _is_loopback(host):
        section.warn("listen", "tokens cross the network in the clear; put an HTTPS proxy in front")
    return ControlSettings(
        socket=folder / path if path else default_socket(environ),
        host=host,
        port=port,
        behind_https=behind_https,
        tokens=_tokens(section, secrets),
    )


def default_socket(environ: Mapping[str, str]) -> Path:
    """
    Give the socket's usual place: what systemd gives the unit, else the user's own, else root's.
    """
    if given := environ.get("RUNTIME_DIRECTORY", "").partition(":")[0]:
        return Path(given) / _SOCKET_NAME
    if given := environ.get("XDG_RUNTIME_DIR", ""):
        return Path(given) / "ami-bridge" / _SOCKET_NAME
    return SYSTEM_SOCKET


def _listen(section: Section) -> tuple[str | None, int]:
    default = ControlSettings()
    text = section.text("listen")
    if not text:
        return None, default.port
    found = _LISTEN.fullmatch(text)
    if found is None or not 0 <= int(found["port"]) <= 65_535:
        section.problem(
            "listen", f"expected an address and a port, as in 127.0.0.1:8088, got {shown(text)}"
        )
        return None, default.port
    return found["host"].strip("[]"), int(found["port"])


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _tokens(section: Section, secrets: SecretPlaces) -> tuple[Token, ...]:
    found: list[Token] = []
    for one in section.sections("tokens"):
        token = _token(one, secrets)
        if token is None:
            continue
        if any(token.name == other.name for other in found):
            one.problem("name", f"{shown(token.name)} is the name of another token, too")
        elif any(token.secret == other.secret for other in found):
            one.problem("name", "its secret is that of another token, too")
        else:
            found.append(token)
    return tuple(found)


def _token(section: Section, secrets: SecretPlaces) -> Token | None:
    name = section.required_text("name", "who has the token, for the log")
    if name is not None and not _NAME.fullmatch(name):
        section.problem("name", f"expected 1 to 64 letters, digits or ._-, got {shown(name)}")
    scope = Scope()
    try:
        scope = Scope(section.text("scope", scope.text))
    except ValueError as error:
        section.problem("scope", str(error))
    may = section.choice("may", _May.READ)
    secret = secrets.fetch(section, "token")
    if not secrets.named(section, "token"):
        section.problem("token_file", "is missing: where the token is")
    if name is None or secret is None:
        return None
    if len(secret.value) < _SHORTEST_TOKEN or not _TOKEN.fullmatch(secret.value):
        section.problem(
            secret.key,
            f"a token is at least {_SHORTEST_TOKEN} visible ASCII characters without spaces; "
            "openssl rand -hex 32 makes one",
        )
        return None
    return Token(name, secret.value, scope, may is _May.CHANGE)
