"""The state as rules see it: decoded values over a committed view, with the writes of the block on top.

A value is decoded once per block and encoded once at its end, however many transactions touch it.  Changes of the
running transaction are logged, so that dropping them restores exactly what was there before (J4).
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any, Final, Protocol, TypeVar

from cccnode.codec import decode_trusted, encode
from cccnode.crypto.hashing import ACCOUNT, tagged
from cccnode.types.errors import GROUP_FULL, VALUE_TOO_LARGE, fault
from cccnode.types.limits import GROUP_ITEMS_MAX, STATE_KEY_BYTES_MAX, STATE_VALUE_BYTES_MAX

T = TypeVar("T")
Writes = dict[bytes, dict[bytes, bytes | None]]
"""Encoded changes by group and item; None deletes."""
_Key = tuple[bytes, bytes]
_UNREAD: Final = object()
"""Stands in the log for a cell that nobody had read."""


class StateView(Protocol):
    """The committed state of some height."""

    def get(self, group: bytes, item: bytes) -> bytes | None:
        """The encoded value, or None."""

    def group(self, group: bytes) -> Mapping[bytes, bytes]:
        """All items of a group."""


class Reader(Protocol):
    """What queries and admission may do: read decoded values."""

    def get(self, group: bytes, item: bytes, kind: type[T]) -> T | None:
        """The value, or None."""

    def has(self, group: bytes, item: bytes) -> bool:
        """Whether there is such an item."""

    def group(self, group: bytes, kind: type[T]) -> dict[bytes, T]:
        """All items of a group, sorted by item name."""


def module_account(name: str) -> bytes:
    """The account of a module's money (`m:fees`): no key hashes to it, because keys are 32 bytes long."""
    return tagged(ACCOUNT, b"m:" + name.encode())[:20]


class Overlay:
    """A writable layer over a view.  Single-threaded; the view must not change underneath.

    Cells are kept item by item (`balance of uccc`, `record`), each by group: two plain lookups and no tuple per access,
    which is what the budget of a full block leaves room for.
    """

    __slots__ = ("_cells", "_counts", "_dirty", "_log", "_view")

    def __init__(self, view: StateView) -> None:
        """An overlay without changes."""
        self._view = view
        self._cells: defaultdict[bytes, dict[bytes, Any]] = defaultdict(dict)
        """Decoded values by item and group."""
        self._log: dict[_Key, Any] = {}
        """What the running transaction found in each cell that it changed."""
        self._dirty: dict[_Key, Any] = {}
        """Keys of committed changes; their values here mean nothing."""
        self._counts: dict[bytes, int] = {}

    def get(self, group: bytes, item: bytes, kind: type[T]) -> T | None:
        """The decoded value of an item, or None.  `kind` is the same for one item everywhere."""
        cells = self._cells[item]
        value: T | None = cells.get(group, _UNREAD)
        if value is _UNREAD:
            raw = self._view.get(group, item)
            value = cells[group] = None if raw is None else decode_trusted(kind, raw)
        return value

    def has(self, group: bytes, item: bytes) -> bool:
        """Whether there is such an item; cheaper than reading it."""
        value = self._cells[item].get(group, _UNREAD)
        return self._view.get(group, item) is not None if value is _UNREAD else value is not None

    def put(self, group: bytes, item: bytes, value: object) -> None:
        """Set an item, or delete it with None.

        Raises:
            Fault: state/GROUP_FULL when a new item would be one too many, state/VALUE_TOO_LARGE for a key or value
                above the limits; so no message can make a block that cannot be stored.
        """
        cells = self._cells[item]
        before = cells.get(group, _UNREAD)
        if before is None or before is _UNREAD or value is None:
            self._recount(group, item, value)
        if type(value) is not int and value is not None and len(encode(value)) > STATE_VALUE_BYTES_MAX:
            raise fault(VALUE_TOO_LARGE, group=group, item=item, limit=STATE_VALUE_BYTES_MAX)
        key = (group, item)
        if key not in self._log:
            self._log[key] = before
        cells[group] = value

    def _recount(self, group: bytes, item: bytes, value: object) -> None:
        """Keep the group's item count when an item may appear or disappear."""
        step = (value is not None) - self.has(group, item)
        if not step:
            return
        if len(group) > STATE_KEY_BYTES_MAX or len(item) > STATE_KEY_BYTES_MAX:
            raise fault(VALUE_TOO_LARGE, group=group, item=item, limit=STATE_KEY_BYTES_MAX)
        count = self._counts.get(group)
        if count is None:
            count = len(self._view.group(group))
        if count + step > GROUP_ITEMS_MAX:
            raise fault(GROUP_FULL, group=group, items=count)
        self._counts[group] = count + step

    def group(self, group: bytes, kind: type[T]) -> dict[bytes, T]:
        """All items of a group, changes included, sorted by item name.  For small groups of one kind."""
        items: dict[bytes, T] = {item: decode_trusted(kind, raw) for item, raw in self._view.group(group).items()}
        for item, cells in self._cells.items():
            if group in cells:
                items.pop(item, None)
                value = cells[group]
                if value is not None:
                    items[item] = value
        return dict(sorted(items.items()))

    def commit(self) -> None:
        """Keep the changes since the last commit or rollback."""
        self._dirty.update(self._log)
        self._log.clear()

    def rollback(self) -> None:
        """Drop the changes since the last commit: every cell is as it was."""
        for (group, item), before in self._log.items():
            present = self.has(group, item)
            if before is _UNREAD:
                del self._cells[item][group]
            else:
                self._cells[item][group] = before
            if group in self._counts:
                self._counts[group] += self.has(group, item) - present
        self._log.clear()

    def changes(self) -> Iterator[tuple[bytes, bytes, bytes | None]]:
        """The committed changes, encoded, in the order of first change: (group, item, value or None)."""
        assert not self._log, "an open transaction has no result"
        cells = self._cells
        for group, item in self._dirty:
            value = cells[item][group]
            yield group, item, None if value is None else encode(value)


def writes_of(overlay: Overlay) -> Writes:
    """All committed changes of an overlay, grouped."""
    writes: Writes = {}
    for group, item, raw in overlay.changes():
        add_write(writes, group, item, raw)
    return writes


def add_write(writes: Writes, group: bytes, item: bytes, raw: bytes | None) -> None:
    """Put one change among the others of its group."""
    items = writes.get(group)
    if items is None:
        writes[group] = {item: raw}
    else:
        items[item] = raw


class Patched:
    """A view with the writes of a block on top: the state as it will be once the block is stored."""

    __slots__ = ("_view", "_writes")

    def __init__(self, view: StateView, writes: Writes) -> None:
        """Neither is changed."""
        self._view, self._writes = view, writes

    def get(self, group: bytes, item: bytes) -> bytes | None:
        """The encoded value, or None."""
        changed = self._writes.get(group)
        return changed[item] if changed is not None and item in changed else self._view.get(group, item)

    def group(self, group: bytes) -> Mapping[bytes, bytes]:
        """All items of a group."""
        changed = self._writes.get(group)
        if changed is None:
            return self._view.group(group)
        items = {**self._view.group(group), **changed}
        return {item: raw for item, raw in sorted(items.items()) if raw is not None}


class DictState:
    """A state in memory: for genesis, tests, benchmarks and the simulation of many nodes."""

    __slots__ = ("groups",)

    def __init__(self) -> None:
        """An empty state."""
        self.groups: dict[bytes, dict[bytes, bytes]] = {}

    def get(self, group: bytes, item: bytes) -> bytes | None:
        """The encoded value, or None."""
        items = self.groups.get(group)
        return None if items is None else items.get(item)

    def group(self, group: bytes) -> Mapping[bytes, bytes]:
        """All items of a group."""
        return self.groups.get(group, {})

    def apply(self, writes: Mapping[bytes, Mapping[bytes, bytes | None]]) -> None:
        """Carry out the writes of a block."""
        for group, items in writes.items():
            mine = self.groups.setdefault(group, {})
            for item, raw in items.items():
                if raw is None:
                    mine.pop(item, None)
                else:
                    mine[item] = raw
            if not mine:
                del self.groups[group]
