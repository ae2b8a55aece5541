"""
What a recording under load must yield, read off the recording by a second, simpler way.

Every call in those recordings has one caller and one callee, is dialled once, and is answered or
not. So no history is kept: the rows that matter are collected per Linkedid, and a fixed template
is filled with them. A call of another shape raises `CallShapeError`, lest the template be trusted
with it.
"""

from __future__ import annotations

import gzip
import re
from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

EXTENSION = re.compile(r"PJSIP/(0003\*\d{3})-[0-9a-f]{8}")

Headers: TypeAlias = dict[str, str]


class CallShapeError(Exception):
    """
    A call that is not one caller, one callee, one DialBegin and two Hangups.
    """


class LegId(NamedTuple):
    """
    One extension's part in one call, in one direction.
    """

    call_id: str
    extension: str
    call_flow: str


class LegEvent(NamedTuple):
    """
    One event of a leg, with the parameters that the template can tell.
    """

    event: str
    call_status: str
    caller_number: str
    called_number: str
    called_extension: str
    called_did: str


def expected_legs(recording: Path) -> dict[LegId, list[LegEvent]]:
    """
    Return the events that each leg in the gzipped *recording* must have, in order.
    """
    calls: defaultdict[str, list[Headers]] = defaultdict(list)
    for row in rows_that_matter(recording):
        calls[row.get("Linkedid") or row["DestLinkedid"]].append(row)
    return {leg: events for call_id, rows in calls.items() for leg, events in legs(call_id, rows)}


def rows_that_matter(recording: Path) -> Iterator[Headers]:
    """
    Yield Newchannel, DialBegin, Newstate Up and Hangup; skip everything else.
    """
    headers: Headers = {}
    with gzip.open(recording, "rt", encoding="utf-8", newline="\r\n") as lines:
        for line in lines:
            name, colon, value = line.removesuffix("\r\n").partition(": ")
            if colon:
                headers[name] = value
            elif headers:
                kind = headers.get("Event")
                up = kind == "Newstate" and headers["ChannelStateDesc"] == "Up"
                if up or kind in {"Newchannel", "DialBegin", "Hangup"}:
                    yield headers
                headers = {}


def legs(call_id: str, rows: list[Headers]) -> Iterator[tuple[LegId, list[LegEvent]]]:
    """
    Fill the template of one call: the caller's leg, the callee's leg, or both.
    """
    channels = [row for row in rows if row["Event"] == "Newchannel"]
    callers = [row for row in channels if row["ChannelStateDesc"] == "Ring"]
    dials = [row for row in rows if row["Event"] == "DialBegin"]
    ended = [row["Uniqueid"] for row in rows if row["Event"] == "Hangup"]
    if (
        [len(channels), len(callers), len(dials)] != [2, 1, 1]
        or sorted(ended) != sorted(row["Uniqueid"] for row in channels)
        or (dials[0]["Uniqueid"], callers[0]["Uniqueid"]) != (call_id, call_id)
    ):
        raise CallShapeError(call_id)

    caller, callee = extension(dials[0]["Channel"]), extension(dials[0]["DestChannel"])
    dialled = callers[0]["Exten"]
    constant = (dials[0]["CallerIDNum"], dialled, callee, "" if caller else dialled)
    up = {row["Uniqueid"] for row in rows if row["Event"] == "Newstate"}
    for party, flow, uniqueid in (
        (caller, "Out", dials[0]["Uniqueid"]),
        (callee, "In", dials[0]["DestUniqueid"]),
    ):
        if party:
            story = [(f"Dial-{flow}", "CALLING"), ("Hangup", "UNKNOWN")]
            if uniqueid in up:
                story[1:] = [(f"Answer-{flow}", "ANSWER"), ("Hangup", "ANSWER")]
            leg = LegId(call_id, party, flow.upper())
            yield leg, [LegEvent(event, status, *constant) for event, status in story]


def extension(channel: str) -> str:
    """
    Return the extension that *channel* belongs to, or an empty string for the trunk.
    """
    found = EXTENSION.fullmatch(channel)
    return found[1] if found else ""
