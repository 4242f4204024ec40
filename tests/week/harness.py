"""The week's city on four replicas in memory: one block at a time, without consensus or disk."""

from collections.abc import Sequence
from typing import Any

from msgspec.structs import replace

from cccnode.city import CITY
from cccnode.city.registry.record import epoch_record
from cccnode.crypto.hashing import ZERO
from cccnode.ingress import trusted_transactions
from cccnode.ledger.receipts import decode_receipt
from cccnode.ledger.registry import Registry
from cccnode.ledger.state import DictState, Overlay
from cccnode.ledger.transition import Execution
from cccnode.ledger.window import Window
from cccnode.mempool import Mempool
from cccnode.rpc.values import reader, writer
from cccnode.types.errors import NOT_FOUND, Fault
from cccnode.week.city import make_city
from cccnode.week.reading import Missing
from cccnode.week.running import Decided
from genesis.header import genesis_header
from tests.support.city import certify

REPLICAS = 4


class Replica:
    """State and window of one node that executes everything at once."""

    def __init__(self, registry: Registry, genesis: Any) -> None:
        self.registry = registry
        self.state = DictState()
        self.state.apply(registry.genesis_writes(genesis))
        self.record = epoch_record(self.state, 0)
        self.header = genesis_header(genesis, state_root=bytes(32), record=self.record)
        self.window = Window(self.record.limits.tx_lifetime_max_ms)
        self.window.add(0, self.header.time_ms, ())

    def block(self, time_ms: int, raws: Sequence[bytes]) -> dict[bytes, int]:
        """Execute one block; receipt codes by transaction id."""
        time_ms = max(time_ms, self.header.time_ms + 1)
        header = replace(self.header, height=self.header.height + 1, time_ms=time_ms, parent=ZERO)
        transactions = trusted_transactions(self.registry, list(raws))
        execution = Execution(self.registry, self.state, self.window, header, transactions, self.record)
        outcome = execution.finish()
        self.state.apply(outcome.writes)
        self.window.add(header.height, header.time_ms, outcome.decided)
        self.header = header
        return {receipt.tx_id: receipt.code for receipt in map(decode_receipt, outcome.receipts)}


class Replicas:
    """A `Network` of the week."""

    def __init__(self, registry: Registry = CITY) -> None:
        self.registry = registry
        self.genesis = make_city(certify=certify).genesis
        self.nodes = [Replica(registry, self.genesis) for _ in range(REPLICAS)]
        self.broken: list[str] = []
        """Invariants that did not hold after some block."""

    async def reach(self, time_ms: int) -> None:
        self._block(time_ms, [])

    async def send(self, raws: Sequence[bytes]) -> list[Decided]:
        found: list[Decided | None] = []
        admitted = []
        for raw in raws:
            transaction = trusted_transactions(self.registry, [raw])[0]
            first = self.nodes[0]
            mempool = Mempool(self.registry)
            wall_ms = first.header.time_ms
            refused = mempool.check(transaction, wall_ms=wall_ms, view=first.state, window=first.window)
            found.append(None if refused is None else Decided("refused", why=refused.spec.name))
            admitted.append((raw, transaction.id))
        chosen = [raw for (raw, _), one in zip(admitted, found, strict=True) if one is None]
        codes = self._block(self.nodes[0].header.time_ms + 1, chosen)
        height = self.nodes[0].header.height
        return [
            one if one is not None else Decided(self._name(codes[tx_id]), height)
            for (_, tx_id), one in zip(admitted, found, strict=True)
        ]

    async def ask(self, method: str, **params: Any) -> Any:
        query = self.registry.queries.get(method)
        if query is None:
            raise Missing(method)
        try:
            answer = query.answer(Overlay(self.nodes[-1].state), reader(query.params)(params))
        except Fault as fault:
            if fault.spec is NOT_FOUND:
                raise Missing(method) from fault
            raise
        return writer(query.result)(answer)

    async def roots(self) -> set[str]:
        first = self.nodes[0].state.groups
        return {"same"} if all(node.state.groups == first for node in self.nodes) else {"same", "other"}

    async def chain(self) -> bytes:
        return self.genesis.chain

    def _name(self, code: int) -> str:
        return "ok" if code == 0 else self.registry.errors[code].name

    def _block(self, time_ms: int, raws: Sequence[bytes]) -> dict[bytes, int]:
        codes = [node.block(time_ms, raws) for node in self.nodes]
        assert all(one == codes[0] for one in codes)
        self.broken += self.registry.broken(self.nodes[0].state)
        return codes[0]
