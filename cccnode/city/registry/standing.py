"""What the registry says when another module would take an organisation's account out of action."""

from typing import Final

from cccnode.city.members.errors import LIVENESS
from cccnode.city.members.state import is_active
from cccnode.city.registry.policies import active_organisations
from cccnode.city.registry.rules import organisation_of
from cccnode.city.registry.state import organisation_account, read_consensus_key
from cccnode.ledger.module import Context
from cccnode.ledger.state import Reader
from cccnode.types.errors import fault

VALIDATORS_MIN: Final = 4
"""Validators whose organisation may act: one of them may then fail (modules.md 3.1)."""


def suspending(context: Context, address: bytes) -> None:
    """Refuse to suspend a validator's account where too few others could act.

    Raises:
        Fault: members/LIVENESS.
    """
    name = organisation_of(context.state, address)
    if name is None or read_consensus_key(context.state, name) is None:
        return
    left = sum(other != name and _acts(context.state, other) for other in active_organisations(context.state))
    if left < VALIDATORS_MIN:
        raise fault(LIVENESS, organisation=name, left=left, needed=VALIDATORS_MIN)


def _acts(state: Reader, name: str) -> bool:
    account = organisation_account(state, name)
    return read_consensus_key(state, name) is not None and account is not None and is_active(state, account)
