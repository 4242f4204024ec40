"""The data of a node: made once, opened at every start, refused where it is another's."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from cccnode.city import CITY
from cccnode.city.registry.record import epoch_record
from cccnode.codec import DecodeError, decode_trusted, encode
from cccnode.driver.replica import Opened
from cccnode.driver.voting import VoteJournal
from cccnode.ledger.state import DictState
from cccnode.types.block import Header
from cccnode.types.errors import DISK_FAILED, JOURNAL_CORRUPT, NOT_SIGNING_JOURNAL_LOST, Fault, fault
from cccnode.types.validators import EpochRecord
from consensus.records import Record, decode_record
from genesis.document import Genesis, read_document, read_genesis
from genesis.header import genesis_header
from storage.batches import BatchStore
from storage.files import Disk, RealDisk
from storage.journal import Journal
from storage.store import Store

BATCHES: Final = "batches"
JOURNAL: Final = "journal"
FOUNDED: Final = "founded"
"""File in an epoch's journal folder that says: this node begins this epoch here, with an empty journal.

It goes with the first record, so that a journal whose files were deleted later is not taken for a new one.
"""


def found(data: Path) -> None:
    """Make the data folder of a new validator, with an empty vote journal for the first epoch.

    Only this makes an empty journal.  A node that finds none at its start must assume that one was lost, and that it
    has voted before (consensus.md 3.14).
    """
    disk = RealDisk(data)
    disk.replace_file(f"{_journal(0)}/{FOUNDED}", b"")
    disk.close()


def read_home_genesis(path: Path) -> Genesis:
    """The genesis document of a home, with its allocation file where it names one.

    Raises:
        Fault: genesis/INVALID, or what the disk answers.
    """
    try:
        raw = path.read_bytes()
        allocation = None
        entry = read_document(raw).allocation
        if entry is not None and (file := path.parent / entry.file_name).exists():
            allocation = file.read_bytes()
        return read_genesis(raw, allocation)
    except OSError as error:
        raise fault(DISK_FAILED, path=str(path), reason=str(error)) from error
    except Fault as invalid:
        invalid.values.setdefault("path", str(path))
        raise


def initialise(store: Store, genesis: Genesis) -> tuple[Header, EpochRecord]:
    """Write the first state if the store is empty; return the genesis header and the record of the first epoch."""
    if store.applied is None:
        writes = CITY.genesis_writes(genesis)
        first_state = DictState()
        first_state.apply(writes)
        record = epoch_record(first_state, 0)
        header = genesis_header(genesis, state_root=store.state.stage(writes).finish().root, record=record)
        store.initialise(header, writes, epoch_records={header.epoch_record_hash: encode(record)})
        return header, record
    stored = store.header(0)
    assert stored is not None, "the genesis header is kept for ever"
    raw = store.epoch_record(stored.epoch_record_hash)
    assert raw is not None, "the first epoch record is kept for ever"
    return stored, decode_trusted(EpochRecord, raw)


class _Founding:
    """The journal of a validator that may not have voted yet; its first durable record removes the mark."""

    def __init__(self, journal: Journal, disk: Disk, mark: str) -> None:
        self._journal, self._disk, self._mark = journal, disk, mark

    def append(self, body: bytes) -> int:
        """See `VoteJournal`."""
        return self._journal.append(body)

    def sync(self) -> None:
        """See `VoteJournal`.  The mark goes before anything that the record permits is sent."""
        self._journal.sync()
        if self._mark and self._journal.next_sequence > 1:
            self._disk.remove(self._mark)
            self._mark = ""

    def prune(self, keep_from_sequence: int) -> None:
        """See `VoteJournal`."""
        self._journal.prune(keep_from_sequence)


def open_data(disk: Disk, store: Store, epoch: int, *, validates: bool) -> Opened:
    """The batches and the vote journal.

    A validator whose journal is gone or damaged must not vote: it might contradict what it signed before.
    """
    batches = BatchStore.open(disk, BATCHES)
    journal: VoteJournal | None = None
    records: list[Record] = []
    observe = None
    first_sequence = 1
    if validates:
        try:
            found_journal, bodies = Journal.open(disk, _journal(epoch), epoch)
            founded = disk.exists(f"{_journal(epoch)}/{FOUNDED}")
            if not bodies and not founded:
                raise fault(NOT_SIGNING_JOURNAL_LOST, epoch=epoch)
            first_sequence = found_journal.first_sequence
            journal = _Founding(found_journal, disk, f"{_journal(epoch)}/{FOUNDED}") if founded else found_journal
            records = _decode_records(bodies)
        except Fault as refused:
            if refused.spec not in {NOT_SIGNING_JOURNAL_LOST, JOURNAL_CORRUPT}:
                raise
            observe = refused.spec.name
            journal, records = None, []
    return Opened(
        store=store,
        batches=batches,
        journal=journal,
        first_sequence=first_sequence,
        records=records,
        observe=observe,
    )


def _decode_records(bodies: Sequence[bytes]) -> list[Record]:
    """What the journal holds.

    Raises:
        Fault: JOURNAL_CORRUPT: its checksums hold, but something else wrote it.
    """
    try:
        return [decode_record(body) for body in bodies]
    except DecodeError as error:
        raise fault(JOURNAL_CORRUPT, reason=str(error)) from error


def _journal(epoch: int) -> str:
    return f"{JOURNAL}/{epoch}"
