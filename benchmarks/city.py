"""The city's real mix (transfers 60 %, orders 20 %, provenance 10 %, votes 10 %): by kind of message, and on a network.

First blocks of each kind alone and of the mix on states of several sizes, on one core; then as much of the mix as four
validators carry.
"""

import argparse
import asyncio
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from benchmarks import mix
from benchmarks.chain import Chain, collecting_as_a_node
from benchmarks.funded import LIFE_MS, SEED, City, open_city, signing_keys
from benchmarks.measure import Spread, Stopwatch, pynacl_verify_us
from benchmarks.network.cluster import Node, cluster
from benchmarks.network.load import Load
from benchmarks.network.run import Bench
from benchmarks.network.signing import Make, Signers
from benchmarks.network.watch import Watch
from benchmarks.report import Benchmark, Figures, table
from cccnode.cli.testnet_files import Testnet
from cccnode.client import Account, Client
from cccnode.node.data import read_home_genesis
from cccnode.types.transaction import account_id, sign_transaction
from storage.index import Index

_FILL: Final = 5_000
"""Transactions of a block that only makes records."""
_APPLYING: Final = ("execute", "stage", "commit", "adopt")
_SETTLE_S: Final = 3


def _arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--only", choices=["blocks", "network"], help="leave the other part out")
    add("--records", type=int, nargs="+", default=[10_000, 100_000], help="half accounts, half orders and lots")
    add("--depth", type=int, default=16, help="2^depth buckets of the state of blocks; default: %(default)s")
    add("--transactions", type=int, default=2_000, help="in one block; default: %(default)s")
    add("--accounts", type=int, default=100_000, help="of the network; default: %(default)s")
    add("--signers", type=int, default=2_000, help="accounts that send; default: %(default)s")
    add("--validators", type=int, default=4, help="default: %(default)s")
    add("--rate", default="max", help="transactions a second, or max; default: %(default)s")
    add("--seconds", type=float, default=60, help="measured after the warm-up; default: %(default)s")
    add("--warm-up", type=float, default=10, help="seconds; default: %(default)s")
    add("--batch", type=int, default=128, help="transactions in one tx_submit_batch; default: %(default)s")
    add("--cache-mb", type=int, default=512, help="state cache; default: %(default)s")
    add("--sample", type=int, default=1_000, help="acknowledged transactions looked up on every node")
    parser.set_defaults(svg=None, profile=None)


def _run(options: argparse.Namespace) -> Figures:
    blocks = {} if options.only == "network" else _blocks(options)
    return {**blocks, **({} if options.only == "blocks" else _network(options))}


# -- blocks ----------------------------------------------------------------------------------------------------------


class _Town:
    """A city whose producers have listed their goods, with its next transactions of any kind."""

    def __init__(self, city: City, index: Index, signers: int) -> None:
        self._city, self._signed = city, 0
        self._owners = [(account_id(key.public_key), key) for key in city.owners[:signers]]
        self.chain = Chain(city, index)
        prepared = mix.preparations(self._owners, city.header.time_ms)
        self.chain.run([self._first(number, *row) for number, row in enumerate(prepared)], measured=False)

    def _first(self, number: int, owner: mix.Owner, messages: Sequence[Any]) -> bytes:
        _, raw = sign_transaction(
            chain=self._city.genesis.chain,
            account=owner[0],
            valid_until_ms=_until_ms(),
            salt=b"prepare" + bytes([number]),
            fee_max=mix.FEE_MAX,
            messages=messages,
            keys=[owner[1]],
        )
        return raw

    def take(self, make: Make, count: int) -> list[bytes]:
        """The next transactions."""
        signed = make(
            chain=self._city.genesis.chain,
            owners=self._owners,
            accounts=self._city.accounts,
            count=count,
            first=self._signed,
            valid_until_ms=_until_ms(),
        )
        self._signed += count
        return [raw for _, raw in signed]

    def fill(self, records: int) -> None:
        """Make orders and lots."""
        for first in range(0, records, _FILL):
            kind = "lot" if first // _FILL % 3 == 2 else "order"
            raws = self.take(partial(mix.signed, kind), min(_FILL, records - first))
            self.chain.run(raws, measured=False, trusted=True)


def _until_ms() -> int:
    return time.time_ns() // 1_000_000 + LIFE_MS


def _blocks(options: argparse.Namespace) -> Figures:
    cases: list[tuple[int, dict[str, dict[str, Spread]]]] = []
    pynacl: list[float] = []
    for records in options.records:
        accounts = records // 2
        with (
            open_city(accounts, cache_mb=options.cache_mb, state_depth=options.depth, **mix.genesis()) as city,
            TemporaryDirectory() as folder,
        ):
            index = Index(Path(folder) / "transactions.sqlite")
            index.add([(0, ())])
            town = _Town(city, index, options.signers)
            town.fill(records - accounts)
            with collecting_as_a_node():
                cases.append((records, _kinds(options, town, pynacl)))
            index.close()
    _tables(cases)
    (_, smallest), (records, largest) = cases[0], cases[-1]
    return {
        "records": records,
        "state_depth": options.depth,
        "cpu_us_per_message": {kind: _json(stages) for kind, stages in largest.items()},
        "apply_us_against_fewest_records": {
            kind: round(_applying(stages) / _applying(smallest[kind]), 2) for kind, stages in largest.items()
        },
        "pynacl_verify_us": round(Spread.of(pynacl).middle, 1),
        "cases": [
            {"records": count, "cpu_us_per_message": {k: _json(s) for k, s in kinds.items()}} for count, kinds in cases
        ],
    }


def _kinds(options: argparse.Namespace, town: _Town, pynacl: list[float]) -> dict[str, dict[str, Spread]]:
    """Blocks of each kind in turn, and of the mix."""
    makes: dict[str, Make] = {kind: partial(mix.signed, kind) for kind in (*mix.KINDS, mix.MIX)}
    watches = {kind: Stopwatch() for kind in makes}
    for _ in range(options.repetitions):
        for kind, make in makes.items():
            town.chain.watch = watches[kind]
            # The tree takes over a block's nodes at the beginning of the next: let one of the same kind precede.
            town.chain.run(town.take(make, options.transactions), measured=False)
            town.chain.run(town.take(make, options.transactions), measured=True)
        pynacl.append(pynacl_verify_us())
        town.chain.index()
    return {kind: watch.spreads() for kind, watch in watches.items()}


def _applying(stages: dict[str, Spread]) -> float:
    return sum(stages[stage].middle for stage in _APPLYING)


def _json(stages: dict[str, Spread]) -> dict[str, Any]:
    return {**{stage: spread.json() for stage, spread in stages.items()}, "apply": round(_applying(stages), 3)}


def _tables(cases: Sequence[tuple[int, dict[str, dict[str, Spread]]]]) -> None:
    for records, kinds in cases:
        stages = list(kinds[mix.MIX])
        table(
            f"{records:,} records: processor µs for a message by stage, min..median; apply: {' + '.join(_APPLYING)}",
            ("kind", *stages, "apply", "a second"),
            [
                (kind, *map(str, spreads.values()), _applying(spreads), spreads["total"].per_second)
                for kind, spreads in kinds.items()
            ],
        )


# -- network ---------------------------------------------------------------------------------------------------------


def _network(options: argparse.Namespace) -> Figures:
    settings = {"storage.cache_mb": options.cache_mb, "log.level": "warning"}
    with cluster(
        validators=options.validators, accounts=options.accounts, seed=SEED, settings=settings, **mix.genesis()
    ) as (network, nodes):
        return asyncio.run(_loaded(options, network, nodes))


async def _loaded(options: argparse.Namespace, network: Testnet, nodes: list[Node]) -> Figures:
    genesis = read_home_genesis(network.home.genesis_file)
    accounts = [entry.account_id() for entry in genesis.accounts][: options.accounts]
    watch, every = Watch(nodes), max(1, round(512 / options.batch))
    # The search goes beyond what the nodes carry, and a node may then hang up.
    load = Load([node.rpc for node in nodes], probe_every=every, refusable=True)
    signers = Signers(chain=genesis.chain, signers=options.signers, accounts=accounts, make=mix.mixed)
    try:
        await asyncio.sleep(_SETTLE_S)
        load.sent.acknowledged += await _prepare(nodes[0])
        return await Bench(options, watch, signers, load, genesis).throughput()
    finally:
        signers.close()
        load.close()
        watch.close()


async def _prepare(node: Node) -> list[bytes]:
    """List the producers' goods and open the proposals, one after the other; ids of the transactions."""
    owners = [(account_id(key.public_key), key) for key in signing_keys(mix.PRODUCERS + mix.PROPOSALS, SEED)]
    done = []
    async with Client(f"{node.rpc[0]}:{node.rpc[1]}") as client:
        for (account, key), messages in mix.preparations(owners, time.time_ns() // 1_000_000):
            signed = await client.sign(Account(account, key), messages, fee_max=mix.FEE_MAX)
            await client.submit(signed.raw)
            assert (await client.wait(signed.tx_id))["outcome"] == "ok", "the mix can be prepared"
            done.append(signed.tx_id)
    return done


BENCHMARK: Final = Benchmark(
    name="city",
    en="The real mix: transfers, orders, provenance, votes; by kind and size of the state, and on four validators.",
    example="--records 10000 100000 1000000 --json",
    repetitions=5,
    arguments=_arguments,
    run=_run,
)
