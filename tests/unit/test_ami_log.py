"""
A recorded stream or log gives its messages, however it was kept, and shows its damage.
"""

import tracemalloc
from collections.abc import Callable, Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ami_bridge.core.ami_log import AmiLog, Damage
from ami_bridge.core.ami_stream import MAXIMUM_MESSAGE_BYTES
from tests.replaying import SCENARIOS, recorded_bytes

BANNER = b"Asterisk Call Manager/11.0.0\r\n"
HELLO = b"Response: Success\r\nMessage: Authentication accepted\r\n\r\n"
ONE = b"Event: Newstate\r\nUniqueid: 1.1\r\nCallerIDName: J\xc3\xbcrgen\r\n\r\n"
TWO = b"Event: Hangup\r\nUniqueid: 1.2\r\nExten: \r\n\r\n"
THREE = b"Event: Newchannel\r\nUniqueid: 1.3\r\n\r\n"
STREAM = BANNER + HELLO + ONE + TWO + THREE
ALL = ["", "1.1", "1.2", "1.3"]


def read(log: AmiLog, pieces: Iterable[bytes], *, as_received: bool = False) -> list[str]:
    """
    Read *pieces* to the end; give the Uniqueids, empty for a response.
    """
    messages = [message for piece in pieces for message in log.feed(piece)]
    messages += log.finish(as_received=as_received)
    return [message.headers.get("Uniqueid", "") for message in messages]


def lf(stream: bytes) -> bytes:
    """
    Give *stream* the line ends that most programs write.
    """
    return stream.replace(b"\r\n", b"\n")


FORMS = [
    pytest.param(STREAM, ALL, id="as received"),
    pytest.param(lf(STREAM), ALL, id="LF"),
    pytest.param(STREAM[len(BANNER) :], ALL, id="no banner"),
    pytest.param(lf(STREAM)[:-1], ALL, id="no last blank line"),
    pytest.param(lf(STREAM)[:-1] + b"Connection closed by foreign host.\n", ALL, id="telnet's end"),
    pytest.param(
        b"Trying 127.0.0.1...\nConnected to pbx.\nEscape character is '^]'.\n" + lf(STREAM),
        ALL,
        id="telnet's beginning",
    ),
    pytest.param(b"Trying ::1...\r\nConnected to pbx.\r\n" + STREAM, ALL, id="telnet with CRLF"),
    pytest.param(
        BANNER
        + b"Action: Login\nUsername: bridge\nSecret: hunter2\n\n"
        + HELLO
        + ONE
        + TWO
        + THREE,
        ALL,
        id="typed lines between CRLF",
    ),
    pytest.param(STREAM.replace(b"\r\n", b"\r\r\n"), ALL, id="CR CR LF, of a terminal"),
    pytest.param(lf(BANNER + HELLO + ONE) + TWO + THREE, ALL, id="LF, then CRLF"),
    pytest.param(BANNER + HELLO + ONE + lf(TWO + THREE), ALL, id="CRLF, then LF"),
    pytest.param(STREAM + STREAM, ALL + ALL, id="two recordings"),
    pytest.param(STREAM + lf(STREAM) + STREAM, ALL * 3, id="three recordings of two kinds"),
    pytest.param(b"Event: Hangup\r\nUniqu" + STREAM, ALL, id="cut off, then connected again"),
    pytest.param(
        b"annelState: 6\r\nUniqueid: 1.0\r\n\r\n" + ONE + TWO, ["1.1", "1.2"], id="joined late"
    ),
    pytest.param(b"\r\n\r\n" + ONE + b"\r\n" + TWO, ["1.1", "1.2"], id="extra blank lines"),
    pytest.param(
        b"Response: Follows\r\nPrivilege: Command\r\nline\n\nmore\n--END COMMAND--\r\n\r\n" + ONE,
        ["", "1.1"],
        id="output of a command, with blank lines",
    ),
    pytest.param(
        b"Response: Follows\nPrivilege: Command\nline\n\nmore\n\nend\n--END COMMAND--\n\n"
        + lf(ONE),
        ["", "1.1"],
        id="the same in a log",
    ),
    pytest.param(ONE[:-2] + TWO, ["1.1", "1.2"], id="a blank line lost"),
    pytest.param(b"", [], id="nothing"),
    pytest.param(b"\n\n", [], id="next to nothing"),
    pytest.param(BANNER, [], id="a banner"),
    pytest.param(BANNER[:-5], [], id="half a banner's line"),
]


@pytest.mark.parametrize(("stream", "expected"), FORMS)
def test_every_form_is_read_whole(stream: bytes, expected: list[str]) -> None:
    """
    Each way in which a stream is kept gives its messages and shows no damage.
    """
    log = AmiLog()

    assert read(log, [stream]) == expected
    assert log.damage is None
    assert log.cut_at is None


@pytest.mark.parametrize(("stream", "expected"), FORMS)
def test_pieces_make_no_difference(stream: bytes, expected: list[str]) -> None:
    """
    A stream that comes byte by byte gives the same.
    """
    log = AmiLog()

    assert read(log, (stream[index : index + 1] for index in range(len(stream)))) == expected
    assert log.damage is None


DAMAGED = [
    pytest.param(HELLO + b"\0" * 4096 + ONE + TWO, ["", "1.2"], len(HELLO), id="zeros"),
    pytest.param(
        HELLO + ONE + b"garbage\r\n\r\n" + TWO, ["", "1.1", "1.2"], len(HELLO + ONE), id="text"
    ),
    pytest.param(
        HELLO + ONE[:20] + b"\xff\0\x9c\r\n" + ONE[20:] + TWO,
        ["", "1.2"],
        len(HELLO) + 17,
        id="in a message",
    ),
    pytest.param(
        b"\x89PNG\r\n\x1a\n\0\0\r\n\r\n" + ONE, ["1.1"], 0, id="binary before the first message"
    ),
    pytest.param(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", [], 0, id="no recording at all"),
    pytest.param(b"Dear diary,\ntoday I called Alice.\n", [], 0, id="another text"),
    pytest.param(
        HELLO + b"x" * (2 * MAXIMUM_MESSAGE_BYTES) + b"\r\n\r\n" + TWO,
        ["", "1.2"],
        len(HELLO),
        id="endless",
    ),
    pytest.param(
        ONE + b"what is this?\n\n" + TWO + b"\0\0\r\n\r\n",
        ["1.1", "1.2"],
        len(ONE),
        id="the first of two",
    ),
    pytest.param(ONE + b"\x01\x02", ["1.1"], len(ONE), id="rubbish at the end"),
]


@pytest.mark.parametrize(("stream", "expected", "offset"), DAMAGED)
def test_damage_is_passed_over_and_named(stream: bytes, expected: list[str], offset: int) -> None:
    """
    What is readable around damage is read, and the first damage has its exact offset.
    """
    log = AmiLog()

    assert read(log, [stream[at : at + 65_536] for at in range(0, len(stream), 65_536)]) == expected
    assert log.damage is not None
    assert log.damage.offset == offset


ODD = [
    pytest.param(b"Event: Newstate\r\nUniqueid: 1.1\r\nValue: a\0b\r\n\r\n", id="a NUL in a value"),
    pytest.param(
        b"Event: Newstate\r\nUniqueid: 1.1\r\nCallerIDName: J\xfcrgen\r\n\r\n", id="Latin-1"
    ),
    pytest.param(
        b"Event: Newstate\r\nUniqueid: 1.1\r\nno colon\r\n\r\n", id="a line without a colon"
    ),
    pytest.param(
        "Event: Newstate\r\nUniqueid: 1.1\r\nzweite Zeile, größer\r\n\r\n".encode(), id="two lines"
    ),
    pytest.param(b"Event: Newstate\r\nUniqueid: 1.1\r\nOutput: \x1b[1mbold\r\n\r\n", id="colour"),
]


@pytest.mark.parametrize("message", ODD)
def test_what_a_pbx_may_send_is_no_damage(message: bytes) -> None:
    """
    Odd values are read as the live bridge reads them.
    """
    log = AmiLog()

    assert read(log, [message]) == ["1.1"]
    assert log.damage is None


@pytest.mark.parametrize("form", [bytes, lf])
@pytest.mark.parametrize("as_received", [True, False])
def test_cut_in_a_message_is_noted(form: Callable[[bytes], bytes], as_received: bool) -> None:
    """
    A stream that breaks off in a line gives what is before, and says where the rest begins.
    """
    stream = form(HELLO + ONE + TWO)
    log = AmiLog()

    assert read(
        log, [stream[: -len(form(b"1.2\r\nExten: \r\n\r\n"))]], as_received=as_received
    ) == ["", "1.1"]
    assert log.cut_at == len(form(HELLO + ONE))
    assert log.damage is None


@pytest.mark.parametrize(("as_received", "expected"), [(False, ["1.1", "1.2"]), (True, ["1.1"])])
def test_last_blank_line_may_be_missing_in_a_log_only(
    as_received: bool,
    expected: list[str],
) -> None:
    """
    Whole lines without a blank line are a message where somebody may have edited the end.
    """
    log = AmiLog()

    assert read(log, [(ONE + TWO)[:-2]], as_received=as_received) == expected


@pytest.mark.parametrize("folder", SCENARIOS[::7], ids=lambda folder: folder.name)
@given(st.data())
def test_every_suffix_of_a_recording_is_no_damage(folder: object, data: st.DataObject) -> None:
    """
    Wherever somebody began to record, there is no damage, and what is whole is read.
    """
    stream = recorded_bytes(folder)  # type: ignore[arg-type] # a Path
    start = data.draw(st.integers(0, len(stream) - 1))
    log = AmiLog()

    read(log, [stream[start:]])

    assert log.damage in (None, Damage(0, "no AMI message in it"))
    if b"\r\n\r\nEvent: " in stream[start:]:
        assert log.damage is None


@given(
    st.lists(st.sampled_from([ONE, TWO, b"\0\xff", b"Event: ", b"\r\n", b"\n", b"x: y", BANNER]))
)
def test_nothing_raises(parts: list[bytes]) -> None:
    """
    Whatever the bytes are, reading them to the end raises nothing.
    """
    log = AmiLog()

    read(log, parts)

    assert log.position == len(b"".join(parts))


def test_only_wanted_events_are_read() -> None:
    """
    Events that nobody wants are passed over; responses are always read.
    """
    log = AmiLog(frozenset({b"Hangup"}))

    assert read(log, [STREAM]) == ["", "1.2"]


def test_endless_rubbish_needs_little_memory() -> None:
    """
    Memory stays bounded however long there is no blank line.
    """
    log = AmiLog()
    tracemalloc.start()
    for _ in range(320):
        log.feed(b"x" * 65_536)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert peak < 4 * MAXIMUM_MESSAGE_BYTES
