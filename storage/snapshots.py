"""Snapshots: the state after one block in pieces, each of which can be checked alone, and what certifies them.

A *state part* holds the groups of a range of buckets that one node of the state tree stands over: its hash stands in
the manifest, and the hashes of all parts lead to the certified state root, so a part needs no other to be checked.  A
*tail part* holds headers and receipts of the duplicate window (J5).  The last piece is the block itself.

How the state is cut depends on the state alone, so snapshots of one height are equal at every honest node, and pieces
may come from several.  Pure, but for `Shelf`.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import groupby
from typing import Annotated, Final

from msgspec import Meta

from cccnode.codec import DecodeError, Noun, T, decode, encode
from cccnode.crypto import kernel, merkle
from cccnode.crypto.hashing import ZERO, tagged
from cccnode.crypto.merkle import Frontier
from cccnode.crypto.proofs import DEPTH_MAX, branch_hash, bucket_of
from cccnode.types.batch import batch_id
from cccnode.types.block import FinalBlock, Header, body_root, result_leaf
from cccnode.types.block import block_id as id_of
from cccnode.types.certificate import Certificate
from cccnode.types.errors import SNAPSHOT_INVALID, SNAPSHOT_MISSING, Fault, fault
from cccnode.types.scalars import U8, U32, U63, Hash, Height
from storage.files import Disk
from storage.store import Applied

FOLDER: Final = "snapshots"
VERSION: Final = 1
PART_BYTES: Final = 1 << 20
"""What a piece holds at most, unless one bucket or one block alone is larger."""
PIECE_BYTES_MAX: Final = 7 << 20
"""A piece travels in one frame; a state with a larger bucket has no snapshot."""
MANIFEST_BYTES_MAX: Final = 64 << 20
"""It travels in as many frames as it needs."""
HEADERS_MAX: Final = 4_096
"""Headers between the snapshot's block and the one that certifies it."""
_TAG: Final = b"ccc/1/snapshot"
_ROW_BYTES: Final = 8
"""About what the encoding adds to a group and its record."""
_NAME: Final = re.compile(r"[0-9]{10,19}")
_MANIFEST: Final = "manifest"

Row = tuple[bytes, bytes]
"""A group and its record."""


class StatePart(Noun, frozen=True, array_like=True, gc=False):
    """The buckets number << level up to (number + 1) << level."""

    level: Annotated[int, Meta(ge=0, le=DEPTH_MAX)]
    number: U32
    hash: Hash
    """The node of the state tree over them."""


class TailPart(Noun, frozen=True, array_like=True, gc=False):
    """Some heights of the duplicate window."""

    first: Height
    count: Annotated[int, Meta(ge=1)]
    hash: Hash
    """SHA-256 of the piece."""


class Content(Noun, frozen=True, array_like=True, gc=False):
    """What a snapshot holds: the same at every honest node."""

    version: U8
    chain: Hash
    depth: U8
    applied: Applied
    groups: U63
    size: U63
    """Bytes of all pieces."""
    parts: tuple[StatePart, ...]
    before: Frontier
    """Over the result leaves of heights below `applied`."""
    tail_before: Frontier
    """Over the result leaves of heights below the first of the tail."""
    tail: tuple[TailPart, ...]
    block: Hash
    """SHA-256 of the block without certificate and justification, the last piece."""


class Boundary(Noun, frozen=True, array_like=True, gc=False):
    """How an epoch ended: its last block, certified, and the record that the next one got."""

    header: Header
    certificate: Certificate
    record: bytes


class Certification(Noun, frozen=True, array_like=True, gc=False):
    """Why the content is to be believed, from genesis on; nodes may hold different certificates."""

    genesis: Header
    genesis_path: tuple[Hash, ...]
    """That it stands in the history of the snapshot's block."""
    boundaries: tuple[Boundary, ...]
    headers: Annotated[tuple[Header, ...], Meta(min_length=2, max_length=HEADERS_MAX)]
    """From the snapshot's block to a certified one that reports its results (J1)."""
    results: Annotated[tuple[tuple[Hash, Hash], ...], Meta(min_length=1, max_length=HEADERS_MAX)]
    """State root and receipts root of each height from the snapshot's to the last that this one reports."""
    certificate: Certificate


class Manifest(Noun, frozen=True, array_like=True, gc=False):
    """A snapshot without its pieces."""

    content: Content
    certification: Certification

    @property
    def height(self) -> int:
        """The block after which the state was like this."""
        return self.content.applied.height

    @property
    def pieces(self) -> int:
        """How many there are: state parts, tail parts, the block."""
        return len(self.content.parts) + len(self.content.tail) + 1

    @property
    def identity(self) -> bytes:
        """Snapshots of one identity have the same pieces."""
        return tagged(_TAG, encode(self.content))


class TailRow(Noun, frozen=True, array_like=True, gc=False):
    """One block of the duplicate window."""

    header: Header
    state_root: Hash
    receipts: tuple[bytes, ...]


def invalid(reason: str, **values: object) -> Fault:
    """The snapshot does not hold."""
    return fault(SNAPSHOT_INVALID, reason=reason, **values)


def read_manifest(raw: bytes) -> Manifest:
    """A manifest as bytes; nothing of it is checked yet.

    Raises:
        Fault: storage/SNAPSHOT_INVALID.
    """
    try:
        if len(raw) > MANIFEST_BYTES_MAX:
            raise invalid("the manifest is too large", bytes=len(raw))
        return decode(Manifest, raw)
    except DecodeError as error:
        raise invalid(str(error)) from error


def well_formed(frontier: Frontier, size: int) -> bool:
    """Whether a frontier can be one of so many leaves."""
    peaks = frontier.peaks
    return frontier.size == size and len(peaks) == size.bit_count() and all(len(peak) == 32 for peak in peaks)


def check_content(content: Content) -> None:
    """Whether what is listed leads to the state root that `applied` names, and leaves nothing out.

    Raises:
        Fault: storage/SNAPSHOT_INVALID.
    """
    applied, depth, place = content.applied, content.depth, 0
    if content.version != VERSION or not 0 < depth <= DEPTH_MAX:
        raise invalid("another format")
    nodes: list[tuple[int, int, bytes]] = []
    for part in content.parts:
        if part.level > depth or part.number << part.level != place:
            raise invalid("the parts do not cover the state")
        place += 1 << part.level
        nodes.append((part.level, part.number, part.hash))
        while len(nodes) > 1 and nodes[-1][0] == nodes[-2][0] and nodes[-1][1] & 1:
            (level, number, right), (_, _, left) = nodes.pop(), nodes.pop()
            nodes.append((level + 1, number >> 1, branch_hash(left, right)))
    if nodes != [(depth, 0, applied.state_root)]:
        raise invalid("the parts do not lead to the state root")
    leaf = result_leaf(applied.height, applied.state_root, applied.receipts_root)
    if not well_formed(content.before, applied.height) or content.before.append(leaf) != applied.results:
        raise invalid("the results of the block are others")
    _check_tail(content)


def _check_tail(content: Content) -> None:
    height = content.tail[0].first if content.tail else 0
    if height < 1 or not well_formed(content.tail_before, height):
        raise invalid("the tail begins nowhere")
    for part in content.tail:
        if part.first != height:
            raise invalid("the tail has gaps")
        height += part.count
    if height != content.applied.height + 1:
        raise invalid("the tail does not end at the block")


def state_rows(content: Content, number: int, piece: bytes) -> list[tuple[int, Row]]:
    """The rows of a state part with their buckets, checked against the certified hash.

    Raises:
        Fault: storage/SNAPSHOT_INVALID.
    """
    part, depth = content.parts[number], content.depth
    first, last = part.number << part.level, (part.number + 1) << part.level
    rows = [(bucket_of(group, depth), (group, record)) for group, record in _decode(list[Row], piece)]
    found = {bucket: [row for _, row in some] for bucket, some in groupby(rows, key=_bucket)}
    if list(found) != sorted(found) or len(rows) != sum(map(len, found.values())):
        raise invalid("rows are not in order", piece=number)
    if any(not first <= bucket < last for bucket in found):
        raise invalid("a row of another part", piece=number)
    level = [_bucket_hash(depth, bucket, found.get(bucket, [])) for bucket in range(first, last)]
    while len(level) > 1:
        level = [branch_hash(level[at], level[at + 1]) for at in range(0, len(level), 2)]
    if level[0] != part.hash:
        raise invalid("the rows are not those of the certified state", piece=number)
    return rows


def _bucket(row: tuple[int, Row]) -> int:
    return row[0]


def _bucket_hash(depth: int, bucket: int, rows: Sequence[Row]) -> bytes:
    try:
        digest: bytes = kernel.page_hash(depth, bucket, kernel.make_page(rows))
    except ValueError as error:
        raise invalid(str(error), bucket=bucket) from error
    return digest


def tail_rows(content: Content, number: int, piece: bytes) -> tuple[TailRow, ...]:
    """The rows of a tail part, which is what the manifest names; `Tail` shows that this is right.

    Raises:
        Fault: storage/SNAPSHOT_INVALID.
    """
    part = content.tail[number - len(content.parts)]
    if sha256(piece).digest() != part.hash:
        raise invalid("the piece is not the one that the manifest names", piece=number)
    rows = _decode(tuple[TailRow, ...], piece)
    if [row.header.height for row in rows] != list(range(part.first, part.first + part.count)):
        raise invalid("rows of other heights", piece=number)
    return rows


def last_block(content: Content, piece: bytes) -> FinalBlock:
    """The snapshot's block, checked against its id.

    Raises:
        Fault: storage/SNAPSHOT_INVALID.
    """
    if sha256(piece).digest() != content.block:
        raise invalid("the piece is not the one that the manifest names", piece="block")
    block = _decode(FinalBlock, piece)
    bare = block.certificate is None and not block.justification
    ids = tuple(batch_id(batch) for batch in block.batches)
    if not bare or id_of(block.header) != content.applied.block_id or body_root(ids) != block.header.body_root:
        raise invalid("another block")
    return block


def check_piece(content: Content, number: int, piece: bytes) -> None:
    """Whether bytes are the piece of that number.

    Raises:
        Fault: storage/SNAPSHOT_INVALID.
    """
    if number < len(content.parts):
        state_rows(content, number, piece)
    elif number < len(content.parts) + len(content.tail):
        tail_rows(content, number, piece)
    else:
        last_block(content, piece)


class Tail:
    """Follows the rows of all tail parts in order and shows that they are the duplicate window of the block."""

    def __init__(self, content: Content, lifetime_ms: int) -> None:
        """`lifetime_ms`: the genesis constant tx_lifetime_max."""
        self._applied, self._lifetime_ms = content.applied, lifetime_ms
        self._results, self._parent = content.tail_before, ZERO

    def take(self, row: TailRow) -> bytes:
        """The next height; returns its block id.

        Raises:
            Fault: storage/SNAPSHOT_INVALID.
        """
        header = row.header
        if self._parent == ZERO:
            # The first one must lie before the window, or nobody could tell whether some of it is missing.
            if header.height > 1 and header.time_ms > self._applied.time_ms - self._lifetime_ms:
                raise invalid("the tail begins within the duplicate window")
        elif header.parent != self._parent:
            raise invalid("the tail does not hang together", height=header.height)
        self._results = self._results.append(result_leaf(header.height, row.state_root, merkle.root(row.receipts)))
        self._parent = id_of(header)
        return self._parent

    def end(self) -> None:
        """All rows were taken.

        Raises:
            Fault: storage/SNAPSHOT_INVALID.
        """
        if self._results != self._applied.results or self._parent != self._applied.block_id:
            raise invalid("the tail is not what the results say")


def _decode(kind: type[T], piece: bytes) -> T:
    try:
        return decode(kind, piece)
    except DecodeError as error:
        raise invalid(str(error)) from error


@dataclass(slots=True)
class Shelf:
    """The snapshots under `data/snapshots/`: a folder each, whole once its manifest is there."""

    disk: Disk
    folder: str = FOLDER

    def heights(self) -> list[int]:
        """Of the snapshots that are whole, ascending."""
        names = [name for name in self.disk.list(self.folder) if _NAME.fullmatch(name)]
        return [int(name) for name in names if self.disk.exists(f"{self.folder}/{name}/{_MANIFEST}")]

    def newest(self) -> int | None:
        """The height of the newest whole snapshot; None: there is none."""
        return max(self.heights(), default=None)

    def manifest(self, height: int) -> bytes:
        """The encoded manifest.

        Raises:
            Fault: storage/SNAPSHOT_MISSING.
        """
        path = f"{self.path(height)}/{_MANIFEST}"
        if not self.disk.exists(path):
            raise fault(SNAPSHOT_MISSING, height=height)
        return self.disk.read(path)

    def piece(self, content: Content, number: int) -> bytes:
        """A piece as it is on disk; b"" if it is not there."""
        path = f"{self.path(content.applied.height)}/{piece_name(content, number)}"
        return self.disk.read(path) if self.disk.exists(path) else b""

    def put(self, height: int, name: str, raw: bytes) -> None:
        """Write a file of a snapshot, durably."""
        self.disk.replace_file(f"{self.path(height)}/{name}", raw)

    def finish(self, height: int, manifest: bytes) -> None:
        """All pieces are there: from here on it counts."""
        self.put(height, _MANIFEST, manifest)

    def remove(self, height: int) -> None:
        """Delete a snapshot, its manifest first."""
        self.disk.remove(f"{self.path(height)}/{_MANIFEST}")
        self.disk.remove_tree(self.path(height))

    def tidy(self, keep: int) -> None:
        """Delete what was never finished, and all but the newest `keep`."""
        whole = self.heights()
        names = [int(name) for name in self.disk.list(self.folder) if _NAME.fullmatch(name)]
        for height in sorted({*names} - {*(whole[-keep:] if keep else ())}):
            self.remove(height)

    def path(self, height: int) -> str:
        """The folder of one."""
        return f"{self.folder}/{height:010d}"


def piece_name(content: Content, number: int) -> str:
    """The file that holds a piece."""
    tail = number - len(content.parts)
    if tail < 0:
        return state_name(content.parts[number])
    return tail_name(content.tail[tail].first) if tail < len(content.tail) else BLOCK_NAME


BLOCK_NAME: Final = "block"


def state_name(part: StatePart) -> str:
    """The file of a state part."""
    return f"state-{part.level}-{part.number}"


def tail_name(first: int) -> str:
    """The file of a tail part."""
    return f"tail-{first}"


def rows_bytes(rows: Sequence[Row]) -> int:
    """About how many bytes a part with these rows has."""
    return sum([len(group) + len(record) + _ROW_BYTES for group, record in rows])


class GenesisPath(Noun, frozen=True, array_like=True, gc=False):
    """The audit path of the genesis block's id among those of so many heights."""

    size: Height
    path: tuple[Hash, ...]


NO_PATH: Final = GenesisPath(0, ())
GENESIS_PATH: Final = "genesis_path"
"""Name under which a store keeps that of its newest snapshot, or of the one that it began at."""

AppliedAt = Callable[[int], Applied | None]
"""What executing a height gave."""


def history_path(applied_at: AppliedAt, index: int, size: int) -> tuple[bytes, ...]:
    """The audit path of the block id of height `index` among those of heights 0..size - 1 (RFC 6962 2.1.1).

    Out of the frontiers that each height left: a few reads for each of its hashes.

    Raises:
        Fault: storage/SNAPSHOT_MISSING: a height that is needed left nothing here.
    """
    begin, end, path = 0, size, list[bytes]()
    while end - begin > 1:
        middle = begin + (1 << ((end - begin - 1).bit_length() - 1))
        if index < middle:
            path.append(_range_root(applied_at, middle, end))
            end = middle
        else:
            path.append(_range_root(applied_at, begin, middle))
            begin = middle
    return tuple(reversed(path))


def genesis_path(applied_at: AppliedAt, size: int, known: GenesisPath) -> tuple[bytes, ...]:
    """The audit path of the genesis block's id among those of heights 0..size - 1, out of an earlier one.

    A node that began at a snapshot has no heights before it, but the path that was shown then.

    Raises:
        Fault: storage/SNAPSHOT_MISSING: a height that is needed left nothing here.
    """
    path, begin = list[bytes](), 1
    while begin < size:
        end = min(2 * begin, size)
        whole = 2 * begin <= known.size or size == known.size  # A complete subtree then, and so for ever.
        path.append(known.path[len(path)] if whole else _range_root(applied_at, begin, end))
        begin *= 2
    return tuple(path)


def _range_root(applied_at: AppliedAt, begin: int, end: int) -> bytes:
    """The root over the block ids of heights begin..end - 1: an aligned subtree, or the last one, which may be cut.

    All of its peaks but the newest leaf stand in the frontier before that leaf.
    """
    last = applied_at(end - 1)
    before = applied_at(end - 2) if end - 1 > begin else None
    if last is None or (before is None and end - 1 > begin):
        raise fault(SNAPSHOT_MISSING, reason="a height is not kept", height=end - 1)
    value = merkle.leaf_hash(last.block_id)
    peaks = [] if before is None else list(before.history.peaks)
    for _ in range((end - 1 - begin).bit_count()):
        value = merkle.node_hash(peaks.pop(), value)
    return value
