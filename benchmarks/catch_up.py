"""A validator that lost its data: how fast it fetches and executes what the others have decided meanwhile."""

import argparse
import asyncio
import time
from pathlib import Path
from typing import Any, Final

from benchmarks.funded import SEED
from benchmarks.network.checks import roots_equal
from benchmarks.network.client import Connection
from benchmarks.network.cluster import READY_S, Node, cluster, machine_busy_seconds
from benchmarks.network.load import Load
from benchmarks.network.profiled import BEGIN, END
from benchmarks.network.signing import Signers
from benchmarks.network.watch import STAGE, Chain, Watch
from benchmarks.report import Benchmark, Figures, table
from cccnode.node.data import read_home_genesis
from genesis.document import Genesis

_POLL_S: Final = 0.05
_DRAIN_S: Final = 120
_CATCH_UP_S: Final = 600
"""Longer than this is no catching up."""
_PROBE_EVERY: Final = 64


def _arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--validators", type=int, default=4, help="default: %(default)s")
    add("--accounts", type=int, default=100_000, help="funded accounts; default: %(default)s")
    add("--signers", type=int, default=2_000, help="accounts that send; default: %(default)s")
    add("--transactions", type=int, default=150_000, help="committed before the data is lost; default: %(default)s")
    add("--rate", type=float, default=4_000, help="at which they are sent, a second; default: %(default)s")
    add("--batch", type=int, default=128, help="transactions in one tx_submit_batch; default: %(default)s")
    add("--engine", choices=["auto", "uvloop", "asyncio"], default="auto", help="event loop of the nodes")
    add("--cache-mb", type=int, default=512, help="state cache of each node; default: %(default)s")
    add("--profile", type=Path, metavar="FILE", help="what the node did while it caught up, line by line")


def _run(options: argparse.Namespace) -> Figures:
    with cluster(
        validators=options.validators,
        accounts=options.accounts,
        seed=SEED,
        settings={"node.loop": options.engine, "storage.cache_mb": options.cache_mb, "log.level": "warning"},
        profile=options.profile.absolute() if options.profile else None,
    ) as (network, nodes):
        return asyncio.run(_measure(options, nodes, read_home_genesis(network.home.genesis_file)))


async def _measure(options: argparse.Namespace, nodes: list[Node], genesis: Genesis) -> Figures:
    watch = Watch(nodes)
    try:
        refused = await _fill(options, watch, genesis)
        chain = await watch.chain()
        wiped = nodes[0]
        await asyncio.to_thread(wiped.begin_anew)
        watch.connections[0].close()
        replay = _Replay(wiped, watch.connections[0], chain, profiling=options.profile is not None)
        figures = await replay.figures()
        same = await roots_equal(watch)
    finally:
        watch.close()
    figures |= {"accounts": options.accounts, "refused": refused, "roots_equal": same, "sound": same}
    _print(figures)
    return figures


async def _fill(options: argparse.Namespace, watch: Watch, genesis: Genesis) -> int:
    """Let the network decide the transactions; returns how many it refused."""
    accounts = [entry.account_id() for entry in genesis.accounts]
    signers = Signers(chain=genesis.chain, signers=options.signers, accounts=accounts)
    load = Load([node.rpc for node in watch.nodes], probe_every=_PROBE_EVERY)
    try:
        await load.open_loop(signers.sign(options.transactions, options.batch, options.rate), options.rate)
        await load.answered()
    finally:
        signers.close()
        load.close()
    if not await watch.idle(_DRAIN_S):
        raise RuntimeError(f"the network did not decide the load within {_DRAIN_S} s; a lower --rate may help")
    return load.sent.refused


class _Replay:
    """The node that catches up, from the first block that it is seen with to the last that had been decided."""

    def __init__(self, node: Node, connection: Connection, chain: Chain, *, profiling: bool) -> None:
        self._node, self._connection, self._chain, self._profiling = node, connection, chain, profiling

    async def figures(self) -> Figures:
        """Rate, cost and memory.

        Raises:
            TimeoutError: it did not get there.
        """
        node, totals = self._node, self._chain.totals
        began = time.monotonic()
        first = await self._until(1, READY_S)
        if self._profiling:
            node.process.send_signal(BEGIN)
        machine, cpu, loop, stages = (
            machine_busy_seconds(),
            node.cpu_seconds(),
            node.main_thread_seconds(),
            _stages(node),
        )
        at, before_mb = time.monotonic(), node.peak_rss_mb()
        last = await self._until(len(totals) - 1, _CATCH_UP_S)
        seconds = time.monotonic() - at
        spent, loop = node.cpu_seconds() - cpu, node.main_thread_seconds() - loop
        if self._profiling:
            node.process.send_signal(END)
        last = min(last, len(totals) - 1)
        count, blocks = totals[last] - totals[first], last - first
        per_tx = 1e6 / max(1, count)
        by_stage = {name: (value - stages.get(name, 0.0)) * per_tx for name, value in _stages(node).items()}
        by_stage["other"] = spent * per_tx - sum(by_stage.values())
        costs = {**by_stage, "main_thread": loop * per_tx, "total": spent * per_tx}
        return {
            "tx_per_s": round(count / seconds, 1),
            "blocks_per_s": round(blocks / seconds, 1),
            "transactions": count,
            "blocks": blocks,
            "tx_per_block": round(count / max(1, blocks), 1),
            "seconds": round(seconds, 3),
            "start_s": round(at - began, 2),
            "loop_bound_tx_per_s": round(count / loop, 1) if loop else 0.0,
            "cpu_us_per_tx": {name: round(value, 2) for name, value in costs.items()},
            "cores_used": {
                "node": round(spent / seconds, 2),
                "others": round(max(0.0, machine_busy_seconds() - machine - spent) / seconds, 2),
            },
            "rss_peak_before_mb": round(before_mb, 1),
            "rss_mb": round(node.rss_mb(), 1),
            "rss_peak_mb": round(node.peak_rss_mb(), 1),
        }

    async def _until(self, height: int, patience_s: float) -> int:
        """The height of the node once it is that high."""
        deadline = time.monotonic() + patience_s
        while (at := await self._height()) < height:
            if self._node.process.poll() is not None:
                raise RuntimeError(f"the node ended: {self._node.last_words()}")
            if time.monotonic() > deadline:
                raise TimeoutError(f"the node is at height {at} and not at {height} after {patience_s} s")
            await asyncio.sleep(_POLL_S)
        return at

    async def _height(self) -> int:
        """0 also while it does not answer yet."""
        try:
            status: dict[str, Any] = await self._connection.ask("chain_status")
        except (OSError, EOFError):
            self._connection.close()
            return 0
        return int(status["height"])


def _stages(node: Node) -> dict[str, float]:
    return {label: value for (name, label), value in node.metrics().items() if name == STAGE}


def _print(figures: Figures) -> None:
    costs = figures["cpu_us_per_tx"]
    rows = [(name, value if isinstance(value, float) else str(value)) for name, value in figures.items()]
    table("a wiped validator catches up", ("figure", ""), [row for row in rows if row[0] != "cpu_us_per_tx"])
    table("CPU µs per transaction of that node", tuple(costs), [tuple(costs.values())])


BENCHMARK: Final = Benchmark(
    name="catch_up",
    en="A validator whose data is wiped fetches and executes what the others decided: transactions a second.",
    example="--transactions 150000 --json   (or: --profile catch_up.txt)",
    repetitions=1,
    arguments=_arguments,
    run=_run,
)
