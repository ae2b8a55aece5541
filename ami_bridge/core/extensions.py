"""
Who is who: a channel's name to an extension, the outside world, a Local channel or nobody.

The answer comes from the name of the channel's endpoint, not from caller ids, which show
other parties' numbers, nor from account codes, which Dial copies to whom it calls.
"""

import enum
import re

import attrs

#: Technologies whose channels stand for machinery, never for a party.
_NOBODY = re.compile(
    r"(?:Message|Surrogate|AsyncGoto|Recorder|ConfBridge\w*|CBAnn|CBRec|Announcer)/"
)
_HEXADECIMAL = re.compile(r"[0-9a-f]+", re.IGNORECASE)
_DECORATION = re.compile(r"<\w+>\Z")
#: How many endpoints are remembered before all are judged anew (dialled numbers may be names).
_MOST_KNOWN = 10_000


class PartyKind(enum.Enum):
    """
    What stands behind a channel.
    """

    EXTENSION = "extension"
    OUTSIDE = "outside"
    LOCAL = "local"
    NOBODY = "nobody"


@attrs.frozen
class Party:
    """
    Who stands behind a channel; *extension* is in extended form, empty for all others.
    """

    kind: PartyKind
    extension: str = ""
    #: The extension's number without its tenant.
    number: str = ""


OUTSIDE = Party(PartyKind.OUTSIDE)
LOCAL = Party(PartyKind.LOCAL)
NOBODY = Party(PartyKind.NOBODY)


def endpoint_of(channel_name: str) -> str:
    """
    Cut Asterisk's suffix off a channel's name: ``SIP/trunk-1-0000002a`` is ``SIP/trunk-1``.

    Endpoints may contain ``-``, so only the last one with its hexadecimal digits goes.
    """
    name = _DECORATION.sub("", channel_name) if channel_name.endswith(">") else channel_name
    endpoint, dash, digits = name.rpartition("-")
    return endpoint if dash and _HEXADECIMAL.fullmatch(digits) else name


@attrs.frozen
class IdentityPattern:
    """
    One rule of who is who, tried against the endpoint's name without its technology.

    *pattern* must match the whole name. For an extension its group ``number`` (or the
    whole name) is the number and its group ``tenant`` (or *tenant*) the tenant.
    """

    pattern: re.Pattern[str]
    kind: PartyKind = PartyKind.EXTENSION
    technologies: frozenset[str] = frozenset()
    #: Only channels made in one of these dialplan contexts; empty means any.
    contexts: frozenset[str] = frozenset()
    tenant: str = ""

    def identify(self, technology: str, name: str, context: str) -> Party | None:
        """
        Say who *technology*/*name* is, or None if this rule does not know.
        """
        if self.technologies and technology not in self.technologies:
            return None
        if self.contexts and context not in self.contexts:
            return None
        found = self.pattern.fullmatch(name)
        if found is None:
            return None
        if self.kind is not PartyKind.EXTENSION:
            return Party(self.kind)
        groups = found.groupdict()
        tenant = groups.get("tenant") or self.tenant
        number = groups.get("number") or name
        return Party(PartyKind.EXTENSION, f"{tenant}*{number}", number)


#: The tenant of extensions whose name tells none, unless the rules name another.
DEFAULT_TENANT = "0001"
_DEFAULT_TECHNOLOGIES = frozenset({"PJSIP", "SIP", "IAX2"})


def default_patterns(default_tenant: str = DEFAULT_TENANT) -> tuple[IdentityPattern, ...]:
    """
    Give the rules that hold where an operator wrote none.

    An endpoint named like an extended number is that extension, one of 2 to 6 digits is
    an extension of the default tenant, everything else is the outside.
    """
    return (
        IdentityPattern(
            re.compile(r"(?P<tenant>[0-9]+)\*(?P<number>[0-9]+)"),
            technologies=_DEFAULT_TECHNOLOGIES,
        ),
        IdentityPattern(
            re.compile(r"[0-9]{2,6}"),
            technologies=_DEFAULT_TECHNOLOGIES,
            tenant=default_tenant,
        ),
    )


@attrs.frozen
class WhoIsWho:
    """
    The rules of identity as a whole: an explicit table first, then patterns in order.
    """

    patterns: tuple[IdentityPattern, ...] = attrs.field(factory=default_patterns)
    #: Endpoint with technology (``SIP/reception``) to extension in extended form.
    table: dict[str, str] = attrs.field(factory=dict)
    #: Answers given: a PBX has few endpoints and asks for them all day.
    _known: dict[tuple[str, str], Party] = attrs.field(
        factory=dict, init=False, eq=False, repr=False
    )

    def identify(self, channel_name: str, context: str) -> Party:
        """
        Say who stands behind the channel called *channel_name*, made in *context*.
        """
        if channel_name.startswith("Local/"):
            return LOCAL
        if _NOBODY.match(channel_name):
            return NOBODY
        endpoint = endpoint_of(channel_name)
        party = self._known.get((endpoint, context))
        if party is None:
            if len(self._known) >= _MOST_KNOWN:
                self._known.clear()
            party = self._known[endpoint, context] = self._judge(endpoint, context)
        return party

    def _judge(self, endpoint: str, context: str) -> Party:
        if extended := self.table.get(endpoint):
            return Party(PartyKind.EXTENSION, extended, extended.partition("*")[2])
        technology, _, name = endpoint.partition("/")
        for pattern in self.patterns:
            if party := pattern.identify(technology, name, context):
                return party
        return OUTSIDE
