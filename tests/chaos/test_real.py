"""
The same with a real Asterisk: a short run, and what its own record of calls is taken for.
"""

import os
from pathlib import Path

import pytest

from ami_bridge.core.call_events import EventType
from tests.asterisk.chroots import ChrootUnavailable, chroot_of
from tests.chaos.hearing import Gap
from tests.chaos.real import RealRun, _fates, _gaps
from tests.chaos.real_pbx import ChannelLife
from tests.chaos.run import Plan, table

LIFE = ChannelLife("PJSIP/0003*001-0000000a", "1.2", "1.1", 10.0, 12.0, 20.0)
TOLD = {EventType.DIAL_IN, EventType.ANSWER_IN, EventType.HANGUP}


@pytest.mark.asterisk
async def test_nothing_is_lost_on_a_real_pbx(tmp_path: Path) -> None:
    """
    Asterisk killed and restarted, links cut, bridges killed: what it wrote down is what was told.
    """
    try:
        chroot_of("22")
    except ChrootUnavailable as unavailable:
        if os.environ.get("AMI_BRIDGE_REQUIRE_ASTERISK") == "1":
            pytest.fail(f"no Asterisk 22: {unavailable}", pytrace=False)
        pytest.skip(f"no Asterisk 22: {unavailable}")
    plan = Plan(faults=11, seconds=40.0, seed=20261123)

    outcome = await RealRun(plan, tmp_path).run()

    print("\n".join(table(outcome)))
    bad = [f for f in outcome.findings if f.what in ("lost", "extra", "disordered", "changed")]
    assert bad == []
    assert outcome.bad_ends == []
    assert outcome.owed > 300


@pytest.mark.parametrize(
    ("gap", "must"),
    [
        pytest.param(None, TOLD, id="heard"),
        pytest.param(Gap(9_000, 11_000, 11_500), TOLD, id="it lives when channels are listed"),
        pytest.param(Gap(9_000, 19_000, 21_000), set(), id="it may be gone by then"),
        pytest.param(Gap(9_000, 21_000, 22_000), set(), id="it began and ended unheard"),
        pytest.param(Gap(15_000, 21_000, 22_000), TOLD, id="its end is missed"),
        pytest.param(
            Gap(11_000, 19_000, 21_000),
            {EventType.DIAL_IN, EventType.HANGUP},
            id="its answer may be",
        ),
    ],
)
def test_what_must_be_told_of_a_channel(gap: Gap | None, must: set[EventType]) -> None:
    """
    An extension's channel is a leg that must be told, unless nobody can have known of it.
    """
    [fate] = _fates(LIFE, [gap] if gap else [])

    assert fate.must == must
    assert fate.events[0].leg == "chaos/1.2/0003*001/IN"
    assert fate.events[0].call_id == "chaos-1.1"


def test_whose_channels_are_no_legs() -> None:
    """
    The outside has no legs, nor has a channel that lives.
    """
    outside = ChannelLife("PJSIP/provider-0000000a", "1.2", "1.1", 10.0, None, 20.0)
    alive = ChannelLife("PJSIP/0003*001-0000000a", "1.2", "1.1", 10.0)

    assert [*_fates(outside, []), *_fates(alive, [])] == []


def test_gaps_end_with_a_login_that_lasts() -> None:
    """
    A gap ends with the first login after which the list of channels can have been read.
    """
    [lasting] = _gaps([100.0], [90.0, 101.0])
    first, second = _gaps([100.0, 101.5], [101.0, 103.0])
    [never] = _gaps([100.0], [90.0])

    assert lasting == Gap(99_500, 101_100, 102_500)
    assert (first.end, second.end) == (103_100, 103_100)
    assert never.end > 1 << 50
