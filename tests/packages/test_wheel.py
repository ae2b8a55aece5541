"""
The wheel and the sdist, in virtual environments that nothing else is in.
"""

import subprocess
import sys
from pathlib import Path

import attrs
import pytest

from .conftest import ROOT, Release

pytestmark = pytest.mark.packages

_FORMS = tuple(field.name for field in attrs.fields(Release))


@pytest.fixture(scope="module", params=_FORMS)
def environment(
    request: pytest.FixtureRequest, release: Release, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """
    A virtual environment with ami-bridge, as installed from one of the forms.
    """
    folder = tmp_path_factory.mktemp(request.param)
    _run(sys.executable, "-m", "venv", str(folder))
    install = (str(folder / "bin/python"), "-m", "pip", "install", "--quiet")
    _run(*install, str(getattr(release, request.param)))
    return folder


def test_demo(environment: Path) -> None:
    """
    The demo runs from what was installed, and every call event arrives.
    """
    told = _run(str(environment / "bin/ami-bridge"), "demo")

    assert "5 calls, 23 call events, 23 requests received, 0 left" in told


def test_whole(environment: Path) -> None:
    """
    Every file of the package is installed, those that are no Python included.
    """
    [found] = environment.glob("lib/python*/site-packages/ami_bridge")

    assert _files(found) == _files(ROOT / "ami_bridge")


def test_nothing_else(environment: Path) -> None:
    """
    Nothing but the package itself is put among the importable ones: no tests, no fixtures.
    """
    [record] = environment.glob("lib/python*/site-packages/ami_bridge-*.dist-info/RECORD")
    tops = {line.partition("/")[0] for line in record.read_text().splitlines()}

    assert tops == {"ami_bridge", record.parent.name, ".."}


def test_metadata(release: Release) -> None:
    """
    An index would take both, and show the README.
    """
    files = (str(release.wheel), str(release.sdist))

    told = _run(sys.executable, "-m", "twine", "check", "--strict", *files)

    assert told.count("PASSED") == len(files)


def _files(folder: Path) -> set[str]:
    return {
        str(path.relative_to(folder))
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def _run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
