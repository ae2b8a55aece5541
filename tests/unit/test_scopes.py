"""
Scopes: whose calls somebody may see.
"""

import pytest

from ami_bridge.core.rules import ExtensionPattern, Rule
from ami_bridge.core.scopes import Scope


@pytest.mark.parametrize(
    ("scope", "extension", "covered"),
    [
        ("*", "0003*001", True),
        ("*", "", True),
        ("0003*", "0003*001", True),
        ("0003*", "00031*001", False),
        ("0003*", "0004*001", False),
        ("0003*", "10003*001", False),
        ("0003*001", "0003*001", True),
        ("0003*001", "0003*0011", False),
        ("0003*001", "0003*00", False),
        ("0003*001", "0004*001", False),
    ],
)
def test_a_scope_covers_its_extensions_and_no_other(
    scope: str, extension: str, covered: bool
) -> None:
    """
    A scope is everybody, one tenant, or one extension.
    """
    assert Scope(scope).covers(extension) is covered


@pytest.mark.parametrize(
    "text", ["", "0003", "*001", "**", "0003*2*", "0003*20?", "00?3*001", "0003* 001", "00 03*"]
)
def test_anything_else_is_no_scope(text: str) -> None:
    """
    What is neither everybody nor a tenant nor an extension is refused with a sentence.
    """
    with pytest.raises(ValueError, match="expected \\* for everybody, a tenant such as 0003\\*"):
        Scope(text)


@pytest.mark.parametrize(
    ("scope", "patterns", "covered"),
    [
        ("*", ["*"], True),
        ("0003*", ["*"], False),
        ("0003*", ["0003*", "0003*2*", "0003*001"], True),
        ("0003*", ["0003*1", "0004*1"], False),
        ("0003*001", ["0003*001"], True),
        ("0003*001", ["0003*"], False),
        ("0003*001", ["0003*00?"], False),
        ("0003*001", ["0003*001*"], False),
    ],
)
def test_a_rule_is_within_if_all_it_tells_of_is(
    scope: str, patterns: list[str], covered: bool
) -> None:
    """
    A rule is within a scope only if each of its patterns can match nothing beyond it.
    """
    rule = Rule("r", "http://h/", tuple(map(ExtensionPattern, patterns)))

    assert Scope(scope).covers_rule(rule) is covered


@pytest.mark.parametrize(
    ("scope", "asked", "left"),
    [
        ("*", ["0003*", "*"], ["0003*", "*"]),
        ("0003*", ["*"], ["0003*"]),
        ("0003*", ["0003*2*", "0003*20?"], ["0003*2*", "0003*20?"]),
        ("0003*", ["0004*", "0003*001"], ["0003*001"]),
        ("0003*", ["0004*"], []),
        ("0003*001", ["*", "0003*", "0003*0*"], ["0003*001"]),
        ("0003*001", ["0003*001"], ["0003*001"]),
        ("0003*001", ["0003*1*", "0003*002"], []),
        ("0003*001", [], []),
    ],
)
def test_a_question_is_narrowed(scope: str, asked: list[str], left: list[str]) -> None:
    """
    Of the extensions that are asked for, those within the scope are left.
    """
    narrowed = Scope(scope).narrow(map(ExtensionPattern, asked))

    assert [pattern.text for pattern in narrowed] == left
