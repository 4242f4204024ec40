"""Proofs of ten thousand random keys: each holds, and no byte of proof, key, value or root may be another."""

from random import Random

import pytest
from msgspec.structs import replace

from cccnode.codec import DecodeError, decode, encode
from cccnode.crypto.proofs import InvalidProof, StateProof, value_hash, verify_item_proof, verify_state_proof
from storage.memory import MemoryEngine
from storage.state import State

KEYS = 10_000
DEPTH = 11
"""Some five groups a bucket, and empty ones too."""


@pytest.fixture(scope="module")
def content() -> dict[bytes, dict[bytes, bytes]]:
    rng = Random(6962)
    names = {rng.randbytes(rng.randrange(1, 40)) for _ in range(KEYS + 100)}
    groups = sorted(names)[:KEYS]
    return {
        name: {rng.randbytes(k): rng.randbytes(rng.randrange(60)) for k in range(rng.randrange(1, 4))}
        for name in groups
    }


@pytest.fixture(scope="module")
def state(content: dict[bytes, dict[bytes, bytes]]) -> State:
    made = State.open(MemoryEngine(), depth=DEPTH, root=None)
    staged = made.stage({name: dict(items) for name, items in content.items()}).finish()
    made._engine.write(staged.puts, sync=True)
    made.adopt(staged)
    return made


def altered(rng: Random, data: bytes) -> bytes:
    """The same with one other byte."""
    at = rng.randrange(len(data))
    return data[:at] + bytes([data[at] ^ rng.randrange(1, 256)]) + data[at + 1 :]


def refused(proof: StateProof, group: bytes, root: bytes) -> bool:
    try:
        verify_state_proof(proof, group, root, DEPTH)
    except InvalidProof:
        return True
    return False


def test_all_keys_are_proven(state: State, content: dict[bytes, dict[bytes, bytes]]) -> None:
    """Every group is complete, each of its items is there, and a group that is not is absent."""
    rng = Random(1)
    assert KEYS == len(content)
    for group, items in content.items():
        assert items == verify_state_proof(state.prove(group), group, state.root, DEPTH)
        item = rng.choice(sorted(items))
        assert items[item] == verify_item_proof(state.prove(group, item), group, item, state.root, DEPTH)
        absent = altered(rng, group)
        assert content.get(absent, {}) == verify_state_proof(state.prove(absent), absent, state.root, DEPTH)


def test_no_byte_may_change(state: State, content: dict[bytes, dict[bytes, bytes]]) -> None:
    """One random byte of the proof, of the key, of a value and of the root, at each key."""
    rng = Random(2)
    for group, items in content.items():
        proof = state.prove(group)
        assert refused(proof, group, altered(rng, state.root))
        assert refused(proof, altered(rng, group), state.root)
        item = rng.choice(sorted(items))
        value = altered(rng, items[item]) if items[item] else b"x"
        assert refused(replace(proof, items=tuple((items | {item: value}).items())), group, state.root)
        try:
            changed = decode(StateProof, altered(rng, encode(proof)))
        except DecodeError:
            continue
        assert refused(changed, group, state.root)


def test_nothing_may_be_hidden(state: State, content: dict[bytes, dict[bytes, bytes]]) -> None:
    """A list without one of its elements is refused, whichever it is and however it is withheld."""
    rng = Random(3)
    for group in rng.sample(sorted(content), 1_000):
        proof = state.prove(group)
        for at, (item, value) in enumerate(proof.items):
            rest = (*proof.items[:at], *proof.items[at + 1 :])
            assert refused(replace(proof, items=rest), group, state.root)
            assert refused(replace(proof, items=rest, hidden=((item, value_hash(value)),)), group, state.root)
        for at in range(len(proof.neighbours)):
            rest = (*proof.neighbours[:at], *proof.neighbours[at + 1 :])
            assert refused(replace(proof, neighbours=rest), group, state.root)
        assert refused(replace(proof, items=(), neighbours=proof.neighbours), group, state.root)
