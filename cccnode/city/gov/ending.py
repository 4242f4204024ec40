"""What happens to proposals by itself: votes end, decisions wait for their time and are carried out, once."""

from collections.abc import Sequence
from typing import Final

from msgspec.structs import replace

from cccnode.city.gov.counting import outcome
from cccnode.city.gov.messages import Kind
from cccnode.city.gov.rules import QUEUE, close, wake
from cccnode.city.gov.state import Proposal, Status, read_messages, read_params, read_proposal, write_proposal
from cccnode.ledger.deadlines import take_due
from cccnode.ledger.module import GOVERNANCE, PROPOSAL, Context, Joined
from cccnode.types.errors import Fault

_ABOUT_VALIDATORS: Final = frozenset({Kind.ADMIT_VALIDATOR, Kind.REMOVE_VALIDATOR})


def end_block(context: Context) -> None:
    """Look at every proposal whose deadline has come."""
    for _, entry in take_due(context.state, QUEUE, context.time_ms):
        proposal = read_proposal(context.state, int.from_bytes(entry, "big"))
        if proposal is None or not proposal.deadline_ms or proposal.deadline_ms > context.time_ms:
            continue
        match proposal.status:
            case Status.ENDORSING:
                close(context, proposal, Status.EXPIRED)
                context.emit("gov", "expired", proposal.number)
            case Status.VOTING:
                _tally(context, proposal)
            case Status.PASSED:
                _decided(context, proposal)
            case Status.EXECUTED:
                carry_out(context, proposal)
            case _:
                pass


def _tally(context: Context, proposal: Proposal) -> None:
    """A vote has ended."""
    status = outcome(proposal.rule, proposal.tallies)
    if status is not Status.PASSED and proposal.rule != proposal.usual:
        _go_on(context, proposal)
        return
    context.emit("gov", "tallied", proposal.number, status.name.lower(), *(_said(proposal)))
    closed = close(context, proposal, status)
    if status is not Status.PASSED:
        return
    eta_ms = proposal.end_ms + proposal.rule.lock_ms
    passed = replace(closed, eta_ms=eta_ms, deadline_ms=eta_ms)
    if eta_ms <= context.time_ms:
        _decided(context, passed)
    else:
        wake(context, passed)


def _decided(context: Context, proposal: Proposal) -> None:
    """Carry out a decision; one about validators takes effect when its delay is over."""
    delay_ms = read_params(context.state).valset_delay_ms
    if proposal.kind not in _ABOUT_VALIDATORS or not delay_ms:
        carry_out(context, proposal)
        return
    effect_ms = proposal.eta_ms + delay_ms
    wake(context, replace(proposal, status=Status.EXECUTED, effect_ms=effect_ms, deadline_ms=effect_ms))
    context.emit("gov", "recorded", proposal.number, effect_ms)


def _go_on(context: Context, proposal: Proposal) -> None:
    """An expedited proposal that failed has the usual time and needs what is usual."""
    end_ms = proposal.start_ms + read_params(context.state).voting_ms
    usual = replace(proposal, rule=proposal.usual, expedited=False, quorate=False, end_ms=end_ms, deadline_ms=end_ms)
    context.emit("gov", "goes_on", proposal.number, end_ms)
    if end_ms <= context.time_ms:
        _tally(context, usual)
    else:
        wake(context, usual)


def carry_out(context: Context, proposal: Proposal) -> None:
    """Do what was decided, all of it or nothing; there is no second attempt."""
    assert context.city is not None, "messages are carried out by the registry"
    done = replace(proposal, status=Status.EXECUTED, effect_ms=0, deadline_ms=0)
    write_proposal(context.state, done)
    context.counters[PROPOSAL] = proposal.number
    failure = _attempt(context, context.city, read_messages(context.state, proposal))
    del context.counters[PROPOSAL]
    if failure is None:
        context.emit("gov", "executed", proposal.number)
        return
    write_proposal(context.state, replace(done, status=Status.FAILED, error=failure.spec.code))
    context.emit("gov", "failed", proposal.number, failure.spec.name)


def _attempt(context: Context, city: Joined, raws: Sequence[bytes]) -> Fault | None:
    """Carry out encoded messages; why not, where one of them is none any more in this version, or refused."""
    try:
        messages = [city.decode_message(raw) for raw in raws]
    except Fault as unreadable:
        return unreadable
    return context.attempt(GOVERNANCE, messages)


def _said(proposal: Proposal) -> list[int]:
    """Yes, no, abstain, veto and total of each tally, in their order."""
    return [n for tally in proposal.tallies for n in (tally.yes, tally.no, tally.abstain, tally.veto, tally.total)]
