"""
Stories of calls that the recordings do not tell, and the odd orders in which events come.
"""

import re

import pytest

from ami_bridge.core.ami_events import (
    ChannelSnapshot,
    ChannelState,
    DialStatus,
    FullyBooted,
    Hangup,
    LocalBridge,
    Newchannel,
)
from ami_bridge.core.call_events import CallStatus, EventType
from ami_bridge.core.correlator import CorrelatorSettings
from ami_bridge.core.course import PICKUP_PATIENCE
from ami_bridge.core.dialled import number_in
from ami_bridge.core.extensions import WhoIsWho, default_patterns
from tests.unit.stage import Stage

ANN, BEN, CAT = "PJSIP/0003*001-a", "PJSIP/0003*002-b", "PJSIP/0003*003-c"
TRUNK = "PJSIP/trunk-d"


@pytest.fixture
def stage() -> Stage:
    """
    Give a PBX with the default rules.
    """
    return Stage()


def test_a_click_through_nested_local_channels_is_a_call_made(stage: Stage) -> None:
    """
    The OUT leg is found although the inner Local channels are gone when the head dials on.
    """
    outer, inner = "Local/001@click-1", "Local/001@phones-2"
    stage.new(f"{outer};1")
    stage.new(f"{outer};2", of=f"{outer};1", state=ChannelState.RING)
    stage.dials(None, f"{outer};1", conn="15551234567")
    stage.new(f"{inner};1", of=f"{outer};1")
    stage.new(f"{inner};2", of=f"{outer};1", state=ChannelState.RING)
    stage.dials(f"{outer};2", f"{inner};1")
    stage.new(ANN, of=f"{outer};1", num="0003*001", caller="Ann")
    stage.dials(f"{inner};2", ANN)
    stage.up(ANN)
    stage.hangs_up(f"{inner};1", f"{inner};2")
    assert stage.heard == []

    stage.new(TRUNK, of=f"{outer};1")
    stage.dials(f"{outer};1", TRUNK, exten="15551234567")
    stage.answers(TRUNK)
    stage.hangs_up(f"{outer};2", f"{outer};1", ANN, TRUNK)

    assert stage.heard == ["Dial-Out 0003*001", "Answer-Out 0003*001", "Hangup 0003*001"]
    assert stage.events[0].called_number == "15551234567"
    assert stage.events[0].caller_id_num == "0003*001"


def test_a_click_that_rings_two_phones_is_the_call_of_who_answers(stage: Stage) -> None:
    """
    Of two extensions that an Originate rings, only the one that picked up makes a call.
    """
    head = "Local/group@click-1"
    stage.new(f"{head};1")
    stage.new(f"{head};2", of=f"{head};1", state=ChannelState.RING)
    stage.dials(None, f"{head};1")
    for phone in (ANN, BEN):
        stage.new(phone, of=f"{head};1")
        stage.dials(f"{head};2", phone)
    stage.up(BEN)
    stage.hangs_up(ANN, cause=26)
    stage.new(CAT, of=f"{head};1")
    stage.dials(f"{head};1", CAT, exten="003")
    stage.answers(CAT)
    stage.hangs_up(CAT, BEN, f"{head};1", f"{head};2")

    assert stage.heard == [
        "Dial-Out 0003*002",
        "Dial-In 0003*003",
        "Answer-In 0003*003",
        "Answer-Out 0003*002",
        "Hangup 0003*003",
        "Hangup 0003*002",
    ]
    assert stage.events[1].caller_extension == "0003*002"
    assert {event.called_number for event in stage.events} == {"003"}


def test_a_call_that_reaches_the_outside_first_is_received_by_the_extension(stage: Stage) -> None:
    """
    An Originate to the outside whose dialplan then rings an extension is a Dial-In for it.
    """
    head = "Local/15550001@out-1"
    stage.new(f"{head};1")
    stage.new(f"{head};2", of=f"{head};1", state=ChannelState.RING)
    stage.dials(None, f"{head};1")
    stage.new(TRUNK, of=f"{head};1", num="15550001")
    stage.dials(f"{head};2", TRUNK)
    stage.up(TRUNK)
    stage.new(ANN, of=f"{head};1")
    stage.dials(f"{head};1", ANN, exten="0003*001")
    stage.up(ANN)
    stage.hangs_up(ANN, TRUNK, f"{head};1", f"{head};2")

    assert stage.heard == ["Dial-In 0003*001", "Answer-In 0003*001", "Hangup 0003*001"]
    assert stage.events[0].caller_id_num == "15550001"
    assert stage.events[0].called_did == ""
    assert stage.events[0].called_number == "0003*001"


def test_an_originated_dialplan_whose_subroutine_dials_has_the_number_of_the_originate(
    stage: Stage,
) -> None:
    """
    The outside is called first; where it is sent is known, though a Gosub (exten s) dials there.
    """
    stage.new(TRUNK, num="15550001")
    stage.dials(None, TRUNK)
    stage.up(TRUNK)
    stage.originated(TRUNK, exten="600")
    stage.new(BEN, of=TRUNK)
    stage.dials(TRUNK, BEN, exten="s")

    assert stage.heard == ["Dial-In 0003*002"]
    assert stage.events[0].called_number == "600"


def test_an_originated_dialplan_that_calls_nobody_is_a_call_received(stage: Stage) -> None:
    """
    A wake-up call whose dialplan only plays is told when its leg ends.
    """
    stage.new(ANN)
    stage.dials(None, ANN)
    stage.up(ANN)
    stage.originated(ANN, exten="700")
    assert stage.heard == []
    stage.hangs_up(ANN)

    assert stage.heard == ["Dial-In 0003*001", "Answer-In 0003*001", "Hangup 0003*001"]
    assert stage.events[-1].call_status is CallStatus.ANSWER


def test_originate_may_be_a_dial_in_by_rule() -> None:
    """
    With originate = "dial-in" the phone that an Originate rings receives a call at once.
    """
    stage = Stage(CorrelatorSettings(originate_is_dial_in=True))
    stage.new(ANN)
    stage.dials(None, ANN, conn="15551234567")
    stage.up(ANN)
    stage.new(TRUNK, of=ANN)
    stage.dials(ANN, TRUNK, exten="15551234567")
    stage.hangs_up(TRUNK, ANN)

    assert stage.heard == ["Dial-In 0003*001", "Answer-In 0003*001", "Hangup 0003*001"]
    assert stage.events[0].caller_id_num == "15551234567"


def test_a_second_channel_that_a_feature_dials_belongs_to_who_clicked(stage: Stage) -> None:
    """
    ARI dials for a phone that clicked by making a channel in its call, with no source named.
    """
    stage.new(ANN, num="0003*001")
    stage.dials(None, ANN)
    stage.up(ANN)
    stage.new(TRUNK, of=ANN)
    stage.dials(None, TRUNK, conn="0003*001")
    stage.answers(TRUNK)
    stage.hangs_up(TRUNK, ANN)

    assert stage.heard == ["Dial-Out 0003*001", "Answer-Out 0003*001", "Hangup 0003*001"]


def test_the_inner_dial_may_come_before_the_outer_one(stage: Stage) -> None:
    """
    A Local channel's other half may dial before the dial of the Local channel is told.
    """
    local = "Local/001@agents-1"
    stage.calls(TRUNK, "15551230001", num="14155550100")
    stage.new(f"{local};1", of=TRUNK)
    stage.new(f"{local};2", of=TRUNK, num="14155550100", state=ChannelState.RING)
    stage.new(ANN, of=TRUNK)
    stage.dials(f"{local};2", ANN)
    stage.dials(TRUNK, f"{local};1")
    stage.hangs_up(ANN, f"{local};1", f"{local};2", TRUNK)

    assert stage.heard == ["Dial-In 0003*001", "Hangup 0003*001"]
    assert stage.events[0].called_did == "15551230001"
    assert stage.events[0].caller_id_num == "14155550100"


def test_a_phone_that_rings_before_its_dial_is_told_once(stage: Stage) -> None:
    """
    Ringing that overtakes its DialBegin says nothing by itself.
    """
    stage.calls(ANN, "002")
    stage.new(BEN, of=ANN)
    stage.rings(BEN)
    assert stage.heard == []
    stage.dials(ANN, BEN)
    assert stage.heard == ["Dial-Out 0003*001", "Dial-In 0003*002"]


def test_an_extension_rung_again_has_a_new_leg(stage: Stage) -> None:
    """
    Hunting back to a phone after its first try ended is a second Dial-In with its own Hangup.
    """
    stage.calls(TRUNK, "15551230001")
    stage.new(ANN, of=TRUNK)
    stage.dials(TRUNK, ANN)
    stage.dial_ends(ANN, DialStatus.NOANSWER)
    again = "PJSIP/0003*001-e"
    stage.new(again, of=TRUNK)
    stage.dials(TRUNK, again)
    stage.hangs_up(ANN, cause=0)
    stage.up(again)
    stage.hangs_up(again)

    assert stage.heard == [
        "Dial-In 0003*001",
        "Dial-In 0003*001",
        "Hangup 0003*001",
        "Answer-In 0003*001",
        "Hangup 0003*001",
    ]
    assert stage.events[0].leg != stage.events[1].leg
    assert stage.events[2].call_status is CallStatus.NOANSWER


def test_two_callers_at_one_phone_are_two_legs(stage: Stage) -> None:
    """
    Call waiting: a phone that two callers ring has a leg for each.
    """
    other = "PJSIP/trunk-f"
    stage.calls(TRUNK, "15551230001")
    stage.calls(other, "15551230001")
    second = "PJSIP/0003*001-e"
    for caller, phone in ((TRUNK, ANN), (other, second)):
        stage.new(phone, of=caller)
        stage.dials(caller, phone)

    assert stage.heard == ["Dial-In 0003*001", "Dial-In 0003*001"]
    assert stage.events[0].call_id != stage.events[1].call_id


def test_a_pickup_by_an_ordinary_number_makes_no_dial_out(stage: Stage) -> None:
    """
    A phone that picks up without a feature code (INVITE with Replaces) receives the call only.
    """
    stage.calls(TRUNK, "15551230001", num="14155550100")
    stage.new(ANN, of=TRUNK)
    stage.dials(TRUNK, ANN)
    stage.calls(BEN, "0003*001")
    stage.up(BEN, conn="14155550100")
    stage.picks_up(BEN, ANN)
    stage.hangs_up(ANN, BEN, TRUNK)

    assert stage.heard == [
        "Dial-In 0003*001",
        "Dial-In 0003*002",
        "Answer-In 0003*002",
        "Hangup 0003*001",
        "Hangup 0003*002",
    ]
    picked = stage.events[1]
    assert picked.call_id == stage.events[0].call_id
    assert (picked.caller_id_num, picked.called_did) == ("14155550100", "15551230001")
    assert picked.called_extension == "0003*002"


def test_a_pickup_told_twice_is_one(stage: Stage) -> None:
    """
    A repeated Pickup changes nothing: the leg still ends with its phone.
    """
    stage.calls(TRUNK, "15551230001")
    stage.new(ANN, of=TRUNK)
    stage.dials(TRUNK, ANN)
    stage.calls(BEN, "*8")
    stage.picks_up(BEN, ANN)
    stage.picks_up(BEN, ANN)
    stage.hangs_up(ANN, BEN)

    assert stage.heard[-1] == "Hangup 0003*002"
    assert stage.heard.count("Dial-In 0003*002") == 1


def test_a_pickup_whose_answer_is_told_first(stage: Stage) -> None:
    """
    The end of the dial, which names the picker, and the caller's Up may come before the Pickup.
    """
    stage.calls(BEN, "001")
    stage.new(ANN, of=BEN)
    stage.dials(BEN, ANN)
    stage.calls(CAT, "*8")
    stage.up(CAT, conn="0003*002")
    stage.dial_ends(CAT, source=BEN)
    stage.up(BEN)
    stage.picks_up(CAT, ANN)
    stage.hangs_up(ANN, CAT, BEN)

    assert stage.heard == [
        "Dial-Out 0003*002",
        "Dial-In 0003*001",
        "Dial-In 0003*003",
        "Answer-In 0003*003",
        "Answer-Out 0003*002",
        "Hangup 0003*001",
        "Hangup 0003*003",
        "Hangup 0003*002",
    ]
    assert stage.events[4].called_extension == "0003*003"
    assert stage.anomalies == []


def test_a_call_to_a_phone_that_rings_is_no_pickup(stage: Stage) -> None:
    """
    Who calls a phone that rings for somebody else, and is answered by the dialplan, makes a call.
    """
    stage.now = 100.0
    stage.calls(BEN, "001")
    stage.new(ANN, of=BEN)
    stage.dials(BEN, ANN)
    stage.calls(CAT, "001")
    stage.up(CAT)
    stage.dial_ends(ANN, source=BEN)
    stage.now += PICKUP_PATIENCE
    stage.hangs_up(ANN, BEN)

    assert stage.heard[2:6] == [
        "Answer-In 0003*001",
        "Dial-Out 0003*003",
        "Answer-Out 0003*003",
        "Hangup 0003*001",
    ]


@pytest.mark.parametrize("refusal", [None, DialStatus.NOANSWER])
def test_who_picked_up_and_did_not_take_the_call(stage: Stage, refusal: DialStatus | None) -> None:
    """
    A phone whose user was asked, and said no, is not the extension that answered.
    """
    stage.calls(ANN, "600")
    for phone in (BEN, CAT):
        stage.new(phone, of=ANN)
        stage.dials(ANN, phone)
    stage.up(CAT)
    stage.dial_ends(CAT, refusal)
    stage.hangs_up(CAT, ANN, BEN)

    assert "Answer-In 0003*003" in stage.heard
    hangup = [event for event in stage.events if event.extension == "0003*001"][-1]
    assert (hangup.type, hangup.called_extension) == (EventType.HANGUP, "0003*002")


def test_a_click_whose_answer_was_not_heard(stage: Stage) -> None:
    """
    Where the end of a dial is missing, whoever came up has answered it.
    """
    stage.new(ANN)
    stage.dials(None, ANN)
    stage.up(ANN)
    stage.new(TRUNK, of=ANN)
    stage.dials(ANN, TRUNK, exten="15551234567")
    stage.up(TRUNK)
    stage.hangs_up(TRUNK, ANN)

    assert stage.heard == ["Dial-Out 0003*001", "Answer-Out 0003*001", "Hangup 0003*001"]
    assert stage.events[-1].call_status is CallStatus.ANSWER


def test_a_page_by_who_clicked_has_the_number_of_the_page(stage: Stage) -> None:
    """
    What the dialplan of an originated call dials in its name was not keyed by its user.
    """
    stage.new(ANN, num="0003*001")
    stage.dials(None, ANN)
    stage.up(ANN)
    stage.originated(ANN, exten="700")
    one, two = "Local/002@page-1;1", "Local/002@page-1;2"
    stage.new(one, "002", of=ANN)
    stage.new(two, "002", of=ANN, state=ChannelState.RING)
    stage.dials(None, one, conn="0003*001")
    stage.new(BEN, of=ANN)
    stage.dials(two, BEN, exten="0003*002")

    assert stage.heard == ["Dial-Out 0003*001", "Dial-In 0003*002"]
    assert {event.called_number for event in stage.events} == {"700"}


def test_what_looked_like_a_pickup_and_was_none_is_told_in_time(stage: Stage) -> None:
    """
    A Dial-Out that waited for a Pickup is said when its patience is over.
    """
    stage.now = 100.0
    stage.calls(BEN, "300")
    stage.up(BEN, conn="300")
    assert stage.heard == []
    assert stage.correlator.next_deadline() == 101.0
    for said in stage.correlator.tick(101.0):
        stage.note(said)

    assert stage.heard == ["Dial-Out 0003*002", "Answer-Out 0003*002"]
    assert stage.correlator.next_deadline() is None


def test_what_looked_like_a_pickup_is_told_at_the_latest_when_it_ends(stage: Stage) -> None:
    """
    Without any time a waiting Dial-Out is said before the next thing of its channel.
    """
    stage.calls(BEN, "300")
    stage.up(BEN, conn="300")
    stage.hangs_up(BEN)

    assert stage.heard == ["Dial-Out 0003*002", "Answer-Out 0003*002", "Hangup 0003*002"]


def test_picking_up_on_ones_other_phone_answers_the_same_leg(stage: Stage) -> None:
    """
    An extension that takes its own ringing call on another phone has one leg, answered.
    """
    stage.calls(TRUNK, "15551230001")
    stage.new(ANN, of=TRUNK)
    stage.dials(TRUNK, ANN)
    second = "PJSIP/0003*001-e"
    stage.calls(second, "*8")
    stage.up(second)
    stage.picks_up(second, ANN)
    stage.hangs_up(ANN, second)

    assert stage.heard == ["Dial-In 0003*001", "Answer-In 0003*001", "Hangup 0003*001"]


def test_a_feature_code_that_dials_somebody_is_a_call(stage: Stage) -> None:
    """
    An intercom code says Dial-Out when the PBX dials for it, and its answer at once.
    """
    stage.calls(ANN, "*80002")
    stage.up(ANN)
    assert stage.heard == []
    stage.new(BEN, of=ANN)
    stage.dials(ANN, BEN)
    stage.hangs_up(BEN, ANN)

    assert stage.heard == [
        "Dial-Out 0003*001",
        "Answer-Out 0003*001",
        "Dial-In 0003*002",
        "Hangup 0003*002",
        "Hangup 0003*001",
    ]


def test_a_feature_code_that_dials_nobody_is_no_call(stage: Stage) -> None:
    """
    Listening to voicemail with *98 tells nobody anything.
    """
    stage.calls(ANN, "*98")
    stage.up(ANN)
    stage.hangs_up(ANN)

    assert stage.heard == []


def test_a_queue_decides_who_was_called_when_a_member_answers(stage: Stage) -> None:
    """
    The caller's Answer-Out names nobody, its Hangup the member who took the call.
    """
    stage.calls(ANN, "600")
    stage.up(ANN)
    for member in (BEN, CAT):
        stage.new(member, of=ANN)
        stage.dials(ANN, member)
    stage.up(CAT)
    stage.hangs_up(BEN, CAT, ANN)

    own = [event for event in stage.events if event.extension == "0003*001"]
    assert [event.called_extension for event in own] == ["", "", "0003*003"]


def test_a_transfer_does_not_change_who_was_called(stage: Stage) -> None:
    """
    A caller who is transferred on keeps the extension that answered first.
    """
    stage.calls(ANN, "002")
    stage.new(BEN, of=ANN)
    stage.dials(ANN, BEN)
    stage.up(BEN)
    stage.up(ANN)
    stage.hangs_up(BEN)
    stage.new(CAT, of=ANN)
    stage.dials(ANN, CAT, exten="003")
    stage.up(CAT)
    stage.hangs_up(CAT, ANN)

    assert stage.events[-1].called_extension == "0003*002"
    third = next(event for event in stage.events if event.extension == "0003*003")
    assert (third.caller_extension, third.called_number) == ("0003*001", "002")


def test_a_callee_who_is_transferred_calls_but_makes_no_call(stage: Stage) -> None:
    """
    A channel that was dialled and now dials stays the IN leg it is.
    """
    stage.calls(ANN, "002")
    stage.new(BEN, of=ANN, num="0003*002")
    stage.dials(ANN, BEN)
    stage.up(BEN)
    stage.up(ANN)
    stage.hangs_up(ANN)
    stage.new(CAT, of=ANN)
    stage.dials(BEN, CAT, exten="003")
    stage.hangs_up(CAT, BEN)

    assert "Dial-Out 0003*002" not in stage.heard
    third = next(event for event in stage.events if event.extension == "0003*003")
    assert (third.caller_extension, third.called_number) == ("0003*002", "003")


def test_a_consultation_is_not_somebody_elses(stage: Stage) -> None:
    """
    In a call that merged, who presses keys is one who talked there, not the same phone elsewhere.
    """
    stage.calls(BEN, "800", num="0003*002")
    stage.up(BEN)
    stage.calls(TRUNK, "15551230001", num="14155550100")
    stage.new(ANN, of=TRUNK)
    stage.dials(TRUNK, ANN)
    stage.answers(ANN)
    stage.up(TRUNK)
    consultation, second = "PJSIP/0003*001-e", "PJSIP/0003*002-f"
    stage.calls(consultation, "002", num="0003*001")
    stage.new(second, of=consultation, num="0003*002")
    stage.dials(consultation, second)
    stage.answers(second)
    stage.up(consultation)
    stage.hangs_up(ANN, consultation)
    local, far = "Local/003@from-test-1;1", "Local/003@from-test-1;2"
    stage.new(local, "003", of=TRUNK)
    stage.new(far, "003", of=TRUNK, num="0003*002", state=ChannelState.RING)
    stage.play(LocalBridge(stage[local].uniqueid, stage[far].uniqueid))
    stage.new(CAT, of=TRUNK)
    stage.dials(far, CAT, exten="003")

    third = stage.events[-1]
    assert (third.extension, third.caller_extension) == ("0003*003", "0003*002")
    assert third.called_number == "003"


@pytest.mark.parametrize(
    ("number", "gone", "heard"),
    [
        pytest.param("14155550100", (), "Dial-In 0003*001", id="the transferee's number"),
        pytest.param("14155550199", (), None, id="another number"),
        pytest.param("14155550100", (ANN,), None, id="the transfer is over"),
        pytest.param("14155550100", (TRUNK,), None, id="the transferee is gone"),
    ],
)
def test_a_click_during_a_transfer_is_no_recall(
    stage: Stage, number: str, gone: tuple[str, ...], heard: str | None
) -> None:
    """
    A transferrer is rung again for who was handed on, and for nobody else.
    """
    stage.calls(TRUNK, "15551230001", num="14155550100")
    stage.new(ANN, of=TRUNK)
    stage.dials(TRUNK, ANN)
    stage.answers(ANN)
    stage.hands_on(ANN, TRUNK)
    stage.hangs_up(*gone)
    before = len(stage.heard)
    stage.new("PJSIP/0003*001-e")
    stage.dials(None, "PJSIP/0003*001-e", conn=number)

    assert stage.heard[before:] == ([] if heard is None else [heard])


@pytest.mark.parametrize(
    ("dial_string", "number"),
    [
        pytest.param("15551234567@trunk", "15551234567", id="PJSIP and SIP"),
        pytest.param("trunk/15551234567", "15551234567", id="SIP, IAX2, DAHDI"),
        pytest.param("PJSIP/0003*002", "", id="a member of a queue"),
        pytest.param("trunk/sip:+15551234567@sip.example.org", "+15551234567", id="a URI"),
        pytest.param("trunk/sip:front-desk@sip.example.org", "", id="a name"),
        pytest.param("user:secret@host", "", id="a secret"),
        pytest.param("", "", id="untold"),
    ],
)
def test_number_in_a_dial_string(dial_string: str, number: str) -> None:
    """
    A dial string gives the number that is called, and nothing else that is in it.
    """
    assert number_in(dial_string) == number


def test_what_is_said_twice_is_no_news(stage: Stage) -> None:
    """
    A picker that is said to be up once more may still be picking up.
    """
    stage.calls(ANN, "002")
    stage.new(BEN, of=ANN)
    stage.dials(ANN, BEN)
    stage.rings(BEN)
    stage.calls(CAT, "002")
    stage.up(CAT)
    stage.up(CAT)
    stage.hangs_up(BEN)
    stage.dial_ends(CAT, source=ANN)

    assert "Dial-Out 0003*003" not in stage.heard
    assert stage.heard[-2:] == ["Dial-In 0003*003", "Answer-In 0003*003"]


def test_a_call_that_came_in_the_middle_is_not_made_up(stage: Stage) -> None:
    """
    A caller whose beginning was missed makes no call; the phone that now rings is told.
    """
    stranger = ChannelSnapshot(ANN, "1795000000.77", "1795000000.77", ChannelState.RING, "002")
    stage._channels[ANN] = stranger
    stage.new(BEN, of=ANN)
    stage.dials(ANN, BEN)
    stage.up(BEN)
    stage.up(ANN)
    stage.hangs_up(ANN, BEN)

    assert stage.heard == ["Dial-In 0003*002", "Answer-In 0003*002", "Hangup 0003*002"]
    assert stage.events[0].caller_extension == "0003*001"


@pytest.mark.parametrize(
    ("status", "cause", "word"),
    [
        pytest.param(DialStatus.NOANSWER, 21, CallStatus.BUSY, id="603 is said NOANSWER, cause 21"),
        pytest.param(DialStatus.BUSY, 17, CallStatus.BUSY, id="486"),
        pytest.param(DialStatus.NOANSWER, 0, CallStatus.NOANSWER, id="rang too long"),
        pytest.param(DialStatus.CANCEL, 127, CallStatus.CANCEL, id="the caller gave up"),
        pytest.param(DialStatus.CONGESTION, 34, CallStatus.CONGESTION, id="503"),
        pytest.param(None, 26, CallStatus.CANCEL, id="picked up elsewhere, no DialEnd"),
        pytest.param(None, 19, CallStatus.NOANSWER, id="no DialEnd, cause no answer"),
    ],
)
def test_detailed_word_of_an_unanswered_leg(
    stage: Stage, status: DialStatus | None, cause: int, word: CallStatus
) -> None:
    """
    The detailed Hangup says why the extension did not answer.
    """
    stage.calls(ANN, "002")
    stage.new(BEN, of=ANN)
    stage.dials(ANN, BEN)
    if status is not None:
        stage.dial_ends(BEN, status)
    stage.hangs_up(BEN, cause=cause)

    assert stage.events[-1].type is EventType.HANGUP
    assert stage.events[-1].call_status is word


def test_detailed_word_of_a_call_for_which_no_channel_could_be_made(stage: Stage) -> None:
    """
    A caller whose callee is not registered hears CHANUNAVAIL.
    """
    stage.calls(ANN, "009")
    stage.hangs_up(ANN, cause=3)

    assert stage.heard == ["Dial-Out 0003*001", "Hangup 0003*001"]
    assert stage.events[-1].call_status is CallStatus.CHANUNAVAIL


@pytest.mark.parametrize(
    ("cause", "word"),
    [
        pytest.param(17, CallStatus.BUSY, id="busy at last"),
        pytest.param(3, CallStatus.CHANUNAVAIL, id="nobody is registered for the next"),
        pytest.param(20, CallStatus.CHANUNAVAIL, id="the next is absent"),
    ],
)
def test_detailed_word_of_a_caller_who_was_refused(
    stage: Stage, cause: int, word: CallStatus
) -> None:
    """
    A dial for which no channel could be made shows in the caller's own cause alone.
    """
    stage.calls(ANN, "641")
    stage.new(BEN, of=ANN)
    stage.dials(ANN, BEN)
    stage.dial_ends(BEN, DialStatus.BUSY)
    stage.hangs_up(BEN, cause=17)
    stage.hangs_up(ANN, cause=cause)

    assert [event.call_status for event in stage.events[-2:]] == [CallStatus.BUSY, word]


@pytest.mark.parametrize(
    ("status", "order", "word"),
    [
        pytest.param(DialStatus.NOANSWER, (CAT, ANN), CallStatus.NOANSWER, id="rang too long"),
        pytest.param(DialStatus.CONGESTION, (ANN, CAT), CallStatus.CONGESTION, id="gone later"),
        pytest.param(None, (ANN, CAT), CallStatus.CANCEL, id="transferred while it rang"),
    ],
)
def test_detailed_word_of_a_caller_who_was_hunting(
    stage: Stage, status: DialStatus | None, order: tuple[str, str], word: CallStatus
) -> None:
    """
    The word of a call made is that of its last dial; its own cause is left from the first.
    """
    stage.calls(ANN, "600")
    stage.new(BEN, of=ANN)
    stage.dials(ANN, BEN)
    stage.dial_ends(BEN, DialStatus.BUSY)
    stage.hangs_up(BEN, cause=17)
    stage.new(CAT, of=ANN)
    stage.dials(ANN, CAT)
    if status is not None:
        stage.dial_ends(CAT, status)
    for name in order:
        stage.hangs_up(name, cause=17 if name == ANN else 34)

    (caller,) = (
        event
        for event in stage.events
        if event.type is EventType.HANGUP and event.extension == "0003*001"
    )
    assert caller.call_status is word


def test_ring_and_talk_seconds_are_those_of_the_leg(stage: Stage) -> None:
    """
    A Hangup knows how long its leg rang and how long it talked.
    """
    stage.now = 100.0
    stage.calls(TRUNK, "15551230001")
    stage.new(ANN, of=TRUNK)
    stage.dials(TRUNK, ANN)
    stage.now = 103.0
    stage.up(ANN)
    stage.now = 110.0
    stage.hangs_up(ANN)

    assert (stage.events[-1].ring_seconds, stage.events[-1].talk_seconds) == (3.0, 7.0)


def test_anonymous_numbers_and_public_numbers_come_from_the_rules() -> None:
    """
    A number that stands for a withheld one is empty; an extension may have a public number.
    """
    stage = Stage(
        CorrelatorSettings(
            anonymous_numbers=frozenset({"anonymous"}), public_numbers={"0003*002": "4930123"}
        )
    )
    stage.calls(ANN, "002", num="anonymous")
    stage.new(BEN, of=ANN)
    stage.dials(ANN, BEN)

    assert [event.caller_id_num for event in stage.events] == ["", ""]
    assert [event.called_did for event in stage.events] == ["4930123", "4930123"]


def test_several_pbxs_keep_their_calls_apart() -> None:
    """
    The PBX's name stands before the CallID and in the leg's identity.
    """
    stage = Stage(CorrelatorSettings(pbx="berlin"))
    stage.calls(ANN, "002")
    stage.up(ANN)

    assert stage.events[0].call_id == "berlin-1795000000.1"
    assert stage.events[0].identity == "berlin/1795000000.1/0003*001/OUT/Dial-Out"


def test_a_channel_that_asterisk_no_longer_lists_is_hung_up(stage: Stage) -> None:
    """
    An orphan, whose Hangup never came, is found by the list of channels, and ends its leg.
    """
    stage.calls(ANN, "002")
    stage.new(BEN, of=ANN)
    stage.dials(ANN, BEN)
    known = stage.correlator.channels
    stage.calls(CAT, "300")
    for said in stage.correlator.resynchronise({stage[ANN].uniqueid}, known, 200.0):
        stage.note(said)

    assert stage.heard[-1] == "Hangup 0003*002"
    assert stage.anomalies == ["channel whose Hangup was not seen"]
    assert stage[CAT].uniqueid in stage.correlator.channels


def test_a_pbx_that_booted_after_a_call_began_has_ended_it(stage: Stage) -> None:
    """
    When Asterisk restarts, every leg that was open gets its Hangup.
    """
    stage.now = 1795000010.0
    stage.play(FullyBooted(500))
    stage.calls(ANN, "002")
    stage.new(BEN, of=ANN)
    stage.dials(ANN, BEN)
    stage.now = 1795000060.0
    stage.play(FullyBooted(2))

    assert sorted(stage.heard[2:]) == ["Hangup 0003*001", "Hangup 0003*002"]
    assert stage.correlator.channels == frozenset()


def test_logging_in_again_ends_no_call(stage: Stage) -> None:
    """
    FullyBooted also comes at every login; an uptime that grew is no restart.
    """
    stage.now = 1795000010.0
    stage.play(FullyBooted(500))
    stage.calls(ANN, "002")
    stage.now = 1795000020.0
    stage.play(FullyBooted(510))

    assert stage.correlator.channels != frozenset()


def test_what_comes_after_a_hangup_revives_nobody(stage: Stage) -> None:
    """
    Events of a channel that is gone are anomalies, and leave nothing behind.
    """
    stage.calls(ANN, "002")
    stage.hangs_up(ANN)
    stage.up(ANN)
    stage.play(Newchannel(stage[ANN]))
    stage.dials(None, ANN)
    stage.hangs_up(ANN)

    assert stage.heard == ["Dial-Out 0003*001", "Hangup 0003*001"]
    assert len(stage.anomalies) == 4
    assert stage.correlator.channels == frozenset()


def test_a_local_pair_with_unlike_names_is_joined_by_local_bridge(stage: Stage) -> None:
    """
    LocalBridge joins the halves of a Local channel whatever they are called.
    """
    one, two = "Local/x-1;1", "Local/y-2;2"
    stage.calls(TRUNK, "15551230001", num="1")
    stage.new(one, of=TRUNK)
    stage.new(two, of=TRUNK, state=ChannelState.RING)
    stage.play(LocalBridge(stage[one].uniqueid, stage[two].uniqueid))
    stage.dials(TRUNK, one)
    stage.new(ANN, of=TRUNK)
    stage.dials(two, ANN)

    assert stage.events[0].called_did == "15551230001"


def test_new_rules_hold_for_channels_made_from_then_on(stage: Stage) -> None:
    """
    Rules that are loaded anew do not change who a living channel is.
    """
    stage.calls(ANN, "101")
    stage.correlator.apply(CorrelatorSettings(WhoIsWho(default_patterns("0042"))))
    stage.new("PJSIP/101-b", of=ANN)
    stage.dials(ANN, "PJSIP/101-b")

    assert stage.heard == ["Dial-Out 0003*001", "Dial-In 0042*101"]


def test_own_feature_codes(stage: Stage) -> None:
    """
    What is a feature code is the rules' to say.
    """
    stage.correlator.apply(CorrelatorSettings(feature_codes=(re.compile("79.*"),)))
    stage.calls(ANN, "79002")
    stage.hangs_up(ANN)
    stage.calls("PJSIP/0003*001-e", "*98")
    stage.hangs_up("PJSIP/0003*001-e")

    assert stage.heard == ["Dial-Out 0003*001", "Hangup 0003*001"]


class TestLegacy:
    """
    Asterisk 1.8 to 11: no Linkedid, queues and Originates that tell of no dial.
    """

    @pytest.fixture
    def stage(self) -> Stage:
        """
        Give an old PBX.
        """
        return Stage(legacy=True)

    def test_a_queue_member_is_called_when_it_rings(self, stage: Stage) -> None:
        """
        Ringing of a member is its Dial-In, from the caller who waits with that number.
        """
        stage.calls("SIP/trunk-d", "15551230600", num="14155550100")
        stage.up("SIP/trunk-d")
        stage.queues("SIP/trunk-d")
        stage.new("SIP/0003*101-a")
        stage.rings("SIP/0003*101-a", conn="14155550100")
        stage.up("SIP/0003*101-a", conn="14155550100")
        stage.hangs_up("SIP/0003*101-a", "SIP/trunk-d")

        assert stage.heard == ["Dial-In 0003*101", "Answer-In 0003*101", "Hangup 0003*101"]
        first = stage.events[0]
        assert first.call_id == stage["SIP/trunk-d"].uniqueid
        assert (first.caller_id_num, first.called_did) == ("14155550100", "15551230600")

    def test_a_caller_without_number_is_the_one_who_waits(self, stage: Stage) -> None:
        """
        A member that rings with no number is called by the only caller in a queue.
        """
        stage.calls("SIP/trunk-d", "15551230600")
        stage.queues("SIP/trunk-d")
        stage.new("SIP/0003*101-a")
        stage.rings("SIP/0003*101-a")

        assert stage.heard == ["Dial-In 0003*101"]
        assert stage.events[0].call_id == stage["SIP/trunk-d"].uniqueid

    def test_a_phone_that_rings_for_nobody_was_originated(self, stage: Stage) -> None:
        """
        A click-to-call is silent until the phone dials on.
        """
        stage.new("SIP/0003*101-a", num="0003*101")
        stage.rings("SIP/0003*101-a", conn="15551234567")
        stage.up("SIP/0003*101-a", conn="15551234567")
        assert stage.heard == []
        stage.new("SIP/trunk-d")
        stage.dials("SIP/0003*101-a", "SIP/trunk-d", exten="15551234567")
        stage.up("SIP/trunk-d")
        stage.hangs_up("SIP/trunk-d", "SIP/0003*101-a")

        assert stage.heard == ["Dial-Out 0003*101", "Answer-Out 0003*101", "Hangup 0003*101"]

    @pytest.mark.parametrize(
        ("name", "heard"),
        [
            pytest.param("Ann", ["Dial-In 0003*102"], id="who has number and name consults"),
            pytest.param("Click", [], id="the number alone may be that of whom a click calls"),
        ],
    )
    def test_who_was_called_may_consult_by_keys(
        self, stage: Stage, name: str, heard: list[str]
    ) -> None:
        """
        A Local channel that nobody dials is for who talks and has its caller id, in their call.
        """
        half = "Local/0003*102@internal-1;"
        stage.calls("SIP/trunk-d", "15551230101", num="14155550100")
        stage.new("SIP/0003*101-a", num="0003*101", caller="Ann")
        stage.dials("SIP/trunk-d", "SIP/0003*101-a")
        stage.up("SIP/0003*101-a")
        before = len(stage.heard)
        stage.new(f"{half}1", "0003*102")
        stage.new(f"{half}2", "0003*102", num="0003*101", caller=name, state=ChannelState.RING)
        stage.new("SIP/0003*102-b")
        stage.dials(f"{half}2", "SIP/0003*102-b")

        assert stage.heard[before:] == heard
        for told in stage.events[before:]:
            assert told.caller_extension == "0003*101"
            assert told.called_number == "0003*102"
            assert told.call_id == stage.events[0].call_id

    def test_a_silent_phone_that_dials_was_originated(self, stage: Stage) -> None:
        """
        A phone that never said that it rings, and dials, made the call that was clicked.
        """
        stage.new("SIP/0003*101-a")
        stage.up("SIP/0003*101-a")
        stage.new("SIP/trunk-d")
        stage.dials("SIP/0003*101-a", "SIP/trunk-d", exten="15551234567")
        stage.hangs_up("SIP/trunk-d", "SIP/0003*101-a")

        assert stage.heard == ["Dial-Out 0003*101", "Hangup 0003*101"]


def test_hangup_text_is_told(stage: Stage) -> None:
    """
    A Hangup carries Asterisk's cause and its text.
    """
    stage.calls(ANN, "002")
    stage.play(Hangup(stage[ANN], 17, "User busy"))

    assert (stage.events[-1].hangup_cause, stage.events[-1].hangup_cause_text) == (17, "User busy")
