"""
Recordings and rules, damaged at random: nothing may break that must hold.
"""

import functools
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzz import targets
from tests.replaying import SCENARIOS, recorded_bytes

RULES = (Path(__file__).parent.parent.parent / "rules.toml").read_bytes()
_LONGEST = 30_000


@functools.cache
def recordings() -> list[bytes]:
    """
    Read the beginning of every third recording.
    """
    return [recorded_bytes(folder)[:_LONGEST] for folder in SCENARIOS[::3]]


@st.composite
def mutated(draw: st.DrawFn, whole: st.SearchStrategy[bytes], border: bytes) -> bytes:
    """
    Damage some bytes: parts between *border*s are lost, doubled, swapped, mixed or spoilt.
    """
    parts = draw(whole).split(border)
    other = draw(whole).split(border)
    for _ in range(draw(st.integers(1, 12))):
        here = draw(st.integers(0, len(parts) - 1))
        there = draw(st.integers(0, len(parts) - 1))
        match draw(st.sampled_from(("lose", "double", "swap", "mix", "spoil", "cut"))):
            case "lose" if len(parts) > 1:
                del parts[here]
            case "double":
                parts.insert(there, parts[here])
            case "swap":
                parts[here], parts[there] = parts[there], parts[here]
            case "mix":
                parts[here] = other[draw(st.integers(0, len(other) - 1))]
            case "spoil":
                at = draw(st.integers(0, len(parts[here])))
                noise = draw(st.binary(min_size=1, max_size=6))
                parts[here] = parts[here][:at] + noise + parts[here][at + len(noise) :]
            case _:  # "cut"
                parts[here] = parts[here][: draw(st.integers(0, len(parts[here])))]
    return border.join(parts)


@settings(max_examples=100, deadline=None)
@given(mutated(st.deferred(lambda: st.sampled_from(recordings())), b"\r\n\r\n"))
def test_messages_lost_and_spoilt(data: bytes) -> None:
    """
    Whole messages that are missing, twice there, or from another call end no invariant.
    """
    targets.parser(data)
    targets.correlator(data)


@settings(max_examples=100, deadline=None)
@given(mutated(st.deferred(lambda: st.sampled_from(recordings())), b"\r\n"))
def test_lines_lost_and_spoilt(data: bytes) -> None:
    """
    Single lines that are missing, twice there, or from another message do not either.
    """
    targets.parser(data)
    targets.correlator(data)


@settings(max_examples=150, deadline=None)
@given(mutated(st.just(RULES.replace(b"\n#", b"\n")), b"\n"))
def test_rules_lost_and_spoilt(data: bytes) -> None:
    """
    Damaged rules are understood or refused.
    """
    targets.rules(data)


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=300))
def test_any_bytes(data: bytes) -> None:
    """
    No target minds bytes that mean nothing.
    """
    targets.parser(data)
    targets.correlator(data)
    targets.rules(data)
