"""Rules of the real engine, broken on purpose: a simulation that does not notice proves nothing."""

from collections.abc import Callable

import pytest

from cccnode.types.vote import Proposal
from consensus import voting
from consensus.effects import Persist, Send
from consensus.engine import Engine
from consensus.guard import Guard
from consensus.view import Core

Mutation = Callable[[pytest.MonkeyPatch], None]


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
        core.cast(core.guard.nullify(left, view=left))

    patch.setattr(Guard, "may_nullify", lambda guard, target, *, view: guard.of(target).nullified is None)
    patch.setattr(Core, "enter", and_nullify)


def skip_justification(patch: pytest.MonkeyPatch) -> None:
    """Any parent will do."""
    patch.setattr(voting, "justified", lambda *_: voting.Judgement.YES)


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


def forget_own_votes(patch: pytest.MonkeyPatch) -> None:
    """After a restart, own votes of before are not counted."""
    patch.setattr(Engine, "_recount", lambda _: None)


def neither_repeat_nor_help(patch: pytest.MonkeyPatch) -> None:
    """What is lost stays lost, and whoever lags is left alone."""
    patch.setattr(Engine, "_repeat", lambda _: None)
    patch.setattr(Engine, "_help", lambda *_: None)
    patch.setattr(Engine, "_ask", lambda *_: None)


def vote_without_body(patch: pytest.MonkeyPatch) -> None:
    """A vote that promises a body which is not here."""
    patch.setattr(voting, "_valid", lambda *_: voting.Judgement.YES)


def lose_persists(patch: pytest.MonkeyPatch) -> None:
    """Votes are sent and never written."""
    cast = Core.cast

    def cast_only(core: Core, vote: object, announcement: object = None) -> bool:
        start = len(core.out)
        done = cast(core, vote, announcement)
        core.out[start:] = [effect for effect in core.out[start:] if not isinstance(effect, Persist)]
        return done

    patch.setattr(Core, "cast", cast_only)
