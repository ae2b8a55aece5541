"""
What the fields of the API's answers mean, for its description.

A field is named alone, or with its record where another one means something else.
"""

from collections.abc import Mapping

_PARTY = "As the parameter of the call event."

MEANINGS: Mapping[str, str] = {
    # How everything is.
    "version": "Of ami-bridge.",
    "started": "When the bridge was started, in seconds since the epoch.",
    "now": "When this was answered, in seconds since the epoch.",
    "requests": "Call-event requests of the rules.",
    "requests_enabled": "Those of them that are enabled.",
    "paused": "Requests that are kept back since their receivers answered 410 Gone.",
    "rules_refused": "Why the rules file as it is now is not in force; empty if it is.",
    "rates": "How much happened in the last full minute.",
    "Pbx.name": "As in the rules; empty where there is only one.",
    "Pbx.address": "Host and port.",
    "connected_since": "When the login was accepted; null while not logged in.",
    "Pbx.error": "Why there is no connection; empty while there is one.",
    "next_attempt": "When the next attempt to connect begins, if one is waited for.",
    "asterisk_version": "Of the last connection; null is what Asterisk did not tell.",
    "Pbx.ami_events": "AMI events taken since the start of the bridge.",
    "logins": "Logins accepted since the start of the bridge.",
    "resynchronisations": "Lists of channels compared since the start of the bridge.",
    "last_event": "When the last AMI event came.",
    "Destination.waiting": "Deliveries that are owed, and sent as soon as they are due.",
    "Destination.paused": "Deliveries that are kept back.",
    "Destination.delivered": "Deliveries that were delivered since the start of the bridge.",
    "given_up": "Deliveries that were given up, for as long as the store keeps them.",
    "in_flight": "Attempts under way.",
    "breaker": "What is let through to this destination now.",
    "open_until": "When an open breaker lets a probe through.",
    "oldest_waiting": "When the oldest that is still owed was said.",
    "last_error": "Why the last attempt failed; empty after a success.",
    "Store.path": "The file; null if nothing outlives the process.",
    "trouble": "Why nothing can be kept at the moment; empty while all is well.",
    "backlog": "Reads of AMI whose result waits to be kept.",
    # Calls.
    "began": "When it began, in seconds since the epoch.",
    "caller_id_num": _PARTY,
    "caller_id_name": _PARTY,
    "caller_extension": _PARTY,
    "called_did": _PARTY,
    "called_extension": _PARTY,
    "called_number": _PARTY,
    "dialled_at": "When the Dial event was said.",
    "answered_at": "When it was answered.",
    # Deliveries.
    "request_id": "The call-event request that it is made for.",
    "destination": "Scheme, host and port.",
    "url": "Without the values of its query that look like secrets.",
    "created": "When it was owed, in seconds since the epoch.",
    "expires": "When it is given up if it is still owed then.",
    "due": "When it is tried next; null where it is not.",
    "settled": "When it was delivered or given up; null while it is owed.",
    "Delivery.attempts": "Attempts made.",
    "DeliveryInFull.attempts": "Attempts made.",
    "Delivery.status": "Of the answer to the attempt that delivered it.",
    "DeliveryInFull.status": "Of the answer to the attempt that delivered it.",
    "Delivery.seconds": "How long the attempt took that delivered it.",
    "DeliveryInFull.seconds": "How long the attempt took that delivered it.",
    "Delivery.reason": "Why it was given up; empty if it was not.",
    "DeliveryInFull.reason": "Why it was given up; empty if it was not.",
    "DeliveryInFull.request": "As it would be sent now, without what lets somebody in.",
    "tried": "Every attempt that failed.",
    "Attempt.status": "Of the answer; null if no answer came.",
    "Attempt.error": "Why no answer came.",
    "retry_after": "The answer's header Retry-After.",
    "excerpt": "The beginning of the answer's body.",
    # Call-event requests.
    "Event.authorization": "The scheme of the header Authorization; null without one.",
    "signing_secrets": "How many secrets sign it.",
    "Event.hangup_status": "Null means as the rules say for all.",
    "Sample.delivered": "Whether the receiver has taken it: an answer from 200 to 299.",
}
