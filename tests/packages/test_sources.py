"""
What packages are made by, as its own checkers see it; and the Dockerfile's idea of the sources.
"""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from .conftest import ROOT, not_here

pytestmark = pytest.mark.packages

_SCRIPTS = ("build-deb", "debian/postinst", "debian/prerm", "debian/postrm")


def test_dockerfile() -> None:
    """
    Hadolint finds nothing in the Dockerfile.
    """
    checked = subprocess.run(
        [_tool("hadolint"), str(ROOT / "Dockerfile")], capture_output=True, text=True, check=False
    )

    assert checked.stdout + checked.stderr == ""
    assert checked.returncode == 0


@pytest.mark.parametrize("script", _SCRIPTS)
def test_script(script: str) -> None:
    """
    Shellcheck finds nothing in what makes the Debian package, and in what dpkg runs of it.
    """
    checked = subprocess.run(
        [_tool("shellcheck"), str(ROOT / "packaging" / script)],
        capture_output=True,
        text=True,
        check=False,
    )

    assert checked.stdout + checked.stderr == ""
    assert checked.returncode == 0


def test_image_context(tmp_path: Path) -> None:
    """
    What the Dockerfile copies is let in by .dockerignore, and a wheel can be built of it.
    """
    lines = (ROOT / "Dockerfile").read_text().splitlines()
    copied = [
        word
        for line in lines
        if line.startswith("COPY ") and "--from" not in line
        for word in line.split()[1:-1]
        if not word.startswith("--")
    ]
    let_in = (ROOT / ".dockerignore").read_text().splitlines()
    for name in copied:
        assert f"!{name}" in let_in
        (shutil.copytree if (ROOT / name).is_dir() else _copy)(ROOT / name, tmp_path / name)

    command = (sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir")
    subprocess.run([*command, tmp_path / "wheel", tmp_path], check=True, timeout=120)

    assert len(list((tmp_path / "wheel").iterdir())) == 1


def _tool(name: str) -> str:
    """
    Find the program *name* beside the Python that runs the tests, or anywhere.
    """
    beside = Path(sys.executable).parent / name
    found = str(beside) if beside.exists() else shutil.which(name)
    if found is None:
        not_here(f"{name} is missing: pip install '.[packages]'")
    return found


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(source, target)
