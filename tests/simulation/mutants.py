"""Rules of the real engine, broken on purpose: whoever does not notice proves nothing.

Each function takes a `pytest.MonkeyPatch` and changes the product until the patch is undone.  `table.py` lists them
with what catches each.
"""

from collections.abc import Callable, Sequence

import pytest

from cccnode.types import certificate
from cccnode.types.certificate import Certificate, Claim
from cccnode.types.vote import Kind, Proposal, Vote
from consensus import evidence, proposing, rules, timers, view, voting
from consensus.catchup import Peers
from consensus.certificates import Verifier
from consensus.chain import Verdict
from consensus.effects import Persist, Send
from consensus.engine import Engine
from consensus.events import Received
from consensus.guard import Guard
from consensus.view import Core
from consensus.watching import Watch

Mutation = Callable[[pytest.MonkeyPatch], None]


def together(*mutations: Mutation) -> Mutation:
    """Several at once, for rules that back each other up."""

    def all_of_them(patch: pytest.MonkeyPatch) -> None:
        for mutation in mutations:
            mutation(patch)

    return all_of_them


# ----- R0: the guard


def finalize_after_nullify(patch: pytest.MonkeyPatch) -> None:
    """A late notarization is finalized although the view was given up."""

    def may_finalize(guard: Guard, proposal: Proposal, *, view: int, notarized: Proposal | None) -> bool:
        return proposal.view >= view and notarized == proposal and guard.of(proposal.view).finalized is None

    patch.setattr(Guard, "may_finalize", may_finalize)


def nullify_after_finalize(patch: pytest.MonkeyPatch) -> None:
    """A view is given up after it was left by a finalize vote."""
    enter = Core.enter

    def and_nullify(core: Core, view: int, certificate: object) -> None:
        left = core.view
        enter(core, view, certificate)
        core.cast(core.guard.nullify(left, view=core.view))

    def may_nullify(guard: Guard, target: int, *, view: int) -> bool:
        return target <= view and guard.of(target).nullified is None

    patch.setattr(Guard, "may_nullify", may_nullify)
    patch.setattr(Core, "enter", and_nullify)


def notarize_twice(patch: pytest.MonkeyPatch) -> None:
    """A second proposal of the same view gets a vote as well."""
    keep = Engine._keep_proposal

    def keep_last(engine: Engine, event: object, message: object, vote: object) -> None:
        keep(engine, event, message, vote)
        core = engine._core
        if message.proposal.view == core.view:
            core.proposals[core.view] = message
            engine._add_block(message)

    def may_notarize(guard: Guard, proposal: Proposal, *, view: int) -> bool:
        own = guard.of(proposal.view)
        other = own.notarized is None or own.notarized.proposal != proposal
        return proposal.view == view and other and own.nullified is None

    patch.setattr(Engine, "_keep_proposal", keep_last)
    patch.setattr(Guard, "may_notarize", may_notarize)


def notarize_after_nullify(patch: pytest.MonkeyPatch) -> None:
    """A proposal that comes after the view was given up gets a vote."""

    def may_notarize(guard: Guard, proposal: Proposal, *, view: int) -> bool:
        own = guard.of(proposal.view)
        return proposal.view == view and own.notarized is None and own.finalized is None

    patch.setattr(Guard, "may_notarize", may_notarize)


def sign_below_final(patch: pytest.MonkeyPatch) -> None:
    """The floor of the guard does not hold: what is final may be voted on again."""
    raise_floor = Guard.raise_floor

    def and_lower(guard: Guard, final_view: int) -> None:
        raise_floor(guard, final_view)
        guard.floor = 0

    patch.setattr(Guard, "raise_floor", and_lower)


def send_before_persist(patch: pytest.MonkeyPatch) -> None:
    """A vote leaves before it is durable."""
    cast = Core.cast

    def cast_early(core: Core, vote: object, announcement: object = None) -> bool:
        start = len(core.out)
        done = cast(core, vote, announcement)
        made = core.out[start:]
        core.out[start:] = [e for e in made if isinstance(e, Send)] + [e for e in made if not isinstance(e, Send)]
        return done

    patch.setattr(Core, "cast", cast_early)


def lose_persists(patch: pytest.MonkeyPatch) -> None:
    """Votes are sent and never written."""
    cast = Core.cast

    def cast_only(core: Core, vote: object, announcement: object = None) -> bool:
        start = len(core.out)
        done = cast(core, vote, announcement)
        core.out[start:] = [effect for effect in core.out[start:] if not isinstance(effect, Persist)]
        return done

    patch.setattr(Core, "cast", cast_only)


def forget_own_votes(patch: pytest.MonkeyPatch) -> None:
    """After a restart, own votes of before are not counted."""
    patch.setattr(Engine, "_recount", lambda _: None)


# ----- R1, R2: entering and proposing


def enter_without_certificate(patch: pytest.MonkeyPatch) -> None:
    """A view that was given up is left at once, on the local clock alone."""
    give_up = Core.give_up

    def and_go_on(core: Core) -> None:
        before = core.view
        give_up(core)
        if core.view == before and core.timers.nullified:
            core.enter(before + 1, None)

    patch.setattr(Core, "give_up", and_go_on)


def stay_after_nullify(patch: pytest.MonkeyPatch) -> None:
    """Whoever gave a view up does not follow its late notarization."""
    enter = Core.enter

    def stay(core: Core, view: int, certificate: Certificate | None) -> None:
        late = certificate is not None and certificate.kind is Kind.NOTARIZE
        if not (late and core.guard.of(core.view).nullified is not None and certificate.proposal.view == core.view):
            enter(core, view, certificate)

    patch.setattr(Core, "enter", stay)


def ignore_a_leader_that_gives_up(patch: pytest.MonkeyPatch) -> None:
    """The leader's own nullify vote hastens nobody."""
    on_vote = Engine._on_vote

    def not_at_once(engine: Engine, event: Received, vote: Vote) -> None:
        core = engine._core
        give_up, core.give_up = core.give_up, lambda: None
        on_vote(engine, event, vote)
        core.give_up = give_up

    patch.setattr(Engine, "_on_vote", not_at_once)


def justify_nothing(patch: pytest.MonkeyPatch) -> None:
    """Proposals carry no justification."""
    patch.setattr(proposing, "justification", lambda *_: ())


# ----- R3: voting


def skip_nullifications(patch: pytest.MonkeyPatch) -> None:
    """The views between a block and its parent need not be nullified."""
    justified = voting.justified

    def parent_only(core: Core, proposal: Proposal, parent: bytes, **options: bool) -> voting.Judgement:
        judgement = justified(core, proposal, parent, **options)
        held = core.certificates.notarized.get(proposal.parent_view)
        certified = held.proposal if held is not None else None
        if proposal.parent_view == core.chain.final.view:
            certified = core.chain.final
        if judgement is voting.Judgement.WAIT and certified is not None:
            core.holes = None
            return voting.Judgement.YES
        return judgement

    patch.setattr(voting, "justified", parent_only)


def any_parent(patch: pytest.MonkeyPatch) -> None:
    """Any parent will do, certified or not."""
    patch.setattr(voting, "justified", lambda *_, **__: voting.Judgement.YES)


def vote_without_body(patch: pytest.MonkeyPatch) -> None:
    """A vote that promises a body which is not here."""
    patch.setattr(voting, "_valid", lambda *_: voting.Judgement.YES)


def vote_for_invalid(patch: pytest.MonkeyPatch) -> None:
    """What the driver called invalid for ever gets a vote."""
    valid = voting._valid

    def lenient(core: Core, block: object) -> voting.Judgement:
        if block.verdict is Verdict.INVALID:
            block.verdict = Verdict.READY
        return valid(core, block)

    patch.setattr(voting, "_valid", lenient)


def missing_is_invalid(patch: pytest.MonkeyPatch) -> None:
    """What is not here yet is refused instead of fetched."""
    valid = voting._valid

    def impatient(core: Core, block: object) -> voting.Judgement:
        judgement = valid(core, block)
        asked = block.verdict is Verdict.ASKED
        return voting.Judgement.NEVER if judgement is voting.Judgement.WAIT and not asked else judgement

    patch.setattr(voting, "_valid", impatient)


def no_back_pressure(patch: pytest.MonkeyPatch) -> None:
    """Blocks may list transactions however far execution is behind."""
    patch.setattr(rules, "must_be_empty", lambda *_: False)


# ----- R4 to R6: quorums, certificates, final blocks


def small_quorum(patch: pytest.MonkeyPatch) -> None:
    """2f + 1 instead of n - f: too few for five or six validators."""
    few = lambda members: 2 * ((members - 1) // 3) + 1  # noqa: E731 - patched in two places
    patch.setattr(view, "quorum", few)
    patch.setattr(certificate, "quorum", few)


def any_signature(patch: pytest.MonkeyPatch) -> None:
    """Signatures are not checked."""

    def yes(verifier: Verifier, claims: Sequence[Claim]) -> list[bool]:
        return [True] * len(claims)

    patch.setattr(Verifier, "check", yes)


def final_with_a_gap(patch: pytest.MonkeyPatch) -> None:
    """Final blocks are handed over although some of their ancestors are missing."""
    finalized = view.Finalized

    def complete(**fields: object) -> object:
        return finalized(**{**fields, "complete": bool(fields["blocks"])})

    patch.setattr(view, "Finalized", complete)


def ignore_own_alien_votes(patch: pytest.MonkeyPatch) -> None:
    """A validator that meets its own unknown signature goes on signing."""
    patch.setattr(Core, "own_vote_met", lambda *_, **__: None)


# ----- R7 to R9, R11: time, repeating, helping


def constant_timers(patch: pytest.MonkeyPatch) -> None:
    """Timers do not grow while nothing becomes final."""
    patch.setattr(timers, "factor", lambda *_: 1_000)


def uncapped_timers(patch: pytest.MonkeyPatch) -> None:
    """Timers grow without bound."""

    def doubling(current: int, final: int) -> int:
        return 1_000 * 5 ** min(60, max(0, current - final - 3)) // 4 ** min(60, max(0, current - final - 3))

    patch.setattr(timers, "factor", doubling)


def wait_for_the_silent(patch: pytest.MonkeyPatch) -> None:
    """Leaders that have long been silent are waited for like any other."""
    patch.setattr(Peers, "inactive", lambda *_, **__: False)


def wake_for_own_work_only(patch: pytest.MonkeyPatch) -> None:
    """Votes of others do not wake an idle node."""
    on_vote = Engine._on_vote

    def deaf(engine: Engine, event: Received, vote: Vote) -> None:
        core = engine._core
        armed_ms, before = core.timers.armed_ms, core.view
        on_vote(engine, event, vote)
        if armed_ms is None and core.view == before and not core.timers.nullified:
            core.timers.armed_ms = None

    patch.setattr(Engine, "_on_vote", deaf)


def no_repeat(patch: pytest.MonkeyPatch) -> None:
    """What is lost stays lost (R8)."""
    patch.setattr(Engine, "_repeat", lambda _: None)


def repeat_without_opening(patch: pytest.MonkeyPatch) -> None:
    """What is repeated does not show what opened the view."""
    repeat = Engine._repeat

    def votes_only(engine: Engine) -> None:
        core = engine._core
        start = len(core.out)
        repeat(engine)
        said = core.out[start:]
        core.out[start:] = [e for e in said if not _is_certificates(e)]

    patch.setattr(Engine, "_repeat", votes_only)


def _is_certificates(effect: object) -> bool:
    return isinstance(effect, Send) and type(effect.message).__name__ == "CertificatesMessage"


def no_help(patch: pytest.MonkeyPatch) -> None:
    """Whoever lags is left alone, and nobody asks those who are ahead (R9)."""
    patch.setattr(Engine, "_help", lambda *_: None)
    patch.setattr(Engine, "_ask", lambda *_: None)


def fetch_nothing(patch: pytest.MonkeyPatch) -> None:
    """Missing certificates are not asked for."""
    patch.setattr(Core, "request_holes", lambda _: None)


def hand_nothing_on(patch: pytest.MonkeyPatch) -> None:
    """New certificates are not handed on (R10)."""
    patch.setattr(Core, "hand_on", lambda core: core.hand_off.clear())


def idle_before_final(patch: pytest.MonkeyPatch) -> None:
    """A notarized block that cannot become final by itself is no reason for the next one (R11)."""
    patch.setattr(Engine, "_unsettled", lambda engine: bool(engine._core.guard.of(engine._core.view).all()))


# ----- R12, R13: the end of an epoch, the first signature


def build_on_a_last_block(patch: pytest.MonkeyPatch) -> None:
    """A block may be built on the last one of its epoch."""
    for module in (rules, proposing, view):
        if hasattr(module, "ends_epoch"):
            patch.setattr(module, "ends_epoch", lambda _: False)


def repeat_any_block(patch: pytest.MonkeyPatch) -> None:
    """A block of an earlier view is accepted again, whether or not it ends the epoch."""
    patch.setattr(rules, "_repeat_fault", lambda *_: None)


def never_repeat_a_last_block(patch: pytest.MonkeyPatch) -> None:
    """The last block of an epoch is proposed once only."""
    patch.setattr(proposing, "_repeat", lambda core, *_: core.give_up())


def sign_at_once(patch: pytest.MonkeyPatch) -> None:
    """A process that has just started signs before it has heard anybody (R13)."""
    patch.setattr(Watch, "over", lambda *_, **__: True)


def vote_where_unsure(patch: pytest.MonkeyPatch) -> None:
    """A view in which the node may have voted without remembering it is like any other (R13, J22)."""
    patch.setattr(Guard, "careful", property(lambda _: 0, lambda *_: None))


def show_nobody_their_votes(patch: pytest.MonkeyPatch) -> None:
    """Whoever links with a validator does not show it what it signed (R13)."""
    patch.setattr(Engine, "votes_of", lambda *_: None)


def trust_any_epoch(patch: pytest.MonkeyPatch) -> None:
    """A node without its journal signs again in the next epoch, whether or not it saw this one live (J22)."""
    patch.setattr(Engine, "certain", property(lambda _: True))


# ----- evidence


def accuse_the_honest(patch: pytest.MonkeyPatch) -> None:
    """Notarize and nullify together count as a contradiction, though they are legal."""

    def contradict(first: Vote, second: Vote) -> bool:
        same = first.signer == second.signer and first.proposal.view == second.proposal.view
        return same and (first.kind != second.kind or first.proposal != second.proposal)

    patch.setattr(evidence, "contradict", contradict)


def overlook_nullify_and_finalize(patch: pytest.MonkeyPatch) -> None:
    """Nullify and finalize in one view are no evidence."""

    def contradict(first: Vote, second: Vote) -> bool:
        same = first.signer == second.signer and first.proposal.view == second.proposal.view
        return same and first.kind == second.kind and first.proposal != second.proposal

    patch.setattr(evidence, "contradict", contradict)
