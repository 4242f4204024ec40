"""The methods by which nodes compare their states: hashes down the tree, to the items that differ.

No proofs: whoever compares asks several nodes and believes the certified root.
"""

from typing import Annotated, Final, Protocol

import msgspec
from msgspec import Meta

from cccnode.crypto.proofs import DEPTH_MAX
from cccnode.rpc.backend import Backend
from cccnode.rpc.values import Json, decimal_text, hex_text
from cccnode.types.limits import STATE_KEY_BYTES_MAX

STATE_NODES_MAX: Final = 1_024
"""Nodes of the state tree, or groups of a bucket, in one answer."""


class Context(Protocol):
    """What these methods use of the dispatcher's scope."""

    @property
    def backend(self) -> Backend:
        """The node."""


class _Params(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Parameters of one method, in positional order."""


class Group(_Params, frozen=True):
    """One group of the state."""

    group: Annotated[bytes, Meta(min_length=1, max_length=STATE_KEY_BYTES_MAX)]


class Nodes(_Params, frozen=True):
    """Neighbours on one level of the state tree; level 0 are the buckets."""

    level: Annotated[int, Meta(ge=0, le=DEPTH_MAX)]
    first: Annotated[int, Meta(ge=0, lt=1 << DEPTH_MAX)]
    count: Annotated[int, Meta(ge=1, le=STATE_NODES_MAX)]


class Bucket(_Params, frozen=True):
    """One bucket of the state; `after` continues a list that was cut."""

    bucket: Annotated[int, Meta(ge=0, lt=1 << DEPTH_MAX)]
    after: Annotated[bytes, Meta(max_length=STATE_KEY_BYTES_MAX)] = b""


async def state_nodes(scope: Context, params: Nodes) -> Json:
    """Hashes of neighbours on one level of the tree, joined."""
    height, hashes = scope.backend.state_nodes(params.level, params.first, params.count)
    return {"height": decimal_text(height), "hashes": hex_text(hashes)}


async def state_bucket(scope: Context, params: Bucket) -> Json:
    """Some groups of a bucket with their hashes; `more` when the list was cut."""
    height, listing = scope.backend.state_bucket(params.bucket)
    names = [group for group in listing if group > params.after]
    return {
        "height": decimal_text(height),
        "groups": [[hex_text(group), hex_text(listing[group])] for group in names[:STATE_NODES_MAX]],
        "more": len(names) > STATE_NODES_MAX,
    }


async def state_group(scope: Context, params: Group) -> Json:
    """Every item of a group."""
    height, items = scope.backend.state_group(params.group)
    return {
        "height": decimal_text(height),
        "items": [[hex_text(item), hex_text(value)] for item, value in items.items()],
    }
