"""
Who is let in, by which door, and what they are told.
"""

import asyncio
import logging
import socket
import stat
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from ami_bridge import daemon
from ami_bridge.adapters.simulator import Simulator
from ami_bridge.control import access
from ami_bridge.control.access import ACCESS, Access
from ami_bridge.control.app import ControlServer, application
from ami_bridge.settings import ControlSettings, Token

from .houses import RULES, TOKENS, House, daemon_with, house

STATUS = "/api/v1/status"
SECRET = "0123456789abcdef"
_FORM = "application/x-www-form-urlencoded"
_LOGIN = f"POST /login HTTP/1.1\r\nHost: {{0}}\r\nContent-Type: {_FORM}\r\n"


@pytest.mark.parametrize("token", [None, "", "wrong", "0123456789abcdef"])
async def test_nobody_is_let_in_without_a_token(visited: House, token: str | None) -> None:
    """
    Without a token of the rules the answer is 401, and says what is needed.
    """
    found = await visited.get(STATUS, token)

    assert (found.status, found.error) == (401, "unauthorized")
    assert found.headers["WWW-Authenticate"] == 'Bearer realm="ami-bridge"'
    assert "[[control.tokens]]" in found.message


@pytest.mark.parametrize(
    "value", [f"bearer {TOKENS['reader']}", f"Bearer  {TOKENS['reader']} ", "Basic eDp5"]
)
async def test_the_scheme_is_bearer(visited: House, value: str) -> None:
    """
    The scheme is Bearer in any case of its letters, and no other.
    """
    found = await visited.ask("GET", STATUS, token=None, headers={"Authorization": value})

    assert found.status == (200 if "earer" in value else 401)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/api/v1/events"),
        ("PATCH", "/api/v1/events/all"),
        ("DELETE", "/api/v1/events/all"),
        ("POST", "/api/v1/events/all/test"),
        ("POST", "/api/v1/deliveries/x/retry"),
        ("POST", "/api/v1/deliveries/x/drop"),
        ("POST", "/api/v1/deliveries/retry"),
        ("POST", "/api/v1/deliveries/drop"),
    ],
)
async def test_who_may_read_changes_nothing(visited: House, method: str, path: str) -> None:
    """
    A token that may read is refused every change, whatever is asked for.
    """
    found = await visited.ask(method, path, token="reader", content={})

    assert (found.status, found.error) == (403, "forbidden")
    assert visited.rules.read_text() == RULES


async def test_a_token_that_is_gone_lets_nobody_in(visited: House) -> None:
    """
    When the rules name a token no more, its holder is nobody.
    """
    visited.rules.write_text(RULES.replace(TOKENS["reader"], "another-secret-altogether"))
    await visited.bridge.reload()

    assert (await visited.get(STATUS)).status == 401


async def test_a_change_is_logged(visited: House, caplog: pytest.LogCaptureFixture) -> None:
    """
    Who changed something, and what, stands in the log.
    """
    caplog.set_level(logging.INFO)
    await visited.ask("DELETE", "/api/v1/events/all")

    (record,) = [one for one in caplog.records if one.message == "asked to change something"]
    fields = vars(record)
    assert (fields["visitor"], fields["method"], fields["path"], fields["status"]) == (
        "changer",
        "DELETE",
        "/api/v1/events/all",
        204,
    )


@pytest.mark.parametrize("path", ["/api/v1/calls", "/nothing", "/healthz", "/api/v1/openapi.json"])
async def test_every_answer_is_protected(visited: House, path: str) -> None:
    """
    Each answer says that nothing from elsewhere is run, framed, guessed or kept.
    """
    headers = (await visited.get(path)).headers

    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["Cache-Control"] == "no-store"
    assert headers["Server"] == "ami-bridge"


async def test_what_is_not_there_is_said_in_json(visited: House) -> None:
    """
    An unknown path and a wrong method are refused in the one form; the latter names the right ones.
    """
    unknown = await visited.get("/api/v2/status")
    wrong = await visited.ask("DELETE", "/api/v1/events")

    assert (unknown.status, unknown.error) == (404, "not_found")
    assert (wrong.status, wrong.error) == (405, "method_not_allowed")
    assert wrong.headers["Allow"] == "GET,HEAD,POST"


async def test_an_error_of_ours_is_told_in_the_log_alone(
    visited: House, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """
    What went wrong inside stands in the log, and the answer does not repeat it.
    """

    async def fail(_: object) -> None:
        raise ZeroDivisionError("with something secret in it")

    monkeypatch.setattr(type(visited.bridge), "status", fail)
    found = await visited.get(STATUS)

    assert (found.status, found.error) == (500, "internal")
    assert "secret" not in found.text
    assert "something secret" in caplog.text


# -- sessions of browsers ------------------------------------------------------------------


def a_token(secret: str = SECRET) -> Token:
    """
    Make a token that may change everything.
    """
    return Token("browser", secret, may_change=True)


async def test_a_session_lets_in_and_ends(visited: House) -> None:
    """
    The cookie of a session lets its token's holder in, until the session is ended.
    """
    runner = visited_application(visited)
    key = runner.begin_session(runner.token(TOKENS["reader"]) or a_token())
    headers = {"Cookie": f"{access.COOKIE}={key}"}

    before = await visited.ask("GET", STATUS, token=None, headers=headers)
    runner.end_session(key)
    after = await visited.ask("GET", STATUS, token=None, headers=headers)

    assert (before.status, after.status) == (200, 401)


@pytest.mark.parametrize("given", ["none", "wrong", "header", "form"])
async def test_a_change_in_a_session_needs_its_csrf_token(visited: House, given: str) -> None:
    """
    With a cookie nothing is changed unless the session's CSRF token is repeated.
    """
    runner = visited_application(visited)
    token = runner.token(TOKENS["changer"])
    assert token is not None
    key = runner.begin_session(token)
    csrf = runner._sessions[key].csrf
    headers = {"Cookie": f"{access.COOKIE}={key}"}
    data: Any = None
    if given in ("header", "wrong"):
        headers["X-CSRF-Token"] = csrf if given == "header" else "wrong"
    if given == "form":
        headers["Content-Type"] = "application/x-www-form-urlencoded"
        data = f"csrf={csrf}".encode()

    found = await visited.ask(
        "DELETE", "/api/v1/events/all", token=None, headers=headers, data=data
    )

    assert found.status == (204 if given in ("header", "form") else 403)


async def test_a_bearer_token_needs_no_csrf_token(visited: House) -> None:
    """
    A program with a bearer token is not asked for a CSRF token, whatever cookies it sends.
    """
    headers = {"Cookie": f"{access.COOKIE}=whatever"}

    assert (await visited.ask("DELETE", "/api/v1/events/all", headers=headers)).status == 204


def visited_application(visited: House) -> Access:
    """
    Give the access of the application that is visited.
    """
    runner = visited.server._runner
    assert runner is not None
    app = runner.app
    assert isinstance(app, web.Application)
    return app[ACCESS]


def test_sessions_end_by_themselves() -> None:
    """
    A session ends after a working day, and when its token is gone or allows less.
    """
    now, tokens = [0.0], [a_token()]
    found = Access(lambda: tokens, clock=lambda: now[0])
    key = found.begin_session(tokens[0])

    assert found._of_session(key) is not None
    tokens[0] = Token("browser", SECRET, may_change=False)
    assert found._of_session(key) is None
    tokens[0] = a_token()
    now[0] = access.SESSION_SECONDS
    assert found._of_session(key) is None
    found.begin_session(tokens[0])
    assert len(found._sessions) == 1


def test_there_are_only_so_many_sessions(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    The oldest session ends for one too many.
    """
    monkeypatch.setattr(access, "_MOST_SESSIONS", 2)
    token = a_token()
    found = Access(lambda: [token])
    keys = [found.begin_session(token) for _ in range(3)]

    assert [found._of_session(key) is not None for key in keys] == [False, True, True]


# -- doors ---------------------------------------------------------------------------------


async def test_the_unix_socket_lets_in_its_user(visited: House) -> None:
    """
    Who may open the Unix socket, which is this user alone, may do everything without a token.
    """
    path = visited.rules.parent / "run" / "control.sock"

    async with (
        aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(path))) as session,
        session.delete("http://bridge/api/v1/events/all") as response,
    ):
        assert response.status == 204
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


async def test_the_socket_is_gone_after_the_end(tmp_path: Path) -> None:
    """
    A bridge that ends takes its socket with it.
    """
    async with house(tmp_path):
        assert (tmp_path / "run" / "control.sock").is_socket()

    assert not (tmp_path / "run" / "control.sock").exists()


async def test_a_socket_left_behind_is_replaced(visited: House, tmp_path: Path) -> None:
    """
    The socket of a bridge that was killed is nobody's, and is taken over.
    """
    path = tmp_path / "left.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))

    async with ControlServer(visited.bridge, ControlSettings(socket=path)) as server:
        assert await server.open() == []
        assert await server.open() == []


async def test_another_bridge_keeps_its_socket(visited: House) -> None:
    """
    A socket at which somebody listens stays theirs, and is still there afterwards.
    """
    path = visited.rules.parent / "run" / "control.sock"

    async with ControlServer(visited.bridge, ControlSettings(socket=path)) as server:
        assert await server.open() == [f"{path}: another bridge listens here"]

    assert path.is_socket()


async def test_a_socket_of_another_bridge_is_not_removed(visited: House, tmp_path: Path) -> None:
    """
    A bridge that ends leaves the socket that another one has put in its place.
    """
    path = tmp_path / "shared.sock"
    async with ControlServer(visited.bridge, ControlSettings(socket=path)) as server:
        await server.open()
        path.rename(tmp_path / "mine.sock")
        path.write_text("another's")

    assert path.read_text() == "another's"


async def test_a_file_is_no_socket(visited: House, tmp_path: Path) -> None:
    """
    A file that stands where the socket shall be is not removed.
    """
    path = tmp_path / "rules.toml"
    before = path.read_text()

    async with ControlServer(visited.bridge, ControlSettings(socket=path)) as server:
        assert await server.open() == [f"{path}: there is a file that is no socket"]

    assert path.read_text() == before


async def test_a_busy_bridge_is_there(visited: House, tmp_path: Path) -> None:
    """
    A socket whose line of waiting visitors is full is somebody's.
    """
    path = tmp_path / "busy.sock"
    with socket.socket(socket.AF_UNIX) as busy, socket.socket(socket.AF_UNIX) as waiting:
        busy.bind(str(path))
        busy.listen(0)
        waiting.connect(str(path))
        async with ControlServer(visited.bridge, ControlSettings(socket=path)) as server:
            assert await server.open() == [f"{path}: another bridge listens here"]


async def test_a_port_in_use_is_told(visited: House, tmp_path: Path) -> None:
    """
    A port in use is told and tried again; the other door is open meanwhile.
    """
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        settings = ControlSettings(tmp_path / "other.sock", "127.0.0.1", port)
        async with ControlServer(visited.bridge, settings) as server:
            (problem,) = await server.open()
            assert "address already in use" in problem
            assert (tmp_path / "other.sock").is_socket()
            taken.close()
            assert await server.open() == []
            assert server.address == ("127.0.0.1", port)


async def test_without_the_table_nothing_listens(visited: House) -> None:
    """
    A bridge whose rules have no [control] opens no door.
    """
    async with ControlServer(visited.bridge, ControlSettings()) as server:
        assert await server.open() == []
        assert server._runner is None


def test_the_application_has_no_route_twice(visited: House) -> None:
    """
    Each method of each path is answered by one handler.
    """
    app = application(visited.bridge)
    routes = [
        (route.method, route.resource.canonical)
        for route in app.router.routes()
        if route.resource is not None
    ]

    assert len(routes) == len(set(routes))


async def test_a_daemon_tries_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """
    A daemon whose port is in use does its work, says so once, and opens it when it is free.
    """
    monkeypatch.setattr(daemon, "OPEN_AGAIN_SECONDS", 0.01)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        more = f'listen = "127.0.0.1:{port}"\n'
        async with (
            Simulator(lambda: (), speed=0) as pbx,
            daemon_with(tmp_path, pbx.port, more) as visited,
        ):
            await visited.until("/readyz", lambda found: found.status == 200)
            taken.close()
            async with aiohttp.ClientSession() as session, asyncio.timeout(5):
                while True:
                    try:
                        async with session.get(f"http://127.0.0.1:{port}/healthz") as response:
                            assert response.status == 200
                            break
                    except aiohttp.ClientConnectorError:
                        await asyncio.sleep(0.01)

    told = [one for one in caplog.records if one.message == "cannot be looked at or steered"]
    assert len(told) == 1
    assert "already in use" in vars(told[0])["reason"]
    assert not (tmp_path / "control.sock").exists()


@pytest.mark.parametrize(
    "request_text",
    [
        pytest.param("GET / HTTP/1.1\r\nHost: {0}\r\nContent-Length: x\r\n\r\n", id="no HTTP"),
        pytest.param(f"{_LOGIN}Content-Length: 9\r\n\r\nx", id="broken off"),
        pytest.param(
            f"{_LOGIN}Content-Encoding: gzip\r\nContent-Length: 4\r\n\r\nrubb",
            id="not gzip",
        ),
    ],
)
async def test_nobody_fills_the_log(
    visited: House, caplog: pytest.LogCaptureFixture, request_text: str
) -> None:
    """
    What anybody may send, and nobody can read, is no error of ours and leaves no traceback.
    """
    caplog.set_level(logging.INFO)
    host, port = visited.server.address or ("", 0)
    reader, writer = await asyncio.open_connection(host, port)
    writer.write(request_text.format(f"{host}:{port}").encode())
    writer.write_eof()
    answer = await reader.read()
    writer.close()
    await visited.get(STATUS)  # what was to be logged has been

    assert not answer.startswith(b"HTTP/1.1 5")
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []
    assert [record for record in caplog.records if record.exc_info] == []
