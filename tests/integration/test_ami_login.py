"""
Logging in to Asterisk: how, to whom, and what is said where it does not work.
"""

import asyncio
import logging

import pytest

from ami_bridge.adapters.ami_session import AmiSession
from ami_bridge.errors import AmiLoginRefused, AmiLost, AmiUnanswered

from .ami_ears import Ears, linked, settings_for
from .ami_server import SECRET, USERNAME, AmiServer, Peer, key_of, welcome


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
        with pytest.raises(AmiUnanswered, match=r"no answer to Challenge within 0\.5 s"):
            async with AmiSession(settings_for(server, connect_timeout_seconds=0.5)):
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
