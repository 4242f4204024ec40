"""What a node knows of the chain near its tip, read again from its store at the start."""

from collections import deque

from cccnode.driver.chain import ROOTS_KEPT, Chain, Roots
from cccnode.ledger.receipts import decided_ids
from cccnode.ledger.window import Window
from cccnode.types.block import Header
from cccnode.types.validators import EpochRecord
from consensus.config import Root
from storage.store import Store


def newest_root(store: Store, start: Header) -> Root:
    """The newest executed block, for the engine to start from, in the epoch that starts from `start`."""
    applied = store.applied
    assert applied is not None, "the store is initialised"
    pending = _pending(store, applied.height, start.height)
    if applied.height == start.height:
        return Root(header=start, block_id=applied.block_id, view=0, pending=pending)
    block = store.block(applied.height)
    assert block is not None, "the applied block is stored"
    certificate = block.certificate
    view = certificate.proposal.view if certificate is not None else block.header.view
    return Root(header=block.header, block_id=applied.block_id, view=view, certificate=certificate, pending=pending)


def _pending(store: Store, height: int, start: int) -> int:
    """The newest height up to `height` whose results should be published and are in no header yet (J13); 0: none.

    Receipts always should; a change only if it was executed in the epoch that begins at `start`, for no other can end
    this epoch (J11).
    """
    tip = store.header(height)
    assert tip is not None, "the applied block is stored"
    for below in range(height, tip.exec_height, -1):
        header, then = store.header(below), store.applied_at(below)
        if (header is not None and header.tx_count) or (below >= start and then is not None and then.ahead.due):
            return below
    return 0


def _roots(store: Store, height: int) -> Roots | None:
    then = store.applied_at(height)
    return None if then is None else Roots(height, then.state_root, then.results.root(), then.ahead)


def rebuild_chain(store: Store, record: EpochRecord) -> Chain:
    """The newest part of the chain out of what is stored."""
    applied = store.applied
    assert applied is not None, "the store is initialised"
    window: deque[tuple[int, int]] = deque()
    for height in range(applied.height, 0, -1):
        header = store.header(height)
        if header is None or header.time_ms <= applied.time_ms - record.limits.tx_lifetime_max_ms:
            break
        window.append((header.time_ms, header.tx_count))
    roots = {}
    for height in range(max(0, applied.height - ROOTS_KEPT + 1), applied.height + 1):
        then = _roots(store, height)
        if then is not None:
            roots[height] = then
    return Chain(
        height=applied.height,
        block_id=applied.block_id,
        history=applied.history,
        roots=roots,
        window=window,
        find_roots=lambda height: _roots(store, height),
    )


def rebuild_window(store: Store, record: EpochRecord) -> Window:
    """The duplicate window out of stored receipts (J5): one block after the other, for millions of ids are many."""
    applied = store.applied
    assert applied is not None, "the store is initialised"
    lifetime = record.limits.tx_lifetime_max_ms
    times: list[tuple[int, int]] = []
    for height in range(applied.height, 0, -1):
        header = store.header(height)
        if header is None or header.time_ms <= applied.time_ms - lifetime:
            break
        times.append((height, header.time_ms))
    return Window.rebuilt(
        lifetime, ((height, time_ms, decided_ids(store.receipts(height) or ())) for height, time_ms in reversed(times))
    )
