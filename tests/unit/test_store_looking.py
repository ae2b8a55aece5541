"""
What every store shows of its deliveries and stories, and what operators can do to them.
"""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import attrs
import pytest

from ami_bridge.adapters.store import (
    Changes,
    DeliveryState,
    Found,
    Kept,
    Outcome,
    Store,
    StoryEntry,
    Tally,
    Wanted,
)
from ami_bridge.adapters.stores import open_store
from ami_bridge.core.call_events import EventType
from ami_bridge.core.deliveries import Delivery
from ami_bridge.core.requests import Request
from ami_bridge.core.retry import Abandoned, Attempt, Delivered, RetryAt
from ami_bridge.core.rules import ExtensionPattern, Method
from ami_bridge.errors import StoreError
from ami_bridge.settings import StoreSettings

A, B = "http://a:80", "http://b:80"
WELL = Attempt(1, 20.0, 0.5, 204)
FAILED = Attempt(1, 20.0, 0.5, 500, excerpt="oops")


@pytest.fixture(params=["a file", "memory"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    """
    Give each implementation in turn, empty.
    """
    path = tmp_path / "st#re?.sqlite" if request.param == "a file" else None
    async with open_store(StoreSettings(path)) as made:
        yield made


def delivery(name: str, **facts: object) -> Delivery:
    """
    Make a delivery called *name*, of a leg of its own.
    """
    usual = Delivery(
        id=name,
        rule_id="rule",
        event=EventType.DIAL_IN,
        extension="0003*001",
        call_id="1.1",
        leg=name,
        destination=A,
        request=Request(Method.POST, "http://a/", {"X-One": "1"}, b"body"),
        created=10.0,
        expires=1000.0,
    )
    return attrs.evolve(usual, **facts)  # type: ignore[arg-type]


async def put(store: Store, *deliveries: Delivery) -> None:
    """
    Have *deliveries* kept.
    """
    await store.keep(Changes(10.0, deliveries))


async def attempted(
    store: Store, attempt: Attempt | None, verdict: Delivered | RetryAt | Abandoned, now: float
) -> None:
    """
    Claim the one that is due, and settle it.
    """
    [claimed] = (await store.claim(now, 1, {}, 60.0)).deliveries
    await store.settle([Outcome(claimed, attempt, verdict)])


def names(found: Found) -> list[str]:
    """
    Give the ids of what was *found*.
    """
    return [kept.delivery.id for kept in found.deliveries]


async def seen(store: Store, name: str) -> Kept:
    """
    Look up what has to be there.
    """
    kept = await store.look_up(name)
    assert kept is not None
    return kept


# -- looking ---------------------------------------------------------------------------


async def test_what_waits(store: Store) -> None:
    """
    Of what waits the first of a lane tells when it is due, and those behind it do not.
    """
    await put(store, delivery("one"), delivery("two", leg="one", event=EventType.HANGUP))

    [two, one] = (await store.find(Wanted(), 10)).deliveries

    assert (one.delivery, one.state, one.due) == (delivery("one"), DeliveryState.WAITING, 10.0)
    assert (two.state, two.due, two.settled) == (DeliveryState.WAITING, None, None)


async def test_what_was_delivered(store: Store) -> None:
    """
    Of what was delivered the answer, its time and the failures before it are told.
    """
    await put(store, delivery("one"))
    await attempted(store, FAILED, RetryAt(30.0, "answer 500"), 10.0)
    await attempted(store, attrs.evolve(WELL, number=2, began=31.0), Delivered(), 30.0)

    one = await seen(store, "one")

    assert (one.state, one.status, one.seconds) == (DeliveryState.DELIVERED, 204, 0.5)
    assert (one.settled, one.due, one.tried) == (31.5, None, (FAILED,))
    assert one.delivery.attempts == 2


async def test_what_was_given_up(store: Store) -> None:
    """
    Of what was given up the reason and all attempts are told.
    """
    await put(store, delivery("one"))
    await attempted(store, FAILED, Abandoned("answer 500"), 10.0)

    one = await seen(store, "one")

    assert (one.state, one.reason, one.settled) == (DeliveryState.GIVEN_UP, "answer 500", 20.5)
    assert one.tried == (FAILED,)
    assert (await store.find(Wanted(), 1)).deliveries == (attrs.evolve(one, tried=()),)


async def test_what_is_paused(store: Store) -> None:
    """
    What the pause of its rule keeps back is told apart from what waits.
    """
    await put(store, delivery("one"), delivery("two", rule_id="other"))
    await store.pause("rule", "answer 410", 11.0)

    assert (await seen(store, "one")).state is DeliveryState.PAUSED
    assert names(await store.find(Wanted([DeliveryState.PAUSED]), 10)) == ["one"]


async def test_what_nobody_knows(store: Store) -> None:
    """
    There is nothing to tell of an id that was never kept.
    """
    assert await store.look_up("one") is None
    assert await store.find(Wanted(), 10) == Found((), None)


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        pytest.param(Wanted(), "abcde", id="all"),
        pytest.param(Wanted(destination=B), "b", id="destination"),
        pytest.param(Wanted(call_id="2.2"), "c", id="call"),
        pytest.param(Wanted(event=EventType.HANGUP), "d", id="event"),
        pytest.param(Wanted(rule_id="other"), "e", id="rule"),
        pytest.param(Wanted(legs=["b", "e", "f"]), "be", id="legs"),
        pytest.param(Wanted(legs=[]), "", id="no leg"),
        pytest.param(Wanted(since=11.0), "bcde", id="since"),
        pytest.param(Wanted(until=12.0), "ab", id="until"),
        pytest.param(Wanted(since=11.0, until=13.0), "bc", id="between"),
        pytest.param(Wanted([DeliveryState.DELIVERED]), "", id="state"),
        pytest.param(Wanted([]), "", id="no state"),
        pytest.param(Wanted(call_id="' OR 1"), "", id="quotes"),
        pytest.param(
            Wanted([DeliveryState.WAITING], B, (ExtensionPattern("*"),), "1.1"), "b", id="several"
        ),
    ],
)
async def test_filters(store: Store, wanted: Wanted, expected: str) -> None:
    """
    Only what has all that is wanted is found.
    """
    await put(
        store,
        delivery("a"),
        delivery("b", created=11.0, destination=B),
        delivery("c", created=12.0, call_id="2.2"),
        delivery("d", created=13.0, event=EventType.HANGUP),
        delivery("e", created=14.0, rule_id="other"),
    )

    assert names(await store.find(wanted, 10)) == sorted(expected, reverse=True)


@pytest.mark.parametrize(
    "texts",
    [
        ("*",),
        ("0003*",),
        ("0003*001",),
        ("0003*2*",),
        ("0003*20?",),
        ("0003**",),
        ("0003*[2]01",),
        ("a[b]?*1",),
        ("0003*001", "0004*"),
        (),
    ],
)
async def test_extensions(store: Store, texts: tuple[str, ...]) -> None:
    """
    Patterns of extensions mean in a store what they mean in the rules.
    """
    extensions = ["0003*001", "0003*201", "0003*2", "0003*", "0004*001", "00030001", "0003*[2]01"]
    extensions += ["a[b]?*1", "ab?*1", "a[b]c*1"]
    await put(store, *(delivery(f"{one}!", extension=one) for one in extensions))
    patterns = tuple(ExtensionPattern(text) for text in texts)

    found = names(await store.find(Wanted(extensions=patterns), 100))

    meant = [one for one in extensions if any(pattern.matches(one) for pattern in patterns)]
    assert found == [f"{one}!" for one in reversed(meant)]


async def test_many_patterns(store: Store) -> None:
    """
    Any number of patterns can be asked for at once.
    """
    await put(store, delivery("one"), delivery("two", extension="0004*001"))
    patterns = tuple(ExtensionPattern(f"0004*{number:03}") for number in range(3000))

    assert names(await store.find(Wanted(extensions=patterns), 10)) == ["two"]


async def test_pages(store: Store) -> None:
    """
    Pages hold everything once, the latest first, also when more comes between them.
    """
    await put(store, *(delivery(f"{number:02}") for number in range(25)))

    first = await store.find(Wanted(), 10)
    await put(store, delivery("late"))
    second = await store.find(Wanted(), 10, first.next)
    third = await store.find(Wanted(), 10, second.next)

    pages = names(first) + names(second) + names(third)
    assert pages == [f"{number:02}" for number in reversed(range(25))]
    assert (len(third.deliveries), third.next) == (5, None)


async def test_pages_of_several_states(store: Store) -> None:
    """
    Deliveries of several states stand in one order.
    """
    await put(store, *(delivery(f"{number}", rule_id=f"{number % 2}") for number in range(8)))
    await attempted(store, WELL, Delivered(), 10.0)
    await store.pause("1", "answer 410", 11.0)

    first = await store.find(Wanted(), 3)
    rest = await store.find(Wanted(), 10, first.next)

    assert names(first) + names(rest) == list("76543210")


async def test_tallies(store: Store) -> None:
    """
    What waits, is paused and was given up is counted by destination, with the oldest's age.
    """
    await put(store, delivery("a"), delivery("b", created=12.0), delivery("d", created=13.0))
    await attempted(store, FAILED, Abandoned("answer 500"), 12.0)
    await put(store, delivery("c", created=11.0, destination=B, rule_id="other"))
    await store.pause("other", "answer 410", 11.0)

    tallies = await store.tallies()

    assert tallies == {
        A: Tally(waiting=2, given_up=1, oldest_waiting=12.0),
        B: Tally(paused=1),
    }


# -- steering --------------------------------------------------------------------------


async def test_dropping(store: Store) -> None:
    """
    What is dropped is given up for the reason told, lets its lane go on, and can be sent again.
    """
    await put(store, delivery("one"), delivery("two", leg="one"), delivery("three"))

    assert await store.drop(["one", "nobody"], "dropped by hand", 15.0) == 1

    one = await seen(store, "one")
    assert (one.state, one.reason, one.settled) == (DeliveryState.GIVEN_UP, "dropped by hand", 15.0)
    claims = await store.claim(15.0, 10, {}, 60.0)
    assert {claimed.id for claimed in claims.deliveries} == {"two", "three"}
    assert await store.send_again(["one"], 16.0, 100.0) == 1


async def test_dropping_what_is_paused(store: Store) -> None:
    """
    What is kept back can be dropped, too.
    """
    await put(store, delivery("one"))
    await store.pause("rule", "answer 410", 11.0)

    assert await store.drop(["one"], "dropped by hand", 15.0) == 1
    assert (await store.tallies())[A] == Tally(given_up=1)


async def test_dropping_what_is_under_way(store: Store) -> None:
    """
    What is being attempted is not dropped, and settles as it would.
    """
    await put(store, delivery("one"))
    [claimed] = (await store.claim(10.0, 1, {}, 60.0)).deliveries

    assert await store.drop(["one"], "dropped by hand", 15.0) == 0
    await store.settle([Outcome(claimed, WELL, Delivered())])
    assert (await seen(store, "one")).state is DeliveryState.DELIVERED


@pytest.mark.parametrize("order", ["claimed first", "dropped first"])
async def test_dropping_what_is_being_claimed(store: Store, order: str) -> None:
    """
    What is claimed and dropped at the same time is either attempted or given up, never both.
    """
    await put(store, delivery("one"))
    claim, drop = store.claim(10.0, 1, {}, 60.0), store.drop(["one"], "dropped by hand", 10.0)

    if order == "claimed first":
        claims, dropped = await asyncio.gather(claim, drop)
    else:
        dropped, claims = await asyncio.gather(drop, claim)

    assert len(claims.deliveries) + dropped == 1
    for claimed in claims.deliveries:
        await store.settle([Outcome(claimed, WELL, Delivered())])
    ended = DeliveryState.GIVEN_UP if dropped else DeliveryState.DELIVERED
    assert (await seen(store, "one")).state is ended


async def test_expiring_while_being_claimed(store: Store) -> None:
    """
    What is claimed while its time runs out is either attempted or given up, never both.
    """
    await put(store, delivery("one", expires=11.0))

    claims, expired = await asyncio.gather(
        store.claim(10.9, 1, {}, 60.0), store.give_up_expired(11.0, 10)
    )

    assert len(claims.deliveries) + expired == 1


async def test_what_was_kept_from_a_claimant(store: Store) -> None:
    """
    A drop that leaves others alone keeps nobody from claiming them, then or later.
    """
    await put(store, delivery("one"), delivery("two"))

    claims, dropped = await asyncio.gather(
        store.claim(10.0, 2, {}, 60.0), store.drop(["two", "nobody"], "dropped by hand", 10.0)
    )

    assert "one" in {claimed.id for claimed in claims.deliveries}
    assert await store.send_again(["two"], 11.0, 100.0) == dropped
    if dropped:
        claims = await store.claim(11.0, 2, {}, 60.0)
        assert [claimed.id for claimed in claims.deliveries] == ["two"]


async def test_naming_one_twice(store: Store) -> None:
    """
    One that is named twice is hurried, dropped and sent again once.
    """
    await put(store, delivery("one"))
    await attempted(store, FAILED, RetryAt(500.0, "answer 500"), 10.0)

    assert await store.hurry(["one", "one"], 20.0) == 1
    assert await store.drop(["one", "one"], "dropped by hand", 20.0) == 1
    assert await store.send_again(["one", "one"], 21.0, 100.0) == 1


async def test_dropping_what_is_settled(store: Store) -> None:
    """
    What was delivered stays delivered.
    """
    await put(store, delivery("one"))
    await attempted(store, WELL, Delivered(), 10.0)

    assert await store.drop(["one"], "dropped by hand", 15.0) == 0


async def test_hurrying(store: Store) -> None:
    """
    What waits for its next attempt can be claimed at once when somebody is in a hurry.
    """
    await put(store, delivery("one"), delivery("two", leg="one"))
    await attempted(store, FAILED, RetryAt(500.0, "answer 500"), 10.0)
    assert (await store.claim(20.0, 10, {}, 60.0)).deliveries == ()

    assert await store.hurry(["one", "two", "nobody"], 20.0) == 1

    claims = await store.claim(20.0, 10, {}, 60.0)
    assert [claimed.id for claimed in claims.deliveries] == ["one"]
    assert await store.hurry(["one"], 20.0) == 0


# -- stories ---------------------------------------------------------------------------


async def test_entries_of_stories(store: Store) -> None:
    """
    What was kept of stories is read in its order, up to a limit, and only of the PBX asked for.
    """
    told = [
        StoryEntry("pbx", "one", 1.0, b"Uniqueid: 1.1\r\n\r\n"),
        StoryEntry("pbx", "two", 2.0, b"Uniqueid: 2.1\r\nLinkedid: 1.1\r\n\r\n"),
        StoryEntry("pbx", "one", 3.0, b"Uniqueid: 1.1\r\n\r\n"),
        StoryEntry("other", "one", 4.0, b"Uniqueid: 1.1\r\n\r\n"),
    ]
    await store.keep(Changes(1.0, entries=told))

    assert await store.entries("pbx", ["one", "two", "nobody"], 10) == told[:3]
    assert await store.entries("pbx", ["one"], 1) == told[:1]
    assert await store.entries("pbx", [], 10) == []
    assert sorted(await store.stories_naming("pbx", ["1.1"], 10)) == ["one", "two"]
    assert await store.stories_naming("pbx", ["2.1"], 10) == ["two"]
    assert await store.stories_naming("pbx", ["3.3"], 10) == []
    assert await store.stories_naming("pbx", [], 10) == []
    assert sorted(await store.stories_naming("pbx", ["2.1", "1.1"], 10)) == ["one", "two"]
    assert len(await store.stories_naming("pbx", ["1.1"], 1)) == 1


async def test_stories_naming_one_of_many(store: Store) -> None:
    """
    Stories can be found by any number of texts at once.
    """
    entry = StoryEntry("pbx", "one", 1.0, b"Uniqueid: 1.1\r\n\r\n")
    await store.keep(Changes(1.0, entries=[entry]))
    texts = [f"2.{number}" for number in range(3000)]

    assert await store.stories_naming("pbx", texts, 10) == []
    assert await store.stories_naming("pbx", [*texts, "1.1"], 10) == ["one"]


async def test_looking_at_a_file_that_is_damaged(tmp_path: Path) -> None:
    """
    Who looks at a file that is damaged hears of it by an error of the bridge, with the file.
    """
    path = tmp_path / "store.sqlite"
    async with open_store(StoreSettings(path)) as store:
        await put(store, delivery("one"))
    async with open_store(StoreSettings(path)) as store:
        path.write_bytes(b"no database" * 1000)

        with pytest.raises(StoreError, match=r"store\.sqlite: is damaged"):
            await store.look_up("one")


async def test_looking_at_a_file_that_is_away(tmp_path: Path) -> None:
    """
    Who looks at a file that cannot be opened hears why.
    """
    path = tmp_path / "store.sqlite"
    async with open_store(StoreSettings(path)) as store:
        path.rename(tmp_path / "elsewhere")

        with pytest.raises(StoreError, match="cannot be read at the moment"):
            await store.tallies()


async def test_stories_that_are_over_in_a_file(tmp_path: Path) -> None:
    """
    A file shows stories that are over until they are pruned.
    """
    entry = StoryEntry("pbx", "one", 1.0, b"Uniqueid: 1.1\r\n\r\n")
    async with open_store(StoreSettings(tmp_path / "store.sqlite")) as store:
        await store.keep(Changes(1.0, entries=[entry]))
        await store.keep(Changes(2.0, ended=[("pbx", "one")]))

        assert await store.entries("pbx", ["one"], 10) == [entry]
        await store.prune(3.0, 3.0, 10)
        assert await store.entries("pbx", ["one"], 10) == []
