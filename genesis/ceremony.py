"""The genesis ceremony: organisations write one document together, and each signs the whole.

A draft grows by parts that every organisation adds to its own copy; `merge` joins copies in any order into the same
document, because what organisations add is sorted by name and nothing may be said twice in two ways.  When all parts
are in, the copies have one chain id, which people compare aloud; then each signs, and the signatures are merged the
same way.  A node reads the document only with all of them.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Annotated, Final, TypeVar

import msgspec
from msgspec import Meta
from msgspec.structs import replace

from cccnode.crypto.signing import SigningKey
from cccnode.types.errors import GENESIS_DRAFTS, GENESIS_INVALID, fault
from cccnode.types.limits import GROUP_ITEMS_MAX
from genesis.bootstrap import ASSET, CAP, EXPONENT, ORGANISATION_BALANCE
from genesis.document import (
    DOCUMENT_BYTES_MAX,
    AccountEntry,
    AssetEntry,
    Document,
    KeyEntry,
    NodeEntry,
    OrganisationEntry,
    PillarName,
    SignatureEntry,
    chain_id,
    document_bytes,
    parse_json,
    read_unsigned,
    signed_bytes,
    signers,
)
from genesis.strict import problems

T = TypeVar("T")

_PARTS: Final = ("organisations", "accounts", "signatures")
"""What copies of a draft may differ in; everything else is settled when it is begun."""


class Draft(Document, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A document to which organisations are still added."""

    organisations: Annotated[tuple[OrganisationEntry, ...], Meta(max_length=GROUP_ITEMS_MAX)] = ()


STATE_DEPTH: Final = 18
"""Of a draft: a million records are changed for a fifth more than ten thousand, and an empty node takes 40 MB more than
with the 16 of test networks (benchmarks/results/city.md)."""


def begin(name: str, *, time_ms: int) -> Draft:
    """A draft without organisations: one asset for fees, default limits; people may edit it before they pass it on."""
    assets = (AssetEntry(id=ASSET, exponent=EXPONENT, cap=str(CAP)),)
    return Draft(name=name, time_ms=time_ms, state_depth=STATE_DEPTH, assets=assets, signed=True)


def read_draft(raw: bytes) -> Document:
    """A draft, or a document whose signatures are being collected.

    Raises:
        Fault: genesis/INVALID: it is neither.
    """
    if len(raw) > DOCUMENT_BYTES_MAX:
        raise fault(GENESIS_INVALID, errors=[f"document: {len(raw)} bytes, at most {DOCUMENT_BYTES_MAX}"])
    value = parse_json(raw, "document")
    found = problems(Draft, value, "document")
    if found:
        raise fault(GENESIS_INVALID, errors=found)
    return msgspec.convert(value, Draft)


def draft_bytes(draft: Document) -> bytes:
    """The file of a draft; once an organisation is in it, that of a document, in its order."""
    return document_bytes(msgspec.convert(draft, Document, from_attributes=True) if draft.organisations else draft)


def add_organisation(
    draft: Document, *, name: str, pillar: PillarName, nodes: Sequence[NodeEntry], account_key: bytes
) -> Document:
    """The draft with an organisation, its nodes, and the account through which it acts, with money for its fees.

    Raises:
        Fault: genesis/DRAFTS_DIFFER: it stands there already.
    """
    if any(entry.name == name for entry in draft.organisations):
        raise fault(GENESIS_DRAFTS, organisation=name, why="it was added already")
    entry = OrganisationEntry(name=name, pillar=pillar, nodes=tuple(nodes))
    account = AccountEntry(
        keys=(KeyEntry(key=account_key.hex()),),
        kind="organisation",
        pillar=pillar,
        organisation=name,
        balances={ASSET: str(ORGANISATION_BALANCE)},
    )
    return _sorted(
        replace(draft, organisations=(*draft.organisations, entry), accounts=(*draft.accounts, account), signatures=())
    )


def add_validator(draft: Document, *, name: str, consensus_key: bytes) -> Document:
    """The draft in which that organisation validates.

    Raises:
        Fault: genesis/DRAFTS_DIFFER: no such organisation, or it validates with another key.
    """
    known = {entry.name: entry for entry in draft.organisations}
    if name not in known:
        raise fault(GENESIS_DRAFTS, organisation=name, why="it is not in this draft: add it first")
    if known[name].consensus_key not in {None, consensus_key.hex()}:
        raise fault(GENESIS_DRAFTS, organisation=name, why="it validates with another key")
    known[name] = replace(known[name], consensus_key=consensus_key.hex())
    return replace(draft, organisations=tuple(known.values()), signatures=())


def sign(document: Document, keys: Iterable[SigningKey]) -> Document:
    """The document with the signatures of those keys that it lists.

    Raises:
        Fault: genesis/DRAFTS_DIFFER: it lists none of them; genesis/INVALID: it is not complete.
    """
    read_unsigned(document_bytes(document))
    held = {key.public_key.hex(): key for key in keys}
    ours = [signer for signer in signers(document) if signer[1] in held]
    if not ours:
        raise fault(GENESIS_DRAFTS, why="the document lists none of these keys", keys=sorted(held))
    message = signed_bytes(chain_id(document))
    made = tuple(
        SignatureEntry(organisation=organisation, key=key, signature=held[key].sign(message).hex())
        for organisation, key in ours
    )
    others = tuple(entry for entry in document.signatures if (entry.organisation, entry.key) not in ours)
    return _sorted(replace(document, signatures=(*others, *made)))


def merge(drafts: Sequence[Document]) -> Document:
    """One document out of copies to which each organisation added its part, or its signatures; the order is nothing.

    Signatures stay only where the copy that brings them has the same chain id as the result.

    Raises:
        Fault: genesis/DRAFTS_DIFFER, naming the field or the organisation about which two copies disagree.
    """
    first = drafts[0]
    for other in drafts[1:]:
        for field in first.__struct_fields__:
            if field not in _PARTS and getattr(first, field) != getattr(other, field):
                raise fault(GENESIS_DRAFTS, field=field, one=getattr(first, field), other=getattr(other, field))
    organisations: dict[str, OrganisationEntry] = {}
    for draft in drafts:
        for entry in draft.organisations:
            organisations[entry.name] = _joined(organisations.get(entry.name), entry)
    accounts = _united([draft.accounts for draft in drafts], lambda entry: entry.keys[0].key)
    whole = _sorted(replace(first, organisations=tuple(organisations.values()), accounts=accounts, signatures=()))
    same = [draft.signatures for draft in drafts if chain_id(draft) == chain_id(whole)]
    return _sorted(replace(whole, signatures=_united(same, lambda entry: entry.organisation + entry.key)))


def _joined(one: OrganisationEntry | None, other: OrganisationEntry) -> OrganisationEntry:
    """What two copies say of one organisation: the same, or one of them also names its consensus key."""
    if one is None or one == replace(other, consensus_key=None):
        return other
    if one != other and other != replace(one, consensus_key=None):
        raise fault(GENESIS_DRAFTS, organisation=one.name, why="two copies describe it differently")
    return one


def _united(lists: Sequence[tuple[T, ...]], name: Callable[[T], str]) -> tuple[T, ...]:
    """Every entry once; two that have one name must be equal."""
    known: dict[str, T] = {}
    for entry in (entry for entries in lists for entry in entries):
        if known.setdefault(name(entry), entry) != entry:
            raise fault(GENESIS_DRAFTS, why=f"two copies differ in {name(entry)}")
    return tuple(known.values())


def _sorted(draft: Document) -> Document:
    """What organisations add, in an order that does not depend on who collected first."""
    return replace(
        draft,
        organisations=tuple(sorted(draft.organisations, key=lambda entry: entry.name)),
        accounts=tuple(sorted(draft.accounts, key=lambda entry: (entry.organisation or "~", entry.keys[0].key))),
        signatures=tuple(sorted(draft.signatures, key=lambda entry: (entry.organisation, entry.key))),
    )
