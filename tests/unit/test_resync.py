"""
The connection was lost, and is found again: what is told late, and that nothing is told twice.
"""

import pytest

from ami_bridge.core.ami_events import (
    ChannelSnapshot,
    ChannelState,
    DialBegin,
    DialStatus,
    FullyBooted,
    Hangup,
    Newchannel,
    Rename,
)
from ami_bridge.core.call_events import CallStatus
from ami_bridge.core.channel_list import ChannelRow, ListedChannels
from ami_bridge.core.correlator import Anomaly, Correlator
from ami_bridge.core.resync import resynchronise
from tests.unit.stage import Stage

ANN, BEN, CAT = "PJSIP/0003*001-a", "PJSIP/0003*002-b", "PJSIP/0003*003-c"
TRUNK = "PJSIP/trunk-d"
DID = "15551230001"


@pytest.fixture
def stage() -> Stage:
    """
    Give an empty PBX.
    """
    stage = Stage()
    stage.now = 1795000010.0
    return stage


def call(stage: Stage, caller: str, callee: str, number: str = "002") -> None:
    """
    Let *caller* call the PBX and ring *callee*.
    """
    stage.calls(caller, number, num="14155550100" if caller == TRUNK else caller[6:14])
    stage.new(callee, of=caller)
    stage.dials(caller, callee)
    stage.rings(callee)


def answer(stage: Stage, caller: str, callee: str) -> None:
    """
    Let *callee* answer.
    """
    stage.up(callee)
    stage.dial_ends(callee)
    stage.up(caller)
    stage.talk(caller, callee)


DIALS = ["Dial-Out 0003*001", "Dial-In 0003*002"]
ANSWERS = ["Answer-In 0003*002", "Answer-Out 0003*001"]
HANGUPS = ["Hangup 0003*002", "Hangup 0003*001"]


def test_a_call_that_rings(stage: Stage) -> None:
    """
    A call that began while away and rings is told late; its answer and end come as they happen.
    """
    stage.goes_away()
    call(stage, ANN, BEN)
    stage.comes_back()
    assert stage.heard == DIALS

    answer(stage, ANN, BEN)
    stage.hangs_up(BEN, ANN)

    assert stage.heard == DIALS + ANSWERS + HANGUPS
    assert stage.anomalies == []


def test_a_call_that_is_up(stage: Stage) -> None:
    """
    A call that began and was answered while away is told with its answer, and ends for a reason.
    """
    stage.goes_away()
    call(stage, ANN, BEN)
    answer(stage, ANN, BEN)
    stage.comes_back()
    assert stage.heard == DIALS + ANSWERS

    stage.hangs_up(BEN, ANN, cause=31)

    assert stage.heard == DIALS + ANSWERS + HANGUPS
    assert {event.call_id for event in stage.events} == {stage[ANN].uniqueid}
    assert stage.events[-1].hangup_cause == 31
    assert stage.events[-1].call_status is CallStatus.ANSWER


def test_a_call_that_was_answered_while_away(stage: Stage) -> None:
    """
    A call that rang before and is up now has been answered, now.
    """
    call(stage, ANN, BEN)
    stage.goes_away()
    answer(stage, ANN, BEN)
    stage.comes_back()

    assert stage.heard == DIALS + ANSWERS


@pytest.mark.parametrize("clicked", [False, True])
def test_a_callee_who_is_asked_whether_the_call_is_wanted(stage: Stage, clicked: bool) -> None:
    """
    Who is up and talks to nobody has not taken the call yet; when it has, that is told.
    """
    if clicked:
        stage.new(ANN, num="0003*001")
        stage.dials(None, ANN)
        stage.answers(ANN)
        stage.originated(ANN, exten="002")
        stage.new(BEN, of=ANN)
        stage.dials(ANN, BEN)
        stage.rings(BEN)
    else:
        call(stage, ANN, BEN)
    stage.goes_away()
    stage.up(BEN)
    stage.comes_back()
    asked = list(stage.heard)
    stage.dial_ends(BEN)
    if not clicked:
        stage.up(ANN)
    stage.talk(ANN, BEN)

    assert asked == [*DIALS, "Answer-In 0003*002"]
    assert stage.heard == [*DIALS, *ANSWERS]


def test_a_call_that_ended_while_away(stage: Stage) -> None:
    """
    A call whose channels are gone has ended, for no known reason and with the id of the real end.
    """
    call(stage, ANN, BEN)
    answer(stage, ANN, BEN)
    stage.goes_away()
    stage.hangs_up(BEN, ANN)
    records = stage.comes_back()

    assert sorted(stage.heard[4:]) == sorted(HANGUPS)
    assert [type(record) for record in records] == [Hangup, Hangup]
    assert stage.anomalies == ["channel whose Hangup was not seen"] * 2
    assert stage.events[-1].hangup_cause is None
    undisturbed = Stage()
    call(undisturbed, ANN, BEN)
    answer(undisturbed, ANN, BEN)
    undisturbed.hangs_up(BEN, ANN)
    assert {event.identity for event in stage.events} == {
        event.identity for event in undisturbed.events
    }


def test_a_call_that_nobody_heard_of(stage: Stage) -> None:
    """
    A call that began and ended while away is not told.
    """
    stage.goes_away()
    call(stage, ANN, BEN)
    stage.hangs_up(BEN, ANN)

    assert stage.comes_back() == []
    assert stage.heard == []


def test_a_call_from_outside(stage: Stage) -> None:
    """
    The public number that was called is known from Status, whatever the dialplan made of it.
    """
    stage.goes_away()
    stage.calls(TRUNK, DID, num="14155550100", caller="ACME")
    stage.new(BEN, of=TRUNK)
    stage.dials(TRUNK, BEN, exten="0003*002")
    stage.rings(BEN)
    stage.comes_back()

    [event] = stage.events
    assert (event.called_did, event.called_number) == (DID, DID)
    assert (event.caller_id_num, event.caller_id_name) == ("14155550100", "ACME")


def test_a_caller_that_dialled_while_away(stage: Stage) -> None:
    """
    A caller known from before, who dialled meanwhile, is told with whom it dialled.
    """
    stage.calls(ANN, "002")
    stage.goes_away()
    stage.new(BEN, of=ANN)
    stage.dials(ANN, BEN)
    stage.rings(BEN)
    stage.comes_back()

    assert stage.heard == DIALS
    assert stage.events[0].called_extension == "0003*002"


def test_a_callee_whose_dial_was_missed(stage: Stage) -> None:
    """
    A channel that was made before the gap and dialled in it is told as one that was dialled.
    """
    stage.calls(ANN, "002")
    stage.new(BEN, of=ANN)
    stage.goes_away()
    stage.dials(ANN, BEN)
    answer(stage, ANN, BEN)
    stage.comes_back()

    assert stage.heard == DIALS + ANSWERS


def test_a_ring_group(stage: Stage) -> None:
    """
    Members that ring are told; who loses afterwards hangs up, who wins answers.
    """
    stage.goes_away()
    call(stage, TRUNK, BEN, DID)
    stage.new(CAT, of=TRUNK)
    stage.dials(TRUNK, CAT)
    stage.comes_back()
    assert stage.heard == ["Dial-In 0003*002", "Dial-In 0003*003"]

    stage.up(CAT)
    stage.dial_ends(BEN, DialStatus.CANCEL)
    stage.hangs_up(BEN, cause=26)

    assert stage.heard[2:] == ["Answer-In 0003*003", "Hangup 0003*002"]


def test_a_member_that_lost_while_away(stage: Stage) -> None:
    """
    Of a ring group that was answered while away the loser hangs up before the winner answers.
    """
    call(stage, TRUNK, BEN, DID)
    stage.new(CAT, of=TRUNK)
    stage.dials(TRUNK, CAT)
    stage.goes_away()
    answer(stage, TRUNK, CAT)
    stage.hangs_up(BEN)
    stage.comes_back()

    assert stage.heard[2:] == ["Hangup 0003*002", "Answer-In 0003*003"]


def test_a_queue(stage: Stage) -> None:
    """
    A caller in a queue was answered by it, before any member was rung.
    """
    stage.goes_away()
    stage.calls(ANN, "600")
    stage.queues(ANN)
    stage.up(ANN)
    stage.new(BEN, of=ANN)
    stage.dials(ANN, BEN)
    stage.rings(BEN)
    stage.comes_back()
    assert stage.heard == ["Dial-Out 0003*001", "Answer-Out 0003*001", "Dial-In 0003*002"]
    assert stage.events[0].called_extension == ""

    stage.up(BEN)

    assert stage.heard[3:] == ["Answer-In 0003*002"]


def test_local_channels(stage: Stage) -> None:
    """
    Who is dialled through a Local channel is called by who dialled that.
    """
    one, two = "Local/002@phones-1;1", "Local/002@phones-1;2"
    stage.goes_away()
    stage.calls(TRUNK, DID, num="14155550100")
    stage.new(one, of=TRUNK)
    stage.new(two, of=TRUNK, state=ChannelState.RING)
    stage.dials(TRUNK, one)
    stage.new(BEN, of=TRUNK)
    stage.dials(two, BEN)
    stage.up(BEN)
    stage.talk(two, BEN)
    stage.comes_back()

    assert stage.heard == ["Dial-In 0003*002", "Answer-In 0003*002"]
    assert stage.events[0].called_did == DID


def test_a_click(stage: Stage) -> None:
    """
    A click whose phone rings is silent; that the phone dials on makes it a call.
    """
    stage.goes_away()
    stage.new(ANN, num="15551234567")
    stage.dials(None, ANN)
    stage.rings(ANN)
    stage.comes_back()
    assert stage.heard == []

    stage.up(ANN)
    stage.goes_away()
    stage.new(TRUNK, of=ANN)
    stage.dials(ANN, TRUNK, exten="915551234567")
    stage.comes_back()
    stage.answers(TRUNK)

    assert stage.heard == ["Dial-Out 0003*001", "Answer-Out 0003*001"]
    assert stage.events[0].called_number == "915551234567"


def test_a_click_that_ended_unseen(stage: Stage) -> None:
    """
    Whether a phone that was clicked dialled anybody before it was gone, nobody knows: not told.
    """
    stage.new(ANN)
    stage.dials(None, ANN)
    stage.up(ANN)
    stage.goes_away()
    stage.hangs_up(ANN)
    stage.comes_back()

    assert stage.heard == []


def test_two_calls_at_once(stage: Stage) -> None:
    """
    Calls that began while away are not mixed up.
    """
    dave = "PJSIP/0003*004-e"
    stage.goes_away()
    stage.calls(TRUNK, DID, num="14155550100")
    stage.calls(ANN, "003", num="0003*001")
    stage.new(CAT, of=ANN)
    stage.new(dave, of=TRUNK)
    stage.dials(ANN, CAT)
    stage.dials(TRUNK, dave)
    answer(stage, TRUNK, dave)
    stage.comes_back()

    callers = {event.extension: event.caller_id_num for event in stage.events}
    assert callers == {
        "0003*001": "0003*001",
        "0003*003": "0003*001",
        "0003*004": "14155550100",
    }
    assert stage.heard.count("Answer-In 0003*004") == 1
    assert len(stage.heard) == 4


def test_the_first_attach(stage: Stage) -> None:
    """
    Calls older than the first attach are followed to their end, and nothing is told of them.
    """
    stage.goes_away()
    call(stage, ANN, BEN)
    stage.comes_back(announce=False)
    answer(stage, ANN, BEN)
    assert stage.comes_back() == []
    stage.hangs_up(BEN, ANN)

    assert stage.heard == []
    assert stage.correlator.channels == frozenset()


def test_a_party_that_joins_an_old_call(stage: Stage) -> None:
    """
    Who is called in a call older than the first attach is told, by whom and on what number.
    """
    stage.goes_away()
    stage.calls(TRUNK, DID, num="14155550100")
    stage.up(TRUNK)
    stage.comes_back(announce=False)
    stage.new(BEN, of=TRUNK)
    stage.dials(TRUNK, BEN, exten="0003*002")
    stage.hangs_up(BEN, TRUNK)

    assert stage.heard == ["Dial-In 0003*002", "Hangup 0003*002"]
    assert (stage.events[0].called_did, stage.events[0].called_number) == (DID, DID)


def test_a_channel_that_was_heard_of_wrongly(stage: Stage) -> None:
    """
    A channel that is listed as another endpoint's is wondered at, and its leg stays whose it is.
    """
    stage.calls(ANN, "002")
    wrong = stage[ANN]._replace(name=CAT)
    listed = ListedChannels((ChannelRow(wrong, "Dial", dnid="002"),), stage.correlator.channels)

    said = resynchronise(stage.correlator, listed, stage.now, announce=True).said

    assert said == [Anomaly("channel that is listed as another endpoint's", wrong.uniqueid)]
    stage.hangs_up(ANN)
    assert stage.heard == ["Dial-Out 0003*001", "Hangup 0003*001"]


@pytest.mark.parametrize("decorated", ["<ZOMBIE>", "<MASQ>"])
def test_a_channel_in_a_masquerade(stage: Stage, decorated: str) -> None:
    """
    What Asterisk adds to a name in a masquerade, and a Rename that is held, surprise nobody.
    """
    stage.calls(ANN, "002")
    stage.calls(BEN, "003")
    channels = (
        stage[ANN]._replace(name=ANN + decorated),
        stage[BEN]._replace(name=CAT),
    )
    rows = tuple(ChannelRow(channel, "Dial", dnid="002") for channel in channels)
    held = (Rename(stage[BEN].uniqueid, CAT),)
    listed = ListedChannels(rows, stage.correlator.channels, held)

    assert resynchronise(stage.correlator, listed, stage.now, announce=True).said == []


def test_a_new_asterisk(stage: Stage) -> None:
    """
    After a restart every call of before has ended, whatever its successor has up by now.
    """
    call(stage, ANN, BEN)
    answer(stage, ANN, BEN)
    stage.goes_away()
    stage.restarts()
    call(stage, "PJSIP/0003*003-a", "PJSIP/0003*004-b")
    stage.logs_in()
    stage.play(FullyBooted(3))
    stage.lists()

    assert sorted(stage.heard[4:]) == sorted([*HANGUPS, "Dial-Out 0003*003", "Dial-In 0003*004"])


def test_clocks_that_differ_end_no_new_call(stage: Stage) -> None:
    """
    A call of the new Asterisk lives, though by the bridge's clock it is older than the restart.
    """
    stage.play(FullyBooted(5000))
    stage.goes_away()
    stage.now = 1795000400.0
    call(stage, ANN, BEN)
    stage.logs_in()
    stage.play(FullyBooted(3))
    stage.lists()

    assert stage.heard == DIALS


class TestEventsBeforeTheList:
    """
    What happens between the login and the list is heard first and applied last.
    """

    def test_a_call_that_begins(self, stage: Stage) -> None:
        """
        A call whose beginning is heard is told by what is heard, not by the list.
        """
        stage.goes_away()
        stage.logs_in()
        call(stage, ANN, BEN)

        assert stage.lists() == []
        assert stage.heard == DIALS
        assert stage.anomalies == []

    def test_a_callee_of_a_known_caller(self, stage: Stage) -> None:
        """
        Who is dialled before the list, by who called before the login, is told as it is heard.
        """
        stage.goes_away()
        stage.calls(ANN, "002", num="0003*001")
        stage.logs_in()
        stage.new(BEN, of=ANN)
        stage.dials(ANN, BEN)
        stage.lists()

        assert stage.heard == DIALS
        assert stage.anomalies == []

    def test_an_answer(self, stage: Stage) -> None:
        """
        An answer that is heard and listed is told once.
        """
        call(stage, ANN, BEN)
        stage.goes_away()
        stage.logs_in()
        answer(stage, ANN, BEN)
        stage.lists()

        assert stage.heard == DIALS + ANSWERS

    def test_an_end(self, stage: Stage) -> None:
        """
        A Hangup that is heard is told with its cause, though the channel is not listed any more.
        """
        call(stage, ANN, BEN)
        stage.goes_away()
        stage.logs_in()
        stage.hangs_up(BEN, ANN, cause=17)

        assert stage.lists() == []
        assert stage.heard == DIALS + HANGUPS
        assert [event.hangup_cause for event in stage.events[2:]] == [17, 17]

    def test_a_birth_that_is_heard_after_the_list(self, stage: Stage) -> None:
        """
        A channel may be listed before it is heard of: it is told once.
        """
        stage.calls(ANN, "002", num="0003*001")
        born = ChannelSnapshot(BEN, "1795000000.2", stage[ANN].uniqueid, ChannelState.DOWN)
        rows = (
            ChannelRow(stage[ANN], "Dial", "PJSIP/0003*002,30", dnid="002"),
            ChannelRow(born, "AppDial", "(Outgoing Line)", dnid=""),
        )
        correlator = stage.correlator
        listed = ListedChannels(rows, correlator.channels)
        for said in resynchronise(correlator, listed, 1.0, announce=True).said:
            stage.note(said)
        for event in (Newchannel(born), DialBegin(stage[ANN], born)):
            for said in correlator.feed(event, 1.0):
                stage.note(said)

        assert stage.heard == DIALS


class TestLegacy:
    """
    Asterisk 1.8 to 11, whose lists know no Linkedid and no number dialled.
    """

    @pytest.fixture
    def stage(self) -> Stage:
        """
        Give an old PBX.
        """
        return Stage(legacy=True)

    def test_a_call_that_is_up(self, stage: Stage) -> None:
        """
        Who talks to whom is told; what was dialled stays empty.
        """
        ann, ben = "SIP/0003*101-a", "SIP/0003*102-b"
        stage.goes_away()
        call(stage, ann, ben)
        answer(stage, ann, ben)
        stage.comes_back()
        stage.hangs_up(ben, ann)

        assert sorted(stage.heard) == [
            "Answer-In 0003*102",
            "Answer-Out 0003*101",
            "Dial-In 0003*102",
            "Dial-Out 0003*101",
            "Hangup 0003*101",
            "Hangup 0003*102",
        ]
        assert {event.call_id for event in stage.events} == {stage[ann].uniqueid}

    def test_a_member_that_rings(self, stage: Stage) -> None:
        """
        A phone that was dialled by nobody who can be seen rings, and is called.
        """
        stage.calls("SIP/trunk-d", DID, num="14155550100")
        stage.queues("SIP/trunk-d")
        stage.goes_away()
        stage.new("SIP/0003*101-a")
        stage.dials("SIP/trunk-d", "SIP/0003*101-a")
        stage.rings("SIP/0003*101-a", conn="14155550100")
        stage.comes_back()

        assert stage.heard == ["Dial-In 0003*101"]


def test_many_calls_at_once() -> None:
    """
    All calls of a busy PBX are told apart.
    """
    calls = 1000
    rows: list[ChannelRow] = []
    for number in range(0, 2 * calls, 2):
        one, two = f"1795000000.{number}", f"1795000000.{number + 1}"
        caller = ChannelSnapshot(f"PJSIP/trunk-{number:08x}", one, one, ChannelState.UP)
        callee = ChannelSnapshot(f"PJSIP/0003*001-{number:08x}", two, one, ChannelState.UP)
        bridge = f"b{number}"
        rows += [
            ChannelRow(caller, "Dial", "PJSIP/0003*001", bridge, DID),
            ChannelRow(callee, "AppDial", "(Outgoing Line)", bridge, ""),
        ]

    correlator = Correlator()
    listed = ListedChannels(tuple(rows), frozenset())
    found = resynchronise(correlator, listed, 1.0, announce=True)

    assert len(found.said) == 2 * calls
    assert len(correlator.open_legs) == calls
