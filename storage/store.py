"""The facade over blocks and state: one call per executed block, and one pointer of truth, `applied`.

Order of durability (architecture J18): the block's segment is synced, then that of its receipts, then one synced engine
batch holds the state and `applied`.  After a crash the blocks above `applied` are executed again, to the same receipts.

`write` blocks and belongs to the writer thread; everything else belongs to the loop.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice
from typing import Final, Self

from msgspec import Raw
from msgspec.structs import replace

from cccnode.codec import DecodeError, Noun, T, decode_trusted, encode
from cccnode.crypto import merkle
from cccnode.crypto.hashing import ZERO
from cccnode.crypto.merkle import Frontier
from cccnode.crypto.proofs import StateProof
from cccnode.types.block import FinalBlock, Header, result_leaf
from cccnode.types.block import block_id as id_of
from cccnode.types.certificate import Certificate
from cccnode.types.errors import BLOCKS_CORRUPT, HOME_FORMAT, HOME_OTHER_CHAIN, PRUNED, STATE_CORRUPT, Fault, fault
from cccnode.types.scalars import Hash, Height, Millis, View
from storage import keys
from storage.blocks import RECEIPTS_FOLDER, RECEIPTS_RECORD_BYTES_MAX, BlockFile
from storage.engine import Engine, Put
from storage.files import Disk
from storage.marks import EARLIEST, Earliest
from storage.state import CACHE_BYTES, Staging, State, Writes

FORMAT: Final = 3
"""Version of everything under `data/`; a program refuses a higher one, and rewrites a lower one at its first start."""

PREPARING: Final = "preparing"
"""Name of the mark that stands while the first state is being written."""
_FORGOTTEN: Final = 10_000
"""Keys deleted at once."""
_SYNCED_AT_ONCE: Final = 64
"""Blocks whose receipts are moved between two syncs."""

_NOTHING: Final[Mapping[bytes, bytes]] = {}
_NO_META: Final[Mapping[str, bytes]] = {}


class Ahead(Noun, frozen=True, array_like=True, gc=False):
    """The record that an epoch would get which began now (J11)."""

    record_hash: Hash = ZERO
    due: bool = False
    """Whether it differs from the current one in more than its number."""


class Applied(Noun, frozen=True, array_like=True, gc=False):
    """How far this node has executed, and what came of it."""

    height: Height
    block_id: Hash
    view: View
    """The view in which the block was first proposed."""
    time_ms: Millis
    state_root: Hash
    receipts_root: Hash
    results: Frontier
    """Over the result leaves of heights 0..height (J1)."""
    history: Frontier
    """Over the block ids of heights 0..height."""
    ahead: Ahead
    """What the state after it says of the next epoch."""


_NO_AHEAD: Final = Ahead()
_NIL: Final = encode(None)


class _Outline(Noun, frozen=True, array_like=True, gc=False):
    """A `FinalBlock` whose fields stay encoded."""

    header: Raw
    batches: Raw
    certificate: Raw
    justification: Raw


class StagedBlock:
    """An executed block on its way to disk: iterate to its end, `Store.write` it, then `Store.adopt` it."""

    def __init__(self, block: FinalBlock, receipts: bytes, state: Staging, puts: list[Put]) -> None:
        self.block = block
        self.receipts = receipts
        """All of them, encoded."""
        self.state = state
        self.puts = puts
        """What the engine must hold beside the state."""
        self.applied: Applied | None = None
        """The new pointer, once all steps are taken."""
        self.steps: Iterator[None] = iter(())

    def __iter__(self) -> Iterator[None]:
        """Yields between steps of about a millisecond.

        Raises:
            Fault: GROUP_FULL or VALUE_TOO_LARGE; nothing has changed.
        """
        return self.steps

    def finish(self) -> Self:
        """Take all remaining steps at once."""
        for _ in self.steps:
            pass
        return self


class Store:
    """What a node knows for certain: blocks, results, and the state at `applied`."""

    def __init__(self, disk: Disk, engine: Engine, *, depth: int, cache_bytes: int) -> None:
        self._engine = engine
        self._applied = self._get_noun(keys.APPLIED, Applied)
        if self._applied is None and self.meta(PREPARING) is not None:
            _forget_state(engine)
        root = None if self._applied is None else self._applied.state_root
        self.state = State.open(engine, depth=depth, root=root, cache_bytes=cache_bytes)
        self._earliest = self._get_noun(keys.meta(EARLIEST), Earliest) or Earliest()
        self.blocks = BlockFile.open(disk, earliest=self._earliest.blocks)
        self.receipt_file = receipts_in(disk, self._earliest.receipts)
        for file in (self.blocks, self.receipt_file):
            if self._applied is not None and self._applied.height > (file.last or 0):
                raise fault(BLOCKS_CORRUPT, applied=self._applied.height, last=file.last)

    @classmethod
    def open(
        cls,
        disk: Disk,
        engine: Engine,
        *,
        chain: bytes,
        node_id: bytes,
        depth: int,
        cache_bytes: int = CACHE_BYTES,
    ) -> Self:
        """The store of this node on this chain; an empty one is stamped as theirs.

        Raises:
            Fault: HOME_OTHER_CHAIN, HOME_FORMAT, STATE_CORRUPT or BLOCKS_CORRUPT.
        """
        if stamp(engine, chain=chain, node_id=node_id, depth=depth) < FORMAT:
            _take_over(disk, engine)
        return cls(disk, engine, depth=depth, cache_bytes=cache_bytes)

    @property
    def applied(self) -> Applied | None:
        """The newest executed block; None before `initialise`."""
        return self._applied

    def prepare(self, writes: Writes) -> None:
        """Write a part of the first state, before `initialise` ends it with the rest.  Blocks until durable.

        If that never comes, because the node is stopped before, the next start begins anew.
        """
        assert self._applied is None, "a store is initialised once"
        staged = self.state.stage(writes).finish()
        self._engine.write([(keys.meta(PREPARING), b""), *staged.puts], sync=True)
        self.state.adopt(staged)

    def initialise(
        self,
        header: Header,
        writes: Writes,
        *,
        ahead: Ahead = _NO_AHEAD,
        epoch_records: Mapping[bytes, bytes] = _NOTHING,
        meta: Mapping[str, bytes] = _NO_META,
    ) -> Applied:
        """Commit height 0: the genesis header and the state that the genesis document gives.  Blocks until durable."""
        assert self._applied is None, "a store is initialised once"
        block = FinalBlock(header=header, batches=(), certificate=None, justification=())
        staged = self._stage(block, id_of(header), writes, [], merkle.EMPTY_ROOT, ahead, epoch_records, meta).finish()
        staged.puts.append((keys.meta(PREPARING), None))
        self._write_state(staged)
        return self.adopt(staged)

    def stage(
        self,
        block: FinalBlock,
        block_id: bytes,
        writes: Writes,
        receipts: Sequence[bytes],
        *,
        receipts_root: bytes | None = None,
        ahead: Ahead = _NO_AHEAD,
        epoch_records: Mapping[bytes, bytes] = _NOTHING,
        meta: Mapping[str, bytes] = _NO_META,
    ) -> StagedBlock:
        """Prepare the outcome of the block after `applied`.

        `receipts_root` spares hashing the receipts again where the ledger has done so; `epoch_records` are encoded
        records by hash, `meta` named values to remember: both become durable with the block.
        """
        applied = self._applied
        assert applied is not None, "initialise first"
        assert block.header.height == applied.height + 1, f"block {block.header.height} after {applied.height}"
        assert block.header.parent == applied.block_id, "the block's parent is not the applied block"
        root = merkle.root(receipts) if receipts_root is None else receipts_root
        return self._stage(block, block_id, writes, receipts, root, ahead, epoch_records, meta)

    def write(self, staged: StagedBlock) -> None:
        """Make a finished block durable: its segments first, then one engine batch.  Blocks; for the writer thread.

        Raises:
            Fault: DISK_FULL, DISK_READ_ONLY or DISK_FAILED.
        """
        self.save_block(staged.block)
        self._write_state(staged)

    def save_block(self, block: FinalBlock) -> None:
        """Make a final block durable before it is executed; nothing happens if its height is stored already."""
        height = block.header.height
        if self.blocks.last is None or height > self.blocks.last:
            self.blocks.append(height, encode(block))
            self.blocks.sync()

    def adopt(self, staged: StagedBlock) -> Applied:
        """Make a written block the applied one: readers see its state from here on."""
        assert staged.applied is not None, "a block is adopted after its last step"
        self.state.adopt(staged.state)
        self._applied = staged.applied
        return staged.applied

    def unapplied(self) -> Iterator[FinalBlock]:
        """The stored blocks above `applied`, to be executed again after a crash.

        Raises:
            Fault: BLOCKS_CORRUPT if they do not continue the applied chain.
        """
        assert self._applied is not None, "initialise first"
        parent = self._applied.block_id
        for height in range(self._applied.height + 1, (self.blocks.last or 0) + 1):
            block = self.block(height)
            if block is None or block.header.height != height or block.header.parent != parent:
                raise fault(BLOCKS_CORRUPT, height=height, reason="does not continue the chain")
            parent = id_of(block.header)
            yield block

    def block_raw(self, height: int) -> bytes | None:
        """The encoded `FinalBlock` of a height, for other nodes; None if it is not kept.  There is none at height 0."""
        return self.blocks.read(height)

    def block(self, height: int) -> FinalBlock | None:
        """The block of a height, executed or not; None if it is not kept."""
        if height == 0:
            header = self.header(0)
            return None if header is None else FinalBlock(header, (), None, ())
        raw = self.blocks.read(height)
        if raw is None:
            return None
        try:
            return decode_trusted(FinalBlock, raw)
        except DecodeError as error:
            raise fault(BLOCKS_CORRUPT, height=height, reason=str(error)) from error

    def header(self, height: int) -> Header | None:
        """The header of a height, executed or not; headers outlive dropped blocks."""
        header = self._get_noun(keys.header(height), Header)
        if header is None and height > 0:
            block = self.block(height)
            return None if block is None else block.header
        return header

    def finality(self, height: int) -> tuple[Header, Certificate] | None:
        """The header of a stored block with its own finalization; None if it carries none or is not kept.

        Its transactions are not decoded.

        Raises:
            Fault: BLOCKS_CORRUPT.
        """
        raw = self.blocks.read(height)
        if raw is None:
            return None
        try:
            outline = decode_trusted(_Outline, raw)
            if bytes(outline.certificate) == _NIL:
                return None
            return decode_trusted(Header, outline.header), decode_trusted(Certificate, outline.certificate)
        except DecodeError as error:
            raise fault(BLOCKS_CORRUPT, height=height, reason=str(error)) from error

    def height_of(self, block_id: bytes) -> int | None:
        """The height of an executed block."""
        raw = self._engine.get(keys.height_of(block_id))
        return None if raw is None else int.from_bytes(raw, "big")

    def applied_at(self, height: int) -> Applied | None:
        """What executing a height gave, with the frontiers as of then; None above `applied`."""
        if self._applied is not None and height == self._applied.height:
            return self._applied
        return self._get_noun(keys.applied_at(height), Applied)

    def receipts(self, height: int) -> list[bytes] | None:
        """The encoded receipts of an executed block in order; None if the height is not executed, or not kept."""
        if self._applied is None or height > self._applied.height:
            return None
        raw = self.receipt_file.read(height)
        try:
            return None if raw is None else decode_trusted(list[bytes], raw)
        except DecodeError as error:
            raise fault(BLOCKS_CORRUPT, height=height, reason=str(error)) from error

    def epoch_record(self, record_hash: bytes) -> bytes | None:
        """An encoded epoch record by its hash."""
        return self._engine.get(keys.epoch_record(record_hash))

    def put_epoch_record(self, record_hash: bytes, raw: bytes) -> None:
        """Keep an epoch record that came from elsewhere than an execution.  Blocks until durable."""
        self._engine.write([(keys.epoch_record(record_hash), raw)], sync=True)

    def begin_epoch(self, records: Mapping[bytes, bytes], *, ahead: Ahead, meta: Mapping[str, bytes]) -> None:
        """An epoch begins after the applied block because people agreed on it (J22).  Blocks until durable."""
        assert self._applied is not None, "initialise first"
        applied = replace(self._applied, ahead=ahead)
        value = encode(applied)
        puts: list[Put] = [
            *((keys.epoch_record(record_hash), raw) for record_hash, raw in records.items()),
            (keys.applied_at(applied.height), value),
            (keys.APPLIED, value),
            *((keys.meta(name), content) for name, content in meta.items()),
        ]
        self._engine.write(puts, sync=True)
        self._applied = applied

    def meta(self, name: str) -> bytes | None:
        """A value remembered under a name."""
        return self._engine.get(keys.meta(name))

    def put_meta(self, name: str, value: bytes | None) -> None:
        """Remember a value, or forget it with None.  Blocks until durable."""
        self._engine.write([(keys.meta(name), value)], sync=True)

    # What is no longer kept

    @property
    def earliest(self) -> Earliest:
        """What pruning has marked."""
        return self._earliest

    @property
    def earliest_height(self) -> int:
        """The lowest height whose block is kept, or will be the first; genesis has no block."""
        return max(1, self._earliest.blocks, self.blocks.first or 0)

    @property
    def receipts_from(self) -> int:
        """The lowest height whose receipts are kept."""
        return max(self._earliest.receipts, self.receipt_file.first or 0)

    def pruned(self, height: int, earliest: int | None = None) -> Fault:
        """The error for a height that this node no longer keeps, or never had."""
        return fault(PRUNED, height=height, earliest=self.earliest_height if earliest is None else earliest)

    def mark(self, earliest: Earliest) -> None:
        """Note durably what is about to be deleted; blocks, for the writer thread.  Then `forget`."""
        self._engine.write([(keys.meta(EARLIEST), encode(earliest))], sync=True)

    def forget(self, earliest: Earliest) -> Iterator[int]:
        """Read no more from what was marked: for the thread that reads.

        What is returned removes the files in short steps and yields the bytes of each: for a thread that may block.
        """
        self._earliest = earliest
        blocks, receipts = self.blocks.forget_below(earliest.blocks), self.receipt_file.forget_below(earliest.receipts)
        return chain(self.blocks.removing(blocks), self.receipt_file.removing(receipts))

    def rows_of(self, heights: Iterable[int]) -> list[Put]:
        """What deletes the header, the results and the id of these heights; reads only, from any thread."""
        puts: list[Put] = []
        for height in heights:
            applied = self._get_noun(keys.applied_at(height), Applied)
            if applied is not None:
                puts += [(keys.applied_at(height), None), (keys.height_of(applied.block_id), None)]
            if self._engine.get(keys.header(height)) is not None:
                puts.append((keys.header(height), None))
        return puts

    def compact(self, ranges: Iterable[tuple[bytes, bytes]]) -> None:
        """Give back the disk space of deleted rows, from key to key.  Blocks; from any thread."""
        for first, last in ranges:
            self._engine.compact(first, last)

    def sweep(self, puts: Sequence[Put], swept: int) -> None:
        """Delete rows below the mark and note up to where, at once: an interrupted sweep goes on there.

        For the writer thread; it needs no sync, for what a crash brings back is deleted again.
        """
        self._earliest = replace(self._earliest, swept=swept)
        self._engine.write([*puts, (keys.meta(EARLIEST), encode(self._earliest))], sync=False)

    def prove(self, group: bytes, item: bytes | None = None) -> StateProof:
        """A proof against `applied.state_root`; see `State.prove`."""
        return self.state.prove(group, item)

    def _stage(
        self,
        block: FinalBlock,
        block_id: bytes,
        writes: Writes,
        receipts: Sequence[bytes],
        receipts_root: bytes,
        ahead: Ahead,
        epoch_records: Mapping[bytes, bytes],
        meta: Mapping[str, bytes],
    ) -> StagedBlock:
        height = block.header.height
        puts: list[Put] = [
            (keys.header(height), encode(block.header)),
            (keys.height_of(block_id), height.to_bytes(8, "big")),
            *((keys.epoch_record(record_hash), raw) for record_hash, raw in epoch_records.items()),
            *((keys.meta(name), value) for name, value in meta.items()),
        ]
        staged = StagedBlock(block, encode(receipts), self.state.stage(writes), puts)
        staged.steps = self._run(staged, block_id, receipts_root, ahead)
        return staged

    def _run(self, staged: StagedBlock, block_id: bytes, receipts_root: bytes, ahead: Ahead) -> Iterator[None]:
        yield from staged.state
        header, root, before = staged.block.header, staged.state.root, self._applied
        results = Frontier() if before is None else before.results
        history = Frontier() if before is None else before.history
        staged.applied = Applied(
            height=header.height,
            block_id=block_id,
            view=header.view,
            time_ms=header.time_ms,
            state_root=root,
            receipts_root=receipts_root,
            results=results.append(result_leaf(header.height, root, receipts_root)),
            history=history.append(block_id),
            ahead=ahead,
        )
        raw = encode(staged.applied)
        staged.puts += [(keys.applied_at(header.height), raw), (keys.APPLIED, raw)]

    def _write_state(self, staged: StagedBlock) -> None:
        assert staged.applied is not None, "a block is written after its last step"
        height, last = staged.applied.height, self.receipt_file.last
        if last is None or height > last:  # Else they were written before a crash.
            self.receipt_file.append(height, staged.receipts)
            self.receipt_file.sync()
        self._engine.write(staged.state.puts + staged.puts, sync=True)

    def _get_noun(self, key: bytes, kind: type[T]) -> T | None:
        raw = self._engine.get(key)
        if raw is None:
            return None
        try:
            return decode_trusted(kind, raw)
        except DecodeError as error:
            raise fault(STATE_CORRUPT, key=key, reason=str(error)) from error


def _forget_state(engine: Engine) -> None:
    """Delete the part of a first state whose rest was never written."""
    rows = engine.iterate(keys.GROUP)
    while part := [(key, None) for key, _ in islice(rows, _FORGOTTEN)]:
        engine.write(part, sync=True)


def is_certified(raw: bytes) -> bool:
    """Whether an encoded `FinalBlock` carries its own finalization; told without decoding its transactions.

    Raises:
        Fault: BLOCKS_CORRUPT.
    """
    try:
        return bytes(decode_trusted(_Outline, raw).certificate) != _NIL
    except DecodeError as error:
        raise fault(BLOCKS_CORRUPT, reason=str(error)) from error


def receipts_in(disk: Disk, earliest: int = 0) -> BlockFile:
    """The files of receipts under a data folder, from a height on."""
    return BlockFile.open(disk, RECEIPTS_FOLDER, bytes_max=RECEIPTS_RECORD_BYTES_MAX, earliest=earliest)


def _take_over(disk: Disk, engine: Engine) -> None:
    """Format 1 kept receipts in the engine, which wrote them many times over: move them to their files.

    Format 2 had files of ten thousand heights only; they are as good as others.
    They are deleted there only when all are synced here, so it may be interrupted anywhere.
    """
    receipts = receipts_in(disk)
    for key, raw in engine.iterate(keys.OLD_RECEIPTS):
        height = int.from_bytes(key[1:], "big")
        if receipts.last is None or height > receipts.last:
            receipts.append(height, raw)
            if height % _SYNCED_AT_ONCE == 0:
                receipts.sync()
    receipts.sync()
    rows = engine.iterate(keys.OLD_RECEIPTS)
    while part := [(key, None) for key, _ in islice(rows, _FORGOTTEN)]:
        engine.write(part, sync=True)
    engine.write([(keys.stamp("format"), FORMAT.to_bytes(4, "big"))], sync=True)


def stamp(engine: Engine, *, chain: bytes, node_id: bytes, depth: int) -> int:
    """Compare what the data say they are with what this node is; stamp an empty engine.  Returns their format.

    Raises:
        Fault: HOME_OTHER_CHAIN or HOME_FORMAT.
    """
    stamps = {"chain": chain, "node": node_id, "depth": bytes((depth,)), "format": FORMAT.to_bytes(4, "big")}
    stored = engine.get(keys.stamp("format"))
    if stored is None:
        if next(engine.iterate(b""), None) is not None:
            raise fault(HOME_FORMAT, found=None, supported=FORMAT)
        engine.write([(keys.stamp(name), value) for name, value in stamps.items()], sync=True)
        return FORMAT
    written = int.from_bytes(stored, "big")
    if written > FORMAT:
        raise fault(HOME_FORMAT, found=written, supported=FORMAT)
    for name in ("chain", "node", "depth"):
        found = engine.get(keys.stamp(name))
        if found != stamps[name]:
            raise fault(HOME_OTHER_CHAIN, what=name, found=found, expected=stamps[name])
    return written
