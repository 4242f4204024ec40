"""What stands beside a cause: plain values that show why it was named, by validator where there are several."""

from collections.abc import Mapping, Sequence

from cccnode.doctor.facts import Facts
from cccnode.doctor.observation import Observation


def row(facts: Facts, node: int) -> Mapping[str, object]:
    """What was seen of one node, as far as it is known."""
    found: dict[str, object] = {"index": facts.label(node)}
    if node in facts.views:
        seen = facts.best(node)
        if seen is not None and node not in facts.answers:
            found |= {"connected": seen.linked, "silent_ms": seen.silent_ms, "rtt_ms": seen.rtt_ms}
        found |= _excuses(facts, node)
    report, told = facts.reports.get(node), facts.told.get(node)
    if report is not None and node in facts.alive:
        found |= {"state": report.state, "height": report.height, "lag_ms": report.lag_ms}
        found["pause_ms"] = told.gap_ms if told is not None else None
    return known(found)


def _excuses(facts: Facts, place: int) -> dict[str, object]:
    """Last words, the error of the last try, and what was found on its machine."""
    found: dict[str, object] = {}
    words, failure = facts.last_words(place), facts.failure(place)
    if words is not None:
        found["last_words"] = f"{words.name}: {words.text}" if words.text else words.name
    if failure is not None:
        found["error"] = f"{failure.name}: {failure.text}" if failure.text else failure.name
    for finding in facts.findings.get(place, ()):
        found |= {"found": finding.spec.name, **finding.values}
    return found


def root_row(facts: Facts, node: int) -> Mapping[str, object]:
    """Which results a node has, and at which height."""
    report = facts.reports[node]
    return known(
        {
            "index": facts.label(node),
            "state": report.state,
            "height": report.height,
            "state_root": report.state_root.hex()[:16],
            "results_height": report.root_height or None,
            "results_root": report.root.hex()[:16] if report.root_height else None,
        }
    )


def progress(facts: Facts, node: int, newest: int) -> Mapping[str, object]:
    """How far a node is behind, how fast it follows, and when it will be there."""
    answer, told, report = facts.answers.get(node), facts.told.get(node), facts.reports[node]
    rate = answer.rate if answer is not None else told.rate if told is not None else None
    blocks = max(newest - report.height, answer.behind if answer is not None else 0)
    ready_s = -(-blocks * 60 // rate) if rate else None
    return known(
        {
            "index": facts.label(node),
            "height": report.height,
            "blocks": blocks,
            "blocks_per_minute": rate,
            "ready_in_s": ready_s,
        }
    )


def detail(facts: Facts, nodes: Sequence[int]) -> dict[str, object]:
    """What a node says about its own trouble, where it was asked."""
    told = [answer.detail for node in nodes if (answer := facts.answers.get(node)) is not None and answer.detail]
    return {"detail": told[0]} if told else {}


def view_row(answer: Observation) -> dict[str, object]:
    """The view that a voter is in, and what it knows of it."""
    votes = {"notarize": answer.notarize, "nullify": answer.nullify, "finalize": answer.finalize}
    return known(
        {
            "epoch": answer.own.epoch,
            "view": answer.own.view,
            "view_ms": answer.view_ms,
            "stuck_ms": answer.stuck_ms,
            "leader": answer.leader,
            "waiting_for": answer.waiting_for or None,
            **{kind: list(voters) for kind, voters in votes.items() if voters},
        }
    )


def known(values: Mapping[str, object]) -> dict[str, object]:
    """Without what is not known."""
    return {name: value for name, value in values.items() if value is not None}
