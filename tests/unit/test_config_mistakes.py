"""
Rules files that are wrong: every mistake at once, with a sentence that helps.
"""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ami_bridge.config import load_config, read_rules
from ami_bridge.errors import ConfigError, Problem
from ami_bridge.settings import Config
from tests.unit.rules_files import load, problems, request


def test_all_problems_at_once(tmp_path: Path) -> None:
    """
    Everything that is wrong is told together, each with its path, as one table.
    """
    with pytest.raises(ConfigError) as refusal:
        load(
            tmp_path,
            '[asterisk]\nport = "5038a"\n[[requests]]\nulr = "http://h/"\nevent = "Dialin"',
        )

    lines = str(refusal.value).splitlines()
    assert lines[0].endswith("rules.toml: 4 problems")
    assert [line.strip() for line in lines[1:]] == [
        'asterisk.port      expected an integer from 1 to 65535, got "5038a"',
        'requests[0].event  unknown call event "Dialin"; did you mean "Dial-In"?',
        "requests[0].url    is missing: where the request goes, http:// or https://",
        'requests[0].ulr    unknown key; did you mean "url"?',
    ]
    assert refusal.value.exit_code == 78


SYNTAX = [
    pytest.param("\na = \n", "line 2, column 5", "not TOML: Invalid value", id="no value"),
    pytest.param("\n[x", "line 2, column 3", "not TOML: ", id="the file ends too early"),
    pytest.param("a = " + "[" * 20_000, "", "not TOML: nested too", id="too many brackets"),
    pytest.param("a = 1\na = 2\n", "line 2, column 6", "not TOML: Cannot over", id="twice"),
    pytest.param('feature_codes = ["\\d"]', "line 1, column 2", "single quotes", id="a backslash"),
]


@pytest.mark.parametrize(("text", "path", "message"), SYNTAX)
def test_syntax(tmp_path: Path, text: str, path: str, message: str) -> None:
    """
    A file that is no TOML is told with line and column.
    """
    ((found_path, found_message),) = problems(tmp_path, text)

    assert found_path.startswith(path)
    assert message in found_message


def test_not_text(tmp_path: Path) -> None:
    """
    A file in another encoding is told with the line of its first odd byte.
    """
    path = tmp_path / "rules.toml"
    path.write_bytes(b"# fine\n# M\xfcller\n")

    with pytest.raises(ConfigError) as refusal:
        load_config(path, {})

    assert refusal.value.problems == (Problem("line 2", "not UTF-8 text, as TOML has to be"),)


def test_no_file(tmp_path: Path) -> None:
    """
    A file that is not there is a problem like any other.
    """
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        load_config(tmp_path / "rules.toml", {})


MISTAKES = [
    ("hangup_satus = 1", "hangup_satus", 'unknown key; did you mean "hangup_status"?'),
    ('[asterik]\nhost = "h"', "asterik", 'did you mean "asterisk"?'),
    ("zzz = 1", "zzz", "unknown key; expected one of hangup_status, asterisk"),
    ('[asterisk]\noriginate = "dial-in"', "asterisk.originate", "belongs at the top of the file"),
    ('hangup_status = "detail"', "hangup_status", '"detail"; did you mean "detailed"?'),
    ('originate = "zzz"', "originate", 'unknown value "zzz"; expected one of dial-out, dial-in'),
    ("originate = 1", "originate", 'expected "dial-out" or "dial-in", got 1'),
    ("asterisk = 1", "asterisk", "expected a table, [asterisk], or several"),
    ("asterisk = []", "asterisk", "or several, each beginning [[asterisk]], got a list"),
    ("asterisk = [1]", "asterisk", "or several, each beginning [[asterisk]], got a list"),
    ("[[asterisk]]\nnmae = 'a'", "asterisk[0].nmae", 'unknown key; did you mean "name"?'),
    (
        "[[asterisk]]\nname = 'a'\n[[asterisk]]",
        "asterisk[1].name",
        "is missing: one of several PBXs needs a name",
    ),
    (
        "[[asterisk]]\nname = 'a'\n[[asterisk]]\nname = ''",
        "asterisk[1].name",
        "must not be empty where there are several PBXs",
    ),
    (
        "[[asterisk]]\nname = 'a'\n[[asterisk]]\nname = 'b'\n[[asterisk]]\nname = 'A'",
        "asterisk[2].name",
        '"A" is the name of asterisk[0], too',
    ),
    (
        "[[asterisk]]\nname = 'a'\n[[asterisk]]\nname = 'b'\nport = 0",
        "asterisk[1].port",
        "expected an integer from 1 to 65535, got 0",
    ),
    ('[asterisk]\ndefault_tenant = "1*"', "asterisk.default_tenant", "a tenant without *"),
    ('[asterisk]\ndefault_tenant = ""', "asterisk.default_tenant", "a tenant without *"),
    ("[requests]", "requests", "expected a list of tables, each beginning with [[requests]]"),
    ("[asterisk]\nport = 0", "asterisk.port", "expected an integer from 1 to 65535, got 0"),
    ("[asterisk]\nport = true", "asterisk.port", "got true"),
    ("[asterisk]\nport = 1.5", "asterisk.port", "got 1.5"),
    ("[asterisk]\nport = 2026-11-23", "asterisk.port", "got a date or time"),
    ("[asterisk]\nhost = 1", "asterisk.host", "expected a string, got 1"),
    ('[asterisk]\nhost = ""', "asterisk.host", "must not be empty"),
    ('[asterisk]\nusername = "a\\r\\nb"', "asterisk.username", "line breaks"),
    ('[asterisk]\nname = "my pbx"', "asterisk.name", "letters, digits and ._- only"),
    ('[asterisk]\nchallenge = "yes"', "asterisk.challenge", 'expected true or false, got "yes"'),
    ("[asterisk]\nkeepalive_seconds = 0", "asterisk.keepalive_seconds", "seconds from 0.1 to"),
    ("[asterisk]\nkeepalive_seconds = nan", "asterisk.keepalive_seconds", "seconds from 0.1 to"),
    (
        "[asterisk]\nreconnect_first_seconds = 60",
        "asterisk.reconnect_last_seconds",
        "is less than reconnect_first_seconds",
    ),
    ('[asterisk.tls]\nca_file = "no.pem"', "asterisk.tls.ca_file", "No such file"),
    ('[asterisk.tls]\nca_file = "rules.toml"', "asterisk.tls.ca_file", "no certificates"),
    ('[asterisk.tls]\nverification = "non"', "asterisk.tls.verification", 'did you mean "none"?'),
    ("feature_codes = 'x'", "feature_codes", 'expected a list, got "x"'),
    ("feature_codes = [1]", "feature_codes[0]", "expected a string, got 1"),
    ("feature_codes = ['a', '(']", "feature_codes[1]", "not a regular expression: missing )"),
    ('[public_numbers]\n"001" = "1"', "public_numbers.001", 'did you mean "0001*001"?'),
    ('[public_numbers]\n"1*1" = 1', 'public_numbers."1*1"', "expected a string, got 1"),
    ('[extensions]\ndefault_tenant = "1*"', "extensions.default_tenant", "a tenant without *"),
    ('[extensions]\ntrunks = ["provider"]', "extensions.trunks[0]", "with its technology"),
    (
        '[extensions]\ntrunks = ["SIP/a"]\nendpoints."SIP/a" = "1*1"',
        "extensions.trunks[0]",
        "SIP/a is an extension in extensions.endpoints",
    ),
    ('[extensions.endpoints]\n"desk" = "1*1"', "extensions.endpoints.desk", "as in SIP/desk"),
    ('[extensions.endpoints]\n"S/a" = "1*"', 'extensions.endpoints."S/a"', "extended number"),
    ("[[extensions.patterns]]", "extensions.patterns[0].pattern", "is missing"),
    (
        "[[extensions.patterns]]\npattern = '(?P<tenant>1)2'",
        "extensions.patterns[0].pattern",
        "none of them is the number",
    ),
    (
        "[[extensions.patterns]]\npattern = 'x(1)'",
        "extensions.patterns[0].pattern",
        "write (?:...) where a group only groups",
    ),
    (
        "[[extensions.patterns]]\npattern = '(?P<nummer>1)'",
        "extensions.patterns[0].pattern",
        'unknown group "nummer"; did you mean "number"?',
    ),
    (
        "[[extensions.patterns]]\npattern = '[0-'",
        "extensions.patterns[0].pattern",
        "not a regular expression: unterminated character set at character 1",
    ),
    (
        "[[extensions.patterns]]\npattern = 'x'\nkind = 'trunks'",
        "extensions.patterns[0].kind",
        'did you mean "trunk"?',
    ),
    (
        "[[extensions.patterns]]\npattern = 'x'\ntenant = ''",
        "extensions.patterns[0].tenant",
        "expected a tenant without * and ?",
    ),
    ("[delivery]\nconcurrency = 0", "delivery.concurrency", "an integer from 1 to 1000"),
    ("[delivery]\nretry_seconds = []", "delivery.retry_seconds", "at least one, got a list"),
    ("[delivery]\nretry_seconds = [1, 'x']", "delivery.retry_seconds[1]", 'got "x"'),
    (request('event = "Answr"'), "requests[0].event", 'did you mean "Answer"?'),
    (request('event = ["Hangup", "x"]'), "requests[0].event[1]", "unknown call event"),
    (request("event = []"), "requests[0].event", "the list is empty"),
    (request("extension = []"), "requests[0].extension", "the list is empty"),
    (request('extension = "001"'), "requests[0].extension", 'did you mean "0001*001"?'),
    (request('extension = ["*", "**"]'), "requests[0].extension[1]", "matches no extension"),
    (request('extension = "0?*1"'), "requests[0].extension", "it has no wildcards"),
    (request("extension = 1"), "requests[0].extension", "a string or a list of strings, got 1"),
    (request('method = "PUT"'), "requests[0].method", "expected one of GET, POST"),
    (request("status = true"), "requests[0].status", 'expected "enabled" or "disabled", got true'),
    (request('id = "a b"'), "requests[0].id", "1 to 255 letters, digits or ._-"),
    (request("notes = 1"), "requests[0].notes", "expected a string, got 1"),
    (request('format = "json"'), "requests[0].format", 'it needs method = "POST"'),
    (request('fields = ["EventTyp"]'), "requests[0].fields[0]", 'did you mean "EventType"?'),
    (request('fields = ["EventID", "eventid"]'), "requests[0].fields[1]", "stands there twice"),
    (request('parameters.CallID = "x"'), "requests[0].parameters.CallID", "is sent anyway"),
    (
        request('fields = ["EventID"]\nparameters.EventID = "x"'),
        "requests[0].parameters.EventID",
        "cannot be sent twice",
    ),
    (request("parameters.x = 5"), "requests[0].parameters.x", "expected a string, got 5"),
    (
        request('parameters.x = "{CallrID}"'),
        "requests[0].parameters.x",
        'unknown name {CallrID}; did you mean "CallID"?',
    ),
    (request('parameters."" = "x"'), 'requests[0].parameters.""', "a parameter needs a name"),
    (request('parameters.x = "{"'), "requests[0].parameters.x", "a single { at character 1"),
    (request('headers."X Y" = "z"'), 'requests[0].headers."X Y"', "is no name of a header"),
    (request('headers.X = "a\\r\\nB: c"'), "requests[0].headers.X", "line breaks"),
    (request('headers.webhook-id = "1"'), "requests[0].headers.webhook-id", "the bridge itself"),
    (
        request('headers.X = "1"\nheaders.x = "2"'),
        "requests[0].headers.x",
        "is there twice: capitals make no difference",
    ),
    (request("omit_empty = 1"), "requests[0].omit_empty", "expected true or false, got 1"),
    (request("") * 2, "requests[1]", "asks for the same as requests[0]; give one of them an id"),
    (
        request('id = "a"') + request('id = "a"\nmethod = "POST"'),
        "requests[1].id",
        '"a" is the id of requests[0] already',
    ),
]


@pytest.mark.parametrize(
    ("text", "path", "message"), [pytest.param(*row, id=row[1]) for row in MISTAKES]
)
def test_mistakes(tmp_path: Path, text: str, path: str, message: str) -> None:
    """
    Each mistake is told once, with its path, what was seen and what would be right.
    """
    ((found_path, found_message),) = problems(tmp_path, text)

    assert found_path == path
    assert message in found_message


URLS = [
    ("", "is missing"),
    ("crm.example/pbx", "begins with http:// or https://"),
    ("ftp://h/", "begins with http:// or https://"),
    ("http:///x", "expected a host"),
    ("http://h:80a/", "not a URL"),
    ("http://h:99999/", "not a URL"),
    ("http://h:0/", "there is no port 0"),
    ("http://[::1", "not a URL"),
    ("http://[::g]/", "not a URL"),
    ("http://a..b/", "is no host name"),
    ("http://ä..b/", "is no host name"),
    ("http://h/a b", "write a space as %20"),
    ("http://h/?n={CallerIDNum}", "works in parameters, not in the URL"),
    ("http://exämple.org/", "xn--exmple-cua.org"),
    ("http://h/?CallID=1", "its query has CallID already"),
    (f"http://{'a' * 64}.example/", "is no host name"),
]


@pytest.mark.parametrize(("url", "message"), [pytest.param(*row, id=row[0][:30]) for row in URLS])
def test_unusable_urls(tmp_path: Path, url: str, message: str) -> None:
    """
    A URL that could never be requested is refused when the rules are read.
    """
    ((path, found),) = problems(tmp_path, f'[[requests]]\nurl = "{url}"')

    assert path == "requests[0].url"
    assert message in found or url == "http://[::g]/"


def test_user_in_the_url_and_in_a_header(tmp_path: Path) -> None:
    """
    Two authorizations of one request are a mistake, whose message shows neither.
    """
    ((path, message),) = problems(
        tmp_path,
        '[[requests]]\nurl = "http://u:geheim@h/"\nheaders.authorization = "Bearer geheim"',
    )

    assert path == "requests[0].headers.authorization"
    assert "geheim" not in message


def test_headers_that_are_wrong_are_not_shown(tmp_path: Path) -> None:
    """
    The value of a header may be a secret, so that no message shows it.
    """
    ((_, message),) = problems(tmp_path, request("headers.X-Token = 12345"))

    assert message == "expected a string"


def tables(values: st.SearchStrategy[object]) -> st.SearchStrategy[dict[str, object]]:
    """
    Make tables with the keys of a rules file, and others.
    """
    known = ["asterisk", "extensions", "requests", "delivery", "public_numbers", "patterns"]
    known += ["tls", "headers", "parameters", "url", "extension", "event", "fields", "port"]
    known += ["endpoints", "retry_seconds", "secret_file", "ca_file", "pattern", "feature_codes"]
    known += ["auth", "user", "password", "bearer", "signing_secret", "signing_secret_env", "store"]
    known += ["path", "synchronous", "allow_networks", "allow_hosts", "only_hosts", "method"]
    return st.dictionaries(st.one_of(st.sampled_from(known), st.text()), values, max_size=4)


LEAVES = st.one_of(st.booleans(), st.integers(), st.floats(), st.text())
VALUES = st.recursive(
    LEAVES, lambda values: st.one_of(st.lists(values, max_size=3), tables(values)), max_leaves=10
)


@given(tables(VALUES))
def test_no_file_breaks_the_reader(table: dict[str, object]) -> None:
    """
    Whatever stands under whichever key, it is a configuration or a list of problems.
    """
    try:
        assert isinstance(read_rules(table, Path("rules.toml"), {}), Config)
    except ConfigError as refusal:
        assert refusal.problems  # noqa: PT017 - either outcome is right
