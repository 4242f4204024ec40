"""Directed scenarios: liars, the dead and the slow, and messages that no honest validator sends."""

from collections import Counter

import pytest

from cccnode.types.block import block_id
from cccnode.types.certificate import make_certificate
from cccnode.types.limits import UNEXECUTED_MAX
from cccnode.types.validators import quorum
from cccnode.types.vote import Kind, Proposal, nullified
from consensus.effects import Alarm, Blame, CheckBody, EvidenceFound, Persist, Send
from consensus.events import BodyReady, Received
from consensus.messages import (
    CertificatesMessage,
    CertificatesRequest,
    Message,
    ProposalMessage,
    StatusMessage,
    VotesMessage,
)
from consensus.records import CertificateRecord
from tests.consensus.cluster import FAST, Cluster, Member
from tests.simulation.fakes import make_header, node_of

# ----- Byzantine leaders and votes


def test_an_equivocating_leader_is_named_and_the_view_goes_on() -> None:
    """Two blocks to two halves: no certificate for either, evidence against the leader, blocks continue."""
    cluster = Cluster(4)
    cluster.run(10)
    liar = cluster.leader(1)
    cluster.members[liar].alive = False
    honest = [index for index in range(4) if index != liar]
    for number, target in enumerate(honest):
        header = make_header(cluster.genesis.header, view=1, parent_view=0, proposer=liar, time_ms=100 + number % 2)
        cluster.blocks[block_id(header)] = header
        proposal = Proposal(1, 0, 1, block_id(header))
        vote = cluster.vote(liar, Kind.NOTARIZE, proposal)
        message = ProposalMessage(0, proposal, header, (), (), None, 0, vote.signature)
        cluster.deliver(liar, target, message)
        cluster.at(200, lambda target=honest[number - 1], m=message: cluster.deliver(liar, target, m))
    cluster.pending(True, *honest)

    assert cluster.run_until_height(3)
    found = [effect for index in honest for effect in cluster.members[index].of(EvidenceFound)]
    assert found
    assert {liar} == {effect.first.signer for effect in found}


def test_a_withheld_body_costs_one_view() -> None:
    """Batches that never come: the view is given up, and other leaders go on."""
    cluster = Cluster(4)
    cluster.run(10)
    leader = cluster.leader(1)
    for member in cluster.members:
        member.checks = False
    cluster.pending(True)
    cluster.run(600)
    assert not any(m.height for m in cluster.members)
    for member in cluster.members:
        member.checks = member.index != leader

    assert cluster.run_until_height(2)
    assert 1 not in {header.view for header in cluster.members[0].final}
    cluster.check()


def test_one_with_another_root_is_outvoted_and_two_stop_the_chain() -> None:
    """f validators whose execution differs stop nothing; f + 1 stop the chain, and no fork comes of it."""
    cluster = Cluster(4)
    cluster.members[0].root = b"0" * 32
    cluster.pending(True)
    assert cluster.run_until_height(3)

    cluster.members[1].root = b"1" * 32
    height = max(member.height for member in cluster.members) + 2
    assert not cluster.run_until_height(height, 20_000)
    cluster.check()


def test_own_votes_of_another_process_raise_the_alarm() -> None:
    """A vote by this node's key that it did not make: alarm, and it never signs again in this epoch."""
    cluster = Cluster(4)
    me = cluster.members[0]
    alien = cluster.vote(0, Kind.NULLIFY, nullified(1))

    cluster.handle(me, Received(peer=node_of(0), validator=0, message=VotesMessage(0, 0, (alien,))))

    assert 1 == len(me.of(Alarm))
    assert "consensus/SAFETY_ALARM" == me.engine.observing
    cluster.pending(True)
    cluster.run(5_000)
    assert [] == me.sent(VotesMessage)


def test_an_own_signature_in_a_certificate_that_is_not_in_the_journal_stops_signing() -> None:
    """A journal older than an own signature (J22): the node observes."""
    cluster = Cluster(4)
    me = cluster.members[0]
    signatures = {i: cluster.vote(i, Kind.NULLIFY, nullified(5)).signature for i in (0, 1, 2)}
    certificate = make_certificate(Kind.NULLIFY, nullified(5), signatures, 4)

    cluster.handle(me, Received(peer=node_of(1), validator=1, message=CertificatesMessage(0, (certificate,))))

    assert "consensus/JOURNAL_LOST" == me.engine.observing
    assert 1 == len(me.of(Alarm))


def test_conflicting_certificates_raise_the_alarm() -> None:
    """Two notarizations of one view cannot be with f faults: stop signing, deliver nothing more of it."""
    cluster = Cluster(4)
    me = cluster.members[0]
    certificates = []
    for byte in (b"a", b"b"):
        proposal = Proposal(1, 0, 1, byte * 32)
        signatures = {i: cluster.vote(i, Kind.NOTARIZE, proposal).signature for i in (1, 2, 3)}
        certificates.append(make_certificate(Kind.NOTARIZE, proposal, signatures, 4))

    message = CertificatesMessage(0, tuple(certificates))
    cluster.handle(me, Received(peer=node_of(1), validator=1, message=message))

    assert 1 == len(me.of(Alarm))
    assert "consensus/SAFETY_ALARM" == me.engine.observing


# ----- the dead, the absent, the slow


@pytest.mark.parametrize("count", [4, 5, 6, 7, 10])
def test_f_dead_for_ever_are_passed_over(count: int) -> None:
    """With f validators gone, blocks go on; after 2n views their views no longer cost a timeout."""
    dead = tuple(range((count - 1) // 3))
    cluster = Cluster(count, timers=FAST, silent=dead)
    cluster.pending(True)
    assert cluster.run(120_000, lambda: cluster.members[-1].engine.status().view > 4 * count)
    start, view = cluster.now, cluster.members[-1].engine.status().view

    cluster.run(60_000, lambda: cluster.members[-1].engine.status().view >= view + 2 * count)

    assert cluster.now - start < 2 * count * 100
    cluster.check()


@pytest.mark.parametrize("count", [2, 3, 4])
def test_below_a_quorum_nothing_happens_and_it_goes_on_afterwards(count: int) -> None:
    """Fewer than q validators make no block; when enough are back, blocks come within seconds."""
    cluster = Cluster(count)
    cluster.pending(True)
    assert cluster.run_until_height(2)
    gone = cluster.members[: count - quorum(count) + 1]
    for member in gone:
        cluster.crash(member)
    height = max(member.height for member in cluster.alive)
    cluster.run(60_000)
    assert max(member.height for member in cluster.alive) <= height + 1

    cluster.restart(gone[0])
    cluster.pending(True)
    before = cluster.now
    assert cluster.run_until_height(height + 2, 60_000)
    assert cluster.now - before < 20_000
    cluster.check()


def test_an_observer_follows_without_signing() -> None:
    """A validator without its journal follows the chain to the tip, signs nothing and says why."""
    cluster = Cluster(4)
    observer = cluster.members[0]
    observer.observe = "consensus/JOURNAL_LOST"
    cluster.restart(observer)
    cluster.pending(True)

    assert cluster.run_until_height(5)
    assert [] == observer.sent(VotesMessage) + observer.sent(ProposalMessage)
    assert [] == observer.of(Persist) or all(isinstance(p.record, CertificateRecord) for p in observer.of(Persist))
    assert "consensus/JOURNAL_LOST" == observer.engine.observing == observer.engine.status().observing
    cluster.check()


def test_a_slow_executor_makes_empty_blocks_and_then_none_that_lie() -> None:
    """While nothing is executed, blocks further than the limit above E list nothing; E stays where it is."""
    cluster = Cluster(4, timers=FAST)
    for member in cluster.members:
        member.executes = False
    cluster.pending(True)
    assert cluster.run(20_000, lambda: all(member.height >= 25 for member in cluster.members))
    chain = [cluster.blocks[delivered] for delivered in cluster.members[0].delivered[1:]]

    assert all(header.tx_count == (1 if header.height <= UNEXECUTED_MAX else 0) for header in chain)
    assert {0} == {header.exec_height for header in chain}


def test_e_is_what_a_quorum_has_executed() -> None:
    """One fast executor does not raise E above what q validators report (J17)."""
    cluster = Cluster(4, timers=FAST)
    for member in cluster.members[:2]:
        member.executes = False
    cluster.pending(True)
    cluster.run_until_height(6)

    assert {0} == {cluster.blocks[d].exec_height for d in cluster.members[3].delivered[1:]}


def test_the_driver_declines_and_the_view_is_skipped_at_once() -> None:
    """A leader that cannot build gives its view up, and the others follow without waiting for a timer."""
    cluster = Cluster(4)
    cluster.members[cluster.leader(1)].declines = True

    cluster.pending(True)

    assert cluster.run(200, lambda: all(member.engine.status().view >= 2 for member in cluster.members))


# ----- hand-off, requests, hostile messages


def test_many_validators_relay_certificates_to_the_next_leader_only() -> None:
    """Above 16 validators f + 1 relayers send a new certificate, and to nobody but the next leader (R10)."""
    cluster = Cluster(20, timers=FAST)
    cluster.pending(True)
    cluster.run_until_height(4)
    sends = [e for member in cluster.members for e in member.of(Send) if isinstance(e.message, CertificatesMessage)]

    assert sends
    assert all(effect.to is not None for effect in sends)
    copies = Counter((c.kind, c.proposal.view) for effect in sends for c in effect.message.certificates)
    assert max(copies.values()) <= 7


def hostile(cluster: Cluster) -> dict[str, Message]:
    """Messages that no honest validator sends; validator 1 sends them to validator 0."""
    good = cluster.vote(1, Kind.NULLIFY, nullified(1))
    header = make_header(cluster.genesis.header, view=1, parent_view=0, proposer=1)
    proposal = Proposal(1, 0, 1, block_id(header))
    certificate = make_certificate(
        Kind.NULLIFY, nullified(1), {i: cluster.vote(i, Kind.NULLIFY, nullified(1)).signature for i in (1, 2, 3)}, 4
    )
    huge = 2**63 - 1
    alter = {
        "stray bit": {"bitmap": b"\xfe"},
        "two bytes": {"bitmap": b"\x0e\x00"},
        "too few": {"bitmap": b"\x06", "signatures": certificate.signatures[:2]},
        "count differs": {"bitmap": b"\x06"},
        "other scheme": {"scheme": 9},
        "other view": {"proposal": nullified(2)},
        "forged": {"signatures": (bytes(64),) * 3},
        "nullify names a block": {"proposal": proposal},
        "view 0": {"proposal": nullified(0), "kind": Kind.FINALIZE},
    }
    fields = ("scheme", "kind", "proposal", "bitmap", "signatures")
    certificates = {
        name: CertificatesMessage(0, (type(certificate)(*[changes.get(f, getattr(certificate, f)) for f in fields]),))
        for name, changes in alter.items()
    }
    return {
        **certificates,
        "vote of another": VotesMessage(0, 0, (cluster.vote(2, Kind.NULLIFY, nullified(1)),)),
        "vote for view 0": VotesMessage(0, 0, (cluster.vote(1, Kind.NULLIFY, nullified(0)),)),
        "notarize without height": VotesMessage(0, 0, (cluster.vote(1, Kind.NOTARIZE, Proposal(1, 0, 0, bytes(32))),)),
        "parent above": VotesMessage(0, 0, (cluster.vote(1, Kind.NOTARIZE, Proposal(1, 1, 1, bytes(32))),)),
        "not the leader": ProposalMessage(0, proposal, header, (), (), None, 0, good.signature),
        "far vote": VotesMessage(0, huge, (cluster.vote(1, Kind.NULLIFY, nullified(huge)),)),
        "far status": StatusMessage(0, huge, Proposal(huge, 0, huge, bytes(32)), huge),
        "far request": CertificatesRequest(0, 0, huge),
        "backward request": CertificatesRequest(0, huge, 0),
        "other epoch": VotesMessage(9, 0, (good,)),
    }


HARMLESS = {"view 0", "far vote", "far status", "far request", "backward request", "other epoch"}


@pytest.mark.parametrize("name", list(hostile(Cluster(4))))
def test_invalid_messages_cost_their_sender_only(name: str) -> None:
    """No message of a peer raises or moves the view; what only a faulty node sends is blamed on it."""
    cluster = Cluster(4)
    me: Member = cluster.members[0]
    # The order of leaders is fixed by genesis: make sure that validator 1 does not lead view 1 for "not the leader".
    sender = 1 if cluster.leader(1) != 1 else 2
    message = hostile(cluster)[name]

    effects = me.engine.handle(Received(peer=node_of(1), validator=1, message=message), 1)

    assert 1 == me.engine.status().view
    blamed = [effect for effect in effects if isinstance(effect, Blame)]
    if name not in HARMLESS and (name != "not the leader" or sender == 1):
        assert [1] == [effect.validator for effect in blamed]
    if name in HARMLESS:
        assert [] == blamed


@pytest.mark.parametrize("validator", [None, -1, 4, 10**9])
def test_invalid_validator_index_is_ignored(validator: int | None) -> None:
    """Messages of nodes that are no validators count for nothing and raise nothing."""
    cluster = Cluster(4)
    for message in hostile(cluster).values():
        cluster.members[0].engine.handle(Received(peer=b"x" * 32, validator=validator, message=message), 1)

    assert 1 == cluster.members[0].engine.status().view


def test_a_bad_vote_is_found_when_a_quorum_is_there_and_blamed() -> None:
    """Votes are verified lazily: a bad signature is dropped and blamed when it would complete a quorum."""
    cluster = Cluster(4)
    me = cluster.members[0]
    bad = type(cluster.vote(1, Kind.NULLIFY, nullified(1)))(Kind.NULLIFY, nullified(1), 1, bytes(64))
    cluster.handle(me, Received(peer=node_of(1), validator=1, message=VotesMessage(0, 0, (bad,))))
    assert [] == me.of(Blame)
    for index in (2, 3):
        vote = cluster.vote(index, Kind.NULLIFY, nullified(1))
        cluster.handle(me, Received(peer=node_of(index), validator=index, message=VotesMessage(0, 0, (vote,))))

    assert [1] == [effect.validator for effect in me.of(Blame)]
    good = cluster.vote(1, Kind.NULLIFY, nullified(1))
    cluster.handle(me, Received(peer=node_of(1), validator=1, message=VotesMessage(0, 0, (good,))))
    assert 2 == me.engine.status().view


def test_a_body_check_that_comes_late_is_dropped() -> None:
    """An answer for a block of a view that has passed changes nothing."""
    cluster = Cluster(4)
    for member in cluster.members:
        member.checks = False
    cluster.pending(True)
    cluster.run(2_000)
    asked = [(m, order) for m in cluster.members for order in m.of(CheckBody)]
    member, order = next((m, o) for m, o in asked if o.header.view < m.engine.status().view)

    effects = member.engine.handle(BodyReady(block_id=order.block_id), cluster.now)

    assert [] == [effect for effect in effects if isinstance(effect, Persist)]
