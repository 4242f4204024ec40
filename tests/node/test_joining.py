"""What a node was told by its card: files to serve, whom to dial, and which block must lie in its history."""

from pathlib import Path

import pytest
import structlog

from cccnode.card import Card, Checkpoint, Contact, card_text
from cccnode.config import load
from cccnode.home import Home
from cccnode.node.joining import CheckpointGuard, home_card, named_contacts, say_who_waits, served_files
from cccnode.types import errors
from cccnode.types.block import block_id
from cccnode.types.errors import Fault
from genesis.bootstrap import make_demo
from p2p.directory import make_certificate
from tests.simulation.nodes import SimulatedNetwork

KEY = bytes(range(32))


def test_served_files(tmp_path: Path) -> None:
    """The document, and the allocation file that it names."""
    small, large = (make_demo(1, certify=make_certificate, accounts=count, time_ms=1) for count in (1, 1001))
    assert served_files(Home(tmp_path), small.genesis) == {"/genesis.json": tmp_path / "genesis.json"}
    assert large.allocation is not None
    name = large.allocation[0]
    assert served_files(Home(tmp_path), large.genesis)[f"/genesis/{name}"] == tmp_path / name


def test_home_card(tmp_path: Path) -> None:
    """The card of the home, None at founders, by name where it is spoilt."""
    home = Home(tmp_path)
    assert home_card(home) is None
    card = Card(bytes(32), "x", (Contact(KEY, "a:1"),), Checkpoint(3, bytes(32)), 1)
    home.card_file.write_text(card_text(card) + "\n")
    assert home_card(home) == card
    home.card_file.write_text("nonsense")
    with pytest.raises(Fault) as refused:
        home_card(home)
    assert refused.value.spec is errors.CARD_MALFORMED


def test_named_contacts(tmp_path: Path) -> None:
    """Contacts of the settings, pinned by key."""
    (tmp_path / "config.toml").write_text(f'[p2p]\nbootstrap = ["{KEY.hex()}@a:1"]\n')
    (contact,) = named_contacts(load(Home(tmp_path), environment={}).config)
    assert (contact.node_key, contact.addresses, contact.validator) == (KEY, ("a:1",), False)


def _network() -> SimulatedNetwork:
    network = SimulatedNetwork(5, validators=1)
    network.start()
    return network


def test_checkpoint_passes() -> None:
    """A history that holds the block is good, whether it was there at the start or comes later."""
    network = _network()
    store = network.nodes[0].replica.store
    genesis = store.header(0)
    assert genesis is not None
    assert CheckpointGuard(store, Checkpoint(0, block_id(genesis))).passed
    network.send(network.nodes[0], count=1)
    network.world.run_until(network.world.now_ms + 5_000)
    header = store.header(1)
    assert header is not None
    guard = CheckpointGuard(store, Checkpoint(1, block_id(header)))
    assert guard.passed
    guard.look()


def test_checkpoint_ahead() -> None:
    """A block that has not come is waited for."""
    guard = CheckpointGuard(_network().nodes[0].replica.store, Checkpoint(10**9, bytes(32)))
    guard.look()
    assert not guard.passed


def test_invalid_checkpoint() -> None:
    """A history with another block at that height is refused, at the start and when the block comes."""
    network = _network()
    store = network.nodes[0].replica.store
    with pytest.raises(Fault) as refused:
        CheckpointGuard(store, Checkpoint(0, bytes(32)))
    assert refused.value.spec is errors.CARD_CHECKPOINT
    guard = CheckpointGuard(store, Checkpoint(1, bytes(32)))
    network.send(network.nodes[0], count=1)
    network.world.run_until(network.world.now_ms + 5_000)
    with pytest.raises(Fault) as refused:
        guard.look()
    assert refused.value.values["height"] == 1


def test_waiting_is_said_once(tmp_path: Path) -> None:
    """A node that nobody registered says its id, whom it asks, and what to show them; a registered one is silent."""
    (tmp_path / "config.toml").write_text(f'[node]\norganisation = "cmu"\n[p2p]\nbootstrap = ["{KEY.hex()}@a:1"]\n')
    config = load(Home(tmp_path), environment={}).config
    with structlog.testing.capture_logs() as said:
        say_who_waits(config, KEY, registered=True)
        say_who_waits(config, KEY, registered=False)
    (line,) = said
    assert line["asks"] == ["a:1"]
    assert len(line["node_id"]) == 40
    assert "cccnode join request --org cmu" in line["remedy"]
