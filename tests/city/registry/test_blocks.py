"""What the registry notes at the end of every block: members, leaders, checkpoints."""

from cccnode.city.registry.blocks import end_block
from cccnode.city.registry.messages import RegistryPause
from cccnode.city.registry.state import (
    CHECKPOINT_HEIGHTS,
    CHECKPOINTS_KEPT,
    Checkpoint,
    EpochMembers,
    Member,
    checkpoint_at,
    epoch_members,
    read_participation,
)
from cccnode.ledger.module import Context
from tests.city.registry.town import Town, root
from tests.support.city import City


def test_members_are_written_once_and_kept() -> None:
    """The first block of an epoch writes down who validates in it; it stays for ever."""
    town = Town(5)
    assert None is epoch_members(town.overlay, 0)
    town.spin(2)
    first = EpochMembers(1, tuple(Member(row.organisation, row.consensus_key) for row in town.record.validators))
    assert first == epoch_members(town.overlay, 0)

    town.block(("org-00", RegistryPause()))
    town.turn()
    town.spin(3)
    assert first == epoch_members(town.overlay, 0)
    second = epoch_members(town.overlay, 1)
    assert second is not None
    assert (4, ["org-01", "org-02", "org-03", "org-04"]) == (
        second.height,
        [row.organisation for row in second.members],
    )


def test_turns_of_leavers_are_forgotten() -> None:
    """When a validator led is known for the members of the newest epoch only."""
    town = Town(5)
    town.spin(5)
    key = town.record.validators[0].consensus_key
    assert read_participation(town.overlay, key) is not None
    town.block(("org-00", RegistryPause()))
    town.turn()

    assert None is read_participation(town.overlay, key)
    assert 4 == sum(group.startswith(b"led/") for group in town.state.groups)


def test_checkpoints() -> None:
    """The first root that is reported in each stretch of 32 heights is remembered, the newest 64 of them."""
    town = Town(2, peers=0)
    town.spin(70)
    assert (Checkpoint(0, root(0)), Checkpoint(32, root(32)), Checkpoint(64, root(64))) == town.ask("checkpoints")

    town.jump(10_007)
    town.block()
    assert Checkpoint(10_007, root(10_007)) == checkpoint_at(town.overlay, 10_007)
    town.spin(30)
    assert Checkpoint(10_016, root(10_016)) == checkpoint_at(town.overlay, 10_016 + 5)


def test_checkpoints_are_bounded() -> None:
    """A slot is used again after 2,048 heights."""
    town = Town(1, peers=0)
    for stretch in range(CHECKPOINTS_KEPT + 3):
        town.jump(stretch * CHECKPOINT_HEIGHTS + 1)
        town.block()
    kept = [row.height for row in town.ask("checkpoints")]

    assert CHECKPOINTS_KEPT == len(kept)
    assert 3 * CHECKPOINT_HEIGHTS + 1 == kept[0]


def test_an_empty_block_writes_little() -> None:
    """Most blocks write one small group beside what their transactions do, and make no event."""
    town = Town(4)
    town.spin(3)
    outcome = town.execute()

    (group,) = outcome.writes
    assert group.startswith(b"led/")
    assert () == outcome.receipts


def test_without_a_record_nothing_is_noted() -> None:
    """Tests of other modules may execute blocks without an epoch record."""
    city = City()
    context = Context(Town(1).overlay, 1, 1, city.registry.module_accounts)
    end_block(context)

    assert [] == [*context.state.changes()]


def test_determinism() -> None:
    """The same blocks give the same writes and receipts."""
    outcomes = []
    for _ in range(2):
        town = Town(4)
        town.spin(2)
        change = town.candidacy("org-04")
        town.decide(change)
        town.turn()
        outcomes.append((town.execute(("org-00", town.rotation("org-00"))), dict(town.state.groups)))

    assert outcomes[0] == outcomes[1]
