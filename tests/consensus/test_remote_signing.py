"""Votes whose signatures come later, or not at all: from a signer elsewhere that keeps its own mark."""

import random
from collections.abc import Callable
from typing import Any

import pytest

from cccnode.signer.mark import Marks
from cccnode.types.errors import SIGNER_CONFLICT, ErrorSpec
from cccnode.types.vote import Kind, contradict, read_vote_bytes
from consensus.engine import Engine
from consensus.events import Tick
from storage.memory import MemoryDisk
from tests.consensus.cluster import FAST, Cluster, no_nullified_views
from tests.simulation.fakes import CHAIN

Delay = Callable[[int], int]


class Offices(Cluster):
    """Validators with a signer each, which answers in order after `delay(index)` ms; those in `away` do not answer."""

    def __init__(self, count: int, delay: Delay, **how: Any) -> None:
        self.delay = delay
        self.away: set[int] = set()
        self.refused: list[tuple[int, Kind, ErrorSpec]] = []
        self._marks = [Marks(MemoryDisk(), bytes([index]) * 32) for index in range(count)]
        self._busy = [0] * count
        for marks in self._marks:
            marks.allow(CHAIN)
        super().__init__(count, **how)

    def start_engine(self, index: int, *rest: Any, **how: Any) -> tuple[Engine, list[Any]]:
        engine, effects = super().start_engine(index, *rest, **how)
        guard = engine._core.guard
        inner, asked, answers = guard._sign, set(), {}

        def sign(message: bytes) -> bytes | None:
            if message not in asked and index not in self.away:
                asked.add(message)
                self._busy[index] = max(self._busy[index], self.now + self.delay(index))
                self.at(self._busy[index] - self.now, lambda: answer(message))
            return answers.get(message)

        def answer(message: bytes) -> None:
            if index in self.away:
                asked.discard(message)
                return
            refused = self._marks[index].note(*read_vote_bytes(message))
            if refused is None:
                answers[message] = inner(message)
                self.handle(self.members[index], Tick())
            else:
                self.refused.append((index, read_vote_bytes(message)[0], refused))

        guard._sign = sign
        return engine, effects

    def come_back(self, index: int) -> None:
        """The signer is connected again."""
        self.away.discard(index)
        self.handle(self.members[index], Tick())

    def votes(self, index: int) -> list[Any]:
        """Own votes in the journal of a validator."""
        return [record.vote for record in self.members[index].journal if hasattr(record, "vote")]


@pytest.mark.parametrize("count", [1, 2, 4, 7])
def test_blocks_are_final_though_every_signature_comes_later(count: int) -> None:
    """With a signer at every validator blocks follow each other, and no view is lost."""
    offices = Offices(count, lambda _: 15, timers=FAST)
    offices.pending(True)
    assert offices.run_until_height(10, 10_000)
    assert no_nullified_views(offices)
    assert not offices.refused
    offices.check()


def test_a_signer_that_is_away_costs_its_votes_only() -> None:
    """The others go on without it; when it is back, its validator votes in the view that it then is in."""
    offices = Offices(4, lambda _: 5, timers=FAST)
    offices.pending(True)
    assert offices.run_until_height(3, 10_000)
    offices.away.add(2)
    begun = offices.members[0].height
    assert offices.run_until_height(begun + 10, 60_000)
    before = len(offices.votes(2))
    offices.come_back(2)
    assert offices.run_until_height(begun + 20, 60_000)
    assert len(offices.votes(2)) > before
    offices.check()


def test_a_network_whose_signers_were_all_away_goes_on() -> None:
    """No quorum signs, nothing is lost, and everything goes on with the third signer."""
    offices = Offices(4, lambda _: 5, timers=FAST)
    offices.pending(True)
    assert offices.run_until_height(3, 10_000)
    offices.away |= {0, 1, 2, 3}
    assert not offices.run_until_height(offices.members[0].height + 3, 5_000)
    for index in (3, 1, 0):
        offices.come_back(index)
    assert offices.run_until_height(offices.members[0].height + 5, 120_000)
    offices.check()


@pytest.mark.parametrize("seed", range(12))
def test_signers_that_are_slower_than_the_timers(seed: int) -> None:
    """Answers come after views were given up or left: votes never contradict, and the network goes on."""
    rng = random.Random(seed)
    offices = Offices(4, lambda _: rng.choice((1, 5, 40, 200, 700)), timers=FAST)
    offices.pending(True)
    assert offices.run_until_height(6, 600_000)
    offices.check()
    for index in range(4):
        votes = offices.votes(index)
        assert votes
        assert not any(contradict(one, other) for one in votes for other in votes)
        orders = [(vote.proposal.view, vote.kind) for vote in votes]
        for view in {view for view, _ in orders}:
            kinds = [kind for seen, kind in orders if seen == view]
            assert kinds in (
                [Kind.NOTARIZE],
                [Kind.NULLIFY],
                [Kind.FINALIZE],
                [Kind.NOTARIZE, Kind.NULLIFY],
                [Kind.NOTARIZE, Kind.FINALIZE],
            )
    assert {spec for _, _, spec in offices.refused} <= {SIGNER_CONFLICT}
