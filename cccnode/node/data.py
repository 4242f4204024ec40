"""The data of a node: made once, opened at every start, refused where it is another's."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Final

from cccnode.city import CITY
from cccnode.city.registry.record import epoch_record, next_record
from cccnode.codec import DecodeError, decode_trusted, encode
from cccnode.driver.execution import look_ahead
from cccnode.driver.opened import Opened, OpenedJournal
from cccnode.types.block import Header
from cccnode.types.errors import DISK_FAILED, JOURNAL_CORRUPT, NOT_SIGNING_JOURNAL_LOST, RESTART_SIGNED, Fault, fault
from cccnode.types.restart import EPOCHS_SKIPPED
from consensus.records import Record, decode_record
from genesis.document import Genesis, read_document, read_genesis, read_outline
from genesis.header import genesis_header
from storage.batches import BatchStore
from storage.files import Disk, RealDisk
from storage.journal import Journal
from storage.store import Store

BATCHES: Final = "batches"
JOURNAL: Final = "journal"
FOUNDED: Final = "founded"
"""File in an epoch's journal folder that says: this node begins this epoch here, with an empty journal.

It holds the view up to which the node is unsure of that, and goes with the first record, so that a journal whose files
were deleted later is not taken for a new one.
"""
UNUSED: Final = f"{JOURNAL}/unused"
"""With a key's name behind it, a file that says: this consensus key has never signed.  It goes with the first record.

It is bound to the key because people move keys: one that was brought into a new home has signed elsewhere.
"""
EPOCHS_KEPT: Final = 2
"""Journals that stay: the current one, and the one before for whoever asks what was signed."""


def found(data: Path, key: bytes) -> None:
    """Note in a data folder that a consensus key of its home was made just now.

    Only this lets a node begin with an empty vote journal.  One that finds none at its start, and no such mark of its
    key, must assume that a journal was lost and that the key has voted before (consensus.md 3.14).
    """
    disk = RealDisk(data)
    disk.replace_file(unused_mark(key), b"")
    disk.close()


def unused_mark(key: bytes) -> str:
    """The file that says: this consensus key has never signed."""
    return f"{UNUSED}-{key.hex()}"


def read_home_genesis(path: Path) -> Genesis:
    """The genesis document of a home, with its allocation file where it names one.

    Raises:
        Fault: genesis/INVALID, or what the disk answers.
    """
    with _named(path):
        raw = path.read_bytes()
        entry = read_document(raw).allocation
        allocation = None if entry is None else path.parent / entry.file_name
        if allocation is None or not allocation.exists():
            return read_genesis(raw)
        return read_genesis(raw, partial(_lines, allocation))


def read_home_outline(path: Path) -> Genesis:
    """The same without the accounts of its allocation file: all that a node needs that has its first state.

    Raises:
        Fault: genesis/INVALID, or what the disk answers.
    """
    with _named(path):
        return read_outline(path.read_bytes())


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """Say which genesis document could not be read."""
    try:
        yield
    except OSError as error:
        raise fault(DISK_FAILED, path=str(path), reason=str(error)) from error
    except Fault as invalid:
        invalid.values.setdefault("path", str(path))
        raise


def _lines(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        yield from file


def initialise(store: Store, genesis: Genesis) -> Header:
    """Write the first state if the store is empty; return the genesis header."""
    if store.applied is None:
        for writes in CITY.genesis_parts(genesis, store.state):
            store.prepare(writes)
        record = epoch_record(store.state, 0)
        header = genesis_header(genesis, state_root=store.state.root, record=record)
        ahead, records = look_ahead(next_record(store.state, record), record)
        records[header.epoch_record_hash] = encode(record)
        store.initialise(header, {}, ahead=ahead, epoch_records=records)
        return header
    stored = store.header(0)
    assert stored is not None, "the genesis header is kept for ever"
    return stored


class _Founding:
    """A journal and the marks that let it be empty; its first durable record removes them, and journals long over."""

    def __init__(self, journal: Journal, disk: Disk, epoch: int, marks: Sequence[str]) -> None:
        self._journal, self._disk, self._epoch, self._marks = journal, disk, epoch, marks
        self._tidy = False

    def append(self, body: bytes) -> int:
        """See `VoteJournal`."""
        return self._journal.append(body)

    def sync(self) -> None:
        """See `VoteJournal`.  The marks go before anything that the record permits is sent."""
        self._journal.sync()
        self.remove_marks()
        if not self._tidy:
            # Here, in the writer thread of all journals: what was still to be written to an old one is written.
            self._tidy = True
            _drop_old(self._disk, self._epoch)

    def remove_marks(self) -> None:
        """Where there are records, an empty journal is a lost one from now on."""
        if self._marks and self._journal.next_sequence > 1:
            for mark in self._marks:
                self._disk.remove(mark)
            self._marks = ()

    def prune(self, keep_from_sequence: int) -> None:
        """See `VoteJournal`."""
        self._journal.prune(keep_from_sequence)


def open_data(disk: Disk, store: Store, *, given_up: int | None = None) -> Opened:
    """The batches, and the vote journals of this and later epochs; none of those that a restart gives up."""
    return Opened(
        store=store,
        batches=BatchStore.open(disk, BATCHES),
        open_journal=lambda epoch, key: (
            OpenedJournal(journal=None, observe=RESTART_SIGNED.name)
            if given_up is not None and given_up <= epoch <= given_up + EPOCHS_SKIPPED
            else open_journal(disk, epoch, key)
        ),
        found_journal=lambda epoch, unsure_view: found_journal(disk, epoch, unsure_view),
        forgot=lambda key: not _unused(disk, key) and not any(name.isdecimal() for name in disk.list(JOURNAL)),
    )


def found_journal(disk: Disk, epoch: int, unsure_view: int = 0) -> None:
    """Note that this node never voted in an epoch beyond a view; where it did, or may have, nothing is noted.

    A journal of a later epoch says that this epoch is over for this node: its data was restored from a backup.
    """
    later = any(int(name) > epoch for name in disk.list(JOURNAL) if name.isdecimal())
    if not later and not disk.exists(_journal(epoch)):
        disk.replace_file(_mark(epoch), encode(unsure_view))


def has_journal(disk: Disk, epoch: int) -> bool:
    """Whether a journal of that epoch lies here, be it empty."""
    return disk.exists(_journal(epoch))


def open_journal(disk: Disk, epoch: int, key: bytes) -> OpenedJournal:
    """The vote journal of an epoch in which `key` votes; an empty one only if it was founded, or the key never signed.

    A validator whose journal is gone or damaged must not vote: it might contradict what it signed before.
    """
    try:
        journal, bodies = Journal.open(disk, _journal(epoch), epoch)
        unused = _unused(disk, key)
        marks = [*unused, *([_mark(epoch)] if disk.exists(_mark(epoch)) else [])]
        if not bodies and not marks:
            raise fault(NOT_SIGNING_JOURNAL_LOST, epoch=epoch)
        unsure = b"" if unused else disk.read(_mark(epoch)) if marks else b""
        unsure_view = decode_trusted(int, unsure) if unsure else 0
        founding = _Founding(journal, disk, epoch, marks)
        founding.remove_marks()
        return OpenedJournal(
            journal=founding,
            first_sequence=journal.first_sequence,
            records=_decode_records(bodies),
            unsure_view=unsure_view,
        )
    except Fault as refused:
        if refused.spec not in {NOT_SIGNING_JOURNAL_LOST, JOURNAL_CORRUPT}:
            raise
        return OpenedJournal(journal=None, observe=refused.spec.name)


def _unused(disk: Disk, key: bytes) -> list[str]:
    """The marks that say that a key has never signed."""
    return [mark for mark in (unused_mark(key),) if disk.exists(mark)]


def _drop_old(disk: Disk, epoch: int) -> None:
    for name in disk.list(JOURNAL):
        if name.isdigit() and int(name) <= epoch - EPOCHS_KEPT:
            disk.remove_tree(f"{JOURNAL}/{name}")


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


def _mark(epoch: int) -> str:
    return f"{_journal(epoch)}/{FOUNDED}"
