"""Makes proofs out of what a node stores (J1): the result of a block, completed by a final header that reports it.

The state is kept as of the newest blocks only (`storage/recent.py`), so a group is proven after the newest block that a
final header reports, or after a named one of the last few, for which the header may have to be waited for.  Everything
else can be proven for every height whose block is kept.

Paths come from the frontiers that are stored with every applied height: O(log n) reads, none older than the block.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

from cccnode.crypto import merkle
from cccnode.crypto.merkle import Frontier
from cccnode.crypto.proofs import StateProof
from cccnode.driver.epochs import end_of_epoch
from cccnode.rpc.backend import StoredTransaction
from cccnode.types.batch import batch_id
from cccnode.types.block import result_leaf
from cccnode.types.errors import NOT_FOUND, NOT_PROVABLE, RPC_BUSY, Fault, fault
from cccnode.types.finality import Anchor, EpochLink, Past
from cccnode.types.proofs import EventsProof, GroupProof, HistoryProof, Result, TransactionProof
from storage.store import Applied, Store

SEARCH_HEIGHTS: Final = 128
"""Headers looked through for one that is certified and far enough: E lags by 16 heights at most, and the slowest."""
WAITING_MAX: Final = 64
"""Calls that wait for a header at the same time."""


class Prover:
    """Proofs from one store."""

    def __init__(self, store: Store, pruned: Callable[[int], Fault] | None = None) -> None:
        """Nobody waits.  `pruned` makes the error for a height that is not kept."""
        self._store, self._pruned = store, pruned or store.pruned
        self._applied = asyncio.Event()
        self.waiting = 0
        """Calls that wait for a final header."""

    def wake(self) -> None:
        """A block was executed: what waited looks again."""
        if self.waiting:
            self._applied.set()
            self._applied = asyncio.Event()

    async def group(self, group: bytes, height: int | None, wait_ms: int) -> GroupProof:
        """See `Backend.prove_group`."""
        applied = self._newest()
        at = self._reported() if height is None else height
        proof = self._prove_at(at, group)
        if proof is None and height is None:
            at = applied.height
            proof = self._prove_at(at, group)
        if proof is None:
            raise fault(NOT_PROVABLE, height=at, provable=applied.height, why="the state of that height is not kept")
        return GroupProof(group, proof, await self._result(at, wait_ms))

    def _prove_at(self, height: int, group: bytes) -> StateProof | None:
        row = self._store.applied_at(height)
        return None if row is None else self._store.state.prove_at(row.state_root, group)

    def _reported(self) -> int:
        """The newest height whose result a final header reports."""
        newest = self.newest_anchor()
        return 0 if newest is None else newest.header.exec_height

    async def transaction(self, stored: StoredTransaction, wait_ms: int) -> TransactionProof:
        """See `Backend.prove_transaction`."""
        store, height = self._store, stored.height
        result = await self._result(height, wait_ms)
        block, receipts = store.block(height), store.receipts(height)
        if block is None or receipts is None:
            raise self._pruned(height)
        number = next(i for i, batch in enumerate(block.batches) if stored.raw in batch)
        batch = block.batches[number]
        # A full block takes 10 ms in all: votes come between its parts (J16).
        await asyncio.sleep(0)
        in_batch = merkle.branch(batch, batch.index(stored.raw))
        await asyncio.sleep(0)
        in_body = merkle.branch([batch_id(listed) for listed in block.batches], number)
        await asyncio.sleep(0)
        in_receipts = merkle.branch(receipts, stored.position)
        return TransactionProof(
            raw=stored.raw,
            batch=in_batch,
            body=in_body,
            block=self._past(height, result.anchor),
            receipt=stored.receipt,
            receipts=in_receipts,
            result=result,
        )

    async def events(self, height: int, wait_ms: int) -> EventsProof:
        """See `Backend.prove_events`."""
        if height > self._newest().height:
            raise fault(NOT_FOUND, height=height)
        result = await self._result(height, wait_ms)
        receipts = self._store.receipts(height)
        if receipts is None:
            raise self._pruned(height)
        return EventsProof(tuple(receipts), self._past(height, result.anchor), result)

    def epoch_ends(self, first: int, count: int) -> Sequence[EpochLink]:
        """See `Backend.epoch_ends`."""
        links: list[EpochLink] = []
        while len(links) < count and (link := end_of_epoch(self._store, first + len(links))) is not None:
            links.append(link)
        return links

    def newest_anchor(self) -> Anchor | None:
        """See `Backend.newest_anchor`."""
        return self._newest_of(0)

    def history(self, height: int, anchor: Anchor) -> HistoryProof | None:
        """See `Backend.prove_history`."""
        size = anchor.header.height
        if height >= size:
            return None
        consistency = merkle.consistency_path(size, self._history(height), self._range(_block)) if height else ()
        return HistoryProof(self._past(height, anchor), consistency, anchor)

    async def _result(self, height: int, wait_ms: int) -> Result:
        """The result of an applied block under a final header."""
        anchor = await self._anchor(height, wait_ms)
        row = self._row(height)
        before = Frontier() if height == 0 else self._row(height - 1).results
        path = merkle.inclusion_path(height, anchor.header.exec_height + 1, before, self._range(_result))
        return Result(height, row.state_root, row.receipts_root, path, anchor)

    async def _anchor(self, height: int, wait_ms: int) -> Anchor:
        """A final header that reports a height, as soon as there is one."""
        try:
            async with asyncio.timeout(wait_ms / 1000):
                while (anchor := self._anchor_now(height)) is None:
                    await self._wait()
                return anchor
        except TimeoutError:
            why = "no final header reports it yet"
            raise fault(NOT_PROVABLE, height=height, provable=self._reported(), why=why) from None

    async def _wait(self) -> None:
        if self.waiting >= WAITING_MAX:
            raise fault(RPC_BUSY, waiting=self.waiting)
        self.waiting += 1
        try:
            await self._applied.wait()
        finally:
            self.waiting -= 1

    def _anchor_now(self, height: int) -> Anchor | None:
        """The first final header after a height that reports it; where that is no longer kept, the newest one."""
        first = max(height + 1, self._store.blocks.first or 0)
        for at in range(first, min(self._newest().height, first + SEARCH_HEIGHTS) + 1):
            if (anchor := self._certified(at, height)) is not None:
                return anchor
        return self._newest_of(height)

    def _newest_of(self, height: int) -> Anchor | None:
        """The newest final header that reports a height."""
        newest = self._newest().height
        for at in range(newest, max(height, newest - SEARCH_HEIGHTS), -1):
            if (anchor := self._certified(at, height)) is not None:
                return anchor
        return None

    def _certified(self, at: int, height: int) -> Anchor | None:
        header = self._store.header(at)
        if header is None or header.exec_height < height:
            return None
        final = self._store.finality(at)
        return None if final is None else Anchor(*final)

    def _past(self, height: int, anchor: Anchor) -> Past:
        header = self._store.header(height)
        if header is None:
            raise self._pruned(height)
        path = merkle.inclusion_path(height, anchor.header.height, self._history(height), self._range(_block))
        return Past(header, path)

    def _history(self, size: int) -> Frontier:
        return Frontier() if size == 0 else self._row(size - 1).history

    def _range(self, part: "Callable[[Applied], tuple[Frontier, bytes]]") -> merkle.RangeRoot:
        """The roots of ranges of one of the two growing lists."""

        def range_root(start: int, end: int) -> bytes:
            count = end - 1 - start
            before = part(self._row(end - 2))[0] if count else Frontier()
            return before.last(count, part(self._row(end - 1))[1])

        return range_root

    def _row(self, height: int) -> Applied:
        row = self._store.applied_at(height)
        if row is None:
            raise self._pruned(height)
        return row

    def _newest(self) -> Applied:
        applied = self._store.applied
        assert applied is not None, "a running node has a state"
        return applied


def _result(row: Applied) -> tuple[Frontier, bytes]:
    return row.results, result_leaf(row.height, row.state_root, row.receipts_root)


def _block(row: Applied) -> tuple[Frontier, bytes]:
    return row.history, row.block_id
