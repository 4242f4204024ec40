"""Restart certificates that this node's operator has accepted: the way out when a quorum is lost for ever (J22)."""

from collections.abc import Callable, Sequence

from cccnode.ledger.state import StateView
from cccnode.types.errors import RESTART_REFUSED, fault
from cccnode.types.restart import RestartCertificate
from cccnode.types.validators import EpochRecord
from storage.store import Store

Flaw = Callable[[StateView, EpochRecord, RestartCertificate], str | None]
"""What is wrong with a certificate over a state, in the epoch of a record; None if it holds."""


class AcceptedRestarts:
    """By the height that each starts from.  Nothing is accepted by itself."""

    def __init__(self, certificates: Sequence[RestartCertificate] = (), flaw: Flaw = lambda *_: None) -> None:
        """`flaw` judges a certificate once its block is executed here."""
        self._certificates = {certificate.restart.height: certificate for certificate in certificates}
        self._flaw = flaw

    def end_of(self, epoch: int) -> tuple[int, bytes] | None:
        """Height and id of the block at which an epoch was given up, if it was."""
        ends = [
            (certificate.restart.height, certificate.restart.block_id)
            for certificate in self._certificates.values()
            if certificate.restart.record.epoch > epoch
        ]
        return min(ends, default=None)

    def due(self, store: Store, current: EpochRecord) -> EpochRecord | None:
        """The record of the epoch that begins now that this block is executed; None: nothing was accepted for it.

        Raises:
            Fault: consensus/RESTART_REFUSED: the certificate is not over what this node has executed, or does not hold.
        """
        applied = store.applied
        assert applied is not None, "the store is initialised"
        end = self.end_of(current.epoch)
        if end is None or applied.height < end[0]:
            return None
        newest = max(applied.height, store.blocks.last or 0)
        if newest > end[0]:
            raise fault(RESTART_REFUSED, height=end[0], reason=f"this node holds the final block {newest} already")
        certificate = self._certificates[end[0]]
        restart = certificate.restart
        ours = (applied.block_id, applied.state_root, applied.results.root())
        if (restart.block_id, restart.state_root, restart.results_root) != ours:
            raise fault(RESTART_REFUSED, height=restart.height, reason="it names other results than this node has")
        flaw = self._flaw(store.state, current, certificate)
        if flaw is not None:
            raise fault(RESTART_REFUSED, height=restart.height, reason=flaw)
        return restart.record
