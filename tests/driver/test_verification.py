"""Verification in turns of the loop: in order, each as long as the last one suggests, shorter beside execution."""

from collections.abc import Callable, Sequence
from typing import cast

from cccnode.driver.runtime import Runtime
from cccnode.driver.stages import Stages
from cccnode.driver.verification import BUSY_SHARE, SLICE_BYTES, SLICE_NS, Verdicts, Verification
from cccnode.types.errors import MALFORMED, Fault, fault
from cccnode.types.limits import BATCH_BYTES_MAX

SIZE = 200
"""Bytes of a transaction."""
FIRST = SLICE_BYTES // SIZE


class Bench:
    """A queue on a loop without time, where each transaction costs the same."""

    def __init__(self, *, each_ns: int, executing: bool = False) -> None:
        self.turns: list[Callable[[], None]] = []
        self.calls: list[int] = []
        self.spent_ns = 0
        self._each_ns = each_ns
        self.queue = Verification(
            runtime=cast("Runtime", self), stages=Stages(), verify=self._verify, executing=lambda: executing
        )

    def call_soon(self, callback: Callable[[], None]) -> None:
        self.turns.append(callback)

    def cpu_ns(self) -> int:
        return self.spent_ns

    def now_ms(self) -> int:
        return self.spent_ns // 1_000_000

    def _verify(self, raws: Sequence[bytes]) -> Verdicts:
        self.calls.append(len(raws))
        self.spent_ns += self._each_ns * len(raws)
        return [fault(MALFORMED, raw=raw) for raw in raws]

    def run(self) -> None:
        while self.turns:
            assert len(self.turns) == 1, "one turn at a time"
            self.turns.pop()()


def _raws(verdicts: Verdicts) -> list[object]:
    return [verdict.values["raw"] for verdict in verdicts if isinstance(verdict, Fault)]


def test_each_gets_its_own_verdicts_in_order() -> None:
    """Small jobs share a call, a large one takes several, and nobody's verdicts are another's."""
    bench, done = Bench(each_ns=0), list[list[object]]()
    jobs = [[bytes([job, place]) * 100 for place in range(size)] for job, size in enumerate([3, 0, 200, 1])]
    for job in jobs:
        bench.queue.add(job, lambda verdicts: done.append(_raws(verdicts)))
    bench.run()

    assert jobs == done
    assert [FIRST, FIRST, FIRST, 204 - 3 * FIRST] == bench.calls
    assert 0 == bench.queue.backlog


def test_a_turn_lasts_about_as_long_as_it_should() -> None:
    """The first turn tells how many the next may take: many where they are cheap, few where they are not."""
    cheap, dear = Bench(each_ns=2_000), Bench(each_ns=100_000)
    for bench in (cheap, dear):
        bench.queue.add([bytes(SIZE)] * 2_000, lambda _: None)
        bench.run()

    assert [FIRST, -(-BATCH_BYTES_MAX // SIZE)] == cheap.calls[:2]
    assert [FIRST, SLICE_NS // 100_000] == dear.calls[:2]


def test_what_is_final_goes_first() -> None:
    """While a block is executed a turn takes a fraction."""
    bench = Bench(each_ns=100_000, executing=True)
    bench.queue.add([bytes(SIZE)] * 200, lambda _: None)
    bench.run()

    assert [FIRST // BUSY_SHARE, -(-SLICE_NS // 100_000 // BUSY_SHARE)] == bench.calls[:2]


def test_many_signers_make_no_long_turn() -> None:
    """After cheap ones, transactions with sixteen times the signatures: nine times as long, so fewer are taken."""
    bench = Bench(each_ns=5_000)
    bench.queue.add([bytes(SIZE)] * 600, lambda _: None)
    bench.run()
    bench.queue.add([bytes(9 * SIZE)] * 600, lambda _: None)
    bench.turns.pop()()

    assert bench.calls[-1] * 16 * 5_000 < 2 * SLICE_NS


def test_nothing_at_all_takes_turns_too() -> None:
    """Empty transactions have no bytes, and are not all taken at once for that."""
    bench = Bench(each_ns=5_000)
    bench.queue.add([b""] * 20_000, lambda _: None)
    bench.run()

    assert max(bench.calls) * 5_000 <= SLICE_NS


def test_a_job_may_add_another() -> None:
    """Whoever is told may come back at once, and one turn stays one turn."""
    bench, done = Bench(each_ns=0), list[int]()

    def again(_: Verdicts) -> None:
        bench.queue.add([bytes(SIZE)] * 5, lambda verdicts: done.append(len(verdicts)))

    bench.queue.add([bytes(SIZE)] * 70, again)
    bench.queue.add([bytes(SIZE)], lambda verdicts: done.append(len(verdicts)))
    bench.run()

    assert [1, 5] == done
