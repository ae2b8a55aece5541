"""
What an operator sees of a running bridge, as frozen records.

All times are seconds since the epoch. `as_json` gives what the APIs answer.
"""

import enum
from collections.abc import Mapping
from typing import Any

import attrs

from ami_bridge.adapters.store import DeliveryState
from ami_bridge.config.requests import Status as RuleStatus
from ami_bridge.core.breaker import BreakerState
from ami_bridge.core.call_events import CallFlow, EventType, HangupDialect
from ami_bridge.core.legs import LegState
from ami_bridge.core.rules import BodyFormat, Method
from ami_bridge.core.scopes import Scope


class LinkState(enum.StrEnum):
    """
    How the link to a PBX is.
    """

    CONNECTING = "connecting"
    CONNECTED = "connected"
    LOST = "lost"
    #: Somebody has to act: the name, the secret or the permissions are wrong.
    REFUSED = "refused"


@attrs.frozen
class PbxView:
    """
    One PBX and the link to it.
    """

    name: str
    #: Host and port.
    address: str
    state: LinkState
    #: When the login was accepted; None while not logged in.
    connected_since: float | None
    #: Why there is no connection; empty while there is one.
    error: str
    #: When the next attempt to connect begins, if one is waited for.
    next_attempt: float | None
    #: Of the last connection; None is what Asterisk did not tell.
    asterisk_version: str | None
    channels: int
    open_legs: int
    #: Since the start of the bridge: AMI events taken, logins accepted, channel lists compared.
    ami_events: int
    logins: int
    resynchronisations: int
    #: When the last AMI event came.
    last_event: float | None


@attrs.frozen
class DestinationView:
    """
    One destination (scheme, host and port), and what it is owed.

    Given up is what the store still keeps; delivered is counted since the start.
    """

    destination: str
    waiting: int
    paused: int
    delivered: int
    given_up: int
    in_flight: int
    breaker: BreakerState
    #: When an open breaker lets a probe through.
    open_until: float | None
    #: When the oldest that is still owed was said.
    oldest_waiting: float | None
    last_error: str


@attrs.frozen
class StoreView:
    """
    Where notifications are kept, and how that goes.
    """

    #: The file; None if nothing outlives the process.
    path: str | None
    #: Why nothing can be kept at the moment; empty while all is well.
    trouble: str
    #: Reads of AMI bytes whose result waits to be kept.
    backlog: int


@attrs.frozen
class PausedRule:
    """
    A request that is kept back since its receiver answered 410 Gone.
    """

    id: str
    since: float
    reason: str


@attrs.frozen
class Rates:
    """
    How much happened in the last full minute.
    """

    ami_events: int
    call_events: int
    attempts: int


@attrs.frozen
class Status:
    """
    The bridge as a whole.
    """

    version: str
    started: float
    now: float
    pbxs: tuple[PbxView, ...]
    destinations: tuple[DestinationView, ...]
    store: StoreView
    #: Requests of the rules, and those of them that are enabled.
    requests: int
    requests_enabled: int
    paused: tuple[PausedRule, ...]
    rates: Rates
    #: Why the rules file as it is now is not in force; empty if it is.
    rules_refused: str


@attrs.frozen
class LegView:
    """
    One extension's part in a call that is up.
    """

    extension: str
    call_flow: CallFlow
    state: LegState
    caller_id_num: str
    caller_id_name: str
    caller_extension: str
    called_did: str
    called_extension: str
    called_number: str
    dialled_at: float | None
    answered_at: float | None


@attrs.frozen
class CallView:
    """
    One call that is up, and its open legs in the order in which they began.
    """

    call_id: str
    pbx: str
    began: float | None
    legs: tuple[LegView, ...]

    def within(self, scope: Scope) -> "CallView":
        """
        Give the call with those legs alone that are in *scope*; that may be none.
        """
        legs = tuple(leg for leg in self.legs if scope.covers(leg.extension))
        return attrs.evolve(self, legs=legs)


@attrs.frozen
class DeliveryView:
    """
    One notification for one URL, and how far it has come.
    """

    id: str
    #: The call-event request that it is made for.
    request_id: str
    event: EventType
    extension: str
    call_id: str
    destination: str
    method: str
    #: Without the values of its query that look like secrets.
    url: str
    state: DeliveryState
    created: float
    #: When it is given up if it is still owed then.
    expires: float
    #: When it is tried next; None where it is not.
    due: float | None
    #: When it was delivered or given up; None while it is owed.
    settled: float | None
    #: Attempts made.
    attempts: int
    #: Of the answer to the attempt that delivered it, and how long that took.
    status: int | None
    seconds: float | None
    #: Why it was given up; empty if it was not.
    reason: str


@attrs.frozen
class RequestView:
    """
    One HTTP request as it is sent, without what lets somebody in.
    """

    method: str
    url: str
    headers: Mapping[str, str]
    body: str | None


@attrs.frozen
class AttemptView:
    """
    One HTTP try, and what came of it.
    """

    number: int
    began: float
    seconds: float
    #: The answer's status; None if no answer came.
    status: int | None
    #: Why no answer came.
    error: str
    retry_after: str | None
    #: The beginning of the answer's body.
    excerpt: str


@attrs.frozen
class DeliveryInFull(DeliveryView):
    """
    One notification with its request, and every attempt that failed.
    """

    request: RequestView
    tried: tuple[AttemptView, ...]


@attrs.frozen
class EventView:
    """
    One call-event request of the rules as it is understood, without what lets somebody in.
    """

    id: str
    extension: tuple[str, ...]
    event: tuple[EventType, ...]
    method: Method
    url: str
    status: RuleStatus
    notes: str
    format: BodyFormat
    fields: tuple[str, ...]
    parameters: Mapping[str, str]
    headers: Mapping[str, str]
    omit_empty: bool
    hangup_status: HangupDialect | None
    #: Scheme of the header Authorization; None without one.
    authorization: str | None
    #: How many secrets sign it.
    signing_secrets: int


@attrs.frozen
class SampleView:
    """
    One sample notification, and what its receiver said.
    """

    delivered: bool
    event: EventType
    extension: str
    request: RequestView
    answer: AttemptView


def as_json(record: attrs.AttrsInstance) -> dict[str, Any]:
    """
    Give *record* as what JSON has: enumerations as their words, tuples as lists.
    """
    return attrs.asdict(record, value_serializer=_plain)


def _plain(_owner: object, _field: object, value: object) -> object:
    if isinstance(value, enum.Enum):
        return value.value
    return list(value) if isinstance(value, tuple) else value
