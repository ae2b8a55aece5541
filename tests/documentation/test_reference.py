"""
The reference pages name everything there is, and say of it what holds.
"""

import re
import textwrap
import tomllib
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest

from ami_bridge import errors
from ami_bridge.cli import cli
from ami_bridge.config import load_config
from ami_bridge.config.section import Section
from ami_bridge.core.requests import DEFAULT_NAMES, Field
from tests.unit.rules_files import DEFAULT_FILE, write_examples

PROJECT = Path(__file__).parents[2]
README, DOCS = PROJECT / "README.md", PROJECT / "docs"
#: Tables whose keys the operator chooses.
FREE = ("extensions.endpoints", "public_numbers", "requests.parameters", "requests.headers")


def rows(text: str) -> Iterator[list[str]]:
    """
    Give the cells of the rows of all tables in *text*, without their headings.
    """
    for line in re.findall(r"^\| (.*) \|$", text, re.MULTILINE):
        yield [cell.strip() for cell in re.split(r" ?\| ?", line)]


def blocks(language: str) -> list[str]:
    """
    Give the blocks of *language* in all pages, as they stand there; includes are left out.
    """
    fence = re.compile(rf"^( *)```{language}\n(.*?)^ *```$", re.DOTALL | re.MULTILINE)
    return [
        textwrap.dedent(text)
        for page in sorted((README, *DOCS.rglob("*.md")))
        for _, text in fence.findall(page.read_text(encoding="utf-8"))
        if "--8<--" not in text
    ]


def documented_keys() -> dict[str, dict[str, str]]:
    """
    Give what the page of rules says: for each table of the file its keys with their defaults.
    """
    page = (DOCS / "reference/configuration.md").read_text(encoding="utf-8")
    found: dict[str, dict[str, str]] = {}
    for section in page.split("\n## ")[1:]:
        title, _, text = section.partition("\n")
        table = "" if title == "The file itself" else title.strip("[]")
        found[table] = {
            key: default
            for keys, _, default, *_ in (row for row in rows(text) if len(row) >= 4)
            for key in re.findall(r"`(\w+)`", keys)
        }
    return found


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, set[str]]:
    """
    Give the keys that the program looks for, table by table.
    """
    found: dict[str, set[str]] = defaultdict(set)
    take = Section._take

    def noting(section: Section, key: str) -> object:
        found[re.sub(r"\[\d+\]", "", section.path)].add(key)
        return take(section, key)

    monkeypatch.setattr(Section, "_take", noting)
    load_config(write_examples(tmp_path), {})
    return {table: keys for table, keys in found.items() if table not in FREE}


def test_every_key_of_the_rules(asked: dict[str, set[str]]) -> None:
    """
    The page of rules has each key that the program looks for, in its table, and no other.
    """
    documented = {table: set(keys) for table, keys in documented_keys().items() if keys}

    assert documented == asked


def test_defaults_of_the_rules() -> None:
    """
    The defaults that the page of rules tells are those of the annotated file.
    """
    rules = tomllib.loads(DEFAULT_FILE.read_text(encoding="utf-8"))
    tables: dict[str, dict[str, Any]] = {"": rules}
    tables |= {name: value for name, value in rules.items() if isinstance(value, dict)}
    documented = documented_keys()
    for table, values in tables.items():
        for key, value in values.items():
            if isinstance(value, dict):
                continue
            told = documented[table][key]
            assert tomllib.loads(f"told = {told.strip('`')}")["told"] == value, (table, key)


def test_exit_codes() -> None:
    """
    The page of exit codes has each error of the program beside the code that it ends with.
    """
    page = (DOCS / "reference/exit-codes.md").read_text(encoding="utf-8")
    told = {
        name: int(code)
        for code, meaning, *_ in rows(page)
        if code.isdigit()
        for name in re.findall(r"`([A-Z][a-z]\w+)`", meaning)
    }
    codes = {
        name: error.exit_code
        for name, error in vars(errors).items()
        if isinstance(error, type) and issubclass(error, errors.AmiBridgeError)
    }

    assert told == codes


def test_every_parameter_and_field() -> None:
    """
    The page of the payload, and the call model that it refers to, name all that may be sent.
    """
    payload = (DOCS / "reference/payload.md").read_text(encoding="utf-8")
    model = (DOCS / "explanation/call-model.md").read_text(encoding="utf-8")

    assert [name for name in DEFAULT_NAMES if f"`{name}`" not in model] == []
    assert [field for field in Field if f"`{field}`" not in payload] == []


@pytest.mark.parametrize("block", blocks("toml"))
def test_the_rules_that_pages_show(block: str, tmp_path: Path) -> None:
    """
    Every piece of rules in the documentation is right, but for files that it names.
    """
    rules = tmp_path / "rules.toml"
    rules.write_text(block, encoding="utf-8")

    load_config(rules, {"HOME": str(tmp_path)}, secret_needed=False, credentials_needed=False)


def test_every_command() -> None:
    """
    The page of the command line names each command.
    """
    page = (DOCS / "reference/cli.md").read_text(encoding="utf-8")
    commands = cli.list_commands(click.Context(cli))

    assert len(commands) > 5
    assert [name for name in commands if not re.search(rf"`{name}\b", page)] == []
