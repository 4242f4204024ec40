"""Prunes while the node runs: in short steps with pauses between them, never in the way of a commit.

What goes is decided by `storage.retention`, in header time; the clock here only says when to look.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

import structlog

from cccnode.driver.epochs import end_of_epoch
from cccnode.driver.replica import Replica
from cccnode.driver.runtime import raise_failure
from cccnode.node.indexing import Indexer
from cccnode.types.retention import Retention
from storage import retention as rules
from storage.files import Disk
from storage.pruning import Prunable, Steps, Thread, derived_pruning, pruning
from storage.store import Store

LOOK_MS: Final = 2_000
"""How often it is seen whether something may go."""
PAUSE: Final = 3
"""A step is followed by a pause so many times as long: a quarter of one thread at most."""
PAUSE_MS_MIN: Final = 2
PAUSE_MS_MAX: Final = 1_000
MEASURE_MS: Final = 10_000
"""How often it is measured what the data take."""
INDEX_PART: Final = 16
"""An index is gone through when one of so many of its heights may go."""
INDEX_HEIGHTS_MIN: Final = 64
KINDS: Final = ("blocks", "receipts", "index", "history", "state", "batches", "journal", "snapshots")
"""Folders of the data whose size is shown."""

_log = structlog.get_logger("pruning")


Kept: TypeAlias = tuple[Prunable, Indexer[Any]]
"""What is derived, and who fills it."""
_NOTHING: Final[Mapping[Thread, Kept]] = {}


@dataclass(slots=True)
class Anchors:
    """Heights that must be provable for ever: genesis, the ends of epochs, what a network card names."""

    store: Store
    pinned: Collection[int] = ()
    _epochs: int = 0
    """Epochs whose end was looked for."""
    _ends: set[int] = field(default_factory=set)

    def heights(self, epoch: int, start: int) -> set[int]:
        """In an epoch of this number that begins after this height."""
        for number in range(self._epochs, epoch):
            link = end_of_epoch(self.store, number)
            if link is not None:
                self._ends.add(link.last.header.height)
        self._epochs = epoch
        self._ends.add(start)
        return {0, *self.pinned, *self._ends}


class Pruning:
    """Keeps what one node stores within its policies."""

    def __init__(
        self,
        *,
        replica: Replica,
        retention: Retention,
        disk: Disk,
        derived: Mapping[Thread, Kept] = _NOTHING,
        pinned: Collection[int] = (),
        snapshot: Callable[[], int | None] = lambda: None,
        waits: Callable[[], bool] = lambda: False,
    ) -> None:
        """Bind; `start` begins.

        `derived` is what must be filled before blocks and receipts go, and is pruned too, by the thread that fills it;
        `snapshot` says the height of the newest snapshot, above which blocks and receipts stay; `waits`, whether one is
        being taken, which reads what would go.
        """
        self._replica, self._store, self._runtime = replica, replica.store, replica.runtime
        self._retention, self._disk, self._snapshot = retention, disk, snapshot
        self._derived = derived
        self._waits, self._anchors = waits, Anchors(replica.store, pinned)
        self._holds = 0
        self._measured_ms: int | None = None
        self.busy = False
        """Whether something is being pruned."""
        self.usage: Mapping[str, int] = {}
        """Bytes on the disk by kind, as they were measured last."""

    def start(self) -> None:
        """Go on where the last process ended, then look now and then."""
        self._look()

    def hold(self) -> Callable[[], None]:
        """Delete nothing until what is returned is called: somebody copies the files.  A step may be under way."""
        self._holds += 1
        held = [True]

        def release() -> None:
            self._holds -= held.pop() if held else 0

        return release

    @property
    def _held(self) -> bool:
        return self._holds > 0 or self._waits()

    @property
    def earliest(self) -> Mapping[str, int]:
        """The lowest heights that are kept, by kind."""
        store = self._store
        heights = {"blocks": store.earliest_height, "receipts": store.receipts_from, "headers": store.earliest.headers}
        return heights | {str(name): derived.earliest for name, (derived, _) in self._derived.items()}

    def _look(self) -> None:
        steps = self._due() if not self._held else None
        if steps is not None:
            self.busy = True
            self._take(steps, None)
            return
        self.busy = False
        self._measure()
        self._runtime.call_later(LOOK_MS, self._look)

    def _due(self) -> Steps | None:
        """What is to be done now."""
        store, epoch = self._store, self._replica.epoch
        needs = rules.Needs(
            window_ms=epoch.record.limits.tx_lifetime_max_ms,
            snapshot=self._snapshot(),
            indexed=min((indexer.height for _, indexer in self._derived.values()), default=None),
        )
        to = rules.wanted(store, self._retention, needs)
        if to != store.earliest or to.swept < to.headers:
            _log.info("pruning", blocks=to.blocks, receipts=to.receipts, headers=to.headers)
            return pruning(store, to, anchors=self._anchors.heights(epoch.number, epoch.start.height))
        for thread, (derived, indexer) in self._derived.items():
            below = rules.derived_wanted(store, getattr(self._retention, thread))
            least = max(INDEX_HEIGHTS_MIN, (indexer.height - derived.earliest) // INDEX_PART)
            if below - derived.earliest >= least:
                _log.info("pruning", kind=str(thread), below=below)
                return derived_pruning(derived, thread, below)
        return None

    def _take(self, steps: Steps, result: object) -> None:
        """One step, then a pause."""
        if self._held:
            self._runtime.call_later(PAUSE_MS_MAX, lambda: self._take(steps, result))
            return
        try:
            thread, job = steps.send(result)
        except StopIteration:
            self._look()
            return
        begun_ms = self._runtime.now_ms()

        def done(answer: object) -> None:
            raise_failure(answer)
            spent_ms = self._runtime.now_ms() - begun_ms
            pause_ms = min(PAUSE_MS_MAX, max(PAUSE_MS_MIN, PAUSE * spent_ms))
            self._runtime.call_later(pause_ms, lambda: self._take(steps, answer))

        self._runtime.run_in_writer(thread, job, done)

    def _measure(self) -> None:
        """What the folders take; it costs a look at each file, so not at every look."""
        now_ms = self._runtime.now_ms()
        if self._measured_ms is not None and now_ms - self._measured_ms < MEASURE_MS:
            return
        self._measured_ms = now_ms

        def measured(usage: object) -> None:
            raise_failure(usage)
            assert isinstance(usage, dict), "what the job returns"
            self.usage = usage

        self._runtime.run_in_writer(Thread.FILES, self._usage, measured)

    def _usage(self) -> dict[str, int]:
        return {kind: self._disk.usage(kind) for kind in KINDS}
