"""
What the simulator answers to a client that asks.
"""

import asyncio
import contextlib
import hashlib
import itertools
import json
from pathlib import Path

import pytest

from ami_bridge.adapters.ami_session import AmiSession
from ami_bridge.adapters.simulator import Simulator
from ami_bridge.cli import simulate
from ami_bridge.errors import AmiLoginRefused
from tests.replaying import FIXTURES

from .ami_clients import Telnet, of, settings_for
from .ami_server import channel_event

MADE = ["Channel: PJSIP/1-1", "ChannelState: 4", "Uniqueid: 1.10"]
HANGUP = channel_event("Hangup", "Cause: 16", "Cause-txt: Normal Clearing")


@pytest.mark.parametrize(
    ("action", "expected"),
    [
        pytest.param(
            ["Action: Ping", "ActionID: 7"], ["Response: Success", "ActionID: 7"], id="ping"
        ),
        pytest.param(["action: ping"], ["Response: Success", "Ping: Pong"], id="no ActionID"),
        pytest.param(
            ["Action: Events", "EventMask: off"], ["Response: Success", "Events: Off"], id="events"
        ),
        pytest.param(
            ["Action: Reload", "ActionID: x/1"],
            ["Response: Error", "ActionID: x/1", "Message: Invalid/unknown command: Reload"],
            id="unknown",
        ),
        pytest.param(
            ["Action: Logoff"],
            ["Response: Goodbye", "Message: Thanks for all the fish."],
            id="logoff",
        ),
        pytest.param(
            ["Action: CoreSettings"], ["Response: Success", "AMIversion: 11.0.0"], id="settings"
        ),
        pytest.param(["No: action"], ["Response: Error"], id="no action"),
        pytest.param(
            ["Action: Status", "Channel: PJSIP/9-1"],
            ["Response: Error", "Message: No such channel"],
            id="status of a channel that there is not",
        ),
        pytest.param(
            ["Action: ListCommands"],
            ["Response: Success", "Challenge: Generate Challenge for MD5 Auth.  (Priv: <none>)"],
            id="commands",
        ),
        pytest.param(
            ["Action: Command", "Command: manager show user a"],
            [
                "Response: Success",
                "Message: Command output follows",
                "Output:          username: a",
                "Output:         read perm: all",
            ],
            id="what a user may read",
        ),
    ],
)
@pytest.mark.parametrize("end", ["\r\n", "\n"], ids=["CRLF", "LF"])
async def test_answers(action: list[str], expected: list[str], end: str) -> None:
    """
    Every action is answered as Asterisk would, whatever the line ending.
    """
    async with Simulator(of()) as simulator, Telnet(simulator.port) as client:
        await client.log_in()

        assert (await client.ask(*action, end=end))[: len(expected)] == expected


async def test_lists_of_a_real_call() -> None:
    """
    In the middle of a call, a client is told who dials, who is dialled, and the DID.
    """
    story = FIXTURES / "asterisk22" / "trunk-ext-answered" / "recording.ami"
    chunks = itertools.takewhile(
        lambda chunk: b"HangupRequest" not in chunk[1], simulate.playlist((str(story),))()
    )
    said = list(chunks)
    async with (
        Simulator(lambda: said, speed=0) as simulator,
        AmiSession(settings_for(simulator)) as session,
    ):
        async with asyncio.timeout(5):
            await simulator.finished.wait()
        _, *channels = await session.ask({"Action": "CoreShowChannels"})
        _, *statuses = await session.ask({"Action": "Status"})

    *rows, complete = channels
    applications = {row["Application"]: row["ChannelStateDesc"] for row in rows}
    assert applications == {"Dial": "Up", "AppDial": "Up"}
    assert len({row["BridgeId"] for row in rows}) == 1
    assert complete["ListItems"] == "2"
    assert {row["DNID"] for row in statuses[:-1]} == {"15551230001", ""}
    assert {row["Type"] for row in statuses[:-1]} == {"PJSIP"}


async def test_json_is_played(tmp_path: Path) -> None:
    """
    A recording in JSON, whose tool spells headers in its own way, is played like any other.
    """
    recording = tmp_path / "calls.json"
    made = {"event": "Newchannel", "channel": "PJSIP/1-1", "channelstate": 4, "uniqueid": "1.10"}
    recording.write_text(json.dumps([made, {**made, "event": "Hangup", "cause_txt": "Busy"}]))

    async with (
        Simulator(simulate.playlist((str(recording),)), speed=0) as simulator,
        Telnet(simulator.port) as one,
    ):
        await one.log_in()
        first, second = await one.message(), await one.message()

    assert first == ["Event: Newchannel", *MADE]
    assert second == ["Event: Hangup", *MADE, "Cause-txt: Busy"]


async def test_who_the_simulator_is() -> None:
    """
    A bridge that asks is told a version and when the simulator began.
    """
    async with Simulator(of()) as simulator, AmiSession(settings_for(simulator)) as session:
        identity = await session.identify()

    assert identity.ami_version == "11.0.0"
    assert "ami-bridge simulate" in (identity.asterisk_version or "")
    assert identity.started is not None


async def test_nothing_before_the_login() -> None:
    """
    Who is not logged in hears nothing and may ask for nothing.
    """
    pieces = of(channel_event("Newchannel"))
    async with Simulator(pieces, speed=0) as simulator, Telnet(simulator.port) as client:
        answer = await client.ask("Action: CoreShowChannels", "ActionID: 1")

    assert answer == ["Response: Error", "ActionID: 1", "Message: Permission denied"]
    assert not simulator.finished.is_set()


async def test_login_without_events() -> None:
    """
    Who wants no events gets none, until asking for them.
    """
    pieces = of(channel_event("Newchannel"), HANGUP, seconds=0.2)
    async with Simulator(pieces) as simulator, Telnet(simulator.port) as client:
        await client.log_in(events="off")
        await client.ask("Action: Ping")
        await client.ask("Action: Events", "EventMask: call")

        assert (await client.message())[0] == "Event: Hangup"


@pytest.mark.parametrize("challenge", [True, False])
async def test_credentials(monkeypatch: pytest.MonkeyPatch, *, challenge: bool) -> None:
    """
    With credentials given, they are let in by either way and others are refused.
    """
    monkeypatch.setattr("ami_bridge.adapters.manager_session._REFUSAL_SECONDS", 0.0)
    async with Simulator(of(), credentials=("bridge", "s3cret")) as simulator:
        right = settings_for(simulator, username="bridge", secret="s3cret", challenge=challenge)
        async with AmiSession(right) as session:
            assert await session.list_channels() == []
        for wrong in ({"username": "bridge"}, {"secret": "s3cret"}):
            settings = settings_for(simulator, challenge=challenge, **wrong)
            with pytest.raises(AmiLoginRefused, match="Authentication failed"):
                async with AmiSession(settings):
                    pass


async def test_key_is_of_the_challenge() -> None:
    """
    The challenge that is told is the one by which the key is judged.
    """
    async with (
        Simulator(of(), credentials=("a", "b")) as simulator,
        Telnet(simulator.port) as client,
    ):
        [_, line] = await client.ask("Action: Challenge", "AuthType: MD5")
        text = line.removeprefix("Challenge: ") + "b"
        key = hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
        answer = await client.ask("Action: Login", "Username: a", f"Key: {key}")
    assert answer[0] == "Response: Success"


async def test_client_that_is_none() -> None:
    """
    A client that sends a line without an end is dropped, and the next one is served.
    """
    async with Simulator(of()) as simulator:
        async with Telnet(simulator.port) as client:
            client.writer.write(b"x" * 200_000)
            with contextlib.suppress(ConnectionError):
                async with asyncio.timeout(5):
                    await client.reader.read(-1)
        async with Telnet(simulator.port) as client:
            await client.log_in()
