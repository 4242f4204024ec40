"""What a node must know of its signer, in a JSON file without secrets: which key votes, and whom to let in."""

from pathlib import Path
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from cccnode.home import disk_fault
from cccnode.types.errors import SIGNER_IDENTITY, fault
from cccnode.types.limits import CERTIFICATE_DER_MAX
from p2p.directory import certificate_key

CARD_BYTES_MAX: Final = 16 * 1024

Key = Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]


class SignerCard(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The public side of a signer."""

    version: Literal[1] = 1
    consensus_key: Key
    """What it signs votes with."""
    certificate: Annotated[str, Meta(pattern="^([0-9a-f]{2})+$", max_length=2 * CERTIFICATE_DER_MAX)]
    """X.509, DER: of the key with which it proves who it is."""

    @property
    def public_key(self) -> bytes:
        """The consensus key."""
        return bytes.fromhex(self.consensus_key)

    @property
    def der(self) -> bytes:
        """The certificate."""
        return bytes.fromhex(self.certificate)

    @property
    def transport_key(self) -> bytes:
        """The key in the certificate.

        Raises:
            Fault: signer/IDENTITY: there is none.
        """
        key = certificate_key(self.der)
        if key is None:
            raise fault(SIGNER_IDENTITY, why="the certificate in the signer's card carries no Ed25519 key")
        return key


def read_card(path: Path) -> SignerCard:
    """The card in a file.

    Raises:
        Fault: signer/IDENTITY: it is missing, or no card.
    """
    try:
        with path.open("rb") as file:
            card = msgspec.json.decode(file.read(CARD_BYTES_MAX), type=SignerCard)
    except FileNotFoundError as error:
        raise fault(SIGNER_IDENTITY, path=str(path), why="no such file: `cccnode signer use CARD` brings it") from error
    except OSError as error:
        raise disk_fault(error, path) from error
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise fault(SIGNER_IDENTITY, path=str(path), why=str(error)) from error
    card.transport_key  # noqa: B018 - a card without it is none
    return card


def card_bytes(card: SignerCard) -> bytes:
    """The content of the file."""
    return msgspec.json.format(msgspec.json.encode(card), indent=2) + b"\n"
