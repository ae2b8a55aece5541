"""
The daemon through crashes and confinement: nothing is lost, and nothing told as something new.
"""

import asyncio
import itertools
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from urllib.parse import parse_qsl

import attrs
import pytest

from ami_bridge.adapters.receiver import Receiver
from ami_bridge.adapters.simulator import Playing, Simulator
from ami_bridge.adapters.sqlite_store import SqliteStore
from ami_bridge.cli.run import _run as run
from ami_bridge.cli.simulate import playlist
from ami_bridge.config import load_config
from ami_bridge.core.correlator import Correlator
from ami_bridge.core.requests import event_id
from ami_bridge.errors import StoreError
from ami_bridge.settings import Config
from tests.integration.receivers import ScriptedReceiver, status, until
from tests.integration.running import (
    PROJECT,
    STORY,
    Ears,
    bridge_with,
    write_rules_in,
)
from tests.replaying import ami_events, call_events

#: What the story tells the receiver.
TOLD = ["dial-in", "answer", "hangup"]


def ids(ears: Ears) -> list[str]:
    """
    Give the ids of what was heard, each once, in the order of the first.
    """
    return list(dict.fromkeys(received.headers["webhook-id"] for received in ears.heard))


async def test_what_was_owed_is_sent_after_a_kill(tmp_path: Path) -> None:
    """
    Killed while its receiver hangs, the bridge sends after its restart what it owed.
    """
    ears, deaf = Ears(), Ears()
    chunks = playlist((str(STORY),))
    async with Simulator(chunks, speed=0, playing=Playing.LIVE) as pbx:
        async with Receiver(deaf.take, delay_seconds=60) as receiver:
            rules = write_rules_in(tmp_path, pbx.port, receiver.url)
            async with bridge_with(rules) as bridge:
                await bridge.wait_for_log("logged in")
                await deaf.wait_for(1)
                bridge.process.kill()
        async with Receiver(ears.take, port=receiver.port), bridge_with(rules):
            assert await ears.wait_for(3) == TOLD
    assert ids(ears)[0] == ids(deaf)[0]


async def test_a_call_goes_on_after_a_kill(tmp_path: Path) -> None:
    """
    Killed in mid call, the bridge tells the rest of it after its restart, with the same CallID.
    """
    ears = Ears()
    chunks = playlist((str(STORY),))
    async with (
        Receiver(ears.take) as receiver,
        Simulator(chunks, speed=2, playing=Playing.HOLD) as pbx,
    ):
        rules = write_rules_in(tmp_path, pbx.port, receiver.url)
        async with bridge_with(rules) as bridge:
            await ears.wait_for(1)
            bridge.process.kill()
            await bridge.process.communicate()
        async with bridge_with(rules):
            await until(lambda: len(ids(ears)) == len(TOLD))
    told = {received.headers["webhook-id"]: received.parameters for received in ears.heard}
    assert [parameters["EventType"] for parameters in told.values()] == TOLD
    assert len({parameters["CallID"] for parameters in told.values()}) == 1


async def test_one_pbx_troubles_no_other(tmp_path: Path) -> None:
    """
    Of two PBXs, one that is not there keeps nobody from hearing of the other's calls.
    """
    ears = Ears()
    chunks = playlist((str(STORY),))
    async with (
        Receiver(ears.take) as receiver,
        Simulator(chunks, speed=0) as pbx,
    ):
        rules = write_rules_in(tmp_path, pbx.port, receiver.url)
        text = rules.read_text().replace("[asterisk]", '[[asterisk]]\nname = "east"')
        absent = '[[asterisk]]\nname = "west"\nport = 9\nusername = "x"\nsecret_file = "secret"\n'
        rules.write_text(absent + text)
        async with bridge_with(rules):
            assert await ears.wait_for(3) == TOLD
    assert all(one.parameters["CallID"].startswith("east-") for one in ears.heard)


def in_mid_call() -> list[tuple[float | None, bytes]]:
    """
    Give the story up to its first Hangup.
    """
    chunks = playlist((str(STORY),))()
    return list(itertools.takewhile(lambda chunk: b"Event: Hangup\r" not in chunk[1], chunks))


def with_pbxs(rules: Path, **ports: int) -> Config:
    """
    Let *rules* name the PBXs in *ports* alone; give them as they are read then.
    """
    _, heading, rest = rules.read_text().partition("[delivery]")
    pbxs = (
        f'[[asterisk]]\nname = "{name}"\nport = {port}\nsecret_file = "secret"\n'
        for name, port in ports.items()
    )
    rules.write_text("".join(pbxs) + heading + rest)
    return load_config(rules)


def ids_of(config: Config, pbx: str) -> list[str]:
    """
    Give the ids of what the whole story leads to on *pbx*.
    """
    [rule] = config.rules
    correlator = Correlator(attrs.evolve(config.correlator, pbx=pbx))
    said = call_events(ami_events([STORY.read_bytes()]), correlator)
    return [event_id(call_event, rule) for call_event in said]


@pytest.mark.parametrize("answers", [True, False], ids=["told", "owed"])
async def test_calls_of_a_pbx_that_is_named_no_more_end(tmp_path: Path, *, answers: bool) -> None:
    """
    Legs of a PBX that left the rules while no bridge ran end once, in order, with their own ids.
    """
    ears, before = Ears(), Ears()
    async with (
        Simulator(in_mid_call, speed=0, playing=Playing.LIVE) as east,
        Simulator(in_mid_call, speed=0, playing=Playing.LIVE) as west,
    ):
        async with Receiver(before.take, delay_seconds=0 if answers else 60) as receiver:
            rules = write_rules_in(tmp_path, 9, receiver.url)
            with_pbxs(rules, east=east.port, west=west.port)
            async with bridge_with(rules) as bridge:
                await before.wait_for(4 if answers else 2)
                bridge.process.kill()
        config = with_pbxs(rules, east=east.port)
        expected = ids_of(config, "west")
        async with Receiver(ears.take, port=receiver.port), bridge_with(rules) as bridge:
            await until(lambda: expected[-1] in ids(ears))
            bridge.process.send_signal(signal.SIGTERM)
            assert await bridge.ends_with() == 0
    async with SqliteStore(tmp_path / "outbox.sqlite") as store:
        assert await store.pbxs_with_stories() == ["east"]
    told = [one for one in ids(ears) if one in expected]
    assert told == [one for one in expected if one in told]
    assert answers or told[0] == expected[0]
    assert [one.headers["webhook-id"] for one in ears.heard].count(expected[-1]) == 1


async def test_a_receiver_that_is_gone_pauses_its_rule(tmp_path: Path) -> None:
    """
    After an answer 410 nothing more is sent, until the rules are loaded again.
    """
    chunks = playlist((str(STORY),))
    async with (
        ScriptedReceiver([status(410)]) as receiver,
        Simulator(chunks, speed=0) as pbx,
        bridge_with(write_rules_in(tmp_path, pbx.port, f"{receiver.url}/")) as bridge,
    ):
        await bridge.wait_for_log("rule paused")
        await pbx.finished.wait()
        assert len(receiver.heard) == 1
        bridge.process.send_signal(signal.SIGHUP)
        await until(lambda: len(receiver.heard) >= len(TOLD))

    told = [dict(parse_qsl(heard.body.decode())) for heard in receiver.heard]
    assert [parameters["EventType"] for parameters in told] == TOLD


async def test_a_store_that_cannot_go_on_ends_the_bridge(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    An error of the store that waiting cannot mend ends `run` with that error, to be started anew.
    """

    async def damaged(_: SqliteStore) -> None:
        raise StoreError("outbox.sqlite", "is damaged")

    monkeypatch.setattr(SqliteStore, "health", damaged)
    rules = write_rules_in(tmp_path, 9, "http://127.0.0.1:9/")
    async with asyncio.timeout(20):
        with pytest.raises(StoreError, match="is damaged"):
            await run(load_config(rules), rules)


# -- the unit's restrictions ---------------------------------------------------------------

_NOBODY = 65_534


def _confined(state: Path) -> list[str]:
    """
    Give the command that does, without systemd, what of the unit can be done without it.

    ProtectSystem=strict, PrivateTmp with only the state's directory to write to, DynamicUser
    where that user can read the program, NoNewPrivileges, and no capability at all.
    """
    mounts = f'mount --bind {state} {state} && mount -o remount,bind,ro / && exec "$@"'
    user = ["--reuid", str(_NOBODY), "--regid", str(_NOBODY), "--clear-groups"]
    rights = ["--no-new-privs", "--bounding-set=-all", "--inh-caps=-all", "--"]
    read = f"open({str(PROJECT / 'rules.toml')!r})"
    # A shell between, because setpriv itself still may enter any folder.
    probe = ["setpriv", *user, *rights, "sh", "-c", '"$@"', "sh", sys.executable, "-c", read]
    if subprocess.run(probe, capture_output=True, check=False, cwd="/").returncode:
        user = []
    else:
        os.chown(state, _NOBODY, _NOBODY)
    return [
        *("unshare", "--mount", "--propagation", "private", "sh", "-c", mounts, "sh"),
        *("setpriv", *user, *rights),
        *("sh", "-c", 'umask 0077 && exec "$@"', "sh"),
    ]


@pytest.mark.skipif(
    os.geteuid() != 0 or not shutil.which("setpriv") or not shutil.which("unshare"),
    reason="needs root, unshare and setpriv",
)
async def test_runs_as_confined_as_the_unit_has_it(tmp_path: Path) -> None:
    """
    With nothing to write to but its state's directory, and no rights, the bridge does its work.
    """
    for folder in (tmp_path, *tmp_path.parents):
        if folder.owner() == "root" and folder != Path("/tmp"):  # noqa: S108 - it is open to all
            folder.chmod(folder.stat().st_mode | 0o055)
        if folder == Path("/tmp"):  # noqa: S108 - as above
            break
    state = tmp_path / "state"
    state.mkdir()
    ears = Ears()
    chunks = playlist((str(STORY),))
    async with Receiver(ears.take) as receiver, Simulator(chunks, speed=0) as pbx:
        rules = write_rules_in(tmp_path, pbx.port, receiver.url)
        rules.write_text(rules.read_text().replace('[store]\npath = "outbox.sqlite"\n', ""))
        async with bridge_with(
            rules, within=_confined(state), STATE_DIRECTORY=str(state)
        ) as bridge:
            assert await ears.wait_for(3) == TOLD
            bridge.process.send_signal(signal.SIGTERM)
            assert await bridge.ends_with() == 0
    kept = state / "outbox.sqlite"
    assert kept.exists()
    assert kept.stat().st_mode & 0o077 == 0
