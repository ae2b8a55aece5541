"""
Call events of a call that never was, to try a request with.

All that could be taken for a real call is plainly none: the numbers are among those that are
given to nobody (555-0100 to 555-0199).
"""

from .call_events import CallEvent, CallFlow, CallStatus, EventType
from .rules import EVERYONE, Rule

#: What the CallID of a sample begins with.
SAMPLE_CALL_ID = "ami-bridge-test-"
#: The header that only samples have.
SAMPLE_HEADER = "X-Ami-Bridge-Test"
SAMPLE_NAME = "ami-bridge test"
#: A number outside, and the public number that it calls.
OUTSIDE_NUMBER, PUBLIC_NUMBER = "12025550123", "12025550101"
#: The extension where a rule is for everybody.
SAMPLE_EXTENSION = "0001*001"
_RING_SECONDS, _TALK_SECONDS = 5.0, 42.0
_NORMAL_CLEARING = 16


def sample_event(rule: Rule, event: EventType, token: str, now: float) -> CallEvent:
    """
    Make an *event* of an extension that *rule* is for; *token* tells it from other samples.
    """
    extension = sample_extension(rule.extensions[0].text)
    outgoing = event in (EventType.DIAL_OUT, EventType.ANSWER_OUT)
    is_dial = event in (EventType.DIAL_IN, EventType.DIAL_OUT)
    is_hangup = event is EventType.HANGUP
    return CallEvent(
        type=event,
        extension=extension,
        time=now,
        leg=f"{SAMPLE_CALL_ID}{token}",
        call_id=f"{SAMPLE_CALL_ID}{token}",
        call_flow=CallFlow.OUT if outgoing else CallFlow.IN,
        call_status=CallStatus.CALLING if is_dial else CallStatus.ANSWER,
        caller_id_num=extension if outgoing else OUTSIDE_NUMBER,
        caller_id_name=SAMPLE_NAME,
        caller_extension=extension if outgoing else "",
        called_did="" if outgoing else PUBLIC_NUMBER,
        called_extension="" if outgoing else extension,
        called_number=OUTSIDE_NUMBER if outgoing else PUBLIC_NUMBER,
        hangup_cause=_NORMAL_CLEARING if is_hangup else None,
        hangup_cause_text="Normal Clearing" if is_hangup else "",
        ring_seconds=None if is_dial else _RING_SECONDS,
        talk_seconds=_TALK_SECONDS if is_hangup else None,
    )


def usual_event(rule: Rule) -> EventType:
    """
    Give the event to try *rule* with: the first in a call that it asks for.
    """
    return next(event for event in EventType if event in rule.events)


def sample_extension(pattern: str) -> str:
    """
    Give an extension that *pattern* matches.
    """
    if pattern == EVERYONE:
        return SAMPLE_EXTENSION
    tenant, _, number = pattern.partition("*")
    return f"{tenant}*{number.replace('*', '01').replace('?', '1') or '001'}"
