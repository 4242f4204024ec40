"""Receipts say what became of each decided transaction; the event cursor runs over them without gaps."""

from typing import Annotated, Any, Final

from msgspec import Meta

from cccnode.codec import Noun
from cccnode.types.scalars import U32, Amount, Hash

Field = int | bytes | str | bool | None
Event = Annotated[tuple[Any, ...], Meta(min_length=2, max_length=32)]
"""[module, name, fields...], each a `Field`; first two are text.  (msgspec cannot tell text from bytes in a union.)

Twenty bytes are an account and nothing else is: so readers show it, and so the history of an account finds it."""

OK: Final = 0
"""Receipt code of success; any other is a number of the error table."""


class Receipt(Noun, frozen=True, array_like=True, gc=False):
    """The outcome of one decided transaction, or (zero tx_id) the events of block-level rules."""

    tx_id: Hash
    code: U32
    fee_paid: Amount
    events: tuple[Event, ...]
