"""
Reads ``[store]``: where notifications and open calls are kept.
"""

from collections.abc import Mapping
from pathlib import Path

from ami_bridge.settings import StoreSettings

from .section import Section

#: What a path is called that is none: then nothing is kept on the disk.
_MEMORY = ":memory:"
_FILE_NAME = "outbox.sqlite"
_TEN_YEARS = 3650.0


def read_store(rules: Section, folder: Path, environ: Mapping[str, str]) -> StoreSettings:
    """
    Read the section; the database's name is relative to *folder*.
    """
    section = rules.section("store")
    default = StoreSettings()
    return StoreSettings(
        path=_path(section, folder, environ),
        synchronous=section.choice("synchronous", default.synchronous),
        keep_delivered_days=section.days(
            "keep_delivered_days", default.keep_delivered_days, 0.0, _TEN_YEARS
        ),
        keep_given_up_days=section.days(
            "keep_given_up_days", default.keep_given_up_days, 0.0, _TEN_YEARS
        ),
    )


def default_path(environ: Mapping[str, str]) -> Path:
    """
    Give the database's usual place: what systemd gives the unit, else the user's own.
    """
    # Of several directories in the unit, the first is ours.
    if given := environ.get("STATE_DIRECTORY", "").partition(":")[0]:
        return Path(given) / _FILE_NAME
    state = Path(environ.get("XDG_STATE_HOME", ""))
    if not state.is_absolute():
        home = environ.get("HOME")
        state = (Path(home) if home else Path("~").expanduser()) / ".local" / "state"
    return state / "ami-bridge" / _FILE_NAME


def _path(section: Section, folder: Path, environ: Mapping[str, str]) -> Path | None:
    text = section.text("path", _MEMORY)
    if "path" not in section:
        try:
            return default_path(environ)
        except RuntimeError:
            section.problem("path", "is missing: this user has no home directory to keep it in")
            return None
    if not text:
        section.problem("path", f'is empty; "{_MEMORY}" keeps nothing on the disk')
    if text in ("", _MEMORY):
        return None
    path = folder / text
    if path.is_dir():
        section.problem("path", f"{path} is a folder; expected the database's file in it")
    return path
