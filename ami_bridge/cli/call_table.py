"""
Call events for the eye: grouped by call, aligned, coloured.
"""

import time
from collections.abc import Iterator

import attrs
import click

from ami_bridge.core.call_events import CallEvent, CallStatus, EventType, HangupDialect, call_status

_COLOURS = {
    EventType.DIAL_IN: "cyan",
    EventType.DIAL_OUT: "blue",
    EventType.ANSWER_IN: "green",
    EventType.ANSWER_OUT: "green",
    EventType.HANGUP: "bright_black",
}


@attrs.define
class CallTable:
    """
    Collects call events and gives each call, as lines, when its last leg has ended.
    """

    dialect: HangupDialect = HangupDialect.SIMPLE
    _calls: dict[str, list[CallEvent]] = attrs.field(factory=dict, init=False)
    _open_legs: dict[str, set[str]] = attrs.field(factory=dict, init=False)

    def add(self, call_event: CallEvent) -> list[str]:
        """
        Take *call_event*; return the lines of its call if that is over now.
        """
        call = self._calls.setdefault(call_event.call_id, [])
        legs = self._open_legs.setdefault(call_event.call_id, set())
        call.append(call_event)
        if call_event.type is not EventType.HANGUP:
            legs.add(call_event.leg)
            return []
        legs.discard(call_event.leg)
        return [] if legs else list(self._close(call_event.call_id))

    def rest(self) -> list[str]:
        """
        Return the lines of the calls that are not over.
        """
        return [line for call_id in list(self._calls) for line in self._close(call_id)]

    def _close(self, call_id: str) -> Iterator[str]:
        still_up = bool(self._open_legs.pop(call_id))
        return self._lines(self._calls.pop(call_id), still_up=still_up)

    def _lines(self, call: list[CallEvent], *, still_up: bool) -> Iterator[str]:
        first = call[0]
        clock = "" if first.time is None else time.strftime("%H:%M:%S ", time.localtime(first.time))
        caller = " ".join(part for part in (first.caller_id_num, first.caller_id_name) if part)
        title = f"{clock}{caller or 'unknown'} → {first.called_number or first.called_extension}"
        did = f"  on {first.called_did}" if first.called_did else ""
        end = "  still up" if still_up else ""
        yield click.style(title, bold=True) + click.style(
            f"{did}  {call[0].call_id}{end}", dim=True
        )
        width = max(len(event.extension) for event in call)
        for event in call:
            yield self._row(event, first.time, width)
        yield ""

    def _row(self, event: CallEvent, begin: float | None, width: int) -> str:
        since = "" if begin is None or event.time is None else f"{event.time - begin:+.1f}s"
        status = call_status(event, self.dialect)
        colour = "red" if status is not CallStatus.ANSWER else "green"
        told = click.style(f"{event.type.value:<10}", fg=_COLOURS[event.type])
        if event.type is EventType.HANGUP:
            told += " " + click.style(f"{status.value:<8}", fg=colour) + _lasted(event)
        elif event.called_extension not in ("", event.extension):
            told += " " + click.style(f"to {event.called_extension}", dim=True)
        return f"  {since:>8}  {event.extension:<{width}}  {told}".rstrip()


def _lasted(event: CallEvent) -> str:
    if event.ring_seconds is None:
        return ""
    rang = f"  rang {event.ring_seconds:.1f}s"
    return click.style(
        rang + (f", talked {event.talk_seconds:.1f}s" if event.talk_seconds else ""), dim=True
    )
