"""Every connection that does not come about is named on both sides, with what to do about it."""

import asyncio
import dataclasses

import pytest
import uvloop
from msgspec.structs import replace

from cccnode.types.errors import Fault
from cccnode.types.validators import node_id
from p2p import handshake
from p2p.directory import Identity
from p2p.frames import Channel
from p2p.messages import Notice, Ping, Pong, Reject, Role, write
from p2p.peers import Direction
from tests.p2p.support import CALM, CHAIN, FAST, OTHER_CHAIN, Raw, identity, in_town, made_directory, row

BOTH_LOOPS = pytest.mark.parametrize("loop_factory", [asyncio.new_event_loop, uvloop.new_event_loop])


async def refused_dial(town, *, acceptor, dialler, at_acceptor, at_dialler, **dial_options):
    """Let `dialler` dial `acceptor` until both have had a refusal; return the network and the two refusals."""
    network, recorder = await town.node(acceptor, at_acceptor)
    rows = [dataclasses.replace(node, addresses=(network.address,)) for node in at_dialler]
    other, at_other = await town.node(dialler, rows, listen=None, **dial_options)
    other.want([node.node_key for node in rows if node.node_key != dialler.node_key])
    await at_other.until(lambda: at_other.refused)
    await recorder.until(lambda: recorder.refused)
    assert not recorder.peers
    assert not at_other.peers
    assert (recorder.refused[0].direction, at_other.refused[0].direction) == (Direction.IN, Direction.OUT)
    return network, recorder.refused[0], at_other.refused[0]


@BOTH_LOOPS
def test_invalid_stranger(loop_factory):
    """An unregistered dialler: TLS fails there, and its own side says where, who it is and what to do (J14)."""

    async def scenario(town):
        own, stranger = identity(1), identity(2)
        network, there, here = await refused_dial(
            town, acceptor=own, dialler=stranger, at_acceptor=[row(own)],
            at_dialler=[row(own), row(stranger, validator=False)],
        )  # fmt: skip
        assert there.fault.spec.name == "net/NOT_REGISTERED"
        assert there.node_key is None
        assert here.fault.spec.name == "net/NOT_REGISTERED"
        values = here.fault.values
        assert values["at"] == network.address
        assert values["own_node_id"] == node_id(stranger.node_key).hex()
        assert values["own_node_id"] in str(values["remedy"])

    in_town(scenario, loop_factory)


@BOTH_LOOPS
def test_invalid_other_chain(loop_factory):
    """A node of another chain: both sides say WRONG_CHAIN, with the two chains."""

    async def scenario(town):
        own, other = identity(1), identity(2)
        both = [row(own), row(other, validator=False)]
        _, there, here = await refused_dial(
            town, acceptor=own, dialler=other, at_acceptor=both, at_dialler=both, chain=OTHER_CHAIN
        )
        assert there.fault.spec.name == here.fault.spec.name == "net/WRONG_CHAIN"
        assert there.fault.values == {"acceptor_chain": CHAIN, "dialler_chain": OTHER_CHAIN}
        assert CHAIN.hex() in str(here.fault.values["told"])
        assert there.node_key == other.node_key

    in_town(scenario, loop_factory)


def test_invalid_version(monkeypatch):
    """A node of a future protocol only: both sides say VERSION, with the two ranges."""
    say = handshake.hello
    other = identity(2)

    def future(own, **values):
        message = say(own, **values)
        return replace(message, protocol_min=7, protocol_max=9) if own.node_key == other.node_key else message

    monkeypatch.setattr(handshake, "hello", future)

    async def scenario(town):
        own = identity(1)
        both = [row(own), row(other, validator=False)]
        _, there, here = await refused_dial(town, acceptor=own, dialler=other, at_acceptor=both, at_dialler=both)
        assert there.fault.spec.name == here.fault.spec.name == "net/VERSION"
        assert there.fault.values == {"own": "1..1", "its": "7..9"}

    in_town(scenario)


@BOTH_LOOPS
def test_invalid_pinned_key(loop_factory):
    """Another registered node answers at the address: the dialler names both ids, the acceptor hears it too."""

    async def scenario(town):
        own, other, expected = identity(1), identity(2), identity(3)
        all_three = [row(own, validator=False), row(other, validator=False), row(expected, validator=False)]
        network, recorder = await town.node(own, all_three)
        rows = [*all_three[:2], row(expected, validator=False, addresses=[network.address])]
        dialler, at_dialler = await town.node(other, rows, listen=None)
        dialler.want([expected.node_key])
        await at_dialler.until(lambda: at_dialler.refused)
        await recorder.until(lambda: recorder.refused)
        here, there = at_dialler.refused[0], recorder.refused[0]
        assert here.fault.spec.name == there.fault.spec.name == "net/WRONG_IDENTITY"
        assert here.fault.values["expected_node_id"] == node_id(expected.node_key)
        assert here.fault.values["found_node_id"] == node_id(own.node_key)
        assert there.node_key == other.node_key

    in_town(scenario, loop_factory)


def test_invalid_pinned_key_of_a_stranger():
    """Even an unregistered server's key is named by the dialler, and nothing is said to it but why."""

    async def scenario(town):
        impostor, other, expected = identity(1), identity(2), identity(3)
        network, _ = await town.node(impostor, [row(other), row(impostor)])
        rows = [row(other, validator=False), row(expected, addresses=[network.address])]
        dialler, at_dialler = await town.node(other, rows, listen=None)
        dialler.want([expected.node_key])
        await at_dialler.until(lambda: at_dialler.refused)
        assert at_dialler.names()[0] == "net/WRONG_IDENTITY"
        assert at_dialler.refused[0].fault.values["found_node_id"] == node_id(impostor.node_key)

    in_town(scenario)


def test_invalid_hello_key():
    """A HELLO that names another key than TLS proved is refused as WRONG_IDENTITY."""

    async def scenario(town):
        own, other = identity(1), identity(2)
        network, recorder = await town.node(own, [row(own), row(other, validator=False)])
        raw = await Raw.dial(other, network.address)
        assert (await raw.greet(node_key=bytes(32))).name == "net/WRONG_IDENTITY"
        await recorder.until(lambda: recorder.refused)
        assert recorder.names() == ["net/WRONG_IDENTITY"]
        raw.close()

    in_town(scenario)


@BOTH_LOOPS
def test_invalid_second_process_with_the_same_identity(loop_factory):
    """A live identity that connects again is refused; the second process and the first both hear of it."""

    async def scenario(town):
        own, other = identity(1), identity(2)
        rows = [row(own), row(other, validator=False)]
        network, recorder = await town.node(own, rows, settings=CALM)
        rows = [row(own, addresses=[network.address]), rows[1]]
        first, at_first = await town.node(other, rows, listen=None)
        first.want([own.node_key])
        await at_first.until(lambda: at_first.peers)
        second, at_second = await town.node(other, rows, listen=None)
        second.want([own.node_key])
        await at_second.until(lambda: at_second.refused)
        await at_first.until(lambda: at_first.notices)
        await recorder.until(lambda: recorder.refused)
        assert at_second.names()[0] == recorder.names()[0] == "net/DUPLICATE_IDENTITY"
        assert at_first.notices[0][:2] == (own.node_key, "net/DUPLICATE_IDENTITY")
        assert first.is_linked(own.node_key)
        assert not at_first.lost

    in_town(scenario, loop_factory)


def test_invalid_own_key():
    """A second process that dials its own twin is refused as DUPLICATE_IDENTITY."""

    async def scenario(town):
        own = identity(1)
        network, recorder = await town.node(own, [row(own)])
        raw = await Raw.dial(own, network.address)
        assert (await raw.greet()).name == "net/DUPLICATE_IDENTITY"
        await recorder.until(lambda: recorder.refused)
        raw.close()

    in_town(scenario)


@BOTH_LOOPS
def test_invalid_too_many_peers(loop_factory):
    """A validator with all the peers it takes names others; validators are always let in."""

    async def scenario(town):
        own, validator = identity(1), identity(2)
        guests = [identity(number) for number in (3, 4)]
        rows = [row(own), row(validator), *(row(guest, validator=False) for guest in guests)]
        settings = dataclasses.replace(FAST, validator_peers_max=1)
        network, recorder = await town.node(own, rows, settings=settings)
        rows[0] = row(own, addresses=[network.address])
        seated, at_seated = await town.node(guests[0], rows)
        seated.want([own.node_key])
        await at_seated.until(lambda: at_seated.peers)
        late, at_late = await town.node(guests[1], rows, listen=None)
        late.want([own.node_key])
        await at_late.until(lambda: at_late.refused)
        await recorder.until(lambda: "net/TOO_MANY_PEERS" in recorder.names())
        assert at_late.names()[0] == "net/TOO_MANY_PEERS"
        assert at_late.refused[0].alternatives == ((guests[0].node_key, seated.address),)
        assert at_late.refused[0].node_key == own.node_key
        _, at_validator = await town.node(validator, rows)
        await at_validator.until(lambda: at_validator.peers)

    in_town(scenario, loop_factory)


def test_invalid_unreachable():
    """Nobody listens, or no address is known: named, and tried again for ever."""

    async def scenario(town):
        own, other, lost = (identity(number) for number in (1, 2, 3))
        rows = [row(own), row(other, addresses=["127.0.0.1:1"]), row(lost)]
        network, recorder = await town.node(own, rows, settings=dataclasses.replace(FAST, second_dial_ms=1))
        await recorder.until(lambda: len(recorder.refused) >= 6)
        assert set(recorder.names()) == {"net/UNREACHABLE"}
        assert "no address" in {refusal.fault.values["why"][:10] for refusal in recorder.refused}
        assert {dial.node_key for dial in network.dials()} == {other.node_key, lost.node_key}

    in_town(scenario)


@BOTH_LOOPS
def test_invalid_frames(loop_factory):
    """Oversize or malformed frames end a link by name, count against the peer, and are told to it."""
    cases = [
        ((1_000_000_000).to_bytes(4, "big") + b"\x01", "net/OVERSIZE_FRAME"),
        ((9_000).to_bytes(4, "big") + b"\x00", "net/OVERSIZE_FRAME"),
        (bytes(4) + b"\x63", "net/MALFORMED_FRAME"),
        (bytes(4) + b"\x81", "net/MALFORMED_FRAME"),
        (bytes(4) + b"\x00", "net/MALFORMED_FRAME"),
        ((3).to_bytes(4, "big") + b"\x00\x92\x06\x00", "net/MALFORMED_FRAME"),
    ]

    async def scenario(town):
        own, *others = (identity(number) for number in range(1, 2 + len(cases)))
        network, recorder = await town.node(own, [row(own), *(row(other, validator=False) for other in others)])
        for number, (other, (data, name)) in enumerate(zip(others, cases, strict=True)):
            raw = await Raw.dial(other, network.address)
            await raw.greet()
            raw.writer.write(data)
            assert (await raw.hear_link(Reject)).name == name
            await recorder.until(lambda number=number: len(recorder.lost) == number + 1)
            assert recorder.lost[-1][1].spec.name == name
            raw.close()
            again = await Raw.dial(other, network.address)
            assert (await again.greet()).name == "net/MISBEHAVED"
            again.close()

    in_town(scenario, loop_factory)


def test_invalid_words_before_and_after_the_handshake():
    """Anything but one HELLO first, or a handshake later, is MALFORMED."""

    async def scenario(town):
        own, other, third = (identity(number) for number in (1, 2, 3))
        rows = [row(own), row(other, validator=False), row(third, validator=False)]
        network, _ = await town.node(own, rows)
        for channel, payload in (
            (Channel.CONSENSUS, b"vote"), (Channel.LINK, write(Ping(1, 0, 0))), (Channel.LINK, b"\xc1"),
        ):  # fmt: skip
            raw = await Raw.dial(other, network.address)
            raw.say(channel, payload)
            assert (await raw.hear_link(Reject)).name == "net/MALFORMED_FRAME"
            raw.close()
        raw = await Raw.dial(third, network.address)
        await raw.greet()
        raw.say(Channel.LINK, write(handshake.hello(_self(third), wall_ms=0, nonce=bytes(16))))
        assert (await raw.hear_link(Reject)).name == "net/MALFORMED_FRAME"
        raw.close()

    in_town(scenario)


def test_invalid_silence_before_hello():
    """Who connects and says nothing is shown out by name when its time is over."""

    async def scenario(town):
        own, other = identity(1), identity(2)
        settings = dataclasses.replace(FAST, handshake_ms=100)
        network, recorder = await town.node(own, [row(own), row(other, validator=False)], settings=settings)
        raw = await Raw.dial(other, network.address)
        assert (await raw.hear_link(Reject)).name == "net/SILENT"
        await recorder.until(lambda: recorder.refused)
        raw.close()

    in_town(scenario)


@BOTH_LOOPS
def test_invalid_not_tls(loop_factory):
    """A port scanner gets nothing and is named; the next real node is served."""

    async def scenario(town):
        own, other = identity(1), identity(2)
        network, recorder = await town.node(own, [row(own), row(other, validator=False)])
        host, port = network.address.split(":")
        _, writer = await asyncio.open_connection(host, int(port))
        writer.write(b"GET / HTTP/1.1\r\n\r\n")
        await recorder.until(lambda: recorder.refused)
        assert recorder.names() == ["net/MALFORMED_FRAME"]
        writer.transport.abort()
        raw = await Raw.dial(other, network.address)
        assert (await raw.greet()).protocol == 1
        raw.close()

    in_town(scenario, loop_factory)


def test_handshakes_are_bounded():
    """More strangers at once than allowed are turned away before TLS costs anything; then it goes on."""

    async def scenario(town):
        own, other = identity(1), identity(2)
        settings = dataclasses.replace(FAST, handshakes_max=2, handshake_ms=400)
        network, recorder = await town.node(own, [row(own), row(other, validator=False)], settings=settings)
        host, port = network.address.split(":")
        idle = [await asyncio.open_connection(host, int(port)) for _ in range(3)]
        assert await idle[2][0].read() == b""
        await recorder.until(lambda: len(recorder.refused) == 2)
        raw = await Raw.dial(other, network.address)
        assert (await raw.greet()).protocol == 1
        for writer in [raw.writer, *(writer for _, writer in idle)]:
            writer.transport.abort()

    in_town(scenario)


def test_dialler_refuses_bad_answers():
    """An acceptor that answers garbage, for another chain, to another HELLO, or never, is refused by name."""
    answers = [
        (b"\xc1", "net/MALFORMED_FRAME"),
        (lambda hello: handshake.ack(hello, _self(identity(2), chain=OTHER_CHAIN), wall_ms=0), "net/WRONG_CHAIN"),
        (lambda hello: _other_nonce(handshake.ack(hello, _self(identity(2)), wall_ms=0)), "net/MALFORMED_FRAME"),
        (lambda hello: _other_version(handshake.ack(hello, _self(identity(2)), wall_ms=0)), "net/VERSION"),
        (lambda _: Reject("net/FROM_THE_FUTURE", "why not", ()), "net/CLOSED"),
        (None, "net/SILENT"),
    ]

    async def scenario(town):
        own, other = identity(1), identity(2)
        acceptor = made_directory(other, [row(own), row(other)])
        waiting = list(answers)

        async def serve(reader, writer):
            raw = Raw(other, reader, writer)
            hello = await raw.hear_link()
            answer = waiting.pop(0)[0] if waiting else None
            if answer is not None and hello is not None:
                raw.say(Channel.LINK, answer if isinstance(answer, bytes) else write(answer(hello)))
            await reader.read()
            writer.transport.abort()

        server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=acceptor.server_context)
        address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        settings = dataclasses.replace(FAST, handshake_ms=500)
        network, recorder = await town.node(
            own, [row(own, validator=False), row(other, addresses=[address])], settings=settings
        )
        network.want([other.node_key])
        await recorder.until(lambda: len(recorder.refused) >= len(answers))
        assert recorder.names()[: len(answers)] == [name for _, name in answers]
        await network.stop()
        server.close()
        await server.wait_closed()

    in_town(scenario)


def test_reject_on_a_live_link_names_the_reason():
    """A peer that leaves says why, and the other side reports that reason."""

    async def scenario(town):
        own, other = identity(1), identity(2)
        network, recorder = await town.node(own, [row(own), row(other, validator=False)])
        raw = await Raw.dial(other, network.address)
        await raw.greet()
        raw.say(Channel.LINK, write(Notice("net/HELLO", "for people")))
        raw.say(Channel.LINK, write(Reject("net/CLOSED", "upgrade at noon", ())))
        await recorder.until(lambda: recorder.lost)
        assert recorder.notices == [(other.node_key, "net/HELLO", "for people")]
        assert recorder.lost[0][1].values["told"] == "upgrade at noon"
        raw.close()

    in_town(scenario)


def test_pong_out_of_turn_is_ignored():
    """A PONG that nobody asked for changes nothing."""

    async def scenario(town):
        own, other = identity(1), identity(2)
        network, recorder = await town.node(own, [row(own), row(other, validator=False)])
        raw = await Raw.dial(other, network.address)
        await raw.greet()
        raw.say(Channel.LINK, write(Pong(99, 5, 1_000_000)))
        raw.say(Channel.TX, b"after it")
        await recorder.until(lambda: recorder.frames)
        assert (network.peers()[0].rtt_ms, network.peers()[0].height) == (None, 0)
        raw.close()

    in_town(scenario)


def test_certificate_must_carry_the_registered_key():
    """A registry row whose certificate is not its key's is set aside, and its key cannot connect."""
    own, other = identity(1), identity(2)
    wrong = dataclasses.replace(row(other), certificate=own.certificate)
    broken = dataclasses.replace(row(identity(3)), certificate=b"\x30\x03nix")
    long = dataclasses.replace(row(identity(4)), certificate=bytes(600))
    directory = made_directory(own, [row(own), wrong, broken, long])
    assert list(directory.nodes) == [own.node_key]
    assert {node.node_key for node in directory.unusable} == {wrong.node_key, broken.node_key, long.node_key}


def test_hints_add_addresses_of_registered_nodes():
    """Up to four further addresses are kept, newest first, none that is no address, none of strangers."""
    own, other = identity(1), identity(2)
    directory = made_directory(own, [row(own), row(other, addresses=["r:1"])])
    for address in ("a:1", "b:2", "nonsense", "", "x" * 200 + ":1", "c:3", "a:1", "d:4", "e:5"):
        directory.hint(other.node_key, address)
    assert directory.addresses(other.node_key) == ("r:1", "e:5", "d:4", "a:1", "c:3")
    directory.hint(bytes(32), "a:1")
    assert directory.addresses(bytes(32)) == ()
    directory.set_nodes([row(own)])
    assert directory.addresses(other.node_key) == ()


def test_certificate_is_the_same_for_ever():
    """Made twice from one seed it is the same short bytes; the identity does not print its key."""
    who = Identity(bytes(32))
    assert who.certificate == identity(0).certificate
    assert len(who.certificate) == 280
    assert who.node_key.hex() == "3b6a27bcceb6a42d62a3a8d02a6f0d73653215771de243a63ac048a18b59da29"
    assert "PRIVATE" not in repr(who)


def test_refusal_prints_for_people():
    """The text of a refusal names the error, the place and the remedy on one line."""
    reason = handshake.not_registered(node_key=bytes(32), address="here:1", evidence="TLS alert")
    assert isinstance(reason, Fault)
    text = str(reason)
    assert text.startswith("net/NOT_REGISTERED: ")
    assert "here:1" in text
    assert "\n" not in text


def _self(who, chain=CHAIN):
    return handshake.Self(node_key=who.node_key, chain=chain, role=Role.VALIDATOR, height=0, listen="")


def _other_nonce(answer):
    return replace(answer, nonce=b"x" * 16)


def _other_version(answer):
    return replace(answer, protocol=2)
