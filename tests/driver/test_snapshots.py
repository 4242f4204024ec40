"""Snapshots between simulated nodes: taken while the network runs, certified, fetched from several, restored."""

from random import Random
from typing import Any

import pytest
from msgspec.structs import replace

from cccnode.city.registry import record as membership
from cccnode.codec import decode_trusted, encode
from cccnode.driver import lending
from cccnode.driver.certified import certify, stands_in_history, trail
from cccnode.driver.joining import LEAST, STAGING, Joining, Wish
from cccnode.driver.lending import Lending
from cccnode.driver.photography import Habit, Photography, begin_taking
from cccnode.driver.snapshots import Snapshots
from cccnode.node.restoring import origin_of
from cccnode.types.errors import SNAPSHOT_BUSY, SNAPSHOT_INVALID, SNAPSHOT_MISSING, SNAPSHOT_UNCERTIFIED, Fault
from p2p.frames import Channel
from p2p.snapshots import ManifestReply, PieceReply, read_snapshot, write_snapshot
from storage import snapshots
from storage.memory import MemoryDisk, MemoryEngine
from storage.snapshots import Manifest, Shelf, read_manifest
from storage.store import stamp
from tests.simulation.nodes import STATE_DEPTH, SimulatedNetwork, SimulatedNode, verify_votes

EVERY = 10
BEHIND = 20


class Target:
    """Builds the new data of a simulated machine."""

    def __init__(self, town: "Town", node: SimulatedNode) -> None:
        self.town, self.node = town, node

    def begin(self) -> tuple[MemoryDisk, MemoryEngine]:
        self.disk, self.engine = MemoryDisk(), MemoryEngine()
        chain = self.town.network.demo.genesis.chain
        stamp(self.engine, chain=chain, node_id=self.node.partner.node_key, depth=STATE_DEPTH)
        return self.disk, self.engine

    def finish(self) -> None:
        self.town.built[self.node.number] = self.disk, self.engine


class Town:
    """A simulated network whose nodes take, lend and fetch snapshots."""

    def __init__(self, seed: int = 7, *, validators: int = 4, epoch_blocks: int | None = None) -> None:
        self.network = SimulatedNetwork(seed, validators=validators, peers=1, epoch_blocks=epoch_blocks)
        self.origin = origin_of(self.network.demo.genesis)
        self.built: dict[int, Any] = {}
        self.restored: list[int] = []
        self.checkpoint: tuple[int, bytes] | None = None
        """Of the network card with which the joiner came."""
        self.network.booted = self.equip

    def equip(self, node: SimulatedNode) -> None:
        replica, runtime, links = node.replica, node.runtime, node.links
        shelf, chain = Shelf(node.disk), self.network.demo.genesis.chain
        replica.snapshots = Snapshots(
            links=links,
            photography=Photography(
                runtime=runtime,
                store=replica.store,
                begin=lambda: begin_taking(replica.store, node.engine, shelf, chain, STATE_DEPTH, replica.record),
                shelf=shelf,
                habit=Habit(every=EVERY if node.number < 4 else 0),
                busy=lambda: replica.executor.busy,
            ),
            lending=Lending(runtime=runtime, links=links, store=replica.store, shelf=shelf),
            joining=Joining(
                runtime=runtime,
                links=replica.links,
                disk=node.disk,
                origin=lambda: self.origin,
                verify_many=verify_votes,
                membership=membership,
                wish=Wish(behind=BEHIND if node.number >= 4 else 0, checkpoint=self.checkpoint),
                behind=lambda: max(one.chain.height for one in self.network.alive()) - replica.chain.height,
                height=lambda: replica.chain.height,
                target=Target(self, node),
                hold=replica.catch_up.hold,
                restored=self.restored.append,
                lacks=lambda: replica.catch_up.unobtainable() is not None,
            ),
        )
        replica.decided_hooks.append(replica.snapshots.applied)
        runtime.call_soon(replica.snapshots.start)

    @property
    def joiner(self) -> SimulatedNode:
        return self.network.nodes[4]

    def start(self, *, but: int = 4) -> None:
        """All nodes but one."""
        for node in self.network.nodes:
            if node.consensus_key is not None:
                node.make_key(node.consensus_key)
            if node.number != but:
                self.network.boot(node)
        self.network.relink()

    def busy(self, seconds: int) -> None:
        """Some transactions each moment."""
        for moment in range(0, seconds * 1000, 150):
            self.network.world.at(moment, self._send)
        self.run(seconds * 1000)

    def _send(self) -> None:
        self.network.send(self.network.nodes[1], count=2)

    def run(self, milliseconds: int, done: Any = lambda: False) -> bool:
        return self.network.world.run_until(self.network.world.now_ms + milliseconds, done)

    def begin_anew(self, node: SimulatedNode) -> None:
        """What the process does when its snapshot is restored."""
        self.network.crash(node)
        node.disk, node.engine = self.built.pop(node.number)
        self.network.restart(node)

    def manifest(self, number: int = 0) -> Manifest:
        shelf = Shelf(self.network.nodes[number].disk)
        return read_manifest(shelf.manifest(shelf.heights()[-1]))


@pytest.fixture(scope="module")
def town() -> Town:
    """A network that has run for a while, over several epochs."""
    made = Town(epoch_blocks=15)
    made.start()
    made.busy(12)
    return made


def test_running_nodes_take_equal_snapshots(town: Town) -> None:
    """At heights that the habit divides every node takes one, keeps two, and all of one height are the same."""
    shelves = [Shelf(node.disk) for node in town.network.nodes[:4]]
    common = set.intersection(*(set(shelf.heights()) for shelf in shelves))

    assert common
    assert all(1 <= len(shelf.heights()) <= 2 for shelf in shelves)
    for node, shelf in zip(town.network.nodes, shelves, strict=False):
        assert node.replica.snapshots.photography.newest in shelf.heights()
    for height in common:
        assert len({read_manifest(shelf.manifest(height)).identity for shelf in shelves}) == 1
        assert height % EVERY == 0


def test_a_snapshot_is_certified_from_genesis(town: Town) -> None:
    """Nothing but the genesis document is needed to believe it: it leads over the end of every epoch."""
    manifest = town.manifest()
    certified = certify(manifest, town.origin, verify_votes)

    assert manifest.certification.boundaries
    assert certified.facts.headers[0].height == 0
    assert certified.record.epoch == len(certified.facts.headers) - 1
    assert town.network.chain[manifest.height][1] == manifest.content.applied.state_root


def _changed(manifest: Manifest, **changes: Any) -> Manifest:
    """The manifest with another content."""
    return replace(manifest, content=replace(manifest.content, **changes))


def _proof(manifest: Manifest, **changes: Any) -> Manifest:
    """The manifest with another certification."""
    return replace(manifest, certification=replace(manifest.certification, **changes))


def _flipped(raw: bytes) -> bytes:
    return bytes((raw[0] ^ 1,)) + raw[1:]


LIES = {
    "another chain": lambda m: _changed(m, chain=bytes(32)),
    "another depth": lambda m: _changed(m, depth=m.content.depth + 1),
    "another format": lambda m: _changed(m, version=2),
    "a part left out": lambda m: _changed(m, parts=m.content.parts[1:]),
    "a part's hash": lambda m: _changed(m, parts=(replace(m.content.parts[0], hash=bytes(32)), *m.content.parts[1:])),
    "another state root": lambda m: _changed(m, applied=replace(m.content.applied, state_root=bytes(32))),
    "another block": lambda m: _changed(m, applied=replace(m.content.applied, block_id=bytes(32))),
    "another time": lambda m: _changed(m, applied=replace(m.content.applied, time_ms=1)),
    "another view": lambda m: _changed(m, applied=replace(m.content.applied, view=2**30)),
    "other results before": lambda m: _changed(m, before=m.content.applied.results),
    "a tail that begins later": lambda m: _changed(m, tail=m.content.tail[1:]),
    "a tail with a gap": lambda m: _changed(
        m, tail=(replace(m.content.tail[0], count=m.content.tail[0].count + 1), *m.content.tail[1:])
    ),
    "an epoch left out": lambda m: _proof(m, boundaries=m.certification.boundaries[1:]),
    "the last epoch left out": lambda m: _proof(m, boundaries=m.certification.boundaries[:-1]),
    "another record": lambda m: _proof(
        m,
        boundaries=(
            replace(m.certification.boundaries[0], record=m.certification.boundaries[-1].record),
            *m.certification.boundaries[1:],
        ),
    ),
    "a record that is none": lambda m: _proof(
        m, boundaries=(replace(m.certification.boundaries[0], record=b"?"), *m.certification.boundaries[1:])
    ),
    "another boundary's certificate": lambda m: _proof(
        m,
        boundaries=(
            replace(m.certification.boundaries[0], certificate=m.certification.certificate),
            *m.certification.boundaries[1:],
        ),
    ),
    "a header twice": lambda m: _proof(m, headers=(m.certification.headers[0], *m.certification.headers)),
    "a result too many": lambda m: _proof(m, results=(*m.certification.results, (bytes(32), bytes(32)))),
    "the certificate of another block": lambda m: _proof(m, certificate=m.certification.boundaries[0].certificate),
    "another genesis": lambda m: _proof(m, genesis=replace(m.certification.genesis, time_ms=1)),
    "another way to genesis": lambda m: _proof(
        m, genesis_path=(_flipped(m.certification.genesis_path[0]), *m.certification.genesis_path[1:])
    ),
    "another history": lambda m: _changed(
        m, applied=replace(m.content.applied, history=replace(m.content.applied.history, size=1))
    ),
}


@pytest.mark.parametrize("name", LIES)
def test_a_lie_is_found(town: Town, name: str) -> None:
    """Whatever a manifest says that is not so, it does not hold."""
    manifest = town.manifest()
    lie = LIES[name](manifest)

    assert lie != manifest
    with pytest.raises(Fault) as found:
        certify(lie, town.origin, verify_votes)
    assert found.value.spec is SNAPSHOT_INVALID


def test_every_signature_counts(town: Town) -> None:
    """A certificate with one false signature certifies nothing."""
    manifest = town.manifest()
    certificate = manifest.certification.certificate
    false = replace(certificate, signatures=(bytes(64), *certificate.signatures[1:]))

    with pytest.raises(Fault) as found:
        certify(_proof(manifest, certificate=false), town.origin, verify_votes)
    assert found.value.spec is SNAPSHOT_INVALID


def test_every_piece_is_checked_alone(town: Town) -> None:
    """Each piece holds by itself, and with one byte changed it does not."""
    manifest, shelf = town.manifest(), Shelf(town.network.nodes[0].disk)

    for number in range(manifest.pieces):
        piece = shelf.piece(manifest.content, number)
        snapshots.check_piece(manifest.content, number, piece)
        for place in range(0, len(piece), max(1, len(piece) // 50)):
            damaged = piece[:place] + bytes((piece[place] ^ 1,)) + piece[place + 1 :]
            with pytest.raises(Fault) as found:
                snapshots.check_piece(manifest.content, number, damaged)
            assert found.value.spec is SNAPSHOT_INVALID
        with pytest.raises(Fault):
            snapshots.check_piece(manifest.content, (number + 1) % manifest.pieces, piece)


def test_the_way_to_every_block(town: Town) -> None:
    """The audit path of any block id in the history leads to its root; of another id it does not."""
    store = town.network.nodes[0].replica.store
    manifest = town.manifest()

    for height in range(manifest.height + 1):
        path = snapshots.history_path(store.applied_at, height, manifest.height + 1)
        assert stands_in_history(manifest, height, store.applied_at(height).block_id, path)
        assert not stands_in_history(manifest, height, bytes(32), path)
    with pytest.raises(Fault) as missing:
        snapshots.history_path(lambda height: None, 1, manifest.height + 1)
    assert missing.value.spec is SNAPSHOT_MISSING


def test_how_epochs_ended(town: Town) -> None:
    """Every end is there, from the first epoch on, at one that began at a snapshot too."""
    whole = trail(town.network.nodes[0].replica.store)

    assert len(whole) >= 3
    assert [one.header.epoch for one in whole] == list(range(len(whole)))


def test_one_at_a_time(town: Town) -> None:
    """Who asks for a snapshot while one is taken is told so; who asked first gets it once it is certified."""
    photography = town.network.nodes[3].replica.snapshots.photography
    got: list[Any] = []
    while photography.taking is not None:
        town.busy(1)
    photography.take(got.append)
    with pytest.raises(Fault) as busy:
        photography.take(got.append)
    assert busy.value.spec is SNAPSHOT_BUSY
    town.busy(4)

    (manifest,) = got
    certify(manifest, town.origin, verify_votes)


def test_a_restart_certificate_ends_snapshots(town: Town) -> None:
    """Where no certificates lead over the end of an epoch (J22), none is taken, and who asks hears why at once."""
    node = town.network.nodes[2]
    photography, store = node.replica.snapshots.photography, node.replica.store
    while photography.taking is not None:
        town.busy(1)
    name = f"epoch end {1:019d}"
    kept, got = store.meta(name), list[Any]()
    store.put_meta(name, None)
    photography.take(got.append)
    town.busy(1)
    store.put_meta(name, kept)

    assert [refusal.spec for refusal in got] == [SNAPSHOT_UNCERTIFIED]
    assert got[0].values == {"epoch": 1}
    assert photography.taking is None
    photography.take(got.append)
    town.busy(4)
    certify(got[1], town.origin, verify_votes)


# A node that joins


def joined(town: Town, *, seconds: int = 60) -> bool:
    """Whether the joiner has restored a snapshot and follows the others."""
    assert town.run(seconds * 1_000, lambda: bool(town.restored))
    town.begin_anew(town.joiner)
    joiner = town.joiner.replica
    town.busy(3)
    tip = max(replica.chain.height for replica in town.network.alive())
    return town.run(20_000, lambda: joiner.chain.height >= tip)


def behind(seed: int = 11) -> Town:
    """A network that is far ahead of a node that starts now, which cannot fetch a block."""
    town = Town(seed, epoch_blocks=25)
    town.start()
    town.busy(12)
    town.network.boot(town.joiner)
    town.joiner.replica.catch_up._deliver = lambda reply: None
    return town


def test_a_node_begins_at_a_snapshot() -> None:
    """It fetches the newest one, and then has the same state and window as everyone, without the blocks before."""
    town = behind()
    executed = sorted(town.network.decided)
    town.network.relink()

    assert joined(town)
    joiner, other = town.joiner.replica, town.network.nodes[0].replica
    assert town.restored[0] % EVERY == 0
    assert town.restored[0] == joiner.store.blocks.first
    assert joiner.store.block(1) is None
    assert [identity in joiner.window for identity in executed] == [identity in other.window for identity in executed]
    assert any(identity in joiner.window for identity in executed)
    assert joiner.record == other.record
    own, others = trail(joiner.store), trail(other.store)
    # Which quorum's signatures a node holds is its own affair.
    assert [(end.header, end.record) for end in own] == [(end.header, end.record) for end in others[: len(own)]]
    assert len(own) == joiner.record.epoch
    assert town.network.violations == []


def test_a_transaction_from_before_is_refused() -> None:
    """What was executed before the snapshot and is sent again is refused by the joiner as by the others (J5)."""
    town = behind()
    raws = town.network.send(town.network.nodes[0], count=1, lifetime_ms=200_000)
    town.busy(5)
    town.network.relink()
    assert joined(town)
    answers: list[Any] = []
    for node in (town.joiner, town.network.nodes[0]):
        node.replica.submit(raws, lambda results: answers.extend(refusal.spec for _, refusal in results))
    town.run(3_000)

    assert len(answers) == 2
    assert answers[0] is answers[1]
    assert town.network.violations == []


def test_who_began_at_a_snapshot_takes_and_lends_them() -> None:
    """Without the heights before it: the way to genesis grows out of the one that it was shown."""
    town = behind()
    town.network.relink()
    assert joined(town)
    replica = town.joiner.replica
    span = replica.record.limits.tx_lifetime_max_ms
    for _ in range(2):
        town.run(span + 1_000)
        town.busy(3)
    got: list[Any] = []
    replica.snapshots.photography.take(got.append)
    town.busy(4)

    (manifest,) = got
    assert certify(manifest, town.origin, verify_votes).manifest is manifest
    other = town.network.nodes[0].replica.store
    assert manifest.certification.genesis_path == snapshots.history_path(other.applied_at, 0, manifest.height + 1)
    assert manifest.height > 2 * replica.store.blocks.first


def test_a_false_piece_costs_the_peer_and_not_the_run() -> None:
    """A node that serves damaged pieces is cut off and asked no more; the others' pieces do."""
    town = behind()
    liar = town.network.nodes[0]
    liar.replica.snapshots.lending._piece = lambda request: PieceReply(request.number, b"\x90")
    town.network.relink()
    links = town.joiner.links

    assert joined(town)
    assert {peer for peer, offence, _ in links.punished} <= {liar.key}


def test_a_false_manifest_costs_the_peer_and_not_the_run() -> None:
    """A node that shows a snapshot that nobody certified is cut off; the others' is taken."""
    town = behind()
    liar, lie = town.network.nodes[1], encode(_changed(town.manifest(1), groups=1, chain=bytes(32)))
    liar.replica.snapshots.lending._manifest = lambda request: ManifestReply(request.number, 1, len(lie), lie, ())
    town.network.relink()
    links = town.joiner.links

    assert joined(town)
    assert {liar.key} == {peer for peer, _, _ in links.punished}


def test_a_manifest_in_many_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that does not fit a frame comes in several, from every node that has it."""
    monkeypatch.setattr(lending, "SNAPSHOT_BYTES_MAX", 700)
    town = behind()
    assert len(encode(town.manifest())) > 5 * 700
    links = town.joiner.links
    town.network.relink()

    assert joined(town)
    assert links.punished == []


def test_the_network_card_is_held_against_the_history() -> None:
    """A snapshot must lead over the block that the card names; who cannot show that is believed in nothing."""
    for true in (True, False):
        town = Town(12)
        town.start()
        town.busy(12)
        height = town.network.nodes[0].replica.chain.height // 4
        town.checkpoint = height, town.network.chain[height][0] if true else bytes(32)
        town.network.boot(town.joiner)
        town.joiner.replica.catch_up._deliver = lambda reply: None
        links = town.joiner.links
        town.network.relink()
        if true:
            assert joined(town)
            assert links.punished == []
        else:
            town.run(20_000)
            assert town.restored == []
            assert len({peer for peer, _, _ in links.punished}) == 4


def _pieces(town: Town) -> int:
    """How many pieces the joiner holds."""
    progress = town.joiner.replica.snapshots.joining.progress
    return progress.done if progress is not None else 0


def test_what_is_staged_survives_the_process() -> None:
    """Killed twice on the way, and one that serves too, the joiner goes on with the pieces that it has."""
    town = behind()
    held: list[int] = []
    for _ in range(2):
        town.network.relink()
        assert town.run(30_000, lambda: _pieces(town) > len(held))
        held.append(_pieces(town))
        town.network.crash(town.joiner)
        town.network.boot(town.joiner)
        town.joiner.replica.catch_up._deliver = lambda reply: None
    town.network.crash(town.network.nodes[2])

    assert joined(town)
    assert town.network.violations == []


@pytest.mark.parametrize("seed", range(8))
def test_killed_at_any_moment(seed: int) -> None:
    """Killed at random moments of asking, fetching and building, with writes cut short, it joins in the end."""
    town, rng = behind(seed + 40), Random(seed)
    begun = False
    for _ in range(rng.randint(1, 6)):
        town.network.relink()
        town.run(rng.choice((60, 400, 1_700, 2_500)) + rng.randint(0, 300))
        town.network.crash(town.joiner)
        if 4 in town.built:  # All was written, whatever the process still had to do: the next start begins there.
            town.joiner.disk, town.joiner.engine = town.built.pop(4)
            begun = True
        town.network.boot(town.joiner)
        if begun:
            break
        town.joiner.replica.catch_up._deliver = lambda reply: None
    town.network.relink()

    joiner = town.joiner.replica
    if begun:
        town.busy(3)
        tip = max(replica.chain.height for replica in town.network.alive())
        assert town.run(20_000, lambda: joiner.chain.height >= tip)
        assert joiner.store.blocks.first % EVERY == 0
    else:
        assert joined(town)
    assert town.network.violations == []


def test_killed_after_every_write() -> None:
    """Killed each time it has written something of the snapshot, it still gets on by a piece in each life."""
    town, lives = behind(31), 0

    def written(operation: str, path: str) -> None:
        seen.extend([path] if path.startswith(STAGING) else [])

    while 4 not in town.built:
        seen: list[str] = []
        town.joiner.disk.refuse = written
        town.network.relink()
        assert town.run(30_000, lambda: bool(seen) or 4 in town.built)  # noqa: B023 - of this life
        town.network.crash(town.joiner)
        lives += 1
        assert lives < 60
        if 4 not in town.built:
            town.network.boot(town.joiner)
            town.joiner.replica.catch_up._deliver = lambda reply: None
    town.joiner.disk, town.joiner.engine = town.built.pop(4)
    town.network.restart(town.joiner)
    town.busy(3)
    tip = max(replica.chain.height for replica in town.network.alive())

    assert lives > 3
    assert town.run(20_000, lambda: town.joiner.replica.chain.height >= tip)
    assert town.network.violations == []


def test_who_joins_slowly_does_not_join_for_ever() -> None:
    """What the network did meanwhile is no reason to join again; at the tip that is forgotten."""
    town = behind()
    town.network.relink()
    assert town.run(60_000, lambda: bool(town.restored))
    disk = town.joiner.disk
    assert disk.exists(LEAST)
    (least,) = {decode_trusted(int, disk.read(LEAST))}
    assert least >= 2 * BEHIND
    town.begin_anew(town.joiner)
    town.joiner.disk.replace_file(LEAST, encode(least))
    town.network.crash(town.joiner)
    town.network.restart(town.joiner)
    town.busy(5)

    assert town.joiner.replica.snapshots.joining.progress is None
    assert not town.joiner.disk.exists(LEAST)
    assert len(town.restored) == 1


def test_blocks_are_fetched_where_no_snapshot_is() -> None:
    """Nobody lends one: the node gets there block by block."""
    town = Town(5)
    for node in town.network.nodes[:4]:
        node.disk.refuse = lambda operation, path: 28 if path.startswith(snapshots.FOLDER) else None
    town.start()
    town.busy(8)
    town.network.boot(town.joiner)
    town.network.relink()
    tip = max(replica.chain.height for replica in town.network.alive())

    assert town.run(60_000, lambda: town.joiner.replica.chain.height >= tip)
    assert town.restored == []


def test_malformed_messages_count_against_the_peer() -> None:
    """What is no message of the channel, or was not asked for, is an offence."""
    town = Town()
    town.start()
    node, peer = town.network.nodes[0], town.network.nodes[1]
    node.replica.on_frame(peer.key, Channel.SNAPSHOT, b"\xc1")

    assert [offence.name for _, offence, _ in node.links.punished] == ["MALFORMED"]
    assert read_snapshot(write_snapshot(PieceReply(1, b"x"))) == PieceReply(1, b"x")
