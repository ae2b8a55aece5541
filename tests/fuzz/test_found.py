"""
What fuzzing has broken once: each file is named after its target and what is odd in it.
"""

from pathlib import Path

import pytest

from tests.fuzz import targets

FOUND = sorted((Path(__file__).parent / "found").iterdir())


@pytest.mark.parametrize("file", FOUND, ids=lambda file: file.stem)
def test_found(file: Path) -> None:
    """
    Input that broke a target once does not any more.
    """
    getattr(targets, file.name.partition("-")[0])(file.read_bytes())
