"""The first assets and balances, out of the genesis document; the only place where money appears (BNK-3)."""

from collections import Counter
from collections.abc import Sequence

from cccnode.city.bank.state import Asset, Policy, set_balance, set_supply, supply, write_asset, write_schedule
from cccnode.codec import Noun
from cccnode.ledger.fees import FeeSchedule, Rate
from cccnode.ledger.parameters import parameters
from cccnode.ledger.state import Overlay
from cccnode.types.errors import GENESIS_INVALID, fault
from cccnode.types.scalars import AssetId
from genesis.document import AccountEntry, Genesis


class Params(Noun, frozen=True, array_like=True, gc=False):
    """Names of the bank's parameters in the document (modules.md 3.2)."""

    fee_asset: AssetId = "uccc"
    fee_base: Rate = 1_000
    fee_byte: Rate = 0


def write_genesis(state: Overlay, genesis: Genesis) -> None:
    """Assets, as yet without supply, and fees.

    Raises:
        Fault: genesis/INVALID: the fee asset is not among the assets.
    """
    params = parameters(genesis.parameters, "bank", Params)
    if params.fee_asset not in {asset.id for asset in genesis.document.assets}:
        raise fault(GENESIS_INVALID, errors=[f"parameters.bank.fee_asset: no asset {params.fee_asset}"])
    write_schedule(state, FeeSchedule(params.fee_asset, params.fee_base, params.fee_byte))
    for row in genesis.document.assets:
        write_asset(
            state,
            Asset(
                id=row.id,
                exponent=row.exponent,
                policy=Policy.FIXED,
                cap=int(row.cap),
                transferable=row.transferable,
            ),
        )
        set_supply(state, row.id, 0)


def write_accounts(state: Overlay, genesis: Genesis, entries: Sequence[AccountEntry]) -> None:
    """Balances, and what they add to the supply."""
    del genesis
    added: Counter[str] = Counter()
    for entry in entries:
        address = entry.account_id()
        for asset, amount in sorted(entry.balances.items()):
            set_balance(state, address, asset, int(amount))
            added[asset] += int(amount)
    for asset, more in added.items():
        set_supply(state, asset, supply(state, asset) + more)
