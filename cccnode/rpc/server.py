"""The two HTTP ports of a node: `POST /rpc` and the genesis document for everybody, health and metrics on loopback.

Limits come first: how many requests are answered at once, how many bytes one body and all bodies together may have,
how long a body may take to arrive.  Every refusal is a JSON-RPC error with a name; nothing is ever a bare 500.
"""

import asyncio
import errno
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Final

from aiohttp import web

from cccnode.config import OpsSection, RpcSection, split_address
from cccnode.rpc import envelopes
from cccnode.rpc.backend import Backend
from cccnode.rpc.copies import BACKUP_PATH, Copier, send_copy
from cccnode.rpc.dispatch import Dispatcher, OnFailure
from cccnode.rpc.downloads import Downloads
from cccnode.rpc.health import Health
from cccnode.rpc.incidents import INCIDENT_PATH, Incidents, send_incident
from cccnode.rpc.levels import LOG_PATH, send_level
from cccnode.rpc.photos import SNAPSHOT_PATH, Photographer, send_snapshot
from cccnode.types import errors
from cccnode.types.errors import ErrorSpec, Fault, fault

RPC_PATH: Final = "/rpc"
_LINGER_S: Final = 1.0
"""How long a refused client may go on sending before the link closes, so that it sees why; also the end of a stop."""
_JSON: Final = "application/json"
_PROMETHEUS: Final = "text/plain; version=0.0.4; charset=utf-8"
_STATUS_OF: Final[Mapping[ErrorSpec, int]] = {
    errors.RPC_BUSY: 503,
    errors.OVERSIZE: 413,
    errors.RPC_TIMEOUT: 408,
    errors.RPC_HTTP: 405,
    errors.NOT_FOUND: 404,
    errors.INCIDENT_BUSY: 503,
    errors.INCIDENT_NOTHING: 409,
    errors.SNAPSHOT_BUSY: 503,
    errors.BACKUP_BUSY: 503,
}
"""HTTP status of the refusals that come before JSON-RPC; everything JSON-RPC answers is 200."""
_USAGE: Final = "send a JSON-RPC 2.0 request with POST /rpc, or GET /genesis.json"
_OPS_USAGE: Final = "GET /livez, /readyz, /metrics or /log, or POST /incident, /snapshot, /backup or /log"

Page = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


class RpcServer:
    """Listens on both ports while the node runs."""

    def __init__(
        self,
        backend: Backend,
        rpc: RpcSection,
        ops: OpsSection | None,
        *,
        files: Mapping[str, Path] | None = None,
        incidents: Incidents | None = None,
        photographer: Photographer | None = None,
        copier: Copier | None = None,
        on_failure: OnFailure | None = None,
    ) -> None:
        """A server for `backend`; without `ops` there is no second port (tests); anyone may GET `files`, by path."""
        self.dispatcher = Dispatcher(backend, rpc, on_failure=on_failure)
        self.downloads = Downloads(files or {})
        self.rpc_address = ""
        """`host:port` really bound."""
        self.ops_address = ""
        self._health = Health(backend)
        self._incidents, self._photographer, self._copier = incidents, photographer, copier
        self._metrics = backend.metrics
        self._limits = rpc
        self._ops = ops
        self._answering = 0
        self._inflight_bytes = 0
        self._runners: list[web.ServerRunner] = []

    async def start(self) -> None:
        """Listen on both ports.

        Raises:
            Fault: `home/PORT_IN_USE` naming the address.
        """
        self.rpc_address = await self._listen(self._rpc_page, self._limits.listen)
        if self._ops is not None:
            self.ops_address = await self._listen(self._ops_page, self._ops.listen)

    async def stop(self) -> None:
        """Stop listening; requests being answered are cancelled after a moment."""
        while self._runners:
            await self._runners.pop().cleanup()

    async def _listen(self, page: Page, address: str) -> str:
        server = web.Server(page, auto_decompress=False, access_log=None, lingering_time=_LINGER_S)
        runner = web.ServerRunner(server, shutdown_timeout=_LINGER_S)
        await runner.setup()
        self._runners.append(runner)
        host, port = split_address(address)
        try:
            await web.TCPSite(runner, host, port).start()
        except OSError as error:
            await self.stop()
            if error.errno == errno.EADDRINUSE:
                raise fault(errors.PORT_IN_USE, address=address) from error
            raise fault(errors.LISTEN_FAILED, address=address, why=error.strerror or str(error)) from error
        bound = runner.addresses[0]
        return f"[{bound[0]}]:{bound[1]}" if ":" in bound[0] else f"{bound[0]}:{bound[1]}"

    # -- the public port ---------------------------------------------------------------------------------------------

    async def _rpc_page(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.method == "GET" and self.downloads.has(request.path):
            try:
                return await self.downloads.send(request)
            except Fault as refusal:
                return _refuse(refusal)
        if request.path != RPC_PATH or request.method != "POST":
            return _refuse(fault(errors.RPC_HTTP, method=request.method, path=request.path[:64], usage=_USAGE))
        if "Content-Encoding" in request.headers:
            return _refuse(fault(errors.RPC_HTTP, usage="send the body without Content-Encoding"))
        if self._answering >= self._limits.requests_max + self.dispatcher.waiting:
            return _refuse(fault(errors.RPC_BUSY, answering=self._answering))
        self._answering += 1
        body = bytearray()
        try:
            with self._metrics.rpc_seconds.time():
                await self._read(request, body)
                answer = await self.dispatcher.answer(bytes(body))
        except Fault as refusal:
            return _refuse(refusal)
        finally:
            self._answering -= 1
            self._inflight_bytes -= len(body)
        if answer is None:
            return web.Response(status=204)
        return web.Response(body=answer, content_type=_JSON)

    async def _read(self, request: web.BaseRequest, body: bytearray) -> None:
        """Read the whole body into `body`, whose bytes count as in flight from the moment they arrive.

        Raises:
            Fault: `core/OVERSIZE`, `rpc/BUSY` or `rpc/TIMEOUT`.
        """
        if (request.content_length or 0) > self._limits.body_bytes_max:
            raise fault(errors.OVERSIZE, bytes=request.content_length, bytes_max=self._limits.body_bytes_max)
        try:
            async with asyncio.timeout(self._limits.read_timeout_ms / 1000):
                async for chunk in request.content.iter_any():
                    body += chunk
                    self._inflight_bytes += len(chunk)
                    if len(body) > self._limits.body_bytes_max:
                        raise fault(errors.OVERSIZE, bytes_max=self._limits.body_bytes_max)
                    if self._inflight_bytes > self._limits.inflight_bytes_max:
                        raise fault(errors.RPC_BUSY, bytes=self._inflight_bytes)
        except TimeoutError as error:
            raise fault(errors.RPC_TIMEOUT, read_timeout_ms=self._limits.read_timeout_ms) from error
        except (web.RequestPayloadError, ConnectionError) as error:
            raise fault(errors.RPC_HTTP, why=str(error)) from error

    # -- the operator's port -----------------------------------------------------------------------------------------

    async def _ops_page(self, request: web.BaseRequest) -> web.StreamResponse:
        try:
            asked = await self._asked(request)
        except Fault as refusal:
            return _refuse(refusal)
        if asked is not None:
            return asked
        match request.method, request.path:
            case "GET", "/livez":
                return web.json_response({"live": True})
            case "GET", "/readyz":
                ready, report = self._health.report(request.query)
                return web.Response(body=envelopes.encode(report), content_type=_JSON, status=200 if ready else 503)
            case "GET", "/metrics":
                return web.Response(body=self._metrics.render(), headers={"Content-Type": _PROMETHEUS})
            case _:
                return _refuse(fault(errors.RPC_HTTP, path=request.path[:64], usage=_OPS_USAGE))

    async def _asked(self, request: web.BaseRequest) -> web.StreamResponse | None:
        """What the operator asks the node to do; None when it is nothing of that.

        Raises:
            Fault: why it is not done.
        """
        if request.path == LOG_PATH and request.method in {"GET", "POST"}:
            return await send_level(request)
        if request.method != "POST":
            return None
        if request.path == INCIDENT_PATH and self._incidents is not None:
            return await send_incident(request, self._incidents)
        if request.path == SNAPSHOT_PATH and self._photographer is not None:
            return await send_snapshot(request, self._photographer)
        if request.path == BACKUP_PATH and self._copier is not None:
            return await send_copy(request, self._copier)
        return None


def _refuse(refusal: Fault) -> web.Response:
    """A refusal before JSON-RPC: the usual envelope, with the HTTP status that proxies understand; the link closes."""
    response = web.Response(
        body=envelopes.encode(envelopes.failure(None, refusal)),
        content_type=_JSON,
        status=_STATUS_OF.get(refusal.spec, 400),
    )
    response.force_close()
    return response
