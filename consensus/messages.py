"""What validators say to each other: one tagged union, canonical MessagePack like everything else (consensus.md 3.4).

A message is opaque to the network.  Nothing in it is believed because of its sender, except that single votes and
proposals count only over their signer's own connection, so that garbage costs the one who sent it.
"""

from typing import Annotated, Final

from msgspec import Meta

from cccnode import codec
from cccnode.codec import Noun
from cccnode.types.block import Body, Header
from cccnode.types.certificate import Certificate
from cccnode.types.limits import CERTIFICATES_PER_REPLY_MAX, INLINE_CERTIFICATES_MAX
from cccnode.types.scalars import Epoch, Hash, Height, Signature, View
from cccnode.types.vote import Proposal, Vote

VOTES_PER_MESSAGE_MAX: Final = 32
"""Own votes of a view and the newest unfinished finalize votes: what R8 repeats at once."""

Justification = Annotated[tuple[Certificate, ...], Meta(max_length=INLINE_CERTIFICATES_MAX + 1)]
"""The parent's certificate and the newest nullifications of the views between; older ones are fetched."""


class ProposalMessage(Noun, tag=1, frozen=True, array_like=True, gc=False):
    """A leader's block for its view, with the proof that its parent may be built on."""

    epoch: Epoch
    proposal: Proposal
    header: Header
    body: Body
    justification: Justification
    finalization: Certificate | None
    """Shows that the block of `exec_height` is final, where the other certificates do not."""
    executed: Height
    """The sender's executed height: unsigned, a hint for the choice of E (J17)."""
    signature: Signature
    """The leader's notarize vote for `proposal`."""


class VotesMessage(Noun, tag=2, frozen=True, array_like=True, gc=False):
    """Votes of the sender itself; votes are never relayed."""

    epoch: Epoch
    executed: Height
    votes: Annotated[tuple[Vote, ...], Meta(min_length=1, max_length=VOTES_PER_MESSAGE_MAX)]


class CertificatesMessage(Noun, tag=3, frozen=True, array_like=True, gc=False):
    """Certificates: handed on once when new, or the answer to a request or to a laggard."""

    epoch: Epoch
    certificates: Annotated[tuple[Certificate, ...], Meta(min_length=1, max_length=CERTIFICATES_PER_REPLY_MAX)]


class CertificatesRequest(Noun, tag=4, frozen=True, array_like=True, gc=False):
    """Asks for the highest finalization and for what is known of the views lo..hi, newest first."""

    epoch: Epoch
    lo: View
    hi: View


class BlockRequest(Noun, tag=5, frozen=True, array_like=True, gc=False):
    """Asks for one block's header and list of batches."""

    epoch: Epoch
    block_id: Hash


class BlockMessage(Noun, tag=6, frozen=True, array_like=True, gc=False):
    """One block's header and list of batches; its hash is what was asked for, or it is dropped."""

    epoch: Epoch
    header: Header
    body: Body


class StatusMessage(Noun, tag=7, frozen=True, array_like=True, gc=False):
    """Where the sender stands: on connect, every two seconds, when it has executed a block, when it begins to sign."""

    epoch: Epoch
    view: View
    final: Proposal
    """The newest block it knows to be final."""
    executed: Height
    signs: bool = False
    """Whether it votes in this epoch; another machine with the same consensus key must know (R13)."""


Message = (
    ProposalMessage
    | VotesMessage
    | CertificatesMessage
    | CertificatesRequest
    | BlockRequest
    | BlockMessage
    | StatusMessage
)


def encode_message(message: Message) -> bytes:
    """The bytes of one message, for the consensus channel."""
    return codec.encode(message)


def decode_message(raw: bytes) -> Message:
    """The message in `raw`.

    Raises:
        codec.DecodeError: not the canonical encoding of a message; the sender's fault.
    """
    message: Message = codec.decode(Message, raw)  # type: ignore[arg-type]  # a union is not a type[T] to mypy
    return message
