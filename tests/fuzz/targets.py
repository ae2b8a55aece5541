"""
What must hold for any bytes at all: each target takes some and fails if it does not.
"""

import tempfile
from pathlib import Path

from ami_bridge.config import load_config
from ami_bridge.core.ami_events import NAMES_THAT_MATTER
from ami_bridge.core.ami_fast_lane import read_message
from ami_bridge.core.ami_stream import AmiMessage, AmiStream
from ami_bridge.core.call_events import CallEvent
from ami_bridge.core.correlator import Correlator
from ami_bridge.errors import ConfigError
from tests.replaying import assert_invariant


def parser(data: bytes) -> None:
    """
    Messages come out of any bytes, the same for any chunks, and nothing raises.
    """
    size = 1 + data[0] if data else 1
    stream, whole = AmiStream(), AmiStream()
    pieces = [data[start : start + size] for start in range(0, len(data), size)]
    in_pieces = [message for piece in pieces for message in stream.feed(piece)]
    at_once = list(whole.feed(data))
    assert [message.raw for message in in_pieces] == [message.raw for message in at_once]
    for message in at_once:
        assert message.raw in data
        assert message.time_at(0.0) >= 0.0
        assert all("\r\n" not in value for value in message.headers.values())


def correlator(data: bytes) -> None:
    """
    No bytes make the correlator raise, break the invariant, or keep a call for ever.
    """
    subject = Correlator()
    said: list[object] = []
    for number, message in enumerate(AmiStream(NAMES_THAT_MATTER).feed(data)):
        if message.name in NAMES_THAT_MATTER:
            said += _feed(subject, message, float(number))
    heard = [one for one in said if isinstance(one, CallEvent)]
    assert_invariant(heard, complete=False)
    said = [*subject.tick(1e9), *subject.resynchronise((), subject.channels, 1e9)]
    heard += [one for one in said if isinstance(one, CallEvent)]
    assert_invariant(heard)
    assert not subject.channels
    assert not subject.open_legs


def _feed(subject: Correlator, message: AmiMessage, now: float) -> list[object]:
    try:
        ami_event = read_message(message)
    except ValueError as problem:
        assert "without a header" in str(problem)
        return []
    return [] if ami_event is None else list(subject.feed(ami_event, now))


def rules(data: bytes) -> None:
    """
    A rules file is understood, or refused with its problems; it never ends in a traceback.
    """
    with tempfile.NamedTemporaryFile(suffix=".toml") as file:
        path = Path(file.name)
        path.write_bytes(data)
        try:
            load_config(path, {}, secret_needed=False)
        except ConfigError as error:
            assert error.problems
            assert str(error)
