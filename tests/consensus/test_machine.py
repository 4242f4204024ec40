"""Three honest engines and one Byzantine key, driven by Hypothesis: any order, loss, copy, crash and lie.

What it adds to the simulation is a minimal trace when something breaks (consensus.md 5.5).
"""

from collections import Counter

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from cccnode.types.block import block_id
from cccnode.types.validators import Timers
from cccnode.types.vote import Kind, Proposal, nullified
from consensus.effects import Alarm, Blame, EvidenceFound
from consensus.events import Tick
from consensus.messages import CertificatesMessage, Message, ProposalMessage, VotesMessage
from tests.consensus.cluster import Cluster, Member
from tests.simulation.auditor import Auditor
from tests.simulation.fakes import make_header

LIAR = 3
HONEST = (0, 1, 2)
BLOCKS_AFTER_HEAL = 3

member_numbers = st.sampled_from(HONEST)
any_number = st.integers(0, 10**6)


class _Bag(Cluster):
    """A cluster whose messages lie in a bag until somebody delivers them."""

    def __init__(self) -> None:
        super().__init__(4, timers=Timers(delta_ms=100, min_interval_ms=0), silent=(LIAR,))
        self.audit = Auditor(honest=lambda identity: identity != LIAR, members=lambda _: 4)
        self.bag: list[tuple[int, int, Message]] = []
        self.open = False
        """Whether messages travel by themselves."""

    def deliver(self, source: int, target: int, message: Message) -> None:
        if self.open:
            super().deliver(source, target, message)
        elif target != LIAR:
            self.bag.append((source, target, message))

    def now_deliver(self, source: int, target: int, message: Message) -> None:
        """One message, at once."""
        self.receive(self.members[target], source, message)
        self.run(0)


class Machine(RuleBasedStateMachine):
    """Rules are what the network, the disks and the liar may do."""

    def __init__(self) -> None:
        super().__init__()
        self.cluster = _Bag()
        self.cluster.pending(True, *HONEST)
        self.cluster.run(0)
        self.proposals: list[Proposal] = []
        self.checked = dict.fromkeys(HONEST, 0)
        """Effects that were looked at."""

    def member(self, number: int) -> Member:
        return self.cluster.members[number]

    def some(self, number: int) -> Member:
        """One that runs, or one that does not if none does."""
        alive = [self.member(index) for index in HONEST if self.member(index).alive]
        return alive[number % len(alive)] if alive else self.member(0)

    # ----- the network

    @precondition(lambda self: self.cluster.bag)
    @rule(number=any_number, copy=st.booleans())
    def deliver(self, number: int, copy: bool) -> None:
        """Any message arrives, perhaps not for the last time."""
        bag = self.cluster.bag
        position = number % len(bag)
        self.cluster.now_deliver(*(bag[position] if copy else bag.pop(position)))

    @precondition(lambda self: self.cluster.bag)
    @rule()
    def deliver_all(self) -> None:
        """Everything on the way arrives."""
        waiting, self.cluster.bag = self.cluster.bag, []
        for message in waiting:
            self.cluster.now_deliver(*message)

    @precondition(lambda self: self.cluster.bag)
    @rule(number=any_number, many=st.integers(1, 8))
    def drop(self, number: int, many: int) -> None:
        """Messages are lost."""
        start = number % len(self.cluster.bag)
        del self.cluster.bag[start : start + many]

    @rule(duration_ms=st.sampled_from([1, 150, 250, 600]))
    def wait(self, duration_ms: int) -> None:
        """Time passes, timers run out."""
        self.cluster.run(duration_ms)

    @rule(number=member_numbers, late_ms=st.sampled_from([0, 100, 500]))
    def tick(self, number: int, late_ms: int) -> None:
        """One is woken, too early or by a fast clock; the others are not."""
        member = self.member(number)
        if member.alive:
            self.cluster.now += late_ms
            self.cluster.handle(member, Tick())
            self.cluster.run(0)

    @rule()
    def heal(self) -> None:
        """The network works for a while, for those who run."""
        waiting, self.cluster.bag = self.cluster.bag, []
        for message in waiting:
            self.cluster.now_deliver(*message)
        self.cluster.open = True
        self.cluster.run(300)
        self.cluster.open = False

    # ----- disks and processes

    @rule(number=member_numbers, keep=st.integers(0, 4))
    def crash(self, number: int, keep: int) -> None:
        """A validator stops; of what was not synced some records survive."""
        member = self.member(number)
        if member.alive:
            self.cluster.crash(member, keep=keep)

    @rule(number=member_numbers, effects=st.integers(0, 5))
    def crash_soon(self, number: int, effects: int) -> None:
        """A validator will stop between two effects, whatever they are."""
        self.member(number).crash_after = effects

    @rule(number=member_numbers, watching=st.booleans())
    def restart(self, number: int, watching: bool) -> None:
        """A validator starts from its journal."""
        member = self.member(number)
        if not member.alive:
            member.watch = watching
            self.cluster.restart(member)
            self.cluster.pending(True, number)

    # ----- the liar

    @rule(number=member_numbers, kind=st.sampled_from(Kind), choice=st.integers(0, 5), back=st.integers(-1, 2))
    def lie(self, number: int, kind: Kind, choice: int, back: int) -> None:
        """The liar votes for whatever it likes."""
        view = max(1, self.some(choice).engine.status().view - back)
        seen = [p for p in self.seen() if p.view == view]
        if kind is not Kind.NULLIFY and not seen:
            return
        proposal = nullified(view) if kind is Kind.NULLIFY else seen[choice % len(seen)]
        vote = self.cluster.vote(LIAR, kind, proposal)
        self.cluster.audit.vote(0, LIAR, kind, proposal)
        self.cluster.now_deliver(LIAR, number, VotesMessage(0, 0, (vote,)))

    @rule(number=member_numbers, informant=any_number, which=any_number, salt=st.integers(0, 1), proofs=any_number)
    def propose(self, number: int, informant: int, which: int, salt: int, proofs: int) -> None:
        """The liar proposes in its view: on any parent it has heard of, with any part of the proofs."""
        core = self.some(informant).engine._core
        view, held = core.view, core.certificates
        parents = [c.proposal for u, c in sorted(held.notarized.items()) if u < view] + [core.chain.final]
        parent = parents[which % len(parents)]
        block = core.chain.get(parent.block_id)
        if core.leaders.of(view) != LIAR or block is None:
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
        skipped = [held.nullified.get(u) for u in range(max(parent.view + 1, view - 16), view)]
        whole = [proof for proof in (held.certified(parent.view), *skipped) if proof is not None]
        part = tuple(proof for place, proof in enumerate(whole) if not proofs >> place & 1)
        vote = self.cluster.vote(LIAR, Kind.NOTARIZE, proposal)
        self.cluster.audit.vote(0, LIAR, Kind.NOTARIZE, proposal)
        message = ProposalMessage(0, proposal, header, (), part, held.finalization, 0, vote.signature)
        self.cluster.now_deliver(LIAR, number, message)

    @rule(number=member_numbers, informant=any_number, which=any_number)
    def show(self, number: int, informant: int, which: int) -> None:
        """The liar shows somebody a certificate that another holds."""
        held = self.some(informant).engine._core.certificates
        known = [*held.notarized.values(), *held.nullified.values()]
        known += [held.finalization] if held.finalization is not None else []
        if known:
            self.cluster.now_deliver(LIAR, number, CertificatesMessage(0, (known[which % len(known)],)))

    def seen(self) -> list[Proposal]:
        """Everything that was proposed."""
        made = [m.proposal for member in self.cluster.members for m in member.sent(ProposalMessage)]
        return [*made, *self.proposals]

    # ----- what must hold

    @invariant()
    def nobody_honest_contradicts_itself(self) -> None:
        """Chains agree, no alarm, nobody honest accused; every vote was audited as it left."""
        self.cluster.agree()
        for number in HONEST:
            effects = self.member(number).effects
            fresh, self.checked[number] = effects[self.checked[number] :], len(effects)
            for effect in fresh:
                assert not isinstance(effect, Alarm), effect.reason
                if isinstance(effect, EvidenceFound):
                    assert effect.first.signer == LIAR
                if isinstance(effect, Blame):
                    assert effect.validator == LIAR

    def teardown(self) -> None:
        """Heal, and three more blocks must come; then no two certificates that all votes could make contradict."""
        cluster = self.cluster
        cluster.open = True
        for number in HONEST:
            member = self.member(number)
            member.crash_after = None
            if not member.alive:
                self.cluster.restart(member)
        goal = max(member.height for member in cluster.members) + BLOCKS_AFTER_HEAL
        cluster.pending(True, *HONEST)
        assert cluster.run_until_height(goal, 120_000)
        cluster.audit.certificates(Counter())


TestMachine = Machine.TestCase
TestMachine.__doc__ = "No sequence of faults makes honest validators contradict each other, and healing always helps."
TestMachine.settings = settings(stateful_step_count=60)
