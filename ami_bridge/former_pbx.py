"""
A PBX that the rules named when the last bridge ended, and name no more: its calls are ended.
"""

import logging

from .adapters.store import Changes, Store
from .core.call_events import CallEvent
from .pipeline import Pipeline
from .settings import Config

log = logging.getLogger(__name__)


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
    told = pipeline.sift(correlator.resynchronise((), correlator.channels, now))
    fields = {"pbx": pbx, "legs": len(told)}
    log.warning("calls ended of a PBX that the rules do not name any more", extra=fields)
    stories = sorted({entry.story for entry in entries})
    ended = [(pbx, story) for story in stories]
    return told, Changes(now, pipeline.owe(told, now), ended=ended, attached={pbx: False})
