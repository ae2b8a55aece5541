"""
Takes the pictures of the dashboard that the documentation shows: ``make pictures``.
"""

import asyncio
import shutil
import sys
import tempfile
from pathlib import Path

from ami_bridge.adapters.recording import read_recording
from ami_bridge.adapters.simulator import Simulator
from tests.integration.receivers import ScriptedReceiver, status
from tests.replaying import FIXTURES

from .chromium import chromium, log_in, watched

IMAGES = Path(__file__).parents[2] / "docs" / "images"
STORIES = (
    *("trunk-utf8-name", "queue-ringall-one-answers", "xfer-attended-refer"),
    *("trunk-ext-answered", "park-and-retrieve"),
)
#: So long after the beginning several calls are up, in seconds.
BUSY_SECONDS = 3.0


def overlapping() -> list[tuple[float | None, bytes]]:
    """
    Let one story begin after the other, while the one before still goes on.
    """
    chunks: list[tuple[float, bytes]] = []
    for number, story in enumerate(STORIES):
        told = list(read_recording(next((FIXTURES / "asterisk22" / story).glob("recording.ami*"))))
        began = told[0][0] or 0.0
        chunks += [((time or 0.0) - began + number * 1.5, octets) for time, octets in told]
    return [*sorted(chunks, key=lambda chunk: chunk[0])]


async def main(program: str) -> None:
    """
    Take all pictures.
    """
    well, dead = ScriptedReceiver(), ScriptedReceiver(always=status(503))
    with tempfile.TemporaryDirectory() as folder:
        async with (
            well,
            dead,
            Simulator(overlapping) as pbx,
            chromium(program) as browser,
        ):
            requests = (
                f'[[requests]]\nid = "crm"\nurl = "{well.url}"\nmethod = "POST"\n'
                f'[[requests]]\nid = "call-log"\nevent = "Hangup"\nurl = "{dead.url}"\n'
            )
            async with watched(Path(folder), pbx.port, requests) as (url, _):
                light = await browser.page(height=760)
                dark = await browser.page(dark=True, height=760)
                phone = await browser.page(width=360, height=760)
                for page in (light, dark, phone):
                    await log_in(page, url)
                await asyncio.sleep(BUSY_SECONDS)
                await light.screenshot(path=IMAGES / "dashboard-light.png")
                await dark.screenshot(path=IMAGES / "dashboard-dark.png")
                await phone.screenshot(path=IMAGES / "dashboard-phone.png")
                await light.goto(f"{url}/deliveries?state=waiting")
                await light.locator("tbody a").last.click()
                await light.get_by_role("heading", name="Request").wait_for()
                await light.screenshot(path=IMAGES / "dashboard-delivery.png")


if __name__ == "__main__":
    found = shutil.which("chromium") or sys.exit("Chromium is missing: apt-get install chromium")
    asyncio.run(main(found))
