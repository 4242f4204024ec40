"""The state tree: equal to a naive oracle, whatever the order, the cache and the slices; natively and in Python."""

from hashlib import sha256
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cccnode.crypto import kernel, trees
from cccnode.crypto.proofs import bucket_of, verify_item_proof, verify_state_proof
from cccnode.types.errors import GROUP_FULL, STATE_CORRUPT, VALUE_TOO_LARGE, Fault
from cccnode.types.limits import GROUP_ITEMS_MAX, STATE_KEY_BYTES_MAX, STATE_VALUE_BYTES_MAX
from storage import state as state_module
from storage import tree as tree_module
from storage.memory import MemoryEngine
from storage.state import State

DEPTH = 3


@pytest.fixture(scope="module", autouse=True, params=["native", "portable"])
def functions(request):
    """Every test runs with the native functions and with those in Python."""
    if request.param == "native" and not kernel.NATIVE:
        pytest.skip("built without a compiler")
    with pytest.MonkeyPatch.context() as patch:
        for module in (state_module, tree_module):
            patch.setattr(module, "kernel", kernel if request.param == "native" else trees)
        yield


def oracle(content, depth=DEPTH):
    """The root of {group: {item: value}} straight from the formulas, with nothing shared with the code under test."""
    level = []
    for bucket in range(1 << depth):
        leaf = b"ccc/1/bucket" + bytes([depth]) + bucket.to_bytes(4, "big")
        for group in sorted(content):
            bits = f"{int.from_bytes(sha256(group).digest()):0256b}"[:depth]
            if content[group] and int(bits, 2) == bucket:
                inner = b"ccc/1/group" + bytes([len(group)]) + group
                for item in sorted(content[group]):
                    inner += bytes([len(item)]) + item + sha256(b"ccc/1/value" + content[group][item]).digest()
                leaf += bytes([len(group)]) + group + sha256(inner).digest()
        level.append(sha256(leaf).digest())
    while len(level) > 1:
        level = [sha256(b"ccc/1/branch" + a + b).digest() for a, b in zip(level[::2], level[1::2], strict=True)]
    return level[0]


def commit(state, engine, writes):
    staging = state.stage(writes).finish()
    engine.write(staging.puts, sync=True)
    state.adopt(staging)


def opened(engine, root, **options):
    return State.open(engine, depth=DEPTH, root=root, **options)


def applied_to(content, writes):
    """The oracle's content after `writes`."""
    result = {group: dict(items) for group, items in content.items()}
    for group, changes in writes.items():
        items = result.setdefault(group, {})
        for item, value in changes.items():
            if value is None:
                items.pop(item, None)
            else:
                items[item] = value
    return {group: items for group, items in result.items() if items}


groups = st.integers(0, 40).map(lambda number: b"group %d" % number)
items = st.sampled_from([b"", b"a", b"b", b"balance", b"z" * STATE_KEY_BYTES_MAX])
values = st.one_of(st.none(), st.binary(max_size=40))
blocks = st.lists(st.dictionaries(groups, st.dictionaries(items, values, max_size=4), max_size=12), max_size=8)
budgets = st.sampled_from([0, 1_000, 1 << 30])


@given(blocks, budgets)
def test_equal_to_the_oracle(history, cache_bytes):
    """After every block, root, groups and items equal a naive rebuild, with any cache; so they do after opening."""
    engine, content = MemoryEngine(), {}
    state = opened(engine, None, cache_bytes=cache_bytes)
    for writes in history:
        commit(state, engine, writes)
        content = applied_to(content, writes)
        assert state.root == oracle(content)
        for group in (b"group %d" % number for number in range(41)):
            assert state.group(group) == content.get(group, {})
            assert state.get(group, b"a") == content.get(group, {}).get(b"a")
    again = opened(engine, state.root, cache_bytes=cache_bytes)
    assert {group: again.group(group) for group in content} == content


@given(st.dictionaries(groups, st.dictionaries(items, st.binary(max_size=20), min_size=1), max_size=20), st.randoms())
def test_root_does_not_depend_on_order(content, rng):
    """The same content gives the same root and the same records, written at once or item by item in any order."""
    at_once, engine = MemoryEngine(), MemoryEngine()
    first = opened(at_once, None)
    commit(first, at_once, content)
    single = [(group, item, value) for group, held in content.items() for item, value in held.items()]
    rng.shuffle(single)
    second = opened(engine, None)
    for group, item, value in single:
        commit(second, engine, {group: {item: b"other", b"passing": b"by"}})
        commit(second, engine, {group: {item: value, b"passing": None}})
    assert first.root == second.root
    assert list(at_once.iterate(b"")) == list(engine.iterate(b""))


@given(blocks)
def test_every_proof_verifies(history):
    """Each group, present or not, has a proof that shows exactly its items; so has each single item."""
    engine, content = MemoryEngine(), {}
    state = opened(engine, None, cache_bytes=0)
    for writes in history:
        commit(state, engine, writes)
        content = applied_to(content, writes)
    for group in (b"group %d" % number for number in range(41)):
        held = content.get(group, {})
        assert verify_state_proof(state.prove(group), group, state.root, DEPTH) == held
        for item in (b"a", b"balance", b"never"):
            assert verify_item_proof(state.prove(group, item), group, item, state.root, DEPTH) == held.get(item)


def test_readers_see_nothing_of_a_staging():
    """Between staging and adopting, reads and proofs are of the old root, even while the batch is on disk already."""
    engine = MemoryEngine()
    state = opened(engine, None, cache_bytes=0)
    old = {b"group %d" % number: {b"a": b"old"} for number in range(30)}
    commit(state, engine, old)
    root = state.root
    staging = state.stage({group: {b"a": b"new"} for group in old} | {b"fresh": {b"a": b"new"}})
    for _ in staging:
        assert state.get(b"group 3", b"a") == b"old"
        assert verify_state_proof(state.prove(b"group 7"), b"group 7", root, DEPTH) == {b"a": b"old"}
    engine.write(staging.puts, sync=True)
    for group in old:
        assert state.get(group, b"a") == b"old"
        assert verify_state_proof(state.prove(group), group, root, DEPTH) == {b"a": b"old"}
    assert state.group(b"fresh") == {}
    state.adopt(staging)
    assert state.root == staging.root != root
    assert {state.get(group, b"a") for group in [*old, b"fresh"]} == {b"new"}


def test_a_staging_given_up_leaves_no_trace():
    """A later staging replaces one that was not adopted, wherever that one stopped; the old one cannot be adopted."""
    engine = MemoryEngine()
    state = opened(engine, None, cache_bytes=2_000)
    content = {b"group %d" % number: {b"a": b"%d" % number} for number in range(200)}
    commit(state, engine, content)
    for stop in range(5):
        given_up = state.stage({group: {b"a": b"lost %d" % stop} for group in content})
        for _, _ in zip(range(stop), given_up, strict=False):
            pass
    full = given_up.finish()
    commit(state, engine, {b"group 1": {b"a": b"kept"}})
    assert state.root == oracle(applied_to(content, {b"group 1": {b"a": b"kept"}}))
    with pytest.raises(AssertionError):
        state.adopt(full)


def test_staging_is_sliced():
    """Large blocks are staged in many steps; what they leave equals a fresh load."""
    engine = MemoryEngine()
    state = State.open(engine, depth=12, root=None)
    for round_number in range(3):
        staging = state.stage({b"group %d" % number: {b"a": b"%d" % round_number} for number in range(4_000)})
        assert sum(1 for _ in staging) > 20
        assert len(staging.puts) == 4_000
        engine.write(staging.puts, sync=True)
        state.adopt(staging)
    again = State.open(engine, depth=12, root=state.root)
    for group in (b"group 1", b"group 3999", b"none"):
        assert again.prove(group) == state.prove(group)


def test_the_cache_keeps_its_budget():
    """However much is read and written, the cache stays within its budget and one bucket."""
    engine = MemoryEngine()
    state = State.open(engine, depth=8, root=None, cache_bytes=20_000)
    content = {b"group %d" % number: {b"a": bytes(50)} for number in range(1_000)}
    commit(state, engine, content)
    assert state.cached_bytes <= 20_000
    rng = Random(1)
    for _ in range(300):
        group = b"group %d" % rng.randrange(1_000)
        assert state.get(group, b"a") == bytes(50)
        assert state.cached_bytes <= 24_000
    assert State.open(engine, depth=8, root=state.root, cache_bytes=20_000).cached_bytes <= 24_000


def test_cached_bytes_follow_every_change():
    """The estimate is what a fresh load of the same content gives: nothing leaks over many changes."""
    engine, rng = MemoryEngine(), Random(2)
    state = opened(engine, None)
    for _ in range(60):
        writes = {b"group %d" % rng.randrange(30): {b"a": rng.choice([None, rng.randbytes(9)])} for _ in range(9)}
        commit(state, engine, writes)
    assert state.cached_bytes == opened(engine, state.root).cached_bytes
    commit(state, engine, {b"group %d" % number: {b"a": None} for number in range(30)})
    assert state.cached_bytes == 0
    assert state.root == oracle({})


def test_unchanged_values_write_nothing():
    """Writing what is there already, or deleting what is not, causes no record and keeps the root."""
    engine = MemoryEngine()
    state = opened(engine, None)
    commit(state, engine, {b"g": {b"a": b"1"}})
    staging = state.stage({b"g": {b"a": b"1", b"b": None}, b"none": {b"a": None}}).finish()
    assert staging.puts == []
    assert staging.root == state.root


def test_group_full():
    """A group takes 256 items and refuses the next by name; the state stays as it was."""
    engine = MemoryEngine()
    state = opened(engine, None)
    commit(state, engine, {b"g": {b"%d" % number: b"" for number in range(GROUP_ITEMS_MAX)}})
    root = state.root
    with pytest.raises(Fault) as refusal:
        state.stage({b"h": {b"a": b"1"}, b"g": {b"one more": b""}}).finish()
    assert refusal.value.spec is GROUP_FULL
    commit(state, engine, {b"g": {b"one more": b"", b"0": None}})
    assert len(state.group(b"g")) == GROUP_ITEMS_MAX
    assert state.root != root


@pytest.mark.parametrize(
    ("group", "item", "value"),
    [
        (b"g" * (STATE_KEY_BYTES_MAX + 1), b"a", b""),
        (b"", b"a", b""),
        (b"g", b"a" * (STATE_KEY_BYTES_MAX + 1), b""),
        (b"g", b"a", bytes(STATE_VALUE_BYTES_MAX + 1)),
    ],
)
def test_invalid_size(group, item, value):
    """Names and values outside their limits are refused by name."""
    with pytest.raises(Fault) as refusal:
        opened(MemoryEngine(), None).stage({group: {item: value}}).finish()
    assert refusal.value.spec is VALUE_TOO_LARGE


def test_invalid_stored_state():
    """A record changed, lost, added or in a bucket beyond the tree refuses to open; so does a state without a root."""
    engine = MemoryEngine()
    state = opened(engine, None)
    commit(state, engine, {b"group %d" % number: {b"a": b"%d" % number} for number in range(20)})
    key, record = next(engine.iterate(b"g"))
    for puts in (
        [(key, record[:-1] + b"?")],
        [(key, record[:-1])],
        [(key, None)],
        [(key + b"x", record)],
        [(b"g\xff\xff\xff\xff" + key, record)],
    ):
        damaged = MemoryEngine()
        damaged.write([*engine.iterate(b""), *puts], sync=True)
        with pytest.raises(Fault) as refusal:
            opened(damaged, state.root)
        assert refusal.value.spec is STATE_CORRUPT
    with pytest.raises(Fault) as refusal:
        opened(engine, None)
    assert refusal.value.spec is STATE_CORRUPT


def test_invalid_reload():
    """A bucket that changed on disk while it was evicted is noticed when it is read again."""
    engine = MemoryEngine()
    state = opened(engine, None, cache_bytes=0)
    commit(state, engine, {b"group %d" % number: {b"a": b"1"} for number in range(20)})
    engine.write([(key, b"\x91\x92\xc4\x01a\xc4\x012") for key, _ in engine.iterate(b"g")], sync=True)
    with pytest.raises(Fault) as refusal:
        state.get(b"group 3", b"a")
    assert refusal.value.spec is STATE_CORRUPT


@pytest.mark.parametrize("damage", [lambda page: page[:-1], lambda page: page[:-3] + b"\xc1" + page[-2:]])
def test_invalid_page(damage):
    """A cached page that was damaged in memory is refused by name when something is written to its bucket."""
    engine = MemoryEngine()
    state = opened(engine, None)
    commit(state, engine, {b"group": {b"a": b"1"}})
    bucket = bucket_of(b"group", DEPTH)
    state._pages[bucket] = damage(state._pages[bucket])
    with pytest.raises(Fault) as refusal:
        state.stage({b"group": {b"a": b"2"}}).finish()
    assert refusal.value.spec is STATE_CORRUPT


def test_a_fault_among_others():
    """One group over a limit is named among many in its bucket, and nothing of the block is written."""
    engine = MemoryEngine()
    state = State.open(engine, depth=1, root=None)
    commit(state, engine, {b"group %d" % number: {b"a": b"1"} for number in range(50)})
    root = state.root
    writes = {b"group %d" % number: {b"a": b"2"} for number in range(50)}
    writes[b"group 23"] = {b"a": bytes(STATE_VALUE_BYTES_MAX + 1)}
    with pytest.raises(Fault) as refusal:
        state.stage(writes).finish()
    assert refusal.value.spec is VALUE_TOO_LARGE
    assert refusal.value.values["group"] == b"group 23"
    assert (root, b"1") == (state.root, state.get(b"group 1", b"a"))
