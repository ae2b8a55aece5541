"""
Fetches secrets from where the rules say that they are, and shows nothing of them.

A secret called NAME stands in the file NAME_file, in the environment variable NAME_env, in
the systemd credential NAME_credential, or, which is worth a warning, in the rules as NAME.
"""

import re
from collections.abc import Mapping
from pathlib import Path

import attrs

from .section import Section

_PLACES = ("{}_file", "{}_env", "{}_credential", "{}")


@attrs.frozen
class Secret:
    """
    A secret, and the key of the section that told where it is.
    """

    key: str
    value: str = attrs.field(repr=False)


@attrs.frozen
class SecretPlaces:
    """
    Where secrets may be.
    """

    #: What file names are relative to.
    folder: Path
    environ: Mapping[str, str]
    #: Whether a secret that cannot be read is a problem, or only worth a warning.
    needed: bool = attrs.field(default=True, kw_only=True)

    def named(self, section: Section, name: str) -> bool:
        """
        Tell whether *section* names a place of the secret *name*, rightly or not.
        """
        return any(place.format(name) in section for place in _PLACES)

    def fetch(self, section: Section, name: str, *, lines: bool = False) -> Secret | None:
        """
        Fetch the secret *name* from the one place that *section* names, if it names any.

        It is one line, unless it may have several *lines*.
        """
        keys = [place.format(name) for place in _PLACES]
        places = {key: value for key in keys if (value := section.secret(key)) is not None}
        if len(places) > 1:
            first, second, *_ = places
            section.problem(first, f"only one place of the secret can hold, and there is {second}")
            return None
        for key, place in places.items():
            try:
                value = self._read(key.removeprefix(name), place)
                _check(value, lines=lines)
            except (OSError, ValueError) as error:
                reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
                report = section.problem if self.needed else section.warn
                report(key, f"cannot be read: {reason}")
                return None
            if key == name:
                section.warn(key, f"stands in the rules file; {name}_file keeps it out of sight")
            return Secret(key, value)
        return None

    def _read(self, kind: str, place: str) -> str:
        match kind:
            case "_env":
                if place not in self.environ:
                    raise ValueError(f"there is no environment variable {place}")
                return self.environ[place]
            case "_credential":
                if "CREDENTIALS_DIRECTORY" not in self.environ:
                    raise ValueError(
                        "$CREDENTIALS_DIRECTORY is not set; "
                        "systemd sets it for a unit with LoadCredential="
                    )
                return _text_of(Path(self.environ["CREDENTIALS_DIRECTORY"]) / place)
            case "_file":
                return _text_of(self.folder / place)
            case _:
                return place


def _check(secret: str, *, lines: bool) -> None:
    if not secret.strip():
        raise ValueError("it is empty")
    # What separates lines of a file that was written on another system is no part of them.
    if re.search(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]" if lines else r"[\x00-\x1f\x7f]", secret):
        raise ValueError("it has line breaks or control characters in it")


def _text_of(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").rstrip("\r\n")
    except UnicodeDecodeError:
        # The cause would show some of the secret.
        raise ValueError(f"{path} is not UTF-8 text") from None
    except OSError as error:
        raise ValueError(f"{path}: {error.strerror}") from error
