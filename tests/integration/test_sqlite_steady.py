"""
The store's file under steady work, and one that cannot be written to for a while.
"""

import asyncio
import sqlite3
from pathlib import Path

import pytest

from ami_bridge.adapters import sqlite_file
from ami_bridge.adapters.looking import Wanted
from ami_bridge.adapters.sqlite_store import SqliteStore
from ami_bridge.adapters.store import Changes, Outcome
from ami_bridge.core.deliveries import Delivery
from ami_bridge.core.retry import Attempt, Delivered
from tests.integration.receivers import until
from tests.integration.test_sqlite_store import some

OK = Attempt(1, 0.0, 0.1, 200)
_PAGE_BYTES = 4096


async def claim(store: SqliteStore, room: int) -> list[Delivery]:
    """
    Claim so many.
    """
    return list((await store.claim(5.0, room, {}, 60.0)).deliveries)


async def test_the_log_stays_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Under steady work, with somebody who looks now and then, the write-ahead log does not grow.
    """
    pages = 100
    monkeypatch.setattr(sqlite_file, "_CHECKPOINT_PAGES", pages)
    path, log = tmp_path / "store.sqlite", tmp_path / "store.sqlite-wal"
    sizes = []
    async with SqliteStore(path, "off") as store:
        for start in range(0, 3000, 20):
            await store.keep(Changes(1.0, some(20, start)))
            outcomes = [Outcome(each, OK, Delivered()) for each in await claim(store, 20)]
            await store.settle(outcomes)
            await store.find(Wanted(), 10)
            sizes.append(log.stat().st_size)

    # One transaction more than what has it copied into the file.
    assert max(sizes) < 3 * pages * _PAGE_BYTES
    assert path.stat().st_size > 10 * max(sizes)


async def test_a_file_that_turns_read_only(tmp_path: Path) -> None:
    """
    While the open file cannot be written to that is told, and everything goes on afterwards.
    """

    async def may_be_written(store: SqliteStore, *, may: bool) -> None:
        def work(connection: sqlite3.Connection) -> None:
            connection.execute(f"PRAGMA query_only = {'OFF' if may else 'ON'}")

        await store._writer.read(work)

    async with SqliteStore(tmp_path / "store.sqlite") as store:
        await store.keep(Changes(1.0, some(2)))
        (first, second) = await claim(store, 2)
        await may_be_written(store, may=False)
        tasks = [
            asyncio.create_task(store.settle([Outcome(first, OK, Delivered())])),
            asyncio.create_task(store.keep(Changes(2.0, some(3, 2)))),
        ]
        await until(lambda: store.trouble == "it cannot be written to")
        assert await store.waiting() == {"http://h:80": 2}

        await may_be_written(store, may=True)
        await asyncio.gather(*tasks)
        assert store.trouble == ""
        await store.settle([Outcome(second, OK, Delivered())])
        assert [each.id for each in await claim(store, 8)] == ["2", "3", "4"]
