"""
Call events to try requests with.
"""

import pytest

from ami_bridge.core.call_events import CallFlow, CallStatus, EventType
from ami_bridge.core.rules import ExtensionPattern, Rule
from ami_bridge.core.samples import sample_event, sample_extension, usual_event


@pytest.mark.parametrize("pattern", ["*", "0003*", "0003*001", "0003*2*", "0003*20?", "7**??"])
def test_a_sample_is_of_an_extension_that_the_rule_is_for(pattern: str) -> None:
    """
    Whatever the pattern of a rule, it matches the extension of its samples.
    """
    extension = sample_extension(pattern)

    assert ExtensionPattern(pattern).matches(extension)
    assert not set("?*") & set(extension.partition("*")[2])


@pytest.mark.parametrize("event", EventType)
def test_samples_are_like_real_events(event: EventType) -> None:
    """
    Each event has the status and direction that it has in a call, and is plainly no real one.
    """
    rule = Rule("a", "http://h/", extensions=(ExtensionPattern("0003*001"),))

    sample = sample_event(rule, event, "abc", 5.0)

    dialled = event in (EventType.DIAL_IN, EventType.DIAL_OUT)
    outgoing = event in (EventType.DIAL_OUT, EventType.ANSWER_OUT)
    assert sample.call_id == "ami-bridge-test-abc"
    assert sample.caller_id_name == "ami-bridge test"
    assert sample.call_status is (CallStatus.CALLING if dialled else CallStatus.ANSWER)
    assert sample.call_flow is (CallFlow.OUT if outgoing else CallFlow.IN)
    assert (sample.talk_seconds is None) is (event is not EventType.HANGUP)
    assert (sample.caller_extension if outgoing else sample.called_extension) == "0003*001"


def test_the_usual_event() -> None:
    """
    Without a wish, a rule is tried with the event that comes first in a call.
    """
    rule = Rule("a", "http://h/", events=frozenset({EventType.HANGUP, EventType.ANSWER_OUT}))

    assert usual_event(rule) is EventType.ANSWER_OUT
