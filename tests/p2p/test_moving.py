"""Real sockets and gossip: nodes that move, that join by a card, and that come and go in the registry."""

import dataclasses

import pytest

from cccnode.types.errors import Fault
from p2p.directory import CONTACTS_MAX
from p2p.frames import Channel
from tests.p2p.support import FAST, Raw, eventually, identity, in_town, made_directory, row

NOWHERE = "127.0.0.1:1"


def test_a_node_that_moved_is_found():
    """Two validators moved at once: neither is where the registry says; a third that knows neither tells each of it."""

    async def scenario(town):
        ann, bob, cat = people = [identity(number) for number in (1, 2, 3)]
        bobs, _ = await town.driven(bob, [row(who, addresses=[NOWHERE]) for who in people])
        rows = [row(ann, addresses=[NOWHERE]), row(bob, addresses=[bobs.address]), row(cat, addresses=[NOWHERE])]
        settings = dataclasses.replace(FAST, second_dial_ms=1)
        anns, at_ann = await town.driven(ann, rows, settings=settings)
        await at_ann.until(lambda: anns.is_linked(bob.node_key))
        cats, at_cat = await town.driven(cat, rows, settings=settings)
        await at_ann.until(lambda: anns.is_linked(cat.node_key))
        await at_cat.until(lambda: cats.is_linked(ann.node_key))
        assert anns._directory.addresses(cat.node_key)[0] == cats.address
        assert {record.node_key for record in bobs._directory.records()} == {who.node_key for who in people}

    in_town(scenario)


def test_kept_records_find_a_moved_node_after_a_restart():
    """A node that was stopped finds one that moved before, by the records that it kept, without any help."""

    async def scenario(town):
        ann, bob = identity(1), identity(2)
        rows = [row(ann), row(bob, addresses=[NOWHERE])]
        bobs, _ = await town.node(bob, rows)
        kept = bobs._directory.records()
        directory = made_directory(ann, rows)
        assert directory.learn(kept) == []
        anns, at_ann = await town.node(ann, rows, directory=directory)
        await at_ann.until(lambda: anns.is_linked(bob.node_key))
        assert at_ann.peers[0].address == bobs.address

    in_town(scenario)


def test_listening_and_advertised_addresses_differ():
    """Behind NAT a node says where it is reached from outside: in HELLO the first, in its record all of them."""

    async def scenario(town):
        ann, bob = identity(1), identity(2)
        outside = ("ann.example:7000", "[2001:db8::1]:7000")
        anns, _ = await town.node(ann, [row(ann), row(bob)], advertise=outside)
        assert anns.address.startswith("127.0.0.1:")
        rows = [row(ann, addresses=[anns.address]), row(bob)]
        _, at_bob = await town.node(bob, rows)
        await at_bob.until(lambda: at_bob.peers)
        assert at_bob.peers[0].listen == outside[0]
        assert anns._directory.book.own.addresses == outside
        anns.advertise(["moved.example:7000"])
        assert anns.own().listen == "moved.example:7000"
        anns.advertise([])
        assert anns.own().listen == anns.address

    in_town(scenario)


def test_a_node_that_listens_everywhere_says_nothing():
    """The address that means every address is of no use to others, so none is told; nor by one that does not listen."""

    async def scenario(town):
        everywhere, _ = await town.node(identity(1), [row(identity(1))], listen="0.0.0.0:0")
        deaf, _ = await town.node(identity(2), [row(identity(2))], listen=None)
        for network in (everywhere, deaf):
            assert network.own().listen == ""
            assert network._directory.book.own.addresses == ()

    in_town(scenario)


def test_invalid_advertised_address():
    """An address that nobody could dial, or too many of them, and the node does not start."""

    async def scenario(town):
        for wrong in (["0.0.0.0:5"], ["a:1"] + [f"b:{port}" for port in range(1, 6)]):
            network, _ = await town.node(identity(1), [row(identity(1))], advertise=wrong, start=False)
            with pytest.raises(Fault, match="config/INVALID"):
                await network.start()

    in_town(scenario)


def test_the_second_advertised_address_is_tried():
    """Of several addresses the next one is dialled when one does not answer."""

    async def scenario(town):
        ann, bob = identity(1), identity(2)
        anns, _ = await town.node(ann, [row(ann), row(bob)])
        anns.advertise([NOWHERE, anns.address])
        directory = made_directory(bob, [row(ann), row(bob)])
        directory.learn(anns._directory.records())
        bobs, at_bob = await town.node(bob, [row(ann), row(bob)], directory=directory)
        await at_bob.until(lambda: bobs.is_linked(ann.node_key))

    in_town(scenario)


def test_a_newcomer_joins_by_its_contacts():
    """Whose registry knows nobody yet links with the node of its network card, by key, and then with others."""

    async def scenario(town):
        new, old, other = (identity(number) for number in (1, 2, 3))
        rows = [row(new, validator=False), row(old), row(other)]
        olds, at_old = await town.node(old, rows)
        others, _ = await town.node(other, rows)
        directory = made_directory(new, [], contacts=[(old.node_key, olds.address), (new.node_key, "x:1")])
        joiner, at_joiner = await town.node(new, [], directory=directory)
        await at_joiner.until(lambda: joiner.is_linked(old.node_key))
        await at_old.until(lambda: at_old.peers)
        known = [row(new, validator=False), row(old), row(other, addresses=[others.address])]
        joiner.set_nodes(known)
        joiner.want([other.node_key])
        await at_joiner.until(lambda: joiner.is_linked(other.node_key))
        assert joiner.is_linked(old.node_key)
        joiner.set_nodes([known[0], known[2]])
        await at_joiner.until(lambda: at_joiner.lost)
        assert at_joiner.lost[0][0] == old.node_key
        assert at_joiner.lost[0][1].spec.name == "net/NOT_REGISTERED"
        assert joiner.dials() == []

    in_town(scenario)


def test_a_newcomer_goes_where_a_full_contact_sends_it():
    """The contact has all the peers it takes: the newcomer links with one that it names, though it knows none."""

    async def scenario(town):
        new, old, other = (identity(number) for number in (1, 2, 3))
        rows = [row(new, validator=False), row(old), row(other, validator=False)]
        settings = dataclasses.replace(FAST, validator_peers_max=1)
        olds, at_old = await town.node(old, rows, settings=settings)
        others, _ = await town.node(other, [*rows[:1], row(old, addresses=[olds.address]), rows[2]])
        others.want([old.node_key])
        await at_old.until(lambda: at_old.peers)
        directory = made_directory(new, [], contacts=[(old.node_key, olds.address)])
        joiner, at_joiner = await town.node(new, [], directory=directory)
        await at_joiner.until(lambda: joiner.is_linked(other.node_key))
        assert at_joiner.names()[0] == "net/TOO_MANY_PEERS"

    in_town(scenario)


def test_contacts_are_bounded():
    """However many nodes are named to a newcomer, it remembers a few dozen, and never itself."""
    new = identity(1)
    named = [(number.to_bytes(32, "big"), f"a:{port}") for number in range(1, 100) for port in range(1, 7)]
    directory = made_directory(new, [], contacts=[(new.node_key, "x:1"), *named])
    assert len(directory.contacts) == CONTACTS_MAX
    assert directory.addresses((1).to_bytes(32, "big")) == ("a:1", "a:2", "a:3", "a:4")
    assert not directory.admits(new.node_key)


def test_invalid_contact():
    """Another key at the address of a contact is refused like anywhere else."""

    async def scenario(town):
        new, old, expected = (identity(number) for number in (1, 2, 3))
        olds, _ = await town.node(old, [row(new, validator=False), row(old)])
        directory = made_directory(new, [], contacts=[(expected.node_key, olds.address)])
        _, at_joiner = await town.node(new, [], directory=directory)
        await at_joiner.until(lambda: at_joiner.refused)
        assert at_joiner.names()[0] == "net/WRONG_IDENTITY"

    in_town(scenario)


def test_a_peer_becomes_validator_and_peer_again():
    """The mesh takes it in when the registry says so, without a restart, and lets it go again to one validator."""

    async def scenario(town):
        people = [identity(number) for number in range(1, 5)]
        last = people[-1]
        blank = [row(who, validator=who is not last) for who in people]
        made = [await town.driven(who, blank) for who in people]
        addresses = {who.node_key: network.address for who, (network, _) in zip(people, made, strict=True)}

        def apply(validators):
            rows = [row(who, validator=who in validators, addresses=[addresses[who.node_key]]) for who in people]
            for network, driver in made:
                network.set_nodes(rows)
                driver.register(rows)

        network, driver = made[-1]
        apply(people[:3])
        await driver.until(lambda: len(network.peers()) >= 1)
        apply(people)
        await driver.until(lambda: len(network.peers()) == 3)
        await eventually(lambda: all(len(other.peers()) == 3 for other, _ in made))
        assert {peer.validator for peer in made[0][0].peers()} == {True}
        apply(people[:3])
        wanted = driver.gossip._overlay._validators_needed()
        await eventually(lambda: len(network.peers()) == wanted)
        assert all(other.is_linked(people[0].node_key) for other, _ in made[1:3])

    in_town(scenario)


def test_a_registered_node_is_let_in_at_once_and_others_stay():
    """New certificates are trusted by the listener that runs; links that are up do not notice."""

    async def scenario(town):
        own, guest, fresh = (identity(number) for number in (1, 2, 3))
        rows = [row(own), row(guest, validator=False)]
        network, recorder = await town.node(own, rows)
        first = await Raw.dial(guest, network.address)
        await first.greet()
        network.set_nodes([*rows, row(fresh, validator=False)])
        second = await Raw.dial(fresh, network.address)
        assert (await second.greet()).protocol == 1
        network.set_nodes([row(own), row(fresh, validator=False)])
        await recorder.until(lambda: recorder.lost)
        second.say(Channel.TX, b"still here")
        await recorder.until(lambda: recorder.frames)
        assert [key for key, _ in recorder.lost] == [guest.node_key]
        first.close()
        second.close()

    in_town(scenario)
