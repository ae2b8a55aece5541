"""
Asking Asterisk: each question has one answer, a list or an end at its deadline.
"""

import asyncio
from typing import Any

import pytest

from ami_bridge.adapters.ami import AmiLink
from ami_bridge.adapters.ami_session import AmiSession, PbxIdentity
from ami_bridge.core.ami_events import ChannelSnapshot, ChannelState
from ami_bridge.errors import AmiActionRefused, AmiLost, AmiUnanswered

from .ami_ears import Ears, linked, settings_for
from .ami_server import AmiServer, Peer, channel_event, message


async def test_list_of_channels() -> None:
    """
    The list of channels is read into snapshots, also in the spelling of old Asterisks.
    """

    async def script(peer: Peer) -> None:
        await peer.let_in()
        action = await peer.action()
        tag = f"ActionID: {action['ActionID']}"
        await peer.answer(action, "EventList: start", "Message: Channels will follow")
        await peer.say(
            channel_event("CoreShowChannel", tag)
            + message(
                "Event: CoreShowChannel",
                tag,
                "Channel: SIP/101-00000002",
                "UniqueID: 1795408646.2",
                "Context: internal",
                "Extension: 102",
                "ChannelState: 6",
                "CallerIDnum: 101",
                "CallerIDname: Ann",
            )
            + message("Event: CoreShowChannel", tag, "ChannelState: 6")
            + message("Event: CoreShowChannelsComplete", tag, "EventList: Complete")
        )
        await peer.stay()

    async with AmiServer(script) as server, AmiSession(settings_for(server)) as session:
        modern, old = await session.list_channels()

    assert modern.channel.name == "PJSIP/0003*001-00000001"
    assert modern.channel.linkedid == "1795408646.1"
    assert old.channel == ChannelSnapshot(
        name="SIP/101-00000002",
        uniqueid="1795408646.2",
        state=ChannelState.UP,
        exten="102",
        context="internal",
        caller_id_num="101",
        caller_id_name="Ann",
    )
    assert session.oddities.counts == {"channel row without a header Channel": 1}


async def test_empty_list_of_channels() -> None:
    """
    A PBX without calls has no channels.
    """
    async with AmiServer() as server, AmiSession(settings_for(server)) as session:
        assert await session.list_channels() == []


async def test_action_that_is_not_permitted() -> None:
    """
    A user who may not list the channels is told so, with the reason that Asterisk gave.
    """

    async def script(peer: Peer) -> None:
        await peer.let_in()
        await peer.answer(await peer.action(), "Message: Permission denied", response="Error")
        await peer.stay()

    async with AmiServer(script) as server, AmiSession(settings_for(server)) as session:
        with pytest.raises(AmiActionRefused, match="CoreShowChannels: Permission denied"):
            await session.list_channels()


async def test_list_of_statuses() -> None:
    """
    The rows of Status have the number that a channel dialled.
    """

    async def script(peer: Peer) -> None:
        await peer.let_in()
        action = await peer.action()
        tag = f"ActionID: {action['ActionID']}"
        await peer.say(
            message("Response: Success", tag, "EventList: start", "Message: will follow")
            + channel_event("Status", "Application: Dial", "DNID: 15551230001", tag)
            + message("Event: StatusComplete", tag, "EventList: Complete", "ListItems: 1")
        )
        await peer.stay()

    async with AmiServer(script) as server, AmiSession(settings_for(server)) as session:
        [row] = await session.list_statuses()

    assert (row.uniqueid, row.application, row.dnid) == ("1795408646.1", "Dial", "15551230001")


async def test_statuses_that_are_refused() -> None:
    """
    Something between the bridge and Asterisk that does not know Status costs no more than it tells.
    """

    async def script(peer: Peer) -> None:
        await peer.let_in()
        await peer.answer(await peer.action(), "Message: Permission denied", response="Error")
        await peer.stay()

    async with AmiServer(script) as server, AmiSession(settings_for(server)) as session:
        assert await session.list_statuses() == []

    [refused] = session.oddities.counts
    assert "Status: Permission denied" in refused


async def test_unanswered_action_leaves_nothing_behind() -> None:
    """
    An action without an answer ends at its deadline; a late answer is counted, no more.
    """

    async def script(peer: Peer) -> None:
        await peer.let_in()
        late = await peer.action()
        await peer.action()
        await peer.answer(late)
        await peer.serve()

    async with AmiServer(script) as server, AmiSession(settings_for(server)) as session:
        for _ in range(2):
            with pytest.raises(AmiUnanswered, match=r"no answer to Status within 0\.05 s"):
                await session.ask({"Action": "Status"}, deadline_seconds=0.05)
        assert session._protocol is not None
        assert session._protocol.responses == {}
        await session.ask({"Action": "Ping"})

    assert session.oddities.counts == {"answer that nobody waits for": 1}


async def test_answers_out_of_order() -> None:
    """
    Each of several questions gets its own answer, whatever their order.
    """

    async def script(peer: Peer) -> None:
        await peer.let_in()
        first, second = await peer.action(), await peer.action()
        await peer.answer(second, f"Message: {second['Action']}")
        await peer.answer(first, f"Message: {first['Action']}")
        await peer.stay()

    async with AmiServer(script) as server, AmiSession(settings_for(server)) as session:
        answers = await asyncio.gather(
            session.ask({"Action": "CoreStatus"}), session.ask({"Action": "CoreSettings"})
        )

    assert [answer["Message"] for [answer] in answers] == ["CoreStatus", "CoreSettings"]


async def test_line_break_in_an_action() -> None:
    """
    A value with a line break, which would begin another header, is never sent.
    """
    async with AmiServer() as server, AmiSession(settings_for(server)) as session:
        with pytest.raises(ValueError, match="the value of Channel contains a line break"):
            await session.ask({"Action": "Hangup", "Channel": "a\r\nAction: Reload"})
        await session.ask({"Action": "Ping"})

    assert [action["Action"] for action in server.peers[0].actions][2:] == ["Ping"]


async def test_asking_while_not_connected() -> None:
    """
    A question to a link that is not logged in fails at once.
    """
    async with AmiServer() as server:
        link = AmiLink(settings_for(server), on_events=Ears().on_events)

        with pytest.raises(AmiLost, match="not connected"):
            await link.ask({"Action": "Ping"})
        with pytest.raises(AmiLost, match="not connected"):
            await link.list_channels()
        with pytest.raises(AmiLost, match="not connected"):
            await link.list_statuses()


async def test_who_is_there() -> None:
    """
    The status says since when the link is up and which Asterisk it is.
    """

    async def script(peer: Peer) -> None:
        await peer.let_in()
        facts = ["AsteriskVersion: 22.10.1", "SystemName: "]
        await peer.answer(await peer.action(), *facts)
        started = ["CoreStartupDate: 2026-11-23", "CoreStartupTime: 04:17:43"]
        await peer.answer(await peer.action(), *started)
        await peer.stay()

    ears = Ears()
    async with AmiServer(script) as server, linked(server, ears, clock=lambda: 1234.5) as link:
        await ears.until(lambda: link.status.identity.asterisk_version)

        assert link.status.connected_since == 1234.5
    assert ears.logins[0].identity == PbxIdentity(ami_version="11.0.0")
    assert link.status.identity == PbxIdentity("11.0.0", "22.10.1", None, "2026-11-23 04:17:43")


async def test_events_between_answers() -> None:
    """
    Events between the rows of a list are events, and rows of a list are none.
    """

    async def script(peer: Peer) -> None:
        await peer.let_in()
        while True:
            action = await peer.action()
            if action["Action"] != "CoreShowChannels":
                await peer.answer(action)
                continue
            tag = f"ActionID: {action['ActionID']}"
            await peer.say(
                message("Response: Success", tag, "EventList: start", "Message: will follow")
                + channel_event("Newchannel", name="unasked")
                + channel_event("CoreShowChannel", tag, number=7)
                + channel_event("Newstate")
                + channel_event("CoreShowChannel", tag, number=8)
                + message("Event: CoreShowChannelsComplete", tag, "ListItems: 2")
            )

    ears = Ears()
    async with AmiServer(script) as server, linked(server, ears) as link:
        await ears.until(lambda: ears.logins)
        rows = await link.list_channels()

    assert [row.uniqueid for row in rows] == ["1795408646.7", "1795408646.8"]
    assert [type(event).__name__ for event in ears.events] == ["Newchannel", "Newstate"]
    assert not link.oddities.counts


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        pytest.param(
            ["Output: one", "Output: two: 2"], {"Output": "one\ntwo: 2"}, id="Asterisk 14 and later"
        ),
        pytest.param(["Output: one"], {"Output": "one"}, id="one line"),
        pytest.param(["Empty: ", "Bare:"], {"Empty": "", "Bare": ""}, id="empty values"),
        pytest.param(
            ["one\ntwo: 2\n--END COMMAND--"], {"Output": "one\ntwo: 2\n"}, id="before Asterisk 14"
        ),
    ],
)
async def test_headers_of_answers(lines: list[str], expected: dict[str, str]) -> None:
    """
    Every header of an answer is there as text, whatever its number of lines.
    """

    async def script(peer: Peer) -> None:
        await peer.let_in()
        while True:
            action = await peer.action()
            await peer.answer(action, *(lines if action["Action"] == "Command" else []))

    ears = Ears()
    async with AmiServer(script) as server, linked(server, ears) as link:
        await ears.until(lambda: ears.logins)
        [answer] = await link.ask({"Action": "Command", "Command": "core show uptime"})

    wanted: dict[str, Any] = {"Response": "Success", "ActionID": answer["ActionID"], **expected}
    assert answer == wanted
    assert not link.oddities.counts
