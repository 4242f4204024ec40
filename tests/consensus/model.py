"""The vote rules as a finite model, small enough to visit every state (consensus.md 5.1).

Four validators: three honest ones and one Byzantine whose every signature always exists, so that two honest votes make
a certificate.  Every leader may propose every block.  Certificates may be seen at any time, or never.  Two views.

Blocks: (1, 1) and (1, 2) on genesis; (2, 1) on genesis, (2, 2) on (1, 1), (2, 3) on (1, 2).
"""

from dataclasses import dataclass
from typing import NamedTuple

VIEWS = 2
BLOCKS = {1: (1, 2), 2: (1, 2, 3)}
PARENT = {(1, 1): (0, 0), (1, 2): (0, 0), (2, 1): (0, 0), (2, 2): (1, 1), (2, 3): (1, 2)}

MUTANTS = ("finalize_after_nullify", "nullify_after_finalize", "skip_justification", "notarize_twice", "amnesia")


class Honest(NamedTuple):
    """What one honest validator did: its view, and per view the block notarized, nullified or not, finalized."""

    view: int = 1
    notarized: tuple[int, ...] = (0, 0)
    nullified: tuple[bool, ...] = (False, False)
    finalized: tuple[int, ...] = (0, 0)


State = tuple[Honest, Honest, Honest]


@dataclass(slots=True)
class Explored:
    """What the search found."""

    states: int
    transitions: int
    depth: int
    disagreement: bool


class Certified(NamedTuple):
    """Which certificates two honest votes and the Byzantine one make, by view."""

    notarized: tuple[int, ...]
    nullified: tuple[bool, ...]
    finalized: tuple[int, ...]


def certified(state: State) -> Certified:
    """The certificates that exist in a state; the last block counts if two are certified in one view."""

    def block(votes: list[int], view: int) -> int:
        return max((b for b in BLOCKS[view] if votes.count(b) >= 2), default=0)

    views = range(1, VIEWS + 1)
    return Certified(
        tuple(block([h.notarized[v - 1] for h in state], v) for v in views),
        tuple(sum(h.nullified[v - 1] for h in state) >= 2 for v in views),
        tuple(block([h.finalized[v - 1] for h in state], v) for v in views),
    )


def disagrees(seen: Certified) -> bool:
    """Whether two finalized blocks are not one chain."""
    final = [(v, b) for v, b in enumerate(seen.finalized, start=1) if b]
    if len(final) < 2:
        return False
    lower, upper = final
    while upper[0] > lower[0]:
        upper = PARENT[upper]
    return upper != lower


def justified(view: int, block: int, seen: Certified, mutant: str | None) -> bool:
    """R3: the parent is notarized and the views between are nullified."""
    parent_view, parent = PARENT[view, block]
    if parent_view and seen.notarized[parent_view - 1] != parent:
        return False
    return mutant == "skip_justification" or all(seen.nullified[u - 1] for u in range(parent_view + 1, view))


def put(values: tuple[int, ...], view: int, value: int) -> tuple[int, ...]:
    """`values` with the one of `view` replaced."""
    return (*values[: view - 1], value, *values[view:])


def moves(me: Honest, seen: Certified, mutant: str | None) -> list[Honest]:
    """What an honest validator may do next."""
    found = []
    view = me.view
    if view <= VIEWS:
        given_up = me.nullified[view - 1]
        if (not me.notarized[view - 1] or mutant == "notarize_twice") and not given_up:
            found += [
                me._replace(notarized=put(me.notarized, view, block))
                for block in BLOCKS[view]
                if me.notarized[view - 1] != block and justified(view, block, seen, mutant)
            ]
        if not given_up and (mutant == "nullify_after_finalize" or not me.finalized[view - 1]):
            found.append(me._replace(nullified=put(me.nullified, view, True)))
    if mutant == "nullify_after_finalize":
        found += [
            me._replace(nullified=put(me.nullified, v, True))
            for v in range(1, min(view, VIEWS + 1))
            if not me.nullified[v - 1]
        ]
    for v in range(1, VIEWS + 1):
        block, given_up = seen.notarized[v - 1], me.nullified[v - 1]
        if v <= view and not me.finalized[v - 1] and block and (mutant == "finalize_after_nullify" or not given_up):
            found.append(me._replace(finalized=put(me.finalized, v, block), view=v + 1 if view == v else view))
        if view <= v and (block or seen.nullified[v - 1]):
            found.append(me._replace(view=v + 1))
    if mutant == "amnesia" and me != Honest():
        found.append(Honest())
    return found


def explore(mutant: str | None = None) -> Explored:
    """Visit every state breadth first, or stop at the first disagreement."""
    start: State = (Honest(), Honest(), Honest())
    visited, frontier = {start}, [start]
    transitions = depth = 0
    while frontier:
        depth += 1
        following = []
        for state in frontier:
            seen = certified(state)
            if disagrees(seen) or (
                mutant is None and any(f and z for f, z in zip(seen.finalized, seen.nullified, strict=True))
            ):
                return Explored(len(visited), transitions, depth, disagreement=True)
            for index in range(3):
                for moved in moves(state[index], seen, mutant):
                    transitions += 1
                    other = tuple(sorted((*state[:index], moved, *state[index + 1 :])))
                    if other not in visited:
                        visited.add(other)
                        following.append(other)
        frontier = following
    return Explored(len(visited), transitions, depth, disagreement=False)
