"""The chain executed again in memory, from genesis or a certified snapshot: what this program makes of final blocks.

For `cccnode doctor divergence`, which compares the outcome with what nodes hold.  A block is checked against the one
before it and against its own header; whoever needs to know that the chain is final compares its newest block's id.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from cccnode.city import CITY
from cccnode.city.registry.record import next_record, reads_record
from cccnode.codec import encode
from cccnode.crypto.merkle import Frontier
from cccnode.driver.certified import Certified
from cccnode.driver.epochs import read_record
from cccnode.driver.execution import look_ahead
from cccnode.driver.restart import rebuild_window
from cccnode.ingress import trusted_transactions
from cccnode.ledger.registry import Registry
from cccnode.ledger.state import Overlay, Patched, StateView
from cccnode.ledger.transition import Execution, Outcome
from cccnode.node.data import initialise
from cccnode.types.batch import batch_id
from cccnode.types.block import FinalBlock, block_id, body_root, result_leaf
from cccnode.types.errors import REPLAY_IMPOSSIBLE, fault
from cccnode.types.transaction import Verified
from cccnode.types.validators import EpochRecord, epoch_record_hash
from consensus.rules import ends_epoch
from genesis.document import Genesis
from storage.memory import MemoryDisk, MemoryEngine
from storage.restoring import restore
from storage.snapshots import check_piece
from storage.store import Store, stamp

Key = tuple[bytes, bytes]
"""Group and item."""
Record = Callable[[bytes], EpochRecord | None]
"""Finds an epoch record that no executed block leads to: one that people agreed on after a quorum was lost."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One transaction changed one item."""

    transaction: int | None
    """Its number in the block; None: the block's own rules, after all transactions."""
    key: Key
    before: bytes | None
    after: bytes | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Executed:
    """One block, executed again."""

    height: int
    block_id: bytes
    state_root: bytes
    receipts_root: bytes
    results_root: bytes
    transactions: Sequence[Verified]
    outcome: Outcome


class _Traced(Overlay):
    """An overlay that remembers what each commit changed."""

    __slots__ = ("committed", "touched")

    def __init__(self, view: StateView) -> None:
        super().__init__(view)
        self.touched: dict[Key, None] = {}
        self.committed: dict[Key, bytes | None] = {}
        """Encoded values of what was committed since somebody looked."""

    def put(self, group: bytes, item: bytes, value: object) -> None:
        self.touched[group, item] = None
        super().put(group, item, value)

    def take(self, group: bytes, item: bytes, amount: int) -> int:
        self.touched[group, item] = None
        return super().take(group, item, amount)

    def give(self, group: bytes, item: bytes, amount: int, limit: int) -> int:
        self.touched[group, item] = None
        return super().give(group, item, amount, limit)

    def commit(self) -> None:
        for group, item in self.touched:
            value = self.known(group).get(item)
            self.committed[group, item] = None if value is None else encode(value)
        self.touched.clear()
        super().commit()

    def rollback(self) -> None:
        self.touched.clear()
        super().rollback()


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """A state in memory, to go on from."""

    store: Store
    engine: MemoryEngine
    record: EpochRecord
    """Of the epoch of the next block."""


def at_genesis(genesis: Genesis) -> Start:
    """Before the first block."""
    engine, depth = MemoryEngine(), genesis.document.state_depth
    store = Store.open(MemoryDisk(), engine, chain=genesis.chain, node_id=bytes(32), depth=depth)
    header = initialise(store, genesis)
    return Start(store=store, engine=engine, record=read_record(store, header.epoch_record_hash))


def at_snapshot(certified: Certified, piece: Callable[[int], bytes]) -> Start:
    """After the block of a certified snapshot, whose pieces are checked here.

    Raises:
        Fault: storage/SNAPSHOT_INVALID.
    """
    content, record = certified.manifest.content, certified.record
    disk, engine = MemoryDisk(), MemoryEngine()
    stamp(engine, chain=content.chain, node_id=bytes(32), depth=content.depth)

    def checked(number: int) -> bytes:
        raw = piece(number)
        check_piece(content, number, raw)
        return raw

    for _ in restore(
        content, certified.facts, checked, disk, engine, lambda view: look_ahead(next_record(view, record), record)
    ):
        pass
    store = Store.open(disk, engine, chain=content.chain, node_id=bytes(32), depth=content.depth)
    return Start(store=store, engine=engine, record=record)


class Replay:
    """A state in memory that follows the chain block by block.  Memory: about that of the state."""

    def __init__(self, start: "Start", *, registry: Registry = CITY, find_record: Record = lambda _: None) -> None:
        """At the height of the start, which belongs to this replay from here on."""
        store = start.store
        assert store.applied is not None, "there is a state"
        self._engine, self._registry, self._find_record = start.engine, registry, find_record
        self.state: Final = store.state
        self.height, self.block_id, self._results = store.applied.height, store.applied.block_id, store.applied.results
        self._window = rebuild_window(store, start.record)
        self._records = {epoch_record_hash(start.record): start.record}
        self._note(next_record(self.state, start.record))

    @property
    def results(self) -> Frontier:
        """Over the result leaves up to its height (J1)."""
        return self._results

    def apply(self, block: FinalBlock, changes: list[Change] | None = None) -> Executed:
        """Execute the block of the next height; `changes` gets what each transaction changed, which takes longer.

        Raises:
            Fault: doctor/REPLAY_IMPOSSIBLE: it is not the next block, or belongs to an unknown epoch.
        """
        header, height = block.header, self.height + 1
        if (header.height, header.parent) != (height, self.block_id):
            raise fault(REPLAY_IMPOSSIBLE, height=height, reason="the block does not continue the chain")
        if body_root(tuple(batch_id(batch) for batch in block.batches)) != header.body_root:
            raise fault(REPLAY_IMPOSSIBLE, height=height, reason="the transactions are not those of the header")
        record = self._record(header.epoch_record_hash, height)
        transactions = trusted_transactions(self._registry, [raw for batch in block.batches for raw in batch])
        overlay = Overlay(self.state) if changes is None else _Traced(self.state)
        execution = Execution(
            self._registry, self.state, self._window, header, transactions, record, overlay=lambda _: overlay
        )
        if changes is not None and isinstance(overlay, _Traced):
            self._trace(execution, overlay, len(transactions), changes)
        outcome = execution.finish()
        following = self._following(block, outcome, record)
        self._adopt(block, outcome)
        if following is not None:
            self._note(following)
        return Executed(
            height=height,
            block_id=self.block_id,
            state_root=self.state.root,
            receipts_root=outcome.receipts_root,
            results_root=self._results.root(),
            transactions=transactions,
            outcome=outcome,
        )

    def _trace(self, execution: Execution, overlay: _Traced, transactions: int, changes: list[Change]) -> None:
        """One transaction at a time, with what it changed; then the block's own rules."""
        seen: dict[Key, bytes | None] = {}
        for number in range(max(1, transactions) + 1):
            execution.step(1)
            for key, after in overlay.committed.items():
                before = seen[key] if key in seen else self.state.get(*key)
                if before != after:
                    place = number if number < transactions else None
                    changes.append(Change(transaction=place, key=key, before=before, after=after))
                seen[key] = after
            overlay.committed.clear()

    def _following(self, block: FinalBlock, outcome: Outcome, record: EpochRecord) -> EpochRecord | None:
        """The record that the next epoch would get, where the block may have changed that (J11)."""
        header = block.header
        last = ends_epoch(header)
        if not last and not reads_record(outcome.writes):
            return None
        current = self._record(header.next_epoch_record_hash, header.height) if last else record
        return next_record(Patched(self.state, outcome.writes), current)

    def _adopt(self, block: FinalBlock, outcome: Outcome) -> None:
        staged = self.state.stage(outcome.writes).finish()
        self._engine.write(staged.puts, sync=True)
        self.state.adopt(staged)
        header = block.header
        self._window.add(header.height, header.time_ms, outcome.decided)
        self.height, self.block_id = header.height, block_id(header)
        self._results = self._results.append(result_leaf(header.height, self.state.root, outcome.receipts_root))

    def _note(self, record: EpochRecord) -> None:
        self._records[epoch_record_hash(record)] = record

    def _record(self, record_hash: bytes, height: int) -> EpochRecord:
        record = self._records.get(record_hash) or self._find_record(record_hash)
        if record is None:
            raise fault(REPLAY_IMPOSSIBLE, height=height, reason="the record of its epoch is not known")
        if unknown := self._registry.unknown(record.features):
            reason = f"this program does not know the rules of {', '.join(unknown)}"
            raise fault(REPLAY_IMPOSSIBLE, height=height, reason=reason)
        self._records[record_hash] = record
        return record


def leads_to(before: Frontier, leaves: Sequence[tuple[int, bytes, bytes]], results_root: bytes) -> bool:
    """Whether results (height, state root, receipts root) after `before` give a root that a final header reports."""
    for height, state_root, receipts_root in leaves:
        before = before.append(result_leaf(height, state_root, receipts_root))
    return before.root() == results_root
