"""
The Debian package, on a Debian 12 that has never seen it.
"""

import json
import pwd
from pathlib import Path

import pytest

from .debian import Debian

pytestmark = pytest.mark.packages

CONFIG = "etc/ami-bridge"
RULES = f"{CONFIG}/rules.toml"
STATE = "var/lib/ami-bridge"
UNIT = "ami-bridge.service"
AS_BRIDGE = ("setpriv", "--reuid=ami-bridge", "--regid=ami-bridge", "--init-groups")

_RECORDING = (
    "/usr/lib/ami-bridge/lib/python3.11/site-packages/ami_bridge/demo_calls/"
    "trunk-ext-answered.ami.gz"
)
#: What an operator adds to the rules.
_REQUESTS = """
[delivery]
allow_hosts = ["127.0.0.1"]

[[requests]]
id = "crm"
url = "http://127.0.0.1:8080/crm"
"""
#: Asks the bridge for one more, as a program would.
_ADD = """
import asyncio, pathlib
from ami_bridge.control.client import ControlClient

async def main():
    async with ControlClient(pathlib.Path("/run/ami-bridge/control.sock")) as bridge:
        await bridge.post("/api/v1/events", {"id": "api", "url": "https://api.example.org/"})

asyncio.run(main())
"""


# -- installed, not running ----------------------------------------------------------------


def test_commands(installed: Debian) -> None:
    """
    The command is in the path, and the rules that come with the package are valid.
    """
    assert installed.run("ami-bridge", "--version").startswith("ami-bridge, version ")
    told = installed.run(*AS_BRIDGE, "ami-bridge", "check")
    assert "/etc/ami-bridge/rules.toml" in told


def test_owners(installed: Debian) -> None:
    """
    The bridge may replace its rules and keep its state; others may see neither.
    """
    user, group = _ids(installed)

    for path, expected in (
        (CONFIG, (0, group, 0o42770)),
        (RULES, (user, group, 0o100640)),
        (STATE, (user, group, 0o40750)),
    ):
        found = (installed.root / path).stat()
        assert (found.st_uid, found.st_gid, found.st_mode) == expected, path


def test_user(installed: Debian) -> None:
    """
    The bridge's user is a system user whom nobody can log in as.
    """
    user = _user(installed)

    assert user.pw_uid < 1000
    assert user.pw_dir == f"/{STATE}"
    assert user.pw_shell == "/usr/sbin/nologin"


def test_files(installed: Debian) -> None:
    """
    All files are as dpkg unpacked them, and nobody but root may write them.
    """
    assert installed.run("dpkg", "--verify", "ami-bridge") == ""
    listed = installed.run("dpkg", "--listfiles", "ami-bridge").splitlines()
    found = [(installed.root / path.lstrip("/")).lstat() for path in listed if path != "/."]
    assert {(one.st_uid, one.st_gid) for one in found} == {(0, 0)}
    assert not any(one.st_mode & 0o22 for one in found if one.st_mode & 0o170000 != 0o120000)


def test_compiled(installed: Debian) -> None:
    """
    Running it as root writes nothing among the package's files: they are compiled already.
    """
    before = installed.run("find", "/usr/lib/ami-bridge", "-newer", f"/{RULES}")

    installed.run("ami-bridge", "replay", _RECORDING)

    assert installed.run("find", "/usr/lib/ami-bridge", "-newer", f"/{RULES}") == before


def test_completion(installed: Debian) -> None:
    """
    Bash completes the commands.
    """
    script = (
        "source /usr/share/bash-completion/completions/ami-bridge; "
        "COMP_WORDS=(ami-bridge sim); COMP_CWORD=1; _ami_bridge_completion ami-bridge; "
        'echo "${COMPREPLY[@]}"'
    )

    assert installed.run("bash", "-c", script).split() == ["simulate"]


# -- running -------------------------------------------------------------------------------


def test_unit(debian: Debian) -> None:
    """
    The unit is valid; it is neither enabled nor started by the installation.
    """
    assert debian.run("systemd-analyze", "verify", "--man=no", UNIT) == ""
    assert debian.attempt("systemctl", "is-enabled", UNIT).stdout == "disabled\n"
    assert debian.attempt("systemctl", "is-active", UNIT).stdout == "inactive\n"


def test_unconfigured(debian: Debian) -> None:
    """
    Started without a secret, the bridge says which file it misses, and waits for a person.
    """
    assert debian.attempt("systemctl", "start", UNIT).returncode != 0

    debian.until_logged(UNIT, "/etc/ami-bridge/ami-secret: No such file or directory")
    assert _shown(debian, "ExecMainStatus") == "78"
    assert _shown(debian, "NRestarts") == "0"


def test_calls_become_requests(debian: Debian) -> None:
    """
    Configured as the installation says, the unit's bridge tells a receiver of a call.
    """
    _configure(debian)

    debian.run("systemctl", "enable", "--now", UNIT)

    debian.until_logged("receiver", "GET /crm", "CALLING", "GET /crm", "ANSWER")
    assert _shown(debian, "StatusText").startswith("logged in to ")
    told = debian.run("ps", "-o", "user=", "-p", _shown(debian, "MainPID"))
    assert told.strip() == "ami-bridge"
    assert (debian.root / STATE / "outbox.sqlite").stat().st_uid == _ids(debian)[0]


def test_credential(debian: Debian) -> None:
    """
    Rules that name the unit's credential work, too; only root can read the secret's file then.
    """
    _configure(debian)
    rules = debian.root / RULES
    rules.write_text(
        rules.read_text().replace('secret_file = "ami-secret"', 'secret_credential = "ami-secret"')
    )
    debian.run("chown", "root:root", f"/{CONFIG}/ami-secret")
    debian.run("chmod", "0600", f"/{CONFIG}/ami-secret")

    debian.run("systemctl", "start", UNIT)

    debian.until_logged("receiver", "GET /crm")


def test_control(debian: Debian) -> None:
    """
    Root can ask the bridge how it is, over a socket that nobody else can open.
    """
    _configure(debian)
    debian.run("systemctl", "start", UNIT)
    debian.until_logged("receiver", "GET /crm")

    status = json.loads(debian.run("ami-bridge", "status", "--json"))

    assert [pbx["state"] for pbx in status["pbxs"]] == ["connected"]
    nobody = debian.attempt("setpriv", "--reuid=nobody", "--clear-groups", "ami-bridge",
                            "status", "--socket", "/run/ami-bridge/control.sock")  # fmt: skip
    assert nobody.returncode == 69


def test_sandbox(debian: Debian) -> None:
    """
    The unit's bridge can replace its rules and keep its state, and write nowhere else.
    """
    _configure(debian)
    debian.run("systemctl", "start", UNIT)
    user, group = _ids(debian)
    inside = ("nsenter", f"--target={_shown(debian, 'MainPID')}", "--mount",
              f"--setuid={user}", f"--setgid={group}")  # fmt: skip

    for folder in (f"/{CONFIG}", f"/{STATE}", "/run/ami-bridge"):
        debian.run(*inside, "touch", f"{folder}/new")
    for folder in ("/etc", "/var/lib", "/usr/lib/ami-bridge", "/run"):
        assert debian.attempt(*inside, "touch", f"{folder}/new").returncode != 0, folder


def test_rules_are_edited(debian: Debian) -> None:
    """
    The unit's bridge edits its rules when it is asked to; so does root, and leaves them its own.
    """
    _configure(debian)
    debian.run("systemctl", "start", UNIT)
    rules = debian.root / RULES
    before = rules.stat()

    debian.run("/usr/lib/ami-bridge/bin/python3", "-c", _ADD)
    debian.run("ami-bridge", "events", "add", "--id=root", "--url=https://root.example.org/")

    listed = json.loads(debian.run(*AS_BRIDGE, "ami-bridge", "events", "list", "--json"))
    assert [one["id"] for one in listed] == ["crm", "api", "root"]
    after = rules.stat()
    assert after.st_ino != before.st_ino
    assert (after.st_uid, after.st_gid) == (before.st_uid, before.st_gid)
    assert after.st_mode == before.st_mode


# -- later ---------------------------------------------------------------------------------


def test_upgrade(debian: Debian, next_package: Path) -> None:
    """
    An upgrade asks nothing, keeps edited rules as they are, and restarts the bridge that runs.
    """
    _configure(debian)
    debian.run("systemctl", "enable", "--now", UNIT)
    rules = debian.root / RULES
    before, bridge = rules.read_bytes(), _shown(debian, "MainPID")

    debian.install(next_package)

    assert rules.read_bytes() == before
    assert _shown(debian, "ActiveState") == "active"
    assert _shown(debian, "MainPID") not in {bridge, "0"}


def test_upgrade_of_the_unconfigured(debian: Debian, next_package: Path) -> None:
    """
    An upgrade starts no bridge that nobody has enabled, and brings no deleted rules back.
    """
    (debian.root / RULES).unlink()

    debian.install(next_package)

    assert _shown(debian, "ActiveState") == "inactive"
    assert not (debian.root / RULES).exists()


def test_removed_and_installed_again(debian: Debian, package: Path) -> None:
    """
    A removal stops the bridge and keeps what is its operator's; the next installation goes on.
    """
    _configure(debian)
    debian.run("systemctl", "enable", "--now", UNIT)
    before = (debian.root / RULES).read_bytes()

    debian.run("apt-get", "remove", "-y", "-q", "ami-bridge")

    assert debian.attempt("pgrep", "-u", "ami-bridge").stdout == ""
    assert not (debian.root / "usr/lib/ami-bridge").exists()
    assert (debian.root / STATE / "outbox.sqlite").exists()
    debian.install(package)
    assert (debian.root / RULES).read_bytes() == before
    assert _shown(debian, "ActiveState") == "active"


def test_purged(debian: Debian) -> None:
    """
    A purge of a bridge that runs leaves no file, no user and no group.
    """
    _configure(debian)
    debian.run("systemctl", "enable", "--now", UNIT)

    debian.run("apt-get", "purge", "-y", "-q", "ami-bridge")

    elsewhere = ("-path", "/proc", "-prune", "-o", "-path", "/sys", "-prune", "-o")
    left = debian.run("find", "/", *elsewhere, "-name", "*ami-bridge*", "-print")
    assert left == ""
    for database in ("passwd", "group"):
        assert debian.attempt("getent", database, "ami-bridge").returncode == 2


# -- what the tests are made of ------------------------------------------------------------


def _configure(debian: Debian) -> None:
    """
    Do what an operator does after the installation; have a PBX and a receiver.
    """
    debian.run("sh", "-c", f"umask 027; echo secret > /{CONFIG}/ami-secret")
    with (debian.root / RULES).open("a") as rules:
        rules.write(_REQUESTS)
    service = ("systemd-run", "--quiet", "--property=DynamicUser=yes")
    debian.run(*service, "--unit=receiver", "ami-bridge", "receive")
    debian.run(*service, "--unit=pbx", "ami-bridge", "simulate", "--speed=10", _RECORDING)
    debian.until_logged("pbx", "AMI at 127.0.0.1:5038")
    debian.until_logged("receiver", "listening on")


def _shown(debian: Debian, name: str) -> str:
    """
    Give the unit's property *name*.
    """
    return debian.run("systemctl", "show", "--value", f"--property={name}", UNIT).strip()


def _user(debian: Debian) -> pwd.struct_passwd:
    fields = debian.run("getent", "passwd", "ami-bridge").strip().split(":")
    return pwd.struct_passwd((*fields[:2], int(fields[2]), int(fields[3]), *fields[4:]))


def _ids(debian: Debian) -> tuple[int, int]:
    user = _user(debian)
    return user.pw_uid, user.pw_gid
