"""A node on its way into a network: what it was told by its card, and what it says while nobody lets it in."""

from pathlib import Path

import structlog

from cccnode.card import Card, Checkpoint, read_card
from cccnode.config import Config, split_contact
from cccnode.home import Home, disk_fault
from cccnode.rpc.downloads import ALLOCATION_FOLDER, GENESIS_PATH
from cccnode.types.block import block_id
from cccnode.types.errors import CARD_CHECKPOINT, fault
from cccnode.types.validators import node_id
from genesis.document import Genesis
from p2p.events import Contact
from storage.store import Store

_log = structlog.get_logger("node")


def served_files(home: Home, genesis: Genesis) -> dict[str, Path]:
    """What others may fetch to join: the genesis document, and its allocation file where there is one."""
    files = {GENESIS_PATH: home.genesis_file}
    entry = genesis.document.allocation
    if entry is not None:
        files[ALLOCATION_FOLDER + entry.file_name] = home.root / entry.file_name
    return files


def named_contacts(config: Config) -> list[Contact]:
    """The nodes that the card, or the operator, names: whom to dial before the registry knows better."""
    return [
        Contact(node_key=key, validator=False, addresses=(address,))
        for key, address in map(split_contact, config.p2p.bootstrap)
    ]


def home_card(home: Home) -> Card | None:
    """The network card with which this home was made; None at founders.

    Raises:
        Fault: `card/...`, or what the disk says.
    """
    try:
        return read_card(home.card_file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise disk_fault(error, home.card_file) from error


class CheckpointGuard:
    """Holds the history that this node is given against the block that its card names.

    An old set of validators could sign another history at leisure; whoever has a recent card is not taken in by it.
    """

    def __init__(self, store: Store, checkpoint: Checkpoint) -> None:
        """Judge what is stored already.

        Raises:
            Fault: `card/CHECKPOINT`.
        """
        self._store, self._checkpoint = store, checkpoint
        self.passed = False
        """Whether the block has come, and is the right one."""
        self.look()

    def look(self) -> None:
        """Judge again: at the start, and after each executed block until it has passed.

        Raises:
            Fault: `card/CHECKPOINT`, the block has come and is another; such a node must not go on.
        """
        applied, checkpoint = self._store.applied, self._checkpoint
        if self.passed or applied is None or applied.height < checkpoint.height:
            return
        header = self._store.header(checkpoint.height)
        if header is None:  # dropped long ago, when it was looked at
            return
        found = block_id(header)
        if found != checkpoint.block_id:
            raise fault(CARD_CHECKPOINT, height=checkpoint.height, expected=checkpoint.block_id, found=found)
        self.passed = True


def say_who_waits(config: Config, node_key: bytes, *, registered: bool) -> None:
    """At the start of a node that nobody has registered yet: its id, to whom to show it, and how."""
    if registered:
        return
    who = config.node.organisation or "NAME"
    asked = [split_contact(contact)[1] for contact in config.p2p.bootstrap]
    _log.warning(
        "not registered yet: it waits, and joins by itself",
        node_id=node_id(node_key).hex(),
        asks=asked,
        remedy=f"show the members a join request: cccnode join request --org {who}; see cccnode join status",
    )
