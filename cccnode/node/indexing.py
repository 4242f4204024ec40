"""Feeds the transaction index off the commit path: one writer thread, many blocks at a time; rebuildable."""

from collections.abc import Sequence

from cccnode.driver.execution import Applied
from cccnode.driver.runtime import Runtime
from cccnode.ledger.receipts import decided_ids
from storage.index import Index
from storage.store import Store

FLUSH_MS = 8_000
"""The index lags the chain by about this much; what is newer, the duplicate window knows.  Waiting pays: written in
the order of their ids, many rows share each page."""
REBUILD_BLOCKS = 64
"""Blocks that one job of a rebuild reads."""
REBUILD_IDS = 40_000
"""Ids after which it reads no further block: full blocks would fill a hundred megabytes."""
WAITING_MAX = 512
"""Executed blocks whose ids wait in memory to be indexed."""


class Indexer:
    """Keeps the index behind the applied height by a few seconds."""

    def __init__(self, *, runtime: Runtime, store: Store, index: Index) -> None:
        """Bind; `start` begins."""
        self._runtime, self._store, self._index = runtime, store, index
        self._waiting: list[tuple[int, Sequence[bytes]]] = []
        self._flushing = False
        self.height = index.indexed_height or 0
        """Last indexed height."""

    def start(self) -> None:
        """Index what was executed and not indexed, then keep up."""
        self._flush()

    def applied(self, applied: Applied) -> None:
        """A block was executed."""
        if len(self._waiting) >= WAITING_MAX:
            self._waiting.clear()  # A rebuild will read them from the store.
        self._waiting.append((applied.outcome.height, applied.outcome.decided))
        if not self._flushing:
            self._flushing = True
            self._runtime.call_later(FLUSH_MS, self._flush)

    def _flush(self) -> None:
        self._flushing = True
        first = self.height + 1
        if self._waiting and self._waiting[0][0] == first:
            blocks, self._waiting = self._waiting, []
            self._runtime.run_in_writer("index", lambda: self._index.add(blocks), self._flushed)
            return
        applied = self._store.applied
        last = min(applied.height if applied is not None else 0, first + REBUILD_BLOCKS - 1)
        self._waiting = [block for block in self._waiting if block[0] > last]
        self._runtime.run_in_writer("index", lambda: self._rebuild(first, last), self._flushed)

    def _rebuild(self, first: int, last: int) -> None:
        """Runs in the writer thread."""
        blocks: list[tuple[int, Sequence[bytes]]] = []
        read = 0
        for height in range(first, last + 1):
            ids = decided_ids(self._store.receipts(height) or ())
            blocks.append((height, ids))
            read += len(ids)
            if read >= REBUILD_IDS:
                break
        self._index.add(blocks)

    def _flushed(self, result: object) -> None:
        if isinstance(result, BaseException):
            raise result
        self.height = self._index.indexed_height or 0
        applied = self._store.applied
        self._flushing = applied is not None and applied.height > self.height
        if self._flushing:
            # Blocks that only the store still holds do not wait: a node that caught up would else stay behind for ever.
            next_waits = bool(self._waiting) and self._waiting[0][0] == self.height + 1
            self._runtime.call_later(FLUSH_MS if next_waits else 0, self._flush)
