"""The kernel's functions on trees and groups in Python: the definition, and the fallback without the extension.

Each function here and its namesake in `native/` give the same for the same arguments; the tests compare them.

A *page* is a bucket in memory: `size u8 ‖ group ‖ group hash ‖ record size u32 ‖ record` for each of its groups,
ascending by group; b"" for none.  A *record* is the encoded [[item, value], ...] of a group, ascending by item.
*Nodes* of one level of the state tree are one byte string of `index u32 ‖ hash`, ascending by index.
"""

from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256
from struct import Struct
from typing import Final

from msgspec import MsgspecError
from msgspec.msgpack import Decoder

from cccnode.codec import decoder, encode
from cccnode.crypto.hashing import BRANCH
from cccnode.crypto.proofs import bucket_hash, bucket_of, group_hash, listed

Changes = dict[bytes, bytes | None]
"""Item -> new value; None deletes the item."""
Limits = tuple[int, int, int]
"""Items of a group, bytes of a group's or item's name, bytes of a value."""
Pages = list[bytes | None]
"""The page of each bucket; None stands for one that has groups and must be cached first."""
Staged = tuple[list[bytes], list[tuple[bytes, bytes | None]]]
"""What a block changes: pages, in the order of their nodes, and what the engine must write."""
Block = tuple[tuple[bytes, ...], tuple[Changes, ...], bytes]
"""Groups ascending by bucket and name, their changes, and their buckets as u32."""

_NODE: Final = Struct(">I32s")
_pack_node: Final = _NODE.pack
_put_hash: Final = Struct("32s").pack_into  # Twice as fast as assigning a slice.
_children: Final = Struct("32s32s").unpack_from
_PAIRS: Final[Decoder[list[tuple[bytes, bytes]]]] = decoder(list[tuple[bytes, bytes]])
_U32: Final = Struct(">I")
_UNCHANGED: Final[Mapping[bytes, tuple[bytes, bytes]]] = {}
"""Stands for the groups of a bucket in which nothing changed."""
_NAME_MAX: Final = 255
_ITEMS_MAX: Final = 65_535
"""The length byte before a name and the widest array header of a record; the state's limits are lower."""


def tagged_many(tag: bytes, messages: Sequence[bytes]) -> list[bytes]:
    """SHA-256 of `tag` followed by each message."""
    return [sha256(tag + message).digest() for message in messages]


def list_root(leaves: Sequence[bytes]) -> bytes:
    """The RFC 6962 root over byte strings."""
    level = tagged_many(b"\x00", leaves)
    while len(level) > 1:
        level = next_level(level)
    return level[0] if level else sha256(b"").digest()


def next_level(level: list[bytes]) -> list[bytes]:
    """The nodes above a level of hashes in an RFC 6962 tree; an odd last one moves up unchanged."""
    odd, pairs = level[-1:] if len(level) & 1 else [], iter(level)
    # zip over one iterator takes two neighbours at a time.
    return [sha256(b"\x01" + a + b).digest() for a, b in zip(pairs, pairs, strict=False)] + odd


def parents(level: bytes | bytearray, nodes: bytes) -> bytes:
    """The nodes above `nodes`; what did not change beside them stands in `level`."""
    changed = dict(_NODE.iter_unpack(nodes))
    get, above = changed.get, []
    for parent in dict.fromkeys([index >> 1 for index in changed]):
        left, right = _children(level, parent << 6)
        child = parent << 1
        hashed = sha256(BRANCH + get(child, left) + get(child | 1, right)).digest()
        above.append(_pack_node(parent, hashed))
    return b"".join(above)


def put_nodes(level: bytearray, nodes: bytes) -> None:
    """Copy the nodes into their level."""
    for index, value in _NODE.iter_unpack(nodes):
        _put_hash(level, index << 5, value)


def parse_page(page: bytes) -> dict[bytes, tuple[bytes, bytes]]:
    """Group -> (group hash, record).

    Raises:
        ValueError: not a page.
    """
    groups, start = {}, 0
    while start < len(page):
        name = start + 1 + page[start]
        digest = name + 32
        record = digest + 4
        end = record + int.from_bytes(page[digest:record], "big")
        if not record <= end <= len(page):
            raise ValueError("not a page")
        groups[page[start + 1 : name]] = page[name:digest], page[record:end]
        start = end
    return groups


def make_page(rows: Iterable[tuple[bytes, bytes]]) -> bytes:
    """The page of a bucket with these (group, record), ascending by group.

    Raises:
        ValueError: no node has written them.
    """
    groups: dict[bytes, tuple[bytes, bytes]] = {}
    before = b""
    for group, record in rows:
        if not before < group or len(group) > _NAME_MAX:
            raise ValueError("not the groups of a bucket")
        groups[group] = group_hash(group, _read(record)), record
        before = group
    return _page(groups)


def page_hash(depth: int, bucket: int, page: bytes) -> bytes:
    """The hash of a bucket by its page.

    Raises:
        ValueError: not a page, or a bucket beyond the tree.
    """
    if bucket >> depth:
        raise ValueError("a bucket beyond the tree")
    return bucket_hash(depth, bucket, listed((group, digest) for group, (digest, _) in parse_page(page).items()))


def put_pages(pages: Pages, nodes: bytes, new: list[bytes]) -> list[int]:
    """Put the pages of changed buckets, whose nodes these are, in their places.

    Returns:
        The buckets that become empty or stop being so, in order.
    """
    moved = []
    for (bucket, _), page in zip(_NODE.iter_unpack(nodes), new, strict=True):
        if bool(pages[bucket]) != bool(page):
            moved.append(bucket)
        pages[bucket] = page
    return moved


def read_record(depth: int, pages: Pages, group: bytes) -> bytes | None:
    """The record of a group.

    Raises:
        KeyError: its bucket, which is the argument, must be cached first.
    """
    bucket = bucket_of(group, depth)
    page, start = pages[bucket], 0
    if page is None:
        raise KeyError(bucket)
    while start < len(page):
        name = start + 1 + page[start]
        record = name + 36
        end = record + int.from_bytes(page[name + 32 : record], "big")
        if page[start + 1 : name] == group:
            return page[record:end]
        start = end
    return None


def read_item(depth: int, pages: Pages, group: bytes, item: bytes) -> bytes | None:
    """One value of a group.

    Raises:
        KeyError: its bucket, which is the argument, must be cached first.
    """
    record = read_record(depth, pages, group)
    return None if record is None else dict(_PAIRS.decode(record)).get(item)


def by_bucket(depth: int, writes: Mapping[bytes, Changes]) -> Block:
    """A block's writes in the order in which `write_buckets` wants them."""
    order = sorted([(bucket_of(group, depth), group) for group in writes])
    groups = tuple([group for _, group in order])
    return groups, tuple([writes[group] for group in groups]), b"".join([_U32.pack(bucket) for bucket, _ in order])


def write_buckets(
    prefix: bytes, depth: int, limits: Limits, pages: Pages, staged: Staged, block: Block, start: int, count: int
) -> tuple[int, int, bytes]:
    """Write whole buckets from write number `start` on, until `count` groups or more are written.

    It ends before a bucket that must be cached first, that has a group over a limit, or that is damaged; the caller
    finds out which.  What changes goes into `staged`; keys for the engine begin with `prefix`.

    Returns:
        The number of the first write that is left, by how many bytes the pages have grown, and the buckets' nodes.
    """
    names, changes, places = block
    growth, nodes = 0, []
    stop = min(start + count, len(names))
    while start < stop:
        place = places[4 * start : 4 * start + 4]
        end = start + 1
        while places[4 * end : 4 * end + 4] == place:
            end += 1
        bucket = int.from_bytes(place, "big")
        before = pages[bucket]
        if before is None:
            break
        groups = _write_bucket(
            prefix + place, limits, before, zip(names[start:end], changes[start:end], strict=True), staged[1]
        )
        if groups is None:
            break
        if groups is not _UNCHANGED:
            after = _page(groups)
            listing = listed([(group, digest) for group, (digest, _) in sorted(groups.items())])
            nodes.append(_pack_node(bucket, bucket_hash(depth, bucket, listing)))
            growth += len(after) - len(before)
            staged[0].append(after)
        start = end
    return start, growth, b"".join(nodes)


def _write_bucket(
    prefix: bytes,
    limits: Limits,
    page: bytes,
    writes: Iterable[tuple[bytes, Changes]],
    puts: list[tuple[bytes, bytes | None]],
) -> Mapping[bytes, tuple[bytes, bytes]] | None:
    """The new groups of a bucket as `parse_page` has them; None if one cannot be written."""
    new_puts: list[tuple[bytes, bytes | None]] = []
    try:
        groups = parse_page(page)
        for group, changes in writes:
            _, before = groups.get(group, (b"", b""))
            pairs = _changed(group, before, changes, limits)
            after = encode(pairs) if pairs else b""
            if after == before:
                continue
            new_puts.append((prefix + group, after or None))
            if after:
                groups[group] = group_hash(group, pairs), after
            else:
                del groups[group]
    except ValueError:
        return None
    puts += new_puts
    return groups if new_puts else _UNCHANGED


def _page(groups: Mapping[bytes, tuple[bytes, bytes]]) -> bytes:
    return b"".join(
        [
            bytes((len(group),)) + group + digest + _U32.pack(len(record)) + record
            for group, (digest, record) in sorted(groups.items())
        ]
    )


def _read(record: bytes) -> list[tuple[bytes, bytes]]:
    """The items of a record."""
    try:
        pairs = _PAIRS.decode(record)
    except (MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(str(error)) from error
    if not 0 < len(pairs) <= _ITEMS_MAX or any(len(item) > _NAME_MAX for item, _ in pairs):
        raise ValueError("no group has such items")
    if encode(pairs) != record or pairs != sorted(dict(pairs).items()):
        raise ValueError("not the record of a group")
    return pairs


def _changed(group: bytes, record: bytes, changes: Changes, limits: Limits) -> list[tuple[bytes, bytes]]:
    """The items of a group after the changes; ValueError if a limit is broken or the record is damaged."""
    items_max, name_max, value_max = limits
    items = dict(_read(record)) if record else {}
    for item, value in changes.items():
        if value is None:
            items.pop(item, None)
        elif len(item) <= name_max and len(value) <= value_max:
            items[item] = value
        else:
            raise ValueError("over a limit")
    if not 0 < len(group) <= name_max or len(items) > items_max:
        raise ValueError("over a limit")
    return sorted(items.items())
