"""
What every store promises.
"""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from pathlib import Path
from typing import TypeVar

import attrs
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from ami_bridge.adapters.store import Changes, GivenUp, Outcome, Pause, Store, StoryEntry, together
from ami_bridge.adapters.stores import open_store
from ami_bridge.core.breaker import WELL, Health
from ami_bridge.core.call_events import EventType
from ami_bridge.core.deliveries import Delivery
from ami_bridge.core.requests import Request
from ami_bridge.core.retry import Abandoned, Attempt, Delivered, RetryAt, Verdict
from ami_bridge.core.rules import Method
from ami_bridge.settings import StoreSettings, Synchronous

Result = TypeVar("Result")

ATTEMPT = Attempt(1, 0.0, 0.1, 200)


FAILED = Attempt(1, 0.0, 0.1, 500, excerpt="oops")


@pytest.fixture(params=["a file", "memory"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    """
    Give each implementation in turn, empty.
    """
    path = tmp_path / "store.sqlite" if request.param == "a file" else None
    async with open_store(StoreSettings(path)) as made:
        yield made


async def put(store: Store, *deliveries: Delivery) -> None:
    """
    Have *deliveries* kept.
    """
    await store.keep(Changes(0.0, deliveries))


def delivery(
    name: str, leg: str = "leg", host: str = "a", created: float = 0.0, rule_id: str = "rule"
) -> Delivery:
    """
    Make a delivery called *name*.
    """
    return Delivery(
        id=name,
        rule_id=rule_id,
        event=EventType.DIAL_IN,
        extension="0001*201",
        call_id="1",
        leg=leg,
        destination=f"http://{host}:80",
        request=Request(Method.GET, f"http://{host}/"),
        created=created,
        expires=created + 1000,
    )


async def claimed(
    store: Store, now: float = 0.0, concurrency: int = 100, **busy: int
) -> list[Delivery]:
    """
    Claim what is due; *busy* counts by host.
    """
    counts = {f"http://{host}:80": count for host, count in busy.items()}
    return list((await store.claim(now, concurrency, counts, 60.0)).deliveries)


def names(deliveries: Sequence[Delivery]) -> list[str]:
    """
    Give the ids of *deliveries*.
    """
    return [each.id for each in deliveries]


# -- the contract ----------------------------------------------------------------------


async def test_what_is_put_can_be_claimed_once(store: Store) -> None:
    """
    A delivery is claimed by one claimant, whose attempt it is.
    """
    await put(store, delivery("one"))

    first = await claimed(store)
    again = await claimed(store)

    assert names(first) == ["one"]
    assert first[0].attempts == 1
    assert again == []


async def test_same_id_is_one_delivery(store: Store) -> None:
    """
    The same notification found twice is one: waiting, claimed or delivered long ago.
    """
    await put(store, delivery("one"), delivery("one", leg="other"))
    (one,) = await claimed(store)
    await put(store, delivery("one"))
    assert await claimed(store) == []

    await store.settle([Outcome(one, ATTEMPT, Delivered())])
    await put(store, delivery("one"))

    assert await claimed(store) == []
    assert await store.waiting() == {}


@pytest.mark.parametrize("verdict", [Delivered(), Abandoned("answer 404")])
async def test_the_next_of_a_leg_waits(store: Store, verdict: Delivered | Abandoned) -> None:
    """
    A leg's next delivery can be claimed when the one before was delivered or given up.
    """
    await put(store, delivery("dial"), delivery("hangup"))

    (dial,) = await claimed(store)
    assert names([dial]) == ["dial"]
    assert await claimed(store) == []
    await store.settle([Outcome(dial, ATTEMPT, verdict)])

    assert names(await claimed(store)) == ["hangup"]


async def test_order_is_by_leg_and_destination(store: Store) -> None:
    """
    Neither another leg nor the same leg's other destination waits.
    """
    await put(
        store, delivery("one"), delivery("two"), delivery("b", host="b"), delivery("leg2", leg="2")
    )

    assert sorted(names(await claimed(store))) == ["b", "leg2", "one"]


async def test_retry(store: Store) -> None:
    """
    What is to be tried again is claimed at its time, not before, and holds its leg back.
    """
    await put(store, delivery("dial"), delivery("hangup"))
    (dial,) = await claimed(store)

    await store.settle([Outcome(dial, ATTEMPT, RetryAt(5.0, "answer 500"))])

    claims = await store.claim(4.9, 100, {}, 60.0)
    assert (claims.deliveries, claims.next_due) == ((), 5.0)
    (again,) = await claimed(store, now=5.0)
    assert (again.id, again.attempts) == ("dial", 2)


async def test_a_claim_settles_once(store: Store) -> None:
    """
    An old claim of a delivery that was claimed again since then settles nothing.
    """
    await put(store, delivery("one"))
    (old,) = await claimed(store)
    await store.settle([Outcome(old, ATTEMPT, RetryAt(0.0, "answer 500"))])
    await store.settle([Outcome(old, ATTEMPT, Delivered())])
    assert await store.waiting() == {"http://a:80": 1}

    (current,) = await claimed(store)
    await store.settle([Outcome(old, ATTEMPT, Delivered())])
    assert await store.waiting() == {"http://a:80": 1}

    await store.settle([Outcome(current, ATTEMPT, Delivered())])
    assert await store.waiting() == {}


async def test_a_lease_ends(store: Store) -> None:
    """
    What a claimant never settled can be claimed again after its lease, and by then only so.
    """
    await put(store, delivery("dial"), delivery("hangup"))
    (lost,) = await claimed(store)
    assert await claimed(store, now=59.9) == []

    (again,) = await claimed(store, now=60.0)
    await store.settle([Outcome(lost, ATTEMPT, Delivered())])

    assert (again.id, again.attempts) == ("dial", 2)
    assert await store.waiting() == {"http://a:80": 2}


@pytest.mark.parametrize(
    ("busy", "expected"),
    [
        pytest.param({}, ["a0", "a1", "b0", "b1"], id="all slots free"),
        pytest.param({"a": 1}, ["a0", "b0", "b1"], id="one slot taken"),
        pytest.param({"a": 2}, ["b0", "b1"], id="all slots of one taken"),
        pytest.param({"a": 5, "b": 5}, [], id="more than all taken"),
    ],
)
async def test_slots(store: Store, busy: dict[str, int], expected: list[str]) -> None:
    """
    No destination gets more than its free slots, and none takes another's.
    """
    await put(
        store, *[delivery(f"{host}{n}", leg=str(n), host=host) for n in range(5) for host in "ab"]
    )

    assert sorted(names(await claimed(store, concurrency=2, **busy))) == expected


async def test_longest_due_first(store: Store) -> None:
    """
    Of one destination, what has been due for longest is claimed first.
    """
    await put(store, delivery("young", leg="2", created=2.0), delivery("old", leg="1"))

    assert names(await claimed(store, now=3.0, concurrency=1)) == ["old"]
    assert names(await claimed(store, now=3.0, concurrency=2, a=1)) == ["young"]


async def test_next_due_is_that_of_free_slots(store: Store) -> None:
    """
    A destination without a free slot gives no reason to ask again before something changes.
    """
    await put(store, delivery("one", leg="1"), delivery("two", leg="2"))

    claims = await store.claim(1.0, 1, {}, 60.0)

    assert len(claims.deliveries) == 1
    assert claims.next_due is None


async def test_subscribers_are_woken(store: Store) -> None:
    """
    Whoever subscribed hears of what is put, and of a leg that may go on.
    """
    woken: list[str] = []
    store.subscribe(lambda: woken.append("x"))

    await put(store, delivery("one"), delivery("two"))
    assert woken
    woken.clear()
    (one,) = await claimed(store)
    await store.settle([Outcome(one, ATTEMPT, Delivered())])

    assert woken


async def test_given_up_is_kept(store: Store) -> None:
    """
    What was given up can be looked at, with its reason and all that was tried.
    """
    await put(store, delivery("one"))
    for number in (1, 2):
        (one,) = await claimed(store)
        failed = attrs.evolve(FAILED, number=number, began=float(number))
        verdict = RetryAt(0.0, "answer 500") if number == 1 else Abandoned("answer 404")
        await store.settle([Outcome(one, failed, verdict)])

    (given_up,) = await store.given_up(10)
    assert (given_up.delivery.id, given_up.reason) == ("one", "answer 404")
    assert [(attempt.number, attempt.status) for attempt in given_up.attempts] == [
        (1, 500),
        (2, 500),
    ]
    assert given_up.attempts[0].excerpt == "oops"


async def test_given_up_can_be_sent_again(store: Store) -> None:
    """
    What is sent again is the youngest of its lane, with a new time to live.
    """
    await put(store, delivery("one"), delivery("two"), delivery("three"))
    (one,) = await claimed(store)
    await store.settle([Outcome(one, None, Abandoned("no"))])

    assert await store.send_again(["one", "two", "unknown"], 50.0, 2000.0) == 1

    assert await store.given_up(10) == []
    order = []
    while batch := await claimed(store, now=60.0):
        (each,) = batch
        order.append((each.id, each.expires))
        await store.settle([Outcome(each, ATTEMPT, Delivered())])
    assert order == [("two", 1000.0), ("three", 1000.0), ("one", 2000.0)]


async def test_expired_deliveries_are_given_up(store: Store) -> None:
    """
    What is out of time is given up, oldest or not; what is being attempted is left alone.
    """
    short = attrs.evolve(delivery("short"), expires=10.0)
    await put(store, delivery("long"), short, attrs.evolve(short, id="claimed", leg="2"))
    await claimed(store)

    assert await store.give_up_expired(9.9, 100) == 0
    assert await store.give_up_expired(10.0, 100) == 1

    (given_up,) = await store.given_up(10)
    assert (given_up.delivery.id, given_up.reason) == ("short", "its time to live ran out")


async def test_expired_deliveries_let_their_lane_go_on(store: Store) -> None:
    """
    Whatever stands behind a delivery that is out of time can be claimed.
    """
    await put(store, attrs.evolve(delivery("dial"), expires=10.0), delivery("hangup"))

    assert await store.give_up_expired(10.0, 1) == 1

    assert names(await claimed(store, now=10.0)) == ["hangup"]


# -- rules and destinations ------------------------------------------------------------


async def test_paused_rule(store: Store) -> None:
    """
    Nothing of a paused rule is claimed, old or new, and nothing stands behind it.
    """
    await put(store, delivery("dial", rule_id="gone"), delivery("hangup"))
    await store.pause("gone", "answer 410", 5.0)
    await put(store, delivery("late", leg="2", rule_id="gone"), delivery("other", leg="2"))

    assert sorted(names(await claimed(store))) == ["hangup", "other"]
    assert await store.paused() == [Pause("gone", 5.0, "answer 410")]
    assert await store.waiting() == {"http://a:80": 4}


async def test_resumed_rule(store: Store) -> None:
    """
    After the pause a rule's deliveries take their old places again.
    """
    await put(store, delivery("dial", rule_id="gone"), delivery("hangup"))
    await store.pause("gone", "answer 410", 5.0)

    await store.resume(["gone"])

    assert await store.paused() == []
    (dial,) = await claimed(store)
    assert dial.id == "dial"
    await store.settle([Outcome(dial, ATTEMPT, Delivered())])
    assert names(await claimed(store)) == ["hangup"]


async def test_resumed_rule_hastens_no_retry(store: Store) -> None:
    """
    What waits for its next attempt goes on waiting when something younger comes back behind it.
    """
    await put(store, delivery("dial"), delivery("hangup", rule_id="gone"))
    (dial,) = await claimed(store)
    await store.settle([Outcome(dial, FAILED, RetryAt(9.0, "answer 500"))])
    await store.pause("gone", "answer 410", 5.0)

    await store.resume(["gone"])

    claims = await store.claim(8.9, 100, {}, 60.0)
    assert (claims.deliveries, claims.next_due) == ((), 9.0)


async def test_a_pause_takes_hold_of_what_is_under_way(store: Store) -> None:
    """
    What was claimed before the pause is kept back when it is to be tried again.
    """
    await put(store, delivery("dial", rule_id="gone"), delivery("hangup"))
    (dial,) = await claimed(store)
    await store.pause("gone", "answer 410", 5.0)
    assert await claimed(store) == []

    await store.settle([Outcome(dial, FAILED, RetryAt(1.0, "answer 500"))])

    assert names(await claimed(store, now=2.0)) == ["hangup"]


async def test_health_is_remembered(store: Store) -> None:
    """
    How destinations are is known again; of one that is well nothing is.
    """
    ill = Health(6, 12.5, "refused")
    await store.remember_health("http://a:80", Health(5, 10.0, "refused"))
    await store.remember_health("http://a:80", ill)
    await store.remember_health("http://b:80", ill)
    await store.remember_health("http://b:80", WELL)

    assert await store.health() == {"http://a:80": ill}


# -- stories ---------------------------------------------------------------------------


async def test_stories_are_read_in_order(store: Store) -> None:
    """
    Entries of the stories that are not over come back as they were kept, by PBX.
    """
    one, two, other = (
        StoryEntry("", "a", 1.0, b"1"),
        StoryEntry("", "b", 2.0, b"2"),
        StoryEntry("east", "a", 3.0, b"3"),
    )
    again = StoryEntry("", "a", 4.0, b"4")
    await store.keep(Changes(1.0, entries=[one, two, other]))
    await store.keep(Changes(4.0, entries=[again], ended=[("", "b")]))

    assert await store.stories("") == [one, again]
    assert await store.stories("east") == [other]


async def test_pbxs_that_have_stories(store: Store) -> None:
    """
    PBXs are named that have a story which is not over, whatever their names.
    """
    told = [StoryEntry(pbx, "a", 1.0, b"1") for pbx in ("west", "", "east", "west")]
    assert await store.pbxs_with_stories() == []
    await store.keep(Changes(1.0, entries=told))
    assert await store.pbxs_with_stories() == ["", "east", "west"]
    await store.keep(Changes(2.0, ended=[("east", "a")]))

    assert await store.pbxs_with_stories() == ["", "west"]


async def test_attached(store: Store) -> None:
    """
    A PBX is known from when its channels are until it is left.
    """
    for known in ({"": True}, {"": True}, {"east": False}):
        await store.keep(Changes(1.0, attached=known))
    assert [await store.attached(pbx) for pbx in ("", "east")] == [True, False]

    await store.keep(together([Changes(2.0, attached={"": known}) for known in (True, False)]))

    assert not await store.attached("")


async def test_settings_of_then(store: Store) -> None:
    """
    Each entry has the settings by which calls were understood when it was kept.
    """
    told = [StoryEntry("", "a", float(n), b"", text) for n, text in enumerate(("x", "y", "x", ""))]
    for entries in (told[:2], told[2:]):
        await store.keep(Changes(1.0, entries=entries))

    assert await store.stories("") == told


async def test_prune(store: Store) -> None:
    """
    What was given up is deleted when it is older than wanted, so much at once; no more.
    """
    failing = ("one", "two", "three")
    await put(store, *(delivery(name, leg=name) for name in (*failing, "waits")))
    for each in await claimed(store):
        if each.id in failing:
            await store.settle([Outcome(each, attrs.evolve(ATTEMPT, began=7.0), Abandoned("no"))])

    assert [await store.prune(0.0, before, 2) for before in (7.0, 8.0, 8.0, 8.0)] == [0, 2, 1, 0]

    assert await store.given_up(10) == []
    assert await store.waiting() == {"http://a:80": 1}


# -- clocks ----------------------------------------------------------------------------


async def test_clock_set_back(store: Store) -> None:
    """
    What was due, or leased, by a clock that was a day ahead is not stuck for that day.
    """
    day = 86_400.0
    await put(store, delivery("one", created=10 * day), delivery("two", leg="2", created=10 * day))
    (one, _) = await claimed(store, now=10 * day)
    await store.settle([Outcome(one, FAILED, RetryAt(10 * day + 30, "answer 500"))])

    assert len(await claimed(store, now=8 * day)) == 2


async def test_clock_set_forward(store: Store) -> None:
    """
    What was due is due all the more; a lease that ended is nobody's any more.
    """
    await put(store, delivery("one"))
    await claimed(store)

    assert names(await claimed(store, now=86_400.0)) == ["one"]


class StoreLife(RuleBasedStateMachine):
    """
    Both stores, under any one sequence of what is done to them, and what they owe by then.
    """

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.folder = tempfile.TemporaryDirectory()
        path = Path(self.folder.name) / "store.sqlite"
        self.contexts = [
            open_store(StoreSettings(path, Synchronous.NORMAL)),
            open_store(StoreSettings()),
        ]
        self.stores = [self.runner.run(context.__aenter__()) for context in self.contexts]
        self.now = 0.0
        self.owed: list[Delivery] = []
        self.given_up: list[Delivery] = []
        self.claims: list[Delivery] = []
        #: Number of the last attempt, if it is not settled, and its lease's end; by delivery.
        self.leases: dict[str, tuple[int, float]] = {}
        self.paused: set[str] = set()

    def both(self, work: Callable[[Store], Coroutine[object, None, Result]]) -> Result:
        """
        Do *work* to both; whatever comes of it is the same.
        """
        one, other = (self.runner.run(work(store)) for store in self.stores)
        assert one == other
        return one

    @rule(
        leg=st.sampled_from("xy"),
        host=st.sampled_from("ab"),
        rule_id=st.sampled_from(["one", "two"]),
        lifetime=st.sampled_from([30, 1000, 1000]),
    )
    def put(self, leg: str, host: str, rule_id: str, lifetime: float) -> None:
        """
        Owe one more, which may not be worth sending for long.
        """
        new = delivery(str(self.now), leg, host, self.now, rule_id)
        new = attrs.evolve(new, expires=self.now + lifetime)
        self.now += 1
        self.both(lambda store: put(store, new))
        self.owed.append(new)

    @precondition(lambda self: self.owed or self.given_up)
    @rule(index=st.integers(0, 20))
    def put_again(self, index: int) -> None:
        """
        What is known already is found once more.
        """
        known = [*self.owed, *self.given_up]
        self.both(lambda store: put(store, known[index % len(known)]))

    @rule(concurrency=st.integers(1, 3), busy=st.integers(0, 1))
    def claim(self, concurrency: int, busy: int) -> None:
        """
        Claim what is due: only the oldest owed of a leg and destination, and nothing paused or
        beside an attempt.
        """

        async def work(store: Store) -> tuple[list[Delivery], float | None]:
            claims = await store.claim(self.now, concurrency, {"http://a:80": busy}, 60.0)
            # Which destination is the first is open.
            return sorted(claims.deliveries, key=lambda each: each.destination), claims.next_due

        for each in self.both(work)[0]:
            lane = [
                owed.id
                for owed in self.owed
                if (owed.leg, owed.destination) == (each.leg, each.destination)
                and owed.rule_id not in self.paused
            ]
            assert lane[0] == each.id
            assert all(
                (other.leg, other.destination) != (each.leg, each.destination)
                for other in self.under_way()
            )
            self.claims.append(each)
            self.leases[each.id] = each.attempts, self.now + 60

    @precondition(lambda self: self.claims)
    @rule(index=st.integers(0, 9), verdict=st.sampled_from(["done", "retry", "give up"]))
    def settle(self, index: int, verdict: str) -> None:
        """
        Settle some claim in some way, perhaps one that somebody else has by now.
        """
        each = self.claims[index % len(self.claims)]
        later = RetryAt(self.now + index, "no")
        verdicts: dict[str, Verdict] = {
            "done": Delivered(),
            "retry": later,
            "give up": Abandoned("no"),
        }
        attempt = ATTEMPT if verdict == "done" else FAILED
        # Only by claiming, or giving up what is out of time, is it noted that a lease is over.
        self.claim(0, 0)
        counts = each in self.under_way()
        self.claims.remove(each)
        self.both(lambda store: store.settle([Outcome(each, attempt, verdicts[verdict])]))
        if counts:
            del self.leases[each.id]
            if verdict != "retry":
                self._is_over({each.id}, kept=verdict == "give up")

    def under_way(self) -> list[Delivery]:
        """
        Give the claims that nobody has settled, and that are in force.
        """
        return [
            one
            for one in self.claims
            if one.id in self.leases
            and self.leases[one.id][0] == one.attempts
            and self.now < self.leases[one.id][1]
        ]

    def _is_over(self, ids: set[str], *, kept: bool) -> None:
        if kept:
            self.given_up += [owed for owed in self.owed if owed.id in ids]
        self.owed = [owed for owed in self.owed if owed.id not in ids]
        self.claims = [claim for claim in self.claims if claim.id not in ids]

    @rule(seconds=st.integers(1, 40))
    def wait(self, seconds: int) -> None:
        """
        Let time pass: leases end in it.
        """
        self.now += seconds

    @rule(rule_id=st.sampled_from(["one", "two"]))
    def pause(self, rule_id: str) -> None:
        """
        Keep back what a rule owes.
        """
        self.both(lambda store: store.pause(rule_id, "answer 410", self.now))
        self.paused.add(rule_id)

    @rule(rule_ids=st.sets(st.sampled_from(["one", "two"])))
    def resume(self, rule_ids: set[str]) -> None:
        """
        Let it be sent again.
        """
        self.both(lambda store: store.resume(sorted(rule_ids)))
        self.paused -= rule_ids

    @rule()
    def expire(self) -> None:
        """
        Give up what is out of time, but for what is being attempted.
        """
        before = {each.delivery.id for each in self.shown()}
        count = self.both(lambda store: store.give_up_expired(self.now, 100))
        expired = {each.delivery.id for each in self.shown()} - before
        assert count == len(expired)
        assert all(owed.expires <= self.now for owed in self.owed if owed.id in expired)
        self._is_over(expired, kept=True)

    @precondition(lambda self: self.owed)
    @rule(index=st.integers(0, 9))
    def drop(self, index: int) -> None:
        """
        Give up what is owed, but for what is being attempted.
        """
        dropped = self.owed[index % len(self.owed)].id
        is_free = all(each.id != dropped for each in self.under_way())
        count = self.both(lambda store: store.drop([dropped], "no", self.now))
        assert count == is_free
        if is_free:
            self._is_over({dropped}, kept=True)

    @precondition(lambda self: self.given_up)
    @rule(index=st.integers(0, 9))
    def send_again(self, index: int) -> None:
        """
        Owe once more what was given up.
        """
        again = self.given_up.pop(index % len(self.given_up))
        expires = self.now + 1000
        assert self.both(lambda store: store.send_again([again.id], self.now, expires)) == 1
        self.owed.append(attrs.evolve(again, expires=expires))

    @rule(age=st.integers(0, 50))
    def prune(self, age: int) -> None:
        """
        Forget what was given up long ago; nothing was delivered then.
        """
        self.both(lambda store: store.prune(-1.0, self.now - age, 100))
        kept = {each.delivery.id for each in self.shown()}
        self.given_up = [each for each in self.given_up if each.id in kept]

    def shown(self) -> list[GivenUp]:
        """
        Give what was given up; how often an attempt was begun in vain is not compared.
        """

        async def work(store: Store) -> list[GivenUp]:
            return [
                attrs.evolve(each, delivery=attrs.evolve(each.delivery, attempts=0))
                for each in await store.given_up(100)
            ]

        return self.both(work)

    @invariant()
    def nothing_is_lost(self) -> None:
        """
        What is owed waits, neither more nor less.
        """
        assert sum(self.both(lambda store: store.waiting()).values()) == len(self.owed)
        assert {each.delivery.id for each in self.shown()} == {each.id for each in self.given_up}

    def teardown(self) -> None:
        """
        Everything that is owed can be delivered in the end, in its order.
        """
        try:
            self.resume({"one", "two"})
            self.now += 100
            while self.claims:
                self.settle(0, "done")
            self.claim(100, 0)
            while self.claims:
                self.settle(0, "done")
                self.claim(100, 0)
            assert self.owed == []
        finally:
            for context in self.contexts:
                self.runner.run(context.__aexit__(None, None, None))
            self.runner.close()
            self.folder.cleanup()


def test_any_life_of_a_store() -> None:
    """
    Whatever happens in whatever order: nothing is lost, no leg is out of order, and both
    stores do the same.
    """
    run_state_machine_as_test(StoreLife, settings=settings(max_examples=40, deadline=None))
