"""How much a home keeps, by kind; compacted, and its index filled again.  The node of that home does not run."""

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Final

from cccnode.home import Home, lock_holder
from cccnode.ledger.receipts import decided_ids
from cccnode.node.verifying import INDEX_FILE
from cccnode.types.errors import HOME_EMPTY, fault
from storage import keys
from storage.blocks import FOLDER, RECEIPTS_FOLDER
from storage.contents import HomeContent
from storage.copying import origin_of, receipts_in_record
from storage.files import RealDisk
from storage.index import Index
from storage.leveldb import LevelDB
from storage.segments import Segments

ROWS: Final = {
    "groups": keys.GROUP,
    "headers": keys.HEADER,
    "results": keys.APPLIED_AT,
    "block_ids": keys.HEIGHT_OF,
    "epoch_records": keys.EPOCH_RECORD,
    "named_values": keys.META,
}
INDEXED_AT_ONCE: Final = 40_000
"""Transactions of one write to the index."""
_LAST_KEY: Final = b"\xff" * 64


def stats(home: Home) -> dict[str, dict[str, object]]:
    """Bytes and files by kind; rows and heights too while no node runs.

    Raises:
        Fault: home/EMPTY, or what the disk says.
    """
    if not home.data.exists():
        raise fault(HOME_EMPTY, home=str(home.root), missing="data")
    disk = RealDisk(home.data)
    try:
        found: dict[str, dict[str, object]] = {}
        for path in sorted(home.data.iterdir()):
            files = [path] if path.is_file() else [below for below in path.rglob("*") if below.is_file()]
            found[path.name] = {"files": len(files), "bytes": sum(below.stat().st_size for below in files)}
        for folder in (FOLDER, RECEIPTS_FOLDER):
            if folder in found:
                found[folder]["first_height"] = Segments(disk, folder).first
        if lock_holder(home) is None and "state" in found:
            found["state"] |= _rows(home)
            if (home.data / INDEX_FILE).exists():
                found["index"] |= _indexed(home)
    finally:
        disk.close()
    return found


def _rows(home: Home) -> dict[str, object]:
    engine = LevelDB(home.data / "state")
    try:
        counts: dict[str, object] = {name: sum(1 for _ in engine.iterate(prefix)) for name, prefix in ROWS.items()}
        return counts | {"height": origin_of(engine).applied.height}
    finally:
        engine.close()


def _indexed(home: Home) -> dict[str, object]:
    index = Index(home.data / INDEX_FILE)
    try:
        return {"transactions": index.rows(), "height": index.indexed_height, "first_height": index.earliest}
    finally:
        index.close()


def compact(home: Home) -> dict[str, dict[str, int]]:
    """Give deleted rows' space back to the disk; bytes before and after.

    Raises:
        Fault: home/EMPTY, home/DISK_FULL (index: needs as much space again), or what the disk says.
    """
    if not (home.data / "state").exists():
        raise fault(HOME_EMPTY, home=str(home.root), missing="data/state")
    disk = RealDisk(home.data)
    kinds = [name for name in ("state", "index", "history") if (home.data / name).exists()]
    try:
        before = {name: disk.usage(name) for name in kinds}
        for name in kinds:
            if name == "index":
                index = Index(home.data / INDEX_FILE)
                index.compact()
                index.close()
            else:
                engine = LevelDB(home.data / name)
                engine.compact(b"", _LAST_KEY)
                engine.close()
        return {name: {"before_bytes": before[name], "after_bytes": disk.usage(name)} for name in kinds}
    finally:
        disk.close()


class Reindexing:
    """Fills the transaction index of a home anew from its receipts."""

    def __init__(self, home: Home) -> None:
        """Open what is there.

        Raises:
            Fault: HOME_EMPTY, HOME_FORMAT, or what the disk says.
        """
        if not (home.data / "state").exists():
            raise fault(HOME_EMPTY, home=str(home.root), missing="data/state")
        self.transactions = self.height = 0
        with ExitStack() as opened:
            disk = RealDisk(home.data)
            opened.callback(disk.close)
            engine = LevelDB(home.data / "state")
            opened.callback(engine.close)
            self._content = HomeContent(engine, disk)
            self._segments = Segments(disk, RECEIPTS_FOLDER)
            self.expected = self._segments.bytes_from(0)
            for path in sorted((home.data / INDEX_FILE).parent.glob("*")):
                path.unlink()
            self._index = Index(home.data / INDEX_FILE)
            opened.callback(self._index.close)
            self._stack = opened.pop_all()

    def close(self) -> None:
        """Give back what was opened."""
        self._stack.close()

    def steps(self) -> Iterator[tuple[str, int]]:
        """Write the index; yields bytes of receipts that were read.

        Raises:
            Fault: BLOCKS_CORRUPT, or what the disk says.
        """
        first = self._segments.first or 0
        self._index.begin(first)
        some: list[tuple[int, tuple[bytes, ...]]] = []
        waiting = read = 0
        for height, raw in self._content.records(RECEIPTS_FOLDER):
            if height == 0:
                continue
            ids = decided_ids(receipts_in_record(height, raw))
            some.append((height, ids))
            waiting, read = waiting + len(ids), read + len(raw)
            self.transactions, self.height = self.transactions + len(ids), height
            if waiting >= INDEXED_AT_ONCE:
                self._index.add(some)
                yield "receipts", read
                some, waiting, read = [], 0, 0
        self._index.add(some)
        yield "receipts", read
