"""
The small PBX of the tutorial, in examples/asterisk, on a real Asterisk.
"""

import shutil
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from ami_bridge.adapters.receiver import Receiver
from tests.integration.running import Ears, bridge_with, write_rules_in

from .asterisk import Asterisk, stop
from .phone import Phone

pytestmark = pytest.mark.asterisk

EXAMPLES = Path(__file__).parents[2] / "examples" / "asterisk"


def furnish(asterisk: Asterisk) -> None:
    """
    Give *asterisk* the configuration of the tutorial, with free ports in place of the usual ones.
    """
    asterisk.configure()
    folder = asterisk.place / "etc"
    (folder / "pjsip_wizard.conf").unlink()
    for example in EXAMPLES.glob("*.conf"):
        text = example.read_text()
        text = text.replace("5060", str(asterisk.sip_port)).replace("5038", str(asterisk.ami_port))
        (folder / example.name).write_text(text)
    with (folder / "modules.conf").open("a") as modules:
        modules.write("load = res_clioriginate.so\n")


@pytest_asyncio.fixture
async def small_pbx(version: str, chroot: Path) -> AsyncIterator[Asterisk]:
    """
    Run the PBX of the tutorial.
    """
    place = Path(tempfile.mkdtemp(prefix="ami-bridge-", dir=chroot / "srv"))
    asterisk = Asterisk(version, chroot, place)
    try:
        furnish(asterisk)
        process = await asterisk.start()
        try:
            await asterisk.until_ready(process)
            yield asterisk
        finally:
            await stop(process)
    finally:
        shutil.rmtree(place)


async def test_the_call_of_the_tutorial(small_pbx: Asterisk, tmp_path: Path) -> None:
    """
    The tutorial's command makes the robot's phone ring, be answered and hang up, and all of it
    is told as the tutorial prints it.
    """
    ears = Ears()
    async with Receiver(ears.take) as receiver:
        rules = write_rules_in(tmp_path, small_pbx.ami_port, receiver.url)
        (tmp_path / "secret").write_text("change-me-too\n")
        async with bridge_with(rules) as bridge:
            await bridge.wait_for_log("logged in to Asterisk")
            await small_pbx.console("channel originate Local/12025550102@world application Wait 60")
            # The robot rings for five seconds and talks for ten: two waits are long enough.
            await ears.wait_for(2)
            told = await ears.wait_for(3)

    assert told == ["dial-in", "answer", "hangup"]
    first = ears.heard[0].parameters
    assert first["CallerIDName"] == "Grace Hopper"
    assert first["CallerIDNum"] == "12025550199"
    assert first["CalledDID"] == first["CalledNumber"] == "12025550102"
    assert first["CalledExtension"] == first["Extension"] == "0001*202"
    assert [heard.parameters["CallStatus"] for heard in ears.heard] == [
        "CALLING",
        "ANSWER",
        "ANSWER",
    ]


async def test_a_phone_at_the_small_pbx(small_pbx: Asterisk, tmp_path: Path) -> None:
    """
    A softphone that is registered as the tutorial says calls the robot, and can be called.
    """
    ears = Ears()
    phone = Phone("201", "change-me-201", ("127.0.0.1", small_pbx.sip_port))
    async with Receiver(ears.take) as receiver:
        rules = write_rules_in(tmp_path, small_pbx.ami_port, receiver.url)
        (tmp_path / "secret").write_text("change-me-too\n")
        async with bridge_with(rules) as bridge:
            await bridge.wait_for_log("logged in to Asterisk")
            # Another address of this machine: from 127.0.0.1 comes the outside world.
            await phone.plug_in("127.0.0.2")
            call = phone.call("202")
            assert sorted(await ears.wait_for(2)) == ["dial-in", "dial-out"]
            await call.until_answered()
            await call.hang_up()
            await ears.wait_for(6)
            await small_pbx.console("channel originate Local/12025550101@world application Wait 60")
            (await phone.until_rung()).answer()
            told = await ears.wait_for(8)
            await phone.unplug()

    robot = next(heard.parameters for heard in ears.heard if heard.parameters["CallFlow"] == "IN")
    assert (robot["CallerIDName"], robot["CallerExtension"]) == ("Alice Adams", "0001*201")
    assert told[6:] == ["dial-in", "answer"]
    assert ears.heard[6].parameters["CalledExtension"] == "0001*201"
    assert ears.heard[6].parameters["CallerIDName"] == "Grace Hopper"
