"""
What Asterisk said of the calls that are up, in this process's memory.
"""

import heapq
import itertools
from collections.abc import Collection, Iterable
from operator import itemgetter

from .store import Changes, StoryEntry


class StoriesInMemory:
    """
    The part of a `Store` that is about stories; those that are over are dropped at once.
    """

    def __init__(self) -> None:
        self._attached: set[str] = set()
        self._ages = itertools.count()
        #: Those that are not over, by PBX and name; each entry with its place among all.
        self._stories: dict[tuple[str, str], list[tuple[int, StoryEntry]]] = {}

    def keep_stories(self, changes: Changes) -> None:
        """
        Keep the entries of stories, drop those that ended, and note which PBXs are known.
        """
        for entry in changes.entries:
            story = self._stories.setdefault((entry.pbx, entry.story), [])
            story.append((next(self._ages), entry))
        for name in changes.ended:
            self._stories.pop(name, None)
        for pbx, is_attached in changes.attached.items():
            if is_attached:
                self._attached.add(pbx)
            else:
                self._attached.discard(pbx)

    async def attached(self, pbx: str) -> bool:
        """
        Tell whether all channels of *pbx* were known at any time, and it was not left since.
        """
        return pbx in self._attached

    async def pbxs_with_stories(self) -> list[str]:
        """
        Name the PBXs that have stories which are not over.
        """
        return sorted({pbx for pbx, _ in self._stories})

    async def stories(self, pbx: str) -> list[StoryEntry]:
        """
        Give the entries of all stories of *pbx* that are not over, in the order they were kept.
        """
        found = [story for (owner, _), story in self._stories.items() if owner == pbx]
        return _in_order(found)

    async def entries(self, pbx: str, stories: Collection[str], limit: int) -> list[StoryEntry]:
        """
        Give the first *limit* entries of *stories*, as far as they are kept.
        """
        found = [self._stories[pbx, name] for name in stories if (pbx, name) in self._stories]
        return _in_order(found)[:limit]

    async def stories_naming(self, pbx: str, texts: Collection[str], limit: int) -> list[str]:
        """
        Find stories in whose messages one of *texts* occurs.
        """
        wanted = [text.encode() for text in texts]
        found = (
            name
            for (owner, name), story in self._stories.items()
            if owner == pbx and any(one in entry.messages for _, entry in story for one in wanted)
        )
        return list(itertools.islice(found, limit))


def _in_order(stories: Iterable[list[tuple[int, StoryEntry]]]) -> list[StoryEntry]:
    return [entry for _, entry in heapq.merge(*stories, key=itemgetter(0))]
