"""
Where requests may go.
"""

import ipaddress
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ami_bridge.core.destinations import Destinations, kind_of, plain_host

NOT_PUBLIC = [
    # The line of the address, and part of the sentence that is said about it.
    ("0.0.0.0", "no address"),  # noqa: S104 - nobody is bound to it
    ("0.1.2.3", "this network"),
    ("10.255.255.255", "private"),
    ("100.64.0.1", "provider's NAT"),
    ("100.127.255.255", "provider's NAT"),
    ("100.100.100.200", "metadata"),
    ("127.0.0.1", "loopback"),
    ("127.255.255.254", "loopback"),
    ("168.63.129.16", "metadata"),
    ("169.254.1.1", "link-local"),
    ("169.254.169.254", "metadata"),
    ("169.254.170.2", "metadata"),
    ("172.16.0.1", "private"),
    ("172.31.255.255", "private"),
    ("192.0.0.8", "protocol"),
    ("192.0.0.192", "metadata"),
    ("192.0.2.1", "documentation"),
    ("192.88.99.1", "6to4"),
    ("192.168.0.1", "private"),
    ("198.18.0.1", "benchmarks"),
    ("198.19.255.255", "benchmarks"),
    ("198.51.100.1", "documentation"),
    ("203.0.113.1", "documentation"),
    ("224.0.0.1", "multicast"),
    ("239.255.255.255", "multicast"),
    ("240.0.0.1", "reserved"),
    ("255.255.255.255", "broadcast"),
    ("::", "no address"),
    ("::1", "loopback"),
    ("::7f00:1", "disguise"),
    ("::8.8.8.8", "disguise"),
    ("::ffff:0:127.0.0.1", "disguise"),
    ("64:ff9b::7f00:1", "loopback address behind NAT64, 127.0.0.1"),
    ("64:ff9b::a00:1", "private address behind NAT64, 10.0.0.1"),
    ("64:ff9b::a9fe:a9fe", "metadata service of a cloud behind NAT64"),
    ("64:ff9b:1::808:808", "local NAT64"),
    ("100::1", "discards"),
    ("2001::1", "Teredo"),
    ("2001:0:4136:e378:8000:63bf:80ff:fffe", "Teredo"),
    ("2001:2::1", "protocol"),
    ("2001:db8::1", "documentation"),
    ("2002:7f00:1::", "6to4"),
    ("2002:808:808::1", "6to4"),
    ("3fff::1", "documentation"),
    ("4000::1", "reserved"),
    ("5f00::1", "reserved"),
    ("fc00::1", "private"),
    ("fd00:ec2::254", "metadata"),
    ("fd12:3456::1", "private"),
    ("fe80::1", "link-local"),
    ("fe80::1%2", "link-local"),
    ("fec0::1", "private"),
    ("ff02::1", "multicast"),
]
PUBLIC = [
    *("1.1.1.1", "8.8.8.8", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0"),
    *("128.0.0.1", "169.253.1.1", "172.15.255.255", "172.32.0.0", "192.0.1.1", "193.0.0.1"),
    *("198.17.255.255", "198.20.0.0", "223.255.255.255"),
    *("2606:4700::1111", "2a00:1450:4001::200e", "2001:200::1", "64:ff9b::808:808"),
]


@pytest.mark.parametrize(("address", "kind"), NOT_PUBLIC)
def test_not_public(address: str, kind: str) -> None:
    """
    Without being allowed, only public addresses are connected to; what it is instead is said.
    """
    reason = Destinations().why_not(address, "crm.example.org")

    assert reason is not None
    assert kind in reason
    assert f" {ipaddress.ip_address(address)}, which is " in reason


@pytest.mark.parametrize("address", PUBLIC)
def test_public(address: str) -> None:
    """
    Public addresses, those seen through NAT64 too, are connected to.
    """
    assert Destinations().why_not(address, "crm.example.org") is None


@given(st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6)))
def test_what_the_standard_library_refuses_is_refused(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> None:
    """
    No address that Python takes for local or special is taken for public here.
    """
    # The standard library takes all of 64:ff9b::/96 for public, and some versions 2002::/16.
    odd = address.is_private or address.is_multicast or address.is_reserved or address.is_link_local
    nat64 = ipaddress.IPv6Network("64:ff9b::/96")

    if odd and address not in nat64 and str(address) not in ("192.0.0.9", "192.0.0.10"):
        assert kind_of(address) is not None


@given(st.ip_addresses(v=4))
def test_disguises(address: ipaddress.IPv4Address) -> None:
    """
    An IPv4 address is judged alike in itself, mapped into IPv6, and behind NAT64.
    """
    here = Destinations()
    plain = here.why_not(str(address), "h")

    assert (here.why_not(f"::ffff:{address}", "h") is None) is (plain is None)
    assert (here.why_not(f"64:ff9b::{address}", "h") is None) is (plain is None)


# -- what is allowed -------------------------------------------------------------------

LAN = Destinations(allow_networks=(ipaddress.ip_network("192.168.10.0/24"),))
NAMED = Destinations(allow_hosts=("crm.lan", "*.office.example", "10.0.0.7", "fd12::1"))
ONLY = Destinations(only_hosts=("crm.example.org", "*.example.net", "9.9.9.9"))


@pytest.mark.parametrize(
    ("destinations", "address", "host", "allowed"),
    [
        pytest.param(LAN, "192.168.10.5", "crm.lan", True, id="in the network"),
        pytest.param(LAN, "192.168.11.5", "crm.lan", False, id="in another network"),
        pytest.param(LAN, "::ffff:192.168.10.5", "crm.lan", True, id="IPv4 in IPv6"),
        pytest.param(LAN, "64:ff9b::c0a8:a05", "crm.lan", False, id="somebody's NAT64"),
        pytest.param(LAN, "2002:c0a8:a05::", "crm.lan", False, id="somebody's 6to4"),
        pytest.param(LAN, "9.9.9.9", "crm.lan", True, id="public all the same"),
        pytest.param(NAMED, "10.1.2.3", "crm.lan", True, id="an allowed name"),
        pytest.param(NAMED, "10.1.2.3", "CRM.LAN.", True, id="in any spelling"),
        pytest.param(NAMED, "169.254.169.254", "crm.lan", True, id="whatever its address"),
        pytest.param(NAMED, "10.1.2.3", "crm2.lan", False, id="another name"),
        pytest.param(NAMED, "10.1.2.3", "x.crm.lan", False, id="a name below"),
        pytest.param(NAMED, "10.1.2.3", "a.b.office.example", True, id="a name that ends so"),
        pytest.param(NAMED, "10.1.2.3", "office.example", False, id="the end itself"),
        pytest.param(NAMED, "10.1.2.3", "xoffice.example", False, id="no dot before it"),
        pytest.param(NAMED, "10.0.0.7", "10.0.0.7", True, id="an address as a host"),
        pytest.param(NAMED, "fd12::1", "[FD12:0::1]", True, id="IPv6 in another spelling"),
        pytest.param(NAMED, "10.0.0.7", "evil.example", False, id="found under another name"),
        pytest.param(ONLY, "9.9.9.9", "crm.example.org", True, id="one of the only hosts"),
        pytest.param(ONLY, "9.9.9.9", "a.example.net", True, id="by its end"),
        pytest.param(ONLY, "9.9.9.9", "9.9.9.9", True, id="an address"),
        pytest.param(ONLY, "9.9.9.9", "www.example.org", False, id="no other host"),
        pytest.param(ONLY, "1.1.1.1", "1.1.1.1", False, id="no other address"),
        pytest.param(ONLY, "10.0.0.1", "crm.example.org", False, id="and still only public"),
    ],
)
def test_allowed(destinations: Destinations, address: str, host: str, allowed: bool) -> None:
    """
    Networks allow addresses, hosts allow any address of theirs, only_hosts limits them all.
    """
    assert (destinations.why_not(address, host) is None) is allowed


@pytest.mark.parametrize(
    ("address", "host", "said"),
    [
        pytest.param(
            "192.168.10.5",
            "crm.lan",
            "crm.lan has the address 192.168.10.5, which is a private address and not "
            'contacted; to allow it, in [delivery]: allow_hosts = ["crm.lan"]',
            id="a name",
        ),
        pytest.param(
            "127.0.0.1",
            "127.0.0.1",
            "127.0.0.1 is a loopback address and not contacted; "
            'to allow it, in [delivery]: allow_networks = ["127.0.0.1/32"]',
            id="an address",
        ),
        pytest.param(
            "::ffff:127.0.0.1",
            "::ffff:7f00:1",
            "::ffff:7f00:1 is 127.0.0.1, which is a loopback address and not contacted; "
            'to allow it, in [delivery]: allow_networks = ["127.0.0.1/32"]',
            id="an address in disguise",
        ),
        pytest.param(
            "fe80::1%2",
            "fe80::1%2",
            "fe80::1%2 is a link-local address and not contacted; "
            'to allow it, in [delivery]: allow_networks = ["fe80::1/128"]',
            id="an address with an interface",
        ),
        pytest.param(
            "127.1", "127.1", "127.1 is not contacted: it is no IP address", id="half an address"
        ),
    ],
)
def test_what_is_said(address: str, host: str, said: str) -> None:
    """
    A refusal tells which address, of which host, and the line that would allow it.
    """
    assert Destinations().why_not(address, host) == said


@pytest.mark.parametrize(
    ("host", "refused"),
    [
        pytest.param("127.0.0.1", True, id="an address"),
        pytest.param("::1", True, id="IPv6"),
        pytest.param("localhost", True, id="what every system calls itself"),
        pytest.param("crm.localhost.", True, id="and below"),
        pytest.param("2130706433", True, id="a number"),
        pytest.param("0x7f.1", True, id="hexadecimal, in two parts"),
        pytest.param("0177.0.0.01", True, id="octal"),
        pytest.param("10.65535", True, id="the last part fills what is left"),
        pytest.param("0xA.1", True, id="in capitals"),
        pytest.param("1.1.1.1", False, id="a public address"),
        pytest.param("0x1010101", False, id="a public address, hexadecimal"),
        pytest.param("127.0.0.256", False, id="too large a number"),
        pytest.param("127.16777216", False, id="too large a last number"),
        pytest.param("256.1", False, id="too large a first number"),
        pytest.param("1.2.3.4.5", False, id="too many numbers"),
        pytest.param("089.0.0.1", False, id="no octal number"),
        pytest.param("0x7g", False, id="no hexadecimal number"),
        pytest.param("crm.lan", False, id="a name, of which nothing is known"),
    ],
)
def test_what_can_be_told_without_asking(host: str, refused: bool) -> None:
    """
    A host that will be refused is known without DNS, where it is an address or localhost.
    """
    assert (Destinations().why_not_by_name(host) is not None) is refused
    assert ONLY.why_not_by_name(host) is not None


@given(st.from_regex(r"\A(?:(?:0x)?[0-9a-f]{1,10}\.){0,4}(?:0x)?[0-9a-f]{1,10}\Z"))
def test_old_spellings(host: str) -> None:
    """
    What the C library takes for an address of IPv4 is judged as that address.
    """
    try:
        address = socket.inet_ntoa(socket.inet_aton(host))
    except OSError:
        assert Destinations().why_not_by_name(host) is None
    else:
        refused = kind_of(ipaddress.ip_address(address)) is not None
        assert (Destinations().why_not_by_name(host) is not None) is refused


@pytest.mark.parametrize(
    ("host", "plain"),
    [("CRM.Lan.", "crm.lan"), ("[::0001]", "::1"), ("::FFFF:127.0.0.1", "127.0.0.1"), ("", "")],
)
def test_plain_hosts(host: str, plain: str) -> None:
    """
    Hosts are compared in one spelling.
    """
    assert plain_host(host) == plain
