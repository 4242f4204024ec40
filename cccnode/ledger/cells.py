"""Cells of an overlay in Python: the definition of the kernel's class `Cells`, and the fallback without the extension.

Both take the same arguments and do the same; the tests compare them over random sequences of calls.
"""

from collections import defaultdict
from collections.abc import Callable
from typing import Any, Final, NamedTuple, TypeVar

T = TypeVar("T")
Writes = dict[bytes, dict[bytes, bytes | None]]
"""Encoded changes by group and item; None deletes."""
_Key = tuple[bytes, bytes]
_UNREAD: Final = object()
"""Stands in the log for a cell that nobody had read."""


class Rules(NamedTuple):
    """What cells do not know themselves."""

    reader: Callable[[Any], Callable[[bytes], Any]]
    """What decodes values of a kind."""
    read: Callable[[Any, bytes], Any]
    """The same in one call, with the error to raise if a value is damaged: for when the reader failed."""
    encode: Callable[[Any], bytes]
    full: Callable[[bytes, bytes, int], Exception]
    """What is raised when a group with so many items cannot have this one too."""
    large: Callable[[bytes, bytes, int], Exception]
    """What is raised when a name or the value of an item is above this limit, in bytes."""
    items_max: int
    """Items of a group."""
    name_max: int
    """Bytes of a group's or an item's name."""
    value_max: int
    """Bytes of an encoded value; integers are never too large."""


class Cells:
    """Decoded values over a view, kept item by item (`balance of uccc`, `record`), each by group."""

    __slots__ = ("_cells", "_counts", "_dirty", "_log", "_rules", "view")

    def __init__(self, view: Any, cache: tuple[int, Any] | None, rules: Rules) -> None:
        """Nothing read, nothing changed.  `cache` is for the native class, which reads pages itself."""
        del cache
        self.view = view
        """The committed state underneath."""
        self._rules = rules
        self._cells: defaultdict[bytes, dict[bytes, Any]] = defaultdict(dict)
        """Decoded values by item and group."""
        self._log: dict[_Key, Any] = {}
        """What the running transaction found in each cell that it changed."""
        self._dirty: dict[_Key, None] = {}
        """Committed changes, in the order of the first change of each."""
        self._counts: dict[bytes, int] = {}
        """Items by group, where a change may have altered their number."""

    def get(self, group: bytes, item: bytes, kind: type[T]) -> T | None:
        """The decoded value of an item, or None.  `kind` is the same for one item everywhere."""
        cells = self._cells[item]
        value: T | None = cells.get(group, _UNREAD)
        if value is _UNREAD:
            raw = self.view.get(group, item)
            value = cells[group] = None if raw is None else self._rules.read(kind, raw)
        return value

    def has(self, group: bytes, item: bytes) -> bool:
        """Whether there is such an item; cheaper than reading it."""
        value = self._cells[item].get(group, _UNREAD)
        return self.view.get(group, item) is not None if value is _UNREAD else value is not None

    def known(self, group: bytes) -> dict[bytes, Any]:
        """Items of a group that were read or written, with their values; None for those that are not there."""
        return {item: cells[group] for item, cells in self._cells.items() if group in cells}

    def put(self, group: bytes, item: bytes, value: object) -> None:
        """Set an item, or delete it with None.

        Raises:
            Exception: `Rules.full` when a new item would be one too many, `Rules.large` for a key or value above the
                limits; so no message can make a block that cannot be stored.
        """
        rules, cells = self._rules, self._cells[item]
        if type(value) is not int and value is not None and len(rules.encode(value)) > rules.value_max:
            raise rules.large(group, item, rules.value_max)  # Before it is counted: what is refused leaves no trace.
        before = cells.get(group, _UNREAD)
        if before is None or before is _UNREAD or value is None:
            self._recount(group, item, value)
        key = (group, item)
        if key not in self._log:
            self._log[key] = before
        cells[group] = value

    def take(self, group: bytes, item: bytes, amount: int) -> int:
        """Take an amount from an integer, if that is enough; return what it was.  Zero and no item are the same.

        Raises:
            Exception: as `put`.
        """
        _check(amount)
        owned = self._number(group, item)
        if owned >= amount:
            self.put(group, item, owned - amount or None)
        return owned

    def give(self, group: bytes, item: bytes, amount: int, limit: int) -> int:
        """Add an amount to an integer, if the sum is within the limit; return the sum.

        Raises:
            Exception: as `put`.
        """
        _check(amount)
        _check(limit)
        total = self._number(group, item) + amount
        if total <= limit:
            self.put(group, item, total or None)
        return total

    def _number(self, group: bytes, item: bytes) -> int:
        value = self.get(group, item, int)
        return 0 if value is None else _check(value)

    def _recount(self, group: bytes, item: bytes, value: object) -> None:
        """Keep the group's item count when an item may appear or disappear."""
        step = (value is not None) - self.has(group, item)
        if not step:
            return
        rules = self._rules
        if len(group) > rules.name_max or len(item) > rules.name_max:
            raise rules.large(group, item, rules.name_max)
        count = self._counts.get(group)
        if count is None:
            count = len(self.view.group(group))
        if count + step > rules.items_max:
            raise rules.full(group, item, count)
        self._counts[group] = count + step

    def commit(self) -> None:
        """Keep the changes since the last commit or rollback."""
        for key in self._log:
            self._dirty[key] = None
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

    def collect(self, writes: Writes, start: int, count: int) -> int:
        """Encode up to `count` committed changes into `writes`, from number `start` on, in the order of first change.

        Returns how many changes are in `writes` then.
        """
        assert not self._log, "an open transaction has no result"
        changes = [*self._dirty][start : start + count]
        for group, item in changes:
            value = self._cells[item][group]
            writes.setdefault(group, {})[item] = None if value is None else self._rules.encode(value)
        return start + len(changes)


def _check(value: int) -> int:
    if type(value) is not int:
        raise TypeError("amounts must be integers")
    return value
