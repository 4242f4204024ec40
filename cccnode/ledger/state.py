"""The state as rules see it: decoded values over a committed view, with the writes of the block on top.

A value is decoded once per block and encoded once at its end, however many transactions touch it.  Changes of the
running transaction are logged, so that dropping them restores exactly what was there before (J4).
"""

import sys
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar

from cccnode.codec import decode_trusted, decoder, encode
from cccnode.crypto import kernel
from cccnode.crypto.hashing import ACCOUNT, tagged
from cccnode.ledger import cells
from cccnode.ledger.cells import Cells, Rules
from cccnode.types.errors import GROUP_FULL, VALUE_TOO_LARGE, Fault, fault
from cccnode.types.limits import GROUP_ITEMS_MAX, STATE_KEY_BYTES_MAX, STATE_VALUE_BYTES_MAX

T = TypeVar("T")
Writes = cells.Writes
"""Encoded changes by group and item; None deletes."""


class StateView(Protocol):
    """The committed state of some height.

    A view may have an attribute `cache`: (depth, pages) as `crypto.trees` has them.  An overlay then looks into cached
    pages itself and asks `get` for what is not there.
    """

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


class Scan(Reader, Protocol):
    """What invariants may do beside: find every group."""

    def groups(self, prefix: bytes) -> Iterator[bytes]:
        """Every group whose name begins so, sorted."""


def module_account(name: str) -> bytes:
    """The account of a module's money (`m:fees`): no key hashes to it, because keys are 32 bytes long."""
    return tagged(ACCOUNT, b"m:" + name.encode())[:20]


def _full(group: bytes, item: bytes, items: int) -> Fault:
    """A group that has no room for an item."""
    del item
    return fault(GROUP_FULL, group=group, items=items)


def _large(group: bytes, item: bytes, limit: int) -> Fault:
    """A name or value that is too long."""
    return fault(VALUE_TOO_LARGE, group=group, item=item, limit=limit)


@cache
def _reader(kind: Any) -> Callable[[bytes], Any]:
    """What decodes values of a kind."""
    reader: Callable[[bytes], Any] = decoder(kind).decode
    return reader


_RULES: Final = Rules(
    _reader, decode_trusted, encode, _full, _large, GROUP_ITEMS_MAX, STATE_KEY_BYTES_MAX, STATE_VALUE_BYTES_MAX
)

if TYPE_CHECKING:
    _Cells = Cells
else:
    _Cells = kernel.CELLS or Cells


class Overlay(_Cells):
    """A writable layer over a view.  Single-threaded; the view must not change underneath.

    `get`, `has`, `put` (which raises state/GROUP_FULL and state/VALUE_TOO_LARGE), `commit` and `rollback` are those of
    `Cells`, native where the kernel is: half of executing a transfer is spent in them.
    """

    __slots__ = ()

    def __init__(self, view: StateView) -> None:
        """An overlay without changes."""
        super().__init__(view, getattr(view, "cache", None), _RULES)

    def group(self, group: bytes, kind: type[T]) -> dict[bytes, T]:
        """All items of a group, changes included, sorted by item name.  For small groups of one kind."""
        known = self.known(group)
        items: dict[bytes, T] = {
            item: decode_trusted(kind, raw) for item, raw in self.view.group(group).items() if item not in known
        }
        items.update((item, value) for item, value in known.items() if value is not None)
        return dict(sorted(items.items()))

    def changes(self) -> Iterator[tuple[bytes, bytes, bytes | None]]:
        """The committed changes, encoded: (group, item, value or None), groups in the order of their first change."""
        for group, items in writes_of(self).items():
            for item, raw in items.items():
                yield group, item, raw


class WholeState(Overlay):
    """A committed state in memory, read whole: for invariants and audits."""

    __slots__ = ("_names",)

    def __init__(self, state: "DictState") -> None:
        """`state` must not change as long as this is used."""
        super().__init__(state)
        self._names = sorted(state.groups)

    def groups(self, prefix: bytes) -> Iterator[bytes]:
        """Every group whose name begins so, sorted."""
        for name in self._names[bisect_left(self._names, prefix) :]:
            if not name.startswith(prefix):
                return
            yield name


def writes_of(overlay: Overlay) -> Writes:
    """All committed changes of an overlay, grouped."""
    writes: Writes = {}
    overlay.collect(writes, 0, sys.maxsize)
    return writes


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
