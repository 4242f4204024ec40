"""One load at one rate: what was offered, what was committed, how long it took and what it cost."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, Final, NamedTuple

from benchmarks.measure import percentiles
from benchmarks.network.watch import Chain, Snapshot, backlog, growth_per_second, within
from benchmarks.report import table

_TOLERANCE: Final = 0.01
"""Of the rate: what may be missing, or pile up each second, within the noise of a long step."""


class Window(NamedTuple):
    """The measured part of a step, in seconds from its start."""

    begin: float
    end: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A load and what came of it."""

    name: str
    before: Snapshot
    first: Snapshot
    last: Snapshot
    chain: Chain
    samples: Sequence[tuple[float, Sequence[int], int]]
    answer_ms: Sequence[float]
    finality_ms: Sequence[float]
    late_ms: float
    rss_mb: Sequence[float]
    pynacl_us: Sequence[float]
    drained: bool

    @property
    def seconds(self) -> float:
        """Length of the measured window."""
        return self.last.at - self.first.at

    @property
    def _slowest(self) -> tuple[int, int]:
        """The heights at the window's begin and end of the node that executed the fewest transactions in it."""
        totals = self.chain.totals
        spans = zip(self.first.heights, self.last.heights, strict=True)
        return min(spans, key=lambda span: totals[span[1]] - totals[span[0]])

    @property
    def committed(self) -> int:
        """Transactions that the slowest node executed within the window, counted from its blocks."""
        first, last = self._slowest
        return self.chain.totals[last] - self.chain.totals[first]

    @property
    def committed_per_s(self) -> float:
        """The same by time: from block to block, for a window's ends cut a block that counts whole or not at all."""
        first, last = self._slowest
        spent_ms = self.chain.times_ms[last] - self.chain.times_ms[first]
        return self.committed * 1_000 / spent_ms if spent_ms else 0.0

    @property
    def offered_per_s(self) -> float:
        """Transactions sent within the window by time."""
        return (self.last.offered - self.first.offered) / self.seconds

    @property
    def backlog_growth(self) -> float:
        """Transactions by which the backlog grew each second."""
        inside = within(self.samples, self.first.at, self.last.at)
        return growth_per_second(inside, self._backlogs(inside))

    @property
    def sustained(self) -> bool:
        """Whether it committed what was offered and the backlog did not grow."""
        return (
            self.drained
            and self.committed_per_s >= (1 - _TOLERANCE) * self.offered_per_s
            and self.backlog_growth <= _TOLERANCE * self.offered_per_s
        )

    @property
    def piled_up_s(self) -> float:
        """The largest backlog, in seconds of load; infinite when it did not drain afterwards."""
        backlogs = self._backlogs(within(self.samples, self.first.at, self.last.at))
        return max(backlogs, default=0.0) / self.offered_per_s if self.drained else float("inf")

    def _backlogs(self, samples: Sequence[tuple[float, Sequence[int], int]]) -> list[float]:
        return backlog(samples, self.chain, self.before.offered, self.chain.totals[min(self.before.heights)])

    def cpu_us(self) -> dict[str, float]:
        """Processor time of a node for one committed transaction by stage, the mean of all nodes; `total` last."""
        count = max(1, self.committed)
        nodes = len(self.first.node_cpu)
        stages = {
            stage: sum(last.get(stage, 0.0) - first.get(stage, 0.0) for first, last in self._stage_pairs())
            * 1e6
            / count
            / nodes
            for stage in sorted(set().union(*self.last.stages))  # A stage is told of once a node had work of that kind.
        }
        total = _grown(self.first.node_cpu, self.last.node_cpu) * 1e6 / count / nodes
        main = _grown(self.first.main_thread_cpu, self.last.main_thread_cpu) * 1e6 / count / nodes
        stages["other"] = total - sum(stages.values())
        return {
            **{stage: round(value, 1) for stage, value in stages.items()},
            "main_thread": round(main, 1),
            "total": round(total, 1),
        }

    def cost(self) -> dict[str, float | None]:
        """What one committed transaction takes of all nodes together, and of each one's disk and links.

        `cpu_pynacl_verifies` counts in PyNaCl verifications under this very load (`pynacl_verify_us`, the median), so
        that it does not depend on how fast the machine is just now.
        """
        count = max(1, self.committed)
        cpu_us = _grown(self.first.node_cpu, self.last.node_cpu) * 1e6 / count
        verify_us = median(self.pynacl_us) if self.pynacl_us else None
        nodes = len(self.first.node_cpu)
        return {
            "cpu_s_per_1000_tx": round(cpu_us / 1_000, 4),
            "pynacl_verify_us": round(verify_us, 1) if verify_us else None,
            "cpu_pynacl_verifies": round(cpu_us / verify_us, 2) if verify_us else None,
            "disk_bytes_per_tx_per_node": round(_grown(self.first.disk_bytes, self.last.disk_bytes) / nodes / count),
            "wire_bytes_per_tx_per_node": round((self.last.wire_bytes - self.first.wire_bytes) / nodes / count),
        }

    def _stage_pairs(self) -> list[tuple[Mapping[str, float], Mapping[str, float]]]:
        return list(zip(self.first.stages, self.last.stages, strict=True))

    def json(self) -> dict[str, Any]:
        """Its figures."""
        inside = within(self.samples, self.first.at, self.last.at)
        backlogs = self._backlogs(inside)
        node_cpu = _grown(self.first.node_cpu, self.last.node_cpu)
        load_cpu = self.last.load_cpu - self.first.load_cpu
        machine_cpu = self.last.machine_cpu - self.first.machine_cpu
        blocks = self.last.heights[0] - self.first.heights[0]
        return {
            "step": self.name,
            "seconds": round(self.seconds, 2),
            "offered_tx_per_s": round(self.offered_per_s, 1),
            "committed_tx_per_s": round(self.committed_per_s, 1),
            "transactions": self.committed,
            "sustained": self.sustained,
            "backlog": {
                "mean": round(sum(backlogs) / len(backlogs)) if backlogs else None,
                "max": round(max(backlogs)) if backlogs else None,
                "growth_per_s": round(self.backlog_growth, 1),
            },
            "finality_ms": percentiles(self.finality_ms),
            "finality_samples": len(self.finality_ms),
            "answer_ms": percentiles(self.answer_ms),
            "blocks": blocks,
            "tx_per_block": round(self.committed / max(1, blocks), 1),
            "cpu_us_per_tx_per_node": self.cpu_us(),
            **self.cost(),
            "rss_mb_per_node": [round(value, 1) for value in self.rss_mb],
            "load_late_ms": round(self.late_ms, 1),
            "cores_used": {
                "nodes": round(node_cpu / self.seconds, 2),
                "load": round(load_cpu / self.seconds, 2),
                "others": round(max(0.0, machine_cpu - node_cpu - load_cpu) / self.seconds, 2),
            },
            "drained": self.drained,
        }

    def print(self) -> None:
        """For people."""
        figures = self.json()
        finality, answer, growth = figures["finality_ms"], figures["answer_ms"], figures["backlog"]
        cost = self.cost()
        work = f"{cost['cpu_s_per_1000_tx']}; {cost['cpu_pynacl_verifies']} of {cost['pynacl_verify_us']} µs"
        places = f"{cost['disk_bytes_per_tx_per_node']}, {cost['wire_bytes_per_tx_per_node']}"
        table(
            f"step {self.name}",
            ("figure", ""),
            [
                ("offered tx/s", self.offered_per_s),
                ("committed tx/s", self.committed_per_s),
                ("sustained", str(self.sustained)),
                ("backlog mean, max, growth/s", f"{growth['mean']}, {growth['max']}, {growth['growth_per_s']}"),
                ("finality ms p50, p99", f"{finality['p50']}, {finality['p99']} ({len(self.finality_ms)} samples)"),
                ("answer ms p50, p99", f"{answer['p50']}, {answer['p99']}"),
                ("blocks, tx per block", f"{figures['blocks']}, {figures['tx_per_block']}"),
                ("RSS MB per node", ", ".join(f"{value:.0f}" for value in self.rss_mb)),
                ("bytes per tx and node: disk, links", places),
                ("CPU s per 1,000 tx, all nodes; in PyNaCl verifies", work),
                ("cores: nodes, load, others", ", ".join(str(value) for value in figures["cores_used"].values())),
            ],
        )
        table("CPU µs per transaction and node", tuple(self.cpu_us()), [tuple(self.cpu_us().values())])


def _grown(first: Sequence[float], last: Sequence[float]) -> float:
    return sum(last) - sum(first)
