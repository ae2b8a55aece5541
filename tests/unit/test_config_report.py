"""
The rules as `ami-bridge check` shows them.
"""

from pathlib import Path

import pytest

from ami_bridge.config import load_config
from ami_bridge.config.report import describe, masked
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
    assert masked(url) == shown
