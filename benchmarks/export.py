"""The export beside a running network: rows a second while it fills the tables, and how far it lags the chain."""

import argparse
import asyncio
import os
import sys
import time
from collections.abc import Coroutine, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from benchmarks.funded import SEED
from benchmarks.measure import percentiles
from benchmarks.network.cluster import Node, cluster
from benchmarks.network.load import Load
from benchmarks.network.signing import Signers
from benchmarks.network.watch import Watch
from benchmarks.report import Benchmark, Figures, table
from cccnode.export.database import Database, Engine, complete_until
from cccnode.export.postgres import PostgresEngine
from cccnode.export.schema import COLUMNS
from cccnode.export.sqlite import SqliteEngine
from cccnode.node.data import read_home_genesis
from genesis.document import Genesis
from tests.support.postgres import server

_POLL_S: Final = 0.1
_DRAIN_S: Final = 120
_TRIES: Final = 10
_EXPORT_S: Final = 900
_SQLITE: Final = "sqlite:"
_OWN_SERVER: Final = "postgresql"


def _arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--validators", type=int, default=1, help="default: %(default)s")
    add("--accounts", type=int, default=10_000, help="funded accounts; default: %(default)s")
    add("--signers", type=int, default=1_000, help="accounts that send; default: %(default)s")
    add("--transactions", type=int, default=100_000, help="committed before the export begins; default: %(default)s")
    add("--rate", type=float, default=500, help="sent a second while it follows; default: %(default)s")
    add("--seconds", type=float, default=30, help="of that load; default: %(default)s")
    add("--fill-rate", type=float, default=3_000, help="a second, for --transactions; default: %(default)s")
    add("--batch", type=int, default=64, help="transactions in one tx_submit_batch; default: %(default)s")
    add("--lanes", type=int, default=4, help="ranges at a time; default: %(default)s")
    add("--to", default="", help="URL of `cccnode export run`, or postgresql: a new server; default: a new file")


def _run(options: argparse.Namespace) -> Figures:
    with (
        TemporaryDirectory(prefix="export-") as folder,
        _target(options.to, folder) as target,
        cluster(
            validators=options.validators,
            accounts=options.accounts,
            seed=SEED,
            settings={"log.level": "warning"},
        ) as (network, nodes),
    ):
        genesis = read_home_genesis(network.home.genesis_file)
        return asyncio.run(_measure(options, nodes, genesis, target))


@contextmanager
def _target(said: str, folder: str) -> Iterator[str]:
    """Where to: a new file, a new server (package postgresql), or what was said."""
    if said == _OWN_SERVER:
        with server() as made:
            yield made.url
    else:
        yield said or f"{_SQLITE}{folder}/chain.db"


async def _measure(options: argparse.Namespace, nodes: list[Node], genesis: Genesis, target: str) -> Figures:
    watch = Watch(nodes)
    accounts = [entry.account_id() for entry in genesis.accounts]
    signers = Signers(chain=genesis.chain, signers=options.signers, accounts=accounts)
    load = Load([node.rpc for node in nodes], probe_every=1_000_000)
    try:
        old = signers.sign(options.transactions, options.batch, options.fill_rate)
        await load.open_loop(old, options.fill_rate)
        await load.answered()
        await _decided(watch, load)
        following = _Following(options, watch, target)
        figures = await following.fill()
        figures["missing"] = len(load.sent.acknowledged) - figures["transactions"]
        batches = signers.sign(round(options.rate * options.seconds), options.batch, options.rate)
        figures |= await following.follow(load.open_loop(batches, options.rate))
        figures["refused"] = load.sent.refused
    finally:
        signers.close()
        load.close()
        watch.close()
    table("export", ("figure", ""), [(name, str(value)) for name, value in figures.items()])
    return figures


async def _decided(watch: Watch, load: Load) -> None:
    """Wait until everything acknowledged is in a block.

    Raises:
        RuntimeError: that took too long.
    """
    for _ in range(_TRIES):
        if not await watch.idle(_DRAIN_S):
            break
        if (await watch.chain()).totals[-1] >= len(load.sent.acknowledged):
            return
    raise RuntimeError(f"the load was not decided within {_DRAIN_S} s; a lower --fill-rate may help")


class _Following:
    """One exporter process, watched through the tables that it fills."""

    def __init__(self, options: argparse.Namespace, watch: Watch, target: str) -> None:
        self._options, self._watch, self._target = options, watch, target

    async def fill(self) -> Figures:
        """All blocks that there are, into empty tables: from the start of the process to its end."""
        tip = await self._tip()
        began = time.monotonic()
        process = await self._start("--until", str(tip))
        try:
            peak_mb = await asyncio.wait_for(self._ended(process), _EXPORT_S)
        finally:
            if process.returncode is None:
                process.kill()
        seconds = time.monotonic() - began
        rows = await self._rows()
        return {
            "rows_per_s": round(sum(rows) / seconds, 1),
            "tx_per_s": round(rows[1] / seconds, 1),
            "rows": sum(rows),
            "transactions": rows[1],
            "blocks": rows[0],
            "seconds": round(seconds, 2),
            "rss_peak_mb": round(peak_mb, 1),
            "target": self._target.partition(":")[0],
        }

    async def follow(self, load: Coroutine[None, None, None]) -> Figures:
        """Lag under load: blocks that the tables lack, and how long after the node's answer a height is in them."""
        process = await self._start()
        database = Database(await self._engine())
        seen: dict[int, float] = {}
        highest = await self._tip()
        behind: list[float] = []
        late: list[float] = []
        driving = asyncio.create_task(load)
        try:
            while not driving.done() or seen:
                tip, now = await self._tip(), time.monotonic()
                seen.update((height, now) for height in range(highest + 1, tip + 1))
                highest = tip
                done, now = complete_until(await database.ranges()), time.monotonic()
                late += [(now - at) * 1_000 for height, at in seen.items() if height <= done]
                seen = {height: at for height, at in seen.items() if height > done}
                behind.append(float(max(0, tip - done)))
                await asyncio.sleep(_POLL_S)
            await driving
        finally:
            driving.cancel()
            process.kill()
            await process.wait()
            await database.close()
        return {"lag_blocks": percentiles(behind), "lag_ms": percentiles(late or [0.0])}

    async def _start(self, *words: str) -> asyncio.subprocess.Process:
        node = self._watch.nodes[0].rpc
        command = [sys.executable, "-m", "cccnode", "export", "run", "--node", f"{node[0]}:{node[1]}"]
        command += ["--to", self._target, "--lanes", str(self._options.lanes), *words]
        return await asyncio.create_subprocess_exec(*command, env=dict(os.environ))

    async def _ended(self, process: asyncio.subprocess.Process) -> float:
        """Its highest memory once it has ended.

        Raises:
            RuntimeError: it failed.
        """
        peak_mb = 0.0
        while process.returncode is None:
            peak_mb = max(peak_mb, _peak_mb(process.pid))
            await asyncio.sleep(_POLL_S)
        if process.returncode:
            raise RuntimeError(f"the exporter ended with {process.returncode}")
        return peak_mb

    async def _engine(self) -> Engine:
        if self._target.startswith(_SQLITE):
            return SqliteEngine(Path(self._target.removeprefix(_SQLITE)))
        return await PostgresEngine.connect(self._target, connections=1)

    async def _rows(self) -> Sequence[int]:
        """Rows of each table, in the order of `COLUMNS`."""
        engine = await self._engine()
        try:
            async with engine.transaction() as session:
                return [int((await session.fetch(f"SELECT count(*) FROM {name}"))[0][0]) for name in COLUMNS]
        finally:
            await engine.close()

    async def _tip(self) -> int:
        return int((await self._watch.statuses())[0]["height"])


def _peak_mb(process: int) -> float:
    """0 when it is gone."""
    try:
        status = Path(f"/proc/{process}/status").read_text(encoding="ascii")
    except OSError:
        return 0.0
    return int((status.partition("VmHWM:")[2].split() or ["0"])[0]) / 1024


BENCHMARK: Final = Benchmark(
    name="export",
    en="The export process fills SQLite or PostgreSQL from a node: rows a second, and its lag under load.",
    example="--transactions 100000 --json   (or: --to postgresql)",
    repetitions=1,
    arguments=_arguments,
    run=_run,
)
