"""Who is not there: a node without connections, sides that do not reach each other, validators that do not answer.

Each rule takes facts and the nodes that a more serious cause explains already, and adds those that it explains.
"""

from collections.abc import Iterable, Sequence
from typing import Final

from cccnode.doctor.diagnosis import Cause
from cccnode.doctor.evidence import row
from cccnode.doctor.facts import Facts
from cccnode.doctor.groups import groups, pair
from cccnode.types import errors
from cccnode.types.errors import CORE_ERRORS, ErrorSpec

DISK_FULL_MB: Final = 64
"""With less free space a node stops soon: it needs some for the files it has open."""

_BY_NAME: Final = {spec.name: spec for spec in CORE_ERRORS}
_SAYS_LITTLE: Final = frozenset(
    spec.name for spec in (errors.NET_UNREACHABLE, errors.NET_CLOSED, errors.NET_SILENT, errors.NET_FULL)
)
"""What tells no more than that there is no connection."""
_ABOUT_ASKER: Final = frozenset(
    spec.name for spec in (errors.NODE_UNREGISTERED, errors.NET_MISBEHAVED, errors.NET_DUPLICATE)
)
"""Refusals that say something of who was refused, not of who refuses."""
_MERELY_DOWN: Final = frozenset({errors.NOT_RUNNING, errors.NOT_ANSWERING, errors.UNREACHABLE})
_TAKEN: Final = frozenset({errors.PORT_IN_USE, errors.LISTEN_FAILED})
"""What a machine's ports look like now says little about why a node ended, unless it said so."""


# -- one observer that reaches nobody --------------------------------------------------------------------------------


def isolation(facts: Facts, explained: set[int]) -> Iterable[Cause]:
    """The one node that was asked reaches nobody, and nobody is known to be down."""
    alone = facts.alone
    if alone is None or not is_isolated(facts):
        return
    explained.update(facts.views)
    refusal = alone.refusal
    spec = _BY_NAME.get(refusal.name) if refusal is not None and refusal.name not in _SAYS_LITTLE else None
    evidence: dict[str, object] = {"tried": [row(facts, place) for place in facts.views if facts.views[place]]}
    if refusal is not None and refusal.text:
        evidence["told"] = refusal.text
    yield Cause(spec=spec or errors.NO_PEERS, members=facts.named(list(facts.answers)), evidence=evidence)


def is_isolated(facts: Facts) -> bool:
    """Whether a single observer has no connection at all, while the others may well run."""
    alone = facts.alone
    others = [place for place in facts.views if place not in facts.answers]
    if alone is None or alone.links or not others:
        return False
    return not any(place in facts.alive or facts.gone(place) for place in others)


# -- sides -----------------------------------------------------------------------------------------------------------


def partition(facts: Facts, explained: set[int]) -> Iterable[Cause]:
    """The validators that run fall apart into sides that do not reach each other."""
    sides = running_sides(facts)
    if len(sides) > 1:
        yield from _apart(facts, explained, sides)
        return
    lost = [place for place in facts.views if place not in facts.alive and not facts.gone(place)]
    reached = [place for place in facts.views if place in facts.alive and place not in explained]
    if len(lost) > 1 and reached and len(reached) < facts.needed:
        # From one side a cut looks like machines that are off; that several fell silent without a word speaks for it.
        explained.update(lost)
        evidence = {
            "sides": [reached, lost],
            "seen_from": "one side only",
            "seen": [row(facts, place) for place in lost],
        }
        yield Cause(spec=errors.PARTITION, members=facts.named(lost), evidence=evidence, silences=True)


def _apart(facts: Facts, explained: set[int], sides: Sequence[Sequence[int]]) -> Iterable[Cause]:
    """Sides that were seen from within: a single node may be kept out for a reason of its own."""
    main, rest = sides[0], []
    for side in sides[1:]:
        spec = _why_kept_out(facts, side[0]) if len(side) == 1 else None
        if spec is None:
            rest.append(side)
            continue
        explained.update(side)
        yield Cause(spec=spec, members=facts.named(side), evidence={"seen": [row(facts, side[0])]}, silences=True)
    if rest:
        outside = [place for side in rest for place in side]
        enough = len(main) >= facts.needed
        explained.update(outside)
        named = outside if enough else [*main, *outside]
        evidence: dict[str, object] = {"sides": [list(side) for side in (main, *rest)]}
        yield Cause(spec=errors.PARTITION, members=facts.named(named), evidence=evidence, silences=enough)


def _why_kept_out(facts: Facts, place: int) -> ErrorSpec | None:
    """What a node that reaches nobody was told, or what the others say of it."""
    answer = facts.answers.get(place)
    said = [answer.refusal] if answer is not None and answer.refusal is not None else []
    names = [words.name for words in said if words.name not in _SAYS_LITTLE]
    return _spec_of_failure(names[0]) if names else _why_refused(facts, place)


def running_sides(facts: Facts) -> list[tuple[int, ...]]:
    """The validators that run, in groups that reach each other; where nothing is known, they do."""
    running = [place for place in facts.views if place in facts.alive]
    unknown = [
        pair(one, other) for one in running for other in running if one < other and pair(one, other) not in facts.links
    ]
    return groups(running, [*unknown, *(ends for ends, linked in facts.links.items() if linked)])


def missing_links(facts: Facts, explained: set[int]) -> Iterable[Cause]:
    """Validators that run and reach others, but not each other."""
    down = sorted(ends for ends, linked in facts.links.items() if not linked and explained.isdisjoint(ends))
    if not down:
        return
    common = set(down[0]).intersection(*down[1:]) if len(down) > 1 else set()
    named = sorted(common or {place for ends in down for place in ends})
    evidence: dict[str, object] = {"pairs": [list(ends) for ends in down]}
    tries = [f"{words.name}: {words.text}" for place in named if (words := facts.failure(place)) is not None]
    if tries:
        evidence["error"] = tries[0]
    yield Cause(spec=errors.LINK_DOWN, members=facts.named(named), evidence=evidence)


# -- validators that do not answer -----------------------------------------------------------------------------------


def offline(facts: Facts, explained: set[int]) -> Iterable[Cause]:
    """Validators that do not answer, each under the best reason that is known."""
    by_name: dict[str, list[int]] = {}
    for place in facts.views:
        if place not in facts.alive and place not in explained:
            by_name.setdefault(_why_offline(facts, place).name, []).append(place)
    for name, places in sorted(by_name.items()):
        explained.update(places)
        evidence = {"seen": [row(facts, place) for place in places]}
        yield Cause(spec=_BY_NAME[name], members=facts.named(places), evidence=evidence, silences=True)


def _why_offline(facts: Facts, place: int) -> ErrorSpec:
    """What was found on its machine, its last words, why it is not let in, or that its disk was almost full."""
    findings = facts.findings.get(place, ())
    ended = [finding.spec for finding in findings if finding.ended]
    troubles = [finding.spec for finding in findings if finding.spec not in _MERELY_DOWN | _TAKEN]
    if ended or troubles:
        return (ended or troubles)[0]
    words = facts.last_words(place)
    if words is not None and words.name in _BY_NAME and words.name not in _SAYS_LITTLE | _ABOUT_ASKER:
        return _BY_NAME[words.name]
    refused = _why_refused(facts, place)
    if refused is not None:
        return refused
    told = facts.told.get(place)
    return errors.DISK_FULL if told is not None and told.report.free_disk_mb < DISK_FULL_MB else errors.OFFLINE


def _why_refused(facts: Facts, place: int) -> ErrorSpec | None:
    """Why others cannot talk to it, when that says something of it."""
    failure = facts.failure(place)
    return None if failure is None or failure.name in _ABOUT_ASKER else _spec_of_failure(failure.name)


def _spec_of_failure(name: str) -> ErrorSpec | None:
    if name == errors.NET_VERSION.name:
        return errors.OTHER_VERSION
    return None if name in _SAYS_LITTLE else _BY_NAME.get(name)


def unanswered(facts: Facts, explained: set[int]) -> Iterable[Cause]:
    """Nodes that were asked, gave no answer, and are not offline for the others."""
    by_name: dict[str, list[int]] = {}
    for place, findings in sorted(facts.findings.items()):
        if place in facts.alive:
            by_name.setdefault(findings[0].spec.name, []).append(place)
    for name, places in sorted(by_name.items()):
        evidence = {"seen": [row(facts, place) for place in places]}
        yield Cause(spec=_BY_NAME[name], members=facts.named(places), evidence=evidence)
    # A stranger's silence says nothing new where validators are known to be down: it is most likely one of them.
    if facts.alive.issuperset(facts.views):
        yield from (Cause(spec=finding.spec, evidence=finding.values) for finding in facts.strays)
