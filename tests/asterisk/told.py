"""
What the receiver was told, sorted into calls and into the legs that extensions had in them.

Requests of different legs may overtake each other; within a leg their order is part of the promise.
"""

from collections.abc import Iterable, Mapping

import attrs

from .receiver import Request

#: What goes with every request, and what the rules of these tests ask for besides.
_PARAMETERS = [
    "CallID",
    "CallerIDNum",
    "CallerIDName",
    "CalledDID",
    "CalledExtension",
    "CallStatus",
    "CallFlow",
    "CallerExtension",
    "CalledNumber",
]
_FIELDS = ["EventType", "Extension", "Timestamp"]

#: What may differ between the requests of one leg.
_CHANGING = {"EventType", "CallStatus", "CalledExtension", "Timestamp"}

Told = Mapping[str, str]


@attrs.frozen
class Caller:
    """
    Who calls, as the called party is shown it; somebody outside has no extension.
    """

    number: str
    name: str
    extension: str = ""


@attrs.frozen
class Leg:
    """
    One extension's part in one call, from its first request to its last.
    """

    extension: str
    flow: str
    #: EventType and CallStatus of each request, in order.
    said: tuple[str, ...]
    caller: Caller
    #: CalledNumber.
    number: str
    #: CalledExtension, and after it what it became, if it changed.
    called: tuple[str, ...]
    did: str = ""

    @property
    def over(self) -> bool:
        """
        Tell whether the leg was told to its end.
        """
        return self.said[-1].startswith("hangup")


def made(extension: str, caller: Caller, number: str, *called: str, answered: bool) -> Leg:
    """
    Expect the leg of an *extension* that called: whom it called, and who answered instead.
    """
    said = _said("dial-out", answered=answered)
    return Leg(extension, "OUT", said, caller, number, called or ("",))


def received(extension: str, caller: Caller, number: str, *, answered: bool, did: str = "") -> Leg:
    """
    Expect the leg of an *extension* that was called.
    """
    said = _said("dial-in", answered=answered)
    return Leg(extension, "IN", said, caller, number, (extension,), did)


def call(*legs: Leg) -> list[Leg]:
    """
    Expect a call of these *legs*; legs of one call have no order.
    """
    return sorted(legs, key=lambda leg: (leg.extension, leg.flow, leg.said))


def calls(requests: Iterable[Request]) -> list[list[Leg]]:
    """
    Sort what was told into calls, in the order in which they began.
    """
    by_call: dict[str, list[Told]] = {}
    for request in requests:
        told = parameters(request)
        by_call.setdefault(told["CallID"], []).append(told)
    return [call(*_legs(by_call[call_id])) for call_id in sorted(by_call, key=_beginning)]


def parameters(request: Request) -> Told:
    """
    Give what *request* tells, having seen that each parameter is there, and once.
    """
    names = [name for name, _ in request.form]
    assert sorted(names) == sorted(_PARAMETERS + _FIELDS), request
    return dict(request.form)


def _said(dial: str, *, answered: bool) -> tuple[str, ...]:
    if answered:
        return (f"{dial} CALLING", "answer ANSWER", "hangup ANSWER")
    return (f"{dial} CALLING", "hangup UNKNOWN")


def _legs(told_of_call: Iterable[Told]) -> Iterable[Leg]:
    """
    Find the legs of one call: an extension that is called again after its Hangup has another.
    """
    open_legs: dict[tuple[str, str], list[Told]] = {}
    for told in told_of_call:
        who = (told["Extension"], told["CallFlow"])
        open_legs.setdefault(who, []).append(told)
        if told["EventType"] == "hangup":
            yield _leg(open_legs.pop(who))
    yield from map(_leg, open_legs.values())


def _leg(told: list[Told]) -> Leg:
    first = told[0]
    for later in told[1:]:
        changed = {name for name in first if first[name] != later[name]}
        assert changed <= _CHANGING, f"{changed - _CHANGING} changed within a leg: {told}"
    return Leg(
        extension=first["Extension"],
        flow=first["CallFlow"],
        said=tuple(f"{each['EventType']} {each['CallStatus']}" for each in told),
        caller=Caller(first["CallerIDNum"], first["CallerIDName"], first["CallerExtension"]),
        number=first["CalledNumber"],
        called=tuple(dict.fromkeys(each["CalledExtension"] for each in told)),
        did=first["CalledDID"],
    )


def _beginning(call_id: str) -> tuple[int, ...]:
    """
    Give the order of Uniqueids: an epoch and a counter, as in 1795408778.12.
    """
    return tuple(int(part) for part in call_id.split("."))
