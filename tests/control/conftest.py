"""
What tests of the HTTP application need.
"""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from .houses import House, house


@pytest.fixture
async def visited(tmp_path: Path) -> AsyncIterator[House]:
    """
    Give a bridge without a PBX that can be visited.
    """
    async with house(tmp_path) as found:
        yield found
