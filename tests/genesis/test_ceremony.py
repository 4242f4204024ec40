"""The ceremony: parts from several organisations become one document, whoever collects, and all must sign it."""

import itertools
import json
from typing import Any

import pytest

from cccnode.crypto.signing import SigningKey
from cccnode.types.errors import GENESIS_DRAFTS, GENESIS_INVALID, GENESIS_UNSIGNED, Fault
from genesis import ceremony
from genesis.document import Document, NodeEntry, chain_id, read_document, read_genesis, signers
from p2p.directory import make_certificate

NAMES = ("bma", "cmu", "psu", "siriraj")


def _key(number: int, name: str) -> SigningKey:
    return SigningKey(bytes([number, NAMES.index(name)]) * 16)


def _part(draft: Document, name: str) -> Document:
    node = _key(1, name)
    entry = NodeEntry(key=node.public_key.hex(), certificate=make_certificate(node.seed).hex(), addresses=("h:1",))
    whole = ceremony.add_organisation(
        draft, name=name, pillar="academia", nodes=[entry], account_key=_key(2, name).public_key
    )
    return ceremony.add_validator(whole, name=name, consensus_key=_key(3, name).public_key)


def _copy(document: Document) -> Document:
    return ceremony.read_draft(ceremony.draft_bytes(document))


def _begun() -> Document:
    return _copy(ceremony.begin("bangmod", time_ms=1_700_000_000_000))


def _signed() -> Document:
    whole = ceremony.merge([_part(_begun(), name) for name in NAMES])
    return ceremony.merge([ceremony.sign(_copy(whole), [_key(2, name), _key(3, name)]) for name in NAMES])


def _refused(raw: bytes) -> dict[str, Any]:
    with pytest.raises(Fault) as refused:
        read_document(raw)
    assert refused.value.spec is GENESIS_UNSIGNED
    return dict(refused.value.values)


def test_any_order_gives_one_document() -> None:
    """Whoever collects, in any order, with parts twice, writes the same bytes; nobody need collect all at once."""
    parts = [_part(_begun(), name) for name in NAMES]
    made = {ceremony.draft_bytes(ceremony.merge(order)) for order in itertools.permutations(parts)}
    two = [ceremony.merge(parts[:2]), ceremony.merge([parts[3], parts[2], parts[3]])]
    assert made == {ceremony.draft_bytes(ceremony.merge(two))}
    one_after_the_other = _begun()
    for name in reversed(NAMES):
        one_after_the_other = _part(_copy(one_after_the_other), name)
    assert made == {ceremony.draft_bytes(one_after_the_other)}


def test_all_signatures_make_a_genesis() -> None:
    """With all signatures nodes read it; its hash is that which was signed, and the hash says that it is signed."""
    document = _signed()
    raw = ceremony.draft_bytes(document)
    assert read_genesis(raw).chain == chain_id(document)
    assert [name for name, _ in signers(document)] == [name for name in NAMES for _ in range(2)]
    assert len(document.signatures) == 8
    value = json.loads(raw)
    value["signed"], value["signatures"] = False, []
    assert chain_id(read_document(json.dumps(value).encode())) != chain_id(document)


@pytest.mark.parametrize("place", range(8))
def test_each_missing_or_altered_signature_is_named(place: int) -> None:
    """One signature less, one of another key, one bit changed: refused, with the organisation's name."""
    value = json.loads(ceremony.draft_bytes(_signed()))
    entry = value["signatures"][place]
    name = entry["organisation"]
    without = {**value, "signatures": value["signatures"][:place] + value["signatures"][place + 1 :]}
    assert _refused(json.dumps(without).encode()) == {"missing": [name]}
    entry["signature"] = f"{int(entry['signature'][:2], 16) ^ 1:02x}" + entry["signature"][2:]
    assert _refused(json.dumps(value).encode()) == {"wrong": [name]}
    entry["key"] = "11" * 32
    assert _refused(json.dumps(value).encode()) == {"missing": [name], "not_listed": [name]}


def test_any_change_spoils_all_signatures() -> None:
    """What is changed after the signing is signed by nobody."""
    value = json.loads(ceremony.draft_bytes(_signed()))
    value["timers"]["delta_ms"] += 1
    assert _refused(json.dumps(value).encode()) == {"wrong": list(NAMES)}


def test_an_organisation_that_cannot_sign_is_named() -> None:
    """In a signed document every organisation has a key with which it signs."""
    value = json.loads(ceremony.draft_bytes(_signed()))
    value["accounts"] = [entry for entry in value["accounts"] if entry["organisation"] != "cmu"]
    value["organisations"][1]["consensus_key"] = None
    assert "cmu" in _refused(json.dumps(value).encode())["missing"]


def test_signatures_of_another_draft_do_not_count() -> None:
    """Who signed before a part was added signs again: nothing is carried over."""
    whole = ceremony.merge([_part(_begun(), name) for name in NAMES[:3]])
    early = ceremony.sign(whole, [_key(3, "bma")])
    assert ceremony.merge([early, _part(_begun(), "siriraj")]).signatures == ()


def test_contradictions_are_named() -> None:
    """Two drafts that say different things are not joined by chance."""
    draft = _part(_begun(), "cmu")
    other_name = ceremony.begin("elsewhere", time_ms=1_700_000_000_000)
    other_key = ceremony.add_validator(
        ceremony.read_draft(ceremony.draft_bytes(draft).replace(_key(3, "cmu").public_key.hex().encode(), b"22" * 32)),
        name="cmu",
        consensus_key=bytes.fromhex("22" * 32),
    )
    other_account = ceremony.read_draft(ceremony.draft_bytes(draft).replace(b'"threshold": 1', b'"threshold": 2', 1))
    acts: list[Any] = [
        lambda: ceremony.merge([draft, other_name]),
        lambda: ceremony.merge([draft, other_key]),
        lambda: ceremony.merge([draft, other_account]),
        lambda: _part(draft, "cmu"),
        lambda: ceremony.add_validator(draft, name="bma", consensus_key=bytes(32)),
        lambda: ceremony.add_validator(draft, name="cmu", consensus_key=bytes(32)),
        lambda: ceremony.sign(draft, [_key(3, "bma")]),
    ]
    for act in acts:
        with pytest.raises(Fault) as refused:
            act()
        assert refused.value.spec is GENESIS_DRAFTS


def test_a_draft_is_checked() -> None:
    """A draft may lack organisations and signatures, and nothing else."""
    with pytest.raises(Fault) as refused:
        ceremony.read_draft(b'{"name": "x", "time_ms": 0}')
    assert refused.value.spec is GENESIS_INVALID
    with pytest.raises(Fault) as refused:
        ceremony.read_draft(b" " * (16 * 1024 * 1024 + 1))
    assert refused.value.spec is GENESIS_INVALID
    with pytest.raises(Fault) as refused:
        ceremony.sign(_begun(), [_key(3, "bma")])
    assert refused.value.spec is GENESIS_INVALID
