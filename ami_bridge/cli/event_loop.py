"""
The event loop under the commands that carry traffic: uvloop's, where that is installed.

It takes a fifth of the CPU time off a notification. asyncio's own does the same, slower, where
uvloop is not to be had (PyPy, for one).
"""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

try:
    from uvloop import new_event_loop
except ImportError:
    from asyncio import new_event_loop  # type: ignore[assignment]

Result = TypeVar("Result")


def run(work: Coroutine[Any, Any, Result]) -> Result:
    """
    Do *work* to its end, as `asyncio.run` does.
    """
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        return runner.run(work)
