"""
The core's records as they may be shown: nothing in them lets anybody in.
"""

import attrs

from ami_bridge.adapters.store import Kept
from ami_bridge.config.requests import Status
from ami_bridge.core.call_events import EventType
from ami_bridge.core.masking import (
    is_confidential,
    masked_body,
    masked_headers,
    masked_url,
    secrets_of,
    without,
)
from ami_bridge.core.retry import Attempt
from ami_bridge.core.rules import Rule
from ami_bridge.core.signing import Credentials, authenticated
from ami_bridge.sampling import Sample

from .views import (
    AttemptView,
    DeliveryInFull,
    DeliveryView,
    EventView,
    RequestView,
    SampleView,
)


def event_view(rule: Rule) -> EventView:
    """
    Give the call-event request *rule*.
    """
    parameters = {
        name: "***" if is_confidential(name) else own.text for name, own in rule.parameters.items()
    }
    return EventView(
        id=rule.id,
        extension=tuple(pattern.text for pattern in rule.extensions),
        event=tuple(event for event in EventType if event in rule.events),
        method=rule.method,
        url=masked_url(rule.url),
        status=Status.ENABLED if rule.enabled else Status.DISABLED,
        notes=rule.notes,
        format=rule.format,
        fields=rule.fields,
        parameters=parameters,
        headers=masked_headers(rule.headers),
        omit_empty=rule.omit_empty,
        hangup_status=rule.hangup_dialect,
        authorization=rule.credentials.authorization.partition(" ")[0] or None,
        signing_secrets=len(rule.credentials.signing_keys),
    )


def sample_view(sample: Sample) -> SampleView:
    """
    Give what was sent to try a request, and the answer.
    """
    return SampleView(
        delivered=sample.delivered,
        event=sample.call_event.type,
        extension=sample.call_event.extension,
        request=RequestView(sample.method, sample.url, sample.headers, sample.body),
        answer=_attempt_view(sample.attempt),
    )


def delivery_view(kept: Kept) -> DeliveryView:
    """
    Give a delivery as a line of a list.
    """
    delivery = kept.delivery
    return DeliveryView(
        id=delivery.id,
        request_id=delivery.rule_id,
        event=delivery.event,
        extension=delivery.extension,
        call_id=delivery.call_id,
        destination=delivery.destination,
        method=delivery.request.method.value,
        url=masked_url(delivery.request.url),
        state=kept.state,
        created=delivery.created,
        expires=delivery.expires,
        due=kept.due,
        settled=kept.settled,
        attempts=delivery.attempts,
        status=kept.status,
        seconds=kept.seconds,
        reason=kept.reason,
    )


def delivery_in_full(kept: Kept, credentials: Credentials, now: float) -> DeliveryInFull:
    """
    Give a delivery with its request as it would be sent *now* with *credentials*.
    """
    delivery = kept.delivery
    headers = authenticated(
        delivery.id, delivery.request.body, delivery.request.headers, credentials, now
    )
    request = attrs.evolve(delivery.request, headers=headers)
    hidden = secrets_of(request)
    view = delivery_view(kept)
    return DeliveryInFull(
        **{field.name: getattr(view, field.name) for field in attrs.fields(DeliveryView)},
        request=RequestView(
            request.method.value,
            masked_url(request.url),
            masked_headers(request.headers),
            masked_body(request),
        ),
        tried=tuple(
            _attempt_view(
                attrs.evolve(
                    attempt,
                    excerpt=without(hidden, attempt.excerpt),
                    error=without(hidden, attempt.error),
                )
            )
            for attempt in kept.tried
        ),
    )


def _attempt_view(attempt: Attempt) -> AttemptView:
    return AttemptView(
        number=attempt.number,
        began=attempt.began,
        seconds=attempt.seconds,
        status=attempt.status,
        error=attempt.error,
        retry_after=attempt.retry_after,
        excerpt=attempt.excerpt,
    )
