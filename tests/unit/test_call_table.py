"""
The table of calls says in a row what became of a leg.
"""

import re

import attrs
import click
import pytest

from ami_bridge.cli.call_table import CallTable
from ami_bridge.core.call_events import CallEvent, CallFlow, CallStatus, EventType, HangupDialect

DIAL = CallEvent(
    type=EventType.DIAL_IN,
    extension="0003*001",
    time=1795407783.5,
    leg="a",
    call_id="1795407783.2",
    call_flow=CallFlow.IN,
    call_status=CallStatus.CALLING,
    caller_id_num="14155550100",
    caller_id_name="ACME Corp",
    called_did="15551230001",
    called_extension="0003*001",
    called_number="15551230001",
)


def answer(seconds: float, dial: CallEvent = DIAL) -> CallEvent:
    """
    Give the answer to *dial* after *seconds*.
    """
    kind = EventType.ANSWER_IN if dial.call_flow is CallFlow.IN else EventType.ANSWER_OUT
    return attrs.evolve(dial, type=kind, time=later(dial, seconds), call_status=CallStatus.ANSWER)


def hangup(  # noqa: PLR0917
    seconds: float,
    status: CallStatus = CallStatus.ANSWER,
    dial: CallEvent = DIAL,
    ring_seconds: float | None = 2.0,
    talk_seconds: float | None = 3.25,
    hangup_cause: int | None = None,
) -> CallEvent:
    """
    Give the Hangup of *dial*'s leg after *seconds*.
    """
    return attrs.evolve(
        dial,
        type=EventType.HANGUP,
        time=later(dial, seconds),
        call_status=status,
        ring_seconds=ring_seconds,
        talk_seconds=talk_seconds,
        hangup_cause=hangup_cause,
    )


def later(dial: CallEvent, seconds: float) -> float | None:
    """
    Give the time *seconds* after *dial*.
    """
    return None if dial.time is None else dial.time + seconds


def rows(*call_events: CallEvent, dialect: HangupDialect = HangupDialect.SIMPLE) -> list[str]:
    """
    Print *call_events*; give the lines, without their colours, after the heading.
    """
    table = CallTable(dialect)
    for call_event in call_events:
        table.add(call_event)
    lines = [click.unstyle(line) for line in [*table.finished(set()), *table.rest()]]
    assert lines[0].split() == ["Extension", "Dial", "Answer", "Hangup", "Status"]
    assert lines[1] == ""
    return lines[2:]


def test_block_has_a_title_and_a_row_for_each_leg() -> None:
    """
    The title has CallID, time, caller and dialled number; a row its leg's times and outcome.
    """
    title, row = rows(DIAL, answer(2), hangup(5.25))

    assert re.fullmatch(
        r"1795407783\.2  \d{4}-\d\d-\d\d \d\d:\d\d:\d\d  14155550100 ACME Corp → 15551230001", title
    )
    assert row == (
        "  0003*001  IN  ← 14155550100 ACME Corp        +0.000   +2.000   +5.250"
        "  ANSWER   talked 3.2 s"
    )


OUTCOMES = [
    (hangup(2, CallStatus.BUSY), "UNKNOWN  busy after 2.0 s"),
    (hangup(2, CallStatus.BUSY, ring_seconds=0.001), "UNKNOWN  busy"),
    (hangup(2, CallStatus.NOANSWER), "UNKNOWN  no answer after 2.0 s"),
    (hangup(2, CallStatus.CANCEL), "UNKNOWN  cancelled after 2.0 s"),
    (hangup(2, CallStatus.CANCEL, hangup_cause=26), "UNKNOWN  answered elsewhere after 2.0 s"),
    (hangup(2, CallStatus.CONGESTION), "UNKNOWN  congestion after 2.0 s"),
    (hangup(2, CallStatus.CHANUNAVAIL), "UNKNOWN  unreachable"),
    (hangup(2, CallStatus.UNKNOWN), "UNKNOWN   after 2.0 s"),
    (hangup(75, talk_seconds=75.0), "ANSWER   talked 1:15 min"),
    (hangup(75, talk_seconds=7199.9), "ANSWER   talked 2:00:00 h"),
]


@pytest.mark.parametrize(("end", "said"), OUTCOMES)
def test_outcome_is_said_in_words(end: CallEvent, said: str) -> None:
    """
    Behind the CallStatus stands what it means, and how long it took.
    """
    assert rows(DIAL, end)[1].endswith(f"  {said}")


def test_detailed_dialect_is_shown_where_the_rules_ask_for_it() -> None:
    """
    The CallStatus shown is the one that receivers are told.
    """
    row = rows(DIAL, hangup(2, CallStatus.BUSY), dialect=HangupDialect.DETAILED)[1]

    assert row.endswith("  BUSY     busy after 2.0 s")


@pytest.mark.parametrize(
    ("call_events", "said"),
    [([DIAL], "still ringing"), ([DIAL, answer(1)], "still up")],
)
def test_open_leg_says_how_it_stands(call_events: list[CallEvent], said: str) -> None:
    """
    A leg that had no Hangup when the recording ended is not called over.
    """
    assert rows(*call_events)[1].endswith(said)


def test_outgoing_leg_shows_what_was_dialled_and_who_took_it() -> None:
    """
    The party of a leg that calls is the number and, if it is another, the extension.
    """
    dial = attrs.evolve(
        DIAL, type=EventType.DIAL_OUT, call_flow=CallFlow.OUT, called_number="600", called_did=""
    )
    taken = attrs.evolve(answer(1, dial), called_extension="0003*002")

    row = rows(dial, taken, attrs.evolve(hangup(2, dial=dial), called_extension="0003*002"))[1]

    assert "OUT → 600 (0003*002)" in row


def test_recording_without_times_shows_what_happened() -> None:
    """
    Where no time is known, a mark stands for it, and no length is made up.
    """
    dial = attrs.evolve(DIAL, time=None)
    end = hangup(1, dial=dial, ring_seconds=None, talk_seconds=0.0)

    title, row = rows(dial, answer(1, dial), end)

    assert title == "1795407783.2  14155550100 ACME Corp → 15551230001"
    assert row.split()[-4:] == ["✓", "✓", "✓", "ANSWER"]


WIDE = [
    ("株式会社", "← 14155550100 株式会社         +"),
    ("株式会社株式会社", "← 14155550100 株式会社株式…    +"),
    ("A" * 30, "← 14155550100 AAAAAAAAAAAAA…   +"),
    ("e\u0301" * 14, "← 14155550100 " + "e\u0301" * 14 + "   +"),
    ("\x1b[2J\r\nowned", "← 14155550100 \ufffd[2J\ufffd\ufffdowned   "),
]


@pytest.mark.parametrize(("name", "cell"), WIDE)
def test_columns_stay_aligned(name: str, cell: str) -> None:
    """
    Wide and combining letters, long names and control characters do not move a column.
    """
    assert cell in rows(attrs.evolve(DIAL, caller_id_name=name))[1]


@pytest.mark.parametrize(("columns", "width"), [(80, 12), (90, 22), (94, 26), (200, 26), (20, 12)])
def test_a_narrow_terminal_shows_less_of_the_other_party(columns: int, width: int) -> None:
    """
    A row does not wrap on a terminal of 80 columns: the title has both parties whole.
    """
    table = CallTable(columns=columns)
    table.add(attrs.evolve(DIAL, caller_id_num="", caller_id_name="x" * 30))

    row = click.unstyle([*table.rest()][3])
    assert row.partition("← ")[2].index("…") + 1 == width


def test_call_waits_for_its_first_channel() -> None:
    """
    A call whose only leg has ended goes on while its first channel lives: hunting.
    """
    table = CallTable()
    table.add(DIAL)
    table.add(hangup(2, CallStatus.NOANSWER))

    assert table.waits
    assert list(table.finished({"1795407783.2"})) == []
    second = attrs.evolve(DIAL, leg="b", extension="0003*002")
    table.add(second)
    assert not table.waits
    table.add(hangup(4, dial=second))

    lines = [click.unstyle(line) for line in table.finished({"1795407790.9"})]
    assert [line.split()[0] for line in lines[3:]] == ["0003*001", "0003*002"]
    assert list(table.rest()) == []


def test_name_of_the_pbx_is_no_part_of_the_channel() -> None:
    """
    With a PBX's name before the CallID, the first channel is still found.
    """
    table = CallTable(pbx="main")
    dial = attrs.evolve(DIAL, call_id="main-1795407783.2")
    table.add(dial)
    table.add(hangup(2, dial=dial))

    assert list(table.finished({"1795407783.2"})) == []
    assert list(table.finished(set())) != []
