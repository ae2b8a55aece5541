"""
Reads who is who, and what the rules say about numbers.
"""

import enum
import re

import attrs

from ami_bridge.core.correlator import CorrelatorSettings
from ami_bridge.core.extensions import (
    DEFAULT_TENANT,
    IdentityPattern,
    PartyKind,
    WhoIsWho,
    default_patterns,
)

from .section import Section, did_you_mean, shown

_EXTENDED = re.compile(r"[^\s*?]+\*[^\s*?]+")
_ENDPOINT = re.compile(r"[A-Za-z0-9]+/\S+")
_GROUPS = ("tenant", "number")


class Kind(enum.StrEnum):
    """
    What a pattern says of the endpoints that match it.
    """

    EXTENSION = "extension"
    TRUNK = "trunk"
    NOBODY = "nobody"


class Originate(enum.StrEnum):
    """
    How a phone that an Originate rings is seen.
    """

    DIAL_OUT = "dial-out"
    DIAL_IN = "dial-in"


_PARTIES = {
    Kind.EXTENSION: PartyKind.EXTENSION,
    Kind.TRUNK: PartyKind.OUTSIDE,
    Kind.NOBODY: PartyKind.NOBODY,
}


@attrs.frozen
class Calls:
    """
    What the rules say of the calls of every PBX, before it is said for one of them.
    """

    #: Without *pbx* and *who_is_who*, which differ.
    common: CorrelatorSettings
    #: Tried in order; a *tenant* that is empty is the PBX's default one.
    patterns: tuple[IdentityPattern, ...]
    #: The built-in patterns follow.
    with_default_patterns: bool
    #: Endpoints of extensions.
    table: dict[str, str]
    #: The tenant of extensions whose name tells none, unless a PBX has another one.
    default_tenant: str

    def of(self, pbx: str, default_tenant: str = "") -> CorrelatorSettings:
        """
        Give what the correlator of *pbx* has to know.
        """
        tenant = default_tenant or self.default_tenant
        patterns = [
            attrs.evolve(pattern, tenant=pattern.tenant or tenant)
            if pattern.kind is PartyKind.EXTENSION
            else pattern
            for pattern in self.patterns
        ]
        if self.with_default_patterns:
            patterns += default_patterns(tenant)
        return attrs.evolve(
            self.common, pbx=pbx, who_is_who=WhoIsWho(tuple(patterns), dict(self.table))
        )


def read_calls(rules: Section) -> Calls:
    """
    Read what the correlators have to know.
    """
    default = CorrelatorSettings()
    section = rules.section("extensions")
    tenant = section.text("default_tenant", DEFAULT_TENANT)
    check_tenant(section, "default_tenant", tenant)
    table = _read_endpoints(section.section("endpoints"), tenant)
    codes = rules.texts("feature_codes")
    withheld = rules.texts("anonymous_numbers")
    originate = rules.choice("originate", Originate.DIAL_OUT)
    common = CorrelatorSettings(
        feature_codes=default.feature_codes if codes is None else _regexes(rules, codes),
        public_numbers=_read_public_numbers(rules.section("public_numbers"), tenant),
        anonymous_numbers=frozenset(number for _, number in withheld or ()),
        originate_is_dial_in=originate is Originate.DIAL_IN,
    )
    return Calls(
        common=common,
        patterns=_read_patterns(section, table),
        with_default_patterns=section.flag("default_patterns", default=True),
        table=table,
        default_tenant=tenant,
    )


def check_tenant(section: Section, key: str, tenant: str) -> None:
    """
    See that *tenant*, the value of *key*, can be one.
    """
    if not re.fullmatch(r"[^\s*?]+", tenant):
        section.problem(key, f"expected a tenant without * and ?, got {shown(tenant)}")


def why_not_extended(text: str, default_tenant: str) -> str | None:
    """
    Say why *text* is no extended number; None if it is one.
    """
    if _EXTENDED.fullmatch(text):
        return None
    hint = ""
    if text and "*" not in text and _EXTENDED.fullmatch(f"{default_tenant}*{text}"):
        hint = f"; did you mean {shown(f'{default_tenant}*{text}')}?"
    return f"expected an extended number, tenant*number, got {shown(text)}{hint}"


def _regexes(rules: Section, codes: list[tuple[int | None, str]]) -> tuple[re.Pattern[str], ...]:
    found = [_regex(rules, "feature_codes", code, index) for index, code in codes]
    return tuple(regex for regex in found if regex is not None)


def _regex(
    section: Section, key: str, text: str, index: int | None = None
) -> re.Pattern[str] | None:
    try:
        return re.compile(text)
    except re.error as error:
        place = "" if error.pos is None else f" at character {error.pos + 1}"
        section.problem(key, f"not a regular expression: {error.msg}{place}", index)
        return None


def _read_public_numbers(section: Section, default_tenant: str) -> dict[str, str]:
    numbers = section.strings()
    for extension in numbers:
        if reason := why_not_extended(extension, default_tenant):
            section.problem(extension, reason)
    return numbers


def _read_patterns(section: Section, table: dict[str, str]) -> tuple[IdentityPattern, ...]:
    own = [_read_pattern(entry) for entry in section.sections("patterns")]
    return (
        *_read_others(section, "trunks", PartyKind.OUTSIDE, table),
        *_read_others(section, "nobody", PartyKind.NOBODY, table),
        *(pattern for pattern in own if pattern is not None),
    )


def _read_endpoints(section: Section, tenant: str) -> dict[str, str]:
    table = section.strings()
    for endpoint, extension in table.items():
        if not _ENDPOINT.fullmatch(endpoint):
            section.problem(endpoint, "expected an endpoint with its technology, as in SIP/desk")
        if reason := why_not_extended(extension, tenant):
            section.problem(endpoint, reason)
    return table


def _read_others(
    section: Section, key: str, kind: PartyKind, table: dict[str, str]
) -> list[IdentityPattern]:
    """
    Read a list of endpoints that are no extensions.
    """
    patterns = []
    for index, endpoint in section.texts(key) or ():
        if not _ENDPOINT.fullmatch(endpoint):
            expected = "an endpoint with its technology, as in SIP/provider"
            section.problem(key, f"expected {expected}, got {shown(endpoint)}", index)
            continue
        if endpoint in table:
            section.problem(key, f"{endpoint} is an extension in extensions.endpoints", index)
        technology, _, name = endpoint.partition("/")
        pattern = re.compile(re.escape(name))
        patterns.append(IdentityPattern(pattern, kind, frozenset({technology})))
    return patterns


def _read_pattern(section: Section) -> IdentityPattern | None:
    text = section.required_text("pattern", "a regular expression for the endpoint's name")
    kind = section.choice("kind", Kind.EXTENSION)
    tenant = section.text("tenant")
    technologies = section.texts("technologies") or ()
    contexts = section.texts("contexts") or ()
    if "tenant" in section:
        check_tenant(section, "tenant", tenant)
    if text is None:
        return None
    regex = _regex(section, "pattern", text)
    if regex is None:
        return None
    if kind is Kind.EXTENSION and (reason := _why_groups_fail(regex)):
        section.problem("pattern", reason)
    return IdentityPattern(
        regex,
        _PARTIES[kind],
        frozenset(technology for _, technology in technologies),
        frozenset(context for _, context in contexts),
        tenant,
    )


def _why_groups_fail(regex: re.Pattern[str]) -> str | None:
    """
    Say why the groups of *regex* cannot tell tenant and number; None if they can.
    """
    for name in regex.groupindex:
        if name not in _GROUPS:
            return f"unknown group {shown(name)}; {did_you_mean(name, _GROUPS)}"
    if regex.groups and "number" not in regex.groupindex:
        return (
            "has groups and none of them is the number; name it (?P<number>...), "
            "or write (?:...) where a group only groups"
        )
    return None
