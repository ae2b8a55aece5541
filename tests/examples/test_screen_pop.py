"""
The screen pop of the tutorial.
"""

import json
import re
import sys
from pathlib import Path

import aiohttp

from .programs import EXAMPLES, running

CALL = {"CallID": "1.2", "CallerIDName": "<b>Eve", "EventType": "dial-in", "Extension": "0001*202"}


async def test_a_call_reaches_the_browser(tmp_path: Path) -> None:
    """
    What is posted to /calls is told, as it is, to whoever listens at /events.
    """
    program = str(EXAMPLES / "screen-pop/screen_pop.py")
    async with (
        running(sys.executable, program, folder=tmp_path) as url,
        aiohttp.ClientSession() as session,
        session.get(f"{url}/events") as stream,
    ):
        assert await stream.content.readuntil(b"\n\n") == b": listening\n\n"
        async with session.post(f"{url}/calls", json=CALL) as response:
            assert response.status == 204
        told = (await stream.content.readuntil(b"\n\n")).removeprefix(b"data: ")

        assert json.loads(told) == CALL


async def test_the_page_is_served(tmp_path: Path) -> None:
    """
    The page comes as it is in its file, and makes text of what callers choose.
    """
    program = str(EXAMPLES / "screen-pop/screen_pop.py")
    async with (
        running(sys.executable, program, folder=tmp_path) as url,
        aiohttp.ClientSession() as session,
        session.get(f"{url}/") as response,
    ):
        page = await response.text()

    assert page == (EXAMPLES / "screen-pop/page.html").read_text()
    assert "textContent" in page
    assert not re.search("innerHTML|insertAdjacentHTML|https?://", page)


def test_examples_need_nothing_installed() -> None:
    """
    The Python examples import the standard library alone.
    """
    for program in EXAMPLES.rglob("*.py"):
        imported = re.findall(r"^(?:import|from) (\w+)", program.read_text(), re.MULTILINE)
        assert set(imported) <= sys.stdlib_module_names, program
