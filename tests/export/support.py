"""A chain out of the simulation, served as a node serves it, without sockets."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from cccnode.city import CITY
from cccnode.client import ClientError
from cccnode.client.failures import error_from, local_error
from cccnode.export.database import Database
from cccnode.export.sqlite import SqliteEngine
from cccnode.ledger.receipts import decided_ids, decode_receipt
from cccnode.rpc.envelopes import error_object
from cccnode.rpc.writing import block_json
from cccnode.types.errors import NOT_FOUND, UNREACHABLE
from storage.store import Store
from tests.node.support import Watched

CHAIN = "0x" + "11" * 32


class FakeClient:
    """The part of `Client` that an exporter uses."""

    url = "fake"

    def __init__(self, store: Store) -> None:
        self.store = store
        self.height = store.applied.height
        self.calls = 0
        self.silent = 0
        """So many calls are not answered."""
        self.earliest = 0
        """What is older is kept no more."""

    async def status(self) -> dict[str, Any]:
        self._answers()
        return {"height": str(self.height), "chain": CHAIN}

    async def call(self, method: str, *, height: str) -> Any:
        assert method == "chain_block"
        self._answers()
        if int(height) > self.height:
            raise refusal(NOT_FOUND)
        if int(height) < self.earliest:
            raise error_from(error_object(self.store.pruned(int(height), self.earliest)))
        return block(self.store, int(height))

    def _answers(self) -> None:
        self.calls += 1
        if self.silent:
            self.silent -= 1
            raise refusal(UNREACHABLE)


def refusal(spec: Any, **details: object) -> ClientError:
    return local_error(spec, **details)


def block(store: Store, height: int) -> Any:
    """What chain_block answers."""
    return block_json(store.block(height), [decode_receipt(raw) for raw in store.receipts(height)], CITY)


def chain(sends: int = 6) -> Store:
    """The store of a node that decided something."""
    watched = Watched()
    for _ in range(sends):
        watched.send()
        watched.run(400)
    watched.run(3_000)
    return watched.node.replica.store


def index_of(store: Store, last: int | None = None) -> list[tuple[str, int, int]]:
    """What the node's index would hold: id, height, position."""
    return sorted(
        ("0x" + tx_id.hex(), height, position)
        for height in range(1, (last or store.applied.height) + 1)
        for position, tx_id in enumerate(decided_ids(store.receipts(height)))
    )


@asynccontextmanager
async def database(path: Path, **given: Any) -> AsyncIterator[Database]:
    """An open export in a file."""
    made = Database(SqliteEngine(path))
    try:
        await made.open(CHAIN, **given)
        yield made
    finally:
        await made.close()


async def fetch(made: Database, sql: str) -> list[tuple[Any, ...]]:
    async with made._engine.transaction() as session:
        return [tuple(row) for row in await session.fetch(sql)]
