"""
TLS: whose certificate is trusted, and what is said where it is not.
"""

import shutil
import ssl
import subprocess
from pathlib import Path
from typing import Any

import pytest

from ami_bridge.adapters.ami_session import AmiSession
from ami_bridge.errors import AmiLost
from ami_bridge.settings import TlsSettings, TlsVerification

from .ami_ears import settings_for
from .ami_server import AmiServer, Peer


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """
    Make a certificate for pbx.test that has signed itself, and its key beside it.
    """
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("the program openssl is not here")
    path = tmp_path_factory.mktemp("tls") / "certificate.pem"
    command = [openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    names = ["-subj", "/CN=pbx.test", "-addext", "subjectAltName=DNS:pbx.test"]
    files = ["-keyout", str(path.with_name("key.pem")), "-out", str(path)]
    subprocess.run([*command, *names, *files], check=True, capture_output=True)
    return path


def server_with(certificate: Path) -> AmiServer:
    """
    Make a server that shows *certificate*.
    """
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, certificate.with_name("key.pem"))
    return AmiServer(tls=context)


async def log_in(server: AmiServer, **tls: Any) -> str | None:
    """
    Log in to *server* by TLS and give its version.
    """
    async with AmiSession(settings_for(server, tls=TlsSettings(**tls))) as session:
        return session.ami_version


async def test_own_certificate_authority(certificate: Path) -> None:
    """
    A certificate that the CA file vouches for is trusted if it shows the right name.
    """
    async with server_with(certificate) as server:
        assert await log_in(server, ca_file=certificate, server_name="pbx.test") == "11.0.0"


async def test_wrong_name(certificate: Path) -> None:
    """
    A certificate that names somebody else is refused, although its CA is trusted.
    """
    async with server_with(certificate) as server:
        with pytest.raises(AmiLost, match=r"not trusted: .*mismatch"):
            await log_in(server, ca_file=certificate)

        assert all(peer.actions == [] for peer in server.peers)


async def test_unknown_authority(certificate: Path) -> None:
    """
    A certificate that nobody vouches for is refused by default.
    """
    async with server_with(certificate) as server:
        with pytest.raises(AmiLost, match="not trusted: self-signed certificate"):
            await log_in(server, server_name="pbx.test")


async def test_unverified(certificate: Path) -> None:
    """
    Any certificate will do where the operator says so explicitly.
    """
    async with server_with(certificate) as server:
        assert await log_in(server, verification=TlsVerification.NONE) == "11.0.0"


async def test_tls_to_a_plain_port() -> None:
    """
    TLS to a port that does not speak it ends with a question that leads on.
    """
    async with AmiServer() as server:
        with pytest.raises(AmiLost, match=r"TLS failed .*is this the manager's TLS port\?"):
            await log_in(server)


async def test_plain_to_a_tls_port(certificate: Path) -> None:
    """
    A plain connection to the TLS port gets no greeting, and no secret is sent.
    """
    async with server_with(certificate) as server:
        settings = settings_for(server, connect_timeout_seconds=0.05)
        with pytest.raises(AmiLost, match="said nothing"):
            async with AmiSession(settings):
                pass

        assert all(peer.actions == [] for peer in server.peers)


async def test_missing_ca_file(tmp_path: Path) -> None:
    """
    A CA file that vanished is named in the loss.
    """
    async with AmiServer(Peer.stay) as server:
        with pytest.raises(AmiLost, match=r"the CA file .*gone\.pem: No such file"):
            await log_in(server, ca_file=tmp_path / "gone.pem")
