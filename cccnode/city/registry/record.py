"""The epoch record out of state (J11), and the node list that the network trusts (D9, J14).

What organisations want is in the state; how fast it may come true is decided here: at an epoch's end at most f members
(one, where f is zero) join, leave or change their key, unless their change is flagged.  The rest waits for the next.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from msgspec.structs import replace

from cccnode.city.registry.state import (
    EPOCH,
    NodeRecord,
    newest_epoch,
    organisation_names,
    read_consensus_key,
    read_features,
    read_flag,
    read_limits,
    read_nodes,
    read_timers,
    retired_nodes,
)
from cccnode.codec import Noun
from cccnode.ledger.state import Overlay, Reader, StateView, Writes
from cccnode.types.limits import VALIDATORS_MAX
from cccnode.types.scalars import Name, PublicKey
from cccnode.types.validators import EpochRecord, Validator, faults


class RegisteredNode(Noun, frozen=True, array_like=True, gc=False):
    """One machine that may take part in the network."""

    node_key: PublicKey
    organisation: Name
    validator: bool
    """Whether its organisation validates."""
    certificate: bytes
    addresses: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What the organisations want, whatever the epoch."""

    order: tuple[str, ...]
    """Every organisation by number."""
    wanted: Mapping[str, Validator]
    """Who is to validate, and how."""
    nodes: Mapping[str, tuple[bytes, ...]]
    """Node keys of those that have any."""
    flags: Mapping[str, int]
    """Up to which epoch an organisation's change is flagged."""

    @property
    def validators(self) -> tuple[Validator, ...]:
        """Who is to validate, by number of the organisation."""
        return tuple(self.wanted[name] for name in self.order if name in self.wanted)


def read_plan(state: Reader) -> Plan:
    """The plan as the state has it.  A validator without nodes is left out: its votes would find no way."""
    order = organisation_names(state)
    nodes = {name: keys for name in order if (keys := tuple(read_nodes(state, name)))}
    voting = {name: key for name in nodes if (key := read_consensus_key(state, name)) is not None}
    return Plan(
        order=order,
        wanted={name: Validator(name, key, nodes[name]) for name, key in voting.items()},
        nodes=nodes,
        flags={name: flag for name in order if (flag := read_flag(state, name))},
    )


def epoch_record(view: StateView, epoch: int) -> EpochRecord:
    """The record that has all that `view` wants: that of the first epoch, out of the first state."""
    state = Overlay(view)
    return _record(state, epoch, read_plan(state).validators)


def next_record(view: StateView, current: EpochRecord) -> EpochRecord:
    """The record of the epoch after `current`, computed from the state `view`.

    It differs from `current` beyond its number when a change is due.  It depends on `current` too, so a caller that
    remembers it asks again when an epoch begins, even if the state did not change: what waited may be due then.
    """
    state = Overlay(view)
    newest = newest_epoch(state)
    if newest is not None and is_restart(newest, current.epoch):
        return replace(current, epoch=current.epoch + 1)  # this state still wants those who were lost
    validators = advance(current.validators, read_plan(state), current.epoch + 1)
    return _record(state, current.epoch + 1, validators)


def is_restart(before: int, epoch: int) -> bool:
    """Whether an epoch began by a restart certificate: its number leaves one out (J22)."""
    return epoch > before + 1


def reads_record(writes: Writes) -> bool:
    """Whether a block's writes touch anything that `next_record` or `registered_nodes` reads: one look-up."""
    return EPOCH in writes


def advance(members: Sequence[Validator], plan: Plan, epoch: int) -> tuple[Validator, ...]:
    """The members of `epoch` after `members`: as much of the plan as may come true at once.

    Changes are taken in the order of the organisations.  Node keys follow the plan freely.  Never empty: where nobody
    would be left, the members stay.
    """
    now = {member.organisation: member for member in members}
    allowed, size = max(1, faults(len(members))), len(members)
    chosen = []
    for name in plan.order:
        member, wanted = now.get(name), plan.wanted.get(name)
        taken = wanted
        if _key(member) != _key(wanted):
            grown = size + (wanted is not None) - (member is not None)
            free = plan.flags.get(name, 0) >= epoch
            # The last one stays until another has come, which then may take what is left of `allowed`.
            if (allowed or free) and 0 < grown <= VALIDATORS_MAX:
                allowed, size = allowed - (not free), grown
            else:
                taken = _waiting(member, plan)
        if taken is not None:
            chosen.append(taken)
    return tuple(chosen) or tuple(members)


def _waiting(member: Validator | None, plan: Plan) -> Validator | None:
    """A member whose change waits: its key stays, its nodes follow."""
    if member is None:
        return None
    nodes = plan.nodes.get(member.organisation, member.node_keys)
    return Validator(member.organisation, member.consensus_key, nodes)


def forecast(members: Sequence[Validator], plan: Plan, epoch: int) -> Iterator[tuple[Validator, ...]]:
    """The members of the epochs after `epoch`, until the plan has come true."""
    before = tuple(members)
    for following in range(epoch + 1, epoch + 2 + len(plan.order)):
        after = advance(before, plan, following)
        yield after
        if after == before:
            return
        before = after


def _key(validator: Validator | None) -> bytes | None:
    return None if validator is None else validator.consensus_key


def _record(state: Reader, epoch: int, validators: tuple[Validator, ...]) -> EpochRecord:
    return EpochRecord(
        epoch=epoch,
        validators=validators,
        limits=read_limits(state),
        timers=read_timers(state),
        features=read_features(state),
    )


def registered_nodes(view: StateView) -> tuple[RegisteredNode, ...]:
    """Every node that the network trusts, by organisation and key: the registered ones and the retired ones."""
    return nodes_of(Overlay(view))


def nodes_of(state: Reader) -> tuple[RegisteredNode, ...]:
    """The same over decoded state."""
    return tuple(
        _node(name, key, record, validator=read_consensus_key(state, name) is not None)
        for name in organisation_names(state)
        for key, record in sorted({**retired_nodes(state, name), **read_nodes(state, name)}.items())
    )


def _node(name: str, key: bytes, record: NodeRecord, *, validator: bool) -> RegisteredNode:
    return RegisteredNode(key, name, validator, record.certificate, record.addresses)
