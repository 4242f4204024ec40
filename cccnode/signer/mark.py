"""The high-water mark of a consensus key: what it signed last, durable before the signature leaves.

Views never go back.  In one view a key notarizes at most once and leaves by exactly one of nullify and finalize, so
that no two of its signatures contradict each other, however many nodes ask, and whatever they have forgotten.  A vote
that was signed is signed again: Ed25519 gives the same signature.
"""

from typing import Final

from msgspec.structs import replace

from cccnode.codec import DecodeError, Noun, decode, encode
from cccnode.types.errors import SIGNER_CHAIN, SIGNER_CONFLICT, SIGNER_DAMAGED, SIGNER_MARK, ErrorSpec, fault
from cccnode.types.scalars import Epoch, Hash, PublicKey, View
from cccnode.types.vote import Kind, Proposal
from storage.files import Disk

MARK_BYTES_MAX: Final = 512
_MADE: Final = "made"


class Mark(Noun, frozen=True, array_like=True, gc=False):
    """The newest view in which a key has signed in a chain, and what."""

    key: PublicKey
    chain: Hash
    epoch: Epoch
    view: View
    notarized: Proposal | None = None
    left: Kind | None = None
    """NULLIFY or FINALIZE, once the view is left."""
    finalized: Proposal | None = None
    closed: bool = False
    """Whether nothing at all is signed in this view: a floor that an operator has set."""


def allowed(mark: Mark, kind: Kind, epoch: int, proposal: Proposal) -> Mark | ErrorSpec:
    """The mark after that vote, the same one if it was signed before, or why it is refused."""
    if (epoch, proposal.view) < (mark.epoch, mark.view):
        return SIGNER_MARK
    if (epoch, proposal.view) > (mark.epoch, mark.view):
        mark = Mark(mark.key, mark.chain, epoch, proposal.view)
    if mark.closed:
        return SIGNER_MARK
    if kind is Kind.NOTARIZE:
        if mark.notarized == proposal:
            return mark
        return SIGNER_CONFLICT if mark.notarized or mark.left else replace(mark, notarized=proposal)
    said = proposal if kind is Kind.FINALIZE else None
    if mark.left is not None:
        return mark if (mark.left, mark.finalized) == (kind, said) else SIGNER_CONFLICT
    return replace(mark, left=kind, finalized=said)


class Marks:
    """The marks of one key on a disk, one file for each chain."""

    def __init__(self, disk: Disk, key: bytes) -> None:
        """Read those that are there.

        Raises:
            Fault: signer/MARK_DAMAGED; what the disk answers.
        """
        self._disk, self._key = disk, key
        self.known: dict[bytes, Mark] = {}
        """By chain."""
        for name in sorted(disk.list(key.hex())):
            if not name.endswith(".mark"):
                continue
            mark = _read(disk, f"{key.hex()}/{name}")
            if (mark.key, mark.chain.hex() + ".mark") != (key, name):
                raise fault(SIGNER_DAMAGED, file=name, why="it is of another key or chain")
            self.known[mark.chain] = mark

    def allow(self, chain: bytes, *, epoch: int = 0, view: int = 0) -> Mark:
        """Begin to sign for a chain, above a view in which, and below which, nothing is ever signed.

        A chain that has a mark keeps it unless the floor lies above: a mark only rises.

        Raises:
            Fault: signer/MARK_DAMAGED: it has a mark that is as high.
        """
        held = self.known.get(chain)
        if held is not None and (epoch, view) <= (held.epoch, held.view):
            raise fault(
                SIGNER_DAMAGED, chain=chain, why="the chain has a mark already", epoch=held.epoch, view=held.view
            )
        mark = self._keep(Mark(self._key, chain, epoch, view, closed=True))
        self._disk.remove(f"{self._key.hex()}/{_MADE}")
        return mark

    @property
    def made(self) -> bool:
        """Whether the key was made here and has signed nothing: its first chain needs no floor."""
        return not self.known and self._disk.exists(f"{self._key.hex()}/{_MADE}")

    def found(self) -> None:
        """Note that the key was made just now."""
        self._disk.replace_file(f"{self._key.hex()}/{_MADE}", b"")

    def note(self, kind: Kind, chain: bytes, epoch: int, proposal: Proposal) -> ErrorSpec | None:
        """Make a vote durable in the mark; None: it may be signed now.

        Raises:
            Fault: what the disk answers; then nothing may be signed.
        """
        mark = self.known.get(chain)
        if mark is None:
            return SIGNER_CHAIN
        after = allowed(mark, kind, epoch, proposal)
        if isinstance(after, ErrorSpec):
            return after
        if after != mark:
            self._keep(after)
        return None

    def _keep(self, mark: Mark) -> Mark:
        self._disk.replace_file(f"{self._key.hex()}/{mark.chain.hex()}.mark", encode(mark))
        self.known[mark.chain] = mark
        return mark


def _read(disk: Disk, path: str) -> Mark:
    try:
        return decode(Mark, disk.read(path, 0, min(disk.size(path), MARK_BYTES_MAX)))
    except DecodeError as error:
        raise fault(SIGNER_DAMAGED, file=path, why=str(error)) from error
