"""A node without a state looks for a snapshot before it builds the first state, which it would only throw away.

Where the genesis document has its accounts in an allocation file, building that state takes minutes and memory.  Such a
node links itself with the nodes that genesis names and with its contacts, asks nothing of them but snapshots, and says
on its ports how far it is.  Where nobody is there, nobody is far ahead, or nobody has a snapshot, it begins at genesis.
"""

import asyncio
from collections.abc import Callable, Iterable
from contextlib import AsyncExitStack
from importlib.metadata import version
from typing import Any, Final

import structlog

from cccnode.city.registry import record as membership
from cccnode.config import Config, split_contact
from cccnode.crypto import verifying
from cccnode.crypto.signing import SigningKey
from cccnode.driver.joining import Joining
from cccnode.driver.runtime import AsyncioRuntime, Runtime
from cccnode.node.connections import Connections, credible_height
from cccnode.node.joining import home_card, served_files
from cccnode.node.members import Members, nodes_of
from cccnode.node.restoring import head_of, origin_in, target_of, wish_of
from cccnode.node.stateless import Stateless
from cccnode.rpc.server import RpcServer
from cccnode.telemetry import Metrics
from cccnode.types.errors import Fault
from genesis.document import Genesis
from p2p.directory import Directory, Node
from p2p.directory import Identity as NodeIdentity
from p2p.events import DialFailed
from p2p.frames import Channel
from p2p.network import Network
from p2p.scores import Offence
from p2p.snapshots import ManifestReply, ManifestRequest, PieceReply, PieceRequest, read_snapshot
from storage import keys
from storage.files import RealDisk
from storage.leveldb import LevelDB
from storage.store import Store

LOOK_MS: Final = 10_000
"""Nobody is linked so long: the node begins at genesis, and may still find a snapshot later."""
SETTLE_MS: Final = 1_000
"""After the first link: until it is known how far the others are."""
LINKS: Final = 8
"""Nodes that are dialled at once."""
ENOUGH: Final = 3
"""With fewer links others are dialled."""
OTHERS_MS: Final = 10_000
"""It is looked this often whether there are enough."""

_log = structlog.get_logger("node")


class Arrival:
    """Uses the links of a node that has no state: for snapshots only."""

    def __init__(self, runtime: Runtime, connections: Connections, over: Callable[[], None]) -> None:
        """Nobody is linked; `joining` is set right after.  `over` hears once that there is nothing to wait for."""
        self._runtime, self._connections, self._over = runtime, connections, over
        self._began_ms = runtime.now_ms()
        self._linked_ms: int | None = None
        self.joining: Joining

    @property
    def catch_up(self) -> "Arrival":
        """Who hears of failed dials."""
        return self

    def handle(self, event: DialFailed) -> None:
        """Nothing follows: it is dialled again, or another one is."""

    def on_linked(self, peer: bytes, address: str = "") -> None:
        """See `User`."""
        if self._linked_ms is None:
            self._linked_ms = self._runtime.now_ms()
        self.joining.look()

    def on_unlinked(self, peer: bytes) -> None:
        """See `User`."""
        self.joining.forget(peer)

    def on_frame(self, peer: bytes, channel: Channel, payload: bytes) -> None:
        """See `User`: what is not about snapshots is for a node that has a state."""
        if channel is not Channel.SNAPSHOT:
            return
        try:
            message = read_snapshot(payload)
        except Fault as reason:
            self._connections.punish(peer, Offence.MALFORMED, str(reason))
            return
        match message:
            case ManifestReply():
                self.joining.offered(peer, message)
            case PieceReply():
                self.joining.came(peer, message)
            case ManifestRequest() | PieceRequest():
                pass  # There is nothing to lend yet.

    def hold(self, *, held: bool) -> None:
        """See `Hold`: nothing to hold here, but when nothing is to be held any more it is time to begin at genesis."""
        now = self._runtime.now_ms()
        until = self._began_ms + LOOK_MS if self._linked_ms is None else self._linked_ms + SETTLE_MS
        if not held and now >= until:
            self._over()

    def dial(self, nodes: Iterable[Node], own: bytes) -> None:
        """Some of these nodes, validators rather than others; then others, as long as few answer."""
        others = [node for node in nodes if node.node_key != own]
        linked = self._connections.connected()
        if len(linked) < ENOUGH:
            self._runtime.rng.shuffle(others)
            others.sort(key=lambda node: (node.node_key not in linked, not node.validator))
            self._connections.want([node.node_key for node in others[:LINKS]])
        self._runtime.call_later(OTHERS_MS, lambda: self.dial(others, own))


async def arrive(
    config: Config,
    genesis: Genesis,
    key: SigningKey,
    fail: Callable[[BaseException], None],
    stopping: asyncio.Future[bool],
) -> None:
    """Make data out of other nodes' snapshot, if this node has none and that spares it something.

    Returns when the node is to begin, with that data or at genesis, or when it is to stop.

    Raises:
        Fault: it cannot listen, or what the disk says.
    """
    storage = config.storage
    small = genesis.document.allocation is None
    if small or not storage.snapshot_behind or storage.engine == "memory" or _has_state(config):
        return
    head = head_of(genesis)
    if any(key.public_key in row.node_keys for row in origin_in(head, genesis).record.validators):
        return  # Nobody has anything before the validators of genesis begin.
    over: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def end() -> None:
        if not over.done():
            over.set_result(None)

    async with AsyncExitStack() as stack:
        await _assemble(config, genesis, key, head, stack, fail, end)
        ends: list[asyncio.Future[Any]] = [over, stopping]
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)


def _has_state(config: Config) -> bool:
    folder = config.home.data / "state"
    if not folder.exists():
        return False
    engine = LevelDB(folder)
    try:
        return engine.get(keys.APPLIED) is not None
    finally:
        engine.close()


async def _assemble(
    config: Config,
    genesis: Genesis,
    key: SigningKey,
    head: Store,
    stack: AsyncExitStack,
    fail: Callable[[BaseException], None],
    end: Callable[[], None],
) -> None:
    """Open the few parts of a node that arrives; `stack` closes them in reverse."""
    runtime = AsyncioRuntime(asyncio.get_running_loop(), fail)
    disk = RealDisk(config.home.data)
    stack.callback(disk.close)
    stack.callback(runtime.close)
    connections = Connections(runtime.guarded)
    nodes = nodes_of(head)
    directory = Directory(
        NodeIdentity(key.seed), nodes, chain=genesis.chain, contacts=map(split_contact, config.p2p.bootstrap)
    )
    network = Network(
        identity=NodeIdentity(key.seed),
        chain=genesis.chain,
        directory=directory,
        handler=connections,
        listen=config.p2p.listen,
        advertise=config.p2p.advertise,
        rng=runtime.rng,
        program=version("cccnode"),
    )
    arrival = Arrival(runtime, connections, end)
    connections.network, connections.replica = network, arrival
    origin = origin_in(head, genesis)
    arrival.joining = Joining(
        runtime=runtime,
        links=connections,
        disk=disk,
        origin=lambda: origin,
        verify_many=verifying.verify_many,
        membership=membership,
        wish=wish_of(config, home_card(config.home)),
        behind=lambda: credible_height(network.peers(), len(origin.record.validators)),
        height=lambda: 0,
        target=target_of(config.home, genesis),
        hold=arrival.hold,
        restored=lambda height: end(),
    )
    rpc = RpcServer(
        Stateless(
            connections=connections,
            joining=arrival.joining,
            origin=origin,
            chain_name=genesis.document.name,
            node_key=key.public_key,
            organisation=Members(head, key.public_key).organisation(),
            metrics=Metrics(),
            data=config.home.data,
        ),
        config.rpc,
        config.ops,
        files=served_files(config.home, genesis),
    )
    await rpc.start()
    stack.push_async_callback(rpc.stop)
    await network.start()
    stack.push_async_callback(network.stop)
    _log.info("looking for a snapshot", network=genesis.document.name, chain=genesis.chain, node=key.public_key)
    arrival.dial(nodes, key.public_key)
    arrival.joining.start()
