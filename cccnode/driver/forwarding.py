"""Transactions that pass through: on to validators from a node that is none, and here from other nodes (J8)."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from cccnode.driver.dissemination import Dissemination
from cccnode.driver.links import Links
from cccnode.types.errors import POOL_FULL, POOL_NOT_READY, Fault
from cccnode.types.transaction import Verified
from p2p.events import Item, Submit
from p2p.frames import Channel
from p2p.scores import Offence

FOREIGN_BYTES_MAX: Final = 1024 * 1024
"""Forwarded transactions of one node under verification; beyond that they are not read for a while."""


class Forwarding:
    """What other nodes pass on, checked like a client's; what this node passes on itself."""

    def __init__(
        self,
        *,
        links: Links,
        dissemination: Dissemination,
        pass_on: Callable[[Submit], None],
        validates: Callable[[], bool],
    ) -> None:
        """`pass_on` gives transactions to gossip; `validates`: whether this node makes batches for blocks now."""
        self._links, self._dissemination = links, dissemination
        self._pass_on, self._validates = pass_on, validates
        self.foreign: Counter[bytes] = Counter()
        """Bytes of forwarded transactions that are not answered yet, by the node that sent them."""

    def forward(self, transactions: Sequence[Verified], hops: int | None = None) -> None:
        """Pass transactions on to a validator, over at most so many nodes."""
        items = tuple(
            Item(tx_id=verified.id, raw=verified.raw, valid_until_ms=verified.transaction.valid_until_ms)
            for verified in transactions
        )
        self._pass_on(Submit(items=items, hops=hops))

    def arrived(self, peer: bytes, transactions: Sequence[bytes], hops: int) -> None:
        """Another node passes these on: checked like a client's, and a bounded amount of them at a time."""
        size = sum(map(len, transactions))
        self.foreign[peer] += size
        if self.foreign[peer] > FOREIGN_BYTES_MAX:
            self._links.pause(peer, Channel.TX, paused=True)

        def submitted(results: list[tuple[bytes, Fault | None]]) -> None:
            # An id tells that the bytes were good; what the state has against a transaction is nobody's offence.
            self._finished(peer, size, (refusal for tx_id, refusal in results if not tx_id and not _is_busy(refusal)))

        def checked(verdicts: list[Verified | Fault]) -> None:
            good = [verdict for verdict in verdicts if isinstance(verdict, Verified)]
            if good and hops > 0:
                self.forward(good, hops)
            self._finished(peer, size, (verdict for verdict in verdicts if isinstance(verdict, Fault)))

        if self._validates():
            self._dissemination.submit(transactions, submitted)
        else:
            self._dissemination.check(transactions, checked)

    def _finished(self, peer: bytes, size: int, faults: Iterable[Fault | None]) -> None:
        """All of them are answered."""
        self.foreign[peer] -= size
        if self.foreign[peer] <= FOREIGN_BYTES_MAX // 2:
            self._links.pause(peer, Channel.TX, paused=False)
            if not self.foreign[peer]:
                del self.foreign[peer]
        bad = next((refusal for refusal in faults if refusal is not None), None)
        if bad is not None:  # Whoever passes transactions on has checked them.
            self._links.punish(peer, Offence.INVALID_TRANSACTION, str(bad))


def _is_busy(refusal: Fault | None) -> bool:
    return refusal is not None and refusal.spec in {POOL_FULL, POOL_NOT_READY}
