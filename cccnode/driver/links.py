"""What the driver needs of the network: send bytes to a node, and know which nodes are there."""

from collections.abc import Collection, Iterable
from typing import Protocol

from p2p.frames import Channel
from p2p.scores import Offence


class Links(Protocol):
    """Connected nodes, by their transport key."""

    def send(self, peer: bytes, channel: Channel, payload: bytes) -> bool:
        """Queue `payload`; False when the peer is gone or its queue is full."""

    def connected(self) -> Collection[bytes]:
        """Node keys of the connected nodes, validators and others."""

    def pause(self, peer: bytes, channel: Channel, *, paused: bool) -> None:
        """Stop or resume reading one channel of one peer."""

    def punish(self, peer: bytes, offence: Offence, detail: str) -> None:
        """The peer sent something that no honest node sends."""

    def want(self, keys: Iterable[bytes]) -> None:
        """The complete set of nodes to stay linked with besides the validator mesh."""

    def hint(self, node_key: bytes, address: str) -> None:
        """Another address of a registered node."""

    def hang_up(self, peer: bytes) -> None:
        """End this link to make room for another."""
