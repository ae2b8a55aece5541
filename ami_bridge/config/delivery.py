"""
Reads ``[delivery]``: how requests are sent.
"""

from pathlib import Path

from ami_bridge.core.breaker import BreakerTerms
from ami_bridge.settings import DeliverySettings

from .connection import certificates
from .destinations import read_destinations
from .section import Section

_HOUR, _DAY = 3600.0, 86_400.0


def read_delivery(rules: Section, folder: Path) -> DeliverySettings:
    """
    Read the section; file names in it are relative to *folder*.
    """
    section = rules.section("delivery")
    default = DeliverySettings()

    def seconds(key: str, among: float, low: float, high: float) -> float:
        return section.seconds(key, among, low, high)

    return DeliverySettings(
        connect_timeout_seconds=seconds(
            "connect_timeout_seconds", default.connect_timeout_seconds, 0.1, _HOUR
        ),
        total_timeout_seconds=seconds(
            "total_timeout_seconds", default.total_timeout_seconds, 0.1, _HOUR
        ),
        concurrency=section.integer("concurrency", default.concurrency, 1, 1000),
        retry_seconds=section.seconds_list("retry_seconds", default.retry_seconds, 0.1, _DAY),
        retry_after_cap_seconds=seconds(
            "retry_after_cap_seconds", default.retry_after_cap_seconds, 0.0, _DAY
        ),
        dial_time_to_live_seconds=seconds(
            "dial_time_to_live_seconds", default.dial_time_to_live_seconds, 1.0, 30 * _DAY
        ),
        time_to_live_seconds=seconds(
            "time_to_live_seconds", default.time_to_live_seconds, 1.0, 30 * _DAY
        ),
        breaker_terms=BreakerTerms(
            section.integer("breaker_failures", default.breaker_terms.failures, 1, 1000),
            section.seconds_list("breaker_seconds", default.breaker_terms.waits, 0.1, _HOUR),
        ),
        drain_seconds=seconds("drain_seconds", default.drain_seconds, 0.0, _HOUR),
        destinations=read_destinations(section),
        ca_file=certificates(section, "ca_file", folder),
        use_proxy_from_environment=section.flag(
            "use_proxy_from_environment", default=default.use_proxy_from_environment
        ),
    )
