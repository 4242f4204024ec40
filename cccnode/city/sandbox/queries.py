"""What anyone may ask about experiments; regulators see no more than citizens, for all of it is public."""

from typing import Annotated, Final

from msgspec import Meta

from cccnode.city.bank.state import balance, supply
from cccnode.city.sandbox.guard import ESCROW, used
from cccnode.city.sandbox.messages import AssetLimit
from cccnode.city.sandbox.state import (
    Action,
    Experiment,
    OwnerReport,
    Participant,
    Usage,
    Voice,
    read_experiment,
    read_joined,
    read_participant,
    read_report,
    read_usage,
    read_voices,
)
from cccnode.codec import Noun
from cccnode.ledger.state import Reader
from cccnode.types.errors import NOT_FOUND, fault
from cccnode.types.scalars import U32, U63, AccountId, Amount

PAGE_MAX: Final = 64


class ExperimentParams(Noun, frozen=True, array_like=True, gc=False):
    """Which experiment."""

    experiment: U63


class ParticipantParams(Noun, frozen=True, array_like=True, gc=False):
    """Whose part in which experiment."""

    experiment: U63
    account: AccountId


class AuditParams(Noun, frozen=True, array_like=True, gc=False):
    """Which experiment, and where in its lists."""

    experiment: U63
    after: U63 = 0
    """How many participants and reports were already seen."""
    limit: Annotated[int, Meta(ge=1, le=PAGE_MAX)] = PAGE_MAX


class AssetUsage(Noun, frozen=True, array_like=True, gc=False):
    """The limits of one asset and how much of them is used, base units."""

    limit: AssetLimit
    supply: Amount
    entered: Amount
    """What participants moved into things."""
    escrow: Amount


class UsageAnswer(Noun, frozen=True, array_like=True, gc=False):
    """How far an experiment has gone."""

    participants: U32
    participants_max: U32
    assets: tuple[AssetUsage, ...]


class Part(Noun, frozen=True, array_like=True, gc=False):
    """One participant."""

    account: AccountId
    participant: Participant


class AuditAnswer(Noun, frozen=True, array_like=True, gc=False):
    """Everything about an experiment; its movements are the events `sandbox/entered` of its participants."""

    experiment: Experiment
    usage: Usage
    voices: tuple[Voice, ...]
    """Regulators that wait for another organisation's word."""
    participants: tuple[Part, ...]
    """In the order in which they joined first."""
    reports: tuple[OwnerReport, ...]


def sandbox_experiment(state: Reader, params: ExperimentParams) -> Experiment:
    """An experiment; rpc/NOT_FOUND when there is none."""
    experiment = read_experiment(state, params.experiment)
    if experiment is None:
        raise fault(NOT_FOUND, experiment=params.experiment)
    return experiment


def sandbox_usage(state: Reader, params: ExperimentParams) -> UsageAnswer:
    """Its limits and how much of them is used."""
    experiment, usage = sandbox_experiment(state, params), read_usage(state, params.experiment)
    rows = tuple(
        AssetUsage(row, supply(state, row.asset), used(usage.entered, row.asset), balance(state, ESCROW, row.asset))
        for row in experiment.limits
    )
    return UsageAnswer(usage.participants, experiment.participants_max, rows)


def sandbox_participant(state: Reader, params: ParticipantParams) -> Participant:
    """What is known of an account in an experiment; rpc/NOT_FOUND if it never joined."""
    participant = read_participant(state, params.experiment, params.account)
    if participant is None:
        raise fault(NOT_FOUND, experiment=params.experiment, account=params.account)
    return participant


def sandbox_audit(state: Reader, params: AuditParams) -> AuditAnswer:
    """What a regulator looks at: the experiment, its use, open decisions, participants and reports, by pages."""
    number = params.experiment
    experiment = sandbox_experiment(state, ExperimentParams(number))
    indices = range(params.after, params.after + params.limit)
    joined = (read_joined(state, number, index) for index in indices)
    parts = ((account, read_participant(state, number, account)) for account in joined if account is not None)
    reports = (read_report(state, number, index) for index in indices)
    return AuditAnswer(
        experiment,
        read_usage(state, number),
        tuple(voice for action in Action for voice in read_voices(state, number, action)),
        tuple(Part(account, part) for account, part in parts if part is not None),
        tuple(row for row in reports if row is not None),
    )
