"""The authenticated state: groups of items in a bucketed Merkle tree (architecture D6; hashes in `crypto.proofs`).

One engine record per group, its items ascending by name.  The levels above the buckets live in memory only; opening
rebuilds them from the records and compares the root, so a damaged or half-written state is refused.

Groups are cached bucket by bucket, all of a bucket or nothing, in memory up to a budget that by default holds the
state of a city.  Eviction costs a read and never changes a result.  Used from one thread; only the engine batch of a
finished `Staging` is written elsewhere, and what it touches stays cached until it is adopted.
"""

from collections.abc import Callable, Iterator, Mapping
from struct import Struct
from typing import Final, Self

from msgspec import MsgspecError

from cccnode.codec import decoder, encode
from cccnode.crypto.proofs import (
    DEPTH_MAX,
    StateProof,
    bucket_hash,
    bucket_of,
    group_hash,
    listed,
    parse_listed,
    value_hash,
)
from cccnode.types.errors import GROUP_FULL, STATE_CORRUPT, VALUE_TOO_LARGE, fault
from cccnode.types.limits import GROUP_ITEMS_MAX, STATE_KEY_BYTES_MAX, STATE_VALUE_BYTES_MAX
from storage import keys
from storage.engine import Engine, Put
from storage.tree import Nodes, Tree

Writes = Mapping[bytes, Mapping[bytes, bytes | None]]
"""Group -> item -> new value; None deletes the item."""

CACHE_BYTES: Final = 512 << 20
"""Default budget: about 1.5 million account-sized groups."""
GROUP_OVERHEAD: Final = 200
"""Bytes that Python needs around a cached group: two byte strings and their place in a dictionary."""
BUCKET_OVERHEAD: Final = 300
"""The same for a cached bucket, which stands in two dictionaries."""

SLICE_UNITS: Final = 1_000
"""Work between two yields of a staging; one unit is about a microsecond."""
_LOAD_UNITS: Final = 50

_U32: Final = Struct(">I").pack
_PREFIX: Final = len(keys.GROUP)
_decode: Final[Callable[[bytes], list[tuple[bytes, bytes]]]] = decoder(list[tuple[bytes, bytes]]).decode

# A cached group is one byte string, which the garbage collector need not visit: bucket u32 | record.
_PLACE: Final = slice(0, 4)
_RECORD: Final = slice(4, None)


class Staging:
    """A block's writes on their way into the state: iterate to its end, write `puts`, then `State.adopt` it.

    Each step takes about a millisecond.  Reads of the state see nothing of it before it is adopted.
    """

    def __init__(self, base: bytes) -> None:
        self.root = base
        """The state root with these writes, once finished."""
        self.puts: list[Put] = []
        """What the engine must write, in one batch."""
        self.finished = False
        self.steps: Iterator[None] = iter(())
        self.cells: dict[bytes, bytes] = {}
        """Groups written, as they will be cached."""
        self.removed: list[bytes] = []
        """Groups that lost their last item."""
        self.touched: dict[int, dict[bytes, bytes | None]] = {}
        """New group hashes by bucket; None for a removed group."""
        self.listings: dict[int, bytes] = {}
        """What the new hash of each touched bucket covers."""
        self.moved: dict[int, None] = {}
        """Buckets in which groups come or go."""
        self.nodes: Nodes = []
        """Changed nodes of the tree."""
        self.growth = 0
        """Bytes by which the cache grows."""

    def __iter__(self) -> Iterator[None]:
        """Yields between steps.

        Raises:
            Fault: GROUP_FULL or VALUE_TOO_LARGE; the state is unchanged.
        """
        return self.steps

    def finish(self) -> Self:
        """Take all remaining steps at once."""
        for _ in self.steps:
            pass
        return self


class State:
    """All groups as of the last adopted block."""

    def __init__(self, engine: Engine, *, depth: int, cache_bytes: int = CACHE_BYTES) -> None:
        assert 0 < depth <= DEPTH_MAX, "the genesis document bounds the depth"
        self._engine = engine
        self._depth = depth
        self._budget = cache_bytes
        self._held = 0
        """Estimated bytes of the cache."""
        self._cells: dict[bytes, bytes] = {}
        """Cached groups."""
        self._listings: dict[int, bytes] = {}
        """What the hash of each cached bucket covers: its group names with their hashes."""
        self._evictable: dict[int, None] = {}
        """Cached buckets, the one loaded longest ago first."""
        self._parked: list[int] = []
        """Buckets that were due for eviction while the current staging needed them."""
        self._occupied = bytearray(1 << depth)
        """1 for each bucket that has groups: the others are known to be empty without a read."""
        self._current: Staging | None = None
        self._tree = Tree(self._read_all())

    @classmethod
    def open(cls, engine: Engine, *, depth: int, root: bytes | None, cache_bytes: int = CACHE_BYTES) -> Self:
        """The state that the engine holds, checked against `root`; None stands for a state that must be empty.

        Raises:
            Fault: STATE_CORRUPT.
        """
        state = cls(engine, depth=depth, cache_bytes=cache_bytes)
        if root is None and any(state._occupied):
            raise fault(STATE_CORRUPT, reason="groups without an applied height")
        if root is not None and root != state.root:
            raise fault(STATE_CORRUPT, stored=root, rebuilt=state.root)
        return state

    @property
    def root(self) -> bytes:
        """The state root."""
        return self._tree.root

    @property
    def cached_bytes(self) -> int:
        """Estimated memory of the cache."""
        return self._held

    def get(self, group: bytes, item: bytes) -> bytes | None:
        """One value, or None."""
        cell = self._cells.get(group) or self._missed(group)
        if cell is not None:
            for name, value in _decode(cell[_RECORD]):
                if name == item:
                    return value
        return None

    def group(self, group: bytes) -> dict[bytes, bytes]:
        """All items of a group, ascending by name; empty if there is no such group."""
        cell = self._cells.get(group) or self._missed(group)
        return {} if cell is None else dict(_decode(cell[_RECORD]))

    def prove(self, group: bytes, item: bytes | None = None) -> StateProof:
        """The proof of a whole group or its absence; with `item`, other items are shown as hashes only."""
        items = self.group(group)
        bucket = bucket_of(group, self._depth)
        groups = parse_listed(self._listings.get(bucket, b""))
        return StateProof(
            items=tuple((name, value) for name, value in items.items() if item in (None, name)),
            hidden=tuple((name, value_hash(value)) for name, value in items.items() if item not in (None, name)),
            neighbours=tuple((name, digest) for name, digest in groups.items() if name != group),
            path=self._tree.path(bucket),
        )

    def stage(self, writes: Writes) -> Staging:
        """Prepare a block's writes; a staging that was begun before and not adopted is given up."""
        self._release()
        staging = self._current = Staging(self.root)
        staging.steps = self._run(staging, writes)
        return staging

    def adopt(self, staging: Staging) -> None:
        """Make a finished staging current, after its `puts` are durable."""
        assert staging is self._current, "only the newest staging can be adopted"
        assert staging.finished, "a staging is adopted after its last step"
        self._cells.update(staging.cells)
        for group in staging.removed:
            del self._cells[group]
        self._listings.update(staging.listings)
        for bucket in staging.moved:
            self._move(bucket)
        self._held += staging.growth
        self._tree.adopt(staging.nodes)
        self._release()
        self._evict()

    def _run(self, staging: Staging, writes: Writes) -> Iterator[None]:
        """The steps of a staging: groups, then buckets, then the levels above."""
        yield from self._tree.fold()
        units = 0
        for group, changes in writes.items():
            units += self._write_group(staging, group, changes)
            if units >= SLICE_UNITS:
                units = 0
                yield
        leaves: dict[int, bytes] = {}
        for bucket, hashes in staging.touched.items():
            leaves[bucket] = self._hash_bucket(staging, bucket, hashes)
            units += 3 + len(hashes)
            if units >= SLICE_UNITS:
                units = 0
                yield
        staging.nodes = yield from self._tree.branches(leaves)
        staging.root = staging.nodes[-1].get(0, self.root)
        staging.finished = True

    def _write_group(self, staging: Staging, group: bytes, changes: Mapping[bytes, bytes | None]) -> int:
        """Apply the changes of one group; returns the work done, in units."""
        cell, units = self._cells.get(group), 4
        if cell is None:
            cell, units = self._missed(group), _LOAD_UNITS
        place = _U32(_checked_bucket(group, self._depth)) if cell is None else cell[_PLACE]
        before = b"" if cell is None else cell[_RECORD]
        items = dict(_decode(before)) if before else {}
        _change(group, items, changes)
        pairs = sorted(items.items())
        record = encode(pairs) if pairs else b""
        if record == before:
            return units
        bucket = int.from_bytes(place, "big")
        hashes = staging.touched.get(bucket)
        if hashes is None:
            hashes = staging.touched[bucket] = {}
        if record:
            hashes[group] = group_hash(group, pairs)
            staging.cells[group] = place + record
        else:
            hashes[group] = None
            staging.removed.append(group)
        staging.puts.append((keys.GROUP + place + group, record or None))
        staging.growth += len(record) - len(before)
        if not (before and record):
            staging.moved[bucket] = None
            staging.growth += _cell_cost(place) if record else -_cell_cost(place)
        return units + len(pairs) + len(record) // 256

    def _hash_bucket(self, staging: Staging, bucket: int, hashes: Mapping[bytes, bytes | None]) -> bytes:
        """The new hash of a bucket; its new listing goes into the staging."""
        before = after = self._listings.get(bucket, b"")
        if bucket in staging.moved:
            groups = {**parse_listed(before), **hashes}
            after = listed(sorted([(group, digest) for group, digest in groups.items() if digest is not None]))
            staging.growth += _bucket_cost(after) - _bucket_cost(before)
        else:
            for group, digest in hashes.items():
                after = _replace(after, group, digest)
        staging.listings[bucket] = after
        return bucket_hash(self._depth, bucket, after)

    def _move(self, bucket: int) -> None:
        """Take over an adopted bucket in which groups came or went."""
        if self._listings[bucket]:
            self._occupied[bucket] = 1
            self._evictable.setdefault(bucket)
        else:
            self._occupied[bucket] = 0
            self._evictable.pop(bucket, None)
            del self._listings[bucket]

    def _missed(self, group: bytes) -> bytes | None:
        """A group that is not among the cached ones: read its bucket unless that is cached or empty."""
        bucket = bucket_of(group, self._depth)
        if self._occupied[bucket] and bucket not in self._listings:
            self._load(bucket)
        return self._cells.get(group)

    def _load(self, bucket: int) -> None:
        """Read a bucket from the engine into the cache.

        Raises:
            Fault: STATE_CORRUPT if it is not what the tree says.
        """
        cells, listing = _read_bucket(list(self._engine.iterate(keys.bucket(bucket))))
        if bucket_hash(self._depth, bucket, listing) != self._tree.node(0, bucket):
            raise fault(STATE_CORRUPT, bucket=bucket)
        self._evict()
        self._cache(bucket, cells, listing)

    def _cache(self, bucket: int, cells: dict[bytes, bytes], listing: bytes) -> None:
        self._cells.update(cells)
        self._listings[bucket] = listing
        self._evictable[bucket] = None
        self._held += _bucket_cost(listing) + sum(map(_cell_cost, cells.values()))

    def _evict(self) -> None:
        """Drop buckets until the budget is kept; what a staging needs, and one bucket more, may exceed it."""
        needed = self._current.touched if self._current is not None else {}
        while self._held > self._budget and self._evictable:
            bucket = next(iter(self._evictable))
            del self._evictable[bucket]
            if bucket in needed:
                self._parked.append(bucket)
                continue
            listing = self._listings.pop(bucket)
            cells = [self._cells.pop(group) for group in parse_listed(listing)]
            self._held -= _bucket_cost(listing) + sum(map(_cell_cost, cells))

    def _release(self) -> None:
        """The current staging is over: its buckets may be evicted again."""
        self._current = None
        self._evictable.update((bucket, None) for bucket in self._parked if bucket in self._listings)
        self._parked.clear()

    def _read_all(self) -> bytes:
        """The bucket hashes of everything stored; fills the cache up to its budget."""
        leaves: list[bytes] = []
        for bucket, rows in _by_bucket(self._engine.iterate(keys.GROUP)):
            if bucket >> self._depth:
                raise fault(STATE_CORRUPT, bucket=bucket, depth=self._depth)
            cells, listing = _read_bucket(rows)
            leaves += [bucket_hash(self._depth, empty, b"") for empty in range(len(leaves), bucket)]
            leaves.append(bucket_hash(self._depth, bucket, listing))
            self._occupied[bucket] = 1
            if self._held < self._budget:
                self._cache(bucket, cells, listing)
        leaves += [bucket_hash(self._depth, empty, b"") for empty in range(len(leaves), 1 << self._depth)]
        return b"".join(leaves)


def _change(group: bytes, items: dict[bytes, bytes], changes: Mapping[bytes, bytes | None]) -> None:
    for item, value in changes.items():
        if value is None:
            items.pop(item, None)
        elif len(item) <= STATE_KEY_BYTES_MAX and len(value) <= STATE_VALUE_BYTES_MAX:
            items[item] = value
        else:
            raise fault(VALUE_TOO_LARGE, group=group, item=item, value_bytes=len(value))
    if len(items) > GROUP_ITEMS_MAX:
        raise fault(GROUP_FULL, group=group, items=len(items), limit=GROUP_ITEMS_MAX)


def _checked_bucket(group: bytes, depth: int) -> int:
    if not 0 < len(group) <= STATE_KEY_BYTES_MAX:
        raise fault(VALUE_TOO_LARGE, group=group, limit=STATE_KEY_BYTES_MAX)
    return bucket_of(group, depth)


def _replace(listing: bytes, group: bytes, digest: bytes | None) -> bytes:
    """A listing with another hash for a group that is in it."""
    assert digest is not None, "a group that goes makes its bucket one that moves"
    start = 0
    while listing[start + 1 : (middle := start + 1 + listing[start])] != group:
        start = middle + 32
    return listing[:middle] + digest + listing[middle + 32 :]


def _cell_cost(cell: bytes) -> int:
    return GROUP_OVERHEAD + len(cell)


def _bucket_cost(listing: bytes) -> int:
    return BUCKET_OVERHEAD + len(listing) if listing else 0


def _read_bucket(rows: list[tuple[bytes, bytes]]) -> tuple[dict[bytes, bytes], bytes]:
    """The cells of a bucket's stored groups, and their listing."""
    try:
        groups = [(key[_PREFIX + 4 :], group_hash(key[_PREFIX + 4 :], _decode(record))) for key, record in rows]
    except (MsgspecError, IndexError) as error:
        raise fault(STATE_CORRUPT, reason=str(error)) from error
    return {key[_PREFIX + 4 :]: key[_PREFIX : _PREFIX + 4] + record for key, record in rows}, listed(groups)


def _by_bucket(rows: Iterator[tuple[bytes, bytes]]) -> Iterator[tuple[int, list[tuple[bytes, bytes]]]]:
    """The stored groups of one bucket after the other."""
    place, part = b"", list[tuple[bytes, bytes]]()
    for row in rows:
        if row[0][_PREFIX : _PREFIX + 4] != place:
            if part:
                yield int.from_bytes(place, "big"), part
            place, part = row[0][_PREFIX : _PREFIX + 4], []
        part.append(row)
    if part:
        yield int.from_bytes(place, "big"), part
