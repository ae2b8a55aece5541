"""
The life of a link: noticing a loss, connecting again, and ending.
"""

import asyncio
from typing import Any

import pytest

from ami_bridge.adapters.ami import AmiLink
from ami_bridge.adapters.ami_session import AmiSession
from ami_bridge.errors import AmiLost

from .ami_ears import Ears, linked, settings_for
from .ami_server import AmiServer, Peer, channel_event, message, welcome

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
            await ears.until(lambda: len(ears.logins) >= 2)
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
            await ears.until(lambda: len(ears.events) >= 20)
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
        await ears.until(lambda: len(ears.logins) >= 2)

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
        await ears.until(lambda: len(ears.logins) >= 2)

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
        await ears.until(lambda: len(ears.logins) >= 2)

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
        await ears.until(lambda: len(ears.logins) >= 2)

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
                await ears.until(lambda: len(ears.logins) >= 2)
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
        await ears.until(lambda: len(ears.logins) >= 2)
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
        await ears.until(lambda: len(ears.logins) >= 2)

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
