"""
How requests are answered: records as JSON, and refusals that say what to do.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import attrs
from aiohttp import web

from ami_bridge.errors import ConfigError, Problem, RulesFileError

from .access import VISITOR, Visitor
from .bridge import Bridge
from .views import as_json

BRIDGE: web.AppKey[Bridge] = web.AppKey("bridge", Bridge)

#: Where rules.toml has a call-event request, in the path of a problem.
_PLACE_IN_FILE = re.compile(r"requests\[[0-9]+\]\.?")


def answer(
    content: attrs.AttrsInstance | Mapping[str, Any] | Sequence[Any], status: int = 200
) -> web.Response:
    """
    Answer with *content* as JSON; letters that are not ASCII stay as they are.
    """
    plain = content if isinstance(content, Mapping | Sequence) else as_json(content)
    return web.Response(status=status, body=written(plain), content_type="application/json")


def written(content: object) -> bytes:
    """
    Write *content* as JSON.
    """
    text = json.dumps(content, ensure_ascii=False, separators=(",", ":"))
    # A caller's name may have what is no character (half of a surrogate pair).
    return text.encode(errors="replace")


class Refusal(Exception):  # noqa: N818 - it is an answer
    """
    A request that is not done: its status, a word for programs and a sentence for people.

    Where several things are wrong with it, *problems* names them one by one.
    """

    def __init__(
        self, status: int, code: str, message: str, problems: Sequence[Problem] = ()
    ) -> None:
        super().__init__(status, code, message)
        self.status = status
        self.code = code
        self.message = message
        self.problems = tuple(problems)
        self.headers: dict[str, str] = {}

    @classmethod
    def for_problems(cls, status: int, code: str, problems: Iterable[Problem]) -> "Refusal":
        """
        Say all that is wrong with what was asked for.
        """
        found = tuple(problems)
        sentences = (
            f"{problem.path}: {problem.message}" if problem.path else problem.message
            for problem in found
        )
        return cls(status, code, "; ".join(sentences), found)

    @classmethod
    def of_rules(cls, error: ConfigError) -> "Refusal":
        """
        Say that what was asked for is no valid rule, or cannot be written.
        """
        if isinstance(error, RulesFileError):
            return cls(409, "rules_not_written", str(error))
        # Who asks knows the request, and not its place in the file.
        problems = (
            attrs.evolve(problem, path=_PLACE_IN_FILE.sub("", problem.path))
            for problem in error.problems
        )
        return cls.for_problems(422, "rules_invalid", problems)

    @classmethod
    def of_http(cls, error: web.HTTPException) -> "Refusal":
        """
        Say what the HTTP server itself refuses.
        """
        reason = error.reason
        refusal = cls(error.status, re.sub(r"[^a-z]+", "_", reason.lower()).strip("_"), reason)
        if "Allow" in error.headers:
            refusal.headers["Allow"] = error.headers["Allow"]
        return refusal

    def as_response(self) -> web.Response:
        """
        Give the answer that says so.
        """
        error: dict[str, Any] = {"code": self.code, "message": self.message}
        if self.problems:
            error["problems"] = [as_json(problem) for problem in self.problems]
        response = answer({"error": error}, self.status)
        response.headers.update(self.headers)
        if self.status == 401:
            response.headers["WWW-Authenticate"] = 'Bearer realm="ami-bridge"'
        return response


def not_found(what: str = "there is nothing here") -> Refusal:
    """
    Say that *what* was asked for is not there, or not for who asks.
    """
    return Refusal(404, "not_found", what)


def known(request: web.Request) -> Visitor:
    """
    Give who asks; raises `Refusal` if that is nobody we know.
    """
    visitor: Visitor | None = request.get(VISITOR)
    if visitor is None:
        raise Refusal(401, "unauthorized", "a bearer token is needed, one of [[control.tokens]]")
    return visitor


def changer(request: web.Request) -> Visitor:
    """
    Give who asks, and may change something; raises `Refusal` otherwise.
    """
    visitor = known(request)
    if not visitor.may_change:
        raise Refusal(403, "forbidden", 'this token may only read; it takes may = "change"')
    return visitor


def operator(request: web.Request, *, changing: bool = False) -> Visitor:
    """
    Give who asks, and may see everybody's calls; raises `Refusal` otherwise.
    """
    visitor = changer(request) if changing else known(request)
    if not visitor.scope.everybody:
        raise not_found()
    return visitor


def bridge_of(request: web.Request) -> Bridge:
    """
    Give the bridge that is asked about.
    """
    return request.app[BRIDGE]
