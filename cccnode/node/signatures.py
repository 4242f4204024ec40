"""This process's way of verifying signatures: what it says at start, its alarm, and whose keys get tables."""

import structlog

from cccnode.crypto import verifying
from cccnode.crypto.backend import Status
from cccnode.crypto.verifying import Verifier
from cccnode.driver.execution import Applied
from cccnode.types.receipt import OK

LOOKED_AT_MAX = 512
"""Transactions of a block whose signers are registered: whoever signs often is soon among them, and no block holds up
the loop."""

_log = structlog.get_logger("signatures")


def begin() -> Status:
    """What verifies; the log says why, where it is not the fastest, and whatever there will be to say later.

    Raises:
        Unavailable: CCCNODE_VERIFY names what this machine does not have.
    """
    verifying.set_alarm(lambda line: _log.critical("verification differs", detail=line))
    found = verifying.backend()
    if found.reason:
        _log.warning("verification", backend=found.backend, reason=found.reason)
    return found


class Signers:
    """Registers with a verifier whoever's transaction succeeded: members, who will sign again."""

    def __init__(self, verifier: Verifier) -> None:
        """Nobody is known yet."""
        self._verifier = verifier

    def applied(self, applied: Applied) -> None:
        """A block was executed; nobody verified the signatures of one that came with its certificate (J19)."""
        outcome, transactions = applied.outcome, applied.job.transactions
        if transactions is None:
            return
        if len(transactions) > LOOKED_AT_MAX:
            first = applied.job.block.header.height * LOOKED_AT_MAX % len(transactions)
            transactions = transactions[first : first + LOOKED_AT_MAX]
        failed = {tx_id for tx_id, code in zip(outcome.decided, outcome.codes, strict=True) if code != OK}
        decided = set(outcome.decided) if outcome.skipped else None
        self._verifier.register(
            {
                key
                for verified in transactions
                if verified.id not in failed and (decided is None or verified.id in decided)
                for key in verified.transaction.signers
            }
        )
