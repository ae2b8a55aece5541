"""
Call-event requests for the eye and for programs, without anything that is secret.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import click

from ami_bridge.config.report import describe_request
from ami_bridge.control.shown import event_view
from ami_bridge.control.views import as_json
from ami_bridge.core.call_events import EventType, HangupDialect
from ami_bridge.core.masking import NOT_SHOWN, is_confidential, masked_headers, masked_url
from ami_bridge.core.rules import Rule
from ami_bridge.sampling import Sample

from .columns import table, visible

_HEADINGS = ("ID", "Extension", "Event", "Method", "URL", "Status", "Notes")
_WIDEST = 48
#: Of `auth`, what is a secret itself and not where one is.
_SECRETS = ("password", "bearer", "signing_secret")


def listed(rules: Sequence[Rule]) -> Iterator[str]:
    """
    Give *rules* as the lines of a table.
    """
    rows = [
        (
            rule.id,
            ", ".join(pattern.text for pattern in rule.extensions),
            "all" if len(rule.events) == len(EventType) else ", ".join(_events(rule)),
            rule.method.value,
            masked_url(rule.url),
            _status(rule),
            " ".join(rule.notes.split()),
        )
        for rule in rules
    ]
    return table(_HEADINGS, rows, _WIDEST)


def as_understood(rule: Rule) -> dict[str, Any]:
    """
    Give all attributes of *rule*, defaults included, as the APIs answer them.
    """
    return as_json(event_view(rule))


def as_written(attributes: Mapping[str, Any]) -> Iterator[str]:
    """
    Give *attributes* of a request as they stand in the file, one a line.
    """
    for name, value in attributes.items():
        shown = _MASKS[name](value) if name in _MASKS else value
        if isinstance(shown, Mapping):
            for key, text in shown.items():
                yield f"  {name}.{visible(key)} = {json.dumps(text, ensure_ascii=False)}"
        else:
            yield f"  {name} = {json.dumps(shown, ensure_ascii=False)}"


def told(rule: Rule, attributes: Mapping[str, Any], dialect: HangupDialect) -> Iterator[str]:
    """
    Give all there is to say of *rule*, whose *attributes* stand in the file.
    """
    yield click.style("As written:", dim=True)
    yield from as_written(attributes)
    yield click.style("As understood:", dim=True)
    yield from map(visible, describe_request(rule, dialect))


def sampled(sample: Sample, rule: Rule) -> Iterator[str]:
    """
    Give what was sent as a *sample* to the receiver of *rule*, and its answer.
    """
    call_event, attempt = sample.call_event, sample.attempt
    about = f"# sample {call_event.type.value} of {call_event.extension}, for request {rule.id}"
    yield click.style(visible(about), dim=True)
    yield f"{click.style(sample.method, fg='cyan')} {sample.url}"
    for name, value in sample.headers.items():
        yield click.style(f"{name}: {visible(value)}", dim=True)
    yield ""
    if sample.body is not None:
        yield visible(sample.body)
        yield ""
    word = f"answer {attempt.status}" if attempt.status is not None else "no answer"
    why = f": {visible(attempt.error)}" if attempt.error else ""
    colour = "green" if sample.delivered else "red"
    yield f"{click.style(word, fg=colour)} after {attempt.seconds:.3f} s{why}"
    for line in attempt.excerpt.splitlines():
        yield f"  {visible(line)}"


def _events(rule: Rule) -> list[str]:
    return [event.value for event in EventType if event in rule.events]


def _status(rule: Rule) -> str:
    return "enabled" if rule.enabled else "disabled"


def _parameters(values: Mapping[str, str]) -> dict[str, str]:
    return {name: "***" if is_confidential(name) else text for name, text in values.items()}


def _auth(values: Mapping[str, str]) -> dict[str, str]:
    return {name: NOT_SHOWN if name in _SECRETS else text for name, text in values.items()}


#: What is not shown of attributes as they are written.
_MASKS: Mapping[str, Callable[[Any], Any]] = {
    "url": masked_url,
    "headers": masked_headers,
    "parameters": _parameters,
    "auth": _auth,
}
