"""Final blocks from others: believed for their certificates, whoever sends them, and nothing else."""

from functools import cache
from typing import Any

import pytest
from msgspec.structs import replace

from cccnode.codec import decode, encode
from cccnode.driver.execution import QUEUE_MAX
from cccnode.driver.replica import Replica
from cccnode.driver.serving import REPLY_BYTES_MAX, REQUESTS_OF_ONE_MAX, Serving
from cccnode.node.data import unused_mark
from cccnode.types.block import FinalBlock
from cccnode.types.certificate import Certificate
from cccnode.types.vote import Kind
from p2p.events import BadBlocks, Deliver, Punish, Serve, Tip
from p2p.frames import Channel
from p2p.messages import BLOCKS_PER_REPLY_MAX, BLOCKS_PER_REQUEST_MAX, Blocks, Kept
from p2p.pulls import AHEAD_HEIGHTS
from p2p.scores import Offence
from tests.driver.support import ALICE, BOB, Audited, FakeLinks
from tests.simulation.nodes import SimulatedNetwork
from tests.simulation.world import NodeRuntime, World


class StubGossip:
    """Remembers what it is told; asks for nothing."""

    def __init__(self) -> None:
        self.events: list[Any] = []

    def handle(self, event: Any, now_ms: int) -> list[Any]:
        self.events.append(event)
        bad = isinstance(event, BadBlocks)
        return [Punish(peer=event.peer, offence=Offence.INVALID_BLOCK, detail="")] if bad else []

    def deadline_ms(self, now_ms: int) -> int | None:
        return None

    def bad(self) -> list[tuple[bytes, int]]:
        return [(event.peer, event.height) for event in self.events if isinstance(event, BadBlocks)]


class Follower:
    """A node that is no validator and is at genesis, in a world where the others have a chain."""

    def __init__(self, epoch_blocks: int | None = None) -> None:
        self.network = SimulatedNetwork(5, validators=4, peers=1, epoch_blocks=epoch_blocks)
        node = self.network.nodes[4]
        self.network.boot(node)
        self.replica: Replica = node.replica
        self.gossip, self.links = StubGossip(), FakeLinks()
        self.replica.catch_up._gossip = self.gossip
        self.replica.catch_up._links = self.links

    def deliver(self, first: int, blocks: list[FinalBlock], peer: bytes = ALICE, *, run: bool = True) -> None:
        self.replica.catch_up._deliver(Deliver(peer=peer, first=first, blocks=tuple(encode(block) for block in blocks)))
        if run:
            self.run()

    def run(self) -> None:
        self.network.world.run_until(self.network.world.now_ms + 5_000)

    @property
    def height(self) -> int:
        return self.replica.chain.height


@cache
def chain() -> tuple[FinalBlock, ...]:
    """A real chain: blocks 1, 2, ... with transfers, all but the last ones certified."""
    network = SimulatedNetwork(5, validators=4, peers=1)
    network.start()
    for number in range(12):
        network.world.at(200 + 300 * number, lambda: network.send(network.nodes[0], count=2))
    network.world.run_until(6_000)
    store = network.nodes[1].replica.store
    blocks = [store.block(height) for height in range(1, store.applied.height + 1)]
    while blocks[-1].certificate is None:
        blocks.pop()
    assert len(blocks) >= 12
    assert all(block.certificate is not None for block in blocks)
    return tuple(blocks)


def bare(block: FinalBlock) -> FinalBlock:
    return replace(block, certificate=None)


def test_certified_blocks_are_executed() -> None:
    """A run under certificates is executed to the same state that its headers report."""
    follower = Follower()
    follower.deliver(1, list(chain()))

    assert len(chain()) == follower.height
    assert [] == follower.gossip.bad()


def test_one_certificate_covers_what_is_below() -> None:
    """Blocks without a finalization of their own are final through a descendant."""
    follower = Follower()
    follower.deliver(1, [*map(bare, chain()[:5]), chain()[5]])

    assert 6 == follower.height


def test_an_uncertified_tail_is_asked_for_again() -> None:
    """It proves nothing, and nobody else must pay for it: the next peer is asked from there on (not banned)."""
    follower = Follower()
    follower.deliver(1, [*chain()[:3], *map(bare, chain()[3:6])])
    assert 3 == follower.height
    assert [(ALICE, 4)] == follower.gossip.bad()
    assert [(ALICE, Offence.TIMEOUT)] == follower.links.punished

    follower.deliver(4, list(chain()[3:8]), BOB)
    assert 8 == follower.height
    assert [(ALICE, Offence.TIMEOUT)] == follower.links.punished


def test_a_gap_is_nobody_s_offence() -> None:
    """Blocks above a missing one are asked for again from the missing one on."""
    follower = Follower()
    follower.deliver(3, list(chain()[2:4]))

    assert 0 == follower.height
    assert [(ALICE, 1)] == follower.gossip.bad()
    assert [] == follower.links.punished


def test_known_blocks_are_passed_over() -> None:
    """A run that begins below the tip is used from the tip on."""
    follower = Follower()
    follower.deliver(1, list(chain()[:4]))
    follower.deliver(2, list(chain()[1:7]))

    assert 7 == follower.height
    assert [] == follower.gossip.bad()


def _false_certificate(blocks: list[FinalBlock]) -> None:
    certificate = blocks[2].certificate
    forged = tuple(bytes(64) for _ in certificate.signatures)
    blocks[2] = replace(blocks[2], certificate=_changed(certificate, signatures=forged))


def _changed(certificate: Certificate, **changes: Any) -> Certificate:
    return replace(certificate, **changes)


def _too_few(blocks: list[FinalBlock]) -> None:
    certificate = blocks[2].certificate
    changed = _changed(certificate, bitmap=b"\x03", signatures=certificate.signatures[:2])
    blocks[2] = replace(blocks[2], certificate=changed)


def _other_kind(blocks: list[FinalBlock]) -> None:
    blocks[2] = replace(blocks[2], certificate=_changed(blocks[2].certificate, kind=Kind.NOTARIZE))


def _certificate_of_another(blocks: list[FinalBlock]) -> None:
    blocks[2] = replace(blocks[2], certificate=blocks[1].certificate)


def _wrong_body(blocks: list[FinalBlock]) -> None:
    at = next(i for i, block in enumerate(blocks) if block.batches)
    blocks[at] = replace(blocks[at], batches=(*blocks[at].batches, (b"another",)))


def _missing_batch(blocks: list[FinalBlock]) -> None:
    at = next(i for i, block in enumerate(blocks) if block.batches)
    blocks[at] = replace(blocks[at], batches=())


def _unrelated(blocks: list[FinalBlock]) -> None:
    blocks[1] = replace(blocks[1], header=replace(blocks[1].header, parent=bytes(32)))


def _other_chain(blocks: list[FinalBlock]) -> None:
    blocks[0] = replace(blocks[0], header=replace(blocks[0].header, chain=bytes(32)))


def _skipped(blocks: list[FinalBlock]) -> None:
    del blocks[1]


def _rewritten(blocks: list[FinalBlock]) -> None:
    blocks[0] = replace(blocks[0], header=replace(blocks[0].header, time_ms=blocks[0].header.time_ms + 1))


def _stuffed(blocks: list[FinalBlock]) -> None:
    blocks[0] = replace(blocks[0], justification=(blocks[0].certificate,) * 18)


def _stray_justification(blocks: list[FinalBlock]) -> None:
    junk = _changed(blocks[0].certificate, bitmap=b"\xff")
    blocks[0] = replace(blocks[0], justification=(junk,))


LIES = [
    _false_certificate,
    _too_few,
    _other_kind,
    _certificate_of_another,
    _wrong_body,
    _missing_batch,
    _unrelated,
    _other_chain,
    _skipped,
    _rewritten,
]


@pytest.mark.parametrize("lie", [_stuffed, _stray_justification])
def test_what_no_certificate_covers_is_left_out(lie: Any) -> None:
    """A justification that is malformed or too long is nobody's fault: the block is taken without it."""
    follower = Follower()
    blocks = list(chain()[:8])
    lie(blocks)
    follower.deliver(1, blocks)

    assert 8 == follower.height
    assert not follower.gossip.bad()


@pytest.mark.parametrize("lie", LIES)
def test_lies_are_refused_and_the_truth_taken_afterwards(lie: Any) -> None:
    """Whatever is false in a run: invalid block, once, nothing of it executed, and the next peer is believed."""
    follower = Follower()
    blocks = list(chain()[:8])
    lie(blocks)
    follower.deliver(1, blocks)
    assert 0 == follower.height
    assert [(ALICE, 1)] == follower.gossip.bad()
    assert [(ALICE, Offence.INVALID_BLOCK)] == follower.links.punished

    follower.deliver(1, list(chain()[:8]), BOB)
    assert 8 == follower.height


def test_garbage_is_an_invalid_block() -> None:
    """Bytes that are no block."""
    follower = Follower()
    follower.replica.catch_up._deliver(Deliver(peer=ALICE, first=1, blocks=(b"garbage",)))

    assert [(ALICE, Offence.INVALID_BLOCK)] == follower.links.punished


def test_more_blocks_than_the_executor_has_room_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was found final waits until there is room: nothing is lost, and no honest peer is accused."""
    monkeypatch.setattr("cccnode.driver.execution.QUEUE_MAX", 2)
    follower = Follower()
    blocks = list(chain())
    for first, peer in ((1, ALICE), (3, ALICE), (7, BOB)):
        follower.deliver(first, blocks[first - 1 : first + 3], peer, run=False)
    assert not follower.replica.executor.room
    assert 3 == follower.replica.executor.next_height
    follower.run()

    assert 10 == follower.height
    assert [] == follower.gossip.bad()


def test_the_tip_tells_what_is_held_already() -> None:
    """Queued blocks are not pulled a second time."""
    follower = Follower()
    follower.deliver(1, list(chain()[:5]))
    tips = [event for event in follower.gossip.events if isinstance(event, Tip)]

    assert [5] * len(tips) == [tip.have for tip in tips]
    assert [1, 2, 3, 4, 5] == [tip.height for tip in tips]


# Over the end of an epoch


@cache
def epochs() -> tuple[FinalBlock, ...]:
    """The same over epochs of three blocks each."""
    network = SimulatedNetwork(5, validators=4, peers=1, epoch_blocks=3)
    network.start()
    for number in range(14):
        network.world.at(900 + 300 * number, lambda: network.send(network.nodes[0], count=2))
    network.world.run_until(6_000)
    store = network.nodes[1].replica.store
    blocks = [store.block(height) for height in range(1, store.applied.height + 1)]
    while blocks[-1].certificate is None:
        blocks.pop()
    assert len(blocks) >= 10
    return tuple(blocks)


def test_a_run_goes_on_in_the_next_epoch() -> None:
    """What stands above an epoch's last block waits until it is known who certifies it, and is used then."""
    follower = Follower(epoch_blocks=3)
    follower.deliver(1, list(epochs()))

    assert len(epochs()) == follower.height
    assert epochs()[-1].header.epoch <= follower.replica.epoch.number
    assert [] == follower.gossip.bad()
    assert [] == follower.links.punished
    assert 0 == len(follower.replica.catch_up._beyond)


def test_replies_from_several_epochs_at_once() -> None:
    """They wait for each other, whoever sent them."""
    follower = Follower(epoch_blocks=3)
    blocks = list(epochs())
    for first in range(1, 10, 2):
        follower.deliver(first, blocks[first - 1 : first + 1], ALICE if first % 4 == 1 else BOB, run=False)
    follower.run()

    assert 10 == follower.height
    assert [] == follower.gossip.bad()
    assert 0 == len(follower.replica.catch_up._beyond)


@pytest.mark.parametrize("height", [3, 4, 6, 7])
def test_false_certificates_around_a_boundary(height: int) -> None:
    """What stands below is executed, the liar named, and the truth taken from another."""
    follower = Follower(epoch_blocks=3)
    false = list(epochs()[:8])
    certificate = false[height - 1].certificate
    forged = tuple(bytes(64) for _ in certificate.signatures)
    false[height - 1] = replace(false[height - 1], certificate=_changed(certificate, signatures=forged))
    follower.deliver(1, false)
    begun = (height - 1) // 3
    assert 3 * begun == follower.height
    assert [(ALICE, 3 * begun + 1)] == follower.gossip.bad()
    assert [(ALICE, Offence.INVALID_BLOCK)] == follower.links.punished

    follower.deliver(3 * begun + 1, list(epochs()[3 * begun : 8]), BOB)
    assert 8 == follower.height


def test_certificates_of_another_epoch_s_validators() -> None:
    """The epoch is part of what is signed: a finalization of the old epoch certifies nothing in the next one."""
    follower = Follower(epoch_blocks=3)
    blocks = list(epochs()[:5])
    blocks[3] = replace(blocks[3], header=replace(blocks[3].header, epoch=0))
    follower.deliver(1, blocks)

    assert 3 == follower.height
    assert [(ALICE, Offence.INVALID_BLOCK)] == follower.links.punished


# Serving


class ServingBench:
    """Blocks of a made-up store of a given size."""

    def __init__(self, blocks: list[FinalBlock], earliest: int = 1) -> None:
        self.world = World(1)
        self.links = FakeLinks()
        self.earliest = earliest
        self.reads: list[int] = []
        store = self

        class _Store:
            earliest_height = self.earliest

            applied = type("Applied", (), {"height": len(blocks)})()

            def block_raw(self, height: int) -> bytes | None:
                store.reads.append(height)
                return encode(blocks[height - 1]) if earliest <= height <= len(blocks) else None

        self.serving = Serving(runtime=NodeRuntime(self.world), links=self.links, store=_Store())

    def ask(self, first: int, count: int, peer: bytes = ALICE) -> None:
        self.serving.serve(Serve(peer=peer, number=1, first=first, count=count))

    def answers(self, milliseconds: int = 60_000) -> list[int]:
        """Number of blocks in each answer."""
        self.world.run_until(self.world.now_ms + milliseconds)
        found = [payload for _, channel, payload in self.links.sent if channel is Channel.BLOCK]
        return [len(decode(Blocks, payload).blocks) for payload in found]


def test_an_answer_ends_with_a_certified_block() -> None:
    """It goes on beyond what was asked for, or it would prove nothing; and not beyond the applied height."""
    blocks = [*map(bare, chain()[:5]), chain()[5], bare(chain()[6])]
    bench = ServingBench(blocks)
    bench.ask(1, 2)
    bench.ask(1, 6)
    bench.ask(7, 1)
    bench.ask(8, 5)

    assert [6, 6, 1, 0] == bench.answers()


def test_what_is_pruned_is_said_so() -> None:
    """Whoever asks for less than is kept hears from which height on there is something."""
    bench = ServingBench(list(chain()[:6]), earliest=4)
    bench.ask(3, 2)
    bench.ask(4, 2)
    bench.world.run_until(1_000)

    first, second = (payload for _, channel, payload in bench.links.sent if channel is Channel.BLOCK)
    assert Kept(1, 4) == decode(Kept, first)
    assert 2 <= len(decode(Blocks, second).blocks)


def test_an_answer_is_bounded() -> None:
    """However long nothing is certified: at most so many blocks and bytes."""
    assert [BLOCKS_PER_REPLY_MAX] == _served([bare(chain()[0])] * 200)
    large = replace(bare(chain()[0]), batches=((bytes(15_000),) * 140,))
    assert [REPLY_BYTES_MAX // len(encode(large))] == _served([large] * 10)


def _served(blocks: list[FinalBlock]) -> list[int]:
    bench = ServingBench(blocks)
    bench.ask(1, 64)
    return bench.answers()


def test_one_asker_cannot_keep_the_node_busy() -> None:
    """Requests of one node wait in a short line, large answers are spaced, and one block is read in a turn."""
    large = replace(chain()[0], batches=((bytes(15_000),) * 100,))
    bench = ServingBench([large] * 64)
    for _ in range(50):
        bench.ask(1, 64)
    bench.ask(1, 1, BOB)

    assert 1 == len(bench.answers(20)), "the next one is read a little later"
    assert REQUESTS_OF_ONE_MAX + 2 == len(bench.answers())
    assert BOB in {peer for peer, _, _ in bench.links.sent}


def test_nobody_is_answered_who_left() -> None:
    """Another process of the same node would take the answer to a request that it never made for an offence."""
    bench = ServingBench(list(chain()))
    for peer in (ALICE, ALICE, BOB, ALICE):
        bench.ask(1, 3, peer)
    bench.serving.forget(ALICE)
    bench.answers()
    assert [BOB] == [peer for peer, _, _ in bench.links.sent]

    bench.ask(1, 3)
    bench.answers()
    assert [BOB, ALICE] == [peer for peer, _, _ in bench.links.sent]


# Whole networks


def test_a_lying_server_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """A node that was away catches up although one of those it asks alters every block it serves."""
    network = Audited(11, monkeypatch)
    network.start()
    network.run(500)
    network.crash(network.nodes[3])
    for _ in range(10):
        network.send(network.nodes[0], count=3)
        network.run(400)
    liar = network.nodes[1]
    lies = []

    def lie(peer: bytes, channel: Channel, payload: bytes) -> bytes:
        if channel is not Channel.BLOCK:
            return payload
        from p2p.messages import BlockMessage, write  # noqa: PLC0415 - beside its only use

        message = decode(BlockMessage, payload)
        if not isinstance(message, Blocks):
            return payload
        blocks = [decode(FinalBlock, raw) for raw in message.blocks]
        lies.append(len(blocks))
        false = [replace(block, header=replace(block.header, state_root=bytes(32))) for block in blocks]
        return write(Blocks(message.number, tuple(encode(block) for block in false)))

    network.filters[1] = lie
    # The others say nothing of what they have until it has asked the liar.
    network.filters[0] = network.filters[2] = lambda peer, channel, payload: (
        None if channel in {Channel.CONTROL, Channel.BLOCK} and not lies else payload
    )
    network.restart(network.nodes[3])
    behind = network.height()

    assert network.run(30_000, lambda: network.nodes[3].replica.chain.height >= behind)
    assert lies
    assert network.accused() <= {liar.key}
    assert (liar.key, Offence.INVALID_BLOCK) in {
        (peer, offence) for peer, offence, _ in network.nodes[3].links.punished
    }
    assert [] == network.violations


def test_catching_up_over_a_long_chain() -> None:
    """Many more blocks than the queue holds, executed slowly: the follower arrives without accusing anyone."""
    network = SimulatedNetwork(6, validators=4, peers=1)
    for node in network.nodes[:4]:
        node.disk.replace_file(unused_mark(node.consensus_key), b"")
        network.boot(node)
    network.relink()
    world = network.world

    def feed() -> None:
        network.send(network.nodes[world.now_ms % 4], count=1)
        world.at(40, feed)

    feed()
    world.run_until(30_000)
    height = network.nodes[0].replica.chain.height
    assert height > 2 * QUEUE_MAX
    late = network.nodes[4]
    network.boot(late)
    late.runtime._disk_ms = (15, 25)
    network.relink()

    assert world.run_until(world.now_ms + 60_000, lambda: late.replica.chain.height >= height)
    assert [] == late.links.punished
    assert [] == network.violations


def test_catching_up_over_many_epochs() -> None:
    """A follower passes one boundary after the other; what waits above them is no more than gossip asks for ahead."""
    network = SimulatedNetwork(6, validators=4, peers=1, epoch_blocks=5)
    for node in network.nodes[:4]:
        node.disk.replace_file(unused_mark(node.consensus_key), b"")
        network.boot(node)
    network.relink()
    world = network.world

    def feed() -> None:
        network.send(network.nodes[world.now_ms % 4], count=1)
        world.at(40, feed)

    feed()
    world.run_until(9_000)
    replica = network.nodes[0].replica
    assert replica.epoch.number > 12
    late = network.nodes[4]
    network.boot(late)
    late.runtime._disk_ms = (5, 15)
    network.relink()
    waiting = []

    def arrived() -> bool:
        waiting.append(sum(len(reply.blocks) for reply in late.replica.catch_up._beyond))
        return late.replica.chain.height >= replica.chain.height - 5

    assert world.run_until(world.now_ms + 60_000, arrived)
    assert 0 < max(waiting) <= AHEAD_HEIGHTS + BLOCKS_PER_REQUEST_MAX
    assert late.replica.epoch.number >= replica.epoch.number - 1
    assert [] == late.links.punished
    assert [] == network.violations
