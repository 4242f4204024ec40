"""What a node finds on its disk when it starts: the replica begins with it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from cccnode.driver.voting import VoteJournal
from consensus.records import Record
from storage.batches import BatchStore
from storage.store import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenedJournal:
    """The vote journal of one epoch."""

    journal: VoteJournal | None
    """None: this node does not vote in this epoch."""
    first_sequence: int = 1
    """Of the journal's first record; the others follow without gaps."""
    records: Sequence[Record] = ()
    observe: str | None = None
    """Name of the error for which it must not vote, such as consensus/JOURNAL_LOST."""
    unsure_view: int = 0
    """Up to this view the node may have signed what the journal does not hold."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """What was found on disk."""

    store: Store
    batches: BatchStore
    open_journal: Callable[[int, bytes], OpenedJournal]
    """The journal of an epoch in which a consensus key votes, as it is on disk."""
    found_journal: Callable[[int, int], None]
    """Note durably that this node never voted in an epoch beyond a view: it may begin with an empty journal."""
    forgot: Callable[[bytes], bool]
    """Whether a consensus key may have voted in epochs of which no journal is left here."""
