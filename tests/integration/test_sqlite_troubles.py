"""
The store's file in trouble: what is promised holds when the disk, the file or a row is bad.
"""

import asyncio
import contextlib
import os
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest

from ami_bridge.adapters import sqlite_file
from ami_bridge.adapters.sqlite_salvage import salvage
from ami_bridge.adapters.sqlite_store import SqliteStore
from ami_bridge.adapters.store import Changes, Outcome, StoryEntry
from ami_bridge.core.deliveries import Delivery
from ami_bridge.core.retry import Abandoned, Attempt, Delivered, RetryAt
from ami_bridge.errors import StoreError
from tests.integration.receivers import until
from tests.integration.test_sqlite_store import fill, limit_pages, some

OK = Attempt(1, 0.0, 0.1, 200)
ENTRY = StoryEntry("", "1.1", 1.0, b"Event: Newchannel\r\n\r\n")
_PAGE = 4096


def pairs(count: int) -> list[Delivery]:
    """
    Make two deliveries for each of as many legs.
    """
    made = some(2 * count)
    return [attrs.evolve(one, leg=str(number // 2)) for number, one in enumerate(made)]


def spoil(path: Path, count: int = 1) -> None:
    """
    Overwrite leaves among the rows of deliveries, evenly over the file.
    """
    octets = bytearray(path.read_bytes())
    pages = [octets[at : at + _PAGE] for at in range(0, len(octets), _PAGE)]
    leaves = [n for n, page in enumerate(pages) if page[0] == 0x0D and b"xxxxxxxx" in page]
    for number in leaves[len(leaves) // (2 * count) :: len(leaves) // count + 1]:
        octets[number * _PAGE : (number + 1) * _PAGE] = b"\xff" * _PAGE
    path.write_bytes(octets)


async def claim_all(store: SqliteStore, now: float = 5.0) -> list[Delivery]:
    """
    Claim the oldest of every lane.
    """
    return list((await store.claim(now, 100_000, {}, 60.0)).deliveries)


# -- the disk --------------------------------------------------------------------------


@contextlib.contextmanager
def small_disk(folder: Path, size: str = "1m") -> Iterator[Path]:
    """
    Give a disk of its own, which is soon full.
    """
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    if os.geteuid() or subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("only root can mount a disk")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


async def test_a_disk_that_is_really_full(tmp_path: Path) -> None:
    """
    Everything waits in its order while the disk is full, and is kept when there is room again.
    """
    with small_disk(tmp_path / "disk") as disk:
        async with SqliteStore(disk / "store.sqlite") as store:
            await store.keep(Changes(1.0, some(1)))
            ballast = disk / "ballast"
            with ballast.open("wb", buffering=0) as filler, contextlib.suppress(OSError):
                while filler.write(bytes(_PAGE)) == _PAGE:
                    pass
            tasks = [
                asyncio.create_task(store.keep(Changes(1.0, some(10, number), [ENTRY])))
                for number in range(1, 41, 10)
            ]
            await until(lambda: store.trouble == "the disk is full")
            # What is owed already goes on.
            (first,) = await claim_all(store)

            ballast.unlink()
            await asyncio.gather(*tasks)
            assert store.trouble == ""
            await store.settle([Outcome(first, OK, Delivered())])
            claims = await claim_all(store)
            assert [each.id for each in claims] == [str(number) for number in range(1, 41)]
            assert await store.stories("") == [ENTRY] * 4


async def test_a_disk_that_is_read_only(tmp_path: Path) -> None:
    """
    A store on a disk that cannot be written to is not begun, and the operator told.
    """
    with small_disk(tmp_path / "disk") as disk:
        async with SqliteStore(disk / "store.sqlite") as store:
            await store.keep(Changes(1.0, some(1)))
        remount = ["mount", "-o", "remount,ro", str(disk)]
        subprocess.run(remount, check=True)  # noqa: ASYNC221 - nothing else is to go on meanwhile

        with pytest.raises(StoreError, match="cannot be opened: Read-only file system; see to"):
            await SqliteStore(disk / "store.sqlite").__aenter__()


async def test_a_story_that_could_not_be_begun_at_once(tmp_path: Path) -> None:
    """
    What a transaction that failed would have kept is kept as a whole when it succeeds.
    """
    path = tmp_path / "store.sqlite"
    async with SqliteStore(path) as store:
        await limit_pages(store, "page_count")
        task = asyncio.create_task(store.keep(Changes(1.0, some(20), [ENTRY])))
        await until(lambda: bool(store.trouble))
        await limit_pages(store, "100000")
        await task

    async with SqliteStore(path) as store:
        assert await store.stories("") == [ENTRY]


async def test_reading_waits_for_a_disk_that_fails(tmp_path: Path) -> None:
    """
    What cannot be read for a while is read later, and nobody hears of an error.
    """
    failures = [sqlite3.SQLITE_IOERR_READ, sqlite3.SQLITE_BUSY]

    def work(_: sqlite3.Connection) -> str:
        if failures:
            error = sqlite3.OperationalError("no")
            error.sqlite_errorcode = failures.pop()
            raise error
        return "read"

    async with SqliteStore(tmp_path / "store.sqlite") as store:
        assert await store._writer.read(work) == "read"
        assert store.trouble == ""


async def test_one_fault_is_nobody_elses(tmp_path: Path) -> None:
    """
    An operation that fails by itself harms none that was to be written with it.
    """

    def wrong(connection: sqlite3.Connection) -> None:
        connection.execute("INSERT INTO nowhere VALUES (1)")

    async with SqliteStore(tmp_path / "store.sqlite") as store:
        results = await asyncio.gather(
            store.keep(Changes(1.0, some(1))),
            store._writer.do(wrong),
            store.keep(Changes(1.0, some(1, 1))),
            return_exceptions=True,
        )

        assert [type(result) for result in results] == [
            type(None),
            sqlite3.OperationalError,
            type(None),
        ]
        assert await store.waiting() == {"http://h:80": 2}


async def test_a_store_that_is_closed(tmp_path: Path) -> None:
    """
    Whoever comes after the end is told so, and does not wait for ever.
    """
    async with SqliteStore(tmp_path / "store.sqlite") as store:
        pass
    with pytest.raises(StoreError, match="is closed"):
        await store.keep(Changes(1.0, some(1)))


# -- damage ----------------------------------------------------------------------------


async def test_damage_while_at_work(tmp_path: Path) -> None:
    """
    Damage that shows itself later ends the bridge with a sentence; the next start deals with it.
    """
    path = tmp_path / "store.sqlite"
    await fill(path, 4000)
    async with SqliteStore(path) as store:
        # No checkpoint mends the page, and SQLite has not kept it in mind.
        await store._writer.read(lambda db: db.execute("PRAGMA cache_size = 1").fetchall())
        spoil(path)
        with pytest.raises(StoreError, match=r"is damaged .*; the next start saves what can be"):
            await claim_all(store)

    async with SqliteStore(path) as store:
        assert len(await claim_all(store)) > 3900


async def test_lanes_go_on_without_what_was_lost(tmp_path: Path) -> None:
    """
    Where the oldest of a lane cannot be read any more, the next one can be claimed.
    """
    path = tmp_path / "store.sqlite"
    async with SqliteStore(path) as store:
        await store.keep(Changes(1.0, pairs(400), [ENTRY]))
    spoil(path, 8)

    async with SqliteStore(path) as store:
        claims = await claim_all(store)
        left = (await store.waiting())["http://h:80"]
        second = [each.id for each in claims if int(each.id) % 2]
        assert 700 < left < 800
        assert second
        assert all(str(int(name) - 1) not in {each.id for each in claims} for name in second)
        for each in claims:
            await store.settle([Outcome(each, OK, Delivered())])
        assert len(claims) + len(await claim_all(store)) == left
        assert await store.stories("") == [ENTRY]


@pytest.mark.parametrize("spoilt", [False, True], ids=["settings", "no settings any more"])
async def test_settings_are_saved_too(tmp_path: Path, spoilt: bool) -> None:
    """
    How calls were understood goes into the new file; what is lost of it is nobody else's.
    """
    path = tmp_path / "store.sqlite"
    entry = attrs.evolve(ENTRY, settings="{}")
    async with SqliteStore(path) as store:
        await store.keep(Changes(1.0, pairs(400), [entry]))
    if spoilt:
        with contextlib.closing(sqlite3.connect(path)) as connection:
            connection.execute("DELETE FROM settings")
            connection.commit()
    spoil(path)

    async with SqliteStore(path) as store:
        await store.keep(Changes(1.0, entries=[attrs.evolve(entry, settings="[]")]))
        found = [one.settings for one in await store.stories("")]

    assert found == ["" if spoilt else "{}", "[]"]


async def test_a_damaged_file_of_before(tmp_path: Path) -> None:
    """
    What an older version wrote, with fewer columns, is saved as well.
    """
    path = tmp_path / "store.sqlite"
    async with SqliteStore(path) as store:
        await store.keep(Changes(1.0, pairs(400), [ENTRY]))
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.executescript(
            "DROP INDEX entries_settings; ALTER TABLE entries DROP COLUMN settings;"
            "DROP TABLE settings; PRAGMA user_version = 2; VACUUM"
        )
    spoil(path)

    async with SqliteStore(path) as store:
        assert await store.stories("") == [ENTRY]


async def test_rows_of_nonsense_are_left_behind(tmp_path: Path) -> None:
    """
    A row of a damaged file that is no delivery does not go into the new one.
    """
    path = tmp_path / "store.sqlite"
    await fill(path, 200)
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE deliveries SET event = 'Dial-\x01' WHERE seq = 3")
        connection.execute("UPDATE deliveries SET headers = 'x' WHERE seq = 4")
        connection.execute("UPDATE deliveries SET created = 'x' WHERE seq = 5")
        connection.commit()
    spoil(path)

    async with SqliteStore(path) as store:
        claims = await claim_all(store)

    assert 180 <= len(claims) < 197
    assert not {each.id for each in claims} & {"2", "3", "4"}


async def test_saving_that_is_broken_off_is_begun_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    When the disk is full while a damaged file is saved, nothing is lost: the next start does it.
    """
    path = tmp_path / "store.sqlite"
    await fill(path, 400)
    spoil(path)

    def broken_off(damaged: Path, connection: sqlite3.Connection) -> dict[str, int]:
        salvage(damaged, connection)
        error = sqlite3.OperationalError("database or disk is full")
        error.sqlite_errorcode = sqlite3.SQLITE_FULL
        raise error

    with monkeypatch.context() as bad_day:
        bad_day.setattr(sqlite_file, "salvage", broken_off)
        with pytest.raises(StoreError, match="cannot be opened: the disk is full"):
            await SqliteStore(path).__aenter__()
    assert not path.with_name("store.sqlite.corrupt-1").exists()

    async with SqliteStore(path) as store:
        assert len(await claim_all(store)) > 380
    assert path.with_name("store.sqlite.corrupt-1").exists()
    assert not path.with_name("store.sqlite.new").exists()


async def test_replacing_that_is_broken_off_is_finished(tmp_path: Path) -> None:
    """
    When all was saved, but the new file is not yet in its place, the next start puts it there.
    """
    path = tmp_path / "store.sqlite"
    await fill(path, 5)
    path.rename(path.with_name("store.sqlite.new"))
    path.with_name("store.sqlite.corrupt-1").write_bytes(b"damaged")
    path.with_name("store.sqlite-wal").write_bytes(b"log of the damaged one")

    async with SqliteStore(path) as store:
        assert len(await claim_all(store)) == 4

    log = path.with_name("store.sqlite.corrupt-1-wal")
    assert log.read_bytes() == b"log of the damaged one"


async def test_a_damaged_file_is_moved_aside_each_time(tmp_path: Path) -> None:
    """
    No damaged file replaces another.
    """
    path = tmp_path / "store.sqlite"
    for number in (1, 2):
        path.write_bytes(b"garbage %d" % number * 1000)
        async with SqliteStore(path):
            pass

    assert [path.with_name(f"store.sqlite.corrupt-{n}").read_bytes()[:9] for n in (1, 2)] == [
        b"garbage 1",
        b"garbage 2",
    ]


# -- time and size ---------------------------------------------------------------------


async def test_the_clock_is_set_back_between_two_starts(tmp_path: Path) -> None:
    """
    A bridge that starts with a clock a day behind does not keep back what waits.
    """
    path, now = tmp_path / "store.sqlite", 1_700_000_000.0
    owed = [attrs.evolve(each, created=now, expires=now + 1e6) for each in some(3)]
    async with SqliteStore(path) as store:
        await store.keep(Changes(now, owed))
        first, second, _ = await claim_all(store, now)
        failed = Attempt(1, now, 0.1, 500)
        await store.settle([Outcome(first, failed, RetryAt(now + 60, "answer 500"))])
        await store.settle([Outcome(second, failed, Abandoned("answer 404"))])

    async with SqliteStore(path) as store:
        assert len(await claim_all(store, now - 86_400)) == 2


async def test_a_long_queue_is_opened_fast(tmp_path: Path) -> None:
    """
    With 100,000 deliveries for a dead destination a start, and a live one's claim, are quick.
    """
    path = tmp_path / "store.sqlite"
    async with SqliteStore(path, "normal") as store:
        await store.keep(Changes(1.0, some(1)))
        await store._writer.do(multiply)
        await store.keep(
            Changes(1.0, [attrs.evolve(each, destination="live") for each in some(100, 10**6)])
        )

    began = time.monotonic()
    async with SqliteStore(path, "normal") as store:
        assert time.monotonic() - began < 2.0
        began = time.monotonic()
        for number in range(100):
            (one,) = (await store.claim(2.0, 1, {"http://h:80": 1}, 60.0)).deliveries
            assert one.id == str(10**6 + number)
            await store.settle([Outcome(one, OK, Delivered())])
        assert time.monotonic() - began < 2.0
        assert await store.waiting() == {"http://h:80": 100_001}


def multiply(connection: sqlite3.Connection) -> None:
    """
    Make 100,000 deliveries of other lanes of the one that is there.
    """
    names = [row[1] for row in connection.execute("PRAGMA table_info(deliveries)")]
    changed = {"seq": "n + 1", "id": "'dead ' || n", "leg": "'leg ' || n", "body": "x'78'"}
    values = ", ".join(changed.get(name, name) for name in names)
    connection.execute(
        "WITH RECURSIVE counter (n) AS "  # noqa: S608 - names of our own
        "(SELECT 1 UNION ALL SELECT n + 1 FROM counter WHERE n < 100000) "
        f"INSERT INTO deliveries ({', '.join(names)}) SELECT {values} "
        "FROM counter, deliveries WHERE seq = 1"
    )


async def test_a_story_that_was_over_goes_on(tmp_path: Path) -> None:
    """
    A story that is told more of after its end is not over, and is read from its beginning.
    """
    async with SqliteStore(tmp_path / "store.sqlite") as store:
        one, two = StoryEntry("", "a", 1.0, b"1"), StoryEntry("", "a", 2.0, b"2")
        await store.keep(Changes(1.0, entries=[one], ended=[("", "a")]))
        assert await store.stories("") == []

        await store.keep(Changes(2.0, entries=[two]))

        assert await store.stories("") == [one, two]
        assert await store.prune(100.0, 100.0, 100) == 0


async def test_long_stories_are_deleted_in_pieces(tmp_path: Path) -> None:
    """
    However long a story is, no more of it is deleted at once than wanted.
    """
    async with SqliteStore(tmp_path / "store.sqlite") as store:
        entries = [StoryEntry("", "a", 1.0, b"1")] * 5
        await store.keep(Changes(1.0, entries=entries, ended=[("", "a")]))

        assert [await store.prune(2.0, 2.0, 2) for _ in range(4)] == [2, 2, 1, 0]


async def test_settings_that_no_story_needs_are_deleted(tmp_path: Path) -> None:
    """
    How calls were understood is kept for as long as what was said of them.
    """
    path = tmp_path / "store.sqlite"
    async with SqliteStore(path) as store:
        for story, settings in ("a", "old"), ("b", "new"):
            entry = StoryEntry("", story, 1.0, b"1", settings)
            await store.keep(Changes(1.0, entries=[entry], ended=[("", "a")]))
        await store.prune(2.0, 2.0, 10)

    with contextlib.closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT text FROM settings").fetchall() == [("new",)]
