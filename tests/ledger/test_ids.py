"""The native class of ids against its definition in Python."""

import random
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cccnode.crypto import kernel
from cccnode.ledger.ids import Ids

pytestmark = pytest.mark.skipif(kernel.IDS is None, reason="built without a compiler")

ALIKE = [bytes(28) + number.to_bytes(4, "big") for number in range(60)]
"""Ids that differ in one byte only."""
CALLS = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.lists(st.sampled_from(ALIKE), max_size=20, unique=True)),
        st.tuples(st.just("drop"), st.integers(0, 20)),
    ),
    max_size=40,
)


def _both() -> tuple[Ids, Any]:
    return Ids(), kernel.IDS()


def _outcome(ids: Any, call: str, argument: Any) -> str:
    try:
        getattr(ids, call)(argument)
    except ValueError as refused:
        return str(refused)
    return ""


def _names(rng: random.Random, count: int) -> list[bytes]:
    return [rng.randbytes(32) for _ in range(count)]


def _same(ours: Ids, native: Any, asked: list[bytes]) -> bool:
    return (
        list(ours) == list(native)
        and len(ours) == len(native)
        and [ours.find(name) for name in asked] == [native.find(name) for name in asked]
        and [name in ours for name in asked] == [name in native for name in asked]
    )


@given(CALLS)
def test_few(calls: list[tuple[str, Any]]) -> None:
    """Whatever is added, repeated and dropped, both find the same under the same numbers and refuse the same."""
    ours, native = _both()
    for call, argument in calls:
        assert _outcome(ours, call, argument) == _outcome(native, call, argument)
        assert _same(ours, native, ALIKE)


def _waves(rng: random.Random) -> Iterator[tuple[int, int]]:
    """(added, dropped) in turns that let the table grow to thousands and shrink to nothing, several times."""
    for _ in range(4):
        held = 0
        for _ in range(rng.randrange(5, 40)):
            added, dropped = rng.choice((0, 1, 7, 300, 2_000)), rng.choice((0, 1, 5, 250))
            held += added
            yield added, min(dropped, held)
            held -= min(dropped, held)
        while held:
            dropped = min(held, rng.randrange(1, 1_500))
            yield 0, dropped
            held -= dropped


@given(st.integers(0, 2**32))
def test_many(seed: int) -> None:
    """The same while the table grows, shrinks and is replaced bit by bit; a block that repeats one leaves no trace."""
    rng = random.Random(seed)
    ours, native = _both()
    gone: list[bytes] = []
    for added, dropped in _waves(rng):
        names = _names(rng, added)
        asked = [*rng.sample(gone, min(len(gone), 20)), *rng.sample(names, min(len(names), 20)), *_names(rng, 5)]
        if names and rng.random() < 0.3:
            twice = [*names, rng.choice([*ours, *names])]
            assert "there already" in _outcome(ours, "add", twice)
            assert "there already" in _outcome(native, "add", twice)
        for ids in (ours, native):
            ids.add(names)
        gone += [*ours][:dropped]
        for ids in (ours, native):
            ids.drop(dropped)
        assert [ours.find(name) for name in asked] == [native.find(name) for name in asked]
    assert _same(ours, native, gone[-100:])


def test_a_full_window_in_small() -> None:
    """A hundred thousand ids take less than 50 bytes each, however long blocks come and go, and all are found."""
    rng = random.Random(1)
    native = kernel.IDS()
    blocks = [_names(rng, 5_000) for _ in range(50)]
    for number, block in enumerate(blocks):
        native.add(block)
        if number >= 20:
            native.drop(5_000)
            assert blocks[number - 20][0] not in native

    assert sys.getsizeof(native) < 50 * len(native) == 50 * 100_000
    assert [*range(150_000, 250_000)] == [native.find(name) for block in blocks[-20:] for name in block]
    native.drop(100_000)
    for block in blocks[:40]:  # What is empty becomes small, step by step.
        native.add(block[:1])
        native.drop(1)
    assert sys.getsizeof(native) < 500_000


@pytest.mark.parametrize("wrong", [[b"short"], [bytes(33)], [bytearray(32)], ["x" * 32], [None]])
def test_invalid_ids(wrong: list[Any]) -> None:
    """What is not 32 bytes is no id: refused together with its neighbours, and never found."""
    for ids in _both():
        with pytest.raises(ValueError, match="32 bytes"):
            ids.add([bytes(32), *wrong])
        assert 0 == len(ids)
        assert bytes(32) not in ids


def test_invalid_arguments() -> None:
    """Wrong types and numbers are errors of Python."""
    native = kernel.IDS()
    native.add((bytes(32),))
    for function, *arguments in ((native.add, 5), (native.drop, "x"), (kernel.IDS, 1), (native.find,)):
        with pytest.raises(TypeError):
            function(*arguments)
    with pytest.raises(ValueError, match="fewer"):
        native.drop(2)
    with pytest.raises(OverflowError):
        native.drop(-1)
    with pytest.raises(IndexError):
        native[1]
    assert (None, False, 0) == (native.find(b"x"), "x" in native, native.find(bytes(32)))
