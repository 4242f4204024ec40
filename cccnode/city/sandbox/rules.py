"""The life of an experiment (modules.md 3.13): proposed, approved by two, running, ended; pausing takes one.

Everything but a pause takes regulators of two different organisations, so that no single one can push a thing through.
"""

from typing import Final

from msgspec.structs import replace

from cccnode.city.bank.state import read_asset, supply
from cccnode.city.members.state import Kind, has_role, read_account
from cccnode.city.sandbox.errors import (
    ALREADY,
    ASSET,
    CONSENT,
    FULL,
    LENGTH,
    LIMIT,
    NOT_A_REGULATOR,
    NOT_AN_ORGANISATION,
    NOT_PARTICIPANT,
    NOT_THE_OWNER,
    REGULATORS,
    STATUS,
    TERMS,
    UNKNOWN_EXPERIMENT,
)
from cccnode.city.sandbox.guard import near
from cccnode.city.sandbox.messages import (
    Outcome,
    SbxApprove,
    SbxCityResume,
    SbxConsent,
    SbxExit,
    SbxExtend,
    SbxFinish,
    SbxJoin,
    SbxOrder,
    SbxPause,
    SbxPropose,
    SbxReport,
    SbxResume,
    SbxStart,
)
from cccnode.city.sandbox.state import (
    OPEN,
    Action,
    Approval,
    Consent,
    Experiment,
    OwnerReport,
    Participant,
    Status,
    Usage,
    Voice,
    read_experiment,
    read_params,
    read_participant,
    read_usage,
    read_voices,
    take_number,
    write_experiment,
    write_joined,
    write_participant,
    write_report,
    write_usage,
    write_voices,
)
from cccnode.ledger.deadlines import schedule, take_due
from cccnode.ledger.module import Context
from cccnode.ledger.state import Reader
from cccnode.types.errors import fault

QUEUE: Final = "sandbox"
ROLE: Final = "regulator"
_LIVE: Final = frozenset({Status.RUNNING, Status.PAUSED})
_FINISHABLE: Final = frozenset({Status.RUNNING, Status.PAUSED, Status.WINDDOWN, Status.EXPIRED})


def propose(context: Context, message: SbxPropose) -> None:
    """Describe an experiment."""
    state, owner = context.state, read_account(context.state, context.account)
    if owner is None or owner.kind is not Kind.ORGANISATION:
        raise fault(NOT_AN_ORGANISATION, account=context.account)
    check_length(context, message.start_ms, message.end_ms)
    _check_regulators(state, message.regulators, owner.organisation)
    assets = [row.asset for row in message.limits]
    if len(set(assets)) < len(assets) or any(read_asset(state, asset) is None for asset in assets):
        raise fault(ASSET, assets=assets)
    experiment = Experiment(
        id=take_number(state),
        owner=context.account,
        title=message.title,
        scopes=tuple(sorted(set(message.scopes))),
        areas=tuple(sorted(set(message.areas))),
        participants_max=message.participants_max,
        limits=message.limits,
        start_ms=message.start_ms,
        end_ms=message.end_ms,
        risk=message.risk,
        exit=message.exit,
        terms=message.terms,
        regulators=message.regulators,
        status=Status.DRAFT,
        changed_ms=context.time_ms,
        approvals=(),
        report_due_ms=0,
        reports=0,
        deadline_ms=0,
        consent=None,
        result=None,
    )
    write_usage(state, experiment.id, Usage())
    _enter_status(context, experiment, Status.DRAFT)
    context.emit("sandbox", "proposed", experiment.id, context.account, *message.regulators)


def check_length(context: Context, start_ms: int, end_ms: int) -> None:
    """Refuse an experiment that is over, ends before it begins, or is too long."""
    if not start_ms < end_ms <= start_ms + read_params(context.state).max_len_ms or end_ms <= context.time_ms:
        raise fault(LENGTH, start_ms=start_ms, end_ms=end_ms)


def _check_regulators(state: Reader, regulators: tuple[bytes, ...], owner: str | None) -> None:
    """Refuse regulators without the role or an organisation, of the owner's, or all of one."""
    organisations = {_organisation(state, regulator) for regulator in regulators}
    able = all(has_role(state, regulator, ROLE) for regulator in regulators)
    if not able or None in organisations or owner in organisations or len(organisations) < 2:
        raise fault(REGULATORS)


def _organisation(state: Reader, account: bytes) -> str | None:
    record = read_account(state, account)
    return None if record is None else record.organisation


def found(state: Reader, number: int) -> Experiment:
    """An experiment.

    Raises:
        Fault: sandbox/UNKNOWN_EXPERIMENT.
    """
    experiment = read_experiment(state, number)
    if experiment is None:
        raise fault(UNKNOWN_EXPERIMENT, experiment=number)
    return experiment


def _check_status(context: Context, experiment: Experiment, statuses: frozenset[Status]) -> None:
    """Refuse another status; what is past its end is over although nobody has noted it yet."""
    over = experiment.status in OPEN and context.time_ms >= experiment.end_ms
    if experiment.status not in statuses or over:
        raise fault(STATUS, experiment=experiment.id, status=experiment.status.name.lower())


def _owned(context: Context, number: int) -> Experiment:
    experiment = found(context.state, number)
    if experiment.owner != context.account:
        raise fault(NOT_THE_OWNER, experiment=number)
    return experiment


def _regulated(context: Context, number: int) -> tuple[Experiment, str]:
    """An experiment that the acting account is a regulator of, and the regulator's organisation."""
    experiment = found(context.state, number)
    organisation = _organisation(context.state, context.account)
    named = context.account in experiment.regulators and has_role(context.state, context.account, ROLE)
    if not named or organisation is None:
        raise fault(NOT_A_REGULATOR, experiment=number)
    return experiment, organisation


def _enter_status(context: Context, experiment: Experiment, status: Status) -> None:
    """Bring an experiment into a status, with its deadline, and forget what was half decided before."""
    deadline = experiment.end_ms if status in OPEN else 0
    if status is Status.RUNNING:
        deadline = min(deadline, experiment.report_due_ms)
    changed = replace(experiment, status=status, changed_ms=context.time_ms, deadline_ms=deadline)
    _wake(context, changed)
    for action in Action:
        write_voices(context.state, experiment.id, action, ())


def _wake(context: Context, experiment: Experiment) -> None:
    """Write an experiment and set its deadline."""
    write_experiment(context.state, experiment)
    if experiment.deadline_ms:
        schedule(context.state, QUEUE, experiment.deadline_ms, experiment.id.to_bytes(8, "big"))


def approve(context: Context, message: SbxApprove) -> None:
    """A regulator agrees; two of different organisations suffice."""
    experiment, organisation = _regulated(context, message.experiment)
    _check_status(context, experiment, frozenset({Status.DRAFT}))
    if any(row.regulator == context.account for row in experiment.approvals):
        raise fault(ALREADY, experiment=experiment.id)
    approval = Approval(context.account, organisation, message.conditions, context.time_ms)
    experiment = replace(experiment, approvals=(*experiment.approvals, approval))
    if len({row.organisation for row in experiment.approvals}) > 1:
        _enter_status(context, experiment, Status.APPROVED)
    else:
        write_experiment(context.state, experiment)
    context.emit("sandbox", "approved", experiment.id, context.account, len(experiment.approvals))


def start(context: Context, message: SbxStart) -> None:
    """Begin; its assets must be those that ask its guard, within their limits."""
    experiment = _owned(context, message.experiment)
    _check_status(context, experiment, frozenset({Status.APPROVED}))
    for limit in experiment.limits:
        asset = read_asset(context.state, limit.asset)
        if asset is None or asset.sandbox_id != experiment.id:
            raise fault(ASSET, asset=limit.asset)
        if limit.supply is not None and supply(context.state, limit.asset) > limit.supply:
            raise fault(LIMIT, limit="supply", asset=limit.asset)
    due = context.time_ms + read_params(context.state).report_ms
    _enter_status(context, replace(experiment, report_due_ms=due), Status.RUNNING)
    context.emit("sandbox", "started", experiment.id, context.account)


def join(context: Context, message: SbxJoin) -> None:
    """Take part, with consent to exactly these terms."""
    state, experiment = context.state, found(context.state, message.experiment)
    _check_status(context, experiment, frozenset({Status.RUNNING}))
    if message.terms != experiment.terms:
        raise fault(TERMS, experiment=experiment.id)
    before, usage = read_participant(state, experiment.id, context.account), read_usage(state, experiment.id)
    if before is not None and not before.exited_ms:
        raise fault(ALREADY, experiment=experiment.id)
    if usage.participants >= experiment.participants_max:
        raise fault(FULL, experiment=experiment.id, limit=experiment.participants_max)
    used = () if before is None else before.used
    write_participant(state, experiment.id, context.account, Participant(message.terms, context.time_ms, 0, used))
    if before is None:
        write_joined(state, experiment.id, usage.joined, context.account)
        usage = replace(usage, joined=usage.joined + 1)
    count = usage.participants + 1
    write_usage(state, experiment.id, replace(usage, participants=count))
    context.emit("sandbox", "joined", experiment.id, context.account)
    if near(experiment.participants_max, usage.participants, count):
        context.emit("sandbox", "limit_near", experiment.id, "participants", experiment.participants_max, count)


def leave(context: Context, message: SbxExit) -> None:
    """Take part no longer; in every status."""
    state, experiment = context.state, found(context.state, message.experiment)
    participant = read_participant(state, experiment.id, context.account)
    if participant is None or participant.exited_ms:
        raise fault(NOT_PARTICIPANT, experiment=experiment.id, account=context.account)
    write_participant(state, experiment.id, context.account, replace(participant, exited_ms=context.time_ms))
    usage = read_usage(state, experiment.id)
    write_usage(state, experiment.id, replace(usage, participants=usage.participants - 1))
    context.emit("sandbox", "exited", experiment.id, context.account)


def pause(context: Context, message: SbxPause) -> None:
    """Stop what enters, at once; one regulator suffices."""
    experiment, _ = _regulated(context, message.experiment)
    _check_status(context, experiment, frozenset({Status.RUNNING}))
    _enter_status(context, experiment, Status.PAUSED)
    context.emit("sandbox", "paused", experiment.id, context.account, message.reason)


def resume(context: Context, message: SbxResume) -> None:
    """Go on; two regulators of different organisations say so."""
    experiment, organisation = _regulated(context, message.experiment)
    _check_status(context, experiment, frozenset({Status.PAUSED}))
    if _agreed(context, experiment, Action.RESUME, organisation, b""):
        _go_on(context, experiment)


def city_resume(context: Context, message: SbxCityResume) -> None:
    """Go on; the city voted for it."""
    check_city_resume(context, message)
    _go_on(context, found(context.state, message.experiment))


def check_city_resume(context: Context, message: SbxCityResume) -> None:
    """Refuse what is not paused."""
    _check_status(context, found(context.state, message.experiment), frozenset({Status.PAUSED}))


def _go_on(context: Context, experiment: Experiment) -> None:
    due = context.time_ms + read_params(context.state).report_ms
    _enter_status(context, replace(experiment, report_due_ms=due), Status.RUNNING)
    context.emit("sandbox", "resumed", experiment.id)


def _agreed(context: Context, experiment: Experiment, action: Action, organisation: str, subject: bytes) -> bool:
    """Note a regulator's word; whether one of another organisation has said the same."""
    voices = read_voices(context.state, experiment.id, action)
    mine = Voice(context.account, organisation, subject)
    if mine in voices:
        raise fault(ALREADY, experiment=experiment.id)
    others = tuple(voice for voice in voices if voice.regulator != context.account)
    write_voices(context.state, experiment.id, action, (*others, mine))
    context.emit("sandbox", "voice", experiment.id, context.account, action.name.lower())
    return any(voice.organisation != organisation and voice.subject == subject for voice in others)


def order_winddown(context: Context, message: SbxOrder) -> None:
    """Wind down; two regulators of different organisations order it."""
    experiment, organisation = _regulated(context, message.experiment)
    _check_status(context, experiment, _LIVE)
    if _agreed(context, experiment, Action.ORDER, organisation, b""):
        _enter_status(context, experiment, Status.WINDDOWN)
        context.emit("sandbox", "winddown", experiment.id, context.account, message.reason)


def report(context: Context, message: SbxReport) -> None:
    """Hand a report in; the next is due a period later."""
    experiment = _owned(context, message.experiment)
    _check_status(context, experiment, _LIVE)
    write_report(context.state, experiment.id, experiment.reports, OwnerReport(message.report, context.time_ms))
    due = context.time_ms + read_params(context.state).report_ms
    experiment = replace(experiment, reports=experiment.reports + 1, report_due_ms=due)
    if experiment.status is Status.RUNNING:
        experiment = replace(experiment, deadline_ms=min(experiment.end_ms, due))
    _wake(context, experiment)
    context.emit("sandbox", "reported", experiment.id, context.account, message.report)


def finish(context: Context, message: SbxFinish) -> None:
    """Say how it ended; two regulators of different organisations agree on outcome and report."""
    experiment, organisation = _regulated(context, message.experiment)
    if experiment.status not in _FINISHABLE:
        raise fault(STATUS, experiment=experiment.id, status=experiment.status.name.lower())
    subject = bytes([message.outcome]) + message.report
    if _agreed(context, experiment, Action.FINISH, organisation, subject):
        status = Status.GRADUATED if message.outcome is Outcome.GRADUATED else Status.FAILED
        _enter_status(context, replace(experiment, result=message.report), status)
        context.emit("sandbox", "finished", experiment.id, status.name.lower(), message.report)


def consent(context: Context, message: SbxConsent) -> None:
    """Consent to a later end."""
    experiment, _ = _regulated(context, message.experiment)
    _check_extension(context, experiment, message.end_ms)
    write_experiment(context.state, replace(experiment, consent=Consent(context.account, message.end_ms)))
    context.emit("sandbox", "consented", experiment.id, context.account, message.end_ms)


def _check_extension(context: Context, experiment: Experiment, end_ms: int) -> None:
    _check_status(context, experiment, _LIVE)
    check_length(context, experiment.start_ms, end_ms)
    if end_ms <= experiment.end_ms:
        raise fault(LENGTH, end_ms=end_ms, now_ends_ms=experiment.end_ms)


def check_extend(context: Context, message: SbxExtend) -> None:
    """Refuse an end that cannot be, or that no regulator consented to."""
    experiment = found(context.state, message.experiment)
    _check_extension(context, experiment, message.end_ms)
    if experiment.consent is None or experiment.consent.end_ms != message.end_ms:
        raise fault(CONSENT, experiment=experiment.id, end_ms=message.end_ms)


def extend(context: Context, message: SbxExtend) -> None:
    """End later; the city voted for it."""
    check_extend(context, message)
    experiment = replace(found(context.state, message.experiment), end_ms=message.end_ms, consent=None)
    running = experiment.status is Status.RUNNING
    deadline = min(experiment.end_ms, experiment.report_due_ms) if running else experiment.end_ms
    _wake(context, replace(experiment, deadline_ms=deadline))
    context.emit("sandbox", "extended", experiment.id, message.end_ms)


def end_block(context: Context) -> None:
    """Let experiments expire at their end; pause those whose owner did not report."""
    for due_ms, entry in take_due(context.state, QUEUE, context.time_ms):
        experiment = read_experiment(context.state, int.from_bytes(entry, "big"))
        if experiment is None or experiment.deadline_ms != due_ms:
            continue
        if context.time_ms >= experiment.end_ms:
            _enter_status(context, experiment, Status.EXPIRED)
            context.emit("sandbox", "expired", experiment.id, experiment.owner)
        else:
            _enter_status(context, experiment, Status.PAUSED)
            context.emit("sandbox", "paused", experiment.id, experiment.owner, None)
