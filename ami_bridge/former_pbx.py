"""
A PBX that the rules named when the last bridge ended, and name no more: its calls are ended.

The store knows its name and what it said, not how it was to be understood. It is taken for one
like the first of those that the rules name, and only legs of which the store has notifications
are told to be over: another default tenant would make somebody else's extensions of its own.
"""

import logging
from collections.abc import Collection

from .adapters.store import Changes, Store, Wanted
from .core.call_events import CallEvent
from .pipeline import Pipeline
from .settings import Config

log = logging.getLogger(__name__)

#: Legs that the store is asked about at once, and deliveries that it gives at once.
_LEGS, _DELIVERIES = 500, 1000


async def end_calls(config: Config, store: Store, now: float) -> tuple[list[CallEvent], Changes]:
    """
    End the calls that *store* has of the PBX that *config* has alone.

    Give what is to be told of them, and what has to be kept.
    """
    pbx, pipeline = config.asterisk.name, Pipeline(config)
    correlator = pipeline.correlator
    entries = await store.stories(pbx)
    for _ in pipeline.take_again(entries):
        pass
    ended = pipeline.sift(correlator.resynchronise((), correlator.channels, now))
    known = await _known_legs(store, {call_event.leg for call_event in ended})
    told = [call_event for call_event in ended if call_event.leg in known]
    fields = {"pbx": pbx, "legs": len(told)}
    log.warning("calls ended of a PBX that the rules do not name any more", extra=fields)
    stories = sorted({entry.story for entry in entries})
    return told, Changes(now, pipeline.owe(told, now), ended=[(pbx, story) for story in stories])


async def _known_legs(store: Store, legs: Collection[str]) -> set[str]:
    """
    Give those of *legs* that *store* has deliveries of.
    """
    known: set[str] = set()
    asked = sorted(legs)
    for place in range(0, len(asked), _LEGS):
        wanted = Wanted(legs=asked[place : place + _LEGS])
        found = await store.find(wanted, _DELIVERIES)
        known.update(kept.delivery.leg for kept in found.deliveries)
        while found.next is not None:
            found = await store.find(wanted, _DELIVERIES, found.next)
            known.update(kept.delivery.leg for kept in found.deliveries)
    return known
