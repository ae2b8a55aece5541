"""
Rules files: how the running bridge can be looked at and steered.
"""

from pathlib import Path

import pytest

from ami_bridge.config.control import SYSTEM_SOCKET, default_socket
from ami_bridge.core.scopes import Scope
from ami_bridge.settings import Token
from tests.unit.rules_files import load, problems

SECRET = "0123456789abcdef"


def token(lines: str = "", name: str = "wallboard", secret: str = SECRET) -> str:
    """
    Write a token that is right, with *lines* in it.
    """
    return f'[[control.tokens]]\nname = "{name}"\ntoken = "{secret}"\n{lines}\n'


def test_without_the_table_nothing_listens(tmp_path: Path) -> None:
    """
    Rules without [control] switch the application off.
    """
    assert load(tmp_path, "").control is None


def test_the_table_alone_opens_the_socket(tmp_path: Path) -> None:
    """
    An empty [control] opens the Unix socket at its usual place, and no port.
    """
    control = load(tmp_path, "[control]", {"RUNTIME_DIRECTORY": "/run/x:/run/y"}).control

    assert control is not None
    assert control.socket == Path("/run/x/control.sock")
    assert (control.host, control.tokens) == (None, ())


@pytest.mark.parametrize(
    ("environ", "path"),
    [
        ({}, SYSTEM_SOCKET),
        ({"XDG_RUNTIME_DIR": "/run/user/7"}, Path("/run/user/7/ami-bridge/control.sock")),
        ({"XDG_RUNTIME_DIR": "/r", "RUNTIME_DIRECTORY": "/u"}, Path("/u/control.sock")),
    ],
)
def test_the_socket_has_a_usual_place(environ: dict[str, str], path: Path) -> None:
    """
    The socket is where systemd says, else where the user's things are, else where root's are.
    """
    assert default_socket(environ) == path


def test_everything_can_be_said(tmp_path: Path) -> None:
    """
    Socket, address, proxy and tokens are as they are written.
    """
    (tmp_path / "secret").write_text(f"{SECRET}\n")
    text = (
        '[control]\nsocket = "run/x.sock"\nlisten = "127.0.0.1:80"\nbehind_https = true\n'
        '[[control.tokens]]\nname = "a"\ntoken_file = "secret"\nscope = "0003*"\nmay = "change"\n'
        + token(name="b", secret="fedcba9876543210")
    )

    control = load(tmp_path, text).control

    assert control is not None
    assert control.socket == tmp_path / "run" / "x.sock"
    assert (control.host, control.port, control.behind_https) == ("127.0.0.1", 80, True)
    assert control.tokens == (
        Token("a", SECRET, Scope("0003*"), may_change=True),
        Token("b", "fedcba9876543210", Scope("*"), may_change=False),
    )


@pytest.mark.parametrize(
    ("listen", "host", "port"),
    [("[::1]:8088", "::1", 8088), ("localhost:1", "localhost", 1), ("10.0.0.1:80", "10.0.0.1", 80)],
)
def test_an_address_is_a_host_and_a_port(tmp_path: Path, listen: str, host: str, port: int) -> None:
    """
    An address is a name, an IPv4 address, or one of IPv6 in brackets, and a port.
    """
    control = load(tmp_path, f'[control]\nlisten = "{listen}"').control

    assert control is not None
    assert (control.host, control.port) == (host, port)


@pytest.mark.parametrize("listen", ["8088", ":8088", "::1:8088", "host", "host:99999", "a b:1"])
def test_what_is_no_address_is_refused(tmp_path: Path, listen: str) -> None:
    """
    What is no address with a port is refused, with an example of one.
    """
    ((path, message),) = problems(tmp_path, f'[control]\nlisten = "{listen}"')

    assert path == "control.listen"
    assert "as in 127.0.0.1:8088" in message


@pytest.mark.parametrize(
    ("lines", "warned"),
    [
        ('listen = "127.0.0.2:80"', False),
        ('listen = "[::1]:80"', False),
        ('listen = "localhost:80"', False),
        ('listen = "0.0.0.0:80"', True),
        ('listen = "pbx.lan:80"', True),
        ('listen = "0.0.0.0:80"\nbehind_https = true', False),
    ],
)
def test_tokens_in_the_clear_are_worth_a_warning(tmp_path: Path, lines: str, warned: bool) -> None:
    """
    An address that others can reach, with no HTTPS in front, is warned of.
    """
    warnings = load(tmp_path, f"[control]\n{lines}").warnings

    assert [warning.path for warning in warnings] == (["control.listen"] if warned else [])


@pytest.mark.parametrize(
    ("text", "path", "message"),
    [
        (token('scope = "0003"'), "scope", "expected * for everybody"),
        (token('may = "all"'), "may", "read"),
        (token(secret="short"), "token", "at least 16 visible ASCII characters"),
        (token(secret="with a space inside"), "token", "openssl rand -hex 32"),
        (token(name="a b"), "name", "1 to 64 letters"),
        ('[[control.tokens]]\nname = "x"', "token_file", "is missing"),
        (f'[[control.tokens]]\ntoken = "{SECRET}"', "name", "is missing"),
        (token("scoop = 1"), "scoop", 'did you mean "scope"?'),
    ],
)
def test_a_wrong_token_is_explained(tmp_path: Path, text: str, path: str, message: str) -> None:
    """
    What is wrong with a token is told with its place, and without its secret.
    """
    found = problems(tmp_path, f"[control]\n{text}")

    assert [one[0] for one in found] == [f"control.tokens[0].{path}"]
    assert message in found[0][1]
    assert SECRET not in found[0][1]


def test_tokens_differ(tmp_path: Path) -> None:
    """
    Two tokens have neither one name nor one secret.
    """
    text = token() + token() + token(name="other")

    found = problems(tmp_path, f"[control]\n{text}")

    assert found == [
        ("control.tokens[1].name", '"wallboard" is the name of another token, too'),
        ("control.tokens[2].name", "its secret is that of another token, too"),
    ]


def test_the_secret_is_not_shown(tmp_path: Path) -> None:
    """
    Neither the settings nor the warnings show a token.
    """
    config = load(tmp_path, f"[control]\n{token()}")

    assert SECRET not in repr(config)
    assert [warning.path for warning in config.warnings] == ["control.tokens[0].token"]
