"""Makes blocks of given transactions and takes each through all stages, as one node would, on a real store."""

import gc
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from benchmarks.funded import City
from benchmarks.measure import Stopwatch
from cccnode.city import CITY
from cccnode.crypto import verifying
from cccnode.crypto.hashing import ZERO
from cccnode.crypto.verifying import verify_many
from cccnode.driver.execution import Applied, Job
from cccnode.ingress import decode_transactions, trusted_transactions
from cccnode.ledger.transition import Execution, Outcome
from cccnode.ledger.window import Window
from cccnode.node.run import GC_THRESHOLDS
from cccnode.node.signatures import Signers
from cccnode.types.batch import batch_id
from cccnode.types.block import HEADER_VERSION, FinalBlock, Header, block_id, body_root
from cccnode.types.limits import BATCH_TXS_MAX
from cccnode.types.receipt import OK
from cccnode.types.transaction import Verified
from storage.index import Index
from storage.store import StagedBlock

_UNITS: Final = 256
"""Transactions executed at once, as in the driver."""


class Chain:
    """Makes blocks, one after the other, and takes each through all stages."""

    def __init__(self, city: City, index: Index) -> None:
        """Begin above the genesis."""
        self._city, self._index, self._unindexed = city, index, list[tuple[int, Sequence[bytes]]]()
        self._signers = Signers(verifying.default)
        self._parent = city.header
        self._window = Window(city.record.limits.tx_lifetime_max_ms)
        self._window.add(0, city.header.time_ms, ())
        self.watch = Stopwatch()

    def run(self, raws: Sequence[bytes], *, measured: bool, trusted: bool = False) -> None:
        """One block of these transactions, all of which must succeed; `trusted` skips their signatures.

        Raises:
            AssertionError: one of them is refused or fails.
        """
        count = len(raws)
        watch = self.watch if measured else Stopwatch()
        verified = trusted_transactions(CITY, raws) if trusted else self._ingress(watch, raws)
        batches = [tuple(raws[first : first + BATCH_TXS_MAX]) for first in range(0, count, BATCH_TXS_MAX)]
        header = self._header(raws, batches)
        outcome = watch.add("execute", lambda: self._execute(header, verified), count)
        assert outcome.codes == (OK,) * count, f"failed: {set(outcome.codes)}"
        block = FinalBlock(header=header, batches=tuple(batches), certificate=None, justification=())
        store, identity = self._city.store, block_id(header)
        ids = tuple(batch_id(batch) for batch in batches)
        job = Job(block_id=identity, block=block, batch_ids=ids, transactions=verified)
        staged = watch.add(
            "stage",
            lambda: store.stage(
                block, identity, outcome.writes, outcome.receipts, receipts_root=outcome.receipts_root
            ).finish(),
            count,
        )
        watch.add("commit", lambda: store.write(staged), count)
        watch.add("adopt", lambda: self._adopt(Applied(job=job, outcome=outcome), staged), count)
        watch.end()
        self._parent = header
        self._unindexed.append((header.height, outcome.decided))

    def index(self) -> float:
        """Index all blocks since the last time at once, as a node does every few seconds: microseconds per row."""
        blocks, self._unindexed = self._unindexed, []
        started = time.process_time_ns()
        self._index.add(blocks)
        return (time.process_time_ns() - started) / 1_000 / sum(len(decided) for _, decided in blocks)

    def _ingress(self, watch: Stopwatch, raws: Sequence[bytes]) -> list[Verified]:
        """Decode and verify, a batch at a time as the driver does; what verifying takes is noted apart."""
        spent = 0

        def verify(messages: Sequence[bytes], signatures: Sequence[bytes], keys: Sequence[bytes]) -> list[bool]:
            nonlocal spent
            started = time.process_time_ns()
            verdicts = verify_many(messages, signatures, keys)
            spent += time.process_time_ns() - started
            return verdicts

        started = time.process_time_ns()
        verified: list[Verified] = []
        for first in range(0, len(raws), BATCH_TXS_MAX):
            verdicts = decode_transactions(CITY, self._city.genesis.chain, raws[first : first + BATCH_TXS_MAX], verify)
            verified += [verdict for verdict in verdicts if isinstance(verdict, Verified)]
        total = time.process_time_ns() - started
        assert len(verified) == len(raws), "a transaction was refused"
        watch.note("decode", (total - spent) / 1_000 / len(raws))
        watch.note("verify", spent / 1_000 / len(raws))
        return verified

    def _execute(self, header: Header, transactions: Sequence[Verified]) -> Outcome:
        execution = Execution(CITY, self._city.store.state, self._window, header, transactions, self._city.record)
        while execution.step(_UNITS):
            pass
        return execution.finish()

    def _adopt(self, applied: Applied, staged: StagedBlock) -> None:
        self._city.store.adopt(staged)
        self._window.add(applied.outcome.height, applied.outcome.time_ms, applied.outcome.decided)
        self._signers.applied(applied)

    def _header(self, raws: Sequence[bytes], batches: Sequence[tuple[bytes, ...]]) -> Header:
        parent, applied = self._parent, self._city.store.applied
        assert applied is not None, "the city is initialised"
        return Header(
            version=HEADER_VERSION,
            chain=self._city.genesis.chain,
            epoch=0,
            view=parent.view + 1,
            height=parent.height + 1,
            parent=block_id(parent),
            parent_view=parent.view,
            time_ms=max(parent.time_ms + 1, time.time_ns() // 1_000_000),
            proposer=0,
            body_root=body_root(tuple(batch_id(batch) for batch in batches)),
            tx_count=len(raws),
            body_bytes=sum(map(len, raws)),
            exec_height=applied.height,
            state_root=applied.state_root,
            results_root=applied.results.root(),
            history_root=applied.history.root(),
            epoch_record_hash=parent.epoch_record_hash,
            next_epoch_record_hash=ZERO,
            extra_hash=ZERO,
        )


@contextmanager
def collecting_as_a_node() -> Iterator[None]:
    """What exists now lives until the end, and the collector looks at the rest as seldom as a running node's does."""
    thresholds = gc.get_threshold()
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)
    try:
        yield
    finally:
        gc.set_threshold(*thresholds)
        gc.unfreeze()
