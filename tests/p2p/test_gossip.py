"""Gossip of one node, event by event: pulls, transactions on their way, addresses; and what offends it."""

import random

import pytest

from p2p.events import (
    Arrived,
    BadBlocks,
    Behind,
    Contact,
    Deliver,
    Forget,
    Frame,
    Item,
    Linked,
    Punish,
    Registered,
    Send,
    Serve,
    Submit,
    Tick,
    Tip,
    Unlinked,
)
from p2p.frames import Channel
from p2p.gossip import Gossip, fit_blocks
from p2p.messages import (
    BLOCKS_REPLY_BYTES,
    FORWARD_BYTES_MAX,
    FORWARD_TXS_MAX,
    HOPS_MAX,
    NO_ROUTE,
    Addresses,
    Announce,
    Blocks,
    BlocksRequest,
    Forward,
    Kept,
    write,
)
from p2p.overlay import SERVED_PER_SECOND_MAX, GossipConfig
from p2p.scores import Offence
from tests.p2p.world import World

OWN = b"\x00" * 32
VALIDATORS = [bytes([number]) * 32 for number in range(1, 5)]
PEERS = [bytes([number]) * 32 for number in range(11, 16)]
CHANNELS = {
    Addresses: Channel.CONTROL,
    Announce: Channel.CONTROL,
    Blocks: Channel.BLOCK,
    Kept: Channel.BLOCK,
    BlocksRequest: Channel.BLOCK,
    Forward: Channel.TX,
}


class Node:
    """A gossip with a clock that the test turns."""

    def __init__(self, *, validator=False, links=(), **config):
        self.now_ms = 1_000
        self.gossip = Gossip(GossipConfig(node_key=OWN, **config), random.Random(1), self.now_ms)
        contacts = [Contact(node_key=OWN, validator=validator, addresses=())]
        contacts += [Contact(node_key=key, validator=key in VALIDATORS, addresses=()) for key in VALIDATORS + PEERS]
        self.tell(Registered(contacts=tuple(contacts)))
        self.tell(Tip(height=0, block_id=bytes(32)))
        for key in links:
            self.tell(Linked(peer=key, validator=key in VALIDATORS))

    def tell(self, event, *, after_ms=0):
        self.now_ms += after_ms
        return self.gossip.handle(event, self.now_ms)

    def hear(self, peer, message, *, after_ms=0):
        frame = Frame(peer=peer, channel=CHANNELS[type(message)], payload=write(message))
        return self.tell(frame, after_ms=after_ms)

    def announce(self, peer, height, *, distance=1, first=0):
        return self.hear(peer, Announce(height, bytes(32), first, distance))


def sent(effects, kind):
    return [
        (effect.peer, effect.message) for effect in effects if isinstance(effect, Send) and type(effect.message) is kind
    ]


def requests(effects):
    return sent(effects, BlocksRequest)


def only(effects, kind):
    return [effect for effect in effects if isinstance(effect, kind)]


def test_block_is_pulled_from_who_announced_it_first():
    """A tip above ours is asked for at once, from its first announcer, and delivered when it comes."""
    node = Node(links=PEERS[:3])
    [(peer, request)] = requests(node.announce(PEERS[1], 1))
    assert (peer, request.first, request.count) == (PEERS[1], 1, 1)
    assert requests(node.announce(PEERS[0], 1)) == []
    effects = node.hear(PEERS[1], Blocks(request.number, (b"one",)))
    assert only(effects, Deliver) == [Deliver(peer=PEERS[1], first=1, blocks=(b"one",))]


def test_no_answer_means_another_announcer():
    """After the time-out the next announcer is asked; the late answer still counts and offends nobody."""
    node = Node(links=PEERS[:2])
    [(_, first)] = requests(node.announce(PEERS[0], 1))
    node.announce(PEERS[1], 1)
    assert node.gossip.deadline_ms(node.now_ms) <= node.now_ms + 2_000
    effects = node.tell(Tick(), after_ms=2_000)
    assert only(effects, Punish) == [Punish(peer=PEERS[0], offence=Offence.TIMEOUT, detail="block 1")]
    assert [peer for peer, _ in requests(effects)] == [PEERS[1]]
    assert only(node.hear(PEERS[0], Blocks(first.number, (b"one",))), Deliver) != []


def test_one_who_failed_before_gives_way_at_once():
    """A neighbour that timed out is asked again only until a better one has the block."""
    node = Node(links=PEERS[:2])
    node.announce(PEERS[0], 1)
    node.tell(Tick(), after_ms=2_000)
    assert [peer for peer, _ in requests(node.announce(PEERS[1], 1))] == [PEERS[1]]


def test_patience_doubles_while_nobody_answers():
    """On a slow line, where every request times out, each waits twice as long."""
    node = Node(links=PEERS[:1])
    node.announce(PEERS[0], 1)
    waits = []
    for _ in range(6):
        due = node.gossip._pulls.deadline_ms(node.now_ms, validator=False)
        waits.append(due - node.now_ms)
        node.tell(Tick(), after_ms=due - node.now_ms)
    assert waits == [2_000, 4_000, 8_000, 16_000, 30_000, 30_000]


def test_lost_neighbour_is_replaced_without_waiting():
    """When the asked neighbour's link goes, the next one is asked at once."""
    node = Node(links=PEERS[:2])
    node.announce(PEERS[0], 1)
    node.announce(PEERS[1], 1)
    assert [peer for peer, _ in requests(node.tell(Unlinked(peer=PEERS[0])))] == [PEERS[1]]


def test_far_behind_several_are_asked_for_different_ranges():
    """Catch-up asks three neighbours for three ranges and delivers in order, whatever order the answers come in."""
    node = Node(links=PEERS[:3])
    asked = [entry for peer in PEERS[:3] for entry in requests(node.announce(peer, 1_000))]
    assert [(request.first, request.count) for _, request in asked] == [(1, 64), (65, 64), (129, 64)]
    assert {peer for peer, _ in asked} == set(PEERS[:3])
    late_first = only(node.hear(asked[1][0], Blocks(asked[1][1].number, (b"x",) * 64)), Deliver)
    assert late_first == []
    effects = node.hear(asked[0][0], Blocks(asked[0][1].number, (b"x",) * 10))
    assert [(effect.first, len(effect.blocks)) for effect in only(effects, Deliver)] == [(1, 10)]
    gap = [request for _, request in requests(effects) if request.first == 11]
    assert gap[0].count == 54
    filler = next(peer for peer, request in requests(effects) if request is gap[0])
    effects = node.hear(filler, Blocks(gap[0].number, (b"x",) * 54))
    assert [(effect.first, len(effect.blocks)) for effect in only(effects, Deliver)] == [(11, 54), (65, 64)]


def test_pulls_stop_ahead_of_execution():
    """Blocks are not asked for more than 256 heights, or 32 MiB, above what is executed; a tip lets it go on."""
    node = Node(links=PEERS[:1])
    effects = node.announce(PEERS[0], 10_000)
    top = 0
    while found := requests(effects):
        request = found[0][1]
        top = request.first + request.count - 1
        effects = node.hear(PEERS[0], Blocks(request.number, (b"x",) * request.count))
    assert 256 <= top < 256 + 64
    assert requests(node.tell(Tip(height=200, block_id=bytes(32), have=top))) != []
    node = Node(links=PEERS[:1])
    effects = node.announce(PEERS[0], 10_000)
    rounds = 0
    while found := requests(effects):
        effects = node.hear(PEERS[0], Blocks(found[0][1].number, (bytes(4_000_000),)))
        rounds += 1
    assert rounds == 9


def test_invalid_answers_are_offences():
    """Answers to no request, or to another's, are UNSOLICITED; they change nothing."""
    node = Node(links=PEERS[:2])
    [(_, request)] = requests(node.announce(PEERS[0], 1))
    for peer, message in (
        (PEERS[0], Blocks(request.number + 7, (b"x",))),
        (PEERS[1], Blocks(request.number, (b"x",))),
        (PEERS[0], Addresses(5, ())),
    ):
        effects = node.hear(peer, message)
        assert [(punish.peer, punish.offence) for punish in only(effects, Punish)] == [(peer, Offence.UNSOLICITED)]
        assert only(effects, Deliver) == []
    assert only(node.hear(PEERS[0], Blocks(request.number, (b"x",))), Deliver) != []


@pytest.mark.parametrize("channel", [Channel.CONTROL, Channel.BLOCK, Channel.TX])
def test_invalid_payloads_are_offences(channel):
    """What does not decode is MALFORMED; a channel that is not gossip's is left to the driver."""
    node = Node(links=PEERS[:1])
    effects = node.tell(Frame(peer=PEERS[0], channel=channel, payload=b"\xc1"))
    assert [punish.offence for punish in only(effects, Punish)] == [Offence.MALFORMED]
    assert node.tell(Frame(peer=PEERS[0], channel=Channel.HAVE, payload=b"\xc1")) == []
    assert node.tell(Frame(peer=PEERS[4], channel=channel, payload=b"\xc1")) == []


def test_bad_blocks_are_pulled_again_from_others():
    """Who gave an invalid block is accused and not asked again; the block comes from another."""
    node = Node(links=PEERS[:2])
    [(_, request)] = requests(node.announce(PEERS[0], 1))
    node.announce(PEERS[1], 1)
    node.hear(PEERS[0], Blocks(request.number, (b"bad",)))
    effects = node.tell(BadBlocks(peer=PEERS[0], height=1))
    assert only(effects, Punish)[0].offence is Offence.INVALID_BLOCK
    assert [peer for peer, _ in requests(effects)] == [PEERS[1]]


def test_pruned_or_missing_blocks_are_asked_elsewhere():
    """An empty answer, or an announced first height above the gap, sends the request to someone who has it."""
    node = Node(links=PEERS[:3])
    assert requests(node.announce(PEERS[0], 100, first=50)) == []
    [(peer, request)] = [entry for entry in requests(node.announce(PEERS[1], 100)) if entry[1].first == 1]
    assert peer == PEERS[1]
    node.announce(PEERS[2], 100)
    effects = node.hear(PEERS[1], Blocks(request.number, ()))
    assert [peer for peer, request in requests(effects) if request.first == 1] in ([PEERS[2]], [])
    assert node.gossip._pulls._gap()[0] > 64


def test_who_has_pruned_says_so():
    """A named answer: whoever gave it is asked only for what it keeps, without an offence, and another for the rest."""
    node = Node(links=PEERS[:2])
    [(_, request)] = requests(node.announce(PEERS[0], 100))
    effects = node.hear(PEERS[0], Kept(request.number, 40))
    assert only(effects, Punish) == []
    assert requests(effects) == []
    assert node.gossip.unobtainable() == (1, 40)
    assert node.gossip.keepers(39) == []
    assert node.gossip.keepers(40) == [PEERS[0]]
    effects = node.announce(PEERS[1], 100)
    asked = [(peer, request.first) for peer, request in requests(effects)]
    assert asked[0] == (PEERS[1], 1)
    assert all(first >= 40 for peer, first in asked if peer == PEERS[0])
    assert node.gossip.unobtainable() is None
    assert node.gossip.keepers(1) == [PEERS[1]]


def test_false_answers_about_pruning_are_offences():
    """Nobody may say that it pruned what nobody asked it for, or what it says it keeps."""
    node = Node(links=PEERS[:1])
    [(_, request)] = requests(node.announce(PEERS[0], 100))
    for answer in (Kept(request.number + 1, 40), Kept(request.number, request.first)):
        (punish,) = only(node.hear(PEERS[0], answer), Punish)
        assert punish.offence is Offence.UNSOLICITED


def test_validator_lets_consensus_be_first():
    """A validator pulls a block only after a second without progress, at once if far behind or asked to."""
    node = Node(validator=True, links=VALIDATORS[:3])
    for key in VALIDATORS[:3]:
        assert requests(node.announce(key, 1)) == []
    due = node.gossip.deadline_ms(node.now_ms)
    assert due <= node.now_ms + 1_000
    assert requests(node.tell(Tick(), after_ms=1_000)) != []
    node = Node(validator=True, links=VALIDATORS[:3])
    assert requests(node.tell(Behind(height=1, peer=VALIDATORS[0]))) != []
    node = Node(validator=True, links=VALIDATORS[:3])
    assert requests(node.announce(VALIDATORS[0], 500)) == []
    assert requests(node.announce(VALIDATORS[1], 500)) != []


def test_requests_are_served_and_bounded():
    """A request becomes a read; more than a hundred in a second are a flood."""
    node = Node(links=PEERS[:1])
    ask = BlocksRequest(7, 0, 3)
    assert only(node.hear(PEERS[0], ask), Serve) == [Serve(peer=PEERS[0], number=7, first=0, count=3)]
    for _ in range(SERVED_PER_SECOND_MAX - 1):
        node.hear(PEERS[0], ask)
    assert [punish.offence for punish in only(node.hear(PEERS[0], ask), Punish)] == [Offence.FLOOD]
    assert only(node.hear(PEERS[0], ask, after_ms=1_000), Serve) != []


def test_fit_blocks_stops_at_the_limit_and_at_gaps():
    """A reply holds blocks until their bytes pass the limit, always one if there is one, and none after a gap."""
    big = bytes(BLOCKS_REPLY_BYTES - 1)
    assert fit_blocks([big, b"x", b"y"]) == (big, b"x")
    assert fit_blocks([bytes(4_000_000), b"y"]) == (bytes(4_000_000),)
    assert fit_blocks([b"x", None, b"y"]) == (b"x",)
    assert fit_blocks([None, b"y"]) == ()


def item(number, size=10):
    return Item(tx_id=bytes([number]) * 32, raw=bytes([number]) * size, valid_until_ms=0)


def test_transactions_go_to_one_validator_then_to_another():
    """An own transaction goes to one validator, after two seconds to another, to f + 1 = 2 in all."""
    node = Node(links=[*VALIDATORS[:3], PEERS[0]])
    [(first, message)] = sent(node.tell(Submit(items=(item(1), item(2)))), Forward)
    assert first in VALIDATORS
    assert message == Forward(HOPS_MAX, (item(1).raw, item(2).raw))
    assert node.gossip.deadline_ms(node.now_ms) <= node.now_ms + 2_000
    node.tell(Forget(tx_ids=(item(2).tx_id,)))
    [(second, message)] = sent(node.tell(Tick(), after_ms=2_000), Forward)
    assert second in VALIDATORS
    assert second != first
    assert message.transactions == (item(1).raw,)
    assert sent(node.tell(Tick(), after_ms=2_000), Forward) == []
    assert sent(node.tell(Tick(), after_ms=60_000), Forward) == []


def test_without_a_validator_link_the_nearest_neighbour_is_asked():
    """Hop by hop: only to a neighbour that is nearer to a validator, with one hop less each time."""
    node = Node(links=PEERS[:3])
    assert sent(node.tell(Submit(items=(item(1),))), Forward) == []
    assert node.gossip.distance == NO_ROUTE
    [(peer, message)] = sent(node.announce(PEERS[0], 0, distance=3), Forward)
    assert (peer, message) == (PEERS[0], Forward(HOPS_MAX, (item(1).raw,)))
    assert node.gossip.distance == 4
    node.announce(PEERS[1], 0, distance=1)
    [(peer, message)] = sent(node.tell(Submit(items=(item(2),), hops=3)), Forward)
    assert (peer, message.hops) == (PEERS[1], 2)
    assert sent(node.tell(Submit(items=(item(3),), hops=0)), Forward) == []


def test_what_was_relayed_is_not_kept():
    """Others' transactions are passed on once; their origin repeats them."""
    node = Node(links=VALIDATORS[:1])
    assert sent(node.tell(Submit(items=(item(1),), hops=2)), Forward) != []
    assert sent(node.tell(Tick(), after_ms=2_000), Forward) == []


def test_transactions_of_a_lost_link_take_another_at_once():
    """When the validator that got a transaction is gone, another gets it without waiting."""
    node = Node(links=VALIDATORS[:2])
    [(first, _)] = sent(node.tell(Submit(items=(item(1),))), Forward)
    [(second, _)] = sent(node.tell(Unlinked(peer=first)), Forward)
    assert {first, second} == set(VALIDATORS[:2])


def test_forwarded_frames_keep_their_limits():
    """Many or large transactions are split into as few frames as the limits allow."""
    node = Node(links=VALIDATORS[:1])
    many = tuple(Item(tx_id=n.to_bytes(32, "big"), raw=b"x", valid_until_ms=0) for n in range(FORWARD_TXS_MAX + 1))
    assert [len(m.transactions) for _, m in sent(node.tell(Submit(items=many)), Forward)] == [FORWARD_TXS_MAX, 1]
    large = tuple(Item(tx_id=n.to_bytes(32, "big"), raw=bytes(16_000), valid_until_ms=0) for n in range(1_000, 1_020))
    parts = [len(m.transactions) for _, m in sent(node.tell(Submit(items=large)), Forward)]
    assert parts == [FORWARD_BYTES_MAX // 16_000, 20 - FORWARD_BYTES_MAX // 16_000]


def test_arrived_transactions_go_to_the_driver():
    """Foreign transactions are handed up, with the hops they have left, for ingress to verify."""
    node = Node(links=PEERS[:1])
    assert only(node.hear(PEERS[0], Forward(5, (b"tx",))), Arrived) == [
        Arrived(peer=PEERS[0], transactions=(b"tx",), hops=5)
    ]


def test_tip_is_repeated_to_who_ignores_it():
    """An announcement that was lost on the way is made again; one that was heeded is not."""
    node = Node(links=PEERS[:2])
    first = sent(node.tell(Tip(height=5, block_id=bytes(32))), Announce)
    assert [peer for peer, _ in first] == PEERS[:2]
    node.hear(PEERS[0], BlocksRequest(1, 1, 5))
    assert [peer for peer, _ in sent(node.tell(Tick(), after_ms=2_000), Announce)] == [PEERS[1]]


def test_transactions_cross_the_overlay():
    """From any of sixty peers a transaction reaches a validator, directly or hop by hop, within a second."""
    world = World(validators=4, peers=60, seed=11)
    world.make_blocks(every_ms=500, until_ms=30_000)
    world.run_until(15_000)
    raws = [number.to_bytes(32, "big") for number in range(len(world.peers))]
    assert any(node.gossip.distance > 1 for node in world.peers)
    for node, raw in zip(world.peers, raws, strict=True):
        world.submit(node, raw)
    world.run_until(16_000)
    arrived = [raw for node in world.validators for raw in node.arrived]
    assert set(raws) <= set(arrived)
    assert len(arrived) == len(raws)
