"""
Rules files: by what a receiver knows the bridge.
"""

import base64
from pathlib import Path

import pytest

from ami_bridge.config.report import describe
from ami_bridge.core.rules import Rule
from ami_bridge.core.signing import NO_CREDENTIALS, Credentials
from tests.unit.rules_files import SIGNING_SECRET, load, problems, request

KEY = b"s3cret" * 4
OTHER_SECRET, OTHER_KEY = "whsec_" + "Z2VoZWlt" * 4, b"geheim" * 4


def auth(lines: str) -> str:
    """
    Write a POST, so that nothing is to be warned of, with *lines* in its table auth.
    """
    return request(f'method = "POST"\n[requests.auth]\n{lines}')


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """
    Give a folder with secrets in files.
    """
    (tmp_path / "password").write_text("geheim ß\n", encoding="utf-8")
    (tmp_path / "token").write_text("s3cret\r\n", encoding="ascii")
    (tmp_path / "one").write_text(f"{SIGNING_SECRET}\n", encoding="ascii")
    (tmp_path / "two").write_text(f"{OTHER_SECRET}\r\n\r\n {SIGNING_SECRET} \n", encoding="ascii")
    return tmp_path


def basic(user: str, password: str) -> str:
    """
    Write what Authorization should be.
    """
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


@pytest.mark.parametrize(
    ("written", "credentials"),
    [
        pytest.param("", NO_CREDENTIALS, id="none"),
        pytest.param(
            'user = "pbx"\npassword_file = "password"',
            Credentials(basic("pbx", "geheim ß")),
            id="a password in a file",
        ),
        pytest.param(
            'user = "pbx"\npassword_env = "P"', Credentials(basic("pbx", "p:q")), id="in a variable"
        ),
        pytest.param(
            'user = "pbx"\npassword_credential = "password"',
            Credentials(basic("pbx", "geheim ß")),
            id="in a credential of the unit",
        ),
        pytest.param('bearer_file = "token"', Credentials("Bearer s3cret"), id="a bearer token"),
        pytest.param('signing_secret_file = "one"', Credentials("", (KEY,)), id="a signature"),
        pytest.param(
            'signing_secret_file = "two"', Credentials("", (OTHER_KEY, KEY)), id="two of them"
        ),
        pytest.param(
            'signing_secret_env = "S"', Credentials("", (KEY, OTHER_KEY)), id="two in a variable"
        ),
        pytest.param(
            'bearer_file = "token"\nsigning_secret_file = "one"',
            Credentials("Bearer s3cret", (KEY,)),
            id="both",
        ),
    ],
)
def test_credentials(folder: Path, written: str, credentials: Credentials) -> None:
    """
    Credentials come from where the rules say, without a warning, and are shown nowhere.
    """
    environ = {
        "P": "p:q",
        "S": f"{SIGNING_SECRET} {OTHER_SECRET}",
        "CREDENTIALS_DIRECTORY": str(folder),
    }

    config = load(folder, auth(written), environ)

    (rule,) = config.rules
    assert rule.credentials == credentials
    assert config.warnings == ()
    assert rule.headers == {}
    for shown in (repr(config), "\n".join(describe(config))):
        for secret in ("geheim", "s3cret", "czNjcmV0", "Z2VoZWlt", basic("pbx", "")[6:12]):
            assert secret not in shown


@pytest.mark.parametrize(
    ("written", "path"),
    [
        pytest.param('user = "u"\npassword = "geheim"', "password", id="password"),
        pytest.param('bearer = "geheim"', "bearer", id="bearer"),
        pytest.param(f'signing_secret = "{OTHER_SECRET}"', "signing_secret", id="signing"),
    ],
)
def test_inline_secrets(tmp_path: Path, written: str, path: str) -> None:
    """
    A secret in the rules file works, and is warned about without being shown.
    """
    config = load(tmp_path, auth(written))

    (warning,) = config.warnings
    assert warning.path == f"requests[0].auth.{path}"
    assert f"{path}_file keeps it out of sight" in warning.message
    assert config.rules[0].credentials != NO_CREDENTIALS


def test_header_authorization(tmp_path: Path) -> None:
    """
    A header Authorization becomes credentials, so that it is not stored; it is warned about.
    """
    config = load(tmp_path, request('headers.authorization = " geheim "\nheaders.X-Source = "pbx"'))

    (rule,) = config.rules
    assert rule.headers == {"X-Source": "pbx"}
    assert rule.credentials == Credentials("geheim")
    assert [warning.path for warning in config.warnings] == ["requests[0].headers.authorization"]
    assert "    header Authorization" in describe(config)
    assert "geheim" not in "\n".join(describe(config)) + repr(config) + repr(config.warnings)


def test_a_signed_get_is_warned_about(folder: Path) -> None:
    """
    What a GET says stands in its URL, which no signature covers: that is said.
    """
    config = load(folder, request('auth.signing_secret_file = "one"'))

    (warning,) = config.warnings
    assert warning.path == "requests[0].auth.signing_secret_file"
    assert "the parameters of a GET are not signed" in warning.message


@pytest.mark.parametrize(
    ("credentials", "line"),
    [
        pytest.param(Credentials(basic("u", "p")), "authorization by user and password", id="user"),
        pytest.param(Credentials("Bearer x"), "authorization by a bearer token", id="bearer"),
        pytest.param(Credentials("geheim x"), "header Authorization", id="something else"),
        pytest.param(Credentials("", (KEY,)), "signed with 1 secret", id="one signature"),
        pytest.param(Credentials("", (KEY, KEY)), "signed with 2 secrets", id="two signatures"),
    ],
)
def test_report(tmp_path: Path, credentials: Credentials, line: str) -> None:
    """
    `check` tells of each request how its receiver knows the bridge, and no secret.
    """
    config = load(tmp_path, "")

    lines = describe(type(config)(rules=(Rule("r", "http://h/", credentials=credentials),)))

    assert f"    {line}" in lines


MISTAKES = [
    ('user = "u"', "password_file", "is missing: where the user's password is"),
    ('password_file = "password"', "user", "is missing: whose password it is"),
    ('user = "a:b"\npassword_file = "password"', "user", "no colon"),
    ('user = 5\nbearer_file = "token"', "user", "expected a string, got 5"),
    ('bearer_file = "nowhere"', "bearer_file", "nowhere: No such file"),
    ('bearer_file = "password"', "bearer_file", "visible ASCII characters"),
    ('bearer_env = "geheim"', "bearer_env", "there is no environment variable geheim"),
    ('bearer_file = "token"\nbearer_env = "T"', "bearer_file", "there is bearer_env"),
    ("bearer_file = 5", "bearer_file", "expected a string"),
    ('barer_file = "token"', "barer_file", 'unknown key; did you mean "bearer_file"?'),
    (
        'user = "u"\npassword_file = "token"\nbearer_file = "token"',
        "user",
        "exclude each other",
    ),
    ('signing_secret_file = "token"', "signing_secret_file", "begins with whsec_"),
    ('signing_secret = "whsec_s3cret!"', "signing_secret", "is not base64"),
    ('signing_secret = "whsec_s3cret"', "signing_secret", "24 to 64 octets; this one has 4"),
    ('signing_secret = ["whsec_s3cret"]', "signing_secret", "expected a string"),
    (
        f'signing_secret = "{SIGNING_SECRET} s3cret"',
        "signing_secret",
        "secret 2 of 2: expected a signing secret",
    ),
    ('signing_secret = " "', "signing_secret", "cannot be read: it is empty"),
]


@pytest.mark.parametrize(
    ("written", "key", "message"),
    [pytest.param(*row, id=f"{row[1]}: {row[2]}") for row in MISTAKES],
)
def test_mistakes(folder: Path, written: str, key: str, message: str) -> None:
    """
    Each mistake is told once, with its path and what would be right, and shows no secret.
    """
    ((found_path, found_message),) = problems(folder, auth(written))

    assert found_path == f"requests[0].auth.{key}"
    assert message in found_message
    assert "s3cret" not in found_message


@pytest.mark.parametrize(
    "elsewhere",
    ['url = "http://u:p@h/"', 'url = "http://h/"\nheaders.Authorization = "x"'],
)
def test_two_authorizations(folder: Path, elsewhere: str) -> None:
    """
    Authorization in the table and in the URL or a header exclude each other.
    """
    text = f'[[requests]]\n{elsewhere}\nauth.bearer_file = "token"'

    ((path, message),) = problems(folder, text)

    assert path == "requests[0].auth"
    assert "says it already" in message


def test_credentials_that_are_not_needed(folder: Path) -> None:
    """
    Where nothing is sent, credentials that cannot be read are worth a warning only.
    """
    config = load(folder, auth('user = "u"\npassword_file = "nowhere"'), credentials_needed=False)

    assert config.rules[0].credentials == NO_CREDENTIALS
    assert [warning.path for warning in config.warnings] == ["requests[0].auth.password_file"]
