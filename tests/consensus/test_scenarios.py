"""Directed scenarios: the traps in which other implementations were caught (consensus.md 1.1, 5.6)."""

import random
from itertools import pairwise

import pytest

from cccnode.types.block import block_id
from cccnode.types.certificate import make_certificate
from cccnode.types.limits import CERTIFICATES_PER_REPLY_MAX
from cccnode.types.validators import Timers
from cccnode.types.vote import Kind, Proposal, nullified
from consensus.chain import Block, Verdict
from consensus.effects import Finalized, Send
from consensus.engine import Engine
from consensus.events import Received, Tick
from consensus.guard import OwnVotes
from consensus.messages import (
    CertificatesMessage,
    CertificatesRequest,
    Message,
    ProposalMessage,
    VotesMessage,
)
from consensus.records import BlockRecord, CertificateRecord, VoteRecord
from tests.consensus.cluster import FAST, Cluster, no_nullified_views, votes_of
from tests.simulation.epochs import Plan
from tests.simulation.fakes import make_header, node_of

# ----- the good case


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 6, 7, 16, 17, 20])
def test_networks_of_every_size_make_blocks(count: int) -> None:
    """With all up and something to do, blocks follow each other and no view is lost."""
    cluster = Cluster(count, timers=FAST)
    cluster.pending(True)

    assert cluster.run_until_height(10, 2_000)
    assert no_nullified_views(cluster)
    cluster.check()


def test_a_block_every_two_delays_and_final_after_three() -> None:
    """The good case of the paper: interval 2δ, finality 3δ after the leader sent."""
    cluster = Cluster(4, delay_ms=100, timers=FAST)
    cluster.pending(True)
    proposed: dict[bytes, int] = {}
    final: dict[bytes, int] = {}

    def watch() -> bool:
        for member in cluster.members:
            for message in member.sent(ProposalMessage):
                proposed.setdefault(message.proposal.block_id, cluster.now)
            for effect in member.of(Finalized):
                if all(effect.proposal.block_id in other.delivered for other in cluster.members):
                    final.setdefault(effect.proposal.block_id, cluster.now)
        return len(final) >= 10

    assert cluster.run(60_000, watch)
    starts = sorted(proposed.values())[1:10]
    assert {200} == {later - earlier for earlier, later in pairwise(starts)}
    assert {300} == {final[block] - proposed[block] for block in list(final)[1:10]}


def test_min_interval_slows_the_leader_only() -> None:
    """Blocks are `min_interval` and one delay apart, and nobody gives a view up for it."""
    cluster = Cluster(4, timers=Timers(delta_ms=250, min_interval_ms=300))
    cluster.pending(True)

    assert cluster.run_until_height(5, 2_000)
    assert no_nullified_views(cluster)
    times = [header.time_ms for header in cluster.members[0].final[2:]]
    assert {310} == {later - earlier for earlier, later in pairwise(times)}


# ----- idle


def test_an_idle_network_is_silent_until_the_heartbeat() -> None:
    """Nothing to do: no block and no vote before the heartbeat, then one empty block, and nobody gives up."""
    cluster = Cluster(4, timers=Timers(heartbeat_ms=30_000))
    cluster.run(29_000)
    assert [] == [message for member in cluster.members for message in member.sent(VotesMessage)]

    cluster.run(3_000)

    assert {1} == {member.height for member in cluster.members}
    assert no_nullified_views(cluster)


def test_a_last_block_publishes_the_root_and_then_all_is_quiet() -> None:
    """After the last transaction one empty block carries its root, although nobody asks for it; then nothing more."""
    cluster = Cluster(4, timers=FAST)
    cluster.pending(True)
    cluster.run_until_height(3)
    cluster.pending(False)
    cluster.run(5_000)
    heights = {member.height for member in cluster.members}
    chain = cluster.members[0].final
    last = max(header.height for header in chain if header.tx_count)

    assert 1 == len(heights)
    assert chain[-1].exec_height >= last
    cluster.run(5_000)
    assert heights == {member.height for member in cluster.members}
    cluster.check()


def test_one_waiting_validator_wakes_all_although_the_leader_is_dead() -> None:
    """A batch known to one validator, the leader dead, everybody idle: a block within a few timeouts."""
    cluster = Cluster(4, timers=Timers(heartbeat_ms=10**9))
    cluster.run(1_000)
    dead = cluster.leader(1)
    cluster.crash(cluster.members[dead])
    waiting = next(index for index in range(4) if index not in (dead, cluster.leader(2)))
    cluster.pending(True, waiting)

    assert cluster.run(10_000, lambda: any(h.tx_count for m in cluster.alive for h in m.final))
    cluster.check()


# ----- certificates that not everybody has


def split(cluster: Cluster) -> None:
    """Validator 0 left view 1 by its notarization, 1 and 2 by its nullification; 3 is silent."""
    header = make_header(cluster.genesis.header, view=1, parent_view=0, proposer=cluster.leader(1))
    cluster.blocks[block_id(header)] = header
    proposal = Proposal(1, 0, 1, block_id(header))
    votes = {kind: {i: cluster.vote(i, kind, p) for i in range(4)} for kind, p in (
        (Kind.NOTARIZE, proposal), (Kind.NULLIFY, nullified(1)), (Kind.FINALIZE, proposal))}  # fmt: skip
    signed = {kind: {i: vote.signature for i, vote in held.items()} for kind, held in votes.items()}
    notarization = make_certificate(Kind.NOTARIZE, proposal, {i: signed[Kind.NOTARIZE][i] for i in (0, 1, 3)}, 4)
    nullification = make_certificate(Kind.NULLIFY, nullified(1), {i: signed[Kind.NULLIFY][i] for i in (1, 2, 3)}, 4)
    block = BlockRecord(header, (), ())
    vote = {(kind, i): VoteRecord(held[i]) for kind, held in votes.items() for i in held}
    journals = {
        0: [block, vote[Kind.NOTARIZE, 0], CertificateRecord(notarization), vote[Kind.FINALIZE, 0]],
        1: [block, vote[Kind.NOTARIZE, 1], vote[Kind.NULLIFY, 1], CertificateRecord(nullification)],
        2: [vote[Kind.NULLIFY, 2], CertificateRecord(nullification)],
    }
    for index, journal in journals.items():
        cluster.members[index].journal = journal
        cluster.restart(cluster.members[index])


def without(monkeypatch: pytest.MonkeyPatch, *, inline: bool, fetch: bool) -> None:
    """Proposals without justification, or nobody fetches missing certificates; gossip of certificates is off too."""
    if inline:
        monkeypatch.setattr("consensus.proposing.justification", lambda *_: ())
    if fetch:
        monkeypatch.setattr("consensus.view.Core.request_holes", lambda _: None)
    monkeypatch.setattr("consensus.view.Core.hand_on", lambda core: core.hand_off.clear())
    monkeypatch.setattr(Engine, "_repeat", lambda _: None)


@pytest.mark.parametrize(("inline", "fetch"), [(False, False), (True, False), (False, True)])
def test_split_views_heal(monkeypatch: pytest.MonkeyPatch, inline: bool, fetch: bool) -> None:
    """One holds the notarization of a view, others its nullification: inline justification or fetching heals it."""
    without(monkeypatch, inline=inline, fetch=fetch)
    cluster = Cluster(4, silent=(3,))
    split(cluster)

    assert cluster.run_until_height(3, 120_000)


def test_split_views_need_justification_or_fetch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without either, each side refuses the other's proposals for ever."""
    without(monkeypatch, inline=True, fetch=True)
    cluster = Cluster(4, silent=(3,))
    split(cluster)

    assert not cluster.run_until_height(3, 120_000)


def test_a_late_notarization_is_followed_but_not_finalized() -> None:
    """After giving a view up, a validator still enters the next one through a notarization, without a finalize vote."""
    cluster = Cluster(4, timers=FAST)
    me = cluster.members[0]
    cluster.rules.append(lambda source, target, message: target == 0)
    cluster.pending(True, 0)
    cluster.run(1_000)
    assert me.engine._core.guard.of(1).nullified is not None
    header = make_header(cluster.genesis.header, view=1, parent_view=0, proposer=cluster.leader(1))
    proposal = Proposal(1, 0, 1, block_id(header))
    signatures = {i: cluster.vote(i, Kind.NOTARIZE, proposal).signature for i in (1, 2, 3)}

    certificate = make_certificate(Kind.NOTARIZE, proposal, signatures, 4)
    cluster.handle(me, Received(peer=node_of(1), validator=1, message=CertificatesMessage(0, (certificate,))))

    assert 2 == me.engine.status().view
    assert me.engine._core.guard.of(1).finalized is None


def test_a_request_over_a_hundred_thousand_views_is_answered_in_one_message() -> None:
    """A huge range costs neither time nor more than one bounded reply, from the top down."""
    cluster = Cluster(1)
    core = cluster.members[0].engine._core
    signature = {0: cluster.vote(0, Kind.NULLIFY, nullified(1)).signature}
    for view in range(1, 100_001):
        core.certificates.add(make_certificate(Kind.NULLIFY, nullified(view), signature, 1))
    request = Received(peer=b"p" * 32, validator=None, message=CertificatesRequest(0, 1, 100_000))

    effects = cluster.members[0].engine.handle(request, 1)

    (reply,) = [e.message for e in effects if isinstance(e, Send) and isinstance(e.message, CertificatesMessage)]
    assert list(range(100_000, 100_000 - CERTIFICATES_PER_REPLY_MAX, -1)) == [
        c.proposal.view for c in reply.certificates
    ]
    assert 1 == core.certificates.reach(100_001)


def test_a_laggard_catches_up_over_many_nullified_views() -> None:
    """A validator that was away while hundreds of views were nullified fetches what it needs, piece by piece."""
    cluster = Cluster(4)
    away = cluster.members[0]
    nullifications = {
        view: make_certificate(
            Kind.NULLIFY,
            nullified(view),
            {i: cluster.vote(i, Kind.NULLIFY, nullified(view)).signature for i in (1, 2, 3)},
            4,
        )
        for view in range(1, 401)
    }
    for member in cluster.members[1:]:
        for certificate in nullifications.values():
            member.engine._core.learn(certificate)
        cluster.handle(member, Tick())
    cluster.pending(True)

    assert cluster.run_until_height(3, 60_000)
    assert away.height >= 3
    cluster.check()


def test_a_notarized_block_that_cannot_be_finalized_is_by_the_next_one() -> None:
    """Half of the validators gave a view up before its late notarization: nobody is waiting, yet a next block comes."""
    cluster = Cluster(4, timers=Timers(heartbeat_ms=10**9))
    cluster.run(10)
    leader = cluster.leader(1)
    late = [index for index in range(4) if index != leader][:2]
    cluster.rules.append(lambda source, target, message: votes_of(message, Kind.NULLIFY))
    for index in late:
        cluster.members[index].engine._core.give_up()
        cluster.members[index].engine._core.out.clear()
    header = make_header(cluster.genesis.header, view=1, parent_view=0, proposer=leader)
    cluster.blocks[block_id(header)] = header
    proposal = Proposal(1, 0, 1, block_id(header))
    signatures = {i: cluster.vote(i, Kind.NOTARIZE, proposal).signature for i in range(4) if i != late[0]}
    certificate = make_certificate(Kind.NOTARIZE, proposal, signatures, 4)
    for member in cluster.members:
        member.engine._core.guard.own.setdefault(1, OwnVotes()).notarized = cluster.vote(
            member.index, Kind.NOTARIZE, proposal
        )
        cluster.handle(
            member, Received(peer=node_of(9), validator=None, message=CertificatesMessage(0, (certificate,)))
        )
        member.engine._core.chain.add(Block(block_id(header), header, (), (), cluster.now, Verdict.READY))

    assert cluster.run_until_height(2, 10_000)
    cluster.check()


# ----- crashes


def crash_all_when(cluster: Cluster, kind: Kind) -> None:
    """Every validator stops right after it sent its first vote of a kind; then all start again."""

    def stop(source: int, target: int, message: Message) -> bool:
        return votes_of(message, kind)

    cluster.rules.append(stop)
    cluster.run(3_000, lambda: all(any(votes_of(m, kind) for m in x.sent(VotesMessage)) for x in cluster.alive))
    members = cluster.alive
    for member in members:
        cluster.crash(member)
    cluster._queue.clear()
    cluster.rules.clear()
    for member in members:
        cluster.restart(member)


@pytest.mark.parametrize("silent", [(), (3,)])
def test_all_crash_after_nullify(silent: tuple[int, ...]) -> None:
    """All gave a view up and crashed before anybody heard of it: they count their own votes again and go on."""
    cluster = Cluster(4, silent=silent)
    leader = cluster.members[cluster.leader(1)]
    cluster.crash(leader)
    cluster.pending(True)
    crash_all_when(cluster, Kind.NULLIFY)
    if not silent or leader.index in silent:
        cluster.restart(leader)
        cluster.pending(True)
        assert cluster.run_until_height(3)
        cluster.check()


@pytest.mark.parametrize("kind", [Kind.NOTARIZE, Kind.FINALIZE])
def test_all_crash_after_a_vote(kind: Kind) -> None:
    """All crash right after notarizing, or after finalizing: the block survives, or a later one does."""
    cluster = Cluster(4)
    cluster.pending(True)
    crash_all_when(cluster, kind)
    cluster.pending(True)

    assert cluster.run_until_height(3)
    cluster.check()


def test_a_leader_that_crashed_before_sending_proposes_the_same_block() -> None:
    """Persisted, not sent, crashed: after the restart the stored block is proposed, never a second one."""
    cluster = Cluster(4)
    cluster.run(10)
    leader = cluster.members[cluster.leader(1)]
    cluster.rules.append(lambda source, *_: source == leader.index)
    cluster.pending(True)
    cluster.run(100, lambda: bool(leader.sent(ProposalMessage)))
    (first,) = leader.sent(ProposalMessage)
    cluster.crash(leader)
    cluster.rules.clear()
    cluster.run(50)

    cluster.restart(leader)

    assert first.proposal == leader.sent(ProposalMessage)[-1].proposal
    assert cluster.run_until_height(3)
    cluster.check()


def test_a_crash_between_any_two_effects_does_no_harm() -> None:
    """One of four crashes after its k-th effect, for every k of a ten-block run, and starts again: no harm."""
    quiet = Cluster(4, timers=FAST)
    quiet.pending(True)
    quiet.run_until_height(10)
    total = len(quiet.members[1].effects)
    assert total > 60
    for cut in range(total):
        cluster = Cluster(4, timers=FAST)
        cluster.pending(True)
        member = cluster.members[1]
        member.crash_after = cut
        cluster.run(5_000, lambda member=member: not member.alive)
        cluster.restart(member)
        cluster.pending(True)
        assert cluster.run_until_height(11, 20_000), cut
        cluster.check()


def test_every_prefix_of_a_journal_restores() -> None:
    """Whatever prefix of the records survives, the engine starts, signs nothing twice differently, and goes on."""
    cluster = Cluster(4, timers=FAST)
    cluster.pending(True)
    cluster.members[1].executes = False
    cluster.run_until_height(5)
    journal = list(cluster.members[1].journal)
    views = []
    for kept in range(len(journal) + 1):
        cluster.restart(cluster.members[1], records=journal[:kept])
        views.append(cluster.members[1].engine.status().view)

    assert sorted(views) == views
    assert views[-1] > 5


def test_everybody_knows_that_the_last_block_of_an_epoch_waits_to_be_final() -> None:
    """From its notarization until it is final a node says so, and neither before nor in the next epoch (R12)."""
    plan = Plan(rng=random.Random(0), count=4, spare=0, byzantine=frozenset(), timers=FAST, blocks=4)
    cluster = Cluster(4, plan=plan)

    def ending() -> set[bool]:
        return {member.engine.status().ending for member in cluster.members}

    assert ending() == {False}
    cluster.rules.append(lambda source, target, message: votes_of(message, Kind.FINALIZE))
    cluster.pending(True)
    assert cluster.run(2_000, lambda: ending() == {True})
    assert not any(member.height for member in cluster.members), "nothing became final"
    cluster.rules.clear()
    assert cluster.run_until_height(6)
    assert ending() == {False}
