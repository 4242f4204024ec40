"""Signed addresses outlive a restart; a damaged file costs nothing but them."""

from cccnode.crypto.signing import SigningKey
from cccnode.node.addresses import FILE, KEEP_MS, KeptAddresses
from p2p.addresses import AddressRecord, record_bytes
from p2p.directory import Directory, Identity, Node, make_certificate
from storage.memory import MemoryDisk
from tests.simulation.world import WALL_START_MS, NodeRuntime, World

CHAIN = b"c" * 32
SEED = b"k" * 32
KEY = SigningKey(SEED)


def directory() -> Directory:
    node = Node(
        node_key=KEY.public_key,
        certificate=make_certificate(SEED),
        addresses=("10.0.0.1:1",),
        organisation="rsu",
        validator=True,
    )
    return Directory(Identity(b"o" * 32), [node], chain=CHAIN, wall_ms=lambda: WALL_START_MS)


def test_kept_over_a_restart() -> None:
    """A moved node is still found after this node was restarted, without anybody to ask."""
    world, disk, first = World(1), MemoryDisk(), directory()
    KeptAddresses(first, disk, NodeRuntime(world)).start()
    there = ("10.0.0.2:2",)
    signed = record_bytes(chain=CHAIN, node_key=KEY.public_key, time_ms=WALL_START_MS, addresses=there)
    record = AddressRecord(KEY.public_key, WALL_START_MS, there, KEY.sign(signed))
    assert not first.learn([record])
    world.run_until(2 * KEEP_MS)

    later = directory()
    KeptAddresses(later, disk, NodeRuntime(world))

    assert "10.0.0.2:2" == later.addresses(KEY.public_key)[0]


def test_a_damaged_file_is_left_out() -> None:
    """The registry's addresses remain."""
    disk, found = MemoryDisk(), directory()
    disk.replace_file(FILE, b"\xc1 no records")

    KeptAddresses(found, disk, NodeRuntime(World(1)))

    assert ("10.0.0.1:1",) == found.addresses(KEY.public_key)
