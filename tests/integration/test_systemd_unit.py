"""
The systemd unit, where systemd's own checker is at hand.
"""

import shutil
import subprocess
from pathlib import Path

import pytest

UNIT = Path(__file__).parents[2] / "systemd" / "ami-bridge.service"

needs_systemd = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed"
)


@pytest.fixture
def unit(tmp_path: Path) -> Path:
    """
    Give the unit with a program that exists here.
    """
    program = shutil.which("true") or "/bin/true"
    text = UNIT.read_text().replace("/usr/bin/ami-bridge run", f"{program} run")
    file = tmp_path / UNIT.name
    file.write_text(text)
    return file


@needs_systemd
def test_unit_is_valid(unit: Path) -> None:
    """
    systemd-analyze verify finds nothing to complain about.
    """
    verified = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(unit)],
        capture_output=True,
        text=True,
        check=False,
    )

    complaints = [line for line in verified.stderr.splitlines() if UNIT.name in line]
    assert complaints == []
    assert verified.returncode == 0, verified.stderr


@needs_systemd
def test_unit_is_hardened(unit: Path) -> None:
    """
    systemd-analyze security judges the unit as exposed to less than 2 of 10.
    """
    judged = subprocess.run(
        ["systemd-analyze", "security", "--offline=yes", "--threshold=20", str(unit)],
        capture_output=True,
        text=True,
        check=False,
    )

    assert judged.returncode == 0, judged.stdout[-500:] + judged.stderr


def test_exit_codes_that_wait_for_a_person_do_not_restart() -> None:
    """
    The unit restarts after everything but a refused login and wrong rules.
    """
    assert "RestartPreventExitStatus=77 78" in UNIT.read_text()
