"""The first organisations, validators and nodes, out of the genesis document."""

from cccnode.city.members.state import Pillar
from cccnode.city.registry.policies import Params, policies_of
from cccnode.city.registry.state import (
    NodeRecord,
    Organisation,
    Standing,
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
from genesis.document import Genesis, OrganisationEntry


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
    for name, account in _accounts(genesis).items():
        write_organisation_account(state, name, account)
    write_limits(state, document.limits.noun())
    write_timers(state, document.timers.noun())
    write_features(state, tuple(document.features))


def _accounts(genesis: Genesis) -> dict[str, bytes]:
    """The first account of kind organisation that names each organisation: it acts for it."""
    found: dict[str, bytes] = {}
    for entry in genesis.accounts:
        if entry.kind == "organisation" and entry.organisation is not None:
            found.setdefault(entry.organisation, entry.account_id())
    return found


def _write_organisation(state: Overlay, number: int, entry: OrganisationEntry, time_ms: int) -> None:
    pillar = Pillar[entry.pillar.upper()]
    write_organisation(state, entry.name, Organisation(number, pillar, Standing.ACTIVE, time_ms))
    if entry.consensus_key is not None:
        write_consensus_key(state, entry.name, bytes.fromhex(entry.consensus_key))
    for node in entry.nodes:
        record = NodeRecord(bytes.fromhex(node.certificate), tuple(node.addresses))
        write_node(state, entry.name, bytes.fromhex(node.key), record)
