"""A running node prunes in small steps, says so by name, and sends whoever asks to those who keep more."""

from pathlib import Path
from typing import Any

import pytest

import storage.blocks
import storage.pruning
import storage.retention
from cccnode.city import CITY
from cccnode.driver.restart import rebuild_window
from cccnode.node.connections import Connections
from cccnode.node.proving import Prover
from cccnode.node.pruning import LOOK_MS, Pruning
from cccnode.node.service import Service
from cccnode.telemetry import Metrics
from cccnode.types.errors import BEHIND, PRUNED, Fault
from cccnode.types.retention import Keep, Retention
from storage.checking import Audit
from storage.contents import HomeContent
from storage.pruning import Thread
from storage.snapshots import Shelf
from tests.driver.test_snapshots import Town
from tests.node.support import FakeNetwork, Watched, peer
from tests.simulation.nodes import SimulatedNetwork, SimulatedNode, verify_votes

SECOND = 1_000
TINY = Retention(blocks=Keep(blocks=50), index=Keep(blocks=60))


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small files, so that few blocks fill many; and less that stays in any case."""
    monkeypatch.setattr(storage.blocks, "SEGMENT_BYTES_MIN", 8_000)
    monkeypatch.setattr(storage.retention, "BLOCKS_MIN", 40)


def with_blocks(count: int, **options: int) -> Watched:
    """A network in which so many blocks were executed."""
    watched = Watched(**options)
    more(watched, count)
    return watched


def more(watched: Watched, count: int) -> None:
    goal = watched.node.replica.chain.height + count
    while watched.node.replica.chain.height < goal:
        watched.send()
        watched.run(60)


def pruning_of(watched: Watched, retention: Retention = TINY) -> Pruning:
    pruning = Pruning(
        replica=watched.node.replica,
        retention=retention,
        disk=watched.node.disk,
        derived={Thread.INDEX: (watched.index, watched.indexer)},
    )
    watched.service.pruning = pruning
    pruning.start()
    return pruning


def service_of(watched: Watched, node: SimulatedNode) -> Service:
    """What a node that was started again says of itself."""
    connections, network = Connections(), FakeNetwork()
    connections.network, connections.replica = network, node.replica
    network.infos = [peer(one.key, height=one.replica.chain.height) for one in watched.network.nodes if one is not node]
    connections._linked = {info.node_key: None for info in network.infos}
    return Service(
        replica=node.replica,
        connections=connections,
        registry=CITY,
        metrics=Metrics(),
        index=None,
        indexer=None,
        genesis=watched.network.demo.genesis,
        organisation=lambda: "org",
        data=Path(),
    )


def refused(call: object, *arguments: object) -> Fault:
    with pytest.raises(Fault) as refusal:
        call(*arguments)  # type: ignore[operator]
    return refusal.value


def test_it_keeps_to_the_policy_while_blocks_come() -> None:
    """Old files go while blocks are executed; the rest is read as before; status and usage say what is there."""
    watched = with_blocks(150)
    store = watched.node.replica.store
    before = watched.node.disk.usage("blocks")
    pruning = pruning_of(watched)
    watched.run(20 * LOOK_MS)
    assert 60 < store.earliest_height <= store.applied.height - 49
    assert watched.node.disk.usage("blocks") < before * 2 / 3
    more(watched, 100)
    watched.run(20 * LOOK_MS)
    height = store.applied.height
    assert height - 90 < store.earliest_height <= height - 49
    assert all(store.block(at) is not None for at in range(store.earliest_height, height + 1))
    status = watched.service.status()
    assert status.earliest == pruning.earliest
    assert status.earliest["blocks"] == store.earliest_height
    assert status.usage["blocks"] == watched.node.disk.usage("blocks")
    assert status.earliest["index"] == watched.index.earliest > 100
    assert not pruning.busy


def test_what_is_pruned_has_a_name() -> None:
    """Blocks, transactions and proofs below the earliest height: the height, the earliest one, and whom to ask."""
    watched = with_blocks(150)
    tx_id, (height, _) = next(iter(watched.network.decided.items()))
    watched.run(20 * SECOND)
    pruning_of(watched, Retention(blocks=Keep(blocks=50)))
    watched.run(20 * LOOK_MS)
    service, store = watched.service, watched.node.replica.store
    assert height < store.earliest_height
    for call, argument in ((service.block, height), (service.transaction, tx_id)):
        refusal = refused(call, argument)
        assert refusal.spec is PRUNED
        assert refusal.values["height"] == height
        assert refusal.values["earliest"] == store.earliest_height
        others = {node.key.hex() for node in watched.network.nodes if node is not watched.node}
        assert {one.partition("@")[0] for one in refusal.values["ask"].split(", ")} <= others
    assert service.block(store.earliest_height) is not None


def test_nobody_known_keeps_it() -> None:
    """Where no connected node keeps a height, the error says what kind of node does."""
    watched = with_blocks(150)
    pruning_of(watched)
    watched.run(20 * LOOK_MS)
    watched.p2p.infos.clear()
    assert refused(watched.service.block, 1).values["ask"] == "an archive node"


def test_a_hold_stops_it() -> None:
    """While somebody copies the files nothing is deleted; afterwards it goes on."""
    watched = with_blocks(150)
    store = watched.node.replica.store
    pruning = Pruning(replica=watched.node.replica, retention=TINY, disk=watched.node.disk)
    release, second = pruning.hold(), pruning.hold()
    pruning.start()
    watched.run(20 * LOOK_MS)
    release()
    release()
    watched.run(20 * LOOK_MS)
    assert store.earliest_height == 1
    second()
    watched.run(20 * LOOK_MS)
    assert store.earliest_height > 60


class Listening:
    """A runtime that notes for whom it has work done."""

    def __init__(self, runtime: Any, jobs: list[str]) -> None:
        self._runtime, self._jobs = runtime, jobs

    def run_in_writer(self, writer: str, job: object, done: object) -> None:
        self._jobs.append(writer)
        self._runtime.run_in_writer(writer, job, done)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._runtime, name)


def test_steps_are_short_and_apart() -> None:
    """In the thread that commits there is one mark for a pruning; files go elsewhere, one a step."""
    watched = with_blocks(150)
    jobs: list[str] = []
    pruning = Pruning(replica=watched.node.replica, retention=Retention(blocks=Keep(blocks=50)), disk=watched.node.disk)
    pruning._runtime = Listening(watched.node.runtime, jobs)
    starts = watched.node.replica.store.blocks._starts
    files = len(starts)
    pruning.start()
    watched.run(1)
    while pruning.busy:
        watched.run(1)
    assert jobs.count(Thread.FILES) > files - len(starts) > 2
    assert jobs.count(Thread.STORE) <= 2


def wiped_while_others_prune(pruning: int) -> tuple[Watched, SimulatedNode]:
    """A network of which so many validators keep only late blocks, and its peer, which lost its data and is down."""
    watched = Watched(peers=1)
    network = watched.network
    late = network.nodes[4]
    network.crash(late, wipe=True)
    while network.nodes[0].replica.chain.height < 150:
        network.send(network.nodes[0], count=1)
        watched.run(60)
    for node in network.nodes[:pruning]:
        Pruning(replica=node.replica, retention=TINY, disk=node.disk).start()
    watched.run(20 * LOOK_MS)
    return watched, late


def test_who_lacks_what_all_have_pruned_says_so() -> None:
    """A wiped node whose neighbours keep only later blocks names what it lacks, and the earliest that is there."""
    watched, late = wiped_while_others_prune(4)
    network = watched.network
    earliest = min(node.replica.store.earliest_height for node in network.nodes[:4])
    assert earliest > 60
    network.restart(late)
    watched.run(10 * SECOND)
    assert late.replica.chain.height == 0
    assert late.replica.catch_up.unobtainable() == (1, earliest)
    assert late.replica.catch_up.keepers(1) == []
    reasons = {reason.spec: dict(reason.values) for reason in service_of(watched, late).status().reasons}
    assert BEHIND in reasons
    assert {"height": 1, "earliest": earliest, "ask": "an archive node"} == reasons[PRUNED]


def test_one_archive_is_enough() -> None:
    """A wiped node gets old blocks from the only neighbour that keeps them, and then all others."""
    watched, late = wiped_while_others_prune(3)
    network = watched.network
    assert min(node.replica.store.earliest_height for node in network.nodes[:3]) > 60
    network.restart(late)
    watched.run(60 * SECOND)
    assert late.replica.chain.height == network.nodes[0].replica.chain.height
    assert late.replica.catch_up.unobtainable() is None


def test_a_snapshot_leads_over_what_is_pruned(monkeypatch: pytest.MonkeyPatch) -> None:
    """However few blocks are missing: where all have pruned them, a wiped node begins at a snapshot and follows."""
    monkeypatch.setattr("tests.driver.test_snapshots.BEHIND", 10_000)
    town = Town()
    town.start()
    prunings = []
    while town.network.nodes[0].replica.chain.height < 150:
        town.busy(2)
    for node in town.network.nodes[:4]:
        shelf = Shelf(node.disk)
        prunings.append(Pruning(replica=node.replica, retention=TINY, disk=node.disk, snapshot=shelf.newest))
        prunings[-1].start()
    town.run(20 * LOOK_MS)
    earliest = min(node.replica.store.earliest_height for node in town.network.nodes[:4])
    assert earliest > 60
    town.network.boot(town.joiner)
    town.network.relink()
    assert town.run(60 * SECOND, lambda: bool(town.restored))
    town.begin_anew(town.joiner)
    town.busy(4)
    heights = {node.replica.chain.height for node in town.network.nodes}
    assert max(heights) - min(heights) <= 2
    assert town.joiner.replica.store.earliest_height > earliest


def test_epochs_crashes_and_pruning(monkeypatch: pytest.MonkeyPatch) -> None:
    """Through crashes and changes of the epoch, with the least of everything kept, every epoch's end stays provable."""
    for module in (storage.retention, storage.pruning):
        monkeypatch.setattr(module, "HEADERS_PART", 16)
    least = Keep(blocks=1)
    network = SimulatedNetwork(3, validators=4, epoch_blocks=40)
    booted = network.booted

    def boot(node: SimulatedNode) -> None:
        booted(node)
        retention = Retention(blocks=least, receipts=least, headers=least)
        node.runtime.call_soon(Pruning(replica=node.replica, retention=retention, disk=node.disk).start)

    network.booted = boot
    network.start()
    for moment in range(0, 420, 2):
        network.world.at(1_000 * moment, lambda: network.send(network.nodes[1], count=1))
    for moment, number in ((60, 0), (200, 2), (330, 3), (331, 3), (380, 0)):
        node = network.nodes[number]
        network.world.at(1_000 * moment, lambda node=node: network.crash(node))
        network.world.at(1_000 * moment + 700, lambda node=node: network.restart(node))
    network.world.run_until(430 * SECOND)

    for node in network.nodes:
        store, prover = node.replica.store, Prover(node.replica.store)
        height = store.applied.height
        assert store.earliest_height > height - 100
        assert 16 <= store.earliest.headers == store.earliest.swept <= store.receipts_from
        assert 300 * SECOND <= store.applied.time_ms - store.header(store.receipts_from).time_ms < 400 * SECOND
        anchor = prover.newest_anchor()
        ends = [link.last.header for link in prover.epoch_ends(0, 100)]
        assert len(ends) > 5
        for header in [store.header(0), *ends]:
            if header.height < anchor.header.height:
                prover.history(header.height, anchor).block.verify(anchor.header)
        window, again = node.replica.window, rebuild_window(store, node.replica.record)
        assert (len(again), again.first_height) == (len(window), window.first_height)
        content = HomeContent(node.engine, node.disk)
        audit = Audit(content, verify_votes)
        content.by_id(audit)
        assert list(audit.run())
        assert [] == audit.findings, "what is left agrees with itself"
    assert len({node.replica.store.applied.state_root for node in network.nodes}) == 1
