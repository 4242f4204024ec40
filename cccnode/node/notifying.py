"""What systemd hears of the node (sd_notify): ready, what it does in a line, and that it ends.

The watchdog of systemd is not used: opening a large state or replaying blocks at a start keeps the loop busy for longer
than any useful bound, and a node that is killed then only begins anew.
"""

import os
import socket
from collections.abc import Callable, Mapping

from cccnode.driver.runtime import Runtime

EVERY_MS = 10_000
"""How often the line that `systemctl status` shows is written."""


class Supervisor:
    """The service manager that started this process, if one did."""

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        """Reads NOTIFY_SOCKET; without it nothing is ever sent."""
        address = environment.get("NOTIFY_SOCKET", "")
        self._address = "\0" + address[1:] if address.startswith("@") else address

    def tell(self, **facts: str) -> None:
        """Send facts such as READY="1"; who does not listen is not waited for."""
        if not self._address:
            return
        message = "\n".join(f"{name}={' '.join(text.split())}" for name, text in facts.items())
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as link:
                link.setblocking(False)
                link.sendto(message.encode(), self._address)
        except OSError:
            return  # a supervisor that is gone is no reason for a node to end

    def keep_told(self, runtime: Runtime, line: Callable[[], str]) -> None:
        """Tell `line()` now and from time to time."""
        if not self._address:
            return

        def again() -> None:
            self.tell(STATUS=line())
            runtime.call_later(EVERY_MS, again)

        again()
