"""
Says where requests may go: not to this machine, its network or a cloud's insides.

A rule's URL, or the name in it, may lead to what only this machine can reach. Addresses that
are not public are therefore refused unless the operator allows their network or the host.
What is judged has to be the address that is connected to: a name may resolve to something
else the next time, and 127.0.0.1 has many spellings.
"""

import ipaddress
import re
from collections.abc import Iterable

import attrs

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
IPNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network

_METADATA = "the metadata service of a cloud"
#: Addresses that nobody on the internet has, by the first line that fits. The standard
#: library's `is_global` counts 6to4, multicast and others as public, and not in every version.
_NOT_PUBLIC: tuple[tuple[IPNetwork, str], ...] = tuple(
    (ipaddress.ip_network(network), kind)
    for network, kind in (
        ("169.254.169.254/32", _METADATA),
        ("169.254.170.0/24", _METADATA),
        ("100.100.100.200/32", _METADATA),
        ("168.63.129.16/32", _METADATA),
        ("192.0.0.192/32", _METADATA),
        ("fd00:ec2::/32", _METADATA),
        ("fd20:ce::254/128", _METADATA),
        ("0.0.0.0/32", "no address"),
        ("0.0.0.0/8", "an address of this network"),
        ("10.0.0.0/8", "a private address"),
        ("100.64.0.0/10", "an address behind a provider's NAT"),
        ("127.0.0.0/8", "a loopback address"),
        ("169.254.0.0/16", "a link-local address"),
        ("172.16.0.0/12", "a private address"),
        ("192.0.0.0/24", "an address of a protocol"),
        ("192.0.2.0/24", "an address for documentation"),
        ("192.88.99.0/24", "a 6to4 relay"),
        ("192.168.0.0/16", "a private address"),
        ("198.18.0.0/15", "an address for benchmarks"),
        ("198.51.100.0/24", "an address for documentation"),
        ("203.0.113.0/24", "an address for documentation"),
        ("224.0.0.0/4", "a multicast address"),
        ("255.255.255.255/32", "the broadcast address"),
        ("240.0.0.0/4", "a reserved address"),
        ("::/128", "no address"),
        ("::1/128", "a loopback address"),
        ("::/96", "an IPv4 address in disguise"),
        ("::ffff:0:0:0/96", "an IPv4 address in disguise"),
        ("64:ff9b:1::/48", "an address behind a local NAT64"),
        ("100::/64", "an address that discards"),
        ("2001::/32", "a Teredo tunnel"),
        ("2001::/23", "an address of a protocol"),
        ("2001:db8::/32", "an address for documentation"),
        ("2002::/16", "a 6to4 tunnel"),
        ("3fff::/20", "an address for documentation"),
        ("fc00::/7", "a private address"),
        ("fe80::/10", "a link-local address"),
        ("fec0::/10", "a private address"),
        ("ff00::/8", "a multicast address"),
    )
)
#: What is assigned to the internet of IPv6; all the rest is something else.
_GLOBAL_UNICAST = ipaddress.IPv6Network("2000::/3")
#: Public hosts of IPv4 as seen where there is only IPv6: the last 32 bits are their address.
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_OLD_NUMBER = r"(?:0x[0-9a-f]{0,16}|0[0-7]{0,16}|[1-9][0-9]{0,16})"
_OLD_IPV4 = re.compile(rf"{_OLD_NUMBER}(?:\.{_OLD_NUMBER}){{0,3}}")
#: What every system takes for itself without asking anybody.
_LOCALHOST = ("localhost", "*.localhost")


def kind_of(address: IPAddress) -> str | None:
    """
    Say what *address* is, if it is not public.
    """
    for network, kind in _NOT_PUBLIC:
        if address in network:
            return kind
    if isinstance(address, ipaddress.IPv4Address) or address in _GLOBAL_UNICAST:
        return None
    if address in _NAT64:
        behind = ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
        kind_behind = kind_of(behind)
        return None if kind_behind is None else f"{kind_behind} behind NAT64, {behind}"
    return "a reserved address"


def plain_host(host: str) -> str:
    """
    Give *host* in the one spelling in which it is compared.
    """
    host = host.lower().rstrip(".").removeprefix("[").removesuffix("]")
    address = _parsed(host)
    return host if address is None else str(address)


@attrs.frozen
class Destinations:
    """
    What the operator allows, and what is left of the world then.

    A host is a name, an address, or ``*.example.org`` for all names that end so.
    """

    #: May be connected to although they are not public.
    allow_networks: tuple[IPNetwork, ...] = ()
    #: May have any address.
    allow_hosts: tuple[str, ...] = ()
    #: Nobody else is ever contacted; empty for no such limit.
    only_hosts: tuple[str, ...] = ()

    def why_not_host(self, host: str) -> str | None:
        """
        Say why *host* is not contacted, whatever its address is; None if it may be.
        """
        if not self.only_hosts or _is_among(plain_host(host), self.only_hosts):
            return None
        return f"{host} is not contacted: it is not among only_hosts in [delivery]"

    def why_not(self, address: str, host: str) -> str | None:
        """
        Say why *address*, at which *host* is found, is not connected to; None if it may be.
        """
        if reason := self.why_not_host(host):
            return reason
        name = plain_host(host)
        if _is_among(name, self.allow_hosts):
            return None
        ip = _parsed(address)
        if ip is None:
            return f"{address} is not contacted: it is no IP address"
        kind = kind_of(ip)
        if kind is None or any(ip in network for network in self.allow_networks):
            return None
        if _written(name) == ip:
            found = str(ip) if str(ip) == host else f"{host} is {ip}, which"
            # A link-local address may name an interface, which a network does not.
            line = f'allow_networks = ["{str(ip).partition("%")[0]}/{ip.max_prefixlen}"]'
        else:
            found = f"{host} has the address {ip}, which"
            line = f'allow_hosts = ["{name}"]'
        return f"{found} is {kind} and not contacted; to allow it, in [delivery]: {line}"

    def why_not_by_name(self, host: str) -> str | None:
        """
        Say why *host* will not be contacted, as far as that can be told without asking DNS.
        """
        name = plain_host(host)
        if (ip := _written(name)) is not None:
            return self.why_not(str(ip), host)
        if _is_among(name, _LOCALHOST):
            return self.why_not("127.0.0.1", host)
        return self.why_not_host(host)


def _is_among(host: str, patterns: Iterable[str]) -> bool:
    return any(
        host.endswith(pattern[1:]) if pattern.startswith("*.") else host == pattern
        for pattern in patterns
    )


def _written(host: str) -> IPAddress | None:
    """
    Read a host that is an address, also in the old spellings of IPv4 that every system takes.

    These have one to four numbers, decimal, octal or hexadecimal, of which the last fills all
    that is left: 127.0.0.1 is also ``0177.1`` and ``0x7f000001`` (POSIX, `inet_addr`).
    """
    if (ip := _parsed(host)) is not None:
        return ip
    if not _OLD_IPV4.fullmatch(host):
        return None
    *first, last = (_number(part) for part in host.split("."))
    if any(number > 0xFF for number in first) or last >= 256 ** (4 - len(first)):
        return None
    octets = bytes(first) + last.to_bytes(4 - len(first), "big")
    return ipaddress.IPv4Address(octets)


def _number(text: str) -> int:
    if text.startswith("0x"):
        return int(text[2:] or "0", 16)
    return int(text, 8 if text.startswith("0") else 10)


def _parsed(text: str) -> IPAddress | None:
    """
    Read an IP address; one of IPv4 that is written as IPv6 is one of IPv4.
    """
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return address if mapped is None else mapped
