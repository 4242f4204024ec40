"""The batches this node knows and that are not yet final: who holds them, and which the next proposal lists.

Plain data, no input or output: `dissemination` fills it, `consensus` asks it, `execution` empties it.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from cccnode.driver.quotas import OWN, Quotas, renumbered
from cccnode.types.limits import (
    BLOCK_BATCHES_MAX,
    BLOCK_BYTES_MAX,
    BLOCK_TXS_MAX,
    BLOCK_WEIGHT_MAX,
    UNCOVERED_BYTES_MAX,
)
from cccnode.types.transaction import Verified

REMOVED_MAX = 4 * BLOCK_BATCHES_MAX
"""Ids remembered after their batch left the pool."""
EARLY_MAX = BLOCK_BATCHES_MAX
"""Batches that one validator announced and that are not here: what it says beyond that displaces the oldest."""


@dataclass(slots=True)
class Entry:
    """One verified batch."""

    id: bytes
    transactions: tuple[Verified, ...]
    raws: tuple[bytes, ...]
    """The encoded transactions, in order."""
    creator: int | None
    """Whose quota bears it (see `quotas`); None when a block needed it, or it was reloaded."""
    size: int
    """Bytes of its transactions."""
    weight: int
    expires_ms: int
    """Latest deadline among its transactions: after that nothing in it can be decided."""
    arrived_ms: int = 0
    """When it came here, by this node's monotonic clock."""
    durable: bool = False
    holders: set[int] = field(default_factory=set)
    """Validators that said they hold it, this node included once it is durable."""
    executed: bool = False
    """A stored block holds it; it is here only because another block lists it too.  Never listed anew."""


def make_entry(batch_id: bytes, transactions: Sequence[Verified], creator: int | None) -> Entry:
    """The pool entry of a verified batch."""
    raws = tuple([verified.raw for verified in transactions])
    return Entry(
        id=batch_id,
        transactions=tuple(transactions),
        raws=raws,
        creator=creator,
        size=sum(map(len, raws)),
        weight=sum([verified.weight for verified in transactions]),
        expires_ms=max([verified.transaction.valid_until_ms for verified in transactions]),
    )


class BatchPool:
    """Batches by id, in order of arrival, and the transactions in them by id."""

    def __init__(self, *, quorum: int) -> None:
        """An empty pool for an epoch with that quorum."""
        self._entries: dict[bytes, Entry] = {}
        self._transactions: dict[bytes, bytes] = {}
        self._early: dict[int, dict[bytes, None]] = {}
        """Validator -> batches it announced that are not here, oldest first."""
        self._durable_count = 0
        self._removed: dict[bytes, int | None] = {}
        self.quorum = quorum
        self.quotas = Quotas()

    def __len__(self) -> int:
        """Number of batches known."""
        return len(self._entries)

    def __contains__(self, batch_id: bytes) -> bool:
        """Whether the batch is known, durable or not."""
        return batch_id in self._entries

    def __iter__(self) -> Iterator[Entry]:
        """Entries in order of arrival."""
        return iter(self._entries.values())

    def get(self, batch_id: bytes) -> Entry | None:
        """The entry, durable or not."""
        return self._entries.get(batch_id)

    def ready(self, batch_id: bytes) -> Entry | None:
        """The entry if it is durable here."""
        entry = self._entries.get(batch_id)
        return entry if entry is not None and entry.durable else None

    def batch_of(self, tx_id: bytes) -> bytes | None:
        """The batch in which a waiting transaction lies."""
        return self._transactions.get(tx_id)

    @property
    def waiting(self) -> bool:
        """Whether some durable batch waits to be listed: wakes an idle network (J13)."""
        return self._durable_count > 0

    def waits_since(self, beyond: int) -> int | None:
        """When the batch came that waits behind `beyond` transactions; None where no more than that wait.

        The first ones do not count: a straggler that no quorum holds says nothing of the queue.
        """
        for entry in self._entries.values():
            if not entry.executed:
                beyond -= len(entry.transactions)
                if beyond < 0:
                    return entry.arrived_ms
        return None

    def begin_epoch(self, *, quorum: int, moved: Mapping[int, int], me: int | None) -> None:
        """Validators have new numbers (old -> new): holders and creators are renumbered, debts are counted anew.

        What this node made itself stays its own; what a validator made that is no longer one is nobody's debt.
        """
        self.quorum, self.quotas, self._early = quorum, Quotas(), {}
        for entry in self._entries.values():
            entry.holders = {moved[index] for index in entry.holders if moved.get(index, OWN) != OWN}
            entry.creator = renumbered(entry.creator, moved)
            if me is not None and entry.creator == OWN:
                entry.creator = me
            if me is not None and entry.durable:
                entry.holders.add(me)
            self.quotas.charge(entry.creator, entry.size)

    def add(self, entry: Entry) -> None:
        """Take in a verified batch that is not known yet; its creator's quota bears it already."""
        assert entry.id not in self._entries, "added once"
        self._entries[entry.id] = entry
        entry.holders |= self.early_holders(entry.id)
        self._forget_early(entry.id)
        batch_id, batch_of = entry.id, self._transactions
        for verified in entry.transactions:
            batch_of[verified.id] = batch_id

    def mark_durable(self, batch_id: bytes, me: int | None) -> Entry | None:
        """The batch is synced to disk here; None when it is gone by now."""
        entry = self._entries.get(batch_id)
        if entry is None or entry.durable:
            return None
        entry.durable = True
        self._durable_count += not entry.executed
        if me is not None:
            entry.holders.add(me)
        return entry

    def mark_executed(self, batch_id: bytes) -> None:
        """A stored block holds it; another block that may still become final lists it too, so it stays (J10)."""
        entry = self._entries.get(batch_id)
        if entry is not None and not entry.executed:
            entry.executed = True
            self._durable_count -= entry.durable

    def held_by(self, batch_id: bytes, validator: int) -> bool:
        """Note that `validator` holds a batch; return whether the batch is, or was, known here."""
        entry = self._entries.get(batch_id)
        if entry is not None:
            entry.holders.add(validator)
            return True
        if batch_id in self._removed:
            return True
        early = self._early.setdefault(validator, {})
        early[batch_id] = None
        if len(early) > EARLY_MAX:
            del early[next(iter(early))]
        return False

    def was_removed(self, batch_id: bytes) -> bool:
        """Whether the batch was final or expired lately: its late copies and announcements mean nothing."""
        return batch_id in self._removed

    def executed_at(self, batch_id: bytes) -> int | None:
        """Height of the executed block that holds a batch which left the pool lately; None for others."""
        return self._removed.get(batch_id)

    def early_holders(self, batch_id: bytes) -> set[int]:
        """Who announced a batch that is not here yet."""
        return {validator for validator, early in self._early.items() if batch_id in early}

    def _forget_early(self, batch_id: bytes) -> None:
        for early in self._early.values():
            early.pop(batch_id, None)

    def remove(self, batch_ids: Collection[bytes], height: int | None = None) -> list[Entry]:
        """Forget batches that are executed and stored at `height`, or (None) that can no longer be decided."""
        removed = []
        for batch_id in batch_ids:
            self._forget_early(batch_id)
            if height is not None or batch_id not in self._removed:
                self._removed[batch_id] = height
            entry = self._entries.pop(batch_id, None)
            if entry is None:
                continue
            removed.append(entry)
            self._durable_count -= entry.durable and not entry.executed
            self.quotas.release(entry.creator, entry.size)
            self._forget_transactions(entry)
        while len(self._removed) > REMOVED_MAX:
            del self._removed[next(iter(self._removed))]
        return removed

    def _forget_transactions(self, entry: Entry) -> None:
        batch_of = self._transactions
        for verified in entry.transactions:
            found = batch_of.pop(verified.id, None)
            if found is not None and found != entry.id:
                batch_of[verified.id] = found  # Another batch holds it as well, and came later.

    def expired(self, time_ms: int) -> list[bytes]:
        """Batches of which no transaction can be decided by a block at or after `time_ms`."""
        return [entry.id for entry in self._entries.values() if entry.expires_ms <= time_ms]

    def select(self, *, exclude: Collection[bytes], time_ms: int) -> list[Entry]:
        """What a proposal at `time_ms` lists: oldest first, within the block's limits (J2, J9).

        Batches that a quorum does not hold yet are listed only up to a small budget: the voters that lack them
        would have to fetch them first, which costs one more network delay.
        """
        chosen: list[Entry] = []
        count = size = weight = uncovered = 0
        for entry in self._entries.values():
            if not entry.durable or entry.executed or entry.id in exclude or entry.expires_ms <= time_ms:
                continue
            if len(entry.holders) < self.quorum:
                if uncovered + entry.size > UNCOVERED_BYTES_MAX:
                    continue
                uncovered += entry.size
            if (
                len(chosen) == BLOCK_BATCHES_MAX
                or count + len(entry.transactions) > BLOCK_TXS_MAX
                or size + entry.size > BLOCK_BYTES_MAX
                or weight + entry.weight > BLOCK_WEIGHT_MAX
            ):
                break
            chosen.append(entry)
            count += len(entry.transactions)
            size += entry.size
            weight += entry.weight
        return chosen
