"""What the registry learns from every block: who led, which roots were reported, who validates in this epoch.

Cheap, because it runs at the end of every block: three look-ups and one small write in most of them.
"""

from msgspec.structs import replace

from cccnode.city.registry.nodes import forget_old
from cccnode.city.registry.proposals import expire
from cccnode.city.registry.record import is_restart
from cccnode.city.registry.rules import stop_validating
from cccnode.city.registry.state import (
    CHECKPOINT_HEIGHTS,
    Checkpoint,
    EpochMembers,
    Member,
    Participation,
    checkpoint_at,
    epoch_known,
    epoch_members,
    newest_epoch,
    organisation_names,
    read_consensus_key,
    read_participation,
    write_checkpoint,
    write_epoch_members,
    write_participation,
)
from cccnode.city.registry.upgrades import activate
from cccnode.ledger.module import Context
from cccnode.ledger.state import Overlay
from cccnode.types.block import Header
from cccnode.types.validators import EpochRecord


def end_block(context: Context) -> None:
    """Note what the block tells, and close proposals whose time is over."""
    header, record = context.header, context.record
    if header is None or record is None:
        return
    if not epoch_known(context.state, record.epoch):
        _begin_epoch(context, header.height, record)
    _note_leader(context.state, header, record)
    _note_checkpoint(context.state, header)
    expire(context)
    activate(context, header.height, record)


def _begin_epoch(context: Context, height: int, record: EpochRecord) -> None:
    """Write down who validates from now on; forget the turns and the retired nodes of those that do not."""
    state = context.state
    keys = {validator.consensus_key for validator in record.validators}
    before = newest_epoch(state)
    if before is not None and is_restart(before, record.epoch):
        _give_up_lost(context, before, record)
    if before is not None and (old := epoch_members(state, before)) is not None:
        for member in old.members:
            if member.consensus_key not in keys:
                write_participation(state, member.consensus_key, None)
    for validator in record.validators:
        if read_participation(state, validator.consensus_key) is None:
            write_participation(state, validator.consensus_key, Participation(height, 0))
    members = tuple(Member(validator.organisation, validator.consensus_key) for validator in record.validators)
    write_epoch_members(state, record.epoch, EpochMembers(height, members))
    forget_old(state, record)


def _give_up_lost(context: Context, before: int, record: EpochRecord) -> None:
    """After a restart (J22) whoever is not in its record validates no more, until others vouch for him again."""
    survivors = {validator.organisation for validator in record.validators}
    for name in organisation_names(context.state):
        if name not in survivors and read_consensus_key(context.state, name) is not None:
            stop_validating(context, name)
            context.emit("registry", "validator_lost", name)
    context.emit("registry", "restarted", before, record.epoch)


def _note_leader(state: Overlay, header: Header, record: EpochRecord) -> None:
    key = record.validators[header.proposer].consensus_key
    seen = read_participation(state, key)
    assert seen is not None, "written when the epoch began"
    write_participation(state, key, replace(seen, last=header.height))


def _note_checkpoint(state: Overlay, header: Header) -> None:
    """Remember the first root that was reported in each stretch of heights."""
    known = checkpoint_at(state, header.exec_height)
    stretch = header.exec_height // CHECKPOINT_HEIGHTS
    if known is None or known.height // CHECKPOINT_HEIGHTS != stretch:
        write_checkpoint(state, Checkpoint(header.exec_height, header.state_root))
