"""
The chaos suite itself: a short run, and proof that its judge sees what it is there to see.
"""

import random
from pathlib import Path

import attrs
import pytest

from ami_bridge.adapters.simulator import Happening, What
from ami_bridge.core.call_events import EventType, HangupDialect, parameters
from ami_bridge.core.requests import event_id
from tests.chaos.bridge import PBX, REDIRECTED, RULES
from tests.chaos.calls import RecordedCall, calls_under_load, stories
from tests.chaos.hearing import IN_FLIGHT_SECONDS, Gap, Hearing
from tests.chaos.judge import Judge, fates
from tests.chaos.receiver import Arrival, Mood
from tests.chaos.run import Plan, Run, table
from tests.chaos.traffic import PlayedCall, Traffic

EVERYTHING = RULES[0]
DICE = random.Random(1)  # noqa: S311 - of no secret


async def test_nothing_is_lost_told_twice_or_out_of_order(tmp_path: Path) -> None:
    """
    Killed, stopped, cut off and refused, the bridge tells what it must, in order.
    """
    plan = Plan(faults=14, seconds=12.0, seed=20261123, rate=6.0, longest_call=4.0)

    outcome = await Run(plan, tmp_path).run()

    bad = [f for f in outcome.findings if f.what in ("lost", "extra", "disordered", "changed")]
    print("\n".join([*table(outcome), *outcome.left_out]))
    assert bad == []
    assert outcome.bad_ends == []
    assert len(outcome.faults) == plan.faults
    assert outcome.owed > 200


# -- the judge -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def call() -> RecordedCall:
    """
    Give a call that came in on a trunk and was answered by an extension: one leg.
    """
    return next(story for story in stories() if story.name == "trunk-ext-answered")


def playing_of(call: RecordedCall) -> PlayedCall:
    """
    Play *call* alone, from its beginning to its end.
    """
    traffic = Traffic([call], 1.0, DICE)
    chunks = traffic.chunks()
    next(chunks)
    traffic.end()
    assert len(list(chunks)) == len(call.chunks) - 1
    return traffic.played[0]


def told(played: PlayedCall) -> list[Arrival]:
    """
    Give the requests that tell all of *played*, as its receiver should write them down.
    """
    events = [played.fresh_event(e.call_event, PBX) for e in played.call.expected]
    return [
        Arrival(
            number,
            float(number),
            EVERYTHING.id,
            event_id(event, EVERYTHING),
            parameters(event, HangupDialect.SIMPLE),
            Mood.WELL,
            200,
        )
        for number, event in enumerate(events)
    ]


def judged(played: PlayedCall, arrivals: list[Arrival], *gaps: Gap) -> list[str]:
    """
    Give what the judge finds, one word for each finding.
    """
    legs = fates(played, PBX, gaps)
    judge = Judge(legs, [EVERYTHING], arrivals, redirected=REDIRECTED)
    return sorted(finding.what for finding in judge.findings())


def test_a_call_told_as_it_was(call: RecordedCall) -> None:
    """
    Of a call that was told as it happened there is nothing to say.
    """
    played = playing_of(call)

    assert judged(played, told(played)) == []


@pytest.mark.parametrize("number", range(3))
def test_what_is_not_told_is_lost(call: RecordedCall, number: int) -> None:
    """
    Each event that was heard and is not accepted by the receiver is lost.
    """
    played = playing_of(call)
    arrivals = told(played)
    del arrivals[number]

    refused = told(played)
    refused[number].status = 500

    assert "lost" in judged(played, arrivals)
    assert "lost" in judged(played, refused)


def test_what_never_happened_is_extra(call: RecordedCall) -> None:
    """
    A notification with an id that no event has is one too many.
    """
    played = playing_of(call)
    arrivals = told(played)
    twin = attrs.evolve(arrivals[0], number=3, webhook_id="another")

    assert judged(played, [*arrivals, twin]) == ["extra"]


def test_order_is_of_accepted_requests(call: RecordedCall) -> None:
    """
    What comes before its predecessor was accepted is out of order.
    """
    played = playing_of(call)
    arrivals = told(played)
    arrivals[0].number, arrivals[1].number = 1, 0
    early = told(played)
    again = attrs.evolve(early[0], number=9)
    early[0].status = 500

    assert judged(played, arrivals) == ["disordered"]
    assert judged(played, [*early, again]) == ["disordered"]


def test_repeats_are_counted_and_must_be_the_same(call: RecordedCall) -> None:
    """
    The same notification again is a repeat, one with other values is a fault.
    """
    played = playing_of(call)
    again = attrs.evolve(told(played)[0], number=7)
    other = attrs.evolve(again, parameters={**again.parameters, "CallerIDNum": "1"})

    assert judged(played, [*told(played), again]) == ["repeated"]
    assert judged(played, [*told(played), other]) == ["changed", "repeated"]


def test_values_are_those_of_the_golden_file(call: RecordedCall) -> None:
    """
    A value that is not what the recording says is a fault, if all of it was heard.
    """
    played = playing_of(call)
    arrivals = told(played)
    arrivals[0].parameters["CalledDID"] = ""

    assert judged(played, arrivals) == ["changed"]


def test_what_a_list_shows_must_be_told(call: RecordedCall) -> None:
    """
    A call that began unheard and still lives when the channels are listed must be told late.
    """
    played = playing_of(call)
    *_, end = (played.positions[expected.chunk] for expected in call.expected)

    assert "lost" in judged(played, [], Gap(0, end, end))
    assert judged(played, told(played), Gap(0, end, end)) == ["told late", "told late"]


def test_what_no_list_shows_may_be_untold(call: RecordedCall) -> None:
    """
    A call that began and ended unheard need not be told; if it is, it must end.
    """
    played = playing_of(call)
    _, *_, end = (played.positions[expected.chunk] for expected in call.expected)
    whole = Gap(0, end + 1, end + 1)

    assert judged(played, [], whole) == ["unknowable"] * 3
    assert "lost" in judged(played, told(played)[:2], whole)


def test_a_pbx_that_goes_down_ends_its_calls(call: RecordedCall) -> None:
    """
    Of a call that was up when the PBX went down, a Hangup must be told.
    """
    played = playing_of(call)
    dial, answer, end = (played.positions[expected.chunk] for expected in call.expected)
    assert dial < answer < end
    played.ended_at = end
    arrivals = told(played)

    assert judged(played, arrivals) == []
    assert judged(played, arrivals[:2]) == ["lost"]


def test_calls_are_what_their_recordings_say() -> None:
    """
    All stories but those that end in mid call are in the library, and calls under load.
    """
    names = {story.name for story in stories()}
    chosen = calls_under_load(20, DICE)

    assert len(names) > 70
    assert "ami-drop-midcall" not in names
    assert len(chosen) == 20
    assert all(call.expected[-1].call_event.type is EventType.HANGUP for call in chosen)


def test_traffic_is_of_calls_of_their_own(call: RecordedCall) -> None:
    """
    A call that is played twice has other Uniqueids, channels and bridges the second time.
    """
    traffic = Traffic([call], 1.0, DICE)
    chunks = traffic.chunks()
    while len(traffic.played) < 2:
        next(chunks)
    traffic.end()
    times = [when for when, _ in chunks]

    first, second = traffic.played
    assert times == sorted(times)
    assert set(first.ids) == set(second.ids)
    assert not set(first.ids.values()) & set(second.ids.values())


# -- what was heard ------------------------------------------------------------------------


class Clock:
    """
    A clock that is set by hand.
    """

    now = 100.0

    def __call__(self) -> float:
        return self.now


def heard(*steps: tuple[float, What, int, int]) -> Hearing:
    """
    Follow happenings: the time, what, the position, and the connection.
    """
    clock = Clock()
    hearing = Hearing(clock)
    for clock.now, what, position, session in steps:
        hearing.note(Happening(what, position, session))
    return hearing


LOGIN = [(0.0, What.LOGIN, 0, 1), (0.1, What.LISTED, 0, 1)]
CALM = [(10.0, What.SAID, 5, 0), (20.0, What.SAID, 9, 0)]


def test_a_connection_that_lasts_has_no_gap() -> None:
    """
    While one connection lasts, everything is heard.
    """
    assert heard(*LOGIN, *CALM).gaps() == []


def test_a_gap_begins_with_what_was_in_flight() -> None:
    """
    Between two connections there is a gap, and it holds what was said just before the end.
    """
    hearing = heard(
        *LOGIN,
        *CALM,
        (20.0 + IN_FLIGHT_SECONDS / 2, What.LEFT, 9, 1),
        (30.0, What.SAID, 12, 0),
        (31.0, What.LOGIN, 12, 2),
        (32.0, What.LISTED, 13, 2),
    )

    assert hearing.gaps() == [Gap(5, 12, 13)]


def test_a_connection_without_a_list_closes_no_gap() -> None:
    """
    Who logs in and does not learn which channels there are has not found the PBX again.
    """
    hearing = heard(
        *LOGIN,
        (20.0, What.LEFT, 4, 1),
        (21.0, What.LOGIN, 4, 2),
        (25.0, What.LEFT, 5, 2),
        (31.0, What.LOGIN, 12, 3),
        (32.0, What.LISTED, 12, 3),
    )

    assert hearing.gaps() == [Gap(0, 12, 12)]


def test_stalls_that_are_survived_make_no_gap() -> None:
    """
    What was withheld and came is heard; what never came is not.
    """
    survived = heard(*LOGIN, *CALM)
    survived.stalled(9)
    survived.flows()
    lost = heard(*LOGIN, *CALM)
    lost.stalled(5)
    lost.note(Happening(What.LEFT, 9, 1))

    assert survived.gaps() == []
    assert [gap.begin for gap in lost.gaps()] == [5]
