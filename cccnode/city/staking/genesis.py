"""What is bonded from the beginning, out of the genesis document's section `city.staking`.

{"validators": [{"organisation": "depa", "bonded": "20000000000", "commission_bps": 2000}]}
"""

from typing import Annotated

import msgspec
from msgspec import Meta
from msgspec.structs import replace

from cccnode.city.bank.state import balance
from cccnode.city.registry.state import organisation_account
from cccnode.city.staking.messages import ASSET, CommissionBps
from cccnode.city.staking.rules import bond, fresh, validator_of
from cccnode.city.staking.state import Params, read_validator, write_validator
from cccnode.ledger.module import Context
from cccnode.ledger.parameters import parameters, write_parameters
from cccnode.ledger.state import Overlay
from cccnode.types.errors import GENESIS_INVALID, fault
from cccnode.types.scalars import Name
from genesis.document import AmountText, Genesis


class ValidatorEntry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What an organisation bonds with itself, from its own balance."""

    organisation: Name
    bonded: AmountText
    """Base units, a decimal string."""
    commission_bps: CommissionBps = 0


class Section(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole."""

    validators: Annotated[tuple[ValidatorEntry, ...], Meta(max_length=256)] = ()


def write_genesis(state: Overlay, genesis: Genesis) -> None:
    """The module's parameters; the section is read so that its mistakes show early."""
    write_parameters(state, "staking", parameters(genesis.parameters, "staking", Params))
    genesis.section("staking", Section)


def bond_validators(state: Overlay, genesis: Genesis) -> None:
    """Bond what the section says, out of what the accounts own.

    Raises:
        Fault: genesis/INVALID, listing validators that are none, stand twice, or own less than they bond.
    """
    errors: list[object] = []
    context = Context(state, 0, genesis.document.time_ms, frozenset())
    for number, entry in enumerate(genesis.section("staking", Section).validators):
        address, amount = organisation_account(state, entry.organisation), int(entry.bonded)
        where = f"city.staking.validators[{number}]"
        if address is None or validator_of(state, address) is None:
            errors.append(f"{where}.organisation: {entry.organisation} does not validate, or has no account")
        elif read_validator(state, address) is not None:
            errors.append(f"{where}.organisation: {entry.organisation} stands twice")
        elif (owned := balance(state, address, ASSET)) < amount:
            errors.append(f"{where}.bonded: its account owns {owned}")
        else:
            validator = replace(fresh(entry.organisation), commission_bps=entry.commission_bps)
            write_validator(state, address, validator)
            if amount:
                bond(context, address, validator, address, amount)
    if errors:
        raise fault(GENESIS_INVALID, errors=errors)
