"""LevelDB as the engine; the only file that imports plyvel.

LevelDB drops a torn last batch by its own checksum.  It is opened without paranoid checks, because those refuse such
a tail too; a batch lost from the middle shows when the rebuilt state root is compared at open (`state.py`).
"""

import errno
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from cccnode.types.errors import (
    DISK_FAILED,
    DISK_FULL,
    DISK_READ_ONLY,
    ENGINE_MISSING,
    HOME_LOCKED,
    STATE_CORRUPT,
    ErrorSpec,
    Fault,
    fault,
)
from storage.engine import Put
from storage.files import make_folder

BLOCK_CACHE_BYTES: Final = 8 << 20
"""LevelDB's own cache of uncompressed blocks; the state has its own above it, so this one stays small."""
WRITE_BUFFER_BYTES: Final = 8 << 20
"""Memory table, of which two may exist: several full blocks, so that a block's batch does not wait for a compaction."""
OPEN_FILES_MAX: Final = 74
"""LevelDB's least: 64 tables, which it maps into memory.  By default a thousand would stay mapped, and a node whose
state and receipts grow, or that reads the receipts of a full duplicate window at its start, would seem to need
gigabytes.  Opening a table again costs 50 us, and almost all reads of the state come from its own cache."""
TABLE_BYTES: Final = 1 << 20
"""Size of a table, LevelDB's least, for the same reason."""
_BLOOM_BITS: Final = 10

# LevelDB reports text, not error numbers.
_WORDS: Final[tuple[tuple[str, ErrorSpec], ...]] = (
    ("already held by process", HOME_LOCKED),
    ("Resource temporarily unavailable", HOME_LOCKED),
    (os.strerror(errno.ENOSPC), DISK_FULL),
    (os.strerror(errno.EDQUOT), DISK_FULL),
    (os.strerror(errno.EROFS), DISK_READ_ONLY),
    (os.strerror(errno.EACCES), DISK_READ_ONLY),
    ("Corruption", STATE_CORRUPT),
)


class LevelDB:
    """An `Engine` in a folder.  After a failed write every later write raises the same error."""

    def __init__(self, path: str | Path) -> None:
        self._path = str(path)
        self._plyvel = _load()
        self._failed: Fault | None = None
        if _beheaded(Path(path)):
            raise fault(STATE_CORRUPT, path=self._path, reason="it has tables or logs, but no CURRENT to name them")
        try:
            make_folder(Path(path))
            self._db = self._plyvel.DB(
                self._path,
                create_if_missing=True,
                lru_cache_size=BLOCK_CACHE_BYTES,
                write_buffer_size=WRITE_BUFFER_BYTES,
                max_open_files=OPEN_FILES_MAX,
                max_file_size=TABLE_BYTES,
                bloom_filter_bits=_BLOOM_BITS,
                compression=None,  # Keys, hashes and signatures do not shrink; trying costs 2 us a transaction.
            )
        except (OSError, self._plyvel.Error) as error:
            raise self._named(error) from error

    def get(self, key: bytes) -> bytes | None:
        """See `Engine`."""
        try:
            value: bytes | None = self._db.get(key)
        except (OSError, self._plyvel.Error) as error:
            raise self._named(error) from error
        return value

    def write(self, puts: Sequence[Put], *, sync: bool) -> None:
        """See `Engine`."""
        if self._failed is not None:
            raise fault(self._failed.spec, **self._failed.values)
        batch = self._db.write_batch(sync=sync)
        put, delete = batch.put, batch.delete
        for key, value in puts:
            if value is None:
                delete(key)
            else:
                put(key, value)
        try:
            batch.write()
        except (OSError, self._plyvel.Error) as error:
            self._failed = self._named(error)
            raise self._failed from error

    def iterate(self, prefix: bytes, *, start: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        """See `Engine`."""
        try:
            with self._db.iterator(prefix=prefix, verify_checksums=True, fill_cache=False) as rows:
                if start:
                    rows.seek(start)
                yield from rows
        except (OSError, self._plyvel.Error) as error:
            raise self._named(error) from error

    def snapshot(self) -> "LevelReading":
        """See `Engine`."""
        return LevelReading(self._db.snapshot(), self._named, (OSError, self._plyvel.Error))

    def compact(self, first: bytes, last: bytes) -> None:
        """See `Engine`.  LevelDB still writes out a full memory table meanwhile, so writers do not wait for it."""
        try:
            self._db.compact_range(start=first, stop=last)
        except (OSError, self._plyvel.Error) as error:
            raise self._named(error) from error

    def close(self) -> None:
        """See `Engine`."""
        self._db.close()

    def _named(self, error: Exception) -> Fault:
        text = " ".join(part.decode(errors="replace") if isinstance(part, bytes) else str(part) for part in error.args)
        spec = next((spec for words, spec in _WORDS if words in text), DISK_FAILED)
        return fault(spec, path=self._path, reason=text)


class LevelReading:
    """LevelDB as it was: see `Reading`."""

    def __init__(self, snapshot: Any, named: Callable[[Exception], Fault], errors: tuple[type[Exception], ...]) -> None:
        self._snapshot, self._named, self._errors = snapshot, named, errors

    def get(self, key: bytes) -> bytes | None:
        """See `Reading`."""
        try:
            value: bytes | None = self._snapshot.get(key)
        except self._errors as error:
            raise self._named(error) from error
        return value

    def iterate(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        """See `Reading`.  It does not fill LevelDB's cache: who reads everything reads it once."""
        try:
            with self._snapshot.iterator(prefix=prefix, verify_checksums=True, fill_cache=False) as rows:
                yield from rows
        except self._errors as error:
            raise self._named(error) from error

    def close(self) -> None:
        """See `Reading`."""
        self._snapshot.close()


def _beheaded(path: Path) -> bool:
    """Whether LevelDB would take a folder for a new one and delete the tables that are in it."""
    return not (path / "CURRENT").exists() and any(path.glob("*.l[do][bg]"))


def mend(path: str | Path) -> None:
    """Have LevelDB save what it can of a folder that it cannot open: rows may be missing afterwards.

    Raises:
        Fault: nothing could be saved.
    """
    plyvel = _load()
    try:
        plyvel.repair_db(str(path))
    except (OSError, plyvel.Error) as error:
        raise fault(STATE_CORRUPT, path=str(path), reason=str(error)) from error


def _load() -> Any:
    """The plyvel module, or why there is none: its wheel may lack the shared library of LevelDB."""
    try:
        import plyvel  # noqa: PLC0415 - a missing engine must be a named error, not an import error
    except ImportError as error:
        raise fault(ENGINE_MISSING, reason=str(error)) from error
    return plyvel
