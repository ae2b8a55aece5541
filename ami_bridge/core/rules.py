"""
Which rule wants which call event.

A rule is one call-event request with VoipNow's attributes: whose events, which events,
by which method to which URL.
"""

import enum

import attrs

from .call_events import CallEvent, EventType, HangupDialect


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


@attrs.frozen
class ExtensionPattern:
    """
    Whose events a rule wants: the text before the first ``*`` is the tenant.

    ========== =======================================================================
    ``*``      every extension
    ``0003*``  every extension of tenant 0003
    ``0003*001``   extension 001 of tenant 0003, and no other
    ``0003*2*``    every extension of tenant 0003 whose number begins with 2
    ``0003*20?``   ``?`` stands for one character of the number
    ========== =======================================================================

    The first ``*`` is always the one that is part of an extended number, so an exact
    extension is never read as a pattern.
    """

    text: str

    def matches(self, extension: str) -> bool:
        """
        Tell whether *extension*, in extended form, is meant.
        """
        raise NotImplementedError


@attrs.frozen
class Rule:
    """
    One call-event request.
    """

    #: Unique among the rules; VoipNow's Event ID.
    id: str
    url: str
    extensions: tuple[ExtensionPattern, ...]
    events: frozenset[EventType] = frozenset(EventType)
    method: Method = Method.GET
    enabled: bool = True
    notes: str = ""
    format: BodyFormat = BodyFormat.FORM
    #: Own parameters: name to constant or template.
    parameters: dict[str, str] = attrs.field(factory=dict)
    #: Additional fields of the bridge, by name.
    fields: tuple[str, ...] = ()
    headers: dict[str, str] = attrs.field(factory=dict, repr=False)
    omit_empty: bool = False
    #: How a Hangup words its CallStatus for this rule; None means as the rules say for all.
    hangup_dialect: HangupDialect | None = None

    def wants(self, call_event: CallEvent) -> bool:
        """
        Tell whether this rule asks to be told of *call_event*.
        """
        return (
            self.enabled
            and call_event.type in self.events
            and any(pattern.matches(call_event.extension) for pattern in self.extensions)
        )
