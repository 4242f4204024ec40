"""The module's parameters, out of the genesis document."""

from cccnode.city.gov.state import Params
from cccnode.ledger.parameters import parameters, write_parameters
from cccnode.ledger.state import Overlay
from genesis.document import Genesis


def write_genesis(state: Overlay, genesis: Genesis) -> None:
    """Set them."""
    write_parameters(state, "gov", parameters(genesis.parameters, "gov", Params))
