"""`python -m tests.end_to_end.failing run ...`: cccnode on a disk that fails.

`FAIL` says where and how: `folder operation count error`, such as `receipts sync 5 EIO`: the fifth sync of a file below
that folder, and all later ones, are refused so.
"""

import errno
import os
import sqlite3
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

from cccnode.cli.main import run_cli
from storage import files, index

FOLDER, OPERATION, COUNT, NAME = os.environ["FAIL"].split()
_left = int(COUNT)


def _refuse(path: str, operation: str) -> None:
    global _left  # noqa: PLW0603 - one process, one disk
    if operation == OPERATION and f"/{FOLDER}/" in path:
        _left -= 1
        if _left < 0:
            number = getattr(errno, NAME)
            raise OSError(number, os.strerror(number))


def _path(handle: int) -> str:
    return str(Path(f"/proc/self/fd/{handle}").readlink())


_sync, _write = files._fdatasync, os.write


def _failing_sync(handle: int) -> None:
    _refuse(_path(handle), "sync")
    _sync(handle)


def _failing_write(handle: int, data: Any) -> int:
    if handle > 2:
        _refuse(_path(handle), "append")
    return _write(handle, data)


class _FailingIndex(index.Index):
    def add(self, blocks: Any) -> None:
        with index._named(str(self._path)):
            try:
                _refuse(str(self._path), "append")
            except OSError as refused:
                full = sqlite3.OperationalError("database or disk is full")
                full.sqlite_errorcode = sqlite3.SQLITE_FULL
                raise full from refused
        super().add(blocks)


files._fdatasync = _failing_sync
files.os.write = _failing_write  # type: ignore[assignment]
if FOLDER == "index":
    import_module("cccnode.node.run").Index = _FailingIndex  # type: ignore[attr-defined]

sys.exit(run_cli())
