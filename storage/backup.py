"""A backup: a folder of files that are written once, and a manifest that names them with their SHA-256.

`blocks/`, `receipts/` and `heights/` (headers, and what executing each block gave) grow: a further backup into the same
folder adds files for the new heights and touches no old one.  `state/` is the whole state at the manifest's height.
The manifest is replaced last, so after a crash the folder holds the earlier backup or the new one.  Votes are never in
it: who begins with an old vote journal believes that he knows what he signed.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from struct import Struct
from typing import Final

import msgspec

from cccnode.codec import DecodeError, decode, decode_trusted, encode
from cccnode.types.block import Header
from cccnode.types.errors import BACKUP_FORMAT, BACKUP_INVALID, BACKUP_OTHER, Fault, fault
from storage import keys, records
from storage.blocks import FOLDER, RECEIPTS_FOLDER, BlockFile
from storage.copying import PAGE_BYTES_MAX, Origin, Row, puts_of, read_origin, read_page
from storage.engine import Engine
from storage.files import Disk
from storage.segments import BYTES_MAX, Reel, Segments

VERSION: Final = 1
MANIFEST: Final = "manifest.json"
UNFINISHED: Final = "unfinished.json"
"""What an interrupted backup has written that the next one need not write again."""
SUMS: Final = "SHA256SUMS"
"""The same sums for `sha256sum --check`, which needs no cccnode."""
HEIGHTS: Final = "heights"
STATE: Final = "state"
FILES: Final = "home"
"""Small files of the home, as they are: the genesis document, settings; keys if asked for."""
GROWING: Final = (FOLDER, RECEIPTS_FOLDER, HEIGHTS)
PART_BYTES: Final = 64 << 20
"""A file ends with the record that reaches this."""
WRITE_BYTES: Final = 1 << 20
"""Appended at once."""
MANIFEST_BYTES_MAX: Final = 64 << 20

_HEIGHT: Final = Struct(">Q")
_Rows = tuple[Row, ...]


class Part(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One file."""

    name: str
    bytes: int
    sha256: str
    first: int = 0
    """Heights that it holds; 0 where it holds none."""
    last: int = 0


class Manifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a backup holds."""

    version: int
    format: int
    """Of the data."""
    chain: str
    node: str
    """Whose data it was."""
    height: int
    block_id: str
    state_root: str
    time_ms: int
    """Header time of the block."""
    origin: str
    """The whole of it, encoded."""
    parts: dict[str, tuple[Part, ...]]
    """Files by folder, in the order in which they are read."""

    @property
    def names(self) -> list[str]:
        """Every file."""
        return [part.name for parts in self.parts.values() for part in parts]

    @property
    def size(self) -> int:
        """Bytes of every file."""
        return sum(part.bytes for parts in self.parts.values() for part in parts)


def read_manifest(disk: Disk, name: str = MANIFEST) -> Manifest | None:
    """The manifest in a folder; None if there is none.

    Raises:
        Fault: BACKUP_INVALID, BACKUP_FORMAT, or what the disk says.
    """
    if not disk.exists(name):
        return None
    raw = disk.read(name, 0, MANIFEST_BYTES_MAX)
    text, _, rest = raw.partition(b"\n")
    if rest.strip() != hashlib.sha256(text).hexdigest().encode():
        raise fault(BACKUP_INVALID, path=name, reason="its checksum does not hold")
    try:
        version = msgspec.json.decode(text).get("version")
        if version != VERSION:
            raise fault(BACKUP_FORMAT, path=name, found=version, supported=VERSION)
        manifest = msgspec.json.decode(text, type=Manifest)
        if not all(_lies_in(folder, part.name) for folder, parts in manifest.parts.items() for part in parts):
            raise fault(BACKUP_INVALID, path=name, reason="a file lies outside the folder")
    except (msgspec.MsgspecError, AttributeError, UnicodeDecodeError) as error:
        raise fault(BACKUP_INVALID, path=name, reason=str(error)) from error
    return manifest


def _lies_in(folder: str, name: str) -> bool:
    """Whether a name is that of a file below a folder, and of nothing else: `home//etc/x` would be `/etc/x`."""
    first, *below = name.split("/")
    plain = name.isprintable() and all(part not in ("", ".", "..") for part in (first, *below))
    return plain and first == folder and bool(below)


def _manifest_bytes(manifest: Manifest) -> bytes:
    text = msgspec.json.encode(manifest)
    return text + b"\n" + hashlib.sha256(text).hexdigest().encode() + b"\n"


@dataclass(slots=True)
class _Open:
    """A file that is being written."""

    name: str
    first: int
    last: int
    bytes: int = 0
    digest: "hashlib._Hash" = field(default_factory=hashlib.sha256)
    waiting: bytearray = field(default_factory=bytearray)


class BackupWriter:
    """Writes one backup into a folder, onto the one that is there."""

    def __init__(self, disk: Disk, *, part_bytes: int = PART_BYTES) -> None:
        """Read what is there.

        Raises:
            Fault: BACKUP_INVALID or BACKUP_FORMAT.
        """
        self._disk, self._part_bytes = disk, part_bytes
        self.earlier: Final = read_manifest(disk)
        """The backup that is there; it stays until the new one is whole."""
        begun = read_manifest(disk, UNFINISHED) or self.earlier
        self._parts: dict[str, list[Part]] = {name: [] for name in (*GROWING, STATE, FILES)}
        for name in GROWING:
            self._parts[name] += begun.parts.get(name, ()) if begun is not None else ()
        self._begun = begun
        self._origin: Origin | None = None
        self._open: dict[str, _Open] = {}
        self.written = 0
        """Bytes so far."""

    @property
    def first_height(self) -> int:
        """The lowest height whose header and result are still wanted."""
        return self._following(HEIGHTS, 0)

    # Pages of the engine

    def begin(self, raw: bytes) -> Origin:
        """Take the first page; remove what no manifest names.

        Raises:
            Fault: BACKUP_INVALID, HOME_FORMAT, or BACKUP_OTHER; then nothing was changed.
        """
        origin, begun = read_origin(raw), self._begun
        if begun is not None:
            _same_chain(begun, origin)
        self._origin = origin
        named = {part.name for parts in self._parts.values() for part in parts}
        self._remove_others(named | set(self.earlier.names if self.earlier is not None else ()))
        if self.earlier is not None and self._same_state:
            self._parts[STATE] += self.earlier.parts.get(STATE, ())
        return origin

    def page(self, raw: bytes) -> bool:
        """Take a further page; False when it was the last.

        Raises:
            Fault: BACKUP_INVALID, BACKUP_OTHER, or what the disk says.
        """
        page = read_page(raw)
        if page.kind == "end":
            self._close(HEIGHTS)
            self._close(STATE)
            return False
        payload = encode(page.rows)
        if page.kind == "state" and self._same_state:
            return True
        if page.kind == "state":
            self._append(STATE, payload, 0, 0)
        elif page.rows:
            first, last = keys.height_in(page.rows[0][0]), keys.height_in(page.rows[-1][0])
            self._continues(page.rows)
            self._append(HEIGHTS, payload, first, last)
        return True

    def _continues(self, rows: Sequence[Row]) -> None:
        """The header after the earlier backup's last must follow it."""
        earlier = self._begun
        if earlier is not None:
            for key, value in rows:
                if key == keys.header(earlier.height + 1):
                    parent = decode_trusted(Header, value).parent.hex()
                    if parent != earlier.block_id:
                        raise fault(BACKUP_OTHER, height=earlier.height, here=parent, there=earlier.block_id)

    @property
    def _same_state(self) -> bool:
        """Whether the earlier backup is of the same height."""
        assert self._origin is not None, "begin first"
        return self.earlier is not None and self.earlier.height == self._origin.applied.height

    # Blocks and receipts

    def copy(self, folder: str, segments: Segments) -> Iterator[int]:
        """Copy the records up to the height, each checked; yields how many bytes were copied, now and then.

        A node that runs may drop its oldest files meanwhile: then the backup begins where the node's data does.

        Raises:
            Fault: BLOCKS_CORRUPT, or what the disk says.
        """
        assert self._origin is not None, "begin first"
        last, first = self._origin.applied.height, None
        while True:
            try:
                first = segments.first
                yield from self._copy(folder, segments, first, last)
            except Fault:
                if segments.first == first:
                    raise
                continue
            break
        self._close(folder)

    def _copy(self, folder: str, segments: Segments, first: int | None, last: int) -> Iterator[int]:
        parts = self._parts[folder]
        if first is None:
            parts.clear()
            return
        parts[:] = [part for part in parts if part.last >= first]
        begun = self._open.get(folder)
        start = begun.last + 1 if begun is not None else self._following(folder, first)
        if start < first:  # The node dropped what would come next.
            self._open.pop(folder, None)
            parts.clear()
            start = first
        copied = 0
        for height, raw in segments.records(start, last):
            self._append(folder, _HEIGHT.pack(height) + raw, height, height)
            copied += len(raw)
            if copied >= WRITE_BYTES:
                yield copied
                copied = 0
        yield copied

    def _following(self, folder: str, otherwise: int) -> int:
        parts = self._parts[folder]
        return parts[-1].last + 1 if parts else otherwise

    # Files

    def add_file(self, name: str, raw: bytes) -> None:
        """Add a small file of the home as it is."""
        path = f"{FILES}/{name}"
        if not self._disk.exists(path) or self._disk.read(path) != raw:
            self._disk.replace_file(path, raw)
        self._parts[FILES].append(Part(name=path, bytes=len(raw), sha256=hashlib.sha256(raw).hexdigest()))

    def finish(self) -> Manifest:
        """Make it the backup of this folder; remove what only the earlier one needed.

        Raises:
            Fault: what the disk says; then the earlier one stays.
        """
        manifest = self._manifest()
        sums = "".join(f"{part.sha256}  {part.name}\n" for parts in manifest.parts.values() for part in parts)
        self._disk.replace_file(MANIFEST, _manifest_bytes(manifest))
        self._disk.replace_file(SUMS, sums.encode())
        self._disk.remove(UNFINISHED)
        self._remove_others(set(manifest.names))
        return manifest

    def _manifest(self) -> Manifest:
        assert self._origin is not None, "begin first"
        origin, applied = self._origin, self._origin.applied
        return Manifest(
            version=VERSION,
            format=origin.format,
            chain=origin.chain.hex(),
            node=origin.node.hex(),
            height=applied.height,
            block_id=applied.block_id.hex(),
            state_root=applied.state_root.hex(),
            time_ms=applied.time_ms,
            origin=encode(origin).hex(),
            parts={folder: tuple(parts) for folder, parts in self._parts.items()},
        )

    def _append(self, folder: str, payload: bytes, first: int, last: int) -> None:
        part = self._open.get(folder)
        if part is None:
            assert self._origin is not None, "begin first"
            number = first if folder in GROWING else len(self._parts[folder])
            prefix = "" if folder in GROWING else f"{self._origin.applied.height:010d}-"
            part = self._open[folder] = _Open(f"{folder}/{prefix}{number:010d}.part", first, last)
            self._disk.remove(part.name)
        record = records.frame(payload)
        part.waiting += record
        part.bytes += len(record)
        part.last = last
        self.written += len(record)
        if len(part.waiting) >= WRITE_BYTES:
            self._flush(part)
        if part.bytes >= self._part_bytes:
            self._close(folder)

    def _flush(self, part: _Open) -> None:
        data = bytes(part.waiting)
        part.waiting.clear()
        part.digest.update(data)
        self._disk.append(part.name, data)

    def _close(self, folder: str) -> None:
        part = self._open.pop(folder, None)
        if part is None:
            return
        self._flush(part)
        self._disk.seal(part.name)
        done = Part(name=part.name, bytes=part.bytes, sha256=part.digest.hexdigest(), first=part.first, last=part.last)
        self._parts[folder].append(done)
        if folder in GROWING:
            self._disk.replace_file(UNFINISHED, _manifest_bytes(self._manifest()))

    def _remove_others(self, named: set[str]) -> None:
        for folder in (*GROWING, STATE, FILES):
            for path in _files_in(self._disk, folder):
                if path not in named:
                    self._disk.remove(path)


def _files_in(disk: Disk, folder: str) -> Iterator[str]:
    """Every file below a folder."""
    for name in disk.list(folder):
        path = f"{folder}/{name}"
        if disk.is_folder(path):
            yield from _files_in(disk, path)
        else:
            yield path


def _same_chain(earlier: Manifest, origin: Origin) -> None:
    if earlier.chain != origin.chain.hex():
        raise fault(BACKUP_OTHER, chain=earlier.chain, here=origin.chain)
    same = earlier.block_id == origin.applied.block_id.hex()
    if earlier.height > origin.applied.height or (earlier.height == origin.applied.height and not same):
        raise fault(BACKUP_OTHER, height=earlier.height, here=origin.applied.height)


class Backup:
    """A backup that is to be read."""

    def __init__(self, disk: Disk) -> None:
        """Read the manifest.

        Raises:
            Fault: BACKUP_INVALID or BACKUP_FORMAT.
        """
        manifest = read_manifest(disk)
        if manifest is None:
            raise fault(BACKUP_INVALID, reason=f"there is no {MANIFEST}")
        self._disk = disk
        self.manifest: Final = manifest
        try:
            self.origin: Final = read_origin(bytes.fromhex(manifest.origin))
        except ValueError as error:
            raise fault(BACKUP_INVALID, path=MANIFEST, reason=str(error)) from error

    def check_files(self) -> Iterator[int]:
        """Compare every file with its sum; yields bytes read.

        Raises:
            Fault: BACKUP_INVALID naming the file, or what the disk says.
        """
        for part in (part for parts in self.manifest.parts.values() for part in parts):
            if not self._disk.exists(part.name):
                raise fault(BACKUP_INVALID, path=part.name, reason="the file is missing")
            if self._disk.size(part.name) != part.bytes:
                found = self._disk.size(part.name)
                raise fault(BACKUP_INVALID, path=part.name, reason="another size", bytes=found, expected=part.bytes)
            digest = hashlib.sha256()
            for offset in range(0, part.bytes, WRITE_BYTES):
                piece = self._disk.read(part.name, offset, WRITE_BYTES)
                digest.update(piece)
                yield len(piece)
            if digest.hexdigest() != part.sha256:
                raise fault(BACKUP_INVALID, path=part.name, reason="its SHA-256 is another")

    @property
    def file_names(self) -> list[str]:
        """The small files of the home, as they are named there."""
        return [part.name.removeprefix(f"{FILES}/") for part in self.manifest.parts.get(FILES, ())]

    def files(self) -> Iterator[tuple[str, bytes]]:
        """The small files of the home, by name."""
        for name in self.file_names:
            yield name, self._disk.read(f"{FILES}/{name}")

    def rows(self, folder: str) -> Iterator[Sequence[Row]]:
        """The engine's rows in `state` or `heights`, some at a time."""
        for payload, name in self._payloads(folder, PAGE_BYTES_MAX):
            try:
                yield decode(_Rows, payload)
            except DecodeError as error:
                raise fault(BACKUP_INVALID, path=name, reason=str(error)) from error

    def first(self, folder: str) -> int | None:
        """The lowest height of blocks or receipts; None: there are none."""
        parts = self.manifest.parts.get(folder, ())
        return parts[0].first if parts else None

    def records(self, folder: str) -> Iterator[tuple[int, bytes]]:
        """Height and content of all blocks or receipts, without gaps."""
        following = self.first(folder)
        for payload, name in self._payloads(folder, BYTES_MAX[folder] + _HEIGHT.size):
            (height,) = _HEIGHT.unpack_from(payload)
            if height != following:
                raise fault(BACKUP_INVALID, path=name, height=height, expected=following)
            following = height + 1
            yield height, payload[_HEIGHT.size :]

    def _payloads(self, folder: str, bytes_max: int) -> Iterator[tuple[bytes, str]]:
        for part in self.manifest.parts.get(folder, ()):
            reel = Reel(self._disk, part.name, 0, bytes_max)
            while (payload := reel.next()) is not None:
                yield payload, part.name
            if not reel.ended:
                raise fault(BACKUP_INVALID, path=part.name, offset=reel.offset, reason="a record is damaged")


def take(
    writer: BackupWriter,
    source: Callable[[int], Iterable[bytes]],
    segments: Callable[[str], Segments],
    files: Iterable[tuple[str, bytes]],
) -> Iterator[tuple[str, int]]:
    """Make a whole backup; yields what is being written and how many bytes of it were, now and then.

    `source` gives the engine's pages for heights from its argument on.

    Raises:
        Fault: BACKUP_INVALID where the pages broke off, BACKUP_OTHER, BLOCKS_CORRUPT, or what a disk says.
    """
    found = iter(source(writer.first_height))
    first = next(found, None)
    if first is None:
        raise fault(BACKUP_INVALID, reason="nothing came")
    writer.begin(first)
    more = True
    for page in found:
        more = writer.page(page)
        yield STATE, len(page)
        if not more:
            break
    if more:
        raise fault(BACKUP_INVALID, reason="the node's answer broke off")
    for folder in (FOLDER, RECEIPTS_FOLDER):
        for copied in writer.copy(folder, segments(folder)):
            yield folder, copied
    for name, raw in files:
        writer.add_file(name, raw)


def restore(backup: Backup, disk: Disk, engine: Engine) -> Iterator[int]:
    """Write a backup into an empty data folder whose engine is stamped; yields bytes written, now and then.

    Everything is written before the pointer `applied` is, so what was interrupted is no store yet.

    Raises:
        Fault: BACKUP_INVALID, or what a disk says.
    """
    written = 0
    for folder in (STATE, HEIGHTS):
        for rows in backup.rows(folder):
            engine.write(puts_of(rows), sync=False)
            written += sum(len(key) + len(value) for key, value in rows)
            if written >= WRITE_BYTES:
                yield written
                written = 0
    for folder in (FOLDER, RECEIPTS_FOLDER):
        file = BlockFile.open(disk, folder, bytes_max=BYTES_MAX[folder])
        for height, raw in backup.records(folder):
            file.append(height, raw)
            written += len(raw)
            if written >= WRITE_BYTES:
                file.sync()
                yield written
                written = 0
        file.sync()
    engine.write([(keys.APPLIED, encode(backup.origin.applied))], sync=True)
    yield written
