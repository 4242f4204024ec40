"""Sending so that each transaction happens exactly once, whatever happens to connections and nodes.

A transaction has one id, and is decided at most once until its deadline; after the deadline any node can say that it
never will be.  So a `Sender` repeats the same bytes, to the same node or another, until somebody knows the decision.
It signs the same messages anew only after a node said `expired`.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from types import TracebackType
from typing import Any, Final, Self

from cccnode.client.accounts import Signer
from cccnode.client.calls import FEE_MAX, LIFETIME_MS, Client, Signed, to_hex, wall_ms
from cccnode.client.failures import ClientError, local_error
from cccnode.codec import Noun
from cccnode.types import errors
from cccnode.types.limits import RPC_BATCH_MAX

WAIT_MS: Final = 20_000
"""Asked of one node at a time; then the bytes are sent again, in case that node has lost them."""
PATIENCE_MS: Final = 60_000
"""So long after the deadline somebody must know what became of a transaction."""
PAUSE_S_MIN: Final = 0.05
PAUSE_S_MAX: Final = 5.0
"""Between attempts: doubled each time, and by chance up to half shorter, so that clients do not come in step."""
SIGNED_ANEW_MAX: Final = 3
"""Times that the same messages are signed again after they expired."""

_TAKEN: Final = frozenset({errors.TX_DUPLICATE.name, errors.POOL_PENDING.name})
"""Refusals that mean: I have it."""
_UNCLEAR: Final = frozenset(
    {errors.UNREACHABLE.name, errors.BAD_ANSWER.name, errors.RPC_TIMEOUT.name, errors.RPC_INTERNAL.name}
)
"""Errors after which nobody knows whether the node has it."""
_PASSING: Final = _UNCLEAR | {errors.WAIT_TIMEOUT.name}


class Sender:
    """An account's transactions, on their way to one node or to the first of several that answers.

    Any number of tasks may use it at the same time; what they send meanwhile goes in one call.
    """

    def __init__(
        self,
        nodes: Client | Sequence[Client],
        signer: Signer,
        *,
        fee_max: int = FEE_MAX,
        lifetime_ms: int = LIFETIME_MS,
        patience_ms: int = PATIENCE_MS,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """Send for `signer` through `nodes`; every transaction may wait `lifetime_ms` to be executed."""
        self._nodes = [nodes] if isinstance(nodes, Client) else list(nodes)
        self._signer, self._fee_max, self._lifetime_ms = signer, fee_max, lifetime_ms
        self._patience_ms, self._pause = patience_ms, pause
        self._at = 0
        self._waiting: list[tuple[bytes, asyncio.Future[ClientError | None]]] = []
        self._flushing: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        """Use it in `async with`."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the clients."""
        for node in self._nodes:
            await node.close()

    async def send(self, messages: Sequence[Noun]) -> dict[str, Any]:
        """Sign messages, send them, and wait for the decision: its status, `executed` or, after all, `expired`.

        Raises:
            ClientError: a node refused it before anybody had it, or `client/UNDECIDED`.
        """
        status = await self.deliver(await self.sign(messages))
        for _ in range(SIGNED_ANEW_MAX):
            if status["state"] != "expired":
                break
            status = await self.deliver(await self.sign(messages))
        return status

    async def sign(self, messages: Sequence[Noun]) -> Signed:
        """A transaction that is not sent yet: keep its bytes to go on after a crash with `deliver`."""
        until = wall_ms() + self._lifetime_ms
        return await self._asking(
            lambda node: node.sign(self._signer, messages, valid_until_ms=until, fee_max=self._fee_max), until
        )

    async def deliver(self, signed: Signed) -> dict[str, Any]:
        """Send these bytes until somebody knows what became of them: the status.

        Raises:
            ClientError: a node refused them before anybody had them, or `client/UNDECIDED`.
        """
        unclear = False
        pauses = _Pauses(self._pause)
        while True:
            try:
                refusal = None if unclear and _past(signed) else await self._submit(signed.raw)
                if refusal is not None and refusal.name == errors.TX_EXPIRED.name and not unclear:
                    return {"tx_id": to_hex(signed.tx_id), "state": "expired"}
                if refusal is not None and refusal.name not in _TAKEN and (refusal.retryable or not unclear):
                    raise refusal
                unclear = True  # From here on somebody may have it, whatever he says later.
                return await self._node.wait(signed.tx_id, valid_until_ms=signed.valid_until_ms, timeout_ms=WAIT_MS)
            except ClientError as error:
                unclear = unclear or error.name in _UNCLEAR
                if not (error.retryable or error.name in _PASSING):
                    raise
                if wall_ms() > signed.valid_until_ms + self._patience_ms:
                    raise _undecided(signed, error) from error
                self._at += error.name != errors.WAIT_TIMEOUT.name
            await pauses.next()

    @property
    def _node(self) -> Client:
        return self._nodes[self._at % len(self._nodes)]

    async def _asking(self, ask: Callable[[Client], Awaitable[Signed]], until_ms: int) -> Signed:
        """What the first node says that answers before `until_ms`."""
        pauses = _Pauses(self._pause)
        while True:
            try:
                return await ask(self._node)
            except ClientError as error:
                if not error.retryable or wall_ms() > until_ms:
                    raise
                self._at += 1
            await pauses.next()

    async def _submit(self, raw: bytes) -> ClientError | None:
        """Hand it in together with what others hand in now; the node's refusal."""
        answered: asyncio.Future[ClientError | None] = asyncio.get_running_loop().create_future()
        self._waiting.append((raw, answered))
        if self._flushing is None:
            self._flushing = asyncio.get_running_loop().create_task(self._flush())
        return await answered

    async def _flush(self) -> None:
        try:
            while self._waiting:
                some, self._waiting = self._waiting[:RPC_BATCH_MAX], self._waiting[RPC_BATCH_MAX:]
                await self._submit_some(some)
        finally:
            self._flushing = None

    async def _submit_some(self, some: list[tuple[bytes, "asyncio.Future[ClientError | None]"]]) -> None:
        try:
            answers = [sent.error for sent in await self._node.submit_batch([raw for raw, _ in some])]
        except ClientError as error:
            for _, answered in some:
                if not answered.done():
                    answered.set_exception(_copy(error))
            return
        for (_, answered), refusal in zip(some, answers, strict=True):
            if not answered.done():
                answered.set_result(refusal)


class _Pauses:
    """Longer and longer ones."""

    def __init__(self, pause: Callable[[float], Awaitable[None]]) -> None:
        self._pause, self._seconds = pause, PAUSE_S_MIN

    async def next(self) -> None:
        """The next one."""
        await self._pause(self._seconds * random.uniform(0.5, 1))  # noqa: S311 - spreads load, guards nothing
        self._seconds = min(2 * self._seconds, PAUSE_S_MAX)


def _past(signed: Signed) -> bool:
    return wall_ms() >= signed.valid_until_ms


def _copy(error: ClientError) -> ClientError:
    """One for each who is told: an exception object collects the traces of all who raise it."""
    return ClientError(
        name=error.name,
        code=error.code,
        text=error.text,
        hint=error.hint,
        retryable=error.retryable,
        text_th=error.text_th,
        hint_th=error.hint_th,
        details=error.details,
    )


def _undecided(signed: Signed, last: ClientError) -> ClientError:
    return local_error(
        errors.UNDECIDED, tx_id=to_hex(signed.tx_id), valid_until_ms=signed.valid_until_ms, last=str(last)
    )
