"""
Which rule wants which call event.
"""

import pytest

from ami_bridge.core.call_events import CallEvent, CallFlow, CallStatus, EventType
from ami_bridge.core.rules import ExtensionPattern, Rule, why_never


def dial_in(extension: str = "0003*001") -> CallEvent:
    """
    Make a Dial-In of *extension*.
    """
    return CallEvent(
        type=EventType.DIAL_IN,
        extension=extension,
        time=None,
        leg=f"/1.1/{extension}/IN",
        call_id="1.0",
        call_flow=CallFlow.IN,
        call_status=CallStatus.CALLING,
    )


@pytest.mark.parametrize(
    ("pattern", "extension", "meant"),
    [
        pytest.param("*", "0003*001", True, id="everyone"),
        pytest.param("*", "acme*12", True, id="everyone, whatever the tenant looks like"),
        pytest.param("0003*", "0003*001", True, id="everyone of the tenant"),
        pytest.param("0003*", "0004*001", False, id="another tenant"),
        pytest.param("0003*", "00031*001", False, id="a tenant that only begins alike"),
        pytest.param("0003*001", "0003*001", True, id="exactly this one"),
        pytest.param("0003*001", "0003*0012", False, id="an exact number is no prefix"),
        pytest.param("0003*001", "00030001", False, id="the first * is no wildcard"),
        pytest.param("0003*001", "0003x*001", False, id="nor does it stand for part of a tenant"),
        pytest.param("0003*2*", "0003*2", True, id="a prefix alone"),
        pytest.param("0003*2*", "0003*299", True, id="a prefix and more"),
        pytest.param("0003*2*", "0003*12", False, id="a prefix is at the beginning"),
        pytest.param("0003**", "0003*001", True, id="the second * is a wildcard"),
        pytest.param("0003**9", "0003*19", True, id="a wildcard in front"),
        pytest.param("0003*20?", "0003*201", True, id="one character"),
        pytest.param("0003*20?", "0003*20", False, id="one character is not none"),
        pytest.param("0003*20?", "0003*2011", False, id="one character is not two"),
        pytest.param("0003*2.1", "0003*201", False, id="a dot is a dot"),
        pytest.param("0003*[12]", "0003*1", False, id="brackets are brackets"),
        pytest.param("ACME*1", "acme*1", False, id="case counts"),
        pytest.param("001", "0003*001", False, id="a number alone matches nothing"),
    ],
)
def test_extension_pattern(pattern: str, extension: str, meant: bool) -> None:
    """
    The first * of a pattern separates tenant and number; later ones, and ?, are wildcards.
    """
    assert ExtensionPattern(pattern).matches(extension) is meant


@pytest.mark.parametrize(
    ("pattern", "reason"),
    [
        pytest.param("001", "tenant in front", id="no tenant"),
        pytest.param("", "tenant in front", id="empty"),
        pytest.param("**", "no tenant before", id="the tenant is empty"),
        pytest.param("*001", "no tenant before", id="a number of any tenant"),
        pytest.param("000?*001", "letter by letter", id="a wildcard in the tenant"),
        pytest.param("0003* 001", "white space", id="a space"),
    ],
)
def test_patterns_that_match_nothing(pattern: str, reason: str) -> None:
    """
    A pattern that no extension can match is known, with its reason, before any call.
    """
    assert reason in (why_never(pattern) or "")


@pytest.mark.parametrize("pattern", ["*", "0003*", "0003*001", "0003*2*", "0003*20?", "acme*1"])
def test_patterns_that_may_match(pattern: str) -> None:
    """
    The documented forms of patterns are accepted.
    """
    assert why_never(pattern) is None


def test_equal_patterns_are_equal() -> None:
    """
    Patterns compare by their text, so that a reload can tell what changed.
    """
    assert ExtensionPattern("0003*") == ExtensionPattern("0003*")
    assert repr(ExtensionPattern("0003*")) == "ExtensionPattern(text='0003*')"


@pytest.mark.parametrize(
    ("rule", "wanted"),
    [
        pytest.param(Rule("r", "http://h/"), True, id="a bare rule wants everything"),
        pytest.param(
            Rule("r", "http://h/", (ExtensionPattern("0004*"), ExtensionPattern("0003*"))),
            True,
            id="one of several extensions is enough",
        ),
        pytest.param(
            Rule("r", "http://h/", (ExtensionPattern("0004*"),)), False, id="other extension"
        ),
        pytest.param(
            Rule("r", "http://h/", events=frozenset({EventType.HANGUP})), False, id="other event"
        ),
        pytest.param(Rule("r", "http://h/", enabled=False), False, id="disabled"),
    ],
)
def test_wants(rule: Rule, wanted: bool) -> None:
    """
    A rule wants an event if it is enabled and both extension and event are among its own.
    """
    assert rule.wants(dial_in()) is wanted
