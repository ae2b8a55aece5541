"""
Headers to records: both generations of Asterisk, the slow reader and the fast one.
"""

import pytest

from ami_bridge.core.ami_events import (
    NAMES_THAT_MATTER,
    AmiEvent,
    AttendedTransfer,
    BlindTransfer,
    ChannelSnapshot,
    ChannelState,
    DialBegin,
    DialEnd,
    DialStatus,
    FullyBooted,
    Hangup,
    LocalBridge,
    Newchannel,
    Newstate,
    OriginateResponse,
    Pickup,
    QueueCallerJoin,
    Rename,
    read_ami_event,
    read_channel,
)
from ami_bridge.core.ami_fast_lane import READERS as FAST_READERS
from ami_bridge.core.ami_fast_lane import read_message
from ami_bridge.core.ami_stream import AmiStream
from tests.replaying import FIXTURES, recorded_bytes

ALICE = {
    "Channel": "PJSIP/0003*001-00000001",
    "ChannelState": "4",
    "ChannelStateDesc": "Ring",
    "CallerIDNum": "0003*001",
    "CallerIDName": "Alice Adams",
    "ConnectedLineNum": "<unknown>",
    "ConnectedLineName": "<unknown>",
    "Language": "en",
    "AccountCode": "",
    "Context": "internal",
    "Exten": "0003*002",
    "Priority": "1",
    "Uniqueid": "1795408646.1",
    "Linkedid": "1795408646.1",
}
BOB = ALICE | {
    "Channel": "PJSIP/0003*002-00000002",
    "ChannelState": "0",
    "ChannelStateDesc": "Down",
    "CallerIDNum": "0003*002",
    "CallerIDName": "<unknown>",
    "ConnectedLineNum": "0003*001",
    "ConnectedLineName": "Alice Adams",
    "Exten": "",
    "Uniqueid": "1795408646.2",
}
ALICE_SNAPSHOT = ChannelSnapshot(
    name="PJSIP/0003*001-00000001",
    uniqueid="1795408646.1",
    linkedid="1795408646.1",
    state=ChannelState.RING,
    exten="0003*002",
    context="internal",
    caller_id_num="0003*001",
    caller_id_name="Alice Adams",
)
BOB_SNAPSHOT = ChannelSnapshot(
    name="PJSIP/0003*002-00000002",
    uniqueid="1795408646.2",
    linkedid="1795408646.1",
    state=ChannelState.DOWN,
    context="internal",
    caller_id_num="0003*002",
    connected_line_num="0003*001",
    connected_line_name="Alice Adams",
)
DEST_BOB = {f"Dest{name}": value for name, value in BOB.items()}
ALICE_TRANSFERS = {f"OrigTransferer{name}": value for name, value in ALICE.items()}
BOB_IS_TRANSFERRED = {f"Transferee{name}": value for name, value in BOB.items()}

MODERN: list[tuple[str, dict[str, str], AmiEvent]] = [
    ("Newchannel", ALICE, Newchannel(ALICE_SNAPSHOT)),
    ("Newstate", BOB, Newstate(BOB_SNAPSHOT)),
    ("DialBegin", ALICE | DEST_BOB, DialBegin(ALICE_SNAPSHOT, BOB_SNAPSHOT)),
    ("DialBegin", DEST_BOB, DialBegin(None, BOB_SNAPSHOT)),
    (
        "DialBegin",
        DEST_BOB | {"DialString": "0003*002@trunk"},
        DialBegin(None, BOB_SNAPSHOT, "0003*002@trunk"),
    ),
    (
        "DialEnd",
        ALICE | DEST_BOB | {"DialStatus": "BUSY"},
        DialEnd("1795408646.1", "1795408646.2", DialStatus.BUSY),
    ),
    (
        "DialEnd",
        DEST_BOB | {"DialStatus": "CANCEL"},
        DialEnd("", "1795408646.2", DialStatus.CANCEL),
    ),
    (
        "DialEnd",
        DEST_BOB | {"Forward": "004", "DialStatus": "CANCEL"},
        DialEnd("", "1795408646.2", DialStatus.CANCEL, "004"),
    ),
    ("DialEnd", DEST_BOB | {"DialStatus": "ODD"}, DialEnd("", "1795408646.2", None)),
    (
        "Hangup",
        ALICE | {"Cause": "16", "Cause-txt": "Normal Clearing"},
        Hangup(ALICE_SNAPSHOT, 16, "Normal Clearing"),
    ),
    ("Hangup", ALICE, Hangup(ALICE_SNAPSHOT, None, "")),
    (
        "LocalBridge",
        {"LocalOneUniqueid": "1.1", "LocalTwoUniqueid": "1.2"},
        LocalBridge("1.1", "1.2"),
    ),
    (
        "Pickup",
        {
            "Channel": "PJSIP/a-1",
            "Uniqueid": "1.1",
            "TargetChannel": "PJSIP/b-2",
            "TargetUniqueid": "1.2",
        },
        Pickup("PJSIP/a-1", "1.1", "PJSIP/b-2", "1.2"),
    ),
    (
        "OriginateResponse",
        {
            "Response": "Success",
            "Application": "Echo",
            "Uniqueid": "1.1",
            "Exten": "",
            "CallerIDNum": "<unknown>",
            "CallerIDName": "<unknown>",
        },
        OriginateResponse(
            "1.1", success=True, application="Echo", exten="", caller_id_num="", caller_id_name=""
        ),
    ),
    (
        "OriginateResponse",
        {"Response": "Failure", "Uniqueid": "<null>", "Exten": "100"},
        OriginateResponse(
            "<null>",
            success=False,
            application="",
            exten="100",
            caller_id_num="",
            caller_id_name="",
        ),
    ),
    (
        "BlindTransfer",
        {"Result": "Success", "Extension": "104"} | BOB_IS_TRANSFERRED,
        BlindTransfer(BOB_SNAPSHOT.uniqueid, "104"),
    ),
    ("BlindTransfer", {"Result": "Fail", "Extension": "104"}, BlindTransfer("", "104")),
    (
        "AttendedTransfer",
        {"Result": "Success"} | ALICE_TRANSFERS | BOB_IS_TRANSFERRED,
        AttendedTransfer(ALICE_SNAPSHOT, BOB_SNAPSHOT),
    ),
    (
        "AttendedTransfer",
        {"Result": "Success"}
        | ALICE_TRANSFERS
        | {"SecondTransfererUniqueid": "1795408646.3"}
        | BOB_IS_TRANSFERRED
        | {"TransferTargetUniqueid": "1795408646.4"},
        AttendedTransfer(ALICE_SNAPSHOT, BOB_SNAPSHOT, "1795408646.3", "1795408646.4"),
    ),
    (
        "AttendedTransfer",
        {"Result": "Fail"} | ALICE_TRANSFERS | BOB_IS_TRANSFERRED,
        AttendedTransfer(ALICE_SNAPSHOT, None),
    ),
    (
        "AttendedTransfer",
        {"Result": "Success"} | ALICE_TRANSFERS,
        AttendedTransfer(ALICE_SNAPSHOT, None),
    ),
    ("QueueCallerJoin", ALICE, QueueCallerJoin("1795408646.1")),
    ("FullyBooted", {"Uptime": "1184"}, FullyBooted(1184)),
    ("FullyBooted", {"Status": "Fully Booted"}, FullyBooted(None)),
]

ANN = {
    "Channel": "SIP/101-00000000",
    "ChannelState": "0",
    "CallerIDNum": "101",
    "CallerIDName": "Ann",
    "AccountCode": "",
    "Exten": "102",
    "Context": "internal",
    "Uniqueid": "1795413241.0",
}
LEGACY: list[tuple[str, dict[str, str], AmiEvent]] = [
    (
        "Newchannel",
        ANN,
        Newchannel(
            ChannelSnapshot(
                "SIP/101-00000000",
                "1795413241.0",
                state=ChannelState.DOWN,
                exten="102",
                context="internal",
                caller_id_num="101",
                caller_id_name="Ann",
            ),
            legacy=True,
        ),
    ),
    (
        "Dial",
        {
            "SubEvent": "Begin",
            "Channel": "SIP/101-00000000",
            "Destination": "SIP/102-00000001",
            "CallerIDNum": "101",
            "CallerIDName": "<unknown>",
            "UniqueID": "1795413241.0",
            "DestUniqueID": "1795413241.1",
            "Dialstring": "102",
        },
        DialBegin(
            ChannelSnapshot("SIP/101-00000000", "1795413241.0", caller_id_num="101"),
            ChannelSnapshot("SIP/102-00000001", "1795413241.1"),
        ),
    ),
    (
        "Dial",
        {
            "Source": "SIP/101-00000000",
            "Destination": "SIP/102-00000001",
            "SrcUniqueID": "1795413241.0",
            "DestUniqueID": "1795413241.1",
        },
        DialBegin(
            ChannelSnapshot("SIP/101-00000000", "1795413241.0"),
            ChannelSnapshot("SIP/102-00000001", "1795413241.1"),
        ),
    ),
    (
        "Dial",
        {"SubEvent": "End", "UniqueID": "1795413241.0", "DialStatus": "NOANSWER"},
        DialEnd("1795413241.0", "", DialStatus.NOANSWER),
    ),
    ("LocalBridge", {"Uniqueid1": "1.1", "Uniqueid2": "1.2"}, LocalBridge("1.1", "1.2")),
    (
        "Pickup",
        {"Channel": "SIP/a-1", "TargetChannel": "SIP/b-2"},
        Pickup("SIP/a-1", "", "SIP/b-2", ""),
    ),
    ("Rename", {"Uniqueid": "1.1", "Newname": "SIP/a-1<MASQ>"}, Rename("1.1", "SIP/a-1<MASQ>")),
    ("Join", {"Uniqueid": "1.1", "Queue": "support"}, QueueCallerJoin("1.1")),
]


@pytest.mark.parametrize(("name", "headers", "record"), MODERN + LEGACY)
def test_records(name: str, headers: dict[str, str], record: AmiEvent) -> None:
    """
    An event's headers give the one record that says what happened.
    """
    assert read_ami_event({"Event": name, "Privilege": "call,all", **headers}) == record


@pytest.mark.parametrize(("name", "headers", "record"), MODERN + LEGACY)
@pytest.mark.parametrize("first", [[], ["Timestamp: 1795408646.25"], ["SystemName: pbx"]])
def test_fast_lane_says_the_same(
    name: str, headers: dict[str, str], record: AmiEvent, first: list[str]
) -> None:
    """
    The fast reader gives the records of the patient one, whatever stands before the channel.
    """
    lines = [f"Event: {name}", "Privilege: call,all", *first]
    lines += [f"{header}: {value}" for header, value in headers.items()]
    [message] = AmiStream().feed("\r\n".join([*lines, "", ""]).encode())

    assert read_message(message) == record


def test_the_fast_lane_takes_what_asterisk_writes() -> None:
    """
    None of the busiest events of a recording is left to the patient reader.
    """
    octets = recorded_bytes(FIXTURES / "asterisk22" / "queue-local-members")
    messages = [one for one in AmiStream().feed(octets) if one.name in FAST_READERS]

    left = [
        one.name for one in messages if FAST_READERS[one.name](f"{one.raw.decode()}\r\n") is None
    ]
    assert len(messages) > 30
    assert left == []


@pytest.mark.parametrize(
    ("name", "odd"),
    [
        pytest.param("J\udcf6rg", "Jörg", id="Latin-1"),
        pytest.param("Bj\0ørn", "Bjørn", id="NUL byte"),
        pytest.param("a\rb", "a\rb", id="bare CR"),
        pytest.param("a\nb", "a\nb", id="bare LF"),
        pytest.param(r"Smith, \\\"Bob\\\" Jr; <VIP>", r"Smith, \\\"Bob\\\" Jr; <VIP>", id="quotes"),
        pytest.param("株式会社", "株式会社", id="UTF-8"),
        pytest.param("Uniqueid: 9", "Uniqueid: 9", id="a value like a header"),
    ],
)
def test_odd_names_in_the_fast_lane(name: str, odd: str) -> None:
    """
    Names with odd letters come out of the fast reader whole.
    """
    headers = ALICE | {"CallerIDName": name}
    lines = ["Event: Newchannel", *(f"{header}: {value}" for header, value in headers.items())]
    [message] = AmiStream().feed("\r\n".join([*lines, "", ""]).encode(errors="surrogateescape"))

    record = read_message(message)

    assert isinstance(record, Newchannel)
    assert record == Newchannel(ALICE_SNAPSHOT._replace(caller_id_name=odd))


@pytest.mark.parametrize(
    ("name", "headers", "missing"),
    [
        pytest.param("Newchannel", {"Uniqueid": "1.1"}, "Channel", id="channel without a name"),
        pytest.param("Newstate", {"Channel": "SIP/a-1"}, "Uniqueid", id="channel without an id"),
        pytest.param("Hangup", {}, "Channel", id="hangup of nobody"),
        pytest.param("DialBegin", ALICE, "DestChannel", id="dial of nobody"),
        pytest.param("DialEnd", ALICE, "DestUniqueid", id="end of no dial"),
        pytest.param("Dial", {"SubEvent": "Begin"}, "UniqueID", id="legacy dial by nobody"),
        pytest.param(
            "Dial",
            {"UniqueID": "1.1", "Channel": "SIP/a-1"},
            "Destination",
            id="legacy dial to nobody",
        ),
        pytest.param("BlindTransfer", {}, "Extension", id="transfer to nowhere"),
        pytest.param("AttendedTransfer", {}, "OrigTransfererChannel", id="nobody transfers"),
        pytest.param("LocalBridge", {"LocalOneUniqueid": "1.1"}, "LocalTwoUniqueid", id="one half"),
        pytest.param("Pickup", {"Channel": "SIP/a-1"}, "TargetChannel", id="pickup of nothing"),
        pytest.param("Rename", {"Uniqueid": "1.1"}, "Newname", id="no name"),
        pytest.param("Rename", {"Uniqueid": "", "Newname": "x"}, "Uniqueid", id="empty id"),
        pytest.param("QueueCallerJoin", {}, "Uniqueid", id="nobody joins"),
    ],
)
def test_event_without_what_it_is_about(name: str, headers: dict[str, str], missing: str) -> None:
    """
    An event that lacks its subject is an error that names the header.
    """
    with pytest.raises(ValueError, match=f"^event {name} without a header {missing}$"):
        read_ami_event({"Event": name, **headers})


@pytest.mark.parametrize(
    ("given", "read"),
    [
        pytest.param("1795408646.1", "1795408646.1", id="Asterisk's own"),
        pytest.param("pbx-1/a-1795408646.1", "pbx-1/a-1795408646.1", id="with a system's name"),
        pytest.param("Büro 東京-1795408646.1", "Büro 東京-1795408646.1", id="in any letters"),
        pytest.param("click to call #4711", "click to call #4711", id="given by an Originate"),
        pytest.param("17954\x8646.1", None, id="a control character"),
        pytest.param("17954é646.1", None, id="an odd letter"),
        pytest.param("17954\x01-1795408646.1", None, id="in the system's name"),
        pytest.param("17954\udcf646.1", None, id="a byte that is no UTF-8"),
    ],
)
def test_ids(given: str, read: str | None) -> None:
    """
    A channel whose id was garbled is none; without its Linkedid it is as good as before.
    """
    assert _read_newchannel(ALICE | {"Uniqueid": given, "Linkedid": "1.1"}) == (
        None if read is None else (read, "1.1")
    )
    assert _read_newchannel(ALICE | {"Uniqueid": "1.1", "Linkedid": given}) == ("1.1", read or "")


def _read_newchannel(headers: dict[str, str]) -> tuple[str, str | None] | None:
    lines = ["Event: Newchannel", *(f"{header}: {value}" for header, value in headers.items())]
    octets = "\r\n".join([*lines, "", ""]).encode(errors="surrogateescape")
    [message] = AmiStream().feed(octets)
    try:
        record = read_message(message)
    except ValueError:
        return None
    assert isinstance(record, Newchannel)
    return record.channel.uniqueid, record.channel.linkedid


@pytest.mark.parametrize("name", ["VarSet", "RTCPSent", "", "newchannel"])
def test_events_that_do_not_matter(name: str) -> None:
    """
    Other events give nothing, not even an error.
    """
    assert read_ami_event({"Event": name}) is None
    assert name.encode() not in NAMES_THAT_MATTER


def test_names_that_matter_are_those_that_are_read() -> None:
    """
    Every name that the sieve lets through has a reader.
    """
    for name in NAMES_THAT_MATTER - {b"FullyBooted", b"OriginateResponse"}:
        with pytest.raises(ValueError, match="without a header"):
            read_ami_event({"Event": name.decode()})


@pytest.mark.parametrize(
    ("value", "cause"),
    [("16", 16), ("0", 0), ("", None), ("-1", None), ("x", None), ("²", None)],
)
def test_causes(value: str, cause: int | None) -> None:
    """
    A cause that is no plain number is none.
    """
    event = read_ami_event({"Event": "Hangup", **ALICE, "Cause": value})

    assert isinstance(event, Hangup)
    assert event.cause == cause


@pytest.mark.parametrize("value", ["", "10", "Up", "-1"])
def test_unknown_states(value: str) -> None:
    """
    A state that Asterisk does not know is none.
    """
    event = read_ami_event({"Event": "Newstate", **ALICE, "ChannelState": value})

    assert isinstance(event, Newstate)
    assert event.channel.state is None


def test_a_channel_by_itself() -> None:
    """
    The facts of a channel are read from any headers that name it.
    """
    assert read_channel(ALICE) == ALICE_SNAPSHOT


@pytest.mark.parametrize("lost", ["Channel", "Uniqueid"])
def test_row_without_its_channel(lost: str) -> None:
    """
    A row that does not name its channel is an error that names the header.
    """
    row = {name: value for name, value in ALICE.items() if name != lost}

    with pytest.raises(ValueError, match=f"^channel row without a header {lost}$"):
        read_channel(row)
