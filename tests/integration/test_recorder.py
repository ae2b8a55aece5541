"""
What is recorded is byte for byte what came, and stays with whoever recorded it.
"""

import contextlib
import gzip
from pathlib import Path

import pytest

from ami_bridge.adapters.recorder import RecordingWriter
from ami_bridge.adapters.recording import read_recording
from ami_bridge.errors import RecordingError
from tests.replaying import FIXTURES

STREAM = (FIXTURES / "asterisk22" / "ext-ext-busy" / "recording.ami").read_bytes()


@pytest.mark.parametrize("name", ["r.ami", "r.ami.gz", "capture"])
def test_what_was_written_is_read_back(name: str, tmp_path: Path) -> None:
    """
    The writer's recording is the reader's, byte for byte and time for time.
    """
    path = tmp_path / name
    chunks = [
        (round(1795407795.5 + at / 10, 6), STREAM[at : at + 100])
        for at in range(0, len(STREAM), 100)
    ]
    with RecordingWriter(path) as writer:
        for time, octets in chunks:
            writer.write(octets, time)
        writer.end(chunks[-1][0] + 1, "RESET Connection\nreset")

    stored = path.read_bytes()
    assert (gzip.decompress(stored) if name.endswith(".gz") else stored) == STREAM
    if "ami" in name:
        assert list(read_recording(path)) == chunks
    assert writer.position == len(STREAM)


@pytest.mark.parametrize("name", ["r.ami", "r.ami.gz"])
def test_killed_writer_leaves_what_came(name: str, tmp_path: Path) -> None:
    """
    What was written is on its way to the disk without the recording being closed.
    """
    path = tmp_path / name
    with RecordingWriter(path) as writer:
        writer.write(STREAM[:1000], 100.0)
        writer.write(STREAM[1000:2000], 101.0)

        chunks = []
        with contextlib.suppress(RecordingError):  # compressed data lacks its end
            for chunk in read_recording(path):
                chunks.append(chunk)  # noqa: PERF402 - what came before an error counts

    assert chunks == [(100.0, STREAM[:1000]), (101.0, STREAM[1000:2000])]


def test_recording_is_not_overwritten_unasked(tmp_path: Path) -> None:
    """
    A file that is there stays, whether it is the recording's or that of its times.
    """
    (tmp_path / "r.ts").write_text("mine", encoding="ascii")
    with pytest.raises(FileExistsError) as caught, RecordingWriter(tmp_path / "r.ami"):
        pass
    assert str(caught.value.filename).endswith("r.ts")
    assert (tmp_path / "r.ts").read_text(encoding="ascii") == "mine"

    with RecordingWriter(tmp_path / "r.ami", overwrite=True) as writer:
        writer.write(STREAM, 1.0)

    assert (tmp_path / "r.ts").read_text(encoding="ascii") == f"1.000000 0 {len(STREAM)}\n"


def test_nobody_else_may_read_a_recording(tmp_path: Path) -> None:
    """
    A recording is personal data of whoever called.
    """
    with RecordingWriter(tmp_path / "r.ami"):
        pass

    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o600}
