"""The genesis of the week's city: four validators among six organisations, six persons, seven services, and baht."""

from collections.abc import Mapping
from hashlib import sha256
from typing import Any, Final

from cccnode.crypto.signing import SigningKey
from cccnode.rpc.values import writer
from cccnode.types.addresses import account_text
from cccnode.types.readiness import ReadinessReceipt, sign_readiness
from cccnode.types.units import DAY_MS
from cccnode.week.people import (
    BONDED,
    CCC,
    COMMISSION_BPS,
    PEOPLE,
    TREASURY,
    VALIDATORS,
    Someone,
    account_of,
    key_of,
)
from cccnode.week.script import START_MS
from genesis.bootstrap import Addresses, Certify, Demo, Partner
from genesis.document import (
    AccountEntry,
    AssetEntry,
    Document,
    KeyEntry,
    NodeEntry,
    OrganisationEntry,
    TimersEntry,
    document_bytes,
    read_genesis,
)

FEATURES: Final = ("demo",)
"""Its clock may be set, and everybody knows its keys."""
HEARTBEAT_MS: Final = 200
"""An empty block comes so often: what falls due is carried out before anybody acts."""
UCCC_SUPPLY: Final = 10**12
THB_CAP: Final = 500_000_000
NEVER: Final = 10**9
"""Blocks after which an absent validator would be jailed: a node may be off for a day, and rewards stay the same."""
CANDIDATE: Final = "hospital-2"
"""Its node is registered; the city votes on whether it validates."""
ROLES: Final = ("producer", "arbitrator", "auditor", "regulator")
PARAMETERS: Final[Mapping[str, dict[str, int | str | bool]]] = {
    "members": {"sponsor_age_ms": 0},
    "gov": {"valset_delay_ms": 4 * DAY_MS},
    "staking": {"unbond_ms": 3 * DAY_MS, "miss_blocks": NEVER},
}


def make_city(*, certify: Certify, addresses: Addresses = lambda number: ()) -> Demo:
    """The network of the week, with every secret; the same each time."""
    partners = tuple(_partner(name, certify) for name in VALIDATORS)
    document = Document(
        name="ccc-week",
        time_ms=START_MS,
        state_depth=12,
        organisations=tuple(
            _organisation(one, partners, certify, addresses) for one in PEOPLE if one.kind == "organisation"
        ),
        assets=(
            AssetEntry(id="uccc", exponent=6, cap=str(UCCC_SUPPLY)),
            AssetEntry(id="thb", exponent=2, cap=str(THB_CAP)),
        ),
        accounts=tuple(map(_account, PEOPLE)),
        parameters=dict(PARAMETERS),
        timers=TimersEntry(heartbeat_ms=HEARTBEAT_MS),
        features=FEATURES,
        city=sections(),
    )
    raw = document_bytes(document)
    accounts = tuple(key_of(one.name) for one in PEOPLE)
    return Demo(genesis=read_genesis(raw), document=raw, allocation=None, partners=partners, accounts=accounts)


def sections() -> dict[str, Any]:
    """What modules read besides: roles and personhood, the issuer of baht, the treasury, the validators' bonds."""
    text = {one.name: account_text(account_of(one.name)) for one in PEOPLE}
    return {
        "members": {
            "charter": sha256(b"charter").hexdigest(),
            "roles": {role: {} for role in ROLES},
            "holders": {text[one.name]: list(one.roles) for one in PEOPLE if one.roles},
            "personhood": {text[one.name]: "seen" for one in PEOPLE if one.kind == "person"},
        },
        "bank": {
            "assets": {"thb": {"issuer": text["company-1"], "backed": True, "freezable": True, "sandbox_id": 1}},
            "treasury": {"uccc": str(TREASURY * CCC)},
        },
        "staking": {
            "validators": [
                {"organisation": name, "bonded": str(BONDED * CCC), "commission_bps": COMMISSION_BPS}
                for name in VALIDATORS
            ]
        },
    }


def ready(height: int, state_root: bytes) -> dict[str, Any]:
    """The candidate's receipt in JSON form: its node has the state of that height."""
    receipt = sign_readiness(
        key_of(f"{CANDIDATE} consensus"),
        organisation=CANDIDATE,
        node_key=SigningKey(_node_seed(CANDIDATE)).public_key,
        height=height,
        state_root=state_root,
        version="week",
    )
    return {**writer(ReadinessReceipt)(receipt), "height": height}


def _node_seed(name: str) -> bytes:
    return sha256(b"ccc/week/node/" + name.encode()).digest()


def _partner(name: str, certify: Certify) -> Partner:
    node_seed = _node_seed(name)
    return Partner(
        name=name,
        consensus=key_of(f"{name} consensus"),
        node_seed=node_seed,
        node_key=SigningKey(node_seed).public_key,
        certificate=certify(node_seed),
        owner=key_of(name),
    )


def _organisation(
    one: Someone, partners: tuple[Partner, ...], certify: Certify, addresses: Addresses
) -> OrganisationEntry:
    if one.name == CANDIDATE:
        seed = _node_seed(one.name)
        waiting = NodeEntry(key=SigningKey(seed).public_key.hex(), certificate=certify(seed).hex())
        return OrganisationEntry(name=one.name, pillar=one.pillar, nodes=(waiting,))
    found = next(((number, partner) for number, partner in enumerate(partners) if partner.name == one.name), None)
    if found is None:
        return OrganisationEntry(name=one.name, pillar=one.pillar)
    number, partner = found
    node = NodeEntry(
        key=partner.node_key.hex(), certificate=partner.certificate.hex(), addresses=tuple(addresses(number))
    )
    assert partner.consensus is not None, "every partner of the week validates"
    return OrganisationEntry(
        name=one.name, pillar=one.pillar, consensus_key=partner.consensus.public_key.hex(), nodes=(node,)
    )


def _account(one: Someone) -> AccountEntry:
    return AccountEntry(
        keys=(KeyEntry(key=key_of(one.name).public_key.hex()),),
        kind=one.kind,
        pillar=one.pillar,
        organisation=one.organisation,
        balances={"uccc": str(one.ccc * CCC)},
    )
