"""What a replayed incident says, view by view: how it was entered, what was proposed, voted and waited for."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from cccnode.cli.options import Options
from cccnode.types.validators import Validator
from cccnode.types.vote import Kind, Proposal
from consensus.config import Config, EngineStatus
from consensus.effects import Alarm, Blame, EvidenceFound, Finalized, Persist
from consensus.events import BodyInvalid, BuildDeclined, Event, Executed, Received
from consensus.messages import ProposalMessage, VotesMessage
from consensus.records import CertificateRecord, VoteRecord
from consensus.replay import Replayed

IDLE: Final = "something to do"
"""What an idle view waits for: that is no reason for concern."""
VIEWS_AROUND: Final = 64
"""Votes for views further away than this say nothing about what happened."""
REMARKS_MAX: Final = 16
"""Of one view."""
_KINDS: Final = {kind: kind.name.lower() for kind in Kind}


@dataclass(slots=True)
class View:
    """One view as this node lived it; times in milliseconds since the start of the recording."""

    number: int
    leader: int | None = None
    entered_ms: int | None = None
    """None: it was entered before the recording."""
    opened_by: str = ""
    proposal: Proposal | None = None
    proposal_ms: int | None = None
    votes: dict[str, dict[int, int]] = field(default_factory=lambda: {name: {} for name in _KINDS.values()})
    """Kind, validator, when it was seen first."""
    certified: dict[str, int] = field(default_factory=dict)
    gave_up_ms: int | None = None
    """When this node's own nullify vote was cast."""
    waited: dict[str, int] = field(default_factory=dict)
    """How long for what."""
    left_ms: int | None = None
    remarks: list[str] = field(default_factory=list)

    def lasted_ms(self, now_ms: int) -> int:
        """From its beginning, or the recording's, to its end, or now."""
        return (now_ms if self.left_ms is None else self.left_ms) - (self.entered_ms or 0)

    def troubled(self, slow_ms: int) -> bool:
        """Whether it went otherwise than a good view goes."""
        busy = sum(waited for what, waited in self.waited.items() if what != IDLE)
        return bool(self.remarks) or "nullify" in self.certified or self.gave_up_ms is not None or busy > slow_ms


class Story:
    """Collects the views of one recording."""

    def __init__(self, config: Config, start: EngineStatus) -> None:
        """At the start the engine stands as `start` shows."""
        self.validators: Sequence[Validator] = config.record.validators
        self.me = config.me
        timers = config.record.timers
        self.slow_ms = timers.min_interval_ms + 2 * timers.delta_ms
        self.views: dict[int, View] = {start.view: View(start.view, leader=start.leader)}
        self.now_ms = 0
        self.steps = self.effects = 0
        self._status = start

    def add(self, step: Replayed) -> None:
        """One more event with its effects."""
        self.steps += 1
        self.effects += len(step.effects)
        now_ms = max(self.now_ms, step.at_ms)
        current = self._view(self._status.view)
        if current is not None:
            what = self._status.waiting_for
            current.waited[what] = current.waited.get(what, 0) + now_ms - self.now_ms
        self.now_ms = now_ms
        self._heard(step.event)
        self._done(step)
        if step.status is not None:
            self._moved(step, step.status)

    def _view(self, number: int) -> View | None:
        """The view of this number, unless it is too far from where the engine is."""
        if abs(number - self._status.view) > VIEWS_AROUND:
            return None
        return self.views.setdefault(number, View(number))

    def _moved(self, step: Replayed, status: EngineStatus) -> None:
        before, self._status = self._status, status
        if status.view == before.view:
            return
        self.views[before.view].left_ms = self.now_ms
        entered = self.views.setdefault(status.view, View(status.view))
        entered.leader, entered.entered_ms = status.leader, self.now_ms
        certificates = [
            effect.record.certificate
            for effect in step.effects
            if isinstance(effect, Persist) and isinstance(effect.record, CertificateRecord)
        ]
        opened = [f"{_KINDS[held.kind]} certificate" for held in certificates if held.proposal.view + 1 == status.view]
        entered.opened_by = ", ".join(opened) or ("an executed block" if isinstance(step.event, Executed) else "")

    # ----- what came in

    def _heard(self, event: Event) -> None:
        current = self._view(self._status.view)
        match event:
            case Received(validator=int() as validator, message=ProposalMessage(proposal=proposal)):
                self._proposed(proposal)
                self._voted(Kind.NOTARIZE, proposal.view, validator)
            case Received(validator=int() as validator, message=VotesMessage(votes=votes)):
                for vote in votes:
                    self._voted(vote.kind, vote.proposal.view, validator)
            case BodyInvalid(reason=reason):
                self._remark(current, f"the block can never be valid: {reason}")
            case BuildDeclined(view=view):
                self._remark(self._view(view), "this node declined to build a block")
            case _:
                pass

    def _proposed(self, proposal: Proposal) -> None:
        view = self._view(proposal.view)
        if view is not None and view.proposal is None:
            view.proposal, view.proposal_ms = proposal, self.now_ms
        elif view is not None and view.proposal != proposal:
            self._remark(view, f"a second proposal, {_short(proposal.block_id)}")

    def _voted(self, kind: Kind, number: int, validator: int) -> None:
        view = self._view(number)
        if view is not None and 0 <= validator < len(self.validators):
            view.votes[_KINDS[kind]].setdefault(validator, self.now_ms)

    def _remark(self, view: View | None, text: str) -> None:
        if view is not None and len(view.remarks) < REMARKS_MAX:
            view.remarks.append(f"+{self.now_ms} ms: {text}")

    # ----- what went out

    def _done(self, step: Replayed) -> None:
        for effect in step.effects:
            match effect:
                case Persist(record=VoteRecord(vote)):
                    self._cast(vote.kind, vote.proposal)
                case Persist(record=CertificateRecord(certificate)):
                    self._certified(_KINDS[certificate.kind], certificate.proposal.view)
                case Finalized(blocks=blocks, proposal=proposal):
                    for number in sorted({proposal.view, *(block.header.view for block in blocks)}):
                        self._certified("final", number)
                case Blame() | EvidenceFound() | Alarm():
                    self._remark(self._view(self._status.view), self._complaint(effect))
                case _:
                    pass
        if step.failure is not None:
            self._remark(self._view(self._status.view), f"the engine failed, and the node with it: {step.failure}")

    def _complaint(self, effect: Blame | EvidenceFound | Alarm) -> str:
        match effect:
            case Blame(validator=validator, reason=reason):
                return f"blamed {self.name(validator)}: {reason}"
            case EvidenceFound(first=first):
                return f"evidence against {self.name(first.signer)}, view {first.proposal.view}"
            case Alarm(reason=reason):
                return f"ALARM, it signs no more: {reason}"

    def _certified(self, what: str, number: int) -> None:
        view = self._view(number)
        if view is not None:
            view.certified.setdefault(what, self.now_ms)

    def _cast(self, kind: Kind, proposal: Proposal) -> None:
        view = self._view(proposal.view)
        if view is None:
            return
        if self.me is not None:
            self._voted(kind, proposal.view, self.me)
        if kind is Kind.NULLIFY:
            view.gave_up_ms = self.now_ms
        elif kind is Kind.NOTARIZE:
            self._proposed(proposal)  # Also where this node is the leader, which hears no proposal.

    # ----- for people and programs

    def name(self, validator: int | None) -> str:
        """A validator's organisation."""
        if validator is None or not 0 <= validator < len(self.validators):
            return "a node that is no validator"
        return self.validators[validator].organisation

    def as_json(self) -> list[dict[str, object]]:
        """All views."""
        return [self._json(self.views[number]) for number in sorted(self.views)]

    def _json(self, view: View) -> dict[str, object]:
        proposal = view.proposal
        return {
            "view": view.number,
            "leader": None if view.leader is None else self.name(view.leader),
            "entered_ms": view.entered_ms,
            "opened_by": view.opened_by,
            "height": None if proposal is None else proposal.height,
            "block_id": None if proposal is None else "0x" + proposal.block_id.hex(),
            "proposal_ms": view.proposal_ms,
            "votes": {
                kind: [{"organisation": self.name(validator), "at_ms": at} for validator, at in sorted(cast.items())]
                for kind, cast in view.votes.items()
            },
            "certified_ms": view.certified,
            "gave_up_ms": view.gave_up_ms,
            "waited_ms": view.waited,
            "left_ms": view.left_ms,
            "troubled": view.troubled(self.slow_ms),
            "remarks": view.remarks,
        }

    def lines(self, options: Options, *, whole: bool) -> list[str]:
        """One line for a good view, several for one that had trouble or is the last; `whole`: several for each."""
        shown: list[str] = []
        for number in sorted(self.views):
            view = self.views[number]
            if view.entered_ms is None and number != min(self.views) and not view.certified:
                continue  # Only heard of.
            shown.append(self._line(view, options))
            if whole or view.troubled(self.slow_ms) or number == self._status.view:
                shown += [f"    {line}" for line in self._details(view, options)]
        return shown

    def _line(self, view: View, options: Options) -> str:
        leader = "?" if view.leader is None else self.name(view.leader)
        entered = options.text("before", "ก่อนหน้า") if view.entered_ms is None else f"+{view.entered_ms} ms"
        parts = [f"view {view.number}", f"leader {leader}", f"entered {entered}"]
        if view.proposal is not None:
            parts.append(f"block {view.proposal.height} {_short(view.proposal.block_id)}")
        parts += [f"{what} +{at} ms" for what, at in view.certified.items() if what != "finalize"]
        parts.append(f"lasted {view.lasted_ms(self.now_ms)} ms")
        return "  ".join(parts)

    def _details(self, view: View, options: Options) -> list[str]:
        found = []
        if view.opened_by:
            found.append(f"opened by {view.opened_by}")
        if view.proposal_ms is not None:
            found.append(f"proposal +{view.proposal_ms} ms")
        for kind, cast in view.votes.items():
            if cast:
                said = ", ".join(f"{self.name(validator)} +{at}" for validator, at in sorted(cast.items()))
                missing = [self.name(index) for index in range(len(self.validators)) if index not in cast]
                silent = f"; not {', '.join(missing)}" if missing else ""
                found.append(f"{kind}: {said}{silent}")
        if view.gave_up_ms is not None:
            found.append(f"this node gave it up +{view.gave_up_ms} ms")
        waited = [f"{duration} ms for {what}" for what, duration in view.waited.items() if duration]
        if waited:
            found.append(f"{options.text('waited', 'รอ')} {', '.join(waited)}")
        return [*found, *view.remarks]


def _short(block_id: bytes) -> str:
    return "0x" + block_id.hex()[:8]
