"""
What every outbox promises, and what the one in memory does besides.
"""

import logging
from collections.abc import Coroutine, Sequence
from typing import TypeVar

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from ami_bridge.adapters.outbox import InMemoryOutbox, Outbox
from ami_bridge.core.call_events import EventType
from ami_bridge.core.deliveries import Delivery
from ami_bridge.core.requests import Request
from ami_bridge.core.retry import Abandoned, Attempt, Delivered, RetryAt
from ami_bridge.core.rules import Method

Result = TypeVar("Result")

ATTEMPT = Attempt(1, 0.0, 0.1, 200)


@pytest.fixture(params=[InMemoryOutbox])
def outbox(request: pytest.FixtureRequest) -> Outbox:
    """
    Give each implementation in turn, empty.
    """
    made: Outbox = request.param()
    return made


def delivery(name: str, leg: str = "leg", host: str = "a", created: float = 0.0) -> Delivery:
    """
    Make a delivery called *name*.
    """
    return Delivery(
        id=name,
        rule_id="rule",
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
    outbox: Outbox, now: float = 0.0, concurrency: int = 100, **busy: int
) -> list[Delivery]:
    """
    Claim what is due; *busy* counts by host.
    """
    counts = {f"http://{host}:80": count for host, count in busy.items()}
    return list((await outbox.claim(now, concurrency, counts, 60.0)).deliveries)


def names(deliveries: Sequence[Delivery]) -> list[str]:
    """
    Give the ids of *deliveries*.
    """
    return [each.id for each in deliveries]


# -- the contract ----------------------------------------------------------------------


async def test_what_is_put_can_be_claimed_once(outbox: Outbox) -> None:
    """
    A delivery is claimed by one claimant, whose attempt it is.
    """
    await outbox.put([delivery("one")])

    first = await claimed(outbox)
    again = await claimed(outbox)

    assert names(first) == ["one"]
    assert first[0].attempts == 1
    assert again == []


async def test_same_id_is_one_delivery(outbox: Outbox) -> None:
    """
    The same notification found twice is one: waiting, claimed or delivered long ago.
    """
    await outbox.put([delivery("one"), delivery("one", leg="other")])
    (one,) = await claimed(outbox)
    await outbox.put([delivery("one")])
    assert await claimed(outbox) == []

    await outbox.settle(one, ATTEMPT, Delivered())
    await outbox.put([delivery("one")])

    assert await claimed(outbox) == []
    assert await outbox.waiting() == {}


@pytest.mark.parametrize("verdict", [Delivered(), Abandoned("answer 404")])
async def test_the_next_of_a_leg_waits(outbox: Outbox, verdict: Delivered | Abandoned) -> None:
    """
    A leg's next delivery can be claimed when the one before was delivered or given up.
    """
    await outbox.put([delivery("dial"), delivery("hangup")])

    (dial,) = await claimed(outbox)
    assert names([dial]) == ["dial"]
    assert await claimed(outbox) == []
    await outbox.settle(dial, ATTEMPT, verdict)

    assert names(await claimed(outbox)) == ["hangup"]


async def test_order_is_by_leg_and_destination(outbox: Outbox) -> None:
    """
    Neither another leg nor the same leg's other destination waits.
    """
    await outbox.put(
        [delivery("one"), delivery("two"), delivery("b", host="b"), delivery("leg2", leg="2")]
    )

    assert sorted(names(await claimed(outbox))) == ["b", "leg2", "one"]


async def test_retry(outbox: Outbox) -> None:
    """
    What is to be tried again is claimed at its time, not before, and holds its leg back.
    """
    await outbox.put([delivery("dial"), delivery("hangup")])
    (dial,) = await claimed(outbox)

    await outbox.settle(dial, ATTEMPT, RetryAt(5.0, "answer 500"))

    claims = await outbox.claim(4.9, 100, {}, 60.0)
    assert (claims.deliveries, claims.next_due) == ((), 5.0)
    (again,) = await claimed(outbox, now=5.0)
    assert (again.id, again.attempts) == ("dial", 2)


async def test_a_claim_settles_once(outbox: Outbox) -> None:
    """
    An old claim of a delivery that was claimed again since then settles nothing.
    """
    await outbox.put([delivery("one")])
    (old,) = await claimed(outbox)
    await outbox.settle(old, ATTEMPT, RetryAt(0.0, "answer 500"))
    await outbox.settle(old, ATTEMPT, Delivered())
    assert await outbox.waiting() == {"http://a:80": 1}

    (current,) = await claimed(outbox)
    await outbox.settle(old, ATTEMPT, Delivered())
    assert await outbox.waiting() == {"http://a:80": 1}

    await outbox.settle(current, ATTEMPT, Delivered())
    assert await outbox.waiting() == {}


async def test_a_lease_ends(outbox: Outbox) -> None:
    """
    What a claimant never settled can be claimed again after its lease, and by then only so.
    """
    await outbox.put([delivery("dial"), delivery("hangup")])
    (lost,) = await claimed(outbox)
    assert await claimed(outbox, now=59.9) == []

    (again,) = await claimed(outbox, now=60.0)
    await outbox.settle(lost, ATTEMPT, Delivered())

    assert (again.id, again.attempts) == ("dial", 2)
    assert await outbox.waiting() == {"http://a:80": 2}


@pytest.mark.parametrize(
    ("busy", "expected"),
    [
        pytest.param({}, ["a0", "a1", "b0", "b1"], id="all slots free"),
        pytest.param({"a": 1}, ["a0", "b0", "b1"], id="one slot taken"),
        pytest.param({"a": 2}, ["b0", "b1"], id="all slots of one taken"),
        pytest.param({"a": 5, "b": 5}, [], id="more than all taken"),
    ],
)
async def test_slots(outbox: Outbox, busy: dict[str, int], expected: list[str]) -> None:
    """
    No destination gets more than its free slots, and none takes another's.
    """
    await outbox.put(
        [delivery(f"{host}{n}", leg=str(n), host=host) for n in range(5) for host in "ab"]
    )

    assert sorted(names(await claimed(outbox, concurrency=2, **busy))) == expected


async def test_longest_due_first(outbox: Outbox) -> None:
    """
    Of one destination, what has been due for longest is claimed first.
    """
    await outbox.put([delivery("young", leg="2", created=2.0), delivery("old", leg="1")])

    assert names(await claimed(outbox, now=3.0, concurrency=1)) == ["old"]
    assert names(await claimed(outbox, now=3.0, concurrency=2, a=1)) == ["young"]


async def test_next_due_is_that_of_free_slots(outbox: Outbox) -> None:
    """
    A destination without a free slot gives no reason to ask again before something changes.
    """
    await outbox.put([delivery("one", leg="1"), delivery("two", leg="2")])

    claims = await outbox.claim(1.0, 1, {}, 60.0)

    assert len(claims.deliveries) == 1
    assert claims.next_due is None


async def test_subscribers_are_woken(outbox: Outbox) -> None:
    """
    Whoever subscribed hears of what is put, and of a leg that may go on.
    """
    woken: list[str] = []
    outbox.subscribe(lambda: woken.append("x"))

    await outbox.put([delivery("one"), delivery("two")])
    assert woken
    woken.clear()
    (one,) = await claimed(outbox)
    await outbox.settle(one, ATTEMPT, Delivered())

    assert woken


# -- in memory -------------------------------------------------------------------------


async def test_given_up_is_kept() -> None:
    """
    What was given up can be looked at, with its reason and its last attempt.
    """
    outbox = InMemoryOutbox()
    await outbox.put([delivery("one")])
    (one,) = await claimed(outbox)

    await outbox.settle(one, ATTEMPT, Abandoned("answer 404"))

    (given_up,) = outbox.given_up
    assert (given_up.delivery.id, given_up.attempt, given_up.reason) == (
        "one",
        ATTEMPT,
        "answer 404",
    )


async def test_memory_is_bounded(caplog: pytest.LogCaptureFixture) -> None:
    """
    Beyond its limit a destination loses its oldest delivery, but none that is under way.
    """
    outbox = InMemoryOutbox(limit=3, remembered=2)
    await outbox.put([delivery("0", leg="0")])
    await claimed(outbox)

    with caplog.at_level(logging.ERROR):
        await outbox.put([delivery(str(n), leg=str(n)) for n in range(1, 6)])

    assert await outbox.waiting() == {"http://a:80": 3}
    assert [each.delivery.id for each in outbox.given_up] == ["1", "2", "3"][-2:]
    assert names(await claimed(outbox)) == ["4", "5"]
    assert [record.message for record in caplog.records] == ["delivery given up"] * 3


async def test_a_leg_goes_on_when_its_oldest_was_dropped() -> None:
    """
    A leg whose waiting delivery had to make room continues with the next.
    """
    outbox = InMemoryOutbox(limit=2)
    await outbox.put([delivery("dial"), delivery("answer"), delivery("hangup")])

    (answer,) = await claimed(outbox)
    await outbox.settle(answer, ATTEMPT, Delivered())

    assert answer.id == "answer"
    assert names(await claimed(outbox)) == ["hangup"]


async def test_nothing_is_left_of_what_is_done() -> None:
    """
    When everything was settled the outbox is empty, but for the ids it remembers.
    """
    outbox = InMemoryOutbox(remembered=10)
    await outbox.put([delivery(str(n), leg=str(n % 7), host=f"h{n % 3}") for n in range(100)])
    while batch := await claimed(outbox):
        for each in batch:
            await outbox.settle(each, ATTEMPT, Delivered())

    assert await outbox.waiting() == {}
    assert (outbox._entries, outbox._lanes, len(outbox._settled)) == ({}, {}, 10)


class OutboxLife(RuleBasedStateMachine):
    """
    An outbox under any sequence of puts, claims and settlements.
    """

    def __init__(self) -> None:
        super().__init__()
        self.outbox = InMemoryOutbox()
        self.now = 0.0
        self.owed: list[Delivery] = []
        self.claims: list[Delivery] = []

    @rule(leg=st.sampled_from("xyz"), host=st.sampled_from("ab"))
    def put(self, leg: str, host: str) -> None:
        """
        Owe one more.
        """
        new = delivery(str(self.now), leg, host, self.now)
        self.now += 1
        run(self.outbox.put([new]))
        self.owed.append(new)

    @rule(concurrency=st.integers(1, 3))
    def claim(self, concurrency: int) -> None:
        """
        Claim what is due: only the oldest owed of a leg and destination.
        """
        batch = run(self.outbox.claim(self.now, concurrency, {}, 60.0)).deliveries
        for each in batch:
            lane = [
                owed.id
                for owed in self.owed
                if (owed.leg, owed.destination) == (each.leg, each.destination)
            ]
            assert lane[0] == each.id
            # A lease of a minute may have ended; then the older claim counts no more.
            self.claims = [claim for claim in self.claims if claim.id != each.id]
        self.claims += batch

    @rule(index=st.integers(0, 9), verdict=st.sampled_from(["done", "retry", "give up"]))
    def settle(self, index: int, verdict: str) -> None:
        """
        Settle some claim in some way.
        """
        if not self.claims:
            return
        each = self.claims.pop(index % len(self.claims))
        if verdict == "retry":
            run(self.outbox.settle(each, ATTEMPT, RetryAt(self.now + index, "no")))
            return
        final = Delivered() if verdict == "done" else Abandoned("no")
        run(self.outbox.settle(each, ATTEMPT, final))
        self.owed = [owed for owed in self.owed if owed.id != each.id]

    @rule(seconds=st.integers(1, 10))
    def wait(self, seconds: int) -> None:
        """
        Let time pass.
        """
        self.now += seconds

    @invariant()
    def nothing_is_lost(self) -> None:
        """
        What is owed waits, neither more nor less.
        """
        assert sum(run(self.outbox.waiting()).values()) == len(self.owed)

    def teardown(self) -> None:
        """
        Everything that is owed can be delivered in the end.
        """
        self.now += 100
        for each in self.claims:
            run(self.outbox.settle(each, ATTEMPT, RetryAt(self.now, "cut off")))
        left = len(self.owed)
        while batch := run(self.outbox.claim(self.now, 100, {}, 60.0)).deliveries:
            for each in batch:
                run(self.outbox.settle(each, ATTEMPT, Delivered()))
                left -= 1
        assert left == 0


def run(coroutine: Coroutine[object, None, Result]) -> Result:
    """
    Run a coroutine that waits for nothing.
    """
    try:
        coroutine.send(None)
    except StopIteration as done:
        value: Result = done.value
        return value
    raise AssertionError("it waits")


def test_any_life_of_an_outbox() -> None:
    """
    Whatever happens in whatever order: nothing is lost, and no leg is out of order.
    """
    run_state_machine_as_test(OutboxLife)
