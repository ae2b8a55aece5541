"""
The first SIGTERM or SIGINT asks for an orderly end, the second insists.
"""

import asyncio
import contextlib
import signal
from collections.abc import Callable, Iterator

_STOPPING = (signal.SIGTERM, signal.SIGINT)


@contextlib.contextmanager
def stop_on_signals(stop: asyncio.Event) -> Iterator[None]:
    """
    Set *stop* at the first stopping signal, and leave the second to its default action.
    """
    loop = asyncio.get_running_loop()

    def ask() -> None:
        release()
        stop.set()

    def release() -> None:
        for number in _STOPPING:
            loop.remove_signal_handler(number)

    for number in _STOPPING:
        loop.add_signal_handler(number, ask)
    try:
        yield
    finally:
        release()


@contextlib.contextmanager
def reload_on_hangup(reload: Callable[[], None]) -> Iterator[None]:
    """
    Call *reload* at every SIGHUP.
    """
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGHUP, reload)
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGHUP)
