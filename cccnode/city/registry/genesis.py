"""The first organisations, validators and nodes, out of the genesis document."""

from collections.abc import Sequence

from cccnode.city.members.state import Pillar
from cccnode.city.registry.policies import Params, policies_of
from cccnode.city.registry.state import (
    NodeRecord,
    Organisation,
    Standing,
    organisation_account,
    write_consensus_key,
    write_features,
    write_limits,
    write_node,
    write_organisation,
    write_organisation_account,
    write_policy,
    write_timers,
)
from cccnode.ledger.parameters import parameters
from cccnode.ledger.state import Overlay
from cccnode.types.errors import GENESIS_INVALID, fault
from genesis.document import AccountEntry, Genesis, OrganisationEntry


def write_genesis(state: Overlay, genesis: Genesis) -> None:
    """Every organisation of the document, numbered in its order, the policies and the settings of the first epoch.

    Raises:
        Fault: genesis/INVALID: a policy that cannot be.
    """
    try:
        policies = policies_of(parameters(genesis.parameters, "registry", Params))
    except ValueError as error:
        raise fault(GENESIS_INVALID, errors=[f"parameters.registry.{error}"]) from None
    for kind, policy in policies.items():
        write_policy(state, kind, policy)
    document = genesis.document
    for number, entry in enumerate(document.organisations):
        _write_organisation(state, number, entry, document.time_ms)
    write_limits(state, document.limits.noun())
    write_timers(state, document.timers.noun())
    write_features(state, tuple(document.features))


def write_accounts(state: Overlay, genesis: Genesis, entries: Sequence[AccountEntry]) -> None:
    """The first account of kind organisation that names an organisation acts for it."""
    del genesis
    for entry in entries:
        name = entry.organisation
        if entry.kind == "organisation" and name is not None and organisation_account(state, name) is None:
            write_organisation_account(state, name, entry.account_id())


def _write_organisation(state: Overlay, number: int, entry: OrganisationEntry, time_ms: int) -> None:
    pillar = Pillar[entry.pillar.upper()]
    write_organisation(state, entry.name, Organisation(number, pillar, Standing.ACTIVE, time_ms))
    if entry.consensus_key is not None:
        write_consensus_key(state, entry.name, bytes.fromhex(entry.consensus_key))
    for node in entry.nodes:
        record = NodeRecord(bytes.fromhex(node.certificate), tuple(node.addresses))
        write_node(state, entry.name, bytes.fromhex(node.key), record)
