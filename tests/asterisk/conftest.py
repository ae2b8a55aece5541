"""
Two versions of Asterisk, each with a bridge and a receiver, and a fresh view of it for each test.

Without root, or without the network that a chroot is built from, the tests are skipped and say
why; ``AMI_BRIDGE_REQUIRE_ASTERISK=1`` makes that a failure.
"""

import os
from collections.abc import AsyncIterator, Generator
from pathlib import Path

import pytest
import pytest_asyncio

from .ami_session import ami_session
from .asterisk import SECRET, running_asterisk
from .bridge import running_bridge
from .chroots import SUITES, ChrootUnavailable, chroot_of
from .lab import Lab, Pbx
from .receiver import running_receiver


@pytest.fixture(scope="session", params=SUITES)
def version(request: pytest.FixtureRequest) -> str:
    """
    A version of Asterisk; every test runs on each.
    """
    return str(request.param)


@pytest.fixture(scope="session")
def chroot(version: str) -> Path:
    """
    A chroot with that Asterisk.
    """
    try:
        return chroot_of(version)
    except ChrootUnavailable as unavailable:
        reason = f"no Asterisk {version}: {unavailable}"
    if os.environ.get("AMI_BRIDGE_REQUIRE_ASTERISK") == "1":
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def pbx(
    version: str, chroot: Path, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Pbx]:
    """
    A running Asterisk with a bridge attached to it.
    """
    folder = tmp_path_factory.mktemp(f"bridge-{version}")
    async with (
        running_asterisk(version, chroot) as asterisk,
        ami_session(asterisk.ami_port, "witness", SECRET) as witness,
        running_receiver() as receiver,
        running_bridge(folder, asterisk, witness, receiver) as bridge,
    ):
        yield Pbx(asterisk, witness, receiver, bridge)


@pytest_asyncio.fixture(loop_scope="session")
async def lab(pbx: Pbx) -> AsyncIterator[Lab]:
    """
    The PBX as nobody has used it before.
    """
    lab = Lab(pbx)
    yield lab
    await lab.clear()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """
    Show what a failed test should be judged by.
    """
    report = yield
    lab = getattr(item, "funcargs", {}).get("lab")
    if report.when == "call" and report.failed and isinstance(lab, Lab):
        report.sections += lab.evidence().items()
    return report
