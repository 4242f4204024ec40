"""What anyone may ask about staking."""

from cccnode.city.registry.state import Participation, read_consensus_key, read_participation
from cccnode.city.staking.messages import CommissionBps
from cccnode.city.staking.rules import settled
from cccnode.city.staking.state import (
    Unbonding,
    delegations_of,
    read_delegation,
    read_validator,
    unbondings,
    validators,
)
from cccnode.codec import Noun
from cccnode.ledger.state import Reader
from cccnode.types.scalars import U32, U63, AccountId, Amount, Millis, Name


class NoParams(Noun, frozen=True, array_like=True, gc=False):
    """Nothing to say."""


class StakerParams(Noun, frozen=True, array_like=True, gc=False):
    """Whose."""

    account: AccountId


class StakedValidator(Noun, frozen=True, array_like=True, gc=False):
    """A validator, what is bonded with it, and how it stands."""

    account: AccountId
    organisation: Name
    validating: bool
    """Whether it has a consensus key: it validates now or from the next epoch on."""
    tokens: Amount
    delegators: U32
    commission_bps: CommissionBps
    commission_due: Amount
    jailed_until_ms: Millis
    """0 where it is not jailed."""
    led: Participation | None
    """When it led, where it is one of this epoch's validators."""


class DelegationAnswer(Noun, frozen=True, array_like=True, gc=False):
    """What an account has with one validator."""

    validator: AccountId
    organisation: Name
    amount: Amount
    rewards: Amount
    """Earned and not claimed."""


class UnbondingAnswer(Noun, frozen=True, array_like=True, gc=False):
    """What waits until it is free."""

    number: U63
    withdrawal: Unbonding


def staking_validators(state: Reader, _params: NoParams) -> tuple[StakedValidator, ...]:
    """Every validator with which something was ever bonded, by account."""
    found = []
    for address in validators(state):
        row = read_validator(state, address)
        assert row is not None, "every listed validator has its record"
        key = read_consensus_key(state, row.organisation)
        found.append(
            StakedValidator(
                address,
                row.organisation,
                key is not None,
                row.tokens,
                row.delegators,
                row.commission_bps,
                row.commission_due,
                row.jailed_until_ms,
                None if key is None else read_participation(state, key),
            )
        )
    return tuple(found)


def staking_delegations(state: Reader, params: StakerParams) -> tuple[DelegationAnswer, ...]:
    """What an account has bonded, and what it earned, by validator."""
    found = []
    for address in delegations_of(state, params.account):
        row, validator = read_delegation(state, address, params.account), read_validator(state, address)
        assert row is not None, "every listed delegation has its record"
        assert validator is not None, "every delegation has its validator"
        rewards = settled(validator, row)[1].pending
        found.append(DelegationAnswer(address, validator.organisation, row.amount, rewards))
    return tuple(found)


def staking_unbonding(state: Reader, params: StakerParams) -> tuple[UnbondingAnswer, ...]:
    """What an account took back and is not free yet, oldest first."""
    return tuple(UnbondingAnswer(number, row) for number, row in sorted(unbondings(state, params.account).items()))
