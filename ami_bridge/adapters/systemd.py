"""
Talks to systemd's service manager: readiness, status, watchdog.

The protocol is one datagram per message to the socket named in NOTIFY_SOCKET, see
sd_notify(3). Without that variable nothing is sent and nothing is wrong.
"""

import os
import socket
from collections.abc import Mapping


class ServiceManager:
    """
    The systemd that started this process, if one did.
    """

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        address = environ.get("NOTIFY_SOCKET", "")
        # A name that begins with @ is in Linux's abstract namespace.
        self._address = "\0" + address[1:] if address.startswith("@") else address
        microseconds = environ.get("WATCHDOG_USEC", "")
        meant = environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        #: Seconds within which a sign of life is expected; None without a watchdog.
        self.watchdog_seconds = (
            int(microseconds) / 1e6 if microseconds.isdigit() and meant else None
        )

    @property
    def present(self) -> bool:
        """
        Tell whether systemd listens.
        """
        return bool(self._address)

    def ready(self, status: str) -> None:
        """
        Say that the service is up.
        """
        self._notify("READY=1", f"STATUS={status}")

    def status(self, status: str) -> None:
        """
        Say in one line how the service is; ``systemctl status`` shows it.
        """
        self._notify(f"STATUS={status}")

    def alive(self) -> None:
        """
        Give the watchdog its sign of life.
        """
        self._notify("WATCHDOG=1")

    def stopping(self) -> None:
        """
        Say that the service is on its way out.
        """
        self._notify("STOPPING=1")

    def _notify(self, *lines: str) -> None:
        if not self._address:
            return
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as door:
            try:
                door.sendto("\n".join(lines).encode(), self._address)
            except OSError:
                # A service manager that does not listen must not stop the service.
                return
