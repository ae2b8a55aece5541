"""
Rules files: where requests may go, when destinations are left alone, what is kept.
"""

import ipaddress
from pathlib import Path

import pytest

from ami_bridge.config.report import describe
from ami_bridge.core.breaker import BreakerTerms
from ami_bridge.core.destinations import Destinations
from ami_bridge.settings import Config, DeliverySettings, StoreSettings, Synchronous
from tests.unit.rules_files import load, problems

STATE = {"STATE_DIRECTORY": "/var/lib/ami-bridge:/var/lib/other"}


def test_the_schedule_of_retries() -> None:
    """
    Retries come after seconds first, then minutes, then every hour.
    """
    seconds, minute, hour = (1, 2, 5, 10, 30), 60, 3600
    minutes = tuple(minute * count for count in (1, 2, 5, 15, 30))

    assert DeliverySettings().retry_seconds == (*seconds, *minutes, hour)
    assert DeliverySettings().dial_time_to_live_seconds == 15 * minute
    assert DeliverySettings().time_to_live_seconds == 24 * hour


def test_delivery(tmp_path: Path) -> None:
    """
    All keys of [delivery] arrive in its settings.
    """
    delivery = load(
        tmp_path,
        "[delivery]\nbreaker_failures = 3\nbreaker_seconds = [1, 2]\n"
        'allow_networks = ["192.168.10.0/24", "10.0.0.7", "fd12::/16"]\n'
        'allow_hosts = ["CRM.lan.", "[fd00:0::1]"]\nonly_hosts = ["*.Example.org", "crm.lan"]\n'
        "use_proxy_from_environment = true",
    ).delivery

    assert delivery.breaker_terms == BreakerTerms(3, (1.0, 2.0))
    assert delivery.destinations == Destinations(
        tuple(map(ipaddress.ip_network, ("192.168.10.0/24", "10.0.0.7/32", "fd12::/16"))),
        ("crm.lan", "fd00::1"),
        ("*.example.org", "crm.lan"),
    )
    assert delivery.use_proxy_from_environment


@pytest.mark.parametrize(
    ("environ", "path"),
    [
        pytest.param(STATE, "/var/lib/ami-bridge/outbox.sqlite", id="the unit's"),
        pytest.param(
            {"XDG_STATE_HOME": "/s", "HOME": "/h"}, "/s/ami-bridge/outbox.sqlite", id="XDG"
        ),
        pytest.param(
            {"XDG_STATE_HOME": "s", "HOME": "/h"},
            "/h/.local/state/ami-bridge/outbox.sqlite",
            id="a relative XDG path is none, says its specification",
        ),
        pytest.param({"HOME": "/h"}, "/h/.local/state/ami-bridge/outbox.sqlite", id="home"),
    ],
)
def test_usual_places_of_the_store(tmp_path: Path, environ: dict[str, str], path: str) -> None:
    """
    Without a path, the database is where systemd or the user's desktop keeps such things.
    """
    assert load(tmp_path, "", environ).store == StoreSettings(Path(path))


def test_a_user_without_a_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Where there is no usual place, the path has to be given.
    """

    def fail(path: Path) -> Path:
        raise RuntimeError(path)

    monkeypatch.setattr(Path, "expanduser", fail)

    assert problems(tmp_path, "") == [
        ("store.path", "is missing: this user has no home directory to keep it in")
    ]
    assert load(tmp_path, 'store.path = "x"').store.path == tmp_path / "x"


def test_store(tmp_path: Path) -> None:
    """
    All keys of [store] arrive in its settings; the file is relative to that of the rules.
    """
    written = (
        '[store]\npath = "a/b.db"\nsynchronous = "normal"\n'
        "keep_delivered_days = 0\nkeep_given_up_days = 0.5"
    )

    assert load(tmp_path, written).store == StoreSettings(
        tmp_path / "a" / "b.db", Synchronous.NORMAL, 0.0, 0.5
    )
    assert load(tmp_path, 'store.path = ":memory:"').store.path is None


MISTAKES = [
    ('[store]\npath = ""', "store.path", '":memory:" keeps nothing'),
    ('[store]\npath = "."', "store.path", "is a folder"),
    ("[store]\npath = 5", "store.path", "expected a string, got 5"),
    ('[store]\nsynchronous = "ful"', "store.synchronous", 'did you mean "full"?'),
    ("[store]\nkeep_delivered_days = -1", "store.keep_delivered_days", "days from 0 to 3650"),
    ("[store]\nkeep_days = 1", "store.keep_days", "unknown key; did you mean"),
    ("[delivery]\nbreaker_failures = 0", "delivery.breaker_failures", "integer from 1 to 1000"),
    ("[delivery]\nbreaker_seconds = []", "delivery.breaker_seconds", "at least one"),
    ("[delivery]\nbreaker_seconds = [0]", "delivery.breaker_seconds[0]", "got 0"),
    (
        '[delivery]\nallow_networks = "10.0.0.0/8"',
        "delivery.allow_networks",
        'expected a list, got "10.0.0.0/8"',
    ),
    (
        '[delivery]\nallow_networks = ["10.0.0.0/8", "192.168.10.5/24"]',
        "delivery.allow_networks[1]",
        'did you mean "192.168.10.0/24"?',
    ),
    (
        '[delivery]\nallow_networks = ["crm.lan"]',
        "delivery.allow_networks[0]",
        "a name belongs in allow_hosts",
    ),
    (
        '[delivery]\nallow_networks = ["::ffff:10.0.0.0/104"]',
        "delivery.allow_networks[0]",
        "is IPv4: write it as such",
    ),
    (
        '[delivery]\nallow_networks = ["300.0.0.0/8"]',
        "delivery.allow_networks[0]",
        'expected a network such as "192.168.10.0/24", got "300.0.0.0/8"',
    ),
    ("[delivery]\nallow_networks = [5]", "delivery.allow_networks[0]", "expected a string, got 5"),
    (
        '[delivery]\nallow_hosts = ["http://crm.lan/"]',
        "delivery.allow_hosts[0]",
        "without http:// and path",
    ),
    ('[delivery]\nallow_hosts = ["crm.lan:80"]', "delivery.allow_hosts[0]", "without a port"),
    ('[delivery]\nallow_hosts = ["[::1]:80"]', "delivery.allow_hosts[0]", "without a port"),
    (
        '[delivery]\nonly_hosts = ["10.0.0.0/8"]',
        "delivery.only_hosts[0]",
        "a network belongs in allow_networks",
    ),
    ('[delivery]\nonly_hosts = ["*"]', "delivery.only_hosts[0]", 'a host such as "crm.lan"'),
    ('[delivery]\nonly_hosts = ["crm.*"]', "delivery.only_hosts[0]", 'got "crm.*"'),
    ('[delivery]\nonly_host = ["crm.lan"]', "delivery.only_host", 'did you mean "only_hosts"?'),
]


@pytest.mark.parametrize(
    ("text", "path", "message"), [pytest.param(*row, id=f"{row[1]}: {row[2]}") for row in MISTAKES]
)
def test_mistakes(tmp_path: Path, text: str, path: str, message: str) -> None:
    """
    Each mistake is told once, with its path, what was seen and what would be right.
    """
    ((found_path, found_message),) = problems(tmp_path, text)

    assert found_path == path
    assert message in found_message


@pytest.mark.parametrize(
    ("url", "delivery", "warned"),
    [
        pytest.param("http://192.168.1.5:8080/x", "", True, id="an address that is not allowed"),
        pytest.param("http://[::1]/x", "", True, id="of IPv6"),
        pytest.param("http://localhost/x", "", True, id="this machine by name"),
        pytest.param("http://192.168.1.5/x", 'allow_networks = ["192.168.0.0/16"]', False, id="ok"),
        pytest.param("http://crm.lan/x", "", False, id="a name, which may be anything"),
        pytest.param("http://crm.lan/x", 'only_hosts = ["crm.example"]', True, id="a limit"),
        pytest.param("http://9.9.9.9/x", "", False, id="a public address"),
    ],
)
def test_destinations_that_will_be_refused(
    tmp_path: Path, url: str, delivery: str, warned: bool
) -> None:
    """
    A URL to where no request may go is worth a warning, as far as that can be told.
    """
    config = load(tmp_path, f'[delivery]\n{delivery}\n[[requests]]\nurl = "{url}"')

    assert [warning.path for warning in config.warnings] == ["requests[0].url"] * warned
    assert all("[delivery]" in warning.message for warning in config.warnings)


def test_report(tmp_path: Path) -> None:
    """
    `check` tells where requests may go, when they are held back, and what is kept where.
    """
    config = load(
        tmp_path,
        '[delivery]\nallow_networks = ["10.0.0.0/8"]\nallow_hosts = ["crm.lan"]\n'
        'only_hosts = ["*.lan"]\nuse_proxy_from_environment = true\n'
        '[store]\npath = "x.db"\nkeep_given_up_days = 0.5',
    )

    lines = describe(config)

    assert "  left alone after 5 failures in a row, for 5, 10, 20, 30 s" in lines
    assert "  to public addresses, and to 10.0.0.0/8, crm.lan" in lines
    assert "  to no other hosts than *.lan" in lines
    assert "  by the proxy that the environment names" in lines
    assert f"Kept in {tmp_path / 'x.db'}" in lines
    assert (
        "  synchronous full; for 7 days what was delivered, for 0.5 days what was given up" in lines
    )


def test_report_of_the_defaults() -> None:
    """
    Without rules, only public addresses are contacted, and nothing is kept.
    """
    lines = describe(Config())

    assert "  to public addresses only" in lines
    assert "Kept in memory, and lost at the end" in lines
