"""
Edits of rules.toml: what is asked for is done, and nothing else.
"""

import difflib
import fcntl
import os
import re
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ami_bridge.config.editing import RulesFile, generated_id
from ami_bridge.config.toml_pieces import Kind, cut
from ami_bridge.errors import ConfigError, RulesFileError
from tests.unit.rules_files import DEFAULT_FILE, write_examples

#: Rules as people write them.
WRITTEN = """\
# Rules of ACME
hangup_status = 'simple'   # as always

[[requests]] # the screen pop
id = "pop"
url   =   "https://crm.example.org/pop"# no query
event = [
  "Dial-In",   # rings
  'Answer',
] # two
notes = \"\"\"
[[requests]]
# not a comment\"\"\"
#status = "disabled"

# The wallboard has no id.
[[requests]]
  url = "https://wall.example.org/[a]?b={c}"   # indented
  headers.X-A = "1"
  headers.X-B = '2'
  # By what it knows us.
  [requests.auth]
  user = "pbx"
  password = "s3cret"
# Of all of them.
[delivery]
concurrency = 3

# --- The end ---
"""


def opened(folder: Path, text: str = WRITTEN) -> RulesFile:
    """
    Open *text* as the rules file of *folder*.
    """
    path = folder / "rules.toml"
    path.write_bytes(text.encode())
    return RulesFile.read(path, {})


def changes(before: str, after: str) -> list[str]:
    """
    Give the lines that differ, as diff marks them.
    """
    lines = difflib.ndiff(before.splitlines(), after.splitlines())
    return [line for line in lines if line[0] in "+-"]


def by_hand(error: pytest.ExceptionInfo[ConfigError]) -> str:
    """
    Give the one problem of *error*.
    """
    (problem,) = error.value.problems
    return f"{problem.path} {problem.message}"


# -- cutting -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        WRITTEN,
        WRITTEN.replace("\n", "\r\n"),
        DEFAULT_FILE.read_text(encoding="utf-8"),
        'a = """x""""\nb = \'\'\'\'\'\'\nc = "\\"#["\n[t]#]',
        "a.'b=c'.d = [{x = 1}, # ]\n 2]\n",
        "",
    ],
)
def test_pieces_are_the_text(text: str) -> None:
    """
    Put together the pieces are the text, and each pair is TOML of its own.
    """
    pieces = cut(text)

    assert "".join(piece.text for piece in pieces) == text
    assert all(piece.value is not None for piece in pieces if piece.kind is Kind.PAIR)


def test_what_only_looks_like_a_header() -> None:
    """
    Brackets within strings, lists and comments begin no table.
    """
    headers = [piece.keys for piece in cut(WRITTEN) if piece.is_header]

    assert headers == [("requests",), ("requests",), ("requests", "auth"), ("delivery",)]


# -- edits -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        pytest.param(
            {"url": "https://x.example/"},
            [
                '- url   =   "https://crm.example.org/pop"# no query',
                '+ url   =   "https://x.example/"# no query',
            ],
            id="a value, between what stands around it",
        ),
        pytest.param(
            {"event": "Hangup"},
            [
                "- event = [",
                '-   "Dial-In",   # rings',
                "-   'Answer',",
                "- ] # two",
                '+ event = "Hangup" # two',
            ],
            id="a list of several lines",
        ),
        pytest.param({"event": ["Dial-In", "Answer"]}, [], id="nothing, in the form it has"),
        pytest.param(
            {"method": "POST"}, ['+ method = "POST"'], id="a new one, before the comments"
        ),
        pytest.param(
            {"headers": {"X-A": "b"}, "omit_empty": True},
            ["+ omit_empty = true", "+ ", "+ [requests.headers]", '+ X-A = "b"'],
            id="a new table, at the end",
        ),
        pytest.param({"id": "neu"}, ['- id = "pop"', '+ id = "neu"'], id="the id"),
    ],
)
def test_a_change_is_a_change_of_its_lines(
    tmp_path: Path, attributes: dict[str, Any], expected: list[str]
) -> None:
    """
    Only the lines of the attributes change, and new ones stand where they belong.
    """
    file = opened(tmp_path)

    file.change("pop", attributes)

    assert sorted(changes(WRITTEN, file.text)) == sorted(expected)


def test_tables_are_changed_in_the_form_that_they_have(tmp_path: Path) -> None:
    """
    Dotted keys stay dotted, a table stays a table, and both can be taken out.
    """
    file = opened(tmp_path)
    wall = file.ids[1]

    file.change(
        wall,
        {"headers": {"X-B": "3", "X-C": "4"}, "auth": {"user": "me", "password": "s3cret"}},
    )

    assert sorted(changes(WRITTEN, file.text)) == [
        '+   headers.X-B = "3"',
        '+   headers.X-C = "4"',
        '+   user = "me"',
        '-   headers.X-A = "1"',
        "-   headers.X-B = '2'",
        '-   user = "pbx"',
    ]
    file.change(wall, {"headers": {}, "auth": None})
    assert "headers" not in file.text
    assert "[requests.auth]" not in file.text
    assert file.attributes(wall) == {"url": "https://wall.example.org/[a]?b={c}"}


def test_an_inline_table_stays_one(tmp_path: Path) -> None:
    """
    A table in braces is replaced in its line.
    """
    file = opened(tmp_path, '[[requests]]\nid="a"\nurl = "http://h/"\nheaders = {A="1"} # why\n')

    file.change("a", {"headers": {"A": "1", "B": "2"}})

    assert 'headers = {A = "1", B = "2"} # why\n' in file.text


def test_enable_and_disable(tmp_path: Path) -> None:
    """
    A request that is as it is asked to be is not touched; the word is put in place else.
    """
    file = opened(tmp_path)

    file.enable("pop")
    assert not file.is_changed
    file.disable("pop")
    assert changes(WRITTEN, file.text) == ['+ status = "disabled"']
    file.enable("pop")
    assert changes(WRITTEN, file.text) == ['+ status = "enabled"']


def test_remove_takes_the_comments_that_touch(tmp_path: Path) -> None:
    """
    What stands directly over a request goes with it; what is over the next table stays.
    """
    file = opened(tmp_path)

    file.remove(file.ids[1])

    gone = WRITTEN.index("# The wallboard"), WRITTEN.index("# Of all of them.")
    assert file.text == WRITTEN[: gone[0]] + WRITTEN[gone[1] :]
    file.remove("pop")
    assert file.config.rules == ()
    assert "screen pop" not in file.text
    assert "not a comment" not in file.text
    assert file.text.startswith(
        "# Rules of ACME\nhangup_status = 'simple'   # as always\n\n# Of all"
    )


def test_add_stands_behind_the_others(tmp_path: Path) -> None:
    """
    A new request stands behind the last one, before what is about the next table.
    """
    file = opened(tmp_path)

    added = file.add(
        {"notes": "a\nb", "url": "https://n.example/", "extension": ("0003*001",), "method": None}
    )

    assert file.ids[-1] == added
    assert changes(WRITTEN, file.text) == [
        "+ ",
        "+ [[requests]]",
        '+ extension = ["0003*001"]',
        '+ url = "https://n.example/"',
        '+ notes = "a\\nb"',
        "+ ",
    ]
    assert file.text.index("n.example") < file.text.index("# Of all of them.")


@pytest.mark.parametrize("text", ["", "\n", "# x", "hangup_status = 'simple'", "[delivery]\r\n"])
def test_add_to_a_file_without_requests(tmp_path: Path, text: str) -> None:
    """
    The first request stands at the end, whatever the file ends with, in the file's line ends.
    """
    file = opened(tmp_path, text)

    file.add({"url": "https://n.example/", "id": "n"})

    assert file.text.startswith(text)
    assert file.ids == ["n"]
    assert file.text.count("\r\n") in (0, file.text.count("\n"))


def test_the_default_file_takes_requests_and_loses_them(tmp_path: Path) -> None:
    """
    Added to the annotated default and removed again, a request leaves the file as it was.
    """
    text = DEFAULT_FILE.read_text(encoding="utf-8")
    file = opened(tmp_path, text)

    file.add({"url": "https://n.example/", "id": "n", "headers": {"X-A": "b"}})
    file.disable("n")
    assert not [line for line in changes(text, file.text) if line[0] == "-"]
    file.remove("n")

    assert file.text == text


def test_the_examples_of_the_default_file_can_be_edited(tmp_path: Path) -> None:
    """
    With all examples in force each request can be switched off, and no other line changes.
    """
    path = write_examples(tmp_path)
    before = path.read_text(encoding="utf-8")
    file = RulesFile.read(path, {})

    for request_id in file.ids:
        file.disable(request_id)

    assert not any(rule.enabled for rule in file.config.rules)
    assert set(changes(before, file.text)) == {'- status = "enabled"', '+ status = "disabled"'}


@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_line_ends_and_byte_order_mark_stay(tmp_path: Path, mark: str) -> None:
    """
    A file of another system stays one, in what is new, too.
    """
    windows = mark + WRITTEN.replace("\n", "\r\n")
    file = opened(tmp_path, windows)

    file.add({"url": "https://n.example/", "id": "n", "headers": {"A": "b"}})
    file.change("pop", {"notes": "new", "parameters": {"a": "b"}})
    file.write()

    written = file.path.read_bytes().decode()
    assert written.count("\n") == written.count("\r\n")
    assert written.startswith(f"{mark}# Rules")
    assert RulesFile.read(file.path, {}).ids == file.ids


# -- ids ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "attributes", [{"url": "https://x.example/"}, {"method": "POST"}, {"event": "Hangup"}]
)
def test_a_derived_id_stays(tmp_path: Path, attributes: dict[str, Any]) -> None:
    """
    What would change a derived id has it written down first, so that EventIDs stay.
    """
    file = opened(tmp_path)
    wall = file.ids[1]

    file.change(wall, attributes)

    assert file.ids == ["pop", wall]
    assert f'[[requests]]\nid = "{wall}"\n' in file.text


@pytest.mark.parametrize(
    "attributes", [{"method": "GET"}, {"extension": "*"}, {"status": "disabled"}, {"notes": "x"}]
)
def test_a_derived_id_that_does_not_change_is_not_written(
    tmp_path: Path, attributes: dict[str, Any]
) -> None:
    """
    An id is written down only where it would be another one.
    """
    file = opened(tmp_path)
    wall = file.ids[1]

    file.change(wall, attributes)

    assert file.ids[1] == wall
    assert wall not in file.text


def test_two_requests_may_come_to_ask_for_the_same(tmp_path: Path) -> None:
    """
    A change that makes two requests alike keeps them apart by the id that is written down.
    """
    file = opened(tmp_path, '[[requests]]\nurl = "http://a/"\n[[requests]]\nurl = "http://b/"\n')
    ids = file.ids

    file.change(ids[1], {"url": "http://a/"})

    assert file.ids == ids


def test_generated_ids() -> None:
    """
    A generated id is 30 letters and digits, and another one each time.
    """
    assert re.fullmatch(r"[A-Za-z0-9]{30}", generated_id())
    assert generated_id() != generated_id()


# -- refusals ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("edit", "path"),
    [
        pytest.param(lambda f: f.add({"url": "ftp://x"}), "requests[2].url", id="a wrong url"),
        pytest.param(lambda f: f.add({}), "requests[2].url", id="no url"),
        pytest.param(
            lambda f: f.add({"url": "http://x/", "id": "pop"}), "requests[2].id", id="an id twice"
        ),
        pytest.param(
            lambda f: f.add({"url": "http://x/", "evnt": "x"}), "requests[2].evnt", id="no such key"
        ),
        pytest.param(
            lambda f: f.change("pop", {"format": "json"}),
            "requests[0].format",
            id="GET with a body",
        ),
        pytest.param(
            lambda f: f.change(f.ids[1], {"url": "ftp://x"}),
            "requests[1].url",
            id="a wrong url where an id is derived",
        ),
        pytest.param(
            lambda f: f.change(f.ids[1], {"headers": "x"}), "requests[1].headers", id="no table"
        ),
        pytest.param(lambda f: f.change("pop", {"url": None}), "requests[0].url", id="url gone"),
    ],
)
def test_what_would_not_be_valid_is_refused(
    tmp_path: Path, edit: Callable[[RulesFile], object], path: str
) -> None:
    """
    The reader of the rules itself says what is wrong, and the text is as it was.
    """
    file = opened(tmp_path)

    with pytest.raises(ConfigError) as refusal:
        edit(file)

    assert path in [problem.path for problem in refusal.value.problems]
    assert not file.is_changed
    file.write()
    assert file.path.read_text(encoding="utf-8") == WRITTEN


def test_all_problems_are_told(tmp_path: Path) -> None:
    """
    Several mistakes are told together.
    """
    with pytest.raises(ConfigError) as refusal:
        opened(tmp_path).add({"url": "ftp://x", "event": "Dialin", "method": "PUT"})

    assert len(refusal.value.problems) == 3


def test_unknown_ids(tmp_path: Path) -> None:
    """
    A request that is not there is a LookupError.
    """
    with pytest.raises(LookupError, match="nobody"):
        opened(tmp_path).remove("nobody")


@pytest.mark.parametrize(
    ("text", "edit"),
    [
        pytest.param(
            'requests = [{id = "a", url = "http://h/"}]\n',
            lambda f: f.disable("a"),
            id="a list in brackets",
        ),
        pytest.param("requests = []\n", lambda f: f.add({"url": "http://h/"}), id="an empty list"),
        pytest.param(
            '[[requests]]\nid = "a"\nurl = "http://h/"\n[delivery]\n[requests.headers]\nA = "b"\n',
            lambda f: f.change("a", {"headers": {"A": "c"}}),
            id="tables that stand apart",
        ),
    ],
)
def test_forms_that_are_edited_by_hand(
    tmp_path: Path, text: str, edit: Callable[[RulesFile], object]
) -> None:
    """
    A form of TOML that cannot be edited safely is refused with a sentence, not spoilt.
    """
    file = opened(tmp_path, text)

    if "[]" in text:
        assert file.ids == []
    with pytest.raises(ConfigError) as refusal:
        edit(file)

    assert "edit it by hand" in by_hand(refusal)
    assert not file.is_changed


def test_text_that_is_no_text(tmp_path: Path) -> None:
    """
    Half of a surrogate pair, as from a command line in another encoding, is refused.
    """
    with pytest.raises(ConfigError) as refusal:
        opened(tmp_path).change("pop", {"notes": "\udcff"})

    assert "UTF-8" in by_hand(refusal)


# -- properties --------------------------------------------------------------------------

_TEXTS = st.text(st.characters(codec="utf-8"), max_size=12)
_ATTRIBUTES = st.fixed_dictionaries(
    {},
    optional={
        "url": st.sampled_from(["https://a.example/", "https://b.example/?x=1"]),
        "extension": st.sampled_from(["*", "0003*", ["0003*001", "0003*2*"], None]),
        "event": st.sampled_from(["Hangup", ["Dial-In", "Answer"], None]),
        "method": st.sampled_from(["GET", "POST", None]),
        "status": st.sampled_from(["enabled", "disabled", None]),
        "notes": _TEXTS,
        "omit_empty": st.sampled_from([True, False, None]),
        "hangup_status": st.sampled_from(["simple", "detailed", None]),
        "fields": st.lists(st.sampled_from(["EventID", "EventType"]), unique=True),
        "parameters": st.dictionaries(_TEXTS.filter(bool), st.just("x"), max_size=3),
        "headers": st.dictionaries(st.sampled_from(["X-A", "X-B", "x.c"]), st.just("v")),
    },
)


def _comments(text: str) -> list[str]:
    return [piece.text for piece in cut(text) if piece.kind is Kind.COMMENT]


@given(
    edits=st.lists(st.tuples(st.integers(0, 3), _ATTRIBUTES), max_size=5),
    windows=st.booleans(),
)
def test_any_edits(
    tmp_path_factory: pytest.TempPathFactory,
    edits: list[tuple[int, dict[str, Any]]],
    windows: bool,
) -> None:
    """
    Whatever is changed, the file says it, ids stay, and every comment line is there still.
    """
    text = WRITTEN.replace("\n", "\r\n") if windows else WRITTEN
    file = opened(tmp_path_factory.getbasetemp(), text)
    known = file.ids
    for place, attributes in edits:
        before = file.text
        try:
            if place < len(known):
                file.change(known[place], attributes)
            else:
                file.add(attributes | {"url": "https://n.example/", "id": generated_id()})
        except ConfigError as refusal:
            assert all(problem.path != "requests" for problem in refusal.problems)  # noqa: PT017
            assert file.text == before
            continue
        index = place if place < len(known) else -1
        entry = tomllib.loads(file.text)["requests"][index]
        for name, value in attributes.items():
            if place < len(known) or name != "url":
                assert entry.get(name) == (None if value == {} else value)
    assert file.ids[:2] == known
    assert _comments(file.text) == _comments(text)


# -- writing -----------------------------------------------------------------------------


def test_writing_keeps_the_mode_and_the_link(tmp_path: Path) -> None:
    """
    The file keeps its mode, a symbolic link to it stays one, and no other file is left.
    """
    real = tmp_path / "etc"
    real.mkdir()
    opened(real).path.chmod(0o640)
    link = tmp_path / "rules.toml"
    link.symlink_to("etc/rules.toml")
    file = RulesFile.read(link, {})

    file.disable("pop")
    file.write()

    assert link.is_symlink()
    assert (real / "rules.toml").stat().st_mode & 0o777 == 0o640
    assert 'status = "disabled"' in link.read_text(encoding="utf-8")
    assert [path.name for path in real.iterdir()] == ["rules.toml"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_writing_keeps_the_owner(tmp_path: Path) -> None:
    """
    Root's edit leaves the file with the user that it belongs to.
    """
    file = opened(tmp_path)
    os.chown(file.path, 12345, 54321)

    file.disable("pop")
    file.write()

    assert (file.path.stat().st_uid, file.path.stat().st_gid) == (12345, 54321)


def test_a_file_that_was_changed_meanwhile_is_left_alone(tmp_path: Path) -> None:
    """
    Somebody else's change is not overwritten.
    """
    file, other = opened(tmp_path), opened(tmp_path)
    other.disable("pop")
    other.write()

    file.change("pop", {"notes": "mine"})
    with pytest.raises(RulesFileError, match="was changed by somebody else meanwhile") as refusal:
        file.write()

    assert refusal.value.exit_code == 74
    assert file.path.read_text(encoding="utf-8") == other.text


def test_two_writes_in_a_row(tmp_path: Path) -> None:
    """
    What was written is what the next write has to find.
    """
    file = opened(tmp_path)
    for edit in (file.disable, file.enable):
        edit("pop")
        file.write()

    assert file.path.read_text(encoding="utf-8") == file.text
    assert not file.is_changed


@pytest.mark.parametrize("step", ["fsync", "fchmod", "replace"])
def test_a_write_that_fails_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """
    Wherever it fails before the new file is in place, the old one is whole, and alone.
    """
    file = opened(tmp_path)
    file.disable("pop")

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    if step == "replace":
        monkeypatch.setattr(Path, "replace", fail)
    else:
        monkeypatch.setattr(os, step, fail)
    with pytest.raises(RulesFileError, match="cannot be written: No space left on device"):
        file.write()

    assert file.path.read_text(encoding="utf-8") == WRITTEN
    assert [path.name for path in tmp_path.iterdir()] == ["rules.toml"]
    assert file.is_changed


def test_writers_take_turns(tmp_path: Path) -> None:
    """
    While a file is replaced it is locked, so that two that write at once do not lose a change.
    """
    file = opened(tmp_path)
    held = []
    look = Path.read_bytes

    def read_bytes(path: Path) -> bytes:
        with path.open("rb") as other:
            try:
                fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                held.append(path.name)
        return look(path)

    file.disable("pop")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "read_bytes", read_bytes)
        file.write()

    assert held == ["rules.toml"]


def test_a_new_file(tmp_path: Path) -> None:
    """
    A file that is missing is made only where that is asked for, and not over another one.
    """
    path = tmp_path / "rules.toml"
    with pytest.raises(ConfigError, match="No such file"):
        RulesFile.read(path, {})
    file = RulesFile.read(path, {}, create=True)
    late = RulesFile.read(path, {}, create=True)
    for one in (file, late):
        one.add({"url": "https://n.example/"})

    file.write()
    with pytest.raises(RulesFileError, match="was made by somebody else"):
        late.write()

    assert path.read_text(encoding="utf-8") == '[[requests]]\nurl = "https://n.example/"\n'
    assert [entry.name for entry in tmp_path.iterdir()] == ["rules.toml"]


def test_secrets_that_cannot_be_read(tmp_path: Path) -> None:
    """
    Whoever may not read the secrets can edit nevertheless; a bridge can insist on them.
    """
    text = '[[requests]]\nid = "a"\nurl = "http://h/"\nauth.bearer_file = "missing"\n'
    file = opened(tmp_path, text)
    file.disable("a")

    assert file.validate().rules[0].enabled is False
    with pytest.raises(ConfigError, match="missing"):
        RulesFile.read(file.path, {}, secrets_needed=True)
