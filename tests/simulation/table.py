"""The mutation table: every rule that consensus needs, broken on purpose, with what notices it.

`python -m tests.simulation --mutants` breaks them one by one and prints what caught each.  A row whose rule is needed
must be caught; a row that is harmless by design must not be, and says what stands in for it.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import pytest

from tests.simulation import mutants as m
from tests.simulation.consensus import Simulation
from tests.simulation.mutants import Mutation, together

SEEDS_MAX = 400
"""How many seeds are tried before a mutant counts as not seen."""
NEAR = 8
"""Seeds from the named one on that a test tries: the one that sees it moves when something else changes."""
HARMLESS_SEEDS = 6
"""How many are tried on a mutant that nobody should notice; ten times as many in a search."""


@dataclass(frozen=True, slots=True)
class Seeds:
    """The simulation notices, first at this seed, when its networks are made so."""

    seed: int
    options: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Tale:
    """A directed scenario notices: its name in tests/scenarios/stories."""

    name: str


@dataclass(frozen=True, slots=True)
class Row:
    """One broken rule."""

    name: str
    rule: str
    broken: Mutation | None
    caught_by: Seeds | Tale | None
    """None: harmless by design."""
    why_not: str = ""
    """Of a harmless one: what stands in for the rule."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What happened to a mutant."""

    row: Row
    caught: bool
    by: str
    seeds: int
    """How many seeds were tried; 0 where none was needed."""
    words: str = ""

    @property
    def right(self) -> bool:
        """Whether that is what the table promises."""
        return self.caught == (self.row.caught_by is not None)


LIAR = {"mode": "liar"}

TABLE: tuple[Row, ...] = (
    Row("finalize_after_nullify", "R0", m.finalize_after_nullify, Seeds(0)),
    Row("nullify_after_finalize", "R0", m.nullify_after_finalize, Seeds(0)),
    Row("notarize_twice", "R0", m.notarize_twice, Seeds(0)),
    Row("vote_out_of_order", "R0", m.notarize_after_nullify, Seeds(0)),
    Row("sign_below_final", "R0", m.sign_below_final, Seeds(0)),
    Row("send_before_persist", "R0", m.send_before_persist, Seeds(0, {"crash": 0.02})),
    Row("lose_persists", "R0", m.lose_persists, Seeds(0)),
    Row("amnesia", "R0", None, Seeds(0, {"amnesia": True})),
    Row("forget_own_votes", "R0", m.forget_own_votes, Tale("all_crash_after_nullify")),
    Row("enter_without_certificate", "R1", m.enter_without_certificate, Seeds(1)),
    Row("ignore_a_leader_that_gives_up", "R2", m.ignore_a_leader_that_gives_up, Tale("declining_leader")),
    Row(
        "justify_nothing, fetch_nothing",
        "R2 R3",
        together(m.justify_nothing, m.fetch_nothing),
        Tale("split_views_reversed"),
    ),
    Row("skip_nullifications", "R3", m.skip_nullifications, Seeds(29, LIAR | {"count": 4})),
    Row("any_parent", "R3", m.any_parent, Seeds(9, LIAR | {"count": 4})),
    Row("vote_without_body", "R3", m.vote_without_body, Seeds(1, {"count": 4})),
    Row("vote_for_invalid", "R3", m.vote_for_invalid, Tale("lying_about_the_root")),
    Row("missing_is_invalid", "R3", m.missing_is_invalid, Tale("missing_parent_is_fetched")),
    Row("no_back_pressure", "R3", m.no_back_pressure, Tale("slow_execution")),
    Row("stay_after_nullify", "R4", m.stay_after_nullify, Seeds(3, {"count": 4})),
    Row("small_quorum", "R4 R5 R6", m.small_quorum, Seeds(7, {"count": 5})),
    Row("any_signature", "R4 R5 R6", m.any_signature, Seeds(0)),
    Row("final_with_a_gap", "R6", m.final_with_a_gap, Seeds(5, {"count": 4, "epochs": False})),
    Row("constant_timers", "R7", m.constant_timers, Tale("slow_network")),
    Row("uncapped_timers", "R7", m.uncapped_timers, Tale("many_views_without_a_block")),
    Row("wait_for_the_silent", "R7", m.wait_for_the_silent, Tale("dead_leader_is_skipped")),
    Row("wake_for_own_work_only", "R7", m.wake_for_own_work_only, Tale("idle_until_work")),
    Row("no_repeat", "R8", m.no_repeat, Seeds(1, {"count": 4})),
    Row(
        "no_help, repeat_without_opening",
        "R8 R9",
        together(m.no_help, m.repeat_without_opening),
        Tale("two_of_four_dead"),
    ),
    Row("idle_before_final", "R11", m.idle_before_final, Tale("finality_while_idle")),
    Row("never_repeat_a_last_block", "R12", m.never_repeat_a_last_block, Tale("last_block_of_an_epoch")),
    Row("build_on_a_last_block", "R12", m.build_on_a_last_block, Seeds(4)),
    Row("sign_at_once", "R13", m.sign_at_once, Tale("restored_backup_watches")),
    Row("ignore_own_alien_votes", "R13", m.ignore_own_alien_votes, Tale("own_key_elsewhere")),
    Row("vote_where_unsure", "R13", m.vote_where_unsure, Tale("restored_backup_does_not_notarize_again")),
    Row("show_nobody_their_votes", "R13", m.show_nobody_their_votes, Tale("restored_backup_is_shown_its_votes")),
    Row("trust_any_epoch", "J22", m.trust_any_epoch, Seeds(5, {"count": 4, "byzantine": 0, "epochs": True})),
    Row("accuse_the_honest", "evidence", m.accuse_the_honest, Seeds(0)),
    Row("overlook_nullify_and_finalize", "evidence", m.overlook_nullify_and_finalize, Tale("nullify_and_finalize")),
    Row("two liars of four", "control", None, Seeds(0, LIAR | {"count": 4, "byzantine": 2})),
    Row("two twins of four", "control", None, Seeds(2, {"mode": "twins", "count": 4, "byzantine": 2})),
    Row("notarize_after_nullify", "R0", m.notarize_after_nullify, None, "no fork comes of it; only the order of votes"),
    Row("justify_nothing", "R2", m.justify_nothing, None, "R3 fetches"),
    Row("fetch_nothing", "R3", m.fetch_nothing, None, "R2 shows"),
    Row("no_help", "R9", m.no_help, None, "R8 repeats what opened the view"),
    Row("repeat_without_opening", "R8", m.repeat_without_opening, None, "R9 helps"),
    Row("hand_nothing_on", "R10", m.hand_nothing_on, None, "R2, R8 and R9 show certificates as well"),
    Row(
        "repeat_any_block",
        "R12",
        m.repeat_any_block,
        None,
        "R3: what is final was not nullified",
    ),
)


def judge(row: Row, *, search: bool) -> Outcome:
    """Break the rule and look.  `search`: from seed 0 on, else only from the seed that is named."""
    with pytest.MonkeyPatch.context() as patch:
        if row.broken is not None:
            row.broken(patch)
        match row.caught_by:
            case Tale(name):
                return _told(row, name)
            case Seeds(seed, options):
                return _simulated(row, range(SEEDS_MAX) if search else range(seed, seed + NEAR), options)
            case None:
                return _simulated(row, range(HARMLESS_SEEDS * 10 if search else HARMLESS_SEEDS), {"ordered": False})


def _told(row: Row, name: str) -> Outcome:
    from tests.scenarios.runner import Failed, play_file  # noqa: PLC0415 - it builds on this room

    try:
        play_file(name)
    except Failed as failed:
        return Outcome(row, caught=True, by=f"story {name}", seeds=0, words=str(failed))
    return Outcome(row, caught=False, by="", seeds=0)


def _simulated(row: Row, seeds: range, options: Mapping[str, object]) -> Outcome:
    for tried, seed in enumerate(seeds, start=1):
        found = Simulation(seed, **options).run().violations
        if found:
            return Outcome(row, caught=True, by=f"seed {seed}", seeds=tried, words=found[0])
    return Outcome(row, caught=False, by="", seeds=len(seeds))


def judged(*, search: bool) -> Iterator[Outcome]:
    """All rows, one after the other."""
    return (judge(row, search=search) for row in TABLE)


def line_of(outcome: Outcome) -> str:
    """One line of the printed table."""
    row = outcome.row
    seeds = str(outcome.seeds) if outcome.seeds else "-"
    if outcome.caught:
        words, verdict = outcome.words, "caught" if outcome.right else "CAUGHT, though harmless by design"
    else:
        words, verdict = row.why_not, "harmless" if outcome.right else "NOT CAUGHT"
    return f"{row.name:34}{row.rule:10}{verdict:10}{outcome.by:40}{seeds:>5}  {words[:90]}"
