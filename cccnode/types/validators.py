"""The epoch record: everything that validity, leader order and vote identity read, constant within an epoch (J11)."""

from typing import Annotated, Final

from msgspec import Meta

from cccnode.codec import Noun, encode
from cccnode.crypto.hashing import EPOCH, NODE, tagged
from cccnode.types.limits import NODES_PER_ORGANISATION_MAX, VALIDATORS_MAX
from cccnode.types.scalars import U32, U63, Epoch, Millis, Name, PublicKey

_ED25519_KEY_INFO: Final = bytes.fromhex("302a300506032b6570032100")
"""DER before the 32 bytes of an Ed25519 key in a certificate (RFC 8410)."""


class Validator(Noun, frozen=True, array_like=True, gc=False):
    """One voting organisation of an epoch."""

    organisation: Name
    consensus_key: PublicKey
    node_keys: Annotated[tuple[PublicKey, ...], Meta(max_length=NODES_PER_ORGANISATION_MAX)]
    """Ed25519 keys of the nodes over whose connections its votes come (J14)."""


class Timers(Noun, frozen=True, array_like=True, gc=False):
    """Times that all voters share (consensus.md 3.8, J12)."""

    delta_ms: Millis = 250
    """Δ: assumed bound of one network delay."""
    min_interval_ms: Millis = 50
    """A leader waits this long after the parent before it proposes."""
    heartbeat_ms: Millis = 30_000
    """An idle network makes an empty block this often."""


class Limits(Noun, frozen=True, array_like=True, gc=False):
    """Bounds that genesis may choose."""

    tx_lifetime_max_ms: Millis = 300_000
    window_tx_max: U32 = 3_000_000
    epoch_blocks: U63 = 2**62
    """Heights of an epoch; so large by default that the first epoch does not end."""
    epoch_ms: Millis = 2**62


class EpochRecord(Noun, frozen=True, array_like=True, gc=False):
    """The rules and members of one epoch; its hash is in every header."""

    epoch: Epoch
    validators: Annotated[tuple[Validator, ...], Meta(min_length=1, max_length=VALIDATORS_MAX)]
    limits: Limits
    timers: Timers
    features: tuple[Name, ...]


def epoch_record_hash(record: EpochRecord) -> bytes:
    """SHA-256("ccc/1/epoch" || record bytes)."""
    return tagged(EPOCH, encode(record))


def faults(validators: int) -> int:
    """f: how many of `validators` may be faulty, floor((n - 1) / 3)."""
    return (validators - 1) // 3


def quorum(validators: int) -> int:
    """q = n - f.  Not 2f + 1: for n = 5 or 6 that would be too few."""
    return validators - faults(validators)


def node_id(node_key: bytes) -> bytes:
    """The 20-byte id of a node, from its Ed25519 transport key."""
    return tagged(NODE, node_key)[:20]


def certificate_key(certificate: bytes) -> bytes | None:
    """The Ed25519 key that a DER certificate carries; None unless it carries exactly one.

    It is found by its DER header, without a parser: rules must say the same on every machine.  TLS checks the rest.
    """
    _, header, after = certificate.partition(_ED25519_KEY_INFO)
    if not header or len(after) < 32 or _ED25519_KEY_INFO in after:
        return None
    return after[:32]
