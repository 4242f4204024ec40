"""The overlay: reads through, writes on top, drops exactly."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cccnode.codec import encode
from cccnode.ledger.state import DictState, Overlay, Patched, module_account, writes_of
from cccnode.types.errors import GROUP_FULL, VALUE_TOO_LARGE, Fault
from cccnode.types.limits import GROUP_ITEMS_MAX, STATE_KEY_BYTES_MAX, STATE_VALUE_BYTES_MAX
from cccnode.types.transaction import account_id


def _state(**items: int) -> DictState:
    state = DictState()
    state.apply({b"g": {name.encode(): encode(value) for name, value in items.items()}})
    return state


def test_reads_through() -> None:
    """What was not written is what the view holds."""
    overlay = Overlay(_state(a=1))

    assert (1, None) == (overlay.get(b"g", b"a", int), overlay.get(b"g", b"b", int))
    assert (True, False) == (overlay.has(b"g", b"a"), overlay.has(b"g", b"b"))


def test_writes_are_seen_and_given_out_encoded() -> None:
    """A committed write is read back, and stands encoded in the changes; the view is untouched."""
    view = _state(a=1, b=2)
    overlay = Overlay(view)
    overlay.put(b"g", b"a", 300)
    overlay.put(b"g", b"b", None)
    overlay.commit()

    assert (300, None) == (overlay.get(b"g", b"a", int), overlay.get(b"g", b"b", int))
    assert {b"g": {b"a": encode(300), b"b": None}} == writes_of(overlay)
    assert encode(1) == view.get(b"g", b"a")


def test_group_joins_view_and_changes() -> None:
    """A group lists committed and changed items once, sorted, without deleted ones."""
    overlay = Overlay(_state(a=1, c=3))
    overlay.put(b"g", b"b", 2)
    overlay.put(b"g", b"c", None)

    assert [(b"a", 1), (b"b", 2)] == list(overlay.group(b"g", int).items())


def test_rollback_restores() -> None:
    """Dropped changes leave no trace, not even in the changes of the block."""
    overlay = Overlay(_state(a=1))
    overlay.put(b"g", b"a", 2)
    overlay.commit()
    overlay.put(b"g", b"a", 3)
    overlay.put(b"g", b"new", 4)
    overlay.rollback()

    assert (2, None) == (overlay.get(b"g", b"a", int), overlay.get(b"g", b"new", int))
    assert {b"g": {b"a": encode(2)}} == writes_of(overlay)


def test_open_transaction_has_no_result() -> None:
    """Asking for changes with a transaction open is our own mistake."""
    overlay = Overlay(DictState())
    overlay.put(b"g", b"a", 1)

    with pytest.raises(AssertionError):
        writes_of(overlay)


def test_invalid_full_group() -> None:
    """A group takes 256 items and names the fault of the next; a dropped or deleted item makes room again."""
    overlay = Overlay(_state(**{f"i{n:03}": n for n in range(GROUP_ITEMS_MAX - 1)}))
    overlay.put(b"g", b"last", 1)
    with pytest.raises(Fault) as caught:
        overlay.put(b"g", b"surplus", 1)
    assert caught.value.spec is GROUP_FULL

    overlay.rollback()
    overlay.put(b"g", b"again", 1)
    overlay.put(b"g", b"i000", None)
    overlay.put(b"g", b"room", 1)
    with pytest.raises(Fault):
        overlay.put(b"g", b"surplus", 1)


@pytest.mark.parametrize(
    ("group", "item", "value"),
    [
        (b"g" * (STATE_KEY_BYTES_MAX + 1), b"i", 1),
        (b"g", b"i" * (STATE_KEY_BYTES_MAX + 1), 1),
        (b"g", b"i", bytes(STATE_VALUE_BYTES_MAX)),
    ],
)
def test_invalid_size(group: bytes, item: bytes, value: object) -> None:
    """Keys and values above the limits are refused when written, so that the message fails and not the block."""
    overlay = Overlay(DictState())
    with pytest.raises(Fault) as caught:
        overlay.put(group, item, value)
    overlay.rollback()

    assert (VALUE_TOO_LARGE, {}) == (caught.value.spec, writes_of(overlay))


def test_what_is_refused_is_not_counted() -> None:
    """A value that is too large takes no place in its group: the last one is free for another."""
    overlay = Overlay(DictState())
    for number in range(GROUP_ITEMS_MAX - 1):
        overlay.put(b"g", b"%d" % number, 1)
    with pytest.raises(Fault):
        overlay.put(b"g", b"large", bytes(STATE_VALUE_BYTES_MAX))
    overlay.put(b"g", b"last", 1)
    with pytest.raises(Fault) as caught:
        overlay.put(b"g", b"one more", 1)

    assert GROUP_FULL is caught.value.spec


def test_largest_sizes() -> None:
    """The limits themselves are allowed."""
    overlay = Overlay(DictState())
    overlay.put(b"g" * STATE_KEY_BYTES_MAX, b"i" * STATE_KEY_BYTES_MAX, bytes(STATE_VALUE_BYTES_MAX - 3))
    overlay.commit()

    assert 1 == len(writes_of(overlay))


def test_module_accounts_are_nobodys() -> None:
    """A module account has another id for every name, and none that a 32-byte key could have."""
    assert module_account("fees") != module_account("treasury")
    assert module_account("fees") != account_id(b"m:fees".ljust(32, b"\0"))


_ITEMS = st.sampled_from([b"a", b"b", b"c"])
_STEPS = st.lists(
    st.tuples(st.sampled_from(["put", "commit", "rollback"]), _ITEMS, st.none() | st.integers(0, 9)), max_size=30
)


@given(_STEPS)
def test_overlay_is_a_dictionary(steps: list[tuple[str, bytes, int | None]]) -> None:
    """Whatever is written, committed or dropped, the overlay reads like a dictionary, and its writes lead there."""
    view = _state(a=1, b=2)
    overlay = Overlay(view)
    kept = {b"a": 1, b"b": 2}
    now = dict(kept)
    for action, item, value in steps:
        if action == "put":
            overlay.put(b"g", item, value)
            now = {name: old for name, old in now.items() if name != item} | ({} if value is None else {item: value})
        elif action == "commit":
            overlay.commit()
            kept = dict(now)
        else:
            overlay.rollback()
            now = dict(kept)
        assert now == {name: v for name in (b"a", b"b", b"c") if (v := overlay.get(b"g", name, int)) is not None}
        assert dict(sorted(now.items())) == overlay.group(b"g", int)
    overlay.rollback()
    view.apply(writes_of(overlay))

    assert {name: encode(value) for name, value in kept.items()} == dict(view.group(b"g"))


_ITEMS = st.dictionaries(
    st.sampled_from([b"g", b"h", b"i"]),
    st.dictionaries(st.sampled_from([b"a", b"b", b"c"]), st.one_of(st.none(), st.binary(max_size=2)), max_size=3),
    max_size=3,
)


@given(_ITEMS, _ITEMS)
def test_a_patched_view_is_the_state_to_come(before: dict, writes: dict) -> None:
    """With a block's writes on top, every item and every group reads as it will once they are applied."""
    state, after = DictState(), DictState()
    for view in (state, after):
        view.apply(before)
    after.apply(writes)
    patched = Patched(state, writes)

    for group in (b"g", b"h", b"i", b"j"):
        assert after.group(group) == patched.group(group)
        assert group not in writes or sorted(patched.group(group)) == list(patched.group(group))
        for item in (b"a", b"b", b"c"):
            assert after.get(group, item) == patched.get(group, item)
