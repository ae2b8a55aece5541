"""
What the store in memory keeps, and for how long: the rest is the same for every store.
"""

from ami_bridge.adapters.memory_store import InMemoryStore
from ami_bridge.adapters.store import Changes, Outcome, StoryEntry
from ami_bridge.core.retry import Abandoned, Delivered
from tests.unit.test_store import ATTEMPT, FAILED, claimed, delivery, names, put


async def test_only_the_last_ids_are_known() -> None:
    """
    Ids of what was delivered are known again, so many of them.
    """
    async with InMemoryStore(most_delivered=2) as store:
        for name in "abc":
            await put(store, delivery(name))
            (each,) = await claimed(store)
            await store.settle([Outcome(each, ATTEMPT, Delivered())])

        await put(store, *(delivery(name, leg=name) for name in "abc"))

        assert names(await claimed(store)) == ["a"]


async def test_only_the_last_given_up_are_kept() -> None:
    """
    Of what was given up only so many are kept, the last ones.
    """
    async with InMemoryStore(most_given_up=2) as store:
        for name in "abc":
            await put(store, delivery(name))
            (each,) = await claimed(store)
            await store.settle([Outcome(each, FAILED, Abandoned("answer 404"))])

        assert names([each.delivery for each in await store.given_up(2)]) == ["c", "b"]
        assert await store.send_again(["a"], 1.0, 2.0) == 0


async def test_a_story_that_is_over_is_dropped() -> None:
    """
    Nothing is left of a story that is over, and nothing to be pruned.
    """
    one, two = StoryEntry("", "a", 1.0, b"1"), StoryEntry("", "a", 2.0, b"2")
    async with InMemoryStore() as store:
        await store.keep(Changes(1.0, entries=[one], ended=[("", "a")]))
        assert await store.prune(100.0, 100.0, 100) == 0

        await store.keep(Changes(2.0, entries=[two]))

        assert await store.stories("") == [two]
