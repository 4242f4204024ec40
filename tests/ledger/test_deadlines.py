"""Queues of deadlines against a sorted list, and what they may cost."""

from collections.abc import Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cccnode.ledger.deadlines import LATEST_MS, entries, next_due, schedule, take_due
from cccnode.ledger.state import DictState, Overlay, WholeState, writes_of

NEAR = st.integers(0, 3_000) | st.sampled_from([0, 255, 256, 65_535, 65_536, 2**40, LATEST_MS, LATEST_MS + 5])
STEPS = st.lists(st.tuples(st.booleans(), NEAR, st.integers(1, 4)), max_size=60)


def _block(view: DictState, overlay: Overlay) -> Overlay:
    """What a block leaves, and the overlay of the next."""
    overlay.commit()
    view.apply(writes_of(overlay))
    return Overlay(view)


def _sorted(model: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    return sorted(model)


@settings(max_examples=300)
@given(STEPS)
def test_comes_out_by_time_and_order_of_entry(steps: list[tuple[bool, int, int]]) -> None:
    """As a stable sort by time would have it, whatever is put in and taken out between; an empty queue is no state."""
    view = DictState()
    overlay, model, number = Overlay(view), list[tuple[int, int]](), 0
    for adds, time_ms, count in steps:
        if adds:
            schedule(overlay, "one", time_ms, number.to_bytes(8, "big"))
            model.append((min(time_ms, LATEST_MS), number))
            number += 1
        else:
            due = [row for row in _sorted(model) if row[0] <= time_ms][:count]
            assert due == [(at, int.from_bytes(entry, "big")) for at, entry in take_due(overlay, "one", time_ms, count)]
            model = [row for row in model if row not in due]
        overlay = _block(view, overlay)
        assert next_due(overlay, "one") == min((at for at, _ in model), default=None)

    assert len(model) == len([*take_due(overlay, "one", LATEST_MS, 1_000)])
    _block(view, overlay)
    assert {} == view.groups


def test_many_of_one_millisecond() -> None:
    """A block may give thousands of records the same deadline: pages hold them, and each is taken once, in order."""
    overlay = Overlay(DictState())
    for number in range(1_000):
        schedule(overlay, "one", 5_000, number.to_bytes(8, "big"))
    taken = [[*take_due(overlay, "one", 6_000)] for _ in range(5)]

    assert [256, 256, 256, 232, 0] == [len(rows) for rows in taken]
    assert [*range(1_000)] == [int.from_bytes(entry, "big") for rows in taken for _, entry in rows]


def test_what_is_scheduled_for_now_meanwhile_is_taken_too() -> None:
    """A rule that gives its record another time that has come is woken for it in the same block."""
    overlay = Overlay(DictState())
    schedule(overlay, "one", 10, b"a")
    seen = []
    for _, entry in take_due(overlay, "one", 20):
        seen.append(entry)
        if entry == b"a":
            schedule(overlay, "one", 5, b"b")
            schedule(overlay, "one", 21, b"c")

    assert [b"a", b"b"] == seen
    assert 21 == next_due(overlay, "one")


@pytest.mark.parametrize("now_ms", [0, 99])
def test_nothing_is_due_early(now_ms: int) -> None:
    """A queue of one module does not wake another, and nothing is due before its time."""
    overlay = Overlay(DictState())
    schedule(overlay, "one", 100, b"a")

    assert [] == [*take_due(overlay, "one", now_ms)]
    assert [] == [*take_due(overlay, "two", 200)]
    assert [(100, b"a")] == [*take_due(overlay, "one", 100)]


@given(st.lists(st.tuples(st.integers(0, 2**48 - 1) | st.integers(0, 3), st.integers(0, 255)), max_size=300))
def test_everything_that_waits_is_found(rows: list[tuple[int, int]]) -> None:
    """An audit sees every entry of a queue with its time, and none of another queue whose name begins alike."""
    state = DictState()
    overlay = Overlay(state)
    for time_ms, entry in rows:
        schedule(overlay, "q", time_ms, bytes([entry]))
        schedule(overlay, "q/q", time_ms, b"other")
        schedule(overlay, "qq", time_ms, b"other")
    overlay.commit()
    state.apply(writes_of(overlay))

    assert sorted((time_ms, bytes([entry])) for time_ms, entry in rows) == sorted(entries(WholeState(state), "q"))
