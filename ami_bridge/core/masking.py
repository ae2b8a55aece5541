"""
Requests as they may be shown: without what lets somebody in.

What is secret is told by its name alone: a password that goes by the name of colour is shown.
"""

import base64
import json
import re
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import parse_qsl, unquote_plus, urlsplit

from .requests import Request

#: What stands in place of a header's value.
NOT_SHOWN = "(not shown)"
#: Header names whose values let somebody in.
_HEADERS = re.compile(r"auth|cookie|credential|key|password|secret|signature|token", re.IGNORECASE)
#: Names of parameters whose values are not shown.
_PARAMETERS = re.compile(r"auth|key|pass|pwd|secret|sig|token", re.IGNORECASE)
#: Shorter ones are not looked for in answers: too much would look like them.
_SHORTEST_SECRET = 4


def is_confidential(parameter: str) -> bool:
    """
    Tell whether the value of *parameter* is not shown.
    """
    return _PARAMETERS.search(parameter) is not None


def masked_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """
    Give *headers* without the values that let somebody in.
    """
    return {name: NOT_SHOWN if _HEADERS.search(name) else value for name, value in headers.items()}


def masked_url(url: str) -> str:
    """
    Give *url* without a user, and without the values in its query that look like secrets.
    """
    before, separator, after = url.partition("://")
    place, slash, path = after.partition("/")
    user, at, host = place.rpartition("@")
    if at:
        url = f"{before}{separator}{user.partition(':')[0]}:***@{host}{slash}{path}"
    query = urlsplit(url).query
    if not any(is_confidential(name) for name, _ in parse_qsl(query, keep_blank_values=True)):
        return url
    return url.replace(f"?{query}", f"?{_masked_form(query)}", 1)


def masked_body(request: Request) -> str | None:
    """
    Give the body of *request* as text, without the values that look like secrets.
    """
    if request.body is None:
        return None
    text = request.body.decode(errors="replace")
    if not _is_json(text):
        return _masked_form(text)
    values: dict[str, Any] = json.loads(text)
    if not any(map(is_confidential, values)):
        return text
    return json.dumps(
        {name: "***" if is_confidential(name) else value for name, value in values.items()},
        ensure_ascii=False,
    )


def secrets_of(request: Request) -> set[str]:
    """
    Give the values of *request* that are not shown; a receiver might repeat them.
    """
    found: set[str] = set()
    for name, value in request.headers.items():
        if _HEADERS.search(name):
            scheme, _, rest = value.partition(" ")
            found |= {value, rest, _password(rest) if scheme == "Basic" else ""}
    forms = [urlsplit(request.url).query]
    if request.body is not None:
        text = request.body.decode(errors="replace")
        if _is_json(text):
            values = json.loads(text).items()
            found |= {str(value) for name, value in values if is_confidential(name)}
        else:
            forms.append(text)
    for pair in "&".join(forms).split("&"):
        name, _, value = pair.partition("=")
        if is_confidential(unquote_plus(name)):
            found |= {value, unquote_plus(value)}
    return found


def without(secrets: Iterable[str], text: str) -> str:
    """
    Give *text* without *secrets*.
    """
    # The longest first: one may contain another.
    for secret in sorted(secrets, key=len, reverse=True):
        if len(secret) >= _SHORTEST_SECRET:
            text = text.replace(secret, "***")
    return text


def _is_json(body: str) -> bool:
    # In a form a brace is percent-encoded.
    return body.startswith("{")


def _password(encoded: str) -> str:
    try:
        return base64.b64decode(encoded).decode().partition(":")[2]
    except ValueError:
        return ""


def _masked_form(text: str) -> str:
    return "&".join(
        re.sub(r"=.*", "=***", pair, flags=re.DOTALL)
        if is_confidential(unquote_plus(pair.partition("=")[0]))
        else pair
        for pair in text.split("&")
    )
