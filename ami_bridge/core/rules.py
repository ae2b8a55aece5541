"""
Which rule wants which call event.

A rule is one call-event request with VoipNow's attributes: whose events, which events,
by which method to which URL.
"""

import enum
import re
from collections.abc import Mapping

import attrs

from .call_events import CallEvent, EventType, HangupDialect
from .signing import NO_CREDENTIALS, Credentials
from .templates import Template


class Method(enum.StrEnum):
    """
    How the parameters travel: in the URL's query or in the body.
    """

    GET = "GET"
    POST = "POST"


class BodyFormat(enum.StrEnum):
    """
    The form of a POST's body.
    """

    FORM = "form"
    JSON = "json"


#: The pattern that means every extension.
EVERYONE = "*"
_WILDCARDS = {"*": ".*", "?": "."}


def why_never(text: str) -> str | None:
    """
    Say why the extension pattern *text* can match no extension; None if it can.
    """
    tenant, separator, _ = text.partition("*")
    if text == EVERYONE:
        return None
    if re.search(r"\s", text):
        return "an extension contains no white space"
    if not separator:
        return "an extension has its tenant in front, as in 0003*001"
    if not tenant:
        return "the first * separates tenant and number, and there is no tenant before it"
    if "?" in tenant:
        return "the tenant, before the first *, is compared letter by letter; it has no wildcards"
    return None


@attrs.frozen
class ExtensionPattern:
    """
    Whose events a rule wants: the text before the first ``*`` is the tenant.

    ============== ==================================================================
    ``*``          every extension
    ``0003*``      every extension of tenant 0003
    ``0003*001``   extension 001 of tenant 0003, and no other
    ``0003*2*``    every extension of tenant 0003 whose number begins with 2
    ``0003*20?``   ``?`` stands for one character of the number
    ============== ==================================================================

    The first ``*`` is always the one that is part of an extended number, so an exact
    extension is never read as a pattern.
    """

    text: str
    _regex: re.Pattern[str] = attrs.field(init=False, repr=False, eq=False)

    @_regex.default
    def _compile(self) -> re.Pattern[str]:
        if self.text == EVERYONE:
            return re.compile(".*", re.DOTALL)
        tenant, separator, number = self.text.partition("*")
        wanted = "".join(_WILDCARDS.get(letter, re.escape(letter)) for letter in number)
        # Of an extension `0003*` there is no number to compare: the whole tenant is meant.
        return re.compile(re.escape(tenant + separator) + (wanted or ".*"), re.DOTALL)

    def matches(self, extension: str) -> bool:
        """
        Tell whether *extension*, in extended form, is meant.
        """
        return self._regex.fullmatch(extension) is not None


@attrs.frozen
class Rule:
    """
    One call-event request.
    """

    #: Unique among the rules; VoipNow's Event ID.
    id: str
    #: Where to send, percent-encoded, without user information.
    url: str
    extensions: tuple[ExtensionPattern, ...] = (ExtensionPattern(EVERYONE),)
    events: frozenset[EventType] = frozenset(EventType)
    method: Method = Method.GET
    enabled: bool = True
    notes: str = ""
    format: BodyFormat = BodyFormat.FORM
    #: Own parameters: name to constant or template.
    parameters: Mapping[str, Template] = attrs.field(factory=dict)
    #: Additional fields of the bridge, by name.
    fields: tuple[str, ...] = ()
    headers: Mapping[str, str] = attrs.field(factory=dict, repr=False)
    #: Added to each attempt, and never stored.
    credentials: Credentials = attrs.field(default=NO_CREDENTIALS, repr=False)
    omit_empty: bool = False
    #: How a Hangup words its CallStatus for this rule; None means as the rules say for all.
    hangup_dialect: HangupDialect | None = None

    def why_not(self, call_event: CallEvent) -> str:
        """
        Say why this rule is not told of *call_event*; empty if it is.
        """
        if call_event.type not in self.events:
            return f"asks for {', '.join(sorted(self.events))} only"
        if not self._means(call_event.extension):
            return f"asks for {', '.join(pattern.text for pattern in self.extensions)} only"
        return "" if self.enabled else "is disabled"

    def wants(self, call_event: CallEvent) -> bool:
        """
        Tell whether this rule asks to be told of *call_event*.
        """
        return self.enabled and call_event.type in self.events and self._means(call_event.extension)

    def _means(self, extension: str) -> bool:
        for pattern in self.extensions:  # noqa: SIM110 - a generator takes twice the time
            if pattern.matches(extension):
                return True
        return False
