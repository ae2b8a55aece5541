"""
AMI events that other tools wrote as JSON are read like the stream itself.
"""

import gzip
import io
import json
from typing import Any

import pytest

from ami_bridge.adapters.recording import Recording, TimedEvent, read_events
from ami_bridge.core.ami_events import NAMES_THAT_MATTER, ChannelState, Newstate
from ami_bridge.core.ami_fast_lane import read_message
from ami_bridge.core.ami_stream import AmiStream
from ami_bridge.errors import RecordingError
from tests.replaying import FIXTURES

STREAM = (FIXTURES / "asterisk22" / "ext-ext-busy" / "recording.ami").read_bytes()
EVENTS = [ami_event for ami_event, _ in read_events(io.BytesIO(STREAM))]
HEADERS = [m.headers for m in AmiStream(NAMES_THAT_MATTER).feed(STREAM) if m.name]
NEWSTATE = {"Event": "Newstate", "Channel": "PJSIP/1-00000001", "Uniqueid": "1.10"}


def read(text: str | bytes) -> tuple[list[TimedEvent], RecordingError | None]:
    """
    Read *text* to the end; give what was read, and the damage.
    """
    octets = text.encode(errors="surrogateescape") if isinstance(text, str) else text
    told: list[TimedEvent] = []
    try:
        for timed in read_events(io.BytesIO(octets)):
            told.append(timed)  # noqa: PERF402 - what came before an error counts
    except RecordingError as damage:
        return told, damage
    return told, None


def lines(values: list[Any]) -> str:
    """
    Write one value a line.
    """
    return "".join(json.dumps(value) + "\n" for value in values)


def lower(headers: dict[str, str]) -> dict[str, str]:
    """
    Spell header names as some tools do.
    """
    return {name.lower().replace("-", "_"): value for name, value in headers.items()}


FORMS = [
    pytest.param(json.dumps(HEADERS), id="an array"),
    pytest.param(lines(HEADERS), id="one a line"),
    pytest.param(json.dumps(HEADERS, indent=2), id="an array over many lines"),
    pytest.param("\n".join(json.dumps(one, indent=2) for one in HEADERS), id="many lines each"),
    pytest.param("".join(map(json.dumps, HEADERS)), id="one after the other"),
    pytest.param(lines([lower(one) for one in HEADERS]), id="other spelling"),
    pytest.param(lines([{"time": 12.5, "event": one} for one in HEADERS]), id="wrapped"),
    pytest.param(lines([{"type": "ami", "keys": lower(one)} for one in HEADERS]), id="keys"),
    pytest.param(lines([{name: [v] for name, v in one.items()} for one in HEADERS]), id="lists"),
    pytest.param("\ufeff" + lines(HEADERS), id="a byte order mark"),
    pytest.param("\n \n" + json.dumps(HEADERS[:2]) + json.dumps(HEADERS[2:]), id="two arrays"),
    pytest.param(gzip.compress(lines(HEADERS).encode()), id="compressed"),
    pytest.param(lines([{"Response": "Success"}, 5, None, *HEADERS]), id="other values between"),
]


@pytest.mark.parametrize("text", FORMS)
def test_every_form_gives_the_same_events(text: str | bytes) -> None:
    """
    However a tool writes its events, they are those of the stream.
    """
    told, damage = read(text)

    assert damage is None
    assert [ami_event for ami_event, _ in told] == EVENTS


@pytest.mark.parametrize("text", FORMS)
def test_every_form_is_written_as_ami(text: str | bytes) -> None:
    """
    However a tool spells headers, on the wire they are what Asterisk calls them.
    """
    octets = text.encode() if isinstance(text, str) else text
    chunks = list(Recording(io.BytesIO(octets)).wire())

    messages = AmiStream().feed(b"".join(octets for _, octets in chunks))
    assert [read_message(message) for message in messages] == EVENTS
    assert [message.headers for message in messages] == HEADERS


def test_no_header_comes_out_of_a_value() -> None:
    """
    A line break in a value, which no AMI event has, makes no header and no message.
    """
    value = json.dumps({"Event": "UserEvent", "X": "a\r\n\r\nEvent: Hangup"})

    [(_, octets)] = Recording(io.BytesIO(value.encode())).wire()

    assert octets == b"Event: UserEvent\r\nX: a Event: Hangup\r\n\r\n"


def test_what_is_not_json_stays_as_it_is() -> None:
    """
    Of a stream, what is on the wire is its bytes.
    """
    assert b"".join(octets for _, octets in Recording(io.BytesIO(STREAM)).wire()) == STREAM


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_pieces_make_no_difference(size: int) -> None:
    """
    Text that comes in small pieces, cut within letters and numbers, gives the same.
    """
    text = json.dumps([{"CallerIDName": "Jürgen 株", **one} for one in HEADERS], ensure_ascii=False)

    class Pipe(io.BytesIO):
        def read1(self, _size: int | None = -1) -> bytes:
            return super().read1(size)

    told = list(read_events(Pipe(text.encode())))

    assert [ami_event for ami_event, _ in told] == EVENTS


def test_numbers_keep_their_digits() -> None:
    """
    A Uniqueid written as a number is not rounded: 1.10 is not 1.1.
    """
    text = (
        '{"Event": "Newstate", "Channel": "PJSIP/1-00000001", "Uniqueid": 1.10, "ChannelState": 6}'
    )

    [(ami_event, _)], _ = read(text)

    assert isinstance(ami_event, Newstate)
    assert ami_event.channel.uniqueid == "1.10"
    assert ami_event.channel.state is ChannelState.UP


def test_old_spellings_survive_other_spellings() -> None:
    """
    Of Asterisk 11, which has no Linkedid and writes UniqueID, the events are the same, too.
    """
    stream = (FIXTURES / "asterisk11" / "a11-answered" / "recording.ami").read_bytes()
    messages = AmiStream(NAMES_THAT_MATTER).feed(stream)

    told, _ = read(lines([lower(message.headers) for message in messages if message.name]))

    expected = read_events(io.BytesIO(stream))
    assert [ami_event for ami_event, _ in told] == [ami_event for ami_event, _ in expected]


TIMES = [
    pytest.param({}, None, id="none"),
    pytest.param({"Timestamp": "1795409272.695168"}, 1795409272.695168, id="Asterisk's"),
    pytest.param({"time": 1795409272.5}, 1795409272.5, id="a number"),
    pytest.param({"@timestamp": "2026-11-23T04:47:52.5Z"}, 1795409272.5, id="ISO 8601"),
    pytest.param({"ts": 1795409272500}, 1795409272.5, id="milliseconds"),
    pytest.param({"received_at": "2026-11-23T05:47:52.500+01:00"}, 1795409272.5, id="a zone"),
    pytest.param({"time": "yesterday"}, None, id="nonsense"),
    pytest.param({"time": "nan"}, None, id="no number"),
]


@pytest.mark.parametrize(("fields", "time"), TIMES)
def test_time_is_found_under_its_usual_names(fields: dict[str, Any], time: float | None) -> None:
    """
    A time is read from the event or from what wraps it; without one there is none.
    """
    flat, _ = read(lines([NEWSTATE | fields]))
    wrapped, _ = read(lines([fields | {"event": NEWSTATE}]))

    assert [when for _, when in flat] == [time]
    assert [when for _, when in wrapped] == [time]


NAMES = [
    ('"J\\u00fcrgen"', "Jürgen"),
    ('"Jürgen"', "Jürgen"),
    ('"J\udcfcrgen"', "Jürgen"),
    ('"\\ud83d\\ude00"', "😀"),
    ('"half \\ud83d"', "half ?"),
    ("null", ""),
    ("[]", ""),
    ("7", "7"),
]


@pytest.mark.parametrize(("written", "name"), NAMES)
def test_names_are_read_however_they_are_encoded(written: str, name: str) -> None:
    """
    Escapes, UTF-8 and Latin-1 give the letters that were meant; nothing breaks the output.
    """
    text = f'{{"Event": "Newstate", "Channel": "S/1", "Uniqueid": "1", "CallerIDName": {written}}}'

    [(ami_event, _)], damage = read(text)

    assert isinstance(ami_event, Newstate)
    assert ami_event.channel.caller_id_name == name
    assert damage is None


FIRST, SECOND = json.dumps(HEADERS[0]), json.dumps(HEADERS[1])
DAMAGED = [
    pytest.param(f"{FIRST}\n{{oops}}\n{SECOND}\n", 2, len(FIRST) + 2, id="a line that is no JSON"),
    pytest.param(f"{FIRST}\n{SECOND[:-20]}\n{SECOND}\n", 2, None, id="half a line"),
    pytest.param(f"{FIRST}\n{SECOND[:-20]}", 1, None, id="cut off"),
    pytest.param(f"[{FIRST}, {SECOND}", 2, len(FIRST + SECOND) + 3, id="an array without an end"),
    pytest.param(f"[{FIRST}, {SECOND[:50]}", 1, None, id="an array cut off"),
    pytest.param("{}\n", 0, 0, id="no event at all"),
    pytest.param("[1, 2]", 0, 0, id="numbers"),
    pytest.param('{"a":' + "[" * 100_000, 0, 0, id="too deep"),
    pytest.param('{"a": "' + "x" * 2_000_000, 0, None, id="endless"),
]


@pytest.mark.parametrize(("text", "count", "offset"), DAMAGED)
def test_damage_is_named_after_what_is_readable(text: str, count: int, offset: int | None) -> None:
    """
    Lines around a damaged one are read; the error names the first byte that is no JSON.
    """
    told, damage = read(text)

    assert len(told) == count
    assert damage is not None
    assert 0 <= damage.offset <= len(text)
    assert offset is None or damage.offset == offset


def test_offset_is_counted_in_bytes() -> None:
    """
    Letters outside ASCII before the damage do not shift its offset.
    """
    good = json.dumps(NEWSTATE | {"CallerIDName": "株式会社"}, ensure_ascii=False)

    _, damage = read(f"{good}\noops\n")

    assert damage is not None
    assert damage.offset == len(good.encode()) + 1


def test_cut_compressed_json_gives_its_events() -> None:
    """
    Damage of the compression ends the events like damage of the text.
    """
    told, damage = read(gzip.compress(lines(HEADERS * 20).encode(), 0)[:-100])

    assert damage is not None
    assert "breaks off" in damage.reason
    assert len(told) == 20 * len(HEADERS) - 1


def test_other_values_are_counted() -> None:
    """
    What is no event is said to be odd.
    """
    recording = Recording(io.BytesIO(lines([{"Response": "Success"}, 5, NEWSTATE]).encode()))

    assert len(list(recording.events())) == 1
    assert recording.oddities == {"JSON value that is no event": 2}
