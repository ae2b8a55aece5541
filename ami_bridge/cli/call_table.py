"""
Call events for the eye: one block for each call, one row for each leg.

::

    1795407961.104  2026-11-23 04:26:01  14155550100 ACME Corp → 15551230600
      0003*002  IN  ← 14155550100 ACME Corp   +0.000   +1.007   +4.012  ANSWER   talked 3.0 s
      0003*003  IN  ← 14155550100 ACME Corp   +0.001            +1.009  UNKNOWN  answered elsewhere

Times are seconds after the call's first event: of the Dial event, the answer and the Hangup.
"""

import time
from collections.abc import Container, Iterator

import attrs
import click

from ami_bridge.core.call_events import (
    CallEvent,
    CallFlow,
    CallStatus,
    EventType,
    HangupDialect,
    call_status,
)

from .columns import padded, visible

_ANSWERS = (EventType.ANSWER_IN, EventType.ANSWER_OUT)
#: Q.850: the call was answered by another phone.
_ANSWERED_ELSEWHERE = 26
_OUTCOMES = {
    CallStatus.BUSY: ("busy", "red"),
    CallStatus.NOANSWER: ("no answer", "yellow"),
    CallStatus.CANCEL: ("cancelled", "yellow"),
    CallStatus.CONGESTION: ("congestion", "red"),
    CallStatus.CHANUNAVAIL: ("unreachable", "red"),
}
#: A phone that refused at once did not ring.
_SHORTEST_TOLD = 0.05
_EXTENSION_WIDTH = 9
_PARTY_WIDTH = 26
#: So much is left of it on a narrow terminal; the call's title has both parties whole.
_LEAST_PARTY_WIDTH = 12
_TIME_WIDTH = 9
#: So wide are most rows.
_COLUMNS = 94


@attrs.define
class _Leg:
    """
    What is known of one row.
    """

    dial: CallEvent
    answer: CallEvent | None = None
    hangup: CallEvent | None = None


@attrs.define
class _Call:
    """
    What is known of one block.
    """

    legs: dict[str, _Leg] = attrs.field(factory=dict)

    @property
    def is_over(self) -> bool:
        """
        Tell whether all legs so far have ended.
        """
        return all(leg.hangup is not None for leg in self.legs.values())


class CallTable:
    """
    Collects call events, and gives a call as lines once it is over.

    A call whose legs have all ended may go on: the next phone is tried. It is over when its
    first channel, whose Uniqueid its CallID is (after *pbx*, if that has a name), is gone.
    *columns* is how wide the terminal is, if the table is for one.
    """

    def __init__(
        self,
        dialect: HangupDialect = HangupDialect.SIMPLE,
        pbx: str = "",
        columns: int | None = None,
    ) -> None:
        self._dialect = dialect
        missing = max(0, _COLUMNS - columns) if columns is not None else 0
        self._party_width = max(_LEAST_PARTY_WIDTH, _PARTY_WIDTH - missing)
        self._prefix = f"{pbx}-" if pbx else ""
        self._calls: dict[str, _Call] = {}
        #: Calls all of whose legs have ended, in the order in which they did.
        self._resting: dict[str, None] = {}
        self._begun = False

    @property
    def waits(self) -> bool:
        """
        Tell whether `finished` may have something to give.
        """
        return bool(self._resting)

    def add(self, call_event: CallEvent) -> None:
        """
        Take *call_event* into its call.
        """
        call_id = call_event.call_id
        call = self._calls.setdefault(call_id, _Call())
        leg = call.legs.setdefault(call_event.leg, _Leg(call_event))
        if call_event.type in _ANSWERS:
            leg.answer = call_event
        elif call_event.type is EventType.HANGUP:
            leg.hangup = call_event
        self._resting.pop(call_id, None)
        if call.is_over:
            self._resting[call_id] = None

    def finished(self, living: Container[str]) -> Iterator[str]:
        """
        Give the lines of the calls that are over, and forget them.

        *living* are the Uniqueids of the channels that exist.
        """
        for call_id in list(self._resting):
            if call_id.removeprefix(self._prefix) not in living:
                del self._resting[call_id]
                yield from self._block(call_id, self._calls.pop(call_id))

    def rest(self) -> Iterator[str]:
        """
        Give the lines of all calls that are left, whether they are over or not.
        """
        self._resting.clear()
        while self._calls:
            call_id = next(iter(self._calls))
            yield from self._block(call_id, self._calls.pop(call_id))

    def _block(self, call_id: str, call: _Call) -> Iterator[str]:
        first = next(iter(call.legs.values())).dial
        if not self._begun:
            yield click.style(self._heading(), dim=True)
        yield ""
        self._begun = True
        yield _title(call_id, first)
        for leg in call.legs.values():
            yield self._row(leg, first.time)

    def _heading(self) -> str:
        columns = "".join(f"{name:>{_TIME_WIDTH}}" for name in ("Dial", "Answer", "Hangup"))
        width = _EXTENSION_WIDTH + len(" IN  ← ") + self._party_width
        return f"  {'Extension':<{width}}{columns}  Status"

    def _row(self, leg: _Leg, begin: float | None) -> str:
        dial, hangup = leg.dial, leg.hangup
        # An OUT leg's called extension may become another with the answer.
        latest = hangup or leg.answer or dial
        incoming = dial.call_flow is CallFlow.IN
        flow = click.style("IN  ←" if incoming else "OUT →", fg="cyan" if incoming else "blue")
        times = "".join(
            " " * _TIME_WIDTH if event is None else _after(event, begin)
            for event in (dial, leg.answer, hangup)
        )
        if hangup is None:
            status = click.style("still up" if leg.answer else "still ringing", fg="magenta")
            times = times[: 2 * _TIME_WIDTH] + " " * _TIME_WIDTH
        else:
            status = self._outcome(hangup)
        extension = click.style(padded(dial.extension, _EXTENSION_WIDTH), bold=True)
        party = padded(_party(latest), self._party_width)
        return f"  {extension} {flow} {party}{times}  {status}"

    def _outcome(self, hangup: CallEvent) -> str:
        word = f"{call_status(hangup, self._dialect).value:<7}"
        if hangup.call_status is CallStatus.ANSWER:
            # Without times the correlator knows no lengths either.
            talked = None if hangup.time is None else hangup.talk_seconds
            lasted = "" if talked is None else f"  talked {_lasted(talked)}"
            return click.style(word, fg="green") + lasted
        outcome, colour = _OUTCOMES.get(hangup.call_status, ("", "yellow"))
        if hangup.hangup_cause == _ANSWERED_ELSEWHERE:
            outcome = "answered elsewhere"
        rang = hangup.ring_seconds or 0.0
        after = ""
        if rang >= _SHORTEST_TOLD and hangup.call_status is not CallStatus.CHANUNAVAIL:
            after = click.style(f" after {_lasted(rang)}", dim=True)
        return f"{click.style(word, fg=colour)}  {outcome}{after}"


def _title(call_id: str, first: CallEvent) -> str:
    caller = visible(" ".join(filter(None, (first.caller_id_num, first.caller_id_name))))
    called = visible(first.called_number or first.called_extension)
    parts = [click.style(visible(call_id), fg="yellow")]
    if first.time is not None:
        parts.append(time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(first.time)))
    parts.append(click.style(f"{caller or 'unknown'} → {called or 'unknown'}", bold=True))
    if first.called_did and first.called_did != first.called_number:
        parts.append(f"on {visible(first.called_did)}")
    return "  ".join(parts)


def _party(call_event: CallEvent) -> str:
    """
    Say with whom the leg's extension speaks.
    """
    if call_event.call_flow is CallFlow.IN:
        return " ".join(filter(None, (call_event.caller_id_num, call_event.caller_id_name)))
    number, extension = call_event.called_number, call_event.called_extension
    if extension and number and extension != number:
        return f"{number} ({extension})"
    return number or extension


def _after(call_event: CallEvent, begin: float | None) -> str:
    if call_event.time is None or begin is None:
        return f"{'✓':>{_TIME_WIDTH}}"
    return f"{call_event.time - begin:>+{_TIME_WIDTH}.3f}"


def _lasted(seconds: float) -> str:
    """
    Write a length of time as people say it.
    """
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02} h" if hours else f"{minutes}:{rest:02} min"
