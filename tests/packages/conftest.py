"""
The packages as they are released, and a Debian for each test that wants one.

Without root, or without the network, the tests are skipped and say why;
``AMI_BRIDGE_REQUIRE_PACKAGES=1`` makes that a failure.
"""

import importlib.util
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import attrs
import pytest

from tests.asterisk.chroots import ChrootUnavailable

from .debian import Debian, fresh_debian, running

ROOT = Path(__file__).parents[2]
#: What releases are made and judged with, by the names they are imported by.
_TOOLS = ("build", "twine")
#: Long enough for a slow network.
_BUILD_SECONDS = 300


@attrs.frozen
class Release:
    """
    What is released.
    """

    wheel: Path
    sdist: Path


def not_here(reason: str) -> NoReturn:
    """
    Skip the test for *reason*, or fail it where nothing may be skipped.
    """
    if os.environ.get("AMI_BRIDGE_REQUIRE_PACKAGES") == "1":
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def release(tmp_path_factory: pytest.TempPathFactory) -> Release:
    """
    The wheel and the sdist; the wheel is made of the sdist.
    """
    missing = [tool for tool in _TOOLS if importlib.util.find_spec(tool) is None]
    if missing:
        not_here(f"{', '.join(missing)} is missing: pip install '.[packages]'")
    folder = tmp_path_factory.mktemp("dist")
    _make(sys.executable, "-m", "build", "--outdir", str(folder), str(ROOT))
    [wheel] = folder.glob("*.whl")
    [sdist] = folder.glob("*.tar.gz")
    return Release(wheel, sdist)


@pytest.fixture(scope="session")
def package(release: Release, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """
    The Debian package.
    """
    folder = tmp_path_factory.mktemp("deb")
    try:
        with fresh_debian() as debian:
            _make(
                *(str(ROOT / "packaging/build-deb"), "--chroot", str(debian.root)),
                *(str(release.wheel), str(folder)),
            )
    except ChrootUnavailable as unavailable:
        not_here(f"no Debian package: {unavailable}")
    [package] = folder.glob("*.deb")
    return package


@pytest.fixture(scope="session")
def next_package(package: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """
    The Debian package of a later version, which differs in nothing else.
    """
    folder = tmp_path_factory.mktemp("next")
    tree = folder / "tree"
    _make("dpkg-deb", "--raw-extract", str(package), str(tree))
    control = tree / "DEBIAN/control"
    lines = control.read_text().splitlines(keepends=True)
    control.write_text(
        "".join("Version: 999\n" if line.startswith("Version:") else line for line in lines)
    )
    # Not compressed: it is only ever installed here.
    _make("dpkg-deb", "--root-owner-group", "-Znone", "--build", str(tree), str(folder))
    [package] = folder.glob("*.deb")
    return package


@pytest.fixture(scope="session")
def installed(package: Path) -> Iterator[Debian]:
    """
    A Debian that does not run, with the package installed. It is for looking at only.
    """
    with fresh_debian() as debian:
        debian.install(package)
        yield debian


@pytest.fixture
def debian(installed: Debian) -> Iterator[Debian]:
    """
    A Debian of the test's own that runs, with the package as it is after the installation.
    """
    try:
        with running(installed) as debian:
            yield debian
    except ChrootUnavailable as unavailable:
        not_here(f"no Debian runs: {unavailable}")


def _make(*command: str) -> None:
    """
    Run *command*; why it failed is told in its own words.
    """
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=_BUILD_SECONDS
    )
    if done.returncode:
        not_here(f"{' '.join(command)}\n{done.stdout}\n{done.stderr}")
