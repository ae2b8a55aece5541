"""
What the rules say, as frozen records: the shape of the configuration, and its defaults.

`config` reads rules.toml into these; nothing else reads it. Defaults stand here and
nowhere else.
"""

import enum
from pathlib import Path

import attrs

from . import __version__
from .core.call_events import HangupDialect
from .core.correlator import CorrelatorSettings
from .core.deliveries import DeliveryTerms
from .core.retry import RetrySchedule
from .core.rules import Rule
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

    #: Short name of the PBX; prefixed to CallIDs where it is not empty.
    name: str = ""
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
    #: How long a stopping daemon goes on delivering.
    drain_seconds: float = 10.0
    #: Certificates to trust besides the system's.
    ca_file: Path | None = None

    @property
    def retry_schedule(self) -> RetrySchedule:
        """
        Give what the judge of attempts needs.
        """
        return RetrySchedule(self.retry_seconds, self.retry_after_cap_seconds)


@attrs.frozen
class Config:
    """
    The rules as a whole.
    """

    asterisk: AsteriskSettings = attrs.field(factory=AsteriskSettings)
    correlator: CorrelatorSettings = attrs.field(factory=CorrelatorSettings)
    hangup_dialect: HangupDialect = HangupDialect.SIMPLE
    delivery: DeliverySettings = attrs.field(factory=DeliverySettings)
    rules: tuple[Rule, ...] = ()
    #: Where it was read from; None for the built-in defaults.
    source: Path | None = None
    #: What works, yet deserves a second look.
    warnings: tuple[Problem, ...] = ()

    @property
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
