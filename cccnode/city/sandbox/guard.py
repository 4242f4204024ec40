"""The guard: every movement into an asset of an experiment asks here first (modules.md 3.13, 3.14).

Only what enters is asked about.  Redemptions, refunds and settlements never ask, so nothing here blocks them (SBX-3).
"""

from typing import Final

from msgspec.structs import replace

from cccnode.city.bank.state import balance, supply
from cccnode.city.sandbox.errors import EXPIRED, LIMIT, NOT_COVERED, NOT_PARTICIPANT, PAUSED, UNKNOWN_EXPERIMENT
from cccnode.city.sandbox.messages import AssetLimit, Scope
from cccnode.city.sandbox.state import (
    AssetUse,
    Experiment,
    Participant,
    Status,
    read_experiment,
    read_participant,
    read_usage,
    write_participant,
    write_usage,
)
from cccnode.ledger.module import Context
from cccnode.ledger.state import module_account
from cccnode.types.errors import fault
from cccnode.types.limits import AMOUNT_MAX

ESCROW: Final = module_account("market")
NEAR_BPS: Final = 8_000
"""A limit is near at 80 %."""
_SCOPES: Final = {
    "transfer": Scope.BANK,
    "mint": Scope.BANK,
    "list": Scope.MARKET,
    "order": Scope.MARKET,
    "supply": Scope.LENDING,
    "borrow": Scope.LENDING,
    "pledge": Scope.PROJECTS,
}


def enter(context: Context, number: int, account: bytes, asset: str, amount: int, what: str) -> None:
    """Let an account move an amount into something of an experiment, or refuse.

    Args:
        context: The block.
        number: The experiment that the asset belongs to.
        account: Who moves it, or receives it (then with an amount of 0).
        asset: Which asset.
        amount: Base units; 0 asks only whether the account may take part in such a thing.
        what: transfer, mint, list, order, supply, borrow or pledge.

    Raises:
        Fault: sandbox/UNKNOWN_EXPERIMENT, PAUSED, EXPIRED, NOT_COVERED, NOT_PARTICIPANT or LIMIT.
    """
    experiment = read_experiment(context.state, number)
    if experiment is None:
        raise fault(UNKNOWN_EXPERIMENT, experiment=number)
    _check_running(experiment, context.time_ms)
    limit = next((row for row in experiment.limits if row.asset == asset), None)
    if limit is None or _SCOPES[what] not in experiment.scopes:
        raise fault(NOT_COVERED, experiment=number, asset=asset, use=what)
    participant = None
    if account not in context.module_accounts:
        participant = read_participant(context.state, number, account)
        if participant is None or participant.exited_ms:
            raise fault(NOT_PARTICIPANT, experiment=number, account=account)
    if amount:
        _check_limits(context, experiment, limit, amount, what)
        _note(context, experiment, limit, account, participant, amount, what)


def _check_running(experiment: Experiment, now_ms: int) -> None:
    """Refuse unless it runs now."""
    if experiment.status is Status.PAUSED and now_ms < experiment.end_ms:
        raise fault(PAUSED, experiment=experiment.id)
    running = experiment.status is Status.RUNNING and experiment.start_ms <= now_ms < experiment.end_ms
    if not running:
        raise fault(EXPIRED, experiment=experiment.id, status=experiment.status.name.lower())


def _check_limits(context: Context, experiment: Experiment, limit: AssetLimit, amount: int, what: str) -> None:
    """Refuse what would pass a limit of the whole experiment; tell when one is near."""
    state = context.state
    if what == "mint":
        before = supply(state, limit.asset)
        _check(context, experiment, "supply", limit.supply, before, before + amount)
    else:
        _check(context, experiment, "per_tx", limit.per_tx, amount, amount)
    if what == "order":
        before = balance(state, ESCROW, limit.asset)
        _check(context, experiment, "escrow", limit.escrow, before, before + amount)


def _check(context: Context, experiment: Experiment, name: str, limit: int | None, before: int, after: int) -> None:
    if limit is None:
        return
    if after > limit:
        raise fault(LIMIT, experiment=experiment.id, limit=name, allowed=limit, needed=after)
    if near(limit, before, after):
        context.emit("sandbox", "limit_near", experiment.id, name, limit, after)


def near(limit: int, before: int, after: int) -> bool:
    """Whether 80 % of a limit are reached just now."""
    mark = limit * NEAR_BPS
    return before * 10_000 < mark <= after * 10_000


def _note(
    context: Context,
    experiment: Experiment,
    limit: AssetLimit,
    account: bytes,
    participant: Participant | None,
    amount: int,
    what: str,
) -> None:
    """Count what a participant moves.  Minting is counted by the supply, and is not the receiver's doing."""
    state, usage = context.state, read_usage(context.state, experiment.id)
    usage = replace(usage, last_enter_ms=context.time_ms)
    if participant is not None and what != "mint":
        before = used(participant.used, limit.asset)
        _check(context, experiment, "per_account", limit.per_account, before, before + amount)
        more = replace(participant, used=grown(participant.used, limit.asset, amount))
        write_participant(state, experiment.id, account, more)
        usage = replace(usage, entered=grown(usage.entered, limit.asset, amount))
    write_usage(state, experiment.id, usage)
    context.emit("sandbox", "entered", experiment.id, account, what, limit.asset, amount)


def used(rows: tuple[AssetUse, ...], asset: str) -> int:
    """How much of an asset is counted."""
    return next((row.entered for row in rows if row.asset == asset), 0)


def grown(rows: tuple[AssetUse, ...], asset: str, amount: int) -> tuple[AssetUse, ...]:
    """Rows with an amount more, sorted by asset; a sum stays at the largest amount."""
    counted = {row.asset: row.entered for row in rows}
    counted[asset] = min(counted.get(asset, 0) + amount, AMOUNT_MAX)
    return tuple(AssetUse(name, counted[name]) for name in sorted(counted))
