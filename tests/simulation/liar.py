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
from tests.simulation.fakes import CHAIN, key_of, make_header

if TYPE_CHECKING:
    from tests.simulation.consensus import Simulation
    from tests.simulation.validator import SimulatedValidator


class Liar:
    """It sees what an honest validator sees, and says what suits it."""

    def __init__(self, simulation: "Simulation", index: int) -> None:
        """A liar with the key of validator `index`."""
        self.simulation = simulation
        self.world: Arena = simulation.world
        self.rng = simulation.world.rng
        self.index = index
        self.sign = self.world.signatures.signer(key_of(index))

    def lie(self) -> None:
        """Say something, and come back soon."""
        self.world.after(self.rng.randint(20, 300), self.lie)
        informant = self.rng.choice([node for node in self.simulation.honest if node.alive] or [None])
        if informant is None:
            return
        view = max(1, informant.engine._core.view + self.rng.choice([-1, 0, 0, 0, 1]))
        for target in self.simulation.honest:
            if self.rng.random() < 0.6:
                self.vote(target, view)
        if informant.engine._core.leaders.of(view) == self.index:
            self.propose(informant, view)
        if self.rng.random() < 0.2:
            self.babble(self.rng.choice(self.simulation.honest), view)

    def say(self, target: "SimulatedValidator", message: Message) -> None:
        """Send without any fault on the way."""
        self.world.after(self.rng.randint(5, 100), target.receive, self.index, encode_message(message))

    def signed(self, kind: Kind, proposal: Proposal) -> Vote:
        """A vote with a good signature."""
        vote = Vote(kind, proposal, self.index, self.sign(vote_bytes(kind, CHAIN, 0, proposal)))
        self.world.release(vote)
        return vote

    def vote(self, target: "SimulatedValidator", view: int) -> None:
        """Random votes of all kinds, for whatever was proposed."""
        votes = []
        for kind in Kind:
            if self.rng.random() < 0.5:
                continue
            if kind is Kind.NULLIFY:
                votes.append(self.signed(kind, nullified(view)))
            elif self.world.proposed[view]:
                votes.append(self.signed(kind, self.rng.choice(self.world.proposed[view])))
        if votes:
            self.say(target, VotesMessage(0, self.rng.randint(0, 1000), tuple(votes)))

    def propose(self, informant: "SimulatedValidator", view: int) -> None:
        """Different blocks to different validators, on parents new and old."""
        core = informant.engine._core
        held = core.certificates
        below = [c.proposal for u, c in sorted(held.notarized.items()) if u < view]
        parents = [*below, core.chain.final]
        if self.rng.random() < 0.5:
            usual = core.parent()
            parents = [usual] if usual is not None else parents
        for target in self.simulation.honest:
            parent = self.rng.choice(parents)
            entry = self.world.blocks.get(parent.block_id)
            if entry is None or parent.view >= view:
                continue
            header = self.block(entry[0], parent, view, informant)
            proposal = self.simulation.made(header, ())
            certified = held.certified(parent.view)
            skipped = [held.nullified.get(u) for u in range(max(parent.view + 1, view - 16), view)]
            proofs = [proof for proof in (certified, *skipped) if proof is not None]
            self.world.coverage["lies_proposed"] += 1
            if self.rng.random() < 0.3:
                self.world.coverage["lies_false_justification"] += 1
                proofs = [self.falsified(proof) for proof in proofs]
            elif self.rng.random() < 0.3:
                proofs = proofs[1:]
            signature = self.signed(Kind.NOTARIZE, proposal).signature
            self.say(
                target,
                ProposalMessage(0, proposal, header, (), tuple(proofs), held.finalization, 0, signature),
            )

    def block(self, parent: Header, named: Proposal, view: int, informant: "SimulatedValidator") -> Header:
        """An empty block, sometimes with an exec_height or a root that is wrong."""
        height = parent.exec_height + self.rng.choice([0, 0, 0, 1])
        known = informant.ids
        path, missing = informant.engine._core.chain.path(named.block_id, above=len(known) - 1)
        return make_header(
            parent,
            view=view,
            parent_view=named.view,
            proposer=self.index,
            exec_height=min(height, parent.height),
            time_ms=self.world.now + self.rng.randrange(3),
            state_root=known[height] if height < len(known) and self.rng.random() < 0.8 else ZERO,
            history_root=informant.history([block.block_id for block in path]) if missing is None else ZERO,
        )

    def falsified(self, proof: Certificate) -> Certificate:
        """A certificate that does not hold: forged, for another view, with stray bits, or too short."""
        match self.rng.randrange(4):
            case 0:
                forged = tuple(bytes(64) for _ in proof.signatures)
                return Certificate(proof.scheme, proof.kind, proof.proposal, proof.bitmap, forged)
            case 1:
                moved = nullified(proof.proposal.view + 1)
                return Certificate(proof.scheme, Kind.NULLIFY, moved, proof.bitmap, proof.signatures)
            case 2:
                stray = bytes([proof.bitmap[0] | 0x80]) + proof.bitmap[1:]
                return Certificate(proof.scheme, proof.kind, proof.proposal, stray, proof.signatures)
            case _:
                return Certificate(2, proof.kind, proof.proposal, proof.bitmap, proof.signatures[:1])

    def babble(self, target: "SimulatedValidator", view: int) -> None:
        """Well-formed messages that make no sense."""
        somewhere = self.rng.randrange(1, 2**63 - 1)
        bad = Vote(Kind.NULLIFY, nullified(view), self.index, bytes(64))
        other = Vote(Kind.NULLIFY, nullified(view), (self.index + 1) % self.world.count, bytes(64))
        nothing = Certificate(SCHEME_ED25519_LIST, Kind.NULLIFY, nullified(somewhere), b"\xff", (bytes(64),))
        message = self.rng.choice(
            [
                VotesMessage(0, 0, (bad,)),
                VotesMessage(0, 0, (other,)),
                VotesMessage(7, 0, (bad,)),
                VotesMessage(0, somewhere, (self.signed(Kind.NULLIFY, nullified(somewhere)),)),
                CertificatesMessage(0, (nothing,)),
                CertificatesRequest(0, 1, somewhere),
                CertificatesRequest(0, max(1, view - 100_000), view),
                BlockRequest(0, ZERO),
                StatusMessage(0, somewhere, Proposal(somewhere, 0, somewhere, ZERO), somewhere),
            ]
        )
        self.world.coverage["lies_babbled"] += 1
        self.say(target, message)
