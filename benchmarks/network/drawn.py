"""A run of the network benchmark as a picture: what latency and processor time become as the rate grows."""

from collections.abc import Sequence
from typing import Final

from benchmarks.network.step import Step
from benchmarks.plot import Panel, Series, svg

_STAGES: Final = ("total", "verify", "execute", "other")


def draw(steps: Sequence[Step]) -> str:
    """All steps that committed what was offered, by the rate at which they did."""
    carried = sorted((step for step in steps if step.drained), key=lambda step: step.committed_per_s)
    rates = [round(step.committed_per_s) for step in carried]
    finality = [step.json()["finality_ms"] for step in carried]
    costs = [step.cpu_us() for step in carried]
    return svg(
        [
            Panel(
                "finality at another node, ms",
                [Series(name, rates, [each[name] or 0.0 for each in finality]) for name in ("p50", "p99")],
            ),
            Panel(
                "processor µs for a transaction on each node",
                [Series(stage, rates, [cost.get(stage, 0.0) for cost in costs]) for stage in _STAGES],
            ),
        ],
        across="transactions committed in a second",
    )
