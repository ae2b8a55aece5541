"""
Claims of a store in a file while its thread is ahead of the event loop, or behind it.
"""

import asyncio
import sqlite3
import threading
import time
from collections.abc import AsyncIterator, Coroutine
from contextlib import closing
from pathlib import Path
from typing import Any

import attrs
import pytest

from ami_bridge.adapters.sender import Sender
from ami_bridge.adapters.sqlite_store import SqliteStore
from ami_bridge.adapters.store import Outcome, Store
from ami_bridge.core.requests import Request
from ami_bridge.core.retry import Delivered, RetryAt
from ami_bridge.core.rules import Method
from tests.integration.receivers import ScriptedReceiver, status, until
from tests.integration.sending import HASTY
from tests.integration.test_sqlite_store import locked
from tests.unit.test_store import ATTEMPT, FAILED, claimed, delivery, names, put


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """
    Name a file that is not there yet.
    """
    return tmp_path / "store.sqlite"


@pytest.fixture
async def store(path: Path) -> AsyncIterator[SqliteStore]:
    """
    Give an empty store in a file.
    """
    async with SqliteStore(path) as made:
        yield made


async def settled_unheard(store: Store, path: Path, outcome: Outcome) -> "asyncio.Task[None]":
    """
    Begin to settle; come back when it is written, of which the event loop has not heard yet.
    """
    task = asyncio.create_task(store.settle([outcome]))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    deadline = time.monotonic() + 5
    with closing(sqlite3.connect(path)) as other:
        while not other.execute("SELECT max(attempts) FROM deliveries").fetchone()[0]:
            assert time.monotonic() < deadline
    assert not task.done()
    return task


async def test_a_pause_meets_an_outcome(store: SqliteStore, path: Path) -> None:
    """
    What was put back to be tried again, just before the pause of its rule, is kept back.
    """
    await put(store, delivery("one"))
    (one,) = await claimed(store)
    task = await settled_unheard(store, path, Outcome(one, FAILED, RetryAt(5.0, "answer 500")))

    await store.pause("rule", "answer 410", 1.0)

    await task
    assert await claimed(store, now=6.0) == []


async def test_a_resume_meets_an_outcome(store: SqliteStore, path: Path) -> None:
    """
    What comes back is before what was put back to be tried again just then.
    """
    await put(store, delivery("dial", rule_id="gone"), delivery("hangup"))
    await store.pause("gone", "answer 410", 1.0)
    (hangup,) = await claimed(store)
    task = await settled_unheard(store, path, Outcome(hangup, FAILED, RetryAt(5.0, "answer 500")))

    await store.resume(["gone"])

    await task
    assert names(await claimed(store, now=6.0)) == ["dial"]


@pytest.mark.parametrize("what", ["drop", "resume"])
async def test_who_asked_is_gone(store: SqliteStore, what: str) -> None:
    """
    What is done to a lane is done, also when whoever asked for it does not wait for the end.
    """
    await put(store, delivery("dial", rule_id="gone"), delivery("hangup"))
    if what == "resume":
        await store.pause("gone", "answer 410", 1.0)
    work: Coroutine[Any, Any, object] = (
        store.drop(["dial"], "no", 1.0) if what == "drop" else store.resume(["gone"])
    )
    goes_on = threading.Event()
    held = asyncio.create_task(store._writer.read(lambda _: goes_on.wait(10)))
    claim = asyncio.create_task(claimed(store))
    asked = asyncio.create_task(work)
    await asyncio.sleep(0)
    asked.cancel()
    goes_on.set()

    got = await claim + await claimed(store)

    assert await held
    assert len(got) == 1


async def test_longer_than_a_lease(store: SqliteStore, path: Path) -> None:
    """
    What was delivered is not sent again while that cannot be written down; others go on.
    """
    await put(store, delivery("one"), delivery("two"), delivery("b", host="b", created=70.0))
    (one,) = await claimed(store)
    with locked(path):
        settling = asyncio.create_task(store.settle([Outcome(one, ATTEMPT, Delivered())]))
        tidying = asyncio.create_task(store.give_up_expired(100.0, 10))
        await until(lambda: store.trouble != "")
        assert names(await claimed(store, now=101.0)) == ["b"]

    await asyncio.gather(settling, tidying)
    assert names(await claimed(store, now=102.0)) == ["two"]


async def test_gone_while_nothing_can_be_written(store: SqliteStore, path: Path) -> None:
    """
    Who answered 410 is not asked again, however long the disk keeps the pause from being kept.
    """
    async with (
        ScriptedReceiver(always=status(410)) as receiver,
        Sender(store, HASTY, clock=lambda: 5.0) as sender,
    ):
        one, two = (
            attrs.evolve(each, destination=receiver.url, request=Request(Method.GET, receiver.url))
            for each in (delivery("one"), delivery("two"))
        )
        await put(store, one, two)
        with locked(path):
            sending = asyncio.create_task(sender.run())
            await until(lambda: store.trouble != "")
            assert sender.in_flight == 0
            assert (await store.claim(1000.0, 8, {}, 60.0)).deliveries == ()
        assert await sender.drain(10) == 1
        sending.cancel()
        await asyncio.wait({sending})

    assert len(receiver.heard) == 1
    assert [pause.rule_id for pause in await store.paused()] == ["rule"]
    assert names([each.delivery for each in await store.given_up(10)]) == ["one"]


async def test_two_of_a_lane_that_are_due(path: Path) -> None:
    """
    Of a file in which that is so one is claimed all the same.
    """
    async with SqliteStore(path) as store:
        await put(store, delivery("dial"), delivery("hangup"))
    with closing(sqlite3.connect(path)) as other, other:
        other.execute("UPDATE deliveries SET due = created")

    async with SqliteStore(path) as store:
        assert len(await claimed(store)) == 1
        assert await claimed(store) == []
