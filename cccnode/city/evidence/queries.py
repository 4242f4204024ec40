"""What anyone may ask about proven faults."""

from typing import Annotated, Final

from msgspec import Meta

from cccnode.city.evidence.state import Record, count, read_record
from cccnode.codec import Noun
from cccnode.ledger.state import Reader
from cccnode.types.scalars import U63

PAGE_MAX: Final = 64
"""Faults in one answer."""


class ListParams(Noun, frozen=True, array_like=True, gc=False):
    """Which of them."""

    after: U63 = 0
    """Number of the last one already seen."""
    limit: Annotated[int, Meta(ge=1, le=PAGE_MAX)] = PAGE_MAX


class EvidenceAnswer(Noun, frozen=True, array_like=True, gc=False):
    """A page of recorded faults, oldest first."""

    records: tuple[Record, ...]
    count: U63
    """How many are recorded in all: the last number."""


def evidence_list(state: Reader, params: ListParams) -> EvidenceAnswer:
    """Recorded faults after a number."""
    last = min(count(state), params.after + params.limit)
    found = [read_record(state, number) for number in range(params.after + 1, last + 1)]
    return EvidenceAnswer(tuple(record for record in found if record is not None), count(state))
