"""
Reads ``[asterisk]``, or each ``[[asterisk]]``: a PBX, and the manager user with its secret.
"""

import re
import ssl
from collections.abc import Mapping
from pathlib import Path

from ami_bridge.settings import AsteriskSettings, TlsSettings

from .calls import check_tenant
from .secrets import SecretPlaces
from .section import Section, shown

#: The port that Asterisk listens on for TLS, unless manager.conf says otherwise.
_TLS_PORT = 5039
#: Bounds of all waits, in seconds: nothing sensible is outside.
_SHORTEST, _LONGEST = 0.1, 86_400.0

#: What may be in front of a CallID, and in names of files and of metrics.
_NAME = re.compile(r"[A-Za-z0-9._-]*")


def read_asterisks(
    rules: Section, folder: Path, environ: Mapping[str, str], *, secret_needed: bool
) -> tuple[AsteriskSettings, ...]:
    """
    Read all PBXs, at least one; file names in their sections are relative to *folder*.
    """
    found = [
        (section, _read_asterisk(section, folder, environ, secret_needed=secret_needed))
        for section in rules.section_or_sections("asterisk")
    ]
    if len(found) > 1:
        _tell_apart(found)
    return tuple(settings for _, settings in found)


def _tell_apart(found: list[tuple[Section, AsteriskSettings]]) -> None:
    """
    See that each of several PBXs has a name, and an address, of its own.
    """
    names: dict[str, str] = {}
    addresses: dict[tuple[str, int], str] = {}
    for section, settings in found:
        # Names that differ in case alone would be taken for each other.
        name = settings.name.lower()
        if not name and "name" not in section:
            section.problem("name", "is missing: one of several PBXs needs a name, for its CallIDs")
        elif not name:
            section.problem("name", "must not be empty where there are several PBXs")
        elif name in names:
            section.problem("name", f"{shown(settings.name)} is the name of {names[name]}, too")
        names.setdefault(name, section.path)
        address = (settings.host.lower(), settings.port)
        if address in addresses:
            same = f"{settings.address} is {addresses[address]}, too"
            section.warn("host", f"{same}: all its calls are told twice")
        addresses.setdefault(address, section.path)


def _read_asterisk(
    section: Section, folder: Path, environ: Mapping[str, str], *, secret_needed: bool
) -> AsteriskSettings:
    default = AsteriskSettings()
    tls = _read_tls(section.section("tls"), folder) if "tls" in section else None

    secret = SecretPlaces(folder, environ, needed=secret_needed).fetch(section, "secret")

    def seconds(key: str, among: float) -> float:
        return section.seconds(key, among, _SHORTEST, _LONGEST)

    settings = AsteriskSettings(
        name=_name(section),
        default_tenant=_default_tenant(section),
        host=section.text("host", default.host),
        port=section.integer("port", default.port if tls is None else _TLS_PORT, 1, 65_535),
        username=section.text("username", default.username),
        secret=secret.value if secret is not None else "",
        challenge=section.flag("challenge", default=default.challenge),
        tls=tls,
        events=section.text("events", default.events),
        connect_timeout_seconds=seconds("connect_timeout_seconds", default.connect_timeout_seconds),
        keepalive_seconds=seconds("keepalive_seconds", default.keepalive_seconds),
        keepalive_deadline_seconds=seconds(
            "keepalive_deadline_seconds", default.keepalive_deadline_seconds
        ),
        reconnect_first_seconds=seconds("reconnect_first_seconds", default.reconnect_first_seconds),
        reconnect_last_seconds=seconds("reconnect_last_seconds", default.reconnect_last_seconds),
        refused_login_seconds=seconds("refused_login_seconds", default.refused_login_seconds),
        resynchronise_seconds=seconds("resynchronise_seconds", default.resynchronise_seconds),
    )
    for key in ("host", "username", "events"):
        if not getattr(settings, key):
            section.problem(key, "must not be empty")
    if settings.reconnect_last_seconds < settings.reconnect_first_seconds:
        section.problem("reconnect_last_seconds", "is less than reconnect_first_seconds")
    return settings


def certificates(section: Section, key: str, folder: Path) -> Path | None:
    """
    Read the name of a file with CA certificates, and see that there are some in it.
    """
    name = section.text(key)
    if not name:
        return None
    path = folder / name
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(path)
    except ssl.SSLError:
        section.problem(key, f"{path} contains no certificates in PEM form")
    except OSError as error:
        section.problem(key, f"{path} cannot be read: {error.strerror}")
    return path


def _name(section: Section) -> str:
    name = section.text("name")
    if not _NAME.fullmatch(name):
        section.problem("name", "expected letters, digits and ._- only: it becomes part of CallIDs")
    return name


def _default_tenant(section: Section) -> str:
    tenant = section.text("default_tenant")
    if "default_tenant" in section:
        check_tenant(section, "default_tenant", tenant)
    return tenant


def _read_tls(section: Section, folder: Path) -> TlsSettings:
    default = TlsSettings()
    return TlsSettings(
        verification=section.choice("verification", default.verification),
        ca_file=certificates(section, "ca_file", folder),
        server_name=section.text("server_name") or None,
    )
