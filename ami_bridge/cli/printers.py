"""
What a replay prints: a table, lines of JSON, or the requests that the rules would send.
"""

import json
import shutil
import sys
from collections.abc import Callable, Iterable
from typing import Protocol

import click

from ami_bridge.core.call_events import CallEvent, HangupDialect
from ami_bridge.core.deliveries import Delivery
from ami_bridge.core.json_lines import to_json_line
from ami_bridge.core.masking import masked_headers

from .call_table import CallTable

Echo = Callable[[str], None]


class Printer(Protocol):
    """
    Prints what a replay says.
    """

    def show(self, call_event: CallEvent, deliveries: Iterable[Delivery]) -> None:
        """
        Print *call_event*, of which the rules make *deliveries*, or keep it for later.
        """

    def rest(self, living: Callable[[], frozenset[str]]) -> None:
        """
        Print what was kept and is ready; *living* tells the Uniqueids of all channels.
        """

    def finish(self) -> None:
        """
        Print everything that was kept.
        """


class JsonLines:
    """
    Prints call events as lines of JSON.
    """

    def __init__(self, echo: Echo, dialect: HangupDialect) -> None:
        self._echo = echo
        self._dialect = dialect

    def show(self, call_event: CallEvent, _deliveries: Iterable[Delivery]) -> None:
        """
        Print *call_event*.
        """
        self._echo(to_json_line(call_event, self._dialect))

    def rest(self, _living: Callable[[], frozenset[str]]) -> None:
        """
        Do nothing: nothing is kept.
        """

    def finish(self) -> None:
        """
        Do nothing: nothing was kept.
        """


class Table:
    """
    Prints calls as a table, each when it is over.
    """

    def __init__(self, echo: Echo, dialect: HangupDialect, pbx: str) -> None:
        self._echo = echo
        columns = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
        self._table = CallTable(dialect, pbx, columns)
        #: To ask for all channels after every event would cost more than the replay.
        self._patience = 0

    def show(self, call_event: CallEvent, _deliveries: Iterable[Delivery]) -> None:
        """
        Keep *call_event* until its call is over.
        """
        self._table.add(call_event)

    def rest(self, living: Callable[[], frozenset[str]]) -> None:
        """
        Print the calls that are over, now or a little later where there are many channels.
        """
        if not self._table.waits:
            return
        self._patience -= 1
        if self._patience <= 0:
            channels = living()
            self._patience = len(channels)
            for line in self._table.finished(channels):
                self._echo(line)

    def finish(self) -> None:
        """
        Print the calls that are left.
        """
        for line in self._table.rest():
            self._echo(line)


class Requests:
    """
    Prints the requests that the rules make of call events, as HTTP or (*as_json*) as JSON.

    What lets somebody in (``Authorization`` and the like) is not shown. *rules* says in words
    which rules these are.
    """

    def __init__(self, echo: Echo, rules: str, *, as_json: bool) -> None:
        self._echo = echo
        self._rules = rules
        self._as_json = as_json
        #: Call events, and the requests for them.
        self._shown = self._count = 0

    def show(self, call_event: CallEvent, deliveries: Iterable[Delivery]) -> None:
        """
        Print *deliveries*.
        """
        self._shown += 1
        for delivery in deliveries:
            self._count += 1
            if self._as_json:
                self._echo(_as_json(call_event, delivery))
            else:
                for line in _as_http(call_event, delivery):
                    self._echo(line)

    def rest(self, _living: Callable[[], frozenset[str]]) -> None:
        """
        Do nothing: nothing is kept.
        """

    def finish(self) -> None:
        """
        Say so if nobody asks for what there was to print.
        """
        if self._shown and not self._count:
            sentence = f"The rules ask for none of these events: {self._rules}."
            click.secho(sentence, err=True, fg="yellow")


def _body(delivery: Delivery) -> str | None:
    body = delivery.request.body
    return None if body is None else body.decode(errors="replace")


def _as_json(call_event: CallEvent, delivery: Delivery) -> str:
    line = {
        "event": call_event.type.value,
        "extension": call_event.extension,
        "time": call_event.time,
        "rule": delivery.rule_id,
        "method": delivery.request.method.value,
        "url": delivery.request.url,
        "headers": masked_headers(delivery.request.headers),
        "body": _body(delivery),
    }
    return json.dumps(line, ensure_ascii=False)


def _as_http(call_event: CallEvent, delivery: Delivery) -> Iterable[str]:
    about = f"# {call_event.type.value} of {call_event.extension}, for request {delivery.rule_id}"
    yield click.style(about, dim=True)
    yield f"{click.style(delivery.request.method.value, fg='cyan')} {delivery.request.url}"
    for name, value in masked_headers(delivery.request.headers).items():
        yield click.style(f"{name}: {value}", dim=True)
    yield ""
    body = _body(delivery)
    if body is not None:
        yield body
        yield ""
