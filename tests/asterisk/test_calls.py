"""
Calls between two parties, inside and through the provider.
"""

import asyncio

import pytest

from .lab import Lab
from .parties import ANN, CLEO, DOERTE, MO, OLIVE
from .patience import until
from .told import call, made, received

pytestmark = [pytest.mark.asterisk, pytest.mark.asyncio(loop_scope="session")]


async def test_answered(lab: Lab) -> None:
    """
    Both sides of an answered call are told its dial, its answer and its end.
    """
    ann, ben = await lab.phones("0003*001", "0003*002")

    outgoing = ann.call("002")
    incoming = await ben.until_rung()
    await outgoing.until_ringing()
    incoming.answer()
    await outgoing.until_answered()
    await outgoing.hang_up()
    await incoming.until_over()

    assert await lab.told() == [
        call(
            made("0003*001", ANN, "002", "0003*002", answered=True),
            received("0003*002", ANN, "002", answered=True),
        )
    ]


async def test_get_request(lab: Lab) -> None:
    """
    A rule for one extension's answers and hangups sends these as GET and keeps the URL's query.
    """
    ann, ben = await lab.phones("0003*001", "0003*002")

    outgoing = ann.call("002")
    (await ben.until_rung()).answer()
    await outgoing.until_answered()
    await outgoing.hang_up()
    await lab.told()

    await until(lambda: len(lab.requests("GET")) == 2, "two requests come by GET")
    requests = lab.requests("GET")
    assert [request.value("CallStatus") for request in requests] == ["ANSWER", "ANSWER"]
    for request in requests:
        assert request.path == "/crm.php"
        assert request.query[0] == ("source", "pbx")
        assert ("CalledExtension", "0003*002") in request.query


@pytest.mark.parametrize("status", [486, 480, 603])
async def test_refused(lab: Lab, status: int) -> None:
    """
    A phone that is busy, unavailable or declines was called, although it never rang.
    """
    ann, ben = await lab.phones("0003*001", "0003*002")

    outgoing = ann.call("0003*002")
    (await ben.until_called()).refuse(status)
    await outgoing.until_over()

    assert await lab.told() == [
        call(
            made("0003*001", ANN, "0003*002", "0003*002", answered=False),
            received("0003*002", ANN, "0003*002", answered=False),
        )
    ]


async def test_no_answer(lab: Lab) -> None:
    """
    A phone that rings until the PBX gives up ends unanswered on both sides.
    """
    ann, ben = await lab.phones("0003*001", "0003*002")

    outgoing = ann.call("8002")
    incoming = await ben.until_rung()
    await incoming.until_over()
    await outgoing.until_over()

    assert await lab.told() == [
        call(
            made("0003*001", ANN, "8002", "0003*002", answered=False),
            received("0003*002", ANN, "8002", answered=False),
        )
    ]


async def test_caller_gives_up(lab: Lab) -> None:
    """
    A caller who hangs up while it rings ends an unanswered call on both sides.
    """
    doerte, ben = await lab.phones("0003*004", "0003*002")

    outgoing = doerte.call("002")
    incoming = await ben.until_rung()
    await outgoing.until_ringing()
    await outgoing.cancel()
    await incoming.until_over()

    assert await lab.told() == [
        call(
            made("0003*004", DOERTE, "002", "0003*002", answered=False),
            received("0003*002", DOERTE, "002", answered=False),
        )
    ]


async def test_no_phone(lab: Lab) -> None:
    """
    A call to an extension without a phone is told to its caller alone.
    """
    [ann] = await lab.phones("0003*001")

    await ann.call("003").until_over()

    assert await lab.told() == [call(made("0003*001", ANN, "003", answered=False))]


async def test_two_calls_at_once(lab: Lab) -> None:
    """
    Calls at the same time are told apart.
    """
    ann, ben, cleo, doerte = await lab.phones("0003*001", "0003*002", "0003*003", "0003*004")

    to_ben = ann.call("002")
    at_ben = await ben.until_rung()
    to_doerte = cleo.call("004")
    (await doerte.until_rung()).answer()
    at_ben.answer()
    await to_ben.until_answered()
    await to_doerte.until_answered()
    await asyncio.gather(to_ben.hang_up(), to_doerte.hang_up())

    assert await lab.told() == [
        call(
            made("0003*001", ANN, "002", "0003*002", answered=True),
            received("0003*002", ANN, "002", answered=True),
        ),
        call(
            made("0003*003", CLEO, "004", "0003*004", answered=True),
            received("0003*004", CLEO, "004", answered=True),
        ),
    ]


async def test_two_phones_of_one_extension(lab: Lab) -> None:
    """
    An extension that has two phones receives one call, whichever is answered.
    """
    ann, desk, mobile = await lab.phones("0003*001", "0003*004", "0003*004")

    outgoing = ann.call("004")
    at_desk = await desk.until_rung()
    (await mobile.until_rung()).answer()
    await outgoing.until_answered()
    await at_desk.until_over()
    await outgoing.hang_up()

    assert await lab.told() == [
        call(
            made("0003*001", ANN, "004", "0003*004", answered=True),
            received("0003*004", ANN, "004", answered=True),
        )
    ]


async def test_from_outside(lab: Lab) -> None:
    """
    A call that came in on a public number says so, and its caller is no extension.
    """
    provider, ann = await lab.phones("provider", "0003*001")

    outgoing = provider.call("15550100001", MO.number, MO.name)
    incoming = await ann.until_rung()
    assert incoming.shown_number == MO.number
    incoming.answer()
    await outgoing.until_answered()
    await incoming.hang_up()

    did = "15550100001"
    assert await lab.told() == [call(received("0003*001", MO, did, answered=True, did=did))]


async def test_to_the_outside(lab: Lab) -> None:
    """
    A call to the outside is told to its caller; no extension is called.
    """
    ann, provider = await lab.phones("0003*001", "provider")

    outgoing = ann.call("915550111222")
    (await provider.until_rung()).answer()
    await outgoing.until_answered()
    await outgoing.hang_up()

    assert await lab.told() == [call(made("0003*001", ANN, "915550111222", answered=True))]


async def test_menu_from_outside(lab: Lab) -> None:
    """
    A caller in a menu has called nobody yet; who is chosen there is called.
    """
    provider, ann = await lab.phones("provider", "0003*001")

    outgoing = provider.call("15550100430", MO.number, MO.name)
    await outgoing.until_answered()
    await outgoing.press("1")
    (await ann.until_rung()).refuse(486)
    await outgoing.until_over()

    did = "15550100430"
    assert await lab.told() == [call(received("0003*001", MO, did, answered=False, did=did))]


@pytest.mark.parametrize("version", ["16"], indirect=True)
async def test_older_sip_channel(lab: Lab) -> None:
    """
    Phones on chan_sip, whose channels begin in another state, are told alike.
    """
    olive, percy = await lab.phones("0003*051", "0003*052")

    outgoing = olive.call("052")
    (await percy.until_rung()).answer()
    await outgoing.until_answered()
    await outgoing.hang_up()

    assert await lab.told() == [
        call(
            made("0003*051", OLIVE, "052", "0003*052", answered=True),
            received("0003*052", OLIVE, "052", answered=True),
        )
    ]
