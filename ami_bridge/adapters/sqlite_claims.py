"""
Who attempts what at the moment, kept in memory: the store's file belongs to one process.

What a process that died had claimed can be claimed as soon as the file is opened again.
"""

import contextlib
from collections.abc import Callable, Iterator

import attrs

from ami_bridge.core.deliveries import Delivery

from .sqlite_deliveries import Due
from .store import LONGEST_LEASE


@attrs.define(eq=False)
class Claim:
    """
    A delivery that is being attempted.
    """

    due: Due
    #: Seconds since the epoch.
    until: float
    #: Its lease ended, and `ClaimsInMemory.lapse` told so.
    lapsed: bool = False

    def holds(self, now: float) -> bool:
        """
        Tell whether nobody else may claim the delivery at *now*.
        """
        return now < self.until <= now + LONGEST_LEASE


class ClaimsInMemory:
    """
    All claims that were not settled; those whose lease ended count until somebody claims anew.
    """

    def __init__(self) -> None:
        #: By the delivery's id.
        self._claims: dict[str, Claim] = {}
        #: What is being given up or moved at the moment, by somebody who saw no claim of it.
        self._going: list[Callable[[Delivery], bool]] = []

    def held(self, now: float) -> frozenset[int]:
        """
        Give the keys of what nobody else may claim at *now*.
        """
        return frozenset(claim.due.seq for claim in self._claims.values() if claim.holds(now))

    def not_lapsed(self) -> frozenset[int]:
        """
        Give the keys of all claims but those that `lapse` told of.
        """
        return frozenset(claim.due.seq for claim in self._claims.values() if not claim.lapsed)

    def lapse(self, now: float) -> list[Due]:
        """
        Give those whose lease ended since the last time that this was asked.
        """
        ended = [
            claim for claim in self._claims.values() if not claim.lapsed and not claim.holds(now)
        ]
        for claim in ended:
            claim.lapsed = True
        return [claim.due for claim in ended]

    @contextlib.contextmanager
    def withholding(self, goes: Callable[[Delivery], bool]) -> Iterator[None]:
        """
        Let nobody claim what *goes*, though it may be found due until that is written.
        """
        self._going.append(goes)
        try:
            yield
        finally:
            self._going.remove(goes)

    def add(self, due: Due, now: float, until: float) -> Delivery | None:
        """
        Claim what was found *due*, unless another claimant was faster or it is withheld.
        """
        if any(goes(due.delivery) for goes in self._going):
            return None
        before = self._claims.get(due.delivery.id)
        if before is not None and before.holds(now):
            return None
        # An attempt whose lease ended counts, although nobody told of it.
        number = 1 + (before.due if before else due).delivery.attempts
        delivery = attrs.evolve(due.delivery, attempts=number)
        self._claims[delivery.id] = Claim(Due(due.seq, delivery), until)
        return delivery

    def find(self, delivery: Delivery) -> Claim | None:
        """
        Give the claim by which *delivery* is attempted; None if it is somebody else's by now.
        """
        claim = self._claims.get(delivery.id)
        if claim is None or claim.due.delivery.attempts != delivery.attempts:
            return None
        return claim

    def end(self, claim: Claim) -> None:
        """
        Forget *claim*: it was settled.
        """
        name = claim.due.delivery.id
        if self._claims.get(name) is claim:
            del self._claims[name]
