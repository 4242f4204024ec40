"""What the simulated validators share: keys, signatures that only their owner can make, an epoch, blocks."""

from collections.abc import Callable, Sequence
from hashlib import blake2b

from cccnode.crypto.hashing import ZERO
from cccnode.crypto.merkle import EMPTY_ROOT
from cccnode.types.block import HEADER_VERSION, Header, block_id, body_root
from cccnode.types.validators import EpochRecord, Limits, Timers, Validator, epoch_record_hash
from consensus.config import Config, Root

CHAIN = b"C" * 32


class Signatures:
    """A registry of tokens in place of Ed25519: a signature is valid iff its owner made it."""

    def __init__(self) -> None:
        """No signature exists."""
        self._made: set[bytes] = set()

    def signer(self, key: bytes) -> Callable[[bytes], bytes]:
        """The signing function of one key."""

        def sign(message: bytes) -> bytes:
            token = blake2b(message, key=key, digest_size=64).digest()
            self._made.add(token)
            return token

        return sign

    def verify_many(self, messages: Sequence[bytes], signatures: Sequence[bytes], keys: Sequence[bytes]) -> list[bool]:
        """The verifier's interface over the registry."""
        return [
            signature in self._made and signature == blake2b(message, key=key, digest_size=64).digest()
            for message, signature, key in zip(messages, signatures, keys, strict=True)
        ]


def key_of(index: int) -> bytes:
    """Consensus key of a validator."""
    return b"key" + index.to_bytes(29, "big")


def node_of(index: int) -> bytes:
    """Node key of a validator."""
    return b"node" + index.to_bytes(28, "big")


def epoch_record(count: int, timers: Timers) -> EpochRecord:
    """An epoch of `count` validators with one node each."""
    validators = tuple(Validator(f"org{index}", key_of(index), (node_of(index),)) for index in range(count))
    return EpochRecord(0, validators, Limits(), timers, ())


def genesis_header(record: EpochRecord) -> Header:
    """Height 0."""
    return Header(
        HEADER_VERSION, CHAIN, 0, 0, 0, ZERO, 0, 0, 0, EMPTY_ROOT, 0, 0, 0, ZERO, ZERO, ZERO,
        epoch_record_hash(record), ZERO, ZERO,
    )  # fmt: skip


def config_of(record: EpochRecord, me: int | None, root: Root | None = None) -> Config:
    """The engine's configuration; the root is genesis unless given."""
    header = genesis_header(record)
    genesis = block_id(header)
    return Config(
        chain=CHAIN,
        epoch=0,
        record=record,
        record_hash=epoch_record_hash(record),
        boundary_id=genesis,
        me=me,
        root=root or Root(header=header, block_id=genesis, view=0),
    )


def make_header(
    parent: Header,
    *,
    view: int,
    parent_view: int,
    proposer: int,
    body: tuple[bytes, ...] = (),
    exec_height: int = 0,
    time_ms: int = 0,
    state_root: bytes = ZERO,
    history_root: bytes = ZERO,
) -> Header:
    """A valid child of `parent`; one transaction of 100 bytes in each batch."""
    return Header(
        HEADER_VERSION,
        CHAIN,
        0,
        view,
        parent.height + 1,
        block_id(parent),
        parent_view,
        max(parent.time_ms + 1, time_ms),
        proposer,
        body_root(body),
        len(body),
        100 * len(body),
        exec_height,
        state_root,
        ZERO,
        history_root,
        parent.epoch_record_hash,
        ZERO,
        ZERO,
    )
