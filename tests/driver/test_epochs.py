"""Epochs: which record and which start, how one ends and the next begins at every node."""

from typing import Any

import pytest
from msgspec.structs import replace

from cccnode.codec import encode
from cccnode.crypto.hashing import ZERO
from cccnode.driver.epochs import (
    EARLY_MAX,
    HELP_MS,
    HELPED_MAX,
    Identity,
    OtherEpochs,
    current_epoch,
    make_epoch,
    moved,
    remember_start,
)
from cccnode.types.block import block_id
from cccnode.types.certificate import make_certificate
from cccnode.types.errors import STATE_CORRUPT, Fault
from cccnode.types.validators import Limits, epoch_record_hash
from cccnode.types.vote import Kind, Proposal
from consensus.messages import (
    CertificatesMessage,
    Message,
    ProposalMessage,
    StatusMessage,
    VotesMessage,
    decode_message,
)
from p2p.frames import Channel
from tests.driver.council import MINUTE, Council
from tests.driver.support import ALICE, BOB, CAROL, ME, PEER, START, FakeLinks, consensus_key, epoch_of
from tests.driver.test_hostile_validators import on_consensus
from tests.simulation.nodes import SimulatedNetwork
from tests.simulation.world import NodeRuntime, World

# One epoch as one node sees it


def identity(node: bytes, *keys: bytes) -> Identity:
    return Identity(node_key=node, signers={key: lambda message, key=key: key for key in keys})


def test_a_key_votes_at_a_node_of_its_organisation_only() -> None:
    """The record names keys and nodes: this node's place is where both are its own (J14)."""
    record = epoch_of().record
    mine = make_epoch(record, START, identity(ME, consensus_key(ME), b"another"))
    copied = make_epoch(record, START, identity(PEER, consensus_key(ME)))
    without = make_epoch(record, START, identity(BOB))

    assert (0, consensus_key(ME)) == (mine.me, mine.sign(b""))
    assert (None, None) == (copied.me, copied.sign)
    assert (None, None) == (without.me, without.sign)
    assert {ME: 0, ALICE: 1, BOB: 2, CAROL: 3} == mine.nodes
    assert (epoch_record_hash(record), 0) == (mine.record_hash, mine.number)


def test_of_two_keys_the_record_names_one() -> None:
    """While one key replaces the other both lie in the home; each epoch has its own."""
    both = identity(ALICE, consensus_key(ALICE), consensus_key(PEER))
    old, new = epoch_of((ME, ALICE)).record, epoch_of((ME, PEER)).record
    new = new.__class__(
        1,
        (new.validators[0], new.validators[1].__class__("org-2", consensus_key(PEER), (ALICE,))),
        *(getattr(new, name) for name in ("limits", "timers", "features")),
    )

    assert [consensus_key(ALICE), consensus_key(PEER)] == [
        make_epoch(record, START, both).sign(b"") for record in (old, new)
    ]


def test_validators_are_found_again_by_their_organisation() -> None:
    """Numbers change from epoch to epoch; who is gone has none."""
    before, after = epoch_of((ME, ALICE, BOB, CAROL)).record, epoch_of((PEER, CAROL, ALICE)).record

    assert {1: 2, 3: 1} == moved(before, after)
    assert {0: 0, 1: 1, 2: 2, 3: 3} == moved(before, before)


def test_the_store_knows_where_the_epoch_began(monkeypatch: pytest.MonkeyPatch) -> None:
    """Record and start of the epoch of the next block, after any restart, whichever block was the last."""
    network = Council(monkeypatch, epoch_blocks=3)
    network.until_epoch(3)
    for number in range(4):
        replica = network.replica(number)
        found = current_epoch(replica.store, network.replica().store.header(0), replica.identity)

        assert (found.record, found.start, found.me) == (replica.record, replica.epoch.start, number)
        assert found.start == replica.store.header(found.start.height)
        assert found.record_hash == found.start.next_epoch_record_hash


def test_invalid_stores_are_named() -> None:
    """storage/STATE_CORRUPT where the start of the epoch or its record is missing."""
    network = SimulatedNetwork(1, validators=1)
    network.start()
    store = network.nodes[0].replica.store
    for height, record_hash in ((99, store.header(0).epoch_record_hash), (0, b"?" * 32)):
        store.put_meta(*next(iter(remember_start(record_hash, height).items())))
        with pytest.raises(Fault) as caught:
            current_epoch(store, store.header(0), identity(ME))

        assert STATE_CORRUPT is caught.value.spec


# Messages of other epochs


class OthersBench:
    """A node in epoch 5, which began after height 1, whose block is final and was made in the epoch `before`."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, before: int = 4) -> None:
        network = Council(monkeypatch)
        network.transfer()
        assert network.run(MINUTE, lambda: network.replica().chain.height >= 1)
        self.store = network.replica().store
        self.world, self.links = World(1), FakeLinks()
        self.others = OtherEpochs(NodeRuntime(self.world), self.links, self.store)
        self.epoch = epoch_of(number=5, start=replace(self.store.header(1), epoch=before))

    def hear(self, epoch: int, peer: bytes = ALICE) -> None:
        self.others.take(self.epoch, peer, epoch, encode(StatusMessage(epoch, 1, Proposal(0, 0, 0, ZERO), 0)))

    def shown(self) -> list[tuple[bytes, Message]]:
        return [(peer, decode_message(payload)) for peer, _, payload in self.links.sent]


def test_the_next_epoch_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """What nodes say that are one epoch ahead waits, in order; what is further away means nothing yet."""
    bench = OthersBench(monkeypatch)
    for epoch, peer in ((6, ALICE), (7, BOB), (6, BOB), (3, BOB), (0, CAROL)):
        bench.hear(epoch, peer)

    assert [(ALICE, 6), (BOB, 6)] == [(peer, decode_message(raw).epoch) for peer, raw in bench.others.early()]
    assert [] == bench.others.early()
    assert [] == bench.shown()


def test_what_is_kept_of_the_next_epoch_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """However much is said there."""
    bench = OthersBench(monkeypatch)
    for _ in range(EARLY_MAX + 50):
        bench.hear(6)

    assert EARLY_MAX == len(bench.others.early())


def test_the_epoch_before_is_shown_how_it_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever still votes there gets the finalization of its last block, once a second (R9)."""
    bench = OthersBench(monkeypatch)
    for _ in range(5):
        bench.hear(4)
    bench.hear(4, BOB)
    bench.world.run_until(HELP_MS)
    bench.hear(4)
    last = bench.store.block(1)

    assert [ALICE, BOB, ALICE] == [peer for peer, _ in bench.shown()]
    assert [CertificatesMessage(4, (last.certificate,))] * 3 == [message for _, message in bench.shown()]


def test_after_a_restart_an_epoch_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """A certificate is shown as one of the epoch that made it: under another number it would be a lie of this node."""
    bench = OthersBench(monkeypatch, before=3)
    bench.hear(4)
    assert [] == bench.shown(), "that one ended by agreement, and no certificate says so"
    bench.hear(3, BOB)

    certificate = bench.store.block(1).certificate
    assert [(BOB, CertificatesMessage(3, (certificate,)))] == bench.shown()


def test_helped_nodes_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many nodes say that they are behind."""
    bench = OthersBench(monkeypatch)
    for number in range(2 * HELPED_MAX):
        bench.hear(4, number.to_bytes(32, "big"))

    assert len(bench.others._helped) <= HELPED_MAX


# How an epoch ends


@pytest.mark.parametrize("validators", [1, 4])
def test_epochs_follow_each_other(monkeypatch: pytest.MonkeyPatch, validators: int) -> None:
    """Each after so many blocks, in the same blocks at every node, with a record and leaders of its own."""
    network = Council(monkeypatch, validators=validators, epoch_blocks=3)
    network.until_epoch(4)
    blocks, lasts = network.blocks(), network.lasts()
    headers = [block.header for block in blocks]

    assert [3 * number for number in range(1, len(lasts) + 1)] == [last.header.height for last in lasts]
    assert [header.epoch for header in headers] == [(header.height - 1) // 3 for header in headers]
    for last, following in zip(lasts, headers[3::3], strict=False):
        assert following.epoch_record_hash == last.header.next_epoch_record_hash
        assert (1, 0) == (following.view, following.parent_view)
        assert last.certificate is not None, "it can prove by itself how the epoch ended"
    assert len({header.epoch_record_hash for header in headers}) == headers[-1].epoch + 1 >= 4
    network.sound()


def test_an_epoch_ends_by_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first block that is late enough ends it, however few there were."""
    monkeypatch.setattr("genesis.document.LimitsEntry.noun", lambda self: Limits(epoch_ms=3_000))
    monkeypatch.setattr("tests.simulation.nodes.demo_network", _uncached("tests.simulation.nodes"))
    network = Council(monkeypatch)
    network.until_epoch(2)
    first, second = network.lasts()[:2]
    genesis = network.replica().store.header(0)

    assert 3_000 <= first.header.time_ms - genesis.time_ms < 4_500
    assert 3_000 <= second.header.time_ms - first.header.time_ms < 4_500
    network.sound()


def _uncached(module: str) -> Any:
    import importlib  # noqa: PLC0415 - beside its only use

    return importlib.import_module(module).demo_network.__wrapped__


def test_a_due_change_ends_an_idle_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody sends anything else, and no heartbeat is waited for: the change comes true at once (J11)."""
    network = Council(monkeypatch)
    key = network.rotate(1)
    began = network.world.now_ms

    assert network.run(MINUTE, lambda: all(replica.epoch.number == 1 for replica in network.alive()))
    assert network.world.now_ms - began < 2_000
    assert key == network.key_of(1)
    network.run(5_000)
    assert (1, 1) == (network.epoch, len(network.lasts())), "one change, one epoch"
    network.sound()


def test_what_is_under_way_at_a_boundary_is_executed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Under load over many short epochs nothing is lost, and nothing happens twice."""
    network = Council(monkeypatch, epoch_blocks=2, peers=1)
    ids = []
    for number in range(60):
        ids += network.transfer(number % 5, count=3)
        network.run(40)
    assert network.run(MINUTE, lambda: network.all_executed(ids))

    assert network.epoch > 5
    assert set(ids) <= set(network.acknowledged)
    assert all(code == 0 for _, code in map(network.decided.get, ids))
    decided = [tx for height in range(1, network.height() + 1) for tx in network.replica().window.find(height) or ()]
    assert len(decided) == len(set(decided))
    network.sound()


# The last block


def hold_finalizations(network: Council, *, epoch: int = 0) -> list[ProposalMessage]:
    """No vote that makes a block of that epoch final gets through while this lasts; proposals are remembered."""
    proposed: list[ProposalMessage] = []

    def held(peer: bytes, message: Message) -> Message | None:
        if message.epoch != epoch:
            return message
        match message:
            case VotesMessage(votes=votes):
                rest = tuple(vote for vote in votes if vote.kind is not Kind.FINALIZE)
                return VotesMessage(message.epoch, message.executed, rest) if rest else None
            case CertificatesMessage(certificates=certificates):
                rest = tuple(certificate for certificate in certificates if certificate.kind is not Kind.FINALIZE)
                return CertificatesMessage(message.epoch, rest) if rest else None
            case ProposalMessage():
                proposed.append(message)
        return message

    for node in network.nodes:
        network.filters[node.number] = on_consensus(held)
    return proposed


def test_the_last_block_is_proposed_until_it_is_final(monkeypatch: pytest.MonkeyPatch) -> None:
    """Notarized and never final: later leaders propose the same block on its own certificate, and nothing on it."""
    network = Council(monkeypatch, epoch_blocks=1)
    proposed = hold_finalizations(network)
    ids = network.transfer(count=2)
    network.run(8_000)
    repeats = {message.proposal for message in proposed if message.proposal.view > message.header.view}
    lasts = {block_id(message.header) for message in proposed if message.header.next_epoch_record_hash != ZERO}

    assert 1 == len(lasts)
    assert len(repeats) >= 3
    assert {next(iter(lasts))} == {proposal.block_id for proposal in repeats}
    assert all(proposal.parent_view < proposal.view and proposal.height == 1 for proposal in repeats)
    assert {1} == {message.header.height for message in proposed}, "nothing is built on it"
    assert 0 == network.height()
    network.filters.clear()

    assert network.run(MINUTE, lambda: network.all_executed(ids))
    assert 1 == network.lasts()[0].header.height
    network.sound()


def test_the_last_block_survives_nullified_views(monkeypatch: pytest.MonkeyPatch) -> None:
    """Views between its certificates are given up, by absent leaders: it is proposed again all the same."""
    network = Council(monkeypatch, epoch_blocks=1)
    proposed = hold_finalizations(network)
    ids = network.transfer(count=1)
    assert network.run(MINUTE, lambda: any(message.proposal.view > message.header.view for message in proposed))
    network.crash(network.nodes[3])
    network.run(15_000)
    engine = network.replica().voting.engine._core
    nullified = [view for view in engine.certificates.nullified if view > proposed[0].header.view]
    views = sorted({message.proposal.view for message in proposed})
    network.filters.clear()
    network.restart(network.nodes[3])

    assert nullified, "the absent one had its turns"
    assert max(views) > min(nullified)
    assert network.run(MINUTE, lambda: network.all_executed(ids))
    network.sound()


def test_two_finalizations_of_the_last_block_are_no_conflict(monkeypatch: pytest.MonkeyPatch) -> None:
    """Proposed twice it may be finalized in both views: no alarm, the same block, the same next epoch."""
    network = Council(monkeypatch, epoch_blocks=1)
    proposed = hold_finalizations(network)
    network.transfer(count=1)
    assert network.run(MINUTE, lambda: len({message.proposal for message in proposed}) >= 3)
    network.filters.clear()
    views = sorted({message.proposal for message in proposed}, key=lambda proposal: proposal.view)[:2]
    record, chain = network.record, network.demo.genesis.chain
    from cccnode.types.vote import vote_bytes  # noqa: PLC0415 - beside its only use
    from tests.simulation.nodes import sign_vote  # noqa: PLC0415

    for proposal in views:
        message = vote_bytes(Kind.FINALIZE, chain, 0, proposal)
        signatures = {index: sign_vote(record.validators[index].consensus_key, message) for index in range(3)}
        certificate = make_certificate(Kind.FINALIZE, proposal, signatures, 4)
        for node in network.nodes:
            node.replica.voting.meet(ALICE, certificate)

    assert network.run(MINUTE, lambda: all(replica.epoch.number >= 1 for replica in network.alive()))
    assert all(replica.voting.alarm is None for replica in network.alive())
    assert 1 == len({block_id(network.lasts(number)[0].header) for number in range(4)})


# Nodes at different speed


def test_who_is_early_is_heard_later(monkeypatch: pytest.MonkeyPatch) -> None:
    """A node that executes slowly keeps what the others say of the next epoch, and votes in its first views."""
    network = Council(monkeypatch, epoch_blocks=4)
    slow = network.nodes[2]
    slow.runtime._disk_ms = (150, 150)
    kept = []
    take = OtherEpochs.take

    def remember(self: OtherEpochs, current: Any, peer: bytes, epoch: int, payload: bytes) -> None:
        kept.append((epoch, current.number, decode_message(payload)))
        take(self, current, peer, epoch, payload)

    monkeypatch.setattr(OtherEpochs, "take", remember)
    network.until_epoch(3)
    early = [message for epoch, current, message in kept if epoch == current + 1]

    assert any(isinstance(message, ProposalMessage) for message in early)
    assert any(isinstance(message, VotesMessage) for message in early)
    assert {0, 1, 2, 3} == set(network.signing())
    network.sound()


def test_a_node_that_missed_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """It lacks the finalization of the last block and still votes there: others show it, and it comes along."""
    network = Council(monkeypatch, epoch_blocks=1)
    late = network.nodes[3]
    network.filters[0] = network.filters[1] = network.filters[2] = on_consensus(
        lambda peer, message: message if peer != late.key or message.epoch else None
    )
    late.links.receive = lambda peer, channel, payload: (
        late.replica.on_frame(peer, channel, payload) if channel is Channel.CONSENSUS else None
    )
    network.transfer()
    assert network.run(MINUTE, lambda: network.replica().epoch.number == 1)
    network.run(2_000)
    assert 0 == late.replica.epoch.number
    network.filters.clear()
    late.links.receive = late.replica.on_frame

    assert network.run(3_000, lambda: late.replica.epoch.number == network.epoch)
    network.sound()


def test_a_node_that_was_away_for_several_epochs(monkeypatch: pytest.MonkeyPatch) -> None:
    """It catches up over all of them, watches the present one, and signs again."""
    network = Council(monkeypatch, epoch_blocks=2)
    network.until_epoch(1)
    network.crash(network.nodes[2])
    network.until_epoch(7)
    network.restart(network.nodes[2])
    away = network.replica(2)
    assert away.epoch.number < 4
    assert network.run(MINUTE, lambda: away.epoch.number >= 7)
    signed = len(network.signed[2])
    ids = network.transfer(2)

    assert network.run(MINUTE, lambda: network.all_executed(ids) and network.nodes[2].silent is None)
    network.until_epoch(network.epoch + 2)
    assert len(network.signed[2]) > signed
    network.sound()


def test_nobody_is_accused_of_another_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Votes, batches and announcements of nodes that are ahead or behind are nobody's offence."""
    network = Council(monkeypatch, epoch_blocks=2, peers=1)
    for node in network.nodes:
        node.runtime._disk_ms = (0, 150)
    network.world.conditions.latency_ms = (1, 120)
    for step in range(60):
        network.transfer(step % 5)
        network.run(60)
    network.until_epoch(network.epoch + 1)

    assert network.epoch >= 4
    assert set() == network.accused()
    network.sound()
