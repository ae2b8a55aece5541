"""
Rules files for tests: loading a text as one, and what is wrong with it.
"""

import re
import ssl
from collections.abc import Mapping
from pathlib import Path

import pytest

from ami_bridge.config import load_config
from ami_bridge.errors import ConfigError
from ami_bridge.settings import Config

#: Of 24 octets, the shortest that there may be.
SIGNING_SECRET = "whsec_" + "czNjcmV0" * 4
DEFAULT_FILE = Path(__file__).parents[2] / "rules.toml"


def load(
    folder: Path,
    text: str,
    environ: Mapping[str, str] | None = None,
    *,
    secret_needed: bool = True,
    credentials_needed: bool = True,
) -> Config:
    """
    Load *text* as the rules.toml of *folder*.
    """
    path = folder / "rules.toml"
    path.write_text(text, encoding="utf-8")
    return load_config(
        path,
        environ or {},
        secret_needed=secret_needed,
        credentials_needed=credentials_needed,
    )


def problems(folder: Path, text: str) -> list[tuple[str, str]]:
    """
    Load *text*, which is wrong, and give its problems: path and message of each.
    """
    with pytest.raises(ConfigError) as refusal:
        load(folder, text)
    return [(problem.path, problem.message) for problem in refusal.value.problems]


def request(lines: str) -> str:
    """
    Write a request that is right, with *lines* in it.
    """
    return f'[[requests]]\nurl = "http://h/"\n{lines}\n'


def write_examples(folder: Path) -> Path:
    """
    Write the default file with all its examples in force, and the files that they name.

    An example has its # directly before it; prose has a space there.
    """
    for name in ("asterisk-ca.pem", "receivers-ca.pem"):
        (folder / name).write_text(_certificate(), encoding="ascii")
    for name in ("ami-secret", "helpdesk-password", "erp-token"):
        (folder / name).write_text("s3cret\n", encoding="utf-8")
    (folder / "wallboard-token").write_text(f"{'0a' * 32}\n", encoding="ascii")
    (folder / "helpdesk-signing-secrets").write_text(f"{SIGNING_SECRET}\n", encoding="ascii")
    path = folder / "rules.toml"
    text = DEFAULT_FILE.read_text(encoding="utf-8")
    path.write_text(re.sub(r"^#(?=[^ \n])", "", text, flags=re.MULTILINE), encoding="utf-8")
    return path


def _certificate() -> str:
    """
    Give some certificate in PEM form: the first one that the system trusts.
    """
    trusted = ssl.create_default_context().get_ca_certs(binary_form=True)
    if not trusted:
        pytest.skip("this system trusts no certificates, so there is none to try with")
    return ssl.DER_cert_to_PEM_cert(trusted[0])
