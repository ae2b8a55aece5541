"""
Recordings of every form give the same AMI events; damaged ones all that is readable.
"""

import gzip
import io
import sys
import tracemalloc
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from ami_bridge.adapters.recording import (
    Recording,
    Source,
    TimedEvent,
    read_events,
    read_recording,
)
from ami_bridge.core.ami_events import AmiEvent, FullyBooted
from ami_bridge.errors import RecordingError
from tests.replaying import FIXTURES

STORY = FIXTURES / "asterisk22" / "ext-ext-busy"
STREAM = (STORY / "recording.ami").read_bytes()
TIMES = (STORY / "recording.ts").read_text(encoding="ascii")
TOLD = list(read_events(STORY / "recording.ami"))
EVENTS = [ami_event for ami_event, _ in TOLD]
FIRST_TIME = 1795407795.684853
HALF = len(STREAM) // 2


def everything(source: Source) -> tuple[list[TimedEvent], RecordingError | None]:
    """
    Read to the end; give what was read, and the damage.
    """
    told: list[TimedEvent] = []
    try:
        for timed in read_events(source):
            told.append(timed)  # noqa: PERF402 - what came before an error counts
    except RecordingError as damage:
        return told, damage
    return told, None


def events_of(told: list[TimedEvent]) -> list[AmiEvent]:
    """
    Leave out the times.
    """
    return [ami_event for ami_event, _ in told]


def keep(folder: Path, stream: bytes, times: str | None = None, name: str = "r.ami") -> Path:
    """
    Write a recording into *folder*.
    """
    path = folder / name
    path.write_bytes(gzip.compress(stream) if name.endswith(".gz") else stream)
    if times is not None:
        (folder / "r.ts").write_text(times, encoding="ascii")
    return path


def test_time_is_that_of_the_read_which_completed_the_event() -> None:
    """
    An event has the time of the read with its last byte.
    """
    assert TOLD[0] == (FullyBooted(uptime=331), FIRST_TIME)
    assert [time for _, time in TOLD] == sorted(time for _, time in TOLD if time)


def test_time_stamp_in_the_event_wins() -> None:
    """
    Where Asterisk itself wrote the time into the event, it is that.
    """
    folder = FIXTURES / "asterisk22" / "variant-timestamps-systemname-cel"

    times = [time for _, time in read_events(folder / "recording.ami")]

    assert times[1] == 1795411278.616574


FORMS = [
    pytest.param(lambda folder: keep(folder, STREAM, TIMES), True, id="with times"),
    pytest.param(lambda folder: keep(folder, STREAM), False, id="without times"),
    pytest.param(lambda folder: keep(folder, STREAM, TIMES, "r.ami.gz"), True, id="compressed"),
    pytest.param(lambda folder: keep(folder, STREAM, name="log.txt"), False, id="any name"),
    pytest.param(lambda folder: keep(folder, STREAM.replace(b"\r\n", b"\n")), False, id="LF"),
    pytest.param(lambda _: io.BytesIO(STREAM), False, id="a stream"),
    pytest.param(lambda _: io.BytesIO(gzip.compress(STREAM)), False, id="a compressed stream"),
    pytest.param(
        lambda _: io.BytesIO(gzip.compress(STREAM[:HALF]) + gzip.compress(STREAM[HALF:])),
        False,
        id="two compressed files joined",
    ),
    pytest.param(
        lambda _: io.BytesIO(gzip.compress(STREAM) + b"\0" * 512), False, id="padded with zeros"
    ),
]


@pytest.mark.parametrize(("form", "timed"), FORMS)
def test_every_form_gives_the_same_events(
    form: Callable[[Path], Source],
    timed: bool,
    tmp_path: Path,
) -> None:
    """
    A recording is known by its content; times come from the file beside it.
    """
    told, damage = everything(form(tmp_path))

    assert damage is None
    assert events_of(told) == EVENTS
    assert told == TOLD or not timed
    assert timed or all(time is None for _, time in told)


def test_times_may_be_compressed(tmp_path: Path) -> None:
    """
    The file of times is found as NAME.ts.gz, too.
    """
    path = keep(tmp_path, STREAM)
    (tmp_path / "r.ts.gz").write_bytes(gzip.compress(TIMES.encode()))

    assert everything(path) == (TOLD, None)


def test_standard_input_is_a_recording(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    ``-`` reads standard input.
    """

    class Stdin:
        buffer = io.BytesIO(STREAM)

    monkeypatch.setattr(sys, "stdin", Stdin)

    assert events_of(everything("-")[0]) == EVENTS


def test_bytes_are_given_as_they_came() -> None:
    """
    Read by read, the bytes and their times are those of the connection.
    """
    chunks = list(read_recording(STORY / "recording.ami"))

    assert b"".join(octets for _, octets in chunks) == STREAM
    lines = [line.split() for line in TIMES.splitlines()]
    assert [(time, len(octets)) for time, octets in chunks] == [
        (float(time), int(length)) for time, _, length in lines
    ]


def cut_last_message(stream: bytes) -> bytes:
    """
    Cut *stream* in the last line of its last message.
    """
    return stream[:-10]


def misfit(times: str) -> str:
    """
    Let the third line of *times* not follow the second.
    """
    lines = times.splitlines(keepends=True)
    time, offset, length = lines[2].split()
    lines[2] = f"{time} {int(offset) + 7} {length}\n"
    return "".join(lines)


def line_at(times: str, number: int) -> int:
    """
    Give the offset of line *number* of *times*.
    """
    return len("".join(times.splitlines(keepends=True)[:number]))


BLOCK = STREAM.index(b"Event: ", HALF)

DAMAGED = [
    pytest.param(
        lambda folder: keep(folder, STREAM[:HALF]), "r.ami", HALF, "ends in the middle", id="cut"
    ),
    pytest.param(
        lambda folder: keep(folder, STREAM[:HALF], TIMES),
        "r.ami",
        HALF,
        "it ends here, but r.ts goes on",
        id="shorter than its times",
    ),
    pytest.param(
        lambda folder: keep(folder, STREAM, misfit(TIMES)),
        "r.ts",
        line_at(TIMES, 2),
        "does not follow; expected 203",
        id="times with a gap",
    ),
    pytest.param(
        lambda folder: keep(folder, STREAM, TIMES.replace("\n", "\nhello\n", 1)),
        "r.ts",
        line_at(TIMES, 1),
        "not a line '<time> <offset> <length>'",
        id="rubbish among the times",
    ),
    pytest.param(
        lambda folder: keep(folder, STREAM, "1795407795.684853 0 99999999999\n"),
        "r.ts",
        0,
        "no read has 99999999999 bytes",
        id="an endless read",
    ),
    pytest.param(
        lambda folder: keep(folder, STREAM[:BLOCK] + b"\0" * 512 + b"\r\n\r\n" + STREAM[BLOCK:]),
        "r.ami",
        BLOCK,
        "block that is no message",
        id="zeros between messages",
    ),
    pytest.param(
        lambda folder: keep(folder, b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"),
        "r.ami",
        0,
        "no message",
        id="a picture",
    ),
    pytest.param(
        lambda folder: keep(folder, b"Dear diary, nothing happened.\n"),
        "r.ami",
        0,
        "no AMI message in it",
        id="another text",
    ),
]


@pytest.mark.parametrize(("form", "file", "offset", "reason"), DAMAGED)
def test_damage_is_named_after_what_is_readable(
    form: Callable[[Path], Path], file: str, offset: int, reason: str, tmp_path: Path
) -> None:
    """
    Everything readable is given, in order, before the error with the damaged byte.
    """
    told, damage = everything(form(tmp_path))

    assert damage is not None
    assert Path(damage.path).name == file
    assert damage.offset == offset
    assert reason in damage.reason
    assert events_of(told) == [event for event in EVENTS if event in events_of(told)]
    if file == "r.ts" or offset == BLOCK:
        assert events_of(told) == EVENTS
    elif offset:
        assert len(told) > 2


@pytest.mark.parametrize("size", [1, 100, 700])
def test_cut_compressed_file_gives_what_it_holds(size: int, tmp_path: Path) -> None:
    """
    A compressed file that breaks off names its last byte.
    """
    whole = gzip.compress(STREAM)
    path = tmp_path / "r.ami.gz"
    path.write_bytes(whole[:-size])

    told, damage = everything(path)

    assert damage is not None
    assert damage.offset == len(whole) - size
    assert "breaks off" in damage.reason
    assert events_of(told) == EVENTS[: len(told)]
    assert told or size > 100


def test_damaged_compressed_data_gives_all_before_it(tmp_path: Path) -> None:
    """
    What was compressed before the damage is not lost with it.
    """
    # Stored, not compressed: then the damage shows at the check sum only.
    packer = zlib.compressobj(0, wbits=31)
    whole = packer.compress(STREAM) + packer.flush()
    path = tmp_path / "r.ami.gz"
    path.write_bytes(whole[:-8] + b"\xff\xff\xff\xff" + whole[-4:])

    told, damage = everything(path)

    assert events_of(told) == EVENTS
    assert damage is not None
    assert "incorrect data check" in damage.reason
    assert len(whole) - 8 <= damage.offset < len(whole)


def test_first_damage_counts(tmp_path: Path) -> None:
    """
    Of two damages the first is named, counted in what was compressed.
    """
    spoilt = STREAM[:BLOCK] + b"\0\0\r\n\r\n" + STREAM[BLOCK:]
    path = tmp_path / "r.ami.gz"
    path.write_bytes(gzip.compress(spoilt)[:-4])

    told, damage = everything(path)

    assert events_of(told) == EVENTS
    assert damage is not None
    assert damage.offset == BLOCK
    assert damage.reason.endswith("counted in the decompressed data")


ENDS = [
    pytest.param(STREAM, TIMES, [], id="whole"),
    pytest.param(STREAM, TIMES + f"1795407796.1 {len(STREAM)} EOF\n", [], id="EOF"),
    pytest.param(STREAM, TIMES + f"1795407796.1 {len(STREAM)} RESET [Errno 104]\n", [], id="RESET"),
    pytest.param(STREAM, TIMES + "179540779", [], id="the recorder was killed"),
    pytest.param(
        STREAM,
        "".join(TIMES.splitlines(keepends=True)[:-1]),
        ["r.ts has no times for its last "],
        id="the last read has no time",
    ),
    pytest.param(b"", "", [], id="nothing came"),
    pytest.param(b"", None, [], id="an empty file"),
]


@pytest.mark.parametrize(("stream", "times", "remarks"), ENDS)
def test_end_of_a_connection_is_no_damage(
    stream: bytes, times: str | None, remarks: list[str], tmp_path: Path
) -> None:
    """
    However a connection or its recorder ended, what was recorded is whole.
    """
    recording = Recording(keep(tmp_path, stream, times))

    events = [ami_event for ami_event, _ in recording.events()]

    assert events == (EVENTS if stream else [])
    assert [
        remark[: len(start)] for remark, start in zip(recording.remarks, remarks, strict=True)
    ] == remarks


def test_connection_that_broke_off_in_a_message_is_remarked(tmp_path: Path) -> None:
    """
    Where the times show that no more came, half a message is Asterisk's doing, and left out.
    """
    stream = cut_last_message(STREAM)
    lines = TIMES.splitlines()
    time, offset, _ = lines[-1].split()
    lines[-1] = f"{time} {offset} {len(stream) - int(offset)}"
    recording = Recording(keep(tmp_path, stream, "\n".join(lines) + "\n"))

    events = [ami_event for ami_event, _ in recording.events()]

    assert events == EVENTS[: len(events)]
    assert len(events) >= len(EVENTS) - 1
    assert "ends in the middle of the message" in recording.remarks[0]


def test_events_that_lack_what_they_are_about_are_counted(tmp_path: Path) -> None:
    """
    An event without its channel is odd, not damage.
    """
    recording = Recording(keep(tmp_path, b"Event: Hangup\r\nCause: 16\r\n\r\n" + STREAM))

    assert [ami_event for ami_event, _ in recording.events()] == EVENTS
    assert recording.oddities == {"event Hangup without a header Channel": 1}


def test_position_and_total_say_how_far_the_reading_is(tmp_path: Path) -> None:
    """
    Progress is counted in bytes as they are stored.
    """
    path = keep(tmp_path, STREAM, name="r.ami.gz")
    recording = Recording(path)
    assert (recording.position, recording.total) == (0, None)

    for _ in recording.events():
        pass

    assert recording.position == recording.total == path.stat().st_size


def test_long_recording_needs_little_memory(tmp_path: Path) -> None:
    """
    A recording is read in pieces, however long it is and however small its compressed form.
    """
    path = tmp_path / "r.ami.gz"
    with gzip.open(path, "wb", compresslevel=1) as file:
        for _ in range(1000):
            file.write(STREAM)

    tracemalloc.start()
    count = sum(1 for _ in read_events(path))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert count == 1000 * len(EVENTS)
    assert peak < 3_000_000
