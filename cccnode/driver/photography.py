"""Snapshots are taken beside the work of the node: cut in a writer thread in small steps, with pauses between them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import structlog

from cccnode.codec import encode
from cccnode.driver.certified import trail
from cccnode.driver.runtime import Runtime, raise_failure
from cccnode.types.errors import SNAPSHOT_BUSY, SNAPSHOT_UNCERTIFIED, Fault, fault
from cccnode.types.validators import EpochRecord
from storage.engine import Engine
from storage.snapshots import GENESIS_PATH, GenesisPath, Manifest, Shelf
from storage.store import Store
from storage.taking import Taking

PAUSE: Final = 3
"""A step is followed by a pause so many times as long: a quarter of a processor at most."""
PAUSE_MS_MIN: Final = 1
WRITER: Final = "snapshot"

_log = structlog.get_logger("snapshot")


@dataclass(frozen=True, slots=True, kw_only=True)
class Habit:
    """When a node takes snapshots by itself."""

    every: int = 10_000
    """At heights that this divides, so that many nodes have the same; 0: never."""
    keep: int = 2
    """So many; older ones are deleted."""


class Photography:
    """Takes the snapshots of one node, one at a time."""

    def __init__(
        self,
        *,
        runtime: Runtime,
        store: Store,
        begin: Callable[[], Taking],
        shelf: Shelf,
        habit: Habit,
        busy: Callable[[], bool],
    ) -> None:
        """`begin` begins a snapshot of the block that is applied when it is called.

        That must not be while the next one is written (`busy`): the engine would hold its state already.
        """
        self._runtime, self._store, self._begin, self.shelf = runtime, store, begin, shelf
        self._habit, self._busy = habit, busy
        self._taking: Taking | None = None
        self._finishing = False
        """Whether its manifest is being written."""
        self._asked: list[Callable[[Manifest | Fault], None]] = []
        """Who waits for the snapshot that is being taken."""
        self._heights = shelf.heights()
        """Of those that are here."""

    @property
    def taking(self) -> int | None:
        """The height of the snapshot that is being taken."""
        return None if self._taking is None else self._taking.height

    @property
    def newest(self) -> int | None:
        """Height of the newest one, above which blocks must stay: who begins there fetches them.

        None where none is taken by itself: one that was taken by hand long ago is no reason to keep anything.
        """
        return self._heights[-1] if self._habit.every and self._heights else None

    def start(self) -> None:
        """Delete what was never finished."""
        self._runtime.run_in_writer(WRITER, lambda: self.shelf.tidy(max(1, self._habit.keep)), raise_failure)

    def applied(self, height: int) -> None:
        """A block was executed: perhaps it certifies, perhaps it is time for the next one."""
        if self._taking is not None:
            self._certify(self._taking)
        elif self._asked or (self._habit.every and height % self._habit.every == 0):
            self._start_taking()

    def take(self, done: Callable[[Manifest | Fault], None]) -> None:
        """Take one now, of the applied block, or of the one that is being stored; `done` gets it once it is certified.

        Or it gets the reason why there will be none, perhaps at once.

        Raises:
            Fault: storage/SNAPSHOT_BUSY.
        """
        if self._taking is not None or self._asked:
            raise fault(SNAPSHOT_BUSY, height=self.taking)
        self._asked.append(done)
        if not self._busy():
            self._start_taking()

    def _start_taking(self) -> None:
        try:
            self._taking = taking = self._begin()
        except Fault as reason:
            self._refuse(reason)
            return
        _log.info("taking a snapshot", height=taking.height)
        self._step(taking)

    def _refuse(self, reason: Fault) -> None:
        """There will be none: that harms nobody, and the disk tells its own writers when it fails."""
        _log.warning("no snapshot", reason=str(reason), remedy=reason.spec.remedy)
        self._tell(reason)

    def _tell(self, result: Manifest | Fault) -> None:
        asked, self._asked = self._asked, []
        for told in asked:
            told(result)

    def _step(self, taking: Taking) -> None:
        began = self._runtime.now_ms()

        def done(more: bool | BaseException) -> None:
            if isinstance(more, BaseException):
                self._end(taking, more)
            elif more:
                pause = max(PAUSE_MS_MIN, PAUSE * (self._runtime.now_ms() - began))
                self._runtime.call_later(pause, lambda: self._step(taking))
            else:
                self._certify(taking)

        self._runtime.run_in_writer(WRITER, taking.step, done)

    def _certify(self, taking: Taking) -> None:
        if not taking.written or self._finishing:
            return
        try:
            manifest = taking.certified(lambda: trail(self._store))
        except Fault as error:
            self._end(taking, error)
            return
        if manifest is not None:
            raw, shelf, keep, store = encode(manifest), self.shelf, max(1, self._habit.keep), self._store
            path = GenesisPath(taking.height + 1, manifest.certification.genesis_path)

            def finish() -> None:
                store.put_meta(GENESIS_PATH, encode(path))  # The next one needs no older heights than this.
                shelf.finish(taking.height, raw)
                shelf.tidy(keep)

            self._finishing = True
            self._runtime.run_in_writer(
                WRITER, finish, lambda result: self._end(taking, result if result is not None else manifest)
            )

    def _end(self, taking: Taking, result: Manifest | BaseException) -> None:
        if isinstance(result, BaseException) and not isinstance(result, Fault):
            raise result
        self._taking, self._finishing = None, False
        taking.close()
        if isinstance(result, Manifest):
            self._heights.append(result.height)
            _log.info("snapshot", height=result.height, groups=result.content.groups, bytes=result.content.size)
            self._tell(result)
        else:
            # What was written of it goes at once: the disk may be full.
            keep = max(1, self._habit.keep)
            self._runtime.run_in_writer(WRITER, lambda: self.shelf.tidy(keep), lambda _: None)
            self._refuse(result)


def begin_taking(store: Store, engine: Engine, shelf: Shelf, chain: bytes, depth: int, record: EpochRecord) -> Taking:
    """A snapshot of the block that is applied now.

    Raises:
        Fault: storage/SNAPSHOT_UNCERTIFIED: nobody could believe it.
    """
    if (ended := len(trail(store))) < record.epoch:
        raise fault(SNAPSHOT_UNCERTIFIED, epoch=ended)
    span_ms = record.limits.tx_lifetime_max_ms
    return Taking(store, engine.snapshot(), shelf, chain=chain, depth=depth, span_ms=span_ms)
