"""What a block of signed transfers costs one node, from bytes to the committed state root, on real LevelDB.

Every block is new: nothing of it was decoded, verified or hashed before.  What comes later and off this path, the rows
of the index, is measured beside it.
"""

import argparse
import gc
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from benchmarks.city import LIFE_MS, City, open_city, transfers
from benchmarks.measure import Spread, Stopwatch, pynacl_verify_us
from benchmarks.report import Benchmark, Figures, table
from cccnode.city import CITY
from cccnode.crypto import verifying
from cccnode.crypto.hashing import ZERO
from cccnode.crypto.verifying import verify_many
from cccnode.driver.execution import Applied, Job
from cccnode.ingress import decode_transactions
from cccnode.ledger.transition import Execution, Outcome
from cccnode.ledger.window import Window
from cccnode.node.run import GC_THRESHOLDS
from cccnode.node.signatures import Signers
from cccnode.types.batch import batch_id
from cccnode.types.block import HEADER_VERSION, FinalBlock, Header, block_id, body_root
from cccnode.types.limits import BATCH_TXS_MAX
from cccnode.types.receipt import OK
from cccnode.types.transaction import Verified, account_id
from storage.index import Index
from storage.store import StagedBlock

_UNITS: Final = 256
"""Transactions executed at once, as in the driver."""


class _Chain:
    """Makes blocks, one after the other, and takes each through all stages."""

    def __init__(self, city: City, index: Index, signers: int) -> None:
        self._city, self._index, self._unindexed = city, index, list[tuple[int, Sequence[bytes]]]()
        self._signers = Signers(verifying.default)
        self._parent = city.header
        self._window = Window(city.record.limits.tx_lifetime_max_ms)
        self._window.add(0, city.header.time_ms, ())
        self._owners = [(account_id(key.public_key), key) for key in city.owners[:signers]]
        self._signed = 0
        self.watch = Stopwatch()

    def run(self, count: int, *, measured: bool) -> None:
        """One block of `count` transfers."""
        raws = self._sign(count)
        watch = self.watch if measured else Stopwatch()
        verified = self._ingress(watch, raws)
        batches = [tuple(raws[first : first + BATCH_TXS_MAX]) for first in range(0, count, BATCH_TXS_MAX)]
        header = self._header(raws, batches)
        outcome = watch.add("execute", lambda: self._execute(header, verified), count)
        assert outcome.codes == (OK,) * count, "a transfer failed"
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

    def _sign(self, count: int) -> list[bytes]:
        signed = transfers(
            chain=self._city.genesis.chain,
            owners=self._owners,
            accounts=self._city.accounts,
            count=count,
            first=self._signed,
            valid_until_ms=time.time_ns() // 1_000_000 + LIFE_MS,
        )
        self._signed += count
        return [raw for _, raw in signed]

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
        assert len(verified) == len(raws), "a transfer was refused"
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
def _collecting_as_a_node() -> Iterator[None]:
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


def _arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--accounts", type=int, nargs="+", default=[10_000, 100_000], help="funded accounts; default: %(default)s")
    add("--transactions", type=int, nargs="+", default=[1_000, 10_000], help="in one block; default: %(default)s")
    add("--signers", type=int, default=2_000, help="accounts that send; default: %(default)s")
    add("--cache-mb", type=int, default=512, help="state cache; default: %(default)s")


def _run(options: argparse.Namespace) -> Figures:
    cases, indexing, pynacl = [], list[float](), list[float]()
    for accounts in options.accounts:
        with (
            open_city(accounts, cache_mb=options.cache_mb) as city,
            TemporaryDirectory() as folder,
            _collecting_as_a_node(),
        ):
            index = Index(Path(folder) / "transactions.sqlite")
            index.add([(0, ())])
            chains = _Chain(city, index, min(options.signers, accounts))
            watches = {count: Stopwatch() for count in options.transactions}
            for _ in range(options.repetitions):
                for count, watch in watches.items():
                    chains.watch = watch
                    # The tree takes over a block's nodes at the beginning of the next: let one of equal size precede.
                    chains.run(count, measured=False)
                    chains.run(count, measured=True)
                pynacl.append(pynacl_verify_us())
                indexing.append(chains.index())
            for count, watch in watches.items():
                cases.append((accounts, count, watch.spreads()))
            index.close()
    stages = list(cases[0][2])
    table(
        "a block of signed transfers, processor µs per transaction by stage, min..median",
        ("accounts", "transactions", *stages),
        [
            (f"{accounts:,}", f"{count:,}", *(str(spread) for spread in spreads.values()))
            for accounts, count, spreads in cases
        ],
    )
    without = [(accounts, count, _without(spreads)) for accounts, count, spreads in cases]
    table(
        "transactions a second on one core",
        ("accounts", "transactions", "with signatures", "without (catch-up)"),
        [
            (f"{accounts:,}", f"{count:,}", spreads["total"].per_second, 1e6 / rest)
            for (accounts, count, spreads), (_, _, rest) in zip(cases, without, strict=True)
        ],
    )
    print(f"\nindex, later: {Spread.of(indexing)} µs; PyNaCl verifies a signature in {Spread.of(pynacl)} µs")
    accounts, _, largest = cases[-1]
    return {
        "accounts": accounts,
        "tx_per_s": round(largest["total"].per_second),
        "pynacl_verifies_per_tx": round(largest["total"].middle / Spread.of(pynacl).middle, 3),
        "index_us_per_tx": Spread.of(indexing).json(),
        "cpu_us_per_tx": {stage: spread.json() for stage, spread in largest.items()},
        "tx_per_s_per_core": round(largest["total"].per_second),
        "tx_per_s_per_core_without_signatures": round(1e6 / _without(largest)),
        "cases": [
            {
                "accounts": accounts,
                "transactions": count,
                "cpu_us_per_tx": {stage: spread.json() for stage, spread in spreads.items()},
            }
            for accounts, count, spreads in cases
        ],
    }


def _without(spreads: dict[str, Spread]) -> float:
    return spreads["total"].middle - spreads["verify"].middle


BENCHMARK: Final = Benchmark(
    name="block_validation",
    en="A block of signed transfers from bytes to the committed state root: decode, verify, execute, stage, commit.",
    example="--accounts 100000 1000000 --transactions 10000 --json",
    repetitions=5,
    arguments=_arguments,
    run=_run,
)
