"""Prunes the data of a node that does not run, all at once."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager

from cccnode import keys
from cccnode.config import Config
from cccnode.driver.epochs import Identity, current_epoch
from cccnode.node.data import read_home_outline
from cccnode.node.joining import home_card
from cccnode.node.pruning import Anchors
from cccnode.types.errors import HOME_EMPTY, fault
from storage import retention as rules
from storage.files import Disk, RealDisk
from storage.history import History, open_history
from storage.index import Index
from storage.leveldb import LevelDB
from storage.pruning import Thread, derived_pruning, pruning, run
from storage.retention import derived_wanted, wanted
from storage.snapshots import Shelf
from storage.store import Store

_NOBODY = Identity(node_key=b"", signers={})


@contextmanager
def opened(config: Config) -> Iterator[tuple[Store, Disk]]:
    """The store of a home, and its disk.  Whoever calls holds the lock of the home.

    Raises:
        Fault: home/EMPTY, or why the data cannot be opened.
    """
    home = config.home
    genesis = read_home_outline(home.genesis_file)
    with ExitStack() as stack:
        disk = RealDisk(home.data)
        stack.callback(disk.close)
        engine = LevelDB(home.data / "state")
        stack.callback(engine.close)
        node_id, depth = keys.read(home.first_node_key).public_key, genesis.document.state_depth
        store = Store.open(disk, engine, chain=genesis.chain, node_id=node_id, depth=depth)
        if store.applied is None:
            raise fault(HOME_EMPTY, home=str(home.root), missing="a first state")
        yield store, disk


def prune(config: Config) -> Mapping[str, Mapping[str, int]]:
    """Bring a stopped node within its policies; says the earliest heights and the freed bytes, by kind."""
    with opened(config) as (store, disk):
        before = _usage(disk)
        with _derived(config) as derived:
            _prune(config, store, disk, derived)
            earliest = {"blocks": store.earliest_height, "receipts": store.receipts_from}
            earliest |= {"headers": store.earliest.headers} | {str(name): one.earliest for name, one in derived.items()}
        after = _usage(disk)
    return {"earliest": earliest, "freed_bytes": {kind: max(0, before[kind] - after[kind]) for kind in before}}


@contextmanager
def _derived(config: Config) -> Iterator[dict[Thread, Index | History]]:
    """What the node derives beside the chain, as far as there is any."""
    path, folder = config.home.data / "index" / "transactions.sqlite", config.home.data / "history"
    derived: dict[Thread, Index | History] = {}
    with ExitStack() as stack:
        if config.storage.index and path.exists():
            derived[Thread.INDEX] = Index(path)
        if config.storage.history and folder.exists():
            derived[Thread.HISTORY] = open_history(folder)
        for one in derived.values():
            stack.callback(one.close)
        yield derived


def _prune(config: Config, store: Store, disk: Disk, derived: Mapping[Thread, Index | History]) -> None:
    retention, card = config.retention.policy, home_card(config.home)
    genesis_header = store.header(0)
    assert genesis_header is not None, "the genesis header is kept for ever"
    epoch = current_epoch(store, genesis_header, _NOBODY)
    needs = rules.Needs(
        window_ms=epoch.record.limits.tx_lifetime_max_ms,
        snapshot=Shelf(disk).newest() if config.storage.snapshot_blocks else None,
        indexed=min((one.indexed_height or 0 for one in derived.values()), default=None),
    )
    anchors = Anchors(store, () if card is None else (card.checkpoint.height,))
    kept = anchors.heights(epoch.number, epoch.start.height)
    while (to := wanted(store, retention, needs)) != store.earliest or to.swept < to.headers:
        run(pruning(store, to, anchors=kept))
    for thread, one in derived.items():
        below = derived_wanted(store, getattr(retention, thread))
        if below > one.earliest:
            run(derived_pruning(one, thread, below))


def _usage(disk: Disk) -> dict[str, int]:
    return {kind: disk.usage(kind) for kind in ("blocks", "receipts", "index", "history", "state")}
