"""
The site as it is built: complete, and with nothing from elsewhere.

Without mkdocs these tests are skipped; ``AMI_BRIDGE_REQUIRE_EXAMPLES=1`` makes them fail instead.
"""

import importlib.util
import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """
    Build the site, strictly.
    """
    if importlib.util.find_spec("mkdocs") is None:
        reason = "mkdocs is not installed; `make docs` installs it"
        if os.environ.get("AMI_BRIDGE_REQUIRE_EXAMPLES") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    folder = tmp_path_factory.mktemp("site")
    built = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert built.returncode == 0, built.stdout + built.stderr
    return folder


class _Fetched(HTMLParser):
    """
    Collects what a browser fetches by itself when it shows a page.
    """

    def __init__(self) -> None:
        super().__init__()
        self.urls: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """
        Note what one element has fetched.
        """
        found = dict(attrs)
        relations = (found.get("rel") or "").split()
        if tag in {"script", "img", "iframe", "source", "audio", "video", "embed"}:
            self.urls.append(found.get("src") or "")
        elif tag == "link" and not {"canonical", "prev", "next"} & set(relations):
            self.urls.append(found.get("href") or "")


def test_nothing_comes_from_elsewhere(site: Path) -> None:
    """
    No page has a browser fetch anything from another host: no fonts, no scripts, no images.
    """
    pages = list(site.rglob("*.html"))
    assert len(pages) > 10
    for page in pages:
        fetched = _Fetched()
        fetched.feed(page.read_text(encoding="utf-8"))
        assert [url for url in fetched.urls if re.match(r"(https?:)?//", url)] == [], page
    for sheet in site.rglob("*.css"):
        assert not re.search(r"url\([\"']?(https?:)?//", sheet.read_text(encoding="utf-8")), sheet


def test_what_is_shown_is_what_is_tested(site: Path) -> None:
    """
    The page of receivers contains the programs in examples/receivers, line by line.
    """
    shown = re.sub(r"<[^>]+>", "", (site / "how-to/receivers.html").read_text(encoding="utf-8"))
    for name in ("php/receiver.php", "node/receiver.mjs", "python/receiver.py"):
        program = (PROJECT / "examples/receivers" / name).read_text(encoding="utf-8")
        words = re.findall(r"\w{5,}", program)
        assert [word for word in words if word not in shown] == [], name
