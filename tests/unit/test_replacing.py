"""
Whose a file is after somebody else than its owner, who is not root, replaced it.
"""

import os
import stat

import pytest

from ami_bridge.config.replacing import _give_to_owner

BRIDGE, ROOT, ANN = 998, 0, 1001
GROUP = 997


def given_by_bridge(
    monkeypatch: pytest.MonkeyPatch, owner: int, mode: int, *, in_group: bool = True
) -> list[tuple[int, int]]:
    """
    Let the bridge give a new file to *owner*, as the old one of *mode* was; say what came of it.
    """
    given: list[tuple[int, int]] = []

    def change(_handle: int, uid: int, gid: int) -> None:
        # What Linux lets a user do who is not root.
        if uid not in (-1, BRIDGE) or not in_group:
            raise PermissionError(1, "Operation not permitted")
        given.append((uid, gid))

    monkeypatch.setattr(os, "fchown", change)
    old = os.stat_result((stat.S_IFREG | mode, 0, 0, 1, owner, GROUP, 0, 0, 0, 0))
    _give_to_owner(-1, old)
    return given


@pytest.mark.parametrize(
    ("owner", "mode"),
    [
        pytest.param(ROOT, 0o640, id="root"),
        pytest.param(ANN, 0o660, id="somebody whose group may do as much"),
    ],
)
def test_who_loses_nothing_may_lose_the_file(
    monkeypatch: pytest.MonkeyPatch, owner: int, mode: int
) -> None:
    """
    The bridge keeps a file that it cannot give to root, or to whose group may do what they may.
    """
    assert given_by_bridge(monkeypatch, owner, mode) == [(-1, GROUP)]


def test_its_own_file_stays_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    A file of the bridge goes to the bridge, with the group that it had.
    """
    assert given_by_bridge(monkeypatch, BRIDGE, 0o600) == [(BRIDGE, GROUP)]


@pytest.mark.parametrize(
    ("owner", "mode", "in_group"),
    [
        pytest.param(ANN, 0o640, True, id="somebody whose group may do less"),
        pytest.param(ROOT, 0o640, False, id="a group that the bridge is not in"),
    ],
)
def test_nobody_loses_what_they_may_do(
    monkeypatch: pytest.MonkeyPatch, owner: int, mode: int, *, in_group: bool
) -> None:
    """
    It is an error if the owner or the group would lose what they may do with the file.
    """
    with pytest.raises(PermissionError):
        given_by_bridge(monkeypatch, owner, mode, in_group=in_group)
