"""What the changes are that organisations decide together: whether each may be, and what it does.

Everything is checked before anything is written, so a change that is refused when it has the approvals it needs leaves
no trace, and its proposal stays open.
"""

from typing import Final

from cccnode.city.members.accounts import open_account
from cccnode.city.members.errors import PK_USED
from cccnode.city.members.state import Account, Kind, Status, account_exists, read_key
from cccnode.city.registry.errors import (
    FULL,
    IS_VALIDATOR,
    NAME_TAKEN,
    NOT_ACTIVE,
    NOT_VALIDATOR,
    OUT_OF_BOUNDS,
    PROOF,
    RECEIPT_ROOT,
    RECEIPT_STALE,
    RECEIPT_SUBJECT,
    THRESHOLD,
    UNKNOWN_ORGANISATION,
    WEAK_KEY,
)
from cccnode.city.registry.messages import (
    AddValidator,
    AdmitOrganisation,
    Change,
    RemoveOrganisation,
    RemoveValidator,
    SetLimits,
    SetPolicy,
    SetTimers,
)
from cccnode.city.registry.nodes import checked_nodes, register_nodes
from cccnode.city.registry.policies import attainable
from cccnode.city.registry.preflight import after_adding, current_members, flag_epoch, require
from cccnode.city.registry.record import read_plan
from cccnode.city.registry.rules import check_new_key, check_removal, dissolve, stop_validating
from cccnode.city.registry.state import (
    CHECKPOINT_HEIGHTS,
    CHECKPOINTS_KEPT,
    Organisation,
    Standing,
    checkpoint_at,
    node_owner,
    organisation_names,
    read_consensus_key,
    read_limits,
    read_organisation,
    write_consensus_key,
    write_flag,
    write_limits,
    write_organisation,
    write_organisation_account,
    write_policy,
    write_timers,
)
from cccnode.crypto.verifying import SMALL_ORDER, verify
from cccnode.ledger.module import Context
from cccnode.ledger.state import Reader
from cccnode.types.errors import fault
from cccnode.types.limits import GROUP_ITEMS_MAX, VALIDATORS_MAX
from cccnode.types.readiness import ReadinessReceipt, readiness_bytes
from cccnode.types.transaction import account_id
from cccnode.types.validators import Limits, Timers

RECEIPT_HEIGHTS_MAX: Final = CHECKPOINT_HEIGHTS * CHECKPOINTS_KEPT
"""How far a readiness receipt's height may lie back when it is proposed: as far as checkpoints are remembered."""
DELTA_MS_MAX: Final = 60_000
TIMER_MS_MAX: Final = 86_400_000
EPOCH_BLOCKS_MIN: Final = 16
EPOCH_MS_MIN: Final = 1_000
"""An epoch that ends sooner would spend its blocks on ending."""
WINDOW_TX_MIN: Final = 10_000
WINDOW_TX_MAX: Final = 100_000_000


def check(context: Context, change: Change) -> None:
    """Refuse a change that could not be, whoever approves it; asked when it is proposed and when it is carried out.

    Raises:
        Fault: a row of the registry, or members/PK_USED.
    """
    state = context.state
    match change:
        case AdmitOrganisation():
            _check_admission(state, change)
        case RemoveOrganisation(organisation=name):
            _active(state, name)
        case AddValidator():
            _check_candidate(state, change)
        case RemoveValidator(organisation=name):
            _active(state, name)
            if read_consensus_key(state, name) is None:
                raise fault(NOT_VALIDATOR, organisation=name)
        case SetTimers(timers=timers):
            _check_timers(timers)
        case SetLimits(limits=limits):
            _check_limits(state, limits)
        case SetPolicy(policy=policy):
            if not attainable(policy):
                raise fault(OUT_OF_BOUNDS, field="share", value=f"{policy.numerator}/{policy.denominator}")


def check_fresh(context: Context, change: Change) -> None:
    """Refuse a readiness receipt that does not show a candidate at the tip; asked when it is proposed.

    Later, members who approve say themselves whether they reach the candidate's node and it is at the tip.

    Raises:
        Fault: registry/RECEIPT_STALE, RECEIPT_ROOT or PROOF.
    """
    if not isinstance(change, AddValidator):
        return
    receipt = change.receipt
    checkpoint = checkpoint_at(context.state, receipt.height)
    lowest = context.height - RECEIPT_HEIGHTS_MAX
    if checkpoint is None or checkpoint.height != receipt.height or receipt.height < lowest:
        raise fault(RECEIPT_STALE, height=receipt.height, lowest=max(0, lowest))
    if checkpoint.state_root != receipt.state_root:
        raise fault(RECEIPT_ROOT, height=receipt.height, given=receipt.state_root, here=checkpoint.state_root)
    if not verify(readiness_bytes(receipt), receipt.signature, receipt.consensus_key):
        raise fault(PROOF, organisation=receipt.organisation, consensus_key=receipt.consensus_key)


def carry_out(context: Context, change: Change, *, flagged: bool) -> None:
    """Do what was decided.

    Raises:
        Fault: a row of the registry, before anything is written.
    """
    check(context, change)
    match change:
        case AdmitOrganisation():
            _admit(context, change)
        case RemoveOrganisation(organisation=name):
            if read_consensus_key(context.state, name) is not None:
                _remove_validator(context, name, flagged=flagged)
            dissolve(context, name, Standing.REMOVED)
            context.emit("registry", "removed", name)
        case AddValidator(receipt=receipt):
            _add_validator(context, receipt, flagged=flagged)
        case RemoveValidator(organisation=name):
            _remove_validator(context, name, flagged=flagged)
        case SetTimers(timers=timers):
            write_timers(context.state, timers)
            context.emit("registry", "timers", timers.delta_ms, timers.min_interval_ms, timers.heartbeat_ms)
        case SetLimits(limits=limits):
            write_limits(context.state, limits)
            context.emit("registry", "limits", limits.window_tx_max, limits.epoch_blocks, limits.epoch_ms)
        case SetPolicy(kind=kind, policy=policy):
            write_policy(context.state, kind, policy)
            share = f"{policy.numerator}/{policy.denominator}"
            context.emit("registry", "policy", kind.name.lower(), share, policy.more, policy.of.name.lower())


# -- organisations ---------------------------------------------------------------------------------------------------


def _active(state: Reader, name: str) -> Organisation:
    record = read_organisation(state, name)
    if record is None:
        raise fault(UNKNOWN_ORGANISATION, organisation=name)
    if record.standing is not Standing.ACTIVE:
        raise fault(NOT_ACTIVE, organisation=name, standing=record.standing.name.lower())
    return record


def _check_admission(state: Reader, change: AdmitOrganisation) -> None:
    if read_organisation(state, change.name) is not None:
        raise fault(NAME_TAKEN, name=change.name)
    count = len(organisation_names(state))
    if count >= GROUP_ITEMS_MAX:
        raise fault(FULL, organisations=count, limit=GROUP_ITEMS_MAX)
    keys = [row.key for row in change.keys]
    for key in keys:
        if key in SMALL_ORDER:
            raise fault(WEAK_KEY, key=key)
        if keys.count(key) > 1 or read_key(state, key) is not None:
            raise fault(PK_USED, key=key)
    if account_exists(state, account_id(keys[0])):
        raise fault(PK_USED, key=keys[0])
    weight = sum(row.weight for row in change.keys)
    if not 1 <= change.threshold <= weight:
        raise fault(THRESHOLD, weight=weight, threshold=change.threshold)
    checked_nodes(state, change.name, change.nodes)


def _admit(context: Context, change: AdmitOrganisation) -> None:
    """The organisation, its account (which owns nothing yet), its nodes."""
    state, name = context.state, change.name
    nodes = checked_nodes(state, name, change.nodes)
    account = account_id(change.keys[0].key)
    record = Account(
        kind=Kind.ORGANISATION,
        pillar=change.pillar,
        status=Status.ACTIVE,
        threshold=change.threshold,
        keys=tuple(sorted(change.keys, key=lambda row: row.key)),
        enc_key=None,
        organisation=name,
        since_ms=context.time_ms,
    )
    open_account(context, account, record)
    number = len(organisation_names(state))
    write_organisation(state, name, Organisation(number, change.pillar, Standing.ACTIVE, context.time_ms))
    write_organisation_account(state, name, account)
    context.emit("registry", "admitted", name, account)
    register_nodes(context, name, nodes)


# -- validators ------------------------------------------------------------------------------------------------------


def _check_candidate(state: Reader, change: AddValidator) -> None:
    receipt, name = change.receipt, change.organisation
    _active(state, name)
    if read_consensus_key(state, name) is not None:
        raise fault(IS_VALIDATOR, organisation=name)
    if receipt.organisation != name or node_owner(state, receipt.node_key) != name:
        raise fault(RECEIPT_SUBJECT, organisation=name, receipt=receipt.organisation, node_key=receipt.node_key)
    plan = read_plan(state)
    if receipt.node_key not in plan.nodes.get(name, ()):
        raise fault(RECEIPT_SUBJECT, organisation=name, node_key=receipt.node_key)
    check_new_key(state, receipt.consensus_key)
    if len(plan.wanted) >= VALIDATORS_MAX:
        raise fault(FULL, validators=len(plan.wanted), limit=VALIDATORS_MAX)


def _add_validator(context: Context, receipt: ReadinessReceipt, *, flagged: bool) -> None:
    assert context.record is not None, "every block is executed with its epoch's record"
    name, epoch = receipt.organisation, context.record.epoch
    require(
        after_adding(
            context.state,
            current_members(context),
            epoch=epoch,
            height=context.height,
            name=name,
            flagged=flagged,
        )
    )
    write_consensus_key(context.state, name, receipt.consensus_key)
    if flagged:
        write_flag(context.state, name, flag_epoch(epoch))
    context.emit("registry", "validator_added", name, receipt.consensus_key, receipt.version)


def _remove_validator(context: Context, name: str, *, flagged: bool) -> None:
    assert context.record is not None, "every block is executed with its epoch's record"
    check_removal(context, name, flagged=flagged)
    stop_validating(context, name)
    if flagged:
        write_flag(context.state, name, flag_epoch(context.record.epoch))
    context.emit("registry", "validator_removed", name)


# -- settings --------------------------------------------------------------------------------------------------------


def _check_timers(timers: Timers) -> None:
    _within("delta_ms", timers.delta_ms, 1, DELTA_MS_MAX)
    _within("min_interval_ms", timers.min_interval_ms, 1, 2 * timers.delta_ms)
    _within("heartbeat_ms", timers.heartbeat_ms, 1, TIMER_MS_MAX)


def _check_limits(state: Reader, limits: Limits) -> None:
    """The lifetime of transactions is a constant of the genesis: remembered ids are dropped by it."""
    lifetime = read_limits(state).tx_lifetime_max_ms
    _within("tx_lifetime_max_ms", limits.tx_lifetime_max_ms, lifetime, lifetime)
    _within("window_tx_max", limits.window_tx_max, WINDOW_TX_MIN, WINDOW_TX_MAX)
    _within("epoch_blocks", limits.epoch_blocks, EPOCH_BLOCKS_MIN, Limits().epoch_blocks)
    _within("epoch_ms", limits.epoch_ms, EPOCH_MS_MIN, Limits().epoch_ms)


def _within(field: str, value: int, low: int, high: int) -> None:
    if not low <= value <= high:
        raise fault(OUT_OF_BOUNDS, field=field, value=value, low=low, high=high)
