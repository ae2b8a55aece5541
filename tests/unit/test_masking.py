"""
Requests as they may be shown.
"""

import pytest

from ami_bridge.core.masking import (
    masked_body,
    masked_headers,
    masked_url,
    secrets_of,
    without,
)
from ami_bridge.core.requests import Request
from ami_bridge.core.rules import Method


def test_headers_that_let_somebody_in() -> None:
    """
    Values of headers whose names tell of a secret are not shown, whatever their case.
    """
    shown = masked_headers({"AUTHORIZATION": "Bearer s3cret", "x-api-key": "s3cret", "X-A": "b"})

    assert shown == {"AUTHORIZATION": "(not shown)", "x-api-key": "(not shown)", "X-A": "b"}


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://me:s3cret@h/a@b?c=d", "https://me:***@h/a@b?c=d"),
        ("https://h/a@b", "https://h/a@b"),
        ("https://h/?a%70i_%6bey=s3cret&b=%20", "https://h/?a%70i_%6bey=***&b=%20"),
        ("https://h/?token", "https://h/?token"),
    ],
)
def test_urls(url: str, shown: str) -> None:
    """
    A password before the host and a secret in the query are not shown; all else is as written.
    """
    assert masked_url(url) == shown


@pytest.mark.parametrize(
    ("body", "shown"),
    [
        (None, None),
        (b"CallID=1&pwd=s3cret", "CallID=1&pwd=***"),
        (b'{"CallID": "1", "pwd": "s3cret"}', '{"CallID": "1", "pwd": "***"}'),
        ('{"CallerIDName": "Jürgen"}'.encode(), '{"CallerIDName": "Jürgen"}'),
    ],
)
def test_bodies(body: bytes | None, shown: str | None) -> None:
    """
    Of a form and of JSON, parameters whose names tell of a secret are not shown.
    """
    assert masked_body(Request(Method.POST, "http://h/", {}, body)) == shown


@pytest.mark.parametrize(
    "request_",
    [
        Request(Method.GET, "http://h/?a=1&key=s3cret%21", {}),
        Request(Method.GET, "http://h/", {"Authorization": "Bearer s3cret!"}),
        Request(Method.GET, "http://h/", {"Authorization": "Basic cGJ4OnMzY3JldCE="}),
        Request(Method.GET, "http://h/", {"X-Token": "s3cret!"}),
        Request(Method.POST, "http://h/", {}, b"a=1&key=s3cret%21"),
        Request(Method.POST, "http://h/", {}, b'{"key": "s3cret!"}'),
    ],
)
def test_an_answer_that_repeats_a_secret(request_: Request) -> None:
    """
    Wherever a secret stood in the request, the answer is shown without it.
    """
    said = "you, 1, sent s3cret! or s3cret%21 or cGJ4OnMzY3JldCE="

    shown = without(secrets_of(request_), said)

    assert "s3cret!" not in shown
    assert shown.startswith("you, 1, sent ")


def test_what_is_no_basic_authentication() -> None:
    """
    A header that is called Basic and is none hides its value alone.
    """
    request_ = Request(Method.GET, "http://h/", {"Authorization": "Basic ***"})

    assert secrets_of(request_) == {"Basic ***", "***", ""}
