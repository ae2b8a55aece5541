"""
Prometheus' own judge of metrics and rules, where it is or can be fetched.
"""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

#: Long enough for a slow mirror: the package has 19 MB.
_FETCH_SECONDS = 300


def find_promtool() -> Path:
    """
    Find promtool, or skip the test.

    ``AMI_BRIDGE_REQUIRE_PROMTOOL=1`` fetches Debian's package, which is not installed, where
    there is none, and keeps what is needed of it in the user's cache.
    """
    if found := shutil.which("promtool"):
        return Path(found)
    kept = Path("~/.cache/ami-bridge/promtool/promtool").expanduser()
    if not kept.exists():
        if os.environ.get("AMI_BRIDGE_REQUIRE_PROMTOOL") != "1":
            pytest.skip("there is no promtool; AMI_BRIDGE_REQUIRE_PROMTOOL=1 fetches it")
        _fetch(kept)
    return kept


def _fetch(kept: Path) -> None:
    kept.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=kept.parent) as name:
        folder = Path(name)
        _run(folder, "apt-get", "download", "-qq", "prometheus")
        (package,) = folder.glob("prometheus_*.deb")
        _run(folder, "dpkg-deb", "-x", package.name, "x")
        # Whole or not at all: tests may run at the same time.
        (folder / "x" / "usr" / "bin" / "promtool").replace(kept)


def _run(folder: Path, *command: str) -> None:
    subprocess.run(command, check=True, cwd=folder, timeout=_FETCH_SECONDS, capture_output=True)
