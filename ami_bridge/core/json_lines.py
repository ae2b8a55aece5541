"""
Call events as lines of JSON, a public interface: docs/reference/payload.md describes it.
"""

import json

from .call_events import CallEvent, HangupDialect, parameters


def to_json_line(call_event: CallEvent, dialect: HangupDialect = HangupDialect.SIMPLE) -> str:
    """
    Write *call_event* as one line of JSON, without its line end.

    Its keys, in this order, are ``event`` (Dial-In, Dial-Out, Answer-In, Answer-Out or Hangup),
    ``extension``, ``time`` (seconds since the epoch, or null) and ``parameters`` (the nine that
    every request has, with a Hangup's CallStatus in *dialect*). What is not ASCII stays as it is.
    """
    line = {
        "event": call_event.type.value,
        "extension": call_event.extension,
        "time": call_event.time,
        "parameters": parameters(call_event, dialect),
    }
    return json.dumps(line, ensure_ascii=False)
