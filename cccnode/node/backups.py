"""Backups of a home: taken while its node runs or not, checked alone, restored into another home.

A restored home has no vote journal but its own.  One that has none, and whose key was not made in it, observes until
the next epoch (consensus.md 3.14); one that kept its journal remembers everything that it signed.  So a restored
validator cannot contradict itself, however old the backup is and whether or not its former machine still runs.
"""

import fcntl
import http.client
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import msgspec

from cccnode import keys as key_files
from cccnode.driver.evidence import EVIDENCE
from cccnode.home import Home, disk_fault
from cccnode.node.restoring import HomeTarget, swap_in
from cccnode.rpc.copies import BACKUP_PATH
from cccnode.types.errors import (
    BACKUP_BUSY,
    BACKUP_INVALID,
    HOME_EMPTY,
    HOME_OTHER_CHAIN,
    KEY_MISSING,
    RESTORE_OVER,
    UNREACHABLE,
    Fault,
    fault,
)
from genesis.document import chain_id as chain_of
from genesis.document import read_document
from storage import records
from storage.backup import Backup, BackupWriter, Manifest, restore, take
from storage.copying import PAGE_BYTES_MAX, pages
from storage.files import RealDisk
from storage.keys import meta
from storage.leveldb import LevelDB
from storage.segments import Segments

KEYS: Final = "keys"
"""Folder of a backup that was asked to hold the keys."""
_PATIENCE_S: Final = 120.0
"""A node that sends nothing for so long hangs."""

Source = Callable[[int], Iterable[bytes]]
Refusal = Callable[[Mapping[str, Any]], Exception]
"""The error of a node's answer."""


@contextmanager
def stopped_source(home: Home) -> Iterator[Source]:
    """The pages of a home whose node does not run; the caller holds its lock.

    Raises:
        Fault: home/EMPTY, or what the disk says.
    """
    if not (home.data / "state").exists():
        raise fault(HOME_EMPTY, home=str(home.root), missing="data/state")
    engine = LevelDB(home.data / "state")
    reading = engine.snapshot()
    try:
        yield lambda first: pages(reading, first)
    finally:
        reading.close()
        engine.close()


def running_source(address: str, refusal: Refusal) -> Source:
    """The pages of the node that serves this operator's port; its refusals are raised as `refusal` makes them."""

    def ask(first: int) -> Iterator[bytes]:
        host, _, port = address.rpartition(":")
        connection = http.client.HTTPConnection(host.strip("[]"), int(port), timeout=_PATIENCE_S)
        body = msgspec.json.encode({"heights_from": first})
        try:
            connection.request("POST", BACKUP_PATH, body, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            if answer.getheader("Content-Type", "").startswith("application/json"):
                raise refusal(msgspec.json.decode(answer.read()))
            while (page := _framed(answer)) is not None:
                yield page
        except (OSError, http.client.HTTPException, msgspec.MsgspecError) as error:
            raise fault(UNREACHABLE, ops=address, why=str(error) or repr(error)) from error
        finally:
            connection.close()

    return ask


def _framed(answer: http.client.HTTPResponse) -> bytes | None:
    """The next page of an answer; None at its end, whether or not it is whole: the pages say that."""
    head = answer.read(records.HEAD_BYTES)
    if len(head) < records.HEAD_BYTES:
        return None
    length = int.from_bytes(head[:4], "big")
    if length > PAGE_BYTES_MAX:
        raise fault(BACKUP_INVALID, reason="a page is too long", bytes=length)
    record = head + answer.read(length)
    return records.payload_at(record, 0, shortest=0, longest=PAGE_BYTES_MAX)


@contextmanager
def locked_folder(folder: Path) -> Iterator[None]:
    """Keep a second backup out of a folder.

    Raises:
        Fault: storage/BACKUP_BUSY, or what the disk says.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise disk_fault(error, folder) from error
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise fault(BACKUP_BUSY, folder=str(folder)) from error
    else:
        yield
    finally:
        os.close(handle)


class Taking:
    """One backup under way: iterate, then look at `manifest`."""

    def __init__(self, home: Home, folder: Path, source: Source, *, with_keys: bool) -> None:
        """See what is there.

        Raises:
            Fault: BACKUP_INVALID, BACKUP_FORMAT, or what the disk says.
        """
        self._home, self._source, self._with_keys = home, source, with_keys
        self._from, self._to = RealDisk(home.data), RealDisk(folder)
        self._writer = BackupWriter(self._to)
        self.earlier = self._writer.earlier
        self.manifest: Manifest | None = None
        self.written = 0

    @property
    def expected(self) -> int:
        """About how many bytes there are to copy."""
        state = sum(path.stat().st_size for path in (self._home.data / "state").glob("*.ldb"))
        following = self._writer.first_height
        return state + sum(Segments(self._from, name).bytes_from(following) for name in ("blocks", "receipts"))

    def steps(self) -> Iterator[tuple[str, int]]:
        """What is being copied, and how many bytes more.

        Raises:
            Fault: see `storage.backup.take`.
        """
        before = os.umask(0o077) if self._with_keys else None  # key files are for their owner only
        try:
            yield from take(
                self._writer,
                self._source,
                lambda name: Segments(self._from, name),
                small_files(self._home, with_keys=self._with_keys),
            )
            self.manifest = self._writer.finish()
            self.written = self._writer.written
        finally:
            if before is not None:
                os.umask(before)
            self._from.close()
            self._to.close()


def small_files(home: Home, *, with_keys: bool) -> Iterator[tuple[str, bytes]]:
    """What a home needs beside its data: genesis, settings, card, accepted restarts; keys if asked for."""
    paths = [home.genesis_file, home.config_file, home.card_file, *sorted(home.restarts.glob("*"))]
    try:
        entry = read_document(home.genesis_file.read_bytes()).allocation
        if entry is not None:
            paths.append(home.root / entry.file_name)
        if with_keys:
            paths += sorted(path for path in home.keys.rglob("*") if path.is_file())
        for path in paths:
            if path.is_file():
                yield path.relative_to(home.root).as_posix(), path.read_bytes()
    except OSError as error:
        raise disk_fault(error, home.root) from error


def restore_home(home: Home, folder: Path, *, replace: bool, with_keys: bool) -> Iterator[tuple[str, int]]:
    """Put a backup into a stopped home; yields what is done and bytes.  The caller holds the home's lock.

    Every file is compared with its sum before anything is written.  Until all is in its place, the home keeps the data
    that it had.

    Raises:
        Fault: RESTORE_OVER, HOME_OTHER_CHAIN, KEY_MISSING, BACKUP_INVALID, BACKUP_FORMAT, or what a disk says.
    """
    source = RealDisk(folder)
    try:
        backup = Backup(source)
        if (home.data / "state").exists() and not replace:
            raise fault(RESTORE_OVER, home=str(home.root))
        _same_chain(home, backup)
        _check_names(home, backup)
        for read in backup.check_files():
            yield "check", read
        _put_files(home, backup, with_keys=with_keys)
        if not home.first_node_key.exists():
            raise fault(KEY_MISSING, path=str(home.first_node_key))
        evidence = _evidence(home)
        target = HomeTarget(
            home.data,
            chain=backup.origin.chain,
            node_id=key_files.read(home.first_node_key).public_key,
            depth=backup.origin.depth,
        )
        disk, engine = target.begin()
        try:
            for written in restore(backup, disk, engine):
                yield "write", written
            if evidence is not None:
                engine.write([(meta(EVIDENCE), evidence)], sync=True)
        finally:
            engine.close()
            disk.close()
        target.finish()
        swap_in(home.data)
    finally:
        source.close()


def _same_chain(home: Home, backup: Backup) -> None:
    """The home's chain, where it has one, must be the backup's."""
    if home.genesis_file.exists():
        try:
            found = chain_of(read_document(home.genesis_file.read_bytes()))
        except OSError as error:
            raise disk_fault(error, home.genesis_file) from error
        if found != backup.origin.chain:
            raise fault(HOME_OTHER_CHAIN, what="chain", found=backup.origin.chain, expected=found)


def _check_names(home: Home, backup: Backup) -> None:
    """That the small files are such as `small_files` gives: a backup that somebody made up plants no votes or data."""
    for name in backup.file_names:
        path = home.root / name
        if path.parent not in (home.root, home.restarts) and home.keys not in path.parents:
            raise fault(BACKUP_INVALID, path=name, reason="no such file belongs to a backup")


def _put_files(home: Home, backup: Backup, *, with_keys: bool) -> None:
    """Write the small files that the home lacks; what it has stays."""
    for name, raw in backup.files():
        path = home.root / name
        key = name.partition("/")[0] == KEYS
        if path.exists() or (key and not with_keys):
            continue
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700 if key else 0o755)
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600 if key else 0o644)
            with os.fdopen(handle, "wb") as file:
                file.write(raw)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise disk_fault(error, path) from error


def _evidence(home: Home) -> bytes | None:
    """Contradicting votes that wait in the home to be reported; damaged data has none."""
    if not (home.data / "state").exists():
        return None
    with suppress(Fault):
        engine = LevelDB(home.data / "state")
        try:
            return engine.get(meta(EVIDENCE))
        finally:
            engine.close()
    return None
