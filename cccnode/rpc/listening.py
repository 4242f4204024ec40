"""Connections of the public port: how many one address may have, how long the first request may take; TLS that reloads.

All of it comes before a request exists, so that a connection that says nothing costs nothing but itself.
"""

import asyncio
import ssl
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final

from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from cccnode.types import errors
from cccnode.types.errors import Fault, fault

KEEPALIVE_S: Final = 75.0
"""How long a connection without a request stays."""
RELOAD_S: Final = 10.0
"""How often the certificate files are looked at."""


class Doorkeeper(web.Server):
    """An HTTP server that counts connections by address and drops those that never ask."""

    def __init__(
        self,
        page: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]],
        *,
        per_address_max: int,
        first_request_s: float,
        is_free: Callable[[str | None], bool],
        **options: Any,
    ) -> None:
        """Serve `page`; connections of addresses that `is_free` are not counted."""
        super().__init__(page, access_log=None, keepalive_timeout=KEEPALIVE_S, **options)
        self._per_address_max = per_address_max
        self._first_request_s = first_request_s
        self._is_free = is_free
        self._addresses: Counter[str] = Counter()
        self._counted: dict[int, str] = {}
        self._silent: dict[int, asyncio.TimerHandle] = {}
        self.refused = 0
        """Connections dropped because their address had enough."""

    def connection_made(self, handler: RequestHandler, transport: asyncio.Transport) -> None:
        """Count it, or drop it."""
        super().connection_made(handler, transport)
        remote = _host(transport)
        loop = asyncio.get_running_loop()
        self._silent[id(handler)] = loop.call_later(self._first_request_s, transport.abort)
        if remote is None or self._is_free(remote):
            return
        if self._addresses[remote] >= self._per_address_max:
            self.refused += 1
            transport.abort()
            return
        self._addresses[remote] += 1
        self._counted[id(handler)] = remote

    def connection_lost(self, handler: RequestHandler, exc: BaseException | None = None) -> None:
        """Forget it."""
        super().connection_lost(handler, exc)
        self.heard(handler)
        remote = self._counted.pop(id(handler), None)
        if remote is not None:
            self._addresses[remote] -= 1
            if not self._addresses[remote]:
                del self._addresses[remote]

    def heard(self, handler: object) -> None:
        """A whole request head has come over this connection."""
        timer = self._silent.pop(id(handler), None)
        if timer is not None:
            timer.cancel()


class Certificate:
    """The TLS identity of the public port, read again when its files change: new connections get the new one."""

    def __init__(self, chain: Path, key: Path, *, on_failure: Callable[[str, Exception], None] | None = None) -> None:
        """Load it.

        Raises:
            Fault: `rpc/TLS_FILES` naming what is wrong.
        """
        self._files = (chain, key)
        self._on_failure = on_failure
        self._timer: asyncio.TimerHandle | None = None
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.minimum_version = ssl.TLSVersion.TLSv1_2
        self._seen = self._stamp()
        self._load()

    def start(self) -> None:
        """Look at the files from now on."""
        self._timer = asyncio.get_running_loop().call_later(RELOAD_S, self._again)

    def stop(self) -> None:
        """Look no more."""
        if self._timer is not None:
            self._timer.cancel()

    def refresh(self) -> bool:
        """Read the files if they have changed; whether they had.  What does not load leaves the old one in use."""
        stamp = self._stamp()
        if stamp == self._seen:
            return False
        self._seen = stamp
        try:
            self._load()
        except Fault as error:
            if self._on_failure is not None:
                self._on_failure("tls", error)
        return True

    def _again(self) -> None:
        self.refresh()
        self.start()

    def _load(self) -> None:
        chain, key = self._files
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(chain, key, password=_no_password)
            self.context.load_cert_chain(chain, key, password=_no_password)
        except (OSError, ValueError) as error:
            raise fault(errors.RPC_TLS_FILES, chain=str(chain), key=str(key), why=str(error)) from error

    def _stamp(self) -> tuple[object, ...]:
        try:
            return tuple((file.stat().st_mtime_ns, file.stat().st_size) for file in self._files)
        except OSError as error:
            return (str(error),)


def _no_password() -> str:
    """A node starts without a person: an encrypted key is refused instead of asked for."""
    raise ValueError("the key is encrypted; give one that is not")


def _host(transport: asyncio.Transport) -> str | None:
    name = transport.get_extra_info("peername")
    return str(name[0]) if isinstance(name, tuple) else None
