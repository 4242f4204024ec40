"""One HTTP body in, one answer out: parse, find the method, read the parameters, call, wrap.  Knows nothing of HTTP.

A fault of the caller becomes a named error; a fault of ours is logged with its trace and answered as `rpc/INTERNAL`.
"""

import asyncio
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from typing import Final

from prometheus_client import Counter

from cccnode.config import RpcSection
from cccnode.rpc import envelopes
from cccnode.rpc.backend import DECIDED, Backend, TxStatus
from cccnode.rpc.methods import Method, Scope, Wait, method_table
from cccnode.rpc.requests import BadCall, Call, decode_params, parse
from cccnode.rpc.values import Json, ValueFault
from cccnode.types import errors
from cccnode.types.errors import Fault, fault

OnFailure = Callable[[str, Exception], None]
_UNKNOWN: Final = "unknown"
"""Label for methods that do not exist: labels come from our table only."""


class Dispatcher:
    """Answers JSON-RPC for one backend."""

    def __init__(self, backend: Backend, limits: RpcSection, *, on_failure: OnFailure | None = None) -> None:
        """Answers with `backend`; `on_failure(method, error)` hears of our own failures."""
        self.methods: Mapping[str, Method] = method_table(backend.registry)
        self._backend = backend
        self._limits = limits
        self.waiting = 0
        """Calls of tx_wait that wait now."""
        self._count: Counter = backend.metrics.rpc_requests
        self._on_failure = on_failure

    async def answer(self, body: bytes) -> bytes | None:
        """The answer to one request body; None when nothing is to be answered (notifications only)."""
        try:
            request = parse(body)
        except Fault as error:
            self._record(_UNKNOWN, error.spec.name)
            return envelopes.encode(envelopes.failure(None, error))
        deadline = asyncio.get_running_loop().time() + self._limits.wait_ms_max / 1000
        answers = [answer for call in request.calls if (answer := await self._answer_one(call, deadline)) is not None]
        if not answers:
            return None
        return envelopes.encode(answers if request.batch else answers[0])

    async def _answer_one(self, call: Call | BadCall, deadline: float) -> Json | None:
        if isinstance(call, BadCall):
            self._record(_UNKNOWN, call.fault.spec.name)
            return envelopes.failure(None, call.fault)
        known = call.method in self.methods
        try:
            value = await self._carry_out(call, deadline)
        except Fault as error:
            self._record(call.method if known else _UNKNOWN, error.spec.name)
            return envelopes.failure(call.id, error) if call.answer else None
        self._record(call.method, "ok")
        return envelopes.result(call.id, value) if call.answer else None

    async def _carry_out(self, call: Call, deadline: float) -> Json:
        method = self.methods.get(call.method)
        if method is None:
            raise self._no_method(call.method)

        async def wait(backend: Backend, params: Wait) -> TxStatus:
            return await self._wait(backend, params, deadline)

        try:
            params = method.read(decode_params(call.params))
            scope = Scope(backend=self._backend, wait=wait, left_ms=lambda wanted: min(wanted, _left_ms(deadline)))
            return await method.handle(scope, params)
        except ValueFault as error:
            raise fault(errors.RPC_INVALID_PARAMS, param=error.where, why=error.why, method=call.method) from error
        except Fault:
            raise
        except Exception as error:
            # The one place that catches everything: a bug in one handler must not take the answer from the caller.
            if self._on_failure is not None:
                self._on_failure(call.method, error)
            raise fault(errors.RPC_INTERNAL, method=call.method) from error

    def _no_method(self, name: str) -> Fault:
        close = get_close_matches(name[:64], self.methods, n=1)
        meant = {"did_you_mean": close[0]} if close else {}
        return fault(errors.RPC_METHOD_NOT_FOUND, method=name[:64], **meant)

    async def _wait(self, backend: Backend, params: Wait, deadline: float) -> TxStatus:
        """Wait for a decision, within the number of waiters and the time of one request.

        Raises:
            Fault: `rpc/BUSY` at once, or `rpc/WAIT_TIMEOUT` when nothing was decided in time.
        """
        if self.waiting >= self._limits.waiters_max:
            raise fault(errors.RPC_BUSY, waiting=self.waiting)
        left_ms = _left_ms(deadline)
        self.waiting += 1
        backend.metrics.rpc_waiting.set(self.waiting)
        try:
            status = await backend.wait(params.tx_id, params.valid_until_ms, min(params.timeout_ms, left_ms))
        finally:
            self.waiting -= 1
            backend.metrics.rpc_waiting.set(self.waiting)
        if status.phase not in DECIDED:
            raise fault(errors.WAIT_TIMEOUT, tx_id=params.tx_id, state=str(status.phase))
        return status

    def _record(self, method: str, outcome: str) -> None:
        self._count.labels(method, outcome).inc()


def _left_ms(deadline: float) -> int:
    return max(0, int((deadline - asyncio.get_running_loop().time()) * 1000))
