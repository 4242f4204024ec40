"""Who belongs together and who is the odd one out: small questions about graphs of a few nodes, without judgement.

All results are sorted, so that equal facts give equal words.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

ACCUSERS: Final = 2
"""So many make it more likely that a node is to blame than all of them."""
Pair = tuple[int, int]
"""Two nodes, the lower first."""


def pair(one: int, other: int) -> Pair:
    """Two nodes in order."""
    return (one, other) if one < other else (other, one)


def groups(nodes: Iterable[int], together: Iterable[Pair]) -> list[tuple[int, ...]]:
    """The nodes in groups that `together` connects: the largest first, then by lowest member."""
    leader = {node: node for node in nodes}

    def find(node: int) -> int:
        while leader[node] != node:
            node = leader[node]
        return node

    for one, other in sorted(together):
        if one in leader and other in leader:
            low, high = sorted((find(one), find(other)))
            leader[high] = low
    found: dict[int, list[int]] = {}
    for node in sorted(leader):
        found.setdefault(find(node), []).append(node)
    return sorted((tuple(members) for members in found.values()), key=lambda members: (-len(members), members))


def blame(against: Iterable[Pair], weight: Callable[[int, int], tuple[int, ...]]) -> tuple[list[int], list[int]]:
    """Fewest nodes that account for every pair that does not fit: those found for certain, and those that tie.

    `weight(node, pairs)` says how suspicious a node with so many open pairs is; the greatest is taken first.  When the
    two ends of a pair are equally suspicious nobody can say which it is, and both are returned among the tied; unless
    each of the suspects has pairs with two others who are less suspicious, which accuse it by themselves.
    """
    open_pairs = sorted(set(against))
    certain: list[int] = []
    while open_pairs:
        counts: dict[int, int] = {}
        for one, other in open_pairs:
            counts[one] = counts.get(one, 0) + 1
            counts[other] = counts.get(other, 0) + 1
        worst = max(weight(node, count) for node, count in counts.items())
        suspects = [node for node in sorted(counts) if weight(node, counts[node]) == worst]
        within = [ends for ends in open_pairs if ends[0] in suspects and ends[1] in suspects]
        beside = {node: counts[node] - sum(node in ends for ends in within) for node in suspects}
        if within and min(beside.values()) < ACCUSERS:
            return certain, sorted(counts)
        certain += suspects
        open_pairs = [(one, other) for one, other in open_pairs if one not in suspects and other not in suspects]
    return sorted(certain), []


@dataclass(frozen=True, slots=True)
class Difference:
    """How far the clock of `other` is ahead of that of `one`, give or take `slack`."""

    one: int
    other: int
    ahead: int
    slack: int


@dataclass(frozen=True, slots=True)
class Clocks:
    """Clocks that are wrong, against those of the majority."""

    wrong: Mapping[int, int]
    """Node: how far it is ahead of the majority (of the lowest known node, when there is no majority)."""
    certain: bool
    """Whether a majority of the known clocks agree; if not, the wrong one is among those named."""


def clocks(differences: Sequence[Difference], tolerance: int) -> Clocks:
    """The odd clocks out: whoever is more than `tolerance` away from what most agree on."""
    places = _places(differences)
    if not places:
        return Clocks({}, certain=True)

    def near(one: int, other: int) -> bool:
        (here, slack), (there, more) = places[one], places[other]
        return abs(here - there) <= tolerance + slack + more

    circles = {node: [other for other in sorted(places) if near(node, other)] for node in sorted(places)}
    best = max(circles, key=lambda node: (len(circles[node]), -node))
    agreed = circles[best]
    if 2 * len(agreed) > len(places):
        middle = sorted(places[node][0] for node in agreed)[(len(agreed) - 1) // 2]
        return Clocks({node: places[node][0] - middle for node in sorted(places) if node not in agreed}, certain=True)
    first = places[min(places)][0]
    return Clocks({node: places[node][0] - first for node in sorted(places)}, certain=False)


def _places(differences: Sequence[Difference]) -> dict[int, tuple[int, int]]:
    """Where each clock stands on one line, with the slack of the way there; a clock that nothing ties in is left out.

    Differences may fall into several groups that know nothing of each other: the largest is taken.
    """
    ties: dict[int, list[tuple[int, int, int]]] = {}
    for known in sorted(differences, key=lambda known: (known.slack, known.one, known.other, known.ahead)):
        ties.setdefault(known.one, []).append((known.other, known.ahead, known.slack))
        ties.setdefault(known.other, []).append((known.one, -known.ahead, known.slack))
    whole = groups(ties, [pair(known.one, known.other) for known in differences])
    if not whole:
        return {}
    start = max(whole[0], key=lambda node: (len(ties[node]), -node))
    places = {start: (0, 0)}
    waiting = [start]
    for node in waiting:
        here, so_far = places[node]
        for other, ahead, slack in ties[node]:
            if other not in places:
                places[other] = (here + ahead, so_far + slack)
                waiting.append(other)
    return places
