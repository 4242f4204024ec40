"""The duplicate window: exact at its edges, rebuilt from receipts."""

import pytest

from cccnode.ledger.window import Decided, Window

LIFETIME = 300_000
A, B, C = (bytes([n]) * 32 for n in range(3))


def test_remembers_where() -> None:
    """A decided id is found with its height and its receipt's position."""
    window = Window(LIFETIME)
    window.add(0, 1_000, ())
    window.add(1, 2_000, (A, B))

    assert A in window
    assert Decided(1, 1) == window.find(B)
    assert window.find(C) is None
    assert (1, 2_000, 2) == (window.height, window.time_ms, len(window))


@pytest.mark.parametrize(("later", "kept"), [(LIFETIME - 1, True), (LIFETIME, False), (LIFETIME + 1, False)])
def test_forgets_at_the_edge(later: int, kept: bool) -> None:
    """Ids stay exactly while their block's time is above now - tx_lifetime_max, and leave with their whole block."""
    window = Window(LIFETIME)
    window.add(0, 5_000, (A, B))
    window.add(1, 5_000 + later, (C,))

    assert (kept, kept, True) == (A in window, B in window, C in window)


def test_find_after_forgetting() -> None:
    """Positions stay right when older blocks have left."""
    window = Window(1_000)
    for height in range(10):
        window.add(height, 100 + 400 * height, (bytes([height]) * 32,))

    assert [7, 8, 9] == [n for n in range(10) if bytes([n]) * 32 in window]
    assert Decided(8, 0) == window.find(bytes([8]) * 32)


def test_rebuilt_is_equal() -> None:
    """A window rebuilt from stored blocks remembers the same."""
    blocks = [(h, 1_000 * (h + 1), (bytes([h]) * 32,)) for h in range(20)]
    live = Window(5_000)
    for block in blocks:
        live.add(*block)
    rebuilt = Window.rebuilt(5_000, blocks[12:])

    assert list(live.ids) == list(rebuilt.ids)
    assert live.find(bytes([17]) * 32) == rebuilt.find(bytes([17]) * 32)


def test_expired_is_certain_only_when_final_time_reached_it() -> None:
    """An id is expired once an executed block reached its deadline, and never when it was decided."""
    window = Window(LIFETIME)
    window.add(0, 10_000, (A,))

    assert [False, True] == [window.expired(B, 10_001), window.expired(B, 10_000)]
    assert not window.expired(A, 10_000)


@pytest.mark.parametrize(("height", "time_ms"), [(0, 3_000), (1, 3_000), (3, 3_000), (2, 2_000)])
def test_invalid_order(height: int, time_ms: int) -> None:
    """Blocks enter once, in height order, with growing time: anything else is our own mistake."""
    window = Window(LIFETIME)
    window.add(0, 1_000, ())
    window.add(1, 2_000, ())

    with pytest.raises(AssertionError):
        window.add(height, time_ms, ())
