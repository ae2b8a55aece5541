"""
The dashboard's pages, as a browser without JavaScript has them.
"""

import re
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from ami_bridge.adapters.recording import Recording
from ami_bridge.adapters.store import Changes, StoryEntry
from ami_bridge.control.access import COOKIE
from ami_bridge.control.logins import FailedLogins
from ami_bridge.core.ami_events import Hangup
from ami_bridge.core.call_events import EventType
from tests.integration.receivers import ScriptedReceiver, status
from tests.replaying import FIXTURES

from .houses import (
    DELIVERED,
    GIVEN_UP,
    RULES,
    TOKENS,
    House,
    call_event,
    delivery,
    house,
    owe,
    settle,
)

HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(2)>"
PAGES = ["/", "/deliveries", "/requests", "/explain", "/fragments/calls", "/fragments/health"]


class Browser:
    """
    A browser that keeps cookies and fills forms in, and no more.
    """

    def __init__(self, visited: House) -> None:
        self._url = visited.url
        # Of a loopback address, too.
        self._session = aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True))
        self.status = 0
        self.text = self.place = ""
        self.headers: dict[str, str] = {}

    async def close(self) -> None:
        """
        Close it.
        """
        await self._session.close()

    async def go(self, path: str) -> str:
        """
        Open *path*; give the page's text.
        """
        return await self._ask("GET", path)

    async def submit(self, path: str, **fields: str) -> str:
        """
        Submit a form to *path*.
        """
        return await self._ask("POST", path, fields)

    async def press(self, path: str) -> str:
        """
        Press the button whose form goes to *path*, on the present page.
        """
        form = re.search(
            rf'<form method="post" action="{re.escape(path)}">(.*?)</form>', self.text, re.DOTALL
        )
        assert form, f"no form for {path}"
        hidden = re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', form[1])
        return await self.submit(path, **dict(hidden))

    async def log_in(self, token: str) -> None:
        """
        Log in as the holder of *token*.
        """
        await self.submit("/login", token=TOKENS[token], next="/")
        assert self.status == 200

    async def _ask(self, method: str, path: str, fields: dict[str, str] | None = None) -> str:
        async with self._session.request(method, self._url + path, data=fields) as response:
            self.status, self.headers = response.status, dict(response.headers)
            self.text = await response.text()
            self.place = response.url.path_qs
            return self.text


@pytest.fixture
async def browser(visited: House) -> AsyncIterator[Browser]:
    """
    Give a browser that nobody has logged in with.
    """
    found = Browser(visited)
    yield found
    await found.close()


# -- getting in ------------------------------------------------------------------------


@pytest.mark.parametrize("path", PAGES)
async def test_nobody_sees_anything(browser: Browser, path: str) -> None:
    """
    Who has not logged in is asked for a token, and comes back to the page afterwards.
    """
    await browser.go(path)

    assert browser.place.startswith("/login?next=")
    assert 'type="password"' in browser.text
    await browser.submit("/login", token=TOKENS["reader"], next=path)
    assert browser.place == path


async def test_a_wrong_token(browser: Browser) -> None:
    """
    A token that is none of the rules' begins no session.
    """
    await browser.submit("/login", token="0123456789abcdef-nobody", next="/")

    assert browser.status == 403
    assert 'role="alert"' in browser.text
    assert "Set-Cookie" not in browser.headers


async def test_the_cookie(visited: House) -> None:
    """
    The session's cookie is not for scripts or other sites, and says nothing of the token.
    """
    async with aiohttp.ClientSession() as session:
        form = {"token": TOKENS["reader"], "next": "/"}
        async with session.post(
            f"{visited.url}/login", data=form, allow_redirects=False
        ) as response:
            [cookie] = response.headers.getall("Set-Cookie")

    assert response.status == 303
    assert cookie.startswith(f"{COOKIE}=")
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie
    assert TOKENS["reader"] not in cookie


async def test_the_cookie_behind_https(tmp_path: Path) -> None:
    """
    Where browsers come by HTTPS the cookie goes by nothing else.
    """
    rules = RULES.replace("[control]", "[control]\nbehind_https = true")
    async with house(tmp_path, rules) as visited, aiohttp.ClientSession() as session:
        form = {"token": TOKENS["reader"], "next": "/"}
        async with session.post(
            f"{visited.url}/login", data=form, allow_redirects=False
        ) as response:
            assert "; Secure" in response.headers["Set-Cookie"]


@pytest.mark.parametrize(
    "place",
    ["//evil.example/", "https://evil.example/", "/\\evil.example", "javascript:alert(1)", "x", ""],
)
async def test_no_way_out(visited: House, place: str) -> None:
    """
    Logging in leads to a page of ours, whatever the address said.
    """
    async with aiohttp.ClientSession() as session:
        form = {"token": TOKENS["reader"], "next": place}
        async with session.post(
            f"{visited.url}/login", data=form, allow_redirects=False
        ) as response:
            assert response.headers["Location"] == "/"


async def test_guessing_is_slow(browser: Browser) -> None:
    """
    After five wrong tokens in a minute nobody from that address is heard, not even rightly.
    """
    for _ in range(5):
        await browser.submit("/login", token="wrong")
        assert browser.status == 403

    await browser.submit("/login", token=TOKENS["reader"])

    assert browser.status == 429


def test_guessing_is_forgotten() -> None:
    """
    A minute after the first of them, another try is heard; others were heard all the time.
    """
    now = 0.0
    failed = FailedLogins(lambda: now)
    for now in (1.0, 2.0, 3.0, 4.0, 5.0):  # noqa: B007 - it is the clock
        assert failed.is_patient("one")
        failed.note("one")

    assert not failed.is_patient("one")
    assert failed.is_patient("other")
    now = 61.5
    assert failed.is_patient("one")


async def test_logging_out(browser: Browser) -> None:
    """
    After logging out the session is over, also for who kept the cookie.
    """
    await browser.log_in("reader")
    await browser.go("/")

    await browser.press("/logout")
    await browser.go("/")

    assert browser.place.startswith("/login")


async def test_logging_in_again(browser: Browser) -> None:
    """
    Who has a session is not asked for a token.
    """
    await browser.log_in("reader")

    await browser.go("/login?next=/deliveries")

    assert browser.place == "/deliveries"


async def test_a_token_that_is_taken_back(visited: House, browser: Browser) -> None:
    """
    A session ends when its token is in the rules no more.
    """
    await browser.log_in("reader")
    text = visited.rules.read_text(encoding="utf-8")
    visited.rules.write_text(text.replace(TOKENS["reader"], "f" * 32), encoding="utf-8")
    await visited.bridge.reload()

    await browser.go("/")

    assert browser.place.startswith("/login")


# -- what is seen ----------------------------------------------------------------------


async def test_the_first_page(visited: House, browser: Browser) -> None:
    """
    The first page has the live calls, what was said, and how everything is.
    """
    visited.play("trunk-ext-answered", Hangup)
    visited.say(call_event(EventType.ANSWER_IN, name="Zoë"))
    await owe(visited, delivery("one"))
    await browser.log_in("reader")

    text = await browser.go("/")

    assert "1795407850.42" in text
    assert "14155550100" in text
    assert "Zoë" in text
    assert "http://127.0.0.1:9" in text
    assert "1 waiting" in text


@pytest.mark.parametrize("path", PAGES)
async def test_headers(browser: Browser, path: str) -> None:
    """
    Every page forbids what it does not need: foreign and inline scripts, frames, caches.
    """
    await browser.log_in("reader")
    text = await browser.go(path)

    policy = browser.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'self'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert browser.headers["Cache-Control"] == "no-store"
    assert browser.headers["X-Content-Type-Options"] == "nosniff"
    assert not re.search(r"<script(?! type=\"module\" src=)|<style|\son\w+=|style=", text)


async def test_what_callers_say_is_text(visited: House, browser: Browser) -> None:
    """
    Names of callers, answers of receivers and ids of calls are text wherever they are shown.
    """
    visited.say(call_event(name=HOSTILE, call_id=HOSTILE))
    visited.play("trunk-ext-answered", Hangup)
    for leg in visited.pbx.pipeline.correlator.open_legs:
        leg.caller_id_name = HOSTILE
    await owe(visited, delivery("<b>"))
    await settle(visited, "<b>", GIVEN_UP, 404)
    await browser.log_in("changer")

    for path in [*PAGES, "/deliveries/%3Cb%3E"]:
        text = await browser.go(path)
        assert browser.status == 200
        assert "<script>alert" not in text
        assert "<img src=x" not in text
        assert "<b>" not in text
    assert "&lt;script&gt;alert(1)" in await browser.go("/")


async def test_a_scope_is_all_there_is(visited: House, browser: Browser) -> None:
    """
    A token of a tenant shows its own calls, deliveries and requests, and of others nothing.
    """
    visited.say(call_event(extension="0004*001", name="Stranger"))
    visited.say(call_event(extension="0003*001", name="Friend"))
    await owe(visited, delivery("theirs", "0004*001", "all"), delivery("ours", "0003*001"))
    await browser.log_in("tenant-changer")

    first, listed, rules = [await browser.go(path) for path in ("/", "/deliveries", "/requests")]

    assert "Friend" in first
    assert "Stranger" not in first
    assert "Health" not in first
    assert "/deliveries/ours" in listed
    assert "theirs" not in listed
    assert "helpdesk" in rules
    assert "/requests/all/" not in rules
    for path in ("/deliveries/theirs", "/fragments/health"):
        await browser.go(path)
        assert browser.status == 404
    await browser.go("/deliveries?extension=0004*001")
    assert "There are no such deliveries." in browser.text


async def test_choosing_deliveries(visited: House, browser: Browser) -> None:
    """
    The form chooses among deliveries; a pattern that cannot be meant is explained.
    """
    await owe(visited, delivery("one"), delivery("two", "0004*001"))
    await settle(visited, "one", DELIVERED, 204)
    await browser.log_in("reader")

    text = await browser.go("/deliveries?state=delivered")
    assert "/deliveries/one" in text
    assert "/deliveries/two" not in text
    assert "<option selected>delivered</option>" in text
    text = await browser.go("/deliveries?extension=0004*")
    assert "/deliveries/two" in text
    assert "No extension is like 201" in await browser.go("/deliveries?extension=201")
    assert "no such deliveries" in await browser.go("/deliveries?state=nonsense")


async def test_pages_of_deliveries(visited: House, browser: Browser) -> None:
    """
    More deliveries than a page has are on the next one, with the same choice.
    """
    await owe(visited, *(delivery(f"n{number:03}") for number in range(70)))
    await browser.log_in("reader")

    first = await browser.go("/deliveries?state=waiting")
    older = re.search(r'href="(/deliveries\?[^"]*cursor[^"]*)"', first)
    assert older
    second = await browser.go(older[1].replace("&amp;", "&"))

    links = re.findall(r"/deliveries/(n\d+)", first + second)
    assert links == [f"n{number:03}" for number in reversed(range(70))]
    assert "state=waiting" in older[1]


async def test_a_delivery(visited: House, browser: Browser) -> None:
    """
    A delivery shows its request without secrets, and each attempt that failed.
    """
    await owe(visited, delivery("one"))
    await settle(visited, "one", GIVEN_UP, 404)
    await browser.log_in("reader")

    text = await browser.go("/deliveries/one")

    assert "answer 404" in text
    assert "0.250 s" in text
    assert "s3cret" not in text


async def test_a_call_is_explained(visited: House, browser: Browser) -> None:
    """
    A call shows what Asterisk said of it, what followed, and why each request was told or not.
    """
    recording = Recording(
        next((FIXTURES / "asterisk22" / "trunk-ext-answered").glob("recording.ami*"))
    )
    told = [
        StoryEntry("", "1795407850.42", time or 0.0, message.raw + b"\r\n\r\n")
        for message, time in recording.messages()
    ]
    await visited.bridge.store.keep(Changes(0.0, entries=told))
    await browser.log_in("reader")

    text = await browser.go("/explain?call_id=1795407850.42")

    assert "Dial-In</span> of 0003*001" in text
    assert "helpdesk: no, it asks for 0003*2* only" in text
    assert "all: would be told now" in text
    assert "Nothing is known of a call 1.1" in await browser.go("/explain?call_id=1.1")
    assert "&lt;b&gt;" in await browser.go("/explain?call_id=%3Cb%3E")
    await browser.press("/logout")
    await browser.log_in("tenant")
    await browser.go("/explain?call_id=1795407850.42")
    assert browser.status == 404


# -- what is done ----------------------------------------------------------------------


async def test_sending_again(visited: House, browser: Browser) -> None:
    """
    A delivery that was given up is owed again at the press of a button.
    """
    await owe(visited, delivery("one"))
    await settle(visited, "one", GIVEN_UP, 404)
    await browser.log_in("changer")
    await browser.go("/deliveries/one")

    await browser.press("/deliveries/one/retry")

    assert browser.place == "/deliveries/one?done=retried"
    assert "It will be sent again." in browser.text
    assert "waiting" in browser.text


async def test_giving_up(visited: House, browser: Browser) -> None:
    """
    A delivery that waits is given up at the press of a button, and who did it is told.
    """
    await owe(visited, delivery("one"))
    await browser.log_in("changer")
    await browser.go("/deliveries/one")

    await browser.press("/deliveries/one/drop")

    assert "dropped by changer" in browser.text


async def test_enabling_and_disabling(visited: House, browser: Browser) -> None:
    """
    A request is disabled and enabled again in the rules file, which stays as it is otherwise.
    """
    before = visited.rules.read_text(encoding="utf-8")
    await browser.log_in("changer")
    await browser.go("/requests")

    await browser.press("/requests/helpdesk/disable")
    between = visited.rules.read_text(encoding="utf-8")
    await browser.press("/requests/helpdesk/enable")

    assert 'status = "disabled"' in between
    assert "The request is enabled." in browser.text
    assert [line for line in between.splitlines() if "disabled" not in line] == before.splitlines()


async def test_a_sample(tmp_path: Path) -> None:
    """
    A sample notification shows the request and the answer.
    """
    async with ScriptedReceiver([status(202)]) as receiver:
        rules = RULES.replace("http://127.0.0.1:9/calls", receiver.url)
        async with house(tmp_path, rules) as visited:
            browser = Browser(visited)
            await browser.log_in("changer")
            await browser.go("/requests")
            await browser.press("/requests/all/test")
            await browser.close()

    assert "The receiver has taken the sample" in browser.text
    assert "answer 202" in browser.text
    assert "X-Ami-Bridge-Test: 1" in browser.text


@pytest.mark.parametrize(
    "path",
    [
        "/deliveries/one/retry",
        "/deliveries/one/drop",
        "/requests/all/disable",
        "/requests/all/enable",
        "/requests/all/test",
        "/logout",
    ],
)
@pytest.mark.parametrize("fields", [{}, {"csrf": "another"}], ids=["without", "with another"])
async def test_forged_forms(
    visited: House, browser: Browser, path: str, fields: dict[str, str]
) -> None:
    """
    A change that another site has the browser ask for is refused, and nothing happens.
    """
    await owe(visited, delivery("one"))
    before = visited.rules.read_bytes()
    await browser.log_in("changer")

    await browser.submit(path, **fields)

    assert browser.status == 403
    assert visited.rules.read_bytes() == before
    kept = await visited.bridge.store.look_up("one")
    assert kept is not None
    assert kept.settled is None
    await browser.go("/")
    assert browser.place == "/"


async def test_who_may_only_read(visited: House, browser: Browser) -> None:
    """
    Who may only read has no buttons, and is refused without them.
    """
    await owe(visited, delivery("one"))
    await browser.log_in("reader")
    text = await browser.go("/requests") + await browser.go("/deliveries/one")
    csrf = re.search(r'name="csrf" value="([^"]+)"', text)
    assert csrf

    assert set(re.findall(r'action="(/[^"]*)"', text)) == {"/logout"}
    for path in ("/deliveries/one/drop", "/requests/all/disable", "/requests/all/test"):
        await browser.submit(path, csrf=csrf[1])
        assert browser.status == 403


async def test_what_is_not_there(browser: Browser) -> None:
    """
    A page, a delivery or a request that is not there is a page that says so, or a refusal.
    """
    await browser.log_in("changer")

    for path in ("/deliveries/nobody", "/nowhere", "/static/", "/static/../pages.py"):
        await browser.go(path)
        assert browser.status in (403, 404), path
