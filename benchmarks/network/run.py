"""The runs of the network benchmark: a load at a rate or at the highest one, too much, finality when calm, idling."""

import argparse
import asyncio
import signal
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any, Final

from benchmarks.funded import SEED
from benchmarks.network import checks
from benchmarks.network.blocks import Said, blocks_of
from benchmarks.network.cluster import Node, cluster
from benchmarks.network.drawn import draw
from benchmarks.network.flood import Flood
from benchmarks.network.flood import figures as flood_figures
from benchmarks.network.load import Load
from benchmarks.network.overload import AFTER_S, OVERLOADING, Overloaded
from benchmarks.network.profiled import BEGIN, END
from benchmarks.network.signing import Signers
from benchmarks.network.step import Step, Window
from benchmarks.network.watch import Watch
from benchmarks.report import Benchmark, Figures, table
from cccnode.cli.testnet_files import Testnet
from cccnode.node.data import read_home_genesis
from cccnode.types.limits import WINDOW_TXS_MAX
from genesis.document import Genesis

_LOWEST: Final = 250.0
"""Transactions a second at which the search for the highest rate gives up."""
_BEGIN: Final = 1_000.0
"""Where it begins."""
_MORE: Final = 1.3
"""From a short step that was sustained to the next."""
_NEAR: Final = 1.08
"""The highest short step that was sustained and the lowest that was not are this near to each other in the end."""
_LESS: Final = 0.96
"""When a rate could not be sustained over the whole time, the next one."""
_SHORT: Final = Window(3, 13)
"""A short step of the search."""
_PILE_S: Final = 1.5
"""A short step keeps up while the backlog stays below so many seconds of load: its blocks are too few to count."""
_STEPS_MAX: Final = 6
_SETTLE_S: Final = 5
_DRAIN_S: Final = 120


def _arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--validators", type=int, default=4, help="default: %(default)s")
    add("--accounts", type=int, default=100_000, help="funded accounts; default: %(default)s")
    add("--signers", type=int, default=2_000, help="accounts that send; default: %(default)s")
    add("--rate", default="max", help="transactions a second, or max; default: %(default)s")
    add("--seconds", type=float, default=60, help="measured after the warm-up; default: %(default)s")
    add("--warm-up", type=float, default=10, help="seconds; default: %(default)s")
    add("--batch", type=int, default=128, help="transactions in one tx_submit_batch; default: %(default)s")
    add("--engine", choices=["auto", "uvloop", "asyncio"], default="auto", help="event loop of the nodes")
    add("--cache-mb", type=int, default=512, help="state cache of each node; default: %(default)s")
    add("--sample", type=int, default=1_000, help="acknowledged transactions looked up on every node")
    add("--finality", action="store_true", help="single transactions at --rate (50), each awaited at another node")
    add("--window", type=int, default=WINDOW_TXS_MAX, help="transactions in the duplicate window; default: %(default)s")
    add("--history", action="store_true", help="the nodes keep the history of accounts too")
    add("--delay-ms", type=int, default=0, help="added to every byte between two nodes, each way; default: %(default)s")
    add("--overload", action="store_true", help="after --rate: twice as much for --seconds, then half as much")
    add("--flood", action="store_true", help="then once more at that rate, while a peer forwards forged transactions")
    add("--idle", type=float, metavar="SECONDS", help="no load: processor time and blocks of an idle network")
    add("--svg", type=Path, metavar="FILE", help="also draw latency and cost of all steps against the rate")
    add("--profile", type=Path, metavar="FILE", help="what node 0 did under load, line by line")


def _run(options: argparse.Namespace) -> Figures:
    settings = {"node.loop": options.engine, "storage.cache_mb": options.cache_mb, "log.level": "warning"}
    settings["storage.history"] = options.history
    if options.finality or options.idle:
        options.batch = 1
    with cluster(
        validators=options.validators,
        accounts=options.accounts,
        seed=SEED,
        settings=settings,
        peers=1 if options.flood else 0,
        window=options.window,
        profile=options.profile.absolute() if options.profile else None,
        delay_ms=options.delay_ms,
    ) as (network, nodes):
        genesis = read_home_genesis(network.home.genesis_file)
        return asyncio.run(_measure(options, network, nodes, genesis))


async def _measure(options: argparse.Namespace, network: Testnet, nodes: list[Node], genesis: Genesis) -> Figures:
    watch = Watch(nodes)
    signers = Signers(
        chain=genesis.chain, signers=options.signers, accounts=[entry.account_id() for entry in genesis.accounts]
    )
    load = Load(
        [node.rpc for node in nodes],
        probe_every=1 if options.finality else max(1, round(512 / options.batch)),
        **(OVERLOADING if options.overload else {}),
    )
    try:
        await asyncio.sleep(_SETTLE_S)
        if options.idle:
            return await _idle(options, watch, load)
        bench = Bench(options, watch, signers, load, genesis)
        if options.overload:
            return await bench.overload()
        if options.flood:
            return await bench.flood(Flood(network, genesis.chain))
        return await (bench.finality() if options.finality else bench.throughput())
    finally:
        signers.close()
        load.close()
        watch.close()


class Bench:
    """One loaded run."""

    def __init__(
        self, options: argparse.Namespace, watch: Watch, signers: Signers, load: Load, genesis: Genesis
    ) -> None:
        """`options` has rate, seconds, warm_up, batch and sample; svg and profile, or None."""
        self._options, self._watch, self._signers, self._load, self._genesis = options, watch, signers, load, genesis
        self._steps: list[Step] = []

    async def throughput(self) -> Figures:
        """At the given rate, or at the highest that is sustained, and then at nine tenths and at half of it."""
        highest_step = await self._highest()
        shares: Figures = {}
        if self._options.rate == "max":
            rate = highest_step.committed_per_s
            shares["max_tx_per_s"] = round(rate, 1)
            for name, share in (("at_90", 0.9), ("at_half", 0.5)):
                shares[name] = (await self._open_step(rate * share)).json()
        return {**await self._report(highest_step), **shares}

    async def _highest(self) -> Step:
        options = self._options
        if options.rate != "max":
            await self._open_step(float(options.rate))
        else:
            rate = await highest(self._keeps_up)
            for _ in range(_STEPS_MAX):
                step = await self._open_step(rate)
                if step.sustained:
                    break
                rate *= _LESS
        return self._steps[-1]

    async def overload(self) -> Figures:
        """Twice the rate of `throughput` for as long, and right after it half of that rate, which was usual before."""
        load, highest_step = self._load, await self._highest()
        rate = float(highest_step.name)
        seconds = self._options.seconds
        usual = await self._open_step(rate / 2, Window(1, 1 + seconds / 4))
        flood = self._signers.sign(round(2 * rate * seconds), self._options.batch, 2 * rate)
        after = self._signers.sign(round(rate / 2 * max(AFTER_S, seconds / 3)), self._options.batch, rate / 2)
        load.sent.answer_ms, load.sent.finality_ms, load.sent.late_ms = [], [], 0.0
        watching = Overloaded(self._watch.nodes, load.sent)

        async def drive() -> None:
            await load.open_loop(flood, 2 * rate)
            watching.end()
            await load.open_loop(after, rate / 2)

        async with watching.memory():
            step = await self._step(f"{2 * rate:.0f}", drive, Window(min(_SETTLE_S, seconds / 4), seconds))
        step.print()
        figures = watching.figures(step, highest_step, usual)
        return {**await self._report(step), **figures}

    async def flood(self, flood: Flood) -> Figures:
        """The rate of `throughput` twice: with and without a peer that forwards forged transactions."""
        usual = await self._highest()
        flood.begin()
        flooded = await self._open_step(float(usual.name))
        heard = flood.end()
        return {**await self._report(flooded), **flood_figures(usual, flooded, heard)}

    async def finality(self) -> Figures:
        """Single transactions, slowly, each awaited at another node than it was sent to; blocks by their own times."""
        rate = 50.0 if self._options.rate == "max" else float(self._options.rate)
        said = Said.now(self._watch.nodes)
        self._load.sent.executed.clear()
        step = await self._open_step(rate)
        blocks = blocks_of(step, self._load.sent.executed, said, Said.now(self._watch.nodes), self._options.delay_ms)
        return {**await self._report(step), **blocks}

    async def _keeps_up(self, rate: float) -> bool:
        return (await self._open_step(rate, _SHORT)).piled_up_s <= _PILE_S

    async def _open_step(self, rate: float, window: Window | None = None) -> Step:
        options = self._options
        window = window or Window(options.warm_up, options.warm_up + options.seconds)
        batches = self._signers.sign(round(rate * (window.end + 1)), options.batch, rate)
        step = await self._step(f"{rate:.0f}", lambda: self._load.open_loop(batches, rate), window)
        step.print()
        return step

    async def _step(self, name: str, drive: Callable[[], Coroutine[None, None, None]], window: Window) -> Step:
        """Drive the load; look at the network at the window's begin and end; wait until everything is decided."""
        watch, load = self._watch, self._load
        await watch.idle(_DRAIN_S)
        before = await watch.snapshot(load.sent)
        load.sent.answer_ms, load.sent.finality_ms, load.sent.late_ms = [], [], 0.0
        watch.samples.clear()
        watch.pynacl_us.clear()
        stop = asyncio.Event()
        sampling = asyncio.create_task(watch.sample(load.sent, stop))
        driving = asyncio.create_task(drive())
        await asyncio.sleep(window.begin)
        self._profile(BEGIN)
        first = await watch.snapshot(load.sent)
        await asyncio.sleep(max(0.0, window.end - window.begin - 0.02))
        last = await watch.snapshot(load.sent)
        self._profile(END)
        rss = [node.rss_mb() for node in watch.nodes]
        await driving
        await load.answered()
        drained = await watch.idle(_DRAIN_S)
        stop.set()
        await sampling
        step = Step(
            name=name,
            before=before,
            first=first,
            last=last,
            chain=await watch.chain(),
            samples=list(watch.samples),
            answer_ms=load.sent.answer_ms,
            finality_ms=load.sent.finality_ms,
            late_ms=load.sent.late_ms,
            rss_mb=rss,
            pynacl_us=list(watch.pynacl_us),
            drained=drained,
        )
        self._steps.append(step)
        return step

    def _profile(self, word: signal.Signals) -> None:
        if self._options.profile is not None:
            self._watch.nodes[0].process.send_signal(word)

    async def _report(self, step: Step) -> Figures:
        sent = self._load.sent
        if self._options.svg is not None:
            self._options.svg.write_text(draw(self._steps), encoding="utf-8")
        right = await checks.verdict(
            self._watch, self._genesis, sent.acknowledged, sample=self._options.sample, accounts=True
        )
        figures: Figures = {
            **step.json(),
            **right,
            "rss_peak_mb_per_node": [round(node.peak_rss_mb(), 1) for node in self._watch.nodes],
            "refused": sent.refused,
            "refusals": sent.refusals,
            "lost_probes": sent.lost_probes,
            "steps": [one.json() for one in self._steps],
        }
        table("after the load", ("check", ""), [(name, str(value)) for name, value in right.items()])
        return figures


async def highest(keeps_up: Callable[[float], Awaitable[bool]]) -> float:
    """The highest rate found that is kept up with: up or down to one that is and one that is not, then between them."""
    good, bad, rate = 0.0, 0.0, _BEGIN
    while (not good or not bad) and rate > _LOWEST:
        if await keeps_up(rate):
            good, rate = rate, rate * _MORE
        else:
            bad, rate = rate, rate / _MORE
    if not good:
        return rate
    while bad / good > _NEAR:
        rate = (good * bad) ** 0.5
        if await keeps_up(rate):
            good = rate
        else:
            bad = rate
    return good


async def _idle(options: argparse.Namespace, watch: Watch, load: Load) -> Figures:
    first = await watch.snapshot(load.sent)
    await asyncio.sleep(options.idle)
    last = await watch.snapshot(load.sent)
    seconds = last.at - first.at
    shares = [(b - a) / seconds for a, b in zip(first.node_cpu, last.node_cpu, strict=True)]
    blocks = [b - a for a, b in zip(first.heights, last.heights, strict=True)]
    table(
        f"idle for {seconds:.0f} s",
        ("node", "share of a core, %", "blocks"),
        [(f"node {at}", share * 100, count) for at, (share, count) in enumerate(zip(shares, blocks, strict=True))],
    )
    stages = {
        stage: round((last.stages[0][stage] - first.stages[0].get(stage, 0.0)) / seconds * 100, 3)
        for stage in last.stages[0]
    }
    figures: dict[str, Any] = {
        "idle_seconds": round(seconds, 1),
        "idle_core_share_per_node": [round(share, 4) for share in shares],
        "idle_blocks_per_node": blocks,
        "idle_stage_percent_of_core_node0": stages,
        "rss_mb_per_node": [round(node.rss_mb(), 1) for node in watch.nodes],
        "roots_equal": await checks.roots_equal(watch),
    }
    return figures


BENCHMARK: Final = Benchmark(
    name="network",
    en="Validators as processes of their own on loopback (TLS, LevelDB), loaded with signed transfers over RPC.",
    example="--rate 2500 --json (or: --overload, --flood, --idle 30, or: --validators 7 --delay-ms 50 --finality)",
    repetitions=1,
    arguments=_arguments,
    run=_run,
)
