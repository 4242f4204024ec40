"""Sized integers and byte strings: the only primitive types that nouns are made of."""

import re
from functools import lru_cache
from typing import Annotated, Final

from msgspec import Meta

from cccnode.types.limits import AMOUNT_MAX, SALT_BYTES
from cccnode.types.privacy import Privacy, marked

U8 = Annotated[int, Meta(ge=0, le=2**8 - 1)]
U16 = Annotated[int, Meta(ge=0, le=2**16 - 1)]
U32 = Annotated[int, Meta(ge=0, le=2**32 - 1)]
U63 = Annotated[int, Meta(ge=0, le=2**63 - 1)]
"""Counters, heights, views and times stay below 2**63, so that every language can hold them."""

Amount = Annotated[int, Meta(ge=0, le=AMOUNT_MAX)]
"""Base units of an asset."""
Height = U63
View = U63
Epoch = U63
Millis = U63
"""Milliseconds since 1970-01-01 UTC, or a length of time; the name of the field says which."""

Hash = Annotated[bytes, Meta(min_length=32, max_length=32)]
PublicKey = Annotated[bytes, Meta(min_length=32, max_length=32)]
"""Ed25519 public key."""
Signature = Annotated[bytes, Meta(min_length=64, max_length=64)]
"""Ed25519 signature."""
AccountId = Annotated[bytes, Meta(min_length=20, max_length=20)]
Salt = Annotated[bytes, Meta(min_length=SALT_BYTES, max_length=SALT_BYTES)]
_ASSET: Final = re.compile(r"^[a-z][a-z0-9]*$(?!\n)")
"""In Python, unlike in JSON Schema, `$` also stands before a last line feed."""
AssetText = Annotated[str, Meta(min_length=1, max_length=12, extra=marked(Privacy.PUBLIC))]
AssetId = Annotated[AssetText, Meta(pattern=_ASSET.pattern)]
"""Short name of an asset, such as `uccc`."""
Name = Annotated[str, Meta(min_length=1, max_length=64)]
"""A name that people read: an organisation, a role."""


@lru_cache(maxsize=256)
def check_asset_id(text: str) -> None:
    """Tell an `AssetId` from another `AssetText`; remembered, for to match takes half the time of decoding a transfer.

    Raises:
        ValueError: it is none, in the words of a decoder.
    """
    if _ASSET.search(text) is None:
        raise ValueError(f"Expected `str` matching regex {_ASSET.pattern!r}")
