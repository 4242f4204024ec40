"""The authenticated state: groups of items in a bucketed Merkle tree (architecture D6; hashes in `crypto.proofs`).

One engine record per group, its items ascending by name.  The levels above the buckets live in memory only; opening
rebuilds them from the records and compares the root, so a damaged or half-written state is refused.

A bucket is cached as one page (`crypto.trees`), in memory up to a budget that by default holds the state of a city.
Eviction costs a read and never changes a result.  Used from one thread; only the engine batch of a finished `Staging`
is written elsewhere, and what it touches stays cached until it is adopted.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Final, Self

from msgspec import MsgspecError

from cccnode.codec import decoder
from cccnode.crypto import kernel
from cccnode.crypto.proofs import DEPTH_MAX, StateProof, bucket_of, value_hash
from cccnode.crypto.trees import Block, Changes, Pages, parse_page
from cccnode.types.errors import GROUP_FULL, STATE_CORRUPT, VALUE_TOO_LARGE, Fault, fault
from cccnode.types.limits import GROUP_ITEMS_MAX, STATE_KEY_BYTES_MAX, STATE_VALUE_BYTES_MAX
from storage import keys
from storage.engine import Engine, Put
from storage.recent import Recent, node_then, page_then
from storage.tree import Nodes, Tree, root_of

Writes = dict[bytes, Changes]
"""Group -> item -> new value; None deletes the item."""

CACHE_BYTES: Final = 512 << 20
"""Default budget: about four million account-sized groups."""
PAGE_OVERHEAD: Final = 150
"""Bytes that Python needs around a cached page: a byte string, its place, and its number in a dictionary."""

SLICE_GROUPS: Final = 250
"""Groups written between two yields of a staging: half a millisecond if they are cached, four without the extension."""
SLICE_LOADS: Final = 16
"""Buckets read from the engine between two yields: about a millisecond."""

_LIMITS: Final = (GROUP_ITEMS_MAX, STATE_KEY_BYTES_MAX, STATE_VALUE_BYTES_MAX)
_PREFIX: Final = len(keys.bucket(0))
_NODE: Final = 36
"""Bytes of a node, its number first."""
_decode: Final[Callable[[bytes], list[tuple[bytes, bytes]]]] = decoder(list[tuple[bytes, bytes]]).decode


class Staging:
    """A block's writes on their way into the state: iterate to its end, write `puts`, then `State.adopt` it.

    A step takes about a millisecond.  Reads of the state see nothing of it before it is adopted.
    """

    def __init__(self, base: bytes) -> None:
        self.root = base
        """The state root with these writes, once finished."""
        self.puts: list[Put] = []
        """What the engine must write, in one batch."""
        self.finished = False
        self.steps: Iterator[None] = iter(())
        self.pages: list[bytes] = []
        """New pages of the touched buckets."""
        self.buckets: list[bytes] = []
        """Nodes of these buckets, in the same order, in several pieces."""
        self.nodes: Nodes = []
        """Changed nodes of the tree."""
        self.growth = 0
        """Bytes by which pages grow."""
        self._numbers: set[int] = set()
        self._numbered = 0

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

    def numbers(self) -> set[int]:
        """The touched buckets; only a cache that is full needs to know."""
        for piece in self.buckets[self._numbered :]:
            self._numbers.update(int.from_bytes(piece[at : at + 4], "big") for at in range(0, len(piece), _NODE))
        self._numbered = len(self.buckets)
        return self._numbers


class State:
    """All groups as of the last adopted block."""

    def __init__(self, engine: Engine, *, depth: int, cache_bytes: int = CACHE_BYTES) -> None:
        assert 0 < depth <= DEPTH_MAX, "the genesis document bounds the depth"
        self._engine = engine
        self._depth = depth
        self._budget = cache_bytes
        self._held = 0
        """Estimated bytes of the cache."""
        self._pages: Final[Pages] = [b""] * (1 << depth)
        """All buckets: those without groups are known to be empty without a read."""
        self._evictable: dict[int, None] = {}
        """Cached buckets, the one loaded longest ago first."""
        self._parked: list[int] = []
        """Buckets that were due for eviction while the current staging needed them."""
        self.cache: Final = (depth, self._pages)
        """For readers that look into cached pages themselves (`StateView`); what is not there, `get` loads."""
        self._current: Staging | None = None
        self._recent = Recent()
        self._tree = Tree(self._read_all())

    @classmethod
    def open(cls, engine: Engine, *, depth: int, root: bytes | None, cache_bytes: int = CACHE_BYTES) -> Self:
        """The state that the engine holds, checked against `root`; None stands for a state that must be empty.

        Raises:
            Fault: STATE_CORRUPT.
        """
        state = cls(engine, depth=depth, cache_bytes=cache_bytes)
        if root is None and any(page != b"" for page in state._pages):
            raise fault(STATE_CORRUPT, reason="groups without an applied height")
        if root is not None and root != state.root:
            raise fault(STATE_CORRUPT, stored=root, rebuilt=state.root)
        return state

    @property
    def root(self) -> bytes:
        """The state root."""
        return self._tree.root

    @property
    def depth(self) -> int:
        """Levels above the buckets."""
        return self._depth

    def nodes(self, level: int, first: int, count: int) -> bytes:
        """Hashes of some nodes of one level of the tree, joined: level 0 are the buckets, level `depth` is the root."""
        return self._tree.nodes(level, first, count)

    def listing(self, bucket: int) -> dict[bytes, bytes]:
        """The groups of a bucket with their hashes, ascending by name."""
        if self._pages[bucket] is None:
            self._load(bucket)
        return {group: digest for group, (digest, _) in parse_page(self._pages[bucket] or b"").items()}

    @property
    def cached_bytes(self) -> int:
        """Estimated memory of the cache."""
        return self._held

    def get(self, group: bytes, item: bytes) -> bytes | None:
        """One value, or None."""
        try:
            return kernel.read_item(self._depth, self._pages, group, item)
        except KeyError as missing:
            self._load(missing.args[0])
            return kernel.read_item(self._depth, self._pages, group, item)

    def group(self, group: bytes) -> dict[bytes, bytes]:
        """All items of a group, ascending by name; empty if there is no such group."""
        try:
            record = kernel.read_record(self._depth, self._pages, group)
        except KeyError as missing:
            self._load(missing.args[0])
            record = kernel.read_record(self._depth, self._pages, group)
        return {} if record is None else dict(_decode(record))

    def prove(self, group: bytes, item: bytes | None = None) -> StateProof:
        """The proof of a whole group or its absence; with `item`, other items are shown as hashes only."""
        bucket, items = bucket_of(group, self._depth), self.group(group)
        return _proof(self._pages[bucket] or b"", group, items, item, self._tree.path(bucket))

    def prove_at(self, root: bytes, group: bytes) -> StateProof | None:
        """The proof of a whole group when the state had this root; None: too long ago, or too much changed since."""
        undone = self._recent.since(root) if root != self.root else []
        if undone is None:
            return None
        bucket = bucket_of(group, self._depth)
        page = page_then(undone, bucket)
        if page is None:
            self.group(group)  # loads the bucket
            page = self._pages[bucket] or b""
        record = parse_page(page).get(group, (b"", b""))[1]
        path = enumerate(self._tree.path(bucket))
        siblings = tuple(node_then(undone, level, (bucket >> level) ^ 1) or here for level, here in path)
        return _proof(page, group, dict(_decode(record)) if record else {}, None, siblings)

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
        self._held += staging.growth
        self._recent.replaced(self._pages, self._tree, staging.nodes)
        for bucket in kernel.put_pages(self._pages, staging.nodes[0], staging.pages):
            self._move(bucket)
        self._tree.adopt(staging.nodes)
        self._release()
        self._evict()

    def _run(self, staging: Staging, writes: Writes) -> Iterator[None]:
        """The steps of a staging: buckets, then the levels above."""
        block = kernel.by_bucket(self._depth, writes)
        yield
        staged = (staging.pages, staging.puts)
        place, loads = 0, 0
        while place < len(writes):
            written, growth, nodes = kernel.write_buckets(
                keys.GROUP, self._depth, _LIMITS, self._pages, staged, block, place, SLICE_GROUPS
            )
            staging.growth += growth
            staging.buckets.append(nodes)
            sliced, place = written >= place + SLICE_GROUPS, written
            if not sliced and place < len(writes):
                self._make_room(block, place)
                loads += 1
            if sliced or loads == SLICE_LOADS:
                loads = 0  # A reader may evict the bucket just loaded; it is loaded again, and then written at once.
                yield
        staging.nodes = yield from self._tree.branches(b"".join(staging.buckets))
        staging.root = root_of(staging.nodes) or self.root
        staging.finished = True

    def _make_room(self, block: Block, place: int) -> None:
        """Cache a bucket that could not be written.

        Raises:
            Fault: it was not for want of its page.
        """
        names, changes, places = block
        bucket = int.from_bytes(places[4 * place : 4 * place + 4], "big")
        page = self._pages[bucket]
        if page is None:
            self._load(bucket)
            return
        try:
            groups = parse_page(page)
        except ValueError as error:
            raise fault(STATE_CORRUPT, bucket=bucket, reason=str(error)) from error
        for group, change in zip(names[place:], changes[place:], strict=True):
            if bucket_of(group, self._depth) != bucket:
                break
            refusal = _refusal(group, groups.get(group, (b"", b""))[1], change)
            if refusal is not None:
                raise refusal
        raise fault(STATE_CORRUPT, bucket=bucket, reason="the cached page is damaged")

    def _move(self, bucket: int) -> None:
        """Take over an adopted bucket that became empty or stopped being so."""
        if self._pages[bucket]:
            self._held += PAGE_OVERHEAD
            self._evictable[bucket] = None
        else:
            self._held -= PAGE_OVERHEAD
            self._evictable.pop(bucket, None)

    def _load(self, bucket: int) -> None:
        """Read a bucket from the engine into the cache.

        Raises:
            Fault: STATE_CORRUPT if it is not what the tree says.
        """
        page = _read_page(self._engine.iterate(keys.bucket(bucket)))
        if kernel.page_hash(self._depth, bucket, page) != self._tree.node(0, bucket):
            raise fault(STATE_CORRUPT, bucket=bucket)
        self._evict()
        self._cache(bucket, page)

    def _cache(self, bucket: int, page: bytes) -> None:
        self._pages[bucket] = page
        self._evictable[bucket] = None
        self._held += PAGE_OVERHEAD + len(page)

    def _evict(self) -> None:
        """Drop buckets until the budget is kept; what a staging needs, and one bucket more, may exceed it."""
        if self._held <= self._budget:
            return
        needed = self._current.numbers() if self._current is not None else ()
        while self._held > self._budget and self._evictable:
            bucket = next(iter(self._evictable))
            del self._evictable[bucket]
            if bucket in needed:
                self._parked.append(bucket)
            else:
                self._held -= PAGE_OVERHEAD + len(self._pages[bucket] or b"")
                self._pages[bucket] = None

    def _release(self) -> None:
        """The current staging is over: its buckets may be evicted again."""
        self._current = None
        self._evictable.update((bucket, None) for bucket in self._parked if self._pages[bucket])
        self._parked.clear()

    def _read_all(self) -> bytes:
        """The bucket hashes of everything stored; fills the cache up to its budget."""
        leaves: list[bytes] = []
        for bucket, rows in _by_bucket(self._engine.iterate(keys.GROUP)):
            if bucket >> self._depth:
                raise fault(STATE_CORRUPT, bucket=bucket, depth=self._depth)
            page = _read_page(rows)
            leaves += [kernel.page_hash(self._depth, empty, b"") for empty in range(len(leaves), bucket)]
            leaves.append(kernel.page_hash(self._depth, bucket, page))
            self._pages[bucket] = None
            if self._held < self._budget:
                self._cache(bucket, page)
        leaves += [kernel.page_hash(self._depth, empty, b"") for empty in range(len(leaves), 1 << self._depth)]
        return b"".join(leaves)


def _proof(
    page: bytes, group: bytes, items: dict[bytes, bytes], shown: bytes | None, path: tuple[bytes, ...]
) -> StateProof:
    """The proof of a group, or of one of its items, in a bucket with this page."""
    groups = parse_page(page)
    return StateProof(
        items=tuple((name, value) for name, value in items.items() if shown in (None, name)),
        hidden=tuple((name, value_hash(value)) for name, value in items.items() if shown not in (None, name)),
        neighbours=tuple((name, digest) for name, (digest, _) in groups.items() if name != group),
        path=path,
    )


def _refusal(group: bytes, record: bytes, changes: Changes) -> Fault | None:
    """Why the changes of a cached group cannot be written; None if they can."""
    if not 0 < len(group) <= STATE_KEY_BYTES_MAX:
        return fault(VALUE_TOO_LARGE, group=group, limit=STATE_KEY_BYTES_MAX)
    for item, value in changes.items():
        if value is not None and (len(item) > STATE_KEY_BYTES_MAX or len(value) > STATE_VALUE_BYTES_MAX):
            return fault(VALUE_TOO_LARGE, group=group, item=item, value_bytes=len(value))
    try:
        items = dict(_decode(record)) if record else {}
    except MsgspecError as error:
        return fault(STATE_CORRUPT, group=group, reason=str(error))
    count = sum(value is not None for value in {**items, **changes}.values())
    if count > GROUP_ITEMS_MAX:
        return fault(GROUP_FULL, group=group, items=count, limit=GROUP_ITEMS_MAX)
    return None


def _read_page(rows: Iterable[tuple[bytes, bytes]]) -> bytes:
    """The page of a bucket's stored groups."""
    try:
        return kernel.make_page([(key[_PREFIX:], record) for key, record in rows])
    except ValueError as error:
        raise fault(STATE_CORRUPT, reason=str(error)) from error


def _by_bucket(rows: Iterator[tuple[bytes, bytes]]) -> Iterator[tuple[int, list[tuple[bytes, bytes]]]]:
    """The stored groups of one bucket after the other."""
    prefix, part = b"", list[tuple[bytes, bytes]]()
    for row in rows:
        if row[0][:_PREFIX] != prefix:
            if part:
                yield keys.bucket_in(prefix), part
            prefix, part = row[0][:_PREFIX], []
        part.append(row)
    if part:
        yield keys.bucket_in(prefix), part
