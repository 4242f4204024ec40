"""Takes a snapshot of a running store: cut from a `Reading` piece by piece, then certified by a later block.

The writer thread calls `step` until it says that all is written: a step cuts about one piece and holds a few megabytes,
however large the state is.  The loop then asks `certified` after each block, because the state root of a block stands
in the header of a later one (J1).
"""

from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from msgspec.structs import replace

from cccnode.codec import decode_trusted, encode
from cccnode.crypto import kernel
from cccnode.crypto.proofs import branch_hash
from cccnode.types.block import FinalBlock, Header
from cccnode.types.certificate import Certificate
from cccnode.types.errors import OVERSIZE, SNAPSHOT_UNCERTIFIED, fault
from storage import keys
from storage.engine import Reading
from storage.snapshots import (
    BLOCK_NAME,
    GENESIS_PATH,
    HEADERS_MAX,
    MANIFEST_BYTES_MAX,
    NO_PATH,
    PART_BYTES,
    PIECE_BYTES_MAX,
    VERSION,
    Boundary,
    Certification,
    Content,
    GenesisPath,
    Manifest,
    Row,
    Shelf,
    StatePart,
    TailPart,
    TailRow,
    genesis_path,
    invalid,
    rows_bytes,
    state_name,
    tail_name,
)
from storage.store import Applied, Store

SLICE_ROWS: Final = 2_000
"""Groups read in a step at most: about ten milliseconds."""
SLICE_HEIGHTS: Final = 32
"""Heights of the duplicate window read in a step at most, unless they fill a part before."""
_PREFIX: Final = len(keys.bucket(0))


@dataclass(slots=True)
class _Node:
    """A node of the state tree whose buckets were read; with its rows as long as they may join a larger part."""

    level: int
    number: int
    hash: bytes
    size: int
    rows: list[Row] | None


class Taking:
    """One snapshot on its way."""

    def __init__(self, store: Store, reading: Reading, shelf: Shelf, *, chain: bytes, depth: int, span_ms: int) -> None:
        """Of the block that `store` has applied now, which `reading` must be of too; `span_ms`: the window's length."""
        assert store.applied is not None, "a running node has a state"
        self.applied: Final = store.applied
        self._raw = store.block_raw(store.applied.height)
        self._store, self._reading, self._shelf = store, reading, shelf
        self._chain, self._depth, self._span_ms = chain, depth, span_ms
        self._parts: list[StatePart] = []
        self._tail: list[TailPart] = []
        self._size = self.groups = 0
        self._block = b""
        self.written = False
        """Whether all pieces are on disk."""
        self._steps = self._run()

    @property
    def height(self) -> int:
        """Of the block that it is taken after."""
        return self.applied.height

    def step(self) -> bool:
        """Write some more; False when all is written.  Blocks; for the writer thread.

        Raises:
            Fault: OVERSIZE, SNAPSHOT_INVALID where the stored state is not the applied one, or what the disk says.
        """
        if next(self._steps, None) is None:
            self.close()
            self.written = True
        return not self.written

    def close(self) -> None:
        """Let go of the engine's snapshot; it may be called twice."""
        self._steps.close()
        self._reading.close()

    def _run(self) -> Generator[bool, None, None]:
        first = self._first_of_tail()
        yield from self._state()
        yield from self._window(first)
        if self._raw is None:
            raise invalid("its block is not kept", height=self.height)
        block = decode_trusted(FinalBlock, self._raw)
        self._block = self._put(BLOCK_NAME, encode(replace(block, certificate=None, justification=())))
        yield True

    # The state

    def _state(self) -> Iterator[bool]:
        nodes: list[_Node] = []
        for bucket, rows in self._buckets():
            if rows is None:
                yield True
                continue
            nodes.append(self._leaf(bucket, rows))
            while nodes[-1].number & 1 and len(nodes) > 1 and nodes[-2].level == nodes[-1].level:
                right, left = nodes.pop(), nodes.pop()
                nodes.append(self._join(left, right))
        (top,) = nodes
        self._close_part(top)
        self._parts.sort(key=lambda part: part.number << part.level)
        if top.hash != self.applied.state_root:
            raise invalid("the stored state is not the applied one", height=self.height)

    def _buckets(self) -> Iterator[tuple[int, list[Row] | None]]:
        """Every bucket with its rows, in order; now and then None for them, where a step may end."""
        following, rows = 0, list[Row]()
        for read, (key, record) in enumerate(self._reading.iterate(keys.GROUP), 1):
            bucket = keys.bucket_in(key)
            while following < bucket:
                yield following, rows
                following, rows = following + 1, []
            rows.append((key[_PREFIX:], record))
            if read % SLICE_ROWS == 0:
                yield following, None
        while following < 1 << self._depth:
            yield following, rows
            following, rows = following + 1, []

    def _leaf(self, bucket: int, rows: list[Row]) -> _Node:
        try:
            digest = kernel.page_hash(self._depth, bucket, kernel.make_page(rows))
        except ValueError as error:
            raise invalid(str(error), bucket=bucket) from error
        self.groups += len(rows)
        return _Node(0, bucket, digest, rows_bytes(rows), rows)

    def _join(self, left: _Node, right: _Node) -> _Node:
        """The node above two: one part if both fit into one."""
        rows, size = None, left.size + right.size
        if left.rows is not None and right.rows is not None and size <= PART_BYTES:
            rows = left.rows + right.rows
        else:
            self._close_part(left)
            self._close_part(right)
        return _Node(left.level + 1, left.number >> 1, branch_hash(left.hash, right.hash), size, rows)

    def _close_part(self, node: _Node) -> None:
        """Write a part that can grow no further."""
        if node.rows is not None:
            part = StatePart(node.level, node.number, node.hash)
            self._put(state_name(part), encode(node.rows))
            self._parts.append(part)
            node.rows = None

    # The duplicate window

    def _window(self, first: int) -> Iterator[bool]:
        rows, size, begin = list[TailRow](), 0, first
        for height in range(first, self.height + 1):
            row = self._row(height)
            added = sum(map(len, row.receipts)) + 1_024
            if rows and size + added > PART_BYTES:
                self._put_tail(begin, rows)
                yield True
                rows, size, begin = [], 0, height
            rows.append(row)
            size += added
            if height % SLICE_HEIGHTS == 0:
                yield True
        self._put_tail(begin, rows)

    def _put_tail(self, first: int, rows: Sequence[TailRow]) -> None:
        self._tail.append(TailPart(first, len(rows), self._put(tail_name(first), encode(rows))))

    def _first_of_tail(self) -> int:
        """The last height before the duplicate window, or 1.

        A node that began at a snapshot lacks what was executed before it: it hears so before it has read its state.
        """
        span = range(self.height, 1, -1)
        first = next((height for height in span if self._is_before_window(height)), 1)
        for height in (first - 1, first):
            if self._reading.get(keys.applied_at(height)) is None:
                raise invalid("results of the duplicate window are not kept", height=height)
        return first

    def _is_before_window(self, height: int) -> bool:
        return self._header(height).time_ms <= self.applied.time_ms - self._span_ms

    def _row(self, height: int) -> TailRow:
        raw, receipts = self._reading.get(keys.applied_at(height)), self._store.receipts(height)
        if raw is None or receipts is None:
            raise invalid("receipts of the duplicate window are not kept", height=height)
        then = decode_trusted(Applied, raw)
        return TailRow(self._header(height), then.state_root, tuple(receipts))

    def _header(self, height: int) -> Header:
        raw = self._reading.get(keys.header(height))
        if raw is None:
            raise invalid("a header of the duplicate window is not kept", height=height)
        return decode_trusted(Header, raw)

    def _put(self, name: str, raw: bytes) -> bytes:
        if len(raw) > PIECE_BYTES_MAX:
            raise fault(OVERSIZE, piece=name, bytes=len(raw), limit=PIECE_BYTES_MAX)
        self._shelf.put(self.height, name, raw)
        self._size += len(raw)
        return sha256(raw).digest()

    # The certificate

    def certified(self, boundaries: Callable[[], Sequence[Boundary]]) -> Manifest | None:
        """The whole manifest; None as long as no certified block reports the results.

        `boundaries` says how every epoch ended.

        Raises:
            Fault: SNAPSHOT_INVALID, SNAPSHOT_UNCERTIFIED or OVERSIZE: there will be none.
        """
        ends = self._certifying() if self.written else None
        if ends is None:
            return None
        store, (headers, certificate) = self._store, ends
        last = headers[-1]
        then = [store.applied_at(height) for height in range(self.height, last.exec_height + 1)]
        genesis = store.header(0)
        if genesis is None or len(headers) > HEADERS_MAX or len(then) > HEADERS_MAX:
            raise invalid("too long without a certificate", height=self.height)
        over = tuple(boundary for boundary in boundaries() if boundary.header.height < last.height)
        if [boundary.header.epoch for boundary in over] != list(range(last.epoch)):
            raise fault(SNAPSHOT_UNCERTIFIED, height=self.height)
        certification = Certification(
            genesis=genesis,
            genesis_path=genesis_path(store.applied_at, self.height + 1, _known_path(store)),
            boundaries=over,
            headers=tuple(headers),
            results=tuple((one.state_root, one.receipts_root) for one in then if one is not None),
            certificate=certificate,
        )
        manifest = Manifest(self._content(), certification)
        if len(encode(manifest)) > MANIFEST_BYTES_MAX:
            raise fault(OVERSIZE, piece="manifest", bytes=len(encode(manifest)), limit=MANIFEST_BYTES_MAX)
        return manifest

    def _certifying(self) -> tuple[list[Header], Certificate] | None:
        """Headers from the block to the first certified one that reports its results, and that certificate."""
        store, headers = self._store, list[Header]()
        assert store.applied is not None, "a running node has a state"
        for height in range(self.height, store.applied.height + 1):
            header = store.header(height)
            if header is None:
                return None
            headers.append(header)
            if header.exec_height >= self.height and height > self.height:
                final = store.finality(height)
                if final is not None:
                    return headers, final[1]
        return None

    def _content(self) -> Content:
        first = self._tail[0].first
        before, tail_before = self._store.applied_at(self.height - 1), self._store.applied_at(first - 1)
        if before is None or tail_before is None:
            raise invalid("results of the duplicate window are not kept", height=first - 1)
        return Content(
            version=VERSION,
            chain=self._chain,
            depth=self._depth,
            applied=self.applied,
            groups=self.groups,
            size=self._size,
            parts=tuple(self._parts),
            before=before.results,
            tail_before=tail_before.results,
            tail=tuple(self._tail),
            block=self._block,
        )


def _known_path(store: Store) -> GenesisPath:
    raw = store.meta(GENESIS_PATH)
    return NO_PATH if raw is None else decode_trusted(GenesisPath, raw)
