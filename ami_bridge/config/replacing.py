"""
Puts another content in the place of a file: all of it or nothing, and only if nobody else did.
"""

import contextlib
import fcntl
import os
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

from ami_bridge.errors import RulesFileError


def replace_file(path: Path, old: bytes | None, new: bytes) -> None:
    """
    Write *new* to the file *path*, whose content is *old*; None means that there is no file.

    A symbolic link stays one. Raise `RulesFileError` if the content is another one by now, or
    if the file cannot be written; it is then as it was.
    """
    try:
        target = path.resolve(strict=old is not None)
        with _held(target, old):
            _check(target, path, old)
            _put(target, old, new)
    except FileExistsError as error:
        raise RulesFileError(path, "was made by somebody else meanwhile; nothing is written") from (
            error
        )
    except OSError as error:
        reason = error.strerror or str(error)
        raise RulesFileError(path, f"cannot be written: {reason}") from error


@contextlib.contextmanager
def _held(target: Path, old: bytes | None) -> Iterator[None]:
    """
    Keep other bridges and commands from replacing *target* meanwhile.
    """
    if old is None:
        yield
        return
    with target.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _check(target: Path, path: Path, old: bytes | None) -> None:
    # By its name: who waited for the lock may hold a file that has been replaced.
    if old is not None and target.read_bytes() != old:
        raise RulesFileError(path, "was changed by somebody else meanwhile; nothing is written")


def _put(target: Path, old: bytes | None, new: bytes) -> None:
    handle, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    made = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            if old is None:
                os.fchmod(handle, 0o666 & ~_umask())
            else:
                _look_alike(handle, target)
            file.write(new)
            file.flush()
            os.fsync(handle)
        if old is None:
            # Unlike a rename, this fails where a file has come into being.
            target.hardlink_to(made)
        else:
            made.replace(target)
    finally:
        made.unlink(missing_ok=True)
    _sync_folder(target.parent)


def _look_alike(handle: int, target: Path) -> None:
    """
    Give the open file the owner, the mode and the access list of *target*.

    Without them the bridge, which is another user, might not be able to read it any more.
    """
    wanted, found = target.stat(), os.fstat(handle)
    if (wanted.st_uid, wanted.st_gid) != (found.st_uid, found.st_gid):
        _give_to_owner(handle, wanted)
    os.fchmod(handle, stat.S_IMODE(wanted.st_mode))
    # Not every file system has them.
    with contextlib.suppress(OSError):
        for name in os.listxattr(target):
            os.setxattr(handle, name, os.getxattr(target, name))


def _give_to_owner(handle: int, wanted: os.stat_result) -> None:
    """
    Give the open file owner and group; or the group alone, if the owner loses nothing by that.
    """
    try:
        os.fchown(handle, wanted.st_uid, wanted.st_gid)
    except PermissionError:
        # Only root gives files away. Root itself needs no permission, and other owners may go
        # on by the group's if they are no less.
        rights = stat.S_IMODE(wanted.st_mode)
        group_has_as_much = (rights & stat.S_IRWXU) >> 3 & ~rights == 0
        if wanted.st_uid != 0 and not group_has_as_much:
            raise
        os.fchown(handle, -1, wanted.st_gid)


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
