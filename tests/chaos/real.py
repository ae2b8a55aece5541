"""
The same with a real Asterisk and telephones: judged by what Asterisk wrote down itself.

``python -m tests.chaos.real --faults 40 --minutes 4`` needs root and a chroot with Asterisk.
"""

import argparse
import asyncio
import contextlib
import json
import random
import re
import secrets
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import attrs

from ami_bridge.core.call_events import CallEvent, CallFlow, CallStatus, EventType
from tests.asterisk.asterisk import SECRET
from tests.asterisk.chroots import chroot_of
from tests.asterisk.phone import Phone
from tests.asterisk.wire import Wire, running_wire

from .__main__ import report
from .bridge import PBX, REDIRECTED, RULES, Bridge
from .callers import PROVIDER, Callers
from .faults import Kind, Stage, common_kinds, make_faults
from .hearing import IN_FLIGHT_SECONDS, Gap
from .judge import Judge, LegFate
from .real_pbx import ChannelLife, RealPbx, real_pbx
from .receiver import Arrival, MoodyReceiver
from .run import Happened, Outcome, Plan

_VERSION = "22"
_PHONES = ("0003*001", "0003*002", "0003*003", "0003*004", PROVIDER)
_HOSTS = {PROVIDER: "127.0.0.2"}
_EXTENSION = re.compile(r"PJSIP/(0003\*\d{3})-[0-9a-f]{8}")
#: The clocks are one, but what Asterisk says and what it writes down are not one act.
_SKEW_SECONDS = 0.1
#: So long after its login a bridge has read the list of channels.
_LIST_SECONDS = 1.5
_UP_SECONDS = 30.0
_SETTLE_SECONDS = 60.0
_STEPS = {
    CallFlow.IN: (EventType.DIAL_IN, EventType.ANSWER_IN),
    CallFlow.OUT: (EventType.DIAL_OUT, EventType.ANSWER_OUT),
}


@attrs.frozen
class RealStage(Stage):
    """
    Everybody who takes part where the PBX is real.
    """

    pbx: RealPbx
    wire: Wire
    callers: Callers
    #: When what the bridge heard ended, in seconds since the epoch.
    losses: list[float]


async def _bridge_fault(stage: RealStage) -> None:
    stage.losses.append(time.time())
    if stage.dice.random() < 0.7:
        await stage.bridge.kill()
    else:
        await stage.bridge.stop()
    await asyncio.sleep(stage.dice.choice((0.0, stage.dice.uniform(0.0, 1.5))))
    await stage.bridge.start()


async def _link_cut(stage: RealStage) -> None:
    stage.losses.append(time.time())
    stage.wire.cut()
    await asyncio.sleep(stage.dice.uniform(0.0, 2.0))
    await stage.wire.mend()


async def _link_stalled(stage: RealStage) -> None:
    stage.losses.append(time.time())
    stage.wire.hold()
    await asyncio.sleep(3.0)
    stage.wire.release()


async def _asterisk_killed(stage: RealStage) -> None:
    stage.losses.append(time.time())
    await stage.pbx.crash()
    await asyncio.sleep(stage.dice.uniform(0.0, 1.0))
    await stage.pbx.start()
    await stage.callers.register()


async def _asterisk_restarted(stage: RealStage) -> None:
    stage.losses.append(time.time())
    await stage.pbx.restart()
    await stage.callers.register()


def _kinds() -> list[Kind[Any]]:
    receivers = [kind for kind in common_kinds(long=False) if kind.organ == "receivers"]
    return [
        *receivers,
        Kind("bridge killed or stopped", _bridge_fault, "bridge", 4),
        Kind("link cut", _link_cut, "link", 2),
        Kind("link stalled", _link_stalled, "link"),
        Kind("Asterisk killed", _asterisk_killed, "link", 2),
        Kind("Asterisk restarted", _asterisk_restarted, "link"),
    ]


class RealRun:
    """
    One run of *plan*, with its files in *folder*.
    """

    def __init__(self, plan: Plan, folder: Path) -> None:
        self._plan = plan
        self._folder = folder
        self._dice = random.Random(plan.seed)  # noqa: S311 - a seed is what is wanted
        self._arrivals: list[Arrival] = []
        self._outcome = Outcome(plan)

    async def run(self) -> Outcome:
        """
        Do it, and judge.
        """
        began, outcome = time.monotonic(), self._outcome
        async with self._stage() as stage:
            async with stage.callers.at_work():
                await asyncio.sleep(1.0)
                await make_faults(
                    stage,
                    _kinds(),
                    self._plan.faults,
                    self._plan.seconds,
                    lambda kind: outcome.faults.append(Happened(kind, time.monotonic())),
                )
                await stage.bridge.start()
            until = time.monotonic() + _SETTLE_SECONDS
            await asyncio.sleep(_LIST_SECONDS)
            await stage.pbx.hang_up_everybody()
            while time.monotonic() < until and self._judge(stage).missing():  # noqa: ASYNC110
                await asyncio.sleep(1.0)
            await asyncio.sleep(1.0)
            await stage.bridge.stop()
            judge = self._judge(stage)
            outcome.findings = [
                attrs.evolve(finding, blamed=self._last_before(finding.position, finding.time))
                for finding in judge.findings()
            ]
            outcome.owed = judge.owed
            outcome.calls = len({life.linkedid for life in stage.pbx.channels()})
            outcome.bad_ends = stage.bridge.died + [code for code in stage.bridge.exits if code]
        outcome.requests = len(self._arrivals)
        outcome.given_up = sum(arrival.status == 302 for arrival in self._arrivals)
        outcome.seconds = time.monotonic() - began
        return outcome

    @contextlib.asynccontextmanager
    async def _stage(self) -> AsyncIterator[RealStage]:
        async with contextlib.AsyncExitStack() as stack:
            pbx = await stack.enter_async_context(real_pbx(_VERSION, chroot_of(_VERSION)))
            wire = await stack.enter_async_context(running_wire(pbx.asterisk.ami_port))
            receivers = {
                name: await stack.enter_async_context(MoodyReceiver(self._arrivals))
                for name in ("everything", "pop_up", "moved")
            }
            server = ("127.0.0.1", pbx.asterisk.sip_port)
            phones = {number: Phone(number, SECRET, server) for number in _PHONES}
            for number, phone in phones.items():
                await phone.plug_in(_HOSTS.get(number, "127.0.0.1"))
                stack.callback(phone._transport.close)
            bridge = Bridge(self._folder, self._folder / "outbox.sqlite")
            ports = {name: receiver.port for name, receiver in receivers.items()}
            bridge.write_rules(ami=wire.port, **ports)
            stack.push_async_callback(bridge.kill)
            await bridge.start()
            async with asyncio.timeout(_UP_SECONDS):
                while not self._logins():  # noqa: ASYNC110 - another process has to do it
                    await asyncio.sleep(0.1)
            dice = random.Random(self._dice.random())  # noqa: S311
            yield RealStage(
                dice=random.Random(self._dice.random()),  # noqa: S311
                bridge=bridge,
                receivers=receivers,
                pbx=pbx,
                wire=wire,
                callers=Callers(phones, self._plan.rate, dice),
                losses=[],
            )

    def _logins(self) -> list[float]:
        """
        Give when the bridge logged in, by its own log.
        """
        lines = (self._folder / "bridge.log").read_text(errors="replace").splitlines()
        logged = [json.loads(line) for line in lines if line.startswith("{")]
        return [line["time"] for line in logged if line["message"] == "logged in to Asterisk"]

    def _judge(self, stage: RealStage) -> Judge:
        gaps = list(_gaps(sorted(stage.losses), self._logins()))
        legs = [leg for life in stage.pbx.channels() for leg in _fates(life, gaps)]
        return Judge(legs, RULES, self._arrivals, redirected=REDIRECTED)

    def _last_before(self, milliseconds: int, when: float | None) -> str:
        if when is None:
            when = milliseconds / 1000 - time.time() + time.monotonic() + IN_FLIGHT_SECONDS
        before = [happened.kind for happened in self._outcome.faults if happened.time <= when]
        return before[-1] if before else "(before any fault)"


def _gaps(losses: list[float], logins: list[float]) -> Iterator[Gap]:
    """
    Say between which moments the bridge may have heard nothing, in milliseconds.
    """
    for loss in losses:
        # A login that was lost again before the list was read closes nothing.
        closing = next(
            (
                login
                for login in logins
                if login > loss
                and not any(login < other < login + _LIST_SECONDS for other in losses)
            ),
            None,
        )
        begin = _milliseconds(loss - IN_FLIGHT_SECONDS)
        if closing is None:
            yield Gap(begin, 1 << 60, 1 << 60)
        else:
            end = closing + _SKEW_SECONDS
            yield Gap(begin, _milliseconds(end), _milliseconds(closing + _LIST_SECONDS))


def _fates(life: ChannelLife, gaps: list[Gap]) -> Iterator[LegFate]:
    """
    Say what may be expected of the extension's leg that a channel is, if it is one's.
    """
    found = _EXTENSION.fullmatch(life.name)
    if found is None or life.ended is None:
        return
    flow = CallFlow.OUT if life.uniqueid == life.linkedid else CallFlow.IN
    dial, answer = _STEPS[flow]
    happened = {dial: life.began}
    if life.answered is not None:
        happened[answer] = life.answered
    happened[EventType.HANGUP] = life.ended
    words = {
        dial: CallStatus.CALLING,
        answer: CallStatus.ANSWER,
        EventType.HANGUP: CallStatus.ANSWER if life.answered else CallStatus.UNKNOWN,
    }
    events = [
        CallEvent(
            type=kind,
            extension=found[1],
            time=None,
            leg=f"{PBX}/{life.uniqueid}/{found[1]}/{flow.value}",
            call_id=f"{PBX}-{life.linkedid}",
            call_flow=flow,
            call_status=words[kind],
        )
        for kind in happened
    ]
    at = {kind: _milliseconds(moment) for kind, moment in happened.items()}
    fate = LegFate(f"{life.name} {flow.value}", events, at, dict.fromkeys(happened, False))
    for kind, moment in at.items():
        within = [gap for gap in gaps if gap.begin <= moment < gap.end]
        if within:
            fate.late.add(kind)
        if all(moment < gap.end and at[EventType.HANGUP] > gap.listed for gap in within):
            fate.must.add(kind)
    if dial in fate.must:
        fate.must.add(EventType.HANGUP)
    else:
        fate.must.clear()
    yield fate


def _milliseconds(seconds: float) -> int:
    return int(seconds * 1000)


def main() -> int:
    """
    Run as the command line says; 0 means that nothing was lost, extra or out of order.
    """
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.real", description=__doc__)
    parser.add_argument("--faults", type=int, default=40)
    parser.add_argument("--minutes", type=float, default=4.0)
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--rate", type=float, default=3.0, help="calls that begin in a second")
    options = parser.parse_args()
    seed = secrets.randbelow(1_000_000) if options.seed is None else options.seed
    plan = Plan(options.faults, options.minutes * 60 * 0.9, seed, options.rate)
    print(f"seed {seed}: {plan.faults} faults, real Asterisk {_VERSION}", flush=True)
    folder = Path(tempfile.mkdtemp(prefix="ami-bridge-chaos-"))
    outcome = asyncio.run(RealRun(plan, folder).run())
    report(outcome)
    print(f"the bridge's log: {folder / 'bridge.log'}")
    return 0 if outcome.faultless else 1


if __name__ == "__main__":
    sys.exit(main())
