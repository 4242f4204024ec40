"""The first members, out of the genesis document."""

from collections.abc import Sequence

from cccnode.city.members.messages import WeightedKey
from cccnode.city.members.rules import open_account
from cccnode.city.members.state import Account, Kind, Params, Pillar, Status, write_params
from cccnode.ledger.parameters import parameters
from cccnode.ledger.state import Overlay
from genesis.document import AccountEntry, Genesis


def write_genesis(state: Overlay, genesis: Genesis) -> None:
    """The module's parameters."""
    write_params(state, parameters(genesis.parameters, "members", Params))


def write_accounts(state: Overlay, genesis: Genesis, entries: Sequence[AccountEntry]) -> None:
    """Open accounts of the document, active from its time on."""
    for entry in entries:
        open_account(state, entry.account_id(), _account(entry, genesis.document.time_ms))


def _account(entry: AccountEntry, time_ms: int) -> Account:
    keys = sorted((bytes.fromhex(row.key), row.weight) for row in entry.keys)
    return Account(
        kind=Kind[entry.kind.upper()],
        pillar=Pillar[entry.pillar.upper()],
        status=Status.ACTIVE,
        threshold=entry.threshold,
        keys=tuple(WeightedKey(key, weight) for key, weight in keys),
        enc_key=None if entry.enc_key is None else bytes.fromhex(entry.enc_key),
        organisation=entry.organisation,
        since_ms=time_ms,
    )
