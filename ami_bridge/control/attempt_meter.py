"""
Counts attempts for `metrics`, with a label for each destination as long as they are few.
"""

import bisect
from collections import Counter, defaultdict
from collections.abc import Sequence

import attrs

from ami_bridge.core.deliveries import Delivery
from ami_bridge.core.retry import Attempt

#: As many destinations have a label of their own; the others are one.
MOST_DESTINATIONS = 100
OTHERS = "other"
#: Upper bounds of the histogram of attempts, in seconds; the time-out is 15 by default.
BOUNDS = (0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 15.0, 30.0)


@attrs.define
class Durations:
    """
    How long the attempts of one destination took.
    """

    counts: list[int] = attrs.field(factory=lambda: [0] * (len(BOUNDS) + 1))
    seconds: float = 0.0

    def buckets(self) -> Sequence[tuple[str, float]]:
        """
        Give how many took no longer than each bound.
        """
        found, sum_so_far = [], 0
        for bound, count in zip((*map(str, BOUNDS), "+Inf"), self.counts, strict=True):
            sum_so_far += count
            found.append((bound, float(sum_so_far)))
        return found


class AttemptMeter:
    """
    Counts the attempts since the start of the bridge, and gives destinations their labels.
    """

    def __init__(self) -> None:
        self._labelled: dict[str, None] = {}
        self.durations: defaultdict[str, Durations] = defaultdict(Durations)
        #: By destination and by what came of it: 2xx, 3xx, 4xx, 5xx or none.
        self.outcomes: Counter[tuple[str, ...]] = Counter()

    def label(self, destination: str) -> str:
        """
        Give the label of *destination*: itself, as long as there are not too many.
        """
        if destination in self._labelled:
            return destination
        if len(self._labelled) >= MOST_DESTINATIONS:
            return OTHERS
        self._labelled[destination] = None
        return destination

    def note(self, delivery: Delivery, attempt: Attempt) -> None:
        """
        Count *attempt*.
        """
        label = self.label(delivery.destination)
        durations = self.durations[label]
        durations.counts[bisect.bisect_left(BOUNDS, attempt.seconds)] += 1
        durations.seconds += attempt.seconds
        word = "none" if attempt.status is None else f"{attempt.status // 100}xx"
        self.outcomes[label, word] += 1
