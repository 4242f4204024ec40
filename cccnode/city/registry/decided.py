"""What the city's vote does to the network: the same changes that organisations approve, decided by governance.

Once the founders' approvals are retired, it is the only way.
"""

from cccnode.city.registry.changes import carry_out, check, check_fresh
from cccnode.city.registry.errors import RETIRED
from cccnode.city.registry.messages import (
    RegistryAdmitOrganisation,
    RegistryAdmitValidator,
    RegistryRemoveOrganisation,
    RegistryRemoveValidator,
    RegistryRetireFounders,
    RegistrySet,
)
from cccnode.city.registry.state import founders_retired, retire_founders
from cccnode.ledger.module import Context
from cccnode.types.errors import fault

Carried = (
    RegistryAdmitOrganisation
    | RegistryRemoveOrganisation
    | RegistryAdmitValidator
    | RegistryRemoveValidator
    | RegistrySet
)


def check_change(context: Context, message: Carried) -> None:
    """Refuse a change that could not be, when it is proposed."""
    check(context, message.change)
    check_fresh(context, message.change)


def change(context: Context, message: Carried) -> None:
    """Carry out a change."""
    carry_out(context, message.change, flagged=getattr(message, "flagged", False))


def check_retire(context: Context, message: RegistryRetireFounders) -> None:
    """Refuse what was done already."""
    del message
    if founders_retired(context.state):
        raise fault(RETIRED)


def retire(context: Context, message: RegistryRetireFounders) -> None:
    """Let nobody but the city change the network from now on."""
    check_retire(context, message)
    retire_founders(context.state)
    context.emit("registry", "founders_retired")
