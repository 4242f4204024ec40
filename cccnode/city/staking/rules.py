"""What bonding, taking back and claiming do (modules.md 3.4).

Plain amounts, no shares: a slash rewrites every delegation, so what a delegator has is a number and never a quotient.
Whatever changes a delegation counts its rewards first.
"""

from msgspec.structs import replace

from cccnode.city.bank.rules import move
from cccnode.city.members.state import read_account
from cccnode.city.registry.state import organisation_account, read_consensus_key
from cccnode.city.staking.errors import (
    BONDED,
    COMMISSION,
    FULL,
    JAILED,
    NO_DELEGATION,
    NOT_JAILED,
    TOO_MUCH,
    TOO_SMALL,
    UNBONDING_FULL,
    UNKNOWN_VALIDATOR,
    ZERO,
)
from cccnode.city.staking.messages import (
    ASSET,
    StkClaim,
    StkClaimCommission,
    StkDelegate,
    StkSetCommission,
    StkUndelegate,
    StkUnjail,
)
from cccnode.city.staking.state import (
    UNBONDING_MAX,
    WAD,
    ZERO_256,
    Delegation,
    Unbonding,
    Validator,
    bonded,
    delegations_of,
    drop,
    enter,
    read_delegation,
    read_params,
    read_unbonding,
    read_validator,
    set_bonded,
    take_number,
    unbondings,
    write_delegation,
    write_unbonding,
    write_validator,
)
from cccnode.ledger.deadlines import schedule, take_due
from cccnode.ledger.module import Context
from cccnode.ledger.state import Reader, module_account
from cccnode.types.errors import fault
from cccnode.types.units import DAY_MS

BONDED_ACCOUNT = module_account("bonded")
UNBONDING_ACCOUNT = module_account("unbonding")
REWARDS_ACCOUNT = module_account("rewards")
QUEUE = "staking"
MOVED = "staking/bonded"
"""Hook: (account, what it had bonded before, what it has now)."""


def delegate(context: Context, message: StkDelegate) -> None:
    """Bond tokens; what the account earned there so far is counted first."""
    state, account = context.state, context.account
    params, validator = read_params(state), _validating(state, message.validator)
    if message.amount < params.min_delegate:
        raise fault(TOO_SMALL, amount=message.amount, least=params.min_delegate)
    if read_delegation(state, message.validator, account) is None and validator.delegators >= params.max_delegators:
        raise fault(FULL, delegators=validator.delegators)
    bond(context, message.validator, validator, account, message.amount)
    context.emit("staking", "delegated", account, message.validator, message.amount)


def bond(context: Context, address: bytes, validator: Validator, account: bytes, amount: int) -> None:
    """Move tokens into the bond, and write down whose they are."""
    state = context.state
    move(state, source=account, target=BONDED_ACCOUNT, asset=ASSET, amount=amount)
    known = read_delegation(state, address, account)
    if known is None:
        enter(state, address, account, validator.delegators)
        record = Delegation(amount, validator.index, 0, validator.delegators)
        validator = replace(validator, delegators=validator.delegators + 1)
    else:
        validator, counted = settled(validator, known)
        record = replace(counted, amount=counted.amount + amount)
    write_delegation(state, address, account, record)
    write_validator(state, address, replace(validator, tokens=validator.tokens + amount))
    change_bonded(context, account, amount)


def undelegate(context: Context, message: StkUndelegate) -> None:
    """Take tokens back; they wait in the ledger's own account until they are free."""
    state, account = context.state, context.account
    if message.amount == 0:
        raise fault(ZERO)
    validator, record = _delegation(state, message.validator, account)
    if message.amount > record.amount:
        raise fault(TOO_MUCH, bonded=record.amount, asked=message.amount)
    waiting = unbondings(state, account)
    if len(waiting) >= UNBONDING_MAX:
        raise fault(UNBONDING_FULL, waiting=len(waiting), limit=UNBONDING_MAX)
    validator, counted = settled(validator, record)
    write_delegation(state, message.validator, account, replace(counted, amount=counted.amount - message.amount))
    write_validator(state, message.validator, replace(validator, tokens=validator.tokens - message.amount))
    move(state, source=BONDED_ACCOUNT, target=UNBONDING_ACCOUNT, asset=ASSET, amount=message.amount)
    done_ms, number = context.time_ms + read_params(state).unbond_ms, take_number(state)
    write_unbonding(state, account, number, Unbonding(message.validator, message.amount, done_ms, context.height))
    schedule(state, QUEUE, done_ms, account + number.to_bytes(8, "big"))
    change_bonded(context, account, -message.amount)
    context.emit("staking", "undelegated", account, message.validator, message.amount, done_ms)


def claim(context: Context, message: StkClaim) -> None:
    """Pay out what was earned with a validator; a delegation of which nothing is left is forgotten."""
    state, account = context.state, context.account
    validator, record = _delegation(state, message.validator, account)
    validator, counted = settled(validator, record)
    write_validator(state, message.validator, validator)
    write_delegation(state, message.validator, account, replace(counted, pending=0))
    if counted.pending:
        move(state, source=REWARDS_ACCOUNT, target=account, asset=ASSET, amount=counted.pending)
    forget_empty(context, message.validator, account)
    context.emit("staking", "claimed", account, message.validator, counted.pending)


def claim_commission(context: Context, _message: StkClaimCommission) -> None:
    """Pay a validator's commission to its organisation."""
    state, account = context.state, context.account
    validator = read_validator(state, account)
    if validator is None:
        raise fault(UNKNOWN_VALIDATOR, account=account)
    write_validator(state, account, replace(validator, commission_due=0))
    if validator.commission_due:
        move(state, source=REWARDS_ACCOUNT, target=account, asset=ASSET, amount=validator.commission_due)
    context.emit("staking", "commission", account, validator.commission_due)


def set_commission(context: Context, message: StkSetCommission) -> None:
    """Change the commission, a step a day."""
    state, account = context.state, context.account
    params, validator = read_params(state), _validating(state, account)
    step = abs(message.commission_bps - validator.commission_bps)
    soon = validator.commission_set_ms and context.time_ms - validator.commission_set_ms < DAY_MS
    if message.commission_bps > params.commission_max_bps or step > params.commission_step_bps or soon:
        raise fault(COMMISSION, now=validator.commission_bps, asked=message.commission_bps)
    changed = replace(validator, commission_bps=message.commission_bps, commission_set_ms=context.time_ms)
    write_validator(state, account, changed)
    context.emit("staking", "commission_set", account, message.commission_bps)


def unjail(context: Context, _message: StkUnjail) -> None:
    """Let a validator earn again."""
    state, account = context.state, context.account
    validator = _validating(state, account)
    if not validator.jailed_until_ms:
        raise fault(NOT_JAILED, account=account)
    if context.time_ms < validator.jailed_until_ms:
        raise fault(JAILED, until_ms=validator.jailed_until_ms)
    write_validator(state, account, replace(validator, jailed_until_ms=0, unjailed_height=context.height))
    context.emit("staking", "unjailed", account)


def free_due(context: Context) -> None:
    """Pay out the withdrawals whose time has come."""
    state = context.state
    for _, entry in take_due(state, QUEUE, context.time_ms):
        account, number = entry[:20], int.from_bytes(entry[20:], "big")
        row = read_unbonding(state, account, number)
        assert row is not None, "a withdrawal waits until its time"
        write_unbonding(state, account, number, None)
        if row.amount:
            move(state, source=UNBONDING_ACCOUNT, target=account, asset=ASSET, amount=row.amount)
        forget_empty(context, row.validator, account)
        context.emit("staking", "unbonded", account, row.validator, row.amount)


def settled(validator: Validator, record: Delegation) -> tuple[Validator, Delegation]:
    """A delegation with its rewards counted up to now, in whole base units, and its validator with what that left."""
    gained = int.from_bytes(validator.index, "big") - int.from_bytes(record.index, "big")
    earned, left = divmod(gained * record.amount, WAD)
    dust = int.from_bytes(validator.dust, "big") + left
    return (
        replace(validator, dust=dust.to_bytes(32, "big")),
        replace(record, index=validator.index, pending=record.pending + earned),
    )


def change_bonded(context: Context, account: bytes, by: int) -> None:
    """Keep an account's total, and tell who counts votes by it."""
    before = bonded(context.state, account)
    set_bonded(context.state, account, before + by)
    context.call(MOVED, account, before, before + by)


def forget_empty(context: Context, address: bytes, account: bytes) -> None:
    """Drop a delegation of which nothing is left: no tokens, no rewards, nothing that waits and could be slashed."""
    state = context.state
    record, validator = read_delegation(state, address, account), read_validator(state, address)
    if record is None or validator is None or record.amount or record.pending:
        return
    if any(row.validator == address for row in unbondings(state, account).values()):
        return
    drop(state, address, account, record.place, validator.delegators - 1)
    write_validator(state, address, replace(validator, delegators=validator.delegators - 1))


def check_leaving(context: Context, account: bytes) -> None:
    """Listens to `members/leaving`: nobody leaves tokens behind.

    Raises:
        Fault: staking/BONDED.
    """
    if delegations_of(context.state, account) or unbondings(context.state, account):
        raise fault(BONDED, account=account)


def validator_of(state: Reader, account: bytes) -> str | None:
    """The organisation that validates with this account, or None."""
    record = read_account(state, account)
    name = None if record is None else record.organisation
    if name is None or organisation_account(state, name) != account or read_consensus_key(state, name) is None:
        return None
    return name


def fresh(organisation: str, commission_bps: int = 0) -> Validator:
    """A validator with which nothing is bonded yet."""
    return Validator(organisation, 0, ZERO_256, ZERO_256, ZERO_256, commission_bps, 0, 0, 0, 0, 0, 0)


def _validating(state: Reader, account: bytes) -> Validator:
    """What is bonded with a validator of now or of the next epoch."""
    name = validator_of(state, account)
    if name is None:
        raise fault(UNKNOWN_VALIDATOR, account=account)
    return read_validator(state, account) or fresh(name)


def _delegation(state: Reader, validator: bytes, account: bytes) -> tuple[Validator, Delegation]:
    record, known = read_delegation(state, validator, account), read_validator(state, validator)
    if record is None or known is None:
        raise fault(NO_DELEGATION, validator=validator)
    return known, record
