"""A validator that lies: any vote to anyone, several blocks in its view, proofs that are false, missing or stale."""

from typing import TYPE_CHECKING

from cccnode.crypto.hashing import ZERO
from cccnode.types.block import Header
from cccnode.types.certificate import SCHEME_ED25519_LIST, Certificate
from cccnode.types.vote import Kind, Proposal, Vote, nullified, vote_bytes
from consensus.messages import (
    BlockRequest,
    CertificatesMessage,
    CertificatesRequest,
    Message,
    ProposalMessage,
    StatusMessage,
    VotesMessage,
    encode_message,
)
from tests.simulation.arena import Arena
from tests.simulation.fakes import CHAIN, make_header

if TYPE_CHECKING:
    from tests.simulation.consensus import Simulation
    from tests.simulation.validator import SimulatedValidator


class Liar:
    """It sees what an honest validator sees, and says what suits it."""

    def __init__(self, simulation: "Simulation", index: int) -> None:
        """A liar with the keys of identity `index`."""
        self.simulation = simulation
        self.plan = simulation.plan
        self.world: Arena = simulation.world
        self.rng = simulation.world.rng
        self.index = index
        self.epoch = 0
        """Of the honest validator that it looks at."""

    def lie(self) -> None:
        """Say something, and come back soon."""
        if self.index in self.world.dead:
            return
        self.world.after(self.rng.randint(20, 300), self.lie)
        informant = self.rng.choice([node for node in self.simulation.honest if node.alive] or [None])
        if informant is None:
            return
        self.epoch = informant.epoch
        view = max(1, informant.engine._core.view + self.rng.choice([-1, 0, 0, 0, 1]))
        if self.plan.index(self.epoch, self.index) is not None:
            for target in self.simulation.honest:
                if self.rng.random() < 0.6:
                    self.vote(target, view)
            if self.plan.leader(self.epoch, view) == self.index:
                self.propose(informant, view)
        if self.rng.random() < 0.2:
            self.babble(self.rng.choice(self.simulation.honest), view)

    def say(self, target: "SimulatedValidator", message: Message) -> None:
        """Send without any fault on the way."""
        self.world.after(self.rng.randint(5, 100), target.receive, self.index, encode_message(message))

    def signed(self, kind: Kind, proposal: Proposal) -> Vote:
        """A vote with a good signature, if it has a key in this epoch."""
        place, key = self.plan.index(self.epoch, self.index), self.plan.key(self.epoch, self.index)
        if place is None or key is None:
            return Vote(kind, proposal, 0, bytes(64))
        raw = vote_bytes(kind, CHAIN, self.epoch, proposal)
        vote = Vote(kind, proposal, place, self.world.signatures.signer(key)(raw))
        self.simulation.voted(self.epoch, vote)
        return vote

    def vote(self, target: "SimulatedValidator", view: int) -> None:
        """Random votes of all kinds, for whatever was proposed."""
        votes = []
        proposed = self.world.proposed[self.epoch, view]
        for kind in Kind:
            if self.rng.random() < 0.5:
                continue
            if kind is Kind.NULLIFY:
                votes.append(self.signed(kind, nullified(view)))
            elif proposed:
                votes.append(self.signed(kind, self.rng.choice(proposed)))
        if votes:
            self.say(target, VotesMessage(self.epoch, self.rng.randint(0, 1000), tuple(votes)))

    def propose(self, informant: "SimulatedValidator", view: int) -> None:
        """Different blocks to different validators, on parents new and old; last blocks of an epoch once more."""
        core = informant.engine._core
        held = core.certificates
        below = [c.proposal for u, c in sorted(held.notarized.items()) if u < view]
        parents = [*below, core.chain.final]
        if self.rng.random() < 0.5:
            highest = max(parents, key=lambda proposal: proposal.view)
            parents = [highest] if all(u in held.nullified for u in range(highest.view + 1, view)) else parents
        for target in self.simulation.honest:
            parent = self.rng.choice(parents)
            entry = self.world.blocks.get(parent.block_id)
            if entry is None or parent.view >= view:
                continue
            last = entry[0].next_epoch_record_hash != ZERO and entry[0].epoch == self.epoch
            if (last and self.rng.random() < 0.7) or self.rng.random() < 0.05:
                self.world.coverage["lies_repeated"] += 1
                header, proposal = entry[0], Proposal(view, parent.view, entry[0].height, parent.block_id)
            else:
                header = self.block(entry[0], parent, view, informant)
                proposal = self.simulation.made(header, ())
            self.world.coverage["lies_proposed"] += 1
            proofs = self.proofs(informant, parent, view)
            signature = self.signed(Kind.NOTARIZE, proposal).signature
            body = self.world.blocks[proposal.block_id][1] if proposal.block_id in self.world.blocks else ()
            final = held.finalization
            self.say(target, ProposalMessage(self.epoch, proposal, header, body, proofs, final, 0, signature))

    def proofs(self, informant: "SimulatedValidator", parent: Proposal, view: int) -> tuple[Certificate, ...]:
        """A justification: right, false, or with a hole."""
        held = informant.engine._core.certificates
        certified = held.certified(parent.view)
        skipped = [held.nullified.get(u) for u in range(max(parent.view + 1, view - 16), view)]
        proofs = [proof for proof in (certified, *skipped) if proof is not None]
        if self.rng.random() < 0.3:
            self.world.coverage["lies_false_justification"] += 1
            return tuple(self.falsified(proof) for proof in proofs)
        return tuple(proofs[1:] if self.rng.random() < 0.3 else proofs)

    def block(self, parent: Header, named: Proposal, view: int, informant: "SimulatedValidator") -> Header:
        """An empty block, sometimes with an exec_height, a root or an end of the epoch that is wrong."""
        height = parent.exec_height + self.rng.choice([0, 0, 0, 1])
        known = informant.ids
        path, missing = informant.engine._core.chain.path(named.block_id, above=len(known) - 1)
        exec_height = min(height, parent.height)
        right = self.plan.next_hash(self.epoch, parent.height + 1, exec_height)
        return make_header(
            parent,
            view=view,
            parent_view=named.view,
            proposer=self.plan.index(self.epoch, self.index) or 0,
            exec_height=exec_height,
            time_ms=self.world.now + self.rng.randrange(3),
            state_root=known[height] if height < len(known) and self.rng.random() < 0.8 else ZERO,
            history_root=informant.history([block.block_id for block in path]) if missing is None else ZERO,
            record=self.plan.record(self.epoch),
            next_record_hash=self.rng.choice([right, right, right, right, ZERO, b"x" * 32]),
        )

    def falsified(self, proof: Certificate) -> Certificate:
        """A certificate that does not hold: forged, for another view, with stray bits, or too short."""
        match self.rng.randrange(5):
            case 0:
                forged = tuple(bytes(64) for _ in proof.signatures)
                return Certificate(proof.scheme, proof.kind, proof.proposal, proof.bitmap, forged)
            case 1:
                moved = nullified(proof.proposal.view + 1)
                return Certificate(proof.scheme, Kind.NULLIFY, moved, proof.bitmap, proof.signatures)
            case 2:
                stray = bytes([proof.bitmap[0] | 0x80]) + proof.bitmap[1:]
                return Certificate(proof.scheme, proof.kind, proof.proposal, stray, proof.signatures)
            case 3:
                lowest = proof.bitmap[0] & -proof.bitmap[0]
                return Certificate(
                    proof.scheme, proof.kind, proof.proposal, bytes([lowest, *proof.bitmap[1:]]), proof.signatures[:1]
                )
            case _:
                return Certificate(2, proof.kind, proof.proposal, proof.bitmap, proof.signatures[:1])

    def babble(self, target: "SimulatedValidator", view: int) -> None:
        """Well-formed messages that make no sense."""
        somewhere, epoch = self.rng.randrange(1, 2**63 - 1), self.epoch
        place = self.plan.index(epoch, self.index) or 0
        bad = Vote(Kind.NULLIFY, nullified(view), place, bytes(64))
        other = Vote(Kind.NULLIFY, nullified(view), (place + 1) % self.plan.size(epoch), bytes(64))
        nothing = Certificate(SCHEME_ED25519_LIST, Kind.NULLIFY, nullified(somewhere), b"\xff", (bytes(64),))
        message = self.rng.choice(
            [
                VotesMessage(epoch, 0, (bad,)),
                VotesMessage(epoch, 0, (other,)),
                VotesMessage(epoch + 7, 0, (bad,)),
                VotesMessage(epoch, somewhere, (self.signed(Kind.NULLIFY, nullified(somewhere)),)),
                CertificatesMessage(epoch, (nothing,)),
                CertificatesRequest(epoch, 1, somewhere),
                CertificatesRequest(epoch, max(1, view - 100_000), view),
                BlockRequest(epoch, ZERO),
                StatusMessage(epoch, somewhere, Proposal(somewhere, 0, somewhere, ZERO), somewhere),
            ]
        )
        self.world.coverage["lies_babbled"] += 1
        self.say(target, message)
