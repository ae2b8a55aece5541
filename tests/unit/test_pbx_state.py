"""
What a PBX would list, by what it said: held against what real ones listed.
"""

from pathlib import Path

import pytest

from ami_bridge.core.ami_stream import AmiMessage, AmiStream
from ami_bridge.core.pbx_state import PbxState, Row
from tests.replaying import FIXTURES, SCENARIOS, recorded_bytes, scenario_name

LISTINGS = sorted(Path(__file__).parent.glob("listings/*.ami"))
#: Calls that met in a bridge, of which these recordings say nothing.
MET_IN_BRIDGES = {"attended", "parking", "pickup"}
#: What no event tells, or what depends on the moment.
UNTOLD = {"Event", "ActionID", "Privilege", "EventList", "Message"}
STATUS_UNTOLD = UNTOLD | {
    *("Nativeformats", "Readformat", "Readtrans", "Writeformat", "Writetrans"),
    *("Callgroup", "Pickupgroup", "Variable"),
}


def messages_of(octets: bytes) -> list[AmiMessage]:
    """
    Read all messages in *octets*.
    """
    return AmiStream().feed(octets)


def said(*events: str) -> PbxState:
    """
    Make the state after *events*, each a line of ``Name Header=value ...``.
    """
    state = PbxState()
    for event in events:
        name, *headers = event.split()
        lines = [f"Event: {name}", *(header.replace("=", ": ", 1) for header in headers)]
        [message] = messages_of("\r\n".join([*lines, "", ""]).encode())
        state.take(message, 100.0)
    return state


ANN = "Newchannel Channel=PJSIP/1-1 ChannelState=4 Exten=2 Uniqueid=1.1 Linkedid=1.1"
BOB = "Newchannel Channel=PJSIP/2-1 ChannelState=0 Exten=s Uniqueid=1.2 Linkedid=1.1"
DIAL = (
    "DialBegin Channel=PJSIP/1-1 ChannelState=4 Exten=2 Uniqueid=1.1 Linkedid=1.1 "
    "DestChannel=PJSIP/2-1 DestChannelState=0 DestExten=2 DestUniqueid=1.2 DestLinkedid=1.1 "
    "DialString=2"
)


def by_uniqueid(rows: list[Row]) -> dict[str, Row]:
    """
    Sort rows by their channel.
    """
    return {row["Uniqueid"]: row for row in rows}


@pytest.mark.parametrize("version", ["asterisk16", "asterisk22"])
@pytest.mark.parametrize("row_name", [b"CoreShowChannel", b"Status"])
def test_rows_are_those_that_asterisk_gave(version: str, row_name: bytes) -> None:
    """
    In the middle of three calls, the rows are Asterisk's own but for what no event tells.
    """
    folder = FIXTURES / version / "midcall-status-actions"
    state = PbxState()
    real: list[Row] = []
    for message in messages_of(recorded_bytes(folder)):
        if message.name == row_name and b"mid-vars" not in message.raw:
            untold = STATUS_UNTOLD if row_name == b"Status" else UNTOLD
            real.append({k: v for k, v in message.headers.items() if k not in untold})
        elif message.name == row_name + b"sComplete" or message.name == b"StatusComplete":
            break
        else:
            state.take(message, 0.0)

    rows = state.channel_rows(0.0) if row_name == b"CoreShowChannel" else state.status_rows(0.0)
    assert len(real) == 6
    assert [list(row) for row in rows] == [list(row) for row in real]
    for uniqueid, row in by_uniqueid(real).items():
        # The events do not tell a Dial's options, and this test lets no time pass.
        for name in ("ApplicationData", "Data"):
            if name in row:
                row[name] = row[name].partition(",")[0]
        row |= {name: value for name, value in PASSED.items() if name in row}
        assert by_uniqueid(rows)[uniqueid] == row


PASSED = {"Duration": "00:00:00", "Seconds": "0"}


@pytest.mark.parametrize("folder", SCENARIOS, ids=scenario_name)
def test_nothing_is_listed_when_all_channels_are_gone(folder: object) -> None:
    """
    At the end of a recorded call no channel is left, and what is listed before is real.
    """
    state = PbxState()
    seen = 0
    messages = messages_of(recorded_bytes(folder))  # type: ignore[arg-type]
    for message in messages:
        if b"\r\nActionID: " not in message.raw:
            state.take(message, 0.0)
            seen = max(seen, len(state))
    born = {m.headers["Uniqueid"] for m in messages if m.name == b"Newchannel"}
    gone = {m.headers["Uniqueid"] for m in messages if m.name == b"Hangup"}

    assert seen <= len(born | gone)
    if born <= gone:
        assert state.channel_rows(0.0) == []


def test_dials_are_named() -> None:
    """
    Who dials runs Dial with the devices, who is dialled an AppDial with an outgoing line.
    """
    rows = by_uniqueid(said(ANN, BOB, DIAL).channel_rows(100.0))

    assert (rows["1.1"]["Application"], rows["1.1"]["ApplicationData"]) == ("Dial", "PJSIP/2")
    assert (rows["1.2"]["Application"], rows["1.2"]["ApplicationData"]) == (
        "AppDial",
        "(Outgoing Line)",
    )


def test_several_devices_of_one_dial() -> None:
    """
    A ring group's Dial has all its devices, each once.
    """
    other = DIAL.replace("2-1", "3-1").replace("1.2", "1.3").replace("DialString=2", "DialString=3")
    carol = BOB.replace("2-1", "3-1").replace("1.2", "1.3")

    rows = by_uniqueid(said(ANN, BOB, carol, DIAL, other, DIAL).channel_rows(100.0))

    assert rows["1.1"]["ApplicationData"] == "PJSIP/2&PJSIP/3"


def test_members_of_a_queue() -> None:
    """
    In a queue the caller runs Queue, and its members are no Dial's.
    """
    join = "QueueCallerJoin Channel=PJSIP/1-1 ChannelState=6 Uniqueid=1.1 Queue=support"
    rows = by_uniqueid(said(ANN, BOB, join, DIAL).channel_rows(100.0))

    assert (rows["1.1"]["Application"], rows["1.1"]["ApplicationData"]) == ("Queue", "support")
    assert rows["1.2"]["Application"] == "AppQueue"


def test_who_picks_up_takes_the_place_of_the_phone_that_rang() -> None:
    """
    Somebody who picked up a call is an outgoing line of its Dial from then on.
    """
    carol = ANN.replace("1-1", "3-1").replace("1.1", "3.3").replace("Exten=2", "Exten=*8")
    pickup = (
        "Pickup Channel=PJSIP/3-1 ChannelState=4 Uniqueid=3.3 "
        "TargetChannel=PJSIP/2-1 TargetChannelState=5 TargetUniqueid=1.2"
    )

    row = by_uniqueid(said(ANN, BOB, DIAL, carol, pickup).status_rows(100.0))["3.3"]

    assert (row["Application"], row["Data"], row["DNID"]) == ("AppDial", "(Outgoing Line)", "*8")


@pytest.mark.parametrize("kind", ["basic", "base"])
def test_calls_that_meet_are_one_from_then_on(kind: str) -> None:
    """
    In a bridge of two, the younger call's Linkedid becomes the older one's; not in a conference.
    """
    carol = ANN.replace("1-1", "3-1").replace("1.1", "3.3")
    enter = (
        "BridgeEnter Channel=PJSIP/{}-1 ChannelState=6 Uniqueid={} Linkedid={} "
        f"BridgeUniqueid=b BridgeType={kind}"
    )
    state = said(ANN, carol, enter.format(1, "1.1", "1.1"), enter.format(3, "3.3", "3.3"))

    linkedids = {row["Linkedid"] for row in state.channel_rows(100.0)}
    assert linkedids == ({"1.1"} if kind == "basic" else {"1.1", "3.3"})


def test_a_dial_without_a_source() -> None:
    """
    A channel that Asterisk was asked to call is dialled by nobody's Dial.
    """
    state = said(BOB, "DialBegin DestChannel=PJSIP/2-1 DestChannelState=0 DestUniqueid=1.2")

    assert state.channel_rows(100.0)[0]["Application"] == "AppDial2"


def test_the_number_dialled_first_is_kept() -> None:
    """
    DNID is the number of the Newchannel, wherever the dialplan has led since; `s` is none.
    """
    moved = "Newstate Channel=PJSIP/1-1 ChannelState=6 Exten=600 Uniqueid=1.1 Linkedid=1.1"
    rows = by_uniqueid(said(ANN, moved, BOB).status_rows(100.0))

    assert (rows["1.1"]["DNID"], rows["1.1"]["Exten"]) == ("2", "600")
    assert rows["1.2"]["DNID"] == ""


def test_bridges() -> None:
    """
    BridgeId is the bridge that a channel is in, and nothing after it left.
    """
    enter = "BridgeEnter Channel=PJSIP/1-1 ChannelState=6 Uniqueid=1.1 BridgeUniqueid=b"
    leave = enter.replace("Enter", "Leave")
    other = leave.replace("=b", "=a")

    assert said(ANN, enter).channel_rows(100.0)[0]["BridgeId"] == "b"
    assert said(ANN, enter, other).channel_rows(100.0)[0]["BridgeId"] == "b"
    assert said(ANN, enter, leave).channel_rows(100.0)[0]["BridgeId"] == ""


def test_who_went_to_another_bridge_does_not_meet_who_enters_the_old_one() -> None:
    """
    Calls meet by who is in a bridge together, not by who was there before.
    """
    eve = "Newchannel Channel=PJSIP/3-1 ChannelState=4 Exten=4 Uniqueid=1.3 Linkedid=1.3"
    enter = "BridgeEnter Channel=PJSIP/{0}-1 Uniqueid=1.{0} BridgeUniqueid={1} BridgeType=basic"
    state = said(ANN, eve, enter.format(1, "b"), enter.format(1, "c"), enter.format(3, "b"))

    rows = by_uniqueid(state.channel_rows(100.0))
    assert [rows[one]["BridgeId"] for one in ("1.1", "1.3")] == ["c", "b"]
    assert rows["1.3"]["Linkedid"] == "1.3"


def test_time_passes() -> None:
    """
    Duration and Seconds count from the Newchannel.
    """
    state = said(ANN)

    assert state.channel_rows(100.0 + 3_661)[0]["Duration"] == "01:01:01"
    assert state.status_rows(107.9)[0]["Seconds"] == "7"


def test_status_of_one_channel() -> None:
    """
    Status can be asked of one channel, by its name.
    """
    rows = said(ANN, BOB).status_rows(100.0, "PJSIP/2-1")

    assert [row["Uniqueid"] for row in rows] == ["1.2"]


@pytest.mark.parametrize("event", ["FullyBooted Uptime=0", "Shutdown Restart=True"])
def test_a_pbx_that_starts_anew_has_no_channels(event: str) -> None:
    """
    What was up before a restart is not listed after it.
    """
    assert len(said(ANN, BOB, event)) == 0


@pytest.mark.parametrize(
    ("event", "may"),
    [
        pytest.param(ANN, True, id="a call begins"),
        pytest.param(BOB, False, id="a channel of a call that is not there"),
        pytest.param("Hangup Channel=PJSIP/1-1 Uniqueid=9.1", False, id="of a channel that is not"),
        pytest.param("Hangup Channel=PJSIP/9-1 Uniqueid=9.9", True, id="of one that is"),
        pytest.param(DIAL.replace("1.1", "9.9"), False, id="one of two is not there"),
        pytest.param(BOB.replace("1.1", "9.9"), True, id="a channel of a call that is there"),
        pytest.param("BridgeCreate BridgeUniqueid=x", True, id="of no channel"),
        pytest.param("OriginateResponse Uniqueid=<unknown>", True, id="of an unknown channel"),
    ],
)
def test_what_may_happen(event: str, *, may: bool) -> None:
    """
    What speaks of channels that do not live may not happen.
    """
    state = said(ANN.replace("1.1", "9.9").replace("/1-1", "/9-1"))
    name, *headers = event.split()
    lines = [f"Event: {name}", *(header.replace("=", ": ", 1) for header in headers)]
    [message] = messages_of("\r\n".join([*lines, "", ""]).encode())

    assert state.may_happen(message) is may


def test_old_asterisk() -> None:
    """
    Asterisk 11 spells its rows in its own way, and names who is at the other end.
    """
    folder = FIXTURES / "asterisk11" / "a11-answered"
    state = PbxState()
    for message in messages_of(recorded_bytes(folder)):
        state.take(message, 0.0)
        if message.name == b"Bridge":
            break
    caller, callee = sorted(state.channel_rows(0.0), key=lambda row: row["UniqueID"])

    assert (caller["Application"], callee["Application"]) == ("Dial", "AppDial")
    assert (caller["BridgedChannel"], caller["BridgedUniqueID"]) == (
        callee["Channel"],
        callee["UniqueID"],
    )
    assert "Linkedid" not in caller
    assert "Extension" in caller


@pytest.mark.parametrize("file", LISTINGS, ids=lambda file: file.stem)
def test_rows_are_those_of_the_recorded_listings(file: Path) -> None:
    """
    Wherever a real Asterisk was asked in a story, the same channels and calls are listed.
    """
    state = PbxState()
    real: list[Row] = []
    dialled: dict[str, str] = {}
    for message in messages_of(file.read_bytes()):
        if message.name == b"CoreShowChannel":
            real.append(message.headers)
        elif message.name == b"Status":
            dialled[message.headers["Uniqueid"]] = message.headers["DNID"]
        elif message.name == b"StatusComplete":
            statuses = state.status_rows(0.0)
            assert {row["Uniqueid"]: row["DNID"] for row in statuses} == dialled
            rows = by_uniqueid(state.channel_rows(0.0))
            assert set(rows) == set(by_uniqueid(real))
            for uniqueid, row in by_uniqueid(real).items():
                if file.stem in MET_IN_BRIDGES:
                    row["Linkedid"] = rows[uniqueid]["Linkedid"]
                if not rows[uniqueid]["Application"] or "queue" in file.stem:
                    # An application that dials nobody, or a queue in which nobody was seen to wait.
                    row["Application"] = rows[uniqueid]["Application"]
                names = ("Linkedid", "ChannelState", "Application")
                assert [rows[uniqueid][name] for name in names] == [row[name] for name in names]
            real, dialled = [], {}
        elif message.name:
            state.take(message, 0.0)
