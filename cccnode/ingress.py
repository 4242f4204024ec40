"""Foreign bytes become `Verified` transactions here and nowhere else: size, strict decode, identity, signatures.

What passes is true for ever and on every node: it depends on the bytes and the chain id alone, never on state, clock
or order.  Signatures of a whole batch go through one `verify_many` call (D5, D17).
"""

from collections.abc import Callable, Sequence
from typing import Any

from cccnode import codec
from cccnode.codec import encode
from cccnode.crypto import verifying
from cccnode.crypto.verifying import SMALL_ORDER
from cccnode.ledger.opening import Opened, open_many
from cccnode.ledger.registry import Registry
from cccnode.ledger.validity import CheckedBatch
from cccnode.types.batch import Batch, batch_id
from cccnode.types.errors import (
    MALFORMED,
    NON_CANONICAL,
    OVERSIZE,
    TX_BAD_SIGNATURE,
    TX_SIGNERS,
    TX_SMALL_ORDER_KEY,
    TX_WEIGHT,
    UNSUPPORTED_VERSION,
    WRONG_CHAIN,
    Fault,
    fault,
)
from cccnode.types.limits import BATCH_BYTES_MAX, BATCH_TXS_MAX, BLOCK_WEIGHT_MAX, TX_BYTES_MAX
from cccnode.types.transaction import (
    TRANSACTION_VERSION,
    Transaction,
    Verified,
    sign_bytes,
    signed_part,
    transaction_id,
    transaction_ids,
)

VerifyMany = Callable[[Sequence[bytes], Sequence[bytes], Sequence[bytes]], list[bool]]
"""(messages, signatures, public keys) -> verdicts; strict, so a key or an R of small order never holds."""


def decode_transactions(
    registry: Registry, chain: bytes, raws: Sequence[bytes], verify_many: VerifyMany = verifying.verify_many
) -> list[Verified | Fault]:
    """One verdict for each of `raws`, in order: the verified transaction, or why it is refused.

    One bad transaction never affects another; all signatures go into one `verify_many` call.
    """
    opened = open_many(registry.usual(chain), raws)
    verdicts: list[Any] = opened.transactions
    signed = [position for position, verdict in enumerate(verdicts) if verdict is not None]
    """Where those are whose signatures follow each other in `opened`."""
    if len(signed) < len(raws):
        signed += _open_rest(registry, chain, raws, opened)
    if signed:
        holds = verify_many(opened.messages, opened.signatures, opened.keys)
        if not all(holds):
            _refuse_unsigned(verdicts, signed, holds)
    return verdicts


def _open_rest(registry: Registry, chain: bytes, raws: Sequence[bytes], opened: Opened) -> list[int]:
    """Open what is not usual and fill it in; return where something was that may be good."""
    good = []
    for position, raw in enumerate(raws):
        if opened.transactions[position] is not None:
            continue
        try:
            verified, signed = _decode_one(registry, chain, raw)
        except Fault as refused:
            opened.transactions[position] = refused
            continue
        good.append(position)
        opened.transactions[position], transaction = verified, verified.transaction
        opened.messages.extend([signed] * len(transaction.signers))
        opened.signatures.extend(transaction.signatures)
        opened.keys.extend(transaction.signers)
    return good


def _decode_one(registry: Registry, chain: bytes, raw: bytes) -> tuple[Verified, bytes]:
    """Everything but the signatures: (the transaction, what its signers signed)."""
    if len(raw) > TX_BYTES_MAX:
        raise fault(OVERSIZE, bytes=len(raw), limit=TX_BYTES_MAX)
    transaction = registry.decode(raw)
    if transaction.version != TRANSACTION_VERSION:
        raise fault(UNSUPPORTED_VERSION, version=transaction.version)
    if transaction.chain != chain:
        raise fault(WRONG_CHAIN, chain=transaction.chain, expected=chain)
    _check_signers(transaction.signers, transaction.signatures)
    weight = registry.weight(transaction.messages)
    if weight > BLOCK_WEIGHT_MAX:
        raise fault(TX_WEIGHT, weight=weight, limit=BLOCK_WEIGHT_MAX)
    part = signed_part(raw, len(transaction.signatures))
    return Verified(transaction_id(part), transaction, raw, weight), sign_bytes(part)


def _check_signers(signers: tuple[bytes, ...], signatures: tuple[bytes, ...]) -> None:
    if len(signers) != len(signatures):
        raise fault(TX_SIGNERS, signers=len(signers), signatures=len(signatures))
    before = b""
    for signer, signature in zip(signers, signatures, strict=True):
        if signer <= before:
            raise fault(TX_SIGNERS, reason="not sorted, or repeated", signer=signer)
        before = signer
        if signer in SMALL_ORDER or signature[:32] in SMALL_ORDER:
            raise fault(TX_SMALL_ORDER_KEY, signer=signer)


def _refuse_unsigned(verdicts: list[Any], signed: Sequence[int], holds: Sequence[bool]) -> None:
    """Replace each transaction with a signature that does not hold by its fault; `holds` follows `signed`."""
    start = 0
    for position in signed:
        transaction = verdicts[position].transaction
        signers = transaction.signers
        for signer, good in zip(signers, holds[start : start + len(signers)], strict=True):
            if not good:
                verdicts[position] = _unsigned(transaction, signer)
                break
        start += len(signers)


def _unsigned(transaction: Transaction[Any], signer: bytes) -> Fault:
    """Why a signature does not hold: of usual transactions nobody has looked at the keys yet."""
    try:
        _check_signers(transaction.signers, transaction.signatures)
    except Fault as reason:
        return reason
    return fault(TX_BAD_SIGNATURE, signer=signer)


def decode_batch(
    registry: Registry, chain: bytes, raw: bytes, verify_many: VerifyMany = verifying.verify_many
) -> CheckedBatch:
    """A batch from foreign bytes; it is good as a whole or not at all (J8).

    Raises:
        Fault: the batch is malformed or over a limit, or the first bad transaction's fault with its `position`.
    """
    try:
        raws = codec.decode(Batch, raw)
    except codec.NonCanonical as error:
        raise fault(NON_CANONICAL, reason=str(error)) from None
    except codec.DecodeError as error:
        raise fault(MALFORMED, reason=str(error)) from None
    return check_batch(registry, chain, raws, verify_many)


def check_batch(
    registry: Registry, chain: bytes, raws: Sequence[bytes], verify_many: VerifyMany = verifying.verify_many
) -> CheckedBatch:
    """The same for a batch whose transactions were already taken apart.

    Raises:
        Fault: as `decode_batch`.
    """
    _check_batch_size(raws)
    transactions = []
    for position, verdict in enumerate(decode_transactions(registry, chain, raws, verify_many)):
        if isinstance(verdict, Fault):
            raise Fault(verdict.spec, verdict.values | {"position": position})
        transactions.append(verdict)
    return checked_batch(transactions)


def checked_batch(transactions: Sequence[Verified]) -> CheckedBatch:
    """The batch of transactions that this node verified itself (its own mempool's).

    Raises:
        Fault: core/OVERSIZE or tx/WEIGHT: no block could list it.
    """
    raws = [verified.raw for verified in transactions]
    size = _check_batch_size(raws)
    weight = sum(verified.weight for verified in transactions)
    if weight > BLOCK_WEIGHT_MAX:
        raise fault(TX_WEIGHT, weight=weight, limit=BLOCK_WEIGHT_MAX)
    return CheckedBatch(id=batch_id(raws), transactions=tuple(transactions), size=size, weight=weight)


def _check_batch_size(raws: Sequence[bytes]) -> int:
    size = sum(map(len, raws))
    if not 0 < len(raws) <= BATCH_TXS_MAX or size > BATCH_BYTES_MAX:
        raise fault(OVERSIZE, transactions=len(raws), bytes=size, limit=BATCH_BYTES_MAX)
    return size


def encode_batch(batch: CheckedBatch) -> bytes:
    """The bytes that `decode_batch` reads."""
    return encode([verified.raw for verified in batch.transactions])


def trusted_transactions(registry: Registry, raws: Sequence[bytes]) -> list[Verified]:
    """Transactions under a finalization certificate or out of this node's store: signatures are not checked (J19).

    Raises:
        Fault: the bytes are damaged.
    """
    transactions = [registry.decode_trusted(raw) for raw in raws]
    parts = [signed_part(raw, len(transaction.signatures)) for raw, transaction in zip(raws, transactions, strict=True)]
    return [
        Verified(tx_id, transaction, raw, registry.weight(transaction.messages))
        for tx_id, transaction, raw in zip(transaction_ids(parts), transactions, raws, strict=True)
    ]
