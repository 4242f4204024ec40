"""One HTTP body in, one answer out: parse, find the method, read the parameters, call, wrap.  Knows nothing of HTTP.

A fault of the caller becomes a named error; a fault of ours is logged with its trace and answered as `rpc/INTERNAL`.
"""

import asyncio
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Final

from prometheus_client import Counter

from cccnode.config import RpcSection
from cccnode.rpc import envelopes
from cccnode.rpc.backend import DECIDED, Backend, TxStatus
from cccnode.rpc.documents import Table, openapi, openrpc
from cccnode.rpc.events import EventLog
from cccnode.rpc.methods import Method, Scope, Wait, method_table
from cccnode.rpc.requests import BadCall, Call, decode_params, parse
from cccnode.rpc.sockets import Connection, SocketCall
from cccnode.rpc.values import Json, ValueFault
from cccnode.types import errors
from cccnode.types.errors import Fault, fault

OnFailure = Callable[[str, Exception], None]
_UNKNOWN: Final = "unknown"
"""Label for methods that do not exist: labels come from our table only."""


def _free(_units: int) -> None:
    """Nothing is counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asker:
    """Who sends a request."""

    connection: Connection | None = None
    """The WebSocket over which it came."""
    charge: Callable[[int], None] = _free
    """Takes cost units out of its bucket; raises `rpc/RATE_LIMITED` when that is empty."""


NOBODY: Final = Asker()
SOCKET_CALL_UNITS: Final = 5
"""Cost of a call that only a socket has."""


class Dispatcher:
    """Answers JSON-RPC for one backend."""

    def __init__(self, backend: Backend, limits: RpcSection, *, on_failure: OnFailure | None = None) -> None:
        """Answers with `backend`; `on_failure(method, error)` hears of our own failures."""
        self.methods: Mapping[str, Method] = method_table(backend.registry)
        self.socket_calls: dict[str, SocketCall] = {}
        """Calls that only a WebSocket has, by name: `async def (connection, params in JSON form)`."""
        self._table = Table(self.methods)
        self._backend = backend
        self._limits = limits
        self.events = EventLog(backend)
        self.waiting = 0
        """Calls that wait now."""
        self._count: Counter = backend.metrics.rpc_requests
        self._on_failure = on_failure

    async def answer(self, body: bytes, asker: Asker = NOBODY) -> bytes | None:
        """The answer to one request text; None when nothing is to be answered (notifications only)."""
        try:
            request = parse(body)
        except Fault as error:
            self._record(_UNKNOWN, error.spec.name)
            return envelopes.encode(envelopes.failure(None, error))
        deadline = self._deadline()
        given = [await self._answer_one(call, deadline, asker) for call in request.calls]
        answers = [answer for answer in given if answer is not None]
        if not answers:
            return None
        return envelopes.encode(answers if request.batch else answers[0])

    async def _answer_one(self, call: Call | BadCall, deadline: float, asker: Asker) -> Json | None:
        if isinstance(call, BadCall):
            self._record(_UNKNOWN, call.fault.spec.name)
            return envelopes.failure(None, call.fault)
        try:
            value = await self._recorded(call.method, lambda: decode_params(call.params), deadline, asker)
        except Fault as error:
            return envelopes.failure(call.id, error) if call.answer else None
        return envelopes.result(call.id, value) if call.answer else None

    async def read(self, name: str, params: Callable[[], Json], asker: Asker = NOBODY) -> Json:
        """What a method of the table answers; `params` gives its parameters and may raise `ValueFault`.

        Raises:
            Fault: what the method has to say, or `rpc/INVALID_PARAMS`, or `rpc/INTERNAL`.
        """
        return await self._recorded(name, params, self._deadline(), asker)

    def document(self) -> Json:
        """The OpenRPC document of this node."""
        return openrpc(self._backend.registry, self._table)

    def paths(self) -> Json:
        """The OpenAPI document of this node."""
        return openapi(self._backend.registry, self._table)

    def _deadline(self) -> float:
        return asyncio.get_running_loop().time() + self._limits.wait_ms_max / 1000

    async def _recorded(self, name: str, params: Callable[[], Json], deadline: float, asker: Asker) -> Json:
        known = name if name in self.methods or name in self.socket_calls else _UNKNOWN
        try:
            if asker.connection is not None and name in self.socket_calls:
                asker.charge(SOCKET_CALL_UNITS)
                value = await self.socket_calls[name](asker.connection, params())
            else:
                value = await self._carry_out(name, params, deadline, asker)
        except Fault as error:
            self._record(known, error.spec.name)
            raise
        self._record(known, "ok")
        return value

    async def _carry_out(self, name: str, given: Callable[[], Json], deadline: float, asker: Asker) -> Json:
        method = self.methods.get(name)
        if method is None:
            raise self._no_method(name)

        async def wait(backend: Backend, params: Wait) -> TxStatus:
            return await self._wait(backend, params, deadline)

        try:
            params = method.read(given())
            asker.charge(method.units(params))
            scope = Scope(
                backend=self._backend,
                wait=wait,
                left_ms=lambda wanted: min(wanted, _left_ms(deadline)),
                describe=self.document,
                events=self.events,
                turn=self._turn,
            )
            return await method.handle(scope, params)
        except ValueFault as error:
            raise fault(errors.RPC_INVALID_PARAMS, param=error.where, why=error.why, method=name) from error
        except Fault:
            raise
        except Exception as error:
            # The one place that catches everything: a bug in one handler must not take the answer from the caller.
            if self._on_failure is not None:
                self._on_failure(name, error)
            raise fault(errors.RPC_INTERNAL, method=name) from error

    def _no_method(self, name: str) -> Fault:
        close = get_close_matches(name[:64], self.methods, n=1)
        meant = {"did_you_mean": close[0]} if close else {}
        return fault(errors.RPC_METHOD_NOT_FOUND, method=name[:64], **meant)

    async def _wait(self, backend: Backend, params: Wait, deadline: float) -> TxStatus:
        """Wait for a decision, within the number of waiters and the time of one request.

        Raises:
            Fault: `rpc/BUSY` at once, or `rpc/WAIT_TIMEOUT` when nothing was decided in time.
        """
        left_ms = _left_ms(deadline)
        with self._turn():
            status = await backend.wait(params.tx_id, params.valid_until_ms, min(params.timeout_ms, left_ms))
        if status.phase not in DECIDED:
            raise fault(errors.WAIT_TIMEOUT, tx_id=params.tx_id, state=str(status.phase))
        return status

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """One of the calls that wait."""
        if self.waiting >= self._limits.waiters_max:
            raise fault(errors.RPC_BUSY, waiting=self.waiting)
        self.waiting += 1
        self._backend.metrics.rpc_waiting.set(self.waiting)
        try:
            yield
        finally:
            self.waiting -= 1
            self._backend.metrics.rpc_waiting.set(self.waiting)

    def _record(self, method: str, outcome: str) -> None:
        self._count.labels(method, outcome).inc()


def _left_ms(deadline: float) -> int:
    return max(0, int((deadline - asyncio.get_running_loop().time()) * 1000))
