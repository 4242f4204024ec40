"""The restart certificate: how a network goes on after more than f validators are lost for ever (J22).

Survivors and organisations agree on the newest final block that any of them has, and on the members of a new epoch that
starts from it.  The number of that epoch leaves one out: nobody can have voted in it before, and the gap shows in the
chain for ever.  Nothing accepts such a certificate by itself: every operator does, explicitly.
"""

from typing import Annotated, Final

from msgspec import Meta

from cccnode.codec import Noun, encode
from cccnode.types.limits import TX_SIGNERS_MAX, VALIDATORS_MAX
from cccnode.types.scalars import Hash, Height, Name, PublicKey, Signature
from cccnode.types.validators import EpochRecord

EPOCHS_SKIPPED: Final = 1
"""The epoch that the lost quorum may have begun unseen is never used."""
APPROVALS_MAX: Final = 1_024
_PREFIX: Final = b"ccc/1/restart"


class Restart(Noun, frozen=True, array_like=True, gc=False):
    """What is agreed on."""

    chain: Hash
    height: Height
    """Of the block that the new epoch starts from: final, and the newest one that any survivor has executed."""
    block_id: Hash
    state_root: Hash
    """After executing it."""
    results_root: Hash
    record: EpochRecord
    """Of the new epoch: its validators are the survivors."""


class Approval(Noun, frozen=True, array_like=True, gc=False):
    """One organisation's word, by keys of its account."""

    organisation: Name
    keys: Annotated[tuple[PublicKey, ...], Meta(min_length=1, max_length=TX_SIGNERS_MAX)]
    signatures: Annotated[tuple[Signature, ...], Meta(min_length=1, max_length=TX_SIGNERS_MAX)]
    """One for each key."""


class RestartCertificate(Noun, frozen=True, array_like=True, gc=False):
    """The agreement with everybody's signatures."""

    restart: Restart
    survivors: Annotated[tuple[Signature | None, ...], Meta(max_length=VALIDATORS_MAX)]
    """By the consensus key of each validator of the new record, in its order; None where it is missing still."""
    approvals: Annotated[tuple[Approval, ...], Meta(max_length=APPROVALS_MAX)]


def restart_bytes(restart: Restart) -> bytes:
    """What everybody signs."""
    return _PREFIX + encode(restart)
