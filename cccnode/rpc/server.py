"""The two HTTP ports of a node: `/rpc`, `/ws`, `/v1` and documents for everybody, health and metrics on loopback.

Limits come first: how many requests are answered at once, how many bytes one body and all bodies together may have,
how long a body may take to arrive.  Every refusal is a JSON-RPC error with a name; nothing is ever a bare 500.
"""

import asyncio
import errno
import ssl
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from aiohttp import web

from cccnode.config import OpsSection, RpcSection, split_address
from cccnode.rpc import envelopes
from cccnode.rpc.backend import Backend
from cccnode.rpc.clock import CLOCK_PATH, Clock, send_clock
from cccnode.rpc.copies import BACKUP_PATH, Copier, send_copy
from cccnode.rpc.dispatch import Asker, Dispatcher, OnFailure
from cccnode.rpc.documents import OPENAPI_PATH, OPENRPC_PATH
from cccnode.rpc.downloads import Downloads
from cccnode.rpc.gate import Bucket, Gate, rate_headers, retry_after
from cccnode.rpc.health import Health
from cccnode.rpc.incidents import INCIDENT_PATH, Incidents, send_incident
from cccnode.rpc.levels import LOG_PATH, send_level
from cccnode.rpc.listening import Certificate, Doorkeeper
from cccnode.rpc.origins import Origins
from cccnode.rpc.photos import SNAPSHOT_PATH, Photographer, send_snapshot
from cccnode.rpc.rest import PREFIX, PROBLEM_TYPE, Routes, parameters, problem, status_of
from cccnode.rpc.sockets import SOCKET_PATH, Connection, Sockets
from cccnode.rpc.streams import EVENTS_PATH, EventStreams, SocketEvents
from cccnode.types import errors
from cccnode.types.errors import Fault, fault

RPC_PATH: Final = "/rpc"
_LINGER_S: Final = 1.0
"""How long a refused client may go on sending before the link closes, so that it sees why; also the end of a stop."""
PAGE_UNITS: Final = 10
"""Cost of a document or a file."""
UNIT_BYTES: Final = 64 * 1024
"""Bytes of a request that cost one unit."""
_JSON: Final = "application/json"
_PROMETHEUS: Final = "text/plain; version=0.0.4; charset=utf-8"
_USAGE: Final = "POST /rpc (JSON-RPC 2.0), GET /ws, /v1/..., /openrpc.json, /openapi.json or /genesis.json"
_OPS_USAGE: Final = (
    "GET /livez, /readyz or /metrics, POST /incident, /snapshot or /backup, or either of /log and /clock"
)

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
        clock: Clock | None = None,
        on_failure: OnFailure | None = None,
    ) -> None:
        """A server for `backend`; without `ops` there is no second port (tests); anyone may GET `files`, by path.

        `clock` is the city clock of a demo network.
        """
        self.dispatcher = Dispatcher(backend, rpc, on_failure=on_failure)
        self.downloads = Downloads(files or {})
        self.rpc_address = ""
        """`host:port` really bound."""
        self.ops_address = ""
        self._origins = Origins(rpc.cors_origins)
        self.streams = EventStreams(
            self.dispatcher.events,
            streams_max=rpc.streams_max,
            gauge=backend.metrics.rpc_streams,
            headers=self._origins.headers,
        )
        self.dispatcher.socket_calls.update(SocketEvents(self.dispatcher.events).calls)
        self.sockets = Sockets(self, rpc)
        self._routes = Routes(self.dispatcher.methods.values())
        self.pages: dict[tuple[str, str], Page] = {
            ("GET", OPENRPC_PATH): self._openrpc,
            ("GET", OPENAPI_PATH): self._openapi,
            ("GET", EVENTS_PATH): self.streams.get,
        }
        """Pages of the public port by verb and path; a `Fault` that one raises becomes a refusal."""
        self._health = Health(backend)
        self._incidents, self._photographer, self._copier = incidents, photographer, copier
        self._clock = clock
        self._metrics = backend.metrics
        self._limits = rpc
        self._gate = Gate(rpc, lambda: asyncio.get_running_loop().time())
        self._on_failure = on_failure
        self.door: Doorkeeper | None = None
        """Whoever is connected to the public port."""
        self.certificate: Certificate | None = None
        """Its TLS identity, when it has one."""
        self._ops = ops
        self._answering = 0
        self._inflight_bytes = 0
        self._runners: list[web.ServerRunner] = []

    async def start(self) -> None:
        """Listen on both ports.

        Raises:
            Fault: `home/PORT_IN_USE` naming the address.
        """
        self.rpc_address = await self._listen(self._public(), self._limits.listen, tls=self._start_tls())
        if self._ops is not None:
            ops = web.Server(self._ops_page, auto_decompress=False, access_log=None, lingering_time=_LINGER_S)
            self.ops_address = await self._listen(ops, self._ops.listen)

    async def stop(self) -> None:
        """Stop listening; requests being answered are cancelled after a moment."""
        if self.certificate is not None:
            self.certificate.stop()
        await self.sockets.stop()
        while self._runners:
            await self._runners.pop().cleanup()

    def _public(self) -> Doorkeeper:
        self.door = Doorkeeper(
            self._rpc_page,
            per_address_max=self._limits.connections_per_address_max,
            first_request_s=self._limits.read_timeout_ms / 1000,
            is_free=self._gate.free_of_limits,
            auto_decompress=False,
            lingering_time=_LINGER_S,
        )
        return self.door

    def _start_tls(self) -> ssl.SSLContext | None:
        """Raises `rpc/TLS_FILES`."""
        if not self._limits.tls_cert:
            return None
        files = Path(self._limits.tls_cert), Path(self._limits.tls_key)
        self.certificate = Certificate(*files, on_failure=self._on_failure)
        self.certificate.start()
        return self.certificate.context

    async def _listen(self, server: web.Server, address: str, *, tls: ssl.SSLContext | None = None) -> str:
        runner = web.ServerRunner(server, shutdown_timeout=_LINGER_S)
        await runner.setup()
        self._runners.append(runner)
        host, port = split_address(address)
        try:
            await web.TCPSite(runner, host, port, ssl_context=tls).start()
        except OSError as error:
            await self.stop()
            if error.errno == errno.EADDRINUSE:
                raise fault(errors.PORT_IN_USE, address=address) from error
            raise fault(errors.LISTEN_FAILED, address=address, why=error.strerror or str(error)) from error
        bound = runner.addresses[0]
        return f"[{bound[0]}]:{bound[1]}" if ":" in bound[0] else f"{bound[0]}:{bound[1]}"

    # -- the public port ---------------------------------------------------------------------------------------------

    async def _rpc_page(self, request: web.BaseRequest) -> web.StreamResponse:
        if self.door is not None:
            self.door.heard(request.protocol)
        bucket = None
        try:
            if request.method == "OPTIONS":
                response: web.StreamResponse = self._origins.preflight(request)
            else:
                bucket = self._gate.bucket(request)
                self._gate.take(bucket, 0)
                response = await self._page(request, bucket)
        except Fault as refusal:
            response = _refuse_rest(refusal) if request.path.startswith(PREFIX) else _refuse(refusal)
            if refusal.spec is errors.RPC_RATE_LIMITED:
                response.headers["Retry-After"] = retry_after(refusal)
        if not response.prepared:
            response.headers.update({**rate_headers(bucket), **self._origins.headers(request)})
        return response

    async def _page(self, request: web.BaseRequest, bucket: Bucket | None) -> web.StreamResponse:
        """The answer to one request.  Raises `Fault` for what is refused before JSON-RPC."""
        what = (request.method, request.path)
        if what == ("POST", RPC_PATH):
            return await self._rpc(request, bucket)
        if what == ("GET", SOCKET_PATH):
            self._origins.check(request)
            return await self.sockets.serve(request, bucket)
        page = self.pages.get(what)
        if page is not None:
            self._gate.take(bucket, PAGE_UNITS)
            return await page(request)
        if request.method == "GET" and self.downloads.has(request.path):
            self._gate.take(bucket, PAGE_UNITS)
            return await self.downloads.send(request)
        if request.path.startswith(PREFIX):
            return await self._rest(request, bucket)
        raise fault(errors.RPC_HTTP, method=request.method, path=request.path[:64], usage=_USAGE)

    async def _rpc(self, request: web.BaseRequest, bucket: Bucket | None) -> web.StreamResponse:
        """`POST /rpc`."""
        if "Content-Encoding" in request.headers:
            raise fault(errors.RPC_HTTP, usage="send the body without Content-Encoding")
        body = bytearray()
        with self._turn():
            try:
                await self._read(request, body)
                self._gate.take(bucket, _weight(body))
                answer = await self.dispatcher.answer(bytes(body), self._asker(bucket))
            finally:
                self._inflight_bytes -= len(body)
        if answer is None:
            return web.Response(status=204)
        return web.Response(body=answer, content_type=_JSON)

    def _asker(self, bucket: Bucket | None, connection: Connection | None = None) -> Asker:
        return Asker(connection=connection, charge=lambda units: self._gate.take(bucket, units))

    async def answer(self, body: bytes, connection: Connection) -> bytes | None:
        """The answer to one text of a WebSocket, within the same limits as a body."""
        try:
            self._gate.take(connection.bucket, _weight(body))
            with self._turn():
                return await self.dispatcher.answer(body, self._asker(connection.bucket, connection))
        except Fault as refusal:
            return envelopes.encode(envelopes.failure(None, refusal))

    async def _rest(self, request: web.BaseRequest, bucket: Bucket | None) -> web.StreamResponse:
        """`GET /v1/...`."""
        found = self._routes.find(request.rel_url.raw_path)
        if found is None:
            raise fault(errors.NOT_FOUND, path=request.path[:64])
        if request.method != "GET":
            raise fault(errors.RPC_HTTP, method=request.method, usage="GET")
        route, texts = found
        query = list(request.query.items())
        with self._turn():
            value = await self.dispatcher.read(
                route.method.name, lambda: parameters(route, texts, query), self._asker(bucket)
            )
        return web.Response(body=envelopes.encode(value), content_type=_JSON)

    async def _openrpc(self, _request: web.BaseRequest) -> web.StreamResponse:
        return web.Response(body=envelopes.encode(self.dispatcher.document()), content_type=_JSON)

    async def _openapi(self, _request: web.BaseRequest) -> web.StreamResponse:
        return web.Response(body=envelopes.encode(self.dispatcher.paths()), content_type=_JSON)

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """Count one request being answered.  Raises `rpc/BUSY` when there are enough."""
        if self._answering >= self._limits.requests_max + self.dispatcher.waiting:
            raise fault(errors.RPC_BUSY, answering=self._answering)
        self._answering += 1
        try:
            with self._metrics.rpc_seconds.time():
                yield
        finally:
            self._answering -= 1

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
        if request.path == CLOCK_PATH and request.method in {"GET", "POST"}:
            return await send_clock(request, self._clock)
        if request.method != "POST":
            return None
        if request.path == INCIDENT_PATH and self._incidents is not None:
            return await send_incident(request, self._incidents)
        if request.path == SNAPSHOT_PATH and self._photographer is not None:
            return await send_snapshot(request, self._photographer)
        if request.path == BACKUP_PATH and self._copier is not None:
            return await send_copy(request, self._copier)
        return None


def _weight(body: bytes | bytearray) -> int:
    """Cost units of reading a request, whatever it asks."""
    return 1 + len(body) // UNIT_BYTES


def _refuse_rest(refusal: Fault) -> web.Response:
    """A refusal or an error of `GET /v1/...`: RFC 9457."""
    status = status_of(refusal.spec)
    return web.Response(body=envelopes.encode(problem(refusal)), content_type=PROBLEM_TYPE, status=status)


def _refuse(refusal: Fault) -> web.Response:
    """A refusal before JSON-RPC: the usual envelope, with the HTTP status that proxies understand; the link closes."""
    response = web.Response(
        body=envelopes.encode(envelopes.failure(None, refusal)),
        content_type=_JSON,
        status=status_of(refusal.spec),
    )
    if refusal.spec is not errors.RPC_RATE_LIMITED:
        response.force_close()
    return response
