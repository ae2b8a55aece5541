"""
After a gap: what Asterisk has to be told to have said, so that the correlator knows again.

The list of channels that exist is compared with the channels that are followed. What is
gone is hung up, then what is new is adopted. Both are AMI records, fed to the correlator
like those that came from Asterisk: whatever follows from them follows by the same rules.
"""

import attrs

from .adoption import adopt
from .ami_events import AmiEvent, ChannelSnapshot, FullyBooted, Hangup, Newchannel
from .call_events import CallEvent
from .channel_list import ListedChannels
from .correlator import Anomaly, Correlator


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
    correlator: Correlator, listed: ListedChannels, now: float | None, *, announce: bool
) -> Resynchronised:
    """
    Bring *correlator* to what *listed* shows, at *now*; what is held is not fed.

    With *announce* false, as at the first attach ever, channels that are new are followed
    and nothing is said of them.
    """
    records = [*_gone(correlator, listed), *_new(correlator, listed, announce=announce)]
    said: list[CallEvent | Anomaly] = []
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
