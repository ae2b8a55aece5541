"""
Reads ``[asterisk]``: the PBX, and the manager user with its secret.
"""

import re
import ssl
from collections.abc import Mapping
from pathlib import Path

from ami_bridge.settings import AsteriskSettings, TlsSettings

from .section import Section

#: The port that Asterisk listens on for TLS, unless manager.conf says otherwise.
_TLS_PORT = 5039
#: Bounds of all waits, in seconds: nothing sensible is outside.
_SHORTEST, _LONGEST = 0.1, 86_400.0

_SECRETS = ("secret_file", "secret_env", "secret_credential", "secret")


def read_asterisk(
    rules: Section, folder: Path, environ: Mapping[str, str], *, secret_needed: bool
) -> AsteriskSettings:
    """
    Read the section; file names in it are relative to *folder*.
    """
    section = rules.section("asterisk")
    default = AsteriskSettings()
    tls = _read_tls(section.section("tls"), folder) if "tls" in section else None

    def seconds(key: str, among: float) -> float:
        return section.seconds(key, among, _SHORTEST, _LONGEST)

    settings = AsteriskSettings(
        name=_name(section),
        host=section.text("host", default.host),
        port=section.integer("port", default.port if tls is None else _TLS_PORT, 1, 65_535),
        username=section.text("username", default.username),
        secret=_read_secret(section, folder, environ, needed=secret_needed),
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
    if not re.fullmatch(r"[A-Za-z0-9._-]*", name):
        section.problem("name", "expected letters, digits and ._- only: it becomes part of CallIDs")
    return name


def _read_tls(section: Section, folder: Path) -> TlsSettings:
    default = TlsSettings()
    return TlsSettings(
        verification=section.choice("verification", default.verification),
        ca_file=certificates(section, "ca_file", folder),
        server_name=section.text("server_name") or None,
    )


def _read_secret(
    section: Section, folder: Path, environ: Mapping[str, str], *, needed: bool
) -> str:
    """
    Fetch the manager user's secret from the one place that the section names.
    """
    places = {key: value for key in _SECRETS if (value := section.secret(key)) is not None}
    if len(places) > 1:
        first, *others = places
        section.problem(first, f"only one place of the secret can hold, and there is {others[0]}")
        return ""
    for key, place in places.items():
        try:
            secret = _fetch(key, place, folder, environ)
        except (OSError, ValueError) as error:
            reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
            report = section.problem if needed else section.warn
            report(key, f"cannot be read: {reason}")
            return ""
        if key == "secret":
            section.warn(key, "stands in the rules file; secret_file keeps it out of sight")
        return secret
    return ""


def _fetch(key: str, place: str, folder: Path, environ: Mapping[str, str]) -> str:
    if key == "secret":
        secret = place
    elif key == "secret_env":
        if place not in environ:
            raise ValueError(f"there is no environment variable {place}")
        secret = environ[place]
    elif key == "secret_credential":
        if "CREDENTIALS_DIRECTORY" not in environ:
            raise ValueError(
                "$CREDENTIALS_DIRECTORY is not set; systemd sets it for a unit with LoadCredential="
            )
        secret = _first_line(Path(environ["CREDENTIALS_DIRECTORY"]) / place)
    else:
        secret = _first_line(folder / place)
    if not secret:
        raise ValueError("it is empty")
    if re.search(r"[\x00-\x1f\x7f]", secret):
        raise ValueError("it has line breaks or control characters in it")
    return secret


def _first_line(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").rstrip("\r\n")
    except UnicodeDecodeError:
        # The cause would show some of the secret.
        raise ValueError(f"{path} is not UTF-8 text") from None
    except OSError as error:
        raise ValueError(f"{path}: {error.strerror}") from error
