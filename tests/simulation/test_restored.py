"""A home restored from an old backup while its newer self still runs: one key, two processes, no second vote."""

import pytest

from consensus.effects import Alarm
from consensus.messages import ProposalMessage, VotesMessage
from tests.simulation.auditor import Auditor
from tests.simulation.twins import TWIN, Scenario, Twinned

BLOCKS = 20


def restored(kept: int, *, after_ms: int) -> Twinned:
    """A loaded network in which validator 0 starts a second time, from the first records of its own journal."""
    world = Twinned(Scenario((), ()))
    newer, older = world.members[TWIN], world.members[-1]
    for member in (newer, older):
        del member.engine._core.own_vote_met  # both mind very much
    world.audit = Auditor(honest=lambda _: True, members=lambda _: 4)
    older.alive = False
    newer.executes = False  # so that its journal keeps everything
    world.pending(True)
    world.run(after_ms)
    older.journal, older.watch = newer.journal[:kept], True
    world.restart(older)
    goal = newer.height + BLOCKS
    world.pending(True)
    assert world.run(60_000, lambda: min(member.height for member in world.members[1:4]) >= goal)
    return world


@pytest.mark.parametrize("after_ms", [75, 130, 501])
@pytest.mark.parametrize("kept", [0, 1, 2, 5, 9])
def test_a_restored_copy_never_votes_beside_its_newer_self(kept: int, after_ms: int) -> None:
    """Whatever part of the journal the copy has, it meets its own votes first (R13): the union of all is audited."""
    world = restored(kept, after_ms=after_ms)
    newer, older = world.members[TWIN], world.members[-1]

    assert [] == older.sent(VotesMessage) + older.sent(ProposalMessage)
    assert older.of(Alarm)
    assert "consensus/JOURNAL_LOST" == older.engine.observing
    assert [] == newer.of(Alarm)
    assert newer.engine.observing is None
