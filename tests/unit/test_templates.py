"""
Templates in a rule's own parameters.
"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ami_bridge.core.templates import Template, TemplateError

VALUES = {"Name": "Ann {x}", "Number": "0003*001", "Empty": ""}


@pytest.mark.parametrize(
    ("text", "written"),
    [
        pytest.param("helpdesk", "helpdesk", id="a constant"),
        pytest.param("", "", id="nothing"),
        pytest.param("{Number}", "0003*001", id="a value"),
        pytest.param("{Name} <{Number}>", "Ann {x} <0003*001>", id="values are not read again"),
        pytest.param("{{Number}}", "{Number}", id="escaped braces"),
        pytest.param('{{"n": "{Number}"}}', '{"n": "0003*001"}', id="JSON by hand"),
        pytest.param("{{{Number}}}", "{0003*001}", id="a value in braces"),
        pytest.param("[{Empty}]", "[]", id="an empty value"),
    ],
)
def test_render(text: str, written: str) -> None:
    """
    Names in braces become values, doubled braces become braces, all else stays.
    """
    assert Template.parse(text, VALUES).render(VALUES) == written


@pytest.mark.parametrize(
    ("text", "reason", "name"),
    [
        pytest.param("{Nmae}", "unknown name {Nmae}", "Nmae", id="an unknown name"),
        pytest.param("{}", "unknown name {}", "", id="no name"),
        pytest.param("{Name!r}", "unknown name {Name!r}", "Name!r", id="no conversions"),
        pytest.param("{Name:>9}", "unknown name {Name:>9}", "Name:>9", id="no formats"),
        pytest.param("{Name.x}", "unknown name {Name.x}", "Name.x", id="no attributes"),
        pytest.param("a{", "a single { at character 2", None, id="never closed"),
        pytest.param("a}b", "a single } at character 2", None, id="never opened"),
    ],
)
def test_refused(text: str, reason: str, name: str | None) -> None:
    """
    What could fail later is refused when the template is read.
    """
    with pytest.raises(TemplateError) as refusal:
        Template.parse(text, VALUES)

    assert reason in refusal.value.reason
    assert refusal.value.name == name


@given(st.text())
def test_any_text_can_be_escaped(text: str) -> None:
    """
    Whatever the constant, doubling its braces gives it back.
    """
    escaped = text.replace("{", "{{").replace("}", "}}")

    assert Template.parse(escaped, ()).render({}) == text
