"""
What the rules say, as frozen records: the shape of the configuration, and its defaults.

`config` reads rules.toml into these; nothing else reads it. Defaults stand here and
nowhere else.
"""

import enum
import functools
from pathlib import Path

import attrs

from . import __version__
from .core.breaker import BreakerTerms
from .core.call_events import HangupDialect
from .core.correlator import CorrelatorSettings
from .core.deliveries import DeliveryTerms
from .core.destinations import Destinations
from .core.retry import RetrySchedule
from .core.rules import Rule
from .core.scopes import Scope
from .errors import Problem

#: How the bridge introduces itself to receivers.
USER_AGENT = f"ami-bridge/{__version__}"


class TlsVerification(enum.StrEnum):
    """
    How the certificate of Asterisk's TLS port is judged.
    """

    FULL = "full"
    NONE = "none"


@attrs.frozen
class TlsSettings:
    """
    A TLS connection to Asterisk (``tlsenable`` in manager.conf).
    """

    verification: TlsVerification = TlsVerification.FULL
    #: Certificates to trust instead of the system's.
    ca_file: Path | None = None
    #: The name that the certificate must show, where it is not the host's.
    server_name: str | None = None


@attrs.frozen
class AsteriskSettings:
    """
    One PBX and the manager user that listens to it.
    """

    #: Short name of the PBX; prefixed to CallIDs where it is not empty. Unique among several.
    name: str = ""
    #: The tenant of its extensions whose endpoint tells none; empty: the rules' common one.
    default_tenant: str = ""
    host: str = "127.0.0.1"
    port: int = 5038
    username: str = "ami-bridge"
    secret: str = attrs.field(default="", repr=False)
    #: Log in with an MD5 challenge, so that the secret does not cross the network.
    challenge: bool = True
    tls: TlsSettings | None = None
    #: Event classes to ask for; Asterisk sends those that the user may also read.
    events: str = "call,system"
    connect_timeout_seconds: float = 10.0
    #: A Ping is sent after this much silence, and must be answered in the deadline.
    keepalive_seconds: float = 10.0
    keepalive_deadline_seconds: float = 10.0
    #: Reconnecting waits a random time below a bound that doubles from the first to the last.
    reconnect_first_seconds: float = 1.0
    reconnect_last_seconds: float = 30.0
    #: A refused login is tried again this slowly, so that no ban is provoked.
    refused_login_seconds: float = 60.0
    #: How often the list of channels is compared with what is known.
    resynchronise_seconds: float = 300.0

    @property
    def address(self) -> str:
        """
        Give host and port as one text.
        """
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


@attrs.frozen
class PbxSettings:
    """
    One PBX: how it is reached, and how its calls are understood.
    """

    asterisk: AsteriskSettings = attrs.field(factory=AsteriskSettings)
    correlator: CorrelatorSettings = attrs.field(factory=CorrelatorSettings)

    @property
    def name(self) -> str:
        """
        Give the PBX's name; it may be empty where there is only one.
        """
        return self.asterisk.name


@attrs.frozen
class DeliverySettings:
    """
    How requests are sent.
    """

    connect_timeout_seconds: float = 5.0
    total_timeout_seconds: float = 15.0
    #: Requests under way at once to one destination (scheme, host and port).
    concurrency: int = 8
    #: Longest waits before the second, third, ... attempt; the last one repeats.
    retry_seconds: tuple[float, ...] = (1, 2, 5, 10, 30, 60, 120, 300, 900, 1800, 3600)
    #: The longest wait that a receiver may ask for with Retry-After.
    retry_after_cap_seconds: float = 3600.0
    dial_time_to_live_seconds: float = 900.0
    time_to_live_seconds: float = 86400.0
    #: When a destination that keeps failing is left alone, and for how long.
    breaker_terms: BreakerTerms = attrs.field(factory=BreakerTerms)
    #: How long a stopping daemon goes on delivering.
    drain_seconds: float = 10.0
    #: Where requests may go.
    destinations: Destinations = attrs.field(factory=Destinations)
    #: Certificates to trust besides the system's.
    ca_file: Path | None = None
    #: Whether $http_proxy, $https_proxy and $no_proxy count.
    use_proxy_from_environment: bool = False

    @functools.cached_property
    def retry_schedule(self) -> RetrySchedule:
        """
        Give what the judge of attempts needs.
        """
        return RetrySchedule(self.retry_seconds, self.retry_after_cap_seconds)


class Synchronous(enum.StrEnum):
    """
    How sure it is that what was kept is on the disk.
    """

    #: After a power failure, too.
    FULL = "full"
    #: A power failure may take the last moments.
    NORMAL = "normal"


@attrs.frozen
class StoreSettings:
    """
    Where notifications and open calls are kept, and for how long.
    """

    #: The database's file; None keeps everything in memory, and nothing for the next start.
    path: Path | None = None
    synchronous: Synchronous = Synchronous.FULL
    #: How long what is over can be looked at.
    keep_delivered_days: float = 7.0
    keep_given_up_days: float = 30.0


@attrs.frozen
class Token:
    """
    By what a program, or a person with a browser, is let in over HTTP.
    """

    #: Who has it, for logs.
    name: str
    secret: str = attrs.field(repr=False)
    #: Whose calls, deliveries and requests exist for its holder.
    scope: Scope = attrs.field(factory=Scope)
    #: Whether its holder may change anything.
    may_change: bool = False


@attrs.frozen
class ControlSettings:
    """
    How the running bridge can be looked at and steered.
    """

    #: The Unix socket of the command line; whoever may open it may do everything.
    socket: Path | None = None
    #: Where HTTP is listened to, if anywhere.
    host: str | None = None
    port: int = 8088
    #: Browsers come by HTTPS, through a proxy in front of it.
    behind_https: bool = False
    tokens: tuple[Token, ...] = ()


@attrs.frozen
class Config:
    """
    The rules as a whole.
    """

    #: At least one; their names are unique.
    pbxs: tuple[PbxSettings, ...] = attrs.field(factory=lambda: (PbxSettings(),))
    hangup_dialect: HangupDialect = HangupDialect.SIMPLE
    delivery: DeliverySettings = attrs.field(factory=DeliverySettings)
    #: In memory, unless a rules file was read.
    store: StoreSettings = attrs.field(factory=StoreSettings)
    #: None: nothing listens.
    control: ControlSettings | None = None
    rules: tuple[Rule, ...] = ()
    #: Where it was read from; None for the built-in defaults.
    source: Path | None = None
    #: What works, yet deserves a second look.
    warnings: tuple[Problem, ...] = ()

    def only(self, name: str) -> "Config | None":
        """
        Give this configuration with the PBX called *name* alone; None if there is none.
        """
        found = tuple(pbx for pbx in self.pbxs if pbx.name == name)
        return attrs.evolve(self, pbxs=found) if found else None

    def for_former(self, name: str) -> "Config":
        """
        Give this configuration for the PBX called *name*, which it has no more: as for the first.
        """
        first = self.pbxs[0]
        former = PbxSettings(
            attrs.evolve(first.asterisk, name=name), attrs.evolve(first.correlator, pbx=name)
        )
        return attrs.evolve(self, pbxs=(former,))

    @property
    def asterisk(self) -> AsteriskSettings:
        """
        Give how the first PBX is reached.
        """
        return self.pbxs[0].asterisk

    @property
    def correlator(self) -> CorrelatorSettings:
        """
        Give how the calls of the first PBX are understood.
        """
        return self.pbxs[0].correlator

    @functools.cached_property
    def delivery_terms(self) -> DeliveryTerms:
        """
        Give what holds for all deliveries.
        """
        return DeliveryTerms(
            user_agent=USER_AGENT,
            dialect=self.hangup_dialect,
            dial_time_to_live=self.delivery.dial_time_to_live_seconds,
            time_to_live=self.delivery.time_to_live_seconds,
        )
