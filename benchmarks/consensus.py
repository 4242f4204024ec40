"""What the protocol itself costs in network delays and messages: real engines, constant delays, nothing else.

Every message takes exactly δ, engines answer at once, the minimum interval is zero and all validators always have work.
Then a block follows the other every 2δ, and is final everywhere 3δ after its leader sent it (ePrint 2023/463): any
other figure is a fault.  Messages are counted as copies on a link, bytes before TLS.
"""

import argparse
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from statistics import correlation, linear_regression
from typing import Any, Final

from benchmarks.plot import Panel, Series, svg
from benchmarks.report import Benchmark, Figures, table
from cccnode.types.validators import Timers
from consensus.messages import Message, ProposalMessage, encode_message
from tests.consensus.cluster import Cluster

_DELAY_MS: Final = 100
"""δ."""
_WARM_BLOCKS: Final = 3
"""Blocks at the start that are not counted."""
_LONG_MS: Final = 10**9
"""Virtual time that no measurement needs."""


@dataclass(frozen=True, slots=True)
class Measured:
    """One size of network."""

    validators: int
    interval: tuple[float, float]
    """Least and most time between two proposals, in δ."""
    finality: tuple[float, float]
    """Least and most time from the leader's sending until the block is final everywhere, in δ."""
    messages_per_block: float
    bytes_per_block: float
    by_kind: dict[str, float]
    """Copies a block by kind of message."""
    cpu_us_per_block: float
    """Processor time of all validators together: engines, votes signed and verified, and the simulated network."""

    @property
    def exact(self) -> bool:
        """Whether every block came after 2δ and was final after 3δ."""
        return self.interval == (2.0, 2.0) and self.finality == (3.0, 3.0)


class _Watch:
    """Notes when blocks are proposed and final everywhere, and counts every copy of a message."""

    def __init__(self, validators: int) -> None:
        """A network at its start, with work for everybody."""
        timers = Timers(delta_ms=10 * _DELAY_MS, min_interval_ms=0)
        self.network = Cluster(validators, delay_ms=_DELAY_MS, timers=timers)
        self.network.rules.append(self._sent)
        self.proposed: dict[bytes, int] = {}
        self.final_ms: list[int] = [0]
        """By height: when the last validator knew."""
        self.copies: Counter[str] = Counter()
        self.sent_bytes = 0
        self.network.pending(True)

    def _sent(self, source: int, target: int, message: Message) -> bool:
        """A copy leaves; none is lost."""
        if isinstance(message, ProposalMessage):
            self.proposed.setdefault(message.proposal.block_id, self.network.now)
        self.copies[type(message).__name__] += 1
        self.sent_bytes += len(encode_message(message))
        return False

    def run(self, height: int) -> None:
        """Until that height is final everywhere."""

        def done() -> bool:
            everywhere = min(member.height for member in self.network.members)
            while len(self.final_ms) <= everywhere:
                self.final_ms.append(self.network.now)
            return everywhere >= height

        self.network.run(_LONG_MS, done)


def measure(validators: int, blocks: int) -> Measured:
    """Let a network of this size make so many blocks and look at the clock."""
    watch = _Watch(validators)
    watch.run(_WARM_BLOCKS)
    first = len(watch.final_ms)
    watch.copies.clear()
    watch.sent_bytes = 0
    started = time.process_time_ns()
    watch.run(first - 1 + blocks)
    spent_us = (time.process_time_ns() - started) / 1_000
    chain = watch.network.members[0].delivered[first : first + blocks]
    starts = [watch.proposed[block] for block in chain]
    intervals = [later - earlier for earlier, later in pairwise(starts)]
    waits = [watch.final_ms[first + number] - start for number, start in enumerate(starts)]
    return Measured(
        validators,
        (min(intervals) / _DELAY_MS, max(intervals) / _DELAY_MS),
        (min(waits) / _DELAY_MS, max(waits) / _DELAY_MS),
        watch.copies.total() / blocks,
        watch.sent_bytes / blocks,
        {kind: round(count / blocks, 1) for kind, count in sorted(watch.copies.items())},
        spent_us / blocks,
    )


@dataclass(frozen=True, slots=True)
class Fit:
    """Cost of a block over all validators = `base_us` + `square_us` n²: every vote of n goes to n."""

    base_us: float
    square_us: float
    r_squared: float
    """The share of the differences between sizes that this explains."""


def fitted(sizes: Sequence[int], costs: Sequence[float]) -> Fit | None:
    """Least squares over the squares of `sizes`; None for a single size."""
    if len(set(sizes)) == 1:
        return None
    line = linear_regression([n * n for n in sizes], costs)
    explained = correlation([n * n for n in sizes], costs) ** 2
    return Fit(line.intercept, line.slope, explained)


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--validators", type=int, nargs="+", default=[4, 7, 10, 16], help="sizes of network")
    parser.add_argument("--blocks", type=int, default=20, help="blocks that are measured; default: %(default)s")
    parser.add_argument("--svg", type=Path, help="also draw the figures against the number of validators")


def _run(options: argparse.Namespace) -> Figures:
    found = [measure(validators, options.blocks) for validators in options.validators]
    table(
        "good case with constant delay δ: real engines, no other cost",
        ("validators", "interval, δ", "finality, δ", "messages a block", "KiB a block", "CPU µs a block and node"),
        [
            (
                str(m.validators),
                _range(m.interval),
                _range(m.finality),
                m.messages_per_block,
                m.bytes_per_block / 1024,
                m.cpu_us_per_block / m.validators,
            )
            for m in found
        ],
    )
    fit = fitted(options.validators, [m.cpu_us_per_block for m in found])
    if fit is not None:
        print(f"\nall nodes: {fit.base_us:.0f} + {fit.square_us:.1f} n² µs a block (R² {fit.r_squared:.4f})")
    if options.svg is not None:
        options.svg.write_text(draw(found), encoding="utf-8")
    return {
        "delay_ms": _DELAY_MS,
        "sizes": [_json(m) for m in found],
        "cpu_us_per_block_all_nodes": asdict(fit) if fit is not None else None,
        "sound": all(m.exact for m in found),
    }


def _range(both: tuple[float, float]) -> str:
    return f"{both[0]:.2f}..{both[1]:.2f}"


def _json(m: Measured) -> dict[str, Any]:
    return {
        "validators": m.validators,
        "interval_in_delays": {"min": m.interval[0], "max": m.interval[1]},
        "finality_in_delays": {"min": m.finality[0], "max": m.finality[1]},
        "messages_per_block": round(m.messages_per_block, 1),
        "bytes_per_block": round(m.bytes_per_block),
        "copies_per_block": m.by_kind,
        "cpu_us_per_block_per_node": round(m.cpu_us_per_block / m.validators, 1),
    }


def draw(found: list[Measured]) -> str:
    """Delays and messages against the number of validators."""
    sizes = [float(m.validators) for m in found]
    return svg(
        [
            Panel(
                "time, in network delays δ",
                [
                    Series("between two blocks", sizes, [m.interval[1] for m in found]),
                    Series("until final everywhere", sizes, [m.finality[1] for m in found]),
                ],
            ),
            Panel("messages a block", [Series("copies on all links", sizes, [m.messages_per_block for m in found])]),
        ],
        across="validators",
    )


BENCHMARK: Final = Benchmark(
    name="consensus",
    en="Block interval and finality in network delays, messages and processor time a block, by validators (simulated).",
    example="--validators 4 7 10 16 --svg consensus.svg --json",
    repetitions=1,
    arguments=_arguments,
    run=_run,
)
