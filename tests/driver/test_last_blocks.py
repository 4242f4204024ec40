"""Which blocks may end an epoch: the same rule for who builds and who checks, and what belongs to another epoch."""

import pytest

from cccnode.codec import encode
from cccnode.crypto.hashing import ZERO
from cccnode.driver.chain import Roots
from cccnode.types.validators import Limits
from consensus.effects import CheckBody
from consensus.events import BodyReady, Built, Received
from consensus.messages import StatusMessage
from storage.store import Ahead
from tests.driver.support import ALICE
from tests.driver.test_voting import NOWHERE, VotingBench, build
from tests.simulation.world import WALL_START_MS

NEXT = b"n" * 32


@pytest.mark.parametrize(
    ("limits", "due", "named", "valid"),
    [
        (Limits(), False, ZERO, True),
        (Limits(), False, NEXT, False),
        (Limits(), True, NEXT, True),
        (Limits(), True, ZERO, False),
        (Limits(), True, b"x" * 32, False),
        (Limits(epoch_blocks=1), False, NEXT, True),
        (Limits(epoch_blocks=1), False, ZERO, False),
        (Limits(epoch_blocks=1), False, b"x" * 32, False),
        (Limits(epoch_blocks=2), False, NEXT, False),
        (Limits(epoch_blocks=2), False, ZERO, True),
        (Limits(epoch_ms=500), False, NEXT, True),
        (Limits(epoch_ms=500), False, ZERO, False),
        (Limits(epoch_ms=501), False, NEXT, False),
    ],
)
def test_who_ends_the_epoch(limits: Limits, due: bool, named: bytes, valid: bool) -> None:
    """A block that ends it too early, too late or for another record than the state wants is refused (J11)."""
    bench = VotingBench(limits=limits)
    bench.chain.roots[0] = Roots(0, b"s" * 32, b"r" * 32, Ahead(NEXT, due))
    checked = bench.check(time_ms=WALL_START_MS + 500, next_epoch_record_hash=named)

    (verdict,) = bench.verdicts()
    assert checked == verdict.block_id
    assert valid is isinstance(verdict, BodyReady)
    assert valid or "ends the epoch too early, too late or for another record" in verdict.reason


@pytest.mark.parametrize(("limits", "due"), [(Limits(), True), (Limits(epoch_blocks=1), False), (Limits(), False)])
def test_a_leader_ends_the_epoch_when_it_must(limits: Limits, due: bool) -> None:
    """The builder names the next record under the same rule, and what it builds passes its own check."""
    bench = VotingBench(limits=limits)
    bench.chain.roots[0] = Roots(0, b"s" * 32, b"r" * 32, Ahead(NEXT, due))
    build(bench)
    built = next(event for event in bench.engine.events if isinstance(event, Built))
    bench.do(CheckBody(block_id=b"b" * 32, header=built.header, body=built.body, proposer=0, ancestors=()))

    assert (NEXT if due or limits.epoch_blocks == 1 else ZERO) == built.header.next_epoch_record_hash
    assert [BodyReady(block_id=b"b" * 32)] == bench.verdicts()


def test_another_epoch_is_not_the_engine_s() -> None:
    """A message of another epoch is handed on with its sender, unread; one of this epoch is the engine's."""
    bench = VotingBench()
    for epoch in (1, 7, 0):
        bench.voting.on_frame(ALICE, encode(StatusMessage(epoch, 1, NOWHERE, 0)))

    assert [(ALICE, 1), (ALICE, 7)] == [(peer, epoch) for peer, epoch, _ in bench.elsewhere]
    assert [0] == [event.message.epoch for event in bench.engine.events if isinstance(event, Received)]
