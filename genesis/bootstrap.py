"""Documents for demo networks, tests and benchmarks: N validators, their keys, and funded accounts.

With a seed every key follows from it, so that a network can be made again; without one they are random.  Making TLS
certificates is the network's business, so the caller brings the function.
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final

from cccnode.crypto.signing import SigningKey
from cccnode.types.transaction import account_id
from genesis.document import (
    AccountEntry,
    AllocationEntry,
    AssetEntry,
    Document,
    Genesis,
    KeyEntry,
    LimitsEntry,
    NodeEntry,
    OrganisationEntry,
    PillarName,
    TimersEntry,
    allocation_bytes,
    document_bytes,
    read_genesis,
)

ASSET: Final = "uccc"
"""A millionth of a CCC: what fees are paid in."""
EXPONENT: Final = 6
CAP: Final = 10**15
"""Base units: a thousand million CCC."""
BALANCE: Final = 10**9
"""Base units of each funded account: a thousand CCC."""
ORGANISATION_BALANCE: Final = 10**7
"""Base units of each organisation's account, issued beside the funded accounts: ten CCC, for its fees."""
INLINE_ACCOUNTS_MAX: Final = 1_000
"""More funded accounts go into an allocation file."""
_PILLARS: Final[tuple[PillarName, ...]] = ("government", "academia", "private", "citizens")

Certify = Callable[[bytes], bytes]
"""Node seed -> self-signed certificate, DER."""
Addresses = Callable[[int], Sequence[str]]
"""Organisation number -> where its node listens."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Partner:
    """One organisation of a demo network, with its secrets."""

    name: str
    consensus: SigningKey | None
    """None for an organisation that runs a node but does not validate."""
    node_seed: bytes
    node_key: bytes
    certificate: bytes
    owner: SigningKey
    """Key of the organisation's account."""

    @property
    def account(self) -> bytes:
        """The id of the organisation's account."""
        return account_id(self.owner.public_key)


@dataclass(frozen=True, slots=True, kw_only=True)
class Demo:
    """A demo network: the genesis, the bytes of its files, and every secret."""

    genesis: Genesis
    document: bytes
    """Content of genesis.json."""
    allocation: tuple[str, bytes] | None
    """Name and content of the allocation file, where there is one."""
    partners: tuple[Partner, ...]
    """Validators first, in the order of the epoch record."""
    accounts: tuple[SigningKey, ...]
    """Keys of the funded accounts."""

    def account(self, number: int) -> bytes:
        """The id of a funded account."""
        return account_id(self.accounts[number].public_key)

    @property
    def supply(self) -> int:
        """Base units that the genesis issues: to the funded accounts and to the organisations."""
        return sum(int(entry.balances.get(ASSET, 0)) for entry in self.genesis.accounts)


def make_demo(
    validators: int,
    *,
    certify: Certify,
    addresses: Addresses = lambda number: (),
    peers: int = 0,
    accounts: int = 3,
    balance: int = BALANCE,
    seed: bytes | None = None,
    name: str = "ccc-demo",
    time_ms: int,
    parameters: dict[str, dict[str, int | str | bool]] | None = None,
    timers: TimersEntry | None = None,
    limits: LimitsEntry | None = None,
    state_depth: int = 16,
    city: dict[str, Any] | None = None,
) -> Demo:
    """A network of `validators` organisations, `peers` further ones with a node, and funded accounts.

    Every organisation has an account of its own too, with `ORGANISATION_BALANCE` for its fees.  `parameters` and
    `city` are those of the document.

    Raises:
        Fault: genesis/INVALID: the figures do not make a network.
    """
    keys = _Keys(seed)
    partners = tuple(
        _partner(keys, number, certify, validates=number < validators) for number in range(validators + peers)
    )
    owners = tuple(SigningKey(keys.secret("account", number)) for number in range(accounts))
    # Organisations after the funded accounts, wherever both stand: tools count on the first ones.
    entries = [*(_funded(owner, balance) for owner in owners), *map(_acting, range(len(partners)), partners)]
    cap = max(CAP, accounts * balance + len(partners) * ORGANISATION_BALANCE)
    allocation: AllocationEntry | None = None
    file: bytes | None = None
    if len(entries) > INLINE_ACCOUNTS_MAX:
        allocation, file = allocation_bytes(entries)
        entries = []
    document = Document(
        name=name,
        time_ms=time_ms,
        state_depth=state_depth,
        organisations=tuple(_organisation(partner, i, addresses(i)) for i, partner in enumerate(partners)),
        assets=(AssetEntry(id=ASSET, exponent=EXPONENT, cap=str(cap)),),
        accounts=tuple(entries),
        allocation=allocation,
        parameters=parameters or {},
        timers=timers or TimersEntry(),
        limits=limits or LimitsEntry(),
        city=city or {},
    )
    raw = document_bytes(document)
    return Demo(
        genesis=read_genesis(raw, file),
        document=raw,
        allocation=None if allocation is None or file is None else (allocation.file_name, file),
        partners=partners,
        accounts=owners,
    )


class _Keys:
    """Secrets from a seed, or from the operating system."""

    def __init__(self, seed: bytes | None) -> None:
        self._seed = seed

    def secret(self, purpose: str, number: int) -> bytes:
        """32 bytes, the same for the same seed, purpose and number."""
        if self._seed is None:
            return os.urandom(32)
        return sha256(b"/".join((b"ccc/demo", self._seed, purpose.encode(), str(number).encode()))).digest()


def _partner(keys: _Keys, number: int, certify: Certify, *, validates: bool) -> Partner:
    node_seed = keys.secret("node", number)
    return Partner(
        name=f"org-{number:02}",
        consensus=SigningKey(keys.secret("consensus", number)) if validates else None,
        node_seed=node_seed,
        node_key=SigningKey(node_seed).public_key,
        certificate=certify(node_seed),
        owner=SigningKey(keys.secret("organisation", number)),
    )


def _organisation(partner: Partner, number: int, addresses: Sequence[str]) -> OrganisationEntry:
    node = NodeEntry(key=partner.node_key.hex(), certificate=partner.certificate.hex(), addresses=tuple(addresses))
    return OrganisationEntry(
        name=partner.name,
        pillar=_PILLARS[number % len(_PILLARS)],
        consensus_key=None if partner.consensus is None else partner.consensus.public_key.hex(),
        nodes=(node,),
    )


def _acting(number: int, partner: Partner) -> AccountEntry:
    """The account of an organisation."""
    return AccountEntry(
        keys=(KeyEntry(key=partner.owner.public_key.hex()),),
        kind="organisation",
        pillar=_PILLARS[number % len(_PILLARS)],
        organisation=partner.name,
        balances={ASSET: str(ORGANISATION_BALANCE)},
    )


def _funded(owner: SigningKey, balance: int) -> AccountEntry:
    return AccountEntry(keys=(KeyEntry(key=owner.public_key.hex()),), balances={ASSET: str(balance)})
