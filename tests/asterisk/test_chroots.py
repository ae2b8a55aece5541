"""
How chroots are kept, with a stand-in for the program that builds them.
"""

import os
from pathlib import Path

import pytest

from .chroots import ChrootUnavailable, chroot_of


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """
    An empty cache folder, for somebody who seems to be root.
    """
    folder = tmp_path / "cache"
    monkeypatch.setenv("AMI_BRIDGE_LAB", str(folder))
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    return folder


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """
    A folder of programs that are found before the system's; apt-get knows no mirror.
    """
    programs = tmp_path / "programs"
    programs.mkdir()
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    program(programs / "apt-get", "exit 0")
    return programs


def program(path: Path, script: str) -> None:
    """
    Make *path* a program that runs *script*.
    """
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


#: The chroot is the last argument.
BUILDS = 'for chroot; do :; done; mkdir -p "$chroot/usr/sbin"; touch "$chroot/usr/sbin/asterisk"'
FAILS = f'{BUILDS}; echo "E: cannot resolve the mirror" >&2; exit 25'


def test_built_once(folder: Path, programs: Path) -> None:
    """
    A chroot that is complete is used again; nothing is built beside it.
    """
    program(programs / "mmdebstrap", BUILDS)
    chroot = chroot_of("22")
    program(programs / "mmdebstrap", FAILS)

    assert chroot_of("22") == chroot
    assert sorted(path.name for path in folder.iterdir()) == ["asterisk-22", "lock"]


def test_half_built(folder: Path, programs: Path) -> None:
    """
    What an interrupted build left is removed, and built anew.
    """
    program(programs / "mmdebstrap", BUILDS)
    for leftover in ("asterisk-16/etc", "asterisk-16.unfinished/usr"):
        (folder / leftover).mkdir(parents=True)

    chroot = chroot_of("16")

    assert [path.name for path in chroot.iterdir()] == ["usr"]
    assert sorted(path.name for path in folder.iterdir()) == ["asterisk-16", "lock"]


def test_failed_build(folder: Path, programs: Path) -> None:
    """
    A build that fails says why, and leaves nothing behind.
    """
    program(programs / "mmdebstrap", FAILS)

    with pytest.raises(ChrootUnavailable, match="cannot resolve the mirror"):
        chroot_of("22")

    assert [path.name for path in folder.iterdir()] == ["lock"]


@pytest.mark.usefixtures("folder")
def test_not_root(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Without root there is no chroot, and that is said.
    """
    monkeypatch.setattr(os, "geteuid", lambda: 1000)

    with pytest.raises(ChrootUnavailable, match="needs root"):
        chroot_of("22")
