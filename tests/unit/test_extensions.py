"""
Channel names, and who stands behind them.
"""

import re

import pytest

from ami_bridge.core.extensions import (
    LOCAL,
    NOBODY,
    OUTSIDE,
    IdentityPattern,
    Party,
    PartyKind,
    WhoIsWho,
    endpoint_of,
)


def extension(extended: str) -> Party:
    """
    Make the party of an extension.
    """
    return Party(PartyKind.EXTENSION, extended, extended.partition("*")[2])


@pytest.mark.parametrize(
    ("channel_name", "endpoint"),
    [
        pytest.param("PJSIP/0003*001-0000002a", "PJSIP/0003*001", id="PJSIP"),
        pytest.param("SIP/trunk-1-0000002a", "SIP/trunk-1", id="an endpoint with a dash"),
        pytest.param("SIP/big-cafe-0000002a", "SIP/big-cafe", id="a dash and hexadecimal letters"),
        pytest.param("SIP/101-0000002a<ZOMBIE>", "SIP/101", id="a zombie"),
        pytest.param("IAX2/101-12345", "IAX2/101", id="IAX2 counts in decimals"),
        pytest.param("DAHDI/i1/15550001-1", "DAHDI/i1/15550001", id="DAHDI"),
        pytest.param("PJSIP/alice", "PJSIP/alice", id="no suffix"),
    ],
)
def test_endpoint_of_a_channel(channel_name: str, endpoint: str) -> None:
    """
    Only the last dash with its hexadecimal digits is Asterisk's.
    """
    assert endpoint_of(channel_name) == endpoint


@pytest.mark.parametrize(
    ("channel_name", "party"),
    [
        pytest.param("PJSIP/0003*001-0000002a", extension("0003*001"), id="extended number"),
        pytest.param("SIP/0003*001-0000002a", extension("0003*001"), id="chan_sip"),
        pytest.param("IAX2/0003*001-77", extension("0003*001"), id="IAX2"),
        pytest.param("PJSIP/101-0000002a", extension("0001*101"), id="digits: default tenant"),
        pytest.param("PJSIP/7-0000002a", OUTSIDE, id="one digit is too few"),
        pytest.param("PJSIP/1234567-0000002a", OUTSIDE, id="seven digits are too many"),
        pytest.param("PJSIP/trunk-0000002a", OUTSIDE, id="a trunk"),
        pytest.param("DAHDI/101-1", OUTSIDE, id="another technology"),
        pytest.param("Local/101@internal-00000001;1", LOCAL, id="Local"),
        pytest.param("Message/ast_msg_queue", NOBODY, id="Message"),
        pytest.param("ConfBridgeRecorder/conf-1", NOBODY, id="ConfBridge machinery"),
        pytest.param("CBAnn/300-00000001;1", NOBODY, id="conference announcer"),
        pytest.param("AsyncGoto/SIP/101-00000001", NOBODY, id="AsyncGoto"),
        pytest.param("Surrogate/PJSIP/101-00000001", NOBODY, id="Surrogate"),
    ],
)
def test_default_identity(channel_name: str, party: Party) -> None:
    """
    Without rules the endpoint's name alone tells who is who.
    """
    assert WhoIsWho().identify(channel_name, "internal") == party


def test_a_pattern_cuts_tenant_and_number_out_of_a_name() -> None:
    """
    SIP/150010001 can be extension 001 of tenant 150010.
    """
    pattern = IdentityPattern(re.compile(r"(?P<tenant>\d{6})(?P<number>\d{3})"))
    who = WhoIsWho((pattern,))

    assert who.identify("SIP/150010001-00000001", "") == extension("150010*001")


def test_a_context_may_tell_what_the_name_does_not() -> None:
    """
    A pattern may hold in some dialplan contexts only, and name the tenant itself.
    """
    pattern = IdentityPattern(re.compile(r"\w+"), contexts=frozenset({"office"}), tenant="0007")
    who = WhoIsWho((pattern,))

    assert who.identify("PJSIP/alice-00000001", "office") == extension("0007*alice")
    assert who.identify("PJSIP/alice-00000001", "from-trunk") == OUTSIDE


def test_the_table_comes_before_every_pattern() -> None:
    """
    An endpoint named in the table is that extension.
    """
    who = WhoIsWho(table={"SIP/101": "0003*900"})

    assert who.identify("SIP/101-00000001", "") == extension("0003*900")
    assert who.identify("PJSIP/101-00000001", "") == extension("0001*101")


def test_patterns_are_tried_in_order() -> None:
    """
    A trunk pattern before an extension's keeps a trunk of digits outside.
    """
    trunk = IdentityPattern(re.compile("101"), kind=PartyKind.OUTSIDE)
    who = WhoIsWho((trunk, *WhoIsWho().patterns))

    assert who.identify("PJSIP/101-00000001", "") == OUTSIDE
    assert who.identify("PJSIP/102-00000001", "") == extension("0001*102")
