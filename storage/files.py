"""Files as the stores need them: append, sync, read; and what a disk may answer, as named errors.

A sync that failed is never tried again: the kernel may have dropped the page and report success the second time.
The path is poisoned instead, and the node stops (consensus.md 3.14).
"""

import errno
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, Protocol

from cccnode.types.errors import DISK_FAILED, DISK_FULL, DISK_READ_ONLY, ErrorSpec, Fault, fault

_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_READ_ONLY: Final = frozenset({errno.EROFS, errno.EACCES, errno.EPERM})
_TEMPORARY: Final = ".tmp"
_BLOCK_BYTES: Final = 512
"""The unit of `st_blocks`, whatever the file system's own blocks are."""

_fdatasync = getattr(os, "fdatasync", os.fsync)  # macOS has only fsync


class Disk(Protocol):
    """A folder of append-only files.  Paths are relative to its root, with `/`.

    Different files may be used from different threads; one file belongs to one writing thread at a time.
    Every method raises `Fault` (DISK_FULL, DISK_READ_ONLY, DISK_FAILED) where the disk refuses.
    """

    def append(self, path: str, data: bytes) -> None:
        """Add bytes at the end; creates the file and its folders.  Durable only after `sync`."""

    def sync(self, path: str) -> None:
        """Make every byte of the file durable, and its name if it is new."""

    def seal(self, path: str) -> None:
        """Sync, then give the file handle back: nothing will be appended for now."""

    def read(self, path: str, offset: int = 0, size: int | None = None) -> bytes:
        """Bytes from `offset`: at most `size` of them, all by default."""

    def size(self, path: str) -> int:
        """Bytes in the file."""

    def exists(self, path: str) -> bool:
        """Whether the file or folder is there."""

    def is_folder(self, path: str) -> bool:
        """Whether a folder is there."""

    def list(self, folder: str) -> Sequence[str]:
        """Sorted names in a folder, without temporary files; empty if there is no such folder."""

    def usage(self, folder: str) -> int:
        """Bytes that all files below a folder take on the disk; 0 if there is none."""

    def remove(self, path: str) -> None:
        """Delete a file, durably; nothing happens if it is not there."""

    def removing(self, path: str, step: int) -> Iterator[int]:
        """Delete a file as `remove` does, but give its space back `step` bytes at a time; yields how many each time.

        Whoever reads it meanwhile finds the whole file or none.  A file that is not there yields nothing.
        """

    def remove_tree(self, folder: str) -> None:
        """Delete a folder and all in it, durably; nothing happens if it is not there."""

    def truncate(self, path: str, size: int) -> None:
        """Cut the file to `size` bytes, durably."""

    def replace_file(self, path: str, data: bytes) -> None:
        """Write a small file as a whole, durably: after a crash it holds the old or the new bytes."""

    def close(self) -> None:
        """Give back every file handle."""


def spec_of(number: int | None) -> ErrorSpec:
    """The row of the error table for an operating system error number."""
    if number in _FULL:
        return DISK_FULL
    return DISK_READ_ONLY if number in _READ_ONLY else DISK_FAILED


def disk_fault(error: OSError, path: str) -> Fault:
    """The named error for what the operating system answered about `path`."""
    return fault(spec_of(error.errno), path=path, reason=error.strerror or str(error))


@contextmanager
def _named(path: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise disk_fault(error, path) from error


class RealDisk:
    """The `Disk` under a folder of the file system; keeps the handles of the files it appends to."""

    def __init__(self, root: str | Path) -> None:
        self._root = Path(root)
        self._handles: dict[str, int] = {}
        self._unsure_names: set[str] = set()
        """Files opened but not synced yet: their names, and their folders' names, may not be durable."""
        self._poisoned: dict[str, Fault] = {}
        with _named(str(root)):
            make_folder(self._root)

    def append(self, path: str, data: bytes) -> None:
        """See `Disk`.  A failure poisons the path: how much was written is unknown."""
        with self._poisoning(path):
            handle = self._handle(path)
            rest = memoryview(data)
            while rest:
                rest = rest[os.write(handle, rest) :]

    def sync(self, path: str) -> None:
        """See `Disk`.  A failure poisons the path."""
        with self._poisoning(path):
            _fdatasync(self._handle(path))
            if path in self._unsure_names:
                self._sync_folders(path)
                self._unsure_names.discard(path)

    def seal(self, path: str) -> None:
        """See `Disk`."""
        self.sync(path)
        os.close(self._handles.pop(path))

    def read(self, path: str, offset: int = 0, size: int | None = None) -> bytes:
        """See `Disk`."""
        with _named(path), self._at(path).open("rb", buffering=0) as file:
            file.seek(offset)
            return file.read() if size is None else _read_exactly(file.fileno(), size)

    def size(self, path: str) -> int:
        """See `Disk`."""
        with _named(path):
            return self._at(path).stat().st_size

    def exists(self, path: str) -> bool:
        """See `Disk`."""
        with _named(path):
            return self._at(path).exists()

    def is_folder(self, path: str) -> bool:
        """See `Disk`."""
        with _named(path):
            return self._at(path).is_dir()

    def list(self, folder: str) -> Sequence[str]:
        """See `Disk`."""
        with _named(folder):
            try:
                names = [entry.name for entry in self._at(folder).iterdir()]
            except FileNotFoundError:
                return []
        return sorted(name for name in names if not name.endswith(_TEMPORARY))

    def usage(self, folder: str) -> int:
        """See `Disk`: what `du` says, which for a file with holes is less than its size."""
        with _named(folder):
            return _blocks_below(self._at(folder)) * _BLOCK_BYTES

    def remove(self, path: str) -> None:
        """See `Disk`."""
        self._forget(path)
        with _named(path):
            target = self._at(path)
            if target.exists():
                target.unlink()
                _sync_folder(target.parent)

    def removing(self, path: str, step: int) -> Iterator[int]:
        """See `Disk`.  A file without a name keeps its space as long as it is open, however the process ends."""
        with _named(path):
            if not self._at(path).exists():
                return
            handle = os.open(self._at(path), os.O_WRONLY | os.O_CLOEXEC)
            try:
                self.remove(path)
                size = os.fstat(handle).st_size
                while size > step:
                    size -= step
                    os.ftruncate(handle, size)
                    yield step
            finally:
                os.close(handle)
            yield size

    def remove_tree(self, folder: str) -> None:
        """See `Disk`."""
        for path in [path for path in tuple(self._handles) if path.startswith(folder + "/")]:  # Writers add some.
            self._forget(path)
        with _named(folder):
            target = self._at(folder)
            if target.exists():
                shutil.rmtree(target)
                _sync_folder(target.parent)

    def truncate(self, path: str, size: int) -> None:
        """See `Disk`."""
        with self._poisoning(path):
            handle = os.open(self._at(path), os.O_WRONLY)
            try:
                os.ftruncate(handle, size)
                os.fsync(handle)
            finally:
                os.close(handle)

    def replace_file(self, path: str, data: bytes) -> None:
        """See `Disk`."""
        self._forget(path)
        target = self._at(path)
        temporary = target.with_name(target.name + _TEMPORARY)
        with _named(path):
            target.parent.mkdir(parents=True, exist_ok=True)
            with temporary.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(target)
            self._sync_folders(path)

    def close(self) -> None:
        """See `Disk`."""
        for path in list(self._handles):
            self._forget(path)

    def _at(self, path: str) -> Path:
        assert path and not path.startswith("/") and ".." not in path.split("/"), path  # noqa: PT018 - one statement
        return self._root / path

    def _handle(self, path: str) -> int:
        """The append handle of a file, opened and created at first use.

        A file that exists may be one whose name an earlier, killed process never synced; so each counts as new once.
        """
        handle = self._handles.get(path)
        if handle is None:
            target = self._at(path)
            target.parent.mkdir(parents=True, exist_ok=True)
            self._unsure_names.add(path)
            handle = os.open(target, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)
            self._handles[path] = handle
        return handle

    def _sync_folders(self, path: str) -> None:
        """Make the entries on the way to a file durable, innermost first."""
        folder = self._at(path).parent
        while folder != self._root:
            _sync_folder(folder)
            folder = folder.parent
        _sync_folder(folder)

    def _forget(self, path: str) -> None:
        self._unsure_names.discard(path)
        handle = self._handles.pop(path, None)
        if handle is not None:
            os.close(handle)

    @contextmanager
    def _poisoning(self, path: str) -> Iterator[None]:
        """Refuse a poisoned path; poison it when the body fails."""
        earlier = self._poisoned.get(path)
        if earlier is not None:
            raise fault(earlier.spec, **earlier.values)
        try:
            yield
        except OSError as error:
            refusal = disk_fault(error, path)
            self._poisoned[path] = refusal
            raise refusal from error


def _read_exactly(handle: int, size: int) -> bytes:
    """Up to `size` bytes from the handle's position; fewer only at the end of the file."""
    parts = []
    while size > 0:
        part = os.read(handle, size)
        if not part:
            break
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def _blocks_below(folder: Path) -> int:
    """Blocks of all files below a folder; what goes meanwhile counts no more."""
    total = 0
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                with suppress(FileNotFoundError):
                    if entry.is_dir(follow_symlinks=False):
                        total += _blocks_below(Path(entry.path))
                    else:
                        total += entry.stat(follow_symlinks=False).st_blocks
    except FileNotFoundError:
        return 0
    return total


def make_folder(path: Path) -> None:
    """Create a folder with the missing ones above it, durably."""
    missing = []
    folder = path
    while not folder.exists():
        missing.append(folder)
        folder = folder.parent
    path.mkdir(parents=True, exist_ok=True)
    for new in missing:
        _sync_folder(new.parent)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
