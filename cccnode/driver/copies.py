"""Copies of a running node's engine, page by page, for whoever writes a backup; the node goes on meanwhile.

The engine's snapshot is taken when a copy begins, so all pages are of one moment, whenever they are asked for.  Pages
are read in a writer thread of their own, which ends before the engine is closed.
"""

from collections.abc import Callable, Iterator
from typing import Final

import structlog

from cccnode.driver.runtime import Runtime
from cccnode.types.errors import BACKUP_BUSY, Fault, fault
from storage.copying import pages
from storage.engine import Engine, Reading

Taken = Callable[[bytes | Fault | None], None]
"""Gets a page, None after the last, or why there is none."""

_WRITER: Final = "backup"
_log = structlog.get_logger("backup")


class Copies:
    """One node's copies, one at a time."""

    def __init__(self, runtime: Runtime, engine: Engine) -> None:
        """Nobody has asked yet."""
        self._runtime, self._engine = runtime, engine
        self._busy = False

    def begin(self, first: int) -> "Copy":
        """A copy as of now, with the heights from `first` on; whoever has it closes it.

        Raises:
            Fault: storage/BACKUP_BUSY.
        """
        if self._busy:
            raise fault(BACKUP_BUSY)
        self._busy = True
        _log.info("a backup begins", first=first)
        return Copy(self._runtime, self._engine.snapshot(), first, self._ended)

    def _ended(self) -> None:
        self._busy = False


class Copy:
    """One copy."""

    def __init__(self, runtime: Runtime, reading: Reading, first: int, ended: Callable[[], None]) -> None:
        self._runtime, self._reading, self._ended = runtime, reading, ended
        self._pages: Iterator[bytes] = pages(reading, first)
        self._closed = False

    def next(self, taken: Taken) -> None:
        """Read the next page."""

        def done(result: bytes | BaseException | None) -> None:
            if isinstance(result, BaseException) and not isinstance(result, Fault):
                raise result
            taken(result)

        self._runtime.run_in_writer(_WRITER, lambda: next(self._pages, None), done)

    def close(self) -> None:
        """Let go of the snapshot; it may be called twice, and while a page is being read."""
        if self._closed:
            return
        self._closed = True

        def done(result: object) -> None:
            self._ended()
            _log.info("a backup has been read")

        self._runtime.run_in_writer(_WRITER, self._reading.close, done)
