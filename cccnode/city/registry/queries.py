"""What anyone may ask about organisations and nodes."""

from cccnode.city.members.state import Pillar
from cccnode.city.registry.record import RegisteredNode, nodes_of
from cccnode.city.registry.state import (
    Standing,
    organisation_names,
    read_consensus_key,
    read_organisation,
)
from cccnode.codec import Noun
from cccnode.ledger.state import Reader
from cccnode.types.scalars import U16, Name, PublicKey


class NoParams(Noun, frozen=True, array_like=True, gc=False):
    """Nothing to choose."""


class OrganisationAnswer(Noun, frozen=True, array_like=True, gc=False):
    """A partner as it stands."""

    name: Name
    number: U16
    pillar: Pillar
    standing: Standing
    consensus_key: PublicKey | None
    """Present where it validates (from the next epoch on)."""


def registry_organisations(state: Reader, params: NoParams) -> tuple[OrganisationAnswer, ...]:
    """Every organisation, by number."""
    answers = []
    for name in organisation_names(state):
        record = read_organisation(state, name)
        assert record is not None, "every listed organisation has its record"
        key = read_consensus_key(state, name)
        answers.append(OrganisationAnswer(name, record.number, record.pillar, record.standing, key))
    return tuple(answers)


def registry_nodes(state: Reader, params: NoParams) -> tuple[RegisteredNode, ...]:
    """Every registered node."""
    return nodes_of(state)
