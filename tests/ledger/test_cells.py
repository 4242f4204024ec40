"""The native cells of an overlay against their definition in Python."""

import gc
import sys
import weakref
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cccnode.codec import Malformed, decode_trusted, decoder, encode
from cccnode.crypto import kernel, trees
from cccnode.crypto.proofs import bucket_of
from cccnode.ledger.cells import Cells, Rules, Writes
from cccnode.ledger.state import DictState, Overlay, writes_of

pytestmark = pytest.mark.skipif(kernel.CELLS is None, reason="built without a compiler")

DEPTH = 3
Groups = dict[bytes, dict[bytes, bytes]]


class _Full(Exception):
    pass


class _Large(Exception):
    pass


RULES = Rules(
    lambda kind: decoder(kind).decode,
    decode_trusted,
    encode,
    _Full,
    _Large,
    items_max=3,
    name_max=4,
    value_max=6,
)
"""Limits low enough to be met."""


class _Paged:
    """A view over pages, of which some are not cached."""

    def __init__(self, groups: Groups, missing: frozenset[int] = frozenset()) -> None:
        self.groups = {group: items for group, items in groups.items() if items}
        rows: dict[int, list[tuple[bytes, bytes]]] = {}
        for group, items in sorted(self.groups.items()):
            rows.setdefault(bucket_of(group, DEPTH), []).append((group, encode(sorted(items.items()))))
        pages: trees.Pages = [b""] * (1 << DEPTH)
        for bucket, part in rows.items():
            pages[bucket] = None if bucket in missing else trees.make_page(part)
        self.cache = (DEPTH, pages)
        self.asked = 0

    def get(self, group: bytes, item: bytes) -> bytes | None:
        self.asked += 1
        return self.groups.get(group, {}).get(item)

    def group(self, group: bytes) -> Mapping[bytes, bytes]:
        return self.groups.get(group, {})


names = st.sampled_from([b"a", b"b", b"cc", b"dddd", b"eeeee", b""])
numbers = st.sampled_from([0, 1, 127, 128, 255, 256, 65_535, 65_536, 2**32 - 1, 2**32, 2**63, 2**64 - 1, -1])
items = st.sampled_from([(int, b"n"), (int, b"m"), (int, b"n" * 5), (bytes, b"t"), (bytes, b"u"), (bytes, b"")])
texts = st.binary(max_size=6)
groups = st.dictionaries(
    names.filter(lambda name: 0 < len(name) < 5),
    st.dictionaries(st.sampled_from([b"n", b"m"]), numbers.map(encode), max_size=2).flatmap(
        lambda some: st.dictionaries(st.sampled_from([b"t", b""]), texts.map(encode), max_size=2).map(
            lambda more: {**some, **more}
        )
    ),
    max_size=4,
)
calls = st.sampled_from(["get", "get", "has", "put", "put", "take", "give", "commit", "rollback", "known", "collect"])
steps = st.lists(st.tuples(calls, names, items, st.none() | numbers, st.none() | texts), max_size=40)


def _call(cells: Any, writes: Writes, step: tuple[Any, ...]) -> object:
    """What one call gives: its result, or the error with its arguments."""
    call, group, (kind, item), number, text = step
    try:
        match call:
            case "get":
                return cells.get(group, item, kind)
            case "put":
                return cells.put(group, item, number if kind is int else text)
            case "take":
                return cells.take(group, item, number)
            case "give":
                return cells.give(group, item, number, 2**32 if text is None else 2**70)
            case "has":
                return cells.has(group, item)
            case "known":
                return dict(sorted(cells.known(group).items()))
            case "collect":
                return cells.collect(writes, 0, 2)
            case _:
                return getattr(cells, call)()
    except (_Full, _Large, AssertionError, TypeError, Malformed) as error:
        return type(error), str(error)


def _ordered(writes: Writes) -> list[tuple[bytes, list[tuple[bytes, bytes | None]]]]:
    return [(group, list(items.items())) for group, items in writes.items()]


@given(groups, st.frozensets(st.integers(0, (1 << DEPTH) - 1)), steps)
def test_native_cells_are_those_of_the_definition(
    before: Groups, missing: frozenset[int], sequence: list[tuple[Any, ...]]
) -> None:
    """Any sequence of calls gives the same results, errors and changes in the same order, cached pages or not."""
    view = _Paged(before, missing)
    pair = [Cells(view, None, RULES), kernel.CELLS(view, view.cache, RULES), kernel.CELLS(view, None, RULES)]
    writes: list[Writes] = [{} for _ in pair]
    for step in sequence:
        first, *others = [_call(cells, written, step) for cells, written in zip(pair, writes, strict=True)]
        assert all((type(first), first) == (type(other), other) for other in others), step
    for cells, written in zip(pair, writes, strict=True):
        cells.rollback()
        start = 0
        while (stop := cells.collect(written, start, 3)) == start + 3:
            start = stop
    assert _ordered(writes[0]) == _ordered(writes[1]) == _ordered(writes[2])


def test_many_cells() -> None:
    """Ten thousand cells are found again, in parts as in one go."""
    overlays = [Cells(DictState(), None, RULES), kernel.CELLS(DictState(), None, RULES)]
    for cells in overlays:
        for number in range(10_000):
            cells.put(b"%d" % (number % 5_000), b"n" if number < 5_000 else b"m", number)
            cells.commit()
        assert all(cells.get(b"%d" % number, b"m", int) == number + 5_000 for number in range(5_000))
    parts: Writes = {}
    start = 0
    while (stop := overlays[1].collect(parts, start, 999)) > start:
        start = stop
    whole: Writes = {}

    assert 10_000 == start == overlays[0].collect(whole, 0, sys.maxsize)
    assert _ordered(whole) == _ordered(parts)


def test_cached_pages_answer_alone() -> None:
    """Where the page is cached the view is not asked; where it is not, it is asked once."""
    content = {b"a": {b"n": encode(300), b"t": encode(b"xy")}}
    cached, absent = _Paged(content), _Paged(content, frozenset(range(1 << DEPTH)))
    for view, asked in ((cached, 0), (absent, 2)):
        cells = kernel.CELLS(view, view.cache, RULES)
        for _ in range(2):
            assert (300, b"xy") == (cells.get(b"a", b"n", int), cells.get(b"a", b"t", bytes))
        assert asked == view.asked


def test_invalid_values_name_the_damage() -> None:
    """A value that does not decode is the same error as in the definition, whoever reads it."""
    view = _Paged({b"a": {b"n": b"\xc1", b"m": b"\xcd\x01", b"t": encode(5)}})
    for cells in (Cells(view, None, RULES), kernel.CELLS(view, view.cache, RULES)):
        for item, kind in ((b"n", int), (b"m", int), (b"t", bytes)):
            with pytest.raises(Malformed):
                cells.get(b"a", item, kind)
            assert cells.has(b"a", item)


def test_invalid_arguments() -> None:
    """Wrong types and numbers are errors of Python, in every function and place."""
    view, wrong = DictState(), [None, 1, "text", bytearray(b"a"), type("Name", (bytes,), {})(b"a"), [], encode]
    cells: Any = kernel.CELLS(view, None, RULES)
    for name, count in (("get", 3), ("has", 2), ("put", 3), ("known", 1), ("collect", 3), ("take", 3), ("give", 4)):
        for number in {*range(5)} - {count}:
            with pytest.raises(TypeError):
                getattr(cells, name)(*[b"a"] * number)
    for value in wrong:
        for function, *arguments in (
            (cells.get, value, b"n", int),
            (cells.get, b"a", value, int),
            (cells.put, value, b"n", 1),
            (cells.has, b"a", value),
            (cells.known, value),
            (cells.collect, value, 0, 1),
            (cells.collect, {}, value, "n"),
            (cells.take, b"a", value, 1),
            (cells.take, b"a", b"n", value if value != 1 else "1"),
            (cells.give, value, b"n", 1, 1),
            (cells.give, b"a", b"n", 1, value if value != 1 else "1"),
            (kernel.CELLS, view, value or "x", RULES),
            (kernel.CELLS, view, (3, value or {}), RULES),
            (kernel.CELLS, view, None, value),
        ):
            with pytest.raises(TypeError):
                function(*arguments)
    with pytest.raises(ValueError, match="counted"):
        cells.collect({}, -1, 1)
    with pytest.raises(RuntimeError):
        type(cells).__init__(cells, view, None, RULES)
    with pytest.raises(RuntimeError):
        kernel.CELLS.__new__(kernel.CELLS).commit()


@pytest.mark.parametrize("page", [1, b"x", bytes(99)])
@pytest.mark.parametrize("count", [0, 1 << DEPTH])
def test_invalid_caches_are_not_believed(page: Any, count: int) -> None:
    """Where pages make no sense or are gone the view is asked."""
    view = _Paged({b"a": {b"n": encode(7)}})
    cells = kernel.CELLS(view, view.cache, RULES)
    _, pages = view.cache
    pages[:] = [page] * count

    assert 7 == cells.get(b"a", b"n", int)
    for wrong in ([*pages, b""], []):
        with pytest.raises(ValueError, match="each bucket"):
            kernel.CELLS(view, (DEPTH, wrong), RULES)


def test_values_that_end_may_call_again() -> None:
    """The end of a value may read and write the very cells that let go of it."""
    cells: Any = kernel.CELLS(DictState(), None, RULES._replace(encode=lambda _: b""))

    class Loud:
        def __del__(self) -> None:
            for number in range(40):
                cells.put(b"%d" % number, b"n", number)
            cells.get(b"a", b"n", int)

    for close in (cells.commit, cells.rollback):
        for _ in range(3):
            cells.put(b"a", b"t", Loud())
            close()
            cells.put(b"a", b"t", None)
            close()
    cells.commit()

    assert 39 == cells.get(b"39", b"n", int)


def test_views_may_call_again() -> None:
    """A view that writes while it is asked, and so is asked again, ends in an error of Python."""

    class Busy(DictState):
        __slots__ = ()

        def get(self, group: bytes, item: bytes) -> bytes | None:
            for number in range(100):
                cells.put(b"%d" % number, item, number)
            return super().get(group, item)

    cells: Any = kernel.CELLS(Busy(), None, RULES)
    with pytest.raises(RecursionError):
        cells.has(b"1", b"x")
    cells.rollback()

    assert {} == cells.known(b"1")


def test_memory_is_given_back() -> None:
    """Nothing that went in stays when the overlay ends, be it by its count or in a cycle."""

    class Value:
        pass

    gone = []
    cells: Any = None
    value: Any = None
    for cycle in (False, True):
        cells = kernel.CELLS(DictState(), None, RULES._replace(encode=lambda _: b""))
        for number in range(100):
            value = Value()
            value.back = cells if cycle else None
            gone.append(weakref.ref(value))
            cells.put(b"%d" % number, b"t", value)
            if number % 3:
                cells.commit()
            cells.put(b"%d" % number, b"t", value)
            if number % 7 == 0:
                cells.rollback()
        cells = value = None
        gc.collect()

    assert not any(reference() for reference in gone)
    group, rules = b"somewhere", RULES
    counts = [sys.getrefcount(thing) for thing in (group, rules, rules.read, encode, None)]
    for _ in range(200):
        overlay: Any = kernel.CELLS(DictState(), None, rules._replace(name_max=20))
        overlay.put(group, b"n", 1)
        overlay.rollback()
        overlay.get(group, b"n", int)
        overlay.has(group, b"m")
        overlay.put(group, b"n", 2)
        overlay.commit()
        overlay.known(group)
        overlay.collect({}, 0, 9)
    after = [sys.getrefcount(thing) for thing in (group, rules, rules.read, encode, None)]

    assert all(abs(a - b) < 20 for a, b in zip(after, counts, strict=True))


def test_overlays_use_them() -> None:
    """An overlay is made of native cells where the kernel is native, and reads through the cache of its view."""
    view = _Paged({b"a": {b"n": encode(300)}})
    overlay = Overlay(view)

    assert isinstance(overlay, kernel.CELLS)
    assert (300, 0) == (overlay.get(b"a", b"n", int), view.asked)
    assert {b"n": 300} == overlay.group(b"a", int)
    assert {} == writes_of(overlay)
