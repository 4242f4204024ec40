"""The engine: events in, effects out.  The edge of consensus: messages of others are checked, requests answered.

`handle` never raises on anything a peer can send and does nothing by itself: no clock, network, disk, randomness.
The rules are numbered in README.md and stand in guard.py, view.py, proposing.py and voting.py; here are R8 (repeat)
and R9 (help), restart, and the deadline.
"""

from collections.abc import Sequence
from typing import Final

from cccnode.types.block import block_id
from cccnode.types.certificate import claims_of, well_formed
from cccnode.types.errors import NOT_SIGNING_JOURNAL_LOST, SAFETY_ALARM, WATCHING
from cccnode.types.limits import CERTIFICATES_PER_REPLY_MAX, VIEWS_AHEAD_MAX, VIEWS_BEHIND_MAX
from cccnode.types.vote import Kind, Proposal, Vote
from consensus import proposing, rules, voting
from consensus.chain import Block, Verdict
from consensus.config import Config, EngineStatus, Sign, ValidatorStatus, VerifyMany
from consensus.effects import Blame, Effect
from consensus.events import BodyInvalid, BodyReady, BuildDeclined, Built, Event, Executed, Pending, Received, Tick
from consensus.messages import (
    VOTES_PER_MESSAGE_MAX,
    BlockMessage,
    BlockRequest,
    CertificatesMessage,
    CertificatesRequest,
    ProposalMessage,
    StatusMessage,
    VotesMessage,
)
from consensus.records import BlockRecord, CertificateRecord, Record, SilenceRecord, VoteRecord
from consensus.timers import STATUS_INTERVAL_MS
from consensus.view import HOLE_REQUEST_VIEWS, Core
from consensus.votes import claim_of

_OWN_WORDS: Final = (ProposalMessage, VotesMessage, StatusMessage)
"""What a validator says only of the epoch it is in; older certificates are also shown by those who have moved on."""
REPEATED_FINALIZES_MAX: Final = 16
"""Newest own finalize votes that are repeated (R8): a later one covers its ancestors."""


class Engine:
    """One epoch of consensus at one node."""

    def __init__(
        self, config: Config, *, sign: Sign | None, verify_many: VerifyMany, now_ms: int, observe: str | None = None
    ) -> None:
        """A node that starts an epoch.  `observe` names the error for which it must not sign, if there is one.

        Its deadline is now: the first `Tick` starts it.
        """
        self._core = Core(config, sign=sign, verify_many=verify_many, now_ms=now_ms, observe=observe)
        self._status_ms = now_ms
        self.deadline_ms: int | None = now_ms
        """When to send the next `Tick`."""

    @classmethod
    def restore(
        cls,
        config: Config,
        *,
        sign: Sign | None,
        verify_many: VerifyMany,
        records: Sequence[Record],
        now_ms: int,
        observe: str | None = None,
    ) -> "tuple[Engine, list[Effect]]":
        """The engine that the journal's surviving records describe (consensus.md 3.14), and its first effects.

        `config.root` is the newest block that is executed and durable.  No records: a fresh start.
        """
        engine = cls(config, sign=sign, verify_many=verify_many, now_ms=now_ms, observe=observe)
        core = engine._core
        for record in records:
            engine._fold(record)
        core.timers.enter(now_ms=now_ms, view=core.view, final_view=core.final_view())
        if core.watch is not None:
            core.watch.view = core.view
        if records:
            engine._resume()
        core.deliver()
        return engine, engine._finish()

    # ----- restart

    def _fold(self, record: Record) -> None:
        """One record: what it says holds, whatever else survived."""
        core = self._core
        match record:
            case VoteRecord(vote):
                core.guard.remember(vote)
                core.view = max(core.view, vote.proposal.view)
            case CertificateRecord(certificate):
                view = certificate.proposal.view
                if view > core.final_view():
                    if certificate.kind is Kind.FINALIZE:
                        core.certificates.finalization = certificate
                        core.raise_final(certificate.proposal)
                    else:
                        core.certificates.add(certificate)
                    core.view = max(core.view, view + 1)
                    core.entry = certificate
                elif core.certificates.finalization is None and certificate.proposal == core.chain.final:
                    core.certificates.finalization = certificate if certificate.kind is Kind.FINALIZE else None
            case SilenceRecord(error):
                core.guard.silent = core.guard.silent if core.guard.silent not in {None, WATCHING.name} else error
            case BlockRecord(header, body, justification):
                core.chain.add(Block(block_id(header), header, body, justification, core.now, Verdict.READY))

    def _resume(self) -> None:
        """Count own votes again, arm the timers, and repeat what the crash may have kept from being sent."""
        core = self._core
        self._recount()
        core.timers.arm(core.now)
        own = core.guard.of(core.view)
        if own.nullified is not None:
            core.timers.gave_up(core.now)
        core.timers.retry_ms = core.now
        if own.notarized is None:
            return
        core.timers.proposal_seen = True
        proposal = own.notarized.proposal
        block = core.chain.get(proposal.block_id)
        if block is not None and core.leaders.of(core.view) == core.me:
            # Never a second block for a view: the stored one is proposed again.
            final = core.certificates.finalization
            core.send(proposing.proposal_message(core, proposal, block, final, own.notarized.signature))

    def _recount(self) -> None:
        core = self._core
        for view in sorted(core.guard.own):
            for vote in core.guard.of(view).all():
                core.count_own(vote)

    # ----- events

    def handle(self, event: Event, now_ms: int) -> list[Effect]:
        """What follows from one event at monotonic time `now_ms`."""
        core = self._core
        core.now = max(core.now, now_ms)
        match event:
            case Received():
                self._receive(event)
            case Tick():
                pass  # Everything that is due is done below, whatever the event.
            case Built():
                proposing.accept(core, event)
            case BuildDeclined(view=view):
                if view == core.view and core.building:
                    core.give_up()  # R2: the others skip this view at once.
            case BodyReady(block_id=checked):
                self._checked(checked, Verdict.READY)
            case BodyInvalid(block_id=checked):
                self._checked(checked, Verdict.INVALID)
            case Executed():
                self._executed(event)
            case Pending(waiting=waiting):
                core.pending = waiting
        return self._finish()

    def _finish(self) -> list[Effect]:
        """Do all that is due now, set the deadline, and hand the effects over."""
        core = self._core
        was_silent = core.guard.silent is not None
        core.look()
        if was_silent and core.guard.silent is None and core.shares_key:
            self._status_ms = core.now  # The organisation's other machine must know at once.
        self._settle()
        self._repeat()
        for wanted, voters in core.wanted.due(core.now):
            for voter in voters:
                core.send_to(voter, BlockRequest(core.config.epoch, wanted))
        if core.now >= self._status_ms:
            self._status_ms = core.now + STATUS_INTERVAL_MS
            if core.me is not None:
                core.send(core.status_message())
        self.deadline_ms = self._deadline()
        effects, core.out = core.out, []
        return effects

    def _settle(self) -> None:
        """Do everything that can be done now, until no step moves the view any more."""
        core, view = self._core, 0
        while view != core.view:
            view = core.view
            core.holes = None
            core.collect()
            core.arm()
            proposing.propose(core)
            voting.consider(core)
            core.expire()
        core.hand_on()
        core.request_holes()

    def _checked(self, checked: bytes, verdict: Verdict) -> None:
        block = self._core.chain.get(checked)
        if block is not None and block.verdict is Verdict.ASKED:
            block.verdict = verdict

    def _executed(self, event: Executed) -> None:
        """A final block is executed: its root may be published, and what led to it may be forgotten."""
        core, header = self._core, event.header
        if header.height <= core.chain.executed_height:
            return
        core.chain.executed(header, core.now)
        core.wanted.prune(header.view)
        if header.height > core.chain.final.height:
            core.adopt_final(Proposal(header.view, header.parent_view, header.height, core.chain.executed_id))
        if core.me is not None:
            core.peers.executed[core.me] = header.height
        if event.receipts or event.due:
            core.pending_root = header.height
            core.send_to(core.leaders.of(core.view), core.status_message())  # J17: so that it can publish the root.
        core.deliver()

    # ----- messages

    def _receive(self, event: Received) -> None:  # noqa: C901 - one arm per message
        core, message, validator = self._core, event.message, event.validator
        if message.epoch != core.config.epoch:
            return
        if validator is not None and not 0 <= validator < core.count:
            return
        if validator is not None:
            core.peers.heard(validator, peer=event.peer, now_ms=core.now)
            if validator != core.me and isinstance(message, _OWN_WORDS):
                core.heard.add(validator)
        match message:
            case ProposalMessage():
                self._on_proposal(event, message)
            case VotesMessage():
                self._on_votes(event, message)
            case CertificatesMessage(certificates=certificates):
                if not core.absorb(certificates)[0]:
                    self._blame(event, "bad certificate")
            case CertificatesRequest():
                self._on_certificates_request(event, message)
            case BlockRequest(block_id=wanted):
                self._on_block_request(event, wanted)
            case BlockMessage():
                self._on_block(event, message)
            case StatusMessage():
                self._on_status(event, message)

    def _blame(self, event: Received, reason: str) -> None:
        self._core.out.append(Blame(peer=event.peer, validator=event.validator, reason=reason))

    def _reports(self, validator: int, executed: int) -> None:
        if validator != self._core.me:
            self._core.peers.executed[validator] = executed

    def _on_proposal(self, event: Received, message: ProposalMessage) -> None:
        """Part of R3: take the certificates of a proposal, then keep it for its view."""
        core, proposal, leader = self._core, message.proposal, event.validator
        view = proposal.view
        if leader is None or leader != core.leaders.of(view) or not well_formed(Kind.NOTARIZE, proposal):
            self._blame(event, "proposal from another than its leader")
            return
        fault = rules.header_fault(core.config, message.header, message.body) or rules.proposal_fault(
            proposal, message.header, leader
        )
        if fault is not None:
            self._blame(event, f"invalid proposal: {fault}")
            if view == core.view and leader != core.me:
                core.give_up()  # R3: permanently invalid.
            return
        vote = Vote(Kind.NOTARIZE, proposal, leader, message.signature)
        final = (message.finalization,) if message.finalization is not None else ()
        good, signed = core.absorb((*final, *message.justification), also=claim_of(vote))
        if not good or not signed:
            self._blame(event, "proposal with a bad signature")
        if not signed:
            return
        self._reports(leader, message.executed)
        if leader == core.me:
            if not core.guard.signed(vote):
                core.own_vote_met(vote)
            return
        core.peers.active_view[leader] = core.view
        self._keep_proposal(event, message, vote)

    def _keep_proposal(self, event: Received, message: ProposalMessage, vote: Vote) -> None:
        core, proposal = self._core, message.proposal
        view = proposal.view
        if view < core.view:
            self._help(event, view)
        if not self._in_window(view):
            return
        first = core.proposals.get(view)
        if view >= core.view and first is None:
            core.proposals[view] = message
            self._add_block(message)
            if view == core.view:
                core.timers.arm(core.now)
                core.timers.proposal_seen = True
        elif proposal.block_id in core.wanted:
            self._add_block(message)
        core.count_vote(vote)

    def _add_block(self, message: ProposalMessage | BlockMessage) -> None:
        core, header = self._core, message.header
        carried = message.justification if isinstance(message, ProposalMessage) else ()
        # It is stored with the block and served to others, though certificates of old views are not looked at here.
        justification = tuple(held for held in carried if claims_of(held, core.count) is not None)
        block = core.chain.add(Block(block_id(header), header, message.body, justification, core.now))
        core.wanted.arrived(block.block_id)
        core.deliver()

    def _in_window(self, view: int) -> bool:
        """Votes are kept for a few views around the current one only (consensus.md 3.4)."""
        core = self._core
        return core.final_view() - VIEWS_BEHIND_MAX < view <= core.view + VIEWS_AHEAD_MAX

    def _on_votes(self, event: Received, message: VotesMessage) -> None:
        """Single votes: only over their signer's own connection."""
        core, signer = self._core, event.validator
        if signer not in {None, core.me} and all(vote.signer == core.me for vote in message.votes):
            # R13: what this key signed, by those who saw it.  Who knows that his journal is lost expects that.
            if core.guard.silent in {None, WATCHING.name} and core.peers.may_show(event.peer, core.now):
                self._on_own_votes(message.votes, NOT_SIGNING_JOURNAL_LOST.name)
            return
        if signer is None or any(
            vote.signer != signer or not well_formed(vote.kind, vote.proposal) for vote in message.votes
        ):
            self._blame(event, "votes that are not the sender's own")
            return
        self._reports(signer, message.executed)
        if signer == core.me:
            self._on_own_votes(message.votes, SAFETY_ALARM.name)
            return
        core.peers.active_view[signer] = core.view
        for vote in message.votes:
            self._on_vote(event, vote)

    def _on_own_votes(self, votes: Sequence[Vote], error: str) -> None:
        core = self._core
        for vote, valid in zip(votes, core.verifier.check([claim_of(vote) for vote in votes]), strict=True):
            if valid and not core.guard.signed(vote):
                core.own_vote_met(vote, error)

    def _on_vote(self, event: Received, vote: Vote) -> None:
        core, view = self._core, vote.proposal.view
        if view > core.view + VIEWS_AHEAD_MAX:
            self._ask(event, view - 1)
        if not self._in_window(view):
            return
        if view < core.view:
            self._help(event, view)
        else:
            core.timers.arm(core.now)  # Any vote for this view or a higher one wakes an idle node.
        core.count_vote(vote)
        if vote.kind is Kind.NULLIFY and view == core.view and vote.signer == core.leaders.of(view):
            core.give_up()  # R2: the leader itself gave up; that is as good as a timer.

    def _ask(self, event: Received, hi: int) -> None:
        """A node is ahead: ask it for certificates, seldom."""
        core = self._core
        if hi > core.final_view() and core.peers.may_ask(event.peer, core.now):
            lo = max(core.final_view() + 1, hi - HOLE_REQUEST_VIEWS + 1)
            core.send(CertificatesRequest(core.config.epoch, lo, hi), event.peer)

    def _on_status(self, event: Received, message: StatusMessage) -> None:
        core = self._core
        if event.validator == core.me and message.signs and core.guard.silent == WATCHING.name:
            # R13: who came second keeps silent, even while nothing is voted on; the first is not disturbed.
            core.alarm("another machine of this organisation signs with the same key")
            return
        if event.validator is not None:
            self._reports(event.validator, message.executed)
            core.peers.stated_view[event.validator] = message.view
        if message.view > core.view or message.final.view > core.final_view():
            self._ask(event, max(message.view - 1, message.final.view))
        elif message.view < core.view or message.final.view < core.final_view():
            self._help(event, message.view)

    # ----- answers

    def _on_certificates_request(self, event: Received, request: CertificatesRequest) -> None:
        """The highest finalization, then notarizations and nullifications from the top of the range down."""
        core = self._core
        if request.hi < request.lo or not core.peers.may_reply(event.peer, core.now):
            return
        final = core.certificates.finalization
        found = [final] if final is not None and final.proposal.view >= request.lo else []
        room = CERTIFICATES_PER_REPLY_MAX - len(found)
        found += core.certificates.newest_first(request.lo, request.hi, room)
        if found:
            core.send(CertificatesMessage(core.config.epoch, tuple(found)), event.peer)

    def _on_block_request(self, event: Received, wanted: bytes) -> None:
        core = self._core
        block = core.chain.get(wanted)
        if block is None or block.body is None:
            return
        if core.peers.may_reply(event.peer, core.now):
            core.send(BlockMessage(core.config.epoch, block.header, block.body), event.peer)

    def _on_block(self, event: Received, message: BlockMessage) -> None:
        """A block that was asked for: its hash was certified, its list must fit its header."""
        core = self._core
        if block_id(message.header) not in core.wanted:
            return
        if rules.body_fault(message.header, message.body) is not None:
            self._blame(event, "block with another body")
            return
        self._add_block(message)

    def _help(self, event: Received, view: int) -> None:
        """R9: show a laggard what ended its view and what opened the current one."""
        core = self._core
        fresh = view >= core.view - 1 and core.now - core.timers.entered_ms < core.config.record.timers.delta_ms
        if fresh or not core.peers.may_help(event.peer, core.now):
            return  # A vote that is one view late is normal while views are moving.
        final = core.certificates.finalization
        views = sorted({view, core.view - 1})
        found = [final] if final is not None else []
        found += [held for old in views for held in core.certificates.of_view(old)]
        if found:
            core.send(CertificatesMessage(core.config.epoch, tuple(found)), event.peer)

    # ----- R8, R11: repeating

    def _unsettled(self) -> bool:
        """Whether something said here may have been lost: votes of this view, or a notarized block not yet final."""
        core = self._core
        return core.certificates.top_notarized > core.final_view() or bool(core.guard.of(core.view).all())

    def _repeat(self) -> None:
        """R8, R11: own votes of this view and unfinished finalize votes, with the certificates that opened the view."""
        core = self._core
        if not self._unsettled() or core.now < core.timers.retry_ms or core.me is None:
            return
        core.timers.repeated(core.now)
        waited_ms = core.now - core.timers.entered_ms
        if core.certificates.top_notarized > core.final_view() and waited_ms >= 2 * core.timers.retry_interval_ms:
            # Repeating did not make the newest block final; too many gave its view up.  The next block will.
            core.timers.arm(core.now)
        own = core.guard.own
        finalizes = [vote for view in sorted(own) if view != core.view for vote in (own[view].finalized,) if vote]
        votes = (*core.guard.of(core.view).all(), *finalizes[-REPEATED_FINALIZES_MAX:])
        if votes and core.guard.silent is None:
            core.send(VotesMessage(core.config.epoch, core.chain.executed_height, votes))
        final = core.certificates.finalization
        opening = core.certificates.of_view(core.view - 1)
        certificates = (*opening, final) if final is not None else tuple(opening)
        if certificates:
            core.send(CertificatesMessage(core.config.epoch, certificates))

    # ----- what is due when, and what is shown

    def _deadline(self) -> int:
        """The next time at which something is to be done without an event."""
        core, timers = self._core, self._core.timers
        due = [self._status_ms]
        if core.watch is not None and core.watch.until_ms is not None:
            due.append(core.watch.until_ms)
        if core.over:
            pass  # R12: no view of this epoch waits for anything any more.
        elif timers.armed_ms is None:
            due.append(core.heartbeat_ms())
        elif timers.nullify_ms is not None:
            due.append(timers.nullify_ms)
        if self._unsettled() and core.me is not None:
            due.append(timers.retry_ms)
        if core.holes is not None:
            due.append(core.next_hole_request_ms)
        wanted_ms = core.wanted.next_ms()
        if wanted_ms is not None:
            due.append(wanted_ms)
        propose_ms = proposing.propose_due_ms(core)
        if propose_ms is not None:
            due.append(propose_ms)
        return max(core.now + 1, min(due))

    @property
    def observing(self) -> str | None:
        """Name of the error that says why this node does not sign; None: it signs."""
        return self._core.guard.silent

    @property
    def lived(self) -> bool:
        """Whether a quorum, this node included, was in this epoch while it listened: the next one had not begun."""
        return len(self._core.heard) + 1 >= self._core.quorum

    @property
    def certain(self) -> bool:
        """Whether no view of the next epoch was over when this node began to listen, whoever lied to it (J22).

        A quorum of others spoke in this epoch since.  At least q - f of them are honest and had signed nothing in the
        next one; the rest, this node and all liars included, are too few for any certificate there.
        """
        return len(self._core.heard) >= min(self._core.quorum, self._core.count - 1)

    def status_message(self) -> StatusMessage:
        """Where this node stands: for a validator that just connected."""
        return self._core.status_message()

    def votes_of(self, validator: int) -> VotesMessage | None:
        """Part of R13: what a validator signed and is not final, for itself; None: nothing that is known."""
        core = self._core
        votes = core.votes.of(validator, above=core.final_view())[-VOTES_PER_MESSAGE_MAX:]
        return VotesMessage(core.config.epoch, core.chain.executed_height, tuple(votes)) if votes else None

    def status(self) -> EngineStatus:
        """A picture for people and RPC."""
        core = self._core
        return EngineStatus(
            epoch=core.config.epoch,
            view=core.view,
            leader=core.leaders.of(core.view),
            armed=core.timers.armed_ms is not None,
            ending=core.ending,
            observing=core.guard.silent,
            final=core.chain.final,
            executed=core.chain.executed_height,
            entered_ms=core.timers.entered_ms,
            votes={kind.name.lower(): core.votes.signers(core.view, kind) for kind in Kind},
            waiting_for=self._waiting_for(),
            validators=tuple(
                ValidatorStatus(last_heard_ms=heard, executed=executed, active_view=active)
                for heard, executed, active in zip(
                    core.peers.heard_ms, core.peers.executed, core.peers.active_view, strict=True
                )
            ),
        )

    def _waiting_for(self) -> str:
        """What the current view waits for, in words."""
        core = self._core
        if core.timers.armed_ms is None:
            return "something to do"
        if core.timers.nullified:
            return "a quorum to end the view"
        if core.view not in core.proposals and not core.timers.proposal_seen:
            return "the leader's proposal"
        if core.holes is not None:
            return "missing certificates"
        own = core.guard.of(core.view)
        if own.notarized is None and core.guard.silent is None:
            return "the proposal's batches and checks"
        return "a quorum of notarize votes"
