"""The memory of one real node process: at its first start, and with a duplicate window as full as it may be."""

import argparse
import os
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from msgspec.structs import replace

from benchmarks.funded import SEED
from benchmarks.network.cluster import READY_S, Node, free_ports
from benchmarks.report import Benchmark, Figures, table
from cccnode import keys
from cccnode.cli.testnet_files import Testnet, TestnetNode, prepare
from cccnode.codec import encode
from cccnode.home import Home
from cccnode.node.data import found, initialise, read_home_genesis
from cccnode.types.block import FinalBlock, Header, block_id
from cccnode.types.receipt import OK, Receipt
from genesis.bootstrap import ASSET
from storage.files import RealDisk
from storage.leveldb import LevelDB
from storage.store import Store

_BLOCK: Final = 10_000
"""Ids of one block: as many as there may be."""
_QUIET_S: Final = 2.0
"""A node whose processor rests so long has done what it does at its start."""
_RESTING: Final = 0.1
"""Of a core."""
_AHEAD_MS: Final = 120_000
"""The blocks that fill the window are dated into the future, so that it is still full when the node is weighed."""
_WINDOW: Final = ("cccnode_ledger_window_transactions", "")
_WEIGHTS: Final = ("start_s", "rss_mb", "peak_mb", "file_mb")
_LAG: Final = ("cccnode_storage_index_behind_blocks", "")


def _arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--accounts", type=int, nargs="+", default=[100_000], help="funded accounts; default: %(default)s")
    add("--window", type=int, default=3_000_000, help="ids in the duplicate window; default: %(default)s")
    add("--cache-mb", type=int, default=512, help="state cache; default: %(default)s")
    add("--engine", choices=["auto", "uvloop", "asyncio"], default="auto", help="event loop of the node")


def _run(options: argparse.Namespace) -> Figures:
    cases = [_case(accounts, options) for accounts in options.accounts]
    columns = ("accounts", "window ids", "start s", "RSS MB", "peak MB", "of it files MB")
    rows = [
        (f"{case['accounts']:,}", f"{start['window_ids']:,}", *(start[name] for name in _WEIGHTS))
        for case in cases
        for start in (case["first_start"], case["full_window"])
    ]
    table("one node process", columns, rows)
    last = cases[-1]
    return {
        "accounts": last["accounts"],
        **last["full_window"],
        "cases": cases,
        "sound": all(case["full_window"]["window_ids"] == options.window for case in cases),
    }


def _case(accounts: int, options: argparse.Namespace) -> Figures:
    """A network of one validator: begun by the node itself, then again with blocks that fill the window."""
    settings = {"node.loop": options.engine, "storage.cache_mb": options.cache_mb, "log.level": "warning"}
    with TemporaryDirectory(prefix="cccnode-memory-") as folder:
        home = Home(Path(folder))
        network = prepare(home, validators=1, accounts=accounts, seed=SEED, ports=free_ports(1), settings=settings)
        first_start = _weighed(network.node(0))
        shutil.rmtree(network.node(0).home.data)
        _fill(network, options.window)
        return {"accounts": accounts, "first_start": first_start, "full_window": _weighed(network.node(0))}


def _weighed(node: TestnetNode) -> Figures:
    """Start the node, let it come to rest, and look at what it uses."""
    with _running(node) as running:
        began = time.monotonic()
        while not running.ready():
            if time.monotonic() > began + READY_S:
                raise TimeoutError(f"not ready after {READY_S} s: {running.last_words()}")
            time.sleep(0.05)
        start_s = time.monotonic() - began
        _rest(running)
        metrics = running.metrics()
        return {
            "start_s": round(start_s, 1),
            "rss_mb": round(running.rss_mb(), 1),
            "peak_mb": round(running.peak_rss_mb(), 1),
            "file_mb": round(running.file_mb(), 1),
            "window_ids": round(metrics[_WINDOW]),
        }


@contextmanager
def _running(node: TestnetNode) -> Iterator[Node]:
    command = [sys.executable, "-m", "cccnode", "run", "--home", str(node.home.root), "--parent", str(os.getpid())]
    running = Node(node, command, {})
    try:
        yield running
    finally:
        running.stop()
        running.wait()


def _rest(running: Node) -> None:
    """Until the index has caught up and the processor rests."""
    while True:
        before = running.cpu_seconds()
        time.sleep(_QUIET_S)
        if running.cpu_seconds() - before < _RESTING * _QUIET_S and not running.metrics()[_LAG]:
            return


def _fill(network: Testnet, count: int) -> None:
    """Give the node a chain whose newest blocks decided so many transactions, as if it had executed them."""
    node, genesis = network.node(0), read_home_genesis(network.home.genesis_file)
    for path in node.home.validator_keys:
        found(node.home.data, keys.read(path).public_key)
    disk, engine = RealDisk(node.home.data), LevelDB(node.home.data / "state")
    depth, identity = genesis.document.state_depth, keys.read(node.home.first_node_key).public_key
    store = Store.open(disk, engine, chain=genesis.chain, node_id=identity, depth=depth)
    parent = initialise(store, genesis)
    first_ms = time.time_ns() // 1_000_000 + _AHEAD_MS
    for first in range(0, count, _BLOCK):
        header = _header(store, parent, tx_count=min(_BLOCK, count - first), time_ms=first_ms + first // _BLOCK)
        block = FinalBlock(header=header, batches=(), certificate=None, justification=())
        staged = store.stage(block, block_id(header), {}, _receipts(header.tx_count)).finish()
        store.write(staged)
        store.adopt(staged)
        parent = header
    engine.close()
    disk.close()


def _header(store: Store, parent: Header, *, tx_count: int, time_ms: int) -> Header:
    applied = store.applied
    assert applied is not None, "the store is initialised"
    return replace(
        parent,
        view=parent.view + 1,
        height=parent.height + 1,
        parent=block_id(parent),
        parent_view=parent.view,
        time_ms=time_ms,
        tx_count=tx_count,
        exec_height=applied.height,
        state_root=applied.state_root,
        results_root=applied.results.root(),
        history_root=applied.history.root(),
    )


def _receipts(count: int) -> list[bytes]:
    """Receipts like those of transfers, with ids that nobody sent."""
    accounts = os.urandom(20 * (count + 1))
    return [
        encode(
            Receipt(
                tx_id=os.urandom(32),
                code=OK,
                fee_paid=1_000,
                events=(
                    (
                        "bank",
                        "transfer",
                        accounts[20 * at : 20 * at + 20],
                        accounts[20 * at + 20 : 20 * at + 40],
                        ASSET,
                        1,
                    ),
                ),
            )
        )
        for at in range(count)
    ]


BENCHMARK: Final = Benchmark(
    name="memory",
    en="What one node process weighs: at its first start, and with a full duplicate window.",
    example="--accounts 100000 1000000 --json",
    repetitions=1,
    arguments=_arguments,
    run=_run,
)
