"""Starts one node, keeps it up, and stops it: lock, keys, genesis, storage, replica, network, RPC, in this order."""

import asyncio
import gc
import signal
import sys
from contextlib import AsyncExitStack
from importlib.metadata import version
from pathlib import Path

import structlog

from cccnode import keys
from cccnode.city import CITY
from cccnode.city.registry.record import RegisteredNode, registered_nodes
from cccnode.config import Config
from cccnode.crypto.signing import SigningKey
from cccnode.crypto.verifying import verify_many
from cccnode.driver.replica import Identity, Replica
from cccnode.driver.runtime import AsyncioRuntime
from cccnode.home import HomeLock
from cccnode.keys import Role
from cccnode.mempool import Caps
from cccnode.node.connections import Connections
from cccnode.node.data import initialise, open_data, read_home_genesis
from cccnode.node.indexing import Indexer
from cccnode.node.measuring import Measuring
from cccnode.node.service import Service
from cccnode.rpc.server import RpcServer
from cccnode.telemetry import Metrics, start_logging
from cccnode.types.errors import Fault
from cccnode.types.validators import EpochRecord
from genesis.document import Genesis
from p2p.directory import Directory, Node
from p2p.directory import Identity as NodeIdentity
from p2p.events import Contact
from p2p.gossip import Gossip
from p2p.network import Network
from p2p.overlay import GossipConfig
from storage.engine import Engine
from storage.files import RealDisk
from storage.index import Index
from storage.leveldb import LevelDB
from storage.memory import MemoryEngine
from storage.store import Store

SWITCH_SECONDS = 0.0005
"""How long a writer thread waits for the interpreter when the loop is busy; the default of 5 ms would delay votes."""
GC_THRESHOLDS = (50_000, 20, 50)
"""Under load most objects die young by reference count; Python's default would look for cycles thousands of times a
second, which costs 4 % of the processor."""

_log = structlog.get_logger("node")


async def run(config: Config) -> None:
    """Run a node until SIGINT or SIGTERM.

    Raises:
        Fault: it cannot start, or must not go on; the text names cause and remedy.
    """
    start_logging(level=config.log.level, form=config.log.format)
    sys.setswitchinterval(SWITCH_SECONDS)
    loop = asyncio.get_running_loop()
    stopping: asyncio.Future[None] = loop.create_future()

    def stop() -> None:
        if not stopping.done():
            stopping.set_result(None)

    def fail(error: BaseException) -> None:
        """Something escaped; a node that went on after that could lie."""
        if not stopping.done():
            stopping.set_exception(error)

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop)
    with HomeLock.take(config.home):
        async with AsyncExitStack() as stack:
            runtime = AsyncioRuntime(loop, fail)
            await _assemble(config, runtime, stack)
            await stopping
            _log.info("stopping")


async def _assemble(config: Config, runtime: AsyncioRuntime, stack: AsyncExitStack) -> None:
    """Open everything in order; `stack` closes it in reverse, also when a later part fails."""
    node_key, validator_key = _unlock(config)
    genesis = read_home_genesis(config.home.genesis_file)
    disk = RealDisk(config.home.data)
    stack.callback(disk.close)
    engine = _open_engine(config)
    stack.callback(engine.close)
    index = _open_index(config)
    if index is not None:
        stack.callback(index.close)
    stack.callback(runtime.close)  # first of these to run: writers finish before their files are closed
    try:
        store = Store.open(
            disk,
            engine,
            chain=genesis.chain,
            node_id=node_key.public_key,
            depth=genesis.document.state_depth,
            cache_bytes=config.storage.cache_mb << 20,
        )
    except Fault as refused:
        refused.values.setdefault("data", str(config.home.data))
        raise
    header, record = initialise(store, genesis)
    directory = _directory(store, node_key)
    validator = _validator_index(record, validator_key, node_key)
    opened = open_data(disk, store, record.epoch, validates=validator is not None)
    connections = Connections(runtime.guarded)
    replica = Replica(
        runtime=runtime,
        links=connections,
        identity=Identity(
            node_key=node_key.public_key,
            validator=validator,
            sign=validator_key.sign if validator_key is not None else None,
        ),
        opened=opened,
        registry=CITY,
        chain_id=genesis.chain,
        genesis_header=header,
        record=record,
        contacts=_contacts(directory, node_key),
        gossip=Gossip(GossipConfig(node_key=node_key.public_key), runtime.rng, runtime.now_ms()),
        verify_many=verify_many,
        caps=Caps(transactions=config.mempool.txs_max, per_payer=config.mempool.pending_per_payer_max),
    )
    network = Network(
        identity=NodeIdentity(node_key.seed),
        chain=genesis.chain,
        directory=directory,
        handler=connections,
        listen=config.p2p.listen,
        advertise=config.p2p.advertise,
        rng=runtime.rng,
    )
    connections.network, connections.replica = network, replica
    metrics = Metrics()
    metrics.identify(version=version("cccnode"), chain=genesis.chain.hex(), node=node_key.public_key.hex())
    runtime.timed = lambda writer, seconds: metrics.sync_seconds.labels(writer).observe(seconds)
    indexer = Indexer(runtime=runtime, store=store, index=index) if index is not None else None
    own = directory.node(node_key.public_key)
    service = Service(
        replica=replica,
        connections=connections,
        registry=CITY,
        metrics=metrics,
        index=index,
        indexer=indexer,
        genesis=genesis,
        organisation=own.organisation if own is not None else "",
        data=config.home.data,
    )
    Measuring(replica=replica, connections=connections, service=service, metrics=metrics, runtime=runtime)
    replica.decided_hooks.append(lambda applied: network.set_height(applied.outcome.height))
    if indexer is not None:
        replica.decided_hooks.append(indexer.applied)
        indexer.start()
    network.set_height(replica.chain.height)
    rpc = RpcServer(service, config.rpc, config.ops, on_failure=_rpc_failed)
    await rpc.start()
    stack.push_async_callback(rpc.stop)
    replica.start()
    await network.start()
    stack.push_async_callback(network.stop)
    # What exists now lives until the end: the collector need not visit it again.
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)
    _log_start(config, genesis, replica, network)


def _log_start(config: Config, genesis: Genesis, replica: Replica, network: Network) -> None:
    voting = replica.voting
    _log.info(
        "started",
        network=genesis.document.name,
        chain=genesis.chain,
        node=replica.identity.node_key,
        validator=replica.identity.validator,
        height=replica.chain.height,
        p2p=network.address,
        rpc=config.rpc.listen,
    )
    if voting is not None and voting.engine.observing is not None:
        _log.warning("observing", reason=voting.engine.observing)


def _unlock(config: Config) -> tuple[SigningKey, SigningKey | None]:
    """The node key, and the consensus key where there is one."""
    file = config.keys.passphrase_file
    passphrase = keys.find_passphrase(Path(file) if file else None)
    node_key = keys.unlock(config.home.node_key, role=Role.NODE, passphrase=passphrase)
    if not config.home.validator_key.exists():
        return node_key, None
    return node_key, keys.unlock(config.home.validator_key, role=Role.VALIDATOR, passphrase=passphrase)


def _open_engine(config: Config) -> Engine:
    return MemoryEngine() if config.storage.engine == "memory" else LevelDB(config.home.data / "state")


def _open_index(config: Config) -> Index | None:
    return Index(config.home.data / "index" / "transactions.sqlite") if config.storage.index else None


def _directory(store: Store, node_key: SigningKey) -> Directory:
    def node(registered: RegisteredNode) -> Node:
        return Node(
            node_key=registered.node_key,
            certificate=registered.certificate,
            addresses=registered.addresses,
            organisation=registered.organisation,
            validator=registered.validator,
        )

    return Directory(NodeIdentity(node_key.seed), [node(row) for row in registered_nodes(store.state)])


def _contacts(directory: Directory, node_key: SigningKey) -> list[Contact]:
    """Whom this node may dial, itself included: a later block than ours may register it, and others tell it if not."""
    found = [
        Contact(node_key=node.node_key, validator=node.validator, addresses=node.addresses)
        for node in directory.nodes.values()
    ]
    if directory.node(node_key.public_key) is None:
        found.append(Contact(node_key=node_key.public_key, validator=False, addresses=()))
    return found


def _validator_index(record: EpochRecord, key: SigningKey | None, node_key: SigningKey) -> int | None:
    """Which validator of the record votes with `key`; its votes count only over a node of its own (J14)."""
    for index, validator in enumerate(record.validators):
        if key is not None and validator.consensus_key == key.public_key:
            if node_key.public_key in validator.node_keys:
                return index
            _log.warning("the validator key belongs to another node; this one only follows", validator=index)
    return None


def _rpc_failed(method: str, error: Exception) -> None:
    _log.error("an RPC call failed", method=method, exc_info=error)
