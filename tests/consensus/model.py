"""The vote rules as a finite model, small enough to visit every state (consensus.md 5.1).

Four validators: three honest ones and one Byzantine whose every signature always exists, so that two honest votes make
a certificate.  Every leader may propose every block.  Certificates may be seen at any time, or never.  Two views.

Nothing here says what an honest validator may sign: every wish is put to the product's own `consensus.guard.Guard`, and
whether a block may be built on is asked of `consensus.voting.justified`.  A mutant is one of these, changed.

Two orders of asking.  `LOOSE` lets a validator leave a view first and cast its finalize vote later, as if the guard had
been asked at the moment of leaving: more behaviours than the engine has, and the count that two other programs (in C++
and Murphi) agree on.  `ENGINE` asks exactly as the engine does: through a notarization a view is left and finalized in
one step, and a higher notarization is jumped through.

States are counted up to the names of the honest validators.  A vote that a broken guard replaces, or forgets, counts no
longer: that makes mutants weaker than they are, so a disagreement that is found is one.

    python -m tests.consensus.model                          all mutants, with the length of their shortest disagreement
    python -m tests.consensus.model --mutant amnesia         one of them, step by step
"""

import argparse
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from itertools import permutations
from types import SimpleNamespace
from typing import NamedTuple

import pytest

from cccnode.crypto.hashing import ZERO
from cccnode.types.certificate import make_certificate
from cccnode.types.vote import Kind, Proposal, Vote, nullified
from consensus import voting
from consensus.certificates import CertificateBook
from consensus.guard import Guard, OwnVotes
from tests.simulation import mutants

VIEWS = 2
GENESIS = Proposal(0, 0, 0, ZERO)
BLOCKS = {
    1: (1, 2),  # 1a, 1b on genesis
    2: (1, 2, 3),  # 2a on genesis, 2b on 1a, 2c on 1b
}
PARENT = {(1, 1): (0, 0), (1, 2): (0, 0), (2, 1): (0, 0), (2, 2): (1, 1), (2, 3): (1, 2)}

MUTANTS: dict[str, mutants.Mutation | None] = {
    "finalize_after_nullify": mutants.finalize_after_nullify,
    "nullify_after_finalize": mutants.nullify_after_finalize,
    "skip_nullifications": mutants.skip_nullifications,
    "notarize_twice": mutants.notarize_twice,
    "amnesia": None,
}
"""What is changed in the product; amnesia changes nothing there: the guard's memory is lost."""


class Order(Enum):
    """When finalize votes are asked for."""

    LOOSE = "loose"
    ENGINE = "engine"


class Honest(NamedTuple):
    """What one honest validator did: its view, and per view the block notarized, nullified or not, finalized."""

    view: int = 1
    notarized: tuple[int, ...] = (0,) * VIEWS
    nullified: tuple[bool, ...] = (False,) * VIEWS
    finalized: tuple[int, ...] = (0,) * VIEWS


State = tuple[Honest, Honest, Honest]
START: State = (Honest(), Honest(), Honest())


class Certified(NamedTuple):
    """Which certificates two honest votes and the Byzantine one make, by view."""

    notarized: tuple[int, ...]
    nullified: tuple[bool, ...]
    finalized: tuple[int, ...]


class Move(NamedTuple):
    """What one honest validator may do next."""

    what: str
    after: Honest


@dataclass(slots=True)
class Explored:
    """What the search found."""

    states: int
    transitions: int
    depth: int
    disagreement: bool
    path: tuple[State, ...] = ()
    """From the start to the disagreement, each step up to the names of the validators."""


# ----- the product, asked


def proposal_of(view: int, block: int) -> Proposal:
    """What a vote for this block names."""
    if not view:
        return GENESIS
    parent_view, parent = PARENT[view, block]
    return Proposal(view, parent_view, proposal_of(parent_view, parent).height + 1, bytes([view, block]) * 16)


def guard_of(me: Honest) -> Guard:
    """The product's guard with the memory of this validator."""
    guard = Guard(chain=ZERO, epoch=0, me=0, sign=lambda _: bytes(64), silent=None)
    for view in range(1, VIEWS + 1):
        votes = OwnVotes()
        if me.notarized[view - 1]:
            votes.notarized = Vote(Kind.NOTARIZE, proposal_of(view, me.notarized[view - 1]), 0, bytes(64))
        if me.nullified[view - 1]:
            votes.nullified = Vote(Kind.NULLIFY, nullified(view), 0, bytes(64))
        if me.finalized[view - 1]:
            votes.finalized = Vote(Kind.FINALIZE, proposal_of(view, me.finalized[view - 1]), 0, bytes(64))
        if votes.all():
            guard.own[view] = votes
    return guard


def remembered(guard: Guard, view: int) -> Honest:
    """The validator that has this guard, in `view`."""

    def block(vote: Vote | None) -> int:
        return vote.proposal.block_id[1] if vote is not None else 0

    votes = [guard.of(v) for v in range(1, VIEWS + 1)]
    return Honest(
        view,
        tuple(block(own.notarized) for own in votes),
        tuple(own.nullified is not None for own in votes),
        tuple(block(own.finalized) for own in votes),
    )


def may_build_on(view: int, block: int, seen: Certified) -> bool:
    """R3, asked of the product with the certificates of `seen`: parent certified, views between nullified."""
    held = CertificateBook(None)
    signature = {0: bytes(64)}
    for lower in range(1, VIEWS + 1):
        if seen.notarized[lower - 1]:
            parent = proposal_of(lower, seen.notarized[lower - 1])
            held.add(make_certificate(Kind.NOTARIZE, parent, signature, 4))
        if seen.nullified[lower - 1]:
            held.add(make_certificate(Kind.NULLIFY, nullified(lower), signature, 4))
    core = SimpleNamespace(
        chain=SimpleNamespace(final=GENESIS), certificates=held, miss=lambda _: None, holes=None, view=view
    )
    parent_id = proposal_of(*PARENT[view, block]).block_id
    return voting.justified(core, proposal_of(view, block), parent_id) is voting.Judgement.YES


# ----- the model


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


def moves(me: Honest, seen: Certified, order: Order, *, forgetful: bool) -> list[Move]:
    """What an honest validator may do next: every wish there is, and the guard decides."""
    found: list[Move] = []
    views = range(1, VIEWS + 1)

    def wish(what: str, view_after: int, guard: Guard, vote: Vote | None) -> None:
        if vote is not None:
            found.append(Move(what, remembered(guard, view_after)))

    for view in views:
        for block in BLOCKS[view]:
            if may_build_on(view, block, seen):
                guard = guard_of(me)
                vote = guard.notarize(proposal_of(view, block), view=me.view)
                wish(f"notarizes {name(view, block)}", me.view, guard, vote)
        guard = guard_of(me)
        wish(f"nullifies view {view}", me.view, guard, guard.nullify(view, view=me.view))
    for view in views:
        found += _leave(me, view, seen, order)
    if forgetful and me != Honest():
        found.append(Move("forgets everything", Honest()))
    return found


def _leave(me: Honest, view: int, seen: Certified, order: Order) -> Iterator[Move]:
    """R1, R4, R5: how `view` may be left, and what is signed on the way."""
    notarized, guard = seen.notarized[view - 1], guard_of(me)
    forward = me.view <= view
    if notarized:
        proposal = proposal_of(view, notarized)
        asked_in = me.view if order is Order.ENGINE else view
        may_ask = forward if order is Order.ENGINE else view <= me.view
        vote = guard.finalize(proposal, view=asked_in, notarized=proposal) if may_ask else None
        left = view + 1 if me.view == view or order is Order.ENGINE else me.view
        if vote is not None:
            yield Move(f"finalizes {name(view, notarized)}", remembered(guard, left))
        elif order is Order.ENGINE and forward:
            yield Move(f"leaves view {view} by its notarization", me._replace(view=view + 1))
    by_notarization = notarized and order is Order.LOOSE
    if forward and (by_notarization or seen.nullified[view - 1]):
        yield Move(f"enters view {view + 1}", me._replace(view=view + 1))


def explore(mutant: str | None = None, *, order: Order = Order.LOOSE, symmetric: bool = True) -> Explored:
    """Visit every state breadth first, or stop at the first disagreement.

    `symmetric`: count states up to the names of the honest validators.
    """
    mutation = MUTANTS[mutant] if mutant is not None else None
    with pytest.MonkeyPatch.context() as patch:
        if mutation is not None:
            mutation(patch)
        return _search(order, symmetric=symmetric, mutant=mutant)


def _search(order: Order, *, symmetric: bool, mutant: str | None) -> Explored:
    came: dict[State, State | None] = {START: None}
    known: dict[tuple[Honest, Certified], list[Move]] = {}
    frontier, transitions, depth = [START], 0, 0
    while frontier:
        depth += 1
        following: list[State] = []
        for state in frontier:
            seen = certified(state)
            both = mutant is None and any(f and z for f, z in zip(seen.finalized, seen.nullified, strict=True))
            if disagrees(seen) or both:
                return Explored(len(came), transitions, depth, disagreement=True, path=_path(came, state))
            for index, me in enumerate(state):
                if (me, seen) not in known:
                    known[me, seen] = moves(me, seen, order, forgetful=mutant == "amnesia")
                for move in known[me, seen]:
                    transitions += 1
                    other = (*state[:index], move.after, *state[index + 1 :])
                    other = tuple(sorted(other)) if symmetric else other
                    if other not in came:
                        came[other] = state
                        following.append(other)
        frontier = following
    return Explored(len(came), transitions, depth, disagreement=False)


def _path(came: dict[State, State | None], state: State) -> tuple[State, ...]:
    path: list[State] = []
    step: State | None = state
    while step is not None:
        path.append(step)
        step = came[step]
    return tuple(reversed(path))


# ----- in words


def name(view: int, block: int) -> str:
    """A block for people: 1a, 1b, 2a ..."""
    return f"{view}{'abc'[block - 1]}" if view else "genesis"


def trace(mutant: str, found: Explored, order: Order = Order.LOOSE) -> list[str]:
    """The shortest disagreement step by step, with the certificates as they come into being."""
    mutation, lines = MUTANTS[mutant], []
    with pytest.MonkeyPatch.context() as patch:
        if mutation is not None:
            mutation(patch)
        state = found.path[0]
        for number, target in enumerate(found.path[1:], start=1):
            before = certified(state)
            who, move = _step(state, target, before, order, forgetful=mutant == "amnesia")
            state = (*state[:who], move.after, *state[who + 1 :])
            news = [fact for fact in _facts(certified(state)) if fact not in _facts(before)]
            lines.append(f"{number:>3}  {'ABC'[who]} {move.what}" + (f"   -> {', '.join(news)}" if news else ""))
    final = [name(v, b) for v, b in enumerate(certified(state).finalized, start=1) if b]
    return [*lines, f"     {' and '.join(final)} are final, and not one chain"]


def _step(state: State, target: State, seen: Certified, order: Order, *, forgetful: bool) -> tuple[int, Move]:
    """Who does what to get from `state` to `target`, whatever the validators are called there."""
    named = set(permutations(target))
    for who, me in enumerate(state):
        for move in moves(me, seen, order, forgetful=forgetful):
            if (*state[:who], move.after, *state[who + 1 :]) in named:
                return who, move
    raise AssertionError("the path has a gap")


def _facts(seen: Certified) -> list[str]:
    facts = []
    for view in range(1, VIEWS + 1):
        if seen.notarized[view - 1]:
            facts.append(f"{name(view, seen.notarized[view - 1])} is notarized")
        if seen.nullified[view - 1]:
            facts.append(f"view {view} is nullified")
        if seen.finalized[view - 1]:
            facts.append(f"{name(view, seen.finalized[view - 1])} is final")
    return facts


def main() -> int:
    """Exhaust the model, or show how one mutant disagrees."""
    parser = argparse.ArgumentParser(prog="python -m tests.consensus.model", description=__doc__)
    parser.add_argument("--mutant", choices=tuple(MUTANTS), help="show its shortest disagreement")
    parser.add_argument("--trace", action="store_true", help="show every mutant's shortest disagreement")
    options = parser.parse_args()
    sound = True
    if options.mutant is None:
        for order in Order:
            found = explore(order=order)
            sound &= not found.disagreement
            verdict = "DISAGREEMENT" if found.disagreement else "no disagreement"
            print(
                f"{order.value:8} {found.states:,} states, {found.transitions:,} transitions, "
                f"depth {found.depth}: {verdict}"
            )
    for mutant in (options.mutant,) if options.mutant else MUTANTS:
        found = explore(mutant)
        sound &= found.disagreement
        print(f"{mutant}: " + (f"disagreement in depth {found.depth}" if found.disagreement else "no disagreement"))
        if found.disagreement and (options.mutant or options.trace):
            print("\n".join(trace(mutant, found)))
    return 0 if sound else 1


if __name__ == "__main__":
    sys.exit(main())
