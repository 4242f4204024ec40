"""Starts one node, keeps it up, and stops it: lock, keys, genesis, storage, replica, network, RPC, in this order."""

import asyncio
import gc
import signal
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from functools import partial
from importlib.metadata import version

import structlog

from cccnode import keys
from cccnode.city import CITY
from cccnode.city.registry import record as membership
from cccnode.config import Config, split_address, split_contact
from cccnode.crypto import verifying
from cccnode.crypto.signing import SigningKey
from cccnode.driver.copies import Copies
from cccnode.driver.epochs import Identity
from cccnode.driver.recording import Recordings
from cccnode.driver.replica import Replica
from cccnode.driver.runtime import AsyncioRuntime
from cccnode.home import HomeLock
from cccnode.mempool import Caps
from cccnode.node import allocator, signatures
from cccnode.node.addresses import KeptAddresses
from cccnode.node.arriving import arrive
from cccnode.node.ceremony import accepted, given_up
from cccnode.node.city_clock import CityClock, is_demo
from cccnode.node.connections import Connections
from cccnode.node.data import initialise, open_data, read_home_genesis, read_home_outline
from cccnode.node.indexing import Indexer, history_indexer, transaction_indexer
from cccnode.node.joining import CheckpointGuard, home_card, named_contacts, say_who_waits, served_files
from cccnode.node.keyring import Keyring, unlock
from cccnode.node.measuring import Measuring
from cccnode.node.members import Members, nodes_of
from cccnode.node.notifying import Supervisor
from cccnode.node.pruning import Kept, Pruning
from cccnode.node.reporting import Reporting
from cccnode.node.restoring import assemble_snapshots, swap_in
from cccnode.node.service import Service
from cccnode.node.verifying import look_at_start
from cccnode.rpc.server import RpcServer
from cccnode.signer.remote import RemoteSigner
from cccnode.telemetry import Metrics, start_logging
from cccnode.types.block import Header
from cccnode.types.errors import Fault
from cccnode.types.promise import make_promise
from consensus.events import Tick
from genesis.document import Genesis
from p2p.directory import Directory
from p2p.directory import Identity as NodeIdentity
from p2p.gossip import Gossip
from p2p.network import Network
from p2p.overlay import GossipConfig
from storage.engine import Engine
from storage.files import RealDisk
from storage.history import History, open_history
from storage.index import Index
from storage.leveldb import LevelDB
from storage.memory import MemoryEngine
from storage.pruning import Thread
from storage.store import Store

SWITCH_SECONDS = 0.0005
"""How long a writer thread waits for the interpreter when the loop is busy; the default of 5 ms would delay votes."""
GC_THRESHOLDS = (50_000, 20, 50)
"""Under load most objects die young by reference count; Python's default would look for cycles thousands of times a
second, which costs 4 % of the processor."""

_log = structlog.get_logger("node")


async def run(config: Config) -> bool:
    """Run a node until SIGINT or SIGTERM, or until it is to begin anew with other data.

    Returns:
        Whether the process is to begin anew.

    Raises:
        Fault: it cannot start, or must not go on; the text names cause and remedy.
    """
    start_logging(level=config.log.level, form=config.log.format)
    allocator.begin()
    signatures.begin()
    sys.setswitchinterval(SWITCH_SECONDS)
    loop = asyncio.get_running_loop()
    stopping: asyncio.Future[bool] = loop.create_future()

    def stop(*, again: bool = False) -> None:
        if not stopping.done():
            stopping.set_result(again)

    def fail(error: BaseException) -> None:
        """Something escaped; a node that went on after that could lie."""
        if not stopping.done():
            stopping.set_exception(error)

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop)
    with HomeLock.take(config.home):
        opened = unlock(config)
        genesis = read_home_outline(config.home.genesis_file)
        Supervisor().tell(READY="1", STATUS="starting")
        _swap_in(config)
        await arrive(config, genesis, opened[0], fail, stopping)
        if stopping.done():
            return await stopping
        _swap_in(config)
        async with AsyncExitStack() as stack:
            runtime = AsyncioRuntime(loop, fail)
            await _assemble(config, runtime, stack, opened, genesis, begin_anew=partial(stop, again=True))
            again = await stopping
            _log.info("stopping", begins_anew=again)
            Supervisor().tell(**({"STATUS": "begins anew"} if again else {"STOPPING": "1"}))
    return again


def _swap_in(config: Config) -> None:
    """Data that was restored takes its place before anybody opens it."""
    if swap_in(config.home.data):
        _log.info("begins at a snapshot", data=str(config.home.data))


def _open_store(config: Config, disk: RealDisk, engine: Engine, genesis: Genesis) -> tuple[Store, Header]:
    """What is stored, looked at; the first state is written where there is none.  Also the genesis header."""
    began = time.monotonic()
    try:
        store = Store.open(
            disk,
            engine,
            chain=genesis.chain,
            node_id=keys.read(config.home.first_node_key).public_key,
            depth=genesis.document.state_depth,
            cache_bytes=config.storage.cache_mb << 20,
        )
        opened = time.monotonic()
        header = initialise(
            store, genesis if store.applied is not None else read_home_genesis(config.home.genesis_file)
        )
        began += time.monotonic() - opened
        looked_at = look_at_start(engine, disk)
    except Fault as refused:
        refused.values.setdefault("data", str(config.home.data))
        raise
    _log.info("data checked", verdict="sound", **looked_at, seconds=round(time.monotonic() - began, 3))
    return store, header


async def _assemble(
    config: Config,
    runtime: AsyncioRuntime,
    stack: AsyncExitStack,
    opened: tuple[SigningKey, Keyring],
    genesis: Genesis,
    begin_anew: Callable[[], None],
) -> None:
    """Open everything in order; `stack` closes it in reverse, also when a later part fails."""
    node_key, consensus_keys = opened
    consensus_keys.watch(runtime)
    disk = RealDisk(config.home.data)
    stack.callback(disk.close)
    engine = _open_engine(config)
    stack.callback(engine.close)
    index = _open_index(config)
    if index is not None:
        stack.callback(index.close)
    history = open_history(config.home.data / "history") if config.storage.history else None
    if history is not None:
        stack.callback(history.close)
    stack.callback(runtime.close)  # first of these to run: writers finish before their files are closed
    store, header = _open_store(config, disk, engine, genesis)
    clock = _city_clock(runtime, store, genesis)
    card = home_card(config.home)
    guard = CheckpointGuard(store, card.checkpoint) if card is not None else None
    directory = Directory(
        NodeIdentity(node_key.seed),
        nodes_of(store),
        chain=genesis.chain,
        contacts=map(split_contact, config.p2p.bootstrap),
    )
    KeptAddresses(directory, disk, runtime).start()
    members = Members(store, node_key.public_key, bootstrap=named_contacts(config))
    connections = Connections(runtime.guarded)
    replica = Replica(
        runtime=runtime,
        links=connections,
        identity=Identity(node_key=node_key.public_key, signers=consensus_keys),
        opened=open_data(disk, store, given_up=given_up(config.home)),
        registry=CITY,
        membership=membership,
        chain_id=genesis.chain,
        genesis_header=header,
        contacts=members.contacts,
        gossip=Gossip(GossipConfig(node_key=node_key.public_key), runtime.rng, runtime.now_ms(), directory.book),
        verify_many=verifying.verify_many,
        caps=Caps(transactions=config.mempool.txs_max, per_payer=config.mempool.pending_per_payer_max),
        restarts=accepted(config.home),
    )
    network = Network(
        identity=NodeIdentity(node_key.seed),
        chain=genesis.chain,
        directory=directory,
        handler=connections,
        listen=config.p2p.listen,
        advertise=config.p2p.advertise,
        rng=runtime.rng,
        program=version("cccnode"),
    )
    connections.network, connections.replica = network, replica
    members.changed = network.set_nodes
    metrics = Metrics()
    metrics.identify(version=version("cccnode"), chain=genesis.chain.hex(), node=node_key.public_key.hex())
    runtime.timed = lambda writer, seconds: metrics.sync_seconds.labels(writer).observe(seconds)
    indexer = transaction_indexer(runtime=runtime, store=store, index=index) if index is not None else None
    service = Service(
        replica=replica,
        connections=connections,
        registry=CITY,
        metrics=metrics,
        index=index,
        indexer=indexer,
        history=history,
        genesis=genesis,
        organisation=members.organisation,
        registered=members.registered,
        data=config.home.data,
        signer=consensus_keys.remote,
        promise=lambda tx_id, after: make_promise(
            SigningKey(node_key.seed).sign,
            chain=genesis.chain,
            tx_id=tx_id,
            after=after,
            by=after + config.rpc.promise_blocks,
            node_key=node_key.public_key,
        ),
    )
    Measuring(
        replica=replica,
        connections=connections,
        service=service,
        metrics=metrics,
        runtime=runtime,
        data=config.home.data,
    )
    replica.decided_hooks.append(lambda applied: network.set_height(applied.outcome.height))
    replica.decided_hooks.append(signatures.Signers(verifying.default).applied)
    assemble_snapshots(config, replica, engine, disk, genesis, card, service.behind, begin_anew)
    if clock is not None:
        _follow_clock(clock, replica)
    if guard is not None:
        replica.decided_hooks.append(lambda applied: guard.look())
    derived = _follow(replica, indexer, index, history)
    pinned = () if card is None else (card.checkpoint.height,)
    service.pruning = pruning = Pruning(
        replica=replica,
        retention=config.retention.policy,
        disk=disk,
        derived=derived,
        pinned=pinned,
        snapshot=lambda: replica.snapshots.photography.newest if replica.snapshots is not None else None,
        waits=lambda: replica.snapshots is not None and replica.snapshots.photography.taking is not None,
    )
    network.set_height(replica.chain.height)
    incidents = Recordings(
        runtime=runtime, voting=lambda: replica.voting, program=version("cccnode"), node=node_key.public_key
    )
    await _listen_for_signer(config, runtime, stack, consensus_keys.remote, replica)
    rpc = RpcServer(
        service,
        config.rpc,
        config.ops,
        files=served_files(config.home, genesis),
        incidents=incidents,
        photographer=replica.snapshots.photography if replica.snapshots is not None else None,
        copier=Copies(runtime, engine),
        clock=clock,
        on_failure=_rpc_failed,
    )
    await rpc.start()
    stack.push_async_callback(rpc.stop)
    replica.start()
    await network.start()
    stack.push_async_exit(_farewell(network))
    pruning.start()
    Reporting(
        replica=replica,
        connections=connections,
        service=service,
        carrier=network,
        runtime=runtime,
        version=version("cccnode"),
        data=config.home.data,
    ).start()
    # What exists now lives until the end: the collector need not visit it again.
    gc.collect()
    allocator.give_back()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)
    _log_start(config, genesis, replica, network)
    Supervisor().keep_told(runtime, partial(_line, service))
    say_who_waits(config, node_key.public_key, registered=bool(members.organisation()))


def _city_clock(runtime: AsyncioRuntime, store: Store, genesis: Genesis) -> CityClock | None:
    """The city clock of a demo network, from where its chain stands; real time, and None, anywhere else."""
    if not is_demo(genesis.document.features):
        return None
    start_ms = genesis.document.time_ms if store.applied is None else store.applied.time_ms
    clock = CityClock(runtime.now_ms, start_ms)
    runtime.clock = clock.wall_ms
    return clock


def _follow_clock(clock: CityClock, replica: Replica) -> None:
    """The clock is never behind a final block, and what waited for it looks again after a jump."""

    def moved() -> None:
        if replica.voting is not None:
            replica.voting.clock_moved()

    clock.moved = lambda: replica.runtime.call_soon(moved)
    replica.decided_hooks.append(lambda applied: clock.reach(applied.outcome.time_ms))


async def _listen_for_signer(
    config: Config, runtime: AsyncioRuntime, stack: AsyncExitStack, signer: RemoteSigner | None, replica: Replica
) -> None:
    """Let the remote signer connect, where there is one; each answer of it is a reason to look at the votes again."""
    if signer is None:
        return

    def answered() -> None:
        if replica.voting is not None:
            replica.voting.handle(Tick())

    signer.answered = lambda: runtime.guarded(answered)
    await signer.start(*split_address(config.signer.listen))
    stack.push_async_callback(signer.stop)


def _farewell(network: Network) -> Callable[..., Awaitable[None]]:
    """Stops the network; when the node ends by a named error, its peers hear which."""

    async def stop(kind: object, error: BaseException | None, trace: object) -> None:
        await network.stop(error if isinstance(error, Fault) else None)

    return stop


def _line(service: Service) -> str:
    """How the node is, for `systemctl status`."""
    status = service.status()
    return f"{status.state}, height {status.height}, {status.behind} behind, {status.peers} peers"


def _log_start(config: Config, genesis: Genesis, replica: Replica, network: Network) -> None:
    voting = replica.voting
    _log.info(
        "started",
        network=genesis.document.name,
        chain=genesis.chain,
        node=replica.identity.node_key,
        epoch=replica.epoch.number,
        validator=replica.epoch.me,
        height=replica.chain.height,
        p2p=network.address,
        rpc=config.rpc.listen,
        verification=verifying.backend().backend,
    )
    if voting is not None and voting.engine.observing is not None:
        _log.warning("observing", reason=voting.engine.observing)


def _follow(
    replica: Replica, indexer: Indexer[bytes] | None, index: Index | None, history: History | None
) -> dict[Thread, Kept]:
    """Begin to derive what this node keeps beside the chain."""
    derived: dict[Thread, Kept] = {}
    if index is not None and indexer is not None:
        derived[Thread.INDEX] = index, indexer
    if history is not None:
        follower = history_indexer(runtime=replica.runtime, store=replica.store, index=history, registry=CITY)
        derived[Thread.HISTORY] = history, follower
    for _, follows in derived.values():
        follows.follow(replica.decided_hooks)
    return derived


def _open_engine(config: Config) -> Engine:
    return MemoryEngine() if config.storage.engine == "memory" else LevelDB(config.home.data / "state")


def _open_index(config: Config) -> Index | None:
    return Index(config.home.data / "index" / "transactions.sqlite") if config.storage.index else None


def _rpc_failed(method: str, error: Exception) -> None:
    _log.error("an RPC call failed", method=method, exc_info=error)
