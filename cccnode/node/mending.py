"""What can be done about damaged data of a home whose node does not run, from what costs least to what costs most.

After each step everything is checked again, and the next one is taken only if something is still wrong:

1. What is derived: rows by block id, the index, torn ends, LevelDB's own repair.
2. Old files with damaged blocks or receipts are given up, as if they had been pruned; other nodes have them.
3. The state is given up: the next start executes the stored blocks again from genesis, and fetches what follows.
4. Everything but votes and keys is given up: the next start fetches it.

What is given up is set aside, not deleted.  Votes and keys are never touched.
"""

from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from msgspec.structs import replace

from cccnode import keys as key_files
from cccnode.driver.epochs import Identity, current_epoch
from cccnode.home import Home, disk_fault
from cccnode.node.data import read_home_outline
from cccnode.node.restoring import swap_in
from cccnode.node.verifying import INDEX_FILE, HomeCheck
from cccnode.types.errors import HOME_EMPTY, HOME_FORMAT, HOME_OTHER_CHAIN, Fault, fault
from storage import keys
from storage.blocks import FOLDER, RECEIPTS_FOLDER, BlockFile
from storage.checking import Finding
from storage.copying import puts_of
from storage.engine import Put
from storage.files import RealDisk
from storage.leveldb import LevelDB, mend
from storage.segments import BYTES_MAX, Segments
from storage.store import Store

ASIDE: Final = "damaged"
"""Folder, with a number, of what was given up."""
GIVEN_UP: Final = ("state", FOLDER, RECEIPTS_FOLDER, "index", "history")
_PUTS: Final = 10_000
_NOBODY: Final = Identity(node_key=b"", signers={})


@dataclass(slots=True)
class Report:
    """What a repair came to."""

    found: list[str] = field(default_factory=list)
    """What was wrong at the beginning."""
    done: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    """What this home does not hold any more and cannot make itself."""
    following: str = ""
    """What the next start does."""
    aside: Path | None = None
    """Where damaged files are."""


class Mending:
    """One repair; the caller holds the home's lock."""

    def __init__(self, home: Home) -> None:
        """Nothing is touched yet."""
        self.report = Report()
        self._home, self._data = home, home.data
        self._steps: list[Callable[[list[Finding]], bool]] = [self._derived, self._old_files, self._state, self._all]
        self.expected = 0

    def steps(self) -> Iterator[tuple[str, int]]:
        """Repair; yields what is read, and bytes.

        Raises:
            Fault: home/EMPTY, home/OTHER_CHAIN, home/FORMAT, or what the disk says: nothing to be mended here.
        """
        if not (self._data / "state").exists():
            raise fault(HOME_EMPTY, home=str(self._home.root), missing="data/state")
        if swap_in(self._data):
            self.report.done.append("restored data was put in its place")
        self._open_files()
        while True:
            findings = yield from self._check()
            self.report.found = self.report.found or [str(finding) for finding in findings]
            if not findings:
                break
            while not self._steps.pop(0)(findings):
                pass
            if not (self._data / "state").exists():
                return  # Nothing is left to be checked before the next start.
        self.report.following = "The data is sound: start the node."

    def _check(self) -> Generator[tuple[str, int], None, list[Finding]]:
        """Everything that is wrong now."""
        try:
            check = HomeCheck(self._home)
        except Fault as refused:
            if refused.spec in {HOME_EMPTY, HOME_FORMAT, HOME_OTHER_CHAIN}:
                raise
            return [Finding(what="state", why=str(refused))]
        try:
            self.expected = check.expected
            yield from check.steps()
        finally:
            check.close()
        return check.audit.findings

    # 1. What is derived

    def _open_files(self) -> None:
        """Cut torn ends, and write anew what stands beside the files."""
        disk = RealDisk(self._data)
        try:
            for folder in (FOLDER, RECEIPTS_FOLDER):
                before = _sizes(disk, folder)
                try:
                    BlockFile.open(disk, folder, bytes_max=BYTES_MAX[folder])
                except Fault as damaged:
                    self.report.found.append(str(damaged))
                    continue
                after = _sizes(disk, folder)
                self.report.done += [
                    f"{name}: {size - after.get(name, 0)} bytes of a record that was never finished were cut off"
                    for name, size in before.items()
                    if name.endswith(".seg") and after.get(name, 0) < size
                ]
                self.report.done += [
                    f"{name}: made anew" for name in after if name.endswith(".idx") and name not in before
                ]
        finally:
            disk.close()

    def _derived(self, findings: list[Finding]) -> bool:
        """Rows by block id from headers; the index is filled again by the node; LevelDB saves what it can."""
        wrong = {finding.what for finding in findings}
        if "index" in wrong:
            for path in sorted((self._data / INDEX_FILE).parent.glob("*")):
                path.unlink()
            self.report.done.append("the index was removed; `cccnode db reindex`, or the node, fills it again")
        try:
            engine = LevelDB(self._data / "state")
        except Fault:
            mend(self._data / "state")
            self.report.done.append("LevelDB's own repair of data/state")
            engine = LevelDB(self._data / "state")
        try:
            mended = _ids_anew(engine)
        finally:
            engine.close()
        if mended:
            self.report.done.append(f"{mended} rows by block id were made anew from the headers")
        return True

    # 2. Old files

    def _old_files(self, findings: list[Finding]) -> bool:
        """Give up files before the last that hold damaged records, where the start does not need them."""
        if {finding.what for finding in findings} - {FOLDER, RECEIPTS_FOLDER, "certificates"}:
            return False
        disk, engine = RealDisk(self._data), LevelDB(self._data / "state")
        try:
            return self._mark(disk, engine, findings)
        except Fault:
            return False
        finally:
            engine.close()
            disk.close()

    def _mark(self, disk: RealDisk, engine: LevelDB, findings: list[Finding]) -> bool:
        genesis = read_home_outline(self._home.genesis_file)
        node_id, depth = key_files.read(self._home.first_node_key).public_key, genesis.document.state_depth
        store = Store.open(disk, engine, chain=genesis.chain, node_id=node_id, depth=depth)
        marks = {}
        for folder in (FOLDER, RECEIPTS_FOLDER):
            whats = {folder, "certificates"} if folder == FOLDER else {folder}
            damaged = [finding.height or 0 for finding in findings if finding.what in whats]
            if not damaged:
                continue
            start = next((start for start in Segments(disk, folder).starts() if start > max(damaged)), None)
            if start is None or start > self._needed(store):
                return False
            marks[folder] = start
            self.report.lost.append(f"{folder} below height {start}; other nodes have them")
        store.mark(replace(store.earliest, **marks))
        for folder, start in marks.items():
            for below in [below for below in Segments(disk, folder).starts() if below < start]:
                self._put_aside(f"{folder}/{below:010d}.seg")
        self.report.done.append("damaged old files were set aside, and their heights noted as pruned")
        return True

    def _needed(self, store: Store) -> int:
        """The lowest height that a start reads: where the duplicate window begins."""
        applied, genesis_header = store.applied, store.header(0)
        assert applied is not None, "the pointer is sound"
        assert genesis_header is not None, "the genesis header is kept for ever"
        record = current_epoch(store, genesis_header, _NOBODY).record
        for height in range(applied.height, 0, -1):
            header = store.header(height)
            if header is None or header.time_ms <= applied.time_ms - record.limits.tx_lifetime_max_ms:
                return height
        return 0

    # 3. The state

    def _state(self, findings: list[Finding]) -> bool:
        """Keep the blocks up to the first damaged one; everything else follows from them."""
        disk = RealDisk(self._data)
        try:
            kept = self._sound_blocks(disk, findings)
        finally:
            disk.close()
        if not kept:
            return False
        for name in ("state", RECEIPTS_FOLDER, "index", "history"):
            self._put_aside(name)
        self.report.done.append("the state was set aside")
        self.report.following = f"Start the node: it executes blocks 1 to {kept} again, and fetches what follows."
        return True

    def _sound_blocks(self, disk: RealDisk, findings: list[Finding]) -> int:
        """The last block before the first damaged one, where they begin with the first; 0: nothing to begin with."""
        segments = Segments(disk, FOLDER)
        try:
            first = segments.first
        except Fault:
            return 0
        damaged = [finding.height for finding in findings if finding.what in {FOLDER, "certificates"}]
        if first != 1 or None in damaged:
            return 0
        end = min([height for height in damaged if height is not None], default=None)
        if end is None:
            return BlockFile.open(disk).last or 0
        if end > 1:
            self._cut(disk, segments, end)
            self.report.lost.append(f"blocks from height {end} on; other nodes have them")
        return max(0, end - 1)

    def _cut(self, disk: RealDisk, segments: Segments, end: int) -> None:
        """End the files before a height."""
        starts = segments.starts()
        for start in [start for start in starts if start >= end]:
            self._put_aside(segments.path(start))
        last = max(start for start in starts if start < end)
        size = sum(len(raw) + 16 for _, raw in segments.records(max(1, last), end - 1))
        disk.truncate(segments.path(last), size)

    # 4. Everything

    def _all(self, findings: list[Finding]) -> bool:
        """Give up whatever can be fetched."""
        for name in GIVEN_UP:
            self._put_aside(name)
        self.report.done.append("state, blocks and receipts were set aside; votes, batches and keys stay")
        self.report.lost.append("everything before the height at which the node begins anew; other nodes have it")
        self.report.following = "Start the node: it fetches state and blocks from other nodes."
        return True

    def _put_aside(self, name: str) -> None:
        """Move a folder or a file of the data, and what stands beside it, to where damaged things are."""
        if self.report.aside is None:
            numbers = [int(path.name.rpartition("-")[2]) for path in self._data.glob(f"{ASIDE}-*")]
            self.report.aside = self._data / f"{ASIDE}-{max(numbers, default=0) + 1}"
        try:
            for path in (self._data / name, (self._data / name).with_suffix(".idx")):
                if path.exists():
                    to = self.report.aside / path.relative_to(self._data)
                    to.parent.mkdir(parents=True, exist_ok=True)
                    path.rename(to)
        except OSError as error:
            raise disk_fault(error, self._data / name) from error


def _sizes(disk: RealDisk, folder: str) -> dict[str, int]:
    return {f"{folder}/{name}": disk.size(f"{folder}/{name}") for name in disk.list(folder)}


def _ids_anew(engine: LevelDB) -> int:
    """Make the rows by block id agree with the headers; how many did not."""
    wanted = {key: value for row in engine.iterate(keys.HEADER) for key, value in puts_of([row])[1:]}
    puts: list[Put] = []
    for key, value in engine.iterate(keys.HEIGHT_OF):
        if wanted.get(key) == value:
            del wanted[key]
        elif key not in wanted:
            puts.append((key, None))
    puts += wanted.items()
    for at in range(0, len(puts), _PUTS):
        engine.write(puts[at : at + _PUTS], sync=True)
    return len(puts)
