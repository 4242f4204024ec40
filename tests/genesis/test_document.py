"""The genesis document: what it accepts, and that it names every mistake at once."""

import json
from hashlib import sha256
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from cccnode.city import CITY
from cccnode.crypto.verifying import SMALL_ORDER
from cccnode.types.errors import GENESIS_INVALID, Fault
from cccnode.types.limits import AMOUNT_MAX
from genesis.document import (
    AccountEntry,
    AllocationEntry,
    KeyEntry,
    allocation_bytes,
    chain_id,
    document_bytes,
    read_document,
    read_genesis,
)
from tests.support.city import City, demo, key

SMALL = sorted(SMALL_ORDER)[2].hex()


def _json() -> dict[str, Any]:
    value = json.loads(demo().document)
    assert isinstance(value, dict)
    return value


def _errors(value: object, allocation: bytes | None = None) -> list[str]:
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    with pytest.raises(Fault) as caught:
        read_genesis(raw, allocation)
    assert caught.value.spec is GENESIS_INVALID
    errors = caught.value.values["errors"]
    assert isinstance(errors, list)
    if allocation is not None:
        with pytest.raises(Fault) as by_line:
            read_genesis(raw, lambda: iter(allocation.splitlines(keepends=True)))
        assert errors == by_line.value.values["errors"]
    return errors


def test_round_trip() -> None:
    """A document written and read is the same, and so is its chain."""
    genesis = demo().genesis

    assert genesis == read_genesis(document_bytes(genesis.document))


def test_chain_is_of_values_not_of_layout() -> None:
    """Spaces, order of names and defaults left out do not change the chain; any value does."""
    document = _json()
    chain = demo().genesis.chain
    shuffled = dict(sorted(document.items()))
    shuffled["limits"] = {}
    del shuffled["features"]

    assert chain == read_genesis(json.dumps(shuffled, indent=7).encode()).chain
    assert chain != read_genesis(json.dumps(document | {"name": "other"}).encode()).chain
    assert chain != read_genesis(json.dumps(document | {"time_ms": document["time_ms"] + 1}).encode()).chain


def test_every_value_counts() -> None:
    """Each part of the document changes the chain."""
    document = demo().genesis.document
    changed = [
        replace(document, organisations=document.organisations[::-1]),
        replace(document, assets=(replace(document.assets[0], transferable=False),)),
        replace(document, accounts=document.accounts[1:]),
        replace(document, parameters={"bank": {"fee_base": 5}}),
        replace(document, limits=replace(document.limits, epoch_blocks=10)),
        replace(document, timers=replace(document.timers, delta_ms=100)),
        replace(document, features=("x",)),
        replace(document, state_depth=12),
        replace(document, allocation=AllocationEntry(sha256="0" * 64, accounts=1)),
    ]

    assert len(changed) + 1 == len({chain_id(each) for each in [document, *changed]})


def test_all_errors_at_once() -> None:
    """Every mistake of shape is listed, each with its path and a hint."""
    value = _json()
    value["nmae"] = value.pop("name")
    value["state_depth"] = 99
    value["organisations"][1]["pillar"] = "church"
    value["organisations"][2]["nodes"][0]["addresses"] = ["no port"]
    value["accounts"][0]["keys"][0]["key"] = "AB"
    value["accounts"][1]["balances"] = {"uccc": 5, "UCCC": "5"}
    value["timers"] = None
    errors = _errors(value)

    assert [
        "document.nmae: no such field; did you mean name?",
        "document.name: is missing",
        "document.state_depth: Expected `int` <= 24",
        "document.organisations[1].pillar: Invalid enum value 'church'",
        "document.organisations[2].nodes[0].addresses[0]: Expected `str` matching regex '^[^ ]+:[0-9]{1,5}$'",
        "document.accounts[0].keys[0].key: Expected `str` matching regex '^[0-9a-f]{64}$'",
        "document.accounts[1].balances.uccc: Expected `str`, got `int`",
        "document.accounts[1].balances.UCCC: Expected `str` matching regex '^[a-z][a-z0-9]*$(?!\\\\n)'",
        "document.timers: Expected `object`, got `null`",
    ] == errors


def _twice(value: dict[str, Any]) -> None:
    value["organisations"].append(value["organisations"][0])
    value["assets"].append(value["assets"][0])
    value["accounts"].append(value["accounts"][0])


def _no_validators(value: dict[str, Any]) -> None:
    for entry in value["organisations"]:
        entry["consensus_key"] = None


def _no_node(value: dict[str, Any]) -> None:
    value["organisations"][1]["nodes"] = []


def _foreign_certificate(value: dict[str, Any]) -> None:
    nodes = [entry["nodes"][0] for entry in value["organisations"]]
    nodes[0]["certificate"] = nodes[1]["certificate"]


def _weak_keys(value: dict[str, Any]) -> None:
    value["organisations"][0]["consensus_key"] = SMALL
    value["accounts"][0]["keys"] = [{"key": SMALL}]


def _accounts(value: dict[str, Any]) -> None:
    value["accounts"][0]["threshold"] = 2
    value["accounts"][1]["organisation"] = "nobody"
    value["accounts"][2]["balances"] = {"gold": "1"}


def _too_much(value: dict[str, Any]) -> None:
    value["assets"][0]["cap"] = "10"


def _cap(value: dict[str, Any]) -> None:
    value["assets"][0]["cap"] = str(AMOUNT_MAX + 1)


@pytest.mark.parametrize(
    ("change", "fragments"),
    [
        (_twice, ["organisations, org-00 stands 2", "consensus keys", "node keys", "assets, uccc", "account keys"]),
        (_no_validators, ["0 validate; there must be 1 to 128"]),
        (_no_node, ["org-01 validates without a node"]),
        (_foreign_certificate, ["is not of that Ed25519 key"]),
        (_weak_keys, ["consensus key of org-00: a small-order key", "small-order key, for which anyone could sign"]),
        (_accounts, ["weigh 1, below the threshold 2", "no organisation nobody", "no asset gold"]),
        (_too_much, ["balances of uccc sum to 4040000000, above its cap 10"]),
        (_cap, ["the cap of uccc is above"]),
    ],
)
def test_invalid_meaning(change: object, fragments: list[str]) -> None:
    """What is well-formed but makes no network is refused, each mistake named."""
    value = _json()
    assert callable(change)
    change(value)
    errors = _errors(value)

    assert len(fragments) == len(errors)
    assert all(fragment in error for fragment, error in zip(fragments, errors, strict=True))


@pytest.mark.parametrize(
    ("raw", "fragment"),
    [
        (b"", "document: Expecting value"),
        (b"\xff", "codec can't decode"),
        (b"[]", "document: Expected `object`, got `array`"),
        (b'{"name": 1, "name": 2}', "the name name stands twice"),
        (b'{"time_ms": 1.5}', "1.5 is not a whole number"),
        (b'{"time_ms": NaN}', "NaN is not a whole number"),
        (b"[" * 100_000, "document: "),
        (b" " * (16 * 1024 * 1024 + 1), "use an allocation file"),
    ],
)
def test_invalid_json(raw: bytes, fragment: str) -> None:
    """Bytes that are not strict JSON of sensible size are refused."""
    assert fragment in _errors(raw)[0]


@given(st.binary(max_size=60))
def test_invalid_noise(raw: bytes) -> None:
    """Whatever the bytes, the answer is a named fault."""
    assert _errors(raw)


def test_unusual_integers() -> None:
    """A huge integer is refused and not truncated."""
    assert ["document.time_ms: Expected `int` <= 9007199254740991"] == _errors(_json() | {"time_ms": 2**53})


# -- the allocation file ---------------------------------------------------------------------------------------------


def _allocated(count: int = 3) -> tuple[dict[str, Any], bytes]:
    rows = [
        AccountEntry(keys=(KeyEntry(key=key(100 + n).public_key.hex()),), balances={"uccc": str(n)})
        for n in range(count)
    ]
    entry, raw = allocation_bytes(rows)
    return _json() | {"allocation": {"sha256": entry.sha256, "accounts": entry.accounts}}, raw


def test_allocation() -> None:
    """Accounts of the allocation file come after the document's, and its hash is part of the chain."""
    value, raw = _allocated()
    genesis = read_genesis(json.dumps(value).encode(), raw)
    city = City(document=genesis)

    assert 4 + 4 + 3 == len(list(genesis.accounts))  # members, organisations, the file's
    assert 2 == city.balance(genesis.allocation[2].account_id())
    assert demo().supply + 3 == city.supply() == city.total()
    assert genesis.chain != demo().genesis.chain
    assert (
        f"allocation-{value['allocation']['sha256']}.json"
        == read_document(json.dumps(value).encode()).allocation.file_name
    )  # type: ignore[union-attr]


def test_invalid_allocation() -> None:
    """A missing, surplus, altered, miscounted or malformed allocation file is named."""
    value, raw = _allocated()
    name = f"allocation-{value['allocation']['sha256']}.json"
    miscounted = value | {"allocation": value["allocation"] | {"accounts": 4}}

    assert [f"document.allocation: the file {name} is missing"] == _errors(value)
    assert ["document.allocation: an allocation file is given, but the document names none"] == _errors(_json(), raw)
    assert f"{name}: its SHA-256 is" in _errors(value, raw + b" ")[0]
    assert [f"{name}: holds 3 accounts, not 4"] == _errors(miscounted, raw)


@pytest.mark.parametrize(
    ("rows", "fragments"),
    [
        ([{"keys": []}, {"kees": []}], ["[0].keys: Expected `array` of length >= 1", "did you mean keys?", "[1].keys"]),
        ({"keys": []}, ["Expected `array`, got `object`"]),
    ],
)
def test_invalid_allocation_content(rows: object, fragments: list[str]) -> None:
    """Mistakes inside an allocation file are all listed, with their place."""
    raw = json.dumps(rows).encode()
    value = _json() | {"allocation": {"sha256": sha256(raw).hexdigest(), "accounts": 2}}
    errors = _errors(value, raw)

    assert len(fragments) == len(errors)
    assert all(fragment in error for fragment, error in zip(fragments, errors, strict=True))


def test_invalid_supply_with_allocation() -> None:
    """Duplicates and caps are checked over both files together."""
    twin = demo().genesis.document.accounts[0]
    entry, raw = allocation_bytes([replace(twin, balances={"uccc": str(10**15)})])
    value = _json() | {"allocation": {"sha256": entry.sha256, "accounts": 1}}

    assert 2 == len(_errors(value, raw))


# -- what modules refuse ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("parameters", "count"),
    [
        ({"bank": {"fee_asset": "gold"}}, 1),
        ({"bank": {"fee_base": -1, "fee": 3}}, 2),
        ({"members": {"apply_per_block": 70_000}, "bank": {"fee_byte": "x"}}, 2),
        ({"market": {"x": 1}}, 1),
    ],
)
def test_invalid_parameters(parameters: dict[str, Any], count: int) -> None:
    """Modules refuse parameters they do not know or allow; all modules' mistakes come together."""
    genesis = read_genesis(json.dumps(_json() | {"parameters": parameters}).encode())
    with pytest.raises(Fault) as caught:
        CITY.genesis_writes(genesis)

    errors = caught.value.values["errors"]
    assert isinstance(errors, list)
    assert (GENESIS_INVALID, count) == (caught.value.spec, len(errors))


def test_parameters() -> None:
    """Parameters of the document are in force from the first block."""
    genesis = read_genesis(json.dumps(_json() | {"parameters": {"bank": {"fee_base": 7}}}).encode())
    city = City(document=genesis)
    city.run(city.sign(city.transfer(1, 1), fee_max=7))

    assert 10**9 - 8 == city.balance(0)
