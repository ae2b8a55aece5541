"""
Chromium, where the machine has it.
"""

import os
import shutil
from collections.abc import AsyncIterator

import pytest

from .chromium import Chromium, chromium

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


@pytest.fixture
async def browser() -> AsyncIterator[Chromium]:
    """
    Give a browser without cookies; a test is skipped where there is none, unless that is an error.
    """
    if CHROMIUM is None:
        if os.environ.get("AMI_BRIDGE_REQUIRE_BROWSER"):
            pytest.fail("Chromium is missing: as root, apt-get install chromium")
        pytest.skip("needs Chromium")
    async with chromium(CHROMIUM) as found:
        yield found
