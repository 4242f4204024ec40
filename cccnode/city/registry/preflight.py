"""Whether a change of validators could lose the quorum: arithmetic over who led blocks lately, before it is done.

A newcomer counts as dead, because nobody can know better.  Every set that the coming epochs would have on the way is
looked at, not only the last one.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from cccnode.city.registry.errors import QUORUM_AT_RISK
from cccnode.city.registry.record import Plan, forecast, read_plan
from cccnode.city.registry.state import epoch_members, newest_epoch, read_participation
from cccnode.codec import Noun
from cccnode.crypto.hashing import ZERO
from cccnode.ledger.module import Context
from cccnode.ledger.state import Reader
from cccnode.types.errors import fault
from cccnode.types.scalars import U16, Name
from cccnode.types.validators import Validator, faults, quorum

TURNS: Final = 16
"""A validator that led none of this many rounds of heights counts as silent."""
_NAMED_MAX: Final = 16
"""Silent validators that an error names; the query names all."""


class Preflight(Noun, frozen=True, array_like=True, gc=False):
    """What would remain: of the first set that could not make a quorum, else of the last one."""

    safe: bool
    validators: U16
    quorum: U16
    live: U16
    """Those that led lately."""
    silent: tuple[Name, ...]
    """The others, by number of the organisation."""


def current_members(context: Context) -> tuple[Validator, ...]:
    """Who validates in the epoch of the block."""
    assert context.record is not None, "every block is executed with its epoch's record"
    return context.record.validators


def recorded_members(state: Reader) -> tuple[int, tuple[Validator, ...]]:
    """The newest epoch and who validates in it, as blocks told (without nodes); before the first block, the genesis."""
    epoch = newest_epoch(state)
    members = None if epoch is None else epoch_members(state, epoch)
    if epoch is None or members is None:
        return 0, read_plan(state).validators
    return epoch, tuple(Validator(row.organisation, row.consensus_key, ()) for row in members.members)


def live_names(state: Reader, members: Sequence[Validator], height: int) -> list[str]:
    """Those of the members that led within the last rounds, or whose key has not validated for so long yet."""
    patience = TURNS * len(members)
    live = []
    for member in members:
        seen = read_participation(state, member.consensus_key)
        if seen is None or height - max(seen.since, seen.last) <= patience:
            live.append(member.organisation)
    return live


def after_adding(
    state: Reader, members: Sequence[Validator], *, epoch: int, height: int, name: str, flagged: bool = False
) -> Preflight:
    """The arithmetic of a newcomer that may be dead.

    Two or three validators stand no failure, so no arithmetic lets a network grow to that size: with `flagged` it
    trusts the newcomer where the whole plan, with him, has less than four members.
    """
    plan = read_plan(state)
    newcomer = Validator(name, ZERO, plan.nodes.get(name, ()))
    plan = replace(_flagged(plan, name, epoch, flagged=flagged), wanted={**plan.wanted, name: newcomer})
    live = [other for other in live_names(state, members, height) if other != name]
    if flagged and faults(len(plan.wanted)) == 0:
        live.append(name)
    return _look(members, plan, epoch, live)


def after_removing(
    state: Reader, members: Sequence[Validator], *, epoch: int, height: int, name: str, flagged: bool = False
) -> Preflight:
    """The arithmetic of one validator less."""
    plan = _flagged(read_plan(state), name, epoch, flagged=flagged)
    plan = replace(plan, wanted={other: row for other, row in plan.wanted.items() if other != name})
    return _look(members, plan, epoch, live_names(state, members, height))


def flag_epoch(epoch: int) -> int:
    """Up to which epoch a change executed in `epoch` is flagged: at the latest it enters the record after the next."""
    return epoch + 2


def _flagged(plan: Plan, name: str, epoch: int, *, flagged: bool) -> Plan:
    return replace(plan, flags={**plan.flags, name: flag_epoch(epoch)}) if flagged else plan


def require(preflight: Preflight) -> None:
    """Refuse what is not safe.

    Raises:
        Fault: registry/QUORUM_AT_RISK, with the numbers.
    """
    if not preflight.safe:
        raise fault(
            QUORUM_AT_RISK,
            validators=preflight.validators,
            quorum=preflight.quorum,
            live=preflight.live,
            silent=" ".join(preflight.silent[:_NAMED_MAX]),
        )


def _look(members: Sequence[Validator], plan: Plan, epoch: int, live: Sequence[str]) -> Preflight:
    """The first set that could not make a quorum, else the one that is wanted in the end."""
    found = [_count(after, live) for after in forecast(members, plan, epoch)]
    found.append(_count(plan.validators, live))
    return next((one for one in found if not one.safe), found[-1])


def _count(validators: Sequence[Validator], live: Sequence[str]) -> Preflight:
    names = [validator.organisation for validator in validators]
    silent = tuple(name for name in names if name not in live)
    needed, present = quorum(len(names)), len(names) - len(silent)
    return Preflight(present >= needed, len(names), needed, present, silent)
