"""
A Debian 12 as it is when nobody has used it: as a folder of files, and running.

It has apt's lists, and the packages that ami-bridge is made with and needs lie in apt's cache,
so that they are installed as anywhere, but without the network.
"""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import attrs

from tests.asterisk.chroots import (
    ChrootUnavailable,
    cache_folder,
    install_program,
    kept_chroot,
    locked,
)

#: What apt finds in its cache; whoever adds to what ami-bridge needs adds it here.
_AT_HAND = "adduser ca-certificates procps python3-venv"
#: Where a Debian says which packages are at hand, so that an older one is built anew.
_NOTE = "root/at-hand"

_ENVIRONMENT = {
    "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
    "LANG": "C.UTF-8",
    "HOME": "/root",
    "DEBIAN_FRONTEND": "noninteractive",
}
_BOOT_SECONDS = 60.0
_STOP_SECONDS = 30.0
#: How long a command may take, and what is waited for in the journal, in seconds.
_PATIENCE_SECONDS = 60


@attrs.frozen
class Debian:
    """
    A Debian in a folder, and what it takes to run a command in it.
    """

    root: Path
    _enter: tuple[str, ...]

    def run(self, *command: str) -> str:
        """
        Run *command*; give what it says, on both outputs. The test fails if it fails.
        """
        done = self.attempt(*command)
        assert done.returncode == 0, f"{' '.join(command)}: {done.returncode}\n{done.stdout}"
        return done.stdout

    def attempt(self, *command: str) -> subprocess.CompletedProcess[str]:
        """
        Run *command*, which may fail.
        """
        return subprocess.run(
            [*self._enter, *command],
            env=_ENVIRONMENT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=_PATIENCE_SECONDS,
            check=False,
        )

    def install(self, package: Path) -> str:
        """
        Install the Debian *package*, and what it depends on; give what apt and dpkg say.
        """
        copy = Path(shutil.copy(package, self.root / "root"))
        try:
            install = ("apt-get", "install", "-y", "-q", "--no-install-recommends")
            return self.run(*install, f"/root/{copy.name}")
        finally:
            copy.unlink()

    def until_logged(self, unit: str, *texts: str) -> None:
        """
        Wait until the journal of *unit* has lines with each of *texts*, in this order.
        """
        waiting = list(texts)
        seen = []
        with subprocess.Popen(
            [
                *("timeout", str(_PATIENCE_SECONDS), *self._enter),
                *("journalctl", f"--unit={unit}", "--follow", "--lines=all", "--output=cat"),
            ],
            env=_ENVIRONMENT,
            stdout=subprocess.PIPE,
            text=True,
        ) as journal:
            assert journal.stdout is not None
            for line in journal.stdout:
                seen.append(line)
                if waiting[0] in line:
                    del waiting[0]
                if not waiting:
                    journal.terminate()
                    return
        raise AssertionError(f"{unit} never logged {waiting[0]!r}:\n{''.join(seen)}")


@contextmanager
def fresh_debian() -> Iterator[Debian]:
    """
    Give a Debian 12 that does not run; it is deleted afterwards.
    """
    with tempfile.TemporaryDirectory(prefix="ami-bridge-debian-") as folder:
        root = Path(folder) / "root"
        subprocess.run(["cp", "-a", "--reflink=auto", _kept_debian(), root], check=True)
        yield Debian(root, ("chroot", str(root)))


@contextmanager
def running(debian: Debian) -> Iterator[Debian]:
    """
    Have *debian* booted by its own systemd, with a network of its own: a loopback.

    What happens to it stays in memory: *debian* itself is as before. One runs at a time,
    because a container takes a fixed place among the control groups.
    """
    install_program("systemd-nspawn", "systemd-container")
    with (
        locked(cache_folder() / "running"),
        tempfile.TemporaryDirectory(prefix="ami-bridge-boot-") as folder,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notices,
    ):
        notices.bind(f"{folder}/notices")
        notices.settimeout(_BOOT_SECONDS)
        with subprocess.Popen(
            [
                # If the tests die, so does the Debian.
                *("setpriv", "--pdeathsig", "TERM", "systemd-nspawn", "--quiet"),
                *("--register=no", "--keep-unit", "--private-network", "--notify-ready=yes"),
                *(
                    "--volatile=overlay",
                    "--console=pipe",
                    "--directory",
                    str(debian.root),
                    "--boot",
                ),
            ],
            env=os.environ | {"NOTIFY_SOCKET": f"{folder}/notices"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        ) as container:
            leader = None
            try:
                leader = _until_booted(notices)
                enter = ("nsenter", "--target", str(leader), "--all")
                yield Debian(Path(f"/proc/{leader}/root"), enter)
            finally:
                _stop(container, leader)


def _kept_debian() -> Path:
    download = f'chroot "$1" apt-get install -y -qq --download-only {_AT_HAND}'
    return kept_chroot(
        "debian-12",
        "bookworm",
        "--include=systemd-sysv",
        "--skip=cleanup/apt",
        '--aptopt=APT::Keep-Downloaded-Packages "true"',
        f"--customize-hook={download}",
        f'--customize-hook=echo "{_AT_HAND}" > "$1/{_NOTE}"',
        is_whole=lambda chroot: _at_hand(chroot) == _AT_HAND,
    )


def _at_hand(chroot: Path) -> str:
    try:
        return (chroot / _NOTE).read_text().strip()
    except FileNotFoundError:
        return ""


def _until_booted(notices: socket.socket) -> int:
    """
    Wait until the Debian is up; give the number of its first process.
    """
    leader = 0
    while True:
        try:
            told = notices.recv(4096).decode()
        except TimeoutError:
            reason = f"no Debian came up within {_BOOT_SECONDS:g} s; is it a machine with cgroups?"
            raise ChrootUnavailable(reason) from None
        facts = dict(line.partition("=")[::2] for line in told.splitlines())
        leader = int(facts.get("X_NSPAWN_LEADER_PID", leader))
        if facts.get("READY") == "1" and leader:
            return leader


def _stop(container: subprocess.Popen[bytes], leader: int | None) -> None:
    """
    End the Debian at once: there is nothing that a shutdown would have to save.
    """
    if leader is None:
        container.terminate()
    else:
        os.kill(leader, signal.SIGKILL)
    container.wait(_STOP_SECONDS)
