"""The city: its modules in one ordered tuple, and the registry made of them.

The order is consensus-critical (genesis and end-of-block hooks run in it): append, never reorder.
"""

from typing import Final

from cccnode.city import bank, evidence, gov, market, members, provenance, registry, sandbox, staking
from cccnode.city.bank import fees
from cccnode.city.members import authority
from cccnode.ledger.module import Module
from cccnode.ledger.registry import Registry

MODULES: Final[tuple[Module, ...]] = (
    members.MODULE,
    bank.MODULE,
    registry.MODULE,
    evidence.MODULE,
    gov.MODULE,
    staking.MODULE,
    provenance.MODULE,
    market.MODULE,
    sandbox.MODULE,
)

CITY: Final = Registry(MODULES, authority=authority, fees=fees)
"""Decoder, dispatch, queries, verbs and error table of this program."""
