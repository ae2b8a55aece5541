"""
The bridge loses Asterisk in mid call and finds it again: every leg is told whole, and once.
"""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import attrs
import pytest
import pytest_asyncio

from .ami_session import ami_session
from .asterisk import SECRET, Asterisk, running_asterisk, stop
from .bridge import running_bridge
from .dialogs import Call, IncomingCall, OutgoingCall
from .lab import Lab, Pbx
from .parties import ANN, CLEO, MO
from .patience import in_time, until
from .phone import Phone
from .receiver import running_receiver
from .told import Leg, call, calls, made, received
from .wire import Wire, running_wire

pytestmark = [pytest.mark.asterisk, pytest.mark.asyncio(loop_scope="session")]

DID = "15550100001"


@pytest_asyncio.fixture(loop_scope="session")
async def asterisk(version: str, chroot: Path) -> AsyncIterator[Asterisk]:
    """
    An Asterisk of the test's own, which it may ill-treat.
    """
    async with running_asterisk(version, chroot) as asterisk:
        yield asterisk


@pytest_asyncio.fixture(loop_scope="session")
async def wire(asterisk: Asterisk) -> AsyncIterator[Wire]:
    """
    What the bridge reaches that Asterisk by.
    """
    async with running_wire(asterisk.ami_port) as wire:
        yield wire


@pytest_asyncio.fixture(loop_scope="session")
async def later() -> AsyncIterator[AsyncExitStack]:
    """
    What is to be cleared up after the test.
    """
    async with AsyncExitStack() as stack:
        yield stack


@pytest.fixture
def keepalive_seconds() -> float:
    """
    How long the bridge bears silence.
    """
    return 0.5


@pytest_asyncio.fixture(loop_scope="session")
async def pbx(
    asterisk: Asterisk,
    wire: Wire,
    later: AsyncExitStack,
    keepalive_seconds: float,
    tmp_path: Path,
) -> AsyncIterator[Pbx]:
    """
    That Asterisk with a bridge of the test's own.
    """
    witness = await later.enter_async_context(ami_session(asterisk.ami_port, "witness", SECRET))
    async with (
        running_receiver() as receiver,
        running_bridge(
            tmp_path,
            asterisk,
            witness,
            receiver,
            port=wire.port,
            settings=f"""
            keepalive_seconds = {keepalive_seconds}
            keepalive_deadline_seconds = {keepalive_seconds}
            reconnect_first_seconds = 0.1
            reconnect_last_seconds = 0.2
            """,
        ) as bridge,
    ):
        yield Pbx(asterisk, witness, receiver, bridge)


async def until_lost(lab: Lab) -> None:
    """
    Wait until Asterisk has noticed that the bridge is gone.
    """

    async def watch() -> None:
        while "bridge" in await lab.pbx.witness.command("manager show connected"):  # noqa: ASYNC110
            await asyncio.sleep(0.01)

    await in_time(watch(), "Asterisk loses the bridge")


async def until_found(lab: Lab, logins: int) -> None:
    """
    Wait until the bridge has logged in once more than *logins* times.
    """
    await until(lambda: lab.pbx.bridge.logins > logins, "the bridge logs in again")


async def until_told(lab: Lab, *events: str) -> None:
    """
    Wait until these *events* have been told, an extension's flow and what was said of it each.
    """

    def told() -> list[str]:
        legs = [leg for legs in calls(lab.requests()) for leg in legs]
        return sorted(f"{leg.extension} {said.split()[0]}" for leg in legs for said in leg.said)

    await until(lambda: told() == sorted(events), f"{events} are told, not more nor less")


async def talking(lab: Lab, caller: Phone, callee: Phone) -> tuple[OutgoingCall, IncomingCall]:
    """
    Connect *caller* with *callee*, and give both ends of the call.
    """
    outgoing = caller.call(callee.number[-3:])
    incoming = await callee.until_rung()
    await outgoing.until_ringing()
    incoming.answer()
    await outgoing.until_answered()
    await lab.until_talking(caller.number, callee.number)
    return outgoing, incoming


async def end(lab: Lab, *ends: Call) -> None:
    """
    Hang up the first of the *ends*, and wait for the others.
    """
    first, *others = ends
    await first.hang_up()
    for other in others:
        await other.until_over()
    await lab.pbx.witness.until_silent()


def answered_call() -> list[Leg]:
    """
    Expect a call of Ann's that Ben answered.
    """
    return call(
        made("0003*001", ANN, "002", "0003*002", answered=True),
        received("0003*002", ANN, "002", answered=True),
    )


TALKING = ["0003*001 dial-out", "0003*001 answer", "0003*002 dial-in", "0003*002 answer"]


class TestLinkIsCut:
    """
    The connection breaks, and can be made again after a while.
    """

    async def test_in_mid_call(self, lab: Lab, wire: Wire) -> None:
        """
        A call that outlives the gap is told as if there was none.
        """
        ann, ben = await lab.phones("0003*001", "0003*002")

        ends = await talking(lab, ann, ben)
        await until_told(lab, *TALKING)
        logins = lab.pbx.bridge.logins
        wire.cut()
        await until_lost(lab)
        await wire.mend()
        await until_found(lab, logins)
        await end(lab, *ends)

        assert await lab.told() == [answered_call()]

    async def test_answered_meanwhile(self, lab: Lab, wire: Wire) -> None:
        """
        A call that rang before and was answered within the gap is told its answer after it.
        """
        ann, ben = await lab.phones("0003*001", "0003*002")

        outgoing = ann.call("002")
        incoming = await ben.until_rung()
        await until_told(lab, "0003*001 dial-out", "0003*002 dial-in")
        wire.cut()
        await until_lost(lab)
        incoming.answer()
        await lab.until_talking("0003*001", "0003*002")
        await wire.mend()
        await until_told(lab, *TALKING)
        await end(lab, outgoing, incoming)

        assert await lab.told() == [answered_call()]

    async def test_ended_meanwhile(self, lab: Lab, wire: Wire) -> None:
        """
        A call that ended within the gap is told its end after it.
        """
        ann, ben = await lab.phones("0003*001", "0003*002")

        ends = await talking(lab, ann, ben)
        await until_told(lab, *TALKING)
        logins = lab.pbx.bridge.logins
        wire.cut()
        await until_lost(lab)
        await end(lab, *ends)
        await wire.mend()
        await until_found(lab, logins)

        assert await lab.told() == [answered_call()]

    async def test_begun_meanwhile_and_ringing(self, lab: Lab, wire: Wire) -> None:
        """
        A call that began within the gap is told late, and the rest of it as it happens.
        """
        ann, ben = await lab.phones("0003*001", "0003*002")

        wire.cut()
        await until_lost(lab)
        outgoing = ann.call("002")
        incoming = await ben.until_rung()
        await outgoing.until_ringing()
        await wire.mend()
        await until_told(lab, "0003*001 dial-out", "0003*002 dial-in")
        incoming.answer()
        await outgoing.until_answered()
        await lab.until_talking("0003*001", "0003*002")
        await end(lab, outgoing, incoming)

        assert await lab.told() == [answered_call()]

    async def test_begun_meanwhile_and_answered(self, lab: Lab, wire: Wire) -> None:
        """
        A call from outside that was answered within the gap is told late, with the number called.
        """
        provider, ann = await lab.phones("provider", "0003*001")

        wire.cut()
        await until_lost(lab)
        at_mo = provider.call(DID, MO.number, MO.name)
        at_ann = await ann.until_rung()
        at_ann.answer()
        await lab.until_talking("provider", "0003*001")
        await wire.mend()
        await until_told(lab, "0003*001 dial-in", "0003*001 answer")
        await end(lab, at_mo, at_ann)

        assert await lab.told() == [call(received("0003*001", MO, DID, answered=True, did=DID))]

    async def test_begun_and_ended_meanwhile(self, lab: Lab, wire: Wire) -> None:
        """
        A call that nobody could hear of is not told.
        """
        ann, ben = await lab.phones("0003*001", "0003*002")

        logins = lab.pbx.bridge.logins
        wire.cut()
        await until_lost(lab)
        await end(lab, *await talking(lab, ann, ben))
        await wire.mend()
        await until_found(lab, logins)

        assert await lab.told() == []

    async def test_a_group_that_rings(self, lab: Lab, wire: Wire) -> None:
        """
        All members that ring after the gap are told, and then who answers and who loses.
        """
        ann, ben, cleo = await lab.phones("0003*001", "0003*002", "0003*003")

        wire.cut()
        await until_lost(lab)
        outgoing = ann.call("401")
        at_ben = await ben.until_rung()
        at_cleo = await cleo.until_rung()
        await outgoing.until_ringing()
        await wire.mend()
        await until_told(lab, "0003*001 dial-out", "0003*002 dial-in", "0003*003 dial-in")
        at_cleo.answer()
        await outgoing.until_answered()
        await at_ben.until_over()
        await end(lab, outgoing, at_cleo)

        [legs] = await lab.told()
        # The list does not tell who was dialled first: the older channel is taken for it.
        assert legs in [
            call(
                made("0003*001", ANN, "401", *called, answered=True),
                received("0003*002", ANN, "401", answered=False),
                received("0003*003", ANN, "401", answered=True),
            )
            for called in [("0003*003",), ("0003*002", "0003*003")]
        ]

    async def test_a_click(self, lab: Lab, wire: Wire) -> None:
        """
        A click that was answered within the gap is a call that the extension makes.
        """
        ann, provider = await lab.phones("0003*001", "provider")

        wire.cut()
        await until_lost(lab)
        await lab.pbx.witness.originate("Local/001@phones/n", "915550111222", "Click <15550111222>")
        at_ann = await ann.until_rung()
        at_ann.answer()
        at_mo = await provider.until_rung()
        await wire.mend()
        await until_told(lab, "0003*001 dial-out")
        at_mo.answer()
        await lab.until_talking("0003*001", "provider")
        await end(lab, at_ann, at_mo)

        assert await lab.told() == [call(made("0003*001", ANN, "915550111222", answered=True))]


async def test_link_is_stalled(lab: Lab, wire: Wire) -> None:
    """
    A connection on which nothing comes any more, unbroken as it looks, is given up and made anew.
    """
    ann, ben = await lab.phones("0003*001", "0003*002")

    outgoing = ann.call("002")
    incoming = await ben.until_rung()
    await until_told(lab, "0003*001 dial-out", "0003*002 dial-in")
    wire.hold()
    incoming.answer()
    await lab.until_talking("0003*001", "0003*002")
    await until_told(lab, *TALKING)
    await end(lab, outgoing, incoming)

    assert "no answer to Ping" in lab.pbx.bridge.log
    assert await lab.told() == [answered_call()]


class TestSlowReader:
    """
    Asterisk drops who does not read what it says.
    """

    @pytest.fixture
    def keepalive_seconds(self) -> float:
        """
        Longer than Asterisk bears it.
        """
        return 60.0

    async def test_is_dropped(self, lab: Lab, wire: Wire) -> None:
        """
        What Asterisk said to the bridge after it had stopped reading is found out afterwards.
        """
        ann, ben = await lab.phones("0003*001", "0003*002")

        ends = await talking(lab, ann, ben)
        await until_told(lab, *TALKING)
        logins = lab.pbx.bridge.logins
        wire.hold()
        while "bridge" in await lab.pbx.witness.command("manager show connected"):
            # Calls of nobody's, to have Asterisk say more than the wire can hold.
            await lab.pbx.witness.originate("Local/499@phones", "499", "Nobody <499>")
        await end(lab, *ends)
        wire.release()
        await until_found(lab, logins)

        assert "too slow" in lab.pbx.bridge.log
        assert await lab.told() == [answered_call()]


async def test_asterisk_restarts(lab: Lab, later: AsyncExitStack) -> None:
    """
    When Asterisk restarts in mid call the call ends, and the next one is another.
    """
    ann, ben = await lab.phones("0003*001", "0003*002")

    ends = await talking(lab, ann, ben)
    await until_told(lab, *TALKING)
    logins = lab.pbx.bridge.logins
    await lab.pbx.asterisk.console("core restart now")
    await until(lambda: not lab.pbx.witness.channels, "all channels end")
    await attach_anew(lab, later)
    await until_found(lab, logins)
    for one in ends:
        await one.until_over()
    await unanswered(lab)

    assert await lab.told() == [answered_call(), unanswered_call()]


async def test_asterisk_crashes(lab: Lab, later: AsyncExitStack) -> None:
    """
    When Asterisk is killed in mid call the call ends as soon as the next Asterisk is found.
    """
    ann, ben = await lab.phones("0003*001", "0003*002")

    await talking(lab, ann, ben)
    await until_told(lab, *TALKING)
    logins = lab.pbx.bridge.logins
    asterisk = lab.pbx.asterisk
    os.kill(int((asterisk.place / "run/asterisk.pid").read_text()), signal.SIGKILL)
    await until(lambda: "no connection to Asterisk" in lab.pbx.bridge.log, "the bridge loses it")
    process = await asterisk.start()
    later.push_async_callback(stop, process)
    await attach_anew(lab, later)
    await until_found(lab, logins)
    await unanswered(lab)

    assert await lab.told() == [answered_call(), unanswered_call()]


async def test_manager_is_reloaded(lab: Lab) -> None:
    """
    Reloading the manager's configuration in mid call disturbs nobody.
    """
    ann, ben = await lab.phones("0003*001", "0003*002")

    outgoing = ann.call("002")
    incoming = await ben.until_rung()
    await outgoing.until_ringing()
    await lab.pbx.witness.command("manager reload")
    incoming.answer()
    await lab.until_talking("0003*001", "0003*002")
    await end(lab, outgoing, incoming)

    assert await lab.told() == [answered_call()]
    assert lab.pbx.bridge.logins == 1


async def attach_anew(lab: Lab, later: AsyncExitStack) -> None:
    """
    Log the test in at an Asterisk that has begun anew, with what it knew of the one before.
    """
    asterisk, before = lab.pbx.asterisk, lab.pbx.witness
    # Unique ids are a second and a number that begins anew: the next ones are of a later second.
    last = max(int(linkedid.partition(".")[0]) for linkedid in before.linkedids)
    await until(lambda: int(time.time()) > last, "a second passes")
    await until(lambda: asterisk.log.count("Asterisk Ready.") == 2, "Asterisk is ready again")
    witness = await later.enter_async_context(ami_session(asterisk.ami_port, "witness", SECRET))
    witness.linkedids |= before.linkedids
    await witness.ask("DeviceStateList")
    lab.pbx = attrs.evolve(lab.pbx, witness=witness)


async def unanswered(lab: Lab) -> None:
    """
    Let Cleo call Dörte, and give up.
    """
    cleo, doerte = await lab.phones("0003*003", "0003*004")
    outgoing = cleo.call("004")
    incoming = await doerte.until_rung()
    await outgoing.until_ringing()
    await outgoing.cancel()
    await incoming.until_over()


def unanswered_call() -> list[Leg]:
    """
    Expect a call of Cleo's to Dörte, given up.
    """
    return call(
        made("0003*003", CLEO, "004", "0003*004", answered=False),
        received("0003*004", CLEO, "004", answered=False),
    )
