"""
Connections that are kept, those of other settings, by proxies, and with TLS.
"""

import asyncio
import gc
import shutil
import ssl
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import attrs
import pytest
from aiohttp import web

from ami_bridge.adapters.connecting import Connections
from ami_bridge.core.destinations import Destinations
from tests.integration.asking import ALLOWED, NOWHERE, ask, ask_once
from tests.integration.receivers import HERE, ScriptedReceiver, status, until

# -- other settings --------------------------------------------------------------------


async def test_open_connections_do_not_outlive_their_permission() -> None:
    """
    What other settings do not allow is not reached over a connection that is open already.
    """
    async with ScriptedReceiver() as receiver, Connections(ALLOWED) as lines:
        assert await ask(lines, receiver.url) == 200
        lines.apply(NOWHERE)
        assert "not contacted" in str(await ask(lines, receiver.url))
        lines.apply(ALLOWED)
        assert await ask(lines, receiver.url) == 200

    assert len(receiver.connections) == 2


async def test_a_request_under_way_is_not_cut_off() -> None:
    """
    What is under way when the settings change is finished with the old ones.
    """
    gate = asyncio.Event()

    async def when_told(_: web.BaseRequest) -> web.StreamResponse:
        await gate.wait()
        return web.Response()

    async with ScriptedReceiver(always=when_told) as receiver, Connections(ALLOWED) as lines:
        under_way = asyncio.create_task(ask(lines, receiver.url))
        await until(lambda: bool(receiver.heard))
        lines.apply(NOWHERE)
        gate.set()
        assert await under_way == 200

    gc.collect()  # a session that was not closed would warn now


async def test_connections_are_kept() -> None:
    """
    Requests one after another share a connection, also when the same settings are applied.
    """
    async with ScriptedReceiver() as receiver, Connections(ALLOWED) as lines:
        for _ in range(5):
            assert await ask(lines, receiver.url) == 200
            lines.apply(attrs.evolve(ALLOWED))

    assert len(receiver.connections) == 1


async def test_redirects_are_not_followed() -> None:
    """
    A redirect, wherever it leads, is an answer as any other.
    """
    moved = status(302, Location="http://127.0.0.1:1/elsewhere")
    async with ScriptedReceiver(always=moved) as receiver:
        assert await ask_once(ALLOWED, receiver.url) == 302


async def test_before_and_after_use() -> None:
    """
    Connections that were not entered cannot be used; settings can be changed before.
    """
    lines = Connections(NOWHERE)
    lines.apply(ALLOWED)
    with pytest.raises(RuntimeError, match="entered"):
        await ask(lines, "http://127.0.0.1:1/")
    async with ScriptedReceiver() as receiver, lines:
        assert await ask(lines, receiver.url) == 200


# -- proxies ---------------------------------------------------------------------------

BY_PROXY = attrs.evolve(ALLOWED, use_proxy_from_environment=True)


@pytest.fixture
async def proxy(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[ScriptedReceiver]:
    """
    Give a proxy that answers by itself, and name it in the environment.
    """
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    async with ScriptedReceiver(always=status(203)) as receiver:
        monkeypatch.setenv("http_proxy", f"http://u:p@127.0.0.1:{receiver.port}")
        yield receiver


async def test_no_proxy_unless_asked_for(proxy: ScriptedReceiver) -> None:
    """
    A proxy in the environment is not used unless the rules say so.
    """
    async with ScriptedReceiver() as receiver:
        assert await ask_once(ALLOWED, receiver.url) == 200

    assert proxy.heard == []


async def test_a_proxy_that_is_asked_for(proxy: ScriptedReceiver) -> None:
    """
    With the proxy, the host's name is the proxy's affair; its user is told to it.
    """
    assert await ask_once(BY_PROXY, "http://crm.example.org/x?y=z") == 203

    (heard,) = proxy.heard
    assert heard.raw_path == "http://crm.example.org/x?y=z"
    assert heard.headers["Host"] == "crm.example.org"
    assert heard.headers["Proxy-Authorization"] == "Basic dTpw"
    assert "Authorization" not in heard.headers


async def test_the_proxy_is_judged(proxy: ScriptedReceiver) -> None:
    """
    A proxy that may not be connected to is none; its own address is told.
    """
    settings = attrs.evolve(BY_PROXY, destinations=Destinations())

    said = await ask_once(settings, "http://crm.example.org/")

    assert "127.0.0.1 is a loopback address and not contacted" in str(said)
    assert proxy.connections == set()


@pytest.mark.parametrize("url", ["http://169.254.169.254/latest", "http://evil.example/"])
async def test_a_proxy_is_no_way_around(proxy: ScriptedReceiver, url: str) -> None:
    """
    What is refused by its name or as an address is not asked of a proxy either.
    """
    only = attrs.evolve(HERE, only_hosts=("127.0.0.1", "169.254.169.254"))
    settings = attrs.evolve(BY_PROXY, destinations=only)

    assert "not contacted" in str(await ask_once(settings, url))
    assert proxy.connections == set()


async def test_hosts_without_the_proxy(
    proxy: ScriptedReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    What $no_proxy names is contacted directly, and so is a scheme that has no proxy.
    """
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    async with ScriptedReceiver() as receiver:
        assert await ask_once(BY_PROXY, receiver.url) == 200
        said = await ask_once(BY_PROXY, f"https://localhost:{receiver.port}/")

    assert "Cannot connect to host localhost" in str(said)
    assert proxy.heard == []


async def test_a_tunnel_through_the_proxy(
    proxy: ScriptedReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    https goes through a tunnel, which is asked for by the host's name.
    """
    monkeypatch.setenv("HTTPS_PROXY", f"127.0.0.1:{proxy.port}")

    said = await ask_once(BY_PROXY, "https://crm.example.org/x")

    assert "203" in str(said)
    assert [heard.method for heard in proxy.heard] == ["CONNECT"]


async def test_a_proxy_of_another_kind(
    proxy: ScriptedReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    A proxy that cannot be used is not gone around, and its password is not told.
    """
    monkeypatch.delenv("http_proxy")
    monkeypatch.setenv("all_proxy", f"socks5://u:geheim@127.0.0.1:{proxy.port}")

    said = await ask_once(BY_PROXY, "http://127.0.0.1:1/")

    assert proxy.connections == set()

    assert "the environment's proxy for http is none for HTTP, but socks5" in str(said)
    assert "geheim" not in str(said)


# -- TLS -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """
    Give a certificate for 127.0.0.1 that has signed itself, with its key in the same file.
    """
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("the program openssl is not here")
    path = tmp_path_factory.mktemp("tls") / "both.pem"
    command = f"{openssl} req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=127.0.0.1"
    command += f" -addext subjectAltName=IP:127.0.0.1 -keyout {path} -out {path}.crt"
    subprocess.run(command.split(), check=True, capture_output=True)
    path.write_text(path.read_text() + path.with_suffix(".pem.crt").read_text())
    return path


@pytest.mark.parametrize(
    ("host", "trusted", "reached"),
    [
        pytest.param("127.0.0.1", True, True, id="an own CA"),
        pytest.param("127.0.0.1", False, False, id="a CA that nobody knows"),
        pytest.param("localhost", True, False, id="another host's certificate"),
    ],
)
async def test_certificates(certificate: Path, host: str, trusted: bool, reached: bool) -> None:
    """
    A receiver's certificate is verified; the operator's own CA can vouch for it.
    """
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate)
    settings = attrs.evolve(ALLOWED, ca_file=certificate if trusted else None)
    async with ScriptedReceiver(tls=tls) as receiver:
        said = await ask_once(settings, f"https://{host}:{receiver.port}/")

    assert said == 200 if reached else "CERTIFICATE_VERIFY_FAILED" in str(said)
    assert bool(receiver.heard) is reached
