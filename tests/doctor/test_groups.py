"""Questions about small graphs: sides, odd ones out, clocks."""

from typing import Any

import pytest

from cccnode.doctor.groups import Difference, blame, clocks, groups, pair


@pytest.mark.parametrize(
    ("nodes", "together", "expected"),
    [
        ([], [], []),
        ([2, 0, 1], [], [(0,), (1,), (2,)]),
        ([0, 1, 2, 3], [(2, 3), (1, 2)], [(1, 2, 3), (0,)]),
        ([0, 1, 2, 3], [(0, 1), (2, 3)], [(0, 1), (2, 3)]),
        ([0, 1], [(0, 7)], [(0,), (1,)]),
    ],
)
def test_groups(nodes: list[int], together: list[tuple[int, int]], expected: list[tuple[int, ...]]) -> None:
    """Connected nodes form groups: the largest first, equal ones by lowest member; strangers are ignored."""
    assert expected == groups(nodes, together)


@pytest.mark.parametrize(
    ("against", "expected"),
    [
        ([], ([], [])),
        ([(0, 3), (1, 3), (2, 3)], ([3], [])),
        ([(0, 1), (0, 2), (0, 3)], ([0], [])),
        ([(0, 1)], ([], [0, 1])),
        ([(0, 2), (0, 3), (1, 2), (1, 3)], ([], [0, 1, 2, 3])),
        ([(0, 5), (1, 5), (2, 6), (3, 6)], ([5, 6], [])),
        ([(0, 2), (0, 3), (1, 2), (1, 3), (2, 3)], ([2, 3], [])),
        ([(0, 1), (1, 2), (2, 3)], ([], [0, 1, 2, 3])),
        ([(0, 1), (0, 2), (1, 2)], ([], [0, 1, 2])),
    ],
)
def test_blame(against: list[tuple[int, int]], expected: Any) -> None:
    """Fewest nodes that account for all pairs; where two are as suspicious and have no other accusers, all left."""
    assert expected == blame(against, lambda _, count: (count,))


def test_pairs_are_ordered() -> None:
    """One pair, whichever end is named first."""
    assert (1, 4) == pair(4, 1) == pair(1, 4)


def star(*ahead: int, slack: int = 0) -> list[Difference]:
    return [Difference(0, place, offset, slack) for place, offset in enumerate(ahead, start=1)]


@pytest.mark.parametrize(
    ("differences", "wrong", "certain"),
    [
        ([], {}, True),
        (star(0, 5, -7), {}, True),
        (star(0, 0, 9_000), {3: 9_000}, True),
        (star(9_000, 9_000, 9_000), {0: -9_000}, True),
        (star(9_000), {0: 0, 1: 9_000}, False),
        (star(9_000, slack=8_500), {}, True),
        (star(0, 9_000, 20_000), {0: 0, 1: 0, 2: 9_000, 3: 20_000}, False),
        (star(0, 0, 9_000, -9_000), {3: 9_000, 4: -9_000}, True),
        ([Difference(0, 1, 0, 0), Difference(1, 2, 0, 0), Difference(2, 3, 4_000, 0)], {3: 4_000}, True),
    ],
)
def test_clocks(differences: list[Difference], wrong: dict[int, int], certain: bool) -> None:
    """Whoever is away from what most agree on is wrong, the observer included; without a majority nobody can tell."""
    found = clocks(differences, 1_000)

    assert (wrong, certain) == (dict(found.wrong), found.certain)
