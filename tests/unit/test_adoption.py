"""
Lists that real Asterisks gave in mid call, and what is concluded from them.

Each file in listings/ is one call, as Asterisk 22.10.1 told it (old-sip: 16.28.0), with the
answers to CoreShowChannels and Status at one or more points of it. What a bridge tells that
came at such a point is compared with what one tells that was there from the beginning.
"""

from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

import attrs
import pytest

from ami_bridge.core.adoption import adopt
from ami_bridge.core.ami_events import AmiEvent
from ami_bridge.core.ami_fast_lane import read_message
from ami_bridge.core.ami_stream import AmiStream
from ami_bridge.core.ami_writing import as_message
from ami_bridge.core.call_events import CallEvent, CallFlow, EventType
from ami_bridge.core.channel_list import ChannelRow, ListedChannels, join, read_channel_row
from ami_bridge.core.correlator import Anomaly, Correlator
from ami_bridge.core.resync import resynchronise
from tests.pbx_model import PbxModel
from tests.replaying import assert_invariant, call_events

STORIES = sorted(Path(__file__).parent.glob("listings/*.ami"))

#: The values of a leg that no list tells.
_CALLER = {"caller_id_num", "caller_id_name", "caller_extension"}
UNKNOWABLE = {
    # The phone shows the name of who is called.
    "click-phone": {"caller_id_name"},
    "click-phone-colleague": {"caller_id_name"},
    # Who was dialled first, and is not rung any more, or where several ring at once.
    "hunting": {"called_extension"},
    "pickup": {"called_extension"},
    "ring-group-local": {"called_extension"},
    "office-local-group-n": {"called_extension"},
    # Who called is gone: it transferred the call.
    "blind-by-caller": {*_CALLER, "called_number"},
    "attended": {*_CALLER, "call_id", "called_did", "called_number"},
}


@attrs.frozen
class Listing:
    """
    A point of a story at which Asterisk listed its channels.
    """

    story: str
    before: tuple[AmiEvent, ...]
    rows: tuple[ChannelRow, ...]
    after: tuple[AmiEvent, ...]

    def heard_of_all(self) -> list[CallEvent]:
        """
        Give what a bridge tells that hears the story from the beginning.
        """
        return call_events(self.before + self.after)

    def heard_from_here(self, *, announce: bool) -> list[CallEvent]:
        """
        Give what a bridge tells that comes when the list is given.
        """
        correlator = Correlator()
        listed = ListedChannels(self.rows, frozenset())
        found = resynchronise(correlator, listed, None, announce=announce)
        return _call_events(found.said) + call_events(self.after, correlator)


def _call_events(said: Iterable[CallEvent | Anomaly]) -> list[CallEvent]:
    return [one for one in said if isinstance(one, CallEvent)]


@cache
def listings_of(file: Path) -> list[Listing]:
    """
    Read the story in *file*, cut at each of its lists.
    """
    events: list[AmiEvent] = []
    lists: list[tuple[int, tuple[ChannelRow, ...]]] = []
    rows: list[ChannelRow] = []
    statuses: list[ChannelRow] = []
    for message in AmiStream().feed(file.read_bytes()):
        if message.name == b"CoreShowChannel":
            rows.append(read_channel_row(message.headers))
        elif message.name == b"Status":
            statuses.append(read_channel_row(message.headers))
        elif message.name == b"StatusComplete":
            lists.append((len(events), join(rows, statuses)))
            rows, statuses = [], []
        elif (event := read_message(message)) is not None:
            events.append(event)
    return [
        Listing(file.stem, tuple(events[:place]), listed, tuple(events[place:]))
        for place, listed in lists
    ]


def _all_listings() -> Iterator[object]:
    for file in STORIES:
        for number, listing in enumerate(listings_of(file), 1):
            yield pytest.param(listing, id=f"{file.stem}-{number}")


every_listing = pytest.mark.parametrize("listing", list(_all_listings()))


def _alive(listing: Listing) -> list[CallEvent]:
    """
    Give what is to be told of legs that were not over when the list was given.
    """
    over = {event.leg for event in call_events(listing.before) if event.type is EventType.HANGUP}
    return [event for event in listing.heard_of_all() if event.leg not in over]


@every_listing
def test_calls_that_began_while_away_are_told_late(listing: Listing) -> None:
    """
    The events of all legs that live are those that would have been told, with their ids.
    """
    heard = listing.heard_from_here(announce=True)
    expected = _alive(listing)
    if listing.story == "two-phones":
        # Of the phone that lost, after which the leg is named, no list tells.
        assert len(heard) == len(expected)
        return

    assert_invariant(heard)
    assert sorted(event.identity for event in heard) == sorted(event.identity for event in expected)


@every_listing
def test_what_is_told_late_has_the_values_of_the_call(listing: Listing) -> None:
    """
    Caller, numbers, DID, call id and status are those of the call, as far as a list tells them.
    """
    unknowable = {"time", "ring_seconds", "talk_seconds", *UNKNOWABLE.get(listing.story, ())}
    expected = {event.identity: attrs.asdict(event) for event in listing.heard_of_all()}

    for event in listing.heard_from_here(announce=True):
        values = expected.get(event.identity, attrs.asdict(event))
        wrong = {name for name, value in attrs.asdict(event).items() if value != values[name]}
        assert wrong <= unknowable


@every_listing
def test_a_list_says_nothing_to_whoever_heard_everything(listing: Listing) -> None:
    """
    Comparing the channels in mid call, even twice, tells nothing and changes nothing.
    """
    correlator = Correlator()
    before = call_events(listing.before, correlator)
    listed = ListedChannels(listing.rows, correlator.channels)

    found = resynchronise(correlator, listed, None, announce=True)
    again = resynchronise(correlator, listed, None, announce=True)

    assert found.said == []
    assert again.records == []
    assert before + call_events(listing.after, correlator) == listing.heard_of_all()


@every_listing
def test_the_first_attach_is_silent(listing: Listing) -> None:
    """
    Of calls that are older than the bridge nothing is told, but of who is called later.
    """
    heard = listing.heard_from_here(announce=False)

    assert_invariant(heard)
    begun = {event.leg for event in call_events(listing.before)}
    assert begun.isdisjoint(event.leg for event in heard)
    listed = {row.uniqueid for row in listing.rows}
    for event in heard:
        assert event.call_flow is CallFlow.IN or event.leg.split("/")[1] not in listed


def test_who_is_called_later_is_told_the_public_number() -> None:
    """
    A caller who was in a menu at the first attach still brings the number that was called.
    """
    [in_the_menu, *_] = listings_of(Path(__file__).parent / "listings/menu.ami")

    heard = in_the_menu.heard_from_here(announce=False)

    assert [f"{event.type} {event.extension}" for event in heard] == [
        "Dial-In 0003*001",
        "Answer-In 0003*001",
        "Hangup 0003*001",
    ]
    assert heard[0].called_did == heard[0].called_number == "15550100430"


@every_listing
def test_records_of_an_adoption_are_ami_messages(listing: Listing) -> None:
    """
    What is adopted can be kept as AMI messages, and read again.
    """
    for announce in (False, True):
        records = adopt(listing.rows, Correlator().followed, announce=announce)

        messages = AmiStream().feed(b"".join(map(as_message, records)))

        assert [read_message(message) for message in messages] == records


@every_listing
def test_the_model_lists_what_asterisk_listed(listing: Listing) -> None:
    """
    The PBX that other tests of reconnecting rely on agrees with real ones.
    """
    model = PbxModel()
    for event in listing.before:
        model.take(event)

    assert _essence(model.rows()) == _essence(listing.rows)


def _essence(rows: Iterable[ChannelRow]) -> dict[str, tuple[object, ...]]:
    return {
        row.uniqueid: (
            row.channel.name,
            row.channel.state,
            row.dnid,
            row.data == "(Outgoing Line)",
            # Originated, paged; queues and dials are told apart by an event of another class.
            row.application == "AppDial2",
        )
        for row in rows
    }
