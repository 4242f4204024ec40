"""The current view and the rules that move it: votes in, certificates, the next view, final blocks (R0 to R7).

`Core` holds all state of one epoch and collects effects.  It is told about messages by `engine.Engine`, which guards
the edge; nothing here is reached by anything that was not checked there or is not checked here.
"""

from collections.abc import Iterable, Sequence
from typing import Final

from cccnode.types.certificate import Certificate, Claim, claims_of, make_certificate, signer_indices
from cccnode.types.errors import NOT_SIGNING_JOURNAL_LOST, OBSERVER, SAFETY_ALARM, WATCHING
from cccnode.types.limits import VIEWS_AHEAD_MAX, VIEWS_BEHIND_MAX
from cccnode.types.validators import quorum
from cccnode.types.vote import Kind, Proposal, Vote
from consensus.catchup import Peers, Wanted
from consensus.certificates import CertificateBook, Verifier
from consensus.chain import Block, Chain, finalized
from consensus.config import Config, Sign, VerifyMany
from consensus.effects import Alarm, Blame, Effect, EvidenceFound, Finalized, Persist, Send
from consensus.evidence import contradictions
from consensus.guard import Guard
from consensus.leaders import BROADCAST_VALIDATORS_MAX, Leaders
from consensus.messages import (
    CertificatesMessage,
    CertificatesRequest,
    Message,
    ProposalMessage,
    StatusMessage,
    VotesMessage,
)
from consensus.records import CertificateRecord, Record, SilenceRecord, VoteRecord
from consensus.rules import ends_epoch
from consensus.timers import ViewTimers
from consensus.votes import VoteBook, claim_of
from consensus.watching import Watch

HOLE_REQUEST_VIEWS: Final = 64
"""Views asked for at once where certificates are missing."""
SWEEP_VIEWS: Final = 64
"""Every so many views, what belongs to older ones and was never certified is dropped."""
FETCH_DEPTH: Final = 64
"""Missing final blocks that are fetched one by one; a longer way is the driver's sync."""


class Core:
    """One epoch of one node."""

    def __init__(
        self, config: Config, *, sign: Sign | None, verify_many: VerifyMany, now_ms: int, observe: str | None
    ) -> None:
        """A node that knows its root and nothing else."""
        record = config.record
        keys = [validator.consensus_key for validator in record.validators]
        self.config = config
        self.me = config.me
        self.count = len(keys)
        self.quorum = quorum(self.count)
        self.now = now_ms
        self.out: list[Effect] = []
        self.leaders = Leaders(config.boundary_id, keys)
        self.verifier = Verifier(chain=config.chain, epoch=config.epoch, keys=keys, verify_many=verify_many)
        self.votes = VoteBook(verifier=self.verifier, quorum=self.quorum)
        self.certificates = CertificateBook(config.root.certificate)
        silent = observe or (OBSERVER.name if sign is None or config.me is None else None)
        self.heard: set[int] = set()
        """Other validators that spoke for themselves in this epoch since the start."""
        self.watch: Watch | None = None
        if silent is None and config.watch and self.count > 1:
            # More than the others wait for a leader: a view that this node itself should lead is no standstill.
            quiet_ms = record.timers.min_interval_ms + 3 * record.timers.delta_ms
            start = config.root.view + 1
            self.watch = Watch(others=self.quorum - 1, quiet_ms=quiet_ms, view=start, views_left=self.count)
            silent = WATCHING.name
        self.guard = Guard(chain=config.chain, epoch=config.epoch, me=config.me, sign=sign, silent=silent)
        self.guard.raise_floor(config.root.view)
        self.guard.careful = self.guard.unsure = config.unsure_view
        self.chain = Chain(config.root, now_ms)
        self.peers = Peers(record, config.me, view=config.root.view + 1)
        delta_ms = record.timers.delta_ms
        self.wanted = Wanted(validators=self.count, me=config.me, interval_ms=max(1, delta_ms))
        self.timers = ViewTimers(record.timers, now_ms)
        self.view = config.root.view + 1
        self.timers.enter(now_ms=now_ms, view=self.view, final_view=config.root.view)
        self.proposals: dict[int, ProposalMessage] = {}
        """First proposal of the current view and of the few above."""
        self.pending = False
        """Whether batches wait here that this node would list."""
        self.pending_root = config.root.pending or (config.root.header.height if config.root.header.tx_count else 0)
        """Height of the newest executed block that has receipts, or whose state holds a change for the next epoch."""
        self.building = False
        """Whether the driver was asked to build for the current view."""
        self.unsigned: tuple[Block, Proposal, Certificate | None] | None = None
        """What this leader proposes as soon as a remote signer has answered."""
        self.entry: Certificate | None = None
        """What opened the current view."""
        self.hand_off: list[Certificate] = []
        self.holes: tuple[int, int] | None = None
        """Views whose certificates are missing for what is to be done now."""
        self.next_hole_request_ms = now_ms
        self.hole_requests = 0
        self._incomplete_view = 0
        self._alarmed = False
        self._evidence: set[tuple[int, int]] = set()

    # ----- small things that every rule uses

    def send(self, message: Message, to: bytes | None = None) -> None:
        """Send to one node, or to all validators."""
        self.out.append(Send(to=to, message=message))

    def send_to(self, validator: int, message: Message) -> None:
        """Send to a validator, if a node of it is known."""
        key = self.peers.key(validator)
        if key is not None and validator != self.me:
            self.send(message, key)

    def persist(self, record: Record, *, sync: bool) -> None:
        """Append to the journal."""
        self.out.append(Persist(record=record, sync=sync))

    def alarm(self, reason: str, error: str = SAFETY_ALARM.name) -> None:
        """What must not happen did: sign nothing more, and say so once."""
        if not self._alarmed:
            self._alarmed = True
            self.guard.silent = error
            self.persist(SilenceRecord(error), sync=True)  # A restart of the process must not forget it.
            self.out.append(Alarm(reason=reason))

    def final_view(self) -> int:
        """View of the newest final block."""
        return self.chain.final.view

    @property
    def shares_key(self) -> bool:
        """Whether the record lists several machines for this validator: two of them may hold its consensus key."""
        return self.me is not None and len(self.config.record.validators[self.me].node_keys) > 1

    @property
    def over(self) -> bool:
        """Part of R12: whether the last block of the epoch is final, and known to be: nothing more is decided here."""
        block = self.chain.get(self.chain.final.block_id)
        return block is not None and self._ends(block)

    @property
    def ending(self) -> bool:
        """Part of R12: whether the last block of the epoch is notarized and not final: no other may follow it."""
        # Not `parent`: this is asked between events, and the walk of that changes what a recorded state holds.
        held = self.certificates.notarized.get(self.certificates.top_notarized)
        block = self.chain.get(held.proposal.block_id) if held is not None else None
        return block is not None and self._ends(block) and not self.over

    def _ends(self, block: Block) -> bool:
        return ends_epoch(block.header) and block.header.epoch == self.config.epoch

    def status_message(self) -> StatusMessage:
        """Where this node stands."""
        signs = self.guard.silent is None
        return StatusMessage(self.config.epoch, self.view, self.chain.final, self.chain.executed_height, signs)

    # ----- R0: votes are cast here and nowhere else

    def cast(self, vote: Vote | None, announcement: Message | None = None) -> bool:
        """Part of R0: persist, then send, then count an own vote.  None: the guard refused."""
        if vote is None:
            return False
        self.persist(VoteRecord(vote), sync=True)
        self.send(announcement or VotesMessage(self.config.epoch, self.chain.executed_height, (vote,)))
        self.count_own(vote)
        return True

    def count_own(self, vote: Vote) -> None:
        """An own vote counts like any other; forgetting it has halted networks."""
        self.verifier.trust(claim_of(vote))
        self.count_vote(vote)

    def count_vote(self, vote: Vote) -> None:
        """Count a vote whose signer is certain; verify when a quorum is there or when it contradicts another."""
        others = self.votes.add(vote)
        if others is None:
            return
        for first, second in contradictions(vote, others):
            self._accuse(first, second)
        view = vote.proposal.view
        if view <= self.final_view() or self.certificates.held(vote.kind, view) is not None:
            return
        signatures, invalid = self.votes.certify((vote.kind, vote.proposal))
        self._blame_votes(invalid)
        if signatures is not None:  # R4, R5, R6: a quorum of equal votes is a certificate
            certificate = make_certificate(vote.kind, vote.proposal, signatures, self.count)
            if vote.kind is Kind.FINALIZE:
                self.hand_off.append(certificate)
            self.learn(certificate)

    def _accuse(self, first: Vote, second: Vote) -> None:
        """Two votes contradict each other: evidence if both signatures are good."""
        invalid = self.votes.invalid([first, second])
        self._blame_votes(invalid)
        case = (first.proposal.view, first.signer)
        if not invalid and case not in self._evidence and first.signer != self.me:
            self._evidence.add(case)
            self.out.append(EvidenceFound(first=first, second=second))

    def _blame_votes(self, invalid: Iterable[Vote]) -> None:
        for vote in invalid:
            key = self.peers.key(vote.signer)
            if key is not None:
                self.out.append(Blame(peer=key, validator=vote.signer, reason="vote with a bad signature"))

    # ----- certificates

    def absorb(self, certificates: Sequence[Certificate], also: Claim | None = None) -> tuple[bool, bool]:
        """Check certificates (and one more signature) in one call and learn the good ones.

        Returns whether all certificates were good, and whether `also` was.
        """
        fresh = [
            (certificate, claims_of(certificate, self.count)) for certificate in certificates if self._news(certificate)
        ]
        claims = [claim for _, stated in fresh for claim in stated or ()]
        verdicts = self.verifier.check([*claims, also] if also is not None else claims)
        good, start = [], 0
        for certificate, stated in fresh:
            size = len(stated or ())
            if stated is not None and all(verdicts[start : start + size]):
                good.append(certificate)
            start += size
        for certificate in sorted(good, key=_learning_order):
            self._learn_foreign(certificate)
        return len(good) == len(fresh), also is None or verdicts[-1]

    def _news(self, certificate: Certificate) -> bool:
        """Whether a certificate says something that is not known, or that contradicts what is known."""
        kind, proposal = certificate.kind, certificate.proposal
        if proposal.view <= self.final_view():
            unproven = kind is Kind.FINALIZE and self.certificates.held(kind, proposal.view) is None
            return self._conflicts(certificate) or (proposal == self.chain.final and unproven)
        known = self.certificates.held(kind, proposal.view)
        return known is None or known.proposal != proposal

    def _learn_foreign(self, certificate: Certificate) -> None:
        """A certificate that others made: its signatures are votes too, and may show a contradiction."""
        kind, proposal = certificate.kind, certificate.proposal
        signers = signer_indices(certificate.bitmap)
        if self.me is not None and self.me in signers and self.guard.silent in {None, WATCHING.name}:
            mine = Vote(kind, proposal, self.me, certificate.signatures[signers.index(self.me)])
            if not self.guard.signed(mine):
                self.own_vote_met(mine, NOT_SIGNING_JOURNAL_LOST.name)
        self.learn(certificate)
        if proposal.view <= self.view + VIEWS_AHEAD_MAX:
            for signer, signature in zip(signers, certificate.signatures, strict=True):
                if signer != self.me:
                    self._remember_vote(Vote(kind, proposal, signer, signature))

    def _remember_vote(self, vote: Vote) -> None:
        if vote.proposal.view > self.final_view() - VIEWS_BEHIND_MAX:
            for first, second in contradictions(vote, self.votes.add(vote) or ()):
                self._accuse(first, second)

    def own_vote_met(self, vote: Vote, error: str = SAFETY_ALARM.name) -> None:
        """Someone signs with this node's key, or its journal is older than its votes: stop (J22)."""
        self.alarm(
            f"own {vote.kind.name.lower()} vote of view {vote.proposal.view} that this node does not remember", error
        )

    def learn(self, certificate: Certificate) -> None:
        """A certificate with good signatures: keep it, and do what R4, R5, R6 say."""
        kind, proposal = certificate.kind, certificate.proposal
        if self._conflicts(certificate):
            self.alarm(f"conflicting certificates in view {proposal.view}")
            return
        if not self._news(certificate):
            return
        self.next_hole_request_ms = self.now
        self.persist(CertificateRecord(certificate), sync=False)
        match kind:
            case Kind.NOTARIZE:
                self._notarized(certificate)
            case Kind.NULLIFY:
                self._nullified(certificate)
            case Kind.FINALIZE:
                self.finalize(certificate)

    def _conflicts(self, certificate: Certificate) -> bool:
        """Whether one quorum contradicts another: more than f validators are at fault."""
        kind, proposal, view = certificate.kind, certificate.proposal, certificate.proposal.view
        final = self.chain.final
        if view <= final.view:
            if view < final.view or not view:
                return False
            # A block that is final through a descendant only may have been nullified as well.
            proven = self.certificates.held(Kind.FINALIZE, view) is not None
            return proven if kind is Kind.NULLIFY else proposal != final
        if kind is Kind.NULLIFY:
            return False
        held = self.certificates.notarized.get(view)
        if held is not None and held.proposal != proposal:
            return True
        if kind is not Kind.FINALIZE:
            return False
        below = proposal.height <= final.height and proposal.block_id != final.block_id  # R12 may finalize twice.
        return view in self.certificates.nullified or below

    def _notarized(self, certificate: Certificate) -> None:
        """R4: a quorum notarized a block, whether or not this node has it or voted for it."""
        proposal = certificate.proposal
        self.certificates.add(certificate)
        self.want(proposal.block_id, certificate, after_ms=self.config.record.timers.delta_ms // 2)
        if proposal.view >= self.view:
            left = self.guard.finalize(proposal, view=self.view, notarized=proposal)
            self.cast(left)
            self.enter(proposal.view + 1, certificate)

    def _nullified(self, certificate: Certificate) -> None:
        """R5: a quorum gave the view up.  A notarization of it may still come, and then both are kept."""
        self.certificates.add(certificate)
        view = certificate.proposal.view
        if view >= self.view:
            self.enter(view + 1, certificate)
            # Somebody had a reason to wait for a block, and it was not made: the next leader must make one.
            self.timers.arm(self.now)

    def finalize(self, certificate: Certificate) -> None:
        """R6: a block and all its ancestors are final."""
        proposal = certificate.proposal
        self.certificates.finalization = certificate
        if proposal != self.chain.final:
            self.raise_final(proposal)
            self.want(proposal.block_id, certificate, after_ms=self.config.record.timers.delta_ms // 2)
            self.deliver()
        if proposal.view >= self.view:
            self.enter(proposal.view + 1, certificate)

    def raise_final(self, proposal: Proposal) -> None:
        """A higher block is final: forget what it settles."""
        self.chain.final = proposal
        self.guard.raise_floor(proposal.view)
        self.certificates.prune(proposal.view)
        self.votes.prune(proposal.view - VIEWS_BEHIND_MAX)
        self._evidence = {case for case in self._evidence if case[0] > proposal.view - VIEWS_BEHIND_MAX}

    def deliver(self) -> None:
        """Part of R6: hand the newly final blocks over, in height order, as soon as all of them are known."""
        final, certificate, chain = self.chain.final, self.certificates.finalization, self.chain
        if certificate is None or certificate.proposal != final or final.height <= chain.delivered_height:
            return
        path, missing = chain.path(final.block_id, above=chain.delivered_height)
        if missing is None:
            if path[0].header.parent != chain.delivered_id:
                self.alarm("two final chains")
                return
            chain.delivered_height, chain.delivered_id = final.height, final.block_id
        elif self._incomplete_view == final.view:
            self._want_ancestor(missing, final)
            return
        else:
            self._incomplete_view = final.view
            self._want_ancestor(missing, final)
        self.out.append(
            Finalized(proposal=final, certificate=certificate, blocks=finalized(path), complete=missing is None)
        )

    def _want_ancestor(self, missing: bytes, final: Proposal) -> None:
        if final.height - self.chain.delivered_height <= FETCH_DEPTH:
            self.wanted.want(missing, view=final.view, voters=(), at_ms=self.now)

    def adopt_final(self, proposal: Proposal) -> None:
        """A block that the driver fetched, checked and executed by itself is final, above all that was known here."""
        self.raise_final(proposal)
        self.enter(proposal.view + 1, None)

    def want(self, block_id: bytes, certificate: Certificate | None, *, after_ms: int = 0) -> None:
        """Fetch a block from those who voted for it, unless it is here."""
        if self.chain.get(block_id) is None:
            voters = signer_indices(certificate.bitmap) if certificate is not None else ()
            view = certificate.proposal.view if certificate is not None else self.view
            self.wanted.want(block_id, view=view, voters=voters, at_ms=self.now + after_ms)

    # ----- R1: the view moves by certificates only

    def enter(self, view: int, certificate: Certificate | None) -> None:
        """R1: enter a view through a certificate of the one before."""
        if view <= self.view:
            return
        self.view = view
        self.timers.enter(now_ms=self.now, view=view, final_view=self.final_view())
        self.building = False
        self.hole_requests = 0
        self.entry = certificate
        if certificate is not None and certificate.kind is not Kind.FINALIZE:
            self.hand_off.append(certificate)
        for old in [held for held in self.proposals if held < view]:
            del self.proposals[old]
        if view in self.proposals:
            self.timers.arm(self.now)
            self.timers.proposal_seen = True
        if view % SWEEP_VIEWS == 0:
            self._sweep()

    def _sweep(self) -> None:
        """Bound what piles up while views pass and nothing becomes final."""
        self.votes.prune(self.view - 8 * SWEEP_VIEWS)
        keep = {held.proposal.block_id for held in self.certificates.notarized.values()}
        keep |= {own.notarized.proposal.block_id for own in self.guard.own.values() if own.notarized is not None}
        self.chain.forget_orphans(below_view=self.view - SWEEP_VIEWS, keep=keep)

    def hand_on(self) -> None:
        """R10: hand new certificates on once: to all where there are few, else by relayers to the next leader."""
        fresh = [held for held in self.hand_off if held is self.entry or held is self.certificates.finalization]
        self.hand_off = []
        if not fresh or self.me is None or self.count == 1:
            return
        message = CertificatesMessage(self.config.epoch, tuple(fresh))
        if self.count <= BROADCAST_VALIDATORS_MAX:
            self.send(message)
        elif self.leaders.relays(self.me, self.view - 1):
            self.send_to(self.leaders.of(self.view), message)

    def parent(self) -> Proposal | None:
        """Part of R2: the block to build on: the highest notarized one if all views above it are nullified."""
        view = max(self.certificates.top_notarized, self.final_view())
        if self.certificates.reach(self.view) > view + 1:
            return None
        held = self.certificates.notarized.get(view)
        return held.proposal if held is not None else self.chain.final

    def root_pending(self, parent: Block) -> bool:
        """J13: whether an executed block with receipts has its root in no header yet."""
        return self.pending_root > parent.header.exec_height

    def miss(self, lowest: int) -> None:
        """Certificates from `lowest` on are missing below this view: ask, from the highest hole down."""
        highest = max(lowest, self.certificates.reach(self.view) - 1)
        self.holes = (max(lowest, highest - HOLE_REQUEST_VIEWS + 1), highest)

    def request_holes(self) -> None:
        """Part of R2, R3: ask the leader first, then the others in turn; a leader with a hole asks all."""
        if self.holes is None or self.now < self.next_hole_request_ms:
            return
        lo, hi = self.holes
        request = CertificatesRequest(self.config.epoch, lo, hi)
        leader = self.leaders.of(self.view)
        if leader == self.me:
            self.send(request)
        else:
            self.send_to((leader + self.hole_requests) % self.count, request)
        self.hole_requests += 1
        self.next_hole_request_ms = self.now + max(1, self.config.record.timers.delta_ms)

    # ----- R7: giving a view up

    def arm(self) -> None:
        """Start the view's timers when there is something to wait for (consensus.md 3.9)."""
        timers = self.timers
        if self.over:
            return
        if self.pending or self.now >= self.heartbeat_ms():
            timers.arm(self.now)
        if timers.armed_ms is not None:
            return
        parent = self.parent()
        block = self.chain.get(parent.block_id) if parent is not None else None
        if block is not None and self._ends(block):
            timers.arm(self.now)
        elif block is not None and self.pending_root and self.root_pending(block):
            timers.arm(self.now, for_root=True)

    def heartbeat_ms(self) -> int:
        """When an idle view gets an empty block all the same."""
        return self.timers.entered_ms + self.config.record.timers.heartbeat_ms

    def expire(self) -> None:
        """R7: the timer ran out, or its leader has long been silent."""
        due = self.timers.nullify_ms
        if due is None:
            return
        leader = self.leaders.of(self.view)
        skip = not self.timers.proposal_seen and self.peers.inactive(leader, view=self.view, quorum=self.quorum)
        if self.now >= due or skip:
            self.give_up()

    def give_up(self) -> None:
        """Part of R7: nullify the current view, once; from then on repeat (R8) until a certificate ends it."""
        if self.timers.nullified or self.over:
            return
        self.timers.arm(self.now)
        self.timers.gave_up(self.now)
        self.cast(self.guard.nullify(self.view, view=self.view))

    def collect(self) -> None:
        """Part of R0: cast votes that were decided before, and that a remote signer has signed since."""
        for vote in self.guard.late(self.view):
            self.cast(vote)

    # ----- R13: the first signature

    def look(self) -> None:
        """R13: begin to sign when enough was seen; the current view starts anew, for its timers ran unheard."""
        watch = self.watch
        if watch is None:
            return
        behind = self.peers.ahead_of(self.view) > self.count - self.quorum
        if not watch.over(heard=len(self.heard), behind=behind, view=self.view, now_ms=self.now):
            return
        self.watch = None
        if self.guard.silent != WATCHING.name:
            return
        self.guard.silent = None
        if watch.views_left > 0:  # Nothing moved: perhaps because a vote of ours that we forgot is missing.
            # Whoever was in a later view saw a quorum leave this one, and one of those heard would still know its vote:
            # nothing is forgotten beyond the next view, and there only if others voted in this one.
            self.guard.careful = max(self.guard.careful, self.view + 1)
        armed, seen = self.timers.armed_ms is not None, self.timers.proposal_seen
        self.timers.enter(now_ms=self.now, view=self.view, final_view=self.final_view())
        if armed:
            self.timers.arm(self.now)
            self.timers.proposal_seen = seen


def _learning_order(certificate: Certificate) -> tuple[int, int, int]:
    """The highest finalization first, since nothing below it needs a further look; then view by view, upwards."""
    if certificate.kind is Kind.FINALIZE:
        return (0, -certificate.proposal.view, 0)
    return (1, certificate.proposal.view, certificate.kind)
