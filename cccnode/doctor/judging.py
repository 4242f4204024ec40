"""From observations to a diagnosis: every rule in its order, then one word for the whole.

`diagnose` is what a node says of itself and of the network as it sees it; `diagnose_network` joins what several nodes
say, and knows what only several views show, such as which sides a cut network has.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Final

from cccnode.doctor.absence import is_isolated, isolation, missing_links, offline, partition, running_sides, unanswered
from cccnode.doctor.diagnosis import Cause, Diagnosis, Verdict, in_order
from cccnode.doctor.disorder import (
    duplicate,
    fallen_behind,
    not_signing,
    not_voting,
    other_root,
    slow,
    wrong_clock,
)
from cccnode.doctor.evidence import view_row
from cccnode.doctor.facts import Facts, Finding, gather
from cccnode.doctor.observation import Observation
from cccnode.doctor.upkeep import disk, double_vote, index_behind, other_version
from cccnode.types import errors

STUCK_MS: Final = 10_000
"""So long nothing became final with something to do: twenty times a view's time-out."""
CALM_MS: Final = 2_000
"""A chain whose last block is older and that has nothing to do is idle."""

Rule = Callable[[Facts, set[int]], Iterable[Cause]]
RULES: Final[tuple[Rule, ...]] = (
    isolation,
    partition,
    offline,
    duplicate,
    other_root,
    not_signing,
    wrong_clock,
    fallen_behind,
    slow,
    not_voting,
    missing_links,
    other_version,
    disk,
    double_vote,
    index_behind,
    unanswered,
)
"""In this order: what explains other things comes before them."""


def diagnose(observation: Observation) -> Diagnosis:
    """What one node can say."""
    return diagnose_network([observation])


def diagnose_network(observations: Sequence[Observation], findings: Sequence[Finding] = ()) -> Diagnosis:
    """What several nodes can say together, with what was found out about those that said nothing."""
    if not observations:
        return _nobody(findings)
    facts = gather(observations, findings)
    explained: set[int] = set()
    causes = [cause for rule in RULES for cause in rule(facts, explained)]
    available = _available(facts, causes)
    if is_isolated(facts):
        return Diagnosis(verdict=Verdict.ISOLATED, causes=in_order(causes))
    stuck = _stuck(facts, causes)
    if (stuck and available >= facts.needed) or (available < facts.needed and not causes):
        causes += _standstill(facts, causes, explained)
    numbers = {"available": available, "needed": facts.needed, "validators": len(facts.members)}
    causes = [
        replace(cause, evidence={**cause.evidence, **numbers})
        if cause.silences or cause.spec in {errors.NO_QUORUM, errors.PARTITION}
        else cause
        for cause in causes
    ]
    if stuck or available < facts.needed:
        return Diagnosis(verdict=Verdict.STALLED, causes=in_order(causes))
    if causes:
        return Diagnosis(verdict=Verdict.DEGRADED, causes=in_order(causes))
    idle = _idle(facts)
    return Diagnosis(verdict=Verdict.IDLE, causes=(idle,)) if idle is not None else Diagnosis(verdict=Verdict.HEALTHY)


def _available(facts: Facts, causes: Sequence[Cause]) -> int:
    """Validators whose votes can meet: the largest side, without those that do not vote."""
    silenced = {member.index for cause in causes if cause.silences for member in cause.members}
    return max((sum(place not in silenced for place in side) for side in running_sides(facts)), default=0)


def _stuck(facts: Facts, causes: Sequence[Cause]) -> bool:
    """Whether nothing becomes final anywhere, although there is something to do.

    An observer that is out of it itself sees nothing move in any case; then the pace of the others tells.
    """
    silenced = {member.index for cause in causes if cause.silences for member in cause.members}
    sound = [answer for node, answer in facts.answers.items() if node not in silenced]
    if not sound and any(told.rate for place, told in facts.told.items() if place in facts.reports):
        return False
    answers = sound or list(facts.answers.values())
    voters = [answer for answer in answers if answer.me is not None]
    if voters and min(answer.stuck_ms for answer in voters) >= STUCK_MS:
        return True
    # Even an idle network makes a block at every heartbeat.
    return min(answer.block_age_ms - 3 * answer.heartbeat_ms for answer in answers) >= STUCK_MS


def _standstill(facts: Facts, causes: Sequence[Cause], explained: set[int]) -> Iterable[Cause]:
    """What can be said of a chain that stands still with enough validators there: who has not voted in this view."""
    furthest = max(facts.answers.values(), key=lambda answer: (answer.own.epoch, answer.own.view))
    voted = {*furthest.notarize, *furthest.nullify, *furthest.finalize}
    silent = [place for place in facts.views if place not in voted and place not in explained]
    votes_missing = len(voted) < facts.needed and furthest.leader is not None
    pending = any(answer.boundary for answer in facts.answers.values())
    if pending and not causes:
        yield Cause(spec=errors.EPOCH_PENDING, members=facts.named(silent), evidence=view_row(furthest))
    elif not causes or (votes_missing and silent and not any(cause.silences for cause in causes)):
        named = facts.named(silent if votes_missing else [])
        yield Cause(spec=errors.NO_QUORUM, members=named, evidence=view_row(furthest))


def _idle(facts: Facts) -> Cause | None:
    answers = facts.answers.values()
    busy = any(answer.armed or answer.waiting for answer in answers)
    age_ms = min(answer.block_age_ms for answer in answers)
    if busy or age_ms < CALM_MS:
        return None
    heartbeat_ms = max(answer.heartbeat_ms for answer in answers)
    height = max(answer.own.height for answer in answers)
    return Cause(spec=errors.IDLE, evidence={"height": height, "last_block_ms": age_ms, "heartbeat_ms": heartbeat_ms})


def _nobody(findings: Sequence[Finding]) -> Diagnosis:
    """No node answered: what was found on their machines is all there is."""
    said = [Cause(spec=finding.spec, evidence=finding.values) for finding in findings if finding.ended]
    seen = [Cause(spec=finding.spec, evidence=finding.values) for finding in findings if not finding.ended]
    hangs = any(finding.spec is errors.NOT_ANSWERING for finding in findings)
    return Diagnosis(
        verdict=Verdict.STALLED if hangs else Verdict.NOT_RUNNING, causes=(*in_order(said), *in_order(seen))
    )
