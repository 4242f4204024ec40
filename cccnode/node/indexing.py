"""Feeds what is derived from blocks and receipts, off the commit path: one writer thread each, many blocks at a time.

That is the transaction index, and the history of accounts where a node keeps one.  Both can be filled again.
"""

from collections.abc import Callable, Sequence
from typing import Generic, Protocol, TypeVar

import msgspec

from cccnode.codec import decode_trusted
from cccnode.crypto.hashing import ZERO
from cccnode.driver.execution import Applied
from cccnode.driver.runtime import Runtime
from cccnode.ingress import trusted_transactions
from cccnode.ledger.receipts import accounts_in, decided_ids, decode_receipt
from cccnode.ledger.registry import Registry
from storage import history
from storage.history import History
from storage.index import Index
from storage.store import Store

Row = TypeVar("Row")
RowIn_contra = TypeVar("RowIn_contra", contravariant=True)

FLUSH_MS = 8_000
"""The index lags the chain by about this much; what is newer, the duplicate window knows.  Waiting pays: written in
the order of their ids, many rows share each page."""
REBUILD_BLOCKS = 64
"""Blocks that one job of a rebuild reads."""
REBUILD_IDS = 40_000
"""Ids after which it reads no further block: full blocks would fill a hundred megabytes."""
WAITING_MAX = 512
"""Executed blocks whose ids wait in memory to be indexed."""


class Derived(Protocol[RowIn_contra]):
    """What is filled: `Index` or `History`."""

    @property
    def indexed_height(self) -> int | None:
        """The last height that was added."""

    def begin(self, height: int) -> None:
        """Nothing is known any more of what lies below a height: `add` goes on there."""

    def add(self, blocks: Sequence[tuple[int, Sequence[RowIn_contra]]]) -> None:
        """Add the rows of the next heights."""


class Indexer(Generic[Row]):
    """Keeps what is derived behind the applied height by a few seconds."""

    def __init__(
        self,
        name: str,
        *,
        runtime: Runtime,
        store: Store,
        index: Derived[Row],
        read: Callable[[int], Sequence[Row]],
        rows_of: Callable[[Applied], Sequence[Row]] | None = None,
    ) -> None:
        """Bind; `start` begins.

        `name` is that of the writer thread; `read` gives the rows of a height out of the store, in that thread;
        `rows_of` those of a block that was just executed, where they are at hand: then it is not read again.
        """
        self._name, self._runtime, self._store, self._index = name, runtime, store, index
        self._read, self._rows_of = read, rows_of
        self._waiting: list[tuple[int, Sequence[Row]]] = []
        self._flushing = False
        self.height = index.indexed_height or 0
        """Last indexed height."""

    def follow(self, hooks: list[Callable[[Applied], None]]) -> None:
        """Begin: index what was executed and not indexed, then keep up with what `hooks` tell."""
        hooks.append(self.applied)
        self._flush()

    def applied(self, applied: Applied) -> None:
        """A block was executed."""
        if len(self._waiting) >= WAITING_MAX:
            self._waiting.clear()  # A rebuild will read them from the store.
        if self._rows_of is not None:
            self._waiting.append((applied.outcome.height, self._rows_of(applied)))
        if not self._flushing:
            self._flushing = True
            self._runtime.call_later(FLUSH_MS, self._flush)

    def _flush(self) -> None:
        self._flushing = True
        first = max(self.height + 1, self._store.receipts_from)
        if self._waiting and self._waiting[0][0] == first:
            blocks, self._waiting = self._waiting, []
            self._runtime.run_in_writer(self._name, lambda: self._index.add(blocks), self._flushed)
            return
        applied = self._store.applied
        last = min(applied.height if applied is not None else 0, first + REBUILD_BLOCKS - 1)
        self._waiting = [block for block in self._waiting if block[0] > last]
        self._runtime.run_in_writer(self._name, lambda: self._rebuild(first, last), self._flushed)

    def _rebuild(self, first: int, last: int) -> None:
        """Runs in the writer thread."""
        self._index.begin(first)  # What is not kept cannot be indexed.
        blocks: list[tuple[int, Sequence[Row]]] = []
        read = 0
        for height in range(first, last + 1):
            rows = self._read(height)
            blocks.append((height, rows))
            read += len(rows)
            if read >= REBUILD_IDS:
                break
        self._index.add(blocks)

    def _flushed(self, result: object) -> None:
        if isinstance(result, BaseException):
            raise result
        self.height = self._index.indexed_height or 0
        applied = self._store.applied
        self._flushing = applied is not None and applied.height > self.height
        if self._flushing:
            # Blocks that only the store still holds do not wait: a node that caught up would else stay behind for ever.
            next_waits = bool(self._waiting) and self._waiting[0][0] == self.height + 1
            self._runtime.call_later(FLUSH_MS if next_waits else 0, self._flush)


def transaction_indexer(*, runtime: Runtime, store: Store, index: Index) -> Indexer[bytes]:
    """Follows the chain with the transaction index."""
    return Indexer(
        "index",
        runtime=runtime,
        store=store,
        index=index,
        read=lambda height: decided_ids(store.receipts(height) or ()),
        rows_of=lambda applied: applied.outcome.decided,
    )


def history_indexer(*, runtime: Runtime, store: Store, index: History, registry: Registry) -> Indexer[history.Row]:
    """Follows the chain with the history of accounts.

    It reads each block again: blocks that wait in memory with all they moved would be too much.
    """
    return Indexer(
        "history", runtime=runtime, store=store, index=index, read=lambda height: _concerned(store, registry, height)
    )


class _Payer(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The first fields of a transaction: all that says on whose account it was."""

    version: int
    chain: bytes
    account: bytes
    valid_until_ms: int
    salt: bytes
    fee_payer: bytes | None


def _concerned(store: Store, registry: Registry, height: int) -> list[history.Row]:
    """Whom each receipt of a block concerns: who signed, who paid the fee, whom its events name."""
    block = store.block(height)
    receipts = [decode_receipt(raw) for raw in store.receipts(height) or ()]
    raws = [raw for batch in block.batches for raw in batch] if block is not None else []
    decided = [receipt.tx_id for receipt in receipts if receipt.tx_id != ZERO]
    if len(decided) != len(raws):  # Some were skipped: ids say which.  Hashing is most of the work, and seldom needed.
        by_id = {verified.id: verified.raw for verified in trusted_transactions(registry, raws)}
        raws = [by_id[tx_id] for tx_id in decided] if by_id else []
    payers = (decode_trusted(_Payer, raw) for raw in raws)
    rows: list[history.Row] = []
    for receipt in receipts:
        accounts = accounts_in(receipt)
        payer = next(payers, None) if receipt.tx_id != ZERO else None  # The block may be pruned, its receipts kept.
        if payer is not None:
            accounts.add(payer.account)
            if payer.fee_payer is not None:
                accounts.add(payer.fee_payer)
        rows.append((receipt.tx_id, sorted(accounts)))
    return rows
