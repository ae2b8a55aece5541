"""
A headless Chromium that notes what its pages complain of, and a bridge for it to look at.
"""

import contextlib
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import attrs
from playwright.async_api import Browser, ConsoleMessage, Page, async_playwright

from tests.control.houses import TOKENS, Visits, daemon_with

#: As root, without a screen, and without anything that asks hosts elsewhere.
_SWITCHES = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)
_CONTROL = """\
listen = "127.0.0.1:{port}"

[[control.tokens]]
name = "changer"
token = "{token}"
may = "change"

[delivery]
allow_hosts = ["127.0.0.1"]
drain_seconds = 0.1

"""


@attrs.define(eq=False)
class Chromium:
    """
    A browser, and what its pages said to nobody.
    """

    process: Browser
    #: Errors of scripts, and what the policy refused.
    complaints: list[str] = attrs.field(factory=list)

    async def page(
        self, *, dark: bool = False, width: int = 1280, height: int = 860, scripts: bool = True
    ) -> Page:
        """
        Open an empty page in a session of its own.
        """
        context = await self.process.new_context(
            color_scheme="dark" if dark else "light",
            viewport={"width": width, "height": height},
            java_script_enabled=scripts,
        )
        page = await context.new_page()
        page.set_default_timeout(10_000)
        page.on("console", lambda message: self._note(message))  # noqa: PLW0108 - it sets a mark there
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        return page

    def _note(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(message.text)


@contextlib.asynccontextmanager
async def chromium(program: str) -> AsyncIterator[Chromium]:
    """
    Run the browser *program* for as long as the context lasts.
    """
    async with async_playwright() as playwright:
        process = await playwright.chromium.launch(executable_path=program, args=_SWITCHES)
        try:
            yield Chromium(process)
        finally:
            await process.close()


@contextlib.asynccontextmanager
async def watched(folder: Path, pbx_port: int, requests: str) -> AsyncIterator[tuple[str, Visits]]:
    """
    Run a daemon that listens to the PBX at *pbx_port*; give its dashboard's address.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    more = _CONTROL.format(port=port, token=TOKENS["changer"]) + requests
    async with daemon_with(folder, pbx_port, more) as visits:
        await visits.until("/readyz", lambda answer: answer.status == 200)
        yield f"http://127.0.0.1:{port}", visits


async def log_in(page: Page, url: str) -> None:
    """
    Log in on *page* as somebody who may change things.
    """
    await page.goto(url)
    await page.get_by_label("Token").fill(TOKENS["changer"])
    await page.get_by_role("button", name="Log in").click()
    await page.get_by_role("heading", name="Live calls").wait_for()
