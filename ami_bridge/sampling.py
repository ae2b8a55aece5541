"""
Sends one sample notification, by the way that all others go: only the store is left out.
"""

import secrets
import time
from collections.abc import Callable, Mapping

import attrs

from .adapters.attempts import attempt
from .adapters.connecting import Connections
from .core.call_events import CallEvent, EventType
from .core.deliveries import Delivery, deliveries_for
from .core.masking import masked_body, masked_headers, masked_url, secrets_of, without
from .core.requests import Request
from .core.retry import Attempt
from .core.rules import EVERYONE, ExtensionPattern, Rule
from .core.samples import SAMPLE_HEADER, sample_event, usual_event
from .core.signing import authenticated
from .settings import Config


@attrs.frozen
class Sample:
    """
    What was sent, and what came of it; all of it may be shown.
    """

    call_event: CallEvent
    method: str
    #: Without what lets somebody in, as are the headers and the body.
    url: str
    headers: Mapping[str, str]
    body: str | None
    #: Its excerpt does not repeat secrets of the request.
    attempt: Attempt

    @property
    def delivered(self) -> bool:
        """
        Tell whether the receiver has taken it.
        """
        return self.attempt.status is not None and 200 <= self.attempt.status < 300


async def send_sample(
    rule: Rule,
    config: Config,
    event: EventType | None = None,
    *,
    connections: Connections | None = None,
    clock: Callable[[], float] = time.time,
) -> Sample:
    """
    Tell the receiver of *rule* of an *event* that never was; without one, of the rule's first.

    Nothing is kept, and nothing is tried again. It holds for a disabled rule, too. Without
    *connections* it makes its own, as *config* allows them.
    """
    now = clock()
    call_event = sample_event(rule, event or usual_event(rule), secrets.token_hex(8), now)
    delivery = _marked(_delivery(call_event, rule, config, now))
    # The moment of the signature, which is that of the attempt, is the same for both.
    request = attrs.evolve(
        delivery.request,
        headers=authenticated(
            delivery.id, delivery.request.body, delivery.request.headers, rule.credentials, now
        ),
    )
    credentials = rule.credentials
    if connections is None:
        async with Connections(config.delivery) as own:
            outcome = await attempt(delivery, own, credentials, lambda: now)
    else:
        outcome = await attempt(delivery, connections, credentials, lambda: now)
    return _shown(call_event, request, outcome)


def _delivery(call_event: CallEvent, rule: Rule, config: Config, now: float) -> Delivery:
    wanting = attrs.evolve(
        rule,
        enabled=True,
        events=frozenset(EventType),
        extensions=(ExtensionPattern(EVERYONE),),
    )
    (delivery,) = deliveries_for(call_event, [wanting], config.delivery_terms, now)
    return attrs.evolve(delivery, attempts=1)


def _marked(delivery: Delivery) -> Delivery:
    headers = {
        name: value
        for name, value in delivery.request.headers.items()
        if name.lower() != SAMPLE_HEADER.lower()
    }
    request = attrs.evolve(delivery.request, headers=headers | {SAMPLE_HEADER: "1"})
    return attrs.evolve(delivery, request=request)


def _shown(call_event: CallEvent, request: Request, outcome: Attempt) -> Sample:
    hidden = secrets_of(request)
    return Sample(
        call_event=call_event,
        method=request.method.value,
        url=masked_url(request.url),
        headers=masked_headers(request.headers),
        body=masked_body(request),
        attempt=attrs.evolve(
            outcome, excerpt=without(hidden, outcome.excerpt), error=without(hidden, outcome.error)
        ),
    )
