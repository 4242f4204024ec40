"""Sized integers and byte strings: the only primitive types that nouns are made of."""

from typing import Annotated

from msgspec import Meta

from cccnode.types.limits import AMOUNT_MAX, SALT_BYTES

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
AssetId = Annotated[str, Meta(min_length=1, max_length=12, pattern="^[a-z][a-z0-9]*$")]
"""Short name of an asset, such as `uccc`."""
Name = Annotated[str, Meta(min_length=1, max_length=64)]
"""A name that people read: an organisation, a role."""
