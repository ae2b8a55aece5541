"""
Asks the running bridge, over its Unix socket: for the command line.
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import aiohttp

from ami_bridge.config.control import SYSTEM_SOCKET, default_socket
from ami_bridge.errors import BridgeRefused, BridgeUnreachable
from ami_bridge.settings import Config

#: A bridge that is busy answers later; one that hangs never.
_TIMEOUT = aiohttp.ClientTimeout(total=30.0)


def socket_of(config: Config) -> Path:
    """
    Find the socket of the bridge that *config* is the configuration of.
    """
    if config.control is None or config.control.socket is None:
        return SYSTEM_SOCKET
    path = config.control.socket
    # The daemon may have been given a runtime directory that this process was not.
    if path == default_socket(os.environ) and not path.exists():
        return SYSTEM_SOCKET
    return path


class ControlClient:
    """
    A way to the bridge that listens at *path*; use it as a context manager.

    All methods raise `BridgeUnreachable` if nobody answers there, and `BridgeRefused` with the
    bridge's own sentence if it does not do what was asked.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        connector = aiohttp.UnixConnector(str(self._path))
        self._session = aiohttp.ClientSession(
            "http://ami-bridge", connector=connector, timeout=_TIMEOUT
        )
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def get(self, path: str, parameters: Mapping[str, str] | None = None) -> Any:
        """
        Get the JSON at *path*.
        """
        return await self._ask("GET", path, parameters=parameters)

    async def post(self, path: str, content: Mapping[str, Any] | None = None) -> Any:
        """
        Post *content* as JSON to *path*; give the JSON of the answer.
        """
        return await self._ask("POST", path, content=content)

    async def _ask(
        self,
        method: str,
        path: str,
        *,
        parameters: Mapping[str, str] | None = None,
        content: Mapping[str, Any] | None = None,
    ) -> Any:
        if self._session is None:
            raise RuntimeError("ControlClient has to be entered before it is used")
        try:
            async with self._session.request(
                method, path, params=parameters, json=content
            ) as response:
                text = await response.text()
        except TimeoutError:
            raise BridgeUnreachable(self._path, "it does not answer in time") from None
        except aiohttp.ClientConnectorError as error:
            raise BridgeUnreachable(self._path, error.strerror or str(error.os_error)) from error
        except (aiohttp.ClientError, OSError) as error:
            raise BridgeUnreachable(self._path, str(error)) from error
        try:
            found: Any = json.loads(text) if text else None
            if response.status >= 400:
                raise BridgeRefused(found["error"]["message"])
        except (ValueError, LookupError, TypeError):
            reason = f"what answers is no bridge of this version: HTTP {response.status}"
            raise BridgeUnreachable(self._path, reason) from None
        return found
