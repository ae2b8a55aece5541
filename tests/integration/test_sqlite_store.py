"""
The store's file: kept through crashes, upgraded, moved aside when damaged, waited for when stuck.
"""

import asyncio
import contextlib
import logging
import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest

from ami_bridge.adapters import sqlite_schema
from ami_bridge.adapters.sqlite_store import SqliteStore
from ami_bridge.adapters.store import Changes, Outcome, Pause, StoryEntry
from ami_bridge.core.breaker import Health
from ami_bridge.core.deliveries import Delivery
from ami_bridge.core.retry import Abandoned, Attempt, Delivered
from ami_bridge.errors import StoreError
from tests.integration.receivers import until
from tests.integration.sending import delivery

OK = Attempt(1, 0.0, 0.1, 200)


def some(count: int, start: int = 0) -> list[Delivery]:
    """
    Make deliveries of as many legs, with bodies of some size.
    """
    made = []
    for number in range(start, start + count):
        one = delivery(str(number), "http://h", leg=str(number))
        request = attrs.evolve(one.request, body=b"x" * 2000)
        made.append(attrs.evolve(one, request=request, created=0.0, expires=1e12))
    return made


async def fill(path: Path, count: int = 50) -> None:
    """
    Write a file with deliveries that wait, one that was given up, and a story.
    """
    async with SqliteStore(path) as store:
        entry = StoryEntry("", "1.1", 1.0, b"Event: Newchannel\r\n\r\n")
        await store.keep(Changes(1.0, some(count), [entry]))
        (first,) = (await store.claim(2.0, 1, {}, 60.0)).deliveries
        await store.settle([Outcome(first, OK, Abandoned("answer 404"))])


def modes_in(folder: Path) -> dict[str, int]:
    """
    Say who may do what with the files in *folder*.
    """
    return {one.name: one.stat().st_mode & 0o777 for one in folder.iterdir()}


# -- what lasts ------------------------------------------------------------------------


async def test_nobody_else_reads_it(tmp_path: Path) -> None:
    """
    Who called whom can be read by the owner alone, in the file and in those beside it.
    """
    path = tmp_path / "store.sqlite"
    before = os.umask(0o022)
    try:
        async with SqliteStore(path) as store:
            await store.keep(Changes(1.0, some(1)))
            modes = modes_in(tmp_path)
    finally:
        os.umask(before)

    assert modes.pop("store.sqlite.lock") == 0o644  # it holds nothing
    assert "store.sqlite-wal" in modes
    assert set(modes.values()) == {0o600}


async def test_everything_is_there_after_a_restart(tmp_path: Path) -> None:
    """
    Deliveries, stories, pauses, health and attachments are read again, claims are free again.
    """
    path = tmp_path / "store.sqlite"
    entry = StoryEntry("east", "1.1", 1.0, b"Event: Newchannel\r\n\r\n")
    sick = Health(5, 99.0, "refused")
    async with SqliteStore(path) as store:
        await store.keep(Changes(1.0, some(2), [entry]))
        await store.pause("r", "answer 410", 3.0)
        await store.remember_health("http://h:80", sick)
        await store.keep(Changes(1.0, attached={"east": True}))
        assert len((await store.claim(2.0, 8, {}, 60.0)).deliveries) == 2

    async with SqliteStore(path) as store:
        claims = await store.claim(2.0, 8, {}, 60.0)
        assert [each.attempts for each in claims.deliveries] == [1, 1]
        assert claims.deliveries[0].request == some(1)[0].request
        assert await store.stories("east") == [entry]
        assert await store.paused() == [Pause("r", 3.0, "answer 410")]
        assert await store.health() == {"http://h:80": sick}
        assert await store.attached("east")


def test_what_was_kept_outlives_a_kill(tmp_path: Path) -> None:
    """
    Whatever `keep` returned for is there after a kill -9 in the midst of more.
    """
    path = tmp_path / "store.sqlite"
    program = f"""
import asyncio, itertools
from pathlib import Path
from ami_bridge.adapters.sqlite_store import SqliteStore
from ami_bridge.adapters.store import Changes
from tests.integration.test_sqlite_store import some

async def main():
    async with SqliteStore(Path({str(path)!r})) as store:
        for number in itertools.count():
            await store.keep(Changes(1.0, some(1, number)))
            print(number, flush=True)

asyncio.run(main())
"""
    child = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE)
    assert child.stdout is not None
    for _ in range(200):
        last = int(child.stdout.readline())
    child.kill()
    told = [int(line) for line in child.stdout.read().split()]
    child.wait()
    child.stdout.close()

    async def count() -> int:
        async with SqliteStore(path) as store:
            return (await store.waiting())["http://h:80"]

    kept = asyncio.run(count())
    assert kept - max([last, *told]) in (1, 2)


async def test_what_was_attempted_when_its_rule_was_paused(tmp_path: Path) -> None:
    """
    A process that dies before it settles what it attempted leaves a paused rule paused.
    """
    path = tmp_path / "store.sqlite"
    async with SqliteStore(path) as store:
        await store.keep(Changes(1.0, some(3)))
        await store.claim(2.0, 8, {}, 60.0)
        await store.pause("rule", "answer 410", 3.0)

    async with SqliteStore(path) as store:
        assert (await store.claim(4.0, 8, {}, 60.0)).deliveries == ()
        await store.resume(["rule"])
        assert len((await store.claim(5.0, 8, {}, 60.0)).deliveries) == 3


async def test_a_file_belongs_to_one_bridge(tmp_path: Path) -> None:
    """
    A second bridge is told that another works with the file.
    """
    path = tmp_path / "store.sqlite"
    async with SqliteStore(path):
        with pytest.raises(StoreError, match="another ami-bridge works with it"):
            await SqliteStore(path).__aenter__()
    async with SqliteStore(path):
        pass


# -- older, newer and other files -----------------------------------------------------------


async def test_an_older_file_is_upgraded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """
    A file of the first schema is brought to the present one with all that is in it.
    """
    path = tmp_path / "store.sqlite"
    with monkeypatch.context() as past:
        past.setattr(sqlite_schema, "VERSION", 1)
        with contextlib.closing(sqlite3.connect(path)) as connection:
            sqlite_schema.prepare(connection, path)
            connection.execute(
                "INSERT INTO deliveries VALUES (1, 'old', 'rule', 'Hangup', '0001*201', '1', 'leg',"
                " 'http://h:80', 'GET', 'http://h/', '{}', NULL, 1, 1e12, 0, 'waiting', 1,"
                " NULL, NULL, NULL, NULL)"
            )
            connection.execute("INSERT INTO stories VALUES (1, 'east', 'call', NULL)")
            connection.execute("INSERT INTO entries VALUES (1, 1, 7.0, X'41')")
            connection.commit()
    caplog.set_level(logging.INFO, "ami_bridge")

    async with SqliteStore(path) as store:
        assert [each.id for each in (await store.claim(2.0, 8, {}, 60.0)).deliveries] == ["old"]
        await store.pause("rule", "answer 410", 3.0)
        assert await store.stories("east") == [StoryEntry("east", "call", 7.0, b"A")]

    steps = [f"{record.message} {vars(record)['schema']}" for record in caplog.records]
    assert steps == ["store upgraded 2", "store upgraded 3"]


async def test_an_empty_file_is_begun(tmp_path: Path) -> None:
    """
    A file of no bytes is as good as none.
    """
    path = tmp_path / "store.sqlite"
    path.touch()
    async with SqliteStore(path) as store:
        await store.keep(Changes(1.0, some(1)))


async def test_a_newer_file_is_refused(tmp_path: Path) -> None:
    """
    A file of a schema to come is left as it is, and the operator told.
    """
    path = tmp_path / "store.sqlite"
    await fill(path)
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 99")

    with pytest.raises(StoreError, match=r"newer ami-bridge \(schema 99, this one knows 3\)"):
        await SqliteStore(path).__aenter__()


async def test_another_programs_file_is_refused(tmp_path: Path) -> None:
    """
    A database that is not ours is not touched.
    """
    path = tmp_path / "store.sqlite"
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE cdr (id)")
        connection.commit()
    before = path.read_bytes()

    with pytest.raises(StoreError, match="another program"):
        await SqliteStore(path).__aenter__()
    assert path.read_bytes() == before


async def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    """
    Where there is no folder for the file, and none can be made, the operator is told.
    """
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match=r"cannot be opened: .*see to its folder"):
        await SqliteStore(tmp_path / "file" / "store.sqlite").__aenter__()


# -- damage ----------------------------------------------------------------------------


async def test_a_file_that_is_no_database(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """
    Garbage is moved aside, said loudly, and a new file begun.
    """
    path = tmp_path / "store.sqlite"
    path.write_bytes(b"garbage " * 1000)

    async with SqliteStore(path) as store:
        assert await store.waiting() == {}

    assert (tmp_path / "store.sqlite.corrupt-1").read_bytes() == b"garbage " * 1000
    assert [record.levelname for record in caplog.records] == ["ERROR", "ERROR"]


async def test_a_damaged_page(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """
    What can be read of a damaged file is owed as before; the file itself stays.
    """
    path = tmp_path / "store.sqlite"
    await fill(path, 400)
    octets = bytearray(path.read_bytes())
    # A leaf somewhere among the rows of deliveries.
    places = [at for at in range(0, len(octets), 4096) if octets[at] == 0x0D]
    middle = next(at for at in places[len(places) // 2 :] if b"xxxxxxxx" in octets[at : at + 4096])
    octets[middle : middle + 4096] = b"\xff" * 4096
    path.write_bytes(octets)

    async with SqliteStore(path) as store:
        saved = (await store.waiting())["http://h:80"]
        assert 380 <= saved < 399
        assert len(await store.given_up(10)) == 1
        assert len(await store.stories("")) == 1
        claims = await store.claim(5.0, 8, {}, 60.0)
        assert len(claims.deliveries) == 8

    assert (tmp_path / "store.sqlite.corrupt-1").exists()
    found = [record for record in caplog.records if record.message.startswith("saved")]
    assert found[0].__dict__["deliveries"] == saved + 1


async def test_a_truncated_file(tmp_path: Path) -> None:
    """
    Of a file whose end is gone, what is readable before it is saved.
    """
    path = tmp_path / "store.sqlite"
    await fill(path, 400)
    octets = path.read_bytes()
    path.write_bytes(octets[: len(octets) * 2 // 3 // 4096 * 4096])

    async with SqliteStore(path) as store:
        assert sum((await store.waiting()).values()) > 0


# -- trouble that passes ----------------------------------------------------------------


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """
    Let another program hold the file's lock.
    """
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


async def test_a_locked_file_is_waited_for(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """
    While another program locks the file everything waits, in order; it is told once.
    """
    caplog.set_level(logging.INFO, "ami_bridge")
    path = tmp_path / "store.sqlite"
    async with SqliteStore(path) as store:
        await store.keep(Changes(1.0, some(1)))
        with locked(path):
            waiting = [
                asyncio.create_task(store.keep(Changes(1.0, some(1, number))))
                for number in range(1, 4)
            ]
            await until(lambda: store.trouble == "another program locks it")
            # Reading goes on meanwhile.
            assert await store.waiting() == {"http://h:80": 1}
            assert not any(task.done() for task in waiting)
        await asyncio.gather(*waiting)
        assert store.trouble == ""
        claims = await store.claim(2.0, 8, {}, 60.0)

    assert [each.id for each in claims.deliveries] == ["0", "1", "2", "3"]
    told = [record.message for record in caplog.records]
    assert told == [
        "notifications cannot be kept; they wait in memory",
        "notifications are kept again",
    ]


async def test_a_full_disk_is_waited_for(tmp_path: Path) -> None:
    """
    Nothing is lost when the disk is full for a while, and what can be sent is sent.
    """
    path = tmp_path / "store.sqlite"
    async with SqliteStore(path) as store:
        await store.keep(Changes(1.0, some(3)))
        await limit_pages(store, "page_count")
        task = asyncio.create_task(store.keep(Changes(1.0, some(200, 3))))
        await until(lambda: store.trouble == "the disk is full")
        claims = await store.claim(2.0, 8, {}, 60.0)
        assert len(claims.deliveries) == 3

        await limit_pages(store, "100000")
        await task
        assert await store.waiting() == {"http://h:80": 203}
        for each in claims.deliveries:
            await store.settle([Outcome(each, OK, Delivered())])
        assert await store.waiting() == {"http://h:80": 200}


async def limit_pages(store: SqliteStore, pages: str) -> None:
    """
    Let the file have no more than *pages*, as if the disk were full then.
    """

    def work(connection: sqlite3.Connection) -> None:
        count = pages
        if pages == "page_count":
            (count,) = connection.execute("PRAGMA page_count").fetchone()
        connection.execute(f"PRAGMA max_page_count = {count}")

    await store._writer.read(work)


async def test_closing_a_store_in_trouble(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """
    A store that cannot write is closed at once, and says how much was not written.
    """
    path = tmp_path / "store.sqlite"
    began = time.monotonic()
    async with SqliteStore(path) as store:
        await store.keep(Changes(1.0, some(1)))
        with locked(path):
            task = asyncio.create_task(store.keep(Changes(1.0, some(1, 1))))
            await until(lambda: bool(store.trouble))
            await store.__aexit__(None, None, None)
    with pytest.raises(StoreError, match="was closed before this could be written"):
        await task

    assert time.monotonic() - began < 10
    assert caplog.records[-1].message == "the store was closed with something unwritten"
    assert caplog.records[-1].__dict__["operations"] == 1


# -- size ------------------------------------------------------------------------------


async def test_the_file_does_not_grow_without_bound(tmp_path: Path) -> None:
    """
    What is pruned makes room for what comes.
    """
    path = tmp_path / "store.sqlite"
    sizes = []
    async with SqliteStore(path) as store:
        for round_number in range(6):
            await store.keep(Changes(1.0, some(300, 300 * round_number)))
            while batch := (await store.claim(2.0, 100, {}, 60.0)).deliveries:
                await store.settle([Outcome(each, OK, Delivered()) for each in batch])
            while await store.prune(100.0, 100.0, 100):
                pass
            await store._writer.read(lambda db: db.execute("PRAGMA wal_checkpoint").fetchall())
            sizes.append(path.stat().st_size)

    assert sizes[-1] == sizes[2]
