"""
Calls that change hands: transfers, parking and pickup.
"""

import pytest

from .dialogs import Call
from .lab import Lab
from .parties import ANN, BEN, MO
from .phone import Phone
from .told import call, made, received

pytestmark = [pytest.mark.asterisk, pytest.mark.asyncio(loop_scope="session")]

DID = "15550100001"


async def connected(lab: Lab, provider: Phone, ann: Phone) -> tuple[Call, Call]:
    """
    Connect a caller from outside with Ann, and give both ends of the call.
    """
    outgoing = provider.call(DID, MO.number, MO.name)
    incoming = await ann.until_rung()
    incoming.answer()
    await outgoing.until_answered()
    await lab.until_talking("provider", "0003*001")
    return outgoing, incoming


async def consult(lab: Lab, call: Call, number: str) -> None:
    """
    Ask Asterisk by keys, in mid call, to call *number*: Ann will talk to both or hand on.
    """
    for key in "*2":
        await call.press(key)
    await lab.pbx.witness.until_on_hold()
    for key in number:
        await call.press(key)


async def test_blind_transfer_by_who_was_called(lab: Lab) -> None:
    """
    The transferrer's part ends; the target is called by the party that was transferred.
    """
    provider, ann, ben = await lab.phones("provider", "0003*001", "0003*002")

    at_mo, at_ann = await connected(lab, provider, ann)
    await at_ann.transfer("0003*002")
    at_ben = await ben.until_rung()
    await at_ann.hang_up()
    at_ben.answer()
    await lab.until_talking("provider", "0003*002")
    await at_mo.hang_up()

    assert await lab.told() == [
        call(
            received("0003*001", MO, DID, answered=True, did=DID),
            received("0003*002", MO, DID, answered=True, did=DID),
        )
    ]


async def test_blind_transfer_by_who_called(lab: Lab) -> None:
    """
    Who was called and is transferred on keeps the call that came in, and calls nobody.
    """
    ann, ben, cleo = await lab.phones("0003*001", "0003*002", "0003*003")

    at_ann = ann.call("002")
    at_ben = await ben.until_rung()
    at_ben.answer()
    await lab.until_talking("0003*001", "0003*002")
    await at_ann.transfer("0003*003")
    at_cleo = await cleo.until_rung()
    await at_ann.hang_up()
    at_cleo.answer()
    await lab.until_talking("0003*002", "0003*003")
    await at_ben.hang_up()

    assert await lab.told() == [
        call(
            made("0003*001", ANN, "002", "0003*002", answered=True),
            received("0003*002", ANN, "002", answered=True),
            received("0003*003", BEN, "0003*003", answered=True),
        )
    ]


async def test_blind_transfer_to_somebody_busy(lab: Lab) -> None:
    """
    A target that refuses was called all the same.
    """
    provider, ann, ben = await lab.phones("provider", "0003*001", "0003*002")

    at_mo, at_ann = await connected(lab, provider, ann)
    await at_ann.transfer("0003*002")
    (await ben.until_called()).refuse(486)
    await at_ann.hang_up()
    await at_mo.until_over()

    assert await lab.told() == [
        call(
            received("0003*001", MO, DID, answered=True, did=DID),
            received("0003*002", MO, DID, answered=False, did=DID),
        )
    ]


async def test_attended_transfer(lab: Lab) -> None:
    """
    Both calls of the transferrer end answered; the target's call goes on as the one it was.
    """
    provider, ann, ben = await lab.phones("provider", "0003*001", "0003*002")

    at_mo, at_ann = await connected(lab, provider, ann)
    consultation = ann.call("002")
    (await ben.until_rung()).answer()
    await consultation.until_answered()
    await lab.until_talking("provider", "0003*001", "0003*001", "0003*002")
    await at_ann.transfer_to(consultation)
    await lab.until_talking("provider", "0003*002")
    await at_mo.hang_up()

    assert await lab.told() == [
        call(received("0003*001", MO, DID, answered=True, did=DID)),
        call(
            made("0003*001", ANN, "002", "0003*002", answered=True),
            received("0003*002", ANN, "002", answered=True),
        ),
    ]


async def test_attended_transfer_while_ringing(lab: Lab) -> None:
    """
    A target that still rings goes on ringing for the same call, and answers that.
    """
    provider, ann, ben = await lab.phones("provider", "0003*001", "0003*002")

    at_mo, at_ann = await connected(lab, provider, ann)
    consultation = ann.call("002")
    at_ben = await ben.until_rung()
    await consultation.until_ringing()
    await at_ann.transfer_to(consultation)
    at_ben.answer()
    await lab.until_talking("provider", "0003*002")
    await at_mo.hang_up()

    assert await lab.told() == [
        call(received("0003*001", MO, DID, answered=True, did=DID)),
        call(
            made("0003*001", ANN, "002", "0003*002", answered=False),
            received("0003*002", ANN, "002", answered=True),
        ),
    ]


async def test_attended_transfer_by_keys(lab: Lab) -> None:
    """
    A consultation by keys is no call of the transferrer's, only of the target.
    """
    provider, ann, ben = await lab.phones("provider", "0003*001", "0003*002")

    at_mo, at_ann = await connected(lab, provider, ann)
    await consult(lab, at_ann, "002")
    (await ben.until_rung()).answer()
    await lab.until_talking("0003*001", "0003*002", "provider")
    await at_ann.hang_up()
    await lab.until_talking("0003*002", "provider")
    await at_mo.hang_up()

    assert await lab.told() == [
        call(
            received("0003*001", MO, DID, answered=True, did=DID),
            received("0003*002", ANN, "002", answered=True, did=DID),
        )
    ]


async def test_transferrer_is_called_back(lab: Lab) -> None:
    """
    Who hung up on a target that then refuses is called again, for who was handed on.
    """
    provider, ann, ben = await lab.phones("provider", "0003*001", "0003*002")

    at_mo, at_ann = await connected(lab, provider, ann)
    await consult(lab, at_ann, "002")
    at_ben = await ben.until_rung()
    await at_ann.hang_up()
    await lab.until_talking("provider")
    at_ben.refuse(486)
    (await ann.until_rung()).answer()
    await lab.until_talking("0003*001", "provider")
    await at_mo.hang_up()

    assert await lab.told() == [
        call(
            received("0003*001", MO, DID, answered=True, did=DID),
            received("0003*002", ANN, "002", answered=False, did=DID),
        ),
        call(received("0003*001", MO, DID, answered=True, did=DID)),
    ]


async def test_parking(lab: Lab) -> None:
    """
    Who parks is out of the call; who retrieves it makes a call to the slot.
    """
    provider, ann, ben = await lab.phones("provider", "0003*001", "0003*002")

    at_mo, at_ann = await connected(lab, provider, ann)
    await at_ann.transfer("700")
    await lab.pbx.witness.until_parked("701")
    await at_ann.hang_up()
    at_ben = ben.call("701")
    await at_ben.until_answered()
    await lab.until_talking("provider", "0003*002")
    await at_mo.hang_up()

    assert await lab.told() == [
        call(received("0003*001", MO, DID, answered=True, did=DID)),
        call(made("0003*002", BEN, "701", answered=True)),
    ]


@pytest.mark.parametrize("code", ["*80003*002", "*8"])
async def test_pickup(lab: Lab, code: str) -> None:
    """
    Who picks up a call has received and answered it, and made none; for who rang it is over.
    """
    ann, ben, cleo = await lab.phones("0003*001", "0003*002", "0003*003")

    at_ann = ann.call("002")
    at_ben = await ben.until_rung()
    await at_ann.until_ringing()
    at_cleo = cleo.call(code)
    await at_cleo.until_answered()
    await at_ann.until_answered()
    await at_ben.until_over()
    await lab.until_talking("0003*001", "0003*003")
    await at_ann.hang_up()

    assert await lab.told() == [
        call(
            made("0003*001", ANN, "002", "0003*002", "0003*003", answered=True),
            received("0003*002", ANN, "002", answered=False),
            received("0003*003", ANN, "002", answered=True),
        )
    ]


async def test_pickup_of_a_call_from_outside(lab: Lab) -> None:
    """
    Who picks up a call from outside is told its caller and the public number that was called.
    """
    provider, ann, cleo = await lab.phones("provider", "0003*001", "0003*003")

    at_mo = provider.call(DID, MO.number, MO.name)
    at_ann = await ann.until_rung()
    await at_mo.until_ringing()
    await cleo.call("*80003*001").until_answered()
    await at_ann.until_over()
    await lab.until_talking("provider", "0003*003")
    await at_mo.hang_up()

    assert await lab.told() == [
        call(
            received("0003*001", MO, DID, answered=False, did=DID),
            received("0003*003", MO, DID, answered=True, did=DID),
        )
    ]
