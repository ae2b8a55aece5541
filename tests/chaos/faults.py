"""
What goes wrong: each fault is one thing that may happen to a bridge on any day.
"""

import asyncio
import random
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from typing import Any, Generic, TypeVar

import attrs

from ami_bridge.adapters.simulator import Simulator

from .bridge import Bridge
from .disk import SmallDisk
from .hearing import Hearing
from .receiver import Mood, MoodyReceiver
from .traffic import Traffic

#: A store that found its disk full tries again after a while; then it has kept everything.
_STORE_PATIENCE_SECONDS = 5.0


@attrs.frozen
class Stage:
    """
    Those who take part, whatever the PBX is.
    """

    dice: random.Random
    bridge: Bridge
    #: By what they are for: ``everything``, ``pop_up`` and ``moved``.
    receivers: Mapping[str, MoodyReceiver]


@attrs.frozen
class Scene(Stage):
    """
    Everybody who takes part where the PBX is played.
    """

    simulator: Simulator
    hearing: Hearing
    traffic: Traffic
    disk: SmallDisk


async def bridge_killed(scene: Stage) -> None:
    """
    Kill the bridge with SIGKILL, and start it again after a while.
    """
    await scene.bridge.kill()
    await asyncio.sleep(scene.dice.choice((0.0, 0.0, scene.dice.uniform(0.0, 1.5))))
    await scene.bridge.start()


async def bridge_killed_at_start(scene: Stage) -> None:
    """
    Kill the bridge, and once more while it starts.
    """
    await scene.bridge.kill()
    await scene.bridge.start()
    await asyncio.sleep(scene.dice.uniform(0.1, 0.8))
    await scene.bridge.kill()
    await scene.bridge.start()


async def bridge_stopped(scene: Stage) -> None:
    """
    Tell the bridge to stop, and start it again after a while.
    """
    await scene.bridge.stop()
    await asyncio.sleep(scene.dice.choice((0.0, scene.dice.uniform(0.0, 1.0))))
    await scene.bridge.start()


async def link_cut(scene: Scene) -> None:
    """
    Break the connection to the PBX off.
    """
    scene.simulator.cut()


async def link_stalled(scene: Scene) -> None:
    """
    Let nothing arrive, for less or for more than the bridge has patience.
    """
    scene.hearing.stalled(scene.simulator.position)
    scene.simulator.stall()
    await asyncio.sleep(scene.dice.choice((0.5, 3.0)))
    scene.simulator.flow()
    scene.hearing.flows()


async def link_garbled(scene: Scene) -> None:
    """
    Spoil some bytes of the link, and break it off soon after.
    """
    scene.hearing.garbled(scene.simulator.position)
    scene.simulator.garble(lambda octets: spoilt(octets, scene.dice))
    await asyncio.sleep(scene.dice.uniform(0.1, 0.6))
    scene.simulator.cut()


def spoilt(octets: bytes, dice: random.Random) -> bytes:
    """
    Write nonsense over a part of *octets*, or leave the part out.
    """
    begin = dice.randrange(len(octets))
    end = begin + dice.randrange(1, 200)
    nonsense = b"" if dice.random() < 0.5 else dice.randbytes(end - begin)
    return octets[:begin] + nonsense + octets[end:]


async def pbx_crashed(scene: Scene) -> None:
    """
    Have the PBX crash, and start again.
    """
    scene.traffic.pbx_went_down(scene.simulator.position)
    await scene.simulator.restart(scene.dice.uniform(0.0, 1.0))


async def pbx_restarted(scene: Scene) -> None:
    """
    Have the PBX restart in order: it says every Hangup before.
    """
    scene.traffic.pbx_went_down(scene.simulator.position)
    await scene.simulator.restart(scene.dice.uniform(0.0, 1.0), graceful=True)


def receiver_is(mood: Mood, *names: str) -> Callable[[Stage], Awaitable[None]]:
    """
    Make the fault that one of the receivers called *names* has *mood* for a while.
    """

    async def fault(scene: Stage) -> None:
        receiver = scene.receivers[scene.dice.choice(names)]
        await receiver.be(mood)
        await asyncio.sleep(scene.dice.uniform(0.5, 4.0))
        await receiver.be(Mood.WELL)

    return fault


async def disk_full(scene: Scene) -> None:
    """
    Have no room on the store's disk for a while.
    """
    scene.hearing.disk_full()
    await asyncio.to_thread(scene.disk.fill)
    await asyncio.sleep(scene.dice.uniform(0.5, 3.0))
    await asyncio.to_thread(scene.disk.empty)
    scene.hearing.disk_free(_STORE_PATIENCE_SECONDS)


_On = TypeVar("_On", bound=Stage)


@attrs.frozen
class Kind(Generic[_On]):
    """
    A kind of fault: how often it is chosen, and what else must not fail at the same time.
    """

    name: str
    happen: Callable[[_On], Awaitable[None]]
    #: Faults of one organ follow each other; faults of different ones may overlap.
    organ: str
    weight: int = 1


async def receiver_away_for_a_minute(scene: Stage) -> None:
    """
    Have a receiver away for so long that nobody who waited for it would notice anything else.
    """
    await scene.receivers["pop_up"].be(Mood.AWAY)
    await asyncio.sleep(60.0)
    await scene.receivers["pop_up"].be(Mood.WELL)


def common_kinds(*, long: bool) -> Iterator[Kind[Stage]]:
    """
    Give the faults of the bridge and of its receivers; *long* ones only where there is time.
    """
    yield Kind("bridge killed (SIGKILL)", bridge_killed, "bridge", 3)
    yield Kind("bridge killed at start", bridge_killed_at_start, "bridge")
    yield Kind("bridge stopped (SIGTERM)", bridge_stopped, "bridge", 2)
    if long:
        yield Kind("receiver away for a minute", receiver_away_for_a_minute, "pop_up")
    # One that is away for a minute is not well in between.
    both = ("everything",) if long else ("everything", "pop_up")
    for mood in (Mood.FAILING, Mood.HANGING, Mood.CLOSING, Mood.SLOW, Mood.AWAY):
        yield Kind(f"receiver {mood.value}", receiver_is(mood, *both), "receivers")
    yield Kind("receiver redirects", receiver_is(Mood.REDIRECTING, "moved"), "receivers")


def kinds(*, disk: bool, long: bool) -> list[Kind[Any]]:
    """
    Give all kinds of faults; without *disk* there is none that can be filled.
    """
    found: list[Kind[Any]] = [
        *common_kinds(long=long),
        Kind("link cut", link_cut, "link", 2),
        Kind("link stalled", link_stalled, "link"),
        Kind("link garbled", link_garbled, "link"),
        Kind("PBX crashed", pbx_crashed, "link"),
        Kind("PBX restarted", pbx_restarted, "link"),
    ]
    if disk:
        found.append(Kind("disk full", disk_full, "disk"))
    return found


async def make_faults(
    stage: _On,
    possible: Sequence[Kind[_On]],
    count: int,
    seconds: float,
    tell: Callable[[str], None],
) -> None:
    """
    Begin *count* faults at random moments of *seconds*; *tell* hears the name of each.

    What befalls one organ waits for what befell it before.
    """
    dice = stage.dice
    organs: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
    # Every kind once, if there is time for it, and the others by their weights.
    more = dice.choices(possible, [kind.weight for kind in possible], k=count)
    chosen = [*possible, *more][:count]
    dice.shuffle(chosen)

    async def make(kind: Kind[_On]) -> None:
        async with organs[kind.organ]:
            tell(kind.name)
            await kind.happen(stage)

    async with asyncio.TaskGroup() as troubles:
        for kind in chosen:
            await asyncio.sleep(dice.uniform(0.5, 1.5) * seconds / count)
            troubles.create_task(make(kind))
