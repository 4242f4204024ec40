"""A long run at a part of what the network carries: does anything grow that should not, and does upkeep disturb?

Four validators with a short retention take a steady load.  Memory, open files and the disk of every node are looked at
all the time; finality is told apart by what else the nodes do: nothing, prune, take snapshots, serve a backup.
"""

import argparse
import asyncio
import sys
import time
from collections.abc import Awaitable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Any, Final

from benchmarks.funded import SEED
from benchmarks.measure import percentiles
from benchmarks.network import checks
from benchmarks.network.cluster import Node, cluster
from benchmarks.network.load import Load
from benchmarks.network.signing import Signers
from benchmarks.network.watch import Watch
from benchmarks.plot import Panel, Series, svg
from benchmarks.report import Benchmark, Figures, table
from cccnode.cli.testnet_files import Testnet
from cccnode.node.data import read_home_genesis
from cccnode.types.retention import Keep
from genesis.document import Genesis
from storage.files import RealDisk

_SETTLE_S: Final = 5
_SAMPLE_S: Final = 5.0
_DRAIN_S: Final = 120
_PRUNED: Final = ("blocks", "receipts", "index")
_KINDS: Final = (*_PRUNED, "state", "batches", "journal", "snapshots")
_TOLERANCE: Final = 1.2
"""Of what the policy says, on the disk."""
_FLAT: Final = 1.05
"""Of the first quarter's mean, in the last."""
_DISTURBED: Final = 2.0
"""Of the quiet p99, while something else goes on."""
_SNAPSHOTS: Final = 3
_SNAPSHOT_AT: Final = 0.5
"""Of the measured time."""
_BACKUP_AT: Final = 0.75
_USAGE: Final = 2
"""How a command ends that there is not."""
_POINTS_MAX: Final = 120


def _arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--validators", type=int, default=4, help="default: %(default)s")
    add("--accounts", type=int, default=100_000, help="funded accounts; default: %(default)s")
    add("--signers", type=int, default=2_000, help="accounts that send; default: %(default)s")
    add("--transactions", type=int, default=2_000_000, help="measured, after the warm-up; default: %(default)s")
    add("--rate", type=float, default=2_550, help="a second: a quarter of the highest; default: %(default)s")
    add("--warm-up", type=float, default=330, help="seconds, to fill the duplicate window; default: %(default)s")
    add("--keep", default="7m", help="blocks, receipts and index are kept so long; default: %(default)s")
    add("--batch", type=int, default=128, help="transactions in one tx_submit_batch; default: %(default)s")
    add("--cache-mb", type=int, default=512, help="state cache of each node; default: %(default)s")
    add("--svg", type=Path, metavar="FILE", help="also draw disk against policy, memory, open files and finality")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One look at all nodes."""

    at: float
    rss_mb: Sequence[float]
    file_mb: Sequence[float]
    """Of that, pages of files: the system takes them back when it wants to."""
    open_files: Sequence[int]
    disk: Sequence[Mapping[str, int]]
    """Bytes by kind, as the disk counts."""
    earliest: Sequence[int]
    """The lowest block that each node keeps."""
    heights: Sequence[int]


@dataclass(slots=True)
class Phases:
    """What went on when, beside the load."""

    spans: list[tuple[str, float, float]] = field(default_factory=list)

    def of(self, at: float) -> str | None:
        """What went on at a moment; None: nothing that has a name."""
        return next((name for name, begin, end in self.spans if begin <= at <= end), None)

    def lasted(self) -> dict[str, float]:
        """Seconds that each thing went on, those after the load too, when no probe can tell how it disturbed."""
        spent: dict[str, float] = {}
        for name, begin, end in self.spans:
            spent[name] = round(spent.get(name, 0.0) + end - begin, 1)
        return spent

    async def during(self, name: str, work: Awaitable[bool]) -> bool:
        """Note how long something went on; False: it did not take place."""
        begun = time.monotonic()
        done = await work
        if done:
            self.spans.append((name, begun, time.monotonic()))
        return done


def _run(options: argparse.Namespace) -> Figures:
    settings = {
        "storage.cache_mb": options.cache_mb,
        "storage.snapshot_blocks": 0,
        "log.level": "warning",
        **{f"retention.{kind}": options.keep for kind in _PRUNED},
    }
    with cluster(validators=options.validators, accounts=options.accounts, seed=SEED, settings=settings) as (
        network,
        nodes,
    ):
        genesis = read_home_genesis(network.home.genesis_file)
        return asyncio.run(_Endurance(options, network, nodes, genesis).measure())


class _Endurance:
    """One run."""

    def __init__(self, options: argparse.Namespace, network: Testnet, nodes: Sequence[Node], genesis: Genesis) -> None:
        self._options, self._network, self._nodes, self._genesis = options, network, nodes, genesis
        self._disks = [RealDisk(network.node(node.index).home.data) for node in nodes]
        self._watch = Watch(nodes)
        self._load = Load([node.rpc for node in nodes], probe_every=1)
        self._samples: list[Sample] = []
        self._phases = Phases()
        self._pruning = asyncio.Event()
        """Whether some node has dropped blocks."""

    async def measure(self) -> Figures:
        """Load, look, disturb; then what it all means."""
        options = self._options
        accounts = [entry.account_id() for entry in self._genesis.accounts]
        signers = Signers(chain=self._genesis.chain, signers=options.signers, accounts=accounts)
        try:
            await asyncio.sleep(_SETTLE_S)
            count = round(options.transactions + options.rate * options.warm_up)
            batches = signers.sign(count, options.batch, options.rate)
        finally:
            signers.close()
        looking = asyncio.create_task(self._look())
        begun = time.monotonic()
        disturbing = asyncio.create_task(self._disturb(begun + options.warm_up))
        try:
            await self._load.open_loop(batches, options.rate)
            ended = time.monotonic()
            await self._load.answered()
            await disturbing
        finally:
            looking.cancel()
            disturbing.cancel()
        drained = await self._watch.idle(_DRAIN_S)
        right = await self._right()
        self._load.close()
        self._watch.close()
        figures = self._figures(begun + options.warm_up, ended)
        return {**figures, **right, "drained": drained, "sound": right["sound"] and drained}

    async def _look(self) -> None:
        """A sample every few seconds until it is called off."""
        while True:
            begun = time.monotonic()
            self._samples.append(await asyncio.to_thread(self._sample))
            if max(self._samples[-1].earliest) > 1:
                self._pruning.set()
            await asyncio.sleep(max(0.1, begun + _SAMPLE_S - time.monotonic()))

    def _sample(self) -> Sample:
        metrics = [node.metrics() for node in self._nodes]
        return Sample(
            at=time.monotonic(),
            rss_mb=[node.rss_mb() for node in self._nodes],
            file_mb=[node.file_mb() for node in self._nodes],
            open_files=[_open_files(node) for node in self._nodes],
            disk=[{kind: disk.usage(kind) for kind in _KINDS} for disk in self._disks],
            earliest=[int(one[("cccnode_storage_earliest_height", "blocks")]) for one in metrics],
            heights=[int(one[("cccnode_consensus_height", "")]) for one in metrics],
        )

    async def _disturb(self, begin: float) -> None:
        """Quiet until something is pruned, then snapshots at every node, then a backup of one.

        Both are done once before the measuring begins: what a node needs for them for the first time is no growth.
        """
        seconds = self._options.transactions / self._options.rate
        await asyncio.sleep(max(0.0, begin - self._options.warm_up / 2 - time.monotonic()))
        await self._snapshot()
        await self._backup("backup-first")
        await asyncio.sleep(max(0.0, begin - time.monotonic()))
        quiet = time.monotonic()
        with suppress(TimeoutError):
            async with asyncio.timeout_at(asyncio.get_running_loop().time() + seconds * _SNAPSHOT_AT):
                await self._pruning.wait()
        pruning = time.monotonic()
        self._phases.spans.append(("quiet", quiet, pruning))
        await asyncio.sleep(max(0.0, begin + seconds * _SNAPSHOT_AT - time.monotonic()))
        if self._pruning.is_set():
            self._phases.spans.append(("pruning", pruning, time.monotonic()))
        for _ in range(_SNAPSHOTS):
            await self._phases.during("snapshot", self._snapshot())
        await asyncio.sleep(max(0.0, begin + seconds * _BACKUP_AT - time.monotonic()))
        await self._phases.during("backup", self._backup("backup"))

    async def _snapshot(self) -> bool:
        """One of every node, at the same time."""
        done = await asyncio.gather(*(self._command(node, "snapshot", "create") for node in self._nodes))
        return all(done)

    async def _backup(self, name: str) -> bool:
        folder = self._network.home.root / name
        return await self._command(self._nodes[0], "db", "backup", str(folder))

    async def _command(self, node: Node, *words: str) -> bool:
        """A command about a node's home; False where there is no such command.

        Raises:
            RuntimeError: it failed.
        """
        home = str(self._network.node(node.index).home.root)
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "cccnode", *words, "--home", home),
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
        )
        _, said = await process.communicate()
        if process.returncode not in {0, _USAGE}:
            raise RuntimeError(f"{' '.join(words)}: {said.decode(errors='replace')}")
        return process.returncode == 0

    async def _right(self) -> Figures:
        """What must hold after any load; what was pruned cannot be asked for, so the counters of every node say it."""
        roots = await checks.roots_equal(self._watch)
        supply = await checks.supply_conserved(self._watch, self._genesis)
        acknowledged, totals = len(set(self._load.sent.acknowledged)), checks.decided(self._nodes)
        once = all(total["ok"] == acknowledged and total["failed"] == 0 for total in totals)
        return {
            "roots_equal": roots,
            "supply_conserved": supply,
            "acknowledged": acknowledged,
            "refused": self._load.sent.refused,
            "every_acknowledged_executed_once": once,
            "sound": roots and supply and once,
        }

    # What it means

    def _figures(self, begin: float, end: float) -> Figures:
        options = self._options
        samples = [sample for sample in self._samples if begin <= sample.at <= end]
        finality = self._finality(begin, end)
        disk = _disk(samples, self._kept_s(), self._phases)
        figures: Figures = {
            "transactions": options.transactions,
            "rate": options.rate,
            "seconds": round(end - begin, 1),
            "keep": options.keep,
            "finality_ms": finality,
            "p99_against_quiet": _against_quiet(finality),
            "lasted_s": self._phases.lasted(),
            "disk": disk,
            "rss_mb": _quarters([sample.rss_mb for sample in samples]),
            "rss_without_files_mb": _quarters([_unfiled(sample) for sample in samples]),
            "open_files": _quarters([sample.open_files for sample in samples]),
        }
        _print(figures)
        if options.svg is not None:
            options.svg.write_text(_draw(samples, disk, begin, self._load.sent.probes), encoding="utf-8")
        return figures

    def _kept_s(self) -> dict[str, float]:
        """For how many seconds each kind must be kept: the policy, and for receipts at least the duplicate window."""
        keep_s = (Keep.parse(self._options.keep).milliseconds or 0) / 1_000
        window_s = self._genesis.document.limits.tx_lifetime_max_ms / 1_000
        return {kind: max(keep_s, window_s) if kind == "receipts" else keep_s for kind in _PRUNED}

    def _finality(self, begin: float, end: float) -> dict[str, Any]:
        """From due to executed at another node, by what went on."""
        named: dict[str, list[float]] = {"all": []}
        for at, spent_ms in self._load.sent.probes:
            if begin <= at <= end:
                named["all"].append(spent_ms)
                name = self._phases.of(at)
                if name is not None:
                    named.setdefault(name, []).append(spent_ms)
        return {name: {**percentiles(values), "count": len(values)} for name, values in named.items() if values}


def _unfiled(sample: Sample) -> list[float]:
    return [all_mb - file_mb for all_mb, file_mb in zip(sample.rss_mb, sample.file_mb, strict=True)]


def _open_files(node: Node) -> int:
    return sum(1 for _ in Path(f"/proc/{node.process.pid}/fd").iterdir())


def _against_quiet(finality: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    quiet = finality.get("quiet", {}).get("p99")
    others = [name for name in ("pruning", "snapshot", "backup") if name in finality]
    return {name: round(finality[name]["p99"] / quiet, 2) for name in others} if quiet else {}


def _quarters(rows: Sequence[Sequence[float]]) -> dict[str, Any]:
    """The mean of the first and of the last quarter, by node, and the worst of their ratios."""
    quarter = max(1, len(rows) // 4)
    first = [fmean(values) for values in zip(*rows[:quarter], strict=True)]
    last = [fmean(values) for values in zip(*rows[-quarter:], strict=True)]
    worst = max(b / a for a, b in zip(first, last, strict=True))
    return {
        "first_quarter": [round(value, 1) for value in first],
        "last_quarter": [round(value, 1) for value in last],
        "worst_ratio": round(worst, 3),
        "flat": worst <= _FLAT,
    }


def _disk(samples: Sequence[Sample], kept_s: Mapping[str, float], phases: Phases) -> dict[str, Any]:
    """The policy in bytes, by how fast each kind grew before anything was dropped, and the most that was there."""
    quiet = [sample for sample in samples if phases.of(sample.at) == "quiet"]
    if len(quiet) < 2 or quiet[-1].at <= quiet[0].at:
        return {"policy_mb": None, "most_mb": None, "worst_ratio": None, "within": None}
    seconds = quiet[-1].at - quiet[0].at
    nodes = range(len(samples[0].disk))
    policy = [
        sum((quiet[-1].disk[at][kind] - quiet[0].disk[at][kind]) / seconds * kept_s[kind] for kind in _PRUNED)
        for at in nodes
    ]
    most = [max(sum(sample.disk[at][kind] for kind in _PRUNED) for sample in samples) for at in nodes]
    worst = max(there / wanted for there, wanted in zip(most, policy, strict=True))
    return {
        "policy_mb": [round(size / 1e6, 1) for size in policy],
        "most_mb": [round(size / 1e6, 1) for size in most],
        "last_mb": {kind: round(samples[-1].disk[0][kind] / 1e6, 1) for kind in _KINDS},
        "worst_ratio": round(worst, 3),
        "within": worst <= _TOLERANCE,
        "earliest": list(samples[-1].earliest),
        "heights": list(samples[-1].heights),
    }


def _print(figures: Figures) -> None:
    finality, against = figures["finality_ms"], figures["p99_against_quiet"]
    rows = [(name, row["count"], row["p50"], row["p99"], against.get(name)) for name, row in finality.items()]
    table("finality at another node, ms", ("while", "probes", "p50", "p99", "p99 / quiet"), rows)
    disk, memory, files = figures["disk"], figures["rss_mb"], figures["open_files"]
    unfiled = figures["rss_without_files_mb"]
    table(
        "worst node",
        ("what", "ratio", "allowed"),
        [
            ("disk at most / policy", disk["worst_ratio"], _TOLERANCE),
            ("RSS, last quarter / first", memory["worst_ratio"], _FLAT),
            ("the same without pages of files", unfiled["worst_ratio"], _FLAT),
            ("open files, last quarter / first", files["worst_ratio"], _FLAT),
            *((f"p99 while {name} / quiet", ratio, _DISTURBED) for name, ratio in against.items()),
        ],
    )


def _draw(
    samples: Sequence[Sample], disk: Mapping[str, Any], begin: float, probes: Sequence[tuple[float, float]]
) -> str:
    """Node 0 over time: its disk against the policy, memory and open files; and finality in the network."""
    chosen = samples[:: max(1, len(samples) // _POINTS_MAX)]
    seconds = [round(sample.at - begin) for sample in chosen]
    taken = [sum(sample.disk[0][kind] for kind in _PRUNED) / 1e6 for sample in chosen]
    lines = [Series("on disk", seconds, taken)]
    if disk["policy_mb"] is not None:
        lines.append(Series("policy", seconds, [disk["policy_mb"][0]] * len(seconds)))
        lines.append(Series("+20 %", seconds, [disk["policy_mb"][0] * _TOLERANCE] * len(seconds)))
    return svg(
        [
            Panel("blocks, receipts, index of node 0, MB", lines),
            Panel("memory of node 0, MB", _memory(chosen, seconds)),
            Panel("open files of node 0", [Series("files", seconds, [sample.open_files[0] for sample in chosen])]),
            Panel("finality, ms", _by_time(chosen, seconds, probes)),
        ],
        across="seconds",
    )


def _memory(chosen: Sequence[Sample], seconds: Sequence[int]) -> list[Series]:
    rows = {"RSS": [sample.rss_mb[0] for sample in chosen], "without files": [_unfiled(one)[0] for one in chosen]}
    return [Series(name, seconds, values) for name, values in rows.items()]


def _by_time(chosen: Sequence[Sample], seconds: Sequence[int], probes: Sequence[tuple[float, float]]) -> list[Series]:
    """Median and p99 of the probes between one chosen sample and the next."""
    spans = [
        (second, [spent for at, spent in probes if one.at <= at < other.at])
        for second, one, other in zip(seconds, chosen, chosen[1:], strict=False)
    ]
    known = [(second, percentiles(values)) for second, values in spans if values]
    across = [second for second, _ in known]
    return [Series(name, across, [row[name] or 0.0 for _, row in known]) for name in ("p50", "p99")]


BENCHMARK: Final = Benchmark(
    name="endurance",
    en="A long steady load on validators that prune: memory, files, disk over time, and latency during upkeep.",
    example="--json --svg endurance.svg (or, small: --transactions 60000 --rate 400 --warm-up 10 --keep 60s)",
    repetitions=1,
    arguments=_arguments,
    run=_run,
)
