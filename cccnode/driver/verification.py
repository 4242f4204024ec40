"""Foreign transactions on their way through verification: in the order of arrival, a slice in each turn of the loop."""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from cccnode.driver.runtime import Runtime
from cccnode.driver.stages import Stages
from cccnode.types.errors import Fault
from cccnode.types.limits import BATCH_BYTES_MAX
from cccnode.types.transaction import Verified

SLICE_BYTES = 12_000
"""Bytes verified in the first turn of the loop, about 64 transfers; what it took says how many the next may take.

Bytes, because they bound the signatures: sixteen signers make a transaction nine times as long.
"""
LEAST_BYTES = 100
"""What even the shortest counts as: to refuse nothing takes time too."""
SLICE_NS = 3_000_000
"""How long a turn should take, so that votes never wait much longer: 500 transfers, or 40 with PyNaCl."""
BUSY_SHARE = 4
"""While a final block is being executed a turn takes this fraction: less than a millisecond, beside 2 ms of execution.

What is final goes first.  Where more is offered than the machine can carry, verifying eagerly would slow down the very
blocks that empty the pool, and a small excess would become a collapse.
"""

Verdicts: TypeAlias = list[Verified | Fault]
Verify = Callable[[Sequence[bytes]], Verdicts]
"""One verdict for each raw transaction, in order: `cccnode.ingress` bound to this chain."""


@dataclass(slots=True)
class _Job:
    raws: Sequence[bytes]
    finish: Callable[[Verdicts], None]
    since_ms: int
    verdicts: Verdicts = field(default_factory=list)

    def move(self, raws: list[bytes], room: int) -> int:
        """Add to `raws` what is not verified yet, as far as `room` goes and one more; return how many bytes count."""
        rest = self.raws[len(self.verdicts) :] if self.verdicts else self.raws
        total = max(sum(map(len, rest)), LEAST_BYTES * len(rest))
        if total <= room:
            raws += rest
            return total
        moved = 0
        for raw in rest:
            raws.append(raw)
            moved += max(len(raw), LEAST_BYTES)
            if moved >= room:
                break
        return moved


class Verification:
    """The queue of one node."""

    def __init__(self, *, runtime: Runtime, stages: Stages, verify: Verify, executing: Callable[[], bool]) -> None:
        """`executing` tells whether a final block is being executed."""
        self._runtime, self._stages, self._verify, self._executing = runtime, stages, verify, executing
        self._jobs: deque[_Job] = deque()
        self._slice = SLICE_BYTES
        """Bytes that one turn may verify."""
        self.backlog = 0
        """Transactions that wait."""

    @property
    def late_ms(self) -> int:
        """How long the oldest ones have waited."""
        return self._runtime.now_ms() - self._jobs[0].since_ms if self._jobs else 0

    def add(self, raws: Sequence[bytes], finish: Callable[[Verdicts], None]) -> None:
        """Verify `raws` when their turn comes, then call `finish` with one verdict for each."""
        self._jobs.append(_Job(raws, finish, self._runtime.now_ms()))
        self.backlog += len(raws)
        if len(self._jobs) == 1:
            self._runtime.call_soon(self._turn)

    def _turn(self) -> None:
        """Verify about one slice: small jobs together in one call, a large one over several turns."""
        started = self._runtime.cpu_ns()
        room = size = self._slice // BUSY_SHARE if self._executing() else self._slice
        parts: list[tuple[_Job, int]] = []
        raws: list[bytes] = []
        for job in self._jobs:
            before = len(raws)
            room -= job.move(raws, room)
            parts.append((job, len(raws) - before))
            if room <= 0:
                break
        size -= room
        verdicts = self._verify(raws)
        self.backlog -= len(raws)
        spent = self._runtime.cpu_ns() - started
        self._stages.add("verify", spent, len(raws))
        if spent > 0 and size >= SLICE_BYTES // 8:
            self._slice = max(SLICE_BYTES // 4, min(SLICE_NS * size // spent, BATCH_BYTES_MAX))
        done: list[_Job] = []
        at = 0
        for job, taken in parts:
            job.verdicts.extend(verdicts[at : at + taken])
            at += taken
            if len(job.verdicts) == len(job.raws):
                done.append(self._jobs.popleft())
        if self._jobs:
            self._runtime.call_soon(self._turn)
        for job in done:
            job.finish(job.verdicts)
