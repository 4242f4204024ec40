"""The full check of a backup or of a stopped home: what `storage.checking` says, joined with what a home knows."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Final, Literal

from cccnode.crypto import verifying
from cccnode.home import Home
from cccnode.ledger.receipts import decided_ids
from cccnode.node.data import read_home_outline
from cccnode.node.restoring import origin_of
from cccnode.types.errors import DATA_DAMAGED, HOME_EMPTY, HOME_OTHER_CHAIN, fault
from cccnode.types.validators import epoch_record_hash
from storage import keys
from storage.backup import FILES, Backup
from storage.blocks import FOLDER, RECEIPTS_FOLDER
from storage.checking import Audit, Content
from storage.contents import HomeContent, check_index, quick_audit
from storage.engine import Engine
from storage.files import Disk, RealDisk
from storage.index import Index
from storage.leveldb import LevelDB
from storage.segments import Segments

INDEX_FILE: Final = "index/transactions.sqlite"
"""Of the transaction index, below the data of a home."""


def look_at_start(engine: Engine, disk: Disk) -> dict[str, object]:
    """The quick check of each start; what it looked at.

    Raises:
        Fault: storage/DATA_DAMAGED with all that was found.
    """
    reading = engine.snapshot()
    try:
        audit = quick_audit(reading, disk, verifying.verify_many)
    finally:
        reading.close()
    if not audit.sound:
        raise fault(DATA_DAMAGED, findings=[str(finding) for finding in audit.findings])
    return {"height": audit.content.origin.applied.height, **audit.counts}


def quick_check(home: Home) -> Audit:
    """The same for a home whose node does not run, with the state root.

    Raises:
        Fault: HOME_EMPTY, HOME_FORMAT, or what the disk says.
    """
    check = HomeCheck(home)
    try:
        audit = quick_audit(check.reading, check.disk, verifying.verify_many)
        for _ in check.audit.state():
            pass
    finally:
        check.close()
    for finding in check.audit.findings:
        audit.say(finding.what, finding.why, finding.height)
    return audit


class _Check:
    """What both have in common."""

    def __init__(self, content: Content, stack: ExitStack) -> None:
        self.audit = Audit(content, verifying.verify_many)
        self._stack = stack

    @property
    def verdict(self) -> Literal["sound", "damaged"]:
        """One word."""
        return "sound" if self.audit.sound else "damaged"

    def summary(self) -> dict[str, object]:
        """What was read."""
        content = self.audit.content
        applied = content.origin.applied
        return {
            "chain": "0x" + content.origin.chain.hex(),
            "height": str(applied.height),
            "block_id": "0x" + applied.block_id.hex(),
            "state_root": "0x" + applied.state_root.hex(),
            "certified_height": str(self.audit.certified),
            **{name: str(count) for name, count in self.audit.counts.items()},
        }

    def close(self) -> None:
        """Give back what was opened."""
        self._stack.close()

    def genesis(self, path: Path) -> None:
        """Compare with the genesis document: its chain, and the validators of the first epoch.

        Raises:
            Fault: HOME_OTHER_CHAIN, or the document does not read.
        """
        genesis, content = read_home_outline(path), self.audit.content
        if genesis.chain != content.origin.chain:
            raise fault(HOME_OTHER_CHAIN, what="chain", found=content.origin.chain, expected=genesis.chain)
        record = epoch_record_hash(origin_of(genesis).record)
        for rows in content.rows("heights"):
            first = dict(rows).get(keys.header(0))
            if first is not None and record not in first:
                self.audit.say("heights", "the genesis document names other validators", 0)
            return


class BackupCheck(_Check):
    """Of a backup."""

    def __init__(self, folder: Path) -> None:
        """Read its manifest.

        Raises:
            Fault: BACKUP_INVALID or BACKUP_FORMAT.
        """
        stack = ExitStack()
        disk = RealDisk(folder)
        stack.callback(disk.close)
        self._folder, self._backup = folder, Backup(disk)
        super().__init__(self._backup, stack)
        self.expected = 2 * self._backup.manifest.size

    def steps(self) -> Iterator[tuple[str, int]]:
        """What is read, and bytes.

        Raises:
            Fault: BACKUP_INVALID: a file is missing or is not what was written.
        """
        for size in self._backup.check_files():
            yield "sums", size
        if any(name == "genesis.json" for name, _ in self._backup.files()):
            self.genesis(self._folder / FILES / "genesis.json")
        for size in self.audit.run():
            yield "content", size


class HomeCheck(_Check):
    """Of a home whose node does not run; the caller holds its lock."""

    def __init__(self, home: Home) -> None:
        """Open what is there.

        Raises:
            Fault: HOME_EMPTY, HOME_FORMAT, or what the disk says.
        """
        if not (home.data / "state").exists():
            raise fault(HOME_EMPTY, home=str(home.root), missing="data/state")
        with ExitStack() as opened:
            disk = RealDisk(home.data)
            opened.callback(disk.close)
            engine = LevelDB(home.data / "state")
            opened.callback(engine.close)
            reading = engine.snapshot()
            opened.callback(reading.close)
            self.reading, self.disk = reading, disk
            self._home, self._content = home, HomeContent(reading, disk)
            super().__init__(self._content, opened.pop_all())
        self.expected = sum(Segments(disk, name).bytes_from(0) for name in (FOLDER, RECEIPTS_FOLDER))
        self.expected += sum(path.stat().st_size for path in (home.data / "state").glob("*.ldb"))

    def steps(self) -> Iterator[tuple[str, int]]:
        """What is read, and bytes."""
        self.genesis(self._home.genesis_file)
        path = self._home.data / INDEX_FILE
        if path.exists():
            index = Index(path)
            self._stack.callback(index.close)
            check_index(self.audit, index, decided_ids)
        for size in self.audit.run():
            yield "content", size
        self._content.by_id(self.audit)
