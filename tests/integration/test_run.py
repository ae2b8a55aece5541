"""
The daemon as its operator runs it: a process, a rules file, signals.
"""

import asyncio
import functools
import itertools
import json
import signal
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from ami_bridge.adapters.receiver import Receiver
from ami_bridge.adapters.simulator import Simulator
from ami_bridge.cli.simulate import playlist
from tests.integration.running import (
    STORY,
    WAIT_SECONDS,
    Ears,
    bridge_with,
    write_rules_in,
)


@pytest.fixture
def write_rules(tmp_path: Path) -> Callable[..., Path]:
    """
    Give a way to write a rules file.
    """
    return functools.partial(write_rules_in, tmp_path)


async def test_a_call_becomes_requests_and_a_signal_ends_it(
    write_rules: Callable[..., Path],
) -> None:
    """
    The daemon tells the receiver of a call, and SIGTERM ends it in order with exit code 0.
    """
    ears = Ears()
    chunks = playlist((str(STORY),))
    async with (
        Receiver(ears.take) as receiver,
        Simulator(chunks, speed=0) as pbx,
        bridge_with(write_rules(pbx.port, receiver.url)) as bridge,
    ):
        assert await ears.wait_for(3) == ["dial-in", "answer", "hangup"]
        assert ears.heard[0].parameters["CallerIDNum"] == "14155550100"
        bridge.process.send_signal(signal.SIGTERM)

        assert await bridge.ends_with() == 0


async def test_a_bridge_that_tells_nobody_says_so(tmp_path: Path) -> None:
    """
    Without any request the daemon runs, and warns of it with the file that it looked into.
    """
    rules = tmp_path / "rules.toml"
    rules.write_text('[asterisk]\nport = 1\nsecret = "x"\n[store]\npath = ":memory:"\n')
    async with bridge_with(rules) as bridge:
        line = await bridge.wait_for_log("nobody will be told of anything")

        assert "rules.toml" in line
        await bridge.wait_for_log("no connection to Asterisk")
        bridge.process.send_signal(signal.SIGTERM)
        assert await bridge.ends_with() == 0

    # Where stderr is no terminal every line is JSON, what deserves a second look included.
    lines = [json.loads(line) for line in bridge.log]
    assert "asterisk.secret" in [line.get("key") for line in lines]


async def test_a_stop_delivers_what_is_owed(write_rules: Callable[..., Path]) -> None:
    """
    A receiver that is slow still gets every notification of a daemon that is told to stop.
    """
    ears = Ears()
    chunks = playlist((str(STORY),))
    async with (
        Receiver(ears.take, delay_seconds=0.3) as receiver,
        Simulator(chunks, speed=0) as pbx,
        bridge_with(write_rules(pbx.port, receiver.url)) as bridge,
    ):
        await ears.wait_for(1)
        bridge.process.send_signal(signal.SIGTERM)

        assert await bridge.ends_with() == 0
        assert await ears.wait_for(3) == ["dial-in", "answer", "hangup"]


async def test_a_second_signal_insists(write_rules: Callable[..., Path]) -> None:
    """
    While the daemon still delivers, another SIGTERM ends it at once.
    """
    ears = Ears()
    chunks = playlist((str(STORY),))
    async with (
        Receiver(ears.take, delay_seconds=60) as receiver,
        Simulator(chunks, speed=0) as pbx,
        bridge_with(write_rules(pbx.port, receiver.url)) as bridge,
    ):
        await ears.wait_for(1)
        bridge.process.send_signal(signal.SIGTERM)
        await bridge.wait_for_log("stopping")
        bridge.process.send_signal(signal.SIGTERM)

        assert await bridge.ends_with() == -signal.SIGTERM


async def test_a_call_that_ended_while_the_link_was_down_is_hung_up(
    write_rules: Callable[..., Path],
) -> None:
    """
    After a lost connection the list of channels ends the legs whose channels are gone.
    """
    ears = Ears()
    until_answered = list(itertools.takewhile(is_before_the_end, playlist((str(STORY),))()))
    async with (
        Receiver(ears.take) as receiver,
        Simulator(lambda: until_answered, speed=0) as pbx,
        bridge_with(write_rules(pbx.port, receiver.url)) as bridge,
    ):
        assert await ears.wait_for(2) == ["dial-in", "answer"]
        await pbx.__aexit__(None, None, None)
        await bridge.wait_for_log("no connection to Asterisk")
        async with Simulator(lambda: (), port=pbx.port, speed=0):
            assert await ears.wait_for(3) == ["dial-in", "answer", "hangup"]

    assert ears.heard[-1].parameters["CallStatus"] == "ANSWER"


def is_before_the_end(chunk: tuple[float | None, bytes]) -> bool:
    """
    Tell whether a read of the story comes before its first Hangup.
    """
    return b"Event: Hangup\r" not in chunk[1]


@pytest.mark.parametrize("by_signal", [True, False], ids=["SIGHUP", "the file changed"])
async def test_rules_are_loaded_again(write_rules: Callable[..., Path], by_signal: bool) -> None:
    """
    New rules hold after SIGHUP or a change of the file; broken ones are refused loudly.
    """
    ears = Ears()
    async with (
        Receiver(ears.take) as receiver,
        Simulator(playlist((str(STORY),)), speed=0) as pbx,
        bridge_with(write_rules(pbx.port, receiver.url)) as bridge,
    ):
        await ears.wait_for(3)
        file = write_rules(pbx.port, receiver.url)
        file.write_text(file.read_text().replace("method", "metod"))
        if by_signal:
            bridge.process.send_signal(signal.SIGHUP)
        refused = await bridge.wait_for_log("rules refused")
        assert "did you mean" in refused
        write_rules(pbx.port, receiver.url, "elsewhere")
        if by_signal:
            bridge.process.send_signal(signal.SIGHUP)
        await bridge.wait_for_log("rules loaded")


async def test_another_pbx_in_the_rules_is_connected_to(
    write_rules: Callable[..., Path],
) -> None:
    """
    When the rules name another PBX, the daemon leaves the old one and logs in to the new one.
    """
    ears = Ears()
    async with (
        Receiver(ears.take) as receiver,
        Simulator(lambda: (), speed=0) as old,
        Simulator(playlist((str(STORY),)), speed=0) as new,
        bridge_with(write_rules(old.port, receiver.url)) as bridge,
    ):
        await bridge.wait_for_log("logged in")
        write_rules(new.port, receiver.url)
        bridge.process.send_signal(signal.SIGHUP)

        assert await ears.wait_for(3) == ["dial-in", "answer", "hangup"]


async def test_systemd_hears_of_readiness_life_and_end(
    write_rules: Callable[..., Path], tmp_path: Path
) -> None:
    """
    Under systemd the daemon says READY, gives the watchdog its sign, and says STOPPING.
    """
    door = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    door.setblocking(False)
    with door:
        door.bind(str(tmp_path / "notify"))
        async with (
            Receiver(lambda _: None) as receiver,
            Simulator(lambda: (), speed=0) as pbx,
            bridge_with(
                write_rules(pbx.port, receiver.url),
                NOTIFY_SOCKET=str(tmp_path / "notify"),
                WATCHDOG_USEC="200000",
            ) as bridge,
        ):
            assert "READY=1" in await heard_by(door, "READY=1")
            await heard_by(door, "STATUS=logged in")
            await heard_by(door, "WATCHDOG=1")
            bridge.process.send_signal(signal.SIGTERM)
            await heard_by(door, "STOPPING=1")
            assert await bridge.ends_with() == 0


async def heard_by(door: socket.socket, word: str) -> str:
    """
    Wait for a datagram that contains *word*.
    """
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(WAIT_SECONDS):
        while True:
            told = (await loop.sock_recv(door, 4096)).decode()
            if word in told:
                return told


async def test_wrong_rules_end_the_daemon_at_once(tmp_path: Path) -> None:
    """
    A daemon whose rules are wrong does not start: all mistakes, exit code 78.
    """
    rules = tmp_path / "rules.toml"
    rules.write_text('[asterisk]\nport = "5038a"\n[[requests]]\nulr = "http://x.example/"\n')
    async with bridge_with(rules) as bridge:
        assert bridge.process.stderr is not None
        told = (await bridge.process.stderr.read()).decode()

        assert await bridge.ends_with() == 78
        assert "asterisk.port" in told
        assert 'did you mean "url"' in told
