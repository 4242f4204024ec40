"""Measuring amid noise: processor time instead of wall time, cases interleaved, repeated (performance.md)."""

import gc
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, Final

from nacl.bindings import crypto_sign_open
from nacl.signing import SigningKey

Case = Callable[[], int]
"""Does the work once and says how many items it handled."""


@dataclass(frozen=True, slots=True)
class Spread:
    """Microseconds of processor time for one item: the best repetition and the one in the middle."""

    least: float
    middle: float

    @classmethod
    def of(cls, values: Iterable[float]) -> "Spread":
        """The spread of several repetitions."""
        known = sorted(values)
        return cls(known[0], median(known))

    @property
    def per_second(self) -> float:
        """Items that one core handles in a second, from the middle."""
        return 1e6 / self.middle if self.middle else 0.0

    def __str__(self) -> str:
        """`least..middle`, as the design writes it."""
        return f"{self.least:.2f}..{self.middle:.2f}"

    def json(self) -> dict[str, float]:
        """For the result."""
        return {"min": round(self.least, 3), "median": round(self.middle, 3)}


def interleaved(
    cases: Mapping[str, Case], repetitions: int, *, clock: Callable[[], int] = time.process_time_ns
) -> dict[str, Spread]:
    """Microseconds per item of every case: one repetition of all, then the next, so that drift hits all alike.

    `clock` counts nanoseconds: of the processor, of all threads, or of the wall.
    """
    for case in cases.values():
        case()  # warm caches and lazy imports
    seen: dict[str, list[float]] = {name: [] for name in cases}
    for _ in range(repetitions):
        for name, case in cases.items():
            gc.collect()
            started = clock()
            items = case()
            seen[name].append((clock() - started) / 1_000 / items)
    return {name: Spread.of(values) for name, values in seen.items()}


class Stopwatch:
    """Processor time by stage, for work that runs through several of them."""

    def __init__(self) -> None:
        """Nothing measured."""
        self._repetitions: list[dict[str, float]] = []
        self._current: dict[str, float] = {}

    def add(self, stage: str, work: Callable[[], Any], items: int) -> Any:
        """Do `work`, note its microseconds per item, return what it returns.

        All threads count: what a library does behind the scenes, such as compacting, is part of the cost.
        """
        started = time.process_time_ns()
        result = work()
        self.note(stage, (time.process_time_ns() - started) / 1_000 / items)
        return result

    def note(self, stage: str, microseconds: float) -> None:
        """Add to a stage of the running repetition."""
        self._current[stage] = self._current.get(stage, 0.0) + microseconds

    def end(self) -> None:
        """One repetition is complete."""
        self._repetitions.append({**self._current, "total": sum(self._current.values())})
        self._current = {}

    def spreads(self) -> dict[str, Spread]:
        """By stage, in the order of appearance, `total` last."""
        return {stage: Spread.of(run[stage] for run in self._repetitions) for stage in self._repetitions[0]}


_KEY: Final = SigningKey(bytes(32))
_SIGNED: Final = bytes(_KEY.sign(bytes(110)))


def pynacl_verify_us(times: int = 4) -> float:
    """Processor time that libsodium takes for one signature now, in this thread: the least of a few in a row.

    Beside a load it says how fast this machine is at that moment, which on a shared one changes by half.
    """
    spent = []
    for _ in range(times):
        started = time.thread_time_ns()
        crypto_sign_open(_SIGNED, bytes(_KEY.verify_key))
        spent.append(time.thread_time_ns() - started)
    return min(spent) / 1_000


def percentiles(values: Sequence[float]) -> dict[str, float | None]:
    """p50, p90, p99 and the largest (nearest rank); None where nothing was measured."""
    known = sorted(values)
    if not known:
        return {"p50": None, "p90": None, "p99": None, "max": None}
    ranks = {"p50": 50, "p90": 90, "p99": 99, "max": 100}
    return {name: round(known[max(0, -(-len(known) * rank // 100) - 1)], 1) for name, rank in ranks.items()}
