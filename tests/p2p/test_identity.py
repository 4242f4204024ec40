"""Real sockets: two processes with one node key (N23).  Both are told; the remains of one lock nobody out."""

import asyncio
import dataclasses

import pytest
import uvloop

from p2p import handshake
from p2p.frames import Channel
from p2p.keeping import NOTICE_MS
from p2p.messages import Ack, Hello, Notice, Ping, Pong, Reject, Role, read_link, write
from p2p.peers import Direction
from tests.p2p.support import CALM, CHAIN, FAST, Raw, eventually, identity, in_town, made_directory, row

BOTH_LOOPS = pytest.mark.parametrize("loop_factory", [asyncio.new_event_loop, uvloop.new_event_loop])
LOW, HIGH = sorted((identity(1), identity(2)), key=lambda who: who.node_key)


@BOTH_LOOPS
def test_invalid_restored_copy_of_a_live_validator(loop_factory):
    """A copy from an old backup dials the mesh in which its newer self lives: all refuse it by name, all tell both."""

    async def scenario(town):
        people = [identity(number) for number in range(1, 5)]
        rows = [row(who) for who in people]
        made = [await town.node(who, rows, settings=CALM) for who in people]
        rows = [row(who, addresses=[network.address]) for who, (network, _) in zip(people, made, strict=True)]
        for network, _ in made:
            network.set_nodes(rows)
        for _, recorder in made:
            await recorder.until(lambda recorder=recorder: len(recorder.peers) >= 3)
        others = {who.node_key for who in people[1:]}
        copy, at_copy = await town.node(people[0], rows, settings=dataclasses.replace(CALM, second_dial_ms=1))
        at_self = made[0][1]
        await at_self.until(lambda: others == {key for key, _, _ in at_self.notices})

        def told():
            return {
                refusal.node_key
                for refusal in at_copy.refused
                if refusal.fault.spec.name == "net/DUPLICATE_IDENTITY" and "told" in refusal.fault.values
            }

        await at_copy.until(lambda: told() == others)
        assert {refusal.direction for refusal in at_copy.refused} == {Direction.OUT}
        assert {dial.last_fault.spec.name for dial in copy.dials() if dial.last_fault} == {"net/DUPLICATE_IDENTITY"}
        assert {name for _, name, _ in at_self.notices} == {"net/DUPLICATE_IDENTITY"}
        assert not at_self.lost
        assert not at_copy.peers
        network, recorder = made[1]
        await recorder.until(lambda: people[0].node_key in network.last_words())
        word = network.last_words()[people[0].node_key]
        assert (word.name, word.told) == ("net/DUPLICATE_IDENTITY", False)

    in_town(scenario, loop_factory)


@BOTH_LOOPS
def test_restart_is_not_locked_out_by_its_own_remains(loop_factory):
    """A node that was cut off and starts again is let in as soon as its old link fails to answer one probe."""

    async def scenario(town):
        rows = [row(LOW), row(HIGH, validator=False)]
        network, recorder = await town.node(LOW, rows, settings=dataclasses.replace(FAST, silence_ms=100_000))
        dead = await Raw.dial(HIGH, network.address)
        await dead.greet()
        await recorder.until(lambda: recorder.peers)
        rows = [row(LOW, addresses=[network.address]), rows[1]]
        again, at_again = await town.node(HIGH, rows, listen=None)
        again.want([LOW.node_key])
        await at_again.until(lambda: at_again.peers)
        assert at_again.refused == []
        assert recorder.lost[0][1].spec.name == "net/SILENT"
        assert recorder.refused == []
        dead.close()

    in_town(scenario, loop_factory)


def test_restart_twice_during_one_probe():
    """Of several newcomers the latest waits for the place of the dead: the earlier try may be a remainder too."""

    async def scenario(town):
        settings = dataclasses.replace(FAST, probe_ms=400, silence_ms=100_000)
        network, recorder = await town.node(LOW, [row(LOW), row(HIGH, validator=False)], settings=settings)
        dead = await Raw.dial(HIGH, network.address)
        await dead.greet()
        first, second = [await Raw.dial(HIGH, network.address) for _ in range(2)]
        first.say(Channel.LINK, write(_hello(HIGH)))
        live = network._links[HIGH.node_key].state
        await eventually(lambda: live.contender)
        answer = await second.greet()
        assert isinstance(answer, Ack)
        assert (await first.hear_link(Reject)).name == "net/DUPLICATE_IDENTITY"
        await recorder.until(lambda: len(recorder.peers) == 2)
        for raw in (dead, first, second):
            raw.close()

    in_town(scenario)


def test_a_contender_that_gives_up_harms_nobody():
    """The second connection ends before the first has answered: no notice, no refusal, no change."""

    async def scenario(town):
        network, recorder = await town.node(LOW, [row(LOW), row(HIGH, validator=False)], settings=CALM)
        first, second = [await Raw.dial(HIGH, network.address) for _ in range(2)]
        await first.greet()
        second.say(Channel.LINK, write(_hello(HIGH)))
        live = network._links[HIGH.node_key].state
        await eventually(lambda: live.contender)
        contender = live.contender.link
        second.close()
        await eventually(lambda: contender.closing)
        while True:  # the greeting's ping, then the probe
            ping = await first.hear_link(Ping)
            first.say(Channel.LINK, write(Pong(ping.number, 0, 0)))
            if ping.number == live.ping_number:
                break
        first.say(Channel.TX, b"still here")
        await recorder.until(lambda: recorder.frames)
        assert recorder.notices == []
        assert live.contender is None
        assert network.is_linked(HIGH.node_key)
        first.close()

    in_town(scenario)


def test_notices_are_rare_however_often_a_copy_tries():
    """A copy that dials without end is refused each time; the first process is told once a second at most."""

    async def scenario(town):
        network, _ = await town.node(LOW, [row(LOW), row(HIGH, validator=False)], settings=CALM)
        first = await Raw.dial(HIGH, network.address)
        await first.greet()
        notices = []

        async def live():
            while (heard := await first.hear()) is not None and heard[0] is Channel.LINK:
                message = read_link(heard[1])
                if isinstance(message, Ping):
                    first.say(Channel.LINK, write(Pong(message.number, 0, 0)))
                notices.extend([message] if isinstance(message, Notice) else [])

        living = asyncio.create_task(live())
        network._keeping.links[HIGH.node_key].state.noticed_ms = network.now_ms() + 100_000
        for tries in range(4):
            if tries == 1:
                network._keeping.links[HIGH.node_key].state.noticed_ms = -NOTICE_MS
            copy = await Raw.dial(HIGH, network.address)
            assert (await copy.greet()).name == "net/DUPLICATE_IDENTITY"
            copy.close()
            if tries == 1:
                network._keeping.links[HIGH.node_key].state.noticed_ms = network.now_ms() + 100_000
        network.send(HIGH.node_key, Channel.CONTROL, b"after it")
        await living
        assert [notice.name for notice in notices] == ["net/DUPLICATE_IDENTITY"]
        first.close()

    in_town(scenario)


class Twin:
    """A server with a node's key that says yes when the test wants it."""

    def __init__(self, who, known):
        self.who = who
        self.directory = made_directory(who, known)
        self.callers = asyncio.Queue()

    async def start(self):
        self.server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self.directory.server_context)
        return f"127.0.0.1:{self.server.sockets[0].getsockname()[1]}"

    async def _serve(self, reader, writer):
        raw = Raw(self.who, reader, writer)
        await self.callers.put((raw, await raw.hear_link(Hello)))

    async def caller(self):
        return await self.callers.get()

    async def stop(self):
        self.server.close()
        await self.server.wait_closed()


async def _dial_and_be_dialled(town, twin_answers, settings):
    """HIGH dials LOW's address, where a twin answers late; meanwhile LOW itself has linked.  Returns all parts."""
    rows = [row(LOW, validator=False), row(HIGH, validator=False)]
    twin = Twin(LOW, rows)
    rows = [row(LOW, validator=False, addresses=[await twin.start()]), rows[1]]
    network, recorder = await town.node(HIGH, rows, settings=dataclasses.replace(settings, silence_ms=100_000))
    network.want([LOW.node_key])
    late, question = await twin.caller()
    first = await Raw.dial(LOW, network.address)
    await first.greet()
    await recorder.until(lambda: recorder.peers)
    late.say(Channel.LINK, write(handshake.ack(question, _self(LOW), wall_ms=0)))
    for channel, payload in twin_answers:
        late.say(channel, payload)
    return network, recorder, twin, late, first


@BOTH_LOOPS
def test_invalid_twin_at_the_address_that_we_dial(loop_factory):
    """A second process answers our dial while the first is linked and alive: it is refused, and both are told."""

    async def scenario(town):
        extra = [(Channel.LINK, write(Ping(1, 0, 0))), (Channel.TX, b"from the twin")]
        network, recorder, twin, late, first = await _dial_and_be_dialled(town, extra, CALM)
        probed = await _answer_pings(first)
        assert probed.name == "net/DUPLICATE_IDENTITY"
        assert (await late.hear_link(Reject)).name == "net/DUPLICATE_IDENTITY"
        await recorder.until(lambda: recorder.refused)
        assert [(refusal.direction, refusal.fault.spec.name) for refusal in recorder.refused] == [
            (Direction.OUT, "net/DUPLICATE_IDENTITY")
        ]
        assert "told" not in recorder.refused[0].fault.values
        assert recorder.frames == []
        assert network.is_linked(LOW.node_key)
        first.close()
        late.close()
        await twin.stop()

    in_town(scenario, loop_factory)


@BOTH_LOOPS
@pytest.mark.parametrize("notice_first", [True, False])
def test_our_own_crossing_dial_is_no_second_process(loop_factory, notice_first):
    """A peer that linked first refuses our dial as a second process, and says so: nobody is told, it was us."""

    async def scenario(town):
        rows = [row(LOW, validator=False), row(HIGH, validator=False)]
        twin = Twin(LOW, rows)
        rows = [row(LOW, validator=False, addresses=[await twin.start()]), rows[1]]
        network, recorder = await town.node(HIGH, rows, settings=CALM)
        network.want([LOW.node_key])
        late, _ = await twin.caller()
        first = await Raw.dial(LOW, network.address)
        await first.greet()
        await recorder.until(lambda: recorder.peers)
        words = [(first, Notice("net/DUPLICATE_IDENTITY", "")), (late, Reject("net/DUPLICATE_IDENTITY", "", ()))]
        for connection, message in words if notice_first else reversed(words):
            connection.say(Channel.LINK, write(message))
        first.say(Channel.TX, b"and then")
        await recorder.until(lambda: recorder.frames)
        assert recorder.notices == []
        assert network.is_linked(LOW.node_key)
        first.close()
        late.close()
        await twin.stop()

    in_town(scenario, loop_factory)


@BOTH_LOOPS
def test_our_dial_takes_the_place_of_a_dead_link(loop_factory):
    """The link that came meanwhile is dead: what we dialled comes up instead, with all that it has said since."""

    async def scenario(town):
        extra = [(Channel.TX, b"one"), (Channel.LINK, write(Ping(1, 0, 0))), (Channel.TX, b"two")]
        network, recorder, twin, late, dead = await _dial_and_be_dialled(town, extra, FAST)
        await recorder.until(lambda: len(recorder.frames) == 2)
        assert recorder.frames == [(LOW.node_key, Channel.TX, b"one"), (LOW.node_key, Channel.TX, b"two")]
        assert (await late.hear_link(Pong)).number == 1
        assert recorder.lost[0][1].spec.name == "net/SILENT"
        assert recorder.peers[1].direction is Direction.OUT
        assert recorder.refused == []
        assert network.dials() == []
        dead.close()
        late.close()
        await twin.stop()

    in_town(scenario, loop_factory)


def test_invalid_removed_while_we_dialled():
    """A node that the registry removes before it has answered our HELLO is refused by name."""

    async def scenario(town):
        rows = [row(LOW, validator=False), row(HIGH, validator=False)]
        twin = Twin(LOW, rows)
        rows = [row(LOW, validator=False, addresses=[await twin.start()]), rows[1]]
        network, recorder = await town.node(HIGH, rows)
        network.want([LOW.node_key])
        late, question = await twin.caller()
        network.set_nodes(rows[1:])
        late.say(Channel.LINK, write(handshake.ack(question, _self(LOW), wall_ms=0)))
        assert (await late.hear_link(Reject)).name == "net/NOT_REGISTERED"
        await recorder.until(lambda: recorder.refused)
        assert recorder.names() == ["net/NOT_REGISTERED"]
        assert not recorder.peers
        late.close()
        await twin.stop()

    in_town(scenario)


def test_crossed_dials_are_no_failure():
    """Both dial each other: the higher one's connection is given up by name, and nobody is told of a failure."""

    async def scenario(town):
        rows = [row(LOW, validator=False), row(HIGH, validator=False)]
        twin = Twin(HIGH, rows)
        rows = [rows[0], row(HIGH, validator=False, addresses=[await twin.start()])]
        network, recorder = await town.node(LOW, rows)
        network.want([HIGH.node_key])
        late, question = await twin.caller()
        crossing = await Raw.dial(HIGH, network.address)
        assert (await crossing.greet()).name == "net/CROSSED"
        late.say(Channel.LINK, write(handshake.ack(question, _self(HIGH), wall_ms=0)))
        await recorder.until(lambda: recorder.peers)
        assert recorder.peers[0].direction is Direction.OUT
        assert recorder.lost == []
        crossing.close()
        late.close()
        await twin.stop()

    in_town(scenario)


def test_who_always_crosses_is_reported():
    """To be told once that our dial crossed another is nothing; twice in a row is a failure like any other."""

    async def scenario(town):
        rows = [row(LOW, validator=False), row(HIGH, validator=False)]
        twin = Twin(HIGH, rows)
        rows = [rows[0], row(HIGH, validator=False, addresses=[await twin.start()])]
        network, recorder = await town.node(LOW, rows)
        network.want([HIGH.node_key])
        for _ in range(2):
            assert recorder.refused == []
            late, _ = await twin.caller()
            late.say(Channel.LINK, write(Reject("net/CROSSED", "", ())))
        await recorder.until(lambda: recorder.refused)
        assert recorder.names() == ["net/CROSSED"]
        await network.stop()
        await twin.stop()

    in_town(scenario)


async def _answer_pings(raw):
    """Live until a notice comes; return it."""
    while True:
        channel, payload = await raw.hear()
        message = read_link(payload)
        if isinstance(message, Notice):
            return message
        if isinstance(message, Ping):
            raw.say(channel, write(Pong(message.number, 0, 0)))


def _self(who):
    return handshake.Self(node_key=who.node_key, chain=CHAIN, role=Role.PEER, height=0, listen="")


def _hello(who):
    return handshake.hello(_self(who), wall_ms=0, nonce=bytes(16))
