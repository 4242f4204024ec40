"""Accounts as text: bech32m with the vectors of BIP-350, and typing errors noticed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cccnode.types.addresses import (
    AddressError,
    account_text,
    bech32m_decode,
    bech32m_encode,
    bech32m_words,
    parse_account,
)

_VALID = [
    "A1LQFN3A",
    "a1lqfn3a",
    "an83characterlonghumanreadablepartthatcontainsthetheexcludedcharactersbioandnumber11sg7hg6",
    "abcdef1l7aum6echk45nj3s0wdvt2fg8x9yrzpqzd3ryx",
    "11llllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllludsr8",
    "split1checkupstagehandshakeupstreamerranterredcaperredlc445v",
    "?1v759aa",
]
_INVALID = [
    "\x201xj0phk",
    "\x7f1g6xzxy",
    "\x801vctc34",
    "an84characterslonghumanreadablepartthatcontainsthetheexcludedcharactersbioandnumber11d6pts4",
    "qyrz8wqd2c9m",
    "1qyrz8wqd2c9m",
    "y1b0jsk6g",
    "lt1igcx5c0",
    "in1muywd",
    "mm1crxm3i",
    "au1s5cgom",
    "M1VUXWEZ",
    "16plkw9",
    "1p2gdwpf",
]


@pytest.mark.parametrize("text", _VALID)
def test_bip_350_valid(text: str) -> None:
    """The valid strings of BIP-350 are accepted."""
    assert isinstance(bech32m_words(text), list)


@pytest.mark.parametrize("text", _INVALID)
def test_invalid_bip_350(text: str) -> None:
    """The invalid strings of BIP-350 are refused."""
    with pytest.raises(AddressError):
        bech32m_words(text)


@given(st.binary(min_size=20, max_size=20) | st.binary(max_size=32))
def test_an_account_is_bech32m(account: bytes) -> None:
    """The quick way gives the text of BIP-350's rule, whatever the length."""
    assert bech32m_encode("ccc", account) == account_text(account)


@given(st.binary(min_size=20, max_size=20))
def test_round_trip(account: bytes) -> None:
    """An account's text begins with ccc1, reads back in either case, and is 42 characters long."""
    text = account_text(account)

    assert ("ccc1", 42) == (text[:4], len(text))
    assert account == parse_account(text) == parse_account(text.upper())
    assert ("ccc", account) == bech32m_decode(text)


@given(st.binary(min_size=20, max_size=20), st.integers(4, 41), st.sampled_from("qpzry9x8gf2tvdw0s3jn54khce6mua7l"))
def test_invalid_typing_error(account: bytes, place: int, letter: str) -> None:
    """Any one wrong character is noticed."""
    text = account_text(account)
    wrong = text[:place] + letter + text[place + 1 :]
    if wrong == text:
        return
    with pytest.raises(AddressError):
        parse_account(wrong)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ccc1",
        bech32m_encode("ccd", bytes(20)),
        bech32m_encode("ccc", bytes(19)),
        bech32m_encode("ccc", bytes(32)),
        account_text(bytes(20))[:-1],
        account_text(bytes(20))[:10] + account_text(bytes(20))[10:].upper(),
        account_text(bytes(20)) + " ",
        "ccc1" + "ก" * 38,
    ],
)
def test_invalid_account(text: str) -> None:
    """Another prefix or length, a cut, mixed case and foreign letters are refused."""
    with pytest.raises(AddressError):
        parse_account(text)
