"""
Real Asterisk of two versions, each in a chroot made of Debian packages; and other chroots.

A chroot takes half a minute and 300 MB to build, so it is kept in a cache folder and used again.
It gets its final name only when it is complete: whatever else is found there was interrupted.
"""

import fcntl
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

#: The Debian release whose Asterisk has the version.
SUITES = {"22": "forky", "16": "bullseye"}

#: asterisk-config and the modules come with asterisk; of the prompts one format must be chosen.
_PACKAGES = "asterisk,asterisk-core-sounds-en-gsm"

_OPTIONS = (
    "--mode=root",
    "--variant=minbase",
    # A testing release may not have been signed again lately; its signature is still verified.
    '--aptopt=Acquire::Check-Valid-Until "false"',
    '--aptopt=APT::Install-Recommends "false"',
)

#: Long enough for a slow mirror; an unreachable one is given up by apt itself, much sooner.
_BUILD_SECONDS = 900


class ChrootUnavailable(Exception):  # noqa: N818 - it is a circumstance
    """
    There is no such chroot and none can be built here, for the reason told.
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
    return kept_chroot(
        f"asterisk-{version}",
        SUITES[version],
        f"--include={_PACKAGES}",
        is_whole=lambda chroot: (chroot / "usr/sbin/asterisk").is_file(),
    )


def kept_chroot(name: str, suite: str, *options: str, is_whole: Callable[[Path], bool]) -> Path:
    """
    Give the chroot *name*; build it of Debian *suite* with more *options* unless it is whole.
    """
    if os.geteuid() != 0:
        raise ChrootUnavailable("a chroot needs root")
    folder = cache_folder()
    folder.mkdir(parents=True, exist_ok=True)
    chroot = folder / name
    with locked(folder / "lock"):
        if not is_whole(chroot):
            for leftover in folder.glob(f"{chroot.name}*"):
                shutil.rmtree(leftover)
            _build(suite, chroot, options)
    return chroot


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """
    Let one test run at a time go on; the others wait, and find a chroot built.
    """
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _build(suite: str, chroot: Path, options: tuple[str, ...]) -> None:
    install_program("mmdebstrap", "mmdebstrap")
    unfinished = chroot.with_name(f"{chroot.name}.unfinished")
    try:
        _run("mmdebstrap", *_OPTIONS, *options, suite, str(unfinished), *_mirror())
        unfinished.rename(chroot)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def install_program(program: str, package: str) -> None:
    """
    Have *program*; install the Debian *package* with it where there is none.
    """
    if shutil.which(program):
        return
    if not shutil.which("apt-get"):
        raise ChrootUnavailable(f"neither {program} nor an apt-get to install it with")
    folder = cache_folder()
    folder.mkdir(parents=True, exist_ok=True)
    # apt has one lock for all, and gives up rather than wait for it.
    with locked(folder / "apt"):
        _run("apt-get", "update", "-qq")
        _run("apt-get", "install", "-y", "-qq", "--no-install-recommends", package)


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
