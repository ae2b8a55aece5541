"""
The life of a link: logging in, asking, noticing a loss, connecting again, and ending.
"""

import asyncio
import logging
from typing import Any

import pytest

from ami_bridge.adapters.ami import AmiLink
from ami_bridge.adapters.ami_session import AmiSession, PbxIdentity
from ami_bridge.core.ami_events import ChannelSnapshot, ChannelState
from ami_bridge.errors import (
    AmiActionRefused,
    AmiLoginRefused,
    AmiLost,
    AmiUnanswered,
)

from .ami_ears import Ears, linked, settings_for
from .ami_server import (
    SECRET,
    USERNAME,
    AmiServer,
    Peer,
    channel_event,
    key_of,
    message,
    welcome,
)

# -- logging in ------------------------------------------------------------------------


async def test_login_by_challenge() -> None:
    """
    By default the secret is proved by MD5 and does not cross the network.
    """
    async with AmiServer() as server, AmiSession(settings_for(server)):
        challenge, login = server.peers[0].actions

    assert (challenge["Action"], challenge["AuthType"]) == ("Challenge", "MD5")
    assert login["Action"] == "Login"
    assert login["Username"] == USERNAME
    assert login["Key"] == key_of(SECRET)
    assert login["Events"] == "call,system"
    assert SECRET not in str(server.peers[0].actions)


async def test_plain_login() -> None:
    """
    Without a challenge the secret itself is sent, as old managers want it.
    """
    async with AmiServer() as server:
        settings = settings_for(server, challenge=False, events="call")
        async with AmiSession(settings):
            [login] = server.peers[0].actions

    assert login["Secret"] == SECRET
    assert login["Events"] == "call"
    assert "AuthType" not in login


async def refuse(peer: Peer) -> None:
    """
    Refuse the login after a moment and close, as Asterisk does after a second.
    """
    await peer.greet()
    login = await peer.challenge()
    await asyncio.sleep(0.02)
    await peer.answer(login, "Message: Authentication failed", response="Error")


async def test_refused_login_is_an_error_at_once() -> None:
    """
    Who only wants one connection is told of the refusal, by name, address and reason.
    """
    async with AmiServer(refuse) as server:
        with pytest.raises(AmiLoginRefused) as refusal:
            async with AmiSession(settings_for(server)):
                pass

    assert refusal.value.exit_code == 77
    assert refusal.value.username == USERNAME
    assert refusal.value.reason == "Authentication failed"
    assert str(server.port) in str(refusal.value)
    assert SECRET not in str(refusal.value)


async def test_refused_login_is_retried_slowly() -> None:
    """
    A link tells each refusal and waits the long time before it knocks again.
    """
    ears = Ears()
    async with AmiServer(refuse, refuse, welcome) as server, linked(server, ears) as link:
        await ears.until(lambda: ears.logins)

        assert link.status.error is None

    assert [type(loss) for loss in ears.losses] == [AmiLoginRefused, AmiLoginRefused]
    assert ears.pauses[:2] == [60.0, 60.0]


async def test_no_challenge_to_be_had() -> None:
    """
    A PBX without challenges is told apart; the secret is not sent without being asked to.
    """

    async def script(peer: Peer) -> None:
        await peer.greet()
        await peer.answer(await peer.action(), "Message: Invalid/unknown command", response="Error")
        await peer.stay()

    async with AmiServer(script) as server:
        with pytest.raises(AmiLoginRefused, match="challenge = false"):
            async with AmiSession(settings_for(server)):
                pass
        assert SECRET not in str(server.peers[0].actions)


async def test_closed_while_logging_in() -> None:
    """
    A connection that is closed instead of answered is a loss, not a refusal.
    """

    async def script(peer: Peer) -> None:
        await peer.greet()
        await peer.action()

    async with AmiServer(script) as server:
        with pytest.raises(AmiLost, match="closed the connection"):
            async with AmiSession(settings_for(server)):
                pass


async def test_silent_server() -> None:
    """
    A server that takes the connection and says nothing is given up after the time-out.
    """
    async with AmiServer(Peer.stay) as server:
        with pytest.raises(AmiLost, match=r"said nothing within 0\.05 s"):
            async with AmiSession(settings_for(server, connect_timeout_seconds=0.05)):
                pass

        assert server.peers[0].actions == []


async def test_unanswered_login() -> None:
    """
    A server that greets and then falls silent is given up after the time-out.
    """

    async def script(peer: Peer) -> None:
        await peer.greet()
        await peer.stay()

    async with AmiServer(script) as server:
        with pytest.raises(AmiUnanswered, match=r"no answer to Challenge within 0\.05 s"):
            async with AmiSession(settings_for(server, connect_timeout_seconds=0.05)):
                pass


@pytest.mark.parametrize(
    "greeting", [b"SSH-2.0-OpenSSH_9.2\r\n", b"220 mail ESMTP\r\n", b"\x16\x03\x01" * 100]
)
async def test_somebody_else_on_the_port(greeting: bytes) -> None:
    """
    Who does not greet like Asterisk gets no login.
    """

    async def script(peer: Peer) -> None:
        await peer.say(greeting)
        await peer.stay()

    async with AmiServer(script) as server:
        with pytest.raises(AmiLost, match="not Asterisk's manager"):
            async with AmiSession(settings_for(server, challenge=False)):
                pass

        assert server.peers[0].actions == []


async def test_proxy_before_asterisk() -> None:
    """
    A proxy that adds its own name to the greeting is let through.
    """

    async def script(peer: Peer) -> None:
        await peer.say(b"Asterisk Call Manager Proxy/1.23\r\n")
        await peer.answer(await peer.challenge())
        await peer.serve()

    async with AmiServer(script) as server, AmiSession(settings_for(server)) as session:
        assert session.ami_version == "1.23"


async def test_nobody_listens() -> None:
    """
    A closed port is a loss that says so.
    """
    async with AmiServer() as server:
        settings = settings_for(server)
    with pytest.raises(AmiLost, match="Connection refused"):
        async with AmiSession(settings):
            pass


async def test_host_that_is_no_name() -> None:
    """
    A host that cannot be a name is a loss, which a link survives.
    """
    async with AmiServer() as server:
        with pytest.raises(AmiLost):
            async with AmiSession(settings_for(server, host="no..name")):
                pass


async def test_ipv6() -> None:
    """
    A PBX can have an IPv6 address.
    """
    async with AmiServer(host="::1") as server:
        settings = settings_for(server)
        async with AmiSession(settings) as session:
            assert session.ami_version == "11.0.0"

    assert settings.address == f"[::1]:{server.port}"


@pytest.mark.parametrize("challenge", [True, False])
async def test_secret_is_never_logged(caplog: pytest.LogCaptureFixture, *, challenge: bool) -> None:
    """
    No log line on any level shows the secret, however the login ends.
    """
    caplog.set_level(logging.DEBUG)

    async def cut(peer: Peer) -> None:
        await peer.greet()
        await peer.action()

    # A byte that is no UTF-8 comes from the environment as a surrogate.
    secret = "s3cr\udce9t-of-the-manager"
    ears = Ears()
    async with AmiServer(cut, refuse, cut) as server:
        settings = settings_for(server, secret=secret, challenge=challenge)
        async with linked(server, ears, settings=settings):
            await ears.loss(3)

    told = [record.getMessage() + str(vars(record)) for record in caplog.records]
    assert told
    assert not any("t-of-the-manager" in line for line in told)
    assert "t-of-the-manager" not in repr(settings)


# -- asking ----------------------------------------------------------------------------


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

    assert modern.name == "PJSIP/0003*001-00000001"
    assert modern.linkedid == "1795408646.1"
    assert old == ChannelSnapshot(
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


# -- losing and regaining --------------------------------------------------------------


async def test_half_open_peer_is_noticed() -> None:
    """
    A peer that answers no Ping is gone, and the link connects anew.
    """

    async def fall_silent(peer: Peer) -> None:
        await peer.let_in()
        await peer.answer(await peer.action())
        await peer.answer(await peer.action())
        await peer.stay()

    ears = Ears()
    async with AmiServer(fall_silent, welcome) as server:
        settings = settings_for(server, keepalive_seconds=0.05, keepalive_deadline_seconds=0.05)
        async with linked(server, ears, settings=settings):
            await ears.until(lambda: len(ears.logins) == 2)
    assert [action["Action"] for action in server.peers[0].actions][-1] == "Ping"
    assert str(ears.losses[0]).endswith("no answer to Ping within 0.05 s")


async def test_no_ping_while_events_come() -> None:
    """
    A Ping is sent after silence only: a busy PBX is not asked whether it lives.
    """

    async def talk(peer: Peer) -> None:
        await peer.let_in()
        for number in range(20):
            await peer.say(channel_event("Newchannel", number=number))
            await asyncio.sleep(0.02)
        await peer.serve()

    ears = Ears()
    async with AmiServer(talk) as server:
        settings = settings_for(server, keepalive_seconds=0.15)
        async with AmiSession(settings, on_events=ears.on_events) as session:
            listening = asyncio.create_task(session.listen())
            await ears.until(lambda: len(ears.events) == 20)
            before = [action["Action"] for action in server.peers[0].actions]
            await ears.until(lambda: len(server.peers[0].actions) > len(before))
            listening.cancel()
            await asyncio.wait({listening})

    assert "Ping" not in before
    assert server.peers[0].actions[-1]["Action"] == "Ping"


async def test_closed_in_the_middle_of_a_message() -> None:
    """
    The part of a message before the end is dropped, and the reason speaks of slow readers.
    """
    event = channel_event("Newchannel")

    async def cut(peer: Peer) -> None:
        await peer.let_in()
        await peer.say(channel_event("Newstate") + event[:-30])

    ears = Ears()
    async with AmiServer(cut, welcome) as server, linked(server, ears):
        await ears.until(lambda: len(ears.logins) == 2)

    assert [type(heard).__name__ for heard in ears.events] == ["Newstate"]
    assert "in the middle of a message" in str(ears.losses[0])
    assert "writetimeout" in str(ears.losses[0])


@pytest.mark.parametrize(("restart", "said"), [("True", "restarts"), ("False", "shuts down")])
async def test_shutdown_of_asterisk(restart: str, said: str) -> None:
    """
    After the event Shutdown all that still comes is heard, and the loss says what happened.
    """

    async def shut_down(peer: Peer) -> None:
        await peer.let_in()
        await peer.say(message("Event: Shutdown", "Shutdown: Cleanly", f"Restart: {restart}"))
        await peer.say(channel_event("Hangup", "Cause: 16"))

    ears = Ears()
    async with AmiServer(shut_down, welcome) as server, linked(server, ears):
        await ears.until(lambda: len(ears.logins) == 2)

        assert len(server.peers) == 2
    assert [type(heard).__name__ for heard in ears.events] == ["Hangup"]
    assert [str(loss) for loss in ears.losses] == [f"127.0.0.1:{server.port}: Asterisk {said}"]


async def test_reset_by_the_peer() -> None:
    """
    A connection that is reset is a loss like any other.
    """

    async def reset(peer: Peer) -> None:
        await peer.let_in()
        peer.writer.transport.abort()

    ears = Ears()
    async with AmiServer(reset, welcome) as server, linked(server, ears):
        await ears.until(lambda: len(ears.logins) == 2)

    assert isinstance(ears.losses[0], AmiLost)


async def cut_off(peer: Peer) -> None:
    """
    Close at once.
    """


async def let_in_and_close(peer: Peer) -> None:
    """
    Accept the login and close.
    """
    await peer.let_in()


async def test_pauses_double_up_to_a_bound_and_begin_anew() -> None:
    """
    The bound of the pauses doubles with each failure, is capped, and a login resets it.
    """
    scripts = [cut_off] * 5 + [let_in_and_close, cut_off, welcome]
    ears = Ears()
    async with AmiServer(*scripts) as server, linked(server, ears):
        await ears.until(lambda: len(ears.logins) == 2)

    assert ears.pauses == [1.0, 2.0, 4.0, 8.0, 8.0, 1.0, 2.0]


async def test_pauses_are_random() -> None:
    """
    A pause is a random share of its bound, so that many bridges do not come back as one.
    """
    dice = iter([0.0, 0.25, 0.5, 1.0])
    ears = Ears()
    async with (
        AmiServer(cut_off, cut_off, cut_off, welcome) as server,
        linked(server, ears, dice=lambda: next(dice)),
    ):
        await ears.until(lambda: ears.logins)

    assert ears.pauses == [0.0, 0.5, 2.0]


async def test_pbx_that_is_down_for_a_while() -> None:
    """
    A refused connection is tried again until the PBX is back on its port.
    """
    ears = Ears()
    async with AmiServer() as server:
        port = server.port
        async with linked(server, ears):
            await ears.until(lambda: ears.logins)
            await server.stop()
            await ears.until(lambda: len(ears.losses) >= 3)
            again = AmiServer()
            again.port = port
            async with again:
                await ears.until(lambda: len(ears.logins) == 2)
                await again.stop()
        assert "Connection refused" in str(ears.losses[2])


async def test_nothing_is_sent_again() -> None:
    """
    An action that the connection took with it fails, and the next connection never sees it.
    """

    async def take(peer: Peer) -> None:
        await peer.let_in()
        while (await peer.action())["Action"] != "Originate":
            pass

    ears = Ears()
    async with AmiServer(take, welcome) as server, linked(server, ears) as link:
        await ears.until(lambda: ears.logins)
        with pytest.raises(AmiLost, match="closed the connection"):
            await link.ask({"Action": "Originate", "Async": "true"})
        await ears.until(lambda: len(ears.logins) == 2)
        await link.ask({"Action": "Ping"})

    assert "Originate" not in [action["Action"] for action in server.peers[1].actions]


async def test_callbacks_of_the_link_that_raise() -> None:
    """
    A raising on_login or on_lost is counted and costs no connection.
    """
    ears = Ears()

    def on_login(status: Any) -> None:
        ears.on_login(status)
        raise RuntimeError

    def on_lost(error: Any) -> None:
        ears.on_lost(error)
        raise RuntimeError

    async with (
        AmiServer(let_in_and_close, welcome) as server,
        linked(server, ears, on_login=on_login, on_lost=on_lost) as link,
    ):
        await ears.until(lambda: len(ears.logins) == 2)

    assert link.oddities.counts["callback that failed"] == 3


# -- ending ----------------------------------------------------------------------------


async def test_close_while_connected() -> None:
    """
    Closing ends the connection, and nobody connects again.
    """
    ears = Ears()
    async with AmiServer() as server:
        async with linked(server, ears) as link:
            await ears.until(lambda: ears.logins)
            asking = asyncio.create_task(link.ask({"Action": "Ping"}))
            await link.close()
            with pytest.raises(AmiLost):
                await asking
        assert_nothing_is_pending()
        assert len(server.peers) == 1
        assert ears.losses == []
        assert ears.pauses == []


async def test_close_while_waiting_to_connect_again() -> None:
    """
    Closing during the pause before the next attempt means that there is none.
    """
    ears = Ears()
    waiting = asyncio.Event()

    async def sleep(_seconds: float) -> None:
        waiting.set()
        await asyncio.Event().wait()

    async with AmiServer(cut_off, welcome) as server:
        async with linked(server, ears, sleep=sleep):
            await waiting.wait()
        assert_nothing_is_pending()
        assert len(server.peers) == 1


async def test_close_while_connecting() -> None:
    """
    Closing before the greeting came ends that attempt.
    """
    ears = Ears()
    async with AmiServer(Peer.stay) as server:
        async with linked(server, ears):
            await server.connections(1)
        assert_nothing_is_pending()
        assert ears.losses == []


async def test_closed_link_does_not_run() -> None:
    """
    A link that was closed returns at once when it is run.
    """
    async with AmiServer() as server:
        link = AmiLink(settings_for(server), on_events=Ears().on_events)
        await link.close()
        await link.run()

        assert server.peers == []


async def test_cancelling_run() -> None:
    """
    Who cancels `run` gets the cancellation back, and the connection is gone.
    """
    ears = Ears()
    async with AmiServer() as server:
        link = AmiLink(settings_for(server), on_events=ears.on_events, on_login=ears.on_login)
        life = asyncio.create_task(link.run())
        await ears.until(lambda: ears.logins)
        life.cancel()
        await asyncio.wait({life})

        assert life.cancelled()
        assert_nothing_is_pending()
        with pytest.raises(AmiLost):
            await link.ask({"Action": "Ping"})


def assert_nothing_is_pending() -> None:
    """
    See that no task of a link is left and no timer that could connect, ping or send.
    """
    loop: Any = asyncio.get_running_loop()
    timers = [timer for timer in loop._scheduled if not timer.cancelled()]
    tasks = [task for task in asyncio.all_tasks() if "ami link" in task.get_name()]

    assert not [timer for timer in timers if "anoramisk" in repr(timer)]
    assert tasks == []
