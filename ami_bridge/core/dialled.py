"""
The number that was dialled, where Asterisk shows an exten or a dial string in its place.
"""

import re

_NUMBER = re.compile(r"[0-9*#+]+")
_MEMBER = re.compile(r"(?:PJSIP|SIP|IAX2|Local)/")


def rung_by_queue(dial_string: str) -> bool:
    """
    Tell whether a queue dialled *dial_string*: it alone spells the technology, ``PJSIP/0003*002``.
    """
    return _MEMBER.match(dial_string) is not None


def dialled_number(exten: str) -> str:
    """
    Give the number that *exten* is; Asterisk's special extensions (``s``, ``h``) are none.
    """
    return exten if len(exten) > 1 or exten.isdigit() else ""


def number_in(dial_string: str) -> str:
    """
    Give the number in *dial_string*: ``155501@trunk``, ``trunk/155501``, ``trunk/sip:155501@host``.
    """
    if rung_by_queue(dial_string):
        return ""
    number = dial_string.partition("@")[0].rpartition("/")[2].removeprefix("sip:")
    return number if _NUMBER.fullmatch(number) else ""
