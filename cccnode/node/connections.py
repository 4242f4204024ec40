"""Between the replica and the network: what the one needs as `Links` and the other as `Handler`."""

from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Protocol

import structlog

from cccnode.types.errors import NET_DUPLICATE, NET_FULL, Fault, fault
from cccnode.types.validators import faults
from p2p.events import DialFailed
from p2p.frames import Channel
from p2p.network import Network
from p2p.peers import Direction, PeerInfo, Refusal
from p2p.scores import Offence

NOTICES_MAX = 64
"""Different things that peers may tell the operator; a peer could invent more."""

_log = structlog.get_logger("p2p")


def credible_height(peers: Sequence[PeerInfo], validators: int) -> int:
    """The newest height that nodes report, when as many of them lie as there may be faulty validators."""
    heights = sorted((peer.height for peer in peers), reverse=True)
    return heights[min(faults(validators), len(heights) - 1)] if heights else 0


class Told(Protocol):
    """Hears of nodes that could not be reached."""

    def handle(self, event: DialFailed) -> None:
        """A dial failed."""


class User(Protocol):
    """Whom the links are for: the replica; before there is one, a node that arrives."""

    @property
    def catch_up(self) -> Told:
        """Hears of nodes that could not be reached."""

    def on_linked(self, peer: bytes, address: str = "") -> None:
        """A node connected."""

    def on_unlinked(self, peer: bytes) -> None:
        """A node is gone."""

    def on_frame(self, peer: bytes, channel: Channel, payload: bytes) -> None:
        """Bytes from a connected node."""


class Connections:
    """The live links of one node.  `network` and `replica` are set right after construction: each needs the other."""

    network: Network
    replica: User

    def __init__(self, guarded: Callable[[Callable[[], None]], None] = lambda call: call()) -> None:
        """Nobody is connected.  `guarded` makes a call whose failure stops the node, as the runtime does."""
        self._guarded = guarded
        self._linked: dict[bytes, None] = {}
        self.notices: dict[str, str] = {}
        """What peers told the operator, by error name."""
        self.twin_at: dict[bytes, Fault] = {}
        """Nodes that let us in no more, because another process with our key is connected to them and answers.

        We are the second process then.  One node alone may lie; f + 1 validators that say so cannot all.
        """
        self.refusals: dict[bytes, Fault] = {}
        """Why our last try to reach a node failed, by its key."""
        self._said: dict[bytes, str] = {}
        """What the log said last of a node that is not connected: a reason that stays is said once."""
        self.on_change: Callable[[], None] = lambda: None

    # Links: what the replica asks for

    def send(self, peer: bytes, channel: Channel, payload: bytes) -> bool:
        """Queue `payload`; False when the peer is gone or its queue is full."""
        return self.network.send(peer, channel, payload)

    def connected(self) -> Collection[bytes]:
        """Node keys of the connected nodes."""
        return self._linked

    def pause(self, peer: bytes, channel: Channel, *, paused: bool) -> None:
        """Stop or resume reading one channel of one peer."""
        if paused:
            self.network.pause(peer, channel)
        else:
            self.network.resume(peer, channel)

    def punish(self, peer: bytes, offence: Offence, detail: str) -> None:
        """The peer sent something that no honest node sends."""
        _log.warning("offence", peer=peer, offence=offence.name, detail=detail)
        self.network.offence(peer, offence, detail)

    def want(self, keys: Iterable[bytes]) -> None:
        """The complete set of nodes to stay linked with besides the validator mesh."""
        self.network.want(keys)

    def hint(self, node_key: bytes, address: str) -> None:
        """Another address of a registered node."""
        self.network.hint(node_key, address)

    def hang_up(self, peer: bytes) -> None:
        """End this link to make room for another."""
        self.network.drop(peer, fault(NET_FULL, why="making room"))

    # Handler: what the network reports

    def on_peer(self, peer: PeerInfo) -> None:
        """A link is up."""
        _log.info("connected", peer=peer.node_key, organisation=peer.organisation, address=peer.address)
        self._linked[peer.node_key] = None
        self.refusals.pop(peer.node_key, None)
        self.twin_at.pop(peer.node_key, None)
        self._said.pop(peer.node_key, None)
        address = peer.address if peer.direction is Direction.OUT else ""
        self._guarded(lambda: self.replica.on_linked(peer.node_key, address))
        self.on_change()

    def on_lost(self, peer: bytes, reason: Fault) -> None:
        """A link is gone."""
        _log.info("disconnected", peer=peer, reason=str(reason))
        self._linked.pop(peer, None)
        self._note_twin(peer, reason)
        self._guarded(lambda: self.replica.on_unlinked(peer))
        self.on_change()

    def on_frame(self, peer: bytes, channel: Channel, payload: bytes) -> None:
        """A payload came from a live peer."""
        self._guarded(lambda: self.replica.on_frame(peer, channel, payload))

    def on_refused(self, refusal: Refusal) -> None:
        """A connection was refused or could not be made."""
        key, reason = refusal.node_key, refusal.fault
        if key is None:
            return
        if self._said.get(key) != reason.spec.name:
            self._said[key] = reason.spec.name
            _log.info("not connected", address=refusal.address, reason=str(reason), remedy=reason.spec.remedy)
        if refusal.direction is Direction.OUT:
            self.refusals[key] = reason
            self._note_twin(key, reason)
            failed = DialFailed(peer=key, alternatives=refusal.alternatives)
            self._guarded(lambda: self.replica.catch_up.handle(failed))
            self.on_change()

    def _note_twin(self, peer: bytes, reason: Fault) -> None:
        """It is the other side's word, or it is the peer that runs twice."""
        if reason.spec is NET_DUPLICATE and "told" in reason.values:
            self.twin_at[peer] = reason

    def on_notice(self, peer: bytes, name: str, text: str) -> None:
        """A peer tells something for people, such as that a second process uses our key."""
        _log.warning("notice from a peer", peer=peer, name=name, text=text)
        if name in self.notices or len(self.notices) < NOTICES_MAX:
            self.notices[name] = text
        self.on_change()
