"""What is wrong with nodes that are there: results, votes, clocks, speed.

Each rule takes facts and the nodes that a more serious cause explains already, and adds those that it explains: a node
whose clock is wrong is not also called slow.
"""

from collections.abc import Iterable, Sequence
from typing import Final

from cccnode.doctor.diagnosis import Cause
from cccnode.doctor.evidence import detail, progress, root_row, row
from cccnode.doctor.facts import Facts
from cccnode.doctor.groups import Difference, Pair, blame, clocks, groups, pair
from cccnode.types import errors
from cccnode.types.errors import ErrorSpec
from cccnode.types.limits import CLOCK_AHEAD_MS_MAX
from cccnode.types.report import Report

SKEW_MS: Final = 1_000
"""Clocks this far apart are worth a word: half of what voters tolerate in a header's time."""
LAG_MS: Final = 1_000
"""An event loop that late delays votes by more than networks do."""
GAP_MS: Final = 5_000
"""Reports come every two seconds; a pause so long is no accident of the network."""
BEHIND_BLOCKS: Final = 20
"""More than the tail that a healthy node has yet to execute."""

_SILENCING: Final = (
    errors.SAFETY_ALARM,
    errors.JOURNAL_CORRUPT,
    errors.NOT_SIGNING_JOURNAL_LOST,
    errors.OUTDATED,
    errors.OBSERVER,
)
"""Why a validator that runs does not vote."""


def _running(facts: Facts, explained: set[int]) -> list[int]:
    """Nodes that run, say how they are, and are not explained yet."""
    return [node for node in sorted(facts.reports) if node in facts.alive and node not in explained]


# -- results ---------------------------------------------------------------------------------------------------------


def other_root(facts: Facts, explained: set[int]) -> Iterable[Cause]:
    """Nodes whose results are not those of the majority."""
    running = _running(facts, explained)
    same, differ = _compare(facts, running)
    confessed = [node for node in running if _diverged(facts.reports[node])]
    open_pairs = [ends for ends in differ if not set(confessed) & set(ends)]
    agreeing = groups(running, same)
    size = {node: len(group) for group in agreeing for node in group}
    certain, tied = blame(open_pairs, lambda node, count: (count, -size[node]))
    wrong = sorted({*confessed, *certain, *tied})
    if not wrong:
        return
    explained.update(wrong)
    right = [[node for node in group if node not in wrong] for group in agreeing]
    majority = max(right, key=len, default=[])
    evidence: dict[str, object] = {
        "majority": facts.labels(majority),
        "roots": [root_row(facts, node) for node in [*wrong, *majority[:1]]],
    }
    if tied or (certain and 2 * len(majority) <= len(running) - len(confessed)):
        evidence |= {"certain": False, "groups": [facts.labels(group) for group in agreeing]}
    evidence |= detail(facts, wrong)
    yield Cause(spec=errors.OTHER_ROOT, members=facts.named(wrong), evidence=evidence, silences=True)


def _diverged(report: Report) -> bool:
    return report.state == "diverged" or errors.DIVERGED.name in report.reasons


def _compare(facts: Facts, nodes: Sequence[int]) -> tuple[list[Pair], list[Pair]]:
    """Pairs of nodes with the same results, and pairs with different ones, as far as anybody can tell."""
    alike: set[Pair] = set()
    unlike: set[Pair] = set()
    for place, views in facts.views.items():
        for view in views:
            told = view.seen.told
            if told is not None and told.same is not None and place in nodes and view.observer in nodes:
                (alike if told.same else unlike).add(pair(view.observer, place))
    for one, other in ((one, other) for one in nodes for other in nodes if one < other):
        mine, its = facts.reports[one], facts.reports[other]
        equal = []
        if mine.root_height == its.root_height > 0:
            equal.append(mine.root == its.root)
        if mine.height == its.height:
            equal.append(mine.state_root == its.state_root)
        if mine.epoch == its.epoch:
            equal += [False] if mine.epoch_record_hash != its.epoch_record_hash else []
        if equal:
            (alike if all(equal) else unlike).add((one, other))
    return sorted(alike - unlike), sorted(unlike)


# -- votes -----------------------------------------------------------------------------------------------------------


def duplicate(facts: Facts, explained: set[int]) -> Iterable[Cause]:
    """Two processes use one identity."""
    doubled = [node for node in _running(facts, explained) if errors.NET_DUPLICATE.name in facts.reports[node].reasons]
    if doubled:
        yield Cause(spec=errors.NET_DUPLICATE, members=facts.named(doubled), evidence=detail(facts, doubled))


def not_signing(facts: Facts, explained: set[int]) -> Iterable[Cause]:
    """Validators that run and do not vote, by reason."""
    for reason in _SILENCING:
        silent = [node for node in _running(facts, explained) if node in facts.views and _says(facts, node, reason)]
        if silent:
            explained.update(silent)
            evidence = {"reason": reason.name, **detail(facts, silent)}
            yield Cause(
                spec=errors.NOT_SIGNING,
                because=reason,
                members=facts.named(silent),
                evidence=evidence,
                silences=True,
            )
    yield from _watching(facts, explained)


def not_voting(facts: Facts, explained: set[int]) -> Iterable[Cause]:
    """Validators that run, give no reason, and have let many views pass without a vote, while a quorum voted."""
    views_max = 2 * len(facts.members)
    quiet = {
        place: min(views)
        for place in facts.views
        if (views := [view.seen.quiet_views for view in facts.views[place] if view.seen.quiet_views is not None])
    }
    active = [place for place in facts.views if place in facts.answers or quiet.get(place, views_max) < views_max]
    silent = [
        place
        for place, views in quiet.items()
        if views >= views_max and place in facts.alive and place not in explained
    ]
    if silent and len(active) >= facts.needed:
        explained.update(silent)
        rows = [{"index": place, "views_without_vote": quiet[place]} for place in silent]
        yield Cause(spec=errors.NOT_SIGNING, members=facts.named(silent), evidence={"seen": rows}, silences=True)


def _says(facts: Facts, node: int, reason: ErrorSpec) -> bool:
    """Whether a node of the current epoch gives this reason; one that is in an older epoch is merely behind."""
    report = facts.reports[node]
    return reason.name in report.reasons and report.epoch_record_hash == facts.record


def _watching(facts: Facts, explained: set[int]) -> Iterable[Cause]:
    """Validators that have just started.  They wait for a quorum: while none is there, that is the cause, not this."""
    watching = [
        node
        for node in _running(facts, explained)
        if node in facts.views and errors.WATCHING.name in facts.reports[node].reasons
    ]
    if watching and sum(place in facts.alive for place in facts.views) >= facts.needed:
        evidence = {"reason": errors.WATCHING.name}
        yield Cause(spec=errors.NOT_SIGNING, because=errors.WATCHING, members=facts.named(watching), evidence=evidence)


# -- clocks ----------------------------------------------------------------------------------------------------------


def wrong_clock(facts: Facts, explained: set[int]) -> Iterable[Cause]:
    """Machines whose clock is not that of the majority."""
    differences = [
        Difference(view.observer, place, view.seen.ahead_ms, (view.seen.rtt_ms or 0) // 2)
        for place, views in facts.views.items()
        for view in views
        if view.seen.ahead_ms is not None and view.alive
    ]
    odd = clocks(differences, SKEW_MS)
    if not odd.wrong:
        return
    evidence: dict[str, object] = {
        "clocks": [{"index": facts.label(node), "ahead_ms": odd.wrong[node]} for node in odd.wrong]
    }
    if not odd.certain:
        evidence["certain"] = False
    elif facts.alone is not None:
        evidence["this_machine"] = not facts.answers.keys().isdisjoint(odd.wrong)
    # A clock that is ahead still votes; one that is far behind waits for the time of every block.
    late = odd.certain and max(odd.wrong.values()) < -CLOCK_AHEAD_MS_MAX
    yield Cause(spec=errors.WRONG_CLOCK, members=facts.named(list(odd.wrong)), evidence=evidence, silences=late)
    if odd.certain:
        explained.update(odd.wrong)


# -- speed -----------------------------------------------------------------------------------------------------------


def fallen_behind(facts: Facts, explained: set[int]) -> Iterable[Cause]:
    """Nodes that fetch what others have."""
    newest = max(report.height for report in facts.reports.values())
    late = [
        node
        for node in _running(facts, explained)
        if facts.reports[node].state == "catching_up" or errors.BEHIND.name in facts.reports[node].reasons
    ]
    if late:
        explained.update(late)
        evidence = {"progress": [progress(facts, node, newest) for node in late]}
        yield Cause(spec=errors.FALLEN_BEHIND, members=facts.named(late), evidence=evidence, silences=True)


def slow(facts: Facts, explained: set[int]) -> Iterable[Cause]:
    """Machines that answer late: they say so themselves, or others see it.  One that gives no answer is not slow."""
    others = explained | facts.findings.keys()
    tardy = {node for node in _running(facts, others) if facts.reports[node].lag_ms > LAG_MS}
    tardy |= {place for place in facts.views if place not in others and _stutters(facts, place)}
    tardy |= _slow_ends(facts, others | tardy)
    if tardy:
        explained.update(tardy)
        evidence = {"seen": [{**row(facts, node), **_round_trip(facts, node, tardy)} for node in sorted(tardy)]}
        yield Cause(spec=errors.SLOW, members=facts.named(sorted(tardy)), evidence=evidence)


def _round_trip(facts: Facts, node: int, tardy: set[int]) -> dict[str, int]:
    """The longest between a node and one that is not late itself, if there is any."""
    found = [
        ({place, view.observer} - {node}, view.seen.rtt_ms)
        for place, views in facts.views.items()
        for view in views
        if view.alive and view.seen.rtt_ms is not None and node in {place, view.observer}
    ]
    best = [rtt_ms for others, rtt_ms in found if tardy.isdisjoint(others)] or [rtt_ms for _, rtt_ms in found]
    return {"rtt_ms": max(best)} if best else {}


def _stutters(facts: Facts, place: int) -> bool:
    """Whether a validator's reports come with long pauses, or it executes far behind without catching up."""
    if place not in facts.alive or place in facts.answers:
        return False
    lag_ms = max(answer.own.lag_ms for answer in facts.answers.values())
    told = facts.told.get(place)
    if told is not None and told.gap_ms > GAP_MS + lag_ms:
        return True
    height = max(answer.own.height for answer in facts.answers.values())
    executed = [view.seen.executed for view in facts.views[place] if view.alive and view.seen.executed is not None]
    return bool(executed) and height - max(executed) > BEHIND_BLOCKS


def _slow_ends(facts: Facts, others: set[int]) -> set[int]:
    """Which node makes connections slow: one all of whose connections are, before one of whose only some are."""
    delta_ms = min(answer.delta_ms for answer in facts.answers.values())
    slow_pairs: dict[Pair, bool] = {}
    for place, views in facts.views.items():
        for view in views:
            if view.alive and view.seen.rtt_ms is not None and others.isdisjoint((place, view.observer)):
                ends = pair(view.observer, place)
                slow_pairs[ends] = slow_pairs.get(ends, True) and view.seen.rtt_ms > 2 * delta_ms
    total: dict[int, int] = {}
    for ends in slow_pairs:
        for node in ends:
            total[node] = total.get(node, 0) + 1

    def weight(node: int, count: int) -> tuple[int, ...]:
        return (1_000 * count // total[node], count, node not in facts.answers)

    certain, tied = blame([ends for ends, is_slow in slow_pairs.items() if is_slow], weight)
    return {*certain, *tied}
