"""
The dashboard as a person sees it: in Chromium, with calls of real recordings.
"""

import asyncio
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.async_api import Page, expect

from ami_bridge.adapters.performance import Chunks
from ami_bridge.adapters.recording import Recording
from ami_bridge.adapters.simulator import Simulator
from tests.integration.receivers import ScriptedReceiver, ok, status
from tests.replaying import FIXTURES

from .chromium import Chromium, log_in, watched

pytestmark = pytest.mark.browser

HOSTILE = "<img src=x onerror=document.title='run'><script>document.title='run'</script>"


def recorded(story: str, *, name: str = "ACME Corp", later: float = 0.0) -> Callable[[], Chunks]:
    """
    Give a recorded *story*, with another *name* of the caller, and so many seconds *later*.
    """
    recording = Recording(next((FIXTURES / "asterisk22" / story).glob("recording.ami*")))
    chunks = [(time or 0.0, octets) for time, octets in recording.chunks()]
    said = [(time, octets.replace(b"ACME Corp", name.encode())) for time, octets in chunks]
    return lambda: [(chunks[0][0] - later, b""), *said]


def requests(receiver: ScriptedReceiver) -> str:
    """
    Give the rules by which *receiver* is told of everything.
    """
    return f'[[requests]]\nid = "crm"\nurl = "{receiver.url}"\nmethod = "POST"\n'


async def look_at_call(page: Page) -> None:
    """
    See the call that comes in, as it happens.
    """
    call = page.locator(".leg").filter(has_text="14155550100")
    # Within a second of its Dial-In, which is shown as soon as it was said.
    await expect(page.locator("#said .event").filter(has_text="Dial-In")).to_be_visible()
    await expect(call).to_be_visible(timeout=1000)
    await expect(call).to_contain_text("0003*001")
    await expect(call.filter(has_text="talking")).to_be_visible()
    await expect(page.get_by_text("No calls are up.")).to_be_visible()
    await expect(page.locator("#said .event").first).to_have_text("Hangup")


async def test_a_call_appears(browser: Chromium, tmp_path: Path) -> None:
    """
    A call of a real recording appears within a second, goes from ringing to talking, and ends.
    """
    async with (
        ScriptedReceiver() as receiver,
        Simulator(recorded("trunk-ext-answered", later=4.0)) as pbx,
        watched(tmp_path, pbx.port, requests(receiver)) as (url, _),
    ):
        page = await browser.page()
        await log_in(page, url)
        await expect(page.get_by_text("live", exact=True)).to_be_visible()
        await expect(page.get_by_text("No calls are up.")).to_be_visible()

        await look_at_call(page)

        await expect(page.get_by_text("3 delivered")).to_be_visible()
        # While the bridge is there: later its pages miss it.
        assert browser.complaints == []


async def test_a_failed_delivery_is_sent_again(browser: Chromium, tmp_path: Path) -> None:
    """
    A delivery that was given up is found, looked at, and sent again with a click.
    """
    receiver = ScriptedReceiver([status(404)], always=ok)
    async with (
        receiver,
        Simulator(recorded("trunk-ext-answered"), speed=0) as pbx,
        watched(tmp_path, pbx.port, requests(receiver)) as (url, _),
    ):
        page = await browser.page()
        await log_in(page, url)
        await page.get_by_role("link", name="Deliveries").click()
        await page.get_by_label("State").select_option("given up")
        await page.get_by_role("button", name="Show").click()
        await page.get_by_role("link", name="Dial-In").click()
        await expect(page.get_by_text("answer 404").first).to_be_visible()

        await page.get_by_role("button", name="Send again").click()

        await expect(page.get_by_text("It will be sent again.")).to_be_visible()
        async with asyncio.timeout(10):
            while len(receiver.heard) < 4:  # noqa: ASYNC110 - it comes by itself
                await asyncio.sleep(0.01)
        await page.reload()
        await expect(page.locator(".state", has_text="delivered")).to_be_visible()
    first, again = receiver.heard[0], receiver.heard[-1]
    assert first.headers["webhook-id"] == again.headers["webhook-id"]


async def test_a_hostile_name_runs_nothing(browser: Chromium, tmp_path: Path) -> None:
    """
    A caller's name that is a script is shown as it is, by the server and by the page's script.
    """
    async with (
        ScriptedReceiver() as receiver,
        Simulator(recorded("trunk-ext-answered", name=HOSTILE, later=4.0)) as pbx,
        watched(tmp_path, pbx.port, requests(receiver)) as (url, _),
    ):
        page = await browser.page()
        await log_in(page, url)
        await expect(page.get_by_text("live", exact=True)).to_be_visible()
        await expect(page.locator(".leg").get_by_text(HOSTILE)).to_be_visible()
        await expect(page.locator("#said .event").first).to_have_text("Hangup")

        assert await page.locator("#said").get_by_text(HOSTILE).count() == 3
        await page.reload()
        assert await page.locator("#said").get_by_text(HOSTILE).count() == 3
        assert await page.title() == "Overview · ami-bridge"
        assert await page.locator("img[src=x], main script").count() == 0
        # While the bridge is there: later its pages miss it.
        assert browser.complaints == []


async def test_requests_are_steered(browser: Chromium, tmp_path: Path) -> None:
    """
    A request is tried out, disabled and enabled by its buttons, with the keyboard alone.
    """
    async with (
        ScriptedReceiver() as receiver,
        Simulator(list) as pbx,
        watched(tmp_path, pbx.port, requests(receiver)) as (url, _),
    ):
        page = await browser.page()
        await log_in(page, url)
        await page.get_by_role("link", name="Requests").press("Enter")

        await page.get_by_role("button", name="Send a sample").press("Enter")
        heading = page.get_by_role("heading", name="The receiver has taken the sample")
        await expect(heading).to_be_focused()
        await page.get_by_role("button", name="Disable").press("Enter")
        await expect(page.get_by_text("The request is disabled.")).to_be_visible()
        await page.get_by_role("button", name="Enable").press("Enter")
        await expect(page.get_by_text("The request is enabled.")).to_be_visible()
        # While the bridge is there: later its pages miss it.
        assert browser.complaints == []


@pytest.mark.parametrize("width", [320, 360, 768, 1280])
async def test_it_fits(browser: Chromium, tmp_path: Path, width: int) -> None:
    """
    No page is wider than its window, from a small phone up, and every field has a label.
    """
    receiver = ScriptedReceiver(always=status(500))
    async with (
        receiver,
        Simulator(recorded("park-and-retrieve"), speed=0) as pbx,
        watched(tmp_path, pbx.port, requests(receiver)) as (url, _),
    ):
        page = await browser.page(width=width)
        await log_in(page, url)
        await expect(page.locator("#said .event").first).to_be_visible()
        await page.goto(f"{url}/deliveries")
        delivery = await page.locator("tbody a").first.get_attribute("href")

        for path in ("/", "/deliveries", "/requests", str(delivery)):
            await page.goto(f"{url}{path}")
            wide = await page.evaluate("document.documentElement.scrollWidth")
            assert wide <= width, path
            assert await page.locator("h1").count() == 1
            unlabelled = await page.evaluate(_UNLABELLED)
            assert unlabelled == [], path


#: Fields and buttons that a screen reader has no name for.
_UNLABELLED = """
[...document.querySelectorAll("input:not([type=hidden]), select, button, a")]
  .filter(one => !(one.labels?.length || one.textContent.trim() || one.ariaLabel))
  .map(one => one.outerHTML)
"""


async def test_without_scripts(browser: Chromium, tmp_path: Path) -> None:
    """
    Without JavaScript everything can be read, and what is pressed is done.
    """
    receiver = ScriptedReceiver(always=status(404))
    async with (
        receiver,
        Simulator(recorded("trunk-ext-answered"), speed=0) as pbx,
        watched(tmp_path, pbx.port, requests(receiver)) as (url, visits),
    ):
        await visits.until(
            "/api/v1/deliveries?state=given+up",
            lambda answer: len(answer.content["deliveries"]) == 3,
        )
        page = await browser.page(scripts=False)
        await log_in(page, url)
        assert await page.locator("#said .event").all_inner_texts() == [
            *("Hangup", "Answer-In", "Dial-In")
        ]
        assert "3 given up" in await page.locator("main").inner_text()
        await page.goto(f"{url}/deliveries")
        await page.locator("tbody a").first.click()
        await page.get_by_role("button", name="Send again").click()
        assert re.search("It will be sent again", await page.locator("main").inner_text())


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
async def test_contrast(browser: Chromium, tmp_path: Path, *, dark: bool) -> None:
    """
    All text has a contrast of at least 4.5 with what is behind it.
    """
    receiver = ScriptedReceiver([status(404)], always=status(500))
    async with (
        receiver,
        Simulator(recorded("park-and-retrieve"), speed=0) as pbx,
        watched(tmp_path, pbx.port, requests(receiver)) as (url, _),
    ):
        page = await browser.page(dark=dark)
        # What has just come is lit up for a moment.
        await page.emulate_media(reduced_motion="reduce")
        await log_in(page, url)
        await expect(page.locator("#said .event").first).to_be_visible()
        for path in ("/", "/deliveries", "/requests"):
            await page.goto(f"{url}{path}")
            assert await page.evaluate(_PALE) == [], path


#: Texts whose contrast, as WCAG 2.1 computes it, is below 4.5.
_PALE = r"""
() => {
  const channel = (c) => (c /= 255) <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
  const read = (text) => text.match(/[\d.]+/g).map(Number);
  const light = ([r, g, b]) => 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
  const ground = (one) => {
    for (; one; one = one.parentElement) {
      const found = read(getComputedStyle(one).backgroundColor);
      if (found.length < 4 || found[3] > 0) return found;
    }
    return [255, 255, 255];
  };
  const pale = [];
  for (const one of document.querySelectorAll("body *")) {
    const own = [...one.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim());
    const box = one.getBoundingClientRect();
    if (!own || box.width < 2 || box.height < 2 || box.bottom < 0) continue;
    const [a, b] = [light(read(getComputedStyle(one).color)), light(ground(one))];
    const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (contrast < 4.5) pale.push(`${contrast.toFixed(2)} ${one.outerHTML.slice(0, 120)}`);
  }
  return pale;
}
"""
