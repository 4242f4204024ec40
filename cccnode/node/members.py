"""Who this node may be linked with: what the registry says at the applied height, kept current (D9, J14)."""

from collections.abc import Callable, Collection, Iterable, Sequence

from cccnode.city.registry.record import RegisteredNode, registered_nodes
from cccnode.city.registry.state import node_owner, read_nodes
from cccnode.ledger.state import Overlay
from p2p.directory import Node
from p2p.events import Contact
from storage.store import Store


def nodes_of(store: Store, validating: Collection[bytes] = ()) -> list[Node]:
    """The registered nodes, as the network trusts them.

    Validators are those of the epoch, `validating`, and those that the next one is to have: who is to leave still
    votes, and who is to come needs its links when the epoch begins.
    """
    return [_node(row, validator=row.validator or row.node_key in validating) for row in registered_nodes(store.state)]


def _node(row: RegisteredNode, *, validator: bool) -> Node:
    return Node(
        node_key=row.node_key,
        certificate=row.certificate,
        addresses=row.addresses,
        organisation=row.organisation,
        validator=validator,
    )


class Members:
    """Tells gossip and the network whenever the registry changed."""

    def __init__(self, store: Store, node_key: bytes, *, bootstrap: Iterable[Contact] = ()) -> None:
        """`bootstrap`: nodes of the network card, which count until the registry knows better."""
        self._store, self._node_key, self._bootstrap = store, node_key, tuple(bootstrap)
        self.changed: Callable[[Sequence[Node]], None] = lambda _: None
        """Told of the registered nodes each time `contacts` is asked."""

    def organisation(self) -> str:
        """Whose node this is by the registry; empty while it is not registered."""
        return node_owner(Overlay(self._store.state), self._node_key) or ""

    def registered(self) -> bool:
        """Whether the registry lists this node: a retired one stays linked for a while, and makes no promises."""
        state = Overlay(self._store.state)
        owner = node_owner(state, self._node_key)
        return owner is not None and self._node_key in read_nodes(state, owner)

    def contacts(self, validating: Collection[bytes]) -> list[Contact]:
        """Whom this node may dial, itself included: a later block than ours may register it.

        `validating`: node keys of the epoch's validators.
        """
        nodes = nodes_of(self._store, validating)
        self.changed(nodes)
        found = {
            node.node_key: Contact(node_key=node.node_key, validator=node.validator, addresses=node.addresses)
            for node in nodes
        }
        for contact in (*self._bootstrap, Contact(node_key=self._node_key, validator=False, addresses=())):
            found.setdefault(contact.node_key, contact)
        return list(found.values())
