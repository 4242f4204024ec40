"""Objects of consensus as bytes that are safe to read from anybody: a table of rows with plain values in it.

A row is a container, a member of an enumeration, a noun (its canonical bytes) or an object with its attributes; a cell
is a plain value or the number of an earlier row.  So what is read cannot be circular or deep, and reading it runs no
code but the nouns' own checks.  What two places share in memory they share again after reading, because the engine
compares some certificates by identity.

Which classes may appear follows from the classes themselves: everything that the engine knows of `consensus` and of
`cccnode.types`, directly or through what it imports.  Callables never appear: where an attribute holds one of those in
`HOOKS`, its name stands in the row, and the reader puts in its own.
"""

import sys
from collections import deque
from collections.abc import Callable, Mapping
from enum import Enum, IntEnum
from functools import cache
from types import MappingProxyType, ModuleType
from typing import Any, Final

from cccnode.codec import DecodeError, Noun, decode, encode
from cccnode.crypto.hashing import tagged
from cccnode.types.errors import INCIDENT_INVALID, INCIDENT_VERSION, Fault, fault
from consensus.engine import Engine

HOOKS: Final = ("_sign", "_verify_many")
"""Attributes that hold a callable of the outside world: all that an engine is given besides values."""
DEPTH_MAX: Final = 32
"""Objects within objects that are read; consensus state has about ten."""
KEY_CELLS_MAX: Final = 64
"""Cells of one key or set member: hashing a key visits each of them."""
CELLS_MAX: Final = 1 << 22
"""Cells of a graph with everything that is shared written out."""

_ROOMS: Final = ("consensus.", "cccnode.types.")
_PLAIN: Final = frozenset({type(None), bool, int, bytes, str})


class _Tag(IntEnum):
    """What a row is; higher numbers are objects, nouns and members of the classes in the table."""

    LIST = 0
    TUPLE = 1
    DICT = 2
    SET = 3
    FROZENSET = 4
    DEQUE = 5
    HOOK = 6


_CLASSES_FROM: Final = 7
_SEQUENCES: Final[Mapping[type, _Tag]] = {list: _Tag.LIST, tuple: _Tag.TUPLE}
_SETS: Final[Mapping[type, _Tag]] = {set: _Tag.SET, frozenset: _Tag.FROZENSET}
_LAYOUT: Final = b"ccc/1/layout"

Layouts = Mapping[type, tuple[str, ...]]
"""Classes with the names of their attributes, sorted."""


# ----- which classes there are


@cache
def classes() -> Mapping[str, type]:
    """Every class that may appear, by its full name."""
    found: dict[str, type] = {}
    seen: set[str] = set()
    modules = [Engine.__module__]
    while modules:
        name = modules.pop()
        if name in seen:
            continue
        seen.add(name)
        for value in vars(sys.modules[name]).values():
            if isinstance(value, ModuleType) and value.__name__.startswith(_ROOMS):
                modules.append(value.__name__)
            elif isinstance(value, type) and value.__module__.startswith(_ROOMS):
                modules.append(value.__module__)
                if not issubclass(value, BaseException):
                    found[_name(value)] = value
    return MappingProxyType(dict(sorted(found.items())))


@cache
def layout() -> bytes:
    """A hash over the names of all these classes and their attributes: two programs that differ in it must not mix."""
    rows = [[name, _is_noun(kind), list(_declared(kind) or ())] for name, kind in classes().items()]
    return tagged(_LAYOUT, encode(rows))


def _name(kind: type) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"


def _is_noun(kind: type) -> bool:
    return issubclass(kind, Noun)


def _declared(kind: type) -> tuple[str, ...] | None:
    """What a class says of its attributes; None where each object has a dictionary of its own."""
    if issubclass(kind, Noun):
        return tuple(kind.__struct_fields__)
    if issubclass(kind, Enum):
        return tuple(kind.__members__)
    if kind.__dictoffset__:
        return None
    return tuple(sorted({name for base in kind.__mro__ for name in getattr(base, "__slots__", ())}))


def _attributes(value: object) -> tuple[str, ...]:
    names = _declared(type(value))
    return tuple(sorted(vars(value))) if names is None else tuple(name for name in names if hasattr(value, name))


# ----- writing


def encode_graph(value: object, *, shared: bool = True) -> bytes:
    """The bytes of `value` and of everything it holds.

    With `shared=False` equal values have equal bytes, whoever holds them: for comparing, not for reading back.

    Raises:
        Fault: `incident/VERSION`, for a value that is not of the classes above: a mistake of ours.
    """
    writer = _Writer(shared=shared)
    root = writer.cell(value)
    kinds = [[_name(kind), list(names)] for kind, names in writer.kinds]
    return encode([kinds, writer.rows, root])


def layouts(value: object) -> Layouts:
    """The classes of `value` and of everything it holds, with the attributes they have in it."""
    writer = _Writer(shared=True)
    writer.cell(value)
    return {kind: names for kind, names in writer.kinds}  # noqa: C416 - the keys are the pairs


class _Writer:
    """Rows in the making; whatever a row refers to is written before it."""

    def __init__(self, *, shared: bool) -> None:
        self.rows: list[list[object]] = []
        self.kinds: dict[tuple[type, tuple[str, ...]], int] = {}
        self._shared = shared
        self._places: dict[int, int] = {}
        self._open: set[int] = set()

    def cell(self, value: object) -> object:
        if type(value) in _PLAIN:
            return value
        key = id(value)  # order-free: it finds an object again and never reaches the bytes
        place = self._places.get(key)
        if place is None:
            if key in self._open:
                raise fault(INCIDENT_VERSION, what=f"{_name(type(value))} within itself")
            self._open.add(key)
            place = self._append(self._row(value))
            self._open.discard(key)
            if self._shared:
                self._places[key] = place
        return [place]

    def _append(self, row: list[object]) -> int:
        self.rows.append(row)
        return len(self.rows) - 1

    def _row(self, value: Any) -> list[object]:
        kind = type(value)
        if kind in _SEQUENCES:
            return [_SEQUENCES[kind], *map(self.cell, value)]
        if kind in _SETS:
            return [_SETS[kind], *map(self.cell, sorted(value, key=_order))]
        if kind is dict:
            return [_Tag.DICT, *(self.cell(part) for item in value.items() for part in item)]
        if kind is deque:
            return [_Tag.DEQUE, value.maxlen, *map(self.cell, value)]
        if classes().get(_name(kind)) is not kind:
            raise fault(INCIDENT_VERSION, what=_name(kind))
        if isinstance(value, Noun):
            return [self._kind(kind, ()), encode(value)]
        if isinstance(value, Enum):
            return [self._kind(kind, ()), value.value]
        names = _attributes(value)
        cells = [self._attribute(name, getattr(value, name)) for name in names]
        return [self._kind(kind, names), *cells]

    def _attribute(self, name: str, value: object) -> object:
        if name in HOOKS and callable(value):
            return [self._append([_Tag.HOOK, name])]
        return self.cell(value)

    def _kind(self, kind: type, names: tuple[str, ...]) -> int:
        return _CLASSES_FROM + self.kinds.setdefault((kind, names), len(self.kinds))


def _order(member: object) -> bytes:
    """Members of a set stand in the order of their bytes."""
    return encode_graph(member, shared=False)


# ----- reading


def decode_graph(raw: bytes, *, hooks: Mapping[str, Callable[..., Any]], known: Layouts) -> Any:
    """What was written, made anew; `hooks` are the callables to put in, by attribute.

    `known` says which attributes classes have that keep them in a dictionary.

    Raises:
        Fault: `incident/INVALID` for bytes that `encode_graph` would not write; `incident/VERSION` for classes that
            this program does not have, or that look different here.
    """
    try:
        table = decode(list, raw)
        if len(table) != 3 or not _is_list(table[0]) or not _is_list(table[1]):
            raise _Unreadable("not a table")
        reader = _Reader(_kinds(table[0], known), hooks)
        for row in table[1]:
            reader.read(row)
        root = reader.cell(table[2])
    except (DecodeError, TypeError, ValueError) as error:
        raise fault(INCIDENT_INVALID, why=f"a graph: {error}") from error
    if _again(root) != raw:
        raise fault(INCIDENT_INVALID, why="a graph: not as this program would write it")
    return root


def _again(root: object) -> bytes | None:
    try:
        return encode_graph(root)
    except Fault:  # A callable where no attribute holds it.
        return None


class _Unreadable(ValueError):
    """A row that the writer would not have written."""


def _kinds(table: list[Any], known: Layouts) -> list[tuple[type, tuple[str, ...]]]:
    found = []
    for entry in table:
        if not (_is_list(entry, 2) and isinstance(entry[0], str) and _is_list(entry[1])):
            raise _Unreadable("not a class")
        name, names = entry[0], tuple(entry[1])
        kind = classes().get(name)
        if kind is None:
            raise fault(INCIDENT_VERSION, what=name[:80])
        plain = issubclass(kind, Noun | Enum)
        expected = () if plain else _declared(kind)
        if names != (known.get(kind) if expected is None else expected):
            raise fault(INCIDENT_VERSION, what=name[:80], attributes=[str(item)[:80] for item in names[:32]])
        found.append((kind, names))
    return found


def _is_list(value: object, length: int | None = None) -> bool:
    return type(value) is list and (length is None or len(value) == length)


class _Reader:
    """Values made of rows, from the first to the last; a row refers to earlier ones only."""

    def __init__(self, kinds: list[tuple[type, tuple[str, ...]]], hooks: Mapping[str, Callable[..., Any]]) -> None:
        self._kinds, self._hooks = kinds, hooks
        self._values: list[Any] = []
        self._sizes: list[tuple[int, int]] = []
        """Of each row: cells with everything shared written out, and depth."""
        self._cells = self._depth = 0

    def read(self, row: object) -> None:
        """One more row."""
        if not isinstance(row, list) or not row or type(row[0]) is not int:
            raise _Unreadable("not a row")
        self._cells, self._depth = 1, 0
        self._values.append(self._value(row[0], row[1:]))
        self._sizes.append((self._cells, self._depth + 1))
        if self._cells > CELLS_MAX or self._depth > DEPTH_MAX:
            raise _Unreadable("too large or too deep")

    def cell(self, cell: object) -> Any:
        """A plain value, or what an earlier row holds."""
        if type(cell) in _PLAIN:
            self._cells += 1
            return cell
        if not (isinstance(cell, list) and _is_list(cell, 1) and type(cell[0]) is int):
            raise _Unreadable("not a cell")
        place = cell[0]
        if not 0 <= place < len(self._values):
            raise _Unreadable("refers to a later row")
        size, depth = self._sizes[place]
        self._cells += size
        self._depth = max(self._depth, depth)
        return self._values[place]

    def _key(self, cell: object) -> Any:
        """A cell that will be hashed."""
        before = self._cells
        value = self.cell(cell)
        if self._cells - before > KEY_CELLS_MAX:
            raise _Unreadable("a key too large")
        return value

    def _value(self, tag: int, cells: list[object]) -> Any:
        match tag:
            case _Tag.LIST:
                return [self.cell(cell) for cell in cells]
            case _Tag.TUPLE:
                return tuple(self.cell(cell) for cell in cells)
            case _Tag.DICT:
                return self._dictionary(cells)
            case _Tag.SET | _Tag.FROZENSET:
                members = [self._key(cell) for cell in cells]
                return set(members) if tag == _Tag.SET else frozenset(members)
            case _Tag.DEQUE:
                return self._deque(cells)
            case _Tag.HOOK:
                return self._hook(cells)
            case _:
                return self._object(tag, cells)

    def _dictionary(self, cells: list[object]) -> dict[Any, Any]:
        if len(cells) % 2:
            raise _Unreadable("a key without a value")
        return {self._key(cells[at]): self.cell(cells[at + 1]) for at in range(0, len(cells), 2)}

    def _deque(self, cells: list[object]) -> deque[Any]:
        if not cells or not (cells[0] is None or (type(cells[0]) is int and 0 <= cells[0] < CELLS_MAX)):
            raise _Unreadable("a deque without its bound")
        return deque([self.cell(cell) for cell in cells[1:]], maxlen=cells[0])

    def _hook(self, cells: list[object]) -> Callable[..., Any]:
        name = cells[0] if len(cells) == 1 else None
        if not isinstance(name, str) or name not in self._hooks:
            raise _Unreadable("an unknown callable")
        return self._hooks[name]

    def _object(self, tag: int, cells: list[object]) -> Any:
        if not 0 <= tag - _CLASSES_FROM < len(self._kinds):
            raise _Unreadable("an unknown class")
        kind, names = self._kinds[tag - _CLASSES_FROM]
        if issubclass(kind, Noun | Enum):
            if len(cells) != 1 or type(cells[0]) not in _PLAIN:
                raise _Unreadable("not a noun or a member")
            self._cells += 1
            if issubclass(kind, Enum):
                return kind(cells[0])
            if not isinstance(cells[0], bytes):
                raise _Unreadable("a noun without bytes")
            return decode(kind, cells[0])
        if len(cells) != len(names):
            raise _Unreadable("not the attributes of its class")
        made = object.__new__(kind)
        for name, cell in zip(names, cells, strict=True):
            object.__setattr__(made, name, self.cell(cell))
        return made
