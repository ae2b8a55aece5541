"""
Reads which destinations ``[delivery]`` allows: networks and hosts.
"""

import ipaddress
import re

from ami_bridge.core.destinations import Destinations, IPNetwork, plain_host

from .section import Section, shown
from .urls import is_host_name

_MAPPED = ipaddress.IPv6Network("::ffff:0:0/96")


def read_destinations(section: Section) -> Destinations:
    """
    Read the keys of *section* that say where requests may go.
    """
    return Destinations(
        allow_networks=_read_networks(section, "allow_networks"),
        allow_hosts=_read_hosts(section, "allow_hosts"),
        only_hosts=_read_hosts(section, "only_hosts"),
    )


def _read_networks(section: Section, key: str) -> tuple[IPNetwork, ...]:
    networks: list[IPNetwork] = []
    for index, text in section.texts(key) or ():
        try:
            network = ipaddress.ip_network(text)
        except ValueError:
            section.problem(key, _why_no_network(text), index)
            continue
        if isinstance(network, ipaddress.IPv6Network) and network.subnet_of(_MAPPED):
            section.problem(key, f"{shown(text)} is IPv4: write it as such", index)
        networks.append(network)
    return tuple(networks)


def _why_no_network(text: str) -> str:
    reason = f'expected a network such as "192.168.10.0/24", got {shown(text)}'
    try:
        meant = ipaddress.ip_network(text, strict=False)
    except ValueError:
        if is_host_name(text):
            reason += "; a name belongs in allow_hosts"
        return reason
    return f'{reason}; did you mean "{meant}"?'


def _read_hosts(section: Section, key: str) -> tuple[str, ...]:
    hosts: list[str] = []
    for index, text in section.texts(key) or ():
        host = plain_host(text)
        if _is_address(host) or is_host_name(host.removeprefix("*.")):
            hosts.append(host)
        else:
            section.problem(key, _why_no_host(text), index)
    return tuple(hosts)


def _why_no_host(text: str) -> str:
    reason = f'expected a host such as "crm.lan" or "*.example.org", got {shown(text)}'
    if "://" in text:
        return f"{reason}; without http:// and path"
    if re.fullmatch(r"[^:]+:\d+|\[.*\]:\d+", text):
        return f"{reason}; without a port"
    if "/" in text:
        return f"{reason}; a network belongs in allow_networks"
    return reason


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
