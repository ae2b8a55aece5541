"""
URLs and forms: what stands there stays, and form parsers read back what was sent.
"""

import json
import shutil
import subprocess
from collections.abc import Callable, Mapping
from urllib.parse import parse_qs, parse_qsl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ami_bridge.core.requests import destination_of, form_encoded, with_query

#: Values that a form parser may get wrong.
AWKWARD = {
    "star": "0003*001",
    "plus": "+49 30 1",
    "ampersand": "a&b=c;d",
    "percent": "100%41",
    "letters": "Анна Jürgen 電話 😀",
    "quotes": "\"'<>\\",
    "marks": "-._~!$()?#/[]@:,`|^{}",
    "lines": "one\r\ntwo\tthree",
    "empty": "",
}


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        pytest.param("http://h", "http://h?x=1", id="no path"),
        pytest.param("http://h/", "http://h/?x=1", id="no query"),
        pytest.param("http://h/p?", "http://h/p?x=1", id="an empty query"),
        pytest.param("http://h/p?a=%2b*+;b", "http://h/p?a=%2b*+;b&x=1", id="kept byte for byte"),
        pytest.param("http://h/p?a=b&", "http://h/p?a=b&x=1", id="an ampersand at the end"),
        pytest.param("http://h/p?a=?&b", "http://h/p?a=?&b&x=1", id="a second question mark"),
        pytest.param("http://h/p#top", "http://h/p?x=1", id="a fragment is not sent"),
        pytest.param("http://h/p?a#t?op", "http://h/p?a&x=1", id="nor with a question mark in it"),
    ],
)
def test_with_query(url: str, expected: str) -> None:
    """
    Parameters are added to the query part; what stands there already is not touched.
    """
    assert with_query(url, "x=1") == expected


def test_nothing_to_add() -> None:
    """
    Without parameters a URL stays as it is, but for its fragment.
    """
    assert with_query("http://h/p?a#top", "") == "http://h/p?a"


@pytest.mark.parametrize(
    ("url", "destination"),
    [
        pytest.param("http://h/a?b", "http://h:80", id="HTTP's port"),
        pytest.param("https://h/a", "https://h:443", id="HTTPS's port"),
        pytest.param("http://H.Example:8080", "http://h.example:8080", id="case does not count"),
        pytest.param("http://[::1]:81/", "http://[::1]:81", id="IPv6"),
    ],
)
def test_destination(url: str, destination: str) -> None:
    """
    The destination is scheme, host and port.
    """
    assert destination_of(url) == destination


# -- form parsers ----------------------------------------------------------------------


def python_reads(form: str) -> dict[str, str]:
    """
    Read *form* as Python's web frameworks do.
    """
    found = parse_qs(form, keep_blank_values=True, strict_parsing=True)
    assert all(len(values) == 1 for values in found.values())
    return {name: values[0] for name, values in found.items()}


def interpreted(command: list[str]) -> Callable[[str], dict[str, str]]:
    """
    Read forms by *command*, which takes one as its input and gives JSON.
    """

    def read(form: str) -> dict[str, str]:
        if shutil.which(command[0]) is None:
            pytest.skip(f"{command[0]} is not installed")
        done = subprocess.run(command, input=form.encode(), capture_output=True, check=True)
        found: dict[str, str] = json.loads(done.stdout)
        return found

    return read


PHP = "parse_str(stream_get_contents(STDIN), $found); echo json_encode($found);"
NODE = (
    "const form = require('fs').readFileSync(0, 'utf8');"
    "console.log(JSON.stringify(Object.fromEntries(new URLSearchParams(form))))"
)
NODE_QUERYSTRING = (
    "const form = require('fs').readFileSync(0, 'utf8');"
    "console.log(JSON.stringify(require('querystring').parse(form)))"
)


@pytest.mark.parametrize(
    "read",
    [
        pytest.param(python_reads, id="python"),
        pytest.param(interpreted(["php", "-r", PHP]), id="php"),
        pytest.param(interpreted(["node", "-e", NODE]), id="node"),
        pytest.param(interpreted(["node", "-e", NODE_QUERYSTRING]), id="node querystring"),
    ],
)
def test_form_parsers_read_back_what_was_sent(read: Callable[[str], dict[str, str]]) -> None:
    """
    Python, PHP and Node read the very values that were sent, stars and pluses included.
    """
    assert read(form_encoded(AWKWARD)) == AWKWARD


@given(st.dictionaries(st.text(min_size=1), st.text(), max_size=5))
def test_forms_are_lossless(values: Mapping[str, str]) -> None:
    """
    Whatever the names and values, the form reads back as the same, in the same order.
    """
    form = form_encoded(values)

    assert form.isascii()
    assert dict(parse_qsl(form, keep_blank_values=True)) == values
