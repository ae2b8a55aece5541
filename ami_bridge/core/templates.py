"""
Text with the values of an event in it, as ``{CallerIDNum}`` in a rule's own parameters.

There is nothing in a template but text and names: no expressions, no formats, nothing
that could fail once the rules are loaded.
"""

import re
from collections.abc import Collection, Mapping

import attrs

_TOKENS = re.compile(r"(?P<escape>\{\{|\}\})|\{(?P<name>[^{}]*)\}|(?P<stray>[{}])")


class TemplateError(ValueError):
    """
    A template is not well formed, or names what no event has.
    """

    def __init__(self, reason: str, name: str | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        #: The name that is not known, if that is the trouble.
        self.name = name


@attrs.frozen
class _Value:
    """
    The place of a value in a template.
    """

    name: str


@attrs.frozen
class Template:
    """
    A constant, or text with names in braces; ``{{`` and ``}}`` stand for the braces.
    """

    text: str
    _parts: tuple[str | _Value, ...] = attrs.field(repr=False, eq=False)

    @classmethod
    def parse(cls, text: str, names: Collection[str]) -> "Template":
        """
        Read *text*, in which any of *names* may be used, or raise `TemplateError`.
        """
        parts: list[str | _Value] = []
        end = 0
        for token in _TOKENS.finditer(text):
            parts.append(text[end : token.start()])
            end = token.end()
            if token["stray"]:
                raise TemplateError(
                    f"a single {token['stray']} at character {token.start() + 1}; "
                    "write {{ or }} for the brace itself"
                )
            if token["escape"]:
                parts.append(token["escape"][0])
            elif token["name"] in names:
                parts.append(_Value(token["name"]))
            else:
                raise TemplateError(f"unknown name {{{token['name']}}}", token["name"])
        return cls(text, (*parts, text[end:]))

    def render(self, values: Mapping[str, str]) -> str:
        """
        Write the text with *values* in place of the names.
        """
        return "".join(
            values[part.name] if isinstance(part, _Value) else part for part in self._parts
        )
