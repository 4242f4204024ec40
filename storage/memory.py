"""An engine and a disk in memory, for tests and simulation: they forget at a crash exactly what real ones may forget.

`MemoryDisk.crash` keeps every synced byte, and of the unsynced rest a random beginning with or without garbage behind
it.  `MemoryEngine.crash` keeps synced batches and a random number of the unsynced ones that followed.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from random import Random

from cccnode.types.errors import DISK_FAILED, Fault, fault
from storage.engine import Put
from storage.files import disk_fault

Refusal = Callable[[str, str], int | None]
"""(operation, path) -> the error number to fail with, or None.  Operations: append, sync, remove, truncate, write."""


def _never(_operation: str, _path: str) -> int | None:
    return None


@dataclass(slots=True)
class _File:
    data: bytearray = field(default_factory=bytearray)
    synced: int = 0
    """Bytes that survive a crash."""
    named: bool = False
    """Whether the name itself survives."""


class MemoryDisk:
    """A `Disk` whose files are byte arrays.  `refuse` injects errors; a failed append leaves half of its bytes."""

    def __init__(self) -> None:
        self.refuse: Refusal = _never
        self._files: dict[str, _File] = {}
        self._poisoned: dict[str, Fault] = {}

    def append(self, path: str, data: bytes) -> None:
        """See `Disk`."""
        file = self._files.get(path)
        if file is None:
            file = self._files[path] = _File()
        number = self._attempt("append", path)
        file.data += data if number is None else data[: len(data) // 2]
        self._fail(path, number)

    def sync(self, path: str) -> None:
        """See `Disk`."""
        self._fail(path, self._attempt("sync", path))
        file = self._files.setdefault(path, _File())
        file.synced, file.named = len(file.data), True

    def seal(self, path: str) -> None:
        """See `Disk`."""
        self.sync(path)

    def read(self, path: str, offset: int = 0, size: int | None = None) -> bytes:
        """See `Disk`."""
        data = self._file(path).data
        return bytes(data[offset:] if size is None else data[offset : offset + size])

    def size(self, path: str) -> int:
        """See `Disk`."""
        return len(self._file(path).data)

    def exists(self, path: str) -> bool:
        """See `Disk`."""
        return path in self._files or any(name.startswith(path + "/") for name in self._files)

    def is_folder(self, path: str) -> bool:
        """See `Disk`."""
        return path not in self._files and self.exists(path)

    def list(self, folder: str) -> Sequence[str]:
        """See `Disk`."""
        inside = folder + "/"
        return sorted({name[len(inside) :].split("/")[0] for name in self._files if name.startswith(inside)})

    def usage(self, folder: str) -> int:
        """See `Disk`."""
        return sum(len(file.data) for name, file in self._files.items() if name.startswith(folder + "/"))

    def remove(self, path: str) -> None:
        """See `Disk`."""
        self._fail(path, self._attempt("remove", path))
        self._files.pop(path, None)

    def removing(self, path: str, step: int) -> Iterator[int]:
        """See `Disk`."""
        if path in self._files:
            size = len(self._files[path].data)
            self.remove(path)
            yield from (step for _ in range(step, size, step))
            yield (size - 1) % step + 1 if size else 0

    def remove_tree(self, folder: str) -> None:
        """See `Disk`."""
        for path in [path for path in self._files if path.startswith(folder + "/")]:
            del self._files[path]

    def truncate(self, path: str, size: int) -> None:
        """See `Disk`."""
        file = self._file(path)
        self._fail(path, self._attempt("truncate", path))
        del file.data[size:]
        file.synced, file.named = len(file.data), True

    def replace_file(self, path: str, data: bytes) -> None:
        """See `Disk`."""
        self._fail(path, self._attempt("append", path))
        self._files[path] = _File(bytearray(data), synced=len(data), named=True)

    def close(self) -> None:
        """See `Disk`."""

    def crash(self, rng: Random) -> None:
        """Lose what a power failure may lose; every poisoned path is usable again, as after a restart."""
        for path in sorted(self._files):
            file = self._files[path]
            unsynced = len(file.data) - file.synced
            if not file.named and rng.randint(0, 1):
                del self._files[path]
                continue
            kept = rng.randint(0, unsynced)
            del file.data[file.synced + kept :]
            file.data += rng.randbytes(rng.randint(0, unsynced - kept) * rng.randint(0, 1))
            file.synced, file.named = len(file.data), True
        self._poisoned.clear()
        self.refuse = _never

    def unsynced_bytes(self, path: str) -> int:
        """How many bytes at the end of a file a crash may take."""
        file = self._file(path)
        return len(file.data) - file.synced

    def _file(self, path: str) -> _File:
        file = self._files.get(path)
        if file is None:
            raise fault(DISK_FAILED, path=path, reason="No such file or directory")
        return file

    def _attempt(self, operation: str, path: str) -> int | None:
        earlier = self._poisoned.get(path)
        if earlier is not None:
            raise fault(earlier.spec, **earlier.values)
        return self.refuse(operation, path)

    def _fail(self, path: str, number: int | None) -> None:
        if number is not None:
            refusal = disk_fault(OSError(number, os.strerror(number)), path)
            self._poisoned[path] = refusal
            raise refusal


class MemoryEngine:
    """An `Engine` over a dictionary."""

    def __init__(self) -> None:
        self.refuse: Refusal = _never
        self._data: dict[bytes, bytes] = {}
        self._durable: dict[bytes, bytes] = {}
        self._unsynced: list[Sequence[Put]] = []
        self._failed: Fault | None = None

    def get(self, key: bytes) -> bytes | None:
        """See `Engine`."""
        return self._data.get(key)

    def write(self, puts: Sequence[Put], *, sync: bool) -> None:
        """See `Engine`."""
        if self._failed is not None:
            raise fault(self._failed.spec, **self._failed.values)
        number = self.refuse("write", "engine")
        if number is not None:
            self._failed = disk_fault(OSError(number, os.strerror(number)), "engine")
            raise self._failed
        _apply(self._data, puts)
        self._unsynced.append(puts)
        if sync:
            self._settle(len(self._unsynced))

    def iterate(self, prefix: bytes, *, start: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        """See `Engine`."""
        rows = self._data.items()
        return iter(sorted((key, value) for key, value in rows if key.startswith(prefix) and key >= start))

    def snapshot(self) -> "MemoryEngine":
        """See `Engine`."""
        copied = MemoryEngine()
        copied._data = dict(self._data)
        return copied

    def compact(self, first: bytes, last: bytes) -> None:
        """See `Engine`: nothing is held of what is deleted."""

    def close(self) -> None:
        """See `Engine`.  The data stays: opening again means using the same object."""

    def crash(self, rng: Random) -> None:
        """Lose a random number of unsynced batches from the end."""
        self._settle(rng.randint(0, len(self._unsynced)))
        self._unsynced.clear()
        self._data = dict(self._durable)
        self._failed = None
        self.refuse = _never

    def _settle(self, batches: int) -> None:
        for puts in self._unsynced[:batches]:
            _apply(self._durable, puts)
        del self._unsynced[:batches]


def _apply(data: dict[bytes, bytes], puts: Sequence[Put]) -> None:
    for key, value in puts:
        if value is None:
            data.pop(key, None)
        else:
            data[key] = value
