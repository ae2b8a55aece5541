"""
The rules as understood, in lines for the eye, without anything that is secret.
"""

from collections.abc import Iterator

from ami_bridge.core.call_events import EventType, HangupDialect
from ami_bridge.core.extensions import IdentityPattern, PartyKind, WhoIsWho
from ami_bridge.core.masking import is_confidential, masked_url
from ami_bridge.core.rules import EVERYONE, ExtensionPattern, Rule
from ami_bridge.core.scopes import Scope
from ami_bridge.core.signing import Credentials
from ami_bridge.settings import (
    AsteriskSettings,
    Config,
    ControlSettings,
    DeliverySettings,
    PbxSettings,
    StoreSettings,
    TlsVerification,
)

_SCHEMES = {"Basic": "by user and password", "Bearer": "by a bearer token"}
_PARTIES = {
    PartyKind.EXTENSION: "extensions",
    PartyKind.OUTSIDE: "trunks",
    PartyKind.NOBODY: "nobody",
    PartyKind.LOCAL: "nobody",
}


def describe(config: Config) -> list[str]:
    """
    Say what *config* means, section by section.
    """
    enabled = sum(rule.enabled for rule in config.rules)
    return [
        f"Rules: {config.source or 'none; the built-in defaults hold'}",
        "",
        *(line for pbx in config.pbxs for line in _asterisk(pbx.asterisk)),
        "",
        *_who_is_who(config.pbxs),
        "",
        *_delivery(config.delivery),
        *_store(config.store),
        *_control(config.control),
        "",
        f"Requests: {len(config.rules)}, of which {enabled} enabled",
        *(line for rule in config.rules for line in describe_request(rule, config.hangup_dialect)),
        *(["  Nobody will be told of anything."] if not enabled else []),
    ]


def _asterisk(asterisk: AsteriskSettings) -> Iterator[str]:
    tls = "without TLS"
    if asterisk.tls is not None:
        verified = asterisk.tls.verification is not TlsVerification.NONE
        tls = f"with TLS, the certificate is {'' if verified else 'not '}verified"
    login = "MD5 challenge" if asterisk.challenge else "the secret itself"
    yield f"Asterisk{f' {asterisk.name}' if asterisk.name else ''}: {asterisk.address}, {tls}"
    secret = "secret set" if asterisk.secret else "no secret: Asterisk will refuse the login"
    yield f"  manager user {asterisk.username}, {secret}, login by {login}"
    yield f"  event classes {asterisk.events}"


def _who_is_who(pbxs: tuple[PbxSettings, ...]) -> Iterator[str]:
    calls = pbxs[0].correlator
    if all(pbx.correlator.who_is_who == calls.who_is_who for pbx in pbxs):
        yield from _endpoints(calls.who_is_who, "Endpoints")
    else:
        for pbx in pbxs:
            yield from _endpoints(pbx.correlator.who_is_who, f"Endpoints of {pbx.name}")
    for extension, number in calls.public_numbers.items():
        yield f"Public number of {extension}: {number}"
    codes = " ".join(code.pattern for code in calls.feature_codes)
    yield f"Feature codes: {codes or 'none'}"
    if calls.anonymous_numbers:
        yield f"Numbers that mean a withheld one: {', '.join(sorted(calls.anonymous_numbers))}"
    if calls.originate_is_dial_in:
        yield "Phones that an Originate rings: Dial-In"


def _endpoints(who_is_who: WhoIsWho, heading: str) -> Iterator[str]:
    yield f"{heading}, by the first line that matches:"
    for endpoint, extension in who_is_who.table.items():
        yield f"  {endpoint} is extension {extension}"
    for pattern in who_is_who.patterns:
        yield f"  {_pattern(pattern)}"
    yield "  all others are trunks, the outside world"


def _pattern(pattern: IdentityPattern) -> str:
    names = "/".join(sorted(pattern.technologies)) or "any technology's"
    where = f" in context {', '.join(sorted(pattern.contexts))}" if pattern.contexts else ""
    tenant = ""
    if pattern.kind is PartyKind.EXTENSION and "tenant" not in pattern.pattern.groupindex:
        tenant = f" of tenant {pattern.tenant}"
    party = _PARTIES[pattern.kind]
    return f"{names} endpoints {pattern.pattern.pattern}{where} are {party}{tenant}"


def _delivery(delivery: DeliverySettings) -> Iterator[str]:
    waits = ", ".join(f"{wait:g}" for wait in delivery.retry_seconds)
    yield (
        f"Delivery: {delivery.concurrency} requests at once to one destination, "
        f"{delivery.total_timeout_seconds:g} s for each"
    )
    yield f"  tried again after up to {waits} s"
    yield (
        f"  given up after {delivery.dial_time_to_live_seconds:g} s (Dial events) "
        f"or {delivery.time_to_live_seconds:g} s (all others)"
    )

    yield (
        f"  left alone after {delivery.breaker_terms.failures} failures in a row, for "
        f"{', '.join(f'{wait:g}' for wait in delivery.breaker_terms.waits)} s"
    )
    yield from _destinations(delivery)


def _destinations(delivery: DeliverySettings) -> Iterator[str]:
    allowed = delivery.destinations
    also = [*map(str, allowed.allow_networks), *allowed.allow_hosts]
    allowed_too = f", and to {', '.join(also)}" if also else " only"
    yield f"  to public addresses{allowed_too}"
    if allowed.only_hosts:
        yield f"  to no other hosts than {', '.join(allowed.only_hosts)}"
    if delivery.use_proxy_from_environment:
        yield "  by the proxy that the environment names"


def _store(store: StoreSettings) -> Iterator[str]:
    yield f"Kept in {store.path or 'memory, and lost at the end'}"
    if store.path is not None:
        yield (
            f"  synchronous {store.synchronous}; for {store.keep_delivered_days:g} days what was "
            f"delivered, for {store.keep_given_up_days:g} days what was given up"
        )


def _control(control: ControlSettings | None) -> Iterator[str]:
    if control is None:
        yield "Control: off; nothing listens"
        return
    yield f"Control: socket {control.socket}"
    if control.host is not None:
        yield f"  HTTP at {control.host}:{control.port}"
    for token in control.tokens:
        may = "read and change" if token.may_change else "read"
        yield f"  token {token.name}: may {may}, {_in_scope(token.scope)}"
    if control.host is not None and not control.tokens:
        yield "  Nobody can log in: there are no tokens."


def _in_scope(scope: Scope) -> str:
    return "everybody" if scope.everybody else _whose(ExtensionPattern(scope.text))


def describe_request(rule: Rule, dialect: HangupDialect) -> Iterator[str]:
    """
    Say what *rule* means; what is said in *dialect* anyway is not said again.
    """
    form = f" ({rule.format.value})" if rule.method == "POST" else ""
    yield f"  {rule.id}{'' if rule.enabled else ' - DISABLED'}"
    yield f"    {rule.method}{form} {masked_url(rule.url)}"
    yield f"    of {'; '.join(_whose(pattern) for pattern in rule.extensions)}"
    yield f"    when {', '.join(event.value for event in EventType if event in rule.events)}"
    if rule.hangup_dialect not in (None, dialect):
        yield f"    hangup_status {rule.hangup_dialect}"
    if rule.fields:
        yield f"    fields {', '.join(rule.fields)}"
    for name, template in rule.parameters.items():
        value = "***" if is_confidential(name) else template.text
        yield f"    parameter {name} = {value}"
    if rule.headers:
        yield f"    headers {', '.join(rule.headers)}"
    yield from _credentials(rule.credentials)
    if rule.omit_empty:
        yield "    without parameters that are empty"
    for line in rule.notes.splitlines():
        yield f"    # {line}"


def _credentials(credentials: Credentials) -> Iterator[str]:
    scheme, separator, _ = credentials.authorization.partition(" ")
    # Without a space, all of it may be a secret.
    if separator and scheme in _SCHEMES:
        yield f"    authorization {_SCHEMES[scheme]}"
    elif credentials.authorization:
        yield "    header Authorization"
    if count := len(credentials.signing_keys):
        yield f"    signed with {count} secret{'' if count == 1 else 's'}"


def _whose(pattern: ExtensionPattern) -> str:
    tenant, _, number = pattern.text.partition("*")
    if pattern.text == EVERYONE:
        return "every extension"
    if number.strip("*") == "":
        return f"every extension of tenant {tenant}"
    if "*" in number or "?" in number:
        return f"extensions of tenant {tenant} whose number is like {number}"
    return f"extension {pattern.text}"
