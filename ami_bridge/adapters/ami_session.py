"""
One connection to Asterisk's manager interface, from connecting to its end.

For commands that ask something and go, and for `AmiLink`, which makes one session after
another. panoramisk's Manager numbers the actions and matches their answers; connecting,
logging in and noticing a dead peer are done here, because the Manager connects again on
its own, logs in with the bare secret and never learns that a Ping was not answered.
"""

import asyncio
import functools
import hashlib
import logging
import os
import socket
import ssl
import time
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, NoReturn, Self

import attrs
from aiohappyeyeballs import start_connection
from panoramisk.actions import Action
from panoramisk.manager import Manager

from ami_bridge.core.channel_list import ChannelRow, read_channel_row
from ami_bridge.errors import AmiActionRefused, AmiLoginRefused, AmiLost, AmiUnanswered
from ami_bridge.settings import AsteriskSettings, TlsSettings, TlsVerification

from .ami_protocol import AmiProtocol, Batch, Oddities, OnBytes, OnEvents

log = logging.getLogger(__name__)

#: The headers of one message by name; values of a repeated header are joined by line feeds.
Headers = dict[str, str]

#: How long the next address of a host is held back while one is being tried (RFC 8305).
_HAPPY_EYEBALLS_SECONDS = 0.25
#: How every Asterisk, and every proxy in front of one, begins to speak.
_GREETING = "Asterisk Call Manager"
#: panoramisk pings without expecting an answer; a hundred years keep it from doing so.
_NEVER_SECONDS = 100 * 366 * 86_400


@attrs.frozen
class PbxIdentity:
    """
    Who answers; None is what it does not tell this manager user.
    """

    #: Version of the manager interface, such as ``11.0.0``.
    ami_version: str | None = None
    asterisk_version: str | None = None
    system_name: str | None = None
    #: Local time of the PBX at which this Asterisk started: ``2026-11-23 04:17:43``.
    started: str | None = None


def _ignore(_batch: Batch) -> None:
    """
    Take events that nobody wants.
    """


@attrs.define(eq=False)
class AmiSession:
    """
    One logged-in connection; use it as a context manager.

    Entering raises `AmiLost` if Asterisk cannot be reached or does not speak AMI,
    `AmiUnanswered` if it does not answer, and `AmiLoginRefused` if it refuses the login.
    *on_events* and *on_bytes* are as in `AmiProtocol`, and may be called before entering
    is done. All waits are in seconds.
    """

    settings: AsteriskSettings
    on_events: OnEvents = attrs.field(default=_ignore, kw_only=True)
    on_bytes: OnBytes | None = attrs.field(default=None, kw_only=True)
    oddities: Oddities = attrs.field(factory=Oddities, kw_only=True)
    clock: Callable[[], float] = attrs.field(default=time.time, kw_only=True)
    #: When the login was accepted, in seconds since the epoch; None before.
    connected_since: float | None = attrs.field(default=None, init=False)
    _manager: Any = attrs.field(default=None, init=False)
    _protocol: AmiProtocol | None = attrs.field(default=None, init=False)

    async def __aenter__(self) -> Self:
        try:
            await self._connect()
            await self._log_in()
        except BaseException:
            await self.close()
            raise
        self.connected_since = self.clock()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    @property
    def ami_version(self) -> str | None:
        """
        Give the version of the manager interface that the greeting told.
        """
        return self._connection.version or None

    async def close(self) -> None:
        """
        End the connection; what is unanswered fails with `AmiLost`. It is never made again.
        """
        if self._manager is not None:
            self._manager.close()
        if self._protocol is not None:
            self._protocol.close()
            await self._protocol.lost

    async def ask(
        self, action: Mapping[str, str | Sequence[str]], deadline_seconds: float | None = None
    ) -> list[Headers]:
        """
        Send *action* and return its answer: the response, then the rows of a list if it is one.

        Whether the response is an error is for the caller to see. Raises `AmiUnanswered`
        after *deadline_seconds* (default: the keepalive's), `AmiLost` if the connection
        ends first, and ValueError if a value contains a line break.
        """
        protocol = self._connection
        seconds = deadline_seconds or self.settings.keepalive_deadline_seconds
        question = Action(dict(action))
        name = str(question.get("Action", ""))
        future = self._manager.send_action(question)
        try:
            async with asyncio.timeout(seconds):
                answer = await future
        except TimeoutError:
            raise AmiUnanswered(self.settings.address, name, seconds) from None
        except ConnectionError as error:
            raise AmiLost(self.settings.address, str(error)) from None
        finally:
            protocol.forget(question)
        messages = answer if isinstance(answer, list) else [answer]
        return [
            {name: value for name, value in message.items() if name != "content"}
            for message in messages
        ]

    async def list_channels(self, deadline_seconds: float | None = None) -> list[ChannelRow]:
        """
        Ask which channels there are now.

        Raises `AmiActionRefused` if the user may not ask (it needs ``write = system`` or
        ``reporting``), else as `ask`. A channel that ends while the list is on its way may
        stand in it although its Hangup was already told.
        """
        return await self._list("CoreShowChannels", "CoreShowChannel", deadline_seconds)

    async def list_statuses(self, deadline_seconds: float | None = None) -> list[ChannelRow]:
        """
        Ask for the same channels with the numbers that they dialled; no rows where that is refused.

        ``write = reporting`` allows it, too, so that only something between the bridge and
        Asterisk refuses it alone. Raises as `ask`.
        """
        try:
            return await self._list("Status", "Status", deadline_seconds)
        except AmiActionRefused as error:
            self.oddities.note(str(error))
            return []

    async def _list(
        self, action: str, event: str, deadline_seconds: float | None
    ) -> list[ChannelRow]:
        response, *rows = await self.ask({"Action": action}, deadline_seconds)
        if response.get("Response") != "Success":
            reason = response.get("Message", "no reason given")
            raise AmiActionRefused(self.settings.address, action, reason)
        channels: list[ChannelRow] = []
        for row in rows:
            if row.get("Event") == event:
                try:
                    channels.append(read_channel_row(row))
                except ValueError as error:
                    self.oddities.note(str(error))
        return channels

    async def identify(self) -> PbxIdentity:
        """
        Ask what Asterisk this is; raises as `ask`.
        """
        [settings, *_] = await self.ask({"Action": "CoreSettings"})
        [status, *_] = await self.ask({"Action": "CoreStatus"})
        started = " ".join(
            status[name] for name in ("CoreStartupDate", "CoreStartupTime") if name in status
        )
        return PbxIdentity(
            ami_version=self.ami_version or settings.get("AMIversion"),
            asterisk_version=settings.get("AsteriskVersion") or None,
            system_name=settings.get("SystemName") or None,
            started=started or None,
        )

    async def listen(self) -> NoReturn:
        """
        Keep the connection alive until it is lost, which raises `AmiLost`.

        After *keepalive_seconds* of silence a Ping is sent; a peer that leaves it
        unanswered is gone, whatever TCP thinks.
        """
        protocol = self._connection
        settings = self.settings
        loop = asyncio.get_running_loop()
        while not protocol.lost.done():
            silent_until = protocol.heard_at + settings.keepalive_seconds
            if silent_until > loop.time():
                await asyncio.wait({protocol.lost}, timeout=silent_until - loop.time())
                continue
            try:
                await self.ask({"Action": "Ping"}, settings.keepalive_deadline_seconds)
            except AmiUnanswered as error:
                protocol.hang_up(f"no answer to Ping within {error.seconds:g} s")
                await protocol.lost
        raise AmiLost(settings.address, protocol.lost.result())

    # -- connecting and logging in -------------------------------------------------

    @property
    def _connection(self) -> AmiProtocol:
        if self._protocol is None:
            raise AmiLost(self.settings.address, "not connected")
        return self._protocol

    async def _connect(self) -> None:
        settings = self.settings
        seconds = settings.connect_timeout_seconds
        try:
            async with asyncio.timeout(seconds):
                await self._dial()
                greeting = await self._greeting()
        except AmiLost:
            raise
        except TimeoutError:
            raise AmiLost(settings.address, self._silence(seconds)) from None
        except (OSError, UnicodeError) as error:
            raise AmiLost(settings.address, _why_unreachable(error)) from error
        if not greeting.startswith(_GREETING):
            # The secret is not for whoever this is.
            raise AmiLost(settings.address, f"not Asterisk's manager: it says {greeting[:60]!r}")

    async def _dial(self) -> None:
        """
        Open the connection and hand it to a Manager, which has never heard of the host.
        """
        loop = asyncio.get_running_loop()
        settings, tls = self.settings, self.settings.tls
        factory = functools.partial(
            AmiProtocol,
            self.on_events,
            self.on_bytes,
            oddities=self.oddities,
            clock=self.clock,
        )
        context = None if tls is None else _tls_context(tls)
        addresses = await loop.getaddrinfo(settings.host, settings.port, type=socket.SOCK_STREAM)
        connected = await start_connection(addresses, happy_eyeballs_delay=_HAPPY_EYEBALLS_SECONDS)
        transport, self._protocol = await loop.create_connection(
            factory,
            sock=connected,
            ssl=context,
            server_hostname=None if tls is None else tls.server_name or settings.host,
        )
        self._manager = Manager(
            loop=loop,
            protocol_factory=factory,
            ping_delay=_NEVER_SECONDS,
            ping_interval=_NEVER_SECONDS,
            log=log,
        )
        made = loop.create_future()
        made.set_result((transport, self._protocol))
        self._manager.connection_made(made)

    async def _greeting(self) -> str:
        protocol = self._connection
        await asyncio.wait({protocol.greeting, protocol.lost}, return_when=asyncio.FIRST_COMPLETED)
        if not protocol.greeting.done():
            raise AmiLost(self.settings.address, f"{protocol.lost.result()} before it said a word")
        return protocol.greeting.result()

    def _silence(self, seconds: float) -> str:
        if self._protocol is None:
            return f"no connection within {seconds:g} s"
        return f"connected, but it said nothing within {seconds:g} s: is this the manager's port?"

    async def _log_in(self) -> None:
        settings = self.settings
        proof = {"Secret": settings.secret}
        if settings.challenge:
            answer = await self._ask_in({"Action": "Challenge", "AuthType": "MD5"})
            proof = {"AuthType": "MD5", "Key": _key(answer.get("Challenge", ""), settings.secret)}
        await self._ask_in(
            {
                "Action": "Login",
                "Username": settings.username,
                "Events": settings.events,
                **proof,
            }
        )

    async def _ask_in(self, action: dict[str, str]) -> Headers:
        """
        Ask something at the door, where an error means that the login is refused.
        """
        [answer, *_] = await self.ask(action, self.settings.connect_timeout_seconds)
        if answer.get("Response") != "Success":
            reason = answer.get("Message") or "no reason given"
            if action["Action"] == "Challenge":
                reason += " (with challenge = false the bridge logs in without one)"
            raise AmiLoginRefused(self.settings.address, self.settings.username, reason)
        return answer


def _tls_context(settings: TlsSettings) -> ssl.SSLContext:
    """
    Make what judges the certificate of Asterisk.
    """
    try:
        context = ssl.create_default_context(cafile=settings.ca_file)
    except OSError as error:
        raise OSError(f"the CA file {settings.ca_file}: {error.strerror or error}") from error
    if settings.verification is TlsVerification.NONE:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _key(challenge: str, secret: str) -> str:
    """
    Prove the secret as Asterisk demands it: MD5 of the challenge and the secret.
    """
    text = (challenge + secret).encode("utf-8", "surrogateescape")
    return hashlib.md5(text, usedforsecurity=False).hexdigest()


def _why_unreachable(error: Exception) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        hint = "see ca_file and server_name in [asterisk.tls]"
        return f"its TLS certificate is not trusted: {error.verify_message.rstrip('.')}; {hint}"
    if isinstance(error, ssl.SSLError):
        return f"TLS failed ({error.reason or error}): is this the manager's TLS port?"
    if isinstance(error, UnicodeError):
        return "this is no host name"
    if isinstance(error, OSError) and error.errno and not isinstance(error, socket.gaierror):
        return os.strerror(error.errno)
    return str(getattr(error, "strerror", None) or error)
