"""The snapshots of one node: those it takes, those it lends to others, and the one that it begins at itself."""

from cccnode.driver.execution import Applied
from cccnode.driver.joining import Joining
from cccnode.driver.lending import Lending
from cccnode.driver.links import Links
from cccnode.driver.photography import Photography
from cccnode.types.errors import Fault
from p2p.scores import Offence
from p2p.snapshots import ManifestReply, ManifestRequest, PieceReply, PieceRequest, read_snapshot


class Snapshots:
    """What the replica knows of all three."""

    def __init__(self, *, links: Links, photography: Photography, lending: Lending, joining: Joining) -> None:
        """Join them."""
        self._links = links
        self.photography, self.lending, self.joining = photography, lending, joining

    def start(self) -> None:
        """The node is up."""
        self.photography.start()
        self.joining.start()

    def applied(self, applied: Applied) -> None:
        """A block was executed: for the replica's `decided_hooks`."""
        self.photography.applied(applied.outcome.height)

    def on_linked(self) -> None:
        """A node is there, perhaps one that is far ahead."""
        self.joining.look()

    def on_unlinked(self, peer: bytes) -> None:
        """A node is gone."""
        self.lending.forget(peer)
        self.joining.forget(peer)

    def on_frame(self, peer: bytes, payload: bytes) -> None:
        """A frame on SNAPSHOT."""
        try:
            message = read_snapshot(payload)
        except Fault as reason:
            self._links.punish(peer, Offence.MALFORMED, str(reason))
            return
        match message:
            case ManifestRequest() | PieceRequest():
                self.lending.asked(peer, message)
            case ManifestReply():
                self.joining.offered(peer, message)
            case PieceReply():
                self.joining.came(peer, message)
