"""
An anonymised stream tells the same calls and nothing about people.
"""

import itertools
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ami_bridge.core.anonymise import MAXIMUM_LINE_BYTES, Anonymiser, anonymise
from ami_bridge.core.call_events import CallEvent
from tests.replaying import SCENARIOS, ami_events, call_events, recorded_bytes, scenario_name

KEY = b"handed in"
#: Numbers and names of the recorded calls.
PEOPLE = [
    b"14155550100",
    b"1555123",
    b"15559990001",
    b"ACME",
    b"Corp",
    b"Alice",
    b"Adams",
    b"Brown",
]
PEOPLE += ["Jürgen".encode(), "株式会社".encode(), b"Smith", b"4915112345678", b"0003*00"]


def line(text: str, key: bytes = KEY) -> str:
    """
    Anonymise one line.
    """
    return anonymise(f"{text}\r\n".encode(), key).decode().removesuffix("\r\n")


def shape(call_event: CallEvent) -> tuple[object, ...]:
    """
    Give what pseudonyms do not change.
    """
    return (
        call_event.type,
        call_event.call_flow,
        call_event.call_status,
        call_event.call_id,
        call_event.hangup_cause,
        call_event.hangup_cause_text,
    )


def numbers_and_names(call_event: CallEvent) -> list[str]:
    """
    Give what pseudonyms stand for.
    """
    return [
        call_event.extension,
        call_event.caller_id_num,
        call_event.caller_id_name,
        call_event.caller_extension,
        call_event.called_did,
        call_event.called_extension,
        call_event.called_number,
        call_event.leg.split("/")[2],
    ]


@pytest.mark.parametrize("folder", SCENARIOS, ids=scenario_name)
def test_anonymised_recording_tells_the_same_calls(folder: Path) -> None:
    """
    A replay tells the same events of the same legs; values that were equal stay equal.
    """
    stream = recorded_bytes(folder)

    anonymised = anonymise(stream, KEY)

    before, after = call_events(ami_events([stream])), call_events(ami_events([anonymised]))
    assert [*map(shape, after)] == [*map(shape, before)]
    pairs = {
        pair
        for old, new in zip(before, after, strict=True)
        for pair in zip(numbers_and_names(old), numbers_and_names(new), strict=True)
    }
    assert len({old for old, _ in pairs}) == len({new for _, new in pairs}) == len(pairs)
    assert all(re.sub(r"\w", "x", old) == re.sub(r"\w", "x", new) for old, new in pairs)


@pytest.mark.parametrize("folder", SCENARIOS, ids=scenario_name)
def test_nobody_is_left_in_an_anonymised_recording(folder: Path) -> None:
    """
    No number and no name is left, and every line is as long as it was.
    """
    stream = recorded_bytes(folder)

    anonymised = anonymise(stream, KEY)

    assert [name for name in PEOPLE if name in anonymised] == []
    assert [*map(len, anonymised.split(b"\n"))] == [*map(len, stream.split(b"\n"))]


KEPT = [
    "Event: Newchannel",
    "Asterisk Call Manager/11.0.0",
    "Response: Success",
    "Message: Authentication accepted",
    "Uniqueid: pbx1-1795409272.10",
    "DestLinkedid: 1795409272.10",
    "MusicClass: default",
    "Timestamp: 1795409272.695168",
    "CallerIDNum: <unknown>",
    "CallerIDName: Anonymous",
    "CallerIDNum: anonymous",
    "Context: from-internal-acme",
    "Exten: s",
    "Exten: *8",
    "Exten: *97",
    "Exten: 5",
    "Cause-txt: Normal Clearing",
    "Cause: 127",
    "TechCause: 486",
    "DialStatus: NOANSWER",
    "Variable: DIALEDPEERNUMBER",
    "Value: ANSWER",
    "AppData: (Outgoing Line)",
    "Channel: PJSIP/trunk-0000002a",
    "BridgeUniqueid: 12b227a2-632a-41f1-8df1-dc3ac53f09eb",
    "Value: 1795407783.2",
    "Interface: Local/21@agents-internal/n",
    "",
]


@pytest.mark.parametrize("text", KEPT)
def test_facts_of_asterisk_stay(text: str) -> None:
    """
    What Asterisk says of its own accord names nobody.
    """
    assert line(text) == text


CHANGED = [
    pytest.param("SystemName: quux-gw2", r"SystemName: (?!quux)[a-z]{4}-gw2", id="system name"),
    pytest.param(
        "Uniqueid: quux-gw2-1795409272.10",
        r"Uniqueid: (?!quux)[a-z]{4}-gw2-1795409272\.10",
        id="system name in a Uniqueid",
    ),
    pytest.param(
        "DestLinkedid: click-14155550100-7", r"DestLinkedid: [a-z]{5}-\d{11}-7", id="ChannelId"
    ),
    pytest.param("Class: acme-moh", r"Class: [a-z]{4}-[a-z]{3}", id="class of music"),
    pytest.param("CallerIDNum: 14155550100", r"CallerIDNum: \d{11}", id="a number"),
    pytest.param("CallerIDNum: +14155550100", r"CallerIDNum: \+\d{11}", id="the + stays"),
    pytest.param(
        "Channel: PJSIP/0003*001-0000002a", r"Channel: PJSIP/\d{4}\*\d{3}-0000002a", id="c"
    ),
    pytest.param("Channel: SIP/alice-b7502e88", r"Channel: SIP/[a-z]{5}-b7502e88", id="endpoint"),
    pytest.param("Channel: DAHDI/i1/5550100-1a", r"Channel: DAHDI/i1/\d{7}-1a", id="ISDN"),
    pytest.param(
        "Channel: Local/0003*002@internal-0000000f;1",
        r"Channel: Local/\d{4}\*\d{3}@internal-0000000f;1",
        id="the context of a Local channel stays",
    ),
    pytest.param("Exten: *90003*001", r"Exten: \*\d{5}\*\d{3}", id="a feature code stays one"),
    pytest.param("Exten: PJSIP_0003*001", r"Exten: PJSIP_\d{4}\*\d{3}", id="parking comes back"),
    pytest.param("DialString: trunk/15559990001", r"DialString: trunk/\d{11}", id="dial string"),
    pytest.param(
        "DialString: 0003*004/sip:desk.alice@192.168.1.20:6041;ob",
        r"DialString: \d{4}\*\d{3}/sip:[a-z]{4}\.[a-z]{5}@\d{3}\.\d{3}\.\d\.\d\d:\d{4};[a-z]{2}",
        id="SIP URI",
    ),
    pytest.param(
        'CallerID: "ACME Corp" <0003*800>',
        r'CallerID: "[A-Z]{4} [A-Z][a-z]{3}" <\d{4}\*\d{3}>',
        id="CDR",
    ),
    pytest.param(
        "Context: from-did-14155550100", r"Context: from-did-\d{11}", id="a DID as context"
    ),
    pytest.param("Value: 192.168.1.77", r"Value: \d{3}\.\d{3}\.\d\.\d\d", id="IP"),
    pytest.param("Address: 00:15:65:ab:cd:ef", r"Address: ([0-9a-f]{2}:){5}[0-9a-f]{2}", id="MAC"),
    pytest.param(
        "ChanVariable: CUSTOMER=Bob", r"ChanVariable: CUSTOMER=[A-Z][a-z]{2}", id="variable"
    ),
    pytest.param(
        "ChanVariable(SIP/101-00000001): who=Bob",
        r"ChanVariable\(SIP/\d{3}-00000001\): [a-z]{3}=[A-Z][a-z]{2}",
        id="old spelling of a channel's variable",
    ),
    pytest.param(
        "Variable: DB(cidname/5550100)", r"Variable: DB\(cidname/\d{7}\)", id="database key"
    ),
    pytest.param(
        "CallerIDName: 06 12 34 56 78", r"CallerIDName: (\d\d ?){5}", id="groups of digits"
    ),
    pytest.param("Reason: lunch with Bob", r"Reason: [a-z]{5} with [A-Z][a-z]{2}", id="free text"),
    pytest.param("Secret: hunter2", "Secret: xxxxxxx", id="a secret"),
    pytest.param("NewPassword: пин", "NewPassword: xxxxxx", id="a secret in octets"),
    pytest.param("Digit: 7", "Digit: 0", id="a key that was pressed"),
]


@pytest.mark.parametrize(("text", "pattern"), CHANGED)
def test_people_are_replaced(text: str, pattern: str) -> None:
    """
    Numbers, names, addresses and secrets give way to something of the same form.
    """
    anonymised = line(text)

    assert re.fullmatch(pattern, anonymised)
    assert anonymised != text
    assert len(anonymised.encode()) == len(text.encode())


SAME = [
    pytest.param(
        "CallerIDNum: 0003*001", "Channel: PJSIP/0003*001-0000002a", r"\d{4}\*\d{3}", id="e"
    ),
    pytest.param("Exten: 001", "Channel: PJSIP/0003*001-0000002a", r"\d{3}(?=\r|$|-)", id="short"),
    pytest.param("CallerIDNum: 4155550100", "Value: (415) 555-0100", r"\d", id="groups"),
    pytest.param("CallerIDName: Alice", "Value: Ms. ALICE called", r"(?i)\b[a-z]{5}\b", id="name"),
    pytest.param("CallerIDNum: trunk", "Channel: PJSIP/trunk-00000001", "trunk", id="fall-back"),
]


@pytest.mark.parametrize(("one", "other", "pattern"), SAME)
def test_the_same_number_has_the_same_pseudonym_everywhere(
    one: str, other: str, pattern: str
) -> None:
    """
    Wherever a number or a name stands, its pseudonym is one.
    """
    first = re.findall(pattern, line(one).partition(": ")[2])
    second = re.findall(pattern, line(other).partition(": ")[2])

    assert [text.lower() for text in first] == [text.lower() for text in second]


def test_no_octet_is_lost_that_is_no_utf_8() -> None:
    """
    Names in Latin-1, NUL bytes and lines without a colon keep their length and their ends.
    """
    stream = b"CallerIDName: J\xfcrgen Gr\xf6\xdfe\r\nnonsense\0\n\xe4\x80\r\n\nCallerIDName: \xfc"

    anonymised = anonymise(stream, KEY)

    assert [*map(len, anonymised.split(b"\n"))] == [*map(len, stream.split(b"\n"))]
    assert b"J\xfcrgen" not in anonymised
    assert b"nonsense" not in anonymised
    assert b"\0\n" in anonymised


@given(st.binary(max_size=300), st.lists(st.integers(0, 300)))
def test_pieces_make_no_difference(stream: bytes, cuts: list[int]) -> None:
    """
    However a stream is cut, its anonymised form is the same and as long.
    """
    anonymiser = Anonymiser(KEY)
    borders = sorted({0, len(stream), *(cut for cut in cuts if cut < len(stream))})
    pieces = [stream[a:b] for a, b in itertools.pairwise(borders)]

    whole = b"".join(map(anonymiser.feed, pieces)) + anonymiser.finish()

    assert whole == anonymise(stream, KEY)
    assert len(whole) == len(stream)


#: Values as AMI has them, out of everything that is treated in a way of its own.
VALUES = st.lists(
    st.one_of(
        st.from_regex(r"[0-9]{1,12}", fullmatch=True),
        st.from_regex(r"[A-Za-z]{1,8}", fullmatch=True),
        st.sampled_from(
            ["PJSIP/", "Local/", "@", "*", "-", "-0000002a", ";1", " ", ".", "Ring", "ü"]
        ),
    ),
    min_size=1,
    max_size=5,
).map("".join)


@given(st.lists(VALUES, min_size=2, max_size=6), st.sampled_from(["Exten", "CallerIDName", "X"]))
def test_equal_values_and_only_they_stay_equal(values: list[str], header: str) -> None:
    """
    Two values have one anonymised form exactly if they are one value.
    """
    anonymised = [line(f"{header}: {value}") for value in values]

    assert len(set(anonymised)) == len(set(values))


def test_endless_line_is_not_kept_in_memory() -> None:
    """
    A line without an end is anonymised in pieces.
    """
    anonymiser = Anonymiser(KEY)

    done = sum(len(anonymiser.feed(b"Alice 14155550100 " * 1000)) for _ in range(100))

    assert done >= 100 * 18_000 - MAXIMUM_LINE_BYTES
    assert len(anonymiser._tail) <= MAXIMUM_LINE_BYTES


def test_only_the_key_tells_the_number() -> None:
    """
    Two recordings of one number, made under two keys, do not show that it is one.
    """
    text = "CallerIDNum: 14155550100"

    assert line(text, b"one") == line(text, b"one")
    assert line(text, b"one") != line(text, b"other")
