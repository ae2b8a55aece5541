"""
Why a call event was said, and why a rule was told of it or was not.
"""

import pytest

from ami_bridge.adapters.recording import Recording
from ami_bridge.core.ami_fast_lane import read_message
from ami_bridge.core.call_events import EventType
from ami_bridge.core.correlator import CorrelatorSettings
from ami_bridge.core.explaining import Explainer, Step
from ami_bridge.core.rules import ExtensionPattern, Rule
from tests.replaying import FIXTURES

URL = "https://crm.example.org/"
ALL = Rule("all", URL)
ENDS = Rule("ends", URL, events=frozenset({EventType.HANGUP}))
OTHERS = Rule("others", URL, extensions=(ExtensionPattern("0009*"),))
OFF = Rule("off", URL, enabled=False)


def explained(story: str, call_id: str | None, *rules: Rule) -> list[Step]:
    """
    Explain *call_id* out of the recording of *story*.
    """
    explainer = Explainer(call_id, CorrelatorSettings(), rules, read_message)
    recording = Recording(next((FIXTURES / "asterisk22" / story).glob("recording.ami*")))
    for message, time in recording.messages(wanted=None):
        explainer.take(message, time)
    return explainer.steps()


def told(steps: list[Step]) -> list[tuple[str, str, str]]:
    """
    Give what was said: by which AMI event, which call event, of whom.
    """
    return [
        (step.event, one.call_event.type.value, one.call_event.extension)
        for step in steps
        for one in step.said
    ]


def test_each_call_event_stands_at_its_cause() -> None:
    """
    A step is one AMI event, and holds the call events that followed from it.
    """
    steps = explained("trunk-ext-answered", "1795407850.42", ALL)

    assert told(steps) == [
        ("DialBegin", "Dial-In", "0003*001"),
        ("Newstate", "Answer-In", "0003*001"),
        ("Hangup", "Hangup", "0003*001"),
    ]
    dial = next(step for step in steps if step.said)
    assert dial.headers["DestChannel"].startswith("PJSIP/0003*001-")


def test_each_rule_has_its_reason() -> None:
    """
    Of each call event every rule is named, with why it is not told.
    """
    steps = explained("trunk-ext-answered", "1795407850.42", ALL, ENDS, OTHERS, OFF)

    [dial, _, end] = [one for step in steps for one in step.said]
    assert [(one.rule_id, one.why_not) for one in dial.rules] == [
        ("all", ""),
        ("ends", "asks for Hangup only"),
        ("others", "asks for 0009* only"),
        ("off", "is disabled"),
    ]
    assert [one.rule_id for one in end.rules if not one.why_not] == ["all", "ends"]
    assert len({one.delivery for said in (dial, end) for one in said.rules}) == 8


def test_a_call_that_met_another_is_part_of_it() -> None:
    """
    A consultation that its REFER joined to the call is explained with it, in order of time.
    """
    of_all = explained("xfer-attended-refer", None)

    steps = explained("xfer-attended-refer", "1795408091.194")

    calls = {step.headers["Linkedid"] for step in steps if "Linkedid" in step.headers}
    assert calls == {"1795408091.194", "1795408093.196"}
    [transfer] = [step for step in steps if step.event == "AttendedTransfer"]
    assert transfer.summary.startswith("PJSIP/0003*001-")
    assert " → PJSIP/trunk-" in transfer.summary
    assert "Result Success" in transfer.summary
    assert steps == of_all
    assert [step.time for step in steps] == sorted(step.time or 0.0 for step in steps)


@pytest.mark.parametrize("call_id", ["1795408091.1", "", "nonsense"])
def test_a_call_that_never_was(call_id: str) -> None:
    """
    Nothing is remembered of calls that nobody asks about.
    """
    assert explained("xfer-attended-refer", call_id) == []
