"""
Whose calls somebody may see: everybody's, a tenant's, or one extension's.
"""

from collections.abc import Iterable

import attrs

from .rules import EVERYONE, ExtensionPattern, Rule, why_never


@attrs.frozen
class Scope:
    """
    The part of the extensions that a token is for.

    ============== =====================================
    ``*``          every extension
    ``0003*``      every extension of tenant 0003
    ``0003*001``   extension 001 of tenant 0003 alone
    ============== =====================================

    Raises ValueError, with a sentence, for a text that is none of these.
    """

    text: str = EVERYONE

    def __attrs_post_init__(self) -> None:
        number = self.text.partition("*")[2]
        if self.everybody or (why_never(self.text) is None and not set("*?") & set(number)):
            return
        raise ValueError(
            "expected * for everybody, a tenant such as 0003*, or an extension such as 0003*001"
        )

    @property
    def everybody(self) -> bool:
        """
        Tell whether it has no bounds.
        """
        return self.text == EVERYONE

    def covers(self, extension: str) -> bool:
        """
        Tell whether *extension*, in extended form, is within.
        """
        if self.everybody:
            return True
        if self.text.endswith("*"):
            return extension.startswith(self.text)
        return extension == self.text

    def narrow(self, patterns: Iterable[ExtensionPattern]) -> tuple[ExtensionPattern, ...]:
        """
        Give what of *patterns* is within; none is nothing at all.

        Since tenants have no wildcards, that is the pattern, this scope, or nothing.
        """
        mine = ExtensionPattern(self.text)
        found: dict[ExtensionPattern, None] = {}
        for pattern in patterns:
            if self.covers(pattern.text):
                found[pattern] = None
            elif pattern.matches(self.text):
                found[mine] = None
        return tuple(found)

    def covers_rule(self, rule: Rule) -> bool:
        """
        Tell whether all that *rule* may tell of is within.
        """
        return all(self.covers(pattern.text) for pattern in rule.extensions)
