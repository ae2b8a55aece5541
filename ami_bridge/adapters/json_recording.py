"""
AMI events that other tools dumped as JSON: an array of objects, or one after the other.

Each object holds the headers of one event, ``{"Event": "Newchannel", "Channel": ...}``, or
wraps them: ``{"time": 1795407783.7, "event": {...}}``. Names may have other letter cases,
values may be numbers or lists (of which the first counts).
"""

import contextlib
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from ami_bridge.core.ami_events import AmiEvent, read_ami_event

#: An object longer than this is no event.
_LONGEST_OBJECT = 4 * 1024 * 1024
_BETWEEN = re.compile(r"[\s,\[\]\ufeff]*")
#: Names under which a wrapping object holds the headers.
_WRAPPERS = ("event", "headers", "ami_event")
_NEXT_LINE = re.compile(r"\n\s*(?=\{)")

#: Header names as Asterisk writes them, by their lower-case form.
_HEADERS = {
    name.lower(): name
    for name in (
        *("Event", "Channel", "ChannelState", "CallerIDNum", "CallerIDName"),
        *("ConnectedLineNum", "ConnectedLineName", "Context", "Exten", "Priority"),
        *("Uniqueid", "Linkedid", "Cause", "Cause-txt", "DialStatus", "SubEvent"),
        *("Destination", "Dialstring", "LocalOneUniqueid", "LocalTwoUniqueid"),
        *("Uniqueid1", "Uniqueid2", "TargetChannel", "TargetUniqueid", "Response"),
        *("Application", "Newname", "Uptime", "Timestamp", "Source", "SrcUniqueID"),
    )
}
_HEADERS |= {f"dest{low}": f"Dest{name}" for low, name in _HEADERS.items()}


def looks_like_json(head: bytes) -> bool:
    """
    Tell by its first bytes whether a recording is JSON.
    """
    return head.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] in (b"[", b"{")


def read_json_events(
    chunks: Iterable[bytes], damaged: Callable[[int, str], None]
) -> Iterator[tuple[AmiEvent, float | None]]:
    """
    Read the events in *chunks*; tell *damaged* the offset of what is no JSON.
    """
    for value in _values(chunks, damaged):
        time, headers = _unwrapped(value)
        if headers is None:
            continue
        with contextlib.suppress(ValueError):  # an event without what it is about
            ami_event = read_ami_event(headers)
            if ami_event is not None:
                yield ami_event, time


def _values(chunks: Iterable[bytes], damaged: Callable[[int, str], None]) -> Iterator[object]:
    """
    Decode one JSON value after the other; after a broken line the next one is read.
    """
    decoder = json.JSONDecoder()
    source = iter(chunks)
    # Latin-1 keeps offsets: each character is one byte; strings are put right afterwards.
    text, passed = "", 0
    while True:
        begin = _BETWEEN.match(text)
        at = begin.end() if begin else 0
        try:
            value, end = decoder.raw_decode(text, at)
        except (json.JSONDecodeError, RecursionError) as error:
            if len(text) - at <= _LONGEST_OBJECT and (chunk := next(source, b"")):
                text += chunk.decode("latin-1")
                continue
            if at == len(text):
                return
            damaged(passed + at, f"no JSON: {getattr(error, 'msg', error)}")
            onward = _NEXT_LINE.search(text, at)
            if onward is None:
                return
            end = onward.end()
        else:
            yield value
        text, passed = text[end:], passed + end


def _unwrapped(value: object) -> tuple[float | None, dict[str, str] | None]:
    if not isinstance(value, dict):
        return None, None
    time = _seconds(value.get("time"))
    inner = next((value[name] for name in _WRAPPERS if isinstance(value.get(name), dict)), value)
    headers = _headers(inner)
    return _seconds(headers.get("Timestamp")) or time, headers


def _headers(value: Mapping[str, Any]) -> dict[str, str]:
    headers = {
        _HEADERS.get(_text(name).lower(), _text(name)): _text(content)
        for name, content in value.items()
    }
    if headers.get("Event") == "Dial":
        headers |= {
            spelt: headers[name]
            for name, spelt in (("Uniqueid", "UniqueID"), ("DestUniqueid", "DestUniqueID"))
            if name in headers and spelt not in headers
        }
    return headers


def _text(content: object) -> str:
    if isinstance(content, list):
        content = content[0] if content else ""
    if content is None or isinstance(content, bool):
        return "" if content is None else str(content).lower()
    text = str(content)
    try:
        return text.encode("latin-1").decode()
    except UnicodeError:  # it was escaped (\\u00fc), or really is Latin-1
        return text


def _seconds(value: object) -> float | None:
    try:
        return float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return None
