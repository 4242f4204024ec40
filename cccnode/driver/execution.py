"""Final blocks become state: in height order, once, in slices, durable before anybody hears of it (J16, J18).

The same path serves blocks that consensus finalized here, blocks fetched from others, and blocks that were stored but
not executed before a crash.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from msgspec.structs import replace

from cccnode.codec import encode
from cccnode.driver.chain import Chain, Roots
from cccnode.driver.epochs import Epoch, read_record, remember_end, remember_start
from cccnode.driver.runtime import Runtime, raise_failure
from cccnode.driver.stages import Stages
from cccnode.ingress import trusted_transactions
from cccnode.ledger.registry import Registry
from cccnode.ledger.state import Patched, StateView, Writes
from cccnode.ledger.transition import Execution, Outcome
from cccnode.ledger.window import Window
from cccnode.types.batch import batch_id
from cccnode.types.block import FinalBlock, Header
from cccnode.types.errors import DIVERGED, OUTDATED, Fault, fault
from cccnode.types.transaction import Verified
from cccnode.types.validators import EpochRecord, epoch_record_hash
from consensus import rules
from storage.store import Ahead, Store

UNITS = 256
"""Transactions executed in one turn of the loop: about 2 ms (J16)."""
DECODE = 256
"""Transactions decoded in one turn, for blocks that came whole."""
SLICE_NS = 2_000_000
"""Staging yields to the loop when it has used this much CPU."""
QUEUE_MAX = 128
"""Blocks that may wait; a node that catches up fetches no more meanwhile."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One final block on its way into the state."""

    block_id: bytes
    block: FinalBlock
    batch_ids: tuple[bytes, ...]
    """What the block lists."""
    transactions: Sequence[Verified] | None
    """Already verified here; None where the block came whole under a certificate (J19)."""


def whole_job(block_id: bytes, block: FinalBlock) -> Job:
    """The job of a block that came with its transactions."""
    ids = tuple(batch_id(batch) for batch in block.batches)
    return Job(block_id=block_id, block=block, batch_ids=ids, transactions=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """A block is executed and durable."""

    job: Job
    outcome: Outcome


class _Decoding:
    """The transactions of a block that came whole, decoded piece by piece."""

    def __init__(self, job: Job, registry: Registry) -> None:
        self.job, self._registry = job, registry
        self._raws = [raw for batch in job.block.batches for raw in batch]
        self.transactions: list[Verified] = []

    def step(self) -> bool:
        """Decode some more; False when all are."""
        first = len(self.transactions)
        self.transactions += trusted_transactions(self._registry, self._raws[first : first + DECODE])
        return len(self.transactions) < len(self._raws)


class Membership(Protocol):
    """The rule that makes epoch records out of states: `cccnode.city.registry.record`."""

    def next_record(self, view: StateView, current: EpochRecord) -> EpochRecord:
        """The record of the epoch after `current`, if it began with this state."""

    def reads_record(self, writes: Writes) -> bool:
        """Whether a block's writes touch what `next_record` reads."""


def look_ahead(following: EpochRecord, current: EpochRecord) -> tuple[Ahead, dict[bytes, bytes]]:
    """A possible next record against the current one: what to note, and its bytes by hash."""
    raw, record_hash = encode(following), epoch_record_hash(following)
    due = replace(following, epoch=current.epoch) != current
    return Ahead(record_hash=record_hash, due=due), {record_hash: raw}


class Executor:
    """The queue of final blocks and the one that is being executed."""

    def __init__(
        self,
        *,
        runtime: Runtime,
        store: Store,
        registry: Registry,
        window: Window,
        chain: Chain,
        epoch: Epoch,
        membership: Membership,
        stages: Stages,
        ending: Callable[[EpochRecord], None],
        applied: Callable[[Applied], None],
        failed: Callable[[Fault], None],
    ) -> None:
        """Bind to the node's parts.

        `ending` hears of the epoch that begins before the block is stored that it starts from; `applied` hears of each
        durable block, `failed` that this node diverged.
        """
        self._runtime, self._store, self._registry, self._window = runtime, store, registry, window
        self._chain, self._stages, self._membership = chain, stages, membership
        self.epoch = epoch
        """The epoch of the next block to be executed; whoever hears of an epoch's last block sets the next one."""
        assert store.applied is not None, "the store is initialised"
        self._ahead = store.applied.ahead
        tip = store.header(store.applied.height)
        assert tip is not None, "the applied block is stored"
        self._tip = tip
        self._ending, self._applied, self._failed = ending, applied, failed
        self._queue: list[Job] = []
        self._coming: _Decoding | None = None
        """The block after the one that is being stored."""
        self.busy = False
        """Whether a block is being executed or stored."""
        self.halted = self._unknown(epoch)
        """Why nothing more is executed: storage/DIVERGED, or node/OUTDATED."""
        self.held = False
        """Whether no more blocks are taken, because this node begins at a snapshot soon."""
        self.next_height = chain.height + 1
        """First height that is not in the queue."""

    def begin_epoch(self, epoch: Epoch) -> None:
        """Blocks of this epoch are executed from here on."""
        applied = self._store.applied
        assert applied is not None, "the store is initialised"
        self.epoch, self._ahead = epoch, applied.ahead
        roots = self._chain.roots[applied.height]
        self._chain.roots[applied.height] = Roots(roots.height, roots.state_root, roots.results_root, applied.ahead)
        self.halted = self.halted or self._unknown(epoch)

    def _unknown(self, epoch: Epoch) -> Fault | None:
        """node/OUTDATED where an epoch has rules that this program does not know."""
        unknown = self._registry.unknown(epoch.record.features)
        if not unknown:
            return None
        return fault(OUTDATED, features=", ".join(unknown), epoch=epoch.number, height=epoch.start.height)

    @property
    def room(self) -> bool:
        """Whether more blocks may be queued."""
        return len(self._queue) < QUEUE_MAX and self.halted is None and not self.held

    @property
    def queued(self) -> set[bytes]:
        """Ids of the blocks that are final and not executed yet."""
        return {job.block_id for job in self._queue}

    @property
    def tip(self) -> Header:
        """Header of the last queued, or else of the last executed block."""
        return self._queue[-1].block.header if self._queue else self._tip

    @property
    def tip_id(self) -> bytes:
        """Id of the last queued, or else of the last executed block."""
        return self._queue[-1].block_id if self._queue else self._chain.block_id

    def push(self, job: Job) -> None:
        """Queue the block of height `next_height`; its finality is established."""
        assert job.block.header.height == self.next_height, "blocks are executed in height order"
        assert job.block.header.parent == self.tip_id, "final blocks form one chain"
        self._queue.append(job)
        self.next_height += 1
        self._next()

    def _next(self) -> None:
        if self.busy or not self._queue or self.halted is not None:
            return
        if (reason := self._differs(self._queue[0])) is not None:
            self._stop(self._queue[0], reason)
            return
        self.busy = True
        work = self._work(self._queue[0])
        self._runtime.call_soon(lambda: self._advance(work))

    def _advance(self, work: Iterator[None]) -> None:
        """One slice; then the loop may handle votes."""
        try:
            next(work)
        except StopIteration:
            return
        self._runtime.call_soon(lambda: self._advance(work))

    def _stop(self, job: Job, reason: Fault) -> None:
        """Nothing more is executed.  The block that shows it is kept, so that a restart finds the same at once."""
        self.halted = reason
        self._failed(reason)
        self._runtime.run_in_writer("store", lambda: self._store.save_block(job.block), raise_failure)

    def _work(self, job: Job) -> Iterator[None]:
        runtime, stages, header = self._runtime, self._stages, job.block.header
        transactions = job.transactions
        if transactions is None:
            coming, self._coming = self._coming, None
            decoding = coming if coming is not None and coming.job is job else _Decoding(job, self._registry)
            while self._decode(decoding):
                yield
            transactions = decoding.transactions
        started = runtime.cpu_ns()
        record = self.epoch.record
        execution = Execution(self._registry, self._store.state, self._window, header, transactions, record)
        while execution.step(UNITS):
            stages.add("execute", runtime.cpu_ns() - started, 0)
            yield
            started = runtime.cpu_ns()
        outcome = execution.finish()
        stages.add("execute", runtime.cpu_ns() - started, len(transactions))
        yield
        started = runtime.cpu_ns()
        ahead, records = self._look_ahead(header, outcome)
        staged = self._store.stage(
            job.block,
            job.block_id,
            outcome.writes,
            outcome.receipts,
            receipts_root=outcome.receipts_root,
            ahead=ahead,
            epoch_records=records,
            meta=self._remember_end(job.block),
        )
        for _ in staged:
            if runtime.cpu_ns() - started > SLICE_NS:
                stages.add("stage", runtime.cpu_ns() - started, 0)
                yield
                started = runtime.cpu_ns()
        stages.add("stage", runtime.cpu_ns() - started, len(transactions))
        if rules.ends_epoch(header):
            self._ending(read_record(self._store, header.next_epoch_record_hash))

        def write() -> int:
            begun = runtime.cpu_ns()
            self._store.write(staged)
            return runtime.cpu_ns() - begun

        def written(result: int | BaseException) -> None:
            if isinstance(result, BaseException):
                raise result
            begun = runtime.cpu_ns()
            self._store.adopt(staged)
            stages.add("commit", result + runtime.cpu_ns() - begun, len(transactions))
            self._finish(job, outcome)

        self._begin_coming()
        runtime.run_in_writer("store", write, written)

    def _begin_coming(self) -> None:
        """While a block is written to disk, decode the next one: a node that catches up has nothing else to do."""
        if len(self._queue) > 1 and self._queue[1].transactions is None:
            self._coming = _Decoding(self._queue[1], self._registry)
            self._runtime.call_soon(self._decode_coming)

    def _decode_coming(self) -> None:
        """One slice, until it is its turn to be executed: the rest is decoded then."""
        if self._coming is not None and self._decode(self._coming):
            self._runtime.call_soon(self._decode_coming)

    def _decode(self, decoding: _Decoding) -> bool:
        """One slice; False when no more follows."""
        started = self._runtime.cpu_ns()
        more = decoding.step()
        self._stages.add("decode", self._runtime.cpu_ns() - started, 0)
        return more

    def _finish(self, job: Job, outcome: Outcome) -> None:
        applied = self._store.applied
        assert applied is not None, "just adopted"
        header = job.block.header
        self._window.add(header.height, header.time_ms, outcome.decided)
        roots = Roots(header.height, applied.state_root, applied.results.root(), applied.ahead)
        self._ahead, self._tip = applied.ahead, header
        self._chain.executed(job.block_id, header, roots, self._window.lifetime_ms)
        del self._queue[0]
        self.busy = False
        self._applied(Applied(job=job, outcome=outcome))
        self._next()

    def _look_ahead(self, header: Header, outcome: Outcome) -> tuple[Ahead, dict[bytes, bytes]]:
        """What the state after a block says of the next epoch, and the records to store (J11).

        After the last block of an epoch it is compared with the record that comes into force then.
        """
        last = rules.ends_epoch(header)
        if not last and not self._membership.reads_record(outcome.writes):
            return self._ahead, {}
        current = read_record(self._store, header.next_epoch_record_hash) if last else self.epoch.record
        following = self._membership.next_record(Patched(self._store.state, outcome.writes), current)
        return look_ahead(following, current)

    def _remember_end(self, block: FinalBlock) -> dict[str, bytes]:
        """What to store with the last block of an epoch: where the next begins, and how this one ended."""
        header = block.header
        if not rules.ends_epoch(header):
            return {}
        following = read_record(self._store, header.next_epoch_record_hash)
        start = remember_start(header.next_epoch_record_hash, header.height)
        return {**start, **remember_end(header, block.certificate, following)}

    def _differs(self, job: Job) -> Fault | None:
        """storage/DIVERGED where a final header reports other results than ours: this node is wrong and must stop."""
        header = job.block.header
        roots = self._chain.roots_at(header.exec_height)
        if roots is None or (roots.state_root, roots.results_root) == (header.state_root, header.results_root):
            return None
        return fault(
            DIVERGED,
            height=header.exec_height,
            ours=roots.state_root,
            certified=header.state_root,
            first_seen_at=header.height,
        )
