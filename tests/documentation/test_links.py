"""
What is linked to, or named, is there. Links within the site are mkdocs's own business.
"""

import re
import subprocess
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
_LINK = re.compile(r"\]\((?!https?://|mailto:|#)([^)#\s]+)")
_NAMED = re.compile(r"(?<![\w/.-])(docs/[\w./-]+\.\w+)")


def pages() -> list[Path]:
    """
    Give the pages outside of the site.
    """
    return sorted((*PROJECT.glob("*.md"), *PROJECT.glob("fixtures/*/*/story.md")))


def named_in() -> list[Path]:
    """
    Give the files of the project that may name a page: all that are text and no page.
    """
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
    )
    if listed.returncode:
        pytest.skip("this is no clone")
    files = (PROJECT / name for name in listed.stdout.splitlines())
    kinds = (".py", ".toml", ".yml", ".service", ".sh", ".conf", ".html", "")
    return [file for file in files if file.suffix in kinds and file.is_file()]


def test_links() -> None:
    """
    Every link to a file leads to one.
    """
    missing = {
        f"{page.relative_to(PROJECT)}: {link}"
        for page in pages()
        for link in _LINK.findall(page.read_text(encoding="utf-8"))
        if not (page.parent / link).exists()
    }

    assert missing == set()


def test_pages_that_the_code_names() -> None:
    """
    Comments and docstrings name pages that exist.
    """
    missing = {
        f"{file.relative_to(PROJECT)}: {name}"
        for file in named_in()
        for name in _NAMED.findall(file.read_text(encoding="utf-8", errors="replace"))
        if not (PROJECT / name).exists()
    }

    assert missing == set()
