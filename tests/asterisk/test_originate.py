"""
Calls that an application has the PBX make: click-to-call in its forms, and a redirected call.
"""

import pytest

from .lab import Lab
from .parties import ANN
from .told import Caller, call, made, received

pytestmark = [pytest.mark.asterisk, pytest.mark.asyncio(loop_scope="session")]

#: An extension's phone as it is, and behind the dialplan that calls it.
PHONES = ["PJSIP/0003*001", "Local/0003*001@phones", "Local/001@phones/n"]


@pytest.mark.parametrize("channel", PHONES)
async def test_click_to_call(lab: Lab, channel: str) -> None:
    """
    A click is a call that the extension makes, once its own phone is picked up.
    """
    ann, provider = await lab.phones("0003*001", "provider")

    await lab.pbx.witness.originate(channel, "915550111222", "Click <15550111222>")
    at_ann = await ann.until_rung()
    at_ann.answer()
    (await provider.until_rung()).answer()
    await lab.until_talking("0003*001", "provider")
    await at_ann.hang_up()

    assert await lab.told() == [call(made("0003*001", ANN, "915550111222", answered=True))]


@pytest.mark.parametrize(
    ("channel", "shown"),
    [
        # The originated channel has the caller id of the Originate; a Local one learns that of
        # the phone that it reached.
        (PHONES[0], Caller("0003*002", "Click", "0003*001")),
        (PHONES[1], ANN),
        (PHONES[2], ANN),
    ],
)
async def test_click_to_call_a_colleague(lab: Lab, channel: str, shown: Caller) -> None:
    """
    A colleague who is called by a click is called by the extension that clicked.
    """
    ann, ben = await lab.phones("0003*001", "0003*002")

    await lab.pbx.witness.originate(channel, "0003*002", "Click <0003*002>")
    at_ann = await ann.until_rung()
    at_ann.answer()
    (await ben.until_rung()).refuse(486)
    await at_ann.until_over()

    assert await lab.told() == [
        call(
            made("0003*001", ANN, "0003*002", "0003*002", answered=False),
            received("0003*002", shown, "0003*002", answered=False),
        )
    ]


async def test_click_that_nobody_picks_up(lab: Lab) -> None:
    """
    A click whose own phone is not picked up is no call.
    """
    [ann] = await lab.phones("0003*001")

    await lab.pbx.witness.originate("PJSIP/0003*001", "915550111222", "Click <15550111222>")
    (await ann.until_rung()).refuse(486)

    assert await lab.told() == []


async def test_outside_called_first(lab: Lab) -> None:
    """
    An application that calls the outside first and then an extension makes the extension receive.
    """
    ann, provider = await lab.phones("0003*001", "provider")

    await lab.pbx.witness.originate("PJSIP/15550111222@provider", "0003*001", "Survey <555>")
    (await provider.until_rung()).answer()
    at_ann = await ann.until_rung()
    at_ann.answer()
    await lab.until_talking("0003*001", "provider")
    await at_ann.hang_up()

    assert await lab.told() == [
        call(received("0003*001", Caller("555", "Survey"), "0003*001", answered=True))
    ]
