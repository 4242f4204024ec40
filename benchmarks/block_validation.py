"""What a block of signed transfers costs one node, from bytes to the committed state root, on real LevelDB.

Every block is new: nothing of it was decoded, verified or hashed before.  What comes later and off this path, the rows
of the index, is measured beside it.
"""

import argparse
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from benchmarks.chain import Chain, collecting_as_a_node
from benchmarks.funded import LIFE_MS, City, open_city, transfers
from benchmarks.measure import Spread, Stopwatch, pynacl_verify_us
from benchmarks.report import Benchmark, Figures, table
from cccnode.types.transaction import account_id
from storage.index import Index


class _Transfers:
    """Signed transfers of the first accounts, never the same twice."""

    def __init__(self, city: City, signers: int) -> None:
        self._city, self._signed = city, 0
        self._owners = [(account_id(key.public_key), key) for key in city.owners[:signers]]

    def take(self, count: int) -> list[bytes]:
        """The next ones."""
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
            collecting_as_a_node(),
        ):
            index = Index(Path(folder) / "transactions.sqlite")
            index.add([(0, ())])
            chain, load = Chain(city, index), _Transfers(city, min(options.signers, accounts))
            watches = {count: Stopwatch() for count in options.transactions}
            for _ in range(options.repetitions):
                for count, watch in watches.items():
                    chain.watch = watch
                    # The tree takes over a block's nodes at the beginning of the next: let one of equal size precede.
                    chain.run(load.take(count), measured=False)
                    chain.run(load.take(count), measured=True)
                pynacl.append(pynacl_verify_us())
                indexing.append(chain.index())
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
