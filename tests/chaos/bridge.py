"""
The bridge under test: ``ami-bridge run`` as a process, with a store of its own.
"""

import asyncio
import os
import signal
import sys
from pathlib import Path

import attrs

from ami_bridge.core.call_events import EventType
from ami_bridge.core.rules import Rule

PROJECT = Path(__file__).parents[2]
#: What the PBX is called in the rules, and so in CallIDs.
PBX = "chaos"
#: The rule whose receiver answers with redirects at times, which are final.
REDIRECTED = "moved"
#: Longer than a bridge needs to stop.
_STOP_SECONDS = 15.0

_RULES = """
[[asterisk]]
name = "{pbx}"
port = {ami}
username = "chaos"
secret = "chaos"
keepalive_seconds = 1
keepalive_deadline_seconds = 1
connect_timeout_seconds = 2
reconnect_first_seconds = 0.1
reconnect_last_seconds = 0.4
resynchronise_seconds = 5

[delivery]
allow_networks = ["127.0.0.0/8"]
connect_timeout_seconds = 1
total_timeout_seconds = 1.5
concurrency = 16
retry_seconds = [0.1, 0.3, 0.5, 1]
breaker_failures = 5
breaker_seconds = [0.3, 0.6, 1]
drain_seconds = 1

[store]
path = "{store}"
synchronous = "full"

[[requests]]
id = "everything"
method = "POST"
url = "http://127.0.0.1:{everything}/everything"
fields = ["EventType", "Extension"]

[[requests]]
id = "ends"
event = "Hangup"
url = "http://127.0.0.1:{everything}/ends"
fields = ["EventType", "Extension"]

[[requests]]
id = "pop-up"
event = ["Dial-In", "Answer-In", "Hangup"]
url = "http://127.0.0.1:{pop_up}/pop-up"
fields = ["EventType", "Extension"]

[[requests]]
id = "{redirected}"
event = ["Dial-Out", "Hangup"]
method = "POST"
url = "http://127.0.0.1:{moved}/{redirected}"
fields = ["EventType", "Extension"]
"""

#: The same rules, as the judge needs them.
RULES = (
    Rule(id="everything", url="http://h/"),
    Rule(id="ends", url="http://h/", events=frozenset({EventType.HANGUP})),
    Rule(
        id="pop-up",
        url="http://h/",
        events=frozenset({EventType.DIAL_IN, EventType.ANSWER_IN, EventType.HANGUP}),
    ),
    Rule(id=REDIRECTED, url="http://h/", events=frozenset({EventType.DIAL_OUT, EventType.HANGUP})),
)


@attrs.define(eq=False)
class Bridge:
    """
    The process; *folder* holds its rules and its log, *store* its database.
    """

    folder: Path
    store: Path
    #: Exit codes of those that were told to stop.
    exits: list[int] = attrs.field(factory=list)
    #: It came to an end that nobody had asked for.
    died: list[int] = attrs.field(factory=list)
    _process: asyncio.subprocess.Process | None = None

    def write_rules(self, **ports: int) -> None:
        """
        Write the rules, with the *ports* of the PBX and of the receivers.
        """
        text = _RULES.format(pbx=PBX, redirected=REDIRECTED, store=self.store, **ports)
        (self.folder / "rules.toml").write_text(text, encoding="utf-8")

    async def start(self) -> None:
        """
        Start it, unless it runs.
        """
        if self._process is not None and self._process.returncode is None:
            return
        if self._process is not None and self._process.returncode is not None:
            self.died.append(self._process.returncode)
        with (self.folder / "bridge.log").open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "ami_bridge", "run"),
                *("--rules", str(self.folder / "rules.toml"), "--log-format", "json"),
                cwd=PROJECT,
                env={**os.environ, "PYTHONUNBUFFERED": "1"},
                stderr=log,
            )

    async def kill(self) -> None:
        """
        End it as a power failure does.
        """
        await self._end(signal.SIGKILL)

    async def stop(self) -> None:
        """
        Tell it to stop, and wait for its end.
        """
        self.exits.append(await self._end(signal.SIGTERM))

    @property
    def runs(self) -> bool:
        """
        Tell whether it has not ended.
        """
        return self._process is not None and self._process.returncode is None

    async def _end(self, number: signal.Signals) -> int:
        process, self._process = self._process, None
        if process is None:
            return 0
        if process.returncode is not None:
            self.died.append(process.returncode)
            return process.returncode
        process.send_signal(number)
        try:
            async with asyncio.timeout(_STOP_SECONDS):
                return await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()
            return -signal.SIGALRM
