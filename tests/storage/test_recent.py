"""Proofs of states that were replaced a few blocks ago."""

from random import Random

import pytest

from cccnode.crypto.proofs import verify_state_proof
from storage import recent
from storage.memory import MemoryEngine
from storage.state import State

DEPTH = 4


def change(state: State, writes: dict[bytes, dict[bytes, bytes | None]]) -> None:
    staged = state.stage(writes).finish()
    state._engine.write(staged.puts, sync=True)
    state.adopt(staged)


@pytest.fixture
def state() -> State:
    return State.open(MemoryEngine(), depth=DEPTH, root=None)


def test_every_recent_state_is_proven(state: State) -> None:
    """Whatever changed since, each group is shown as it was, also where it was absent then or is now."""
    rng = Random(5)
    content: dict[bytes, dict[bytes, bytes]] = {}
    before = []
    for _ in range(recent.BLOCKS_MAX):
        writes: dict[bytes, dict[bytes, bytes | None]] = {}
        for _ in range(rng.randrange(1, 6)):
            group, item = b"group %d" % rng.randrange(30), b"%d" % rng.randrange(3)
            writes.setdefault(group, {})[item] = rng.choice([None, rng.randbytes(4)])
        before.append((state.root, {name: dict(items) for name, items in content.items()}))
        change(state, writes)
        for group, items in writes.items():
            kept = {**content.get(group, {}), **items}
            content[group] = {item: value for item, value in kept.items() if value is not None}
    before.append((state.root, content))
    for root, then in before:
        for number in range(31):
            group = b"group %d" % number
            proof = state.prove_at(root, group)
            assert proof is not None
            assert then.get(group, {}) == verify_state_proof(proof, group, root, DEPTH)


def test_older_states_are_forgotten(state: State) -> None:
    """Only so many blocks are undone."""
    roots = []
    for number in range(recent.BLOCKS_MAX + 1):
        roots.append(state.root)
        change(state, {b"group": {b"item": b"%d" % number}})

    assert state.prove_at(roots[0], b"group") is None
    assert state.prove_at(roots[1], b"group") is not None
    assert state.prove_at(bytes(32), b"group") is None


@pytest.mark.parametrize("limit", ["BUCKETS_MAX", "BYTES_MAX"])
def test_large_blocks_are_not_undone(state: State, monkeypatch: pytest.MonkeyPatch, limit: str) -> None:
    """A block that changes much is not remembered, so the state before it is not known."""
    change(state, {b"group": {b"item": b"old"}})
    root = state.root
    monkeypatch.setattr(recent, limit, 1)
    change(state, {b"group %d" % number: {b"item": b"new"} for number in range(9)} | {b"group": {b"item": b"new"}})

    assert state.prove_at(root, b"group") is None
    proof = state.prove_at(state.root, b"group")
    assert proof is not None
    assert {b"item": b"new"} == verify_state_proof(proof, b"group", state.root, DEPTH)
