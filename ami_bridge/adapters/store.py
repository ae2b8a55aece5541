"""
What every store can do: it keeps what is owed, and what the calls were told by Asterisk.

A store may be in this process's memory, in a file, or in a database that several bridges and
senders share: nothing here relies on a single process, on a local counter or on this
machine's clock. All times are handed in, as seconds since the epoch.

*Deliveries* stand in lanes: those of one leg to one destination, in the order in which they
were put. Only the oldest of a lane that is still owed can be claimed. *Stories* are the AMI
messages of calls that belong together, kept while one of their channels lives, so that a
bridge that starts again can read them again and know what it knew.
"""

import itertools
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Protocol, TypeVar

import attrs

from ami_bridge.core.breaker import Health
from ami_bridge.core.deliveries import Delivery
from ami_bridge.core.retry import Attempt, Verdict

from .looking import DeliveryState, Found, Kept, Tally, Wanted

__all__ = [
    "LONGEST_LEASE",
    "SET_BACK",
    "Changes",
    "Claims",
    "Delivery",
    "DeliveryState",
    "Found",
    "GivenUp",
    "Kept",
    "Outcome",
    "Pause",
    "Store",
    "StoryEntry",
    "Tally",
    "Wanted",
    "in_turn",
    "together",
]

Item = TypeVar("Item")

#: A clock is said to be set back when it shows so much less than before, in seconds.
SET_BACK = 60.0
#: No lease is longer, in seconds: one that ends later is from before the clock was set back.
LONGEST_LEASE = 7200.0


@attrs.frozen
class StoryEntry:
    """
    What one read of AMI bytes added to one story.
    """

    pbx: str
    #: Name of the story: the same for all its entries, unique in its PBX.
    story: str
    #: When the bytes came, in seconds since the epoch.
    time: float
    #: Whole AMI messages as on the wire, each with its blank line.
    messages: bytes = attrs.field(repr=False)
    #: How calls were understood then, as text; empty if that is not known.
    settings: str = attrs.field(default="", repr=False)


@attrs.frozen
class Changes:
    """
    What one read of AMI bytes led to: kept all or not at all.
    """

    #: When it happened.
    time: float
    deliveries: Sequence[Delivery] = ()
    entries: Sequence[StoryEntry] = ()
    #: Stories that are over, as pairs of PBX and story.
    ended: Sequence[tuple[str, str]] = ()
    #: Whether all channels of a PBX are known from now on, or it is left; by name.
    attached: Mapping[str, bool] = attrs.field(factory=dict)


def together(several: Sequence[Changes]) -> Changes:
    """
    Make one of *several*, in their order: what happened at last decides whether a story is over.
    """
    if len(several) == 1:
        return several[0]
    ended: dict[tuple[str, str], None] = {}
    attached: dict[str, bool] = {}
    for changes in several:
        attached.update(changes.attached)
        for entry in changes.entries:
            ended.pop((entry.pbx, entry.story), None)
        ended.update(dict.fromkeys(changes.ended))
    return Changes(
        several[-1].time,
        [delivery for changes in several for delivery in changes.deliveries],
        [entry for changes in several for entry in changes.entries],
        list(ended),
        attached,
    )


@attrs.frozen
class Claims:
    """
    What one call of `Store.claim` gave.
    """

    #: To be attempted now, and settled afterwards.
    deliveries: tuple[Delivery, ...]
    #: When to ask again even if nothing changes, if ever; destinations that have all they
    #: can take are not considered.
    next_due: float | None


@attrs.frozen
class Outcome:
    """
    What came of a claim.
    """

    delivery: Delivery
    #: None if there was none.
    attempt: Attempt | None
    verdict: Verdict


@attrs.frozen
class GivenUp:
    """
    A delivery that was given up, with everything that was tried.
    """

    delivery: Delivery
    reason: str
    time: float
    attempts: tuple[Attempt, ...] = ()


@attrs.frozen
class Pause:
    """
    A rule whose deliveries wait until somebody looks at it.
    """

    rule_id: str
    since: float
    reason: str


class Store(Protocol):
    """
    A store of deliveries and stories.

    Methods return when what they changed is kept, as durably as the store keeps anything.
    A store that is in trouble (a full disk, a locked file) does not raise: it goes on
    trying, and says so in `trouble`. Raises `StoreError` only where trying cannot help, and
    to those who only look (`find`, `look_up`, `tallies`, `entries`, `stories_naming`), who
    are not kept waiting.
    """

    @property
    def trouble(self) -> str:
        """
        Say why nothing can be kept at the moment; empty while all is well.
        """

    async def keep(self, changes: Changes) -> None:
        """
        Keep *changes*, all or none; deliveries whose ids are known already are left as they are.
        """

    async def claim(
        self, now: float, concurrency: int, taken: Mapping[str, int], lease_seconds: float
    ) -> Claims:
        """
        Claim what is due at *now*, the longest due first, for *lease_seconds*.

        No destination gets more than *concurrency* less the number it has in *taken*, no lane
        more than its oldest delivery, and nothing while any of its deliveries is claimed, and no
        paused rule anything. Destinations take turns in the result. A delivery that was claimed
        is the claimant's until it is settled or its lease ends; its `Delivery.attempts` is the
        number of the attempt, and tells a claim from an earlier one.
        """

    async def settle(self, outcomes: Sequence[Outcome]) -> None:
        """
        Write down what came of claimed deliveries, all or none.

        A claim that was settled before, or whose lease ended, settles nothing. None ends while
        what came of it is being written down, however long that takes.
        """

    async def give_up_expired(self, now: float, limit: int) -> int:
        """
        Give up at most *limit* deliveries that are out of time and not claimed; say how many.

        Those of paused rules are given up too.
        """

    async def waiting(self) -> dict[str, int]:
        """
        Count what is neither delivered nor given up, by destination; paused rules' too.
        """

    async def given_up(self, limit: int) -> list[GivenUp]:
        """
        Give the deliveries that were given up, the latest first.
        """

    async def send_again(self, ids: Sequence[str], now: float, expires: float) -> int:
        """
        Owe given-up deliveries once more, with a new time to live; say how many there were.

        Each is the youngest of its lane then. Its attempts are counted on.
        """

    async def hurry(self, ids: Sequence[str], now: float) -> int:
        """
        Let deliveries that wait for their next attempt be due at *now*; say how many.

        Those behind another one of their lane, and those that are being attempted, stay.
        """

    async def drop(self, ids: Sequence[str], reason: str, now: float) -> int:
        """
        Give up deliveries that are owed, for a *reason*; say how many there were.

        Those that are being attempted stay.
        """

    async def find(self, wanted: Wanted, limit: int, before: int | None = None) -> Found:
        """
        Find at most *limit* wanted deliveries, the latest first.

        *before* is the `Found.next` of the page before; it stays good while others are put.
        """

    async def look_up(self, one: str) -> Kept | None:
        """
        Give the delivery with the id *one*, with its attempts, if it is kept.
        """

    async def tallies(self) -> dict[str, Tally]:
        """
        Count what is owed and what was given up, by destination.
        """

    async def pause(self, rule_id: str, reason: str, now: float) -> None:
        """
        Keep back the deliveries of a rule, present and future, until `resume`.

        What stands behind them in their lanes goes on.
        """

    async def resume(self, rule_ids: Sequence[str]) -> None:
        """
        End the pauses of *rule_ids*: their deliveries can be claimed again.
        """

    async def paused(self) -> list[Pause]:
        """
        Give the rules that are paused.
        """

    async def health(self) -> dict[str, Health]:
        """
        Give what is remembered of destinations; those that are well may be missing.
        """

    async def remember_health(self, destination: str, health: Health) -> None:
        """
        Remember how a destination is.
        """

    async def attached(self, pbx: str) -> bool:
        """
        Tell whether all channels of *pbx* were known at any time, and it was not left since.
        """

    async def pbxs_with_stories(self) -> list[str]:
        """
        Name the PBXs of this bridge that have stories which are not over.
        """

    async def stories(self, pbx: str) -> list[StoryEntry]:
        """
        Give the entries of all stories of *pbx* that are not over, in the order they were kept.
        """

    async def entries(self, pbx: str, stories: Collection[str], limit: int) -> list[StoryEntry]:
        """
        Give the first *limit* entries of *stories*, which may be over, as far as they are kept.
        """

    async def stories_naming(self, pbx: str, texts: Collection[str], limit: int) -> list[str]:
        """
        Find stories in whose messages one of *texts* occurs; that may take its time.
        """

    async def prune(self, delivered_before: float, given_up_before: float, limit: int) -> int:
        """
        Delete at most *limit* rows that are older than wanted; say how many.

        *delivered_before* holds for what was delivered and for stories that are over.
        """

    def subscribe(self, wake: Callable[[], None]) -> None:
        """
        Have *wake* called, in the event loop's thread, whenever there is more to claim.
        """


def in_turn(lanes: Sequence[Sequence[Item]]) -> Iterator[Item]:
    """
    Let destinations take turns: the first of each, then the second of each, and so on.
    """
    for turn in itertools.zip_longest(*lanes):
        yield from (item for item in turn if item is not None)
