"""Blocks by their own times: how far apart they are, how soon they are final, and what is said for each."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final, Self

from benchmarks.measure import percentiles
from benchmarks.network.cluster import Node
from benchmarks.network.step import Step
from benchmarks.report import table

_MESSAGES: Final = "cccnode_p2p_sent_messages_total"
_BYTES: Final = "cccnode_p2p_sent_bytes_total"


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What all nodes together have sent to each other so far, by channel."""

    height: int
    messages: Mapping[str, float]
    size: Mapping[str, float]

    @classmethod
    def now(cls, nodes: Sequence[Node]) -> Self:
        """As the nodes' metrics tell."""
        metrics = [node.metrics() for node in nodes]
        return cls(
            height=int(metrics[0]["cccnode_consensus_height", ""]),
            messages=_sums(metrics, _MESSAGES),
            size=_sums(metrics, _BYTES),
        )


def blocks_of(
    step: Step, executed: Sequence[tuple[int, float]], before: Said, after: Said, delay_ms: int
) -> dict[str, Any]:
    """Times and traffic of the blocks of a step; `executed` is (height, wall clock in ms when a node told of it)."""
    times, (first, last) = step.chain.times_ms, (step.first.heights[0], step.last.heights[0])
    intervals = [float(later - earlier) for earlier, later in pairwise(times[first : last + 1])]
    told: dict[int, float] = {}
    for height, at in executed:
        if first <= height <= last:
            told[height] = max(told.get(height, 0.0), at - times[height])
    interval, finality = percentiles(intervals), percentiles(list(told.values()))
    blocks = max(1, after.height - before.height)
    messages = {channel: (after.messages[channel] - before.messages[channel]) / blocks for channel in after.messages}
    sizes = {channel: (after.size[channel] - before.size[channel]) / blocks for channel in after.size}
    in_delays = {"block_interval": interval["p50"], "block_finality": finality["p50"]} if delay_ms else {}
    figures = {
        "delay_ms": delay_ms,
        "block_interval_ms": interval,
        "block_finality_ms": finality,
        "in_delays": {name: round(value / delay_ms, 2) for name, value in in_delays.items() if value is not None},
        "messages_per_block": _rounded(messages),
        "bytes_per_block": _rounded(sizes),
    }
    table(
        f"blocks, {delay_ms} ms added each way",
        ("figure", "p50", "p90", "p99", "max"),
        [
            ("from one block to the next, ms", *interval.values()),
            ("from its proposal to executed at another node, ms", *finality.values()),
        ],
    )
    table(
        "sent for a block, all nodes together",
        ("channel", "messages", "bytes"),
        [(channel, messages.get(channel), sizes[channel]) for channel in sorted(sizes)],
    )
    return figures


def _sums(metrics: Sequence[Mapping[tuple[str, str], float]], wanted: str) -> dict[str, float]:
    """By channel, over all nodes."""
    channels = sorted({channel for one in metrics for name, channel in one if name == wanted})
    return {channel: sum(one.get((wanted, channel), 0.0) for one in metrics) for channel in channels}


def _rounded(values: Mapping[str, float]) -> dict[str, float]:
    return {channel: round(value, 1) for channel, value in values.items()} | {"total": round(sum(values.values()), 1)}
