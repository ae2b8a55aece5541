"""
Real Asterisk of two versions, each in a chroot made of Debian packages.

A chroot takes half a minute and 300 MB to build, so it is kept in a cache folder and used again.
It gets its final name only when it is complete: whatever else is found there was interrupted.
"""

import fcntl
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

#: The Debian release whose Asterisk has the version.
SUITES = {"22": "forky", "16": "bullseye"}

#: asterisk-config and the modules come with asterisk; of the prompts one format must be chosen.
_PACKAGES = "asterisk,asterisk-core-sounds-en-gsm"

_OPTIONS = (
    "--mode=root",
    "--variant=minbase",
    f"--include={_PACKAGES}",
    # A testing release may not have been signed again lately; its signature is still verified.
    '--aptopt=Acquire::Check-Valid-Until "false"',
    '--aptopt=APT::Install-Recommends "false"',
)

#: Long enough for a slow mirror; an unreachable one is given up by apt itself, much sooner.
_BUILD_SECONDS = 900


class ChrootUnavailable(Exception):  # noqa: N818 - it is a circumstance
    """
    There is no Asterisk of the version and none can be built here, for the reason told.
    """


def cache_folder() -> Path:
    """
    Give the folder that keeps the chroots: ``AMI_BRIDGE_LAB``, or one in the user's cache.
    """
    default = Path("~/.cache/ami-bridge/asterisk").expanduser()
    return Path(os.environ.get("AMI_BRIDGE_LAB") or default)


def chroot_of(version: str) -> Path:
    """
    Give the chroot with Asterisk *version*; build it where there is none.
    """
    if os.geteuid() != 0:
        raise ChrootUnavailable("a chroot needs root")
    folder = cache_folder()
    folder.mkdir(parents=True, exist_ok=True)
    chroot = folder / f"asterisk-{version}"
    with _locked(folder / "lock"):
        if not (chroot / "usr/sbin/asterisk").is_file():
            for leftover in folder.glob(f"{chroot.name}*"):
                shutil.rmtree(leftover)
            _build(SUITES[version], chroot)
    return chroot


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """
    Let one test run build at a time; the others wait and find it built.
    """
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _build(suite: str, chroot: Path) -> None:
    _install_mmdebstrap()
    unfinished = chroot.with_name(f"{chroot.name}.unfinished")
    try:
        _run("mmdebstrap", *_OPTIONS, suite, str(unfinished), *_mirror())
        unfinished.rename(chroot)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _install_mmdebstrap() -> None:
    if shutil.which("mmdebstrap"):
        return
    if not shutil.which("apt-get"):
        raise ChrootUnavailable("neither mmdebstrap nor an apt-get to install it with")
    _run("apt-get", "update", "-qq")
    _run("apt-get", "install", "-y", "-qq", "--no-install-recommends", "mmdebstrap")


def _mirror() -> list[str]:
    """
    Give the Debian mirror that this machine uses itself; none where it is no Debian.
    """
    listed = _run("apt-get", "indextargets", "--format", "$(REPO_URI)", "Label: Debian")
    return listed.split()[:1]


def _run(*command: str) -> str:
    """
    Give what *command* says on standard output; why it failed is told in its own words.
    """
    try:
        done = subprocess.run(
            command, check=True, capture_output=True, text=True, timeout=_BUILD_SECONDS
        )
    except subprocess.CalledProcessError as error:
        lines = error.stderr.splitlines()
        # The first error is the reason; those that follow are what came of it.
        reasons = [line for line in lines if line.startswith("E: ")] or lines[-1:]
        raise ChrootUnavailable(f"{command[0]} failed: {' '.join(reasons[:1])}") from error
    except subprocess.TimeoutExpired as error:
        raise ChrootUnavailable(f"{command[0]} took over {_BUILD_SECONDS} s") from error
    return done.stdout
