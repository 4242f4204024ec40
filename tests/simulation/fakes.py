"""What the simulated validators share: keys, signatures that only their owner can make, an epoch, blocks."""

from collections.abc import Callable, Sequence
from hashlib import blake2b

from cccnode.crypto.hashing import ZERO
from cccnode.crypto.merkle import EMPTY_ROOT
from cccnode.crypto.signing import SigningKey
from cccnode.crypto.verifying import verify_many
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


class RealSignatures:
    """Ed25519 as the node has it, for the runs that are to show that nothing depends on the stand-in."""

    def signer(self, key: bytes) -> Callable[[bytes], bytes]:
        """The signing function of one key: its bytes are the seed."""
        return SigningKey(key).sign

    verify_many = staticmethod(verify_many)


def real_public_key(key: bytes) -> bytes:
    """The public key of a seed."""
    return SigningKey(key).public_key


def same_key(key: bytes) -> bytes:
    """The stand-in knows no secret keys."""
    return key


def key_of(index: int, generation: int = 0) -> bytes:
    """Consensus key of a validator; rotating it gives the next generation."""
    return b"key" + generation.to_bytes(4, "big") + index.to_bytes(25, "big")


def node_of(index: int) -> bytes:
    """Node key of a validator."""
    return b"node" + index.to_bytes(28, "big")


def epoch_record(count: int, timers: Timers) -> EpochRecord:
    """An epoch of `count` validators with one node each."""
    return record_of(0, [(index, 0) for index in range(count)], timers)


def record_of(
    epoch: int,
    members: Sequence[tuple[int, int]],
    timers: Timers,
    public: Callable[[bytes], bytes] = same_key,
) -> EpochRecord:
    """The record of an epoch whose validators are these (identity, key generation), in this order."""
    validators = tuple(
        Validator(f"org{identity}", public(key_of(identity, generation)), (node_of(identity),))
        for identity, generation in members
    )
    return EpochRecord(epoch, validators, Limits(), timers, ())


def genesis_header(record: EpochRecord) -> Header:
    """Height 0."""
    return Header(
        HEADER_VERSION, CHAIN, 0, 0, 0, ZERO, 0, 0, 0, EMPTY_ROOT, 0, 0, 0, ZERO, ZERO, ZERO,
        epoch_record_hash(record), ZERO, ZERO,
    )  # fmt: skip


def config_of(record: EpochRecord, me: int | None, root: Root | None = None, *, watch: bool = False) -> Config:
    """The engine's configuration in the first epoch; the root is genesis unless given."""
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
        watch=watch,
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
    record: EpochRecord | None = None,
    next_record_hash: bytes = ZERO,
) -> Header:
    """A valid child of `parent`; one transaction of 100 bytes in each batch.  `record`: of its epoch, if another."""
    return Header(
        HEADER_VERSION,
        CHAIN,
        parent.epoch if record is None else record.epoch,
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
        parent.epoch_record_hash if record is None else epoch_record_hash(record),
        next_record_hash,
        ZERO,
    )
