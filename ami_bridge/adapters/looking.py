"""
What operators ask of a store, and what they see of its deliveries.
"""

import enum
from collections.abc import Collection

import attrs

from ami_bridge.core.call_events import EventType
from ami_bridge.core.deliveries import Delivery
from ami_bridge.core.retry import Attempt
from ami_bridge.core.rules import ExtensionPattern


class DeliveryState(enum.StrEnum):
    """
    What has become of a delivery.
    """

    WAITING = "waiting"
    #: Kept back by the pause of its rule.
    PAUSED = "paused"
    DELIVERED = "delivered"
    GIVEN_UP = "given up"


@attrs.frozen
class Kept:
    """
    One delivery, and what has become of it.
    """

    delivery: Delivery
    state: DeliveryState
    #: When it can be attempted next; None if another of its lane comes first, or it is settled.
    due: float | None = None
    #: When it was delivered or given up.
    settled: float | None = None
    #: Why it was given up.
    reason: str = ""
    #: The answer's status, and how long it took, of the attempt that delivered it.
    status: int | None = None
    seconds: float | None = None
    #: The attempts that failed; only `Store.look_up` tells them.
    tried: tuple[Attempt, ...] = ()


@attrs.frozen
class Wanted:
    """
    Which deliveries somebody wants to see; what is None does not matter.
    """

    states: Collection[DeliveryState] | None = None
    destination: str | None = None
    #: Any of them.
    extensions: tuple[ExtensionPattern, ...] | None = None
    call_id: str | None = None
    event: EventType | None = None
    rule_id: str | None = None
    #: Identities of legs, any of them.
    legs: Collection[str] | None = None
    #: Made at or after, and before, in seconds since the epoch.
    since: float | None = None
    until: float | None = None

    def matches(self, state: DeliveryState, delivery: Delivery) -> bool:
        """
        Tell whether *delivery*, which is in *state*, is wanted.
        """
        exactly = (
            (self.destination, delivery.destination),
            (self.call_id, delivery.call_id),
            (self.event, delivery.event),
            (self.rule_id, delivery.rule_id),
        )
        return (
            (self.states is None or state in self.states)
            and all(wanted is None or wanted == found for wanted, found in exactly)
            and (self.legs is None or delivery.leg in self.legs)
            and (self.since is None or delivery.created >= self.since)
            and (self.until is None or delivery.created < self.until)
            and (
                self.extensions is None
                or any(pattern.matches(delivery.extension) for pattern in self.extensions)
            )
        )


@attrs.frozen
class Found:
    """
    A page of deliveries, the latest first.
    """

    deliveries: tuple[Kept, ...]
    #: Where the next page begins; None if this is the last one.
    next: int | None


@attrs.frozen
class Tally:
    """
    What a destination is owed, and what of it was given up, as far as that is kept.
    """

    waiting: int = 0
    paused: int = 0
    given_up: int = 0
    #: When the oldest that waits was made.
    oldest_waiting: float | None = None
