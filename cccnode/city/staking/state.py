"""Validators' tokens, delegations and withdrawals in the state: the only place that knows their groups and items.

staking                 last          number of the newest withdrawal
                        epoch         the epoch that the newest block belonged to
staking/validators      <validator>   True: every account that ever had a `Validator`
sv/<validator>          ""            Validator
sd/<validator><account> ""            Delegation
sl/<validator><page>    <byte>        account: its delegators, 256 a page, without gaps
sa/<account>            total         what it has bonded with all validators together
                        <validator>   1: it has a `Delegation` there
su/<account>            <number>      Unbonding
se/<epoch>              ""            time of the first block after that epoch
par/staking             ""            Params
"""

from collections.abc import Iterator
from typing import Annotated, Final

from msgspec import Meta

from cccnode.city.staking.messages import CommissionBps
from cccnode.codec import Noun
from cccnode.ledger.pages import place
from cccnode.ledger.parameters import read_parameters
from cccnode.ledger.state import Overlay, Reader, Scan
from cccnode.types.scalars import U32, U63, AccountId, Amount, Height, Millis, Name
from cccnode.types.units import DAY_MS

UNBONDING_MAX: Final = 16
"""Withdrawals of one account that wait at a time."""
DELEGATORS_MAX: Final = 20_000
WAD: Final = 10**18
"""Indices count rewards in units of 1/WAD of a base unit for each bonded base unit."""

_ALL: Final = b"staking"
_LAST: Final = b"last"
_EPOCH: Final = b"epoch"
_VALIDATORS: Final = b"staking/validators"
_VALIDATOR: Final = b"sv/"
_DELEGATION: Final = b"sd/"
_LIST: Final = b"sl/"
_ACCOUNT: Final = b"sa/"
_TOTAL: Final = b"total"
_UNBONDING: Final = b"su/"
_ENDED: Final = b"se/"
_ONLY: Final = b""

U256 = Annotated[bytes, Meta(min_length=32, max_length=32)]
"""An integer of 256 bits, big-endian: MessagePack's end at 64 (modules.md R1)."""
ZERO_256: Final = bytes(32)


class Params(Noun, frozen=True, array_like=True, gc=False):
    """Numbers that genesis sets, and the city by vote (modules.md 3.4)."""

    unbond_ms: Annotated[int, Meta(ge=1, le=365 * DAY_MS)] = 14 * DAY_MS
    """How long tokens that were taken back wait, and how long a fault may still be punished."""
    min_delegate: Annotated[int, Meta(ge=1, le=10**15)] = 1_000_000
    """The least that is bonded at once, base units."""
    max_delegators: Annotated[int, Meta(ge=1, le=DELEGATORS_MAX)] = DELEGATORS_MAX
    """Delegators of one validator: bounds what slashing it costs."""
    slash_bps: Annotated[int, Meta(ge=0, le=5_000)] = 500
    """What two contradicting votes cost, in ten-thousandths of all that is bonded with the validator."""
    jail_ms: Annotated[int, Meta(ge=1, le=30 * DAY_MS)] = 3_600_000
    """How long a jailed validator earns nothing, at least."""
    commission_step_bps: CommissionBps = 100
    """How far a commission may move in 24 hours."""
    commission_max_bps: CommissionBps = 5_000
    """The highest commission."""
    miss_blocks: Annotated[int, Meta(ge=128, le=10**9)] = 10_000
    """A validator that led none of so many blocks is jailed, without being slashed."""


class Validator(Noun, frozen=True, array_like=True, gc=False):
    """What is bonded with a validator, and what it earned."""

    organisation: Name
    tokens: Amount
    """All delegations together."""
    index: U256
    """Rewards of one bonded base unit since the beginning, in 1/WAD base units."""
    remainder: U256
    """What the last division left, carried to the next block, so that nothing is lost."""
    dust: U256
    """What counting rewards in whole base units left with the module, in 1/WAD base units."""
    commission_bps: CommissionBps
    commission_set_ms: Millis
    """When it was last changed."""
    commission_due: Amount
    """Commission that was not taken yet."""
    delegators: U32
    jailed_until_ms: Millis
    """0 where it is not jailed."""
    unjailed_height: Height
    """From when on it must lead again."""
    punished_before: U63
    """Faults of epochs before this one were punished; 0 for none."""


class Delegation(Noun, frozen=True, array_like=True, gc=False):
    """What one account has bonded with one validator."""

    amount: Amount
    index: U256
    """The validator's index when the rewards were last counted."""
    pending: Amount
    """Rewards counted and not claimed."""
    place: U32
    """In the list of the validator's delegators."""


class Unbonding(Noun, frozen=True, array_like=True, gc=False):
    """Tokens that were taken back and wait."""

    validator: AccountId
    amount: Amount
    done_ms: Millis
    height: Height
    """When they were taken back."""


def read_params(state: Reader) -> Params:
    """The module's parameters."""
    return read_parameters(state, "staking", Params)


# -- validators ------------------------------------------------------------------------------------------------------


def read_validator(state: Reader, validator: bytes) -> Validator | None:
    """What is bonded with a validator, or None where nothing ever was."""
    return state.get(_VALIDATOR + validator, _ONLY, Validator)


def write_validator(state: Overlay, validator: bytes, record: Validator) -> None:
    """Set what is bonded with a validator."""
    if not state.has(_VALIDATOR + validator, _ONLY):
        state.put(_VALIDATORS, validator, True)
    state.put(_VALIDATOR + validator, _ONLY, record)


def validators(state: Reader) -> tuple[bytes, ...]:
    """The accounts of all validators with which something was ever bonded, sorted."""
    return tuple(state.group(_VALIDATORS, bool))


# -- delegations -----------------------------------------------------------------------------------------------------


def read_delegation(state: Reader, validator: bytes, account: bytes) -> Delegation | None:
    """What an account has bonded with a validator, or None."""
    return state.get(_DELEGATION + validator + account, _ONLY, Delegation)


def write_delegation(state: Overlay, validator: bytes, account: bytes, record: Delegation) -> None:
    """Set what an account has bonded with a validator."""
    state.put(_DELEGATION + validator + account, _ONLY, record)


def enter(state: Overlay, validator: bytes, account: bytes, index: int) -> None:
    """Put an account at the end of a validator's list."""
    state.put(*place(_LIST + validator, index), account)
    state.put(_ACCOUNT + account, validator, 1)


def drop(state: Overlay, validator: bytes, account: bytes, index: int, last: int) -> None:
    """Take an account out of a validator's list, and its delegation away; the last of the list takes its place."""
    moved = delegator(state, validator, last)
    state.put(*place(_LIST + validator, last), None)
    if moved != account:
        state.put(*place(_LIST + validator, index), moved)
        record = read_delegation(state, validator, moved)
        assert record is not None, "whoever is in the list has a delegation"
        write_delegation(state, validator, moved, Delegation(record.amount, record.index, record.pending, index))
    state.put(_DELEGATION + validator + account, _ONLY, None)
    state.put(_ACCOUNT + account, validator, None)


def delegator(state: Reader, validator: bytes, index: int) -> bytes:
    """Who stands at a place of a validator's list."""
    account = state.get(*place(_LIST + validator, index), bytes)
    assert account is not None, "a list has no gaps"
    return account


def delegations_of(state: Reader, account: bytes) -> tuple[bytes, ...]:
    """The validators with which an account has a delegation, sorted."""
    return tuple(item for item in state.group(_ACCOUNT + account, int) if item != _TOTAL)


def bonded(state: Reader, account: bytes) -> int:
    """What an account has bonded with all validators together, base units."""
    return state.get(_ACCOUNT + account, _TOTAL, int) or 0


def set_bonded(state: Overlay, account: bytes, amount: int) -> None:
    """Set what an account has bonded altogether."""
    state.put(_ACCOUNT + account, _TOTAL, amount or None)


# -- withdrawals -----------------------------------------------------------------------------------------------------


def take_number(state: Overlay) -> int:
    """A number for a withdrawal, from 1."""
    number = (state.get(_ALL, _LAST, int) or 0) + 1
    state.put(_ALL, _LAST, number)
    return number


def unbondings(state: Reader, account: bytes) -> dict[int, Unbonding]:
    """What an account waits for, by number."""
    found = state.group(_UNBONDING + account, Unbonding)
    return {int.from_bytes(item, "big"): row for item, row in found.items()}


def read_unbonding(state: Reader, account: bytes, number: int) -> Unbonding | None:
    """One withdrawal, or None."""
    return state.get(_UNBONDING + account, number.to_bytes(8, "big"), Unbonding)


def write_unbonding(state: Overlay, account: bytes, number: int, row: Unbonding | None) -> None:
    """Set or drop a withdrawal."""
    state.put(_UNBONDING + account, number.to_bytes(8, "big"), row)


# -- epochs ----------------------------------------------------------------------------------------------------------


def last_epoch(state: Reader) -> int:
    """The epoch of the newest block that was seen here."""
    return state.get(_ALL, _EPOCH, int) or 0


def write_epoch(state: Overlay, epoch: int, ended: int, time_ms: int) -> None:
    """Note the epoch of the newest block, and when the one before ended."""
    state.put(_ALL, _EPOCH, epoch)
    state.put(_ENDED + ended.to_bytes(8, "big"), _ONLY, time_ms)


def ended_ms(state: Reader, epoch: int) -> int | None:
    """When an epoch was over, or None while it lasts."""
    return state.get(_ENDED + epoch.to_bytes(8, "big"), _ONLY, int)


# -- everything, for audits ------------------------------------------------------------------------------------------


def all_delegations(state: Scan) -> Iterator[tuple[bytes, bytes, Delegation]]:
    """(validator, account, delegation), sorted."""
    for group in state.groups(_DELEGATION):
        record = state.get(group, _ONLY, Delegation)
        assert record is not None, "a group of one item"
        yield group[3:23], group[23:], record


def all_unbondings(state: Scan) -> Iterator[tuple[bytes, Unbonding]]:
    """(account, withdrawal), sorted."""
    for group in state.groups(_UNBONDING):
        for row in state.group(group, Unbonding).values():
            yield group[3:], row


def all_bonded(state: Scan) -> Iterator[tuple[bytes, int]]:
    """(account, what it has bonded altogether), sorted."""
    for group in state.groups(_ACCOUNT):
        yield group[3:], state.get(group, _TOTAL, int) or 0
