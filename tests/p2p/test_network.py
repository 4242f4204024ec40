"""Real sockets and real TLS on loopback: who links with whom, and what a link carries and withstands."""

import asyncio
import dataclasses
import random

import pytest
import uvloop

from cccnode.types.errors import NET_CLOSED, Fault, fault
from p2p.frames import LIMITS, Channel
from p2p.messages import Ping, Pong, Reject, write
from p2p.scores import Offence
from tests.p2p.support import FAST, Raw, eventually, identity, in_town, pair, row

BOTH_LOOPS = pytest.mark.parametrize("loop_factory", [asyncio.new_event_loop, uvloop.new_event_loop])


@BOTH_LOOPS
def test_two_validators_link_and_talk(loop_factory):
    """Two registered validators find each other once, and payloads of every size arrive in order within a channel."""

    async def scenario(town):
        a, at_a, b, at_b = await pair(town, height=7)
        rng = random.Random(1)
        sent = [
            (channel, rng.randbytes(size))
            for channel in (Channel.BLOCK, Channel.CONSENSUS, Channel.TX)
            for size in (0, 1, 65_536, 65_537, 200_000)
        ]
        for channel, payload in sent:
            assert a.send(at_a.peers[0].node_key, channel, payload)
        await at_b.until(lambda: len(at_b.frames) == len(sent))
        for channel in (Channel.BLOCK, Channel.CONSENSUS, Channel.TX):
            assert [p for _, c, p in at_b.frames if c == channel] == [p for c, p in sent if c == channel]
        assert [len(a.peers()), len(b.peers())] == [1, 1]
        assert a.peers()[0].height == 7
        assert not at_a.refused

    in_town(scenario, loop_factory)


@BOTH_LOOPS
def test_mesh_has_one_link_a_pair(loop_factory):
    """Four validators that all dial each other at once end with exactly one link each, and no alarm."""

    async def scenario(town):
        people = [identity(number) for number in range(1, 5)]
        settings = dataclasses.replace(FAST, second_dial_ms=1)
        made = [await town.node(who, [row(other) for other in people], settings=settings) for who in people]
        nodes = [row(who, addresses=[network.address]) for who, (network, _) in zip(people, made, strict=True)]
        for network, _ in made:
            network.set_nodes(nodes)
            for node in nodes:
                network.hint(node.node_key, node.addresses[0])
        for _, recorder in made:
            await recorder.until(lambda recorder=recorder: len(recorder.peers) >= 3)
        for network, recorder in made:
            assert sorted(peer.node_key for peer in network.peers()) == sorted(
                node.node_key for node in nodes if node.node_key != network._identity.node_key
            )
            assert not recorder.lost
            assert not recorder.notices

    in_town(scenario, loop_factory)


@BOTH_LOOPS
def test_redials_after_a_restart(loop_factory):
    """When the other side goes and comes back at its address, the link is up again by itself."""

    async def scenario(town):
        a, b = sorted((identity(1), identity(2)), key=lambda who: who.node_key)
        first, _ = await town.node(b, [row(a), row(b)])
        dialler, recorder = await town.node(a, [row(a), row(b, addresses=[first.address])])
        await recorder.until(lambda: recorder.peers)
        await first.stop()
        await recorder.until(lambda: recorder.lost and "net/UNREACHABLE" in recorder.names())
        assert recorder.lost[0][1].spec.name == "net/CLOSED"
        waiting = dialler.dials()[0]
        assert (waiting.last_fault.spec.name, waiting.attempts > 0) == ("net/UNREACHABLE", True)
        _, again = await town.node(b, [row(a), row(b)], listen=first.address)
        await again.until(lambda: again.peers)
        await recorder.until(lambda: len(recorder.peers) == 2)
        assert dialler.dials() == []

    in_town(scenario, loop_factory)


def test_higher_key_dials_when_the_lower_cannot():
    """Of a pair, the higher key dials after a while too: one direction through a firewall is enough."""

    async def scenario(town):
        a, b = sorted((identity(1), identity(2)), key=lambda who: who.node_key)
        low, at_low = await town.node(a, [row(a), row(b)])
        _, at_high = await town.node(b, [row(a, addresses=[low.address]), row(b)])
        await at_low.until(lambda: at_low.peers)
        assert at_high.names() == []
        assert at_low.peers[0].direction.value == "in"

    in_town(scenario)


def test_ping_measures_clock_skew_and_round_trip():
    """A partner whose clock is five seconds ahead is seen so, within the round trip."""

    async def scenario(town):
        a, b = sorted((identity(1), identity(2)), key=lambda who: who.node_key)
        ahead, _ = await town.node(b, [row(a), row(b)], wall_ms=lambda: 1_005_000, height=41)
        network, recorder = await town.node(a, [row(a), row(b, addresses=[ahead.address])], wall_ms=lambda: 1_000_000)
        recorder.on = lambda *_: None
        await recorder.until(lambda: recorder.peers)
        ahead.send(a.node_key, Channel.CONTROL, b"after the pong")
        await recorder.until(lambda: recorder.frames)
        await eventually(lambda: network.peers()[0].rtt_ms is not None)
        info = network.peers()[0]
        assert 5_000 <= info.clock_skew_ms <= 5_000 + info.rtt_ms
        assert info.height == 41

    in_town(scenario)


def test_slow_reader_fills_its_own_queue_only():
    """A peer that does not read: its queue overflows and `send` says no, others get everything, then it is dead."""

    async def scenario(town):
        own, slow, quick = identity(1), identity(2), identity(3)
        rows = [row(own), row(slow, validator=False), row(quick, validator=False)]
        settings = dataclasses.replace(FAST, silence_ms=1_500)
        network, recorder = await town.node(own, rows, settings=settings)
        raw = await Raw.dial(slow, network.address)
        await raw.greet()
        raw.reader._transport.pause_reading()
        _, at_quick = await town.node(quick, [row(own, addresses=[network.address]), *rows[1:]], listen=None)
        town.networks[-1].want([own.node_key])
        await recorder.until(lambda: len(recorder.peers) == 2)
        payload = bytes(300_000)
        taken = 0
        while network.send(slow.node_key, Channel.BATCH, payload):
            taken += 1
            await asyncio.sleep(0)
        queued = next(peer for peer in network.peers() if peer.node_key == slow.node_key).queued_bytes
        assert LIMITS[Channel.BATCH].queue_bytes - 400_000 < queued <= LIMITS[Channel.BATCH].queue_bytes + 100
        assert network.counters().peers[slow.node_key][Channel.BATCH].dropped == 1
        assert network.send(slow.node_key, Channel.CONSENSUS, b"a channel of its own")
        for number in range(50):
            network.broadcast([slow.node_key, quick.node_key], Channel.CONSENSUS, bytes([number]) * 1_000)
        await at_quick.until(lambda: len(at_quick.frames) == 50)
        raw.say(Channel.TX, b"it talks, it only does not listen")
        await recorder.until(lambda: recorder.lost)
        assert recorder.lost[0][0] == slow.node_key
        assert (recorder.lost[0][1].spec.name, recorder.lost[0][1].values["why"]) == ("net/SILENT", "takes nothing")
        raw.close()

    in_town(scenario)


def test_urgent_frames_overtake_bulk():
    """A vote queued behind megabytes of blocks arrives before most of them."""

    async def scenario(town):
        a, at_a, _, at_b = await pair(town)
        peer = at_a.peers[0].node_key
        for _ in range(3):
            a.send(peer, Channel.BLOCK, bytes(4_000_000))
        a.send(peer, Channel.CONSENSUS, b"vote")
        await at_b.until(lambda: len(at_b.frames) == 4)
        assert at_b.frames[0][1:] == (Channel.CONSENSUS, b"vote")

    in_town(scenario)


def test_small_frames_of_one_turn_leave_in_one_write(monkeypatch):
    """A hundred votes sent in one turn of the loop cost one write."""

    async def scenario(town):
        a, at_a, _, at_b = await pair(town)
        writes = []
        link = next(iter(a._links.values()))
        transport = link._transport
        monkeypatch.setattr(link, "_transport", type("T", (), {
            "write": lambda _, data: (writes.append(len(data)), transport.write(data)),
            "abort": lambda _: transport.abort(), "close": lambda _: transport.close(),
        })())  # fmt: skip
        for number in range(100):
            a.send(at_a.peers[0].node_key, Channel.CONSENSUS, bytes([number]))
        await at_b.until(lambda: len(at_b.frames) == 100)
        assert len(writes) == 1

    in_town(scenario)


@BOTH_LOOPS
def test_backpressure_by_channel(loop_factory):
    """A paused channel: the sender's queue fills there only, others flow; after resuming all arrives in order."""

    async def scenario(town):
        a, at_a, b, at_b = await pair(town)
        to_b, to_a = at_a.peers[0].node_key, at_b.peers[0].node_key
        b.pause(to_a, Channel.BATCH)
        b.send(to_a, Channel.CONTROL, b"paused")
        await at_a.until(lambda: at_a.frames)
        assert a.peers()[0].paused == (Channel.BATCH,)
        sent = [bytes([number]) * 200_000 for number in range(30)]
        assert all(a.send(to_b, Channel.BATCH, payload) for payload in sent)
        a.send(to_b, Channel.CONSENSUS, b"vote")
        await at_b.until(lambda: at_b.frames)
        assert [frame[2] for frame in at_b.frames] == [b"vote"]
        assert a.peers()[0].queued_bytes > 5_000_000
        b.resume(to_a, Channel.BATCH)
        await at_b.until(lambda: len(at_b.frames) == 31)
        assert [frame[2] for frame in at_b.frames[1:]] == sent

    in_town(scenario, loop_factory)


@BOTH_LOOPS
def test_pausing_holds_what_a_deaf_peer_goes_on_sending(loop_factory):
    """A peer that ignores PAUSE is held, then not read at all; nothing is lost and the order stays."""

    async def scenario(town):
        own, other = identity(1), identity(2)
        network, recorder = await town.node(own, [row(own), row(other, validator=False)])
        raw = await Raw.dial(other, network.address)
        await raw.greet()
        await recorder.until(lambda: recorder.peers)
        network.pause(other.node_key, Channel.BATCH)
        for number in range(80):
            raw.say(Channel.BATCH, bytes([number]) * 250_000)
        link = network._links[other.node_key]
        await eventually(lambda: not link.reading)
        assert recorder.frames == []
        assert link._held_bytes < 12_000_000
        recorder.on = lambda *_: network.pause(other.node_key, Channel.BATCH)
        network.resume(other.node_key, Channel.BATCH)
        await recorder.until(lambda: recorder.frames)
        await asyncio.sleep(0)
        assert len(recorder.frames) == 1
        recorder.on = None
        network.resume(other.node_key, Channel.BATCH)
        await recorder.until(lambda: len(recorder.frames) == 80)
        assert [frame[2][0] for frame in recorder.frames] == list(range(80))
        raw.close()

    in_town(scenario, loop_factory)


def test_silent_peer_is_found_dead():
    """A peer that answers no ping and says nothing is dropped by name."""

    async def scenario(town):
        own, other = identity(1), identity(2)
        settings = dataclasses.replace(FAST, silence_ms=300)
        network, recorder = await town.node(own, [row(own), row(other, validator=False)], settings=settings)
        raw = await Raw.dial(other, network.address)
        await raw.greet()
        await recorder.until(lambda: recorder.lost)
        assert (recorder.lost[0][1].spec.name, recorder.lost[0][1].values["why"]) == ("net/SILENT", "says nothing")
        raw.close()

    in_town(scenario)


def test_second_connection_replaces_a_dead_one():
    """A node that was cut off and comes back is let in: its old link does not answer the probe."""

    async def scenario(town):
        own, other = identity(1), identity(2)
        network, recorder = await town.node(own, [row(own), row(other, validator=False)])
        dead = await Raw.dial(other, network.address)
        await dead.greet()
        await recorder.until(lambda: recorder.peers)
        fresh = await Raw.dial(other, network.address)
        assert (await fresh.greet()).height == 0
        assert recorder.lost[0][1].spec.name == "net/SILENT"
        assert len(recorder.peers) == 2
        dead.close()
        fresh.close()

    in_town(scenario)


def test_ping_is_answered_and_height_noted():
    """PING n gets PONG n with our clock and height; the height it brought shows in the peer's row."""

    async def scenario(town):
        own, other = identity(1), identity(2)
        network, recorder = await town.node(own, [row(own), row(other, validator=False)], wall_ms=lambda: 77)
        network.set_height(12)
        raw = await Raw.dial(other, network.address)
        await raw.greet()
        raw.say(Channel.LINK, write(Ping(5, 0, 99)))
        assert await raw.hear_link(Pong) == Pong(5, 77, 12)
        assert network.peers()[0].height == 99
        assert recorder.peers[0].address.startswith("127.0.0.1:")
        raw.close()

    in_town(scenario)


def test_live_admission_and_removal():
    """A node registered while others run gets in at once; removed, it is told so, dropped, and kept out."""

    async def scenario(town):
        own, fresh = identity(1), identity(2)
        network, recorder = await town.node(own, [row(own)])
        rows = [row(own, addresses=[network.address]), row(fresh, validator=False)]
        joiner, at_joiner = await town.node(fresh, rows, listen=None)
        joiner.want([own.node_key])
        await at_joiner.until(lambda: "net/NOT_REGISTERED" in at_joiner.names())
        network.set_nodes(rows)
        await at_joiner.until(lambda: at_joiner.peers)
        await recorder.until(lambda: recorder.peers)
        refusals = len(at_joiner.refused)
        network.set_nodes([row(own)])
        await recorder.until(lambda: recorder.lost)
        await at_joiner.until(lambda: at_joiner.lost and len(at_joiner.refused) > refusals)
        assert recorder.lost[0][1].spec.name == "net/NOT_REGISTERED"
        assert at_joiner.lost[0][1].spec.name == "net/NOT_REGISTERED"
        assert at_joiner.names()[-1] == "net/NOT_REGISTERED"

    in_town(scenario)


def test_want_is_the_complete_set():
    """Nodes no longer wanted are not dialled any more; an unregistered one never is."""

    async def scenario(town):
        own, other = identity(1), identity(2)
        network, _ = await town.node(own, [row(own, validator=False), row(other, addresses=["127.0.0.1:1"])])
        network.want([other.node_key, bytes(32)])
        assert [dial.node_key for dial in network.dials()] == [other.node_key]
        network.want([])
        assert network.dials() == []

    in_town(scenario)


def test_port_in_use():
    """Listening where somebody already does, or on no address at all, is refused by name."""

    async def scenario(town):
        network, _ = await town.node(identity(1), [row(identity(1))])
        with pytest.raises(Fault, match="home/PORT_IN_USE"):
            await town.node(identity(2), [], listen=network.address)
        for wrong in ("nonsense", "127.0.0.1:99999", "203.0.113.7:0", ":1"):
            with pytest.raises(Fault, match="config/INVALID"):
                await town.node(identity(2), [], listen=wrong)

    in_town(scenario)


def test_offences_add_up_to_a_ban():
    """A peer at the limit is dropped with its offences named, and refused while the ban lasts."""

    async def scenario(town):
        own, other = identity(1), identity(2)
        network, recorder = await town.node(own, [row(own), row(other, validator=False)])
        raw = await Raw.dial(other, network.address)
        await raw.greet()
        await recorder.until(lambda: recorder.peers)
        network.offence(other.node_key, Offence.UNSOLICITED)
        network.offence(other.node_key, Offence.INVALID_BLOCK, "block 7")
        goodbye = await raw.hear_link(Reject)
        assert goodbye.name == "net/MISBEHAVED"
        assert "invalid_block: 1, unsolicited: 1" in goodbye.text
        await recorder.until(lambda: recorder.lost)
        again = await Raw.dial(other, network.address)
        assert (await again.greet()).name == "net/MISBEHAVED"
        network.offence(bytes(32), Offence.MALFORMED)
        raw.close()
        again.close()

    in_town(scenario)


def test_counters_follow_the_traffic():
    """Frames and bytes are counted by channel and peer, and kept when the link is gone."""

    async def scenario(town):
        a, at_a, b, at_b = await pair(town)
        a.send(at_a.peers[0].node_key, Channel.HAVE, bytes(70))
        await at_b.until(lambda: at_b.frames)
        sent = a.counters().peers[at_a.peers[0].node_key][Channel.HAVE]
        assert (sent.frames_out, sent.bytes_out) == (1, 70)
        got = b.counters().channels[Channel.HAVE]
        assert (got.frames_in, got.bytes_in) == (1, 70)
        a.drop(at_a.peers[0].node_key, fault(NET_CLOSED, why="test"))
        await at_b.until(lambda: at_b.lost)
        assert b.counters().channels[Channel.HAVE].bytes_in == 70
        assert b.counters().losses == {"net/CLOSED": 1}
        assert a.counters().dials >= 1
        assert b.counters().accepted >= 1

    in_town(scenario)


def test_send_to_nobody_and_too_much():
    """Sending to a node that is not linked says no; a payload above its channel's limit is our own mistake."""

    async def scenario(town):
        a, at_a, _, _ = await pair(town)
        assert not a.send(bytes(32), Channel.TX, b"x")
        assert a.broadcast([bytes(32)], Channel.TX, b"x") == 0
        assert a.is_linked(at_a.peers[0].node_key)
        assert not a.is_linked(bytes(32))
        with pytest.raises(Fault, match="net/OVERSIZE_FRAME"):
            a.send(at_a.peers[0].node_key, Channel.HAVE, bytes(LIMITS[Channel.HAVE].payload_bytes + 1))

    in_town(scenario)
