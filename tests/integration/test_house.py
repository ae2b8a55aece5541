"""
The whole bridge, while its rules change and its store can be read but not written.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import attrs

from ami_bridge.adapters.simulator import Playing, Simulator
from ami_bridge.adapters.sqlite_store import SqliteStore
from ami_bridge.core.call_events import CallEvent, EventType
from ami_bridge.core.rules import EVERYONE, ExtensionPattern, Method, Rule
from ami_bridge.daemon import Daemon
from ami_bridge.settings import (
    AsteriskSettings,
    Config,
    DeliverySettings,
    PbxSettings,
    StoreSettings,
)

from .ami_clients import of, settings_for
from .receivers import until
from .running import STORY
from .test_sqlite_store import locked

#: A call that rings.
RINGS, _, _ = STORY.read_bytes().partition(b"Event: DialState")


@attrs.define
class House:
    """
    A bridge, and what it has told.
    """

    daemon: Daemon
    #: Loaded when the rules are read again.
    rules: Config
    told: list[str] = attrs.field(factory=list)

    def use(self, rules: Config) -> None:
        """
        Have *rules* read.
        """
        self.rules = rules
        self.daemon.reload()

    def listens_to(self) -> list[str]:
        """
        Name the PBXs.
        """
        return sorted(self.daemon._pbxs)

    def lists(self, name: str) -> int:
        """
        Count the lists of channels that were compared since a PBX was in the rules.
        """
        found = self.daemon._pbxs.get(name)
        return 0 if found is None else found[0].resynchronisations


@contextlib.asynccontextmanager
async def house(config: Config) -> AsyncIterator[House]:
    """
    Let a bridge run with *config*; it has to end when it is told to.
    """
    told: list[str] = []

    def tell(call_event: CallEvent) -> None:
        told.append(f"{call_event.type} {call_event.extension}")

    made = House(Daemon(config, load=lambda: made.rules, tell=tell), config, told)
    stop = asyncio.Event()
    task = asyncio.create_task(made.daemon.run(stop))
    try:
        yield made
    finally:
        stop.set()
        async with asyncio.timeout(10):
            await task


def config(path: Path, **pbxs: AsteriskSettings) -> Config:
    """
    Make rules with *pbxs*, a store in *path*, and one request at an address where nobody is.
    """
    return Config(
        tuple(PbxSettings(attrs.evolve(one, name=name)) for name, one in pbxs.items()),
        rules=(
            Rule(
                "all",
                "http://h.invalid/",
                (ExtensionPattern(EVERYONE),),
                frozenset(EventType),
                Method.GET,
            ),
        ),
        delivery=DeliverySettings(drain_seconds=0.5),
        store=StoreSettings(path),
    )


async def test_a_start_with_a_store_that_cannot_be_written(tmp_path: Path) -> None:
    """
    PBXs are listened to all the same, what they say is told, and a stop ends the bridge.
    """
    path = tmp_path / "store.sqlite"
    async with SqliteStore(path):
        pass
    async with Simulator(of(RINGS), speed=0, playing=Playing.LIVE) as pbx:
        with locked(path):
            async with house(config(path, east=settings_for(pbx))) as bridge:
                async with asyncio.timeout(10):
                    await until(lambda: "Dial-In 0003*001" in bridge.told)


async def test_rules_that_are_read_while_nothing_can_be_written(tmp_path: Path) -> None:
    """
    The new rules hold at once, for the PBXs as for the requests.
    """
    path = tmp_path / "store.sqlite"
    nobody = AsteriskSettings(port=9)
    async with house(config(path, east=nobody, west=nobody)) as bridge:
        await until(lambda: bridge.listens_to() == ["east", "west"])
        with locked(path):
            bridge.use(config(path, east=nobody, south=nobody))
            async with asyncio.timeout(5):
                await until(lambda: bridge.listens_to() == ["east", "south"])


async def test_a_pbx_that_comes_back_to_the_rules(tmp_path: Path) -> None:
    """
    Its calls ended when it left; what is up when it comes back is followed in silence.
    """
    path = tmp_path / "store.sqlite"
    nobody = AsteriskSettings(port=9)
    async with Simulator(of(RINGS), speed=0, playing=Playing.LIVE) as pbx:
        both = config(path, east=settings_for(pbx), west=nobody)
        async with house(both) as bridge, asyncio.timeout(20):
            await until(lambda: "Dial-In 0003*001" in bridge.told)
            with locked(path):
                bridge.use(config(path, west=nobody))
                await until(lambda: bridge.told[-1] == "Hangup 0003*001")
                before = list(bridge.told)
                bridge.use(both)
                await until(lambda: bridge.listens_to() == ["east", "west"])
                await until(lambda: bridge.lists("east") == 1)
        assert bridge.told == before

        # Nor at the next start.
        async with house(both) as bridge, asyncio.timeout(20):
            await until(lambda: bridge.lists("east") == 1)
        assert bridge.told == []
