"""
What a request is about: the delivery or the call-event request that its path names.
"""

from aiohttp import web

from ami_bridge.adapters.store import Kept
from ami_bridge.core.rules import Rule
from ami_bridge.core.signing import NO_CREDENTIALS

from .access import Visitor
from .answers import bridge_of, not_found
from .bridge import Bridge
from .shown import delivery_in_full
from .views import DeliveryInFull


async def kept_of(request: web.Request, visitor: Visitor) -> Kept:
    """
    Find the delivery; raises `Refusal` if there is none that *visitor* may see.
    """
    name = request.match_info["id"]
    kept = await bridge_of(request).store.look_up(name)
    if kept is None or not visitor.scope.covers(kept.delivery.extension):
        raise not_found(f"there is no delivery {name}")
    return kept


def rule_of(request: web.Request, visitor: Visitor) -> Rule:
    """
    Find the call-event request; raises `Refusal` if there is none that *visitor* may see.
    """
    request_id = request.match_info["id"]
    for rule in bridge_of(request).config.rules:
        if rule.id == request_id and visitor.scope.covers_rule(rule):
            return rule
    raise not_found(f"there is no call-event request {request_id}")


def in_full(bridge: Bridge, kept: Kept) -> DeliveryInFull:
    """
    Show *kept* with its request as it would be sent now.
    """
    rule_id = kept.delivery.rule_id
    credentials = next(
        (rule.credentials for rule in bridge.config.rules if rule.id == rule_id), NO_CREDENTIALS
    )
    return delivery_in_full(kept, credentials, bridge.clock())
