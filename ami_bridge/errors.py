"""
Every exception of the program, and who must act on it.

::

    AmiBridgeError                                                exit
    ├── ConfigError          the operator edits a file              78
    │   └── RulesFileError   the operator looks after the file      74
    ├── AmiError
    │   ├── AmiLoginRefused  the operator fixes the credentials     77
    │   ├── AmiLost          nobody: the bridge reconnects          69
    │   ├── AmiUnanswered    nobody: the PBX is busy or half dead   69
    │   └── AmiActionRefused the operator grants a permission       77
    ├── BridgeUnreachable    the operator starts the bridge         69
    ├── BridgeRefused        the operator asks for something else    1
    ├── StoreError           the operator looks after the disk      74
    └── RecordingError       the file is damaged                    65

Expected outcomes are values, not exceptions: an answer 500 is a verdict, an odd AMI
event is an anomaly. Exit codes follow sysexits.h.
"""

from collections.abc import Sequence
from pathlib import Path

import attrs


class AmiBridgeError(Exception):
    """
    Something that ends a command, with a sentence for the person who ran it.
    """

    exit_code = 70


@attrs.frozen
class Problem:
    """
    One mistake in a rules file: where it is, what was seen and what was expected.
    """

    #: Dotted path of the key, such as ``requests[0].url``; empty for the whole file.
    path: str
    #: What is wrong and what would be right, as a sentence without its full stop.
    message: str


class ConfigError(AmiBridgeError):
    """
    The rules cannot be used; all their problems at once.
    """

    exit_code = 78

    def __init__(self, source: Path | str, problems: Sequence[Problem]) -> None:
        super().__init__(source, problems)
        self.source = source
        self.problems = tuple(problems)

    def __str__(self) -> str:
        count = len(self.problems)
        width = max((len(problem.path) for problem in self.problems), default=0)
        lines = [f"{self.source}: {count} problem{'' if count == 1 else 's'}"]
        lines += [f"  {problem.path:<{width}}  {problem.message}" for problem in self.problems]
        return "\n".join(lines)


class RulesFileError(ConfigError):
    """
    The rules file cannot be written, or somebody else has written it meanwhile.
    """

    exit_code = 74

    def __init__(self, source: Path | str, reason: str) -> None:
        super().__init__(source, [Problem("", reason)])
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.source}: {self.reason}"


class AmiError(AmiBridgeError):
    """
    The connection to Asterisk's manager interface cannot do what was asked.
    """

    exit_code = 69


class AmiLoginRefused(AmiError):  # noqa: N818 - it is the refusal that matters
    """
    Asterisk does not let this user in: the name, the secret or the permissions are wrong.
    """

    exit_code = 77

    def __init__(self, address: str, username: str, reason: str) -> None:
        super().__init__(address, username, reason)
        self.address = address
        self.username = username
        self.reason = reason

    def __str__(self) -> str:
        return (
            f"{self.address} refused the login of manager user {self.username!r}: {self.reason}; "
            "check the user's secret and its permit/deny lines in manager.conf"
        )


class AmiLost(AmiError, ConnectionError):  # noqa: N818 - as above
    """
    The connection to Asterisk could not be made or was lost.
    """

    def __init__(self, address: str, reason: str) -> None:
        super().__init__(address, reason)
        self.address = address
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.address}: {self.reason}"


class AmiUnanswered(AmiError, TimeoutError):  # noqa: N818 - as above
    """
    Asterisk did not answer an action in time; its answer is not waited for any more.
    """

    def __init__(self, address: str, action: str, seconds: float) -> None:
        super().__init__(address, action, seconds)
        self.address = address
        self.action = action
        self.seconds = seconds

    def __str__(self) -> str:
        return f"{self.address}: no answer to {self.action} within {self.seconds:g} s"


class AmiActionRefused(AmiError):  # noqa: N818 - as above
    """
    Asterisk answered an action with an error: the manager user lacks a permission for it.
    """

    exit_code = 77

    def __init__(self, address: str, action: str, reason: str) -> None:
        super().__init__(address, action, reason)
        self.address = address
        self.action = action
        self.reason = reason

    def __str__(self) -> str:
        return (
            f"{self.address} refused the action {self.action}: {self.reason}; "
            "`ami-bridge check --connect` says what the manager user lacks"
        )


class BridgeUnreachable(AmiBridgeError):  # noqa: N818 - as above
    """
    No running bridge answers at its control socket.
    """

    exit_code = 69

    def __init__(self, path: Path | str, reason: str) -> None:
        super().__init__(path, reason)
        self.path = path
        self.reason = reason

    def __str__(self) -> str:
        return (
            f"no bridge answers at {self.path}: {self.reason}; is it running, and is there a "
            "table [control] in its rules?"
        )


class BridgeRefused(AmiBridgeError):  # noqa: N818 - as above
    """
    The running bridge does not do what was asked; it has said why.
    """

    exit_code = 1


class StoreError(AmiBridgeError):
    """
    The database of notifications cannot be used, and trying again will not help.
    """

    exit_code = 74

    def __init__(self, path: Path | str, reason: str) -> None:
        super().__init__(path, reason)
        self.path = path
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}"


class RecordingError(AmiBridgeError):
    """
    A recording is damaged; what was readable before the damage has been used.
    """

    exit_code = 65

    def __init__(self, path: Path | str, offset: int, reason: str) -> None:
        super().__init__(path, offset, reason)
        self.path = path
        self.offset = offset
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.path}: damaged at byte {self.offset}: {self.reason}"
