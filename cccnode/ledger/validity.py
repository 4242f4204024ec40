"""Which bodies are valid: limits, counts and roots, never state, expiry or duplicates (J2).

So nobody's transaction can poison its neighbours: whatever only execution can know is decided there, per transaction.
That the transactions are well-formed and signed was checked when their batch entered (`cccnode.ingress`).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from cccnode.types.block import Header, body_root
from cccnode.types.errors import BLOCK_INVALID, fault
from cccnode.types.limits import BLOCK_BATCHES_MAX, BLOCK_BYTES_MAX, BLOCK_TXS_MAX, BLOCK_WEIGHT_MAX
from cccnode.types.transaction import Verified
from cccnode.types.validators import Limits


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedBatch:
    """A batch whose transactions are all well-formed and signed: made by `cccnode.ingress` only."""

    id: bytes
    transactions: tuple[Verified, ...]
    size: int
    """Summed bytes of the transactions."""
    weight: int
    """Summed weight of the transactions."""


def ends_epoch(header: Header, *, start: Header, limits: Limits, due: bool) -> bool:
    """Whether a block must be the last of its epoch (J11): a function of the header and of the state at its E.

    `start` is the block that the epoch starts from; `due`: whether the state at E holds a change for the next epoch.
    What was executed before this epoch began was judged by the epoch before.
    """
    if header.exec_height < start.height:
        return False
    long = header.height - start.height >= limits.epoch_blocks
    return due or long or header.time_ms - start.time_ms >= limits.epoch_ms


def check_body(header: Header, body: Sequence[bytes], batches: Sequence[CheckedBatch]) -> None:
    """Check that `body` (batch ids) with these batches is what `header` announces and within the limits.

    Raises:
        Fault: block/INVALID, naming the first rule that is broken.
    """
    if len(body) > BLOCK_BATCHES_MAX:
        raise fault(BLOCK_INVALID, rule="batches", found=len(body), limit=BLOCK_BATCHES_MAX)
    if len(set(body)) != len(body):
        raise fault(BLOCK_INVALID, rule="a batch is listed twice")
    if [batch.id for batch in batches] != list(body):
        raise fault(BLOCK_INVALID, rule="batches differ from the body")
    if header.body_root != body_root(tuple(body)):
        raise fault(BLOCK_INVALID, rule="body_root")
    _check_sum("tx_count", sum(len(batch.transactions) for batch in batches), header.tx_count, BLOCK_TXS_MAX)
    _check_sum("body_bytes", sum(batch.size for batch in batches), header.body_bytes, BLOCK_BYTES_MAX)
    weight = sum(batch.weight for batch in batches)
    if weight > BLOCK_WEIGHT_MAX:
        raise fault(BLOCK_INVALID, rule="weight", found=weight, limit=BLOCK_WEIGHT_MAX)


def _check_sum(rule: str, found: int, announced: int, limit: int) -> None:
    if found != announced:
        raise fault(BLOCK_INVALID, rule=rule, found=found, announced=announced)
    if found > limit:
        raise fault(BLOCK_INVALID, rule=rule, found=found, limit=limit)


def check_window(header: Header, ancestors: Iterable[tuple[int, int]], limits: Limits) -> None:
    """Check the transaction count over the duplicate window, this block included (J5).

    `ancestors` are (time_ms, tx_count) of earlier headers, newest first; reading stops at the window's edge.

    Raises:
        Fault: block/INVALID.
    """
    edge = header.time_ms - limits.tx_lifetime_max_ms
    total = header.tx_count
    for time_ms, tx_count in ancestors:
        if time_ms <= edge:
            break
        total += tx_count
    if total > limits.window_tx_max:
        raise fault(BLOCK_INVALID, rule="window_tx_max", found=total, limit=limits.window_tx_max)
