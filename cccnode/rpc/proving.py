"""The methods that answer with proofs: for people the fields of what is proven, and `proof`, the noun in hexadecimal.

`proof` is all that a client looks at which believes nobody: a canonical noun of `types/proofs.py` or
`types/finality.py`, checked with `cccnode.client.light` or with the file `cccnode/evidence_verifier.py`.
"""

from typing import Annotated, Any, Final, Protocol

import msgspec
from msgspec import Meta

from cccnode.codec import encode
from cccnode.rpc.backend import Backend
from cccnode.rpc.values import Json, decimal_text, hex_text
from cccnode.types import errors
from cccnode.types.block import block_id
from cccnode.types.errors import fault
from cccnode.types.finality import Anchor
from cccnode.types.limits import STATE_KEY_BYTES_MAX
from cccnode.types.proofs import Result
from cccnode.types.scalars import Epoch, Hash, Height

PROOF_WAIT_MS_DEFAULT: Final = 5_000
PROOF_WAIT_MS_MAX: Final = 60_000
LINKS_MAX: Final = 64
"""Epoch changes in one answer: a link of a hundred validators takes 30 kB."""

_Wait = Annotated[int, Meta(ge=0, le=PROOF_WAIT_MS_MAX)]


class Context(Protocol):
    """What these methods use of the dispatcher's scope."""

    @property
    def backend(self) -> Backend:
        """The node."""

    def left_ms(self, wanted: int) -> int:
        """How long a call may wait of what it asks for."""


class _Params(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Parameters of one method, in positional order."""


class GroupAt(_Params, frozen=True):
    """One group of the state, after the newest block or a named one, and how long to wait for a final header."""

    group: Annotated[bytes, Meta(min_length=1, max_length=STATE_KEY_BYTES_MAX)]
    height: Height | None = None
    wait_ms: _Wait = PROOF_WAIT_MS_DEFAULT


class Decided(_Params, frozen=True):
    """A decided transaction."""

    tx_id: Hash
    wait_ms: _Wait = PROOF_WAIT_MS_DEFAULT


class OneBlock(_Params, frozen=True):
    """A block by height."""

    height: Height
    wait_ms: _Wait = PROOF_WAIT_MS_DEFAULT


class Epochs(_Params, frozen=True):
    """From which epoch on, how many changes, and a height that must lie in the history of the tip."""

    epoch: Epoch = 0
    limit: Annotated[int, Meta(ge=1, le=LINKS_MAX)] = LINKS_MAX
    height: Height | None = None


async def state_proof(scope: Context, params: GroupAt) -> Json:
    """All items of a group, or that there is none."""
    proof = await scope.backend.prove_group(params.group, params.height, scope.left_ms(params.wait_ms))
    return {
        "group": hex_text(params.group),
        "items": [{"item": hex_text(item), "value": hex_text(value)} for item, value in proof.proof.items],
        "depth": len(proof.proof.path),
        **_result(proof.result),
        "proof": hex_text(encode(proof)),
    }


async def tx_proof(scope: Context, params: Decided) -> Json:
    """That a transaction stands in a block, and its receipt."""
    proof = await scope.backend.prove_transaction(params.tx_id, scope.left_ms(params.wait_ms))
    return {
        "tx_id": hex_text(params.tx_id),
        "raw": hex_text(proof.raw),
        "receipt": hex_text(proof.receipt),
        "block_id": hex_text(block_id(proof.block.header)),
        **_result(proof.result),
        "proof": hex_text(encode(proof)),
    }


async def events_proof(scope: Context, params: OneBlock) -> Json:
    """All receipts of a block."""
    proof = await scope.backend.prove_events(params.height, scope.left_ms(params.wait_ms))
    return {
        "receipts": len(proof.receipts),
        "block_id": hex_text(block_id(proof.block.header)),
        **_result(proof.result),
        "proof": hex_text(encode(proof)),
    }


async def chain_light(scope: Context, params: Epochs) -> Json:
    """How epochs ended from one epoch on, the newest final header, and the way of a known block into its history."""
    backend = scope.backend
    newest = backend.newest_anchor()
    if newest is None:
        raise fault(errors.NOT_PROVABLE, why="no block is final yet")
    answer: dict[str, Any] = {
        "epoch": decimal_text(params.epoch),
        "links": [hex_text(encode(link)) for link in backend.epoch_ends(params.epoch, params.limit)],
        "tip": _anchor(newest),
        "tip_proof": hex_text(encode(newest)),
    }
    if params.height is not None:
        history = backend.prove_history(params.height, newest)
        if history is None:
            raise fault(errors.NOT_PROVABLE, height=params.height, provable=newest.header.height - 1)
        answer["history"] = hex_text(encode(history))
    return answer


def _result(result: Result) -> dict[str, Json]:
    return {
        "height": decimal_text(result.height),
        "state_root": hex_text(result.state_root),
        "receipts_root": hex_text(result.receipts_root),
        "certified_by": _anchor(result.anchor),
    }


def _anchor(anchor: Anchor) -> Json:
    header = anchor.header
    return {
        "height": decimal_text(header.height),
        "epoch": decimal_text(header.epoch),
        "block_id": hex_text(block_id(header)),
        "time_ms": decimal_text(header.time_ms),
        "signatures": len(anchor.certificate.signatures),
    }
