"""
Calls to several extensions: ring groups, hunting, queues; phones as they are and behind Locals.
"""

import pytest

from .lab import Lab
from .parties import ANN, DESK, MO
from .told import Caller, call, made, received

pytestmark = [pytest.mark.asterisk, pytest.mark.asyncio(loop_scope="session")]


async def test_ring_group(lab: Lab) -> None:
    """
    Every member is called; the caller's call becomes that of the one who answers.
    """
    ann, ben, cleo, doerte = await lab.phones("0003*001", "0003*002", "0003*003", "0003*004")

    outgoing = ann.call("400")
    lost = [await phone.until_rung() for phone in (ben, doerte)]
    (await cleo.until_rung()).answer()
    await outgoing.until_answered()
    for incoming in lost:
        await incoming.until_over()
    await outgoing.hang_up()

    assert await lab.told() == [
        call(
            made("0003*001", ANN, "400", "0003*002", "0003*003", answered=True),
            received("0003*002", ANN, "400", answered=False),
            received("0003*003", ANN, "400", answered=True),
            received("0003*004", ANN, "400", answered=False),
        )
    ]


async def test_ring_group_from_outside(lab: Lab) -> None:
    """
    Members are told the name that the dialplan gave the caller, and the number that was called.
    """
    provider, cleo = await lab.phones("provider", "0003*003")

    outgoing = provider.call("15550100400", MO.number, MO.name)
    incoming = await cleo.until_rung()
    await outgoing.cancel()
    await incoming.until_over()

    did = "15550100400"
    caller = Caller(MO.number, f"Sales: {MO.name}")
    assert await lab.told() == [call(received("0003*003", caller, did, answered=False, did=did))]


async def test_ring_group_of_local_channels(lab: Lab) -> None:
    """
    Members that are called through Local channels are told who really calls.
    """
    ann, ben, cleo = await lab.phones("0003*001", "0003*002", "0003*003")

    outgoing = ann.call("401")
    at_cleo = await cleo.until_rung()
    (await ben.until_rung()).answer()
    await outgoing.until_answered()
    await at_cleo.until_over()
    await outgoing.hang_up()

    [legs] = await lab.told()
    # Either Local channel may reach its phone first, and so be who was called first.
    assert legs in [
        call(
            made("0003*001", ANN, "401", *called, answered=True),
            received("0003*002", ANN, "401", answered=True),
            received("0003*003", ANN, "401", answered=False),
        )
        for called in [("0003*002",), ("0003*003", "0003*002")]
    ]


async def test_hunting(lab: Lab) -> None:
    """
    Who does not answer in time is followed by the next; both were called.
    """
    ann, ben, cleo = await lab.phones("0003*001", "0003*002", "0003*003")

    outgoing = ann.call("410")
    at_ben = await ben.until_rung()
    (await cleo.until_rung()).answer()
    await outgoing.until_answered()
    await at_ben.until_over()
    await outgoing.hang_up()

    assert await lab.told() == [
        call(
            made("0003*001", ANN, "410", "0003*002", "0003*003", answered=True),
            received("0003*002", ANN, "410", answered=False),
            received("0003*003", ANN, "410", answered=True),
        )
    ]


async def test_queue_from_outside(lab: Lab) -> None:
    """
    A queue calls its members while its caller, long since answered, waits.
    """
    provider, ben, cleo = await lab.phones("provider", "0003*002", "0003*003")

    outgoing = provider.call("15550100420", MO.number, MO.name)
    await outgoing.until_answered()
    at_ben = await ben.until_rung()
    at_cleo = await cleo.until_rung()
    at_cleo.answer()
    await at_ben.until_over()
    await lab.until_talking("provider", "0003*003")
    await outgoing.hang_up()

    did = "15550100420"
    assert await lab.told() == [
        call(
            received("0003*002", MO, did, answered=False, did=did),
            received("0003*003", MO, did, answered=True, did=did),
        )
    ]


async def test_queue_of_the_house(lab: Lab) -> None:
    """
    An extension's call to a queue is answered by the queue, then taken by a member.
    """
    ann, ben = await lab.phones("0003*001", "0003*002")

    outgoing = ann.call("420")
    await outgoing.until_answered()
    incoming = await ben.until_rung()
    incoming.answer()
    await lab.until_talking("0003*001", "0003*002")
    await incoming.hang_up()
    await outgoing.until_over()

    assert await lab.told() == [
        call(
            made("0003*001", ANN, "420", "", "0003*002", answered=True),
            received("0003*002", ANN, "420", answered=True),
        )
    ]


async def test_queue_that_nobody_waits_for(lab: Lab) -> None:
    """
    A caller who leaves the queue while it rings leaves its members unanswered.
    """
    ann, ben = await lab.phones("0003*001", "0003*002")

    outgoing = ann.call("420")
    incoming = await ben.until_rung()
    await outgoing.until_answered()
    await outgoing.hang_up()
    await incoming.until_over()

    assert await lab.told() == [
        call(
            made("0003*001", ANN, "420", answered=True),
            received("0003*002", ANN, "420", answered=False),
        )
    ]


async def test_office_call(lab: Lab) -> None:
    """
    Plain numbers are extensions of the default tenant, and a Local channel between is not seen.
    """
    desk, back_room = await lab.phones("101", "102")

    outgoing = desk.call("102")
    (await back_room.until_rung()).answer()
    await outgoing.until_answered()
    await outgoing.hang_up()

    assert await lab.told() == [
        call(
            made("0001*101", DESK, "102", "0001*102", answered=True),
            received("0001*102", DESK, "102", answered=True),
        )
    ]


async def test_office_call_from_outside(lab: Lab) -> None:
    """
    The caller from outside and the public number are seen through a Local channel.
    """
    provider, desk = await lab.phones("provider", "101")

    outgoing = provider.call("15550100101", MO.number, MO.name)
    (await desk.until_rung()).answer()
    await outgoing.until_answered()
    await outgoing.hang_up()

    did = "15550100101"
    assert await lab.told() == [call(received("0001*101", MO, did, answered=True, did=did))]


async def test_office_ring_group(lab: Lab) -> None:
    """
    Local channels that stay for the whole call hide nobody.
    """
    desk, back_room, workshop = await lab.phones("101", "102", "103")

    outgoing = desk.call("110")
    at_back_room = await back_room.until_rung()
    (await workshop.until_rung()).answer()
    await outgoing.until_answered()
    await at_back_room.until_over()
    await outgoing.hang_up()

    [legs] = await lab.told()
    assert legs in [
        call(
            made("0001*101", DESK, "110", *called, answered=True),
            received("0001*102", DESK, "110", answered=False),
            received("0001*103", DESK, "110", answered=True),
        )
        for called in [("0001*103",), ("0001*102", "0001*103")]
    ]


async def test_office_queue(lab: Lab) -> None:
    """
    A queue that calls its members one after the other tells each try.
    """
    desk, back_room, workshop = await lab.phones("101", "102", "103")

    outgoing = desk.call("120")
    await outgoing.until_answered()
    at_back_room = await back_room.until_rung()
    await at_back_room.until_over()
    at_workshop = await workshop.until_rung()
    at_workshop.answer()
    await lab.until_talking("101", "103")
    await outgoing.hang_up()

    assert await lab.told() == [
        call(
            made("0001*101", DESK, "120", "", "0001*103", answered=True),
            received("0001*102", DESK, "120", answered=False),
            received("0001*103", DESK, "120", answered=True),
        )
    ]
