"""
Framing: which messages a stream of bytes holds, however it is cut and whatever is odd in it.
"""

import pytest

from ami_bridge.core.ami_stream import MAXIMUM_MESSAGE_BYTES, AmiMessage, AmiStream

BANNER = b"Asterisk Call Manager/11.0.0\r\n"
WELCOME = b"Response: Success\r\nMessage: Authentication accepted\r\n\r\n"
STREAM = (
    BANNER
    + WELCOME
    + "Event: Newchannel\r\nCallerIDName: Jürgen\r\nUniqueid: 1.1\r\n\r\n".encode()
    + b"Event: VarSet\r\nVariable: x\r\nValue: a: b\r\n\r\n"
    + b"Event: TestEvent\r\nState: x\r\n\r\n\r\n"
    + b"Event: Hangup\r\nUniqueid: 1.1\r\nCause-txt: \r\n\r\n"
)


def read(data: bytes, stream: AmiStream | None = None) -> list[dict[str, str]]:
    """
    Give the headers of all messages in *data*.
    """
    return [message.headers for message in (stream or AmiStream()).feed(data)]


def names(messages: list[AmiMessage]) -> list[bytes]:
    """
    Give the names of *messages*.
    """
    return [message.name for message in messages]


def test_messages_of_a_session() -> None:
    """
    A banner, a response and events are read, empty values and extra blank lines included.
    """
    stream = AmiStream()

    messages = stream.feed(STREAM)

    assert names(messages) == [b"", b"Newchannel", b"VarSet", b"TestEvent", b"Hangup"]
    assert messages[0].headers == {"Response": "Success", "Message": "Authentication accepted"}
    assert messages[1].headers["CallerIDName"] == "Jürgen"
    assert messages[2].headers["Value"] == "a: b"
    assert messages[4].headers["Cause-txt"] == ""
    assert stream.version == "11.0.0"
    assert stream.messages == 5
    assert not stream.oddities
    assert stream.unfinished == 0


@pytest.mark.parametrize("size", [1, 2, 3, 7, 64, 1000])
def test_chunks_do_not_matter(size: int) -> None:
    """
    The same messages, ends and version come out however the stream is cut.
    """
    whole, cut = AmiStream(), AmiStream()
    expected = whole.feed(STREAM)

    messages = [
        message
        for start in range(0, len(STREAM), size)
        for message in cut.feed(STREAM[start : start + size])
    ]

    assert [message.headers for message in messages] == [message.headers for message in expected]
    assert [message.end for message in messages] == [message.end for message in expected]
    assert (cut.version, cut.messages, cut.position) == (
        whole.version,
        whole.messages,
        whole.position,
    )
    assert cut.oddities == whole.oddities


def test_ends_are_offsets_of_the_stream() -> None:
    """
    A message's end is the offset of the byte after its blank line.
    """
    messages = AmiStream().feed(STREAM)

    assert messages[0].end == len(BANNER + WELCOME)
    assert STREAM[: messages[1].end].endswith(b"Uniqueid: 1.1\r\n\r\n")
    assert messages[-1].end == len(STREAM)


def test_events_that_nobody_wants_are_counted_only() -> None:
    """
    An event that is not wanted is a message seen, and not a message given.
    """
    stream = AmiStream({b"Hangup"})

    assert names(stream.feed(STREAM)) == [b"", b"Hangup"]
    assert stream.messages == 5


def test_wishes_may_change() -> None:
    """
    What is wanted can be changed between two feeds.
    """
    stream = AmiStream(frozenset())
    event = b"Event: Status\r\n\r\n"

    assert names(stream.feed(event)) == []
    stream.wanted = None
    assert names(stream.feed(event)) == [b"Status"]


@pytest.mark.parametrize(
    ("banner", "version"),
    [
        pytest.param(b"Asterisk Call Manager/1.3\r\n", "1.3", id="Asterisk 11"),
        pytest.param(b"Asterisk Call Manager Proxy/1.23\r\n", "1.23", id="astmanproxy"),
        pytest.param(b"Asterisk Call Manager\r\n", "", id="no version"),
        pytest.param(b"Asterisk Call Manager/\xff\r\n", "\ufffd", id="odd bytes"),
    ],
)
@pytest.mark.parametrize("first", [WELCOME, b"Event: FullyBooted\r\nUptime: 1\r\n\r\n"])
def test_banner(banner: bytes, version: str, first: bytes) -> None:
    """
    The version is the part behind the banner's slash, whatever follows the banner.
    """
    stream = AmiStream()

    assert len(stream.feed(banner + first)) == 1
    assert stream.version == version
    assert not stream.oddities


@pytest.mark.parametrize(
    ("data", "headers", "oddities"),
    [
        pytest.param(
            b"Event: A\r\nName: Bj\0\xc3\xb6rn\r\n\r\n",
            [{"Event": "A", "Name": "Björn"}],
            {"NUL byte": 1},
            id="NUL byte",
        ),
        pytest.param(
            b"Event: A\r\nName: J\xf6rg\r\nCity: K\xc3\xb6ln\r\n\r\n",
            [{"Event": "A", "Name": "Jörg", "City": "Köln"}],
            {"invalid UTF-8": 1},
            id="Latin-1 in one line",
        ),
        pytest.param(
            b"Event: A\r\nVar: x=1\r\nVar: y=2\r\n\r\n",
            [{"Event": "A", "Var": "x=1"}],
            {"repeated header": 1},
            id="the first of a repeated header counts",
        ),
        pytest.param(
            b"Event: A\r\nno colon\r\nB: c\r\n\r\n",
            [{"Event": "A", "B": "c"}],
            {"line without a colon": 1},
            id="line without a colon",
        ),
        pytest.param(
            b"Event: A\r\nTight:x\r\nEmpty:\r\n\r\n",
            [{"Event": "A", "Tight": "x", "Empty": ""}],
            {},
            id="no space behind the colon",
        ),
        pytest.param(
            b"Event: A\r\nB: c\r\nEvent: D\r\nE: f\r\n\r\n",
            [{"Event": "A", "B": "c"}, {"Event": "D", "E": "f"}],
            {"message without a blank line": 1},
            id="lost blank line",
        ),
        pytest.param(
            b"Response: Success\r\nEvent: D\r\nE: f\r\n\r\n",
            [{"Response": "Success"}, {"Event": "D", "E": "f"}],
            {"message without a blank line": 1},
            id="lost blank line behind a response",
        ),
        pytest.param(
            b"Event: UserEvent\r\nUserEvent: x\r\nEvent: Hangup\r\n\r\n",
            [{"Event": "UserEvent", "UserEvent": "x"}],
            {"repeated header": 1},
            id="a UserEvent's own header Event is no message",
        ),
        pytest.param(
            b"HTTP/1.1 400 Bad Request\r\n\r\nEvent: A\r\n\r\n",
            [{"Event": "A"}],
            {"block that is no message": 1},
            id="block that is no message",
        ),
        pytest.param(b"\r\n\r\n\r\n\r\nEvent: A\r\n\r\n", [{"Event": "A"}], {}, id="blank lines"),
        pytest.param(b"\0\xff\r\n\r\n", [], {"block that is no message": 1}, id="binary"),
    ],
)
def test_oddities(data: bytes, headers: list[dict[str, str]], oddities: dict[str, int]) -> None:
    """
    What is odd is counted by kind, and everything readable is read.
    """
    stream = AmiStream()

    assert read(data, stream) == headers
    assert dict(stream.oddities) == oddities


def test_headers_are_read_when_asked_for() -> None:
    """
    A message is decoded at the first look at its headers, and once.
    """
    stream = AmiStream()
    [message] = stream.feed(b"Event: A\r\nno colon\r\n\r\n")

    assert not stream.oddities
    assert message.headers is message.headers
    assert stream.oddities.total() == 1


@pytest.mark.parametrize("size", [1 << 10, 1 << 16, 1 << 22])
def test_endless_message(size: int) -> None:
    """
    A message without an end is dropped once it is too long; the next one is read.
    """
    stream = AmiStream()
    for _ in range(10 * 2**20 // size):
        assert stream.feed(b"x" * size) == []
        assert stream.unfinished <= MAXIMUM_MESSAGE_BYTES

    messages = stream.feed(b" end\r\n\r\nEvent: A\r\n\r\n")

    assert names(messages) == [b"A"]
    assert messages[0].end == stream.position
    assert dict(stream.oddities) == {"message without an end": 1}


def test_endless_message_whose_blank_line_is_cut() -> None:
    """
    The blank line that ends an endless message may come in two chunks.
    """
    stream = AmiStream()
    stream.feed(b"x" * (MAXIMUM_MESSAGE_BYTES + 1) + b"\r\n\r")

    assert names(stream.feed(b"\nEvent: A\r\n\r\n")) == [b"A"]


@pytest.mark.parametrize(
    ("tail", "last"),
    [
        pytest.param(b"Event: A\r\nB: c\r\n", [b"A"], id="whole line"),
        pytest.param(b"Event: A\r\nB: c", [], id="line cut in its middle"),
        pytest.param(b"Event: A\r\nB: c\r", [], id="line end cut in its middle"),
        pytest.param(b"", [], id="nothing left"),
    ],
)
def test_finish(tail: bytes, last: list[bytes]) -> None:
    """
    What is left at the end is a message if its last line is whole.
    """
    stream = AmiStream()
    stream.feed(STREAM + tail)

    assert names(stream.finish()) == last


@pytest.mark.parametrize(
    ("line", "timestamp"),
    [
        pytest.param("Timestamp: 1795408646.250000", 1795408646.25, id="microseconds"),
        pytest.param("Timestamp: 1795408646", 1795408646.0, id="seconds"),
        pytest.param("Timestamp: soon", None, id="no number"),
        pytest.param("Timestamp: 1795408646x", None, id="not only a number"),
        pytest.param("RTCPTimestamp: 1795408646.25", None, id="another header"),
        pytest.param("Privilege: call,all", None, id="none"),
    ],
)
@pytest.mark.parametrize("more", ["", "Uniqueid: 1.1\r\n"], ids=["last header", "in the middle"])
def test_timestamp(line: str, timestamp: float | None, more: str) -> None:
    """
    A message tells the time that Asterisk wrote into it.
    """
    [message] = AmiStream().feed(f"Event: A\r\n{line}\r\n{more}\r\n".encode())

    assert message.timestamp == timestamp
