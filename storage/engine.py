"""The narrow key-value protocol under the state: small enough that LevelDB can be swapped for something else."""

from collections.abc import Iterator, Sequence
from typing import Protocol

Put = tuple[bytes, bytes | None]
"""Key and new value; None deletes the key."""


class Reading(Protocol):
    """What an engine held at one moment, whatever is written afterwards.  Used from one thread at a time."""

    def get(self, key: bytes) -> bytes | None:
        """The value, or None."""

    def iterate(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Every key that starts with `prefix`, with its value, in byte order."""

    def close(self) -> None:
        """Let the engine forget what was overwritten since."""


class Engine(Protocol):
    """An ordered map of byte strings with atomic batches.  Reads may come from any thread, writes from one."""

    def get(self, key: bytes) -> bytes | None:
        """The value, or None."""

    def write(self, puts: Sequence[Put], *, sync: bool) -> None:
        """Apply all of `puts` or, after a crash, none; with `sync` it is durable when the call returns.

        Batches survive in order: a crash may lose unsynced ones from the end, never one before a surviving one.

        Raises:
            Fault: DISK_FULL, DISK_READ_ONLY or DISK_FAILED.  Later writes raise too: what the disk holds is unknown.
        """

    def iterate(self, prefix: bytes, *, start: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        """Every key from `start` on that begins with `prefix`, with its value, in byte order, as of the first step."""

    def snapshot(self) -> Reading:
        """Everything as of now; costs next to nothing until it is read, but keeps what is overwritten on disk."""

    def compact(self, first: bytes, last: bytes) -> None:
        """Give back the disk space of what was deleted from `first` to `last`.  Blocks; from any thread."""

    def close(self) -> None:
        """Give back files and locks; the engine is unusable afterwards."""
