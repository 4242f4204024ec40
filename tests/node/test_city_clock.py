"""The clock of a demo city: ahead when told to, never back, and with the chain."""

import pytest

from cccnode.node.city_clock import CityClock, is_demo
from cccnode.types.errors import CLOCK_BACK, Fault

START_MS = 1_767_571_200_000


class Monotonic:
    """The clock that a jump must not touch."""

    def __init__(self) -> None:
        self.ms = 5_000

    def __call__(self) -> int:
        return self.ms


def test_runs_and_jumps() -> None:
    """It begins where it is told to, runs at rate 1, jumps ahead, runs on, and says so each time."""
    monotonic, moved = Monotonic(), []
    clock = CityClock(monotonic, START_MS, lambda: moved.append(clock.wall_ms()))
    assert clock.wall_ms() == START_MS
    monotonic.ms += 70
    assert clock.wall_ms() == START_MS + 70
    assert clock.set(START_MS + 9_000) == START_MS + 9_000
    monotonic.ms += 5
    assert clock.wall_ms() == START_MS + 9_005
    assert moved == [START_MS + 9_000]
    assert monotonic.ms == 5_075


def test_never_back() -> None:
    """An earlier time is refused by name, and changes nothing."""
    clock = CityClock(Monotonic(), START_MS)
    with pytest.raises(Fault) as refused:
        clock.set(START_MS - 1)
    assert refused.value.spec is CLOCK_BACK
    assert clock.wall_ms() == START_MS


def test_never_behind_the_chain() -> None:
    """A final block takes a clock along that is behind it, and leaves one alone that is not."""
    moved: list[None] = []
    clock = CityClock(Monotonic(), START_MS, lambda: moved.append(None))
    clock.reach(START_MS + 40)
    clock.reach(START_MS + 20)
    assert clock.wall_ms() == START_MS + 40
    assert len(moved) == 1


def test_only_demo() -> None:
    """Only a genesis that says `demo` has such a clock."""
    assert is_demo(("demo", "x"))
    assert not is_demo(("x",))
