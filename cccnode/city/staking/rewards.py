"""Rewards and punishment, block by block: the fee split, slashing for proven faults, jail for absence.

Each active validator gets the same part of a block's fees, whatever is bonded with it: votes weigh the same too.
"""

from collections.abc import Iterator

from msgspec.structs import replace

from cccnode.city.bank.rules import move
from cccnode.city.bank.state import FEES, TREASURY
from cccnode.city.registry.state import (
    Member,
    epoch_members,
    newest_epoch,
    organisation_account,
    read_participation,
)
from cccnode.city.staking.messages import ASSET
from cccnode.city.staking.rules import (
    BONDED_ACCOUNT,
    REWARDS_ACCOUNT,
    UNBONDING_ACCOUNT,
    change_bonded,
    free_due,
    fresh,
    settled,
)
from cccnode.city.staking.state import (
    WAD,
    Validator,
    delegator,
    ended_ms,
    last_epoch,
    read_delegation,
    read_params,
    read_validator,
    unbondings,
    write_delegation,
    write_epoch,
    write_unbonding,
    write_validator,
)
from cccnode.ledger.module import Context
from cccnode.ledger.state import Reader
from cccnode.types.units import BPS

ABSENCE_CHECK_BLOCKS = 128
"""Who led last is looked at after every so many blocks."""


def end_block(context: Context) -> None:
    """Free what is due, note a new epoch, and now and then look who is absent."""
    free_due(context)
    epoch = newest_epoch(context.state) or 0
    before = last_epoch(context.state)
    if epoch != before:
        write_epoch(context.state, epoch, before, context.time_ms)
    if context.height % ABSENCE_CHECK_BLOCKS == 0:
        _jail_absent(context)


def share_fees(context: Context, asset: str, amount: int) -> None:
    """Listens to `bank/validator_fees`: each active validator gets the same part, in whole base units.

    The rest stays in `m:fees`, and the bank brings it to the treasury.
    """
    earning = [*_earning(context.state)]
    if asset != ASSET or not earning or amount < len(earning):
        return
    part = amount // len(earning)
    for address, validator in earning:
        write_validator(context.state, address, _rewarded(validator, part))
    move(context.state, source=FEES, target=REWARDS_ACCOUNT, asset=ASSET, amount=part * len(earning))


def _rewarded(validator: Validator, part: int) -> Validator:
    """A validator with its part of a block's fees: its commission, and the index of those who bonded."""
    if not validator.tokens:
        return replace(validator, commission_due=validator.commission_due + part)
    commission = part * validator.commission_bps // BPS
    total = (part - commission) * WAD + int.from_bytes(validator.remainder, "big")
    index = int.from_bytes(validator.index, "big") + total // validator.tokens
    return replace(
        validator,
        index=index.to_bytes(32, "big"),
        remainder=(total % validator.tokens).to_bytes(32, "big"),
        commission_due=validator.commission_due + commission,
    )


def _earning(state: Reader) -> Iterator[tuple[bytes, Validator]]:
    """The validators of this epoch that are not jailed, in the order of its record."""
    for member in _members(state):
        address = organisation_account(state, member.organisation)
        if address is not None:
            validator = read_validator(state, address) or fresh(member.organisation)
            if not validator.jailed_until_ms:
                yield address, validator


def _members(state: Reader) -> tuple[Member, ...]:
    epoch = newest_epoch(state)
    found = None if epoch is None else epoch_members(state, epoch)
    return () if found is None else found.members


def _jail_absent(context: Context) -> None:
    """Jail whoever has led no block for so long; it is not slashed, and may return."""
    state, params = context.state, read_params(context.state)
    for member in _members(state):
        seen, address = (
            read_participation(state, member.consensus_key),
            organisation_account(state, member.organisation),
        )
        if seen is None or address is None:
            continue
        validator = read_validator(state, address) or fresh(member.organisation)
        since = max(seen.last, seen.since, validator.unjailed_height)
        if not validator.jailed_until_ms and context.height - since > params.miss_blocks:
            until_ms = context.time_ms + params.jail_ms
            write_validator(state, address, replace(validator, jailed_until_ms=until_ms))
            context.emit("staking", "jailed", address, "absent", until_ms)


def punish(context: Context, organisation: str, epoch: int) -> None:
    """Listens to `evidence/recorded`: slash and jail a validator that voted for two things at once.

    Nothing is taken for a fault of an epoch that ended longer ago than tokens wait, nor twice for what was done before
    it was punished (STK-7).
    """
    state, params = context.state, read_params(context.state)
    address = organisation_account(state, organisation)
    validator = None if address is None else read_validator(state, address)
    ended = ended_ms(state, epoch)
    too_old = ended is not None and context.time_ms - ended > params.unbond_ms
    if address is None or validator is None or too_old or epoch < validator.punished_before:
        return
    since = epoch_members(state, epoch)
    begun = 0 if since is None else since.height
    taken = waiting = 0
    for place in range(validator.delegators):
        account = delegator(state, address, place)
        validator, cut = _slash_delegation(context, address, validator, account, params.slash_bps)
        taken += cut
        waiting += _slash_waiting(context, address, account, begun, params.slash_bps)
    until_ms = context.time_ms + params.jail_ms
    punished = max(epoch, newest_epoch(state) or 0) + 1
    changed = replace(validator, tokens=validator.tokens - taken, jailed_until_ms=until_ms, punished_before=punished)
    write_validator(state, address, changed)
    for source, amount in ((BONDED_ACCOUNT, taken), (UNBONDING_ACCOUNT, waiting)):
        if amount:
            move(state, source=source, target=TREASURY, asset=ASSET, amount=amount)
    context.emit("staking", "slashed", address, taken, waiting, until_ms)


def _slash_delegation(
    context: Context, address: bytes, validator: Validator, account: bytes, bps: int
) -> tuple[Validator, int]:
    """Cut what an account has bonded; returns the validator, to be written by the caller, and what was cut."""
    record = read_delegation(context.state, address, account)
    assert record is not None, "whoever is in the list has a delegation"
    validator, counted = settled(validator, record)
    cut = counted.amount * bps // BPS
    write_delegation(context.state, address, account, replace(counted, amount=counted.amount - cut))
    if cut:
        change_bonded(context, account, -cut)
    return validator, cut


def _slash_waiting(context: Context, address: bytes, account: bytes, begun: int, bps: int) -> int:
    """Cut what an account took back since the epoch of the fault began; returns what was cut."""
    taken = 0
    for number, row in unbondings(context.state, account).items():
        if row.validator == address and row.height >= begun:
            cut = row.amount * bps // BPS
            write_unbonding(context.state, account, number, replace(row, amount=row.amount - cut))
            taken += cut
    return taken
