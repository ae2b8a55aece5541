"""
The rules as `ami-bridge check` shows them.
"""

from pathlib import Path

import pytest

from ami_bridge.config import load_config
from ami_bridge.config.report import describe
from ami_bridge.core.masking import masked_url
from ami_bridge.settings import Config
from tests.unit.rules_files import load, request, write_examples


def test_report_of_the_defaults() -> None:
    """
    Without a file it is said that nobody will be told, and that there is no secret.
    """
    lines = describe(Config())

    assert lines[0] == "Rules: none; the built-in defaults hold"
    assert "  Nobody will be told of anything." in lines
    assert any("no secret" in line for line in lines)


def test_report_of_the_examples(tmp_path: Path) -> None:
    """
    The report tells each request with its words, and no values of headers.
    """
    report = "\n".join(describe(load_config(write_examples(tmp_path), {})))

    assert "helpdesk-pop-up" in report
    assert "POST (json) https://helpdesk.example.org/calls?source=pbx" in report
    assert "extensions of tenant 0003 whose number is like 2*; extension 0003*001" in report
    assert "parameter title = {CallerIDName} <{CallerIDNum}>" in report
    assert "headers X-Source\n" in report
    assert "s3cret" not in report


def test_report_of_what_is_unusual(tmp_path: Path) -> None:
    """
    What an operator should notice is said: no verification, dialects, what is disabled.
    """
    report = describe(
        load(
            tmp_path,
            'originate = "dial-in"\nanonymous_numbers = ["anonymous"]\n'
            "[asterisk]\nname = 'pbx1'\nchallenge = false\ntls.verification = 'none'\n"
            + request('id = "a"\nstatus = "disabled"\nextension = ["0003*", "0003*001"]'),
        )
    )

    assert "Asterisk pbx1: 127.0.0.1:5039, with TLS, the certificate is not verified" in report
    assert "Numbers that mean a withheld one: anonymous" in report
    assert "Phones that an Originate rings: Dial-In" in report
    assert "  a - DISABLED" in report
    assert "    of every extension of tenant 0003; extension 0003*001" in report
    assert "  Nobody will be told of anything." in report


def test_report_of_several_pbxs(tmp_path: Path) -> None:
    """
    Every PBX is told, and who is who for each where it is not the same.
    """
    two = "[[asterisk]]\nname = 'a'\n[[asterisk]]\nname = 'b'\nport = 7\n"

    same = describe(load(tmp_path, two))
    different = describe(load(tmp_path, two + "default_tenant = '0002'"))

    assert "Asterisk a: 127.0.0.1:5038, without TLS" in same
    assert "Asterisk b: 127.0.0.1:7, without TLS" in same
    assert same.count("Endpoints, by the first line that matches:") == 1
    assert "Endpoints of a, by the first line that matches:" in different
    assert different[different.index("Endpoints of b, by the first line that matches:") + 2] == (
        "  IAX2/PJSIP/SIP endpoints [0-9]{2,6} are extensions of tenant 0002"
    )


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("http://h/?a=1&api_key=s3cret&b=2", "http://h/?a=1&api_key=***&b=2"),
        ("http://h/?TOKEN=s3cret", "http://h/?TOKEN=***"),
        ("http://h/?a=%2b*+;b", "http://h/?a=%2b*+;b"),
        ("http://h/", "http://h/"),
    ],
)
def test_masked_urls(url: str, shown: str) -> None:
    """
    What looks like a secret in a query is not shown; everything else is as written.
    """
    assert masked_url(url) == shown
