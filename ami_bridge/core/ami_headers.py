"""
The headers of one AMI message: what has to be there, and what Asterisk does not know.
"""

import re
from collections.abc import Mapping

Headers = Mapping[str, str]

#: How Asterisk writes a caller id that it does not know.
UNKNOWN = "<unknown>"
#: Asterisk's own ids are ``[systemname-]epoch.N``, the name in any letters; an Originate may give
#: a channel any other (ChannelId), but none that a link garbled into odd characters.
_ID = re.compile(r"[ -~]+|[^\x00-\x1f\x7f-\x9f]+-[0-9]+\.[0-9]+")


class Missing(Exception):  # noqa: N818 - a signal between readers, not an error anybody sees
    """
    A header without which the event means nothing is not there.
    """


def is_id(value: str) -> bool:
    """
    Tell whether *value* can be a channel's id.
    """
    return _ID.fullmatch(value) is not None


def known(headers: Headers, header: str) -> str:
    """
    Give the value of *header*; empty if it is missing, or is what nobody knows.
    """
    value = headers.get(header, "")
    return "" if value == UNKNOWN else value


def needed(headers: Headers, *spellings: str) -> str:
    """
    Give the value of the header that one of *spellings* names; raises `Missing`.
    """
    for spelling in spellings:
        if value := headers.get(spelling):
            return value
    raise Missing(spellings[0])


def needed_id(headers: Headers, *spellings: str) -> str:
    """
    Give the id in the header that one of *spellings* names; raises `Missing`.
    """
    value = needed(headers, *spellings)
    if not is_id(value):
        raise Missing(spellings[0])
    return value


def number(headers: Headers, header: str) -> int | None:
    """
    Give the number in *header*, if there is one.
    """
    value = headers.get(header, "")
    return int(value) if value.isascii() and value.isdigit() else None
