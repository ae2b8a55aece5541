"""
The sender's life and death, what the operator hears of it, and whom it trusts.
"""

import asyncio
import logging
import ssl
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import attrs
import pytest

from ami_bridge.adapters.memory_store import InMemoryStore
from ami_bridge.adapters.sender import Sender
from ami_bridge.adapters.store import Claims, Outcome
from ami_bridge.core.breaker import BreakerTerms, Health
from ami_bridge.core.requests import Request
from ami_bridge.core.rules import Method
from tests.integration.receivers import ScriptedReceiver, after, ok, status, until
from tests.integration.sending import HASTY, Kept, delivery, owe, paths, sending


async def test_drain_does_not_wait_for_later_retries() -> None:
    """
    A delivery whose next attempt is later than the drain may last is left at once.
    """
    settings = attrs.evolve(HASTY, retry_seconds=(1000.0,))
    async with (
        ScriptedReceiver(always=status(500)) as receiver,
        sending(settings) as (
            store,
            sender,
        ),
    ):
        await owe(store, delivery("x", receiver.url, lifetime=10_000))
        began = time.monotonic()

        assert await sender.drain(30) == 1
        assert time.monotonic() - began < 10


async def test_drain_ends_in_time() -> None:
    """
    A receiver that hangs does not hold up a drain beyond its time.
    """
    async with ScriptedReceiver(always=after(60)) as receiver, sending() as (store, sender):
        await owe(store, delivery("x", receiver.url), delivery("y", receiver.url))

        assert await sender.drain(0.2) == 2


async def test_drain_of_nothing() -> None:
    """
    With nothing to send a drain is over at once.
    """
    async with sending() as (_, sender):
        assert await sender.drain(30) == 0


async def test_the_store_is_not_asked_in_vain() -> None:
    """
    While slots are free, a delivery costs two questions: when it is owed, and when it is settled.
    """

    class Asked(Kept):
        times = 0

        async def claim(self, *terms: Any) -> Claims:
            self.times += 1
            return await super().claim(*terms)

    async with ScriptedReceiver() as receiver, sending(store=Asked()) as (store, sender):
        assert isinstance(store, Asked)
        for number in range(10):
            await owe(store, delivery(f"x{number}", receiver.url))
            assert await sender.drain(30) == 0

        assert store.times <= 2 * 10 + 1


async def test_cut_off_delivery_stays() -> None:
    """
    When the sender is cancelled in an attempt, the delivery is still owed.
    """
    async with ScriptedReceiver(always=after(60)) as receiver, sending() as (store, _):
        await owe(store, delivery("x", receiver.url))
        await until(lambda: bool(receiver.heard))

    assert store.left == 1


async def test_a_broken_store_stops_the_sender() -> None:
    """
    A store that cannot settle ends `run` with its error: the house comes down loudly.
    """

    class Broken(InMemoryStore):
        async def settle(self, *_: object) -> None:
            raise OSError(28, "No space left on device")

    async with (
        ScriptedReceiver() as receiver,
        Broken() as store,
        Sender(store, HASTY) as sender,
    ):
        await owe(store, delivery("x", receiver.url))
        with pytest.raises(ExceptionGroup) as failure:
            async with asyncio.timeout(5):
                await sender.run()

    assert failure.group_contains(OSError, match="No space left")


async def test_a_store_that_cannot_write_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    It is told of what was answered meanwhile, before the claims end; and not much is sent.
    """
    monkeypatch.setattr("ami_bridge.adapters.sender._LONGEST_GATHERING", 0.01)
    handed: list[list[str]] = []
    writable = asyncio.Event()

    class Stuck(InMemoryStore):
        async def settle(self, outcomes: Sequence[Outcome]) -> None:
            handed.append([outcome.delivery.id for outcome in outcomes])
            await writable.wait()
            await super().settle(outcomes)

    settings = attrs.evolve(HASTY, concurrency=1)
    async with (
        ScriptedReceiver() as receiver,
        Stuck() as store,
        Sender(store, settings) as sender,
        asyncio.TaskGroup() as tasks,
    ):
        await owe(store, *[delivery(str(n), receiver.url, leg=str(n)) for n in range(4)])
        running = tasks.create_task(sender.run())
        await until(lambda: len(handed) == 2)
        assert handed == [["0"], ["1"]]
        assert paths(receiver) == ["0", "1"]
        writable.set()
        await until(lambda: sender.delivered.total() == 4)
        running.cancel()

    assert paths(receiver) == ["0", "1", "2", "3"]


async def test_health_that_cannot_be_written() -> None:
    """
    What a destination's failures mean is written down when it can be; outcomes do not wait for it.
    """

    class Stuck(Kept):
        async def remember_health(self, destination: str, health: Health) -> None:  # noqa: ARG002 - stuck
            await asyncio.Event().wait()

    settings = attrs.evolve(HASTY, breaker_terms=BreakerTerms(failures=1), retry_seconds=(60.0,))
    async with (
        ScriptedReceiver(always=status(500)) as sick,
        ScriptedReceiver() as well,
        sending(settings, Stuck()) as (store, sender),
    ):
        await owe(store, delivery("sick", sick.url))
        await until(lambda: len(sender.unwell) == 1 and not sender.busy)
        await owe(store, delivery("well", well.url))
        await until(lambda: sender.delivered.total() == 1)
        kept = await store.look_up("sick")

    assert kept is not None
    assert kept.delivery.attempts == 1


async def test_settings_can_change() -> None:
    """
    Other settings hold from the next attempt on, for what waits already too.
    """
    blocked = attrs.evolve(HASTY, concurrency=1)
    async with ScriptedReceiver([after(60)]) as receiver, sending(blocked) as (store, sender):
        await owe(store, *[delivery(str(n), receiver.url, leg=str(n)) for n in range(3)])
        await until(lambda: bool(receiver.heard))
        sender.apply(attrs.evolve(HASTY, concurrency=2))
        await until(lambda: len(receiver.heard) >= 3)

    assert paths(receiver) == ["0", "1", "2"]


# -- what the operator hears -------------------------------------------------------------


async def test_one_line_for_each_delivery(caplog: pytest.LogCaptureFixture) -> None:
    """
    A finished delivery is one line with its fields, and no word of what was sent.
    """
    caplog.set_level(logging.INFO, "ami_bridge")
    async with (
        ScriptedReceiver([status(500), ok, status(404)]) as receiver,
        sending() as (
            store,
            sender,
        ),
    ):
        private = Request(Method.GET, f"{receiver.url}/?CallerIDNum=15551234567")
        await owe(store, attrs.evolve(delivery("x", receiver.url), request=private))
        assert await sender.drain(5) == 0
        await owe(store, attrs.evolve(delivery("y", receiver.url), request=private))
        assert await sender.drain(5) == 0

    lines = [record for record in caplog.records if record.message.startswith("delivery")]
    assert [(line.message, line.levelname) for line in lines] == [
        ("delivery done", "INFO"),
        ("delivery given up", "WARNING"),
    ]
    fields = vars(lines[0])
    assert (fields["delivery"], fields["attempts"], fields["status"]) == ("x", 2, 200)
    assert fields["destination"] == receiver.url
    assert vars(lines[1])["reason"] == "answer 404"
    assert "15551234567" not in "".join(str(vars(record)) for record in caplog.records)


async def test_failing_destination_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    """
    A destination that keeps failing is told when it begins, and when it is over.
    """
    caplog.set_level(logging.INFO, "ami_bridge")
    settings = attrs.evolve(HASTY, breaker_terms=BreakerTerms(failures=3, waits=(0.01,)))
    async with (
        ScriptedReceiver([status(500)] * 6) as receiver,
        sending(settings) as (store, sender),
    ):
        await owe(store, delivery("x", receiver.url))
        assert await sender.drain(5) == 0

    told = [record.message for record in caplog.records if "destination" in record.message]
    assert told == ["destination keeps failing", "destination answers again"]


# -- TLS -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """
    Give a certificate for 127.0.0.1 that nobody trusts, and its key.
    """
    folder = tmp_path_factory.mktemp("tls")
    command = "openssl req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=127.0.0.1"
    command += " -addext subjectAltName=IP:127.0.0.1 -keyout key.pem -out cert.pem"
    try:
        subprocess.run(command.split(), cwd=folder, check=True, capture_output=True)
    except FileNotFoundError:
        pytest.skip("openssl is not installed")
    return folder / "cert.pem", folder / "key.pem"


@pytest.mark.parametrize("trusted", [True, False])
async def test_certificates(certificate: tuple[Path, Path], trusted: bool) -> None:
    """
    A receiver's certificate is verified; the operator's own CA can vouch for it.
    """
    cert, key = certificate
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(cert, key)
    settings = attrs.evolve(HASTY, ca_file=cert if trusted else None)
    async with ScriptedReceiver(tls=tls) as receiver, sending(settings) as (store, sender):
        await owe(store, delivery("x", receiver.url, lifetime=0.5))
        assert await sender.drain(5) == 0

    assert paths(receiver) == (["x"] if trusted else [])
    assert bool(store.abandoned) is not trusted
