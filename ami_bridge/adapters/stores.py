"""
Which store there is, by the settings.
"""

from contextlib import AbstractAsyncContextManager

from ami_bridge.settings import StoreSettings

from .memory_store import InMemoryStore
from .sqlite_store import SqliteStore
from .store import Store


def open_store(settings: StoreSettings) -> AbstractAsyncContextManager[Store]:
    """
    Give the store that *settings* ask for; it is open for as long as its context lasts.
    """
    if settings.path is None:
        return InMemoryStore()
    return SqliteStore(settings.path, settings.synchronous.value)
