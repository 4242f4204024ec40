"""The overlay in one process and virtual time: 4 validators and 4, 20 or 60 peers, all from one seed."""

import random

import pytest

from cccnode.types.limits import PEERS_PER_VALIDATOR_MAX
from p2p.events import Contact, DialFailed, Hangup, Registered, Want
from p2p.messages import NO_ROUTE
from p2p.overlay import COOL_MAX_MS, LONELY_COOL_MS, GossipConfig, Overlay
from p2p.scores import Offence
from tests.p2p.world import World

BLOCK_MS = 500


def settled(peers: int, seed: int = 1, **config) -> World:
    """A network that has run for twenty seconds, with what was sent until then taken off."""
    world = World(validators=4, peers=peers, seed=seed, **config)
    world.make_blocks(every_ms=BLOCK_MS, until_ms=59_000)
    world.run_until(20_000)
    for node in world.nodes.values():
        node.sent_bytes = 0
    return world


@pytest.fixture(scope="module")
def sixty():
    world = settled(60)
    world.run_until(61_000)
    return world


def test_validators_take_eight_peers_at_most(sixty):
    """However many peers there are, a validator never has more than eight of them; peers stay at a small degree."""
    assert max(node.links_max for node in sixty.validators) == PEERS_PER_VALIDATOR_MAX
    assert max(node.links_max for node in sixty.peers) <= 16
    assert sum(len(node.links) for node in sixty.peers) / 60 < 10


def test_every_peer_reaches_the_tip_quickly(sixty):
    """All sixty have every block, within a second of the validators, and nobody was accused of anything."""
    assert {node.height for node in sixty.peers} == {sixty.validators[0].height}
    delays = [
        node.heard_ms[height] - min(other.heard_ms[height] for other in sixty.validators)
        for node in sixty.peers
        for height in range(40, sixty.validators[0].height)
    ]
    assert max(delays) < 1_000
    assert not any(node.punished for node in sixty.nodes.values())


def test_validator_bytes_do_not_grow_with_the_peers(sixty):
    """What the busiest validator sends is the same, within a tenth, for twenty peers and for sixty."""
    twenty = settled(20)
    twenty.run_until(61_000)
    assert {node.height for node in twenty.peers} == {twenty.validators[0].height}
    most = max(node.sent_bytes for node in twenty.validators)
    assert max(node.sent_bytes for node in sixty.validators) <= most * 11 // 10
    assert (
        sum(node.sent_bytes for node in sixty.validators) <= sum(node.sent_bytes for node in twenty.validators) * 5 // 4
    )


def test_few_peers_take_what_there_is():
    """Four validators and four peers, and a peer all alone with them, work the same way."""
    for peers in (1, 4):
        world = settled(peers)
        world.run_until(61_000)
        assert {node.height for node in world.peers} == {world.validators[0].height}
        assert all(len(node.links) >= min(3, peers + 2) for node in world.peers)


@pytest.mark.parametrize("seed", [2, 3])
def test_survives_the_loss_of_a_third(seed):
    """Twenty of sixty peers vanish without a word: the others stay at the tip, and are linked anew."""
    world = settled(60, seed=seed)
    for node in world.peers[::3]:
        world.kill(node)
    world.run_until(61_000)
    assert len(world.peers) == 40
    assert {node.height for node in world.peers} == {world.validators[0].height}
    assert all(len(node.links) >= 5 for node in world.peers)
    assert all(node.gossip.distance <= 3 for node in world.peers)


def test_survives_validators_that_vanish():
    """When two validators vanish, peers find the others, directly or through each other."""
    world = settled(20, seed=4)
    for node in world.validators[:2]:
        world.kill(node)
    world.run_until(61_000)
    top = world.validators[2].height
    assert {node.height for node in world.peers} == {top}
    assert top > 100


def test_mute_and_lying_peers_stop_nobody():
    """A quarter of the peers announce and answer nothing, or wrong blocks: the rest reach the tip, liars are found."""
    world = World(validators=4, peers=40, seed=5)
    for node in world.peers[::8]:
        node.mute = True
    for node in world.peers[1::8]:
        node.liar = True
    world.make_blocks(every_ms=2_000, until_ms=58_000)
    world.run_until(66_000)
    assert {node.height for node in world.peers} == {world.validators[0].height}
    offences = {punish.offence for node in world.peers for punish in node.punished}
    assert offences == {Offence.TIMEOUT, Offence.INVALID_BLOCK}


def test_same_seed_same_run():
    """A run is a function of its seed."""
    runs = [settled(12, seed=9) for _ in range(2)]
    for world in runs:
        world.run_until(30_000)
    first, second = ([(node.links, node.sent, node.heard_ms) for node in world.nodes.values()] for world in runs)
    assert first == second


def test_idle_island_exchanges_a_link():
    """Without a block for a minute and a half a peer lets one link go and looks for another."""
    world = World(validators=4, peers=30, seed=6)
    world.run_until(80_000)
    before = {node.key: set(node.links) for node in world.peers}
    world.run_until(120_000)
    assert all(node.links != before[node.key] for node in world.peers)
    assert all(len(node.links) >= 5 for node in world.peers)


def test_late_joiner_catches_up():
    """A peer that starts from nothing pulls a growing chain by ranges until it has all of it."""
    world = World(validators=4, peers=10, seed=7)
    late = world.peers[0]
    late.alive = False
    world.make_blocks(every_ms=50, until_ms=30_000)
    world.run_until(20_000)
    late.alive = True
    for key in sorted(late.wanted):
        world.dial(late.key, key)
    world.run_until(31_000)
    assert late.height == world.validators[0].height > 550
    assert late.sent["BlocksRequest"] < 300


def test_wiped_validator_pulls_from_the_others():
    """A validator without data, to which consensus brings nothing, gets the old blocks from the mesh."""
    world = World(validators=4, peers=0, seed=7)
    world.make_blocks(every_ms=50, until_ms=10_000)
    wiped = world.validators[0]
    wiped.deaf = True
    world.run_until(30_000)
    assert wiped.height == world.validators[1].height > 190
    assert not wiped.punished


def test_unreachable_nodes_are_left_alone_ever_longer():
    """A node that cannot be linked is tried rarely; without any link at all nobody is waited for long."""
    world = World(validators=1, peers=1, seed=8)
    node = world.peers[0]
    target = world.validators[0].key
    now, waits = 0, []
    world.validators[0].alive = False
    assert node.wanted == {target}
    for _ in range(8):
        assert not any(
            isinstance(effect, Want) and effect.keys for effect in node.gossip.handle(DialFailed(peer=target), now)
        )
        then = node.gossip.deadline_ms(now)
        waits.append(then - now)
        now = then
        world.now_ms = now
        effects = node.gossip.handle(Registered(contacts=world.contacts), now)
        assert effects == [Want(keys=(target,))]
    assert max(waits) <= LONELY_COOL_MS < COOL_MAX_MS


OWN = b"\x00" * 32
KEYS = [bytes([number]) * 32 for number in range(1, 21)]


def overlay_of(*, validators, links):
    """One node's overlay with the links named, and its registry event."""
    overlay = Overlay(GossipConfig(node_key=OWN), random.Random(1))
    overlay.register(registry(validators), 0)
    for key in links:
        overlay.linked(key, "", 0)
    return overlay


def registry(validators):
    return [Contact(node_key=key, validator=key in validators, addresses=()) for key in (OWN, *KEYS)]


def test_a_peer_that_becomes_validator_keeps_eight_peers():
    """It looks for nobody any more (the mesh is the network's), and ends the links that a validator does not keep."""
    overlay = overlay_of(validators=KEYS[:4], links=[KEYS[0], *KEYS[5:15]])
    effects = overlay.register(registry([OWN, *KEYS[:4]]), 1)
    assert [effect for effect in effects if isinstance(effect, Want)][-1:] in ([], [Want(keys=())])
    gone = [effect.peer for effect in effects if isinstance(effect, Hangup)]
    assert gone == KEYS[5 + PEERS_PER_VALIDATOR_MAX : 15]
    assert overlay.validator
    assert overlay.register(registry([OWN, *KEYS[:4]]), 2) == []


def test_a_validator_that_becomes_peer_leaves_the_mesh():
    """It keeps one validator, and looks for peers from then on."""
    overlay = overlay_of(validators=[OWN, *KEYS[:4]], links=KEYS[:4])
    effects = overlay.register(registry(KEYS[:4]), 1)
    assert [effect.peer for effect in effects if isinstance(effect, Hangup)] == KEYS[1:4]
    [want] = [effect for effect in effects if isinstance(effect, Want)]
    assert want.keys
    assert not set(want.keys) & set(KEYS[:4])


def test_roles_of_neighbours_follow_the_registry():
    """A neighbour that is no validator any more is no way to one until it says so; one that became one is."""
    overlay = overlay_of(validators=KEYS[:2], links=KEYS[:4])
    overlay.neighbours[KEYS[0]].distance = 0
    overlay.register(registry([KEYS[1], KEYS[2]]), 1)
    assert [overlay.neighbours[key].validator for key in KEYS[:4]] == [False, True, True, False]
    assert overlay.neighbours[KEYS[0]].distance == NO_ROUTE
    assert overlay.validators == 2


def test_peers_follow_validators_that_change():
    """Half of the validators are replaced while all run: every peer stays at the tip."""
    world = settled(20, seed=12)
    leaving, coming = world.validators[:2], world.peers[:2]
    for node in leaving:
        node.validator = False
    for node in coming:
        node.validator = True
    world.contacts = tuple(
        Contact(node_key=node.key, validator=node.validator, addresses=("somewhere:1",))
        for node in world.nodes.values()
    )
    for node in world.nodes.values():
        world.tell(node, Registered(contacts=world.contacts))
    for node in coming:
        for other in world.validators:
            if other.key not in node.links and other is not node:
                world.link(*sorted((node.key, other.key)))
    world.run_until(61_000)
    assert {node.height for node in world.nodes.values()} == {world.validators[0].height}
    assert all(0 < len(node.links) <= 16 for node in leaving)
    peers_of = [sum(not world.nodes[key].validator for key in node.links) for node in world.validators]
    assert max(peers_of) <= PEERS_PER_VALIDATOR_MAX + len(leaving)
