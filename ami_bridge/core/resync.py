"""
After a gap: what Asterisk has to be told to have said, so that the correlator knows again.

The list of channels that exist is compared with the channels that are followed. What is
gone is hung up, then what is new is adopted. Both are AMI records, fed to the correlator
like those that came from Asterisk: whatever follows from them follows by the same rules.
"""

import attrs

from .adoption import adopt
from .ami_events import AmiEvent, ChannelSnapshot, FullyBooted, Hangup, Newchannel, Rename
from .call_events import CallEvent
from .channel_list import ListedChannels
from .correlator import Anomaly, Correlator
from .extensions import endpoint_of
from .stories import named_in


@attrs.frozen
class Resynchronised:
    """
    What came of a comparison.
    """

    #: What the correlator said of it, in order.
    said: list[CallEvent | Anomaly]
    #: What it was fed, in order.
    records: list[AmiEvent]


def resynchronise(
    correlator: Correlator,
    listed: ListedChannels,
    now: float | None,
    *,
    announce: bool,
    steady: bool = False,
) -> Resynchronised:
    """
    Bring *correlator* to what *listed* shows, at *now*; what is held is not fed.

    With *announce* false, as at the first attach ever, channels that are new are followed
    and nothing is said of them. *steady* says that nothing was missed before the list was
    asked for.
    """
    if steady:
        listed = _at_rest(listed)
    records = [*_gone(correlator, listed), *_new(correlator, listed, announce=announce)]
    said: list[CallEvent | Anomaly] = [*_misnamed(correlator, listed)]
    for record in records:
        if isinstance(record, Hangup):
            kind = "channel whose Hangup was not seen"
            said.append(Anomaly(kind, record.channel.uniqueid))
        said += correlator.feed(record, now)
    for event in listed.held:
        if isinstance(event, FullyBooted):
            # The list shows better than two clocks who lived through a restart.
            correlator.uptime = event.uptime
    return Resynchronised(said, records)


def _at_rest(listed: ListedChannels) -> ListedChannels:
    """
    Leave out what is held news of: that tells it better, and in its order.
    """
    moving = frozenset[str]().union(*map(named_in, listed.held))
    rows = [row for row in listed.rows if not moving & {row.uniqueid, row.channel.linkedid}]
    left_out = {row.uniqueid for row in listed.rows} - {row.uniqueid for row in rows}
    return attrs.evolve(
        listed, rows=tuple(rows), known_before=listed.known_before - moving - left_out
    )


def _misnamed(correlator: Correlator, listed: ListedChannels) -> list[Anomaly]:
    """
    Wonder at channels that are listed as another endpoint's than they are known as.

    What was heard of them was spoilt on its way, or a Rename was missed. They keep who they
    are: their legs are named after it.
    """
    renamed = {event.uniqueid for event in listed.held if isinstance(event, Rename)}
    names = {channel.uniqueid: channel.name for channel in correlator.followed}
    return [
        Anomaly("channel that is listed as another endpoint's", row.uniqueid)
        for row in listed.rows
        if row.uniqueid in names
        and row.uniqueid not in renamed
        and endpoint_of(row.channel.name) != endpoint_of(names[row.uniqueid])
    ]


def _gone(correlator: Correlator, listed: ListedChannels) -> list[Hangup]:
    """
    Hang up what is not listed; what hung up while Asterisk was asked will do so itself.
    """
    hung_up = {event.channel.uniqueid for event in listed.held if isinstance(event, Hangup)}
    gone = listed.known_before - listed.living - hung_up
    return [
        Hangup(ChannelSnapshot(channel.name, channel.uniqueid, channel.linkedid), None, "")
        for channel in correlator.followed
        if channel.uniqueid in gone
    ]


def _new(correlator: Correlator, listed: ListedChannels, *, announce: bool) -> list[AmiEvent]:
    """
    Adopt what is listed; of channels whose birth was heard the rest will be heard, too.
    """
    born = {event.channel.uniqueid for event in listed.held if isinstance(event, Newchannel)}
    rows = [row for row in listed.rows if not born & {row.uniqueid, row.channel.linkedid}]
    return adopt(rows, correlator.followed, announce=announce)
