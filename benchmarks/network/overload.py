"""Twice as much as the network can carry: what it still carries, what it answers, its memory, and how it recovers."""

import asyncio
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

from benchmarks.measure import percentiles
from benchmarks.network.cluster import Node
from benchmarks.network.load import Sent
from benchmarks.network.step import Step
from benchmarks.report import table

AFTER_S: Final = 6
"""The usual load goes on for this long after the overload, or for a third of its time."""
OVERLOADING: Final[dict[str, Any]] = {"connections": 384, "refusable": True}
"""More submissions at a time than a node answers (256): it must refuse, and the load process must not hold back."""
_SAMPLE_S: Final = 0.5


class Overloaded:
    """Notes memory and refusals during an overload, and when latency is as before."""

    def __init__(self, nodes: Sequence[Node], sent: Sent) -> None:
        """The overload begins now."""
        self._nodes, self._sent = nodes, sent
        self._began, self._ended = time.monotonic(), float("inf")
        self._before = dict(sent.refusals)
        self._before_offered, self._before_acknowledged = sent.offered, len(sent.acknowledged)
        self._rss: list[list[float]] = []

    def end(self) -> None:
        """The usual load follows."""
        self._ended = time.monotonic()

    @asynccontextmanager
    async def memory(self) -> AsyncIterator[None]:
        """Look at the memory of all nodes meanwhile."""

        async def look() -> None:
            while True:
                self._rss.append([node.rss_mb() for node in self._nodes])
                await asyncio.sleep(_SAMPLE_S)

        looking = asyncio.create_task(look())
        try:
            yield
        finally:
            looking.cancel()

    def figures(self, step: Step, highest: Step, usual: Step) -> dict[str, Any]:
        """What came of it; `in_all` counts the time after, too.

        `highest` is the step at half the rate of the overload, `usual` that of the time after.
        """
        sent = self._sent
        limit_ms = percentiles(usual.finality_ms)["p99"] or 0.0
        during = [ms for due, ms in sent.probes if self._began <= due < self._ended]
        after = [(due - self._ended, ms) for due, ms in sent.probes if due >= self._ended]
        refusals = {name: count - self._before.get(name, 0) for name, count in sent.refusals.items()}
        offered, acknowledged = sent.offered - self._before_offered, len(sent.acknowledged) - self._before_acknowledged
        unanswered = offered - acknowledged - sum(refusals.values())
        figures = {
            "max_tx_per_s": round(highest.committed_per_s, 1),
            "overload_offered_tx_per_s": round(step.offered_per_s, 1),
            "overload_tx_per_s": round(step.committed_per_s, 1),
            "overload_to_max": round(step.committed_per_s / (highest.committed_per_s or 1.0), 3),
            "offered_in_all": offered,
            "acknowledged_in_all": acknowledged,
            "refusals_in_all": {name: count for name, count in refusals.items() if count},
            "unanswered": unanswered,
            "unanswered_why": dict(sent.unanswered),
            "usual_finality_ms": percentiles(usual.finality_ms),
            "overload_finality_ms": percentiles(during),
            "after_finality_ms": percentiles([ms for _, ms in after]),
            "after_p50_ms_by_second": list(by_second(after).values()),
            "recovered_after_s": recovered(after, limit_ms),
            "rss_mb_before": _rounded(self._rss[0]),
            "rss_mb_highest": _rounded([max(each) for each in zip(*self._rss, strict=True)]),
            "rss_mb_after": _rounded(self._rss[-1]),
            "crashed": sum(node.process.poll() is not None for node in self._nodes),
        }
        rows = [(name, value if isinstance(value, float) else str(value)) for name, value in figures.items()]
        table("overload", ("figure", ""), rows)
        return figures


def recovered(after: Sequence[tuple[float, float]], limit_ms: float) -> float | None:
    """Seconds after which no second has a median above `limit_ms`; None when the last one has.

    `after`: for each probe, when it was due and how long it took in ms.
    """
    medians = by_second(after)
    slow = [second for second, median in medians.items() if median > limit_ms]
    if not medians or max(medians) in slow:
        return None
    return float(max(slow, default=-1) + 1)


def by_second(probes: Sequence[tuple[float, float]]) -> dict[int, float]:
    """The median of what was due in each second, in ms."""
    seconds: defaultdict[int, list[float]] = defaultdict(list)
    for due, took in probes:
        seconds[int(due)].append(took)
    return {second: percentiles(took)["p50"] or 0.0 for second, took in sorted(seconds.items())}


def _rounded(values: Sequence[float]) -> list[float]:
    return [round(value, 1) for value in values]
