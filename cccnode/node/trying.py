"""Transactions looked at without taking them in: what admission would say, and what execution would do."""

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any, Final

from msgspec.structs import replace

from cccnode.driver.replica import Replica, Submitted
from cccnode.ingress import decode_transactions
from cccnode.ledger.transition import Execution
from cccnode.rpc.backend import Simulated
from cccnode.types.errors import POOL_NOT_READY, POOL_PENDING, TX_DUPLICATE, TX_EXPIRED, Fault, fault
from cccnode.types.transaction import Verified

REFUSALS_MAX: Final = 10_000
"""Refusals that are remembered for tx_status, the newest."""


class Trier:
    """Looks at transactions with the eyes of one replica."""

    def __init__(self, replica: Replica) -> None:
        """Bind to it."""
        self._replica = replica
        self._refused: OrderedDict[bytes, Fault] = OrderedDict()

    def check(self, raw: bytes) -> Submitted:
        """See `Backend`."""
        replica = self._replica
        (verdict,) = decode_transactions(replica.registry, replica.chain_id, (raw,))
        if isinstance(verdict, Fault):
            return b"", verdict
        if replica.executor.halted is not None:
            return verdict.id, fault(POOL_NOT_READY, state=replica.executor.halted.spec.name)
        return verdict.id, self._refusal(verdict)

    def simulate(self, raw: bytes) -> Simulated:
        """See `Backend`."""
        replica = self._replica
        (verdict,) = decode_transactions(replica.registry, replica.chain_id, (raw,), _believe)
        if isinstance(verdict, Fault):
            raise verdict
        applied = replica.store.applied
        assert applied is not None, "a running node has a state"
        newest = replica.store.header(applied.height)
        assert newest is not None, "the header of the applied block is kept"
        time_ms = max(applied.time_ms + 1, replica.runtime.wall_ms())
        header = replace(newest, height=applied.height + 1, time_ms=time_ms)
        trial = Execution(
            replica.registry, replica.store.state, replica.window, header, (verdict,), replica.record
        ).trial()
        receipt = trial.receipts[0] if trial.receipts else None
        failure = trial.failure if receipt is not None else self._undecided(verdict, time_ms)
        return Simulated(
            tx_id=verdict.id,
            height=header.height,
            time_ms=time_ms,
            receipt=receipt,
            failure=failure,
            writes=trial.writes,
        )

    def remember(self, results: Sequence[Submitted]) -> None:
        """Keep why transactions were refused, for whoever asks about them later."""
        for tx_id, refusal in results:
            if tx_id and refusal is not None and refusal.spec not in (POOL_PENDING, TX_DUPLICATE):
                self._refused[tx_id] = refusal
                self._refused.move_to_end(tx_id)
        while len(self._refused) > REFUSALS_MAX:
            self._refused.popitem(last=False)

    def why_refused(self, tx_id: bytes) -> Fault | None:
        """Why this node did not take it in, when it was asked lately."""
        return self._refused.get(tx_id)

    def _refusal(self, verified: Verified) -> Fault | None:
        replica = self._replica
        return replica.mempool.check(
            verified, wall_ms=replica.runtime.wall_ms(), view=replica.store.state, window=replica.window
        )

    def _undecided(self, verified: Verified, time_ms: int) -> Fault:
        """Why a block of this time would pass over it."""
        refusal = self._refusal(verified)
        return refusal or fault(TX_EXPIRED, valid_until_ms=verified.transaction.valid_until_ms, now_ms=time_ms)


def _believe(messages: Sequence[bytes], signatures: Sequence[bytes], keys: Sequence[bytes]) -> list[Any]:
    """Take every signature for good: nothing that is tried has an effect."""
    return [True] * len(messages)
