"""Why this validator does not vote, and until when."""

from typing import Final

from cccnode.driver.replica import Replica
from cccnode.signer.remote import RemoteSigner
from cccnode.types.errors import CORE_ERRORS, JOURNAL_CORRUPT, NOT_SIGNING_JOURNAL_LOST, SAFETY_ALARM, ErrorSpec

EPOCH_SEEN_BLOCKS: Final = 10_000_000
"""An epoch that is longer has no end to speak of."""
_ERRORS: Final = {spec.name: spec for spec in CORE_ERRORS}


def observing(replica: Replica, signer: RemoteSigner | None) -> ErrorSpec | None:
    """Why this validator does not vote; None when it does, or is none."""
    if replica.voting is None:
        return None
    silent = replica.voting.engine.observing
    if silent is not None:
        return _ERRORS.get(silent, SAFETY_ALARM)
    return signer.trouble if signer is not None and replica.epoch.key == signer.public_key else None


def signs_again(replica: Replica, reason: ErrorSpec) -> dict[str, object]:
    """When a validator that lost its journal votes again: in the next epoch, and when that may begin."""
    if reason not in {NOT_SIGNING_JOURNAL_LOST, JOURNAL_CORRUPT}:
        return {}
    epoch, tip = replica.epoch, replica.chain.height
    left = epoch.start.height + epoch.record.limits.epoch_blocks - tip
    ends = f"in {max(0, left)} blocks" if left <= EPOCH_SEEN_BLOCKS else "with the next change of the validators"
    return {"epoch": epoch.number, "signs_again_in_epoch": epoch.number + 1, "this_epoch_ends": ends}
