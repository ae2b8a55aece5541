"""
Bridges whose HTTP application can be visited: for its tests.
"""

import asyncio
import contextlib
import io
import time
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any

import aiohttp
import attrs

from ami_bridge.adapters.memory_store import InMemoryStore
from ami_bridge.adapters.sender import Sender
from ami_bridge.adapters.store import Changes, Outcome
from ami_bridge.config import load_config
from ami_bridge.control.app import ControlServer
from ami_bridge.core.call_events import CallEvent, CallFlow, CallStatus, EventType
from ami_bridge.core.deliveries import Delivery
from ami_bridge.core.requests import Request, destination_of
from ami_bridge.core.retry import Abandoned, Attempt, Delivered, Verdict
from ami_bridge.core.rules import Method
from ami_bridge.daemon import Daemon
from ami_bridge.pbx import Pbx
from ami_bridge.running import RunningBridge
from ami_bridge.settings import Config, ControlSettings, StoreSettings
from tests.replaying import FIXTURES, ami_events, recorded_bytes

#: By the name of who has it.
TOKENS = {
    "reader": "0123456789abcdef-reader",
    "changer": "0123456789abcdef-changer",
    "tenant": "0123456789abcdef-tenant",
    "tenant-changer": "0123456789abcdef-tenant-changer",
    "desk": "0123456789abcdef-desk",
}
RULES = """
[delivery]
allow_hosts = ["127.0.0.1"]

[control]
socket = "run/control.sock"
listen = "127.0.0.1:0"

[[control.tokens]]
name = "reader"
token = "0123456789abcdef-reader"

[[control.tokens]]
name = "changer"
token = "0123456789abcdef-changer"
may = "change"

[[control.tokens]]
name = "tenant"
token = "0123456789abcdef-tenant"
scope = "0003*"

[[control.tokens]]
name = "tenant-changer"
token = "0123456789abcdef-tenant-changer"
scope = "0003*"
may = "change"

[[control.tokens]]
name = "desk"
token = "0123456789abcdef-desk"
scope = "0003*001"

# Everybody's calls.
[[requests]]
id = "all"
url = "http://127.0.0.1:9/calls"

# The helpdesk of one tenant.
[[requests]]
id = "helpdesk"
extension = "0003*2*"
event = ["Dial-In", "Hangup"]
method = "POST"
url = "http://127.0.0.1:9/helpdesk?token=s3cret-in-url"
headers = {"X-Api-Key" = "s3cret-in-header"}
auth.bearer = "s3cret-bearer"
"""

DAEMON_RULES = """
[asterisk]
port = {port}
secret = "s3cret"
reconnect_first_seconds = 0.1

[store]
path = "outbox.sqlite"

[control]
socket = "control.sock"
"""
WAIT_SECONDS = 20.0


@attrs.frozen
class Answer:
    """
    What the application answered.
    """

    status: int
    headers: Mapping[str, str]
    text: str
    content: Any

    @property
    def error(self) -> str:
        """
        Give the code of the refusal that it is.
        """
        code: str = self.content["error"]["code"]
        return code

    @property
    def message(self) -> str:
        """
        Give the sentence of the refusal that it is.
        """
        message: str = self.content["error"]["message"]
        return message

    @property
    def paths(self) -> list[str]:
        """
        Name all that the refusal is about.
        """
        return [problem["path"] for problem in self.content["error"]["problems"]]


@attrs.define(eq=False)
class Visits:
    """
    A way to visit a bridge over HTTP.
    """

    session: aiohttp.ClientSession
    #: The address of the application, without a slash at its end.
    url: str

    async def ask(
        self,
        method: str,
        path: str,
        *,
        token: str | None = "changer",
        query: Any = None,
        content: Any = None,
        data: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """
        Ask as the holder of the *token* of that name; None is nobody.
        """
        sent = dict(headers or {})
        if token is not None:
            sent["Authorization"] = f"Bearer {TOKENS.get(token, token)}"
        async with self.session.request(
            method,
            f"{self.url}{path}",
            params=query,
            json=content,
            data=None if data is None else io.BytesIO(data),
            headers=sent,
        ) as response:
            text = await response.text()
            is_json = response.content_type == "application/json"
            found = await response.json() if is_json else None
            return Answer(response.status, dict(response.headers), text, found)

    async def get(self, path: str, token: str | None = "reader", **query: Any) -> Answer:
        """
        Get *path* with *query*.
        """
        return await self.ask("GET", path, token=token, query=query)

    async def until(self, path: str, condition: Callable[[Answer], bool]) -> Answer:
        """
        Get *path* until what is answered is as wanted.
        """
        async with asyncio.timeout(WAIT_SECONDS):
            while True:
                with contextlib.suppress(aiohttp.ClientConnectorError):
                    found = await self.get(path)
                    if condition(found):
                        return found
                await asyncio.sleep(0.01)


@attrs.define(eq=False)
class House(Visits):
    """
    A bridge without a PBX, and a way to visit it over HTTP.
    """

    bridge: RunningBridge
    server: ControlServer
    rules: Path
    pbx: Pbx
    #: How often the rules were used anew.
    reloads: int = 0

    def say(self, *call_events: CallEvent) -> None:
        """
        Have *call_events* said.
        """
        for call_event in call_events:
            self.bridge.broadcast.tell(call_event)

    def play(self, story: str, until: type) -> None:
        """
        Let a recorded *story* happen, up to its first AMI event of the kind *until*.
        """
        for ami_event in ami_events([recorded_bytes(FIXTURES / "asterisk22" / story)]):
            self.pbx.heard_by_kind[type(ami_event)] += 1
            self.pbx.pipeline.take([(ami_event, 1000.0)])
            if isinstance(ami_event, until):
                return


@contextlib.asynccontextmanager
async def house(
    folder: Path, rules: str = RULES, *, clock: Callable[[], float] = time.time, send: bool = False
) -> AsyncIterator[House]:
    """
    Let a bridge with *rules* be visited for as long as the context lasts; it has no PBX.

    What is owed is sent only with *send*.
    """
    path = folder / "rules.toml"
    path.write_text(rules, encoding="utf-8")
    config = _load(path)
    only = config.only("")
    assert only is not None
    pbx = Pbx(only, keep=lambda _: None)
    async with (
        InMemoryStore() as store,
        Sender(store, config.delivery, config.rules) as sender,
        aiohttp.ClientSession() as session,
    ):

        async def use_rules() -> None:
            nonlocal config
            config = _load(path)
            visited.reloads += 1

        bridge = RunningBridge(
            store,
            sender,
            pbxs_now=lambda: [pbx],
            config_now=lambda: config,
            backlog=lambda: 0,
            refused=lambda: "",
            use_rules=use_rules,
            clock=clock,
        )
        task = asyncio.create_task(sender.run()) if send else None
        async with ControlServer(bridge, config.control or ControlSettings()) as server:
            assert await server.open() == []
            assert server.address is not None
            url = f"http://{server.address[0]}:{server.address[1]}"
            visited = House(session, url, bridge, server, path, pbx)
            yield visited
        if task is not None:
            task.cancel()
            await asyncio.wait({task})


@contextlib.asynccontextmanager
async def daemon_with(folder: Path, port: int, more: str = "") -> AsyncIterator[Visits]:
    """
    Let a whole daemon that listens to the PBX at *port* be visited by its Unix socket.
    """
    rules = folder / "rules.toml"
    rules.write_text(DAEMON_RULES.format(port=port) + more, encoding="utf-8")
    stop = asyncio.Event()
    daemon = Daemon(load_config(rules, {}), load=lambda: load_config(rules, {}))
    task = asyncio.create_task(daemon.run(stop))
    connector = aiohttp.UnixConnector(str(folder / "control.sock"))
    async with aiohttp.ClientSession(connector=connector) as session:
        try:
            yield Visits(session, "http://bridge")
        finally:
            stop.set()
            await task


def _load(path: Path) -> Config:
    # The store is in memory, whatever the rules say.
    return attrs.evolve(load_config(path, {}, secret_needed=False), store=StoreSettings())


def call_event(
    kind: EventType = EventType.DIAL_IN,
    extension: str = "0003*201",
    name: str = "Alice Adams",
    call_id: str = "1000.1",
) -> CallEvent:
    """
    Make a call event of *extension*.
    """
    return CallEvent(
        kind,
        extension,
        1000.0,
        f"leg-{call_id}-{extension}",
        call_id,
        CallFlow.IN,
        CallStatus.CALLING,
        caller_id_num="14155550100",
        caller_id_name=name,
    )


def delivery(
    name: str,
    extension: str = "0003*201",
    rule_id: str = "helpdesk",
    url: str = "http://127.0.0.1:9/?token=s3cret-in-url",
) -> Delivery:
    """
    Make a delivery called *name*, by default to a receiver that nobody is.
    """
    now = time.time()
    return Delivery(
        id=name,
        rule_id=rule_id,
        event=EventType.DIAL_IN,
        extension=extension,
        call_id=f"call-{name}",
        leg=f"leg-{name}",
        destination=destination_of(url),
        request=Request(
            Method.POST, url, {"X-Api-Key": "s3cret-in-header"}, b"CallerIDNum=1&password=s3cret"
        ),
        created=now,
        expires=now + 900,
    )


async def owe(house: House, *deliveries: Delivery) -> None:
    """
    Have *deliveries* kept.
    """
    await house.bridge.store.keep(Changes(time.time(), deliveries))


async def settle(house: House, name: str, verdict: Verdict, status: int | None = None) -> None:
    """
    Make an attempt of the delivery *name*, that is due, with an end as in *verdict*.
    """
    now = time.time()
    claims = await house.bridge.store.claim(now, 1000, {}, 60.0)
    for claimed in claims.deliveries:
        attempt = Attempt(claimed.attempts, now, 0.25, status, excerpt="not s3cret-bearer again")
        if claimed.id == name:
            await house.bridge.store.settle([Outcome(claimed, attempt, verdict)])


DELIVERED, GIVEN_UP = Delivered(), Abandoned("answer 404")
