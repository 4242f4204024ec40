"""What several observers know together: one list of validators, who runs, and who is connected with whom.

With one observer these are its own views; with several, whoever answered speaks for itself, and whoever did not is
judged by all that was seen of it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from cccnode.doctor.diagnosis import Member
from cccnode.doctor.groups import Pair, pair
from cccnode.doctor.observation import Observation, Said, Seen, Told
from cccnode.types.errors import ErrorSpec
from cccnode.types.report import Report, has_bit
from cccnode.types.validators import quorum

QUIET_MS: Final = 6_000
"""A node that says nothing for so long does not answer: three times the pause between its reports."""
OVERDUE_MS: Final = 2_500
"""Reports come every two seconds: who says nothing for longer may be about to be silent."""
VOUCH_MS: Final = 1_000
"""The same silence may begin a little later for another node."""
WORDS_SLACK_MS: Final = 2_000
"""Last words count when they are about as young as the last thing that was heard."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What was found out about a node that gave no observation."""

    spec: ErrorSpec
    values: Mapping[str, object] = field(default_factory=dict)
    ended: bool = False
    """Whether the node itself said so when it ended; else it is what would trouble its next start."""
    consensus_keys: tuple[bytes, ...] = ()
    """Tell which validator it is, where that is known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """One validator as one observer sees it."""

    observer: int
    seen: Seen
    alive: bool
    """Connected with the observer, and heard."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """All that was seen.  Nodes are numbered: validators by their place in the newest epoch record, others above."""

    record: bytes
    """Hash of the newest epoch record."""
    members: Sequence[Member]
    answers: Mapping[int, Observation]
    """What each node that was asked observed, by its number."""
    views: Mapping[int, Sequence[View]]
    """How others see each validator."""
    told: Mapping[int, Told]
    """The newest report of each validator that anybody has."""
    reports: Mapping[int, Report]
    """What each node says of itself, as far as that is not out of date."""
    alive: frozenset[int]
    """Nodes that run: they answered, or somebody is connected with them and hears them."""
    links: Mapping[Pair, bool]
    """Pairs of running validators of which it is known whether they are connected; one end that says so is enough."""
    findings: Mapping[int, Sequence[Finding]]
    """About validators that were asked and did not answer."""
    strays: Sequence[Finding]
    """About nodes that are no validators, or nobody knows which."""

    @property
    def needed(self) -> int:
        """Votes that a block needs."""
        return quorum(len(self.members))

    @property
    def alone(self) -> Observation | None:
        """The only observation, if there is no more."""
        return next(iter(self.answers.values())) if len(self.answers) == 1 else None

    def label(self, node: int) -> int | str:
        """A node in evidence: a validator's index, or in words."""
        if node < len(self.members):
            return node
        return f"{self.answers[node].organisation or 'unregistered'} (not a validator)"

    def labels(self, nodes: Iterable[int]) -> list[int | str]:
        """Several nodes in evidence."""
        return [self.label(node) for node in nodes]

    def best(self, place: int) -> Seen | None:
        """How the observer who heard a validator last sees it."""
        views = self.views[place]
        heard = [view.seen for view in views if view.seen.silent_ms is not None]
        return min(heard, key=lambda seen: seen.silent_ms or 0) if heard else next((v.seen for v in views), None)

    def last_words(self, place: int) -> Said | None:
        """With what a validator left for good: nothing was heard of it since."""
        said = [
            view.seen.left
            for view in self.views[place]
            if view.seen.left is not None
            and (view.seen.silent_ms is None or view.seen.left.age_ms <= view.seen.silent_ms + WORDS_SLACK_MS)
        ]
        return min(said, key=lambda words: words.age_ms, default=None)

    def failure(self, place: int) -> Said | None:
        """Why the last try to reach a validator failed."""
        return next((view.seen.failed for view in self.views[place] if view.seen.failed is not None), None)

    def gone(self, place: int) -> bool:
        """Whether a silent validator is known to be down, not merely out of reach."""
        closed = any(view.seen.closed and not view.seen.linked for view in self.views[place])
        return closed or place in self.findings or self.last_words(place) is not None

    def named(self, nodes: Sequence[int]) -> tuple[Member, ...]:
        """The validators among `nodes`."""
        return tuple(self.members[node] for node in sorted(nodes) if node < len(self.members))


def gather(observations: Sequence[Observation], findings: Sequence[Finding] = ()) -> Facts:
    """Join observations, at least one, and findings about nodes that gave none."""
    newest = max(observations, key=lambda given: (given.own.epoch, len(given.validators)))
    members = [Member(index=place, organisation=seen.organisation) for place, seen in enumerate(newest.validators)]
    by_name = {member.organisation: member.index for member in members}
    by_key = {seen.consensus_key: place for place, seen in enumerate(newest.validators)}

    def place_of(seen: Seen) -> int | None:
        """By key, or by name after it changed its key."""
        return by_key.get(seen.consensus_key, by_name.get(seen.organisation))

    answers: dict[int, Observation] = {}
    views: dict[int, list[View]] = {member.index: [] for member in members}
    for observation in observations:
        places = [place_of(seen) for seen in observation.validators]
        mine = places[observation.me] if observation.me is not None and observation.me < len(places) else None
        observer = mine if mine is not None else len(members) + len(answers)
        if observer in answers:
            continue  # The same node, asked twice.
        answers[observer] = observation
        for place, seen in zip(places, observation.validators, strict=True):
            if place is not None and place != observer:
                views[place].append(View(observer=observer, seen=seen, alive=_hears(observation, seen)))
    told = {place: found for place in views if (found := _newest(views[place])) is not None and place not in answers}
    reports = {place: found.report for place, found in told.items() if found.age_ms <= QUIET_MS}
    reports |= {node: answer.own for node, answer in answers.items()}
    alive = set(answers) | {place for place, seen in views.items() if any(view.alive for view in seen)}
    alive |= _vouched(views, told, alive, newest.own.epoch_record_hash)
    about, strays = _assign(findings, by_key, answers)
    return Facts(
        record=newest.own.epoch_record_hash,
        members=members,
        answers=answers,
        views=views,
        told=told,
        reports=reports,
        alive=frozenset(alive),
        links=_links(views, reports, alive, newest.own.epoch_record_hash),
        findings=about,
        strays=strays,
    )


def undecided(observation: Observation) -> bool:
    """Whether a connected validator is late and not yet so late that it is silent: soon more will be known."""
    return any(
        _hears(observation, seen) and seen.silent_ms is not None and seen.silent_ms > OVERDUE_MS
        for seen in observation.validators
    )


def _hears(observation: Observation, seen: Seen) -> bool:
    """An observer whose own loop was late heard others late, which is not their fault."""
    return seen.linked and (seen.silent_ms is None or seen.silent_ms <= QUIET_MS + observation.own.lag_ms)


def _newest(views: Sequence[View]) -> Told | None:
    told = [view.seen.told for view in views if view.seen.told is not None]
    return min(told, key=lambda found: found.age_ms, default=None)


def _vouched(views: Mapping[int, Sequence[View]], told: Mapping[int, Told], alive: set[int], record: bytes) -> set[int]:
    """Validators that no observer hears, but that somebody who runs says it hears.

    That word counts only when it must be younger than what the observers heard last: else it is merely late.
    """
    vouched = set()
    for place in sorted(views.keys() - alive):
        silent = [view.seen.silent_ms for view in views[place] if view.seen.silent_ms is not None]
        for voucher, word in told.items():
            fits = voucher in alive and word.age_ms <= QUIET_MS and word.report.epoch_record_hash == record
            later = not silent or min(silent) - word.age_ms > QUIET_MS + VOUCH_MS
            if fits and later and has_bit(word.report.linked, place):
                vouched.add(place)
    return vouched


def _links(
    views: Mapping[int, Sequence[View]], reports: Mapping[int, Report], alive: set[int], record: bytes
) -> dict[Pair, bool]:
    known: dict[Pair, bool] = {}

    def learn(one: int, other: int, *, linked: bool) -> None:
        if one != other and one in alive and other in alive:
            known[pair(one, other)] = known.get(pair(one, other), False) or linked

    for place in sorted(views):
        for view in views[place]:
            if view.observer in views:
                learn(place, view.observer, linked=view.alive)
        report = reports.get(place)
        if report is not None and report.epoch_record_hash == record:
            for other in sorted(views):
                learn(place, other, linked=has_bit(report.linked, other))
    return known


def _assign(
    findings: Sequence[Finding], by_key: Mapping[bytes, int], answers: Mapping[int, Observation]
) -> tuple[dict[int, list[Finding]], list[Finding]]:
    about: dict[int, list[Finding]] = {}
    strays = []
    for finding in findings:
        place = next((by_key[key] for key in finding.consensus_keys if key in by_key), None)
        if place is None:
            strays.append(finding)
        elif place not in answers:
            about.setdefault(place, []).append(finding)
    return about, strays
