"""
Settings that are written down and read again.
"""

import re

import pytest

from ami_bridge.core.correlator import CorrelatorSettings
from ami_bridge.core.extensions import IdentityPattern, PartyKind, WhoIsWho, default_patterns
from ami_bridge.core.kept_settings import as_text, from_text

EVERYTHING = CorrelatorSettings(
    WhoIsWho(
        (
            IdentityPattern(
                re.compile(r"(?P<tenant>[0-9]{4})(?P<number>.+)", re.IGNORECASE),
                technologies=frozenset({"SIP", "PJSIP"}),
                contexts=frozenset({"büro"}),
            ),
            IdentityPattern(re.compile("trunk.*"), PartyKind.OUTSIDE),
            *default_patterns("0009"),
        ),
        {"SIP/reception": "0001*100"},
    ),
    feature_codes=(re.compile(r"\*8.*"),),
    public_numbers={"0001*100": "+4930123"},
    anonymous_numbers=frozenset({"anonymous", ""}),
    originate_is_dial_in=True,
    pbx="west",
)


@pytest.mark.parametrize("settings", [CorrelatorSettings(), EVERYTHING], ids=["defaults", "all"])
def test_what_was_written_is_read(settings: CorrelatorSettings) -> None:
    """
    Nothing of the settings is lost, and the same settings are the same text.
    """
    again = from_text(as_text(settings))

    assert again == settings
    assert as_text(again) == as_text(settings)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        "1",
        as_text(EVERYTHING).replace('"flags"', '"flogs"'),
        as_text(EVERYTHING).replace("trunk.*", "(trunk"),
        as_text(EVERYTHING).replace("outside", "beside"),
        as_text(EVERYTHING).replace("originate_is_dial_in", "originate_is_something"),
    ],
)
def test_anything_else_is_an_error(text: str) -> None:
    """
    Text that is no such settings is told as such.
    """
    with pytest.raises(ValueError, match="not the settings of a correlator"):
        from_text(text)
