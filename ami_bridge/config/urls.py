"""
Reads the URL of a call-event request.
"""

import ipaddress
import re
from urllib.parse import SplitResult, quote, unquote, urlsplit

import attrs

from ami_bridge.core.requests import TEMPLATE_NAMES

from .authentication import basic_authorization

_HOST = re.compile(r"(?=.{1,253}\Z)[A-Za-z0-9_-]{1,63}(?:\.[A-Za-z0-9_-]{1,63})*\.?")
#: Everything in ASCII that can be seen: what is percent-encoded already stays so.
_VISIBLE = "".join(map(chr, range(0x21, 0x7F)))


class UnusableUrl(ValueError):  # noqa: N818 - it is the URL that cannot be used
    """
    Why a URL cannot be used.
    """


@attrs.frozen
class Target:
    """
    Where a request goes: the URL, and the user that stood in it.
    """

    url: str
    #: Value of the header Authorization, if the URL named a user; else empty.
    authorization: str = attrs.field(default="", repr=False)


def read_url(text: str) -> Target:
    """
    Take *text* apart, or raise `UnusableUrl`.

    Letters beyond ASCII are percent-encoded, everything else stays as it is written.
    """
    if re.search(r"[\x00-\x20\x7f]", text):
        raise UnusableUrl("contains spaces or control characters; write a space as %20")
    for name in re.findall(r"\{(\w+)\}", text):
        if name in TEMPLATE_NAMES:
            raise UnusableUrl(f"{{{name}}} works in parameters, not in the URL")
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError as error:
        raise UnusableUrl(f"not a URL: {error}") from error
    if parts.scheme not in ("http", "https"):
        raise UnusableUrl("expected a URL that begins with http:// or https://")
    if port == 0:
        raise UnusableUrl("not a URL: there is no port 0")
    _check_host(parts)
    after = text.index("//") + 2 + len(parts.netloc)
    user, _, place = parts.netloc.rpartition("@")
    url = f"{parts.scheme}://{place}{quote(text[after:], safe=_VISIBLE)}"
    return Target(url, _basic(user) if user else "")


def is_host_name(text: str) -> bool:
    """
    Tell whether *text* can be the name of a host.
    """
    return _HOST.fullmatch(text) is not None


def _check_host(parts: SplitResult) -> None:
    host = parts.hostname
    if not host:
        raise UnusableUrl("expected a host after ://")
    if ":" in host:
        try:
            ipaddress.IPv6Address(host)
        except ValueError as error:
            raise UnusableUrl(f"{host} is no IPv6 address") from error
    elif not host.isascii():
        try:
            ascii_host = host.encode("idna").decode()
        except UnicodeError as error:
            raise UnusableUrl(f"{host} is no host name") from error
        raise UnusableUrl(f"write the host in its ASCII form, {ascii_host}")
    elif not is_host_name(host):
        raise UnusableUrl(f"{host} is no host name")


def _basic(user: str) -> str:
    name, _, password = user.partition(":")
    return basic_authorization(unquote(name), unquote(password))
