"""Three honest engines and one Byzantine key, driven by Hypothesis: any order, loss, copy, crash and lie.

What it adds to the simulation is a minimal trace when something breaks.
"""

from collections import defaultdict

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from cccnode.types.block import block_id
from cccnode.types.validators import Timers
from cccnode.types.vote import Kind, Proposal, nullified
from consensus.effects import Effect, Persist, Send
from consensus.evidence import contradict
from consensus.messages import Message, ProposalMessage, VotesMessage
from consensus.records import VoteRecord
from tests.consensus.cluster import Cluster, Member
from tests.simulation.fakes import make_header

LIAR = 3


class _Bag(Cluster):
    """A cluster whose messages lie in a bag until somebody delivers them."""

    def __init__(self) -> None:
        super().__init__(4, timers=Timers(delta_ms=100, min_interval_ms=0), silent=(LIAR,))
        self.bag: list[tuple[int, int, Message]] = []
        self.healed = False

    def deliver(self, source: int, target: int, message: Message) -> None:
        if self.healed:
            super().deliver(source, target, message)
        elif target != LIAR:
            self.bag.append((source, target, message))

    def now_deliver(self, source: int, target: int, message: Message) -> None:
        """One message out of the bag."""
        self.healed, before = True, self.delay_ms
        self.delay_ms = 0
        super().deliver(source, target, message)
        self.healed, self.delay_ms = False, before
        self.run(0)


class Machine(RuleBasedStateMachine):
    """Rules are what the network, the disks and the liar may do."""

    def __init__(self) -> None:
        super().__init__()
        self.cluster = _Bag()
        self.cluster.pending(True, 0, 1, 2)
        self.cluster.run(0)
        self.proposals: list[Proposal] = []

    def member(self, number: int) -> Member:
        return self.cluster.members[number % 3]

    @precondition(lambda self: self.cluster.bag)
    @rule(number=st.integers(0, 10**6), copy=st.booleans())
    def deliver(self, number: int, copy: bool) -> None:
        """Any message arrives, perhaps not for the last time."""
        bag = self.cluster.bag
        position = number % len(bag)
        message = bag[position] if copy else bag.pop(position)
        self.cluster.now_deliver(*message)

    @precondition(lambda self: self.cluster.bag)
    @rule()
    def deliver_all(self) -> None:
        """Everything on the way arrives."""
        waiting, self.cluster.bag = self.cluster.bag, []
        for message in waiting:
            self.cluster.now_deliver(*message)

    @precondition(lambda self: self.cluster.bag)
    @rule(number=st.integers(0, 10**6), many=st.integers(1, 8))
    def drop(self, number: int, many: int) -> None:
        """Messages are lost."""
        del self.cluster.bag[number % len(self.cluster.bag) :][:many]
        self.cluster.bag = self.cluster.bag[many:]

    @rule(duration_ms=st.sampled_from([1, 150, 250, 600]))
    def wait(self, duration_ms: int) -> None:
        """Time passes, timers run out."""
        self.cluster.run(duration_ms)

    @rule(number=st.integers(0, 2))
    def crash(self, number: int) -> None:
        """A validator loses its memory and starts from its journal."""
        member = self.member(number)
        self.cluster.crash(member)
        self.cluster.restart(member)
        self.cluster.pending(True, member.index)

    @rule(number=st.integers(0, 2), kind=st.sampled_from(Kind), choice=st.integers(0, 5), back=st.integers(0, 2))
    def lie(self, number: int, kind: Kind, choice: int, back: int) -> None:
        """The liar votes for whatever it likes."""
        view = max(1, self.member(choice).engine.status().view - back)
        seen = [p for p in self.seen() if p.view == view]
        if kind is Kind.NULLIFY:
            proposal = nullified(view)
        elif seen:
            proposal = seen[choice % len(seen)]
        else:
            return
        vote = self.cluster.vote(LIAR, kind, proposal)
        self.cluster.now_deliver(LIAR, number, VotesMessage(0, 0, (vote,)))

    @rule(number=st.integers(0, 2), informant=st.integers(0, 2), salt=st.integers(0, 1), honest=st.booleans())
    def propose(self, number: int, informant: int, salt: int, honest: bool) -> None:
        """The liar proposes in its view: one block or several, with or without the proofs."""
        core = self.member(informant).engine._core
        view, parent = core.view, core.parent()
        block = core.chain.get(parent.block_id) if parent is not None else None
        if core.leaders.of(view) != LIAR or parent is None or block is None:
            return
        header = make_header(
            block.header,
            view=view,
            parent_view=parent.view,
            proposer=LIAR,
            exec_height=block.header.exec_height,
            time_ms=self.cluster.now * 2 + salt,
        )
        self.cluster.blocks[block_id(header)] = header
        proposal = Proposal(view, parent.view, header.height, block_id(header))
        self.proposals.append(proposal)
        certified = core.certificates.certified(parent.view)
        skipped = [core.certificates.nullified[u] for u in range(max(parent.view + 1, view - 16), view)]
        proofs = (*([certified] if certified is not None else []), *skipped) if honest else ()
        vote = self.cluster.vote(LIAR, Kind.NOTARIZE, proposal)
        message = ProposalMessage(0, proposal, header, (), proofs, core.certificates.finalization, 0, vote.signature)
        self.cluster.now_deliver(LIAR, number, message)

    def seen(self) -> list[Proposal]:
        """Everything that was proposed."""
        made = [m.proposal for member in self.cluster.members for m in member.sent(ProposalMessage)]
        return [*made, *self.proposals]

    @invariant()
    def nobody_honest_contradicts_itself(self) -> None:
        """Chains agree, no alarm, and no two votes of an honest validator are evidence."""
        chains = [member.delivered for member in self.cluster.members[:3]]
        longest = max(chains, key=len)
        assert all(longest[: len(chain)] == chain for chain in chains)
        for member in self.cluster.members[:3]:
            assert not any(type(effect).__name__ == "Alarm" for effect in member.effects)
            for effect in member.effects:
                if type(effect).__name__ == "EvidenceFound":
                    assert effect.first.signer == LIAR

    def teardown(self) -> None:
        """Heal, and three more blocks must come; then every vote that was written or sent is audited."""
        cluster = self.cluster
        cluster.healed = True
        goal = max(member.height for member in cluster.members) + 3
        cluster.pending(True, 0, 1, 2)
        assert cluster.run_until_height(goal, 120_000)
        for member in cluster.members[:3]:
            votes = defaultdict(set)
            for vote in _votes(member.effects):
                votes[vote.proposal.view].add(vote)
            for cast in votes.values():
                assert not any(contradict(first, second) for first in cast for second in cast)


def _votes(effects: list[Effect]) -> list:
    persisted = [e.record.vote for e in effects if isinstance(e, Persist) and isinstance(e.record, VoteRecord)]
    sent = [v for e in effects if isinstance(e, Send) and isinstance(e.message, VotesMessage) for v in e.message.votes]
    return [*persisted, *sent]


TestMachine = Machine.TestCase
TestMachine.__doc__ = "No sequence of faults makes honest validators contradict each other, and healing always helps."
TestMachine.settings = settings(stateful_step_count=60)
