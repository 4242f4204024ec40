"""Byzantine validators that run the real engine and lie about some of it: in what they send, to whom, and when.

`twins` need nothing of this: they are two engines with one key.  `liar.Liar` runs no engine and says anything.
"""

from collections import deque
from typing import TYPE_CHECKING, Protocol

from msgspec.structs import replace

from cccnode.types.block import block_id
from cccnode.types.certificate import Certificate
from cccnode.types.limits import CERTIFICATES_PER_REPLY_MAX, INLINE_CERTIFICATES_MAX
from cccnode.types.vote import Kind, Proposal, Vote, vote_bytes
from consensus.messages import CertificatesMessage, Message, ProposalMessage, VotesMessage
from tests.simulation.fakes import CHAIN

if TYPE_CHECKING:
    from tests.simulation.consensus import Simulation
    from tests.simulation.validator import SimulatedValidator

REMEMBERED = 200
"""Old messages that a replayer keeps."""

Copies = list[tuple[int, Message]]
"""(identity, message): what goes out in place of one message of the engine."""


class Behaviour(Protocol):
    """What a Byzantine validator does with the words of its honest engine."""

    def speak(self, node: "SimulatedValidator", targets: list[int], message: Message) -> Copies:
        """What really leaves, and to whom."""

    def hear(self, node: "SimulatedValidator", message: Message) -> None:
        """A message arrived."""


class Withholder:
    """As leader it shows its block to some only, keeps its contents from most, and votes where nobody hears it."""

    def __init__(self, simulation: "Simulation") -> None:
        """Nothing withheld yet."""
        self.world = simulation.world

    def speak(self, node: "SimulatedValidator", targets: list[int], message: Message) -> Copies:
        """Proposals go to a random part; so do votes and certificates now and then."""
        rng = self.world.rng
        if isinstance(message, ProposalMessage):
            chosen = [target for target in targets if rng.random() < 0.6]
            given = [target for target in chosen if rng.random() < 0.5]
            self.world.withheld[message.proposal.block_id] = frozenset((*given, node.index))
            self.world.coverage["lies_withheld"] += 1
            return [(target, message) for target in chosen]
        return [(target, message) for target in targets if rng.random() < 0.7]

    def hear(self, node: "SimulatedValidator", message: Message) -> None:
        """It listens like everybody."""


class Equivocator:
    """As leader it proposes two blocks on one parent, each to one half, and votes for both."""

    def __init__(self, simulation: "Simulation") -> None:
        """Honest until it leads."""
        self.simulation = simulation
        self.world = simulation.world
        self.finalized: dict[tuple[int, int], list[Proposal]] = {}

    def speak(self, node: "SimulatedValidator", targets: list[int], message: Message) -> Copies:
        """A second block for the second half; finalize votes for either."""
        if isinstance(message, ProposalMessage) and message.proposal.view == message.header.view:
            second = self._second(node, message)
            half = [target for target in targets if self.world.rng.random() < 0.5]
            self.world.coverage["lies_equivocated"] += 1
            return [(target, second if target in half else message) for target in targets]
        if isinstance(message, VotesMessage):
            others = [self._other(node, vote) for vote in message.votes]
            extra = [VotesMessage(message.epoch, message.executed, (vote,)) for vote in others if vote is not None]
            return [(target, copy) for target in targets for copy in (message, *extra)]
        return [(target, message) for target in targets]

    def hear(self, node: "SimulatedValidator", message: Message) -> None:
        """It listens like everybody."""

    def _second(self, node: "SimulatedValidator", message: ProposalMessage) -> ProposalMessage:
        header = replace(message.header, time_ms=message.header.time_ms + 1)
        self.simulation.made(header, message.body)
        first = message.proposal
        proposal = Proposal(first.view, first.parent_view, first.height, block_id(header))
        signature = self._sign(node, Kind.NOTARIZE, proposal).signature
        self.finalized[message.epoch, first.view] = [first, proposal]
        return replace(message, header=header, proposal=proposal, signature=signature)

    def _other(self, node: "SimulatedValidator", vote: Vote) -> Vote | None:
        """The same vote for the other block of that view."""
        pair = self.finalized.get((node.epoch, vote.proposal.view), [])
        if vote.kind is Kind.NULLIFY or vote.proposal not in pair:
            return None
        return self._sign(node, vote.kind, pair[1 - pair.index(vote.proposal)])

    def _sign(self, node: "SimulatedValidator", kind: Kind, proposal: Proposal) -> Vote:
        place = self.simulation.plan.index(node.epoch, node.index)
        key = self.simulation.plan.key(node.epoch, node.index)
        assert key is not None
        assert place is not None
        raw = vote_bytes(kind, CHAIN, node.epoch, proposal)
        vote = Vote(kind, proposal, place, self.world.signatures.signer(key)(raw))
        self.simulation.voted(node.epoch, vote)
        return vote


class Replayer:
    """It says old things again: certificates and votes of earlier views and epochs, and proposals with old proofs."""

    def __init__(self, simulation: "Simulation") -> None:
        """Nothing heard yet."""
        self.simulation = simulation
        self.world = simulation.world
        self.certificates: deque[tuple[int, Certificate]] = deque(maxlen=REMEMBERED)
        self.said: deque[Message] = deque(maxlen=REMEMBERED)

    def speak(self, node: "SimulatedValidator", targets: list[int], message: Message) -> Copies:
        """Its engine's words, and beside them something that was said before."""
        rng, copies = self.world.rng, [(target, self._aged(message)) for target in targets]
        self.said.append(message)
        if rng.random() < 0.3 and targets:
            self.world.coverage["lies_replayed"] += 1
            copies.append((rng.choice(targets), rng.choice(self.said)))
            old = self._old()
            if old is not None:
                copies.append((rng.choice(targets), old))
        return copies

    def hear(self, node: "SimulatedValidator", message: Message) -> None:
        """Whatever proves something is kept."""
        match message:
            case ProposalMessage(justification=proofs, finalization=final):
                kept = proofs if final is None else (*proofs, final)
            case CertificatesMessage(certificates=kept):
                pass
            case _:
                kept = ()
        self.certificates += [(message.epoch, certificate) for certificate in kept]

    def _aged(self, message: Message) -> Message:
        """A proposal whose finalization and proofs are mixed with older ones."""
        rng = self.world.rng
        if not isinstance(message, ProposalMessage) or rng.random() < 0.5 or not self.certificates:
            return message
        old = [certificate for epoch, certificate in self.certificates if epoch == message.epoch]
        mixed = [*message.justification, *(rng.sample(old, min(3, len(old))))]
        rng.shuffle(mixed)
        final = rng.choice([message.finalization, *(c for c in old if c.kind is Kind.FINALIZE)])
        return replace(message, justification=tuple(mixed[: INLINE_CERTIFICATES_MAX + 1]), finalization=final)

    def _old(self) -> Message | None:
        """Certificates from any time, under any epoch's name."""
        rng = self.world.rng
        if not self.certificates:
            return None
        chosen = rng.sample(list(self.certificates), min(len(self.certificates), rng.randint(1, 8)))
        epoch = rng.choice(chosen)[0]
        if rng.random() < 0.2:
            epoch += 1
        return CertificatesMessage(epoch, tuple(c for _, c in chosen)[:CERTIFICATES_PER_REPLY_MAX])


BEHAVIOURS: dict[str, type[Withholder] | type[Equivocator] | type[Replayer]] = {
    "withholder": Withholder,
    "equivocator": Equivocator,
    "replayer": Replayer,
}
