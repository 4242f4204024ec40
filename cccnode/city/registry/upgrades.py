"""How the city's rules change: features that a vote schedules, and that begin together when the validators are ready.

One release carries the old rules and the new ones; a feature of the epoch record says which hold.  So nobody swaps a
program at a height, and a node whose program is too old stops by name instead of computing another state.  What a
program knows is never asked here: only what the state says, which is the same everywhere.
"""

from collections.abc import Iterable, Sequence
from typing import Final

from cccnode.city.registry.errors import FEATURE_ACTIVE, FEATURE_UNPLANNED, FULL, NOT_VALIDATOR
from cccnode.city.registry.messages import RegistryReady, RegistrySchedule, RegistryUnschedule
from cccnode.city.registry.record import advance, read_plan
from cccnode.city.registry.rules import acting
from cccnode.city.registry.state import (
    Planned,
    read_consensus_key,
    read_features,
    read_planned,
    ready_for,
    write_features,
    write_planned,
    write_ready,
)
from cccnode.ledger.module import Context
from cccnode.ledger.state import Reader
from cccnode.types.errors import fault
from cccnode.types.validators import EpochRecord, Validator, quorum

PLANNED_MAX: Final = 8
FEATURES_MAX: Final = 64
"""As in the genesis document."""


def check_schedule(context: Context, message: RegistrySchedule) -> None:
    """Refuse what is in force, or one more than may wait.

    Raises:
        Fault: registry/FEATURE_ACTIVE or FULL.
    """
    active, planned = read_features(context.state), read_planned(context.state)
    if message.feature in active:
        raise fault(FEATURE_ACTIVE, feature=message.feature)
    others = [row for row in planned if row.feature != message.feature]
    if len(others) >= PLANNED_MAX or len(active) + len(others) >= FEATURES_MAX:
        raise fault(FULL, features=len(active), planned=len(others), limit=PLANNED_MAX)


def schedule(context: Context, message: RegistrySchedule) -> None:
    """Let a feature wait for its height and for the validators."""
    check_schedule(context, message)
    state = context.state
    others = [row for row in read_planned(state) if row.feature != message.feature]
    write_planned(state, [*others, Planned(message.feature, message.height, message.code)])
    context.emit("registry", "feature_scheduled", message.feature, message.height, message.code)


def check_unschedule(context: Context, message: RegistryUnschedule) -> None:
    """Refuse what is not scheduled.

    Raises:
        Fault: registry/FEATURE_UNPLANNED.
    """
    _planned(context.state, message.feature)


def unschedule(context: Context, message: RegistryUnschedule) -> None:
    """Call a feature off."""
    _planned(context.state, message.feature)
    write_planned(context.state, [row for row in read_planned(context.state) if row.feature != message.feature])
    context.emit("registry", "feature_unscheduled", message.feature)


def declare_ready(context: Context, message: RegistryReady) -> None:
    """Write down that a validator's program knows a feature.

    Raises:
        Fault: registry/FEATURE_UNPLANNED, NOT_VALIDATOR, or why the account acts for nobody.
    """
    name = acting(context)
    _planned(context.state, message.feature)
    if read_consensus_key(context.state, name) is None:
        raise fault(NOT_VALIDATOR, organisation=name)
    write_ready(context.state, message.feature, name)
    context.emit("registry", "feature_ready", message.feature, name)


def _planned(state: Reader, feature: str) -> Planned:
    for row in read_planned(state):
        if row.feature == feature:
            return row
    raise fault(FEATURE_UNPLANNED, feature=feature)


def readiness(
    state: Reader, planned: Iterable[Planned], now: Sequence[Validator], epoch: int
) -> tuple[dict[str, tuple[str, ...]], int]:
    """Which validators of the epoch after `epoch` know each scheduled feature, and how many must."""
    coming = tuple(one.organisation for one in advance(now, read_plan(state), epoch + 1))
    ready = {row.feature: tuple(name for name in ready_for(state, row.feature) if name in coming) for row in planned}
    return ready, quorum(len(coming))


def activate(context: Context, height: int, record: EpochRecord) -> None:
    """Hand over to the next epoch what is due: its height has come, and a quorum of who validates then knows it."""
    state = context.state
    planned = read_planned(state)
    waiting = [row for row in planned if row.height <= height]
    if not waiting:
        return
    ready, needed = readiness(state, waiting, record.validators, record.epoch)
    due = [row for row in waiting if len(ready[row.feature]) >= needed]
    if not due:
        return
    write_features(state, (*read_features(state), *(row.feature for row in due)))
    write_planned(state, [row for row in planned if row not in due])
    for row in due:
        context.emit("registry", "feature_activated", row.feature, height)
