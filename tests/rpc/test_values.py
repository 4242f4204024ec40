"""How values look in JSON: the rule in both directions, from the types alone."""

from contextlib import suppress
from enum import Enum
from typing import Annotated, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Meta

from cccnode.codec import Noun
from cccnode.rpc.values import ValueFault, plain, reader, writer
from cccnode.types.addresses import account_text
from cccnode.types.scalars import U16, AccountId, Amount, Hash, Height

ACCOUNT = bytes(range(20))


class Colour(Enum):
    RED = 1


class Inner(Noun, tag=5, frozen=True, array_like=True, gc=False):
    amount: Amount


class Other(Noun, tag=6, frozen=True, array_like=True, gc=False):
    text: str


class Everything(Noun, frozen=True, array_like=True, gc=False):
    index: U16
    height: Height
    account: AccountId
    root: Hash
    colour: Colour
    maybe: Amount | None
    inner: tuple[Inner, ...]
    either: Inner | Other
    pair: tuple[bool, str]


class Params(Noun, frozen=True, array_like=True, gc=False):
    account: AccountId
    amount: Amount = 7
    tags: Annotated[tuple[Hash, ...], Meta(max_length=2)] = ()


class Choice(Noun, frozen=True, array_like=True, gc=False):
    either: Inner | Other
    colour: Colour


VALUE = Everything(3, 2**60, ACCOUNT, bytes(32), Colour.RED, None, (Inner(1),), Other("x"), (True, "y"))


def test_writer() -> None:
    """Big integers are text, small ones numbers; bytes hexadecimal, accounts bech32m; nouns are objects."""
    assert writer(Everything)(VALUE) == {
        "index": 3,
        "height": str(2**60),
        "account": account_text(ACCOUNT),
        "root": "0x" + "00" * 32,
        "colour": "red",
        "maybe": None,
        "inner": [{"amount": "1"}],
        "either": {"type": "Other", "text": "x"},
        "pair": [True, "y"],
    }


def test_plain() -> None:
    """Values without a type follow the same rule; integers are always text."""
    value = {"a": 5, "b": b"\x01", "c": ACCOUNT, "d": (None, True, "t"), "e": {1}, "f": Inner(9), "g": 1.5}
    assert plain(value) == {
        "a": "5",
        "b": "0x01",
        "c": account_text(ACCOUNT),
        "d": [None, True, "t"],
        "e": ["1"],
        "f": {"amount": "9"},
        "g": "1.5",
    }


@pytest.mark.parametrize(
    "given_form",
    [
        {"account": account_text(ACCOUNT), "amount": "9", "tags": ["0x" + "01" * 32]},
        [account_text(ACCOUNT), 9, ["0x" + "01" * 32]],
        [account_text(ACCOUNT).upper(), "9", ["0x" + "01" * 32]],
    ],
)
def test_reader(given_form: Any) -> None:
    """By name or by position, text or safe number: the same noun."""
    assert reader(Params)(given_form) == Params(ACCOUNT, 9, (b"\x01" * 32,))


def test_reader_defaults() -> None:
    """Absent optional parameters have their defaults."""
    assert reader(Params)([account_text(ACCOUNT)]) == Params(ACCOUNT, 7, ())


def test_reader_of_tagged_noun() -> None:
    """A message type reads by its fields alone: the tag is the registry's business."""
    assert reader(Inner)({"amount": "5"}) == Inner(5)


def test_reader_of_one_of_several() -> None:
    """One of several message types says which by `type`; an enumeration is its name in lower case."""
    assert reader(Choice)({"either": {"type": "Other", "text": "x"}, "colour": "red"}) == Choice(Other("x"), Colour.RED)
    assert reader(Choice)([{"type": "Inner", "amount": "5"}, "red"]) == Choice(Inner(5), Colour.RED)


@pytest.mark.parametrize(
    ("value", "where", "why"),
    [
        ([{"text": "x"}, "red"], "params.either.type", "must be one of Inner, Other"),
        ([{"type": "Third"}, "red"], "params.either.type", "must be one of Inner, Other"),
        ([{"type": 6}, "red"], "params.either.type", "must be one of Inner, Other"),
        ([[6, "x"], "red"], "params.either.type", "must be one of Inner, Other"),
        ([{"type": "Other", "amount": 5}, "red"], "params.either.amount", "is unknown"),
        ([{"type": "Other"}, "red"], "params.either.text", "is missing"),
        ([{"type": "Other", "text": "x"}, "RED"], "params.colour", "must be one of red"),
        ([{"type": "Other", "text": "x"}, 1], "params.colour", "must be one of red"),
    ],
)
def test_invalid_choice(value: Any, where: str, why: str) -> None:
    """What names no type or member, or has other fields than its type, is refused with its place."""
    with pytest.raises(ValueFault) as refused:
        reader(Choice)(value)
    assert refused.value.where == where
    assert why in refused.value.why


@pytest.mark.parametrize(
    ("value", "where", "why"),
    [
        ({}, "params.account", "missing"),
        ({"account": 5}, "params.account", "must be an account"),
        ({"account": "ccc1qq"}, "params.account", "not an account"),
        ({"account": account_text(ACCOUNT), "amont": 5}, "params.amont", "did you mean amount"),
        ({"account": account_text(ACCOUNT), "zzz": 5}, "params.zzz", "is unknown"),
        ([account_text(ACCOUNT), 2**53], "params.amount", "decimal string"),
        ([account_text(ACCOUNT), -1], "params.amount", "decimal string"),
        ([account_text(ACCOUNT), 1.0], "params.amount", "decimal string"),
        ([account_text(ACCOUNT), True], "params.amount", "decimal string"),
        ([account_text(ACCOUNT), "01"], "params.amount", "decimal string"),
        ([account_text(ACCOUNT), "+1"], "params.amount", "decimal string"),
        ([account_text(ACCOUNT), " 1"], "params.amount", "decimal string"),
        ([account_text(ACCOUNT), "1" * 21], "params.amount", "decimal string"),
        ([account_text(ACCOUNT), "\u0661"], "params.amount", "decimal string"),
        ([account_text(ACCOUNT), str(2**63)], "params", "9223372036854775807"),
        ([account_text(ACCOUNT), "1", ["0xZZ"]], "params.tags", "0x"),
        ([account_text(ACCOUNT), "1", ["0xAB" + "00" * 31]], "params.tags", "lower-case"),
        ([account_text(ACCOUNT), "1", ["0x00 " + "00" * 31]], "params.tags", "0x"),
        ([account_text(ACCOUNT), "1", ["00" * 32]], "params.tags", "0x"),
        ([account_text(ACCOUNT), "1", ["0x00"]], "params", "length"),
        ([account_text(ACCOUNT), "1", [5]], "params.tags", "0x"),
        ([account_text(ACCOUNT), "1", {}], "params.tags", "array"),
        ([account_text(ACCOUNT), "1", ["0x"] * 3], "params.tags", "at most 2"),
        ([1, 2, 3, 4], "params", "at most 3"),
        ("text", "params", "object or an array"),
        (None, "params", "object or an array"),
    ],
)
def test_invalid_value(value: Any, where: str, why: str) -> None:
    """What does not fit is refused with its place and a reason."""
    with pytest.raises(ValueFault) as refused:
        reader(Params)(value)
    assert refused.value.where == where
    assert why in refused.value.why


def test_invalid_small_integer() -> None:
    """A small integer is a JSON number and nothing else."""
    for value in ("3", 3.0, True, None):
        with pytest.raises(ValueFault):
            reader(U16)(value)


@given(st.integers(0, 2**63 - 1), st.binary(min_size=20, max_size=20), st.none() | st.integers(0, 2**63 - 1))
def test_round_trip(height: int, account: bytes, maybe: int | None) -> None:
    """Reading what was written gives the same noun."""
    value = Params(account, height if maybe is None else maybe, (bytes(32),))
    assert reader(Params)(writer(Params)(value)) == value


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@given(_JSON)
def test_any_json_is_read_or_refused(value: Any) -> None:
    """No JSON value makes the reader raise anything but its own error."""
    with suppress(ValueFault):
        reader(Params)(value)
