"""The genesis document: who begins a network, with what money, under which parameters.

A JSON file that people read and sign off.  Its hash is the chain id: SHA-256("ccc/1/genesis" || canonical MessagePack
of its values in field order), so layout and spelling of the JSON do not matter, but every value does.  Amounts are
decimal strings; keys and certificates are lower-case hexadecimal.  A long list of accounts may stand in a separate
file, named by its SHA-256 in the document.
"""

import json
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from itertools import pairwise
from typing import Annotated, Any, Final, Literal, NoReturn, TypeVar

import msgspec
from msgspec import Meta

from cccnode.codec import encode
from cccnode.crypto.hashing import GENESIS, GENESIS_SIGN, tagged
from cccnode.crypto.verifying import SMALL_ORDER, verify_many
from cccnode.types.errors import GENESIS_INVALID, GENESIS_UNSIGNED, Fault, fault
from cccnode.types.limits import (
    AMOUNT_MAX,
    CERTIFICATE_DER_MAX,
    GROUP_ITEMS_MAX,
    NODES_PER_ORGANISATION_MAX,
    TX_SIGNERS_MAX,
    VALIDATORS_MAX,
)
from cccnode.types.scalars import AssetId, Name
from cccnode.types.transaction import account_id
from cccnode.types.validators import Limits, Timers, certificate_key
from genesis.strict import problems

S = TypeVar("S", bound=msgspec.Struct)
FORMAT: Final = 1
DOCUMENT_BYTES_MAX: Final = 16 * 1024 * 1024
"""A document of people's size; larger lists of accounts go into the allocation file."""
ALLOCATION_BYTES_MAX: Final = 1024 * 1024 * 1024
JSON_INTEGER_MAX: Final = 2**53 - 1
"""Integers in the document stay exact in every JSON reader."""
ERRORS_MAX: Final = 200
"""Mistakes listed at once; more would not be read."""

Key = Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
AmountText = Annotated[str, Meta(pattern="^(0|[1-9][0-9]{0,18})$")]
Address = Annotated[str, Meta(min_length=3, max_length=128, pattern="^[^ ]+:[0-9]{1,5}$")]
"""host:port."""
_Natural = Annotated[int, Meta(ge=1, le=JSON_INTEGER_MAX)]
_Milliseconds = Annotated[int, Meta(ge=1, le=86_400_000)]
PillarName = Literal["none", "government", "private", "academia", "citizens"]


class Entry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of the document's parts: JSON objects."""


class KeyEntry(Entry, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A key of an account."""

    key: Key
    weight: Annotated[int, Meta(ge=1, le=255)] = 1


class AccountEntry(Entry, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An account that exists from the beginning, active."""

    keys: Annotated[tuple[KeyEntry, ...], Meta(min_length=1, max_length=TX_SIGNERS_MAX)]
    """The account's id is that of the first."""
    threshold: Annotated[int, Meta(ge=1, le=255)] = 1
    kind: Literal["person", "organisation", "service", "pseudonym", "project"] = "person"
    pillar: PillarName = "citizens"
    organisation: Name | None = None
    enc_key: Key | None = None
    balances: dict[AssetId, AmountText] = {}

    def account_id(self) -> bytes:
        """The 20-byte id."""
        return account_id(bytes.fromhex(self.keys[0].key))


class AssetEntry(Entry, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A kind of money."""

    id: AssetId
    exponent: Annotated[int, Meta(ge=0, le=18)]
    cap: AmountText
    transferable: bool = True


class NodeEntry(Entry, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A machine of an organisation."""

    key: Key
    certificate: Annotated[str, Meta(pattern="^([0-9a-f]{2})+$", max_length=2 * CERTIFICATE_DER_MAX)]
    """X.509, DER."""
    addresses: Annotated[tuple[Address, ...], Meta(max_length=8)] = ()


class OrganisationEntry(Entry, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A partner."""

    name: Annotated[str, Meta(pattern="^[a-z0-9][a-z0-9-]{0,63}$")]
    pillar: PillarName
    consensus_key: Key | None = None
    """Present where it validates."""
    nodes: Annotated[tuple[NodeEntry, ...], Meta(max_length=NODES_PER_ORGANISATION_MAX)] = ()


class LimitsEntry(Entry, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Bounds that the network chooses; see `types.validators.Limits`."""

    tx_lifetime_max_ms: Annotated[int, Meta(ge=1_000, le=86_400_000)] = 300_000
    window_tx_max: Annotated[int, Meta(ge=10_000, le=100_000_000)] = 3_000_000
    epoch_blocks: _Natural | None = None
    """None: the first epoch does not end by its length."""
    epoch_ms: _Natural | None = None

    def noun(self) -> Limits:
        """As it stands in the epoch record."""
        never = Limits()
        return Limits(
            tx_lifetime_max_ms=self.tx_lifetime_max_ms,
            window_tx_max=self.window_tx_max,
            epoch_blocks=self.epoch_blocks or never.epoch_blocks,
            epoch_ms=self.epoch_ms or never.epoch_ms,
        )


class TimersEntry(Entry, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Times that all voters share; see `types.validators.Timers`."""

    delta_ms: _Milliseconds = 250
    min_interval_ms: _Milliseconds = 50
    heartbeat_ms: _Milliseconds = 30_000

    def noun(self) -> Timers:
        """As it stands in the epoch record."""
        return Timers(self.delta_ms, self.min_interval_ms, self.heartbeat_ms)


class AllocationEntry(Entry, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Further accounts in a file `allocation-<sha256>.json` beside the document: a JSON array of accounts."""

    sha256: Key
    accounts: _Natural
    """How many the file holds."""

    @property
    def file_name(self) -> str:
        """Where it lies, beside the document."""
        return f"allocation-{self.sha256}.json"


class SignatureEntry(Entry, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One signature of an organisation below the whole document."""

    organisation: Annotated[str, Meta(max_length=64)]
    key: Key
    signature: Annotated[str, Meta(pattern="^[0-9a-f]{128}$")]


class Document(Entry, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole."""

    format: Literal[1] = FORMAT
    name: Name
    """What people call the network."""
    time_ms: _Natural
    """Header time of height 0, milliseconds since 1970 UTC."""
    state_depth: Annotated[int, Meta(ge=1, le=24)] = 16
    """The state tree has 2**state_depth buckets (D6)."""
    organisations: Annotated[tuple[OrganisationEntry, ...], Meta(min_length=1, max_length=GROUP_ITEMS_MAX)]
    """Validators stand in the epoch record in this order."""
    assets: Annotated[tuple[AssetEntry, ...], Meta(min_length=1, max_length=GROUP_ITEMS_MAX)]
    accounts: tuple[AccountEntry, ...] = ()
    allocation: AllocationEntry | None = None
    parameters: dict[Name, dict[Name, int | str | bool]] = {}
    """Values of the modules' parameters, by module and name; what is not given keeps its default."""
    limits: LimitsEntry = LimitsEntry()
    timers: TimersEntry = TimersEntry()
    features: Annotated[tuple[Name, ...], Meta(max_length=64)] = ()
    city: dict[Name, Any] = {}
    """Sections of modules that need more than parameters, by module: JSON of strings, integers, lists and objects."""
    signed: bool = False
    """Whether every organisation must have signed the chain id with every key that `signers` names."""
    signatures: Annotated[tuple[SignatureEntry, ...], Meta(max_length=2 * GROUP_ITEMS_MAX)] = ()
    """Those signatures; the only part that the chain id does not depend on."""


Lines = Callable[[], Iterator[bytes]]
"""Reads a file from its begin, each line with its end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Genesis:
    """A checked document together with its allocation file: what modules write the first state from."""

    document: Document
    chain: bytes
    """The chain id."""
    allocation: Iterable[AccountEntry] = ()

    @property
    def parameters(self) -> dict[Name, dict[Name, int | str | bool]]:
        """Values of the modules' parameters, by module and name."""
        return self.document.parameters

    @property
    def city(self) -> dict[Name, Any]:
        """Sections of modules, by name."""
        return self.document.city

    def section(self, module: str, kind: type[S]) -> S:
        """The section of a module, read as a struct of its own; its defaults where there is none.

        Raises:
            Fault: genesis/INVALID, whose `errors` list everything that is wrong with it.
        """
        value = self.document.city.get(module, {})
        if errors := problems(kind, value, f"city.{module}"):
            raise _invalid(errors)
        return msgspec.convert(value, kind)

    @property
    def accounts(self) -> Iterator[AccountEntry]:
        """Every account: the document's, then the allocation's."""
        yield from self.document.accounts
        yield from self.allocation


def chain_id(document: Document) -> bytes:
    """SHA-256("ccc/1/genesis" || canonical encoding of all values in field order)."""
    return tagged(GENESIS, document_encoding(document))


def document_encoding(document: Document) -> bytes:
    """The bytes whose tagged hash is the chain id: every value in field order, without the names.

    The signatures are left out, and `signed` and `city` where they are not set: so a document without a ceremony, or
    from before there were sections, keeps its chain id.
    """
    names = [name for name in Document.__struct_fields__ if name not in {"city", "signed", "signatures"}]
    values = [_values(getattr(document, name)) for name in names]
    if document.city:
        return encode([*values, document.signed, _values(document.city)])
    return encode([*values, True] if document.signed else values)


def signed_bytes(chain: bytes) -> bytes:
    """What an organisation signs: "ccc/1/founding" || chain id."""
    return GENESIS_SIGN + chain


def signers(document: Document) -> list[tuple[str, str]]:
    """(organisation, key) of every signature that a signed document holds, in the order of the document.

    An organisation signs with its consensus key, where it validates, and with the first key of its account.
    """
    accounts: dict[str, str] = {}
    for account in document.accounts:
        if account.organisation is not None and account.kind == "organisation":
            accounts.setdefault(account.organisation, account.keys[0].key)
    found = []
    for entry in document.organisations:
        keys = (entry.consensus_key, accounts.get(entry.name))
        found += [(entry.name, key) for key in keys if key is not None]
    return found


def check_signatures(document: Document) -> None:
    """Every listed signature is there and good, where the document says that it is signed.

    Raises:
        Fault: genesis/UNSIGNED, naming organisations whose signature is missing, wrong, or not asked for.
    """
    if not document.signed:
        return
    wanted = signers(document)
    given = {(entry.organisation, entry.key): entry.signature for entry in document.signatures}
    present = [signer for signer in wanted if signer in given]
    message = signed_bytes(chain_id(document))
    verdicts = verify_many(
        [message] * len(present),
        [bytes.fromhex(given[signer]) for signer in present],
        [bytes.fromhex(key) for _, key in present],
    )
    named = {organisation for organisation, _ in wanted}
    problems = {
        "missing": {organisation for organisation, key in wanted if (organisation, key) not in given}
        | {entry.name for entry in document.organisations if entry.name not in named},
        "wrong": {signer[0] for signer, good in zip(present, verdicts, strict=True) if not good},
        "not_listed": {organisation for organisation, key in set(given) - set(wanted)},
    }
    found = {what: sorted(names) for what, names in problems.items() if names}
    if found:
        raise fault(GENESIS_UNSIGNED, **found)


def _values(part: object) -> object:
    """A part of the document as arrays of scalars: objects by field order, mappings as sorted pairs."""
    match part:
        case msgspec.Struct():
            return [_values(getattr(part, name)) for name in part.__struct_fields__]
        case dict():
            return [[name, _values(part[name])] for name in sorted(part)]
        case tuple() | list():
            return [_values(item) for item in part]
        case _:
            return part


def document_bytes(document: Document) -> bytes:
    """The document as JSON that people can read."""
    return msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n"


def allocation_bytes(accounts: Iterable[AccountEntry]) -> tuple[AllocationEntry, bytes]:
    """The entry and the content of an allocation file: one account a line."""
    rows = [msgspec.json.encode(account) for account in accounts]
    raw = b"[\n" + b",\n".join(rows) + b"\n]\n"
    return AllocationEntry(sha256=sha256(raw).hexdigest(), accounts=len(rows)), raw


def read_outline(raw: bytes) -> Genesis:
    """A genesis without its allocation: all that a node needs when its first state is written.

    Raises:
        Fault: genesis/INVALID, whose `errors` list everything that is wrong.
    """
    document = read_document(raw)
    return Genesis(document=document, chain=chain_id(document))


def read_genesis(raw: bytes, allocation: bytes | Lines | None = None) -> Genesis:
    """A genesis from the bytes of its file, and of its allocation file where it names one.

    An allocation that comes as lines is not kept in memory, but read at each pass over the accounts, where it has one
    account a line as `allocation_bytes` makes it.

    Raises:
        Fault: genesis/INVALID, whose `errors` list everything that is wrong.
    """
    document = read_document(raw)
    entry = document.allocation
    rows = _read_lines(entry, allocation) if entry is not None and callable(allocation) else None
    if rows is None:
        rows = _read_allocation(entry, b"".join(allocation()) if callable(allocation) else allocation)
    genesis = Genesis(document=document, chain=chain_id(document), allocation=rows)
    errors = [*_account_problems(genesis), *_supply_problems(genesis)]
    if errors:
        raise _invalid(errors)
    return genesis


def read_document(raw: bytes) -> Document:
    """A document from the bytes of its file, checked in itself (without its allocation file).

    Raises:
        Fault: genesis/INVALID, whose `errors` list everything that is wrong; genesis/UNSIGNED.
    """
    document = read_unsigned(raw)
    check_signatures(document)
    return document


def read_unsigned(raw: bytes) -> Document:
    """The same while its signatures are still being collected.

    Raises:
        Fault: genesis/INVALID.
    """
    if len(raw) > DOCUMENT_BYTES_MAX:
        raise _invalid([f"document: {len(raw)} bytes, at most {DOCUMENT_BYTES_MAX}; use an allocation file"])
    value = parse_json(raw, "document")
    errors = problems(Document, value, "document")
    if errors:
        raise _invalid(errors)
    document = msgspec.convert(value, Document)
    errors = [*_organisation_problems(document), *_asset_problems(document)]
    if document.allocation is None:
        alone = Genesis(document=document, chain=b"")
        errors += [*_account_problems(alone), *_supply_problems(alone)]
    if errors:
        raise _invalid(errors)
    return document


def parse_json(raw: bytes, what: str) -> Any:
    """Strict JSON: no name twice, no NaN, no fractions."""

    def once(pairs: list[tuple[str, object]]) -> dict[str, object]:
        twice = sorted(name for name, count in Counter(name for name, _ in pairs).items() if count > 1)
        if twice:
            raise ValueError(f"the name {twice[0]} stands twice in one object")
        return dict(pairs)

    def refuse(text: str) -> NoReturn:
        raise ValueError(f"{text} is not a whole number")

    try:
        value = json.loads(raw, object_pairs_hook=once, parse_constant=refuse, parse_float=refuse)
        json.dumps(value, ensure_ascii=False).encode()  # half of a surrogate pair, which json lets pass, is no text
        return value  # noqa: TRY300 - what is above may refuse it
    except (ValueError, RecursionError) as error:
        raise _invalid([f"{what}: {error}"]) from None


class _Rows:
    """The accounts of a file with one of them a line: as values, a million would take 700 MB."""

    def __init__(self, lines: Lines) -> None:
        self._lines = lines

    def __iter__(self) -> Iterator[AccountEntry]:
        """Each account.

        Raises:
            ValueError: the file has another layout, or a line is no account.
        """
        lines = self._lines()
        if next(lines, b"") != b"[\n":
            raise ValueError("not one account a line")
        for line in lines:
            if line.endswith(b",\n"):
                yield _ROW.decode(line[:-2])
                continue
            yield _ROW.decode(line)
            if (next(lines, b""), next(lines, b"")) == (b"]\n", b""):
                return
            break
        raise ValueError("not one account a line")


_ROW: Final = msgspec.json.Decoder(AccountEntry)


def _read_lines(entry: AllocationEntry, lines: Lines) -> Iterable[AccountEntry] | None:
    """The accounts of a file as `allocation_bytes` makes it; None if it is another, or not what the entry names."""
    digest, size = sha256(), 0
    for line in lines():
        digest.update(line)
        size += len(line)
    rows = _Rows(lines)
    try:
        good = sum(1 for _ in rows) == entry.accounts
    except (ValueError, RecursionError):
        return None
    return rows if good and size <= ALLOCATION_BYTES_MAX and digest.hexdigest() == entry.sha256 else None


def _read_allocation(entry: AllocationEntry | None, raw: bytes | None) -> tuple[AccountEntry, ...]:
    if entry is None or raw is None:
        if entry is not None:
            raise _invalid([f"document.allocation: the file {entry.file_name} is missing"])
        if raw is not None:
            raise _invalid(["document.allocation: an allocation file is given, but the document names none"])
        return ()
    if len(raw) > ALLOCATION_BYTES_MAX:
        raise _invalid([f"{entry.file_name}: {len(raw)} bytes, at most {ALLOCATION_BYTES_MAX}"])
    found = sha256(raw).hexdigest()
    if found != entry.sha256:
        raise _invalid([f"{entry.file_name}: its SHA-256 is {found}"])
    accounts = _accounts(raw, entry.file_name)
    if len(accounts) != entry.accounts:
        raise _invalid([f"{entry.file_name}: holds {len(accounts)} accounts, not {entry.accounts}"])
    return accounts


def _accounts(raw: bytes, file_name: str) -> tuple[AccountEntry, ...]:
    """Fast where all is well (a hundred thousand accounts in a second); else the list of mistakes."""
    try:
        return msgspec.json.decode(raw, type=tuple[AccountEntry, ...])
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        value = parse_json(raw, file_name)
        raise _invalid(problems(tuple[AccountEntry, ...], value, file_name) or [f"{file_name}: {error}"]) from None


def _organisation_problems(document: Document) -> Iterator[str]:
    organisations = document.organisations
    validators = [entry for entry in organisations if entry.consensus_key is not None]
    nodes = [node for entry in organisations for node in entry.nodes]
    yield from _twice("organisations", (entry.name for entry in organisations))
    yield from _twice("consensus keys", (str(entry.consensus_key) for entry in validators))
    yield from _twice("node keys", (node.key for node in nodes))
    if not 1 <= len(validators) <= VALIDATORS_MAX:
        yield f"document.organisations: {len(validators)} validate; there must be 1 to {VALIDATORS_MAX}"
    for entry in validators:
        if not entry.nodes:
            yield f"document.organisations: {entry.name} validates without a node"
        yield from _weak(str(entry.consensus_key), f"consensus key of {entry.name}")
    for node in nodes:
        if certificate_key(bytes.fromhex(node.certificate)) != bytes.fromhex(node.key):
            yield f"document.organisations: the certificate of node {node.key} is not of that Ed25519 key"


def _asset_problems(document: Document) -> Iterator[str]:
    yield from _twice("assets", (asset.id for asset in document.assets))
    for asset in document.assets:
        if int(asset.cap) > AMOUNT_MAX:
            yield f"document.assets: the cap of {asset.id} is above {AMOUNT_MAX}"


def _account_problems(genesis: Genesis) -> Iterator[str]:
    organisations = {entry.name for entry in genesis.document.organisations}
    assets = {asset.id for asset in genesis.document.assets}
    yield from _repeated_keys(genesis)
    for entry in genesis.accounts:
        where = f"account of key {entry.keys[0].key}"
        weight = sum(row.weight for row in entry.keys)
        if weight < entry.threshold:
            yield f"{where}: its keys weigh {weight}, below the threshold {entry.threshold}"
        if entry.organisation is not None and entry.organisation not in organisations:
            yield f"{where}: no organisation {entry.organisation}"
        for name in sorted(set(entry.balances) - assets):
            yield f"{where}: no asset {name}"
        for row in entry.keys:
            yield from _weak(row.key, where)


def _repeated_keys(genesis: Genesis) -> Iterator[str]:
    """Keys that stand twice.  Only those whose first eight bytes do are counted: a million keys are large."""
    begins = sorted(array("Q", (_begin(row) for entry in genesis.accounts for row in entry.keys)))
    twice = {one for one, following in pairwise(begins) if one == following}
    if twice:
        keys = (row.key for entry in genesis.accounts for row in entry.keys if _begin(row) in twice)
        yield from _twice("account keys", keys)


def _begin(row: KeyEntry) -> int:
    return int(row.key[:16], 16)


def _supply_problems(genesis: Genesis) -> Iterator[str]:
    supplies: Counter[str] = Counter()
    for entry in genesis.accounts:
        for name, amount in entry.balances.items():
            supplies[name] += int(amount)
    for asset in genesis.document.assets:
        if supplies[asset.id] > min(int(asset.cap), AMOUNT_MAX):
            yield f"document.assets: balances of {asset.id} sum to {supplies[asset.id]}, above its cap {asset.cap}"


def _twice(what: str, names: Iterable[str]) -> Iterator[str]:
    for name, count in Counter(names).items():
        if count > 1:
            yield f"document: among the {what}, {name} stands {count} times"


def _weak(key: str, where: str) -> Iterator[str]:
    if bytes.fromhex(key) in SMALL_ORDER:
        yield f"{where}: a small-order key, for which anyone could sign"


def _invalid(errors: list[str]) -> Fault:
    return fault(GENESIS_INVALID, errors=errors[:ERRORS_MAX], count=len(errors))
