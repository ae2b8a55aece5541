"""
What every store promises where claims, pauses, leases and the clock meet.
"""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import attrs
import pytest

from ami_bridge.adapters.store import Changes, Outcome, Store, StoryEntry, together
from ami_bridge.adapters.stores import open_store
from ami_bridge.core.retry import Abandoned, Delivered, RetryAt, Verdict
from ami_bridge.settings import StoreSettings
from tests.unit.test_store import ATTEMPT, FAILED, claimed, delivery, names, put

_DAY = 86_400.0


@pytest.fixture(params=["a file", "memory"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    """
    Give each implementation in turn, empty.
    """
    path = tmp_path / "store.sqlite" if request.param == "a file" else None
    async with open_store(StoreSettings(path)) as made:
        yield made


async def test_two_claimants_at_once(store: Store) -> None:
    """
    Two who claim at the same moment never get the same delivery.
    """
    await put(store, *(delivery(str(number), leg=str(number)) for number in range(20)))

    both = await asyncio.gather(*(store.claim(1.0, 20, {}, 60.0) for _ in range(2)))

    got = [each.id for claims in both for each in claims.deliveries]
    assert len(got) == len(set(got)) == 20


async def test_destinations_take_turns(store: Store) -> None:
    """
    What was claimed for many destinations goes round among them, each one's oldest first.
    """
    await put(
        store,
        *(delivery(f"a{n}", leg=str(n), host="a", created=float(n)) for n in range(3)),
        *(delivery(f"b{n}", leg=str(n), host="b", created=float(n)) for n in range(3)),
    )

    assert names(await claimed(store, now=5.0)) == ["a0", "b0", "a1", "b1", "a2", "b2"]


async def test_a_late_answer_counts_no_more(store: Store) -> None:
    """
    A claim whose lease ended settles nothing; the delivery is claimed anew.
    """
    await put(store, delivery("one"))
    (one,) = await claimed(store)
    assert await claimed(store, now=100.0, a=100) == []

    await store.settle([Outcome(one, ATTEMPT, Delivered())])

    (again,) = await claimed(store, now=100.0)
    assert (again.id, again.attempts) == ("one", 2)


async def test_what_was_given_up_is_not_settled(store: Store) -> None:
    """
    An attempt that ends after its delivery was given up changes nothing.
    """
    await put(store, attrs.evolve(delivery("one"), expires=10.0))
    (one,) = await claimed(store)
    assert await store.give_up_expired(100.0, 10) == 1

    await store.settle([Outcome(one, FAILED, RetryAt(101.0, "answer 500"))])

    assert await store.waiting() == {}
    (given_up,) = await store.given_up(10)
    assert (given_up.time, given_up.attempts) == (100.0, ())


@pytest.mark.parametrize("order", ["claim first", "pause first"])
async def test_pausing_what_is_being_claimed(store: Store, order: str) -> None:
    """
    What a pause meets on its way is either attempted or kept back; the next waits for an attempt.
    """
    await put(store, delivery("one"), delivery("two", rule_id="other"))
    claim, pause = claimed(store), store.pause("rule", "answer 410", 0.0)

    if order == "claim first":
        got, _ = await asyncio.gather(claim, pause)
    else:
        _, got = await asyncio.gather(pause, claim)

    assert len(got + await claimed(store)) == 1


@pytest.mark.parametrize("order", ["claim first", "resume first"])
async def test_resuming_while_the_next_is_being_claimed(store: Store, order: str) -> None:
    """
    What comes back to the head of its lane is not attempted beside the one behind it.
    """
    await store.pause("rule", "answer 410", 0.0)
    await put(store, delivery("one"), delivery("two", rule_id="other"))
    claim, resume = claimed(store), store.resume(["rule"])

    if order == "claim first":
        got, _ = await asyncio.gather(claim, resume)
    else:
        _, got = await asyncio.gather(resume, claim)

    assert len(got + await claimed(store)) == 1


@pytest.mark.parametrize(
    "what", ["drop", "send again", "expire", "the same again", "pause", "hurry"]
)
async def test_nobody_comes_forward_beside_an_attempt(store: Store, what: str) -> None:
    """
    What came back before one that is being attempted waits for it, whatever is done to the lane.
    """
    third = attrs.evolve(delivery("third", rule_id="other"), expires=30.0)
    await put(store, delivery("dial", rule_id="gone"), delivery("hangup"), third)
    if what == "send again":
        await store.drop(["third"], "no", 1.0)
    await store.pause("gone", "answer 410", 1.0)
    (hangup,) = await claimed(store)
    await store.resume(["gone"])
    assert await claimed(store, now=2.0) == []

    match what:
        case "drop":
            assert await store.drop(["third"], "no", 2.0) == 1
        case "send again":
            assert await store.send_again(["third"], 2.0, 100.0) == 1
        case "expire":
            assert await store.give_up_expired(31.0, 10) == 1
        case "the same again":
            await put(store, delivery("dial", rule_id="gone"), delivery("fourth"))
        case "pause":
            await store.pause("other", "answer 410", 2.0)
        case _:
            await store.hurry(["dial", "hangup", "third"], 2.0)

    assert await claimed(store, now=32.0) == []
    await store.settle([Outcome(hangup, ATTEMPT, Delivered())])
    assert names(await claimed(store, now=32.0)) == ["dial"]


@pytest.mark.parametrize("comes_back", [False, True], ids=["in a pause", "after a pause"])
async def test_housekeeping_while_a_lease_ends(store: Store, *, comes_back: bool) -> None:
    """
    Who claims while somebody else notes that a lease is over gets what is right by then.
    """
    await put(store, delivery("dial", rule_id="gone"), delivery("hangup"))
    if comes_back:
        await store.pause("gone", "answer 410", 1.0)
        await claimed(store)
        await store.resume(["gone"])
    else:
        await claimed(store)
        await store.pause("gone", "answer 410", 1.0)

    _, got = await asyncio.gather(store.give_up_expired(100.0, 10), claimed(store, now=100.0))

    assert names(got) == ["dial" if comes_back else "hangup"]
    assert await claimed(store, now=100.0) == []


async def test_numbers_of_attempts_are_used_once(store: Store) -> None:
    """
    An attempt that outlives its claim and its delivery's time counts when that is sent again.
    """
    await put(store, delivery("one"))
    (late,) = await claimed(store)
    assert await store.give_up_expired(1000.0, 10) == 1
    assert await store.send_again(["one"], 1000.0, 2000.0) == 1
    await store.settle([Outcome(late, ATTEMPT, Delivered())])

    (again,) = await claimed(store, now=1001.0)

    assert (late.attempts, again.attempts) == (1, 2)


async def test_many_are_settled_at_once(store: Store) -> None:
    """
    Each outcome counts for its own delivery, and lets the next of its lane be claimed.
    """
    lanes = [str(number) for number in range(150)]
    await put(store, *(delivery(f"{turn} {leg}", leg=leg) for turn in "ab" for leg in lanes))
    first = await claimed(store, concurrency=200)
    verdicts: list[Verdict] = [Delivered(), Abandoned("answer 404"), RetryAt(500.0, "answer 500")]
    outcomes = [
        Outcome(one, ATTEMPT if number % 3 == 0 else FAILED, verdicts[number % 3])
        for number, one in enumerate(first)
    ]

    await store.settle(outcomes)

    assert names(first) == [f"a {leg}" for leg in lanes]
    going_on = [leg for number, leg in enumerate(lanes) if number % 3 != 2]
    assert sorted(names(await claimed(store, concurrency=200))) == sorted(
        f"b {leg}" for leg in going_on
    )
    given_up = await store.given_up(200)
    assert {one.delivery.leg for one in given_up} == set(lanes[1::3])
    assert {one.attempts for one in given_up} == {(FAILED,)}


async def test_what_was_dropped_meanwhile_is_not_delivered(store: Store) -> None:
    """
    Of those that are settled together some may be settled already: they stay as they are.
    """
    await put(store, delivery("gone"), delivery("one", leg="2"))
    first = await claimed(store, concurrency=2)
    assert await store.give_up_expired(1000.0, 10) == 2
    assert await store.send_again(["one"], 1000.0, 2000.0) == 1

    await store.settle([Outcome(each, ATTEMPT, Delivered()) for each in first])

    assert names(first) == ["gone", "one"]
    assert [one.delivery.id for one in await store.given_up(10)] == ["gone"]
    assert await store.waiting() == {"http://a:80": 1}


async def test_what_is_put_with_what_is_known(store: Store) -> None:
    """
    A lane whose first new delivery was known already begins with its second.
    """
    await put(store, delivery("one"))
    (one,) = await claimed(store)
    await store.settle([Outcome(one, ATTEMPT, Delivered())])

    await put(store, delivery("one"), delivery("two"), delivery("three"))

    assert names(await claimed(store, concurrency=10)) == ["two"]


@pytest.mark.parametrize(
    ("several", "over"),
    [
        ([("begin",), ("end",)], True),
        ([("end",), ("begin",)], False),
        ([("begin", "end"), ("begin",)], False),
        ([("end",), ("begin",), ("end",)], True),
    ],
    ids=str,
)
async def test_changes_kept_together(
    store: Store, several: list[tuple[str, ...]], *, over: bool
) -> None:
    """
    What several reads led to is kept as if one had been kept after the other.
    """
    entry = StoryEntry("pbx", "call", 1.0, b"Event: Newchannel\r\n\r\n")
    await store.keep(Changes(0.0, entries=[entry]))
    changes = [
        Changes(
            float(number),
            [delivery(f"{number}", leg=f"{number}")],
            [entry] if "begin" in words else [],
            [("pbx", "call")] if "end" in words else [],
        )
        for number, words in enumerate(several)
    ]

    await store.keep(together(changes))

    assert (await store.stories("pbx") == []) is over
    assert names(await claimed(store, concurrency=10)) == [
        str(number) for number in range(len(several))
    ]


async def test_only_the_oldest_is_tried_again(store: Store) -> None:
    """
    After a pause the older delivery comes first, also when a younger one was under way.
    """
    await put(store, delivery("dial", rule_id="gone"), delivery("hangup"))
    await store.pause("gone", "answer 410", 1.0)
    (hangup,) = await claimed(store)
    await store.resume(["gone"])
    assert await claimed(store) == []

    await store.settle([Outcome(hangup, FAILED, RetryAt(0.0, "answer 500"))])

    (dial,) = await claimed(store, now=2.0)
    assert dial.id == "dial"
    await store.settle([Outcome(dial, ATTEMPT, Delivered())])
    (hangup,) = await claimed(store, now=2.0)
    assert (hangup.id, hangup.attempts) == ("hangup", 2)


async def test_a_lease_that_ended_in_a_pause(store: Store) -> None:
    """
    What was under way when its rule was paused is not attempted again after its lease.
    """
    await put(store, delivery("dial", rule_id="gone"), delivery("hangup"))
    (dial,) = await claimed(store)
    await store.pause("gone", "answer 410", 1.0)

    assert names(await claimed(store, now=100.0)) == ["hangup"]

    await store.settle([Outcome(dial, FAILED, RetryAt(0.0, "answer 500"))])
    assert await store.waiting() == {"http://a:80": 2}
    assert await claimed(store, now=100.0) == []


async def test_a_lease_that_ended_after_a_pause(store: Store) -> None:
    """
    What was under way when somebody older came back into its lane is behind it after its lease.
    """
    await put(store, delivery("dial", rule_id="gone"), delivery("hangup"))
    await store.pause("gone", "answer 410", 1.0)
    assert names(await claimed(store)) == ["hangup"]
    await store.resume(["gone"])

    assert names(await claimed(store, now=100.0)) == ["dial"]


async def test_what_is_sent_again_may_be_paused(store: Store) -> None:
    """
    A delivery of a paused rule that is owed once more waits for the end of the pause, too.
    """
    await put(store, delivery("one", rule_id="gone"))
    (one,) = await claimed(store)
    await store.settle([Outcome(one, FAILED, Abandoned("answer 410", pauses_rule=True))])
    await store.pause("gone", "answer 410", 1.0)

    assert await store.send_again(["one", "one"], 2.0, 1000.0) == 1

    assert await claimed(store, now=3.0) == []
    assert await store.waiting() == {"http://a:80": 1}
    await store.resume(["gone"])
    (one,) = await claimed(store, now=3.0)
    assert (one.id, one.attempts) == ("one", 2)


async def test_sent_again_keeps_what_was_tried(store: Store) -> None:
    """
    What is given up for the second time tells of the attempts before the first, too.
    """
    await put(store, delivery("one"))
    for number in (1, 2):
        (one,) = await claimed(store, now=float(number))
        await store.settle(
            [Outcome(one, attrs.evolve(FAILED, number=one.attempts), Abandoned("answer 404"))]
        )
        if number == 1:
            await store.send_again(["one"], 2.0, 1000.0)

    (given_up,) = await store.given_up(10)
    assert [attempt.number for attempt in given_up.attempts] == [1, 2]


async def test_known_ids_do_not_keep_out_entries(store: Store) -> None:
    """
    What is kept beside a delivery that is known already is kept.
    """
    await put(store, delivery("one"))
    entry = StoryEntry("", "a", 1.0, b"1")

    await store.keep(Changes(1.0, [delivery("one"), delivery("two", leg="2")], [entry]))

    assert await store.stories("") == [entry]
    assert await store.waiting() == {"http://a:80": 2}


@pytest.mark.parametrize("hours", [0.05, 1, 24, 24 * 365])
async def test_clock_set_back_by_any_time(store: Store, hours: float) -> None:
    """
    What was put, or was to be tried again, before the clock was set back is due soon after.
    """
    now = 20_000 * _DAY
    await put(
        store, *(attrs.evolve(delivery(name, leg=name, created=now), expires=1e12) for name in "ab")
    )
    (first, second) = await claimed(store, now=now)
    await store.settle([Outcome(first, FAILED, RetryAt(now + 1800, "answer 500"))])
    await store.settle([Outcome(second, FAILED, RetryAt(now + 1800, "answer 500"))])
    await store.keep(Changes(now, [attrs.evolve(delivery("c", created=now), expires=1e12)]))

    assert sorted(names(await claimed(store, now=now - hours * 3600))) == ["a", "b", "c"]


async def test_next_due_after_the_clock_was_set_back(store: Store) -> None:
    """
    A retry that is judged after the clock was set back waits for its time, as always.
    """
    now = 20_000 * _DAY
    await put(store, attrs.evolve(delivery("one", created=now), expires=1e12))
    await claimed(store, now=now, a=100)
    (one,) = await claimed(store, now=now - _DAY)
    await store.settle([Outcome(one, FAILED, RetryAt(now - _DAY + 30, "answer 500"))])

    claims = await store.claim(now - _DAY + 1, 8, {}, 60.0)

    assert (claims.deliveries, claims.next_due) == ((), now - _DAY + 30)
